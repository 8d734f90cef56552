//! What a server needs before it starts, said by the binary itself, and by the script that starts it in production.

use std::process::{Command, Stdio};

use super::refused;
use crate::containers::compose::repository;
use crate::support::{Run, Scratch, run};

/// 32 bytes, and half of it.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const HALF: &str = "AQEBAQEBAQEBAQEBAQEBAQ==";

#[test]
fn half_a_key_starts_nothing() {
    let dir = Scratch::new();
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    let database = ("DATABASE_URL", "ecto://app:p%40ss@127.0.0.1:1/x");
    for command in ["serve --port 0", "worker", "operator secrets reencrypt"] {
        for place in [data_dir, database] {
            for variable in ["CLOAK_KEY", "CLOAK_RETIRED_KEYS"] {
                let run = run(command, &[place, (variable, HALF)]);
                refused(&run, 2, &format!("{variable} is not a key"));
                assert!(run.stderr.contains("32 bytes in base64, such as `openssl rand -base64 32` makes"));
                assert!(!run.stderr.contains(HALF), "{run:?}");
            }
        }
    }
    assert!(!dir.path().exists());
}

/// The very binary, as the image starts it.
fn in_production(environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(repository("deploy/bin/server"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOOPCTL_BINARY", env!("CARGO_BIN_EXE_loopctl"))
        .envs(environment.iter().copied());
    Run::of(command.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn in_production_all_that_is_missing_is_named_at_once() {
    let nothing = in_production(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (1, ""), "{nothing:?}");
    let lines: Vec<&str> = nothing.stderr.lines().collect();
    for (line, variable) in lines.iter().zip(["DATABASE_URL", "SECRET_KEY_BASE", "CLOAK_KEY"]) {
        assert!(line.contains(&format!("{variable} is missing: ")), "{nothing:?}");
    }
    assert_eq!(lines.len(), 3, "{nothing:?}");

    // With all of it, the binary comes as far as the database, by its password.
    let secret = "s".repeat(64);
    let mut environment =
        vec![("DATABASE_URL", "ecto://app:p%40ss@127.0.0.1:1/x"), ("SECRET_KEY_BASE", secret.as_str())];
    let without = in_production(&environment);
    assert!(without.failure(1).contains("CLOAK_KEY is missing"), "{without:?}");
    environment.push(("CLOAK_KEY", HALF));
    assert!(in_production(&environment).failure(1).contains("CLOAK_KEY is no key"));
    environment.pop();
    environment.push(("CLOAK_KEY", KEY));
    let started = in_production(&environment);
    refused(&started, 1, "Connection refused");
    assert!(!format!("{started:?}").contains("p%40ss") && !format!("{started:?}").contains("p@ss"));
}
