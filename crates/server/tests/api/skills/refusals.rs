//! What does not work: fields, names, roles, others' skills, and what never changes.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{NOBODY, skill};
use crate::support::{Caller, Tenant, connect, server, text};

/// All failing fields are named together, and nothing is left behind.
#[tokio::test]
async fn refused_fields() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let taken = skill(u, "taken", "p").await;
    let theirs = other.project().await;
    let told = tenant.audit_log().await.len();
    let (blank, invalid) = (json!(["can't be blank"]), json!(["is invalid"]));
    let long = |most: usize| json!([format!("should be at most {most} character(s)")]);
    for (body, details) in [
        (json!({}), json!({"name": blank, "prompt_text": blank})),
        (json!({"name": "a", "prompt_text": " \n\t"}), json!({"prompt_text": blank})),
        (json!({"name": "\u{200b}", "prompt_text": "p"}), json!({"name": blank})),
        (
            json!({"name": "a\nb", "prompt_text": "p"}),
            json!({"name": ["contains characters that cannot be shown"]}),
        ),
        (
            json!({"name": "n".repeat(256), "prompt_text": "p".repeat(500_001)}),
            json!({"name": long(255), "prompt_text": long(500_000)}),
        ),
        (
            json!({"name": 7, "prompt_text": [], "description": {}, "project_id": "x", "metadata": [], "changelog": 1,
                   "created_by": "c".repeat(256)}),
            json!({"name": invalid, "prompt_text": invalid, "description": invalid, "project_id": invalid,
                   "metadata": invalid, "changelog": invalid, "created_by": long(255)}),
        ),
        (
            json!({"name": "a", "prompt_text": "p", "project_id": NOBODY}),
            json!({"project_id": ["does not exist"]}),
        ),
        (
            json!({"name": "a", "prompt_text": "p", "project_id": theirs}),
            json!({"project_id": ["does not exist"]}),
        ),
        (
            json!({"name": "a", "prompt_text": "p", "metadata": {"a": "x".repeat(70_000)}}),
            json!({"metadata": ["must be smaller than 64KB"]}),
        ),
        (
            json!({"name": "taken", "prompt_text": "p"}),
            json!({"name": ["has already been taken for this tenant and project"]}),
        ),
    ] {
        let error = u.post("/skills", body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{body}");
    }
    let at = format!("/skills/{taken}");
    for (body, details) in [
        (json!({"status": "gone"}), json!({"status": invalid})),
        (
            json!({"status": 1, "description": 1, "metadata": "m"}),
            json!({"status": invalid, "description": invalid, "metadata": invalid}),
        ),
    ] {
        let error = u.patch(&at, body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{body}");
    }
    for body in [json!({}), json!({"prompt_text": "  "}), json!({"prompt_text": null})] {
        let error = u.post(&format!("{at}/versions"), body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"prompt_text": blank}));
    }
    let list = u.get("/skills").await.expect(200);
    assert_eq!((&list["meta"]["total_count"], &list["data"][0]["current_version"]), (&json!(1), &json!(1)));
    assert_eq!(tenant.audit_log().await.len(), told);
}

/// A name is taken in its project, or among the skills of the whole tenant, for as long as the skill is there; that is for ever.
#[tokio::test]
async fn names_are_taken_where_they_are() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (u, one, two) = (&tenant.user, tenant.project().await, tenant.project().await);
    let create = async |who: &Caller, project: Value| {
        who.post("/skills", json!({"name": "review", "prompt_text": "p", "project_id": project})).await
    };
    for project in [Value::Null, json!(one), json!(two)] {
        create(u, project.clone()).await.expect(201);
        create(u, project).await.expect_error(422, "validation_failed");
    }
    create(&other.user, Value::Null).await.expect(201);
    let list = u.get("/skills?name=review").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 3);
    let archived = text(&list["data"][0]["id"]);
    u.delete(&format!("/skills/{archived}")).await.expect(200);
    create(u, list["data"][0]["project_id"].clone()).await.expect_error(422, "validation_failed");
}

/// The role first, then the skill, then the body; another tenant's skill is not there.
#[tokio::test]
async fn who_may_do_what() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, o, u) = (tenant.key("agent").await, tenant.key("orchestrator").await, &tenant.user);
    let at = format!("/skills/{}", skill(u, "review", "p").await);
    for caller in [&agent, &o] {
        for (method, path) in [
            (Method::POST, "/skills"),
            (Method::POST, "/skills/import"),
            (Method::PATCH, &at),
            (Method::PUT, &at),
            (Method::DELETE, &at),
            (Method::POST, &format!("{at}/versions")),
        ] {
            let reply = caller.send(caller.request(method, path).json(&json!({}))).await;
            let error = reply.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: user");
        }
    }
    for caller in [&agent, u] {
        let error = caller.post("/skill_results", json!({})).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "This endpoint requires the orchestrator or superadmin role");
    }
    for path in ["", "/versions", "/versions/1", "/versions/1/results", "/stats"] {
        agent.get(&format!("{at}{path}")).await.expect(200);
        for (who, at) in [(&other.user, at.as_str()), (u, &format!("/skills/{NOBODY}")), (u, "/skills/nope")]
        {
            who.get(&format!("{at}{path}")).await.expect_error(404, "not_found");
        }
    }
    for (who, at) in [(&other.user, at.as_str()), (u, &format!("/skills/{NOBODY}")), (u, "/skills/nope")] {
        who.patch(at, json!({"status": 7})).await.expect_error(404, "not_found");
        who.delete(at).await.expect_error(404, "not_found");
        who.post(&format!("{at}/versions"), json!({})).await.expect_error(404, "not_found");
    }
    assert_eq!(other.user.get("/skills").await.expect(200)["data"], json!([]));
}

/// What was said once stays said: there is no route to change it, and the database lets nobody.
#[tokio::test]
async fn versions_and_results_never_change() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let id = skill(u, "review", "p").await;
    u.post(&format!("/skills/{id}/versions"), json!({"prompt_text": "q"})).await.expect(201);
    let at = format!("/skills/{id}/versions/1");
    for method in [Method::PATCH, Method::PUT, Method::DELETE, Method::POST] {
        let request = u.request(method, &at).json(&json!({"prompt_text": "other"}));
        u.send(request).await.expect_error(404, "not_found");
    }
    for path in ["abc", "1abc", "1.0", "%20", "one"] {
        let error = u.get(&format!("/skills/{id}/versions/{path}")).await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Invalid version number");
        u.get(&format!("/skills/{id}/versions/{path}/results")).await.expect_error(400, "bad_request");
    }
    for path in ["99", "0", "-1", "99999999999999999999"] {
        u.get(&format!("/skills/{id}/versions/{path}")).await.expect_error(404, "not_found");
        u.get(&format!("/skills/{id}/versions/{path}/results")).await.expect_error(404, "not_found");
    }
    let owner = connect(&server().owner).await;
    for (sql, why) in [
        ("update skill_versions set prompt_text = 'other' where skill_id = $1::text::uuid", "append"),
        ("update skills set current_version = 1 where id = $1::text::uuid", "advances"),
        ("update skills set current_version = 4 where id = $1::text::uuid", "advances"),
        (
            "insert into skill_versions (tenant_id, id, skill_id, version, prompt_text, prompt_digest)
             select tenant_id, gen_random_uuid(), skill_id, 4, prompt_text, prompt_digest from skill_versions
             where skill_id = $1::text::uuid and version = 1",
            "follow",
        ),
    ] {
        let error = owner.execute(sql, &[&id]).await.expect_err(why);
        assert_eq!(error.code(), Some(&SqlState::RAISE_EXCEPTION), "{sql}: {error:?}");
    }
    // The current version is one that there is.
    let sql = "update skills set current_version = 3 where id = $1::text::uuid";
    let error = owner.execute(sql, &[&id]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
}
