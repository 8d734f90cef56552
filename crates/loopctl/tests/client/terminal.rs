//! A terminal that a test sits at: the binary in it, what it shows, and keys.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::termios::{LocalFlags, tcgetattr};
use pty_process::Size;
use pty_process::blocking::{Command as InTerminal, Pty};

/// How long anything may take that ought to take a moment.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

pub(crate) struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    parser: Arc<Mutex<vt100::Parser>>,
}

fn some(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

impl Terminal {
    /// Runs a command in a terminal of so many columns and rows.
    pub(crate) fn run(command: Command, (columns, rows): (u16, u16)) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let child = InTerminal::from(command).spawn(pts).unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(columns), 0)));
        let (pty, screen) = (Arc::new(pty), Arc::clone(&parser));
        let reading = Arc::clone(&pty);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It fails when nobody has the other end any more.
            while let Ok(read) = (&*reading).read(&mut bytes) {
                screen.lock().unwrap().process(&bytes[..read]);
            }
        });
        Self { pty, child, parser }
    }

    pub(crate) fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Waits until the screen is as it is wanted.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}:\n{text}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits until a text stands there.
    #[track_caller]
    pub(crate) fn see(&self, text: &str) -> String {
        self.wait(text, |shown| shown.contains(text))
    }

    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        self.parser.lock().unwrap().set_size(some(rows), some(columns));
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether lines are edited and shown as they are typed, and what was there before is there again.
    pub(crate) fn is_restored(&self) -> bool {
        let flags = tcgetattr(&*self.pty).unwrap().local_flags;
        let parser = self.parser.lock().unwrap();
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
            && !parser.screen().alternate_screen()
            && !parser.screen().hide_cursor()
    }

    /// Waits for the end of the program, and that all that it has written was seen.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
            std::thread::sleep(POLL);
        };
        while !self.is_restored() {
            assert!(Instant::now() < deadline, "the terminal is not as it was:\n{}", self.text());
            std::thread::sleep(POLL);
        }
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
