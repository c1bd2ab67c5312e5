//! A program in a terminal of its own.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use greenroom_test_support::wait_for;
use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

/// Nothing here takes this long; what does has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program whose standard input, output and error are a terminal; killed on drop.
pub(crate) struct Pty {
    child: Child,
    controller: File,
    /// Kept open, so that what the terminal is like can be asked after the program has ended.
    terminal: File,
    shown: Arc<Mutex<String>>,
}

impl Pty {
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let terminal = File::from(terminal);
        let own = || terminal.try_clone().unwrap();
        command.env("TERM", "xterm-256color").stdin(own()).stdout(own()).stderr(own());
        let child = command.spawn().unwrap();
        let controller = File::from(controller);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, written) = (controller.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut unread = Vec::new();
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                unread.extend_from_slice(&bytes[..count]);
                let good = std::str::from_utf8(&unread).map_or_else(|error| error.valid_up_to(), str::len);
                let text = String::from_utf8(unread.drain(..good).collect()).unwrap();
                written.lock().unwrap().push_str(&text);
            }
        });
        Self { child, controller, terminal, shown }
    }

    /// Everything that was written to the terminal so far.
    pub(crate) fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Forgets what was written so far.
    pub(crate) fn forget(&self) {
        self.shown.lock().unwrap().clear();
    }

    pub(crate) async fn until(&self, text: &str) {
        let is_there = wait_for(|| self.shown().contains(text), PATIENCE).await;
        assert!(is_there, "{text:?} is not shown:\n{:?}", self.shown());
    }

    pub(crate) fn types(&mut self, keys: &[u8]) {
        self.controller.write_all(keys).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program has ended; gives its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        let ended = wait_for(
            || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            },
            PATIENCE,
        );
        assert!(ended.await, "it does not end:\n{:?}", self.shown());
        status.unwrap().code()
    }

    /// Whether the terminal shows what is typed, and hands it over by lines, as before a program took it.
    pub(crate) fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
