//! What somebody has changed in what was put in stays, and is said, unless it is to go; and so do folders that were there before.

use crate::refusals::ALL;
use crate::{Run, World};

const SKILL: &str = ".agents/skills/loopctl/SKILL.md";

/// The files that were left as they are, with what is said of them.
fn kept(run: &Run) -> Vec<(&str, &str)> {
    let rows = run.stdout.lines().map(|line| line.splitn(4, ',').collect::<Vec<_>>());
    rows.filter(|row| row[2] == "keep").map(|row| (row[0], row[3])).collect()
}

/// Changes a file as somebody would in an editor.
fn edit(world: &World, path: &str, old: &str, new: &str) {
    let text = world.text(path);
    assert!(text.contains(old), "{path}: {text}");
    std::fs::write(world.repository().join(path), text.replacen(old, new, 1)).unwrap();
}

/// A repository in which everything that is not JSON was changed.
fn edited(before: &str) -> World {
    let world = World::new(before);
    assert_eq!(world.run(&format!("{ALL} --yes")).code, 0);
    edit(&world, "AGENTS.md", "- One story at a time", "- Ask Ann first.\n- One story at a time");
    edit(&world, SKILL, "## Refusals", "## What Ann says\n\n## Refusals");
    edit(&world, "CLAUDE.md", "@AGENTS.md", "@AGENTS.md\n@docs/style.md");
    edit(&world, ".codex/config.toml", "args = [\"mcp\"]", "args = [\"mcp\", \"--timeout\", \"9\"]");
    world
}

const EDITED: [&str; 4] = ["AGENTS.md", SKILL, "CLAUDE.md", ".codex/config.toml"];

#[test]
fn what_somebody_has_changed_is_not_thrown_away() {
    let world = edited("--- AGENTS.md\n# Rules\n");
    let as_edited = world.tree();
    for (arguments, code, forced) in [
        (format!("{ALL} --yes"), 0, "replaces it"),
        (format!("{ALL} --role reviewer --dry-run"), 1, "replaces it"),
        ("--remove --dry-run".to_owned(), 1, "takes it out"),
    ] {
        let run = world.run(&format!("{arguments} --format csv"));
        assert_eq!(run.code, code, "{run:?}");
        let kept = kept(&run);
        assert_eq!(kept.iter().map(|(path, _)| *path).collect::<Vec<_>>(), EDITED, "{arguments}");
        for (path, said) in kept {
            let what = if path == SKILL { "the skill" } else { "what is between loopctl's markers" };
            let whole =
                format!("{what} was changed by somebody else; it is left as it is (--force {forced})");
            assert_eq!(said, whole, "{path}");
        }
        assert_eq!(world.tree(), as_edited, "{arguments}");
    }
    // Taking out leaves them, and a third time as well.
    assert_eq!(world.run("--remove --yes").code, 0);
    for path in EDITED {
        assert!(world.repository().join(path).exists(), "{path}");
    }
    assert!(world.text("AGENTS.md").contains("Ask Ann first."));
    assert!(!world.repository().join(".mcp.json").exists());
    assert_eq!(kept(&world.run("--remove --yes --format csv")).len(), 4);
}

#[test]
fn it_goes_by_force_and_the_diff_shows_it() {
    let before = "--- AGENTS.md\n# Rules\n";
    let untouched = World::new(before);
    assert_eq!(untouched.run(&format!("{ALL} --yes")).code, 0);
    let world = edited(before);
    let run = world.run(&format!("{ALL} --force --dry-run --format human"));
    for line in ["-- Ask Ann first.\n", "-## What Ann says\n", "-@docs/style.md\n"] {
        assert!(run.code == 1 && run.stdout.contains(line), "{run:?}");
    }
    assert_eq!(kept(&world.run(&format!("{ALL} --force --yes --format csv"))), []);
    assert_eq!(world.tree(), untouched.tree());
    let world = edited(before);
    assert_eq!(kept(&world.run("--remove --force --yes --format csv")), []);
    assert_eq!(world.tree(), World::new(before).tree());
}

/// A file of a system that ends lines otherwise, or one of a version before, is nobody's edit.
#[test]
fn other_ends_of_lines_are_no_change() {
    let world = World::new("");
    assert_eq!(world.run(&format!("{ALL} --yes")).code, 0);
    for path in EDITED {
        let text = world.text(path).replace('\n', "\r\n");
        std::fs::write(world.repository().join(path), text).unwrap();
    }
    assert_eq!(kept(&world.run(&format!("{ALL} --role orchestrator --yes --format csv"))), []);
    assert_eq!(kept(&world.run("--remove --yes --format csv")), []);
    assert!(world.tree().is_empty(), "{:?}", world.tree());
}

#[test]
fn empty_folders_that_were_there_stay() {
    let before = "--- .codex/\n--- .github/\n--- .claude/skills/\n--- .agents/skills/loopctl/\n";
    let world = World::new(before);
    let as_before = world.tree();
    for _ in 0..2 {
        assert_eq!(world.run(&format!("{ALL} --yes")).code, 0);
        assert_eq!(world.run(&format!("{ALL} --role reviewer --yes")).code, 0);
        assert_eq!(world.run("--remove --host codex --yes").code, 0);
        assert!(world.repository().join(".codex").is_dir());
        assert_eq!(world.run("--remove --yes").code, 0);
        assert_eq!(world.tree(), as_before);
    }
    // What is made afterwards goes again.
    for folder in [".codex", ".github"] {
        std::fs::remove_dir(world.repository().join(folder)).unwrap();
    }
    assert_eq!(world.run(&format!("{ALL} --yes")).code, 0);
    assert_eq!(world.run("--remove --yes").code, 0);
    assert_eq!(world.tree(), World::new("--- .claude/skills/\n--- .agents/skills/loopctl/\n").tree());
    let state = world.at("home/.local/state/loopctl/init");
    assert_eq!(std::fs::read_dir(state).unwrap().count(), 0, "nothing is left to be known");
}
