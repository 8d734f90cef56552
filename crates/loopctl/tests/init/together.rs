//! Several at once, and what is shown of what others have written.

use std::sync::Barrier;

use crate::World;
use crate::refusals::ALL;

/// Of those that write at the same time each writes everything or nothing, and nobody's halves are left.
#[test]
fn several_at_once_take_turns() {
    let roles = ["implementer", "reviewer", "orchestrator", "implementer"];
    let before = "--- AGENTS.md\n# Rules\n--- .mcp.json\n{\"mcpServers\": {\"other\": {}}}\n";
    let alone = roles.map(|role| {
        let world = World::new(before);
        assert_eq!(world.run(&format!("{ALL} --role {role} --yes")).code, 0);
        world.tree()
    });
    for _ in 0..5 {
        let world = World::new(before);
        let together = Barrier::new(roles.len());
        let written = std::thread::scope(|scope| {
            let runs = roles.map(|role| {
                let (world, together) = (&world, &together);
                scope.spawn(move || {
                    together.wait();
                    world.run(&format!("{ALL} --role {role} --yes"))
                })
            });
            let ends = runs.map(|run| run.join().unwrap());
            for run in &ends {
                let is_late = run.code == 2
                    && run.stderr.ends_with("has changed meanwhile. Nothing was written; run init again\n");
                assert!(run.code == 0 || is_late, "{run:?}");
            }
            ends.iter().filter(|run| run.code == 0).count()
        });
        assert!(written > 0);
        assert!(alone.contains(&world.tree()), "{:?}", world.tree());
        assert_eq!(world.run("--remove --yes").code, 0);
        assert_eq!(world.tree(), World::new(before).tree());
    }
}

/// However it is written: on one line, with what is ours beside it, or as the last thing in the file.
#[test]
fn a_diff_shows_no_secrets_of_others() {
    let servers =
        r#"{"mcpServers": {"other": {"command": "other", "env": {"KEY": "hunter2", "PIN": 771177}}}}"#;
    let hooks = "{\n  // hunter2 is for all\n  \"hooks\": {\n    \"Stop\": [\n      {\"command\": \"curl -u me:hunter2 x\"} // not hunter2\n    ]\n  }\n}\n";
    let last = "{\n  \"servers\": {\n    \"other\": \"hunter2\"\n  }\n}\n";
    let before = format!(
        "--- .mcp.json\n{servers}␄\n--- .claude/settings.json\n{hooks}--- .vscode/mcp.json\n{last}\
         --- .cursor/mcp.json\n{{\n  \"key\": \"hunter2\"\n}}\n--- .codex/config.toml\nkey = 'hunter2'␄\n"
    );
    let world = World::new(&before);
    let clean = |arguments: &str, code: i32| {
        let run = world.run(arguments);
        assert_eq!(run.code, code, "{run:?}");
        for secret in ["hunter2", "771177"] {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{arguments}: {run:?}");
        }
        run.stdout
    };
    for format in ["human", "json", "csv"] {
        clean(&format!("{ALL} --dry-run --format {format}"), 1);
    }
    let shown = clean(&format!("{ALL} --yes --format human"), 0);
    assert!(shown.contains("\"LOOPCTL_SERVER\": \"https://loopctl.example\""), "{shown}");
    assert!(shown.contains("-    \"other\": …\n+    \"other\": …,\n+    \"loopctl\": {\n"), "{shown}");
    clean(&format!("{ALL} --role reviewer --server https://other.example --dry-run --format human"), 1);
    clean("--remove --dry-run --format human", 1);
    clean("--remove --yes", 0);
    assert_eq!(world.tree(), World::new(&before).tree());
}
