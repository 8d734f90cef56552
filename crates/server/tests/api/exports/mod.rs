//! A project as one document, which can be imported again.

mod round_trip;
mod statuses;
pub(crate) mod streaming;

use serde_json::{Value, json};

use crate::support::{Caller, Tenant, connect, server, text, unique};

async fn export(caller: &Caller, project: &str) -> Value {
    caller.get(&format!("/projects/{project}/export")).await.expect(200)
}

async fn export_with_statuses(caller: &Caller, project: &str) -> Value {
    caller.get(&format!("/projects/{project}/export?include_status=true")).await.expect(200)
}

async fn import(caller: &Caller, project: &str, document: &Value) -> Value {
    caller.post(&format!("/projects/{project}/import"), document.clone()).await.expect(201)
}

async fn merge(caller: &Caller, project: &str, document: &Value) -> Value {
    caller.post(&format!("/projects/{project}/import?merge=true"), document.clone()).await.expect(200)
}

/// The plan of a document, without what an import gives anew: ids and times.
fn plan(document: &Value) -> Value {
    let mut plan = json!({});
    for name in ["epics", "story_dependencies", "epic_dependencies"] {
        plan[name] = document[name].clone();
    }
    for story in stories_mut(&mut plan) {
        let story = story.as_object_mut().unwrap();
        for name in ["assigned_agent_id", "assigned_at", "reported_done_at", "verified_at", "rejected_at"] {
            assert!(story.remove(name).is_some(), "{name}");
        }
    }
    plan
}

fn stories_mut(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let epics = document["epics"].as_array_mut().unwrap();
    epics.iter_mut().flat_map(|epic| epic["stories"].as_array_mut().unwrap())
}

fn stories(document: &Value) -> impl Iterator<Item = &Value> {
    document["epics"].as_array().unwrap().iter().flat_map(|epic| epic["stories"].as_array().unwrap())
}

/// The document as it came over the wire, without its time.
async fn timeless(caller: &Caller, project: &str) -> String {
    let request = caller.request(reqwest::Method::GET, &format!("/projects/{project}/export"));
    let document = request.send().await.unwrap().text().await.unwrap();
    let time = text(&serde_json::from_str::<Value>(&document).unwrap()["export_metadata"]["exported_at"]);
    assert_eq!(document.matches(&time).count(), 1);
    document.replace(&time, "")
}

/// A foreign project is as unknown as a malformed id.
#[tokio::test]
async fn what_is_not_ones_own_is_not_found() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let project = tenant.project_of(&["1.1"]).await;
    for query in ["", "?include_status=true"] {
        let path = format!("/projects/{project}/export{query}");
        for caller in [&stranger.user, &stranger.agent().await, &stranger.orchestrator().await] {
            caller.get(&path).await.expect_error(404, "not_found");
        }
        Caller::nobody().get(&path).await.expect_error(401, "unauthorized");
    }
    for id in [uuid::Uuid::now_v7().to_string(), "not-a-uuid".to_owned()] {
        tenant.user.get(&format!("/projects/{id}/export")).await.expect_error(404, "not_found");
    }
}

/// Also an agent, also an archived project.
#[tokio::test]
async fn everybody_may_export() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let expected = timeless(&tenant.user, &project).await;
    for caller in [tenant.agent().await, tenant.key("agent").await, tenant.orchestrator().await] {
        assert_eq!(timeless(&caller, &project).await, expected);
    }
    let sql = "update projects set status = 'archived' where id::text = $1";
    assert_eq!(connect(&server().owner).await.execute(sql, &[&project]).await.unwrap(), 1);
    let archived = export(&tenant.user, &project).await;
    assert_eq!(archived["project"]["status"], "archived");
    assert_eq!(plan(&archived), plan(&serde_json::from_str(&expected).unwrap()));
}

/// Empty arrays, and nothing else but the project.
#[tokio::test]
async fn an_empty_project() {
    let tenant = Tenant::new().await;
    let slug = unique("exported");
    let body = json!({"name": "Name \"quoted\"", "slug": slug, "mission": "To be\nexported", "repo_url": "https://r.test",
                      "description": "d", "tech_stack": "Rust", "metadata": {"a": [1, {"b": null}]}});
    let project = text(&tenant.user.post("/projects", body.clone()).await.expect(201)["project"]["id"]);
    let reply = tenant.user.get(&format!("/projects/{project}/export")).await;
    assert_eq!(reply.headers["content-type"], "application/json; charset=utf-8");
    let mut document = reply.expect(200);
    let time = text(&document["export_metadata"]["exported_at"].take());
    assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
    let mut project_object = body;
    project_object["status"] = json!("active");
    assert_eq!(
        document,
        json!({
            "export_metadata": {"exported_at": null, "loopctl_version": loopctl_server::VERSION,
                                "project_id": project, "tenant_id": tenant.id},
            "project": project_object, "epics": [], "story_dependencies": [], "epic_dependencies": [],
        })
    );
    let imported = import(&tenant.user, &tenant.project().await, &document).await;
    assert_eq!(
        imported["import"],
        json!({"epics_created": 0, "stories_created": 0, "dependencies_created": 0})
    );
}

#[tokio::test]
async fn everything_is_in_the_document() {
    let tenant = Tenant::new().await;
    let criteria =
        json!([{"id": "AC-1", "criterion": "It works", "verification_criterion": {"type": "manual"}}]);
    let project = tenant
        .imported(json!({
            "epics": [{"number": 7, "title": "Epic", "description": "d", "phase": "p0", "position": 3,
                       "metadata": {"k": "v"}, "stories": [
                {"number": "7.1", "title": "Build API", "description": "d", "acceptance_criteria": criteria,
                 "estimated_hours": 4.5, "metadata": {"k": 1}},
                {"number": "7.2", "title": "Next"}]},
                {"number": 8, "title": "Bare"}],
            "story_dependencies": [{"story": "7.2", "depends_on": "7.1"}],
            "epic_dependencies": [{"epic": 8, "depends_on": 7}],
        }))
        .await;
    let agent = tenant.agent().await;
    let story = tenant.story_id(&project, "7.1").await;
    let contract = json!({"story_title": "Build API", "ac_count": 1});
    agent.post(&format!("/stories/{story}/contract"), contract).await.expect(200);
    let claimed = agent.post(&format!("/stories/{story}/claim"), json!({})).await.expect(200);
    let document = export(&agent, &project).await;
    let shown = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
    let digest = |nth: usize| shown["data"][nth]["criteria_digest"].clone();
    let blank = json!({"assigned_agent_id": null, "assigned_at": null, "reported_done_at": null, "verified_at": null,
                       "rejected_at": null, "rejection_reason": null, "verification_source": null,
                       "contract_stale": false, "verification_stale": false});
    let with = |members: Value| {
        let mut story = blank.clone();
        story.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        story
    };
    assert_eq!(
        document["epics"],
        json!([
            {"number": 7, "title": "Epic", "description": "d", "phase": "p0", "position": 3, "metadata": {"k": "v"},
             "stories": [
                with(json!({"number": "7.1", "title": "Build API", "description": "d", "acceptance_criteria": criteria,
                            "estimated_hours": 4.5, "agent_status": "assigned", "verified_status": "unverified",
                            "assigned_agent_id": agent.agent(), "assigned_at": claimed["story"]["assigned_at"],
                            "criteria_digest": digest(0), "metadata": {"k": 1}})),
                with(json!({"number": "7.2", "title": "Next", "description": null, "acceptance_criteria": [],
                            "estimated_hours": null, "agent_status": "pending", "verified_status": "unverified",
                            "criteria_digest": digest(1), "metadata": {}}))]},
            {"number": 8, "title": "Bare", "description": null, "phase": null, "position": 1, "metadata": {},
             "stories": []},
        ])
    );
    assert_eq!(document["story_dependencies"], json!([{"story": "7.2", "depends_on": "7.1"}]));
    assert_eq!(document["epic_dependencies"], json!([{"epic": 8, "depends_on": 7}]));
    assert_ne!(claimed["story"]["assigned_at"], Value::Null);
}

/// Everything in the order of numbers, whatever the order of positions, creation or text.
#[tokio::test]
async fn numbers_give_the_order() {
    let tenant = Tenant::new().await;
    let story = |number: &str| json!({"number": number, "title": "S"});
    let project = tenant
        .imported(json!({
            "epics": [
                {"number": 10, "title": "Ten", "position": 0, "stories": [story("3.1"), story("10")]},
                {"number": 9, "title": "Nine", "position": 1,
                 "stories": [story("1.10"), story("2.1"), story("1.9"), story("1.1000"), story("1.2"), story("2")]},
                {"number": 1, "title": "One", "position": 2, "stories": []}],
            "story_dependencies": [
                {"story": "10", "depends_on": "2.1"}, {"story": "2.1", "depends_on": "1.10"},
                {"story": "10", "depends_on": "1.10"}, {"story": "2.1", "depends_on": "1.9"},
                {"story": "1.10", "depends_on": "1.9"}, {"story": "1.1000", "depends_on": "1.2"}],
            "epic_dependencies": [
                {"epic": 10, "depends_on": 9}, {"epic": 9, "depends_on": 1}, {"epic": 10, "depends_on": 1}],
        }))
        .await;
    let document = export(&tenant.user, &project).await;
    let epics: Vec<_> =
        document["epics"].as_array().unwrap().iter().map(|epic| epic["number"].clone()).collect();
    assert_eq!(epics, [1, 9, 10]);
    let numbers: Vec<_> = stories(&document).map(|story| text(&story["number"])).collect();
    assert_eq!(numbers, ["1.2", "1.9", "1.10", "1.1000", "2", "2.1", "3.1", "10"]);
    let edge = |story: &str, depends_on: &str| json!({"story": story, "depends_on": depends_on});
    assert_eq!(
        document["story_dependencies"],
        json!([
            edge("1.10", "1.9"),
            edge("1.1000", "1.2"),
            edge("2.1", "1.9"),
            edge("2.1", "1.10"),
            edge("10", "1.10"),
            edge("10", "2.1")
        ])
    );
    let edge = |epic: i32, depends_on: i32| json!({"epic": epic, "depends_on": depends_on});
    assert_eq!(document["epic_dependencies"], json!([edge(9, 1), edge(10, 1), edge(10, 9)]));
}

/// A story that was created directly has its criteria normalised by the import; their number never changes, and
/// from the second export on nothing does.
#[tokio::test]
async fn criteria_are_normalised_once() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let direct =
        json!([{"id": "AC-1", "description": "d"}, {"criterion": "c", "description": "d", "x": {"y": 1}}]);
    let sql = "update stories set acceptance_criteria = $2 where project_id::text = $1";
    connect(&server().owner).await.execute(sql, &[&project, &direct]).await.unwrap();
    let first = export(&tenant.user, &project).await;
    assert_eq!(stories(&first).next().unwrap()["acceptance_criteria"], direct);
    let (second, third) = (tenant.imported(first).await, tenant.project().await);
    let second = export(&tenant.user, &second).await;
    let normalised = json!([{"id": "AC-1", "criterion": "d"}, {"criterion": "d", "x": {"y": 1}}]);
    assert_eq!(stories(&second).next().unwrap()["acceptance_criteria"], normalised);
    import(&tenant.user, &third, &second).await;
    assert_eq!(plan(&export(&tenant.user, &third).await), plan(&second));
}
