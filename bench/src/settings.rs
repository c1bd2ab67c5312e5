//! The configurations that are measured. Limits are raised here, printed with the figures, and
//! never switched off: a limit that is checked costs what it costs in production.

use std::fmt::Write as _;

/// The game that is measured.
pub(crate) const GAME: &str = "skirmish";

/// A game of which hundreds of servers cost the machine nothing.
pub(crate) const SLEEPER: &str = "sleeper";

/// A game whose players come through the gateway.
pub(crate) const RELAYED: &str = "relayed";

/// What a load generator at one address would run into, and what it is raised to.
pub(crate) const RAISED: &[(&str, &str)] = &[
    ("requests_per_address", "\"1000000/s\""),
    ("credentials_per_address", "\"1000000/s\""),
    ("sign_ins_per_address", "\"1000000/s\""),
    ("requests_per_key", "\"1000000/s\""),
    ("allocations_per_key", "\"10000/s\""),
    ("messages_per_socket", "\"10000/s\""),
    ("sockets_per_address_max", "20000"),
];

/// Most connections through the gateway of one address.
const GATEWAY_CONNECTIONS_MAX: u32 = 20_000;

/// Most servers of the studio, and of each of its games: those of a match just played are still ending.
const STUDIO_SERVERS_MAX: u32 = 1_000;
const RUNNING_MAX: u32 = 200;

/// A configuration file in the making: Skirmish as it comes, with `RAISED`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Where it listens, if not told by the command line.
    pub(crate) listen: Option<String>,
    /// Servers of Skirmish that stand ready.
    pub(crate) ready_min: u32,
    /// Whether there is the game [`SLEEPER`] too.
    pub(crate) sleeper: bool,
    /// The program of the game [`RELAYED`], if there is to be one.
    pub(crate) relayed: Option<Vec<String>>,
}

impl Settings {
    /// The file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(listen) = &self.listen {
            let _ = writeln!(text, "listen = \"{listen}\"");
        }
        let _ = writeln!(text, "default_game = \"{GAME}\"\n\n[limits]");
        for (key, value) in RAISED {
            let _ = writeln!(text, "{key} = {value}");
        }
        let _ = write!(
            text,
            r#"
[studios.bench]
servers_max = {STUDIO_SERVERS_MAX}

[games.{GAME}]
studio = "bench"
lobby = {{ members_max = 64, grace = "1h" }}

[games.{GAME}.fleet]
command = ["{{greenroom}}", "skirmish-server", "--port", "{{port}}", "--name", "{{name}}"]
ports = [{{ name = "default", protocol = "tcp" }}]
port_range = "20000-20999"
running_max = {RUNNING_MAX}
ready_min = {}
warm_payload = "file"
"#,
            self.ready_min
        );
        if self.sleeper {
            let _ = write!(
                text,
                r#"
[games.{SLEEPER}]
studio = "bench"

[games.{SLEEPER}.fleet]
command = ["sleep", "1000000"]
ports = [{{ name = "default", protocol = "tcp" }}]
port_range = "21000-21999"
ready = "after:1ms"
running_max = {RUNNING_MAX}
"#
            );
        }
        if let Some(command) = &self.relayed {
            let _ = write!(
                text,
                r#"
[gateway]
connections_per_address_max = {GATEWAY_CONNECTIONS_MAX}

[games.{RELAYED}]
studio = "bench"

[games.{RELAYED}.fleet]
command = {command:?}
ports = [{{ name = "default", protocol = "tcp" }}]
port_range = "22000-22999"
connection = "gateway"
running_max = {RUNNING_MAX}
"#
            );
        }
        text
    }
}

/// What was raised, for people.
pub(crate) fn raised() -> String {
    let limits: Vec<_> = RAISED.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!(
        "{}; studio servers_max = {STUDIO_SERVERS_MAX}, fleet running_max = {RUNNING_MAX}, \
         gateway connections_per_address_max = {GATEWAY_CONNECTIONS_MAX}",
        limits.join(", ")
    )
}
