//! What is measured: every metric of `/metrics`, described once, for Prometheus and for the reference page.

mod table;

use std::fmt::Write as _;

use metrics::{describe_counter, describe_gauge, describe_histogram};

pub use table::ALL;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the next start.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Many values: `_count`, `_sum`, and some quantiles of the last minutes.
    Histogram,
}

impl Kind {
    /// What the macro that records it is called, and the word of the page.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Time.
    Seconds,
    /// Size.
    Bytes,
}

impl Unit {
    const fn word(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    const fn of_metrics(self) -> metrics::Unit {
        match self {
            Self::Count => metrics::Unit::Count,
            Self::Seconds => metrics::Unit::Seconds,
            Self::Bytes => metrics::Unit::Bytes,
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// What it belongs to, as a heading.
    pub part: &'static str,
    /// Its name at `/metrics`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it counts.
    pub unit: Unit,
    /// What it is told apart by.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

/// Tells the recorder what each metric is. What has no labels is there from the start, as 0: an alert on the growth of
/// a counter would miss the first time otherwise. To be called before anything is measured.
pub(crate) fn describe() {
    for measure in ALL {
        let (name, unit, meaning) = (measure.name, measure.unit.of_metrics(), measure.meaning);
        match measure.kind {
            Kind::Counter => {
                describe_counter!(name, unit, meaning);
                if measure.labels.is_empty() {
                    metrics::counter!(name).increment(0);
                }
            }
            Kind::Gauge => {
                describe_gauge!(name, unit, meaning);
                if measure.labels.is_empty() {
                    metrics::gauge!(name).set(0.0);
                }
            }
            Kind::Histogram => describe_histogram!(name, unit, meaning),
        }
    }
}

/// The reference page of all metrics, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         <!-- Made of the list in the code. `cargo xtask golden` writes it anew. -->\n\n\
         `GET /metrics` tells these to Prometheus. A histogram has `_count` and `_sum`, and as `quantile` some of the \
         values of the last minutes. A metric with labels appears with the first thing that it counts. \
         [Dashboard and alerts](../metrics.md) are made of them.\n",
    );
    let mut part = "";
    for measure in ALL {
        if measure.part != part {
            part = measure.part;
            let _ = write!(
                out,
                "\n## {part}\n\n| metric | | unit | labels | |\n| --- | --- | --- | --- | --- |\n"
            );
        }
        let labels: Vec<_> = measure.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            measure.name,
            measure.kind.word(),
            measure.unit.word(),
            labels.join(", "),
            measure.meaning
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs,
        path::{Path, PathBuf},
    };

    use regex::Regex;

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_metric_that_the_code_records_is_described_once() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        for entry in fs::read_dir(crates).unwrap() {
            let source = entry.unwrap().path().join("src");
            if source.is_dir() {
                sources(&source, &mut files);
            }
        }
        let recorded = Regex::new(r#"(counter|gauge|histogram)!\(\s*"(greenroom_[a-z0-9_]+)""#).unwrap();
        let mut in_code = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for found in recorded.captures_iter(&text) {
                let kind = in_code.entry(found[2].to_owned()).or_insert_with(|| found[1].to_owned());
                assert_eq!(*kind, found[1], "{}: {} is two things", file.display(), &found[2]);
            }
        }
        let described: BTreeMap<_, _> =
            ALL.iter().map(|measure| (measure.name.to_owned(), measure.kind.word().to_owned())).collect();
        assert_eq!(described.len(), ALL.len(), "one is described twice");
        for (name, kind) in &in_code {
            let told = described.get(name).unwrap_or_else(|| {
                panic!("{name} is not described: add it to crates/greenroom/src/measures/table.rs")
            });
            assert_eq!(told, kind, "{name}");
        }
        for name in described.keys() {
            assert!(in_code.contains_key(name), "nothing records {name}: take it out of measures/table.rs");
        }
    }
}
