//! A project that is exported to a directory and imported from it is the same project.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

const PLAIN: Options = Options { merge: None, with_status: false, drop_unknown: false };

fn import_of(document: &Value, options: Options) -> (tempfile::TempDir, Import) {
    let root = tempfile::tempdir().unwrap();
    let written = export(root.path(), document).unwrap();
    assert_eq!(written.others, [""; 0]);
    let import = import(&[root.path()], options).unwrap();
    // All but the description of the project is read again.
    assert_eq!(import.files + 1, written.files);
    assert_eq!(import.notes, ["note: not read: project.json"]);
    (root, import)
}

/// What a server keeps of a record: absent is null, absent metadata and lists are empty.
fn kept(record: &Value, keys: &[&str]) -> Map<String, Value> {
    let member = |key: &str| match (key, &record[key]) {
        ("metadata", Value::Null) => json!({}),
        ("acceptance_criteria" | "stories", Value::Null) => json!([]),
        (_, value) => value.clone(),
    };
    keys.iter().map(|key| ((*key).to_owned(), member(key))).collect()
}

/// Epics, stories and edges as a server keeps them.
fn project(document: &Value) -> Value {
    const EPIC: [&str; 6] = ["number", "title", "description", "phase", "position", "metadata"];
    const STORY: [&str; 6] =
        ["number", "title", "description", "acceptance_criteria", "estimated_hours", "metadata"];
    let epics = document["epics"].as_array().unwrap().iter().map(|epic| {
        let stories =
            epic["stories"].as_array().unwrap().iter().map(|story| Value::Object(kept(story, &STORY)));
        let mut epic = kept(epic, &EPIC);
        epic.insert("stories".to_owned(), stories.collect());
        Value::Object(epic)
    });
    let edges = |key: &str| -> BTreeSet<String> {
        document[key].as_array().unwrap().iter().map(ToString::to_string).collect()
    };
    json!({"epics": epics.collect::<Vec<_>>(), "stories": edges("story_dependencies"),
           "between_epics": edges("epic_dependencies")})
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        prop_oneof![Just("p1".to_owned()), any::<String>()].prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![vec(inner.clone(), 0..3).prop_map(Value::from), object(inner).prop_map(Value::from)]
    })
}

/// Members of every kind, with a liking for names that mean something in a story file.
fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    const KNOWN: [&str; 18] = [
        "export",
        "phase",
        "priority",
        "technical_notes",
        "test_cases",
        "source_file",
        "story",
        "rationale",
        "epic",
        "id",
        "number",
        "dependencies",
        "metadata",
        "agent_status",
        "verified_status",
        "verification_source",
        "criteria_digest",
        "own_export",
    ];
    let known = prop::sample::select(&KNOWN[..]).prop_map(ToOwned::to_owned);
    let key = prop_oneof![4 => known, 1 => any::<String>()];
    btree_map(key, value, 0..5).prop_map(|members| members.into_iter().collect())
}

fn title() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9 /._-]{0,70}x", any::<String>()]
        .prop_filter("not blank", |text| !text.trim().is_empty())
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of(title())
}

fn story(number: String) -> impl Strategy<Value = Value> {
    let statuses = prop::sample::select(
        &[
            ("pending", "unverified"),
            ("implementing", "unverified"),
            ("reported_done", "verified"),
            ("pending", "rejected"),
        ][..],
    );
    let hours =
        option::of(prop_oneof![(0..500_i64).prop_map(Value::from), (0.0..500.0).prop_map(Value::from)]);
    let criteria = vec(object(any_json()), 0..3);
    (title(), text(), criteria, hours, object(any_json()), statuses, text()).prop_map(
        move |(title, description, criteria, hours, metadata, (agent, verified), reason)| {
            json!({"number": number, "title": title, "description": description, "acceptance_criteria": criteria,
                   "estimated_hours": hours, "agent_status": agent, "verified_status": verified,
                   "assigned_agent_id": null, "rejection_reason": reason, "metadata": metadata,
                   "criteria_digest": "ab12", "contract_stale": false, "verification_stale": verified == "verified",
                   "verification_source": (verified == "verified").then_some("loop")})
        },
    )
}

fn epic(number: u32, stories: Vec<String>) -> impl Strategy<Value = Value> {
    let stories: Vec<_> = stories.into_iter().map(story).collect();
    (title(), text(), text(), 0..100_u32, object(any_json()), stories).prop_map(
        move |(title, description, phase, position, metadata, stories)| {
            json!({"number": number, "title": title, "description": description, "phase": phase, "position": position,
                   "metadata": metadata, "stories": stories})
        },
    )
}

/// Edges from later nodes to earlier ones, so that there is no cycle.
fn edges(nodes: Vec<Value>, from: &'static str) -> impl Strategy<Value = Vec<Value>> {
    let count = nodes.len().max(1);
    btree_set((0..count, 0..count), 0..6).prop_map(move |pairs| {
        let pairs = pairs.into_iter().filter(|(dependent, prerequisite)| prerequisite < dependent);
        pairs.map(|(dependent, prerequisite)| json!({from: nodes[dependent], "depends_on": nodes[prerequisite]})).collect()
    })
}

/// Any export: up to four epics, their stories under numbers of any epic.
fn document() -> impl Strategy<Value = Value> {
    let numbers = btree_map((0..50_u32, option::of(0..20_u32)), 0..4_usize, 0..10);
    (btree_set(1..999_u32, 0..4), numbers).prop_flat_map(|(epics, numbers)| {
        let mut stories: BTreeMap<u32, Vec<String>> = epics.iter().map(|epic| (*epic, Vec::new())).collect();
        let epics: Vec<u32> = epics.into_iter().collect();
        for ((major, minor), place) in numbers {
            if let Some(epic) = epics.get(place % epics.len().max(1)) {
                let number = minor.map_or(major.to_string(), |minor| format!("{major}.{minor}"));
                stories.entry(*epic).or_default().push(number);
            }
        }
        let every: Vec<Value> = stories.values().flatten().map(|number| json!(number)).collect();
        let epic_nodes: Vec<Value> = epics.iter().map(|number| json!(number)).collect();
        let epics: Vec<_> = stories.into_iter().map(|(number, stories)| epic(number, stories)).collect();
        (epics, edges(every, "story"), edges(epic_nodes, "epic"), text()).prop_map(
            |(epics, between_stories, between_epics, mission)| {
                json!({"export_metadata": {"exported_at": "2026-01-01T00:00:00.000000Z"},
                       "project": {"name": "P", "slug": "p", "mission": mission},
                       "epics": epics, "story_dependencies": between_stories, "epic_dependencies": between_epics})
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_exported_directory_imports_as_the_same_project(document in document()) {
        let (_root, import) = import_of(&document, PLAIN);
        prop_assert_eq!(project(&import.body), project(&document));
        prop_assert!(!import.body.to_string().contains("initial_"));
    }
}

proptest! {
    // Three directories a case.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_export_over_an_earlier_one_is_as_good_as_a_new_one(earlier in document(), document in document()) {
        let (over, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        export(over.path(), &earlier).unwrap();
        let second = export(over.path(), &document).unwrap();
        prop_assert_eq!(second.others, [""; 0]);
        let written = export(new.path(), &document).unwrap();
        let snapshot = snapshot(new.path());
        prop_assert_eq!(written.files, snapshot.values().flatten().count(), "two files have the same path");
        prop_assert_eq!(self::snapshot(over.path()), snapshot);
    }
}

/// Directories (without content) and files below `root`.
fn snapshot(root: &Path) -> BTreeMap<std::path::PathBuf, Option<String>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = std::path::PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            all.extend(snapshot(&path).into_iter().map(|(below, content)| (name.join(below), content)));
            all.insert(name, None);
        } else {
            all.insert(name, Some(std::fs::read_to_string(&path).unwrap()));
        }
    }
    all
}

fn small() -> Value {
    let story = |number: &str, agent: &str, verified: &str| {
        json!({"number": number, "title": "Login", "description": null, "acceptance_criteria": [{"id": "AC-1"}],
               "estimated_hours": 4.5, "agent_status": agent, "verified_status": verified, "verified_at": null,
               "criteria_digest": "ab12", "verification_source": (verified == "verified").then_some("loop"),
               "contract_stale": false, "verification_stale": verified == "verified",
               "metadata": {"priority": "high", "owner": "me"}})
    };
    json!({"project": {"name": "My App", "slug": "my-app"},
           "epics": [{"number": 2, "title": "User Accounts & more", "description": null, "phase": null, "position": 0,
                      "metadata": {}, "stories": [story("2.1", "reported_done", "verified"),
                          story("2.2", "implementing", "unverified"), story("2.10", "reported_done", "unverified")]}],
           "story_dependencies": [{"story": "2.10", "depends_on": "2.1"}], "epic_dependencies": []})
}

#[test]
fn stories_are_written_in_their_own_format() {
    let files = export::files(&small()).unwrap();
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "project.json",
            "epic_dependencies.json",
            "epic_2_user_accounts_more/epic.json",
            "epic_2_user_accounts_more/us_2.1.json",
            "epic_2_user_accounts_more/us_2.2.json",
            "epic_2_user_accounts_more/us_2.10.json",
        ]
    );
    assert_eq!(
        files[5].content,
        json!({"id": "US-2.10", "title": "Login", "epic": {"id": "epic_2", "name": "User Accounts & more"},
               "priority": "high", "description": null, "acceptance_criteria": [{"id": "AC-1"}],
               "dependencies": ["US-2.1"], "estimated_hours": 4.5,
               "metadata": {"owner": "me", "export": {
                   "agent_status": "reported_done", "verified_status": "unverified", "criteria_digest": "ab12",
                   "contract_stale": false, "verification_stale": false}}})
    );
    let verified = &files[3].content["metadata"]["export"];
    assert_eq!(
        (&verified["verification_source"], &verified["verification_stale"]),
        (&json!("loop"), &json!(true))
    );
}

#[test]
fn statuses_come_back_only_when_asked_for() {
    let (root, import_plain) = import_of(&small(), PLAIN);
    assert!(!import_plain.body.to_string().contains("initial_"));
    let again = import(&[root.path()], Options { with_status: true, ..PLAIN }).unwrap();
    let stories = &again.body["epics"][0]["stories"];
    assert_eq!(stories[0]["initial_verified_status"], "verified");
    assert_eq!(stories[2]["initial_agent_status"], "reported_done");
    assert_eq!((&stories[1]["initial_agent_status"], again.without_status), (&Value::Null, 1));
}

#[test]
fn what_is_no_export_writes_nothing() {
    let broken = |change: fn(&mut Value)| {
        let mut document = small();
        change(&mut document);
        let root = tempfile::tempdir().unwrap();
        let error = export(root.path(), &document).unwrap_err();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        match error {
            Error::Other(text) => text,
            other => panic!("{other:?}"),
        }
    };
    assert!(broken(|document| document["epics"] = json!({})).contains("epics is missing"));
    assert!(
        broken(|document| document["epics"][0]["number"] = json!("../2")).contains("invalid epic number")
    );
    let escape = |document: &mut Value| document["epics"][0]["stories"][0]["number"] = json!("../../2.1");
    assert!(broken(escape).contains("invalid story number"));
    let dangling = |document: &mut Value| document["story_dependencies"][0]["story"] = json!("9.9");
    assert!(broken(dangling).contains("story 9.9, which is not there"));
}

#[test]
fn files_of_an_earlier_export_are_removed_and_others_stay() {
    let (root, _) = import_of(&small(), PLAIN);
    let old = root.path().join("epic_2_user_accounts_more");
    let exported = std::fs::read_to_string(old.join("us_2.1.json")).unwrap();
    let by_hand = r#"{"id": "US-2.11", "title": "By hand"}"#;
    // Not written by an export; written by one, but lying where none would have put it; not for the import.
    std::fs::create_dir(root.path().join("copy")).unwrap();
    std::fs::create_dir(root.path().join("epic_3_own")).unwrap();
    for (place, text) in [
        ("epic_2_user_accounts_more/us_2.11.json", by_hand),
        ("epic_2_user_accounts_more/us_2.12.json", &exported),
        ("epic_2_user_accounts_more/notes.md", "notes"),
        ("epic_3_own/epic.json", r#"{"number": 3, "title": "Own"}"#),
        ("copy/us_2.1.json", &exported),
    ] {
        std::fs::write(root.path().join(place), text).unwrap();
    }
    let mut renamed = small();
    renamed["epics"][0]["title"] = json!("Accounts");
    renamed["epics"][0]["stories"].as_array_mut().unwrap().remove(1);
    assert!(check_target(root.path(), false).is_err());
    assert!(check_target(root.path(), true).is_ok());
    let written = export(root.path(), &renamed).unwrap();
    assert_eq!(
        written.removed,
        ["epic.json", "us_2.1.json", "us_2.10.json", "us_2.2.json"]
            .map(|name| format!("epic_2_user_accounts_more/{name}"))
    );
    assert_eq!(
        written.others,
        [
            "copy/us_2.1.json",
            "epic_2_user_accounts_more/us_2.11.json",
            "epic_2_user_accounts_more/us_2.12.json",
            "epic_3_own/epic.json"
        ]
    );
    assert_eq!(std::fs::read_to_string(old.join("us_2.11.json")).unwrap(), by_hand);
    assert!(old.join("notes.md").exists());
}

#[test]
fn an_export_after_a_rename_and_a_deletion_imports() {
    let (root, _) = import_of(&small(), PLAIN);
    let mut changed = small();
    changed["epics"][0]["title"] = json!("Accounts");
    changed["epics"][0]["stories"].as_array_mut().unwrap().remove(1);
    assert_eq!(export(root.path(), &changed).unwrap().others, [""; 0]);
    assert_eq!(project(&import(&[root.path()], PLAIN).unwrap().body), project(&changed));
    assert!(!root.path().join("epic_2_user_accounts_more").exists());
}
