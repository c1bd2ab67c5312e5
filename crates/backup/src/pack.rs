//! Makes a backup.

use std::{
    io::{self, Read as _, Write},
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    container::{self, BLOCK_BYTES},
    error::BackupError,
    manifest::{Header, Manifest},
    source::{Source, SourceFile},
};

/// How the thread that packs stands behind those that answer players (setpriority(2)).
const NICENESS: i32 = 10;

/// Bytes between two looks at the databases' logs.
const LOOK_BYTES: u64 = 16 * 1024 * 1024;

/// Longest that the thread sleeps without looking whether it is to stop.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// How fast a backup is made at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Bytes that are read in a second; as many as it can unless given.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// How far a backup is, for those who look at it meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Progress {
    /// The bytes that were read, of how many.
    pub fn bytes(&self) -> (u64, u64) {
        (self.done_bytes.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }
}

/// A backup that is to be made.
#[derive(Debug)]
pub struct Packing {
    /// Of what.
    pub source: Source,
    /// What it says of itself.
    pub header: Header,
    /// How fast.
    pub pace: Pace,
    /// Who looks on.
    pub progress: Arc<Progress>,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Packed {
    /// What is in it.
    pub manifest: Manifest,
    /// Its own bytes.
    pub bytes: u64,
}

impl Packing {
    /// Writes the backup to `out` on a thread of its own, and then has `finish` see to its end there.
    pub async fn on_thread<W: Write + Send + 'static>(
        self,
        out: W,
        finish: impl FnOnce(W) -> Result<(), BackupError> + Send + 'static,
    ) -> Result<Packed, BackupError> {
        let (answer, answered) = oneshot::channel();
        let work = move || {
            // Without the permission it runs like any other.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            let packed = self.run(out).and_then(|(out, packed)| finish(out).map(|()| packed));
            // Who asked may have gone.
            let _ = answer.send(packed);
        };
        let started = thread::Builder::new().name("backup".into()).spawn(work);
        started.map_err(BackupError::unreadable("the data folder"))?;
        answered.await.unwrap_or(Err(BackupError::Cancelled))
    }

    /// Writes the backup to `out`. Blocks.
    pub fn run<W: Write>(mut self, out: W) -> Result<(W, Packed), BackupError> {
        let packed = self.write(out);
        self.source.release();
        packed
    }

    fn write<W: Write>(&mut self, out: W) -> Result<(W, Packed), BackupError> {
        self.progress.total_bytes.store(self.source.bytes(), Ordering::Relaxed);
        let mut writer = container::Writer::new(out, self.header.clone()).map_err(write_error)?;
        let mut run = Run { packing: self, began: Instant::now(), done_bytes: 0, looked_bytes: 0 };
        let mut block = vec![0; BLOCK_BYTES];
        for file in run.packing.source.take_files() {
            run.copy(&mut writer, file, &mut block)?;
        }
        let (out, manifest, bytes) = writer.finish().map_err(write_error)?;
        Ok((out, Packed { manifest, bytes }))
    }
}

struct Run<'a> {
    packing: &'a mut Packing,
    began: Instant,
    done_bytes: u64,
    looked_bytes: u64,
}

impl Run<'_> {
    fn copy<W: Write>(
        &mut self,
        writer: &mut container::Writer<W>,
        mut file: SourceFile,
        block: &mut [u8],
    ) -> Result<(), BackupError> {
        let mut digest = writer.begin(&file.name).map_err(write_error)?;
        let mut left = file.bytes;
        while left > 0 {
            self.keep_pace()?;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            let bytes = &mut block[..length];
            file.content.read_exact(bytes).map_err(BackupError::unreadable(file.name.as_str()))?;
            writer.block(&mut digest, bytes).map_err(write_error)?;
            left -= length as u64;
            self.done_bytes += length as u64;
            self.packing.progress.done_bytes.store(self.done_bytes, Ordering::Relaxed);
        }
        writer.end(digest);
        Ok(())
    }

    /// Waits until no more was read than may be by now; looks whether to go on.
    fn keep_pace(&mut self) -> Result<(), BackupError> {
        if self.done_bytes - self.looked_bytes >= LOOK_BYTES {
            self.looked_bytes = self.done_bytes;
            self.packing.source.check_growth()?;
        }
        loop {
            if self.packing.cancel.is_cancelled() {
                return Err(BackupError::Cancelled);
            }
            let Some(rate) = self.packing.pace.bytes_per_second else { return Ok(()) };
            let due = Duration::from_secs_f64(self.done_bytes as f64 / rate.get() as f64);
            let early = due.saturating_sub(self.began.elapsed());
            if early.is_zero() {
                return Ok(());
            }
            thread::sleep(early.min(SLEEP_MAX));
        }
    }
}

fn write_error(error: io::Error) -> BackupError {
    error
        .downcast::<BackupError>()
        .unwrap_or_else(|cause| BackupError::Unreadable { what: "what was to be written".into(), cause })
}
