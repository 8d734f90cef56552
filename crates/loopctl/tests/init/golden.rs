//! Golden files: each has the options of a run, a repository before and after it, what the run says, and what is left when it is
//! taken out again, where that is not the repository as it was.
//!
//! What agents read is written out once, in `no_host.txt`, and named in the others.
//!
//! `LOOPCTL_TEST_RECORD=1` writes what comes after `## before` anew; look at it.

use std::path::{Path, PathBuf};

use crate::World;
use crate::tree::{self, Tree, written};

#[test]
fn repositories_are_set_up_and_as_before() {
    let recording = std::env::var_os("LOOPCTL_TEST_RECORD").is_some();
    let mut differing = Vec::new();
    let paths = cases();
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        let expected = std::fs::read_to_string(&path).unwrap();
        let found = record(&expected, &path);
        if recording {
            std::fs::write(&path, found).unwrap();
        } else if found != expected {
            differing.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/init/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Goes through a case, and writes down what came of it.
fn record(case: &str, path: &Path) -> String {
    let (head, rest) = case.split_once("## before\n").unwrap();
    let before_text = rest.split("## after\n").next().unwrap();
    let options = head.split_once("$ loopctl init").unwrap().1.trim();
    let world = World::new(before_text);
    let before = world.tree();
    let name = path.display().to_string();

    let run = world.run(&format!("{options} --yes --format csv"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{name}: {run:?}");
    let after = world.tree();

    // Nothing changes the second time.
    let again = world.run(&format!("{options} --dry-run --format csv"));
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{name}: {again:?}");
    let again = world.run(&format!("{options} --format csv"));
    assert_eq!(again.code, 0, "{name}: {again:?}");
    let actions: Vec<_> = again.stdout.lines().skip(1).map(|line| line.split(',').nth(2).unwrap()).collect();
    assert!(actions.iter().all(|action| ["unchanged", "keep"].contains(action)), "{name}: {actions:?}");
    assert_eq!(world.tree(), after, "{name}");

    // Another role and another server are as if they had been there from the beginning.
    let other = World::new(before_text);
    let options_of_other = format!("{options} --yes --server http://localhost:1 --role orchestrator");
    if !options.contains("--role") {
        assert_eq!(other.run(&options_of_other).code, 0, "{name}");
        assert_eq!(world.run(&options_of_other).code, 0, "{name}");
        assert_eq!(written(&world.tree()), written(&other.tree()), "{name}");
    }

    // And with its files go the folders that were made for them.
    let removal = world.run("--remove --yes --format csv");
    assert_eq!((removal.code, removal.stderr.as_str()), (0, ""), "{name}: {removal:?}");
    let left = world.tree();
    let removal = world.run("--remove --dry-run");
    assert_eq!(removal.code, 0, "{name}: {removal:?}");

    let whole = name.ends_with("no_host.txt");
    let shown = |tree: &Tree| if whole { written(tree) } else { shortened(&written(tree)) };
    let after = shown(&after);
    let mut text = format!("{head}## before\n{before_text}## after\n{after}## says\n{}", run.stdout);
    if left != before {
        text += &format!("## removed\n{}", shown(&left));
    }
    text
}

/// A repository without the text that is the same in all of them.
fn shortened(written: &str) -> String {
    let world = World::new("");
    assert_eq!(world.run("--yes").code, 0);
    let block = world.text("AGENTS.md");
    let agents: String =
        block.lines().filter(|line| !line.starts_with("<!-- ")).map(|line| format!("{line}\n")).collect();
    let with_carriage_returns = agents.replace('\n', "␍\n");
    let text = written.replace(&agents, "[the loop]\n").replace(&with_carriage_returns, "[the loop]␍\n");
    text.replace(&world.text(".agents/skills/loopctl/SKILL.md"), "[the skill]\n")
}

#[test]
fn what_is_written_down_is_what_was_there() {
    let text = "--- a\nb\n--- c/d -> ../a\n--- e/\n--- f\nx␍\ny␄\n--- g\n";
    let world = World::new(text);
    assert_eq!(written(&world.tree()), text);
    assert_eq!(world.text("f"), "x\r\ny");
    let copy = World::new(&written(&world.tree()));
    assert_eq!(tree::read(&copy.repository()), world.tree());
}
