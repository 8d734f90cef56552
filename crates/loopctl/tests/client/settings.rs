//! Where settings come from and go to: several processes at once, and options and variables that say nothing.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::World;
use crate::{P1, one_project};

/// Every process that writes the file adds to what the others have written.
#[test]
fn settings_stored_at_once_are_all_kept() {
    const ROUNDS: usize = 20;
    let world = World::unconfigured();
    let settings = [
        ("server", json!("https://a")),
        ("api_key", json!("lc_key")),
        ("format", json!("csv")),
        ("project", json!("my-app")),
        ("insecure", json!(true)),
        ("cacert", json!("ca.pem")),
    ];
    for round in 0..ROUNDS {
        world.configure(&json!({"other": round}));
        let children = settings.clone().map(|(key, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            world.command(&["config", "set", key, &value]).stdout(Stdio::null()).spawn().unwrap()
        });
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let text = std::fs::read_to_string(world.config_path()).unwrap();
        let stored: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(stored["other"], round);
        for (key, value) in &settings {
            assert_eq!(&stored[key], value, "round {round}: {stored}");
        }
    }
}

/// Whoever holds the lock makes others wait only while it lives: the lock is one of the open file, not of its name.
#[test]
fn a_lock_ends_with_its_holder() {
    let world = World::unconfigured();
    assert_eq!(world.run("config set format csv").code, 0);
    let lock = world.config_path().with_extension("json.lock");
    let holder = std::fs::File::open(&lock).unwrap();
    holder.lock().unwrap();
    let mut waiting = world.command(&["config", "set", "format", "human"]).spawn().unwrap();
    assert_eq!(world.run("config get format").stdout, "key,value\nformat,csv\n", "reading waits for nobody");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    drop(holder);
    assert!(lock.exists());
    assert_eq!(world.run("config set format human").code, 0);
}

/// What the help says can be set by the environment, for every command that reads it.
#[test]
fn an_empty_variable_counts_as_unset() {
    let world = World::new(one_project);
    let mut seen = 0;
    // Each fails for a reason of its own, which comes after the variables were read.
    for (command, arguments, reason) in [
        ("serve", ["--log", "]["], "is not a filter"),
        ("demo", ["--format", "csv"], "The demo prints --format human or json"),
    ] {
        let help = world.run_words(&[command, "--help"], &[], "").stdout;
        let names = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
        let names: Vec<&str> = names.collect();
        seen += names.len();
        for blank in ["", " "] {
            let empty: Vec<(&str, &str)> = names.iter().map(|name| (*name, blank)).collect();
            let run = world.run_words(&[command, arguments[0], arguments[1]], &empty, "");
            assert!(run.code == 2 && run.stderr.contains(reason), "{run:?}");
        }
    }
    assert!(seen >= 14, "{seen}");
    let client = ["SERVER", "API_KEY", "PROJECT", "FORMAT", "INSECURE", "CACERT", "CONFIG"];
    let client = client.map(|name| format!("LOOPCTL_{name}"));
    let empty: Vec<(&str, &str)> = client.iter().map(|name| (name.as_str(), "")).collect();
    let run = world.run_with("next", &empty, "");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(world.requests()[0].header("authorization"), Some("Bearer lc_secret_of_the_test"));
}

/// To go on without an option that was meant to say something is to act as somebody else, or elsewhere.
#[test]
fn an_empty_option_is_a_mistake_and_nothing_is_sent() {
    let world = World::new(one_project);
    for words in [
        &["next", "--api-key", ""][..],
        &["--api-key", " ", "next"],
        &["import", "-", "--project", ""],
        &["next", "--server", ""],
        &["auth", "login", "--key", ""],
        &["story", "list", "--epic", ""],
        &["project", "create", "x", "--slug", ""],
    ] {
        let run = world.run_words(words, &[("LOOPCTL_PROJECT", "my-app")], "{}");
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        assert!(run.stderr.starts_with("Error: --") && run.stderr.contains(" is empty"), "{run:?}");
    }
    // Of files and choices, the parser itself says so.
    for words in [&["claim", "2.1", "--cacert", ""], &["claim", "2.1", "--format", ""]] {
        assert_eq!(world.run_words(words, &[], "").code, 2, "{words:?}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

/// Nothing is started: the server's own settings are read first.
#[test]
fn settings_that_cannot_be_meant_are_refused_with_what_to_write() {
    let world = World::unconfigured();
    let url = "postgres://app:hunter2@db.test/x";
    for (command, option, variable, value, parts) in [
        (
            "serve",
            "--public-url",
            "LOOPCTL_PUBLIC_URL",
            "foo",
            &["http:// or https://", "LOOPCTL_PUBLIC_URL"],
        ),
        ("serve", "--public-url", "LOOPCTL_PUBLIC_URL", "ftp://x.test", &["--public-url", "as in https://"]),
        ("serve", "--public-url", "LOOPCTL_PUBLIC_URL", "http://x.test/?a=1", &["a query", "as in https://"]),
        ("serve", "--log", "LOOPCTL_LOG", "loud", &["\"loud\" is no level", "loopctl_server=debug"]),
        (
            "serve",
            "--log",
            "LOOPCTL_LOG",
            "info,loopctl_server",
            &["\"loopctl_server\"", "debug, trace or off"],
        ),
        ("serve", "--log", "LOOPCTL_LOG", "loopctl_server=loud", &["LOOPCTL_LOG", "is not a filter"]),
        ("serve", "--admin-database-url", "ADMIN_DATABASE_URL", url, &["without DATABASE_URL", "unset"]),
        ("migrate", "--admin-database-url", "ADMIN_DATABASE_URL", url, &["without DATABASE_URL", "unset"]),
        (
            "operator superadmin create-key --name root",
            "--admin-database-url",
            "ADMIN_DATABASE_URL",
            url,
            &["without DATABASE_URL", "unset"],
        ),
    ] {
        for run in [
            world.run(&format!("{command} {option} {value}")),
            world.run_with(command, &[(variable, value), ("DATABASE_URL", " ")], ""),
        ] {
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
            assert!(run.stderr.starts_with("Error: ") && !run.stderr.contains("hunter2"), "{run:?}");
            assert!(parts.iter().all(|part| run.stderr.contains(part)), "{parts:?}: {run:?}");
        }
    }
}

#[test]
fn an_empty_text_clears() {
    let world = World::new(|request| match request.method.as_str() {
        "PATCH" => json!({"project": {"id": P1}}).into(),
        _ => one_project(request),
    });
    let words = ["project", "update", "my-app", "--description", "", "--repo", "", "--mission", ""];
    assert_eq!(world.run_words(&words, &[], "").code, 0);
    let sent = world.requests().pop().unwrap().body;
    assert_eq!(sent, json!({"repo_url": "", "description": "", "mission": ""}));
}

#[test]
fn what_is_the_tenants_own_is_not_sent_among_its_settings() {
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/tenants/me" => json!({"tenant": {"id": P1}}).into(),
        _ => one_project(request),
    });
    let sent = |words: &str| {
        assert_eq!(world.run(&format!("tenant update {words}")).code, 0, "{words}");
        world.requests().pop().unwrap().body
    };
    assert_eq!(
        sent("--setting token_data_retention_days=90 --setting default_story_budget_millicents=null"),
        json!({"token_data_retention_days": 90, "default_story_budget_millicents": null})
    );
    assert_eq!(
        sent("--setting custody_mode=standard --setting max_projects=3"),
        json!({"custody_mode": "standard", "settings": {"max_projects": 3}})
    );
    assert_eq!(
        sent("--setting default_story_budget_millicents=5000 --setting max_projects=3 --setting note=null"),
        json!({"default_story_budget_millicents": 5_000, "settings": {"max_projects": 3, "note": "null"}})
    );
}
