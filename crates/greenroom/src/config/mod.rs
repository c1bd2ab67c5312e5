//! What an operator decides: one file of TOML, overridden by the environment, read whole and checked whole
//! before anything is opened.

mod check;
pub mod document;
pub mod environment;
pub mod from_env;
#[doc(hidden)]
pub mod reader;
pub mod secret;
pub mod sections;
mod shown;
#[cfg(test)]
mod tests;
pub mod value;

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use greenroom_domain::settings::Settings;
use greenroom_fleet::{DockerConfig, HostingApiConfig};
use greenroom_operations::{backups::BackupSettings, mail::MailSettings, players::SignInSettings};
use greenroom_protocol::{GameId, system::ConfigurationSection};
use secrecy::SecretString;
use toml::{Table, Value};

pub use environment::Environment;
pub use reader::ConfigError;
use reader::{Context, Section};
pub use sections::Root;

/// The file that `dev` runs with when it is given none, and that the example is made of.
pub const DEFAULT: &str = r#"listen = "127.0.0.1:4700"
public_address = "127.0.0.1"
data_dir = "greenroom-data"
default_game = "skirmish"

[studios.demo]

[games.skirmish]
studio = "demo"
sign_in = { email = {} }
lobby = { team_size = 4, members_max = 8, grace = "30s" }

[games.skirmish.fleet]
provider = "process"
command = ["{greenroom}", "skirmish-server", "--port", "{port}", "--name", "{name}"]
ports = [{ name = "default", protocol = "tcp" }]     # tcp | udp | tcp+udp
port_range = "7000-7999"
ready = "listening"          # listening | "log:<regex>" | "after:500ms" | sdk | health
ready_timeout = "30s"
stop_grace = "10s"
ready_min = 0
running_max = 20
"#;

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The variable that signs access tokens where the file says nothing, as deployments of the contract have it.
const JWT_SECRET: &str = "JWT_SECRET";

/// A configuration that was read and checked whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every setting as it stands.
    pub root: Root,
    /// The file that it was read from, if it was one.
    pub file: Option<PathBuf>,
    shown: Vec<ConfigurationSection>,
}

/// Why a configuration is of no use: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// What was read, as a person calls it.
    pub source: String,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

impl Config {
    /// Reads the file `path`, or [`DEFAULT`], with the overrides of `environment`.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigErrors> {
        let Some(path) = path else { return Self::parse(DEFAULT, "the built-in configuration", environment) };
        let source = path.display().to_string();
        match read(path) {
            Ok(text) => {
                let config = Self::parse(&text, &source, environment)?;
                Ok(Self { file: Some(path.to_owned()), ..config })
            }
            Err(sentence) => {
                Err(ConfigErrors { source, errors: vec![ConfigError { path: String::new(), sentence }] })
            }
        }
    }

    /// Reads what the names of `environment` that other managers of game servers have amount to, with
    /// its overrides.
    pub fn from_env(environment: &Environment) -> Result<Self, ConfigErrors> {
        let made = from_env::from_env(environment)?;
        Self::read(&made.text, "the environment", environment, made.origins)
    }

    /// Reads `text`, which stands in `source`, with the overrides of `environment`.
    pub fn parse(text: &str, source: &str, environment: &Environment) -> Result<Self, ConfigErrors> {
        Self::read(text, source, environment, BTreeMap::new())
    }

    fn read(
        text: &str,
        source: &str,
        environment: &Environment,
        mut origins: BTreeMap<String, String>,
    ) -> Result<Self, ConfigErrors> {
        let fail = |errors| ConfigErrors { source: source.to_owned(), errors };
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            fail(vec![ConfigError { path: String::new(), sentence: syntax_error(text, &error) }])
        })?;
        origins.extend(environment.apply(&mut table));
        let mut context = Context { errors: Vec::new(), environment: environment.clone(), origins };
        if let Some(secret) = environment.get(JWT_SECRET).filter(|secret| !secret.is_empty()) {
            let auth = table.entry("auth").or_insert_with(|| Value::Table(Table::new()));
            if let Some(auth) = auth.as_table_mut() {
                auth.entry("jwt_secret").or_insert_with(|| Value::String(secret.to_owned()));
            }
        }
        // Before the values are taken out of it; of the secrets nothing is kept.
        let shown = shown::shown(&describe(), &table);
        let root = reader::section::<Root>(&mut context, "", table);
        if let Some(root) = &root {
            check::check(&mut context, root);
        }
        match root {
            Some(root) if context.errors.is_empty() => Ok(Self { root, file: None, shown }),
            _ => Err(fail(context.errors)),
        }
    }

    /// What the rules are given; `listen` is where Greenroom listens in fact, which tells port 0.
    pub fn settings(&self, listen: SocketAddr) -> Settings {
        check::settings(&self.root, listen)
    }

    /// Every key with its value or default and its meaning, without secrets.
    pub fn shown(&self) -> &[ConfigurationSection] {
        &self.shown
    }

    /// Where Greenroom is for a program on this machine, when it listens at `listen`.
    pub fn url(&self, listen: SocketAddr) -> String {
        check::own_url(&self.root, listen)
    }

    /// The Docker engines of the hosts, for the installation of this name; what is known of their
    /// containers is kept in `folder`.
    pub fn docker_engines(&self, installation: &str, folder: &Path) -> Vec<DockerConfig> {
        check::docker_engines(&self.root, installation, folder)
    }

    /// What the operations are told of backups of this installation, whose files beside the databases
    /// are `files`.
    pub fn backup_settings(&self, installation: &str, files: Vec<(String, PathBuf)>) -> BackupSettings {
        check::backup_settings(self.root.backup.as_ref(), installation, files)
    }

    /// The other hosts that game servers are asked for; what is known of these is kept in `folder`.
    pub fn hosting_api_engines(&self, folder: &Path) -> Vec<HostingApiConfig> {
        check::hosting_api_engines(&self.root, folder)
    }

    /// Where players' browsers reach Greenroom when it listens at `listen`, without a slash at the end.
    pub fn public_url(&self, listen: SocketAddr) -> String {
        check::public_url(&self.root, listen)
    }

    /// How mail to players is sent.
    pub fn mail(&self) -> MailSettings {
        check::mail_settings(&self.root)
    }

    /// How players sign in to each game, beside by a name alone.
    pub fn sign_in(&self) -> BTreeMap<GameId, SignInSettings> {
        check::sign_in_settings(&self.root)
    }

    /// The key that signs access tokens, if the operator has set one.
    pub fn jwt_secret(&self) -> Option<&SecretString> {
        self.root.auth.jwt_secret.as_ref()
    }
}

/// What all settings are, as declared.
pub fn describe() -> reader::Description {
    Root::describe()
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        writeln!(
            f,
            "{} cannot be used: {count} {}",
            self.source,
            if count == 1 { "error" } else { "errors" }
        )?;
        let lines: Vec<_> = self.errors.iter().map(|error| format!("  {error}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| {
        format!("the file cannot be read ({error}); `greenroom config example` writes one to begin with")
    };
    if fs::metadata(path).map_err(cannot)?.len() > FILE_BYTES_MAX {
        return Err(format!("the file has more than {FILE_BYTES_MAX} bytes; this is no configuration"));
    }
    fs::read_to_string(path).map_err(cannot)
}

fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column} is no TOML: {}", error.message())
}
