//! What the database itself refuses, under the application role and with the right tenant set: one wrong
//! statement in the server must not be a way around the trust model.

mod digest;
mod evidence;
mod stories;

use serde_json::json;
use tokio_postgres::Client;

use crate::isolation::{Populated, populated};
use crate::support::{Reach, Tenant, a_moment, bring, connect, server};

/// Somebody who writes to the tables as the application does, in a transaction that is taken back.
struct Hand {
    client: Client,
    /// The role that it takes, if any.
    role: &'static str,
    /// What stands for which id.
    names: Vec<(&'static str, String)>,
}

impl Hand {
    /// `t` is the tenant.
    async fn new(names: &[(&'static str, String)]) -> Self {
        Self {
            client: connect(&server().app).await,
            role: "set local role loopctl_app;",
            names: names.to_vec(),
        }
    }

    /// With all rights, which triggers do not ask for.
    async fn of_owner(names: &[(&'static str, String)]) -> Self {
        Self { client: connect(&server().owner).await, role: "", names: names.to_vec() }
    }

    fn named(&self, statement: &str) -> String {
        self.names
            .iter()
            .fold(statement.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    async fn begin(&self) {
        let begin = self.named("begin; set local loopctl.tenant_id = '{t}';") + self.role;
        self.client.batch_execute(&begin).await.unwrap();
    }

    async fn end(&self) {
        self.client.batch_execute("rollback").await.unwrap();
    }

    /// All of them succeed.
    async fn passes(&self, statements: &[&str]) {
        self.read(statements, "select ''").await;
    }

    /// What a query yields after these statements.
    async fn read(&self, statements: &[&str], query: &str) -> String {
        self.begin().await;
        for statement in statements {
            let done = self.client.batch_execute(&self.named(statement)).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        let row = self.client.query_one(&self.named(query), &[]).await.unwrap();
        self.end().await;
        row.get(0)
    }

    /// The last of them is refused with these words.
    async fn refused(&self, statements: &[&str], refusal: &str) {
        self.begin().await;
        let (last, before) = statements.split_last().unwrap();
        for statement in before {
            let done = self.client.batch_execute(&self.named(statement)).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        let error = self.client.batch_execute(&self.named(last)).await.expect_err(last);
        let error = error.as_db_error().unwrap();
        let told = format!("{} {}", error.message(), error.constraint().unwrap_or_default());
        assert!(told.contains(refusal), "{last}: {told}");
        self.end().await;
    }
}

#[tokio::test]
async fn one_wrong_statement_is_no_way_around_the_trust_model() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    bring(&story, Reach::Reported, &a1, &a2, &o).await;
    let client = connect(&server().app).await;
    let id = &tenant.id;
    let verified = "set verified_status = 'verified', verified_at = now(), verification_source = 'loop', \
                    verified_digest = (select criteria_digest from stories)";
    let pending =
        "agent_status = 'pending', assigned_agent_id = null, assigned_at = null, reported_by_agent_id = null";
    for (statement, refusal) in [
        (format!("update story_states {verified}"), "verified_needs_evidence"),
        (format!("update story_states {verified}, {pending}"), "verified_needs_evidence"),
        (format!("update story_states set first_claimed_at = null, {pending}"), "first_touched_is_final"),
        (
            "update story_states set assigned_agent_id = reported_by_agent_id".to_owned(),
            "hands_change_by_release",
        ),
        ("update tenants set status = 'active'".to_owned(), "permission denied"),
        (
            "update tenants set custody_mode = 'standard', custody_halted_at = null".to_owned(),
            "permission denied",
        ),
        ("update api_keys set key_hash = repeat('0', 64)".to_owned(), "permission denied"),
        ("update api_keys set role = 'user'".to_owned(), "permission denied"),
        (
            format!("update api_keys set agent_id = '{}' where agent_id is not null", a2.agent()),
            "agent_immutable",
        ),
        ("update agents set name = 'x'".to_owned(), "permission denied"),
        ("update audit_heads set position = 0".to_owned(), "audit_head_advances"),
        (
            "update audit_heads set last_at = '-infinity', position = position + 1".to_owned(),
            "audit_head_advances",
        ),
        ("delete from audit_heads".to_owned(), "permission denied"),
        ("delete from projects".to_owned(), "permission denied"),
        ("delete from review_records".to_owned(), "permission denied"),
        ("update verification_results set result = 'pass'".to_owned(), "permission denied"),
    ] {
        client
            .batch_execute(&format!(
                "begin; set local role loopctl_app; set local loopctl.tenant_id = '{id}'"
            ))
            .await
            .unwrap();
        let error = client.batch_execute(&statement).await.expect_err(&statement);
        let message = error.as_db_error().unwrap().message().to_owned();
        assert!(message.contains(refusal), "{statement}: {message}");
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn a_revoked_key_stays_revoked() {
    let tenant = Tenant::new().await;
    let key = tenant.user.post("/api_keys", json!({"name": "k", "role": "agent"})).await.expect(201);
    let id = key["api_key"]["id"].as_str().unwrap();
    tenant.user.delete(&format!("/api_keys/{id}")).await.expect(200);
    let owner = connect(&server().owner).await;
    let error =
        owner.batch_execute(&format!("update api_keys set revoked_at = null where id = '{id}'")).await;
    assert!(error.unwrap_err().as_db_error().unwrap().message().contains("api_key_revocation_final"));
}

/// Deleting a tenant cascades cleanly, whatever it holds.
#[tokio::test]
async fn a_tenant_goes_with_all_it_has() {
    // Something of everything.
    let Populated { tenant, agent: a1, .. } = populated().await;
    let owner = connect(&server().owner).await;
    owner.batch_execute(&format!("delete from tenants where id = '{}'", tenant.id)).await.unwrap();
    a_moment().await;
    a1.get("/tenants/me").await.expect_error(401, "invalid_api_key");
}
