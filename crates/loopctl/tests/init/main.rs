//! `loopctl init` on repositories as people have them: what it writes, that a second run writes nothing, and that nothing is left
//! when it is taken out again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy knows only test functions")]

mod edits;
mod golden;
mod place;
mod refusals;
mod terminal;
mod together;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A repository, and the home directory of somebody who has no hosts.
struct World {
    root: TempDir,
}

/// What a run of the binary left behind.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl World {
    fn new(text: &str) -> Self {
        let world = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["home", "repository", "outside", "programs"] {
            std::fs::create_dir(world.root.path().join(folder)).unwrap();
        }
        tree::make(&world.repository(), text);
        world
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn repository(&self) -> PathBuf {
        self.at("repository")
    }

    fn tree(&self) -> tree::Tree {
        tree::read(&self.repository())
    }

    /// `loopctl init` in the repository. It cannot ask.
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopctl"));
        command.arg("init").args(arguments.split_whitespace());
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.repository())
            .env_clear()
            .env("HOME", self.at("home"))
            .env("PATH", self.at("programs"))
            .env("LOOPCTL_SERVER", "https://loopctl.example/");
    }

    fn run(&self, arguments: &str) -> Run {
        run(self.command(arguments))
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.repository().join(path)).unwrap()
    }
}

fn run(mut command: Command) -> Run {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Makes a program of that name.
fn program(folder: &Path, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
