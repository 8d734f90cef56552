//! `bin/precommit`, on a small crate of its own: what is wrong it names, and it fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::containers::compose::repository;
use crate::scripts::program;
use crate::support::{Run, Scratch};

const WELL: &str = "#[test]\nfn holds() {\n    assert_eq!(1 + 1, 2);\n}\n";

/// A crate without dependencies, with the gate as it is and everything else as small as can be.
fn workspace(dir: &Path) {
    for (path, text) in [
        (
            "Cargo.toml",
            "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
        ),
        ("Makefile", "test:\n\t@cargo test --quiet\n"),
    ] {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    fs::create_dir(dir.join("src")).unwrap();
    fs::create_dir(dir.join("bin")).unwrap();
    fs::copy(repository("bin/precommit"), dir.join("bin/precommit")).unwrap();
    program(&dir.join("bin"), "prepare", "exec \"$@\"");
}

fn gate(dir: &Path, source: &str) -> Run {
    fs::write(dir.join("src/lib.rs"), source).unwrap();
    let mut command = Command::new("sh");
    command
        .arg(dir.join("bin/precommit"))
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env("SKIP", "unused audit scripts containers workflows smoke")
        // What a run of coverage or of another make has set is not for this one.
        .env_remove("RUSTFLAGS")
        .env_remove("MAKEFLAGS");
    Run::of(command.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn what_is_not_formatted_not_clean_or_not_green_does_not_pass() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    workspace(dir);
    let well = gate(dir, WELL);
    well.success();
    assert!(well.stdout.ends_with("all is well\n"), "{well:?}");
    for (source, named) in [
        (WELL.replace("1 + 1", "1+1"), "formatting"),
        (format!("fn nobody_calls() {{}}\n\n{WELL}"), "lint"),
        (WELL.replace('2', "3"), "tests"),
    ] {
        let refused = gate(dir, &source);
        refused.failure(1);
        assert!(refused.stdout.ends_with(&format!("\nfailed: {named}\n")), "{named}: {refused:?}");
    }
}
