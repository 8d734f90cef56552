//! Names as people type them: accents, other alphabets, addresses.

use serde_json::json;

use crate::support::World;
use crate::{P1, list, project};

#[test]
fn a_name_without_a_short_form_asks_for_one() {
    let world = World::new(|_| (201, json!({"project": {"id": P1}})).into());
    for name in ["Проект", "日本", "!", "X"] {
        let run = world.run_words(&["project", "create", name], &[], "");
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(&format!("from '{name}'")) && run.stderr.contains("--slug"), "{run:?}");
    }
    assert_eq!(world.lines(), [""; 0]);
    for (words, slug) in [
        (&["project", "create", "Проект", "--slug", "proekt"][..], "proekt"),
        (&["project", "create", "Über Café 2"], "uber-cafe-2"),
        (&["project", "create", "Cafe\u{301} 2"], "cafe-2"),
    ] {
        assert_eq!(world.run_words(words, &[], "").code, 0);
        let body = world.requests().pop().unwrap().body;
        assert_eq!(
            (&body["slug"], &body["name"]),
            (&json!(slug), &json!(words[2])),
            "the name is sent as typed"
        );
    }
}

#[test]
fn a_server_address_ends_before_the_api() {
    let world = World::unconfigured();
    for words in [
        &["--server", "http://h/api/v1", "--api-key", "k", "next"][..],
        &["auth", "login", "--server", "https://h/api/v1/", "--key", "k"],
        &["config", "set", "server", "http://h:4000/api/v1"],
    ] {
        let run = world.run_words(words, &[], "");
        assert!(run.code == 2 && run.stderr.contains("leave out /api/v1"), "{run:?}");
    }
}

/// An accent is a character of its own on some keyboards, and part of its letter on others.
#[test]
fn names_are_found_however_their_accents_are_typed() {
    let (joined, apart) = ("Caf\u{e9}", "Cafe\u{301}");
    for (stored, typed) in [(joined, apart), (apart, joined)] {
        let world = World::new(move |request| match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v1/projects") => list(&[project(P1, stored, "cafe")]),
            ("GET", "/api/v1/agents") => json!({"agents": [{"id": P1, "name": stored}]}).into(),
            ("POST", _) => (201, json!({"api_key": {"id": P1}})).into(),
            _ => json!({"project": {"id": P1}}).into(),
        });
        for typed in [typed.to_owned(), typed.to_uppercase()] {
            let run = world.run_words(&["project", "info", &typed], &[], "");
            let last = world.lines().pop().unwrap();
            assert_eq!((run.code, last), (0, format!("GET /api/v1/projects/{P1}")), "{run:?}");
        }
        let words = ["keys", "create", "--name", typed, "--role", "agent", "--agent", typed];
        assert_eq!(world.run_words(&words, &[], "").code, 0);
        let sent = world.requests().pop().unwrap().body;
        assert_eq!(sent, json!({"name": typed, "role": "agent", "agent_id": P1}), "sent as typed");
    }
}
