//! The command line.

mod machine;
mod play;
mod reference;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use greenroom_protocol::{GameId, KeyId, ServerId, StudioId};

pub(crate) use machine::ports;
pub use machine::{Doctor, Init, Top};
pub use play::{EventsCommand, LobbiesCommand, Part, PlayersCommand};
pub use reference::reference;

/// A self-hosted multiplayer game backend in one program.
///
/// Without a command it is `dev`: everything in one folder, with the demo game.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 not found, \
                          4 not permitted, 5 unreachable, 6 busy or at a limit.";

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs Greenroom for development; stops its game servers when it is stopped
    ///
    /// Everything is kept in one folder, credentials in its dev.json: the next start prints the same ones.
    Dev(Dev),
    /// Runs Greenroom for players; game servers outlive it
    ///
    /// SIGTERM stops it and leaves the game servers running; the next start finds them again.
    Serve(Serve),
    /// Writes a configuration to begin with, by asking few questions
    Init(Init),
    /// Checks a configuration, or prints one to begin with
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Finds what is wrong with the machine, the configuration, engines, the data folder and what runs
    ///
    /// Says for each finding what to do. Ends with 1 if there is anything that must be mended.
    Doctor {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What is looked at.
        #[command(flatten)]
        arguments: Doctor,
    },
    /// Shows the installation live in the terminal; with --json a line of JSON at each look
    ///
    /// q ends it, the arrows choose a game server, s sorts, / filters.
    Top {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// How.
        #[command(flatten)]
        arguments: Top,
    },
    /// Lists, shows and stops game servers, and reads their logs
    Servers {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: ServersCommand,
    },
    /// Starts or takes a game server for a match, and prints where it is
    Allocate {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// For what.
        #[command(flatten)]
        arguments: Allocate,
    },
    /// Lists, shows and closes lobbies
    Lobbies {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: LobbiesCommand,
    },
    /// Lists, finds, shows and bans players
    Players {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: PlayersCommand,
    },
    /// Follows what happens
    Events {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Lists the hosts that game servers run on
    Hosts {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: HostsCommand,
    },
    /// Lists the versions of a game, and pulls them to its hosts
    Builds {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: BuildsCommand,
    },
    /// Makes, lists and revokes API keys
    Keys {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Adds, lists and removes administrators, who sign in to the console
    Admins {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: AdminsCommand,
    },
    /// Prints what administrators and API keys have changed, the newest first
    Audit {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// Most entries that are printed
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Goes on where a list ended: the word that it told
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Prints a script that completes the command line, for a shell
    ///
    /// For bash: `greenroom completions bash > ~/.local/share/bash-completion/completions/greenroom`. For zsh a file
    /// `_greenroom` in a folder of `$fpath`; for fish `~/.config/fish/completions/greenroom.fish`.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes one of each command into a folder
    Man {
        /// The folder to write to, such as /usr/local/share/man/man1; made if it is missing
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Copies a running installation, or a data folder that nobody uses, into one file
    ///
    /// The file shows one moment, and has every secret of the installation in it.
    Backup {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// How.
        #[command(flatten)]
        arguments: Backup,
    },
    /// Brings a backup back, into an empty or a new folder
    Restore {
        /// The backup
        file: PathBuf,
        /// The folder, which the next start is given as data_dir
        folder: PathBuf,
        /// Prints JSON for programs
        #[arg(long)]
        json: bool,
    },
    /// Reads a backup to its end and tells whether it is whole
    Verify {
        /// The backup
        file: PathBuf,
        /// Prints JSON for programs
        #[arg(long)]
        json: bool,
    },
    /// Lists the backups in the store, and makes one now
    Backups {
        /// Which Greenroom.
        #[command(flatten)]
        server: Server,
        /// What to do.
        #[command(subcommand)]
        command: BackupsCommand,
    },
    /// Prints the version
    Version,
    /// Holds one game server; Greenroom starts this by itself
    #[command(hide = true)]
    Supervise {
        /// The server's folder.
        folder: PathBuf,
    },
    /// Runs a server of the demo game Skirmish; Greenroom starts this by itself
    #[command(hide = true)]
    SkirmishServer(skirmish::server::Args),
}

/// `dev`
#[derive(Args, Clone, Debug, Default)]
pub struct Dev {
    /// The folder that holds everything [default: the configuration's]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: the configuration's]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// A configuration file; without one, the demo game
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints one line of JSON as soon as requests are served: url, admin_token, api_key, game, data_dir
    #[arg(long)]
    pub json: bool,
}

/// `serve`
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE", required_unless_present = "from_env", conflicts_with = "from_env")]
    pub config: Option<PathBuf>,
    /// Takes the place of a manager of game servers: reads DOCKER_USER, DOCKER_REPO and the other names of its
    /// environment instead of a file; `config from-env` prints the file that they amount to
    #[arg(long)]
    pub from_env: bool,
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tells everything that is wrong with a configuration
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "greenroom.toml")]
        config: PathBuf,
    },
    /// Prints a configuration with every setting, its meaning and its default
    Example,
    /// Prints the configuration that the environment of a manager of game servers amounts to
    FromEnv,
}

/// Which Greenroom a command talks to, and as whom.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// Where Greenroom is [default: what `greenroom dev` wrote into its folder, else http://127.0.0.1:4700]
    #[arg(long, global = true, env = "GREENROOM_URL", value_name = "URL")]
    pub url: Option<String>,
    /// The API key to present
    #[arg(long, global = true, env = "GREENROOM_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<String>,
    /// The admin token to present instead of an API key
    #[arg(long, global = true, env = "GREENROOM_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The folder of a `greenroom dev` to take address and credentials from
    #[arg(long, global = true, value_name = "FOLDER", default_value = "greenroom-data")]
    pub data_dir: PathBuf,
    /// Prints JSON for programs
    #[arg(long, global = true)]
    pub json: bool,
}

/// Whether a list is shown once, or goes on.
#[derive(Args, Clone, Copy, Debug)]
pub struct Watch {
    /// Shows it live, until Ctrl-C; with --json one line of JSON for each entry that changes
    #[arg(long)]
    pub watch: bool,
    /// How often it is looked at with --watch
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval, requires = "watch")]
    pub every: Duration,
}

/// Shortest time between two looks: less only makes work.
const EVERY_MIN: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if every < EVERY_MIN {
        return Err("it is too short; expected at least 100ms".into());
    }
    Ok(every)
}

/// `servers`
#[derive(Debug, Subcommand)]
pub enum ServersCommand {
    /// Lists the game servers of a game
    Ls {
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// Only those in this state
        #[arg(long, value_parser = ["starting", "ready", "allocated", "stopping", "ended", "lost"])]
        state: Option<String>,
        /// Most servers that are listed
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Goes on where a list ended: the word that it told
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Shows one game server, its states and how it ended
    Show {
        /// The server's id
        id: ServerId,
    },
    /// Prints a game server's log
    Logs {
        /// The server's id
        id: ServerId,
        /// Goes on with what is written from now on, until the server ends
        #[arg(long, short)]
        follow: bool,
        /// How many of the last lines
        #[arg(long, short = 'n', default_value_t = 100)]
        tail: u32,
    },
    /// Stops a game server: asks it, then makes it
    Stop {
        /// The server's id
        id: ServerId,
    },
}

/// `allocate`
#[derive(Args, Clone, Debug)]
#[group(skip)] // clap names groups after types, and the variant above has this name already.
pub struct Allocate {
    /// The game [default: the one of `greenroom dev`]
    #[arg(long)]
    pub game: Option<GameId>,
    /// The region [default: the game's first]
    #[arg(long)]
    pub region: Option<String>,
    /// The version [default: the game's]
    #[arg(long)]
    pub version: Option<String>,
    /// The text that people know it by
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub title: Option<String>,
    /// Shows it in the server browser
    #[arg(long)]
    pub listed: bool,
    /// What the game server is given, byte for byte; `-` reads standard input
    #[arg(long, allow_hyphen_values = true)]
    pub payload: Option<String>,
    /// The same key gives the same server, for a day
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// `hosts`
#[derive(Debug, Subcommand)]
pub enum HostsCommand {
    /// Lists the hosts: whether they can be reached, and how many game servers they run
    Ls {
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
}

/// `builds`
#[derive(Debug, Subcommand)]
pub enum BuildsCommand {
    /// Lists the versions of a game, and which hosts have them
    Ls {
        /// The game [default: the one of `greenroom dev`]
        game: Option<GameId>,
        /// Looks them up again first
        #[arg(long)]
        refresh: bool,
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Pulls a version to all hosts of a game that do not have it, and waits until it is there
    Pull {
        /// The game
        game: GameId,
        /// The version
        version: String,
    },
}

/// `backup`
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Backup {
    /// The file to write, or the folder to put it in [default: a name with the time, where you are]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Copies the folder of --data-dir itself, which no Greenroom may use meanwhile
    #[arg(long)]
    pub offline: bool,
    /// The configuration file to put into it as greenroom.toml; a running Greenroom puts its own
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub config: Option<PathBuf>,
}

/// `backups`
#[derive(Debug, Subcommand)]
pub enum BackupsCommand {
    /// Lists what the store has, how the last one went and when the next one is
    Ls,
    /// Makes one into the store, and waits until it is there
    Now,
}

/// `keys`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Makes an API key and prints it, this once
    Create {
        /// What people call it
        name: String,
        /// The studio it is for [default: the one that is asked with]
        #[arg(long)]
        studio: Option<StudioId>,
        /// The one game it is for [default: all of the studio's]
        #[arg(long)]
        game: Option<GameId>,
        /// May allocate, list and stop game servers
        #[arg(long)]
        hosting: bool,
        /// May administer players, bans and keys
        #[arg(long)]
        admin: bool,
        /// May append events with these subjects, such as `v1.chess.>`; may be given several times
        #[arg(long, value_name = "FILTER")]
        publish: Vec<String>,
        /// May read events with these subjects; may be given several times
        #[arg(long, value_name = "FILTER")]
        subscribe: Vec<String>,
        /// Ends by itself after this time, such as 30d
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
    },
    /// Lists API keys, without their secrets
    Ls {
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Revokes an API key at once
    Revoke {
        /// The key's id
        id: KeyId,
    },
}

/// `admins`
#[derive(Debug, Subcommand)]
pub enum AdminsCommand {
    /// Adds an administrator, and prints a password that was made for it, this once
    Add {
        /// The name to sign in with
        name: String,
        /// What this one may do: look; look and act on what runs; everything
        #[arg(long, value_name = "ROLE", default_value = "operator", value_parser = ["viewer", "operator", "owner"])]
        role: String,
        /// Reads the password from standard input instead, up to the end of its first line
        #[arg(long)]
        password_stdin: bool,
    },
    /// Lists administrators
    Ls {
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Removes an administrator and signs it out everywhere
    Rm {
        /// Its name or its id
        name: String,
    },
}
