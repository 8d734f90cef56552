//! Single requests against the floors: reads and the steps of a story, by one tenant and by several.

use crate::bench::{Bench, SPAN};
use crate::data;
use crate::floor::{Floor, Floors};
use crate::http::{Until, request};
use crate::note;
use crate::results::{Results, Round};
use crate::tenants::Tenant;
use crate::transitions::{self, ACTIONS, in_turn};

/// How many tenants the second half of the measurements has.
pub(crate) const TENANTS: usize = 16;
/// Over how many connections most is measured, and how often; the median counts.
pub(crate) const HEADLINE: usize = 16;
const ROUNDS: usize = 3;
/// And over how many besides, once.
pub(crate) const CONNECTIONS: [usize; 4] = [1, 4, HEADLINE, 64];

/// Open stories of all tenants of a group together.
const OPEN: usize = 2_000;
/// How many stories pgbench shows. Not more: it plans every script for itself.
const SAMPLE: usize = 8;

pub(crate) const STORY: &str = "story by id";
pub(crate) const LIST: &str = "list of 100 of 2,000";
pub(crate) const READY: &str = "ready, 100 of 2,000";

/// Tenants with what they plan and read.
struct Group {
    tenants: Vec<Tenant>,
    projects: Vec<String>,
    stories: Vec<Vec<String>>,
}

impl Group {
    async fn create(bench: &Bench, count: usize) -> Self {
        let tenants = Tenant::several(&bench.service, count).await;
        let (mut projects, mut stories) = (Vec::new(), Vec::new());
        for tenant in &tenants {
            let project = tenant.plan("read", OPEN / count).await;
            stories.push(tenant.user.stories(&project).await);
            projects.push(project);
        }
        Self { tenants, projects, stories }
    }

    fn show(&self) -> Vec<Vec<u8>> {
        let each = self.tenants.iter().zip(&self.stories).map(|(tenant, stories)| {
            stories
                .iter()
                .map(|id| request("GET", &format!("/stories/{id}"), &tenant.agent.key, ""))
                .collect()
        });
        in_turn(each.collect())
    }

    fn of_project(&self, path: &str) -> Vec<Vec<u8>> {
        let path = format!("{path}?project_id={}&limit=100", self.projects[0]);
        vec![request("GET", &path, &self.tenants[0].agent.key, "")]
    }
}

pub(crate) async fn measure(bench: &Bench) -> Results {
    note("tenants and their plans");
    let floors = Floors::create(bench).await;
    let groups = [Group::create(bench, 1).await, Group::create(bench, TENANTS).await];
    let owner = bench.service.owner().await;
    data::prepare_claims(&owner, &groups[0].tenants[0]).await;
    // Every connection of the server has met every statement, and nobody tidies up while it is measured.
    steps(bench, &floors, &groups, (HEADLINE, "warm-up"), &mut Results::default()).await;
    for sql in ["vacuum analyze", "checkpoint"] {
        owner.batch_execute(sql).await.expect(sql);
    }

    let mut results = Results::default();
    for round in 1..=ROUNDS {
        note(&format!("{HEADLINE} connections, round {round} of {ROUNDS}: reads"));
        reads(bench, &floors, &groups, HEADLINE, &mut results).await;
        note(&format!("{HEADLINE} connections, round {round} of {ROUNDS}: steps of a story"));
        steps(bench, &floors, &groups, (HEADLINE, &round.to_string()), &mut results).await;
    }
    for connections in CONNECTIONS.into_iter().filter(|connections| *connections != HEADLINE) {
        note(&format!("{connections} connections"));
        reads(bench, &floors, &groups, connections, &mut results).await;
        steps(bench, &floors, &groups, (connections, "once"), &mut results).await;
    }
    results
}

/// Stories by id; and what one tenant reads besides, and the same statements, where most is measured.
async fn reads(bench: &Bench, floors: &Floors, groups: &[Group], connections: usize, results: &mut Results) {
    let floor = floors.run(bench, Floor::Read, connections).await;
    let floor = results.floor(Floor::Read, connections, floor);
    let [one, ..] = groups else { return };
    let tenant = &one.tenants[0];
    let samples = one.stories[0].iter().step_by(OPEN / SAMPLE);
    let mut loads =
        vec![(STORY, 1, one.show(), samples.map(|story| data::story_script(tenant, story)).collect())];
    for group in &groups[1..] {
        loads.push((STORY, group.tenants.len(), group.show(), Vec::new()));
    }
    if connections == HEADLINE {
        loads.push((LIST, 1, one.of_project("/stories"), vec![data::list_script(tenant, &one.projects[0])]));
        loads.push((
            READY,
            1,
            one.of_project("/stories/ready"),
            vec![data::ready_script(tenant, &one.projects[0])],
        ));
    }
    for (what, tenants, requests, scripts) in loads {
        let load = bench.load(requests, connections, Until::Over(SPAN)).await;
        let same = same(bench, &scripts, connections).await;
        results.add(what, tenants, connections, Round { floor, same, load });
    }
}

/// New stories, taken from contract to review. Fewer over few connections, which take longer.
async fn steps(
    bench: &Bench,
    floors: &Floors,
    groups: &[Group],
    (connections, slug): (usize, &str),
    results: &mut Results,
) {
    let stories = (connections * 160).clamp(320, 1_600);
    for group in groups {
        let slug = format!("steps-{connections}-{slug}");
        let plans = transitions::plan(&group.tenants, &slug, stories).await;
        let floor = floors.run(bench, Floor::Write, connections).await;
        let floor = results.floor(Floor::Write, connections, floor);
        for action in &ACTIONS {
            let load = transitions::step(bench, &group.tenants, &plans, action, connections).await;
            let scripts = match group.tenants.as_slice() {
                [tenant] if action.name == "claim" => vec![data::claim_script(tenant)],
                _ => Vec::new(),
            };
            let same = same(bench, &scripts, connections).await;
            results.add(action.name, group.tenants.len(), connections, Round { floor, same, load });
        }
    }
}

/// Transactions per second of these scripts, where there are any and most is measured.
async fn same(bench: &Bench, scripts: &[String], connections: usize) -> Option<f64> {
    if scripts.is_empty() || connections != HEADLINE {
        return None;
    }
    Some(bench.pgbench("loopctl", "loopctl_app", &[], scripts, connections).await.rate)
}
