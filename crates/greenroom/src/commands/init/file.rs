//! The file that is written.

use std::fmt::Write as _;

use toml::Value;

use super::{Answers, ServerKind};

/// A configuration that says what was answered, and what one may want to change first.
pub(super) fn text(answers: &Answers) -> String {
    let mut out = String::new();
    let Answers { game, studio, .. } = answers;
    let _ = write!(
        out,
        "# The configuration of Greenroom. `greenroom config check` tells everything that is wrong with it,\n\
         # `greenroom config example` prints one with every setting, its meaning and its default.\n\
         \n\
         # Where Greenroom listens: one port for everything. \"0.0.0.0:4700\" is every address of this machine; put a\n\
         # proxy that speaks TLS in front then, or set [tls].\n\
         listen = {listen}\n\
         # The address that players reach game servers at.\n\
         public_address = {address}\n\
         # The folder that holds everything: players, lobbies, history, logs of game servers.\n\
         data_dir = {data_dir}\n\
         \n\
         # A studio owns games, and is isolated from every other studio.\n\
         [studios.{studio}]\n\
         \n\
         [games.{game}]\n\
         studio = {studio_text}\n\
         \n\
         # How its lobbies behave.\n\
         [games.{game}.lobby]\n\
         members_max = 16\n\
         # team_size = 8\n\
         \n\
         # Its dedicated servers.\n\
         [games.{game}.fleet]\n",
        listen = quoted(&answers.listen.to_string()),
        address = quoted(&answers.address),
        data_dir = quoted(&answers.data_dir.to_string_lossy()),
        studio_text = quoted(studio.as_str()),
    );
    server(&mut out, answers);
    let _ = write!(
        out,
        "# How many may run at once, and how many stand ready ahead of demand. For those, say how a server that\n\
         # stands ready learns its payload: \"file\", or \"ignore\" if it needs none.\n\
         running_max = {running_max}\n\
         # ready_min = 1\n\
         # warm_payload = \"file\"\n",
        running_max = running_max(answers),
    );
    if let ServerKind::Container { image, .. } = &answers.server {
        let _ = write!(
            out,
            "\n[games.{game}.fleet.container]\n\
             image = {image}\n\
             # Versions are the tags that the engine has. \"registry\" looks for newer ones.\n\
             # versions = \"registry\"\n",
            image = quoted(image),
        );
    }
    out
}

fn server(out: &mut String, answers: &Answers) {
    let mut port = format!("name = \"default\", protocol = {}", quoted(&answers.protocol));
    match &answers.server {
        ServerKind::Process(command) => {
            let command = Value::Array(command.iter().cloned().map(Value::String).collect());
            let _ = write!(
                out,
                "provider = \"process\"\n\
                 # The program and its arguments, one text each; no shell is between. {{port}} is the server's port.\n\
                 command = {command}\n"
            );
        }
        ServerKind::Container { version, inner_port, .. } => {
            out.push_str("provider = \"docker\"\n");
            if let Some(version) = version {
                let _ = write!(
                    out,
                    "# The version of servers that are asked for without one: the image's tag.\nversion = {}\n",
                    quoted(version)
                );
            }
            if let Some(inner) = inner_port {
                let _ = write!(port, ", inner = {inner}");
            }
        }
    }
    let (first, last) = (answers.ports.start(), answers.ports.end());
    let _ = write!(
        out,
        "# The ports that a server is given, and where they come from. Open the range in the firewall.\n\
         ports = [{{ {port} }}]\n\
         port_range = \"{first}-{last}\"\n\
         # When it counts as ready: \"listening\" once it holds its ports, \"log:REGULAR EXPRESSION\" once a line of its\n\
         # output matches, \"after:2s\" after a time.\n\
         ready = \"listening\"\n"
    );
}

/// No more than there are ports.
fn running_max(answers: &Answers) -> usize {
    answers.ports.len().min(20)
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
