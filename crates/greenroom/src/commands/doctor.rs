//! `doctor`: what is wrong with a machine, a configuration, an engine, a data folder or a running installation, and
//! what to do about it.

mod configuration;
mod data;
mod engines;
mod findings;
mod installation;
mod machine;
mod owner;

use std::path::{Path, PathBuf};

use self::findings::{Findings, Part};
use crate::{
    cli::{self, Server},
    config::{Config, Environment},
    exit::{Exit, Failed},
    output,
};

/// The file that is looked at if none is named.
const CONFIG: &str = "greenroom.toml";

pub(crate) async fn run(server: Server, arguments: cli::Doctor) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    let (path, config) = read(&mut findings, arguments.config);
    let data_dir = match (&config, &path) {
        (Some(config), Some(_)) => config.root.data_dir.clone(),
        // `dev` without a file keeps everything where the other commands look for it.
        _ => server.data_dir.clone(),
    };
    machine::examine(&mut findings, config.as_ref(), &data_dir);
    if let Some(config) = &config {
        configuration::examine(&mut findings, config).await;
    }
    let holder = data::examine(&mut findings, &data_dir);
    if let Some(config) = &config {
        engines::examine(&mut findings, config).await;
    }
    installation::examine(&mut findings, &server, config.as_ref(), path.is_some(), holder).await;
    tell(&findings, server.json)
}

/// The configuration, if it is right; every error of one that is not.
fn read(findings: &mut Findings, named: Option<PathBuf>) -> (Option<PathBuf>, Option<Config>) {
    let path = named.or_else(|| Path::new(CONFIG).exists().then(|| CONFIG.into()));
    match Config::load(path.as_deref(), &Environment::of_process()) {
        Ok(config) => {
            let what = path.as_ref().map_or_else(
                || format!("there is no {CONFIG}; what `greenroom dev` runs with is looked at"),
                |path| format!("{} is right", path.display()),
            );
            findings.good(Part::Configuration, "settings", what);
            (path, Some(config))
        }
        Err(errors) => {
            for error in errors.errors {
                let advice =
                    format!("change it in {}; `greenroom config example` has every setting", errors.source);
                findings.error(Part::Configuration, "settings", error.to_string(), advice);
            }
            (path, None)
        }
    }
}

fn tell(findings: &Findings, json: bool) -> anyhow::Result<()> {
    if json {
        output::json(findings)?;
    } else {
        findings.print();
    }
    match findings.errors() {
        0 => Ok(()),
        count => {
            let things = if count == 1 { "thing" } else { "things" };
            Err(Failed::with(Exit::Failure, format!("{count} {things} must be mended")))
        }
    }
}
