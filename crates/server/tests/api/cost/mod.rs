//! What work costs: usage reports, budgets, and what becomes of both.

mod analytics;
mod anomalies;
mod blocking;
mod bounds;
mod budgets;
mod claims;
mod corrections;
mod histories;
mod levels;
mod races;
mod reservations;
mod retention;
mod summaries;
mod telemetry;
mod usage;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::jobs::database;
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

/// A report as if it had been written at another time.
struct Dated<'a> {
    story: &'a str,
    agent: &'a str,
    at: &'a str,
    /// Input, output, cost.
    amounts: [i64; 3],
    model: &'a str,
    phase: &'a str,
    corrects: Option<&'a str>,
}

impl<'a> Dated<'a> {
    fn of(story: &'a str, agent: &'a str, at: &'a str, amounts: [i64; 3]) -> Self {
        Self { story, agent, at, amounts, model: "opus", phase: "implementing", corrects: None }
    }

    /// Its id.
    async fn write(&self, owner: &Client) -> String {
        let sql = "insert into token_usage_reports (tenant_id, id, story_id, agent_id, project_id, epic_id, input_tokens,
                       output_tokens, cost_millicents, model_name, phase, inserted_at, corrects_report_id)
                   select s.tenant_id, gen_random_uuid(), s.id, $2::text::uuid, s.project_id, s.epic_id, $3, $4, $5, $6, $7,
                          $8::text::timestamptz, $9::text::uuid
                   from stories s where s.id = $1::text::uuid returning id::text";
        let Self { story, agent, at, amounts: [input, output, cost], model, phase, corrects } = self;
        let row =
            owner.query_one(sql, &[story, agent, input, output, cost, model, phase, at, corrects]).await;
        row.unwrap().get(0)
    }
}

/// So many days before today, in UTC.
fn days_ago(days: u64) -> String {
    let today = chrono::Utc::now().date_naive();
    today.checked_sub_days(chrono::Days::new(days)).unwrap().to_string()
}

/// Noon of that day.
fn noon(days: u64) -> String {
    format!("{}T12:00:00Z", days_ago(days))
}

/// Runs a job of a tenant, to its end; its result.
async fn run(kind: &str, tenant: &Tenant, args: Value) -> Value {
    let args = args.as_object().unwrap().clone();
    let run = loopctl_server::operator::run_job(&database(), kind, Some(&tenant.id), &args).await.unwrap();
    assert_eq!((run.state.as_str(), run.error), ("completed", None), "{kind}");
    run.result.unwrap()
}

/// Runs a job of a tenant that cannot do what it is told; why.
async fn run_in_vain(kind: &str, tenant: &Tenant, args: Value) -> String {
    let args = args.as_object().unwrap().clone();
    let run = loopctl_server::operator::run_job(&database(), kind, Some(&tenant.id), &args).await.unwrap();
    assert_eq!(run.result, None, "{kind}");
    run.error.unwrap()
}

/// The summaries of a tenant, whole rows, in their order.
async fn summaries(owner: &Client, tenant: &Tenant) -> Vec<Value> {
    let sql = "select to_jsonb(s) from cost_summaries s where tenant_id = $1::text::uuid
               order by period_start, scope_type, scope_id";
    owner.query(sql, &[&tenant.id]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
