//! The dependency graph, and the queues below a project's path.

use serde_json::{Value, json};

use super::dependencies::Plan;
use super::{archive, column, keys};
use crate::support::{Tenant, text};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

#[tokio::test]
async fn the_graph_is_not_for_strangers() {
    let plan = Plan::new(&[&["1.1"]]).await;
    let path = format!("/projects/{}/dependency_graph", plan.project);
    plan.tenant.agent().await.get(&path).await.expect(200);
    Tenant::new().await.user.get(&path).await.expect_error(404, "not_found");
    for id in [NONE, "nope", plan.id("1"), plan.id("1.1")] {
        plan.o.get(&format!("/projects/{id}/dependency_graph")).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn an_empty_project_has_an_empty_graph() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let graph = tenant.user.get(&format!("/projects/{project}/dependency_graph")).await.expect(200);
    let empty = json!({"epics": [], "epic_dependencies": [], "story_dependencies": []});
    assert_eq!(graph, json!({"graph": empty}));
}

#[tokio::test]
async fn the_graph_shows_epics_stories_and_edges_in_order() {
    let tenant = Tenant::new().await;
    let story = |number: &str| json!({"number": number, "title": format!("T {number}")});
    let done = json!({"number": "1.2", "title": "T 1.2", "initial_verified_status": "pass"});
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "Last", "position": 9, "stories": [story("1.10"), story("1.9"), done]},
            {"number": 3, "title": "Third", "position": 1},
            {"number": 2, "title": "Second", "position": 1, "phase": "p0", "stories": [story("20"), story("3.1")]}]}))
        .await;
    let o = tenant.key("orchestrator").await;
    let epic = async |number| super::epic_id(&tenant, &project, number).await;
    let (one, two, three) = (epic(1).await, epic(2).await, epic(3).await);
    let id = async |number: &str| tenant.story_id(&project, number).await;
    let mut epic_edges = Vec::new();
    for (from, to) in [(&one, &three), (&one, &two), (&two, &three)] {
        let body = json!({"epic_id": from, "depends_on_epic_id": to});
        o.post("/epic_dependencies", body).await.expect(201);
        epic_edges.push(json!({"from": from, "to": to}));
    }
    let mut story_edges = Vec::new();
    for (from, to) in [("1.10", "1.9"), ("1.9", "3.1"), ("1.10", "1.2")] {
        let (from, to) = (id(from).await, id(to).await);
        let body = json!({"story_id": from, "depends_on_story_id": to});
        o.post("/story_dependencies", body).await.expect(201);
        story_edges.push(json!({"from": from, "to": to}));
    }
    let mini = async |number: &str, agent: &str, verified: &str, sort_key: u32| {
        json!({"id": id(number).await, "number": number, "title": format!("T {number}"), "agent_status": agent,
               "verified_status": verified, "sort_key": sort_key})
    };
    let (pending, unverified) = ("pending", "unverified");
    let expected = json!({
        "epics": [
            {"id": two, "number": 2, "title": "Second", "phase": "p0", "position": 1, "stories": [
                mini("3.1", pending, unverified, 30010).await, mini("20", pending, unverified, 200_000).await]},
            {"id": three, "number": 3, "title": "Third", "phase": null, "position": 1, "stories": []},
            {"id": one, "number": 1, "title": "Last", "phase": null, "position": 9, "stories": [
                mini("1.2", "reported_done", "verified", 10020).await, mini("1.9", pending, unverified, 10090).await,
                mini("1.10", pending, unverified, 10100).await]},
        ],
        "epic_dependencies": epic_edges, "story_dependencies": story_edges,
    });
    let path = format!("/projects/{project}/dependency_graph");
    let graph = tenant.agent().await.get(&format!("{path}?limit=1&page=2")).await.expect(200);
    assert_eq!(keys(&graph), ["graph"]);
    assert_eq!(graph["graph"], expected);
    // Of an archived project, too.
    archive(&tenant, &project).await;
    assert_eq!(o.get(&path).await.expect(200)["graph"], expected);
}

/// The aliases answer as the queues with `project_id`.
#[tokio::test]
async fn queues_below_a_project() {
    let (plan, stranger) = (Plan::new(&[&["1.1", "1.2"], &["2.1"]]).await, Tenant::new().await);
    plan.added("1.2", "1.1").await;
    plan.added("2", "1").await;
    let agent = plan.tenant.agent().await;
    let second = plan.tenant.project_of(&["7.1"]).await;
    for queue in ["ready", "blocked"] {
        let path = format!("/projects/{}/stories/{queue}", plan.project);
        stranger.user.get(&path).await.expect_error(404, "not_found");
        for id in [NONE, "nope", plan.id("1")] {
            agent.get(&format!("/projects/{id}/stories/{queue}")).await.expect_error(404, "not_found");
        }
        agent.get(&format!("{path}?epic_id=nope")).await.expect_error(404, "not_found");
        for query in [
            "x=1".to_owned(),
            "limit=1".to_owned(),
            "page_size=1&page=2".to_owned(),
            "page_size=999".to_owned(),
            format!("epic_id={}", plan.id("2")),
            format!("epic_id={NONE}"),
            "agent_status=bogus".to_owned(),
        ] {
            let named = format!("/stories/{queue}?project_id={}&{query}", plan.project);
            let same = agent.get(&format!("{path}?{query}")).await.expect(200);
            assert_eq!(same, agent.get(&named).await.expect(200), "{query}");
        }
        // The path wins over the query.
        let both = agent.get(&format!("{path}?project_id={second}")).await.expect(200);
        assert_eq!(both, agent.get(&path).await.expect(200));
        assert_eq!(both["meta"]["total_count"], if queue == "ready" { 1 } else { 2 });
    }
    let ready = agent.get(&format!("/projects/{second}/stories/ready")).await.expect(200);
    assert_eq!(column(&ready, "number"), ["7.1"]);
    // A project that is named takes part, archived or not.
    archive(&plan.tenant, &plan.project).await;
    let path = format!("/projects/{}/stories/blocked", plan.project);
    let blocked = agent.get(&path).await.expect(200);
    let numbers: Vec<_> = blocked["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item: &Value| text(&item["story"]["number"]))
        .collect();
    assert_eq!(numbers, ["1.2", "2.1"]);
}
