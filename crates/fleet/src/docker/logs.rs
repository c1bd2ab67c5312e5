//! The log of a container: from the engine while it is there, taken over into our folder when it ends.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use bollard::{container::LogOutput, errors::Error as BollardError, query_parameters::LogsOptions};
use futures_util::{StreamExt as _, stream::BoxStream};
use greenroom_protocol::{ServerId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{EngineError, Host, record::RecordFolder, seen::parse_time};
use crate::{
    model::{LogLine, LogStream},
    provider::LogSource,
    supervise::Log,
};

/// How long the engine may take to begin with a log.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// How long it may take between two parts of a log that is not followed.
const PART_MAX: Duration = Duration::from_secs(10);
/// How long taking over a log may take.
const SAVE_MAX: Duration = Duration::from_secs(20);
/// Longest line that is put together of parts; the rest of it is left out.
const LINE_BYTES_MAX: usize = 64 * 1024;

type Parts = BoxStream<'static, Result<LogOutput, BollardError>>;

/// The log of a container that the engine has, and maybe what is still to come.
pub(super) async fn open(
    host: &Host,
    id: &ServerId,
    lines: usize,
    follow: bool,
) -> Result<Source, EngineError> {
    let options = LogsOptions {
        follow,
        stdout: true,
        stderr: true,
        timestamps: true,
        tail: if lines == usize::MAX { "all".into() } else { lines.to_string() },
        ..LogsOptions::default()
    };
    let name = host.container(id);
    // Asked first, for a stream that nothing is written to says nothing: not even that it is there.
    let there = host.connection.call("asking for a container's log", OPEN_MAX, async |docker| {
        let quiet = LogsOptions { follow: false, tail: "0".into(), ..options.clone() };
        docker.logs(&name, Some(quiet)).next().await.transpose().map(drop)
    });
    there.await?;
    let parts = host.connection.client()?.logs(&name, Some(options)).boxed();
    Ok(Source {
        parts,
        follow,
        lines: Assembly::default(),
        ready: VecDeque::new(),
        cancel: host.cancel.clone(),
    })
}

/// Lines as the engine sends them.
pub(super) struct Source {
    parts: Parts,
    follow: bool,
    lines: Assembly,
    ready: VecDeque<LogLine>,
    cancel: CancellationToken,
}

impl Source {
    pub(super) async fn next_line(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let Some(Ok(part)) = self.next_part().await else {
                self.lines.end(&mut self.ready);
                return self.ready.pop_front();
            };
            self.lines.take(part, &mut self.ready);
        }
    }

    async fn next_part(&mut self) -> Option<Result<LogOutput, BollardError>> {
        let wait = if self.follow { Duration::MAX } else { PART_MAX };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            part = tokio::time::timeout(wait, self.parts.next()) => part.ok().flatten(),
        }
    }
}

#[async_trait]
impl LogSource for Source {
    async fn next(&mut self) -> Option<LogLine> {
        self.next_line().await
    }
}

/// Puts lines together: the engine cuts long ones, and puts a time before each part.
#[derive(Default)]
struct Assembly {
    stdout: Option<(Timestamp, Vec<u8>)>,
    stderr: Option<(Timestamp, Vec<u8>)>,
}

impl Assembly {
    fn take(&mut self, part: LogOutput, into: &mut VecDeque<LogLine>) {
        let stream =
            if matches!(part, LogOutput::StdErr { .. }) { LogStream::Stderr } else { LogStream::Stdout };
        let bytes = part.into_bytes();
        let Some(space) = bytes.iter().position(|byte| *byte == b' ') else { return };
        let Some(at) = std::str::from_utf8(&bytes[..space]).ok().and_then(parse_time) else { return };
        let text = &bytes[space + 1..];
        let begun = if stream == LogStream::Stderr { &mut self.stderr } else { &mut self.stdout };
        let (begun_at, mut line) = begun.take().unwrap_or((at, Vec::new()));
        let whole = text.strip_suffix(b"\n");
        let more = whole.unwrap_or(text);
        line.extend_from_slice(&more[..more.len().min(LINE_BYTES_MAX - line.len().min(LINE_BYTES_MAX))]);
        if whole.is_some() {
            into.push_back(finished(begun_at, stream, line));
        } else {
            *begun = Some((begun_at, line));
        }
    }

    /// What is left is a line too.
    fn end(&mut self, into: &mut VecDeque<LogLine>) {
        for (stream, begun) in
            [(LogStream::Stdout, self.stdout.take()), (LogStream::Stderr, self.stderr.take())]
        {
            into.extend(begun.map(|(at, line)| finished(at, stream, line)));
        }
    }
}

fn finished(at: Timestamp, stream: LogStream, mut line: Vec<u8>) -> LogLine {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    LogLine { at, stream, text: String::from_utf8_lossy(&line).into_owned() }
}

/// The log of an ended container, taken over.
pub(super) struct Saved {
    /// Its last lines, each cut.
    pub(super) last_lines: Vec<String>,
    /// Whether all of it is in our folder.
    pub(super) is_whole: bool,
}

/// Takes over the log of a container that has ended, and ends it with `last_word`.
pub(super) async fn save(
    host: &Host,
    id: &ServerId,
    folder: &RecordFolder,
    bytes_max: u64,
    last_word: Option<(Timestamp, String)>,
) -> Saved {
    let (send, mut receive) = tokio::sync::mpsc::channel::<Vec<LogLine>>(4);
    let paths = folder.log();
    let writer = tokio::task::spawn_blocking(move || {
        // One of an earlier try is not to be there twice.
        for path in [paths.log(), paths.log_old()] {
            let _none = std::fs::remove_file(path);
        }
        let mut log = Log::new(paths.log(), paths.log_old(), bytes_max);
        while let Some(lines) = receive.blocking_recv() {
            for line in lines {
                log.line_of(line.at, line.stream, line.text);
            }
        }
        let last_lines = log.last_lines();
        if let Some((at, text)) = last_word {
            log.line_of(at, LogStream::System, text);
        }
        Saved { last_lines, is_whole: log.finish() }
    });
    let copied = tokio::time::timeout(SAVE_MAX, async {
        let mut source = open(host, id, usize::MAX, false).await?;
        let mut batch = Vec::new();
        while let Some(line) = source.next_line().await {
            batch.push(line);
            if batch.len() >= 1000 && send.send(std::mem::take(&mut batch)).await.is_err() {
                break;
            }
        }
        let _writer_ended = send.send(batch).await;
        Ok::<_, EngineError>(())
    });
    let copied = copied.await;
    drop(send);
    let mut saved = writer.await.unwrap_or(Saved { last_lines: Vec::new(), is_whole: false });
    saved.is_whole &= match copied {
        // With its container went its log.
        Ok(Ok(()) | Err(EngineError::NotFound { .. })) => true,
        Ok(Err(_)) | Err(_) => false,
    };
    saved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.as_bytes().to_vec().into() }
    }

    #[test]
    fn a_line_that_came_in_parts_is_one() {
        let (mut assembly, mut lines) = (Assembly::default(), VecDeque::new());
        assembly.take(part("2026-11-20T11:43:48.1Z a b\r\n"), &mut lines);
        assembly.take(part("2026-11-20T11:43:48.2Z be"), &mut lines);
        let err = LogOutput::StdErr { message: "2026-11-20T11:43:48.3Z oops\n".into() };
        assembly.take(err, &mut lines);
        assembly.take(part("2026-11-20T11:43:48.4Z gun\n"), &mut lines);
        assembly.take(part("2026-11-20T11:43:48.5Z rest"), &mut lines);
        assembly.end(&mut lines);
        let texts: Vec<_> = lines.iter().map(|line| (line.stream, line.text.as_str())).collect();
        let out = LogStream::Stdout;
        assert_eq!(texts, [(out, "a b"), (LogStream::Stderr, "oops"), (out, "begun"), (out, "rest")]);
        assert_eq!(lines[2].at.as_millis() % 1000, 200);
    }
}
