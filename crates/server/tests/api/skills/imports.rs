//! Many skills in one request.

use serde_json::{Value, json};

use super::{NOBODY, skill, told};
use crate::support::{Tenant, text};

/// Nothing is written, and what is wrong is told under its place.
#[tokio::test]
async fn refused_imports() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (u, project, theirs) = (&tenant.user, tenant.project().await, other.project().await);
    let before = tenant.audit_log().await.len();
    for body in
        [json!({}), json!({"skills": null}), json!({"skills": {}}), json!({"skills": "[]", "project_id": 7})]
    {
        let error = u.post("/skills/import", body).await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Request body must contain a 'skills' array");
    }
    let good = json!({"name": "good", "prompt_text": "p"});
    let (blank, invalid, unknown) =
        (json!(["can't be blank"]), json!(["is invalid"]), json!(["does not exist"]));
    for (body, details) in [
        (
            json!({"skills": [good, {"name": ""}]}),
            json!({"skills[1].name": blank, "skills[1].prompt_text": blank}),
        ),
        (
            json!({"skills": [7, good, null, []]}),
            json!({"skills[0]": invalid, "skills[2]": invalid, "skills[3]": invalid}),
        ),
        (
            json!({"project_id": "x", "skills": [{"name": "a\tb", "prompt_text": 1, "project_id": "x", "description": [], "changelog": {}}]}),
            json!({"project_id": invalid, "skills[0].name": ["contains characters that cannot be shown"],
                   "skills[0].prompt_text": invalid, "skills[0].project_id": invalid,
                   "skills[0].description": invalid, "skills[0].changelog": invalid}),
        ),
        (
            json!({"project_id": theirs, "skills": [good, {"name": "b", "prompt_text": "p", "project_id": NOBODY}]}),
            json!({"project_id": unknown, "skills[1].project_id": unknown}),
        ),
        (
            json!({"skills": vec![good.clone(); 1001]}),
            json!({"skills": ["should have at most 1000 item(s)"]}),
        ),
    ] {
        let error = u.post("/skills/import", body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }
    let in_project = |name: &str| json!({"name": name, "prompt_text": "p", "project_id": project});
    let twice = json!({"skills": [in_project("b"), good, in_project("a"), in_project("b"), good, in_project("good"), good]});
    let error = u.post("/skills/import", twice).await.expect_error(422, "invalid_import");
    assert_eq!(error["message"], "Duplicate skill names in import payload: b, good");
    assert_eq!(u.get("/skills").await.expect(200)["data"], json!([]));
    assert_eq!(tenant.audit_log().await.len(), before);
}

fn counts(created: usize, updated: usize, unchanged: usize) -> Value {
    json!({"total": created + updated + unchanged, "created": created, "updated": updated, "unchanged": unchanged,
           "skills_created": created, "skills_updated": updated, "skills_unchanged": unchanged,
           "versions_created": created + updated})
}

#[tokio::test]
async fn what_is_there_is_brought_to_its_next_version() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let (changed, same) = (skill(u, "changed", "old").await, skill(u, "same", "p").await);
    u.patch(&format!("/skills/{changed}"), json!({"description": "kept", "status": "archived"}))
        .await
        .expect(200);
    let before = tenant.audit_log().await.len();
    assert_eq!(u.post("/skills/import", json!({"skills": []})).await.expect(200), counts(0, 0, 0));
    let body = json!({"skills": [
        {"name": "changed", "prompt_text": "new", "description": "not kept"},
        {"name": "same", "prompt_text": " \n p\u{3000}\n"},
        {"name": "new", "prompt_text": " p ", "description": "d", "changelog": "from git"},
    ]});
    assert_eq!(u.post("/skills/import", body.clone()).await.expect(200), counts(1, 1, 1));
    assert_eq!(u.post("/skills/import", body).await.expect(200), counts(0, 0, 3));
    let shown = u.get(&format!("/skills/{changed}")).await.expect(200);
    assert_eq!(
        (&shown["skill"]["description"], &shown["skill"]["status"], &shown["current_prompt"]),
        (&json!("kept"), &json!("archived"), &json!("new"))
    );
    let version = u.get(&format!("/skills/{changed}/versions/2")).await.expect(200)["version"].clone();
    assert_eq!(version["changelog"], "Imported update");
    assert!(text(&version["created_by"]).starts_with("user:"));
    assert_eq!(u.get(&format!("/skills/{same}")).await.expect(200)["current_prompt"], "p");
    let new = u.get("/skills?name=new").await.expect(200)["data"][0].clone();
    assert_eq!((&new["description"], &new["metadata"]), (&json!("d"), &json!({})));
    let first =
        u.get(&format!("/skills/{}/versions/1", text(&new["id"]))).await.expect(200)["version"].clone();
    assert_eq!((&first["prompt_text"], &first["changelog"]), (&json!(" p "), &json!("from git")));

    let told = told(&tenant, before).await;
    let sums = |total: usize, created: usize, updated: usize| {
        json!(["skill_import", "bulk_imported", null, {"total": total, "created": created, "updated": updated,
               "unchanged": total - created - updated}])
    };
    assert_eq!(
        told,
        [
            sums(0, 0, 0),
            json!(["skill", "created", null, {"name": "new", "status": "active", "current_version": 1}]),
            json!(["skill_version", "created", null, {"skill_id": changed, "version": 2, "changelog": "Imported update"}]),
            sums(3, 1, 1),
            sums(3, 0, 0),
        ]
    );
    // A changelog of its own, and back to what was said before: another version all the same.
    let body = json!({"skills": [{"name": "changed", "prompt_text": "old", "changelog": "back"}]});
    assert_eq!(u.post("/skills/import", body).await.expect(200), counts(0, 1, 0));
    let version = u.get(&format!("/skills/{changed}/versions/3")).await.expect(200)["version"].clone();
    assert_eq!((&version["changelog"], &version["prompt_text"]), (&json!("back"), &json!("old")));
}

/// Names are looked for in their project alone.
#[tokio::test]
async fn each_project_has_its_own() {
    let tenant = Tenant::new().await;
    let (u, one, two) = (&tenant.user, tenant.project().await, tenant.project().await);
    let general = skill(u, "review", "general").await;
    let item = |project: Value| json!({"name": "review", "prompt_text": "special", "project_id": project});
    let body = json!({"project_id": one, "skills": [item(Value::Null), item(json!(two))]});
    assert_eq!(u.post("/skills/import", body).await.expect(200), counts(2, 0, 0));
    assert_eq!(u.get(&format!("/skills/{general}")).await.expect(200)["current_prompt"], "general");
    for project in [&one, &two] {
        let list = u.get(&format!("/skills?project_id={project}")).await.expect(200);
        assert_eq!(
            (&list["meta"]["total_count"], &list["data"][0]["current_version"]),
            (&json!(1), &json!(1))
        );
    }
    let body = json!({"project_id": two, "skills": [{"name": "review", "prompt_text": "more special"}]});
    assert_eq!(u.post("/skills/import", body).await.expect(200), counts(0, 1, 0));
    let log = tenant.audit_log().await;
    assert_eq!(log.last().unwrap()["project_id"], json!(two));
    assert_eq!(
        u.get(&format!("/skills?project_id={one}")).await.expect(200)["data"][0]["current_version"],
        1
    );
}
