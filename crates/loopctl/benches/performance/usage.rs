//! `--usage`: what a story's report costs that brings along what was used, over one that does not; with budgets and without.

use serde_json::json;

use crate::api::Api;
use crate::bench::{Bench, Load};
use crate::http::{Until, request};
use crate::note;
use crate::results::median;
use crate::service::Service;
use crate::tenants::Tenant;
use crate::transitions::{self, ACTIONS};

/// The median of so many rounds counts.
const ROUNDS: usize = 5;

/// Over how many connections reports come, of how many stories in a round, and whether there are budgets.
const CASES: [(usize, usize, bool); 4] =
    [(1, 1_600, false), (16, 4_000, false), (1, 1_600, true), (16, 4_000, true)];

/// Whether this is wanted.
pub(crate) fn is_wanted() -> bool {
    std::env::args().any(|argument| argument == "--usage")
}

/// What the reports of a case have cost, round by round.
#[derive(Default)]
struct Loads {
    without: Vec<Load>,
    with: Vec<Load>,
}

impl Loads {
    /// How often as much of something reports with usage take as those without.
    fn ratio(&self, of: fn(&Load) -> f64) -> f64 {
        median(self.without.iter().zip(&self.with).map(|(without, with)| of(with) / of(without)))
    }
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &std::path::Path) {
    let bench = Bench::new(Service::start(scratch).await).await;
    let tenants = [Tenant::create(&bench.service, "reporting").await];
    let reviewer = reviewer(&bench.service, &tenants[0]).await;
    let usage = body();
    let mut cases: [Loads; CASES.len()] = Default::default();
    // Each case in each round: what grows in the meantime grows for all of them.
    for round in 0..ROUNDS {
        for ((connections, stories, budgets), loads) in CASES.into_iter().zip(&mut cases) {
            note(&format!("round {}: reports over {connections} connections, budgets: {budgets}", round + 1));
            let slug = format!("reports-{connections}-{budgets}-{round}");
            let mut plan = transitions::plan(&tenants, &slug, stories).await;
            if budgets {
                limit(&tenants[0], &plan[0]).await;
            }
            for action in &ACTIONS {
                transitions::step(&bench, &tenants, &plan, action, 16).await;
            }
            let second = plan[0].split_off(stories / 2);
            let mut halves = [(&plan[0], "", &mut loads.without), (&second, usage.as_str(), &mut loads.with)];
            // Each of them first in every other round.
            if round % 2 == 1 {
                halves.reverse();
            }
            for (stories, body, loads) in halves {
                loads.push(bench.load(reports(&reviewer, stories, body), connections, Until::Done).await);
            }
        }
    }
    println!(
        "| report of a story, over | budgets | without usage: server + PostgreSQL, CPU ms | with usage | ratio | WAL, bytes without | with |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for ((connections, _, budgets), loads) in CASES.into_iter().zip(&cases) {
        let of = |loads: &[Load], what: fn(&Load) -> f64| median(loads.iter().map(what));
        let cost = |loads| {
            let (server, postgres) =
                (of(loads, |load| load.cost.server), of(loads, |load| load.cost.postgres));
            format!("{server:.2} + {postgres:.2}")
        };
        println!(
            "| {connections} connections | {} | {} | {} | {:.2} | {:.0} | {:.0} |",
            if budgets { "of story, project and agent" } else { "none" },
            cost(&loads.without),
            cost(&loads.with),
            loads.ratio(|load| load.cost.server + load.cost.postgres),
            of(&loads.without, |load| load.cost.wal),
            of(&loads.with, |load| load.cost.wal)
        );
    }
}

/// What a report brings along.
pub(crate) fn body() -> String {
    json!({"token_usage": {"input_tokens": 12_000, "output_tokens": 3_400, "model_name": "claude-opus-4",
                           "cost_millicents": 43_500, "phase": "reviewing"}})
    .to_string()
}

/// One report on each of these stories.
pub(crate) fn reports(reviewer: &Api, stories: &[String], body: &str) -> Vec<Vec<u8>> {
    let report = |story| request("POST", &format!("/stories/{story}/report"), &reviewer.key, body);
    stories.iter().map(report).collect()
}

/// Another agent: nobody reports their own work.
pub(crate) async fn reviewer(service: &Service, tenant: &Tenant) -> Api {
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
