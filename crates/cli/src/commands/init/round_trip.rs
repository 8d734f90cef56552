//! Put in and taken out again: whatever somebody has written, every byte of it is as before.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::block::{MARKDOWN, Rest, TOML};
use super::hosts::{Host, Role};
use super::json::{self, Entry, Left};
use super::plan::{Change, Direction, Disk, Found, plan};
use super::targets::{Content, Wish, targets};

fn wish(role: Role) -> Wish {
    Wish { hosts: Host::ALL.to_vec(), role, server: "https://loopctl.example".to_owned(), force: false }
}

/// The entries and companions of every JSON file.
fn json_files(role: Role) -> Vec<(&'static str, Vec<Entry>, Map<String, Value>)> {
    let contents = targets(&wish(role)).into_iter().map(|target| (target.path, target.content));
    contents
        .filter_map(|(path, content)| match content {
            Content::Json { entries, companions } => Some((path, entries, companions)),
            _ => None,
        })
        .collect()
}

/// What stands between two tokens of JSON with comments.
fn space() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        8 => Just(String::new()),
        8 => Just(" ".to_owned()),
        4 => Just("\n  ".to_owned()),
        2 => Just("\r\n\t".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("/* , \" } */".to_owned()),
        1 => Just("// ] \"mcpServers\": {\n".to_owned()),
        1 => Just("// x\r\n    ".to_owned()),
    ];
    prop::collection::vec(one, 0..3).prop_map(|parts| parts.concat())
}

/// Members that entries look for, and others.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("mcpServers".to_owned()),
        Just("servers".to_owned()),
        Just("hooks".to_owned()),
        Just("Stop".to_owned()),
        Just("stop".to_owned()),
        Just("version".to_owned()),
        "[a-z\"\\\\é]{0,4}".prop_map(|key| key),
    ]
}

/// JSON with comments, trailing commas and odd spaces, as somebody may have written it.
fn text(depth: u32) -> BoxedStrategy<String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1.50e3".to_owned()),
        "[ -~é\n]{0,6}".prop_map(|text| Value::from(text).to_string()),
    ];
    if depth == 0 {
        return scalar.boxed();
    }
    let items = prop::collection::vec((space(), text(depth - 1), space()), 0..3);
    let list = (items, space(), any::<bool>()).prop_map(|(items, empty, comma)| {
        let items: Vec<_> = items.into_iter().map(|(before, item, after)| before + &item + &after).collect();
        enclosed('[', &items, &empty, comma, ']')
    });
    prop_oneof![1 => scalar, 1 => list, 3 => object(depth)].boxed()
}

fn object(depth: u32) -> BoxedStrategy<String> {
    let spaces = || (space(), space(), space(), space());
    let member = (key(), text(depth - 1), spaces());
    (prop::collection::vec(member, 0..4), space(), any::<bool>())
        .prop_map(|(members, empty, comma)| {
            let mut seen = std::collections::HashSet::new();
            let members: Vec<_> = members
                .into_iter()
                .filter(|(key, ..)| seen.insert(key.clone()))
                .map(|(key, value, (a, b, c, d))| format!("{a}{}{b}:{c}{value}{d}", Value::from(key)))
                .collect();
            enclosed('{', &members, &empty, comma, '}')
        })
        .boxed()
}

fn enclosed(open: char, items: &[String], empty: &str, comma: bool, close: char) -> String {
    let comma = if comma && !items.is_empty() { "," } else { "" };
    format!("{open}{}{comma}{empty}{close}", items.join(","))
}

proptest! {
    #[test]
    fn json_is_as_before(text in (space(), object(3), space()).prop_map(|(a, text, b)| a + &text + &b)) {
        let before = json::read(&text).unwrap();
        for (path, entries, companions) in json_files(Role::Implementer) {
            // What has something else where an entry belongs is refused.
            let Ok((put, kept)) = json::put(&text, &entries) else { continue };
            prop_assert!(kept.is_empty());
            let after = json::read(&put).unwrap();
            for entry in &entries {
                let there = &after[entry.keys[0]][entry.keys[1]];
                let there = if entry.listed { there.as_array().unwrap().last().unwrap() } else { there };
                prop_assert_eq!(there, &entry.value, "{}", path);
            }
            for (key, value) in before.as_object().unwrap() {
                let ours = entries.iter().any(|entry| entry.keys[0] == key);
                prop_assert!(ours || after[key] == *value, "{}: {}", path, key);
            }
            prop_assert_eq!(&json::put(&put, &entries).unwrap().0, &put, "a second time");
            let taken = json::take(&put, &entries, &companions).unwrap();
            prop_assert_eq!(taken, Left::Text(text.clone()), "{}: {}", path, put);

            // With another key in between.
            let others = json_files(Role::Reviewer);
            let (_, other, _) = others.iter().find(|(other, ..)| *other == path).unwrap();
            let changed = json::put(&put, other).unwrap().0;
            prop_assert_eq!(json::take(&changed, &entries, &companions).unwrap(), Left::Text(text.clone()));
        }
    }

    #[test]
    fn text_is_as_before(text in "([a-z# \r\n\u{e9}-]|\r\n|<!--|-->){0,40}", body in "[a-z\n ]{0,20}") {
        for markers in [MARKDOWN, TOML] {
            let put = markers.put(Some(&text), &body).unwrap();
            prop_assert_eq!(&markers.put(Some(&put), &body).unwrap(), &put);
            let changed = markers.put(Some(&put), "other").unwrap();
            for put in [put, changed] {
                prop_assert_eq!(markers.take(&put).unwrap(), Some(Rest::Text(text.clone())), "{:?}", put);
            }
        }
    }
}

#[test]
fn a_file_of_its_own_goes_again() {
    for (path, entries, companions) in json_files(Role::Orchestrator) {
        let fresh = json::fresh(&entries, &companions);
        assert_eq!(json::put(&fresh, &entries).unwrap(), (fresh.clone(), vec![]), "{path}");
        assert_eq!(json::take(&fresh, &entries, &companions).unwrap(), Left::Nothing, "{path}");
        // But not what somebody has added.
        let added = fresh.replacen('{', "{\n  \"theirs\": 1,", 1);
        let Left::Text(left) = json::take(&added, &entries, &companions).unwrap() else { panic!("{path}") };
        assert_eq!(json::read(&left).unwrap()["theirs"], 1, "{path}");
    }
}

#[test]
fn what_somebody_has_changed_is_theirs() {
    for (path, entries, companions) in json_files(Role::Implementer) {
        let changed = json::fresh(&entries, &companions)
            .replace("\"loopctl hook", "\"/opt/loopctl hook")
            .replace("\"mcp\"]", "\"mcp\", \"--verbose\"]");
        let (put, kept) = json::put(&changed, &entries).unwrap();
        assert_eq!((&put, kept.len()), (&changed, entries.len()), "{path}");
        assert_eq!(json::take(&changed, &entries, &companions).unwrap(), Left::Text(changed), "{path}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let files = json_files(Role::Implementer);
    let (_, entries, companions) = files.iter().find(|(path, ..)| *path == ".gemini/settings.json").unwrap();
    for (text, reason) in [
        ("", "it is no valid JSON: there is nothing in it"),
        ("// only this", "it is no valid JSON: there is nothing in it"),
        ("{\n\"secret\": \"lc_x", "it is no valid JSON, in line 2"),
        ("{'a': 1}", "it is no valid JSON, in line 1"),
        ("[]", "it is no JSON object"),
        ("{\"mcpServers\": []}", "`mcpServers` in it is no object"),
        ("{\"hooks\": null}", "`hooks` in it is no object"),
        ("{\"hooks\": {\"AfterAgent\": {}}}", "`hooks.AfterAgent` in it is no list"),
        ("{\"mcpServers\": {}, \"mcpServers\": {}}", "`mcpServers` is in it twice"),
    ] {
        assert_eq!(json::put(text, entries).unwrap_err(), reason, "{text}");
        assert!(text.contains("AfterAgent") || json::take(text, entries, companions).is_err(), "{text}");
    }
}

#[test]
fn the_table_of_codex_is_refused_where_it_cannot_be() {
    let codex = Wish { hosts: vec![Host::Codex], ..wish(Role::Implementer) };
    let planned = |text: &str| {
        let file = Found::File { text: text.to_owned(), read_only: false };
        plan(&codex, &Disk::from([(".codex/config.toml", file)]), Direction::PutIn)
    };
    for text in ["a = ", "mcp_servers = {}", "mcp_servers = 1", "mcp_servers.a.command = 'x'\n[mcp_servers]"]
    {
        let problems = planned(text).unwrap_err();
        assert!(problems[0].starts_with(".codex/config.toml: "), "{problems:?}");
        assert!(problems[0].contains("add by hand:\n[mcp_servers.loopctl]"), "{problems:?}");
    }
    let steps = planned("[mcp_servers.loopctl]\nurl = \"https://x\"\n").unwrap();
    let step = steps.iter().find(|step| step.path == ".codex/config.toml").unwrap();
    assert!(step.change == Change::Nothing && step.note.is_some(), "{step:?}");
}
