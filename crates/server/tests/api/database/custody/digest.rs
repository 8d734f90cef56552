//! The digest of title and criteria: SHA-256 of their canonical JSON, which others can compute as well.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Number, Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Tenant, connect, rounds, server, story, text};

/// As RFC 8785 and the contract have it.
fn digest(title: &str, criteria: &Value) -> String {
    let document = json!({"title": title, "acceptance_criteria": criteria});
    let canonical = serde_json_canonicalizer::to_vec(&document).unwrap();
    Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that is escaped or might be, without what no text of the database holds.
fn words() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '"', '\\', '/', '\n', '\r', '\t', '\u{8}', '\u{c}', '\u{1}', '\u{1f}', '\u{7f}', '\u{80}', '\u{a0}',
        '\u{2028}', '\u{feff}', '<', '&', '\'', 'é', 'ß', '中', '😀', ' ', '0', 'Z', 'a',
    ]);
    prop::collection::vec(prop_oneof![odd, prop::char::range(' ', '~')], 0..12)
        .prop_map(|characters| characters.into_iter().collect())
}

/// Names of members: below U+E000, where the order of code points is that of RFC 8785.
fn names() -> impl Strategy<Value = String> {
    words().prop_map(|word| word.chars().filter(|character| *character < '\u{e000}').collect())
}

/// Numbers that are written without an exponent, and that a double holds.
fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-1_000_000_000_i64..1_000_000_000).prop_map(Number::from),
        (-(1_i64 << 53)..(1_i64 << 53)).prop_map(Number::from),
        (-1_000_000_i64..1_000_000, 0..4_u32).prop_map(|(digits, places)| {
            Number::from_f64(digits as f64 / f64::from(10_u32.pow(places))).unwrap()
        }),
    ]
}

fn documents() -> impl Strategy<Value = Value> {
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        numbers().prop_map(Value::Number),
        words().prop_map(Value::from),
    ];
    leaves.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn criteria() -> impl Strategy<Value = Value> {
    let criterion = prop::collection::vec((names(), documents()), 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()));
    prop::collection::vec(criterion, 0..6).prop_map(Value::from)
}

#[tokio::test]
async fn the_database_and_the_standard_agree_on_a_digest() {
    let owner = connect(&server().owner).await;
    let database = owner.prepare("select encode(criteria_digest($1, $2), 'hex')").await.unwrap();
    let mut runner = TestRunner::default();
    for _ in 0..rounds(300) {
        let (title, criteria) = (words(), criteria()).new_tree(&mut runner).unwrap().current();
        let row = owner.query_one(&database, &[&title, &criteria]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), digest(&title, &criteria), "{title:?} {criteria}");
    }
}

/// As it is told.
#[tokio::test]
async fn the_digest_of_a_story_is_that_of_what_it_shows() {
    let tenant = Tenant::new().await;
    let id = tenant.story().await;
    let criteria = json!([
        {"criterion": "tab\t, \"quotes\", \\ and \u{1f}", "id": "AC-1", "z": {"b": [1, 2.50, -0.0], "a": null, "é": true, "A": ""}},
        {"id": "AC-2", "criterion": "😀 and é", "weight": 15e-1},
    ]);
    for edit in [json!({"title": "Say \"hi\"\\ in a\ttab"}), json!({"acceptance_criteria": criteria})] {
        let edited = tenant.user.patch(&format!("/stories/{id}"), edit).await.expect(200);
        let story = &edited["story"];
        let expected = digest(story["title"].as_str().unwrap(), &story["acceptance_criteria"]);
        assert_eq!(story["criteria_digest"], expected);
    }
}

/// As deep as a body may be: 100 levels in a call, 128 in an import.
#[tokio::test]
async fn the_deepest_criteria_that_are_accepted_have_a_digest() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let id = tenant.story_id(&project, "1.1").await;
    let deep = |levels: usize| {
        let nested = (0..levels)
            .fold(json!(1), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"a": inner}) });
        json!([{"id": "AC-1", "criterion": "x", "nested": nested}])
    };
    // The body, the list and the criterion are levels as well; the deepest is found by trying.
    let mut deepest = None;
    for levels in 90..110 {
        let reply =
            tenant.user.patch(&format!("/stories/{id}"), json!({"acceptance_criteria": deep(levels)})).await;
        if reply.status != 200 {
            assert!((400..500).contains(&reply.status), "{levels}: {:#}", reply.body);
            break;
        }
        assert_eq!(reply.body["story"]["criteria_digest"], digest("Build API", &deep(levels)));
        deepest = Some(levels);
    }
    assert!(deepest.is_some_and(|levels| (95..100).contains(&levels)), "{deepest:?}");
    let mut deepest = None;
    for levels in 110..135 {
        let mut item = story(&format!("1.{levels}"));
        item["acceptance_criteria"] = deep(levels);
        let plan = json!({"epics": [{"number": 1, "title": "Epic", "stories": [item]}]});
        let reply = tenant.user.post(&format!("/projects/{project}/import?merge=true"), plan).await;
        if reply.status != 200 {
            assert!((400..500).contains(&reply.status), "{levels}: {:#}", reply.body);
            break;
        }
        let list =
            tenant.user.get(&format!("/stories?project_id={project}&number=1.{levels}")).await.expect(200);
        assert_eq!(text(&list["data"][0]["criteria_digest"]), digest("Build API", &deep(levels)));
        deepest = Some(levels);
    }
    assert!(deepest.is_some_and(|levels| (115..128).contains(&levels)), "{deepest:?}");
}
