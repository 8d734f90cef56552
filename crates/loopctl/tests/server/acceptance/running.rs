//! A command that goes on until somebody ends it.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};

/// Killed when dropped.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn of(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// What it prints, line by line, until it ends.
    pub(super) fn lines_of_stdout(&mut self) -> Receiver<String> {
        lines(self.0.stdout.take().unwrap())
    }

    /// As [`Self::lines_of_stdout`], of what it says beside it.
    pub(super) fn lines_of_stderr(&mut self) -> Receiver<String> {
        lines(self.0.stderr.take().unwrap())
    }

    pub(super) fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
