//! Every setting there is: its form, its default, and what it means.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use greenroom_api::{Network, ProxyHeader};
use greenroom_domain::settings::{ContainerNetwork, PortProtocol, Readiness, VersionSource, WarmPayload};
use greenroom_protocol::{GameId, HostId, RegionId, StudioId};

use super::{
    reader::section_of,
    value::{Bytes, ConnectionKind, LogFormat, ProviderKind, Rate},
};

mod accounts;

pub use accounts::{DiscordSignIn, EmailSignIn, Mail, OpenIdSignIn, SignIn, SteamSignIn};

section_of! {
    /// The installation: where it listens, and where it keeps what it knows.
    Root {
        /// Where Greenroom listens: one port serves everything.
        /// Port 0 takes a free one. Nothing beyond this machine reaches it unless you say so here.
        listen: SocketAddr = "127.0.0.1:4700";
        /// The address that players reach game servers at: an IP address or a host name.
        public_address: String = "127.0.0.1";
        /// Where game servers on this machine reach Greenroom, such as `"http://127.0.0.1:4700"`.
        /// Made of `listen` unless set; with TLS, of `public_address` where that is a name, which the
        /// certificate must be for. A container with a network of its own is told host.docker.internal
        /// instead of 127.0.0.1: let Greenroom listen where that arrives.
        internal_url: Option<String> = none;
        /// Where players' browsers reach Greenroom, such as `"https://play.example.org"`: links in mails lead there.
        /// Unset: where it listens, which is right on one machine alone.
        public_url: Option<String> = none;
        /// The folder that holds everything. Made at the first start; one Greenroom at a time may use it.
        data_dir: PathBuf = "greenroom-data";
        /// The game that a request means that names none, where no game's `hosts` has its host.
        /// Not needed while there is one game.
        default_game: Option<GameId> = none;
        /// How long a stop may take before what is still going on is cut off.
        shutdown_timeout: Duration = "20s";
    }
    below {
        log: Log;
        backup: Option<Backup>;
        tls: Option<TlsFiles>;
        auth: Auth;
        console: Console;
        mail: Mail;
        limits: Limits;
        trusted_proxies: TrustedProxies;
        images: Images;
        registries: BTreeMap<String, Registry>;
        gateway: GatewayLimits;
        traefik: TraefikAccess;
        hosts: BTreeMap<HostId, Host>;
        studios: BTreeMap<StudioId, Studio>;
        games: BTreeMap<GameId, Game>;
    }
}

section_of! {
    /// What is logged, on standard error.
    Log {
        /// Lines for people, or one JSON object a line.
        format: LogFormat = "text";
        /// The least severe level that is logged: error, warn, info, debug or trace; per part of the program
        /// after a comma, such as "info,greenroom_fleet=debug".
        level: String = "info";
    }
}

section_of! {
    /// Backups that are made by themselves. Left out: only for who asks, with `greenroom backup`.
    Backup {
        /// How often.
        every: Duration = "24h";
        /// How long one is kept in the store. The newest stays however old it is.
        keep: Duration = "14d";
        /// How many bytes of the databases are read in a second at most, so that players do not feel it.
        bytes_per_second: Bytes = "64MiB";
    }
    below {
        store: BackupStore;
    }
}

section_of! {
    /// Where backups are kept: `folder`, or `s3`. They have every secret of the installation in them.
    BackupStore {
        /// A folder of this machine, best of another disk. Made if it is missing.
        folder: Option<PathBuf> = none;
    }
    below {
        s3: Option<S3Store>;
    }
}

section_of! {
    /// A bucket of S3, or of what speaks like it.
    S3Store {
        /// Its name.
        bucket: String = required;
        /// How the names of the backups in it begin.
        prefix: String = "greenroom";
        /// Where the service is, such as `"https://s3.example.com"`. Unset: AWS's of the region.
        endpoint: Option<String> = none;
        /// The region.
        region: String = "us-east-1";
        /// The name of the key that we sign with.
        access_key: String = required;
    }
    secrets {
        /// The key itself.
        secret_key;
    }
}

section_of! {
    /// TLS for everything that is served. Left out: plain HTTP, for a proxy in front to encrypt.
    TlsFiles {
        /// The file of the certificate and of those that vouch for it, as PEM. Looked at every five seconds and
        /// on SIGHUP; a new pair is presented to new connections, and one that is no good is logged and passed over.
        certificate: PathBuf = required;
        /// The file of its private key, as PEM.
        key: PathBuf = required;
    }
}

section_of! {
    /// How players sign in.
    Auth {
        /// How long an access token of the contract's paths is good, such as `/auth/anonymous`.
        contract_token_ttl: Duration = "30d";
        /// How long an access token of the native paths is good. It comes with a refresh token.
        access_token_ttl: Duration = "15m";
        /// How long a refresh token is good; each use gives a new one.
        refresh_token_ttl: Duration = "90d";
        /// The Discord application whose tokens are accepted, of games without `sign_in.discord`. Unset: those of
        /// any application.
        discord_application_id: Option<String> = none;
        /// Where Discord's interface is.
        discord_base_url: String = "https://discord.com";
    }
    secrets {
        /// The key that signs players' access tokens, at least 16 bytes. Unset, the environment's JWT_SECRET
        /// is taken; without that, one is made at the first start and kept in the data folder.
        jwt_secret;
    }
}

section_of! {
    /// The web pages for operators, under `/console`.
    Console {
        /// Whether they are served.
        enabled: bool = true;
        /// Whether the console's cookies are sent over HTTPS only: set it where a proxy speaks TLS. With `[tls]`
        /// they are in any case.
        secure_cookies: bool = false;
        /// How long an operator stays signed in without doing anything.
        session_ttl: Duration = "12h";
        /// How long the audit log keeps what administrators and API keys changed; the newest million entries at most.
        audit_ttl: Duration = "365d";
    }
}

section_of! {
    /// What one caller may ask of Greenroom. A rate is so many at once, and as many again per period;
    /// what is over it is refused with 429, or dropped and told of once in a socket.
    Limits {
        /// Requests of one client address that carry no credentials.
        requests_per_address: Rate = "200/s";
        /// Requests of one client address that carry credentials, before these are looked at.
        credentials_per_address: Rate = "2000/s";
        /// Sign-ins and refreshes of one client address.
        sign_ins_per_address: Rate = "30/s";
        /// Attempts to sign in to one account by its password, from wherever they come.
        password_tries_per_account: Rate = "10/min";
        /// Mails that one client address has us send.
        mails_per_address: Rate = "30/h";
        /// Mails to one e-mail address, of one game.
        mails_per_recipient: Rate = "5/h";
        /// Attempts of one client address to sign in to the console.
        admin_sign_ins_per_address: Rate = "10/min";
        /// Requests of one player.
        requests_per_player: Rate = "100/s";
        /// Requests of one API key, game server or administrator.
        requests_per_key: Rate = "1000/s";
        /// Allocations of one API key or administrator.
        allocations_per_key: Rate = "100/s";
        /// Servers that one client address asks for without a key, by `/api/manager/request`.
        allocations_per_address: Rate = "300/min";
        /// Messages of a client over one player socket.
        messages_per_socket: Rate = "40/s";
        /// Connections open at once, player sockets included; one more is answered 503.
        connections_max: u32 = 50000;
        /// Player sockets of one client address open at once.
        sockets_per_address_max: u32 = 512;
        /// Game servers that list themselves at `/api/list/ws` at once. One more is told to try again later.
        announced_max: u32 = 10000;
        /// Game servers of one client address that list themselves at once, those that show the token of a
        /// server that Greenroom started not counted.
        announced_per_address_max: u32 = 256;
        /// Streams (events, followed logs) of one caller open at once.
        streams_per_key_max: u32 = 16;
        /// Largest body of a request.
        body_max: Bytes = "4MiB";
        /// Largest message over a player's socket.
        message_max: Bytes = "64KiB";
    }
}

section_of! {
    /// Proxies in front of Greenroom whose word about a client's address is taken. None unless set:
    /// a header that anybody can send proves nothing.
    TrustedProxies {
        /// The proxies' own addresses and networks.
        addresses: Vec<Network> = [];
        /// Where they write it: "x-forwarded-for", or "x-real-ip", which has one address, the client's. The proxy
        /// must set the header itself and pass on none that came from outside.
        header: ProxyHeader = "x-forwarded-for";
        /// How many proxies stand in a row: so many entries from the end of `X-Forwarded-For` stands the
        /// client.
        hops: u32 = 1;
    }
}

section_of! {
    /// The images of game servers that are containers.
    Images {
        /// Where the registry is that names without a host mean, such as "studio/game". What
        /// `[registries."docker.io"]` says comes before this.
        default_registry_url: String = "https://registry-1.docker.io";
        /// How long the versions that a registry told count as current. A version that is asked for and not
        /// known is looked up at once.
        lookup_ttl: Duration = "5m";
        /// How long a pull may take. A server whose image is missing waits for it, beside its `ready_timeout`.
        pull_timeout: Duration = "10m";
    }
}

section_of! {
    /// A registry of images, by its host as it stands in images' names, in quotes: `[registries."ghcr.io"]`.
    /// Only for one that wants to know who asks, or is elsewhere than its name says; "docker.io" is the one
    /// that names without a host mean.
    Registry {
        /// Where it is. `https://` and its host unless set.
        url: Option<String> = none;
        /// The file of the certificates, as PEM, of those who may have signed its own, beside those that this
        /// machine trusts. Engines have theirs in /etc/docker/certs.d.
        ca: Option<PathBuf> = none;
        /// The name that it knows us by.
        username: Option<String> = none;
    }
    secrets {
        /// The password that goes with it, or a token in its place.
        password;
    }
}

section_of! {
    /// How players are passed on to the servers of games whose `connection` is "gateway".
    GatewayLimits {
        /// Most that are passed on at once, requests and sockets together; one more is answered 503.
        connections_max: u32 = 10000;
        /// Most of one client address; one more is answered 429.
        connections_per_address_max: u32 = 200;
        /// Who says and hears nothing for this long is closed, at the latest after twice that.
        idle_timeout: Duration = "5m";
        /// How long connecting to a game server may take before the answer is 502.
        connect_timeout: Duration = "5s";
        /// How long a game server may take until its answer begins, before ours is 502.
        answer_timeout: Duration = "30s";
    }
}

section_of! {
    /// Who may ask `GET /traefik/config`, which tells Traefik's HTTP provider of the servers of games whose
    /// `connection` is "traefik".
    TraefikAccess {
    }
    secrets {
        /// What Traefik presents as a bearer token, at least 16 bytes. Unset: only programs on this machine are
        /// told, and nobody who comes through a proxy.
        token;
    }
}

section_of! {
    /// A Docker engine that game servers run on, under a name of its own. Without any, the engine of this
    /// machine serves where a game's servers are containers, as the host "docker" in the first region.
    Host {
        /// Where it listens: "unix:///var/run/docker.sock" or "tcp://192.0.2.10:2376". Over TCP whoever reaches
        /// it rules its machine, unless it asks for a certificate: see `tls`.
        docker: String = required;
        /// Where it stands: what the `regions` of games name.
        region: RegionId = "local";
        /// Most game servers on it at once, of all games, starting and stopping ones included.
        servers_max: u32 = 100;
        /// The address that players reach its servers at. Unset: that of `docker`, where it is an IP address or
        /// a name with a dot, and of another machine; else the installation's.
        public_address: Option<String> = none;
    }
    below {
        tls: Option<HostTls>;
    }
}

section_of! {
    /// TLS to a Docker engine at "tcp://…": how it is known, and we to it. All files are PEM; they are read for
    /// each connection, so that renewed ones need no restart. Left out: plain HTTP.
    HostTls {
        /// The certificates of those who may have signed the engine's.
        ca: PathBuf = required;
        /// Our certificate, signed by the CA that the engine was given by --tlscacert. Unset: the engine lets in
        /// whoever reaches it, and rules its machine for them.
        certificate: Option<PathBuf> = none;
        /// The private key of our certificate.
        key: Option<PathBuf> = none;
    }
}

section_of! {
    /// A studio: owns games, has limits, is isolated from every other studio.
    Studio {
        /// Most game servers of all its games at once.
        servers_max: u32 = 100;
        /// Most bytes of its history; at this, the oldest events go.
        events_bytes_max: Bytes = "10GiB";
        /// Most events of its history; at this, the oldest go.
        events_max: u64 = 100000000;
        /// The age at which events go. Unset: none.
        events_age_max: Option<Duration> = none;
        /// Most durable consumers of its history.
        consumers_max: u32 = 100;
    }
}

section_of! {
    /// A game of a studio.
    Game {
        /// The studio that owns it.
        studio: StudioId = required;
        /// Host names whose requests mean this game where a path names none.
        hosts: Vec<String> = [];
        /// Its name in the addresses of its servers, `/games/SLUG/CODE/`, where players reach these through
        /// Traefik or the gateway. Its id unless set.
        slug: Option<String> = none;
    }
    below {
        sign_in: SignIn;
        lobby: Lobby;
        fleet: Option<Fleet>;
    }
}

section_of! {
    /// How the game's lobbies behave.
    Lobby {
        /// Most members of one team. Unset: only `members_max` bounds joins, and bots fill to 2.
        team_size: Option<u32> = none;
        /// Most members of a lobby, bots included.
        members_max: u32 = 64;
        /// How long the place of a member whose connection broke is kept.
        grace: Duration = "30s";
        /// How long a match is remembered for players who come back, at the longest.
        match_max: Duration = "4h";
    }
}

section_of! {
    /// The game's dedicated servers. Left out: it has none.
    Fleet {
        /// What starts them: "process" on this machine, "docker" as containers of Docker engines, "hosting-api"
        /// another host that is asked for each.
        provider: ProviderKind = "process";
        /// How players reach them: "ports" at the host's address and a port of their own, "traefik" through a
        /// Traefik that is told of each, "gateway" through Greenroom itself. With the latter two each server has a
        /// code of a few letters instead of a port, and is at `/games/SLUG/CODE/`.
        connection: ConnectionKind = "ports";
        /// The program and its arguments, one text each; no shell is between. In them, `{port}` and
        /// `{port:<name>}` are ports, `{name}` is the server's unique name, `{title}` the players' text for it,
        /// `{id}` its id, `{code}` its code, `{version}` its version, `{public_address}` the address above,
        /// `{region}` its region, `{greenroom}` Greenroom's own program. An argument that begins with
        /// `{if listed}` or `{if code}` is left out where the server is not in the server browser, or has no code.
        /// In a container, the arguments of the image's program alone; it may be empty then.
        command: Vec<String> = [];
        /// Further environment, with the same `{…}`. Beside it a server has PATH, HOME, LANG and GREENROOM_…,
        /// and nothing else.
        environment: BTreeMap<String, String> = {};
        /// The folder that a process runs in. Unset: a folder of its own, below the data folder.
        working_dir: Option<String> = none;
        /// Where its ports come from, those that are not fixed.
        port_range: RangeInclusive<u16> = "7000-7999";
        /// When it counts as ready for players: "listening" once it holds every port it was given,
        /// `"log:REGULAR EXPRESSION"` once a line of its output matches, `"after:DURATION"` after a time,
        /// "health" once the health check of a container's image succeeds. If its image has a health check, that
        /// must have succeeded in any case. "sdk" once it calls Ready through the Agones SDK; with `sdk = true`.
        ready: Readiness = "listening";
        /// How long it may take until it is ready.
        ready_timeout: Duration = "30s";
        /// How often a start is tried before the request for a server fails.
        start_tries_max: u32 = 3;
        /// How long it has between being asked to stop (SIGTERM) and being made to (SIGKILL). Unset: 10s, or 45s
        /// with `sdk = true`.
        stop_grace: Option<Duration> = none;
        /// Whether each server finds the endpoint of the Agones SDK: in a container with a network of its own at
        /// the ports 9358 (HTTP) and 9357 (gRPC), everywhere else at those that AGONES_SDK_HTTP_PORT and
        /// AGONES_SDK_GRPC_PORT name.
        sdk: bool = false;
        /// How many stand ready ahead of demand, at least. Above 0, `warm_payload` must be set.
        ready_min: u32 = 0;
        /// How many stand ready at the most: between the two the number follows demand. It rises at once with
        /// what is asked for while a further server starts, and falls within a quarter of an hour.
        /// Unset: always `ready_min`.
        ready_max: Option<u32> = none;
        /// How many may run at once, starting and stopping ones included.
        running_max: u32 = 20;
        /// How a server that stood ready learns its payload: "file" by the file that GREENROOM_PAYLOAD_FILE
        /// names, "sdk" by the annotation `greenroom.dev/payload` of what it watches through the SDK, "ignore" if
        /// it needs none.
        warm_payload: Option<WarmPayload> = none;
        /// The version of servers that are asked for without one, and of those that stand ready; `{version}` in
        /// the command. A new one replaces the servers that stand ready. Unset: of containers, the newest one
        /// that is supported; of everything else, "1".
        version: Option<String> = none;
        /// The regions that it runs in; the first is the default.
        regions: Vec<RegionId> = ["local"];
        /// The size at which its log is rotated; one old part is kept.
        log_max: Bytes = "16MiB";
        /// How long the log and the state of an ended server are kept.
        ended_keep: Duration = "1d";
    }
    below {
        container: Option<Container>;
        hosting_api: Option<HostingApi>;
        traefik: Option<Traefik>;
        gateway: Option<Gateway>;
        ports: Vec<Port>;
        limits: ServerLimits;
        health: Health;
        counters: BTreeMap<String, Counter>;
        lists: BTreeMap<String, List>;
    }
}

section_of! {
    /// What is expected of the health pings that its servers send through the SDK: from the first one on, or from
    /// their start with `ready = "sdk"`. One that is silent is stopped. Only with `sdk = true`.
    Health {
        /// Whether nothing is expected.
        disabled: bool = false;
        /// How often a ping is expected.
        period: Duration = "5s";
        /// After how many missing ones a server counts as unhealthy.
        failure_threshold: u32 = 3;
        /// How long after its start, or Greenroom's, none is expected.
        initial_delay: Duration = "5s";
    }
}

section_of! {
    /// A counter that each of its servers has in the SDK. Only with `sdk = true`.
    Counter {
        /// What it begins with.
        count: u32 = 0;
        /// The most it can be; a server may change this.
        capacity: u32 = required;
    }
}

section_of! {
    /// A list that each of its servers has in the SDK. The list `players`, for 100, is there in any case. Only with
    /// `sdk = true`.
    List {
        /// Most values, up to 1000; a server may change this.
        capacity: u32 = required;
        /// What it begins with.
        values: Vec<String> = [];
    }
}

section_of! {
    /// How its containers are made. Only with `provider = "docker"`.
    Container {
        /// The image without its tag, such as "ghcr.io/studio/game". The tag is the version.
        image: String = required;
        /// Where its versions are looked up: among the images that the "engine" has, or in the image's
        /// "registry".
        versions: VersionSource = "engine";
        /// How many of the newest versions are supported.
        versions_max: u32 = 5;
        /// The network that a container is in: "bridge" is the engine's own, with ports published; "host" is
        /// the host's own, with its ports; any other is a network of that name, which must exist.
        network: ContainerNetwork = "bridge";
        /// The user, and group, that it runs as, such as "1000:1000". Unset: the image's.
        user: Option<String> = none;
        /// Whether its own files cannot be written. It has a `/tmp` in memory then.
        read_only_root: bool = false;
        /// Whether a small init process in it passes signals on and reaps. Without it, a program that does not
        /// handle SIGTERM takes the whole `stop_grace` to stop.
        init: bool = true;
        /// Capabilities that it keeps, such as "NET_BIND_SERVICE". All others are dropped.
        capabilities: Vec<String> = [];
    }
    below {
        volumes: Vec<Volume>;
    }
}

section_of! {
    /// A folder or volume of the host, as a container sees it.
    Volume {
        /// A path of the host, or the name of a volume.
        source: String = required;
        /// The path in the container.
        target: String = required;
        /// Whether it can only be read.
        read_only: bool = true;
    }
}

section_of! {
    /// Another host that servers are asked for, by `POST /v1/games/GAME/servers`: a Greenroom, or any that
    /// speaks the same. Only with `provider = "hosting-api"`.
    HostingApi {
        /// Where it is, such as `"https://host.example"`.
        url: String = required;
        /// The game's id there.
        game: String = required;
        /// How long a server counts as running whose host cannot tell when it ends. Not for a Greenroom, which can.
        lifetime: Duration = "4h";
    }
    secrets {
        /// The key that it gave out, with the permission to host.
        key;
    }
}

section_of! {
    /// The Traefik that players come through. Only with `connection = "traefik"`.
    Traefik {
        /// The Docker network that it shares with the servers' containers. Unset: the containers' own.
        network: Option<String> = none;
        /// The host name that its rules ask for. Unset: any.
        host: Option<String> = none;
        /// Its entry point.
        entry_point: String = "websecure";
        /// Whether its routes are for TLS.
        tls: bool = true;
        /// The port in the container that it goes to. No port of the host is taken.
        port: u16 = 31400;
        /// Where its own interface is, such as `"http://127.0.0.1:8080"`. It is asked whether a server's route is
        /// live before players are told of the server.
        api_url: Option<String> = none;
        /// Without `api_url`: how long it takes to act on what it was told, by `/traefik/config` or by labels.
        settle: Duration = "3s";
        /// The address at which it reaches game servers that are processes of this machine. Loopback unless set.
        servers_address: Option<String> = none;
        /// How many letters a server's code has.
        code_length: u32 = 4;
    }
}

section_of! {
    /// Greenroom's own gateway to the servers. Only with `connection = "gateway"`.
    Gateway {
        /// How many letters a server's code has.
        code_length: u32 = 4;
    }
}

section_of! {
    /// A port that a server is given. The first of the list is the one that players are told.
    Port {
        /// Its name, for `{port:name}` in templates and `GREENROOM_PORT_NAME` in the environment.
        name: String = required;
        /// What the server binds on it: "tcp+udp" is both, "tcp|udp" one of them at least.
        protocol: PortProtocol = required;
        /// How many consecutive ports; the name means the first.
        count: u16 = 1;
        /// A fixed number instead of one from the range.
        fixed: Option<u16> = none;
        /// The number inside a container, of the first of `count`. Unset: the same as outside.
        inner: Option<u16> = none;
    }
}

section_of! {
    /// What one server may use, where the system can hold it to it. Left out: what the system gives.
    ServerLimits {
        /// Memory.
        memory: Option<Bytes> = none;
        /// CPU, in cores.
        cpu: Option<f64> = none;
        /// Open files and sockets.
        descriptors: Option<u64> = none;
        /// Processes and threads; of containers alone.
        processes: Option<u64> = none;
    }
}
