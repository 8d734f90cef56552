//! Documents that are only kept: they come back as they were sent.

use reqwest::Method;
use serde_json::json;

use crate::support::{Caller, Tenant, connect, server, text};

/// What is sent, and what of it says something.
const SENT: &str = r#"{ "z" : [ 1e2 , -0.10 ] , "a\u0062" :	"\u00e9\/\u0041\n", "\"\\" : 1, "b":{} }"#;
const KEPT: &str = r#"{"z":[1e2,-0.10],"ab":"é/A\n","\"\\":1,"b":{}}"#;

async fn send(caller: &Caller, method: Method, path: &str, body: String) -> String {
    let request = caller.request(method, path).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {body}");
    body
}

#[tokio::test]
async fn they_come_back_as_they_were_sent() {
    let tenant = Tenant::new().await;
    let (project, story) = (tenant.project().await, tenant.story().await);
    let lead = tenant.orchestrator().await;
    let guide = json!({"guide_reference": "g"});
    let run = tenant.user.post(&format!("/projects/{project}/ui-tests"), guide).await.expect(201);
    let run = format!("/projects/{project}/ui-tests/{}", text(&run["ui_test_run"]["id"]));
    let (story, state) = (format!("/stories/{story}"), format!("/orchestrator/state/{project}"));
    let artifacts = format!("{story}/artifacts");
    for (caller, method, path, body, shown_at) in [
        (&tenant.user, Method::PATCH, &story, format!("{{\"metadata\": {SENT}}}"), &story),
        (
            &lead,
            Method::POST,
            &artifacts,
            format!("{{\"artifact_type\": \"t\", \"path\": \"p\", \"details\": {SENT}}}"),
            &artifacts,
        ),
        (&lead, Method::PUT, &state, format!("{{\"state_key\": \"main\", \"state_data\": {SENT}}}"), &state),
        (
            &lead,
            Method::POST,
            &format!("{run}/findings"),
            format!("{{\"title\": \"t\", \"steps\": [{SENT}]}}"),
            &run,
        ),
    ] {
        let told = send(caller, method, path, body).await;
        assert!(told.contains(KEPT) || path.ends_with("/findings"), "{path}: {told}");
        let shown = send(&lead, Method::GET, shown_at, String::new()).await;
        assert!(shown.contains(KEPT), "{shown_at}: {shown}");
    }
    let project_path = format!("/projects/{project}");
    send(&tenant.user, Method::PATCH, &project_path, format!("{{\"metadata\": {SENT}}}")).await;
    assert!(send(&lead, Method::GET, &project_path, String::new()).await.contains(KEPT));
    // Where a member is added by the server, too.
    let reason = json!({"reason": "done before"});
    lead.post(&format!("{story}/backfill"), reason).await.expect(200);
    let shown = send(&lead, Method::GET, &story, String::new()).await;
    assert!(shown.contains(&format!("{},\"backfill\":", &KEPT[..KEPT.len() - 1])), "{shown}");
    // In a plan as well.
    let plan = format!(
        "{{\"epics\": [{{\"number\": 7, \"title\": \"E\", \"metadata\": {SENT}, \
         \"stories\": [{{\"number\": \"7.1\", \"title\": \"S\", \"metadata\": {SENT}}}]}}]}}"
    );
    send(&tenant.user, Method::POST, &format!("/projects/{project}/import"), plan).await;
    let exported = send(&lead, Method::GET, &format!("/projects/{project}/export"), String::new()).await;
    // Of the project, the epic and the story.
    assert_eq!(exported.matches(KEPT).count(), 3, "{exported}");
}

/// What many bodies have brought is one body when it is imported.
#[tokio::test]
async fn an_export_with_many_exponents_can_be_imported() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let numbers = vec!["1e-300"; 200].join(",");
    for number in 1..=2 {
        let epic =
            format!("{{\"number\": {number}, \"title\": \"E\", \"metadata\": {{\"a\": [{numbers}]}}}}");
        send(&tenant.user, Method::POST, &format!("/projects/{project}/epics"), epic).await;
    }
    let exported =
        send(&tenant.user, Method::GET, &format!("/projects/{project}/export"), String::new()).await;
    assert_eq!(exported.matches("1e-300").count(), 400);
    let other = tenant.project().await;
    send(&tenant.user, Method::POST, &format!("/projects/{other}/import"), exported).await;
}

/// Of a member that is there and one that is added, the added one counts.
#[tokio::test]
async fn a_member_takes_the_place_of_one() {
    let owner = connect(&server().owner).await;
    let merged = r#"select ('{"b": 1e2, "a": 1, "c": {}}'::json || '{"a": 2, "\"": null}'::jsonb)::text"#;
    let merged: String = owner.query_one(merged, &[]).await.unwrap().get(0);
    assert_eq!(merged, r#"{"b":1e2,"c":{},"\"":null,"a":2}"#);
}

/// An object that has so many bytes as it is kept; its white space does not count.
fn of_size(bytes: usize) -> String {
    format!("{{\"a\" :  \"{}\"}}", "x".repeat(bytes - r#"{"a":""}"#.len()))
}

/// What a record has beside its fields is below 64 KB, wherever it is written, and a checkpoint below 1 MB.
#[tokio::test]
async fn they_are_no_larger_than_they_may_be() {
    let tenant = Tenant::new().await;
    let (project, story) = (tenant.project().await, tenant.story().await);
    let lead = tenant.orchestrator().await;
    let in_project = format!("/projects/{project}");
    let epic = tenant
        .user
        .post(&format!("{in_project}/epics"), json!({"number": 5, "title": "E"}))
        .await
        .expect(201);
    let epic = format!("/epics/{}", text(&epic["epic"]["id"]));
    let (story, state) = (format!("/stories/{story}"), format!("/orchestrator/state/{project}"));
    let registered = tenant.key("agent").await;
    let (small, large) = ("must be smaller than 64KB", "must be smaller than 1MB");
    for (caller, method, path, around, field, most, message) in [
        (
            &tenant.user,
            Method::POST,
            "/projects",
            r#"{"name": "p", "slug": "sized", "metadata": $}"#,
            "metadata",
            65_536,
            small,
        ),
        (&tenant.user, Method::PATCH, &in_project, r#"{"metadata": $}"#, "metadata", 65_536, small),
        (
            &tenant.user,
            Method::POST,
            &format!("{in_project}/epics"),
            r#"{"number": 6, "title": "E", "metadata": $}"#,
            "metadata",
            65_536,
            small,
        ),
        (&tenant.user, Method::PATCH, &epic, r#"{"metadata": $}"#, "metadata", 65_536, small),
        (
            &tenant.user,
            Method::POST,
            &format!("{epic}/stories"),
            r#"{"number": "5.1", "title": "S", "metadata": $}"#,
            "metadata",
            65_536,
            small,
        ),
        (&tenant.user, Method::PATCH, &story, r#"{"metadata": $}"#, "metadata", 65_536, small),
        (
            &registered,
            Method::POST,
            "/agents/register",
            r#"{"name": "sized", "agent_type": "implementer", "metadata": $}"#,
            "metadata",
            65_536,
            small,
        ),
        (
            &lead,
            Method::PUT,
            &state,
            r#"{"state_key": "main", "state_data": $}"#,
            "state_data",
            1 << 20,
            large,
        ),
    ] {
        let body = |bytes| around.replace('$', &of_size(bytes));
        let request = caller.request(method.clone(), path).header("content-type", "application/json");
        let refused = request.body(body(most)).send().await.unwrap();
        assert_eq!(refused.status(), 422, "{method} {path}");
        let refused: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["details"], json!({field: [message]}), "{method} {path}");
        send(caller, method, path, body(most - 1)).await;
    }
    let plan = |bytes| {
        let metadata = of_size(bytes);
        format!(
            "{{\"epics\": [{{\"number\": 8, \"title\": \"E\", \"metadata\": {metadata}, \
             \"stories\": [{{\"number\": \"8.1\", \"title\": \"S\", \"metadata\": {metadata}}}]}}]}}"
        )
    };
    let import = format!("{in_project}/import");
    let request = tenant.user.request(Method::POST, &import).header("content-type", "application/json");
    let refused = request.body(plan(65_536)).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains(&format!("epics[0].metadata: {small}")), "{refused}");
    send(&tenant.user, Method::POST, &import, plan(65_535)).await;
}
