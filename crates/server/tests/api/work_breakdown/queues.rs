//! What is ready, what is blocked and by what.

use serde_json::{Value, json};

use super::{archive, column, epic_id, keys, meta, plain, verified};
use crate::support::{Reach, Tenant, bring, story, text};

const BRIEF: [&str; 11] = [
    "agent_status",
    "epic_id",
    "id",
    "inserted_at",
    "number",
    "project_id",
    "sort_key",
    "tenant_id",
    "title",
    "updated_at",
    "verified_status",
];

/// The numbers in the ready queue.
pub(super) async fn ready(tenant: &Tenant, query: &str) -> Vec<String> {
    let list = tenant.user.get(&format!("/stories/ready?page_size=500&{query}")).await.expect(200);
    for item in list["data"].as_array().unwrap() {
        let members: Vec<_> = keys(item).into_iter().filter(|name| *name != "next_actions").collect();
        assert_eq!(members, BRIEF);
        assert_eq!(item["next_actions"][0]["action"], "contract");
    }
    let numbers = column(&list, "number");
    assert_eq!(list["meta"]["total_count"], numbers.len());
    numbers
}

/// `1.2: 1.1 via story, 1.3 via epic` per blocked story.
pub(super) async fn blocked(tenant: &Tenant, query: &str) -> Vec<String> {
    let list = tenant.user.get(&format!("/stories/blocked?page_size=500&{query}")).await.expect(200);
    let items = list["data"].as_array().unwrap();
    assert_eq!(list["meta"]["total_count"], items.len());
    items
        .iter()
        .map(|item| {
            assert_eq!(keys(item), ["blocking_count", "blocking_dependencies", "story"]);
            assert_eq!(keys(&item["story"]), BRIEF);
            let blockers = item["blocking_dependencies"].as_array().unwrap();
            assert_eq!(item["blocking_count"], blockers.len());
            let blockers: Vec<_> = blockers
                .iter()
                .map(|blocker| {
                    let names = ["agent_status", "id", "number", "title", "verified_status", "via"];
                    assert_eq!(keys(blocker), names);
                    assert_ne!(blocker["verified_status"], "verified");
                    format!("{} via {}", text(&blocker["number"]), text(&blocker["via"]))
                })
                .collect();
            format!("{}: {}", text(&item["story"]["number"]), blockers.join(", "))
        })
        .collect()
}

fn waiting(number: &str, prerequisites: &[&str]) -> Value {
    json!({"number": number, "title": "S", "depends_on_stories": prerequisites})
}

fn epic(number: i64, prerequisites: &[i64], stories: &[Value]) -> Value {
    json!({"number": number, "title": "E", "depends_on_epics": prerequisites, "stories": stories})
}

#[tokio::test]
async fn only_a_verified_prerequisite_lets_through() {
    let tenant = Tenant::new().await;
    let project =
        tenant.imported(json!({"epics": [epic(1, &[], &[story("1.1"), waiting("1.2", &["1.1"])])]})).await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let id = tenant.story_id(&project, "1.1").await;
    assert_eq!(ready(&tenant, "").await, ["1.1"]);
    let mut status = "pending";
    let at = |action: &str| format!("/stories/{id}/{action}");
    let verify = json!({"review_type": "enhanced", "summary": "checked"});
    for (who, action, body, next) in [
        (&a1, "contract", crate::support::echo(), "contracted"),
        (&a1, "claim", json!({}), "assigned"),
        (&a1, "start", json!({}), "implementing"),
        (&a2, "report", json!({}), "reported_done"),
    ] {
        let list = tenant.user.get("/stories/blocked").await.expect(200);
        let item = &list["data"][0];
        assert_eq!(item["story"]["number"], "1.2");
        assert_eq!(
            item["blocking_dependencies"],
            json!([{"id": id, "number": "1.1", "title": "Build API", "agent_status": status,
                    "verified_status": "unverified", "via": "story"}])
        );
        who.post(&at(action), body).await.expect(200);
        status = next;
        assert_eq!(ready(&tenant, "").await, [] as [&str; 0], "{status}");
        assert_eq!(blocked(&tenant, "").await, ["1.2: 1.1 via story"], "{status}");
    }
    let body = json!({"review_type": "enhanced"});
    a2.post(&at("review-complete"), body).await.expect(201);
    o.post(&at("verify"), verify).await.expect(200);
    assert_eq!(ready(&tenant, "").await, ["1.2"]);
    assert_eq!(blocked(&tenant, "").await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_rejected_prerequisite_blocks() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [epic(1, &[], &[
            story("1.1"), waiting("1.2", &["1.1"]), story("1.3"), waiting("1.4", &["1.3"])])]}))
        .await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let reject = async |number: &str, reset: bool| {
        let body = json!({"settings": {"auto_reset_on_rejection": reset}});
        tenant.user.patch("/tenants/me", body).await.expect(200);
        let id = tenant.story_id(&project, number).await;
        bring(&id, Reach::Reported, &a1, &a2, &o).await;
        let path = format!("/stories/{id}/reject");
        let story = o.post(&path, json!({"reason": "no"})).await.expect(200)["story"].clone();
        (text(&story["agent_status"]), text(&story["verified_status"]))
    };
    // Reset to pending it can be taken up again, but it still blocks.
    assert_eq!(reject("1.1", true).await, ("pending".to_owned(), "rejected".to_owned()));
    assert_eq!(ready(&tenant, "").await, ["1.1", "1.3"]);
    // Left reported it is neither ready nor done.
    assert_eq!(reject("1.3", false).await, ("reported_done".to_owned(), "rejected".to_owned()));
    assert_eq!(ready(&tenant, "").await, ["1.1"]);
    assert_eq!(blocked(&tenant, "").await, ["1.2: 1.1 via story", "1.4: 1.3 via story"]);
}

#[tokio::test]
async fn epics_wait_for_every_story_of_their_direct_prerequisites() {
    let tenant = Tenant::new().await;
    let reported = json!({"number": "1.1", "title": "S", "initial_agent_status": "reported_done"});
    tenant
        .imported(json!({"epics": [
            epic(1, &[], &[reported]),
            epic(2, &[1], &[plain("2.1")]),
            epic(3, &[], &[]),
            epic(4, &[3], &[plain("4.1")]),
            // 6 waits for 5, which is empty and waits for 1: the rule is one level deep.
            epic(5, &[1], &[]),
            epic(6, &[5], &[plain("6.1")]),
            epic(7, &[], &[verified("7.1"), verified("7.2")]),
            epic(8, &[7], &[plain("8.1")]),
            epic(9, &[7, 1], &[plain("9.1"), waiting("9.2", &["8.1"])]),
        ]}))
        .await;
    assert_eq!(ready(&tenant, "").await, ["4.1", "6.1", "8.1"]);
    assert_eq!(
        blocked(&tenant, "").await,
        ["2.1: 1.1 via epic", "9.1: 1.1 via epic", "9.2: 1.1 via epic, 8.1 via story"]
    );
}

#[tokio::test]
async fn blockers_are_named_once_and_in_number_order() {
    let tenant = Tenant::new().await;
    tenant
        .imported(json!({"epics": [
            epic(1, &[], &[plain("1.10"), plain("1.9"), verified("1.8"), plain("1.1000")]),
            epic(2, &[], &[plain("2.1")]),
            epic(3, &[1, 2], &[waiting("3.1", &["2.1", "1.10", "1.8"])]),
        ]}))
        .await;
    assert_eq!(
        blocked(&tenant, "").await,
        ["3.1: 1.9 via epic, 1.10 via story, 1.1000 via epic, 2.1 via story"]
    );
}

/// A hundred stories are named of what blocks one, its own prerequisites among them, and 2,000 in one answer; they are counted all.
#[tokio::test]
async fn blockers_of_a_large_epic_are_counted() {
    let tenant = Tenant::new().await;
    let large: Vec<_> = (1..=120).map(|minor| plain(&format!("1.{minor}"))).collect();
    let project = tenant
        .imported(json!({"epics": [
            epic(1, &[], &large),
            epic(2, &[1], &[waiting("2.1", &["1.110", "1.5"]), waiting("2.2", &["2.1"])]),
        ]}))
        .await;
    let shown = |list: &Value| -> Vec<_> {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|blocked| {
            let named = blocked["blocking_dependencies"].as_array().unwrap();
            (text(&blocked["story"]["number"]), named.len(), blocked["blocking_count"].as_i64().unwrap())
        })
        .collect()
    };
    let list = tenant.user.get("/stories/blocked").await.expect(200);
    // 2.1 is no story of the large epic.
    assert_eq!(shown(&list), [("2.1".to_owned(), 100, 120), ("2.2".to_owned(), 100, 121)]);
    let numbers = |blocked: &Value| -> Vec<_> {
        let named = blocked["blocking_dependencies"].as_array().unwrap().iter();
        named.map(|blocker| (text(&blocker["number"]), text(&blocker["via"]))).collect()
    };
    let named = numbers(&list["data"][0]);
    assert!(named.contains(&("1.110".to_owned(), "story".to_owned())), "{named:?}");
    assert_eq!(
        named[98..],
        [("1.99", "epic"), ("1.110", "story")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let more: Vec<_> = (3..=25).map(|minor| plain(&format!("2.{minor}"))).collect();
    let merge = format!("/projects/{project}/import?merge=true");
    tenant.user.post(&merge, json!({"epics": [epic(2, &[1], &more)]})).await.expect(200);
    let list = tenant.user.get("/stories/blocked?limit=100").await.expect(200);
    let counts: Vec<_> = shown(&list).into_iter().map(|(_, named, count)| (named, count)).collect();
    assert_eq!(counts[..2], [(80, 120), (80, 121)]);
    assert_eq!(counts[2..], [(80, 120); 23]);
}

#[tokio::test]
async fn verified_stories_are_in_neither_queue_and_taken_ones_may_be_blocked() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [epic(1, &[], &[
        plain("1.1"),
        {
            let mut done = verified("1.2");
            done["depends_on_stories"] = json!(["1.1"]);
            done
        },
        {
            let mut taken = story("1.3");
            taken["depends_on_stories"] = json!(["1.1"]);
            taken
        }])]}))
        .await;
    let id = tenant.story_id(&project, "1.3").await;
    let agent = tenant.agent().await;
    let contracted = agent.post(&format!("/stories/{id}/contract"), crate::support::echo()).await;
    contracted.expect(200);
    assert_eq!(ready(&tenant, "").await, ["1.1"]);
    assert_eq!(blocked(&tenant, "").await, ["1.3: 1.1 via story"]);
    let claim = agent.post_empty(&format!("/stories/{id}/claim")).await;
    claim.expect_error(409, "dependencies_not_met");
}

#[tokio::test]
async fn archived_projects_take_part_only_where_they_are_named() {
    let tenant = Tenant::new().await;
    let stories =
        |one: &str, two: &str| json!({"epics": [epic(1, &[], &[plain(one), waiting(two, &[one])])]});
    let archived = tenant.imported(stories("1.1", "1.2")).await;
    let active = tenant.imported(stories("5.1", "5.2")).await;
    assert_eq!(ready(&tenant, "").await, ["1.1", "5.1"]);
    archive(&tenant, &archived).await;
    assert_eq!(ready(&tenant, "").await, ["5.1"]);
    assert_eq!(blocked(&tenant, "").await, ["5.2: 5.1 via story"]);
    let named = format!("project_id={archived}");
    assert_eq!(ready(&tenant, &named).await, ["1.1"]);
    assert_eq!(blocked(&tenant, &named).await, ["1.2: 1.1 via story"]);
    assert_eq!(ready(&tenant, &format!("project_id={active}")).await, ["5.1"]);
}

#[tokio::test]
async fn filters_and_strangers() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let payload = json!({"epics": [
        epic(1, &[], &[plain("1.1"), waiting("1.2", &["1.1"])]),
        epic(2, &[], &[plain("2.1"), waiting("2.2", &["1.1"])])]});
    let project = tenant.imported(payload.clone()).await;
    let second = tenant.imported(payload).await;
    let (one, foreign) = (epic_id(&tenant, &project, 1).await, epic_id(&tenant, &second, 1).await);
    let none = [] as [&str; 0];
    for (query, now, later) in [
        (format!("project_id={project}"), &["1.1", "2.1"][..], 2),
        (format!("epic_id={one}"), &["1.1"], 1),
        (format!("project_id={project}&epic_id={one}"), &["1.1"], 1),
        (format!("project_id={project}&epic_id={foreign}"), &none, 0),
        (format!("project_id={project}&epic_id={foreign}&page=9"), &none, 0),
        // Words of the other endpoints mean nothing here.
        (format!("project_id={project}&agent_status=contracted&verified_status=bogus"), &["1.1", "2.1"], 2),
        (format!("project_id={}", other.project().await), &none, 0),
        ("project_id=01900000-0000-7000-8000-000000000000".to_owned(), &none, 0),
    ] {
        assert_eq!(ready(&tenant, &query).await, now, "{query}");
        assert_eq!(blocked(&tenant, &query).await.len(), later, "{query}");
        assert_eq!(ready(&other, &query).await, none, "{query}");
        assert_eq!(blocked(&other, &query).await, none, "{query}");
    }
    for queue in ["ready", "blocked"] {
        for name in ["project_id", "epic_id"] {
            let path = format!("/stories/{queue}?{name}=nope");
            tenant.user.get(&path).await.expect_error(404, "not_found");
        }
        let path = |query: &str| format!("/stories/{queue}?project_id={project}{query}");
        let agent = tenant.agent().await;
        let list = agent.get(&path("")).await.expect(200);
        assert_eq!(list["meta"], meta(1, 100, 2, 1));
        let list = agent.get(&path("&page_size=999")).await.expect(200);
        assert_eq!(list["meta"]["page_size"], 500);
        let list = agent.get(&path("&limit=1")).await.expect(200);
        assert_eq!(list["data"].as_array().unwrap().len(), 1);
        assert_eq!(list["meta"], meta(1, 1, 2, 2));
        let list = agent.get(&path("&limit=1&page=7")).await.expect(200);
        assert_eq!(list["data"], json!([]));
        assert_eq!(list["meta"]["total_count"], 2);
    }
}
