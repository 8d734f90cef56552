//! Export -> import -> export: random plans of odd texts and numbers come back as they were.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use super::{export, export_with_statuses, import, merge, plan, stories, timeless};
use crate::support::{Tenant, rounds, seed, text};

/// Texts that something between here and the database might not leave alone.
const ODD: [&str; 20] = [
    "plain",
    "\"quoted\" and 'quoted'",
    "back\\slash \\n \\u0041 \\",
    "lines\nand\r\nlines\tand tabs",
    " space around ",
    "\u{1}\u{1f}\u{7f}\u{80}\u{9f}",
    "\u{2028}\u{2029}\u{feff}\u{200d}",
    "\u{1F980} \u{10FFFF} \u{FFFD}",
    "\u{202E}right to left\u{202C} עברית",
    "e\u{301} é ﬀ ß İ",
    "'; drop table stories; --",
    "</script><!-- -->",
    "%s %00 {0} ${x} $1",
    "null",
    "{\"a\": [1, 2",
    "]}",
    ",\"stories\":[",
    "1e400",
    "日本語",
    "-",
];

fn odd(rng: &mut StdRng) -> String {
    let mut made = (*ODD.choose(rng).unwrap()).to_owned();
    for _ in 0..rng.random_range(0..12) {
        let letter = rng.random::<char>();
        made.extend((letter != '\0').then_some(letter));
    }
    made
}

fn number(rng: &mut StdRng) -> Value {
    match rng.random_range(0..6) {
        0 => json!([0.5, 0.1, 1e300, 5e-324, -1.25, 1e-7, f64::MAX].choose(rng).unwrap()),
        1 => json!([u64::MAX, 0, 1 << 53, (1 << 53) + 1].choose(rng).unwrap()),
        2 => json!([i64::MIN, -1].choose(rng).unwrap()),
        // More digits than any number type has.
        3 => serde_json::from_str("123456789012345678901234567890.5").unwrap(),
        4 => json!(rng.random::<i64>()),
        _ => json!(rng.random_range(0.0..1.0)),
    }
}

fn value(rng: &mut StdRng, depth: usize) -> Value {
    match rng.random_range(0..if depth == 0 { 4 } else { 6 }) {
        0 => Value::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => number(rng),
        3 => json!(odd(rng)),
        4 => (0..rng.random_range(0..4)).map(|_| value(rng, depth - 1)).collect(),
        _ => Value::Object(object(rng, depth - 1)),
    }
}

fn object(rng: &mut StdRng, depth: usize) -> Map<String, Value> {
    (0..rng.random_range(0..4)).map(|_| (odd(rng), value(rng, depth))).collect()
}

fn hours(rng: &mut StdRng) -> Value {
    match rng.random_range(0..5) {
        0 => json!([4.5, 8.0, 0.1, 1e-9, 1e20].choose(rng).unwrap()),
        1 => json!(rng.random_range(0..1000)),
        2 => json!(
            ["9999999999999999999999999999", "0.1234567890123456789012345678", "4.50", "0.0"]
                .choose(rng)
                .unwrap()
        ),
        3 => json!(rng.random_range(0.0..100.0)),
        _ => Value::Null,
    }
}

fn criterion(rng: &mut StdRng) -> Value {
    let mut item = object(rng, 2);
    item.insert("criterion".to_owned(), json!(odd(rng)));
    if rng.random_bool(0.7) {
        item.insert("id".to_owned(), json!(odd(rng)));
    }
    if rng.random_bool(0.3) {
        let verification = json!({"type": "test", "path": odd(rng)});
        item.insert("verification_criterion".to_owned(), verification);
    }
    Value::Object(item)
}

fn optional(rng: &mut StdRng) -> Value {
    if rng.random_bool(0.6) { json!(odd(rng)) } else { Value::Null }
}

fn story(rng: &mut StdRng, number: &str) -> Value {
    let mut story = json!({"number": number, "title": odd(rng), "description": optional(rng), "estimated_hours": hours(rng),
                           "metadata": object(rng, 3)});
    story["acceptance_criteria"] = (0..rng.random_range(0..4)).map(|_| criterion(rng)).collect();
    match rng.random_range(0..6) {
        0 => story["initial_verified_status"] = json!("pass"),
        1 => story["initial_agent_status"] = json!("reported_done"),
        _ => {}
    }
    story
}

/// A plan without cycles: whatever depends on something comes after it, epics as well as stories.
fn random_plan(rng: &mut StdRng) -> Value {
    let mut numbers = BTreeSet::new();
    let mut epics = Vec::new();
    let mut epic_numbers: Vec<i32> = Vec::new();
    let mut all: Vec<String> = Vec::new();
    for _ in 0..rng.random_range(1..6) {
        let epic = rng.random_range(1..40);
        if epic_numbers.contains(&epic) {
            continue;
        }
        epic_numbers.push(epic);
        let mut list = Vec::new();
        for _ in 0..rng.random_range(0..9) {
            let zeros = ["", "0", "00"].choose(rng).unwrap();
            let number = match rng.random_range(0..4) {
                0 => format!("{zeros}{}", rng.random_range(0..50)),
                _ => format!("{}.{zeros}{}", rng.random_range(1..4), rng.random_range(0..12)),
            };
            if numbers.insert(number.clone()) {
                list.push(story(rng, &number));
                all.push(number);
            }
        }
        epics.push(
            json!({"number": epic, "title": odd(rng), "description": optional(rng), "phase": optional(rng),
                          "position": rng.random_range(0..5), "metadata": object(rng, 3), "stories": list}),
        );
    }
    let mut story_edges = Vec::new();
    for later in 1..all.len() {
        for _ in 0..rng.random_range(0..3) {
            story_edges.push(json!({"story": all[later], "depends_on": all[rng.random_range(0..later)]}));
        }
    }
    let mut epic_edges = Vec::new();
    for later in 1..epic_numbers.len() {
        if rng.random_bool(0.5) {
            let earlier = epic_numbers[rng.random_range(0..later)];
            epic_edges.push(json!({"epic": epic_numbers[later], "depends_on": earlier}));
        }
    }
    json!({"epics": epics, "story_dependencies": story_edges, "epic_dependencies": epic_edges})
}

/// The document holds what was imported, by number.
fn assert_holds(document: &Value, payload: &Value) {
    for epic in payload["epics"].as_array().unwrap() {
        let exported = document["epics"].as_array().unwrap();
        let exported = exported.iter().find(|exported| exported["number"] == epic["number"]).unwrap();
        for name in ["title", "description", "phase", "position", "metadata"] {
            assert_eq!(exported[name], epic[name], "{name}");
        }
        assert_eq!(exported["stories"].as_array().unwrap().len(), epic["stories"].as_array().unwrap().len());
    }
    for story in stories(payload) {
        let exported = stories(document).find(|exported| exported["number"] == story["number"]).unwrap();
        for name in ["title", "description", "metadata"] {
            assert_eq!(exported[name], story[name], "{name}");
        }
        let hours = |value: &Value| loopctl_core::fields::decimal(value);
        assert_eq!(hours(&exported["estimated_hours"]), hours(&story["estimated_hours"]));
        // What import does to criteria is its own matter; here no item has a text under `description`.
        assert_eq!(exported["acceptance_criteria"], story["acceptance_criteria"]);
    }
    let edges: BTreeSet<String> =
        payload["story_dependencies"].as_array().unwrap().iter().map(Value::to_string).collect();
    let exported: Vec<String> =
        document["story_dependencies"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(exported.len(), edges.len());
    assert_eq!(exported.into_iter().collect::<BTreeSet<_>>(), edges);
    assert_eq!(document["epic_dependencies"].as_array().unwrap().len(), {
        payload["epic_dependencies"].as_array().unwrap().len()
    });
}

/// The document as it is without statuses.
fn unworked(document: &Value) -> Value {
    let mut plan = plan(document);
    for story in super::stories_mut(&mut plan) {
        story["agent_status"] = json!("pending");
        story["verified_status"] = json!("unverified");
        story["verification_source"] = Value::Null;
        let story = story.as_object_mut().unwrap();
        story.remove("initial_agent_status");
        story.remove("initial_verified_status");
    }
    plan
}

/// Imported elsewhere and exported again, a plan is the same but for its ids and times.
#[tokio::test]
async fn random_plans_come_back_as_they_were() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let mut restored = BTreeSet::new();
    for plan_number in 0..rounds(25) {
        let seed = seed().wrapping_add(plan_number as u64);
        let mut rng = StdRng::seed_from_u64(seed);
        let payload = random_plan(&mut rng);
        let project = tenant.imported(payload.clone()).await;
        let document = export(&tenant.user, &project).await;
        assert_holds(&document, &payload);

        // Without statuses, into another tenant: everything starts anew.
        let copy = other.project().await;
        import(&other.orchestrator().await, &copy, &document).await;
        let copied = export(&other.user, &copy).await;
        assert_eq!(plan(&copied), unworked(&document), "seed {seed}");

        // With statuses, into another project: nothing is different.
        let document = export_with_statuses(&tenant.user, &project).await;
        let copy = tenant.imported(document.clone()).await;
        let copied = export_with_statuses(&tenant.user, &copy).await;
        assert_eq!(plan(&copied), plan(&document), "seed {seed}");
        restored.extend(stories(&document).map(|story| text(&story["verified_status"])));

        // Into itself: nothing is changed, and nothing is told but that it was merged.
        let before = timeless(&tenant.user, &project).await;
        let log = tenant.audit_log().await;
        let merged = merge(&tenant.user, &project, &document).await;
        let edges =
            ["story_dependencies", "epic_dependencies"].map(|name| document[name].as_array().unwrap().len());
        assert_eq!(
            merged["import"],
            json!({"epics_created": 0, "epics_updated": document["epics"].as_array().unwrap().len(),
                   "stories_created": 0, "stories_updated": stories(&document).count(), "stories_orphaned": [],
                   "dependencies_created": 0, "dependencies_existing": edges[0] + edges[1]}),
            "seed {seed}"
        );
        assert_eq!(timeless(&tenant.user, &project).await, before, "seed {seed}");
        assert_eq!(tenant.audit_log().await.len(), log.len() + 1, "seed {seed}");
    }
    assert_eq!(restored.into_iter().collect::<Vec<_>>(), ["unverified", "verified"]);
}

/// A decimal of 28 digits survives, and an ordinary one is a number.
#[tokio::test]
async fn hours_lose_no_digit() {
    let tenant = Tenant::new().await;
    let cases = [
        ("1.1", json!(4.5), json!(4.5), "4.5"),
        ("1.2", json!(8), json!(8), "8"),
        ("1.3", json!("0.10"), json!(0.1), "0.1"),
        ("1.4", json!("1234567890123456789012345.678"), json!("1234567890123456789012345.678"), ""),
        ("1.5", json!("0.1234567890123456789012345678"), json!("0.1234567890123456789012345678"), ""),
    ];
    let list: Vec<_> = cases
        .iter()
        .map(|(number, hours, ..)| json!({"number": number, "title": "S", "estimated_hours": hours}))
        .collect();
    let project = tenant.imported(json!({"epics": [{"number": 1, "title": "E", "stories": list}]})).await;
    let document = export(&tenant.user, &project).await;
    let copy = tenant.imported(document.clone()).await;
    for (story, (number, sent, exported, shown)) in stories(&document).zip(cases) {
        assert_eq!(story["estimated_hours"], exported, "{number}");
        let id = tenant.story_id(&copy, number).await;
        let copied = tenant.user.get(&format!("/stories/{id}")).await.expect(200);
        let shown = if shown.is_empty() { text(&sent) } else { shown.to_owned() };
        assert_eq!(copied["story"]["estimated_hours"], shown, "{number}");
    }
    assert_eq!(plan(&export(&tenant.user, &copy).await), plan(&document));
}

/// The largest document that an import takes.
#[tokio::test]
async fn five_thousand_stories_come_back() {
    let tenant = Tenant::new().await;
    let epics: Vec<_> = (1..=500)
        .map(|epic| {
            let list: Vec<_> = (0..10)
                .map(|story| {
                    json!({"number": format!("{epic}.{story}"), "title": "Build API", "estimated_hours": 1.5,
                                    "acceptance_criteria": [{"id": "AC-1", "criterion": "It works"}]})
                })
                .collect();
            json!({"number": epic, "title": "Epic", "position": 500 - epic, "stories": list})
        })
        .collect();
    let edges: Vec<_> = (1..=500)
        .flat_map(|epic| (1..10).map(move |story| (epic, story)))
        .map(|(epic, story)| {
            json!({"story": format!("{epic}.{story}"), "depends_on": format!("{epic}.{}", story - 1)})
        })
        .chain((2..=500).map(|epic| json!({"story": format!("{epic}.5"), "depends_on": format!("{}.5", epic - 1)})))
        .chain((2..=500).map(|epic| json!({"story": format!("{epic}.0"), "depends_on": format!("{}.0", epic - 1)})))
        .collect();
    let project = tenant.imported(json!({"epics": epics, "story_dependencies": edges})).await;
    let document = export(&tenant.user, &project).await;
    assert_eq!(stories(&document).count(), 5000);
    assert_eq!(document["story_dependencies"].as_array().unwrap().len(), 5498);
    let copy = tenant.imported(document.clone()).await;
    assert_eq!(plan(&export(&tenant.user, &copy).await), plan(&document));
}
