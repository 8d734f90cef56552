//! What work costs: usage reports, budgets.

mod blocking;
mod budgets;
mod corrections;
mod levels;
mod races;
mod reservations;
mod telemetry;
mod usage;

use serde_json::{Value, json};

use crate::support::{Caller, Reach, Tenant, bring, text};

/// An id that nothing has.
const NOBODY: &str = "0190f5ad-0000-7000-8000-000000000000";

/// Usage as it is reported for a story.
fn used(story: &str, input: i64, output: i64, cost: i64) -> Value {
    let mut body = inline(input, output, cost);
    body["story_id"] = json!(story);
    body
}

/// Usage as it comes along with a story that is reported.
fn inline(input: i64, output: i64, cost: i64) -> Value {
    json!({"input_tokens": input, "output_tokens": output, "model_name": "opus", "cost_millicents": cost})
}

/// Money alone.
async fn spend(who: &Caller, story: &str, cost: i64) -> Value {
    who.post("/token-usage", used(story, 0, 0, cost)).await.expect(201)["token_usage_report"].clone()
}

/// A budget; its id.
async fn budget(who: &Caller, scope: &str, id: &str, rest: Value) -> String {
    let mut body = json!({"scope_type": scope, "scope_id": id});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    text(&who.post("/token-budgets", body).await.expect(201)["token_budget"]["id"])
}

/// Two agents, an orchestrator, and a story of a project.
struct Scene {
    tenant: Tenant,
    a: Caller,
    b: Caller,
    o: Caller,
    project: String,
    epic: String,
    story: String,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        let project = tenant.project_of(&["1.1", "1.2", "2.1"]).await;
        let story = tenant.story_id(&project, "1.1").await;
        let shown = tenant.user.get(&format!("/stories/{story}")).await.expect(200);
        let epic = text(&shown["story"]["epic_id"]);
        Self { tenant, a, b, o, project, epic, story }
    }

    async fn other(&self, number: &str) -> String {
        self.tenant.story_id(&self.project, number).await
    }

    async fn bring(&self, story: &str, reach: Reach) {
        bring(story, reach, &self.a, &self.b, &self.o).await;
    }

    /// What the log has of one kind, as the new state and the metadata.
    async fn told(&self, entity_type: &str, action: &str) -> Vec<(Value, Value)> {
        let log = self.tenant.audit_log().await;
        let rows = log.into_iter().filter(|row| row["entity_type"] == entity_type && row["action"] == action);
        rows.map(|row| (row["new_state"].clone(), row["metadata"].clone())).collect()
    }

    async fn status(&self, story: &str) -> String {
        text(&self.o.get(&format!("/stories/{story}")).await.expect(200)["story"]["agent_status"])
    }

    async fn usage(&self, story: &str) -> Value {
        self.a.get(&format!("/stories/{story}/token-usage")).await.expect(200)
    }
}
