//! `loopctl demo`.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Scratch, run, wait_for};

/// What the seed decides: everything but names and times.
fn numbers(report: &Value) -> Value {
    let mut numbers = report.clone();
    numbers.as_object_mut().unwrap().remove("seconds");
    numbers["proof"].as_object_mut().unwrap().remove("stories");
    numbers
}

#[test]
fn a_seed_gives_the_same_numbers_every_time() {
    let first = run("demo --seed 7 --format json", &[]).json();
    let second = run("demo --seed 7 --format json", &[]).json();
    assert_eq!(numbers(&first), numbers(&second));

    let stories = first["stories"].as_u64().unwrap();
    assert_eq!(first["accepted"]["verifications"].as_u64(), Some(stories));
    assert_eq!(first["proof"]["exceptions"], 0);
    let sentence = format!(
        "{stories} of {stories} stories that are verified by `loop` keep to the invariant; 0 exceptions"
    );
    assert_eq!(first["proof"]["line"], sentence.as_str());
    let invariant = first["proof"]["invariant"].as_str().unwrap();
    assert!(invariant.starts_with("no story is verified by `loop` unless"), "{invariant}");
    assert!(first["accepted"]["rejections"].as_u64() > Some(0));
    let kinds = first["refused"]["kinds"].as_array().unwrap();
    for attempt in [
        "report the own story as done",
        "give the own story to a puppet and verify it",
        "drop the criteria of the own story",
        "verify a story whose criteria changed after its review",
        "delete a story in work and import it as verified",
    ] {
        let kind = kinds.iter().find(|kind| kind["attempt"] == attempt).unwrap();
        assert!(kind["count"].as_u64() > Some(0) && kind["example"].is_string(), "{kind}");
    }
}

#[test]
fn it_leaves_nothing_in_the_temporary_directory_however_it_ends() {
    let temporary = Scratch::new();
    std::fs::create_dir(temporary.path()).unwrap();
    let listing = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
    let tmp = [("TMPDIR", temporary.path().to_str().unwrap())];

    let human = run("demo --agents 2", &tmp);
    assert_eq!(human.code, 0, "{human:?}");
    assert!(human.stdout.trim_end().ends_with("; 0 exceptions"), "{human:?}");
    assert_eq!(human.stderr, "", "no progress bar where nobody watches, and no log");
    assert_eq!(listing(temporary.path()), 0);

    let mut child = Command::new(env!("CARGO_BIN_EXE_loopctl"))
        .arg("demo")
        .envs(tmp)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("directory of the demo", || (listing(temporary.path()) > 0).then_some(()));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let status = wait_for("end of the demo", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert_eq!(listing(temporary.path()), 0);
}

#[test]
fn it_does_not_touch_a_directory_that_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "").unwrap();
    let refused = run(&format!("demo --data-dir {}", dir.path().display()), &[]);
    assert!(refused.failure(2).contains("is not empty"), "{refused:?}");
    assert!(run("demo --format csv", &[]).failure(2).contains("human or json"));
}
