//! `--against PROGRAM`: the same requests to this build and to another one, in turns and on the same machine: what a change has cost.

use std::path::{Path, PathBuf};

use crate::bench::{Bench, Load, tidy};
use crate::http::{Until, request};
use crate::note;
use crate::results::median;
use crate::service::Service;
use crate::tenants::Tenant;
use crate::transitions::{self, ACTIONS};

/// How often each request is measured, over so many connections each time; the median counts.
const ROUNDS: usize = 11;
const CONNECTIONS: [usize; 2] = [1, 16];

/// How long each build reads in a round, and how many stories take their steps.
const SPAN: std::time::Duration = std::time::Duration::from_secs(1);
const STEPS: usize = 800;
const OPEN: usize = 2_000;

/// The other build.
pub(crate) fn wanted() -> Option<PathBuf> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--against");
    arguments.next().map(|_| arguments.next().expect("--against PROGRAM").into())
}

/// One of the builds at work, and what it is asked.
struct Side {
    bench: Bench,
    tenants: [Tenant; 1],
    /// By name.
    reads: Vec<(&'static str, Vec<Vec<u8>>)>,
}

impl Side {
    async fn begin(service: Service) -> Self {
        let bench = Bench::new(service).await;
        let tenants = [Tenant::create(&bench.service, "compared").await];
        let [tenant] = &tenants;
        let project = tenant.plan("read", OPEN).await;
        let get = |path: &str| request("GET", path, &tenant.agent.key, "");
        let stories = tenant.user.stories(&project).await;
        let stories = stories.iter().map(|story| get(&format!("/stories/{story}"))).collect();
        let page = |path: &str| vec![get(&format!("{path}?project_id={project}&limit=100"))];
        let reads = vec![
            ("story by id", stories),
            ("list of 100 of 2,000", page("/stories")),
            ("ready, 100 of 2,000", page("/stories/ready")),
        ];
        Self { bench, tenants, reads }
    }

    /// Everything once, over so many connections: by name.
    async fn round(&self, number: usize, connections: usize) -> Vec<(&'static str, Load)> {
        let mut loads = Vec::new();
        for (name, requests) in &self.reads {
            loads.push((*name, self.bench.load(requests.clone(), connections, Until::Over(SPAN)).await));
        }
        let plans = transitions::plan(&self.tenants, &format!("steps-{connections}-{number}"), STEPS).await;
        for action in &ACTIONS {
            let load = transitions::step(&self.bench, &self.tenants, &plans, action, connections).await;
            loads.push((action.name, load));
        }
        loads
    }
}

/// What came of a request over so many connections: of the other build and of this one, round by round.
struct Case {
    name: &'static str,
    connections: usize,
    loads: Vec<[Load; 2]>,
}

impl Case {
    fn median(&self, of: impl Fn(&[Load; 2]) -> f64) -> f64 {
        median(self.loads.iter().map(of))
    }

    /// This build's over the other's, in the same round.
    fn ratio(&self, of: fn(&Load) -> f64) -> f64 {
        self.median(|[other, this]| of(this) / of(other))
    }
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &Path, other: &Path) {
    let other = Service::start_other(other, &scratch.join("other")).await;
    let sides = [Side::begin(other).await, Side::begin(Service::start(&scratch.join("this")).await).await];
    let mut cases: Vec<Case> = Vec::new();
    // What the first round has met, no later one meets for the first time.
    for number in 0..=ROUNDS {
        for connections in CONNECTIONS {
            note(&format!("round {number} of {ROUNDS}, {connections} connections"));
            // Each of them first in every other round.
            let (first, second) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
            let mut loads = [
                sides[first].round(number, connections).await,
                sides[second].round(number, connections).await,
            ];
            if number == 0 {
                // Both are planned for from the same, and nobody tidies up in one of them alone.
                for side in &sides {
                    tidy(&side.bench.service.owner().await).await;
                }
                continue;
            }
            if first == 1 {
                loads.reverse();
            }
            let [of_other, of_this] = loads;
            for ((name, other), (_, this)) in of_other.into_iter().zip(of_this) {
                let known =
                    cases.iter().position(|case| case.name == name && case.connections == connections);
                let at = known.unwrap_or_else(|| {
                    cases.push(Case { name, connections, loads: Vec::new() });
                    cases.len() - 1
                });
                cases[at].loads.push([other, this]);
            }
        }
    }
    println!(
        "| this build over the other one | connections | req/s | p50 | CPU of both | server, CPU ms before | now |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for case in &cases {
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
            case.name,
            case.connections,
            case.ratio(|load| load.rate),
            case.ratio(|load| load.median),
            case.ratio(|load| load.cost.server + load.cost.postgres),
            case.median(|[other, _]| other.cost.server),
            case.median(|[_, this]| this.cost.server),
        );
    }
}
