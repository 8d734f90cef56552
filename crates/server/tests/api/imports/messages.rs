//! Every message, in its order, and nothing is left behind.

use serde_json::{Value, json};

use super::{Rows, epic_with, good, import, merge, rows};
use crate::support::Tenant;

const CRITERIA: &str = "epics[0].stories[0].acceptance_criteria must be an array of objects with 'id' and \
                        'description' keys, e.g. [{\"id\": \"AC-1\", \"description\": \"Feature works\"}]";

/// Stories 1.1 to 1.3 of epic 1 and 2.1 of epic 2, with these edges.
fn four_stories(story_edges: Value, epic_edges: Value) -> Value {
    json!({
        "epics": [
            {"number": 1, "title": "One", "stories": [good("1.1"), good("1.2"), good("1.3")]},
            {"number": 2, "title": "Two", "stories": [good("2.1")]}],
        "story_dependencies": story_edges, "epic_dependencies": epic_edges,
    })
}

fn edge(story: &str, depends_on: &str) -> Value {
    json!({"story": story, "depends_on": depends_on})
}

/// The message of a fresh and of a merging import into an empty project is the same, and both write nothing.
pub(super) async fn assert_refused(cases: Vec<(Value, &str)>) {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let before = rows(&project).await;
    for (payload, message) in cases {
        for reply in [
            import(&tenant.user, &project, payload.clone()).await,
            merge(&tenant.user, &project, payload.clone()).await,
        ] {
            let error = reply.expect_error(422, "invalid_import");
            assert_eq!(error["message"], message);
            assert!(error.get("details").is_none(), "{error}");
        }
        assert_eq!(rows(&project).await, before, "{message}");
    }
    assert_eq!(before, Rows { audit: 1, ..Rows::default() });
}

#[tokio::test]
async fn shapes() {
    let with = |story: Value| epic_with(json!([good("1.1"), story]));
    assert_refused(vec![
        (json!({"epics": null}), "epics must be an array"),
        (json!({"epics": {}}), "epics must be an array"),
        (json!({"epics": "x"}), "epics must be an array"),
        (json!({"epics": [7]}), "epics[0]: must be an object"),
        (json!({"epics": [{"number": 1, "title": "E"}, null]}), "epics[1]: must be an object"),
        (json!({"epics": [{"title": "E"}]}), "epics[0].number: is required"),
        (json!({"epics": [{"number": "", "title": "E"}]}), "epics[0].number: is required"),
        (json!({"epics": [{"number": 1, "title": " \n"}]}), "epics[0].title: can't be blank"),
        (json!({"epics": [{"number": 1}]}), "epics[0].title: can't be blank"),
        (epic_with(json!("x")), "epics[0].stories: must be an array"),
        (epic_with(json!({})), "epics[0].stories: must be an array"),
        (with(json!("x")), "epics[0].stories[1]: must be an object"),
        (with(json!({"title": "x"})), "epics[0].stories[1].number: is required"),
        (with(json!({"number": null, "title": "x"})), "epics[0].stories[1].number: is required"),
        (
            with(json!({"number": 1.10, "title": "x"})),
            "epics[0].stories[1].number: must be a string such as \"1.10\"",
        ),
        (with(json!({"number": ["1.2"], "title": "x"})), "epics[0].stories[1].number: is invalid"),
        (with(json!({"number": "1.2", "title": ""})), "epics[0].stories[1].title: can't be blank"),
        (with(json!({"number": "1.2"})), "epics[0].stories[1].title: can't be blank"),
        (epic_with(json!([{"number": "1.1", "title": "S", "acceptance_criteria": "x"}])), CRITERIA),
        (epic_with(json!([{"number": "1.1", "title": "S", "acceptance_criteria": ["x"]}])), CRITERIA),
        (epic_with(json!([{"number": "1.1", "title": "S", "acceptance_criteria": [{}, null]}])), CRITERIA),
        (
            with(json!({"number": "1.2", "title": "S", "depends_on_stories": "1.1"})),
            "epics[0].stories[1].depends_on_stories: must be an array",
        ),
        (
            with(json!({"number": "1.2", "title": "S", "depends_on_stories": [true]})),
            "epics[0].stories[1].depends_on_stories[0]: is invalid",
        ),
        (
            json!({"epics": [{"number": 1, "title": "E", "depends_on_epics": 2}]}),
            "epics[0].depends_on_epics: must be an array",
        ),
        // In payload order, the first one only.
        (
            json!({"epics": [{"number": 1, "title": "E", "stories": [7]}, 7]}),
            "epics[0].stories[0]: must be an object",
        ),
    ])
    .await;
}

#[tokio::test]
async fn shapes_of_edges() {
    let stories = |edges: Value| four_stories(edges, json!(null));
    let epics = |edges: Value| four_stories(json!(null), edges);
    assert_refused(vec![
        (stories(json!("x")), "story_dependencies: must be an array"),
        (stories(json!([edge("1.2", "1.1"), 3])), "story_dependencies[1]: must be an object"),
        (stories(json!([{"depends_on": "1.1"}])), "story_dependencies[0].story: is required"),
        (stories(json!([{"story": "1.1"}])), "story_dependencies[0].depends_on: is required"),
        (stories(json!([{"story": {}, "depends_on": "1.1"}])), "story_dependencies[0].story: is invalid"),
        (epics(json!({})), "epic_dependencies: must be an array"),
        (epics(json!([[]])), "epic_dependencies[0]: must be an object"),
        (epics(json!([{"epic": 1}])), "epic_dependencies[0].depends_on: is required"),
        (epics(json!([{"epic": 1.5, "depends_on": 2}])), "epic_dependencies[0].epic: is invalid"),
    ])
    .await;
}

#[tokio::test]
async fn numbers_and_duplicates() {
    let epic =
        |number: Value| json!({"epics": [{"number": 7, "title": "E"}, {"number": number, "title": "E"}]});
    assert_refused(vec![
        (epic(json!("abc")), "epics[1].number: must be a positive integer (got \"abc\")"),
        (epic(json!(0)), "epics[1].number: must be a positive integer (got 0)"),
        (epic(json!(-1)), "epics[1].number: must be a positive integer (got -1)"),
        (epic(json!(1.5)), "epics[1].number: must be a positive integer (got 1.5)"),
        (epic(json!([1])), "epics[1].number: must be a positive integer (got [1])"),
        (epic(json!(4_294_967_297_u64)), "epics[1].number: must be a positive integer (got 4294967297)"),
        (epic(json!("7")), "Duplicate epic number: 7"),
        (epic_with(json!([good("1.1"), good("1.2"), good("1.1")])), "Duplicate story number: 1.1"),
        (
            json!({"epics": [{"number": 1, "title": "E", "stories": [good("1.1")]},
                             {"number": 2, "title": "E", "stories": [good("1.1")]}]}),
            "Duplicate story number: 1.1",
        ),
        (epic_with(json!([{"number": 3, "title": "S"}, good("3")])), "Duplicate story number: 3"),
        // Epics before stories, both before field rules.
        (
            json!({"epics": [{"number": 1, "title": "E", "position": -1, "stories": [good("x"), good("x")]},
                             {"number": 1, "title": "E"}]}),
            "Duplicate epic number: 1",
        ),
    ])
    .await;
}

#[tokio::test]
async fn field_rules() {
    let story = |fields: Value| {
        let mut object = good("1.2");
        for (name, value) in fields.as_object().unwrap() {
            object[name] = value.clone();
        }
        epic_with(json!([good("1.1"), object]))
    };
    let shape =
        "epics[0].stories[1].number: must be 1 to 6 parts of letters, digits, '_' or '-', joined by points";
    let prefix = "epics[0].stories[1].number: must not carry the prefix US-: write \"1.1\"";
    let mut cases = vec![
        (story(json!({"number": "US-1.1"})), prefix),
        (story(json!({"title": 7})), "epics[0].stories[1].title: is invalid"),
        (
            story(json!({"title": "ä".repeat(501)})),
            "epics[0].stories[1].title: should be at most 500 character(s)",
        ),
        (
            story(json!({"description": "x".repeat(50_001)})),
            "epics[0].stories[1].description: should be at most 50000 character(s)",
        ),
        (story(json!({"metadata": [1]})), "epics[0].stories[1].metadata: is invalid"),
        (story(json!({"estimated_hours": "4h"})), "epics[0].stories[1].estimated_hours: is invalid"),
        (story(json!({"estimated_hours": true})), "epics[0].stories[1].estimated_hours: is invalid"),
        (story(json!({"estimated_hours": 1e300})), "epics[0].stories[1].estimated_hours: is invalid"),
        (
            story(json!({"estimated_hours": -0.5})),
            "epics[0].stories[1].estimated_hours: must be greater than or equal to 0",
        ),
        (
            story(json!({"initial_verified_status": "bogus"})),
            "epics[0].stories[1].initial_verified_status: is invalid",
        ),
        (
            story(json!({"initial_verified_status": true})),
            "epics[0].stories[1].initial_verified_status: is invalid",
        ),
        (
            story(json!({"initial_agent_status": "implementing"})),
            "epics[0].stories[1].initial_agent_status: is invalid",
        ),
        (
            story(json!({"acceptance_criteria": [{}, {"verification_criterion": {"type": "bogus"}}]})),
            "epics[0].stories[1].acceptance_criteria[1].verification_criterion: must have a valid type",
        ),
        (
            story(json!({"number": "1.é", "title": 7})),
            "epics[0].stories[1].number: must be 1 to 6 parts of letters, digits, '_' or '-', joined by points; \
             epics[0].stories[1].title: is invalid",
        ),
        // Epics first, then stories.
        (
            json!({"epics": [{"number": 1, "title": "E", "stories": [good("x y")]},
                             {"number": 2, "title": "E", "position": -1, "phase": "p".repeat(256)}]}),
            "epics[1].phase: should be at most 255 character(s); \
             epics[1].position: must be greater than or equal to 0",
        ),
    ];
    cases.extend(
        ["1.", ".1", "1..1", "1.2.3.4.5.6.7", "+1.1", "1 .1", "١.١"]
            .map(|number| (story(json!({"number": number})), shape)),
    );
    assert_refused(cases).await;
}

#[tokio::test]
async fn references_cycles_and_deadlocks() {
    let stories = |edges: Value| four_stories(edges, json!(null));
    let epics = |edges: Value| four_stories(json!(null), edges);
    let unresolved = |what: &str| format!("Unresolved dependency reference: {what} not found in import");
    let (story, epic) = (unresolved("story '99.99'"), unresolved("epic '9'"));
    assert_refused(vec![
        (stories(json!([edge("1.1", "99.99")])), &story),
        (stories(json!([edge("99.99", "1.1")])), &story),
        (epic_with(json!([{"number": "1.1", "title": "S", "depends_on_stories": ["99.99"]}])), &story),
        (epics(json!([{"epic": 1, "depends_on": 9}])), &epic),
        (epics(json!([{"epic": "9", "depends_on": 1}])), &epic),
        (
            stories(json!([edge("1.1", "1.2"), edge("1.2", "1.3"), edge("1.3", "1.1")])),
            "Cycle detected: 1.1 -> 1.2 -> 1.3 -> 1.1",
        ),
        (stories(json!([edge("1.1", "1.1")])), "Cycle detected: 1.1 -> 1.1"),
        (
            epics(json!([{"epic": 2, "depends_on": 1}, {"epic_number": "1", "depends_on_epic": "2"}])),
            "Cycle detected: 1 -> 2 -> 1",
        ),
        (epics(json!([{"epic": 1, "depends_on": 1}])), "Cycle detected: 1 -> 1"),
        (
            four_stories(json!([edge("2.1", "1.2")]), json!([{"epic": 1, "depends_on": 2}])),
            "Cross-level deadlock: epic 1 depends on epic 2, but story 2.1 (in epic 2) depends on \
             story 1.2 (in epic 1)",
        ),
        // An edge to an epic that exists nowhere is never dropped: the plan would look complete without it.
        (
            json!({"epics": [{"number": 1, "title": "E", "stories": [good("1.1")]}],
                   "epic_dependencies": [{"epic": 1, "depends_on": 2}]}),
            "Unresolved dependency reference: epic '2' not found in import",
        ),
    ])
    .await;
}
