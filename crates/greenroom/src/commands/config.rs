//! `config check`, `config example` and `config from-env`.

use crate::{
    cli::ConfigCommand,
    config::{Config, Environment, document, from_env},
    output,
};

pub(crate) fn run(command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check { config: path } => {
            let config = Config::load(Some(&path), &Environment::of_process())?;
            let (studios, games) = (config.root.studios.len(), config.root.games.len());
            output::line(&format!("{} is right: {studios} studio(s), {games} game(s)", path.display()));
        }
        ConfigCommand::FromEnv => {
            let environment = Environment::of_process();
            // Printed is only what `config check` would not refuse.
            Config::from_env(&environment)?;
            output::line(from_env::from_env(&environment)?.text.trim_end());
        }
        ConfigCommand::Example => output::line(document::example().trim_end()),
    }
    Ok(())
}
