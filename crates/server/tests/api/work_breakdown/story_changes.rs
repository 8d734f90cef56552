//! What a change of a story takes, leaves and tells.

use reqwest::Method;
use serde_json::{Value, json};

use super::{change, superadmin, told};
use crate::support::{Caller, Reach, Tenant, bring, connect, server, text, unique};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// A story with something in every field.
async fn full(tenant: &Tenant) -> Value {
    let project = tenant.project_of(&[]).await;
    let body = json!({
        "epic_number": 1, "number": "1.1", "title": "Title", "description": "what", "estimated_hours": "4.50",
        "acceptance_criteria": [{"id": "AC-1", "criterion": "works"}, {"id": "AC-2", "criterion": "tested"}],
        "metadata": {"a": 1, "b": [{"c": 1.5}]},
    });
    tenant.user.post(&format!("/projects/{project}/stories"), body).await.expect(201)["story"].clone()
}

fn path(story: &Value) -> String {
    format!("/stories/{}", text(&story["id"]))
}

/// The story as the list shows it.
async fn show(who: &Caller, story: &Value) -> Value {
    let query = format!("/stories?project_id={}&number=1.1", text(&story["project_id"]));
    who.get(&query).await.expect(200)["data"][0].clone()
}

/// `AC-1 works: pending` per criterion.
async fn rows(who: &Caller, story: &Value) -> Vec<String> {
    let list = who.get(&format!("{}/acceptance_criteria", path(story))).await.expect(200);
    let rows = list["data"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {}: {}", text(&row["ac_id"]), text(&row["description"]), text(&row["status"])))
        .collect()
}

#[tokio::test]
async fn only_orchestrators_and_above_change() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let story = full(&tenant).await;
    let agent = tenant.agent().await;
    for method in [Method::PATCH, Method::PUT] {
        for body in [json!({"title": "X"}), json!({"title": ""}), json!({})] {
            let error = change(&agent, method.clone(), &path(&story), body.clone()).await;
            let error = error.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
            for id in [NONE, "1.1", "nope"] {
                let path = format!("/stories/{id}");
                let reply = change(&tenant.user, method.clone(), &path, body.clone()).await;
                reply.expect_error(404, "not_found");
            }
            let reply = change(&other.user, method.clone(), &path(&story), body).await;
            reply.expect_error(404, "not_found");
        }
    }
    assert_eq!(show(&tenant.user, &story).await, story);
    assert_eq!(told(&tenant, &text(&story["id"])).await, [] as [Value; 0]);
    let root = superadmin(&tenant).await;
    for who in [&tenant.key("orchestrator").await, &tenant.user, &root] {
        let title = unique("title");
        let changed = who.patch(&path(&story), json!({"title": title})).await.expect(200);
        assert_eq!(changed["story"]["title"], title);
    }
    let log = tenant.audit_log().await;
    assert_eq!(log.last().unwrap()["actor_type"], "superadmin");
}

#[tokio::test]
async fn a_change_is_refused_field_by_field_and_leaves_nothing() {
    let tenant = Tenant::new().await;
    let story = full(&tenant).await;
    let long = |length: usize| "x".repeat(length);
    let too_long = |length: usize| format!("should be at most {length} character(s)");
    let (blank, invalid) = ("can't be blank".to_owned(), "is invalid".to_owned());
    for (name, value, message) in [
        ("title", json!(""), blank.clone()),
        ("title", json!(" \t\n"), blank),
        ("title", json!(7), invalid.clone()),
        ("title", json!(long(501)), too_long(500)),
        ("title", json!("a\u{0}b"), invalid.clone()),
        ("description", json!(long(50_001)), too_long(50_000)),
        ("description", json!([]), invalid.clone()),
        ("acceptance_criteria", json!("x"), invalid.clone()),
        ("acceptance_criteria", json!(""), invalid.clone()),
        ("acceptance_criteria", json!([{}, 1]), invalid.clone()),
        (
            "acceptance_criteria",
            json!([{"verification_criterion": {"type": "bogus"}}]),
            "must have a valid type".to_owned(),
        ),
        ("acceptance_criteria", json!([{"id": long(256)}]), too_long(255)),
        ("estimated_hours", json!("4h"), invalid.clone()),
        ("estimated_hours", json!(false), invalid.clone()),
        ("estimated_hours", json!(-0.5), "must be greater than or equal to 0".to_owned()),
        ("metadata", json!([]), invalid.clone()),
        ("metadata", json!("x"), invalid),
    ] {
        // One bad field spoils the good ones.
        let mut body = json!({"title": "Other", "description": "other"});
        body[name] = value.clone();
        for method in [Method::PATCH, Method::PUT] {
            let reply = change(&tenant.user, method, &path(&story), body.clone()).await;
            let error = reply.expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({name: [message]}), "{value}");
        }
    }
    tenant.user.patch(&path(&story), json!([])).await.expect_error(422, "not_an_object");
    assert_eq!(show(&tenant.user, &story).await, story);
    assert_eq!(told(&tenant, &text(&story["id"])).await, [] as [Value; 0]);
}

/// A change of nothing is 200, leaves `updated_at`, and tells nothing.
#[tokio::test]
async fn a_change_of_nothing_leaves_no_trace() {
    let tenant = Tenant::new().await;
    let story = full(&tenant).await;
    let nothing = json!({"title": null, "description": null, "acceptance_criteria": null, "estimated_hours": null,
                         "metadata": null});
    let foreign = json!({"number": "9.9", "epic_id": NONE, "project_id": NONE, "sort_key": 3, "id": NONE,
                         "unknown": true});
    let same = json!({"title": story["title"], "description": story["description"],
                      "acceptance_criteria": story["acceptance_criteria"], "estimated_hours": 4.5,
                      "metadata": {"b": [{"c": 1.5}], "a": 1}});
    for body in [json!({}), nothing, foreign, same, json!({"estimated_hours": ""})] {
        for method in [Method::PATCH, Method::PUT] {
            let reply = change(&tenant.user, method, &path(&story), body.clone()).await;
            assert_eq!(reply.expect(200)["story"], story, "{body}");
        }
    }
    assert_eq!(show(&tenant.user, &story).await, story);
    assert_eq!(told(&tenant, &text(&story["id"])).await, [] as [Value; 0]);
}

/// A status in the body is ignored, not refused: clients send back whole stories.
#[tokio::test]
async fn statuses_move_only_through_the_loop() {
    let tenant = Tenant::new().await;
    let story = full(&tenant).await;
    let body = json!({
        "agent_status": "reported_done", "verified_status": "verified", "title": "X", "verified_at": "2026-01-01T00:00:00Z",
        "assigned_agent_id": NONE, "assigned_at": "2026-01-01T00:00:00Z", "reported_by_agent_id": NONE,
        "reported_done_at": "2026-01-01T00:00:00Z", "rejected_at": "2026-01-01T00:00:00Z", "rejection_reason": "r",
        "first_claimed_at": "2026-01-01T00:00:00Z", "implementer_dispatch_id": NONE, "verifier_dispatch_id": NONE,
        "verifier_needed": true, "contracted_by_agent_id": NONE, "criteria_digest": "0", "verification_source": "loop",
        "first_touched_at": null, "contract_stale": true, "verification_stale": true, "cycle": 9, "report_number": 9, "inserted_at": "2026-01-01T00:00:00Z",
    });
    let changed = tenant.user.patch(&path(&story), body).await.expect(200)["story"].clone();
    let mut expected = story.clone();
    expected["title"] = json!("X");
    for name in ["updated_at", "criteria_digest"] {
        expected[name] = changed[name].clone();
    }
    assert_eq!(changed, expected);
    assert_ne!(changed["updated_at"], story["updated_at"]);

    // Nor does a change take anything back that the loop has done.
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let loop_story = tenant.story().await;
    bring(&loop_story, Reach::Verified, &a1, &a2, &o).await;
    let at = format!("/stories/{loop_story}");
    let before = o.get(&at).await.expect(200)["story"].clone();
    let body = json!({"title": "After the fact", "agent_status": "pending", "verified_status": "unverified"});
    o.patch(&at, body).await.expect(200);
    let after = o.get(&at).await.expect(200)["story"].clone();
    for name in [
        "agent_status",
        "verified_status",
        "verified_at",
        "assigned_agent_id",
        "reported_by_agent_id",
        "first_claimed_at",
        "iteration_count",
        "latest_verification",
    ] {
        assert_eq!(after[name], before[name], "{name}");
    }
}

/// Title and description always, and whatever changed.
#[tokio::test]
async fn every_change_is_told_with_what_was_before() {
    let tenant = Tenant::new().await;
    let story = full(&tenant).await;
    let id = text(&story["id"]);
    let criteria = json!([{"id": "AC-1", "criterion": "works well"}]);
    let steps = [
        (
            Method::PATCH,
            json!({"title": "New"}),
            json!({"title": "Title", "description": "what"}),
            json!({"title": "New", "description": "what"}),
        ),
        (
            Method::PUT,
            json!({"description": " "}),
            json!({"title": "New", "description": "what"}),
            json!({"title": "New", "description": null}),
        ),
        (
            Method::PATCH,
            json!({"estimated_hours": 8, "title": "New"}),
            json!({"title": "New", "description": null, "estimated_hours": "4.50"}),
            json!({"title": "New", "description": null, "estimated_hours": "8"}),
        ),
        (
            Method::PUT,
            json!({"metadata": {"z": 1}}),
            json!({"title": "New", "description": null, "metadata": story["metadata"]}),
            json!({"title": "New", "description": null, "metadata": {"z": 1}}),
        ),
        (
            Method::PATCH,
            json!({"acceptance_criteria": criteria, "description": "d"}),
            json!({"title": "New", "description": null, "acceptance_criteria": story["acceptance_criteria"]}),
            json!({"title": "New", "description": "d", "acceptance_criteria": criteria}),
        ),
        (
            Method::PATCH,
            json!({"acceptance_criteria": []}),
            json!({"title": "New", "description": "d", "acceptance_criteria": criteria}),
            json!({"title": "New", "description": "d", "acceptance_criteria": []}),
        ),
    ];
    let mut expected = Vec::new();
    let mut last = story.clone();
    for (method, body, old, new) in steps {
        let reply = change(&tenant.user, method, &path(&story), body.clone()).await;
        let changed = reply.expect(200)["story"].clone();
        for (name, value) in changed.as_object().unwrap() {
            let expected = new.get(name).unwrap_or(&last[name]);
            let follows = ["updated_at", "criteria_digest"].contains(&name.as_str());
            assert!(follows || value == expected, "{name} after {body}: {value}");
        }
        assert!(text(&changed["updated_at"]) > text(&last["updated_at"]));
        let asks = |story: &Value| [story["title"].clone(), story["acceptance_criteria"].clone()];
        let same_digest = changed["criteria_digest"] == last["criteria_digest"];
        assert_eq!(same_digest, asks(&changed) == asks(&last), "{body}");
        assert_eq!(show(&tenant.user, &story).await, changed);
        expected.push(json!(["story/updated", old, new]));
        last = changed;
    }
    assert_eq!(told(&tenant, &id).await, expected);
    let log = tenant.audit_log().await;
    assert_eq!(log.last().unwrap()["project_id"], story["project_id"]);
    // The history of the story has them, too.
    let history = tenant.user.get(&format!("/stories/{id}/history")).await.expect(200);
    assert_eq!(history["meta"]["total_count"], 1 + 6);
}

/// Rows are matched by `ac_id`; what says the same keeps its status and evidence, in whatever order.
#[tokio::test]
async fn criteria_are_kept_in_step() {
    let tenant = Tenant::new().await;
    let story = full(&tenant).await;
    let set = async |criteria: Value| {
        let body = json!({"acceptance_criteria": criteria});
        let changed = tenant.user.patch(&path(&story), body).await.expect(200);
        assert_eq!(changed["story"]["acceptance_criteria"], criteria);
        rows(&tenant.user, &story).await
    };
    let verify =
        "update story_acceptance_criteria set status = 'verified', verified_at = now(), evidence_path = 'e'
                  where story_id = $1::text::uuid";
    let verified = async || {
        let id = text(&story["id"]);
        connect(&server().owner).await.execute(verify, &[&id]).await.unwrap();
    };
    assert_eq!(rows(&tenant.user, &story).await, ["AC-1 works: pending", "AC-2 tested: pending"]);
    verified().await;
    let turned =
        set(json!([{"id": "AC-2", "criterion": "tested"}, {"id": "AC-1", "criterion": "works"}])).await;
    assert_eq!(turned, ["AC-2 tested: verified", "AC-1 works: verified"]);
    // A changed text, a changed criterion, a new one, and one that is gone.
    let some = set(json!([{"id": "AC-1", "criterion": "works well"}, {"criterion": "new"}])).await;
    assert_eq!(some, ["AC-1 works well: pending", "AC-2 new: pending"]);
    verified().await;
    let manual = json!({"type": "manual", "description": "look"});
    let some = set(json!([{"id": "AC-1", "criterion": "works well", "verification_criterion": manual},
                          {"id": "AC-2", "description": "new"}]))
    .await;
    assert_eq!(some, ["AC-1 works well: pending", "AC-2 new: verified"]);
    let list = tenant.user.get(&format!("{}/acceptance_criteria", path(&story))).await.expect(200);
    assert_eq!(list["data"][0]["verification_criterion"], manual);
    assert_eq!(
        (&list["data"][0]["verified_at"], &list["data"][0]["evidence_path"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(list["data"][1]["evidence_path"], "e");
    // A change of something else leaves the rows.
    tenant.user.patch(&path(&story), json!({"title": "T"})).await.expect(200);
    assert_eq!(rows(&tenant.user, &story).await, some);
    assert_eq!(set(json!([])).await, [""; 0]);
}
