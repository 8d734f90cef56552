//! UI test runs, on both families of paths.

mod access;
mod findings;
mod lists;
mod races;
mod walks;

use serde_json::{Value, json};

use crate::support::{Caller, Tenant, connect, server, text};

/// A project, and who walks through it.
struct Scene {
    tenant: Tenant,
    agent: Caller,
    orchestrator: Caller,
    project: String,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (agent, orchestrator) = (tenant.agent().await, tenant.orchestrator().await);
        let project = tenant.project().await;
        Self { tenant, agent, orchestrator, project }
    }

    /// A run started under `ui-tests`; its path there.
    async fn code_run(&self) -> String {
        let path = format!("/projects/{}/ui-tests", self.project);
        let started = self.agent.post(&path, json!({"guide_reference": "docs/guide.md"})).await.expect(201);
        format!("{path}/{}", text(&started["ui_test_run"]["id"]))
    }

    /// A run started under `ui_test_runs`; its path there.
    async fn seed_run(&self) -> String {
        let path = format!("/projects/{}/ui_test_runs", self.project);
        let started = self.orchestrator.post(&path, json!({"notes": "n"})).await.expect(201);
        format!("/ui_test_runs/{}", text(&started["data"]["id"]))
    }

    /// Everything that is stored of this tenant's runs.
    async fn stored(&self) -> Vec<Value> {
        let sql = "select to_jsonb(r) from ui_test_runs r where tenant_id = $1::text::uuid
                   union all select to_jsonb(f) from ui_test_findings f where tenant_id = $1::text::uuid";
        let rows = connect(&server().owner).await.query(sql, &[&self.tenant.id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The entries of the audit log about runs.
    async fn audited(&self) -> Vec<Value> {
        let mut log = self.tenant.audit_log().await;
        log.retain(|entry| entry["entity_type"] == "ui_test_run");
        log
    }
}

/// The id at the end of a run's path.
fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// The names of an object's members, sorted.
fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
