//! How the ready queue grows with its project.

use crate::bench::{Bench, Load, SPAN};
use crate::data::{self, Rest};
use crate::http::{Until, request};
use crate::note;
use crate::tenants::Tenant;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// A page of 100, over one connection.
pub(crate) struct Ready {
    pub(crate) rest: Rest,
    pub(crate) size: usize,
    /// Transactions per second of the same statements.
    pub(crate) same: f64,
    pub(crate) load: Load,
}

pub(crate) async fn measure(bench: &Bench) -> Vec<Ready> {
    let owner = bench.service.owner().await;
    let tenant = Tenant::create(&bench.service, "growth").await;
    let mut projects = Vec::new();
    for rest in [Rest::Ready, Rest::Verified, Rest::Blocked] {
        for size in SIZES {
            note(&format!("a project of {size} stories, {}", rest.name()));
            let slug = format!("project-{}", projects.len());
            projects.push((rest, size, data::project(&owner, &tenant, &slug, size, rest).await));
        }
    }
    owner.batch_execute("vacuum analyze").await.expect("statistics");
    let mut measured = Vec::new();
    for (rest, size, project) in projects {
        note(&format!("ready, {size} stories, {}", rest.name()));
        let path = format!("/stories/ready?project_id={project}&limit=100");
        let requests = vec![request("GET", &path, &tenant.agent.key, "")];
        let load = bench.load(requests, 1, Until::Over(SPAN)).await;
        let script = data::ready_script(&tenant, &project);
        let same = bench.pgbench("loopctl", "loopctl_app", &[], &[script], 1).await.rate;
        measured.push(Ready { rest, size, same, load });
    }
    measured
}
