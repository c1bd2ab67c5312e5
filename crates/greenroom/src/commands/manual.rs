//! `completions` and `man`: what is made of the commands' declarations.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{cli::Arguments, output};

/// The section of the manual that programs of users are in.
const SECTION: &str = "1";

pub(crate) fn completions(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "greenroom", &mut script);
    print(&script);
}

/// Writes every page into `folder`, or prints that of the program.
pub(crate) fn pages(folder: Option<&Path>) -> anyhow::Result<()> {
    let mut command = command();
    command.build();
    let Some(folder) = folder else {
        print(&page(command, "greenroom")?);
        return Ok(());
    };
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut count = 0;
    write(&command, "greenroom", folder, &mut count)?;
    output::line(&format!("{count} pages are in {}", folder.display()));
    Ok(())
}

/// Hidden commands are Greenroom's own; `help` says what the pages say.
fn write(command: &clap::Command, name: &str, folder: &Path, count: &mut usize) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.{SECTION}"));
    let page = page(command.clone(), name)?;
    fs::write(&path, page).with_context(|| format!("{} cannot be written", path.display()))?;
    *count += 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        write(below, &format!("{name}-{}", below.get_name()), folder, count)?;
    }
    Ok(())
}

fn page(command: clap::Command, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).title(name).section(SECTION).render(&mut page)?;
    Ok(page)
}

fn command() -> clap::Command {
    Arguments::command()
}

fn print(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    output::wrote(out.write_all(bytes).and_then(|()| out.flush()));
}
