//! The caller's tenant and its settings.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::RANDOM_ID;
use crate::support::{Caller, Tenant, server, unique};

const BAD_SLUG: &str = "must be lowercase alphanumeric with hyphens, starting and ending with alphanumeric";

async fn untouched() -> Tenant {
    Tenant::untouched(&server().owner, &server().base).await
}

async fn shown(caller: &Caller) -> Value {
    caller.get("/tenants/me").await.expect(200)["tenant"].clone()
}

/// What is refused changes nothing and is not told.
#[tokio::test]
async fn refused_updates() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let other_email = format!("{}@loopctl.test", other.slug);
    let before = shown(&tenant.user).await;
    let told = tenant.audit_log().await.len();
    let long = |length: usize| "x".repeat(length);
    let address = "must be a valid email address";
    for (body, field, message) in [
        (json!({"name": ""}), "name", "can't be blank"),
        (json!({"name": " \t\n"}), "name", "can't be blank"),
        (json!({"name": long(121)}), "name", "should be at most 120 character(s)"),
        (json!({"name": 7}), "name", "is invalid"),
        (json!({"name": ["x"]}), "name", "is invalid"),
        (json!({"slug": ""}), "slug", "can't be blank"),
        (json!({"slug": "Not A Slug"}), "slug", BAD_SLUG),
        (json!({"slug": "-ab"}), "slug", BAD_SLUG),
        (json!({"slug": "ab-"}), "slug", BAD_SLUG),
        (json!({"slug": "a_b"}), "slug", BAD_SLUG),
        (json!({"slug": "äöü"}), "slug", BAD_SLUG),
        (json!({"slug": "ab\n"}), "slug", BAD_SLUG),
        (json!({"slug": "a"}), "slug", "should be at least 2 character(s)"),
        (json!({"slug": long(65)}), "slug", "should be at most 64 character(s)"),
        (json!({"slug": other.slug}), "slug", "has already been taken"),
        (json!({"email": " "}), "email", "can't be blank"),
        (json!({"email": "nobody"}), "email", address),
        (json!({"email": "a@b"}), "email", address),
        (json!({"email": "a b@c.de"}), "email", address),
        (json!({"email": {}}), "email", "is invalid"),
        (json!({"email": other_email.to_uppercase()}), "email", "has already been taken"),
        (json!({"settings": []}), "settings", "is invalid"),
        (json!({"settings": null}), "settings", "is invalid"),
        (json!({"settings": "x"}), "settings", "is invalid"),
        (
            json!({"settings": {"knowledge_auto_extract": "yes"}}),
            "settings",
            "knowledge_auto_extract must be a boolean",
        ),
        (
            json!({"settings": {"auto_reset_on_rejection": 1}}),
            "settings",
            "auto_reset_on_rejection must be a boolean",
        ),
        (
            json!({"default_story_budget_millicents": 0}),
            "default_story_budget_millicents",
            "must be greater than 0",
        ),
        (
            json!({"default_story_budget_millicents": -5}),
            "default_story_budget_millicents",
            "must be greater than 0",
        ),
        (json!({"default_story_budget_millicents": "x"}), "default_story_budget_millicents", "is invalid"),
        (json!({"default_story_budget_millicents": 1.5}), "default_story_budget_millicents", "is invalid"),
        (json!({"default_story_budget_millicents": 1e30}), "default_story_budget_millicents", "is invalid"),
        (json!({"token_data_retention_days": 29}), "token_data_retention_days", "must be at least 30 days"),
        (json!({"token_data_retention_days": -1}), "token_data_retention_days", "must be at least 30 days"),
        (json!({"token_data_retention_days": 2_147_483_648_i64}), "token_data_retention_days", "is invalid"),
        (json!({"token_data_retention_days": []}), "token_data_retention_days", "is invalid"),
        (json!({"custody_mode": "lax"}), "custody_mode", "is invalid"),
        (json!({"custody_mode": true}), "custody_mode", "is invalid"),
    ] {
        let error =
            tenant.user.patch("/tenants/me", body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["message"], "Validation failed");
        assert_eq!(error["details"], json!({ field: [message] }), "{body}");
    }
    for key in [
        "rate_limit_requests_per_minute",
        "max_api_keys",
        "max_projects",
        "max_webhooks",
        "max_concurrent_agents",
        "max_stories_per_project",
        "webhook_max_consecutive_failures",
        "webhook_event_retention_days",
    ] {
        for value in [json!("x"), json!("5"), json!(-1), json!(1.5), json!(true), json!([1]), json!(1e30)] {
            let error = tenant
                .user
                .patch("/tenants/me", json!({"name": "never", "settings": {"a": 1, key: value}}))
                .await
                .expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({"settings": [format!("{key} must be a positive integer")]}));
        }
    }
    for key in ["rate_limit_requests_per_minute", "webhook_max_consecutive_failures"] {
        tenant
            .user
            .patch("/tenants/me", json!({"settings": {key: 0}}))
            .await
            .expect_error(422, "validation_failed");
    }
    // Everything that is wrong, at once.
    let body = json!({"name": "", "slug": "A", "email": "x", "settings": {"max_projects": "x"},
                      "token_data_retention_days": 1, "custody_mode": "x"});
    let error = tenant.user.patch("/tenants/me", body).await.expect_error(422, "validation_failed");
    let fields: Vec<_> = error["details"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["custody_mode", "email", "name", "settings", "slug", "token_data_retention_days"]);
    assert_eq!(shown(&tenant.user).await, before);
    assert_eq!(tenant.audit_log().await.len(), told);
}

/// Whatever its role, and every field of it.
#[tokio::test]
async fn every_key_sees_its_tenant() {
    let tenant = untouched().await;
    let agent = tenant.agent().await;
    let me = agent.get("/tenants/me").await.expect(200);
    let mut fields = me["tenant"].clone();
    for time in ["inserted_at", "updated_at"] {
        assert!(fields.as_object_mut().unwrap().remove(time).unwrap().is_string());
    }
    assert_eq!(
        fields,
        json!({
            "id": tenant.id, "name": tenant.slug, "slug": tenant.slug, "email": format!("{}@loopctl.test", tenant.slug),
            "settings": {}, "status": "active", "custody_mode": "standard", "custody_halted_at": null,
            "default_story_budget_millicents": null, "token_data_retention_days": null,
        })
    );
    assert_eq!(me["api_key"]["role"], "agent");
    assert_eq!(me["api_key"]["agent_id"], agent.agent());
    let orchestrator = tenant.orchestrator().await;
    assert_eq!(shown(&orchestrator).await["id"], tenant.id);
    let keys = me["api_key"].as_object().unwrap().keys();
    assert!(keys.clone().all(|key| !["raw_key", "key_hash"].contains(&key.as_str())));
}

/// What may be changed, what is told of it, and what may not be changed this way.
#[tokio::test]
async fn updates() {
    let tenant = untouched().await;
    let (slug, before) = (unique("renamed"), shown(&tenant.user).await);
    let body = json!({
        "name": "  New Name ", "slug": slug, "email": " Boss@ACME.example ", "default_story_budget_millicents": 5_000_000_000_i64,
        "token_data_retention_days": 30, "settings": {"rate_limit_requests_per_minute": 500, "team": {"a": [1, null]}},
        "status": "suspended", "id": RANDOM_ID, "custody_halted_at": "2026-01-01T00:00:00Z", "unknown": 1,
    });
    let updated = tenant.user.patch("/tenants/me", body).await.expect(200)["tenant"].clone();
    assert_eq!(updated, shown(&tenant.user).await);
    let changed = json!({
        "name": "New Name", "slug": slug, "email": "boss@acme.example", "default_story_budget_millicents": 5_000_000_000_i64,
        "token_data_retention_days": 30, "settings": {"rate_limit_requests_per_minute": 500, "team": {"a": [1, null]}},
    });
    for (field, value) in updated.as_object().unwrap() {
        match changed.get(field) {
            Some(expected) => assert_eq!(value, expected, "{field}"),
            None if field == "updated_at" => assert_ne!(value, &before[field]),
            None => assert_eq!(value, &before[field], "{field}"),
        }
    }
    let log = tenant.audit_log().await;
    let row = log.last().unwrap();
    assert_eq!((&row["entity_type"], &row["action"]), (&json!("tenant"), &json!("updated")));
    assert_eq!((&row["entity_id"], &row["new_state"]), (&json!(tenant.id), &changed));
    let mut old = row["old_state"].clone();
    assert_eq!(old["name"], before["name"]);
    for (field, value) in old.as_object_mut().unwrap() {
        assert_eq!(value, &before[field], "{field}");
    }
    // Settings are merged one level deep; null removes.
    for (patch, expected) in [
        (
            json!({"knowledge_auto_extract": false}),
            json!({"rate_limit_requests_per_minute": 500, "knowledge_auto_extract": false, "team": {"a": [1, null]}}),
        ),
        (
            json!({"rate_limit_requests_per_minute": null, "team": {"b": null}, "absent": null}),
            json!({"knowledge_auto_extract": false, "team": {"b": null}}),
        ),
        (json!({}), json!({"knowledge_auto_extract": false, "team": {"b": null}})),
        (
            json!({"knowledge_auto_extract": null, "team": null, "max_projects": 0}),
            json!({"max_projects": 0}),
        ),
    ] {
        let reply = tenant.user.patch("/tenants/me", json!({"settings": patch})).await.expect(200);
        assert_eq!(reply["tenant"]["settings"], expected);
    }
    // Null takes the budget and the retention away; the other fields stay.
    let body = json!({"default_story_budget_millicents": null, "token_data_retention_days": null});
    let reply = tenant.user.patch("/tenants/me", body).await.expect(200);
    assert_eq!(reply["tenant"]["token_data_retention_days"], Value::Null);
    assert_eq!(reply["tenant"]["default_story_budget_millicents"], Value::Null);
    assert_eq!(reply["tenant"]["name"], "New Name");
    // Nothing changed: nothing to tell.
    let told = tenant.audit_log().await.len();
    tenant
        .user
        .patch("/tenants/me", json!({"name": "New Name", "settings": {"max_projects": 0}}))
        .await
        .expect(200);
    tenant.user.patch("/tenants/me", json!({})).await.expect(200);
    assert_eq!(tenant.audit_log().await.len(), told);
    // Limits of length are inclusive.
    let body = json!({"name": "é".repeat(120), "slug": format!("{}-{}", "s".repeat(10), unique("x"))});
    tenant.user.patch("/tenants/me", body).await.expect(200);
}

/// Merged by the database, so that no concurrent change is lost.
#[tokio::test]
async fn concurrent_updates_all_survive() {
    let tenant = untouched().await;
    let patches = (0..24).map(|number| {
        let user = &tenant.user;
        async move {
            let body = match number {
                0 => json!({"name": "Renamed"}),
                1 => json!({"token_data_retention_days": 90}),
                _ => json!({"settings": {format!("key_{number}"): number}}),
            };
            user.patch("/tenants/me", body).await.expect(200);
        }
    });
    join_all(patches).await;
    let after = shown(&tenant.user).await;
    let expected: Value = (2..24).map(|number| (format!("key_{number}"), json!(number))).collect();
    assert_eq!(after["settings"], expected);
    assert_eq!((&after["name"], &after["token_data_retention_days"]), (&json!("Renamed"), &json!(90)));
    // Each is told with what it changed: the log ends where the tenant is.
    let log = tenant.audit_log().await;
    let updates: Vec<_> = log.iter().filter(|row| row["action"] == "updated").collect();
    assert_eq!(updates.len(), 24);
    let mut settings = json!({});
    for row in updates.iter().filter(|row| row["new_state"].get("settings").is_some()) {
        assert_eq!(row["old_state"]["settings"], settings, "each starts where the one before ended");
        settings = row["new_state"]["settings"].clone();
    }
    assert_eq!(settings, expected);
}

/// Of two tenants that want one slug at once, one gets it.
#[tokio::test]
async fn a_slug_goes_to_one_tenant() {
    let (one, two) = (Tenant::new().await, Tenant::new().await);
    let slug = unique("wanted");
    let wish = || json!({"slug": slug});
    let (first, second) =
        tokio::join!(one.user.patch("/tenants/me", wish()), two.user.patch("/tenants/me", wish()));
    let (lost, kept) = if first.status == 200 { (second, &two) } else { (first, &one) };
    let error = lost.expect_error(422, "validation_failed");
    assert_eq!(error["details"], json!({"slug": ["has already been taken"]}));
    assert_eq!(shown(&kept.user).await["slug"], kept.slug);
    let winners = [&one, &two].map(|tenant| shown(&tenant.user));
    let slugs = join_all(winners).await;
    assert_eq!(slugs.iter().filter(|tenant| tenant["slug"] == slug).count(), 1);
}

/// A mode that nothing enforces yet is refused, not stored.
#[tokio::test]
async fn custody_mode() {
    let tenant = Tenant::new().await;
    let set = |mode: &str| json!({"custody_mode": mode});
    tenant.orchestrator().await.patch("/tenants/me", set("strict")).await.expect_error(403, "forbidden");
    for (mode, message) in
        [("strict", "strict custody is not available in this version"), ("loose", "is invalid")]
    {
        let error = tenant.user.patch("/tenants/me", set(mode)).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"custody_mode": [message]}));
    }
    let rows = tenant.audit_log().await.len();
    let standard = tenant.user.patch("/tenants/me", set("standard")).await.expect(200);
    assert_eq!(standard["tenant"]["custody_mode"], "standard");
    assert_eq!(tenant.audit_log().await.len(), rows, "nothing changed");
}
