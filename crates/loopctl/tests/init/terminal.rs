//! At a terminal it shows, asks, and takes no answer for a no.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;

use nix::pty::openpty;

use crate::World;

/// Runs with a terminal and types `answer`. What the terminal shows, and the exit code.
fn at_terminal(mut command: Command, answer: &str) -> (String, i32) {
    let terminal = openpty(None, None).unwrap();
    let (mut keyboard, inside) = (File::from(terminal.master), File::from(terminal.slave));
    command.stdin(inside.try_clone().unwrap());
    command.stdout(inside.try_clone().unwrap());
    command.stderr(inside);
    let mut child = command.spawn().unwrap();
    // It holds the terminal's other end.
    drop(command);
    keyboard.write_all(answer.as_bytes()).unwrap();
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    // Nobody holds the other end any more: that is an error here, and the end.
    while let Ok(length @ 1..) = keyboard.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
    }
    (String::from_utf8(shown).unwrap().replace("\r\n", "\n"), child.wait().unwrap().code().unwrap())
}

#[test]
fn it_shows_and_asks() {
    let world = World::new("--- AGENTS.md\nx\n");
    let before = world.tree();
    for answer in ["n\n", "\n", "what\n", "\u{4}"] {
        let (shown, code) = at_terminal(world.command("--format human"), answer);
        assert_eq!(code, 1, "{shown}");
        assert!(shown.contains("\u{1b}[32m+<!-- loopctl:begin "), "{shown}");
        assert!(shown.contains("Change 2 files? (y/N)\n"), "{shown}");
        assert!(shown.contains("Nothing was written\n"), "{shown}");
        assert_eq!(world.tree(), before);
    }
    let (shown, code) = at_terminal(world.command(""), "y\n");
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains('\u{1b}') && shown.contains("\"written\": true"), "{shown}");
    assert!(world.text("AGENTS.md").contains("## Work is tracked in loopctl"));
    let (shown, code) = at_terminal(world.command("--remove"), "y\n");
    assert_eq!(code, 0, "{shown}");
    assert_eq!(world.tree(), before);
}

#[test]
fn colours_can_be_declined() {
    let world = World::new("");
    for (environment, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let mut command = world.command("--dry-run --format human");
        command.envs(environment.iter().copied());
        let (shown, code) = at_terminal(command, "");
        assert_eq!((code, shown.contains('\u{1b}')), (1, coloured), "{shown}");
        assert!(shown.contains("+++ AGENTS.md"), "{shown}");
    }
}
