//! Skills from their creation to their being laid aside, and how they are listed.

use serde_json::{Value, json};

use super::{NOBODY, skill, told};
use crate::support::{Tenant, text};

/// Every step with its entry in the log.
#[tokio::test]
async fn the_life_of_a_skill() {
    let tenant = Tenant::new().await;
    let (u, agent, project) = (&tenant.user, tenant.key("agent").await, tenant.project().await);
    let before = tenant.audit_log().await.len();
    let body = json!({"name": " loopctl:review ", "prompt_text": " Review it.\n", "description": "d", "project_id": project,
                      "metadata": {"a": 1.50}, "id": NOBODY, "status": "archived", "current_version": 7});
    let created = u.post("/skills", body).await.expect(201);
    let id = text(&created["skill"]["id"]);
    let at = format!("/skills/{id}");
    assert_ne!(id, NOBODY);
    for (member, value) in [
        ("name", json!(" loopctl:review ")),
        ("description", json!("d")),
        ("current_version", json!(1)),
        ("status", json!("active")),
        ("project_id", json!(project)),
        ("metadata", json!({"a": 1.5})),
    ] {
        assert_eq!(created["skill"][member], value, "{member}");
    }
    for (member, value) in [
        ("skill_id", json!(id)),
        ("version", json!(1)),
        ("prompt_text", json!(" Review it.\n")),
        ("changelog", Value::Null),
        ("metadata", json!({})),
    ] {
        assert_eq!(created["version"][member], value, "{member}");
    }
    let label = text(&created["version"]["created_by"]);
    assert!(label.starts_with("user:"), "{label}");
    let shown = agent.get(&at).await.expect(200);
    assert_eq!((&shown["skill"], &shown["current_prompt"]), (&created["skill"], &json!(" Review it.\n")));

    // What changes nothing is not told; what cannot be changed is ignored.
    for body in [
        json!({}),
        json!({"description": null, "status": null, "metadata": null}),
        json!({"name": "x", "prompt_text": "x", "project_id": null, "description": "d", "metadata": {"a": 1.5}}),
    ] {
        assert_eq!(u.patch(&at, body).await.expect(200)["skill"], created["skill"]);
    }
    let changed = u.put(&at, json!({"description": "e", "prompt_text": "x"})).await.expect(200);
    assert_eq!(changed["skill"]["description"], "e");
    u.patch(&at, json!({"metadata": {"b": 2}})).await.expect(200);
    u.patch(&at, json!({"description": ""})).await.expect(200);
    let body = json!({"prompt_text": "Look at it.", "changelog": "shorter", "created_by": "the lead", "metadata": {"x": 1}});
    let added = u.post(&format!("{at}/versions"), body).await.expect(201);
    assert_eq!((&added["skill"]["current_version"], &added["version"]["version"]), (&json!(2), &json!(2)));
    assert_eq!(
        (&added["version"]["created_by"], &added["version"]["metadata"]),
        (&json!("the lead"), &json!({}))
    );
    for _ in 0..2 {
        assert_eq!(u.delete(&at).await.expect(200)["skill"]["status"], "archived");
    }
    // It is there all the same, and goes on.
    u.post(&format!("{at}/versions"), json!({"prompt_text": "Third."})).await.expect(201);
    let shown = agent.get(&at).await.expect(200);
    assert_eq!((&shown["skill"]["status"], &shown["current_prompt"]), (&json!("archived"), &json!("Third.")));
    u.patch(&at, json!({"status": "active"})).await.expect(200);

    let list = agent.get(&format!("{at}/versions")).await.expect(200);
    let versions = list["data"].as_array().unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| &version["version"]).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(versions.iter().all(|version| version.get("prompt_text").is_none()));
    assert_eq!((&list["meta"]["page_size"], &list["meta"]["total_pages"]), (&json!(3), &json!(1)));
    let page = agent.get(&format!("{at}/versions?limit=2&page=2")).await.expect(200);
    assert_eq!((&page["data"][0]["version"], &page["meta"]["page_size"]), (&json!(3), &json!(2)));
    let first = agent.get(&format!("{at}/versions/1")).await.expect(200);
    assert_eq!(first, json!({"version": created["version"], "cost_summary": null}));

    let state = |description: Value, status: &str| json!({"description": description, "status": status});
    let with = |mut state: Value, metadata: Value| {
        state["metadata"] = metadata;
        state
    };
    assert_eq!(
        told(&tenant, before).await,
        [
            json!(["skill", "created", null, {"name": " loopctl:review ", "status": "active", "current_version": 1}]),
            json!(["skill", "updated", state(json!("d"), "active"), state(json!("e"), "active")]),
            json!([
                "skill",
                "updated",
                with(state(json!("e"), "active"), json!({"a": 1.5})),
                with(state(json!("e"), "active"), json!({"b": 2}))
            ]),
            json!(["skill", "updated", state(json!("e"), "active"), state(Value::Null, "active")]),
            json!(["skill_version", "created", null, {"skill_id": id, "version": 2, "changelog": "shorter"}]),
            json!(["skill", "updated", state(Value::Null, "active"), state(Value::Null, "archived")]),
            json!(["skill_version", "created", null, {"skill_id": id, "version": 3, "changelog": null}]),
            json!(["skill", "updated", state(Value::Null, "archived"), state(Value::Null, "active")]),
        ]
    );
    for row in tenant.audit_log().await.split_off(before) {
        assert_eq!((&row["project_id"], &row["actor_label"]), (&json!(project), &json!(label)));
    }
    let feed =
        u.get(&format!("/changes?since=2000-01-01&project_id={project}&entity_type=skill_version")).await;
    assert_eq!(feed.expect(200)["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_said_of_a_first_version_is_kept() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "a", "prompt_text": "p", "changelog": "the first", "created_by": "somebody"});
    let version = tenant.user.post("/skills", body).await.expect(201)["version"].clone();
    assert_eq!((&version["changelog"], &version["created_by"]), (&json!("the first"), &json!("somebody")));
}

#[tokio::test]
async fn skills_are_listed_by_name() {
    let tenant = Tenant::new().await;
    let (u, project) = (&tenant.user, tenant.project().await);
    for name in ["review", "a-review-helper", "LOOPCTL:plan", "100%_sure"] {
        skill(u, name, "p").await;
    }
    let body = json!({"name": "review", "prompt_text": "p", "project_id": project});
    u.post("/skills", body).await.expect(201);
    let archived = skill(u, "old", "p").await;
    u.delete(&format!("/skills/{archived}")).await.expect(200);
    for (query, expected) in [
        ("", vec!["100%_sure", "LOOPCTL:plan", "a-review-helper", "old", "review", "review"]),
        ("?status=active&name=E", vec!["100%_sure", "a-review-helper", "review", "review"]),
        ("?status=archived", vec!["old"]),
        ("?status=nonsense", vec![]),
        ("?name=loopctl", vec!["LOOPCTL:plan"]),
        // The very name first, whatever comes before it in the alphabet.
        ("?name=review", vec!["review", "review", "a-review-helper"]),
        ("?name=review&limit=1", vec!["review"]),
        // No character stands for another.
        ("?name=%25", vec!["100%_sure"]),
        ("?name=0%25_", vec!["100%_sure"]),
        ("?name=_", vec!["100%_sure"]),
        ("?name=.*", vec![]),
        (&format!("?project_id={project}"), vec!["review"]),
        (&format!("?project_id={NOBODY}"), vec![]),
    ] {
        let list = u.get(&format!("/skills{query}")).await.expect(200);
        let mut names: Vec<_> =
            list["data"].as_array().unwrap().iter().map(|row| text(&row["name"])).collect();
        if !query.contains("name=review") {
            // What comes first in which language is for the database to say.
            names.sort();
        }
        assert_eq!(names, expected, "{query}");
        assert!(list["data"].as_array().unwrap().iter().all(|row| row.get("current_prompt").is_none()));
    }
    assert_eq!(u.get("/skills?limit=1").await.expect(200)["meta"]["page_size"], 1);
    u.get("/skills?project_id=nope").await.expect_error(404, "not_found");
}
