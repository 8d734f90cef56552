//! The largest import, and that a failing one leaves nothing.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Rows, epic_with, good, import, rows};
use crate::support::{Tenant, connect, server, text};

const STORIES: usize = 5000;
const PER_EPIC: usize = 100;

/// Story `index`; story numbers run against the order of text.
fn number(index: usize) -> String {
    format!("{}.{}", index / PER_EPIC + 1, index % PER_EPIC)
}

/// 5,000 stories with two criteria each in 50 epics, and 8,000 dependencies.
fn payload() -> Value {
    let epics: Vec<_> = (0..STORIES / PER_EPIC)
        .map(|epic| {
            let stories: Vec<_> = (0..PER_EPIC)
                .map(|place| {
                    json!({"number": number(epic * PER_EPIC + place), "title": "Build API", "estimated_hours": 1.5,
                           "description": "What has to be built, in a sentence or two.",
                           "acceptance_criteria": [{"id": "AC-1", "description": "It works"},
                                                   {"id": "AC-2", "description": "It is tested"}]})
                })
                .collect();
            json!({"number": epic + 1, "title": "Epic", "stories": stories})
        })
        .collect();
    let mut seen = HashSet::new();
    let edges: Vec<_> = (1..STORIES)
        .map(|index| (index, index - 1))
        .chain((7..STORIES).map(|index| (index, index - 7)))
        .filter(|edge| seen.insert(*edge))
        .take(8000)
        .map(|(story, other)| json!({"story": number(story), "depends_on": number(other)}))
        .collect();
    assert_eq!(edges.len(), 8000);
    json!({"epics": epics, "story_dependencies": edges})
}

#[tokio::test]
async fn five_thousand_stories_with_eight_thousand_dependencies() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;

    // The last edge closes a cycle through all of them.
    let mut cyclic = payload();
    let last = json!({"story": number(0), "depends_on": number(STORIES - 1)});
    cyclic["story_dependencies"].as_array_mut().unwrap().push(last);
    let error = import(&tenant.user, &project, cyclic).await;
    let message = text(&error.expect_error(422, "invalid_import")["message"]);
    assert!(message.starts_with("Cycle detected: 1.0 -> "), "{message}");
    assert!(message.ends_with(" -> 1.0"), "{message}");
    let nothing = Rows { audit: 1, ..Rows::default() };
    assert_eq!(rows(&project).await, nothing);

    // Nor does the last of 5,000 stories with a fault leave anything.
    let mut faulty = payload();
    faulty["epics"][49]["stories"][99]["estimated_hours"] = json!("x");
    let error = import(&tenant.user, &project, faulty).await;
    assert_eq!(
        error.expect_error(422, "invalid_import")["message"],
        "epics[49].stories[99].estimated_hours: is invalid"
    );
    assert_eq!(rows(&project).await, nothing);

    let before = last_analyze().await;
    let body = import(&tenant.user, &project, payload()).await.expect(201);
    assert_eq!(
        body["import"],
        json!({"epics_created": 50, "stories_created": 5000, "dependencies_created": 8000})
    );
    // The planner learns at once what has arrived: cascades and foreign keys depend on it.
    assert!(last_analyze().await > before, "statistics were not refreshed");
    assert_eq!(
        rows(&project).await,
        Rows {
            epics: 50,
            stories: 5000,
            criteria: 10_000,
            story_edges: 8000,
            epic_edges: 0,
            audit: 1 + 50 + 5000 + 8000 + 1,
        }
    );
    let ready = tenant.user.get("/stories/ready").await.expect(200);
    assert_eq!(ready["meta"]["total_count"], 1);
    assert_eq!(ready["data"][0]["number"], "1.0");
    let blocked = tenant.user.get("/stories/blocked?limit=500").await.expect(200);
    assert_eq!(blocked["meta"]["total_count"], 4999);
}

/// When the statistics of stories were last refreshed by a statement; null if never.
async fn last_analyze() -> Option<f64> {
    let sql =
        "select extract(epoch from last_analyze)::float8 from pg_stat_user_tables where relname = 'stories'";
    connect(&server().owner).await.query_one(sql, &[]).await.unwrap().get(0)
}

/// A chain is followed without recursion, however long.
#[tokio::test]
async fn a_chain_of_five_thousand() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let stories: Vec<_> = (0..STORIES)
        .map(|index| {
            let mut story = good(&number(index));
            if index > 0 {
                story["depends_on_stories"] = json!([number(index - 1)]);
            }
            story
        })
        .collect();
    let body = import(&tenant.user, &project, epic_with(json!(stories))).await.expect(201);
    assert_eq!(body["import"]["dependencies_created"], 4999);
}

/// Nothing that the limits of an import let through is too large for the database.
#[tokio::test]
async fn long_texts_are_stored_or_refused() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    // Not compressible, so that no index can squeeze it in.
    let noise = |length: usize| -> String {
        let mut state = 42_u64;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from_u32(0x4E00 + ((state >> 33) % 20_000) as u32).unwrap()
            })
            .collect()
    };
    let import_story = async |story: Value| import(&tenant.user, &project, epic_with(json!([story]))).await;

    let long_id = json!({"number": "1.1", "title": "S", "acceptance_criteria": [{"id": noise(5000), "criterion": "c"}]});
    let error = import_story(long_id).await.expect_error(422, "invalid_import");
    assert_eq!(
        error["message"],
        "epics[0].stories[0].acceptance_criteria[0].id: should be at most 255 character(s)"
    );
    let long_number = json!({"number": format!("{}1", "0".repeat(400_000)), "title": "S"});
    let error = import_story(long_number).await.expect_error(422, "invalid_import");
    let message =
        "epics[0].stories[0].number: must be 1 to 6 parts of letters, digits, '_' or '-', joined by points";
    assert_eq!(error["message"], message);
    assert_eq!(rows(&project).await.stories, 0);

    let longest = json!({
        "number": format!("{0}.{0}.{0}.1", "0".repeat(32)), "title": noise(500), "description": noise(50_000),
        "metadata": {noise(5000): noise(16_800)}, "estimated_hours": "7922816251426433759354395033.5",
        "acceptance_criteria": [{"id": noise(255), "criterion": noise(80_000)}]});
    import_story(longest).await.expect(201);
    assert_eq!(rows(&project).await.criteria, 1);
}
