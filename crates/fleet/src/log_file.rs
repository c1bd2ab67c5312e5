//! Reads the log that a supervisor writes.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use greenroom_protocol::{ServerId, Timestamp};

use crate::{
    folder::Folder,
    model::{LogLine, LogStream},
    provider::LogSource,
    table::Changes,
};

/// Most bytes of a tail, however long its lines are.
const TAIL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Between two looks of a follower: a person reads there.
const FOLLOW: Duration = Duration::from_millis(100);

/// The last lines of a log.
pub(crate) fn last(folder: &Folder, lines: usize) -> Vec<LogLine> {
    Tail::open(folder.clone(), lines).map(|tail| tail.lines.into()).unwrap_or_default()
}

/// The last lines, and the place after them.
pub(crate) struct Tail {
    folder: Folder,
    lines: VecDeque<LogLine>,
    place: Place,
}

/// How far the log was read.
#[derive(Clone, Default)]
struct Place {
    file: Option<Arc<File>>,
    position: u64,
}

impl Tail {
    pub(crate) fn open(folder: Folder, lines: usize) -> io::Result<Self> {
        loop {
            let current = open(&folder.log())?;
            let old = open(&folder.log_old())?;
            // Moved between the two: then both are the same part.
            if let (Some(current), Some(old)) = (&current, &old)
                && current.metadata()?.ino() == old.metadata()?.ino()
            {
                continue;
            }
            let (mut found, position) = match &current {
                Some(file) => tail_of(file, lines)?,
                None => (VecDeque::new(), 0),
            };
            if let Some(old) = old.filter(|_| found.len() < lines) {
                let (older, _) = tail_of(&old, lines - found.len())?;
                for line in older.into_iter().rev() {
                    found.push_front(line);
                }
            }
            let place = Place { file: current.map(Arc::new), position };
            return Ok(Self { folder, lines: found, place });
        }
    }

    pub(crate) const fn source<Own>(self, id: ServerId, follow: bool, changes: Changes<Own>) -> Source<Own> {
        Source { id, follow, changes, tail: self }
    }
}

/// The lines of a log as they are asked for.
pub(crate) struct Source<Own> {
    id: ServerId,
    follow: bool,
    changes: Changes<Own>,
    tail: Tail,
}

#[async_trait]
impl<Own: Clone + Send + Sync + 'static> LogSource for Source<Own> {
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.tail.lines.pop_front() {
                return Some(line);
            }
            if !self.follow {
                return None;
            }
            // Asked before the last look, so that nothing is written between the two.
            let over = self.changes.is_over(&self.id);
            let (folder, place) = (self.tail.folder.clone(), self.tail.place.clone());
            let read = tokio::task::spawn_blocking(move || advance(&folder, place)).await.ok()?;
            match read {
                Ok((lines, place)) if place.position != self.tail.place.position || !lines.is_empty() => {
                    self.tail.lines = lines;
                    self.tail.place = place;
                }
                Ok(_) if over => return None,
                Ok(_) => {
                    tokio::select! {
                        biased;
                        () = self.changes.until_over(&self.id) => {}
                        () = tokio::time::sleep(FOLLOW) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(server = %self.id, %error, "the log of a game server cannot be read");
                    return None;
                }
            }
        }
    }
}

/// Reads on from `place`; into the next part when this one is at its end and was moved away.
fn advance(folder: &Folder, mut place: Place) -> io::Result<(VecDeque<LogLine>, Place)> {
    // Looked at before the end of the old part is: what is written to it comes before it is moved.
    let current = open(&folder.log())?;
    if let Some(file) = &place.file {
        let mut chunk = vec![0; CHUNK_BYTES];
        let length = file.read_at(&mut chunk, place.position)?;
        chunk.truncate(whole_lines(&chunk[..length]));
        if !chunk.is_empty() {
            place.position += chunk.len() as u64;
            return Ok((parse(&chunk), place));
        }
        let is_the_same = match &current {
            Some(current) => current.metadata()?.ino() == file.metadata()?.ino(),
            None => true,
        };
        if is_the_same {
            return Ok((VecDeque::new(), place));
        }
    }
    match current {
        Some(current) => advance(folder, Place { file: Some(Arc::new(current)), position: 0 }),
        None => Ok((VecDeque::new(), place)),
    }
}

fn open(path: &std::path::Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last `lines` whole lines of a file, and the position after them.
fn tail_of(file: &File, lines: usize) -> io::Result<(VecDeque<LogLine>, u64)> {
    let mut begin = file.metadata()?.len();
    let mut bytes: VecDeque<u8> = VecDeque::new();
    let mut ends = 0;
    let end = begin;
    // One more, for the end of the line before the first.
    while begin > 0 && ends <= lines && end - begin < TAIL_BYTES_MAX {
        let length = begin.min(CHUNK_BYTES as u64);
        begin -= length;
        let mut chunk = vec![0; length as usize];
        file.read_exact_at(&mut chunk, begin)?;
        ends += chunk.split(|b| *b == b'\n').count() - 1;
        chunk.into_iter().rev().for_each(|byte| bytes.push_front(byte));
    }
    let bytes = bytes.make_contiguous();
    let whole = whole_lines(bytes);
    let position = begin + whole as u64;
    // In the middle of a line unless the file begins there.
    let from = if begin == 0 { 0 } else { bytes.iter().position(|b| *b == b'\n').map_or(whole, |at| at + 1) };
    let mut found = parse(bytes.get(from..whole).unwrap_or_default());
    found.drain(..found.len().saturating_sub(lines));
    Ok((found, position))
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)
}

fn parse(bytes: &[u8]) -> VecDeque<LogLine> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| parse_line(&String::from_utf8_lossy(line))).collect()
}

fn parse_line(line: &str) -> Option<LogLine> {
    let (at, rest) = line.split_once(' ')?;
    let (stream, text) = rest.split_once(' ')?;
    let stream = match stream {
        "o" => LogStream::Stdout,
        "e" => LogStream::Stderr,
        "s" => LogStream::System,
        _ => return None,
    };
    Some(LogLine { at: Timestamp::from_millis(at.parse().ok()?), stream, text: text.to_owned() })
}
