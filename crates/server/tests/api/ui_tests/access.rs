//! Who may, and where: roles, tenants, projects.

use loopctl_server::operator::create_superadmin_key;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, id};
use crate::support::{Caller, server, unique};

const RANDOM_ID: &str = "0190f5ad-0000-7000-8000-000000000000";

/// The ten calls, with bodies that would pass, of a project and a run.
fn calls(project: &str, run: &str) -> Vec<(Method, String, Value)> {
    let (code, seed) = (format!("/projects/{project}/ui-tests"), format!("/projects/{project}/ui_test_runs"));
    let start = json!({"guide_reference": "g"});
    let finding = json!({"severity": "bug", "title": "t"});
    let end = json!({"summary": "s", "status": "failed"});
    vec![
        (Method::POST, code.clone(), start.clone()),
        (Method::GET, code.clone(), Value::Null),
        (Method::GET, format!("{code}/{run}"), Value::Null),
        (Method::POST, format!("{code}/{run}/findings"), finding.clone()),
        (Method::POST, format!("{code}/{run}/complete"), end.clone()),
        (Method::POST, seed.clone(), start),
        (Method::GET, seed, Value::Null),
        (Method::GET, format!("/ui_test_runs/{run}"), Value::Null),
        (Method::POST, format!("/ui_test_runs/{run}/findings"), finding),
        (Method::POST, format!("/ui_test_runs/{run}/complete"), end),
    ]
}

async fn not_found(caller: &Caller, (method, path, body): &(Method, String, Value)) {
    let request = caller.request(method.clone(), path).json(body);
    let error = caller.send(request).await.expect_error(404, "not_found");
    assert_eq!(error["message"], "Not found", "{method} {path}");
}

/// To start, list, show, extend or end; and a refused call leaves nothing there.
#[tokio::test]
async fn another_tenants_runs_do_not_exist() {
    let (mine, theirs) = (Scene::new().await, Scene::new().await);
    let (my_run, their_run) = (mine.code_run().await, theirs.code_run().await);
    let (my_run, their_run) = (id(&my_run), id(&their_run));
    let before = [mine.stored().await, mine.audited().await, theirs.stored().await, theirs.audited().await];
    for caller in [&mine.agent, &mine.orchestrator, &mine.tenant.user] {
        for call in calls(&theirs.project, their_run) {
            not_found(caller, &call).await;
        }
        // Their run in my project, my run in theirs, and what nobody has.
        for (project, run) in [
            (mine.project.as_str(), their_run),
            (&theirs.project, my_run),
            (&mine.project, RANDOM_ID),
            (RANDOM_ID, my_run),
            ("nope", my_run),
            (&mine.project, "nope"),
        ] {
            for call in calls(project, run).iter().skip(2).take(3) {
                not_found(caller, call).await;
            }
        }
        for call in calls(RANDOM_ID, RANDOM_ID).iter().chain(&calls("nope", "nope")) {
            not_found(caller, call).await;
        }
    }
    let after = [mine.stored().await, mine.audited().await, theirs.stored().await, theirs.audited().await];
    assert_eq!(after, before);
}

/// Under a project there are only its own runs, also in one tenant.
#[tokio::test]
async fn a_run_belongs_to_its_project() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    let other = scene.tenant.project().await;
    let before = scene.stored().await;
    for call in calls(&other, id(&run)).iter().skip(2).take(3) {
        not_found(&scene.agent, call).await;
    }
    assert_eq!(scene.stored().await, before);
    let upper = run.replace(id(&run), &id(&run).to_uppercase());
    let shown = scene.agent.get(&upper).await.expect(200);
    assert_eq!(shown["ui_test_run"]["id"], id(&run), "echoed in lower case");
}

/// Every role may; a key without an agent starts a run in nobody's name.
#[tokio::test]
async fn every_role_may() {
    let scene = Scene::new().await;
    let unbound = scene.tenant.key("agent").await;
    let path = format!("/projects/{}/ui_test_runs", scene.project);
    for (caller, agent) in [
        (&scene.agent, json!(scene.agent.agent())),
        (&scene.orchestrator, json!(scene.orchestrator.agent())),
        (&unbound, Value::Null),
        (&scene.tenant.user, Value::Null),
    ] {
        let run = caller.post(&path, json!({})).await.expect(201)["data"].clone();
        assert_eq!(run["started_by_agent_id"], agent);
        for (method, path, body) in calls(&scene.project, run["id"].as_str().unwrap()).into_iter().take(4) {
            let reply = caller.send(caller.request(method, &path).json(&body)).await;
            assert!([200, 201].contains(&reply.status), "{path}: {reply:?}");
        }
    }
    for (method, path, body) in calls(&scene.project, RANDOM_ID) {
        let nobody = Caller::nobody();
        nobody.send(nobody.request(method, &path).json(&body)).await.expect_error(401, "unauthorized");
    }
}

/// A superadmin needs a tenant, and is named in the log.
#[tokio::test]
async fn a_superadmin_acts_inside_a_tenant() {
    let scene = Scene::new().await;
    let key = create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    let superadmin = Caller::with_key(&key.raw_key);
    for (method, path, body) in calls(&scene.project, RANDOM_ID) {
        let request = superadmin.request(method, &path).json(&body);
        let error = superadmin.send(request).await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Superadmin must use X-Impersonate-Tenant header");
    }
    let mut inside = superadmin.clone();
    inside.headers.push(("x-impersonate-tenant", scene.tenant.id.clone()));
    let path = format!("/projects/{}/ui_test_runs", scene.project);
    let run = inside.post(&path, json!({})).await.expect(201);
    assert_eq!(run["data"]["started_by_agent_id"], Value::Null);
    let entry = &scene.audited().await[0];
    assert_eq!(entry["actor_type"], "superadmin");
    assert_eq!(entry["actor_label"], format!("superadmin:impersonating:{}", scene.tenant.slug));
    assert_eq!(entry["metadata"]["impersonated_by"], key.id.to_string());
}
