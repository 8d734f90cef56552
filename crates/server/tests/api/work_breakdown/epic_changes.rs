//! Epics that are made and changed, and what is told of them.

use reqwest::Method;
use serde_json::{Value, json};

use super::epics::EPIC;
use super::{archive, change, column, epic_id, keys, plain, superadmin, told};
use crate::support::{Caller, Tenant, text};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// An epic with something in every field.
async fn full(tenant: &Tenant) -> Value {
    let project = tenant.project().await;
    let body = json!({
        "number": 1, "title": "Title", "description": "what", "phase": "p0", "position": 3, "metadata": {"a": 1},
    });
    let reply = tenant.user.post(&format!("/projects/{project}/epics"), body).await;
    reply.expect(201)["epic"].clone()
}

fn path(epic: &Value) -> String {
    format!("/epics/{}", text(&epic["id"]))
}

async fn show(who: &Caller, epic: &Value) -> Value {
    let mut shown = who.get(&path(epic)).await.expect(200)["epic"].clone();
    shown.as_object_mut().unwrap().remove("stories").unwrap();
    shown
}

/// What is wrong with the fields that a new epic and a change have in common.
fn faults() -> Vec<(&'static str, Value, String)> {
    let long = |length: usize| json!("x".repeat(length));
    let too_long = |length: usize| format!("should be at most {length} character(s)");
    let (blank, invalid) = ("can't be blank".to_owned(), "is invalid".to_owned());
    let negative = "must be greater than or equal to 0".to_owned();
    vec![
        ("title", json!(""), blank.clone()),
        ("title", json!(" \t\n"), blank),
        ("title", json!(7), invalid.clone()),
        ("title", long(501), too_long(500)),
        ("title", json!("a\u{0}b"), invalid.clone()),
        ("description", long(50_001), too_long(50_000)),
        ("description", json!([]), invalid.clone()),
        ("phase", long(256), too_long(255)),
        ("phase", json!(1), invalid.clone()),
        ("position", json!(-1), negative),
        ("position", json!(1.5), invalid.clone()),
        ("position", json!("x"), invalid.clone()),
        ("position", json!(2_147_483_648_u64), invalid.clone()),
        ("metadata", json!([]), invalid.clone()),
        ("metadata", json!("{}"), invalid),
    ]
}

#[tokio::test]
async fn creation_is_refused_field_by_field_and_leaves_nothing() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let project = tenant.project().await;
    let at = format!("/projects/{project}/epics");
    let (blank, invalid, zero) = ("can't be blank", "is invalid", "must be greater than 0");
    let own = [
        ("number", json!(null), blank),
        ("number", json!(""), blank),
        ("number", json!(0), zero),
        ("number", json!(-1), zero),
        ("number", json!("0"), zero),
        ("number", json!("one"), invalid),
        ("number", json!(1.5), invalid),
        ("number", json!(true), invalid),
        ("number", json!(2_147_483_648_u64), invalid),
        ("number", json!("1\u{0}"), invalid),
        ("title", json!(null), blank),
    ]
    .map(|(name, value, message)| (name, value, message.to_owned()));
    for (name, value, message) in own.into_iter().chain(faults()) {
        let mut body = json!({"number": 1, "title": "T"});
        body[name] = value;
        let error = o.post(&at, body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({name: [message]}), "{body}");
    }
    let error = o.post(&at, json!({})).await.expect_error(422, "validation_failed");
    assert_eq!(error["message"], "Validation failed");
    assert_eq!(error["details"], json!({"number": [blank], "title": [blank]}));
    let list = o.get(&at).await.expect(200);
    assert_eq!(list["data"], json!([]));
    let log = tenant.audit_log().await;
    assert!(log.iter().all(|entry| entry["entity_type"] != "epic"), "{log:#?}");
}

/// The role first, then the project, then the body.
#[tokio::test]
async fn who_may_create_and_where() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, o) = (tenant.agent().await, tenant.key("orchestrator").await);
    let project = tenant.project().await;
    let good = json!({"number": 1, "title": "F"});
    for at in [format!("/projects/{project}/epics"), format!("/projects/{NONE}/epics")] {
        for body in [good.clone(), json!({})] {
            let error = agent.post(&at, body).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
        }
    }
    for body in [good.clone(), json!({})] {
        for id in [NONE, "nope", "1"] {
            let error = o.post(&format!("/projects/{id}/epics"), body.clone()).await;
            assert_eq!(error.expect_error(404, "not_found")["message"], "Not found");
        }
        let foreign = other.user.post(&format!("/projects/{project}/epics"), body).await;
        foreign.expect_error(404, "not_found");
    }
    assert_eq!(o.get(&format!("/projects/{project}/epics")).await.expect(200)["data"], json!([]));
    o.post(&format!("/projects/{project}/epics"), good).await.expect(201);
}

/// Also those that were not sent.
#[tokio::test]
async fn a_new_epic_shows_every_field_and_is_told() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let project = tenant.project().await;
    let at = format!("/projects/{project}/epics");
    let body =
        json!({"number": 1, "title": "F", "phase": "p0", "position": 1, "project_id": NONE, "id": "x"});
    let epic = o.post(&at, body).await.expect(201)["epic"].clone();
    assert_eq!(keys(&epic), EPIC);
    for (name, value) in [
        ("tenant_id", json!(tenant.id)),
        ("project_id", json!(project)),
        ("number", json!(1)),
        ("title", json!("F")),
        ("phase", json!("p0")),
        ("position", json!(1)),
        ("description", json!(null)),
        ("metadata", json!({})),
        ("completed_at", json!(null)),
    ] {
        assert_eq!(epic[name], value, "{name}");
    }
    assert_eq!(show(&o, &epic).await, epic);
    let entry = tenant.audit_log().await.pop().unwrap();
    assert_eq!(
        json!([
            entry["entity_type"],
            entry["action"],
            entry["entity_id"],
            entry["project_id"],
            entry["old_state"]
        ]),
        json!(["epic", "created", epic["id"], project, null])
    );
    assert_eq!(entry["new_state"], json!({"number": 1, "title": "F", "project_id": project}));
    assert_eq!((&entry["actor_type"], &entry["metadata"]), (&json!("api_key"), &json!({})));

    // The largest of everything, and numbers in strings.
    let largest = json!({
        "number": "2147483647", "title": "ä".repeat(500), "description": "d".repeat(50_000), "phase": "p".repeat(255),
        "position": i32::MAX, "metadata": {"deep": [{"x": null}]},
    });
    let epic = o.post(&at, largest.clone()).await.expect(201)["epic"].clone();
    assert_eq!(epic["number"], i32::MAX);
    for name in ["title", "description", "phase", "position", "metadata"] {
        assert_eq!(epic[name], largest[name], "{name}");
    }
    let blank = json!({"number": 2, "title": "B", "description": "", "phase": " ", "position": null, "metadata": null});
    let epic = o.post(&at, blank).await.expect(201)["epic"].clone();
    assert_eq!((&epic["description"], &epic["phase"]), (&Value::Null, &Value::Null));
    assert_eq!((&epic["position"], &epic["metadata"]), (&json!(0), &json!({})));

    archive(&tenant, &project).await;
    o.post(&at, json!({"number": 3, "title": "Late"})).await.expect(201);
}

/// The refusal names the epic and how an import may update it; another project has numbers of its own.
#[tokio::test]
async fn a_number_is_taken_once_per_project() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let (project, other) = (tenant.project().await, tenant.project().await);
    let at = format!("/projects/{project}/epics");
    let body = json!({"number": 1, "title": "F"});
    o.post(&at, body.clone()).await.expect(201);
    let entries = tenant.audit_log().await.len();
    for number in [json!(1), json!("1")] {
        let error = o.post(&at, json!({"number": number, "title": "G"})).await;
        let error = error.expect_error(422, "validation_failed");
        assert_eq!(
            error["message"],
            "Epic 1 already exists in this project. Pick a different number, or use the import endpoint with \
             `merge=true` to update the existing record."
        );
        assert_eq!(error["details"], json!({"number": ["has already been taken for this project"]}));
    }
    assert_eq!(tenant.audit_log().await.len(), entries);
    assert_eq!(column(&o.get(&at).await.expect(200), "title"), ["F"]);
    o.post(&format!("/projects/{other}/epics"), body).await.expect(201);
}

#[tokio::test]
async fn a_change_is_refused_field_by_field_and_leaves_nothing() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, o) = (tenant.agent().await, tenant.key("orchestrator").await);
    let epic = full(&tenant).await;
    for method in [Method::PATCH, Method::PUT] {
        for (name, value, message) in faults() {
            // Sound fields beside the broken one do not pass, either.
            let mut body = json!({"phase": "other", "position": 9});
            body[name] = value.clone();
            let error = change(&o, method.clone(), &path(&epic), body.clone()).await;
            let error = error.expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({name: [message]}), "{body}");
        }
        for body in [json!({"title": "T"}), json!({"title": ""}), json!({"position": 1}), json!({})] {
            let error = change(&agent, method.clone(), &path(&epic), body.clone()).await;
            let message = "Insufficient permissions. Required role: orchestrator";
            assert_eq!(error.expect_error(403, "forbidden")["message"], message);
            let error = change(&other.user, method.clone(), &path(&epic), body.clone()).await;
            assert_eq!(error.expect_error(404, "not_found")["message"], "Not found");
            for id in [NONE, "nope", &text(&epic["project_id"])] {
                let error = change(&o, method.clone(), &format!("/epics/{id}"), body.clone()).await;
                error.expect_error(404, "not_found");
            }
        }
    }
    assert_eq!(show(&o, &epic).await, epic);
    assert_eq!(told(&tenant, &text(&epic["id"])).await, [json!(null); 0]);
}

/// What is missing or null stays, an empty string clears, the number never changes.
#[tokio::test]
async fn a_change_touches_what_it_names() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let mut epic = full(&tenant).await;
    for (method, body, expected) in [
        (Method::PATCH, json!({"number": 99, "title": "T"}), json!({"title": "T"})),
        (Method::PUT, json!({"title": "U", "project_id": NONE}), json!({"title": "U"})),
        (Method::PATCH, json!({"position": "7", "title": null}), json!({"position": 7})),
        (Method::PATCH, json!({"position": 0, "phase": ""}), json!({"position": 0, "phase": null})),
        (Method::PUT, json!({"description": " "}), json!({"description": null})),
        (
            Method::PATCH,
            json!({"description": "d", "phase": "p1"}),
            json!({"description": "d", "phase": "p1"}),
        ),
        (Method::PATCH, json!({"metadata": {"b": 2.5}}), json!({"metadata": {"b": 2.5}})),
        (
            Method::PATCH,
            json!({"completed_at": "2020-01-01T00:00:00Z", "metadata": {}}),
            json!({"metadata": {}}),
        ),
    ] {
        let changed = change(&o, method, &path(&epic), body.clone()).await.expect(200)["epic"].clone();
        assert!(text(&changed["updated_at"]) > text(&epic["updated_at"]), "{body}");
        epic["updated_at"] = changed["updated_at"].clone();
        epic.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(changed, epic, "{body}");
        assert_eq!(show(&o, &epic).await, epic, "{body}");
    }
    for body in [
        json!({}),
        json!({"title": null, "position": null}),
        json!({"number": 5, "unknown": 1}),
        json!({"title": "U", "position": 0, "phase": "p1", "description": "d", "metadata": {}}),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let same = change(&o, method, &path(&epic), body.clone()).await.expect(200);
            assert_eq!(same["epic"], epic, "{body}");
        }
    }
    assert_eq!(told(&tenant, &text(&epic["id"])).await.len(), 8, "what changed nothing is not told");
}

/// Title, phase and position always, and every field that changed.
#[tokio::test]
async fn a_change_is_told_with_what_changed() {
    let tenant = Tenant::new().await;
    let epic = full(&tenant).await;
    let body = json!({"title": "T", "description": "", "metadata": {"a": 2}, "phase": "p0"});
    tenant.user.patch(&path(&epic), body).await.expect(200);
    tenant.user.patch(&path(&epic), json!({"position": 4})).await.expect(200);
    let entry = |old: Value, new: Value| json!(["epic/updated", old, new]);
    assert_eq!(
        told(&tenant, &text(&epic["id"])).await,
        [
            entry(
                json!({"title": "Title", "phase": "p0", "position": 3, "description": "what", "metadata": {"a": 1}}),
                json!({"title": "T", "phase": "p0", "position": 3, "description": null, "metadata": {"a": 2}}),
            ),
            entry(
                json!({"title": "T", "phase": "p0", "position": 3}),
                json!({"title": "T", "phase": "p0", "position": 4}),
            ),
        ]
    );
    assert_eq!(tenant.audit_log().await.last().unwrap()["project_id"], epic["project_id"]);
}

/// The stories follow their epic, and are not changed themselves.
#[tokio::test]
async fn a_position_takes_the_stories_along() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "A", "stories": [plain("1.10"), plain("1.2")]},
            {"number": 2, "title": "B", "position": 1, "stories": [plain("2.1")]}]}))
        .await;
    let stories = format!("/stories?project_id={project}");
    let before = tenant.user.get(&stories).await.expect(200);
    assert_eq!(column(&before, "number"), ["1.2", "1.10", "2.1"]);
    let first = epic_id(&tenant, &project, 1).await;
    tenant.user.patch(&format!("/epics/{first}"), json!({"position": 2})).await.expect(200);
    let after = tenant.user.get(&stories).await.expect(200);
    assert_eq!(column(&after, "number"), ["2.1", "1.2", "1.10"]);
    let ready = tenant.user.get(&format!("/stories/ready?project_id={project}")).await.expect(200);
    assert_eq!(column(&ready, "number"), ["2.1", "1.2", "1.10"]);
    let epics = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    assert_eq!(column(&epics, "title"), ["B", "A"]);
    assert_eq!(before["data"][0], after["data"][1], "the story itself is as it was");
}

/// Whose doing it was, also under impersonation.
#[tokio::test]
async fn a_superadmins_changes_are_attributed_to_it() {
    let tenant = Tenant::new().await;
    let root = superadmin(&tenant).await;
    let project = tenant.project().await;
    let body = json!({"number": 1, "title": "A"});
    let epic = root.post(&format!("/projects/{project}/epics"), body).await.expect(201)["epic"].clone();
    let mut as_orchestrator = root.clone();
    as_orchestrator.headers.push(("x-effective-role", "orchestrator".to_owned()));
    as_orchestrator.delete(&path(&epic)).await.expect_error(403, "forbidden");
    as_orchestrator.patch(&path(&epic), json!({"title": "B"})).await.expect(200);
    root.delete(&path(&epic)).await.expect(204);
    let log = tenant.audit_log().await;
    let entries: Vec<_> = log.iter().filter(|entry| entry["entity_type"] == "epic").collect();
    let actions: Vec<_> = entries.iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["created", "updated", "deleted"]);
    for (entry, role) in entries.iter().zip([json!(null), json!("orchestrator"), json!(null)]) {
        assert_eq!(entry["actor_type"], "superadmin");
        assert_eq!(entry["actor_label"], format!("superadmin:impersonating:{}", tenant.slug));
        assert_eq!(entry["metadata"]["impersonated_by"], entry["actor_id"]);
        assert_eq!(entry["metadata"].get("effective_role"), Some(&role));
        assert_eq!(entry["project_id"], project);
    }
}
