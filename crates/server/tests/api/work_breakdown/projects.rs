//! Projects: how they are created, listed and shown.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{archive, column, keys, meta, plain, sql};
use crate::support::{Tenant, connect, server, text, unique};

const BAD_SLUG: &str = "must be lowercase alphanumeric with hyphens, starting and ending with alphanumeric";

const PROJECT: [&str; 12] = [
    "description",
    "id",
    "inserted_at",
    "metadata",
    "mission",
    "name",
    "repo_url",
    "slug",
    "status",
    "tech_stack",
    "tenant_id",
    "updated_at",
];

#[tokio::test]
async fn creation_is_refused_field_by_field_and_leaves_nothing() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let long = |length: usize| "x".repeat(length);
    let too_long = |length: usize| format!("should be at most {length} character(s)");
    let blank = "can't be blank".to_owned();
    let invalid = "is invalid".to_owned();
    for (name, value, message) in [
        ("name", json!(null), blank.clone()),
        ("name", json!(" \t\n"), blank.clone()),
        ("name", json!(7), invalid.clone()),
        ("name", json!(long(256)), too_long(255)),
        ("slug", json!(null), blank.clone()),
        ("slug", json!(""), blank),
        ("slug", json!(["a"]), invalid.clone()),
        ("slug", json!("INVALID"), BAD_SLUG.to_owned()),
        ("slug", json!("-bad"), BAD_SLUG.to_owned()),
        ("slug", json!("bad-"), BAD_SLUG.to_owned()),
        ("slug", json!("ab\n"), BAD_SLUG.to_owned()),
        ("slug", json!("a b"), BAD_SLUG.to_owned()),
        ("slug", json!("größe"), BAD_SLUG.to_owned()),
        ("slug", json!("a"), "should be at least 2 character(s)".to_owned()),
        ("slug", json!(long(64)), too_long(63)),
        ("repo_url", json!(long(2049)), too_long(2048)),
        ("repo_url", json!({}), invalid.clone()),
        ("description", json!(long(50_001)), too_long(50_000)),
        ("tech_stack", json!(long(256)), too_long(255)),
        ("mission", json!(long(2001)), too_long(2000)),
        ("metadata", json!([]), invalid.clone()),
        ("metadata", json!("x"), invalid.clone()),
        ("name", json!("a\u{0}b"), invalid),
    ] {
        let mut body = json!({"name": "Good", "slug": "good"});
        body[name] = value;
        let error = o.post("/projects", body.clone()).await.expect(422)["error"].clone();
        assert_eq!(error["details"], json!({name: [message]}), "{body}");
    }
    let error = o.post("/projects", json!({})).await.expect(422)["error"].clone();
    assert_eq!(error["message"], "Validation failed");
    assert_eq!(error["details"], json!({"name": ["can't be blank"], "slug": ["can't be blank"]}));
    let list = o.get("/projects?include_archived=true").await.expect(200);
    assert_eq!(list, json!({"data": [], "meta": meta(1, 20, 0, 0)}));
}

#[tokio::test]
async fn creation_needs_an_orchestrator_or_a_user() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    for body in [json!({"name": "A", "slug": "aa"}), json!({})] {
        let error = agent.post("/projects", body).await.expect(403)["error"].clone();
        assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
    }
    for role in ["orchestrator", "user"] {
        let body = json!({"name": role, "slug": role});
        tenant.key(role).await.post("/projects", body).await.expect(201);
    }
}

#[tokio::test]
async fn a_new_project_is_active_and_shows_every_field() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let body = json!({"name": "loopctl", "slug": "loopctl", "status": "archived", "id": "x", "unknown": 1});
    let project = o.post("/projects", body).await.expect(201)["project"].clone();
    assert_eq!(keys(&project), PROJECT);
    assert_eq!(
        (&project["status"], &project["metadata"], &project["tenant_id"]),
        (&json!("active"), &json!({}), &json!(tenant.id))
    );
    for name in ["mission", "repo_url", "description", "tech_stack"] {
        assert_eq!(project[name], Value::Null, "{name}");
    }
    let stamp = text(&project["inserted_at"]);
    assert!(stamp.len() == 27 && stamp.ends_with('Z'), "{stamp}");

    let full = json!({
        "name": "ä".repeat(255), "slug": "0".repeat(63), "repo_url": "u".repeat(2048), "description": " two\nlines ",
        "tech_stack": "t".repeat(255), "mission": "  x  ", "metadata": {"a": [1, null, {"b": "\u{1F600}"}]},
    });
    let project = o.post("/projects", full.clone()).await.expect(201)["project"].clone();
    for name in ["name", "slug", "repo_url", "description", "tech_stack", "metadata"] {
        assert_eq!(project[name], full[name], "{name}");
    }
    assert_eq!(project["mission"], "x");

    let blank = json!({"name": "Blank", "slug": "blank", "mission": "   ", "repo_url": "", "metadata": null});
    let project = o.post("/projects", blank).await.expect(201)["project"].clone();
    assert_eq!(
        (&project["mission"], &project["repo_url"], &project["metadata"]),
        (&Value::Null, &Value::Null, &json!({}))
    );
    // Trimmed before it is measured.
    let mission = format!("\n {} ", "m".repeat(2000));
    let body = json!({"name": "Long", "slug": "long-mission", "mission": mission});
    let project = o.post("/projects", body).await.expect(201)["project"].clone();
    assert_eq!(project["mission"], "m".repeat(2000));
}

#[tokio::test]
async fn a_slug_is_taken_once_per_tenant() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let body = json!({"name": "A", "slug": "taken"});
    let first = tenant.user.post("/projects", body.clone()).await.expect(201);
    let taken = json!({"slug": ["has already been taken for this tenant"]});
    let error = tenant.user.post("/projects", body.clone()).await.expect(422);
    assert_eq!(error["error"]["details"], taken);
    archive(&tenant, &text(&first["project"]["id"])).await;
    let error = tenant.user.post("/projects", body.clone()).await.expect(422);
    assert_eq!(error["error"]["details"], taken);
    other.user.post("/projects", body).await.expect(201);
}

#[tokio::test]
async fn active_projects_are_limited() {
    let tenant = Tenant::new().await;
    let new = async || {
        let slug = unique("limited");
        tenant.user.post("/projects", json!({"name": slug, "slug": slug})).await
    };
    let limit = async |limit: Value| {
        let body = json!({"settings": {"max_projects": limit}});
        tenant.user.patch("/tenants/me", body).await.expect(200);
    };
    limit(json!(1)).await;
    let first = text(&new().await.expect(201)["project"]["id"]);
    let error = new().await.expect_error(422, "project_limit_reached");
    assert_eq!(error["message"], "Project limit reached for this tenant");
    assert!(error.get("details").is_none());
    archive(&tenant, &first).await;
    new().await.expect(201);
    new().await.expect(422);
    limit(json!(0)).await;
    new().await.expect(422);

    // Without a usable setting: 50.
    let broken = "update tenants set settings = '{\"max_projects\": \"many\"}' where id = $1::text::uuid";
    assert_eq!(sql(broken, &[&tenant.id]).await, 1);
    for _ in 1..50 {
        new().await.expect(201);
    }
    new().await.expect(422);
    let list = tenant.user.get("/projects?limit=1").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 50);
}

#[tokio::test]
async fn the_limit_holds_for_twenty_at_once() {
    let tenant = Tenant::new().await;
    let body = json!({"settings": {"max_projects": 5}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let created = join_all((0..20).map(|_| async {
        let slug = unique("race");
        let reply = tenant.user.post("/projects", json!({"name": slug, "slug": slug})).await;
        if reply.status != 201 {
            reply.clone().expect_error(422, "project_limit_reached");
        }
        reply.status == 201
    }))
    .await;
    assert_eq!(created.into_iter().filter(|created| *created).count(), 5);
    let list = tenant.user.get("/projects").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 5);
}

#[tokio::test]
async fn creation_is_in_the_audit_log() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "A", "slug": "audited"});
    let project = text(&tenant.user.post("/projects", body).await.expect(201)["project"]["id"]);
    let client = connect(&server().owner).await;
    let rows = client
        .query(
            "select entity_type || '/' || action || ' ' || actor_type || ' ' || actor_label as what, new_state
             from audit_log where project_id = $1::text::uuid and entity_id = project_id",
            &[&project],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, &str>(0), "project/created api_key user:root");
    assert_eq!(rows[0].get::<_, Value>(1), json!({"name": "A", "slug": "audited", "status": "active"}));
}

#[tokio::test]
async fn the_list_is_filtered_and_ordered_by_name() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    other.project().await;
    for (name, slug) in
        [("delta", "d1"), ("alpha", "a1"), ("charlie", "c1"), ("bravo", "b1"), ("bravo", "b2")]
    {
        let body = json!({"name": name, "slug": slug});
        let project = tenant.user.post("/projects", body).await.expect(201);
        if name == "charlie" {
            archive(&tenant, &text(&project["project"]["id"])).await;
        }
    }
    let agent = tenant.agent().await;
    let active = ["alpha", "bravo", "bravo", "delta"];
    let all = ["alpha", "bravo", "bravo", "charlie", "delta"];
    for (query, names) in [
        ("", &active[..]),
        ("?include_archived=false", &active),
        ("?include_archived=yes", &active),
        ("?status=active&include_archived=true", &active),
        ("?status=", &active),
        ("?include_archived=true", &all),
        ("?include_archived=1", &all),
        ("?status=archived", &["charlie"]),
        ("?slug=d1", &["delta"]),
        ("?slug=c1", &[]),
        ("?slug=c1&include_archived=true", &["charlie"]),
        ("?slug=D1", &[]),
        ("?slug=d", &[]),
    ] {
        let list = agent.get(&format!("/projects{query}")).await.expect(200);
        assert_eq!(column(&list, "name"), names, "{query}");
        assert_eq!(list["meta"], meta(1, 20, names.len() as i64, i64::from(!names.is_empty())), "{query}");
        for project in list["data"].as_array().unwrap() {
            assert_eq!(keys(project), PROJECT);
        }
    }
    let error = agent.get("/projects?status=bogus").await.expect(422);
    assert_eq!(error["error"]["details"], json!({"status": ["is invalid"]}));
}

#[tokio::test]
async fn show_counts_and_tells_nobody_else() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "E", "stories": [plain("1.1"), plain("1.2"), plain("1.3")]},
            {"number": 2, "title": "F"}]}))
        .await;
    tenant.project_of(&["9.9"]).await;
    let path = format!("/projects/{project}");
    let agent = tenant.agent().await;
    let shown = agent.get(&path).await.expect(200)["project"].clone();
    assert_eq!((&shown["epic_count"], &shown["story_count"]), (&json!(2), &json!(3)));
    let mut expected = PROJECT.to_vec();
    expected.extend(["epic_count", "story_count"]);
    expected.sort_unstable();
    assert_eq!(keys(&shown), expected);

    let upper = agent.get(&format!("/projects/{}", project.to_uppercase())).await;
    assert_eq!(upper.expect(200)["project"]["id"], project);
    archive(&tenant, &project).await;
    let shown = agent.get(&path).await.expect(200);
    assert_eq!(shown["project"]["status"], "archived");

    for reply in [
        other.user.get(&path).await,
        tenant.user.get("/projects/not-a-uuid").await,
        tenant.user.get("/projects/01900000-0000-7000-8000-000000000000").await,
    ] {
        let error = reply.expect_error(404, "not_found");
        assert_eq!(error["message"], "Not found");
    }
}
