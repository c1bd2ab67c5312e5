//! The supervisor of one game server: a small process of its own that outlives Greenroom.
//!
//! It holds the server's pipes and writes its log, sets its limits, sees when it is ready, ends it
//! when it is asked to, and records how it ended. While it lives it holds the lock in the server's
//! folder; when it dies the system kills the server. It tells every change on the control socket and
//! takes commands there.
//!
//! One thread around one `poll`, no runtime: a thousand of these must be affordable.

mod control;
mod limits;
mod log;
mod readiness;
mod run;
mod spawn;

pub(crate) use self::{
    limits::remove as remove_cgroups,
    log::{LAST_LINE_BYTES_MAX, LAST_LINES_MAX, Log, now},
    readiness::CHECK_SDK,
};

use std::{
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixListener, unix::net::UnixStream},
    path::Path,
    process::ExitCode,
};

use rustix::fs::{FileType, fstat};

use crate::{
    folder::{Folder, Status},
    model::Phase,
    procfs::{self, Identity},
};

/// Runs the game server that `folder` describes, to its end.
///
/// To be called first thing in a process that the provider started for this: its standard input is
/// the control socket, its standard output the lock. Whoever calls it by hand is told so.
pub fn main(folder: &Path) -> ExitCode {
    match supervise(Folder::new(folder.to_owned())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nowhere_else_to_say_it = writeln!(io::stderr(), "supervise {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn supervise(folder: Folder) -> io::Result<()> {
    let (listener, lock) = take_over_descriptors()?;
    // Signals meant for Greenroom's terminal or session are not for us.
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    // Descendants that lose their parent become our children, so that none is out of reach.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;

    let pid = std::process::id().cast_signed();
    let me = Identity::of(pid).ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    let boot_id = procfs::boot_id();
    let spec = folder.read_spec()?;
    rustix::io::pwrite(&lock, format!("{boot_id} {} {}\n", me.pid, me.start_ticks).as_bytes(), 0)?;
    let status = Status { boot_id, supervisor: me, game: None, phase: Phase::Starting, cgroups: Vec::new() };
    folder.write_status(&status)?;

    let signals = Signals::catch()?;
    let result = run::run(folder, spec, status, listener, signals);
    drop(lock);
    result
}

/// Takes the control socket and the lock from where the provider put them, and leaves `/dev/null`.
fn take_over_descriptors() -> io::Result<(UnixListener, OwnedFd)> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let given = FileType::from_raw_mode(fstat(stdin)?.st_mode) == FileType::Socket
        && FileType::from_raw_mode(fstat(stdout)?.st_mode) == FileType::RegularFile;
    if !given {
        return Err(io::Error::other(
            "this is started by Greenroom for each game server, not by hand; use `greenroom allocate`",
        ));
    }
    let listener = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let lock = rustix::io::fcntl_dupfd_cloexec(stdout, 3)?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    let listener = UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    Ok((listener, lock))
}

/// Signals as readable descriptors.
struct Signals {
    child: UnixStream,
    terminate: UnixStream,
    /// Caught and left lying there. Ignoring them would be inherited by the game server.
    _hangup: UnixStream,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM};
        let catch = |signals: &[i32]| {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            for signal in signals {
                signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
            }
            io::Result::Ok(read)
        };
        Ok(Self {
            child: catch(&[SIGCHLD])?,
            terminate: catch(&[SIGTERM, SIGINT])?,
            _hangup: catch(&[SIGHUP, SIGPIPE])?,
        })
    }
}

/// Empties a signal's descriptor; whether there was one.
fn drain(mut signal: &UnixStream) -> bool {
    let mut buffer = [0; 64];
    let mut any = false;
    while matches!(signal.read(&mut buffer), Ok(length) if length > 0) {
        any = true;
    }
    any
}
