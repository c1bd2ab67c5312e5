//! `config check` and `config example`.

use crate::{
    cli::ConfigCommand,
    config::{Config, Environment, document},
    output,
};

pub(crate) fn run(command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check { config: path } => {
            let config = Config::load(Some(&path), &Environment::of_process())?;
            let (studios, games) = (config.root.studios.len(), config.root.games.len());
            output::line(&format!("{} is right: {studios} studio(s), {games} game(s)", path.display()));
        }
        ConfigCommand::Example => output::line(document::example().trim_end()),
    }
    Ok(())
}
