//! The environment of the manager of game servers that Greenroom takes the place of, made into a
//! configuration: the names are those that shipped `.env` files have.

use std::{collections::BTreeMap, fmt::Write as _, ops::RangeInclusive};

use toml::Value;

use super::{
    ConfigError, ConfigErrors, Environment,
    value::{ConnectionKind, Setting as _},
};

/// Every name that is read, in the order of the contract.
pub const NAMES: [&str; 14] = [
    "DOCKER_USER",
    "DOCKER_REPO",
    "MAX_CONTAINER_RETRIES",
    "MAX_RUNNING_SERVERS",
    "MAX_TAGS",
    "LOCAL_IMAGES",
    "CONNECTION_MODE",
    "SECRETS_VOLUME",
    "GAME_SERVER_PORT_MIN",
    "GAME_SERVER_PORT_MAX",
    "TRAEFIK_NETWORK",
    "TRAEFIK_GAME_PORT",
    "GAME_SLUG",
    "TRAEFIK_HOST",
];

/// The studio that the game belongs to.
const STUDIO: &str = "studio";

/// Where game servers find their secrets.
const SECRETS_TARGET: &str = "/secrets";

/// How the game's program is told what it is to be.
const COMMAND: &str = r#"["--name", "{title}", "--port", "{port}", "{if code}--game-id", "{if code}{code}", "{if listed}--list"]"#;

/// A configuration that was made of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromEnv {
    /// The file, with comments.
    pub text: String,
    /// Which key's path came from which variable.
    pub origins: BTreeMap<String, String>,
}

/// The configuration that `environment` amounts to; everything that is wrong with it at once, each
/// error with the name of its variable. An empty value is as none.
pub fn from_env(environment: &Environment) -> Result<FromEnv, ConfigErrors> {
    let mut reader = Reader { environment, errors: Vec::new() };
    let made = Asked::read(&mut reader);
    match made {
        Some(asked) if reader.errors.is_empty() => Ok(asked.write()),
        _ => Err(ConfigErrors { source: "the environment".into(), errors: reader.errors }),
    }
}

/// What the variables say.
struct Asked {
    game: String,
    image: String,
    tries_max: Option<u32>,
    running_max: Option<u32>,
    versions_max: Option<u32>,
    local_images: bool,
    connection: ConnectionKind,
    secrets_volume: Option<String>,
    port_min: u16,
    port_max: u16,
    traefik_network: Option<String>,
    traefik_port: Option<u16>,
    slug: Option<String>,
    traefik_host: Option<String>,
}

struct Reader<'a> {
    environment: &'a Environment,
    errors: Vec<ConfigError>,
}

impl Asked {
    /// Reads every variable before the first error ends it.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let image = reader.image();
        let tries_max = reader.number("MAX_CONTAINER_RETRIES", 1..=20);
        let running_max = reader.number("MAX_RUNNING_SERVERS", 1..=10_000);
        let versions_max = reader.number("MAX_TAGS", 1..=1_000);
        let local_images = reader.flag("LOCAL_IMAGES");
        let connection = reader.connection();
        let port_min = reader.number("GAME_SERVER_PORT_MIN", 1..=65_535).map_or(7000, to_port);
        let port_max = reader.number("GAME_SERVER_PORT_MAX", 1..=65_535).map_or(7999, to_port);
        if port_min > port_max {
            let sentence =
                format!("{port_max} is below GAME_SERVER_PORT_MIN, {port_min}; expected at least that");
            reader.error("GAME_SERVER_PORT_MAX", sentence);
        }
        let traefik_port = reader.number("TRAEFIK_GAME_PORT", 1..=65_535).map(to_port);
        let text = |name: &str| reader.environment.get(name).map(str::trim).filter(|text| !text.is_empty());
        let image = image?;
        Some(Self {
            game: game_of(&image),
            image,
            tries_max,
            running_max,
            versions_max,
            local_images,
            connection,
            secrets_volume: text("SECRETS_VOLUME").map(str::to_owned),
            port_min,
            port_max,
            traefik_network: text("TRAEFIK_NETWORK").map(str::to_owned),
            traefik_port,
            slug: text("GAME_SLUG").map(str::to_owned),
            traefik_host: text("TRAEFIK_HOST").map(str::to_owned),
        })
    }

    fn write(&self) -> FromEnv {
        let fleet = format!("games.{}.fleet", self.game);
        let mut out = File::default();
        out.text.push_str(
            "# What the environment of a manager of game servers amounts to. What is not here has its default:\n\
             # `greenroom config example` shows every setting. Where Greenroom listens, and the address that\n\
             # players reach game servers at, are not in that environment:\n\
             # listen = \"0.0.0.0:4700\"\n\
             # public_address = \"play.example\"\n",
        );
        out.table(&format!("studios.{STUDIO}"));
        if let Some(max) = self.running_max {
            // Ours is 100 unless set, which may be less than the game's own.
            out.line("servers_max", &max.to_string(), &["MAX_RUNNING_SERVERS"]);
        }
        out.table(&format!("games.{}", self.game));
        out.line("studio", &quoted(STUDIO), &[]);
        out.optional("slug", self.slug.as_deref().map(quoted), &["GAME_SLUG"]);
        out.table(&fleet);
        out.line("provider", "\"docker\"", &[]);
        let connection = match self.connection {
            ConnectionKind::Ports => "\"ports\"",
            ConnectionKind::Traefik => "\"traefik\"",
            ConnectionKind::Gateway => "\"gateway\"",
        };
        out.line("connection", connection, &["CONNECTION_MODE"]);
        out.line("command", COMMAND, &[]);
        out.line("ports", "[{ name = \"game\", protocol = \"tcp|udp\" }]", &[]);
        let range = format!("\"{}-{}\"", self.port_min, self.port_max);
        out.line("port_range", &range, &["GAME_SERVER_PORT_MIN", "GAME_SERVER_PORT_MAX"]);
        out.optional("start_tries_max", number(self.tries_max), &["MAX_CONTAINER_RETRIES"]);
        out.optional("running_max", number(self.running_max), &["MAX_RUNNING_SERVERS"]);
        out.table(&format!("{fleet}.container"));
        out.line("image", &quoted(&self.image), &["DOCKER_USER", "DOCKER_REPO"]);
        let source = if self.local_images { "\"engine\"" } else { "\"registry\"" };
        out.line("versions", source, &["LOCAL_IMAGES"]);
        out.optional("versions_max", number(self.versions_max), &["MAX_TAGS"]);
        if let Some(volume) = &self.secrets_volume {
            let volume = format!(
                "[{{ source = {}, target = \"{SECRETS_TARGET}\", read_only = true }}]",
                quoted(volume)
            );
            out.line("volumes", &volume, &["SECRETS_VOLUME"]);
        }
        self.write_traefik(&mut out, &fleet);
        FromEnv { text: out.text, origins: out.origins }
    }

    fn write_traefik(&self, out: &mut File, fleet: &str) {
        let settings = [
            ("network", self.traefik_network.as_deref().map(quoted), "TRAEFIK_NETWORK"),
            ("host", self.traefik_host.as_deref().map(quoted), "TRAEFIK_HOST"),
            ("port", number(self.traefik_port), "TRAEFIK_GAME_PORT"),
        ];
        if self.connection == ConnectionKind::Traefik {
            out.table(&format!("{fleet}.traefik"));
            for (key, value, variable) in settings {
                out.optional(key, value, &[variable]);
            }
        } else if settings.iter().any(|(_, value, _)| value.is_some()) {
            out.text.push_str("\n# Set, and of no use without CONNECTION_MODE=traefik:\n");
            for (_, value, variable) in settings {
                if let Some(value) = value {
                    let _ = writeln!(out.text, "# {variable}={value}");
                }
            }
        }
    }
}

impl Reader<'_> {
    fn error(&mut self, name: &str, sentence: impl Into<String>) {
        self.errors.push(ConfigError { path: name.to_owned(), sentence: sentence.into() });
    }

    fn get(&self, name: &str) -> Option<String> {
        let text = self.environment.get(name)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The image without a tag: `DOCKER_USER/DOCKER_REPO`, or `DOCKER_REPO` alone.
    fn image(&mut self) -> Option<String> {
        let Some(repository) = self.get("DOCKER_REPO") else {
            self.error(
                "DOCKER_REPO",
                "it is missing; expected the name of the game's image, such as \"racer\"",
            );
            return None;
        };
        let user = self.get("DOCKER_USER");
        let mut is_good = true;
        for (name, text) in [("DOCKER_USER", user.as_ref()), ("DOCKER_REPO", Some(&repository))] {
            // A registry's port may stand before the first slash, a tag nowhere.
            let is_host = name == "DOCKER_USER";
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c) || (is_host && c == ':');
            if let Some(text) = text.filter(|text| !text.chars().all(fits)) {
                let sentence =
                    format!("{text:?} is no part of an image's name; expected one without tag and spaces");
                self.error(name, sentence);
                is_good = false;
            }
        }
        is_good.then(|| user.map_or_else(|| repository.clone(), |user| format!("{user}/{repository}")))
    }

    fn number(&mut self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let text = self.get(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let sentence = format!(
                "{text:?} is none; expected a whole number from {} to {}",
                range.start(),
                range.end()
            );
            self.error(name, sentence);
        }
        number
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some(text) = self.get(name) else { return false };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => true,
            "false" | "0" | "no" | "off" | "f" | "n" => false,
            _ => {
                self.error(name, format!("{text:?} is neither; expected true or false"));
                false
            }
        }
    }

    fn connection(&mut self) -> ConnectionKind {
        const NAME: &str = "CONNECTION_MODE";
        let Some(text) = self.get(NAME) else { return ConnectionKind::Ports };
        ConnectionKind::read(&Value::String(text.to_ascii_lowercase())).unwrap_or_else(|_| {
            self.error(NAME, format!("{text:?} is none; expected {}", ConnectionKind::EXPECTED));
            ConnectionKind::Ports
        })
    }
}

/// The file while it is written.
#[derive(Default)]
struct File {
    text: String,
    origins: BTreeMap<String, String>,
    table: String,
}

impl File {
    fn table(&mut self, path: &str) {
        path.clone_into(&mut self.table);
        let _ = writeln!(self.text, "\n[{path}]");
    }

    fn line(&mut self, key: &str, value: &str, variables: &[&str]) {
        let variables = variables.join(", ");
        if variables.is_empty() {
            let _ = writeln!(self.text, "{key} = {value}");
        } else {
            let _ = writeln!(self.text, "# {variables}\n{key} = {value}");
            self.origins.insert(format!("{}.{key}", self.table), variables);
        }
    }

    fn optional(&mut self, key: &str, value: Option<String>, variables: &[&str]) {
        if let Some(value) = value {
            self.line(key, &value, variables);
        }
    }
}

/// The game's id: the image's own name, in characters that an id may have.
fn game_of(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' };
    let id: String = name.chars().map(fits).take(64).collect();
    if id.is_empty() { "game".into() } else { id }
}

fn to_port(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn number(number: Option<impl ToString>) -> Option<String> {
    number.map(|number| number.to_string())
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
