//! Skills, their versions, imports of many, and what came of them.

mod cost;
mod imports;
mod lives;
mod races;
mod refusals;
mod results;

use serde_json::{Value, json};

use crate::support::{Caller, Tenant, text};

/// An id that nothing has.
const NOBODY: &str = "0190f5ad-0000-7000-8000-000000000000";

/// A new skill of the whole tenant, with one version; its id.
async fn skill(user: &Caller, name: &str, prompt: &str) -> String {
    let body = json!({"name": name, "prompt_text": prompt});
    text(&user.post("/skills", body).await.expect(201)["skill"]["id"])
}

/// What the log tells since it had so many entries.
async fn told(tenant: &Tenant, since: usize) -> Vec<Value> {
    let log = tenant.audit_log().await.split_off(since);
    log.iter()
        .map(|row| json!([row["entity_type"], row["action"], row["old_state"], row["new_state"]]))
        .collect()
}
