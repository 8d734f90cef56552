//! What changes a project, and what is told of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{archive, change, column, plain, sql, superadmin, told};
use crate::support::{Caller, Tenant, text, unique};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// A project with something in every field.
async fn full(tenant: &Tenant) -> Value {
    let slug = unique("full");
    let body = json!({
        "name": "Name", "slug": slug, "repo_url": "https://repo", "description": "what", "tech_stack": "rust",
        "mission": "why", "metadata": {"a": 1},
    });
    tenant.user.post("/projects", body).await.expect(201)["project"].clone()
}

fn path(project: &Value) -> String {
    format!("/projects/{}", text(&project["id"]))
}

/// The project as it is shown, without the size of its plan.
async fn show(who: &Caller, project: &Value) -> Value {
    let mut shown = who.get(&path(project)).await.expect(200)["project"].clone();
    for count in ["epic_count", "story_count"] {
        shown.as_object_mut().unwrap().remove(count).unwrap();
    }
    shown
}

#[tokio::test]
async fn a_change_is_refused_field_by_field_and_leaves_nothing() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let project = full(&tenant).await;
    let long = |length: usize| "x".repeat(length);
    let too_long = |length: usize| format!("should be at most {length} character(s)");
    let (blank, invalid) = ("can't be blank".to_owned(), "is invalid".to_owned());
    for (name, value, message) in [
        ("name", json!(""), blank.clone()),
        ("name", json!(" \t\n"), blank),
        ("name", json!(7), invalid.clone()),
        ("name", json!(long(256)), too_long(255)),
        ("name", json!("a\u{0}b"), invalid.clone()),
        ("repo_url", json!(long(2049)), too_long(2048)),
        ("repo_url", json!([]), invalid.clone()),
        ("description", json!(long(50_001)), too_long(50_000)),
        ("tech_stack", json!(long(256)), too_long(255)),
        ("mission", json!(long(2001)), too_long(2000)),
        ("mission", json!(false), invalid.clone()),
        ("metadata", json!([]), invalid.clone()),
        ("metadata", json!("{}"), invalid.clone()),
        ("status", json!("bogus"), invalid.clone()),
        ("status", json!("Active"), invalid.clone()),
        ("status", json!(""), invalid.clone()),
        ("status", json!(1), invalid),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            // Sound fields beside the broken one do not pass, either.
            let mut body = json!({"tech_stack": "other", "mission": "other"});
            body[name] = value.clone();
            let error = change(&o, method, &path(&project), body.clone()).await;
            let error = error.expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({name: [message]}), "{body}");
        }
    }
    let body = json!({"name": " ", "metadata": 1, "status": "x"});
    let error = o.patch(&path(&project), body).await.expect_error(422, "validation_failed");
    assert_eq!(error["details"].as_object().unwrap().len(), 3, "{error}");
    assert_eq!(show(&o, &project).await, project);
    assert_eq!(told(&tenant, &text(&project["id"])).await, [json!(null); 0]);
}

#[tokio::test]
async fn changing_needs_an_orchestrator_and_archiving_a_user() {
    let tenant = Tenant::new().await;
    let (agent, o) = (tenant.agent().await, tenant.key("orchestrator").await);
    let project = full(&tenant).await;
    let at = path(&project);
    let insufficient = |role: &str| format!("Insufficient permissions. Required role: {role}");
    for body in [json!({"name": "N"}), json!({"name": ""}), json!({"status": "archived"})] {
        for method in [Method::PATCH, Method::PUT] {
            let error = change(&agent, method, &at, body.clone()).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], insufficient("orchestrator"));
        }
    }
    for (who, method) in [(&o, Method::PATCH), (&o, Method::PUT)] {
        let body = json!({"name": "N", "status": "archived"});
        let error = change(who, method, &at, body).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], insufficient("user"));
    }
    for who in [&agent, &o] {
        let error = who.delete(&at).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], insufficient("user"));
        // Whether it exists or not.
        who.delete(&format!("/projects/{NONE}")).await.expect_error(403, "forbidden");
    }
    assert_eq!(show(&o, &project).await, project);
    assert_eq!(told(&tenant, &text(&project["id"])).await, [json!(null); 0]);

    // What is archived already is not archived again; and an orchestrator may reactivate.
    archive(&tenant, &text(&project["id"])).await;
    let body = json!({"name": "N", "status": "archived"});
    let changed = o.patch(&at, body).await.expect(200)["project"].clone();
    assert_eq!((&changed["name"], &changed["status"]), (&json!("N"), &json!("archived")));
    let changed = o.patch(&at, json!({"status": "active"})).await.expect(200);
    assert_eq!(changed["project"]["status"], "active");
    tenant.user.patch(&at, json!({"status": "archived"})).await.expect(200);
}

#[tokio::test]
async fn strangers_change_nothing() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = full(&tenant).await;
    let o = other.key("orchestrator").await;
    for at in [path(&project), format!("/projects/{NONE}"), "/projects/nope".to_owned()] {
        for body in [json!({"name": "N"}), json!({"name": ""}), json!({"status": "active"}), json!({})] {
            for method in [Method::PATCH, Method::PUT] {
                for who in [&other.user, &o] {
                    let error = change(who, method.clone(), &at, body.clone()).await;
                    assert_eq!(error.expect_error(404, "not_found")["message"], "Not found");
                }
            }
        }
        o.patch(&at, json!({"status": "archived"})).await.expect_error(404, "not_found");
        other.user.delete(&at).await.expect_error(404, "not_found");
    }
    assert_eq!(show(&tenant.user, &project).await, project);
}

/// What is missing or null stays, an empty string clears, the slug never changes.
#[tokio::test]
async fn a_change_touches_what_it_names() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let mut project = full(&tenant).await;
    let at = path(&project);
    for (method, body, expected) in [
        (Method::PATCH, json!({"slug": "new", "name": "N"}), json!({"name": "N"})),
        (Method::PUT, json!({"name": "M", "id": "x", "tenant_id": "y"}), json!({"name": "M"})),
        (Method::PATCH, json!({"mission": "  x  ", "name": null}), json!({"mission": "x"})),
        (Method::PATCH, json!({"mission": ""}), json!({"mission": null})),
        (Method::PATCH, json!({"mission": "again"}), json!({"mission": "again"})),
        (Method::PUT, json!({"mission": " \n"}), json!({"mission": null})),
        (
            Method::PATCH,
            json!({"repo_url": "", "tech_stack": " "}),
            json!({"repo_url": null, "tech_stack": null}),
        ),
        (Method::PATCH, json!({"description": " two\nlines "}), json!({"description": " two\nlines "})),
        (Method::PATCH, json!({"metadata": {"b": [1.5]}}), json!({"metadata": {"b": [1.5]}})),
        (Method::PATCH, json!({"metadata": {}}), json!({"metadata": {}})),
        (Method::PATCH, json!({"name": "ä".repeat(255)}), json!({"name": "ä".repeat(255)})),
    ] {
        let changed = change(&o, method, &at, body.clone()).await.expect(200)["project"].clone();
        assert!(text(&changed["updated_at"]) > text(&project["updated_at"]), "{body}");
        project["updated_at"] = changed["updated_at"].clone();
        project.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(changed, project, "{body}");
        assert_eq!(show(&o, &project).await, project, "{body}");
    }
    // Beneath the body, the query.
    let changed = o.patch(&format!("{at}?name=query&mission=q"), json!({"name": "body"})).await.expect(200);
    assert_eq!((&changed["project"]["name"], &changed["project"]["mission"]), (&json!("body"), &json!("q")));
}

/// Name and status always, and every field that changed.
#[tokio::test]
async fn a_change_is_told_with_what_changed() {
    let tenant = Tenant::new().await;
    let project = full(&tenant).await;
    let (id, at) = (text(&project["id"]), path(&project));
    let body = json!({"description": "", "metadata": {"a": 2}, "tech_stack": "rust", "mission": "because"});
    tenant.user.patch(&at, body).await.expect(200);
    tenant.user.patch(&at, json!({"name": "Other"})).await.expect(200);
    tenant.user.patch(&at, json!({"status": "archived"})).await.expect(200);
    let entry = |old: Value, new: Value| json!(["project/updated", old, new]);
    assert_eq!(
        told(&tenant, &id).await,
        [
            entry(
                json!({"name": "Name", "status": "active", "description": "what", "metadata": {"a": 1},
                       "mission": "why"}),
                json!({"name": "Name", "status": "active", "description": null, "metadata": {"a": 2},
                       "mission": "because"}),
            ),
            entry(json!({"name": "Name", "status": "active"}), json!({"name": "Other", "status": "active"})),
            entry(
                json!({"name": "Other", "status": "active"}),
                json!({"name": "Other", "status": "archived"})
            ),
        ]
    );
    let log = tenant.audit_log().await;
    let last = log.last().unwrap();
    assert_eq!((&last["project_id"], &last["actor_label"]), (&json!(id), &json!("user:root")));
    assert_eq!((&last["actor_type"], &last["metadata"]), (&json!("api_key"), &json!({})));
}

#[tokio::test]
async fn a_change_of_nothing_leaves_no_trace() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let project = full(&tenant).await;
    for body in [
        json!({}),
        json!({"name": null, "mission": null, "metadata": null, "status": null}),
        json!({"slug": "another", "unknown": 1, "inserted_at": "2020-01-01T00:00:00Z"}),
        json!({"name": "Name", "mission": " why ", "metadata": {"a": 1}, "status": "active", "repo_url": "https://repo"}),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let same = change(&o, method, &path(&project), body.clone()).await.expect(200);
            assert_eq!(same["project"], project, "{body}");
        }
    }
    assert_eq!(show(&o, &project).await, project);
    assert_eq!(told(&tenant, &text(&project["id"])).await, [json!(null); 0]);
}

/// The row stays, and everything below it goes on.
#[tokio::test]
async fn archiving_keeps_everything_and_happens_once() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let id =
        tenant.imported(json!({"epics": [{"number": 1, "title": "E", "stories": [plain("1.1")]}]})).await;
    let at = format!("/projects/{id}");
    let before = tenant.user.get(&at).await.expect(200)["project"].clone();
    let first = tenant.user.delete(&at).await.expect(200)["project"].clone();
    assert_eq!(first["status"], "archived");
    assert!(text(&first["updated_at"]) > text(&before["updated_at"]));
    for _ in 0..2 {
        assert_eq!(tenant.user.delete(&at).await.expect(200)["project"], first);
    }
    let entries = told(&tenant, &id).await;
    let archived = json!(["project/archived", {"status": "active"}, {"status": "archived"}]);
    assert_eq!(entries.iter().filter(|entry| **entry == archived).count(), 1, "{entries:#?}");
    assert_eq!(entries.len(), 2, "imported and archived: {entries:#?}");
    for (query, there) in [("", false), ("?include_archived=true", true), ("?status=archived", true)] {
        let list = o.get(&format!("/projects{query}")).await.expect(200);
        assert_eq!(column(&list, "id") == [id.clone()], there, "{query}");
    }
    // Epics, stories, import and progress take no notice.
    o.post(&format!("{at}/epics"), json!({"number": 2, "title": "F"})).await.expect(201);
    let payload = json!({"epics": [{"number": 3, "title": "G", "stories": [plain("3.1")]}]});
    tenant.user.post(&format!("{at}/import"), payload).await.expect(201);
    let shown = o.get(&at).await.expect(200)["project"].clone();
    assert_eq!((&shown["epic_count"], &shown["story_count"]), (&json!(3), &json!(2)));
    assert_eq!(o.get(&format!("{at}/progress")).await.expect(200)["progress"]["total_epics"], 3);
    let changed = o.patch(&at, json!({"mission": "rest"})).await.expect(200)["project"].clone();
    assert_eq!((&changed["mission"], &changed["status"]), (&json!("rest"), &json!("archived")));
}

/// Coming back takes room, as coming does.
#[tokio::test]
async fn reactivation_is_within_the_limit() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let body = json!({"settings": {"max_projects": 1}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let first = tenant.project().await;
    let at = format!("/projects/{first}");
    // Active as it is: nothing to count.
    o.patch(&at, json!({"status": "active", "name": "still"})).await.expect(200);
    let body = json!({"name": "B", "slug": "second"});
    o.post("/projects", body.clone()).await.expect_error(422, "project_limit_reached");
    archive(&tenant, &first).await;
    let second = text(&o.post("/projects", body).await.expect(201)["project"]["id"]);
    for method in [Method::PATCH, Method::PUT] {
        let body = json!({"name": "back", "status": "active"});
        let error = change(&o, method, &at, body).await.expect_error(422, "project_limit_reached");
        assert_eq!(error["message"], "Project limit reached for this tenant");
        assert!(error.get("details").is_none());
    }
    let shown = o.get(&at).await.expect(200)["project"].clone();
    assert_eq!((&shown["name"], &shown["status"]), (&json!("still"), &json!("archived")));
    archive(&tenant, &second).await;
    let back = o.patch(&at, json!({"status": "active"})).await.expect(200);
    assert_eq!(back["project"]["status"], "active");
    let entries = told(&tenant, &first).await;
    let (old, new) =
        (json!({"name": "still", "status": "archived"}), json!({"name": "still", "status": "active"}));
    assert_eq!(entries.last().unwrap(), &json!(["project/updated", old, new]));
    // Without a usable setting: 50.
    let broken = "update tenants set settings = '{\"max_projects\": 1.5}' where id = $1::text::uuid";
    assert_eq!(sql(broken, &[&tenant.id]).await, 1);
    o.patch(&format!("/projects/{second}"), json!({"status": "active"})).await.expect(200);
}

/// Whose doing it was, also under impersonation.
#[tokio::test]
async fn a_superadmins_changes_are_attributed_to_it() {
    let tenant = Tenant::new().await;
    let root = superadmin(&tenant).await;
    let mut as_orchestrator = root.clone();
    as_orchestrator.headers.push(("x-effective-role", "orchestrator".to_owned()));
    let body = json!({"name": "A", "slug": "rooted"});
    let project = text(&root.post("/projects", body).await.expect(201)["project"]["id"]);
    let at = format!("/projects/{project}");
    as_orchestrator.patch(&at, json!({"status": "archived"})).await.expect_error(403, "forbidden");
    as_orchestrator.patch(&at, json!({"name": "B"})).await.expect(200);
    root.delete(&at).await.expect(200);
    root.patch(&at, json!({"status": "active"})).await.expect(200);
    let log = tenant.audit_log().await;
    let entries: Vec<_> = log.iter().filter(|entry| entry["entity_id"] == project).collect();
    let actions: Vec<_> = entries.iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["created", "updated", "archived", "updated"]);
    for (entry, role) in entries.iter().zip([json!(null), json!("orchestrator"), json!(null), json!(null)]) {
        assert_eq!(entry["actor_type"], "superadmin");
        assert_eq!(entry["actor_label"], format!("superadmin:impersonating:{}", tenant.slug));
        assert_eq!(entry["metadata"]["impersonated_by"], entry["actor_id"]);
        assert_eq!(entry["metadata"].get("effective_role"), Some(&role));
        assert_eq!(entry["project_id"], project);
    }
}
