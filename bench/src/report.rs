//! Figures beside their targets: a table for people, one JSON object for programs.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::{Serialize, Serializer};

use crate::machine::Machine;

/// Beyond this many times its target a missed figure is no longer a near miss.
const NEAR: f64 = 2.0;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// So many a second.
    PerSecond,
    /// MiB.
    Mib,
    /// One rate divided by another.
    Ratio,
    /// A number of things.
    Count,
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Nothing: it explains another one.
    None,
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// One figure over all runs.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    section: &'static str,
    name: &'static str,
    unit: Unit,
    targets: Vec<Target>,
    runs: Vec<f64>,
}

/// Whether a figure reached its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It did.
    Ok,
    /// It did not, by a factor of at most 2.
    Missed,
    /// It did not, by more than that.
    MissedFar,
}

/// Everything that was measured.
pub(crate) struct Report {
    machine: Machine,
    limits: String,
    figures: Vec<Figure>,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(machine: Machine, limits: String) -> Self {
        Self { machine, limits, figures: Vec::new() }
    }

    /// Adds the value of one run to the figure of this name. A target may differ from run to run,
    /// where a reference was measured beside it; the median counts.
    pub(crate) fn add(
        &mut self,
        section: &'static str,
        name: &'static str,
        unit: Unit,
        target: Target,
        value: f64,
    ) {
        let known = self.figures.iter_mut().find(|figure| figure.section == section && figure.name == name);
        if let Some(figure) = known {
            figure.runs.push(value);
            figure.targets.push(target);
        } else {
            self.figures.push(Figure { section, name, unit, targets: vec![target], runs: vec![value] });
        }
    }

    /// Adds a figure that has no target.
    pub(crate) fn note(&mut self, section: &'static str, name: &'static str, unit: Unit, value: f64) {
        self.add(section, name, unit, Target::None, value);
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for line in self.machine.lines() {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "limits raised for the load generator's one address: {}", self.limits);
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        table.set_header(["", "figure", "median", "lowest to highest", "target", ""]);
        let mut section = "";
        for figure in &self.figures {
            let shown = if figure.section == section { "" } else { figure.section };
            section = figure.section;
            table.add_row([
                shown.to_owned(),
                figure.name.to_owned(),
                figure.unit.show(figure.median()),
                format!("{} to {}", bare(figure.lowest()), bare(figure.highest())),
                figure.target().map_or_else(String::new, |target| target.show(figure.unit)),
                figure.verdict().map_or_else(String::new, |verdict| verdict.show(figure)),
            ]);
        }
        for column in [2, 3, 4] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let _ = writeln!(text, "{table}");
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct All<'a> {
            machine: &'a Machine,
            limits: &'a str,
            figures: &'a [Figure],
        }
        serde_json::to_string(&All { machine: &self.machine, limits: &self.limits, figures: &self.figures })
    }
}

impl Figure {
    fn median(&self) -> f64 {
        median(self.runs.clone())
    }

    fn lowest(&self) -> f64 {
        self.runs.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn highest(&self) -> f64 {
        self.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The median of the targets of all runs.
    fn target(&self) -> Option<Target> {
        let bounds = self.targets.iter().filter_map(|target| target.bound()).collect();
        match self.targets.first()? {
            Target::None => None,
            Target::AtMost(_) => Some(Target::AtMost(median(bounds))),
            Target::AtLeast(_) => Some(Target::AtLeast(median(bounds))),
        }
    }

    fn verdict(&self) -> Option<Verdict> {
        let factor = self.factor()?;
        Some(match factor {
            factor if factor <= 1.0 => Verdict::Ok,
            factor if factor <= NEAR => Verdict::Missed,
            _ => Verdict::MissedFar,
        })
    }

    /// How many times worse than its target it is; below 1 it is better.
    fn factor(&self) -> Option<f64> {
        match self.target()? {
            Target::None => None,
            Target::AtMost(bound) => Some(self.median() / bound),
            Target::AtLeast(bound) => Some(bound / self.median()),
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            section: &'a str,
            name: &'a str,
            unit: Unit,
            median: f64,
            lowest: f64,
            highest: f64,
            runs: &'a [f64],
            #[serde(skip_serializing_if = "Option::is_none")]
            at_most: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            at_least: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            verdict: Option<Verdict>,
        }
        let (at_most, at_least) = match self.target() {
            Some(Target::AtMost(bound)) => (Some(bound), None),
            Some(Target::AtLeast(bound)) => (None, Some(bound)),
            Some(Target::None) | None => (None, None),
        };
        Shown {
            section: self.section,
            name: self.name,
            unit: self.unit,
            median: self.median(),
            lowest: self.lowest(),
            highest: self.highest(),
            runs: &self.runs,
            at_most,
            at_least,
            verdict: self.verdict(),
        }
        .serialize(serializer)
    }
}

impl Target {
    const fn bound(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::AtMost(bound) | Self::AtLeast(bound) => Some(bound),
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(bound) => format!("≤ {}", unit.show(bound)),
            Self::AtLeast(bound) => format!("≥ {}", unit.show(bound)),
        }
    }
}

impl Verdict {
    fn show(self, figure: &Figure) -> String {
        match self {
            Self::Ok => "ok".into(),
            Self::Missed | Self::MissedFar => {
                format!("MISSED {:.2} ×", figure.factor().unwrap_or(f64::NAN))
            }
        }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        let bare = bare(value);
        match self {
            Self::Ms => format!("{bare} ms"),
            Self::Us => format!("{bare} µs"),
            Self::PerSecond => format!("{bare} /s"),
            Self::Mib => format!("{bare} MiB"),
            Self::Ratio | Self::Count => bare,
        }
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Three digits, where there are not more before the point.
fn bare(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}
