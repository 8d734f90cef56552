//! `--analytics [REPORTS]`: how long each route of analytics takes over a year of usage.

use std::time::Duration;

use crate::api::Api;
use crate::bench::{Bench, tidy};
use crate::data;
use crate::http::{Until, load, request};
use crate::note;
use crate::service::Service;
use crate::tenants::Tenant;

/// Reports of the year if nothing else is said.
const REPORTS: usize = 1_000_000;
/// For how long each route is asked, over one connection.
const SPAN: Duration = Duration::from_secs(3);

/// The number after `--analytics`, if that is given.
pub(crate) fn wanted() -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--analytics");
    arguments.next()?;
    Some(arguments.next().and_then(|count| count.parse().ok()).unwrap_or(REPORTS))
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &std::path::Path, reports: usize) {
    let service = Service::start(scratch).await;
    let bench = Bench::new(service).await;
    let owner = bench.service.owner().await;
    let tenant = Tenant::create(&bench.service, "a-year").await;
    note(&format!("a year of {reports} reports"));
    let year = data::year_of_usage(&owner, &tenant, reports).await;
    tidy(&owner).await;
    println!("{} stories, {} sums of days\n", year.stories, year.sums);
    println!("| route | p50, ms | p99, ms |\n|---|---:|---:|");
    let (project, agent) = (&year.project, &year.agent);
    for path in [
        "/analytics/agents".to_owned(),
        format!("/analytics/agents?project_id={project}"),
        "/analytics/agents?since=2025-03-01&until=2025-03-31".to_owned(),
        "/analytics/agents?since=2025-01-15".to_owned(),
        "/analytics/epics".to_owned(),
        "/analytics/epics?page_size=100".to_owned(),
        format!("/analytics/projects/{project}"),
        "/analytics/models".to_owned(),
        format!("/analytics/models?project_id={project}"),
        "/analytics/models?since=2025-01-15".to_owned(),
        "/analytics/trends".to_owned(),
        "/analytics/trends?granularity=weekly&page_size=100".to_owned(),
        "/analytics/model-mix".to_owned(),
        format!("/analytics/model-mix?agent_id={agent}"),
        format!("/analytics/agents/{agent}/model-profile"),
        format!("/projects/{project}/progress?include_cost=true"),
        format!("/stories?project_id={project}&include_token_totals=true"),
    ] {
        let asked = vec![request("GET", &path, key(&tenant.user), "")];
        let times = load(&bench.service.address, asked, 1, Until::Over(SPAN)).await;
        let shown = path.replace(project, "P").replace(agent, "A");
        println!("| `{shown}` | {:.0} | {:.0} |", times.median, times.tail);
    }
}

fn key(user: &Api) -> &str {
    &user.key
}
