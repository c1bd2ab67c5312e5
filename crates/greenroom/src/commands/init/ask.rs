//! Questions on the terminal, each with an answer that Enter gives.

use std::io::{self, Write as _};

use owo_colors::OwoColorize as _;

use crate::{
    exit::{Exit, Failed},
    output,
};

/// Asks, or takes what is by default.
pub(super) struct Asker {
    asks: bool,
}

impl Asker {
    pub(super) const fn new(asks: bool) -> Self {
        Self { asks }
    }

    pub(super) const fn asks(&self) -> bool {
        self.asks
    }

    /// What was `given` by a flag, or what is answered, until `parse` takes it; `default` on Enter.
    pub(super) fn ask<T>(
        &mut self,
        given: Option<T>,
        question: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        if let Some(given) = given {
            return Ok(given);
        }
        loop {
            let answer = if self.asks { read(question, default)? } else { String::new() };
            let text = if answer.is_empty() { default } else { &answer };
            match parse(text) {
                Ok(value) => return Ok(value),
                Err(sentence) if self.asks => output::note(&format!("  {sentence}")),
                Err(sentence) => return Err(Failed::with(Exit::Usage, sentence)),
            }
        }
    }
}

fn read(question: &str, default: &str) -> anyhow::Result<String> {
    let mut err = anstream::stderr();
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    write!(err, "{}{}: ", question.bold(), shown.dimmed())?;
    err.flush()?;
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Err(Failed::with(Exit::Failure, "the questions were not answered; nothing is written"));
    }
    Ok(line.trim().to_owned())
}
