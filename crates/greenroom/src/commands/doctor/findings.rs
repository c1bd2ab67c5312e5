//! What was found.

use owo_colors::OwoColorize as _;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::output;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Machine,
    Configuration,
    DataFolder,
    Engine,
    Installation,
}

impl Part {
    const ALL: [Self; 5] =
        [Self::Machine, Self::Configuration, Self::DataFolder, Self::Engine, Self::Installation];

    const fn heading(self) -> &'static str {
        match self {
            Self::Machine => "The machine",
            Self::Configuration => "The configuration",
            Self::DataFolder => "The data folder",
            Self::Engine => "Engines",
            Self::Installation => "The running installation",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    /// As it should be.
    Good,
    /// To be known.
    Note,
    /// It goes, and not well.
    Warning,
    /// It does not go.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) part: Part,
    /// What was looked at: a stable word.
    pub(super) check: &'static str,
    pub(super) grade: Grade,
    /// What is so.
    #[serde(rename = "finding")]
    pub(super) sentence: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn good(&mut self, part: Part, check: &'static str, finding: impl Into<String>) {
        self.0.push(Finding { part, check, grade: Grade::Good, sentence: finding.into(), advice: None });
    }

    pub(super) fn note(&mut self, part: Part, check: &'static str, finding: impl Into<String>) {
        self.0.push(Finding { part, check, grade: Grade::Note, sentence: finding.into(), advice: None });
    }

    pub(super) fn warning(
        &mut self,
        part: Part,
        check: &'static str,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.bad(part, check, Grade::Warning, finding.into(), advice.into());
    }

    pub(super) fn error(
        &mut self,
        part: Part,
        check: &'static str,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.bad(part, check, Grade::Error, finding.into(), advice.into());
    }

    pub(super) fn bad(
        &mut self,
        part: Part,
        check: &'static str,
        grade: Grade,
        finding: String,
        advice: String,
    ) {
        let advice = Some(advice).filter(|advice| !advice.is_empty());
        self.0.push(Finding { part, check, grade, sentence: finding, advice });
    }

    /// How many must be mended.
    pub(super) fn errors(&self) -> usize {
        self.0.iter().filter(|finding| finding.grade == Grade::Error).count()
    }

    pub(super) fn print(&self) {
        for part in Part::ALL {
            let mut findings = self.0.iter().filter(|finding| finding.part == part).peekable();
            if findings.peek().is_some() {
                output::line(&part.heading().bold().to_string());
            }
            for Finding { grade, sentence, advice, .. } in findings {
                let mark = match grade {
                    Grade::Good => "ok     ".green().to_string(),
                    Grade::Note => "note   ".dimmed().to_string(),
                    Grade::Warning => "warning".yellow().to_string(),
                    Grade::Error => "error  ".red().bold().to_string(),
                };
                output::line(&format!("  {mark}  {}", output::printable(sentence)));
                if let Some(advice) = advice {
                    output::line(&format!("           {}", output::printable(advice).dimmed()));
                }
            }
        }
    }
}

impl Serialize for Findings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Report", 2)?;
        report.serialize_field("good", &(self.errors() == 0))?;
        report.serialize_field("findings", &self.0)?;
        report.end()
    }
}
