//! Where it writes when no directory is named.

use std::path::Path;

use crate::{Run, World, run, tree};

fn at(world: &World, directory: &Path, arguments: &str) -> Run {
    let mut command = world.command(arguments);
    command.current_dir(directory);
    run(command)
}

#[test]
fn neither_a_home_nor_the_whole_machine_is_a_repository() {
    let world = World::new("");
    for repository in [false, true] {
        if repository {
            std::fs::create_dir(world.at("home/.git")).unwrap();
        }
        let before = tree::read(&world.at("home"));
        for (place, arguments) in
            [(world.at("home"), "--yes"), (world.at("home"), "--remove --yes"), ("/".into(), "--dry-run")]
        {
            let run = at(&world, &place, arguments);
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
            let said = format!("Error: {} is no repository: ", place.canonicalize().unwrap().display());
            assert!(
                run.stderr.starts_with(&said) && run.stderr.contains("--dir . if you mean this"),
                "{run:?}"
            );
        }
        assert_eq!(tree::read(&world.at("home")), before);
    }
    // Whoever names it means it.
    assert_eq!(at(&world, &world.at("home"), "--dir . --yes").code, 0);
    assert!(world.at("home/AGENTS.md").exists());
}

#[test]
fn a_folder_of_a_repository_stands_for_its_root() {
    let whole = World::new("--- .git/\n--- src/deep/\n");
    assert_eq!(whole.run("--host codex --yes").stderr, "");
    for git in ["--- .git/\n", "--- .git\ngitdir: elsewhere\n"] {
        let world = World::new(&format!("{git}--- src/deep/\n"));
        let root = world.repository().canonicalize().unwrap();
        let deep = world.repository().join("src/deep");
        let run = at(&world, &deep, "--host codex --yes");
        assert_eq!(run.code, 0, "{run:?}");
        let said =
            format!("In {}, the root of this repository (--dir . is this directory alone)\n", root.display());
        assert_eq!(run.stderr, said);
        let body: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(body["data"]["directory"], root.display().to_string());
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0);
        assert_eq!(world.text("AGENTS.md"), whole.text("AGENTS.md"));
        assert_eq!(at(&world, &deep, "--remove --yes").code, 0);
        // Named, it is meant.
        let run = at(&world, &deep, "--dir . --host codex --yes");
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        assert!(deep.join("AGENTS.md").exists() && !world.repository().join("AGENTS.md").exists());
    }
}

/// Settings are often kept in a repository that is the home directory itself.
#[test]
fn a_home_in_git_is_not_the_root_of_what_is_in_it() {
    let world = World::new("");
    for folder in ["home/.git", "home/work"] {
        std::fs::create_dir(world.at(folder)).unwrap();
    }
    let run = at(&world, &world.at("home/work"), "--yes");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert!(world.at("home/work/AGENTS.md").exists() && !world.at("home/AGENTS.md").exists());
}
