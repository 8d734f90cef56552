//! The progress of projects and epics.

use serde_json::{Value, json};

use super::{archive, plain, sql};
use crate::support::{Reach, Tenant, bring, story};

const COST: [&str; 6] = [
    "total_cost_millicents",
    "total_input_tokens",
    "total_output_tokens",
    "total_tokens",
    "budget_millicents",
    "utilization_pct",
];

async fn progress(tenant: &Tenant, project: &str) -> Value {
    let path = format!("/projects/{project}/progress");
    tenant.agent().await.get(&path).await.expect(200)["progress"].clone()
}

#[tokio::test]
async fn strangers_see_no_progress() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = tenant.project().await;
    for path in [
        format!("/projects/{project}/progress"),
        "/projects/01900000-0000-7000-8000-000000000000/progress".to_owned(),
        "/projects/nope/progress".to_owned(),
    ] {
        other.user.get(&path).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn an_empty_project_is_all_zeros() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let expected = json!({
        "total_stories": 0,
        "stories_by_agent_status":
            {"pending": 0, "contracted": 0, "assigned": 0, "implementing": 0, "reported_done": 0},
        "stories_by_verified_status": {"unverified": 0, "verified": 0, "rejected": 0}, "verified_in_loop": 0, "verified_adopted": 0,
        "total_epics": 0, "epics_completed": 0, "verification_percentage": 0.0,
        "estimated_hours_total": 0, "estimated_hours_completed": 0,
    });
    assert_eq!(progress(&tenant, &project).await, expected);
}

#[tokio::test]
async fn a_third_of_the_work_is_done() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [{"number": 1, "title": "E", "stories": [
            story("1.1"), story("1.2"),
            {"number": "1.3", "title": "S", "initial_verified_status": "pass", "estimated_hours": 4}]}]}))
        .await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let id = tenant.story_id(&project, "1.2").await;
    bring(&id, Reach::Implementing, &a1, &a2, &o).await;
    let expected = json!({
        "total_stories": 3,
        "stories_by_agent_status":
            {"pending": 1, "contracted": 0, "assigned": 0, "implementing": 1, "reported_done": 1},
        "stories_by_verified_status": {"unverified": 2, "verified": 1, "rejected": 0}, "verified_in_loop": 0, "verified_adopted": 1,
        "total_epics": 1, "epics_completed": 0, "verification_percentage": 33.3,
        "estimated_hours_total": 4, "estimated_hours_completed": 4,
    });
    assert_eq!(progress(&tenant, &project).await, expected);
    archive(&tenant, &project).await;
    assert_eq!(progress(&tenant, &project).await, expected, "archived");
}

#[tokio::test]
async fn every_status_is_counted_and_an_empty_epic_is_not_complete() {
    let tenant = Tenant::new().await;
    let numbers: Vec<String> = (1..=7).map(|minor| format!("1.{minor}")).collect();
    let stories: Vec<_> = numbers.iter().map(|number| story(number)).collect();
    let other =
        json!({"number": "2.1", "title": "S", "initial_verified_status": "pass", "estimated_hours": "0.25"});
    let hours = json!({"number": "4.1", "title": "S", "estimated_hours": 1.5});
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "E", "stories": stories}, {"number": 2, "title": "E", "stories": [other]},
            {"number": 3, "title": "Empty"}, {"number": 4, "title": "E", "stories": [hours]}]}))
        .await;
    let body = json!({"settings": {"auto_reset_on_rejection": false}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    for (number, reach) in [
        ("1.2", Reach::Contracted),
        ("1.3", Reach::Assigned),
        ("1.4", Reach::Implementing),
        ("1.5", Reach::Reported),
        ("1.6", Reach::Verified),
        ("1.7", Reach::Reported),
    ] {
        let id = tenant.story_id(&project, number).await;
        bring(&id, reach, &a1, &a2, &o).await;
        if number == "1.7" {
            let path = format!("/stories/{id}/reject");
            o.post(&path, json!({"reason": "no"})).await.expect(200);
        }
    }
    assert_eq!(
        progress(&tenant, &project).await,
        json!({
            "total_stories": 9,
            "stories_by_agent_status":
                {"pending": 2, "contracted": 1, "assigned": 1, "implementing": 1, "reported_done": 4},
            "stories_by_verified_status": {"unverified": 6, "verified": 2, "rejected": 1}, "verified_in_loop": 1, "verified_adopted": 1,
            "total_epics": 4, "epics_completed": 1, "verification_percentage": 22.2,
            "estimated_hours_total": 1.75, "estimated_hours_completed": 0.25,
        })
    );
}

#[tokio::test]
async fn costs_are_shown_when_asked_for() {
    let tenant = Tenant::new().await;
    let project =
        tenant.imported(json!({"epics": [{"number": 1, "title": "E", "stories": [plain("1.1")]}]})).await;
    for (query, asked) in [
        ("", false),
        ("?include_cost=false", false),
        ("?include_cost=yes", false),
        ("?include_cost=true", true),
        ("?include_cost=1", true),
    ] {
        let path = format!("/projects/{project}/progress{query}");
        let progress = tenant.user.get(&path).await.expect(200)["progress"].clone();
        assert_eq!(progress["total_stories"], 1);
        for name in COST {
            assert_eq!(progress.get(name), asked.then_some(&Value::Null), "{name} with {query}");
        }
    }
}

/// Sums of decimals, which no floating point number is close to.
#[tokio::test]
async fn hours_add_up() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1", "1.2"]).await;
    let statement = "update stories set estimated_hours = $2::text::numeric
                     where project_id = $1::text::uuid and number = $3";
    assert_eq!(sql(statement, &[&project, &"0.1", &"1.1"]).await, 1);
    assert_eq!(sql(statement, &[&project, &"0.2", &"1.2"]).await, 1);
    let progress = progress(&tenant, &project).await;
    assert_eq!(progress["estimated_hours_total"], json!(0.3));
    assert_eq!(progress["estimated_hours_completed"], json!(0));
}

/// An epic's progress counts its own stories, every status named.
#[tokio::test]
async fn an_epic_has_progress() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let mut done = story("1.1");
    done["initial_verified_status"] = json!("pass");
    let epics = json!([
        {"number": 1, "title": "One", "stories": [done, story("1.2"), story("1.3")]},
        {"number": 2, "title": "Two"},
    ]);
    let project = tenant.imported(json!({"epics": epics})).await;
    let list = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    let path = |nth: usize| format!("/epics/{}/progress", list["data"][nth]["id"].as_str().unwrap());
    let agent = tenant.agent().await;
    assert_eq!(
        agent.get(&path(0)).await.expect(200),
        json!({"progress": {
            "total_stories": 3,
            "stories_by_agent_status":
                {"pending": 2, "contracted": 0, "assigned": 0, "implementing": 0, "reported_done": 1},
            "stories_by_verified_status": {"unverified": 2, "verified": 1, "rejected": 0}, "verified_in_loop": 0, "verified_adopted": 1,
            "verification_percentage": 33.3,
        }})
    );
    assert_eq!(agent.get(&path(1)).await.expect(200)["progress"]["verification_percentage"], 0.0);
    other.user.get(&path(0)).await.expect_error(404, "not_found");
    agent.get("/epics/nope/progress").await.expect_error(404, "not_found");
    tenant
        .user
        .get("/epics/01900000-0000-7000-8000-000000000000/progress")
        .await
        .expect_error(404, "not_found");
}
