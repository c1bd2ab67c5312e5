//! Lists: printed once, shown live in a terminal, or told as changes.

use std::{collections::BTreeMap, io::IsTerminal as _, time::Duration};

use serde::Serialize;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    cli::Watch,
    exit::{Exit, Failed},
    output,
    screen::{Key, Keys, Line, Screen, Stop},
};

/// A list as it was at one look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    /// What is printed with `--json`.
    pub(crate) answer: Value,
    /// Each entry by what it is known by, to tell what has changed.
    pub(crate) entries: BTreeMap<String, Value>,
    /// What is printed for people.
    pub(crate) lines: Vec<String>,
    /// What people should act on; on standard error.
    pub(crate) warnings: Vec<String>,
    /// What people should know; on standard error.
    pub(crate) notes: Vec<String>,
}

impl Listed {
    /// A list that is printed as `answer` or as `lines`, whose entries are the array `field` of the answer, or the
    /// answer itself, each known by its member `id`.
    pub(crate) fn new(
        answer: &impl Serialize,
        field: Option<&str>,
        id: &str,
        lines: Vec<String>,
    ) -> anyhow::Result<Self> {
        let answer = serde_json::to_value(answer)?;
        let listed = field.map_or(&answer, |field| &answer[field]);
        let known_by = |entry: &Value| entry[id].as_str().unwrap_or_default().to_owned();
        let entries = listed.as_array().into_iter().flatten();
        let entries = entries.map(|entry| (known_by(entry), entry.clone())).collect();
        Ok(Self { answer, entries, lines, ..Self::default() })
    }

    /// Tells below the list how to go on where it ended.
    pub(crate) fn with_next(mut self, next: Option<&str>) -> Self {
        if let Some(next) = next {
            self.lines.extend([String::new(), format!("There are more: go on with --after {next}")]);
        }
        self
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return output::json(&self.answer);
        }
        self.lines.iter().for_each(|line| output::line(line));
        self.warnings.iter().for_each(|sentence| output::warning(sentence));
        self.notes.iter().for_each(|sentence| output::note(sentence));
        Ok(())
    }

    /// Everything for people, for a screen that has one place for all.
    fn shown(&self) -> Vec<Line> {
        let beside = self.warnings.iter().chain(&self.notes).cloned();
        let mut lines = self.lines.iter().cloned();
        // A table's first line is its head.
        let head = lines.next().map(Line::bold);
        head.into_iter().chain(lines.chain(beside).map(Line::plain)).collect()
    }
}

/// One line of what `--watch --json` prints.
#[derive(Debug, PartialEq, Serialize)]
struct Change<'a> {
    #[serde(rename = "change")]
    kind: &'static str,
    id: &'a str,
    /// Its newest state; of one that is gone there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a Value>,
}

/// Shows what `look` finds as `watch` says.
pub(crate) async fn show(
    json: bool,
    watch: Watch,
    mut look: impl AsyncFnMut() -> anyhow::Result<Listed>,
) -> anyhow::Result<()> {
    let stop = watch.watch.then(Stop::new).transpose()?;
    let first = look().await?;
    match stop {
        None => first.print(json),
        Some(stop) if json || !std::io::stdout().is_terminal() => {
            tell(json, watch.every, first, look, stop).await
        }
        Some(stop) => live(watch.every, first, look, stop).await,
    }
}

/// Prints a list that cannot be watched.
pub(crate) fn once(json: bool, listed: &Listed) -> anyhow::Result<()> {
    listed.print(json)
}

/// Prints what has changed, or the whole list anew whenever it has, until somebody stops it.
async fn tell(
    json: bool,
    every: Duration,
    first: Listed,
    mut look: impl AsyncFnMut() -> anyhow::Result<Listed>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut told = Listed::default();
    let mut listed = Some(first);
    let mut ticks = ticks(every);
    let mut was_away = false;
    loop {
        if let Some(listed) = listed.take() {
            was_away = false;
            if json {
                for change in changes(&told.entries, &listed.entries) {
                    output::line(&serde_json::to_string(&change)?);
                }
            } else if told.lines != listed.lines {
                if !told.lines.is_empty() {
                    output::line("");
                }
                listed.print(false)?;
            }
            told = listed;
        }
        if output::has_no_reader() {
            return Ok(());
        }
        // The end first: a list that is stopped is not looked at again.
        let looked = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            looked = async { ticks.tick().await; look().await } => looked,
        };
        match looked {
            Ok(now) => listed = Some(now),
            Err(error) if is_passing(&error) => {
                if !was_away {
                    output::warning(&format!("{error:#}; it is looked at again"));
                }
                was_away = true;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Shows the newest state in place, until somebody stops it; leaves the last one on the terminal.
async fn live(
    every: Duration,
    first: Listed,
    mut look: impl AsyncFnMut() -> anyhow::Result<Listed>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut listed = first;
    let mut problem = None;
    let mut ticks = ticks(every);
    {
        let mut screen = Screen::open()?;
        let mut keys = Keys::open()?;
        loop {
            let mut lines = vec![headline(every, problem.as_deref()), Line::default()];
            lines.extend(listed.shown());
            screen.paint(&lines)?;
            // The end first; a resized window needs the same list painted anew.
            let looked = tokio::select! {
                biased;
                () = stop.asked() => break,
                key = keys.next() => match key {
                    Key::Char('q') | Key::Interrupt | Key::Escape => break,
                    _ => continue,
                },
                () = screen.resized() => continue,
                looked = async { ticks.tick().await; look().await } => looked,
            };
            match looked {
                Ok(now) => (listed, problem) = (now, None),
                Err(error) if is_passing(&error) => problem = Some(format!("{error:#}")),
                Err(error) => {
                    drop(screen);
                    return Err(error);
                }
            }
        }
    }
    listed.print(false)
}

fn headline(every: Duration, problem: Option<&str>) -> Line {
    let every = humantime::format_duration(every);
    match problem {
        None => Line::dim(format!("every {every}, q ends")),
        Some(problem) => Line::bad(format!("as it was last seen: {problem}")),
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    // A Greenroom that was away is asked once, not as often as it was missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// Whether looking again may help.
pub(crate) fn is_passing(error: &anyhow::Error) -> bool {
    let failed = error.downcast_ref::<Failed>().map(|failed| failed.exit);
    matches!(failed, Some(Exit::Unreachable | Exit::Busy))
}

fn changes<'a>(before: &'a BTreeMap<String, Value>, now: &'a BTreeMap<String, Value>) -> Vec<Change<'a>> {
    let gone = before.keys().filter(|id| !now.contains_key(*id));
    let mut changes: Vec<_> = gone.map(|id| Change { kind: "removed", id, entry: None }).collect();
    for (id, entry) in now {
        let kind = match before.get(id) {
            None => "added",
            Some(old) if old != entry => "changed",
            Some(_) => continue,
        };
        changes.push(Change { kind, id, entry: Some(entry) });
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_what_came_went_and_is_different() {
        let list = |entries: Value| Listed::new(&entries, None, "id", Vec::new()).unwrap().entries;
        let before = list(json!([{ "id": "a", "n": 1 }, { "id": "b", "n": 1 }, { "id": "c", "n": 1 }]));
        let now = list(json!([{ "id": "a", "n": 1 }, { "id": "b", "n": 2 }, { "id": "d", "n": 1 }]));
        let told: Vec<_> = changes(&before, &now).iter().map(|change| (change.kind, change.id)).collect();
        assert_eq!(told, [("removed", "c"), ("changed", "b"), ("added", "d")]);
        assert!(changes(&now, &now).is_empty());
    }
}
