//! `--usage`: what a story's report costs that brings along what was used, over one that does not; with budgets and without.

use serde_json::json;

use crate::api::Api;
use crate::bench::{Bench, Load};
use crate::http::{Until, request};
use crate::note;
use crate::service::Service;
use crate::tenants::Tenant;
use crate::transitions::{self, ACTIONS};

/// Stories of a round, and how many rounds there are: the median counts.
const STORIES: usize = 1_600;
const ROUNDS: usize = 5;

/// Whether this is wanted.
pub(crate) fn is_wanted() -> bool {
    std::env::args().any(|argument| argument == "--usage")
}

/// Processor time of server and PostgreSQL for each request, in milliseconds.
fn cost(load: &Load) -> f64 {
    load.cost.server + load.cost.postgres
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &std::path::Path) {
    let bench = Bench::new(Service::start(scratch).await).await;
    let tenants = [Tenant::create(&bench.service, "reporting").await];
    let reviewer = reviewer(&bench.service, &tenants[0]).await;
    let usage =
        json!({"token_usage": {"input_tokens": 12_000, "output_tokens": 3_400, "model_name": "claude-opus-4",
                                       "cost_millicents": 43_500, "phase": "reviewing"}})
        .to_string();
    println!(
        "| report of a story, over | budgets | without usage, CPU ms | with usage, CPU ms | ratio of CPU | WAL, bytes without | WAL, bytes with |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for (connections, budgets) in [(1, false), (16, false), (1, true), (16, true)] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            note(&format!("reports over {connections} connections, round {}", round + 1));
            let slug = format!("reports-{connections}-{budgets}-{round}");
            let mut plan = transitions::plan(&tenants, &slug, STORIES).await;
            if budgets {
                limit(&tenants[0], &plan[0]).await;
            }
            for action in &ACTIONS {
                transitions::step(&bench, &tenants, &plan, action, 16).await;
            }
            let second = plan[0].split_off(STORIES / 2);
            let mut halves = [(&plan[0], "", &mut without), (&second, usage.as_str(), &mut with)];
            // Each of them first in every other round.
            if round % 2 == 1 {
                halves.reverse();
            }
            for (stories, body, loads) in halves {
                let report = |story: &String| {
                    request("POST", &format!("/stories/{story}/report"), &reviewer.key, body)
                };
                loads.push(bench.load(stories.iter().map(report).collect(), connections, Until::Done).await);
            }
        }
        let ratio = without.iter().zip(&with).map(|(without, with)| cost(with) / cost(without)).collect();
        let of = |loads: &[Load], what: fn(&Load) -> f64| median(loads.iter().map(what).collect());
        println!(
            "| {connections} connections | {} | {:.3} | {:.3} | {:.2} | {:.0} | {:.0} |",
            if budgets { "of story, project and agent" } else { "none" },
            of(&without, cost),
            of(&with, cost),
            median(ratio),
            of(&without, |load| load.cost.wal),
            of(&with, |load| load.cost.wal)
        );
    }
}

/// Another agent: nobody reports their own work.
async fn reviewer(service: &Service, tenant: &Tenant) -> Api {
    let answer = tenant.user.post("/api_keys", &json!({"name": "reviewer", "role": "agent"})).await;
    let reviewer = Api::new(service, answer["api_key"]["raw_key"].as_str().expect("a key").to_owned());
    reviewer.post("/agents/register", &json!({"name": "reviewer", "agent_type": "implementer"})).await;
    reviewer
}

/// Budgets that all of these stories count for, and that are far from used up.
async fn limit(tenant: &Tenant, stories: &[String]) {
    let shown = tenant.user.get(&format!("/stories/{}", stories[0])).await;
    let project = &shown["story"]["project_id"];
    for (scope, id) in [("per_story", project), ("project", project), ("per_agent", project)] {
        let body = json!({"scope_type": scope, "scope_id": id, "budget_millicents": 9_000_000_000_000_000_i64,
                          "enforcement": "block"});
        tenant.user.post("/token-budgets", &body).await;
    }
}
