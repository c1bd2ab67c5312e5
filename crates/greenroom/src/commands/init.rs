//! `init`: writes a configuration by asking few questions.

mod ask;
mod file;
mod words;

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    ops::RangeInclusive,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use anyhow::Context as _;
use greenroom_protocol::{GameId, StudioId};

use self::ask::Asker;
use crate::{
    cli,
    config::{Config, Environment},
    exit::{Exit, Failed},
    output,
};

const GAME: &str = "mygame";
/// The server of the demo: there in every Greenroom, so that the file starts as it is.
const COMMAND: &str = "{greenroom} skirmish-server --port {port} --name {name}";
const PROTOCOL: &str = "tcp";
const PROTOCOLS: [&str; 4] = ["tcp", "udp", "tcp+udp", "tcp|udp"];
const PORTS: RangeInclusive<u16> = 7000..=7999;
const ADDRESS: &str = "127.0.0.1";
const LISTEN: &str = "127.0.0.1:4700";

/// What the file is made of.
#[derive(Clone, Debug)]
struct Answers {
    game: GameId,
    studio: StudioId,
    server: ServerKind,
    protocol: String,
    ports: RangeInclusive<u16>,
    address: String,
    listen: SocketAddr,
    data_dir: PathBuf,
}

/// What a game server is.
#[derive(Clone, Debug)]
enum ServerKind {
    /// The program and its arguments.
    Process(Vec<String>),
    /// A container.
    Container { image: String, version: Option<String>, inner_port: Option<u16> },
}

pub(crate) fn run(arguments: &cli::Init) -> anyhow::Result<()> {
    let file = &arguments.file;
    if file.exists() {
        return Err(exists(arguments));
    }
    if !arguments.yes && !io::stdin().is_terminal() {
        let sentence =
            "there is no terminal to ask on; add --yes, and flags for what is not to be as it is by default";
        return Err(Failed::with(Exit::Usage, sentence));
    }
    let answers = answers(arguments, &mut Asker::new(!arguments.yes))?;
    let text = file::text(&answers);
    // What is written is what `config check` takes, whatever was answered.
    Config::parse(&text, "what was answered", &Environment::default())?;
    // Secrets may come to stand in it.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut written = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(arguments)),
        opened => opened.with_context(|| format!("{} cannot be written", file.display()))?,
    };
    written.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", file.display()))?;
    let shown = file.display();
    output::line(&format!("{shown} is written. Next:\n"));
    output::pairs(&[
        ("check this machine", format!("greenroom doctor --config {shown}")),
        ("try it", format!("greenroom dev --config {shown}")),
        ("run it for players", format!("greenroom serve --config {shown}")),
        ("every other setting", "greenroom config example".to_owned()),
    ]);
    Ok(())
}

fn exists(arguments: &cli::Init) -> anyhow::Error {
    let sentence = format!(
        "{} exists already and stays as it is; name another file, or remove this one",
        arguments.file.display()
    );
    Failed::with(Exit::Usage, sentence)
}

fn answers(arguments: &cli::Init, asker: &mut Asker) -> anyhow::Result<Answers> {
    let game =
        asker.ask(arguments.game.clone(), "The game's id, for addresses and commands", GAME, |text| {
            GameId::new(text).map_err(|error| error.to_string())
        })?;
    let (command, image) = (arguments.command.as_deref(), arguments.image.as_deref());
    let is_container = asker.ask(
        (command.is_some() || image.is_some()).then_some(image.is_some()),
        "Is a game server a program, or a container of an image",
        "program",
        |text| match text {
            "program" => Ok(false),
            "container" | "image" => Ok(true),
            _ => Err("expected `program` or `container`".into()),
        },
    )?;
    let server = if is_container { container(arguments, asker)? } else { process(command, asker)? };
    let protocol = arguments.protocol.as_deref().map(protocol).transpose().map_err(wrong_flag)?;
    let protocol =
        asker.ask(protocol, "What it listens for (tcp, udp, tcp+udp, tcp|udp)", PROTOCOL, protocol_of)?;
    let default_ports = format!("{}-{}", PORTS.start(), PORTS.end());
    let ports =
        asker.ask(arguments.ports.clone(), "The ports that servers are given", &default_ports, cli::ports)?;
    let address = asker.ask(
        arguments.address.clone(),
        "The address that players reach this machine at",
        ADDRESS,
        |text| Ok(text.to_owned()),
    )?;
    let listen = asker.ask(arguments.listen, "Where Greenroom itself listens", LISTEN, |text| {
        text.parse().map_err(|_| format!("{text:?} is no address with a port; expected one such as {LISTEN}"))
    })?;
    let (studio, data_dir) = (arguments.studio.clone(), arguments.data_dir.clone());
    Ok(Answers { game, studio, server, protocol, ports, address, listen, data_dir })
}

fn process(command: Option<&str>, asker: &mut Asker) -> anyhow::Result<ServerKind> {
    let given = command.map(words::split).transpose().map_err(wrong_flag)?;
    let question = "The command that starts one, with {port} for its port (Enter: the demo's)";
    Ok(ServerKind::Process(asker.ask(given, question, COMMAND, words::split)?))
}

fn container(arguments: &cli::Init, asker: &mut Asker) -> anyhow::Result<ServerKind> {
    let image =
        asker.ask(arguments.image.clone(), "The image, with a tag for one version of it", "", |text| {
            if text.is_empty() {
                Err("expected an image, such as studio/game:1.0".into())
            } else {
                Ok(text.to_owned())
            }
        })?;
    let (image, version) = split_tag(&image);
    let given = arguments.inner_port.map(Some).or((!asker.asks()).then_some(None));
    let question = "The port that it listens on in the container (Enter: the one it is told)";
    let inner_port = asker.ask(given, question, "", |text| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is no port; expected 1 to 65535")),
    })?;
    Ok(ServerKind::Container { image, version, inner_port })
}

fn protocol_of(text: &str) -> Result<String, String> {
    protocol(text)
}

fn protocol(text: &str) -> Result<String, String> {
    if PROTOCOLS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is none; expected one of {}", PROTOCOLS.join(", ")))
}

/// An image's name and its tag. A colon before a slash is a port.
fn split_tag(image: &str) -> (String, Option<String>) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.is_empty() => (name.to_owned(), Some(tag.to_owned())),
        _ => (image.to_owned(), None),
    }
}

fn wrong_flag(sentence: String) -> anyhow::Error {
    Failed::with(Exit::Usage, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_tag_after_its_last_slash() {
        let split = |image| {
            let (name, tag) = split_tag(image);
            (name, tag.unwrap_or_default())
        };
        assert_eq!(split("studio/game:1.0"), ("studio/game".into(), "1.0".into()));
        assert_eq!(split("localhost:5000/game"), ("localhost:5000/game".into(), String::new()));
        assert_eq!(split("game"), ("game".into(), String::new()));
    }
}
