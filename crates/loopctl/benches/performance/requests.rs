//! Single requests against the floors: reads and the steps of a story, by one tenant and by several.

use crate::bench::{Bench, SPAN, tidy};
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
/// Over these it is measured at all.
pub(crate) const CONNECTIONS: [usize; 4] = [1, 4, HEADLINE, 64];

/// Open stories of all tenants of a group together.
const OPEN: usize = 2_000;
/// Stories that take their steps in a round, of all tenants of a group together, and before the first round.
const STEPS: usize = 1_280;
const WARM_UP: usize = 320;
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
    let (one, several) = (Group::create(bench, 1).await, Group::create(bench, TENANTS).await);
    let owner = bench.service.owner().await;
    data::prepare_claims(&owner, &one.tenants[0]).await;
    let mut run = Run { bench, floors, one, several, batches: 0, results: Results::default() };
    // What is measured has met every statement before, on each connection of the server, and nobody tidies up beside it.
    run.steps(HEADLINE, WARM_UP).await;
    run.results = Results::default();
    tidy(&owner).await;
    for round in 1..=ROUNDS {
        note(&format!("{HEADLINE} connections, round {round} of {ROUNDS}: reads"));
        run.reads(HEADLINE).await;
        note(&format!("{HEADLINE} connections, round {round} of {ROUNDS}: steps of a story"));
        run.steps(HEADLINE, STEPS).await;
    }
    for (connections, stories) in [(1, STEPS / 4), (4, STEPS / 2), (64, STEPS)] {
        note(&format!("{connections} connections: reads, steps of a story"));
        run.reads(connections).await;
        run.steps(connections, stories).await;
    }
    run.results
}

struct Run<'a> {
    bench: &'a Bench,
    floors: Floors,
    one: Group,
    several: Group,
    /// How often stories were planned for their steps.
    batches: usize,
    results: Results,
}

impl Run<'_> {
    /// Stories by id; and where most is measured, what one tenant reads besides.
    async fn reads(&mut self, connections: usize) {
        let floor = self.floors.run(self.bench, Floor::Read, connections).await;
        let floor = self.results.floor(Floor::Read, connections, floor);
        let (one, tenant) = (&self.one, &self.one.tenants[0]);
        let sample = one.stories[0].iter().step_by(OPEN / SAMPLE);
        let sample = sample.map(|story| data::story_script(tenant, story)).collect();
        let mut loads =
            vec![(STORY, 1, one.show(), sample), (STORY, TENANTS, self.several.show(), Vec::new())];
        if connections == HEADLINE {
            let project = &one.projects[0];
            loads.push((LIST, 1, one.of_project("/stories"), vec![data::list_script(tenant, project)]));
            loads.push((
                READY,
                1,
                one.of_project("/stories/ready"),
                vec![data::ready_script(tenant, project)],
            ));
        }
        for (what, tenants, requests, scripts) in loads {
            let load = self.bench.load(requests, connections, Until::Over(SPAN)).await;
            let same = self.same(&scripts, connections).await;
            self.results.add(what, tenants, connections, Round { floor, same, load });
        }
    }

    /// So many new stories, taken from contract to review.
    async fn steps(&mut self, connections: usize, stories: usize) {
        self.batches += 1;
        let slug = format!("steps-{}", self.batches);
        for group in [&self.one, &self.several] {
            let (tenants, count) = (&group.tenants, group.tenants.len());
            let plans = transitions::plan(tenants, &slug, stories).await;
            let floor = self.floors.run(self.bench, Floor::Write, connections).await;
            let floor = self.results.floor(Floor::Write, connections, floor);
            for action in &ACTIONS {
                let load = transitions::step(self.bench, tenants, &plans, action, connections).await;
                let claims = (action.name == "claim" && count == 1).then(|| data::claim_script(&tenants[0]));
                let same = self.same(claims.as_slice(), connections).await;
                self.results.add(action.name, count, connections, Round { floor, same, load });
            }
        }
    }

    /// Transactions per second of these scripts, where there are any and most is measured.
    async fn same(&self, scripts: &[String], connections: usize) -> Option<f64> {
        if scripts.is_empty() || connections != HEADLINE {
            return None;
        }
        Some(self.bench.pgbench("loopctl", "loopctl_app", &[], scripts, connections).await.rate)
    }
}
