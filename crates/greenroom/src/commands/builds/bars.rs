//! How far pulls are: a bar for each host on a terminal, lines where there is none.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stderr},
};

use greenroom_protocol::{
    HostId,
    builds::{BuildHost, PullState, PullView},
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::state;
use crate::output;

/// Without a terminal, a line is written whenever another such part of the bytes is there.
const LINE_PERCENT: u64 = 25;

const TEMPLATE: &str = "{prefix:16!} {bar:30} {bytes:>11} of {total_bytes:<11} {msg}";

/// One bar a host, on standard error.
pub(super) struct Bars {
    all: Option<MultiProgress>,
    by_host: BTreeMap<HostId, ProgressBar>,
    /// What was written last, where there are no bars.
    lines: BTreeMap<HostId, String>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let all = stderr().is_terminal().then(MultiProgress::new);
        Self { all, by_host: BTreeMap::new(), lines: BTreeMap::new() }
    }

    pub(super) fn show(&mut self, hosts: &[BuildHost]) {
        for on_host in hosts {
            match &self.all {
                Some(all) => {
                    let host = &on_host.host;
                    let bar = self.by_host.entry(host.clone()).or_insert_with(|| all.add(new_bar(host)));
                    draw(bar, on_host);
                }
                None => self.tell(on_host),
            }
        }
    }

    pub(super) fn finish(&self) {
        for bar in self.by_host.values() {
            bar.abandon();
        }
    }

    fn tell(&mut self, on_host: &BuildHost) {
        let line = match &on_host.pull {
            Some(pull) if pull.state == PullState::Pulling => format!("pulls, {} %", coarse(pull)),
            _ => state(on_host),
        };
        if self.lines.get(&on_host.host) != Some(&line) {
            output::note(&output::printable(&format!("{}: {line}", on_host.host)));
            self.lines.insert(on_host.host.clone(), line);
        }
    }
}

fn new_bar(host: &HostId) -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_prefix(host.to_string())
}

fn draw(bar: &ProgressBar, on_host: &BuildHost) {
    if let Some(pull) = &on_host.pull {
        bar.set_length(pull.bytes_total);
        bar.set_position(pull.bytes_done);
        bar.set_message(format!("{} of {} layers", pull.layers_done, pull.layers_total));
    } else {
        bar.set_position(bar.length().unwrap_or_default());
        bar.set_message(state(on_host));
    }
}

fn coarse(pull: &PullView) -> u64 {
    let percent = (pull.bytes_done * 100).checked_div(pull.bytes_total).unwrap_or_default();
    percent / LINE_PERCENT * LINE_PERCENT
}

#[cfg(test)]
mod tests {
    use super::{TEMPLATE, new_bar};

    #[test]
    fn the_bar_has_the_form_that_it_is_given() {
        assert!(indicatif::ProgressStyle::with_template(TEMPLATE).is_ok());
        let host = greenroom_protocol::HostId::new("local").unwrap();
        assert_eq!(new_bar(&host).prefix(), "local");
    }
}
