//! `init`, `doctor` and `top`.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::Args;
use greenroom_protocol::{GameId, StudioId};

/// `init`
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Init {
    /// The file that is written; it must not exist
    #[arg(default_value = "greenroom.toml")]
    pub file: PathBuf,
    /// Asks nothing: what no flag says is as it is by default
    #[arg(long, short)]
    pub yes: bool,
    /// The id of the game, such as `chess`
    #[arg(long)]
    pub game: Option<GameId>,
    /// The id of the studio that owns it
    #[arg(long, default_value = "studio")]
    pub studio: StudioId,
    /// The command that starts a server of the game; `{port}` stands for its port
    #[arg(long, value_name = "COMMAND", conflicts_with = "image")]
    pub command: Option<String>,
    /// The image that its servers are containers of, with the tag that is their version
    #[arg(long)]
    pub image: Option<String>,
    /// What servers listen for: tcp, udp, tcp+udp, or tcp|udp for one of them
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<String>,
    /// The port that the program in the image listens on [default: the one it is told]
    #[arg(long, value_name = "PORT", requires = "image")]
    pub inner_port: Option<u16>,
    /// The ports that servers are given
    #[arg(long, value_name = "FIRST-LAST", value_parser = ports)]
    pub ports: Option<RangeInclusive<u16>>,
    /// The address that players reach this machine at
    #[arg(long)]
    pub address: Option<String>,
    /// Where Greenroom listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The folder that will hold everything
    #[arg(long, value_name = "FOLDER", default_value = "greenroom-data")]
    pub data_dir: PathBuf,
}

/// `doctor`
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Doctor {
    /// The configuration file [default: greenroom.toml, if it is there; else what `greenroom dev` runs with]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `top`
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Top {
    /// How often it is looked at
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = super::interval)]
    pub every: Duration,
}

/// A range of ports, as `7000-7999`.
pub(crate) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let range = first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?;
        (*range.start() > 0 && !range.is_empty()).then_some(range)
    });
    range.ok_or_else(|| format!("{text:?} is no range of ports; expected one such as 7000-7999"))
}
