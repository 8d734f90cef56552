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
