//! What is refused for its size, its form or its sender.

use serde_json::{Value, json};

use super::messages::assert_refused;
use super::{epic_with, good, import, merge, rows};
use crate::support::{Caller, Tenant, text};

#[tokio::test]
async fn limits() {
    let stories = |from: usize, count: usize| -> Vec<Value> {
        (from..from + count).map(|index| good(&format!("{}.{}", index / 1000, index % 1000))).collect()
    };
    let epics: Vec<_> = (1..=501).map(|number| json!({"number": number, "title": "E"})).collect();
    assert_refused(vec![
        (json!({"epics": epics}), "payload exceeds maximum of 500 epics"),
        (
            json!({"epics": [{"number": 1, "title": "E", "stories": stories(0, 5000)},
                             {"number": 2, "title": "E", "stories": stories(5000, 1)}]}),
            "payload exceeds maximum of 5000 total stories",
        ),
    ])
    .await;
    let tenant = Tenant::new().await;
    let project = tenant.imported(json!({"epics": epics[..500]})).await;
    let shown = tenant.user.get(&format!("/projects/{project}")).await.expect(200);
    assert_eq!(shown["project"]["epic_count"], 500);
}

#[tokio::test]
async fn a_tenant_may_limit_the_stories_of_a_project() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let limit = async |limit: Value| {
        let body = json!({"settings": {"max_stories_per_project": limit}});
        tenant.user.patch("/tenants/me", body).await.expect(200);
    };
    limit(json!(3)).await;
    let payload = |numbers: &[&str]| epic_with(numbers.iter().map(|number| good(number)).collect());
    let four = payload(&["1.1", "1.2", "1.3", "1.4"]);
    let error = import(&tenant.user, &project, four.clone()).await;
    let error = error.expect_error(422, "story_limit_reached");
    assert_eq!(error["message"], "Story limit reached for this project");
    assert_eq!(rows(&project).await.stories, 0);
    import(&tenant.user, &project, payload(&["1.1", "1.2", "1.3"])).await.expect(201);
    merge(&tenant.user, &project, four.clone()).await.expect_error(422, "story_limit_reached");
    // What exists may still be changed, also above a limit that was lowered since.
    limit(json!(1)).await;
    merge(&tenant.user, &project, payload(&["1.1", "1.2", "1.3"])).await.expect(200);
    limit(json!(null)).await;
    merge(&tenant.user, &project, four).await.expect(200);
    assert_eq!(rows(&project).await.stories, 4);
}

#[tokio::test]
async fn an_import_needs_an_epics_array_and_a_merge_does_not() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let error = import(&tenant.user, &project, json!({})).await.expect(422);
    assert_eq!(error["error"]["message"], "epics must be an array");
    let body = import(&tenant.user, &project, json!({"epics": []})).await.expect(201);
    let zeros = json!({"epics_created": 0, "stories_created": 0, "dependencies_created": 0});
    assert_eq!(body, json!({"import": zeros}));
    merge(&tenant.user, &project, json!({})).await.expect(200);
}

#[tokio::test]
async fn what_is_not_a_payload_at_all() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let path = format!("/projects/{project}/import");
    let send = async |body: Vec<u8>| {
        let request = tenant.user.request(reqwest::Method::POST, &path);
        let request = request.header("content-type", "application/json").body(body);
        tenant.user.send(request).await
    };
    for body in ["{\"epics\": [", "{\"epics\": [\"\\ud800\"]}", "{\"a\": 1e400}", "nonsense"] {
        let error = send(body.into()).await.expect_error(400, "bad_request");
        assert!(text(&error["message"]).starts_with("Bad Request"), "{error}");
    }
    for body in ["[]", "7", "null", "\"x\""] {
        let error = send(body.into()).await.expect(422);
        assert_eq!(error["error"]["message"], "Request body must be a JSON object");
    }
    let nul = send(b"{\"epics\": [{\"number\": 1, \"title\": \"a\\u0000b\"}]}".to_vec()).await;
    let nul = nul.expect_error(422, "validation_failed");
    assert_eq!(nul["message"], "Validation failed: epics[0].title contains U+0000");
    // 10 MiB and one byte.
    let large = |size: usize| {
        let mut body = b"{\"epics\": [], \"padding\": \"".to_vec();
        body.resize(size - 2, b'x');
        body.extend(b"\"}");
        body
    };
    send(large(10_485_761)).await.expect_error(413, "body_too_large");
    assert_eq!(rows(&project).await.audit, 1);
    send(large(10_485_760)).await.expect(201);
}

#[tokio::test]
async fn roles_and_strangers() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = tenant.project().await;
    let payload = || epic_with(json!([good("1.1")]));
    let agent = tenant.agent().await;
    for (project, payload) in
        [(project.as_str(), payload()), (project.as_str(), json!({})), ("nope", payload())]
    {
        let error = import(&agent, project, payload).await.expect(403);
        assert_eq!(
            error["error"]["message"],
            "This endpoint requires the orchestrator or user or superadmin role"
        );
    }
    import(&Caller::nobody(), &project, payload()).await.expect(401);
    let unknown = "01900000-0000-7000-8000-000000000000";
    for payload in [payload(), json!({})] {
        import(&other.user, &project, payload.clone()).await.expect_error(404, "not_found");
        merge(&other.user, &project, payload.clone()).await.expect_error(404, "not_found");
        import(&tenant.user, unknown, payload.clone()).await.expect_error(404, "not_found");
        import(&tenant.user, "nope", payload).await.expect_error(404, "not_found");
    }
    assert_eq!(rows(&project).await.epics, 0);
    let orchestrator = tenant.key("orchestrator").await;
    import(&orchestrator, &project, payload()).await.expect(201);
}
