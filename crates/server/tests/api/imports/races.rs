//! Imports beside imports, and beside the loop.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{audit, epic_with, good, import, merge, of, rows};
use crate::support::{Tenant, echo, story};

#[tokio::test]
async fn of_two_fresh_imports_one_wins() {
    let tenant = Tenant::new().await;
    for round in 0..5 {
        let project = tenant.project().await;
        let stories: Vec<_> = (1..=40).map(|minor| good(&format!("1.{minor}"))).collect();
        let payload = epic_with(json!(stories));
        let replies =
            join(import(&tenant.user, &project, payload.clone()), import(&tenant.user, &project, payload))
                .await;
        let (won, lost) = if replies.0.status == 201 { replies } else { (replies.1, replies.0) };
        won.expect(201);
        let error = lost.expect_error(409, "import_conflict");
        assert_eq!(error["details"]["duplicate_epic_numbers"], json!([1]), "round {round}");
        let duplicates = error["details"]["duplicate_story_numbers"].as_array().unwrap();
        assert_eq!(duplicates.len(), 40);
        let after = rows(&project).await;
        assert_eq!((after.epics, after.stories, after.audit), (1, 40, 1 + 1 + 40 + 1));
    }
    tenant.keeps_count().await;
}

#[tokio::test]
async fn merges_take_turns() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let payload = json!({
        "epics": [{"number": 1, "title": "E", "stories": [good("1.1"), good("1.2")]}],
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}]});
    let merges = (0..8).map(|_| merge(&tenant.user, &project, payload.clone()));
    let mut created = Vec::new();
    for reply in join_all(merges).await {
        let counts = reply.expect(200)["import"].clone();
        created.push(json!([
            counts["epics_created"],
            counts["stories_created"],
            counts["stories_updated"],
            counts["dependencies_created"],
            counts["dependencies_existing"]
        ]));
    }
    created.sort_by_key(|counts| counts[0] != 1);
    assert_eq!(created[0], json!([1, 2, 0, 1, 0]));
    assert!(created[1..].iter().all(|counts| *counts == json!([0, 0, 2, 0, 1])), "{created:?}");
    let log = audit(&project).await;
    assert_eq!(of(&log, "story/created").len(), 2);
    assert_eq!(of(&log, "project/merge_imported").len(), 8);
    tenant.keeps_count().await;
}

/// Opposite edges by different imports: exactly one of them can be.
#[tokio::test]
async fn imports_cannot_close_a_cycle_together() {
    let tenant = Tenant::new().await;
    for _ in 0..5 {
        let project = tenant.imported(epic_with(json!([good("1.1"), good("1.2")]))).await;
        let edge = |from: &str, to: &str| json!({"story_dependencies": [{"story": from, "depends_on": to}]});
        let replies = join_all((0..6).map(|index| {
            let edge = if index % 2 == 0 { edge("1.1", "1.2") } else { edge("1.2", "1.1") };
            merge(&tenant.user, &project, edge)
        }))
        .await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 3, "{statuses:?}");
        assert_eq!(rows(&project).await.story_edges, 1);
    }
    tenant.keeps_count().await;
}

/// A changed position reaches the epic's stories, which the loop is moving at the same time.
#[tokio::test]
async fn an_epic_moves_while_its_stories_are_worked_on() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let numbers: Vec<String> = (1..=12).map(|minor| format!("1.{minor}")).collect();
    let stories: Vec<Value> = numbers.iter().map(|number| story(number)).collect();
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "E", "stories": stories}, {"number": 2, "title": "E", "stories": [good("2.1")]}]}))
        .await;
    let mut ids = Vec::new();
    for number in &numbers {
        ids.push(tenant.story_id(&project, number).await);
    }
    let work = join_all(ids.iter().map(async |id| {
        let at = |action: &str| format!("/stories/{id}/{action}");
        agent.post(&at("contract"), echo()).await.expect(200);
        agent.post_empty(&at("claim")).await.expect(200);
        agent.post_empty(&at("start")).await.expect(200);
    }));
    let moves = join_all((1..=12).map(async |position| {
        let payload = json!({"epics": [
            {"number": 1, "position": position, "stories": [{"number": "1.1", "description": format!("{position}")}]},
            {"number": 2, "position": 20 - position}]});
        merge(&tenant.user, &project, payload).await.expect(200);
    }));
    join(work, moves).await;
    let list = tenant
        .user
        .get(&format!("/stories?project_id={project}&agent_status=implementing"))
        .await
        .expect(200);
    assert_eq!(list["meta"]["total_count"], 12);
    // Every story still has its epic's position.
    let client = crate::support::connect(&crate::support::server().owner).await;
    let astray: i64 = client
        .query_one(
            "select count(*) from stories s join epics e on e.id = s.epic_id
             where s.project_id = $1::text::uuid and s.epic_position <> e.position",
            &[&project],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(astray, 0);
    tenant.keeps_count().await;
}
