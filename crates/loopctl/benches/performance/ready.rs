//! How the ready queue grows with its project.

use crate::bench::{Bench, Load, SPAN};
use crate::data::{self, Rest};
use crate::http::{Until, request};
use crate::note;
use crate::tenants::Tenant;

/// The projects, the largest last.
const PROJECTS: [(Rest, usize); 8] = [
    (Rest::Ready, 1_000),
    (Rest::Ready, 10_000),
    (Rest::Ready, 100_000),
    (Rest::Verified, 1_000),
    (Rest::Verified, 100_000),
    (Rest::Blocked, 1_000),
    (Rest::Blocked, 10_000),
    (Rest::Blocked, 100_000),
];

/// What was measured, and who has the projects.
pub(crate) struct Growth {
    pub(crate) ready: Vec<Ready>,
    pub(crate) tenant: Tenant,
    /// A project of 100,000 stories and about as many dependencies.
    pub(crate) largest: String,
}

/// A page of 100, over one connection.
pub(crate) struct Ready {
    pub(crate) rest: Rest,
    pub(crate) size: usize,
    /// Transactions per second of the same statements.
    pub(crate) same: f64,
    pub(crate) load: Load,
}

pub(crate) async fn measure(bench: &Bench) -> Growth {
    let owner = bench.service.owner().await;
    let tenant = Tenant::create(&bench.service, "growth").await;
    let mut projects = Vec::new();
    for (rest, size) in PROJECTS {
        note(&format!("a project of {size} stories, {}", rest.name()));
        let slug = format!("project-{}", projects.len());
        projects.push(data::project(&owner, &tenant, &slug, size, rest).await);
    }
    owner.batch_execute("vacuum analyze").await.expect("statistics");
    let mut ready = Vec::new();
    for ((rest, size), project) in PROJECTS.into_iter().zip(&projects) {
        note(&format!("ready, {size} stories, {}", rest.name()));
        let path = format!("/stories/ready?project_id={project}&limit=100");
        let requests = vec![request("GET", &path, &tenant.agent.key, "")];
        let load = bench.load(requests, 1, Until::Over(SPAN)).await;
        let script = data::ready_script(&tenant, project);
        let same = bench.pgbench("loopctl", "loopctl_app", &[], &[script], 1).await.rate;
        ready.push(Ready { rest, size, same, load });
    }
    Growth { ready, tenant, largest: projects.swap_remove(projects.len() - 1) }
}
