//! The log cannot be altered, tells all, and keeps secrets.

use std::collections::BTreeSet;

use loopctl_server::operator::create_superadmin_key;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{lines, refused};
use crate::support::{Caller, Reach, Tenant, bring, connect, server, story, text};

/// A tenant with a story that has been all the way, and its agents.
async fn lived() -> (Tenant, [Caller; 3], String) {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    let artifact = json!({"artifact_type": "test", "path": "a.rs"});
    a1.post(&format!("/stories/{story}/artifacts"), artifact).await.expect(201);
    bring(&story, Reach::Verified, &a1, &a2, &o).await;
    (tenant, [a1, a2, o], story)
}

/// As the owner, above row-level security, with texts that operators can look for.
#[tokio::test]
async fn the_owner_cannot_alter_the_log() {
    let (tenant, ..) = lived().await;
    let owner = connect(&server().owner).await;
    let partitions =
        lines(&owner, "select inhrelid::regclass from pg_inherits where inhparent = 'audit_log'::regclass")
            .await;
    assert!(partitions.len() >= 5, "four months and the default: {partitions:?}");
    let id = &tenant.id;
    let mut with_rows = 0;
    for table in partitions.iter().map(String::as_str).chain(["audit_log"]) {
        let mut attempts = vec![format!("TRUNCATE {table}"), format!("TRUNCATE {table} CASCADE")];
        let rows = format!("select 1 from {table} where tenant_id = '{id}' limit 1");
        if !lines(&owner, &rows).await.is_empty() {
            with_rows += 1;
            attempts.push(format!("UPDATE {table} SET action = 'x' WHERE tenant_id = '{id}'"));
            attempts.push(format!("UPDATE {table} SET action = action WHERE tenant_id = '{id}'"));
            attempts.push(format!("DELETE FROM {table} WHERE tenant_id = '{id}'"));
        }
        for sql in attempts {
            let error = owner.batch_execute(&sql).await.expect_err(&sql);
            let message = error.as_db_error().unwrap().message().to_owned();
            let verb = sql.split(' ').next().unwrap();
            assert!(message.contains(&format!("{verb} on audit_log is not allowed")), "{sql}: {message}");
        }
    }
    assert_eq!(with_rows, 2, "the parent and this month's partition");
}

/// As the application's role, on the parent and on partitions by name.
#[tokio::test]
async fn the_application_cannot_alter_the_log() {
    let (tenant, ..) = lived().await;
    let (owner, app) = (connect(&server().owner).await, connect(&server().app).await);
    let set = format!("set role loopctl_app; set loopctl.tenant_id = '{}'", tenant.id);
    app.batch_execute(&set).await.unwrap();
    assert!(!lines(&app, "select id from audit_log").await.is_empty(), "its own rows it can read");
    for sql in ["update audit_log set action = 'x'", "delete from audit_log", "truncate audit_log"] {
        assert_eq!(refused(&app, sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    let partitions =
        lines(&owner, "select inhrelid::regclass from pg_inherits where inhparent = 'audit_log'::regclass")
            .await;
    for table in partitions {
        for sql in [
            format!("select 1 from {table}"),
            format!("select tenant_id from only {table}"),
            format!("insert into {table} (id) values (gen_random_uuid())"),
            format!("update {table} set action = 'x'"),
            format!("delete from {table}"),
            format!("truncate {table}"),
        ] {
            assert_eq!(refused(&app, &sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        }
    }
    create_superadmin_key(&server().owner, "audit").await.unwrap();
    // What belongs to no tenant is nobody's to see, and nobody's to write.
    let none = "select id from audit_log where tenant_id = '00000000-0000-0000-0000-000000000000'";
    assert!(!lines(&owner, none).await.is_empty());
    assert_eq!(lines(&app, none).await, [""; 0]);
    let columns =
        "id, tenant_id, position, entity_type, entity_id, action, actor_type, leaf_hash, inserted_at";
    let forged = format!(
        "insert into audit_log ({columns}) values (gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 1, 'x', gen_random_uuid(), 'x', 'system',
         decode(repeat('00', 32), 'hex'), now())"
    );
    assert_eq!(refused(&app, &forged).await, SqlState::INSUFFICIENT_PRIVILEGE);
}

/// Evidence is never changed, by anybody.
#[tokio::test]
async fn evidence_is_never_updated() {
    let (tenant, _, story) = lived().await;
    let (owner, app) = (connect(&server().owner).await, connect(&server().app).await);
    let set = format!("set role loopctl_app; set loopctl.tenant_id = '{}'", tenant.id);
    app.batch_execute(&set).await.unwrap();
    for (table, change) in [
        ("artifact_reports", "path = 'forged'"),
        ("review_records", "findings_count = 0"),
        ("verification_results", "result = 'pass'"),
    ] {
        let rows = format!("select id from {table} where story_id = '{story}'");
        assert_eq!(lines(&app, &rows).await.len(), 1, "{table}");
        let update = format!("update {table} set {change} where story_id = '{story}'");
        let error = owner.batch_execute(&update).await.expect_err(table);
        let message = error.as_db_error().unwrap().message().to_owned();
        assert_eq!(message, format!("UPDATE on {table} is not allowed: its rows are evidence"));
        assert_eq!(refused(&app, &update).await, SqlState::INSUFFICIENT_PRIVILEGE);
        let delete = format!("delete from {table}");
        assert_eq!(refused(&app, &delete).await, SqlState::INSUFFICIENT_PRIVILEGE);
    }
}

/// What changed, in which project, by which key and under which name.
#[tokio::test]
async fn an_entry_says_who_did_what() {
    let tenant = Tenant::new().await;
    let log = tenant.audit_log().await;
    let entries: Vec<_> = log.iter().map(|row| (text(&row["entity_type"]), text(&row["action"]))).collect();
    let expected = [("tenant", "tenant_created"), ("api_key", "created")];
    assert_eq!(entries, expected.map(|(entity, action)| (entity.to_owned(), action.to_owned())));
    for row in &log {
        assert_eq!((&row["actor_type"], &row["actor_id"]), (&json!("system"), &Value::Null));
        assert_eq!(row["actor_label"], "system:operator tenant create");
    }
    let me = tenant.user.get("/tenants/me").await.expect(200);
    let project = tenant.project().await;
    let log = tenant.audit_log().await;
    let row = log.last().unwrap();
    assert_eq!((&row["entity_type"], &row["action"]), (&json!("project"), &json!("created")));
    assert_eq!((&row["entity_id"], &row["project_id"]), (&json!(project), &json!(project)));
    assert_eq!((&row["actor_type"], &row["actor_id"]), (&json!("api_key"), &me["api_key"]["id"]));
    assert_eq!((&row["actor_label"], &row["metadata"]), (&json!("user:root"), &json!({})));
    let mut state = row["new_state"].as_object().unwrap().clone();
    assert_eq!((&row["old_state"], state.remove("status")), (&Value::Null, Some(json!("active"))));
    assert_eq!(state.keys().collect::<Vec<_>>(), ["name", "slug"]);
}

/// What is refused is not told.
#[tokio::test]
async fn refusals_leave_no_entry() {
    let (tenant, [a1, a2, o], done) = lived().await;
    let open = tenant.story().await;
    let project = tenant.project_of(&["1.1"]).await;
    let told = tenant.audit_log().await;
    let (user, nobody) = (&tenant.user, Caller::nobody());
    let at = |story: &str, action: &str| format!("/stories/{story}/{action}");
    let review = json!({"review_type": "enhanced", "summary": "s"});
    let cycle = json!({"epics": [{"number": 2, "title": "E", "stories": [story("2.1"), story("2.2")]}],
        "story_dependencies": [{"story": "2.1", "depends_on": "2.2"}, {"story": "2.2", "depends_on": "2.1"}]});
    let again = json!({"epics": [{"number": 1, "title": "E", "stories": [story("1.1")]}]});
    for (caller, path, body, status) in [
        (user, "/projects".to_owned(), json!({"name": "x"}), 422),
        (user, "/api_keys".to_owned(), json!({"name": "x", "role": "boss"}), 422),
        (user, "/api_keys".to_owned(), json!({"name": "x", "role": "superadmin"}), 403),
        (&a1, "/agents/register".to_owned(), json!({"name": "x", "agent_type": "implementer"}), 409),
        (&a1, at(&open, "contract"), json!({"story_title": "wrong", "ac_count": 2}), 422),
        (&a1, at(&open, "claim"), json!({}), 409),
        (&a1, at(&open, "start"), json!({}), 409),
        (&a1, at(&done, "report"), json!({}), 409),
        (&a1, at(&done, "review-complete"), json!({"review_type": "enhanced"}), 409),
        (&o, at(&open, "verify"), review.clone(), 409),
        (&o, at(&open, "reject"), json!({"reason": " "}), 422),
        (&a2, at(&open, "verify"), review, 403),
        (&a1, at(&open, "artifacts"), json!({"path": "x"}), 422),
        (user, format!("/projects/{project}/import"), cycle, 422),
        (user, format!("/projects/{project}/import"), again, 409),
        (user, format!("/projects/{open}/import"), json!({"epics": []}), 404),
        (&nobody, "/projects".to_owned(), json!({"name": "x", "slug": "xx"}), 401),
    ] {
        caller.post(&path, body).await.expect(status);
        assert_eq!(tenant.audit_log().await.len(), told.len(), "{path}");
    }
    user.patch("/tenants/me", json!({"name": ""})).await.expect(422);
    user.delete(&format!("/api_keys/{open}")).await.expect(404);
    assert_eq!(tenant.audit_log().await, told);
    // And the next entry takes the next position: nothing was used up.
    tenant.project().await;
    let after = tenant.audit_log().await;
    assert_eq!(after.len(), told.len() + 1);
    assert_eq!(after.last().unwrap()["position"], after.len());
}

/// No secret is in the log, nor anything that a key could be recognised by, nor anywhere else.
#[tokio::test]
async fn no_secret_is_kept() {
    let (tenant, callers, _) = lived().await;
    let created = tenant.user.post("/api_keys", json!({"name": "k", "role": "user"})).await.expect(201);
    tenant.user.delete(&format!("/api_keys/{}", text(&created["api_key"]["id"]))).await.expect(200);
    let superadmin = create_superadmin_key(&server().owner, "s").await.unwrap();
    let mut keys: Vec<String> =
        callers.iter().chain([&tenant.user]).map(|caller| caller.key.clone().unwrap()).collect();
    keys.extend([text(&created["api_key"]["raw_key"]), superadmin.raw_key]);
    let log = tenant.audit_log().await;
    let entries: BTreeSet<_> =
        log.iter().filter(|row| row["entity_type"] == "api_key").map(|row| text(&row["action"])).collect();
    assert_eq!(entries, BTreeSet::from(["created".to_owned(), "revoked".to_owned()]));
    let owner = connect(&server().owner).await;
    let tables = "select relname from pg_class where relnamespace = 'public'::regnamespace
                  and relkind in ('r', 'p') and not relispartition";
    for table in lines(&owner, tables).await {
        for key in &keys {
            let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(key.as_bytes()));
            // The one place for a hash is the key's own row.
            let forbidden = if table == "api_keys" { vec![&key[8..]] } else { vec![&key[8..], &hash] };
            for secret in forbidden {
                let found = format!("select 1 from {table} t where position('{secret}' in t::text) > 0");
                assert_eq!(lines(&owner, &found).await, [""; 0], "{table}");
            }
        }
    }
}
