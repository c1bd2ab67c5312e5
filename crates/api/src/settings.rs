//! Limits and behaviour of the outside. The defaults are safe for a server on the open internet.

use std::{net::IpAddr, num::NonZeroU32, str::FromStr, time::Duration};

use secrecy::SecretString;

/// How requests and sockets are treated.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// How often who may ask.
    pub limits: RateLimits,
    /// Whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// Largest body of a request, in bytes; 4 MiB unless set. An allocation's payload and an event
    /// have smaller limits of their own.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive; 30 s unless set.
    pub body_timeout: Duration,
    /// How long an answer may take that does not wait for a game server; 30 s unless set.
    pub answer_timeout: Duration,
    /// Player sockets.
    pub sockets: SocketLimits,
    /// Sockets over which game servers announce themselves.
    pub list: ListLimits,
    /// Those who are passed on to game servers.
    pub gateway: GatewayLimits,
    /// What a Traefik must present to be told of the servers. Without one, only programs on this
    /// machine are told.
    pub traefik_token: Option<SecretString>,
    /// Whether web pages of other origins may call the native paths; true unless set. No path here
    /// knows cookies, so nobody's credentials can be used by a foreign page. The contract's paths
    /// always permit it.
    pub cors: bool,
    /// Whether `/metrics` is open to everybody who reaches the port; true unless set. Otherwise it
    /// wants the admin token.
    pub metrics_are_public: bool,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            limits: RateLimits::default(),
            trusted_proxies: TrustedProxies::default(),
            body_bytes_max: 4 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            sockets: SocketLimits::default(),
            list: ListLimits::default(),
            gateway: GatewayLimits::default(),
            traefik_token: None,
            cors: true,
            metrics_are_public: true,
        }
    }
}

/// So many at once, and as many again per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub period: Duration,
}

impl Rate {
    /// So many a second in the long run, and so many at once after a pause; zeros count as ones.
    pub const fn new(per_second: u32, at_once: u32) -> Self {
        const fn at_least_one(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        let count = at_least_one(at_once);
        let period_ms = count.get() as u64 * 1_000 / at_least_one(per_second).get() as u64;
        Self { count, period: Duration::from_millis(period_ms) }
    }

    /// So many at once, and as many again per `period`; zero counts as one.
    pub(crate) const fn of(count: u32, period: Duration) -> Self {
        match NonZeroU32::new(count) {
            Some(count) => Self { count, period },
            None => Self { count: NonZeroU32::MIN, period },
        }
    }

    /// In which time one comes back.
    pub(crate) fn each(self) -> Duration {
        (self.period / self.count.get()).max(Duration::from_nanos(1))
    }
}

/// How often who may ask. Over a rate the answer is 429 with `Retry-After`. An IPv6 address counts
/// as its /64 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Sign-ins and refreshes of one address: 10/s, 30 at once.
    pub sign_in: Rate,
    /// Sign-ins to one account by its password, from all addresses together: 10 a minute.
    pub password: Rate,
    /// Mails that one address has us send: 30 an hour.
    pub mail: Rate,
    /// Mails to one recipient of one game: 5 an hour.
    pub mail_to: Rate,
    /// Requests of one address without credentials: 50/s, 200 at once.
    pub anonymous: Rate,
    /// Requests of one address that present credentials, before these are looked at: 1,000/s, 2,000
    /// at once.
    pub presented: Rate,
    /// Requests of one player: 50/s, 200 at once.
    pub player: Rate,
    /// Requests of one API key, game server or administrator: 500/s, 2,000 at once.
    pub caller: Rate,
    /// Allocations of one API key or administrator: 20/s, 100 at once.
    pub allocate: Rate,
    /// Allocations of one address on `/api/manager/request`, where nobody has a key: 5/s, 300 at once.
    pub allocate_public: Rate,
    /// Open player sockets of one address: 200.
    pub sockets_per_address_max: u32,
    /// Open streams (events, followed logs) of one caller: 16.
    pub streams_per_caller_max: u32,
    /// Addresses, players and keys that each limit remembers: 65,536. With more, those that have
    /// not asked for the longest time begin anew.
    pub remembered_max: usize,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            sign_in: Rate::new(10, 30),
            password: Rate::of(10, Duration::from_mins(1)),
            mail: Rate::of(30, Duration::from_hours(1)),
            mail_to: Rate::of(5, Duration::from_hours(1)),
            anonymous: Rate::new(50, 200),
            presented: Rate::new(1_000, 2_000),
            player: Rate::new(50, 200),
            caller: Rate::new(500, 2_000),
            allocate: Rate::new(20, 100),
            allocate_public: Rate::new(5, 300),
            sockets_per_address_max: 200,
            streams_per_caller_max: 16,
            remembered_max: 65_536,
        }
    }
}

/// What one player socket may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimits {
    /// Largest message, in bytes; 64 KiB. A larger one closes the socket with 1009.
    pub message_bytes_max: usize,
    /// Messages from the client: 20/s, 40 at once. Those above are told of once and dropped.
    pub commands: Rate,
    /// With so many messages dropped, each that came at a good pace taking one off, the socket is
    /// closed with 1008; 200.
    pub dropped_max: u32,
    /// A socket that was silent this long is pinged; 30 s.
    pub ping_after: Duration,
    /// A socket that is silent this long after a ping is closed; 15 s.
    pub pong_timeout: Duration,
    /// A socket that takes this long to take what it is sent is closed; 10 s.
    pub write_timeout: Duration,
    /// How long the other side may take to answer when we close; 2 s. Then it is closed all the same.
    pub close_timeout: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * 1024,
            commands: Rate::new(20, 40),
            dropped_max: 200,
            ping_after: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// What game servers may do that announce themselves at `/api/list/ws`. Their keep-alive is that of
/// player sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLimits {
    /// Sockets open at once: 10,000. One more is closed with 1013.
    pub sockets_max: usize,
    /// Sockets of one address open at once, those of servers that prove to be the fleet's not
    /// counted: 256. One more is closed with 1008.
    pub sockets_per_address_max: u32,
    /// How long the first message may take: 10 s. Then the socket is closed with 1008.
    pub first_message_timeout: Duration,
    /// Largest message, in bytes: 16 KiB. A larger one closes the socket with 1009.
    pub message_bytes_max: usize,
    /// Messages of one socket: 10/s, 40 at once. Those above are ignored.
    pub messages: Rate,
    /// With so many messages ignored for their number, each that came at a good pace taking one off,
    /// the socket is closed with 1008; 1,000.
    pub dropped_max: u32,
}

impl Default for ListLimits {
    fn default() -> Self {
        Self {
            sockets_max: 10_000,
            sockets_per_address_max: 256,
            first_message_timeout: Duration::from_secs(10),
            message_bytes_max: 16 * 1024,
            messages: Rate::new(10, 40),
            dropped_max: 1_000,
        }
    }
}

/// How players are passed on to game servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Most that are passed on at once, requests and sockets together; 10,000. One more is 503.
    pub connections_max: u32,
    /// Most of one client address; 200. One more is 429.
    pub connections_per_address_max: u32,
    /// Who is passed on and says and hears nothing for this long is closed, at the latest after
    /// twice that; 5 min.
    pub idle_timeout: Duration,
    /// How long connecting to a game server may take; 5 s. Then the answer is 502.
    pub connect_timeout: Duration,
    /// How long a game server may take until its answer begins; 30 s. Then the answer is 502.
    pub answer_timeout: Duration,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 200,
            idle_timeout: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// Proxies whose word on the client's address is believed. Without any, the client is who connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they connect from.
    pub networks: Vec<Network>,
    /// Where they write it.
    pub header: ProxyHeader,
    /// How many stand one behind the other, at most; 0 counts as 1.
    pub hops_max: u32,
}

/// The header in which a proxy names the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: one address for each proxy, the nearest last.
    #[default]
    ForwardedFor,
    /// `X-Real-Ip`: one address, written by the outermost proxy and passed on by the others.
    RealIp,
}

/// Addresses that begin alike, written `10.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl std::fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a network is an address such as 10.0.0.1, or one with its length such as 10.0.0.0/8")
    }
}

impl std::error::Error for InvalidNetwork {}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.map_or(Ok(bits_max), str::parse).map_err(|_| InvalidNetwork)?;
        if prefix_bits > bits_max { Err(InvalidNetwork) } else { Ok(Self { address, prefix_bits }) }
    }
}

impl Network {
    /// Whether `address` is one of it. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32_u32.saturating_sub(self.prefix_bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128_u32.saturating_sub(self.prefix_bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}
