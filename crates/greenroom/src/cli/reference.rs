//! What is made of the commands' declarations: the reference page.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::Arguments;
use crate::exit::Exit;

/// The reference page of the command line, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Command line\n\n\
         <!-- Made of the commands' declarations in the code. `cargo xtask golden` writes it anew. -->\n\n\
         Results are on standard output, errors and logs on standard error; colours only on a terminal.\n\n\
         | exit code | meaning |\n| --- | --- |\n| 0 | done |\n",
    );
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(out, "| {} | {meaning} |", *exit as u8);
    }
    let mut root = Arguments::command().disable_help_subcommand(true).term_width(100).max_term_width(100);
    root.build();
    reference_of(&mut out, &mut root, "");
    out
}

fn reference_of(out: &mut String, command: &mut clap::Command, above: &str) {
    let name = if above.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{above} {}", command.get_name())
    };
    let help = command.clone().render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(out, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for below in
        command.get_subcommands_mut().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        reference_of(out, below, &name);
    }
}
