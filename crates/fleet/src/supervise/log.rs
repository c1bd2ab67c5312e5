//! The log of a game server: its output, a line at a time, with times.
//!
//! A line of the file is `<milliseconds since 1970> <o|e|s> <text>`. The file is moved to `log.1`
//! when it has reached its size, so that the two together bound what a flood can take.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::SystemTime,
};

use greenroom_protocol::Timestamp;

use crate::model::LogStream;

/// Longest line, in bytes of output; the rest of it is left out, and the cut is marked.
pub(crate) const LINE_BYTES_MAX: usize = 8 * 1024;

/// How many of the last lines are kept for the record of the end.
pub(crate) const LAST_LINES_MAX: usize = 20;

/// Longest of these, in bytes.
pub(crate) const LAST_LINE_BYTES_MAX: usize = 300;

/// Lines that are copied are written at about this size.
const BATCH_BYTES: usize = 64 * 1024;

/// Marks where a line was cut.
const CUT: &str = " [cut]";

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) struct Log {
    path: PathBuf,
    old: PathBuf,
    bytes_max: u64,
    file: Option<File>,
    size: u64,
    batch: Vec<u8>,
    batch_lines: u64,
    stdout: Line,
    stderr: Line,
    last: VecDeque<String>,
    /// Lines that could not be written since the last that could.
    lost_lines: u64,
    /// Why the first of them could not.
    lost_because: String,
}

/// A line that is not complete yet.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    cut: bool,
}

impl Log {
    pub(crate) fn new(path: PathBuf, old: PathBuf, bytes_max: u64) -> Self {
        Self {
            path,
            old,
            bytes_max,
            file: None,
            size: 0,
            batch: Vec::new(),
            batch_lines: 0,
            stdout: Line::default(),
            stderr: Line::default(),
            last: VecDeque::new(),
            lost_lines: 0,
            lost_because: String::new(),
        }
    }

    /// Takes output as it came; gives every complete line to `on_line`.
    pub(crate) fn feed(&mut self, stream: LogStream, mut bytes: &[u8], mut on_line: impl FnMut(&str)) {
        let at = now();
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.partial(stream, &bytes[..end]);
            bytes = &bytes[end + 1..];
            self.complete(stream, at, &mut on_line);
        }
        self.partial(stream, bytes);
        self.flush();
    }

    /// The stream has ended: what is left of it is a line too.
    pub(crate) fn end(&mut self, stream: LogStream, mut on_line: impl FnMut(&str)) {
        if !self.line(stream).bytes.is_empty() {
            self.complete(stream, now(), &mut on_line);
            self.flush();
        }
    }

    /// Takes a whole line that was written at another time.
    pub(crate) fn line_of(&mut self, at: Timestamp, stream: LogStream, mut text: String) {
        if text.len() > LINE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
            text.push_str(CUT);
        }
        self.append(at, stream, &text.replace('\n', " "));
        self.keep_last(text);
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Writes what was taken and not written yet; whether all of it could be.
    pub(crate) fn finish(&mut self) -> bool {
        self.flush();
        self.lost_lines == 0
    }

    /// Writes a line of our own.
    pub(crate) fn system(&mut self, text: &str) {
        self.append(now(), LogStream::System, &text.replace('\n', " "));
        self.flush();
    }

    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    fn line(&mut self, stream: LogStream) -> &mut Line {
        if stream == LogStream::Stderr { &mut self.stderr } else { &mut self.stdout }
    }

    fn partial(&mut self, stream: LogStream, bytes: &[u8]) {
        let line = self.line(stream);
        let room = LINE_BYTES_MAX - line.bytes.len();
        line.cut |= bytes.len() > room;
        line.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn complete(&mut self, stream: LogStream, at: Timestamp, on_line: &mut impl FnMut(&str)) {
        let Line { mut bytes, cut } = std::mem::take(self.line(stream));
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if cut {
            text.push_str(CUT);
        }
        on_line(&text);
        self.append(at, stream, &text);
        self.keep_last(text);
        // The buffer is used again.
        bytes.clear();
        self.line(stream).bytes = bytes;
    }

    fn keep_last(&mut self, mut text: String) {
        if self.last.len() == LAST_LINES_MAX {
            self.last.pop_front();
        }
        text.truncate(text.floor_char_boundary(LAST_LINE_BYTES_MAX));
        self.last.push_back(text);
    }

    fn append(&mut self, at: Timestamp, stream: LogStream, text: &str) {
        let _infallible = writeln!(self.batch, "{} {} {text}", at.as_millis(), stream_letter(stream));
        self.batch_lines += 1;
    }

    /// Writes the batch; a server must not stop for a full disk, so what cannot be written is
    /// dropped and counted.
    fn flush(&mut self) {
        if self.lost_lines > 0 {
            let note = format!(
                "{} s {} lines were not written: {}\n",
                now().as_millis(),
                self.lost_lines,
                self.lost_because
            );
            self.batch.splice(0..0, note.into_bytes());
        }
        match self.write() {
            Ok(()) => self.lost_lines = 0,
            Err(error) => {
                if self.lost_lines == 0 {
                    self.lost_because = error.to_string();
                }
                self.lost_lines += self.batch_lines;
            }
        }
        self.batch.clear();
        self.batch.shrink_to(64 * 1024);
        self.batch_lines = 0;
    }

    fn write(&mut self) -> io::Result<()> {
        if self.size > 0 && self.size + self.batch.len() as u64 > self.bytes_max {
            // Closed first: if the new file cannot be made, the next batch tries again.
            self.file = None;
            fs::rename(&self.path, &self.old)?;
            self.size = 0;
        }
        if self.file.is_none() {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
            self.size = file.metadata()?.len();
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let result = file.write_all(&self.batch);
        match result {
            Ok(()) => self.size += self.batch.len() as u64,
            // Half a batch would glue two lines together.
            Err(_) => drop(file.set_len(self.size)),
        }
        result
    }
}

pub(crate) const fn stream_letter(stream: LogStream) -> char {
    match stream {
        LogStream::Stdout => 'o',
        LogStream::Stderr => 'e',
        LogStream::System => 's',
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
