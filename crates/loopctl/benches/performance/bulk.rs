//! Requests that write many stories at once: import, bulk claims.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::data;
use crate::http::Until;
use crate::tenants::{PER_EPIC, Tenant, epic};
use crate::transitions::{self, CONTRACT};

/// Epics of an import.
const EPICS: usize = 50;
/// How often each is measured; the median counts.
pub(crate) const ROUNDS: usize = 3;
/// Stories of one bulk call.
const BATCH: usize = 50;

/// What the requests came to.
pub(crate) struct Bulk {
    /// 5,000 stories with 8,000 dependencies in one request.
    pub(crate) import: Duration,
    /// The same rows with plain SQL in one transaction: nothing is parsed, checked or told.
    pub(crate) import_floor: Duration,
    /// The ready queue of that project, at once, when PostgreSQL has not looked at it by itself.
    pub(crate) ready_at_once: Duration,
    /// The same when it has.
    pub(crate) ready_later: Duration,
    /// 50 stories claimed in one request.
    pub(crate) bulk_claim: Duration,
    /// 50 stories claimed one after the other.
    pub(crate) single_claims: Duration,
}

/// Measures them all.
pub(crate) async fn measure(bench: &Bench) -> Bulk {
    let owner = bench.service.owner().await;
    let tenant = Tenant::create(&bench.service, "bulk").await;
    let user = &tenant.user;

    let payload = payload();
    let (mut imports, mut floors) = (Vec::new(), Vec::new());
    let (mut at_once, mut later) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let project = user.project(&format!("import-{round}")).await;
        let began = Instant::now();
        let answer = user.post(&format!("/projects/{project}/import"), &payload).await;
        imports.push(began.elapsed());
        assert_eq!(answer["import"]["dependencies_created"], 8_000, "{answer}");
        let ready = format!("/stories/ready?project_id={project}");
        at_once.push(user.timed(&ready).await);
        owner.batch_execute("analyze").await.expect("statistics");
        later.push(user.timed(&ready).await);
        let began = Instant::now();
        data::plain_import(&owner, &tenant, &format!("floor-{round}")).await;
        floors.push(began.elapsed());
    }

    let project = tenant.plan("claims", ROUNDS * 2 * BATCH).await;
    let stories = user.stories(&project).await;
    let contracts = transitions::requests(&tenant, &stories, &CONTRACT);
    bench.load(contracts, 1, Until::Done).await;
    let (mut bulk, mut single) = (Vec::new(), Vec::new());
    for stories in stories.chunks_exact(2 * BATCH) {
        let (together, alone) = stories.split_at(BATCH);
        let began = Instant::now();
        let answer = tenant.agent.post("/stories/bulk/claim", &json!({"story_ids": together})).await;
        bulk.push(began.elapsed());
        let results = answer["results"].as_array().expect("results");
        assert!(results.iter().all(|result| result["status"] == "success"), "{answer}");
        let began = Instant::now();
        for story in alone {
            tenant.agent.post(&format!("/stories/{story}/claim"), &json!({})).await;
        }
        single.push(began.elapsed());
    }
    Bulk {
        import: median(imports),
        import_floor: median(floors),
        ready_at_once: median(at_once),
        ready_later: median(later),
        bulk_claim: median(bulk),
        single_claims: median(single),
    }
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// 5,000 stories in 50 epics with 8,000 dependencies: each story waits for the one before it and, mostly, for one of
/// the epic before.
fn payload() -> Value {
    let epics: Vec<Value> = (1..=EPICS).map(|number| epic(number, PER_EPIC)).collect();
    let mut edges = Vec::new();
    for epic in 1..=EPICS {
        for story in 2..=PER_EPIC {
            edges.push(
                json!({"story": format!("{epic}.{story}"), "depends_on": format!("{epic}.{}", story - 1)}),
            );
        }
    }
    for epic in 2..=EPICS {
        for story in 1..=PER_EPIC {
            if edges.len() < 8_000 {
                edges.push(json!({"story": format!("{epic}.{story}"), "depends_on": format!("{}.{story}", epic - 1)}));
            }
        }
    }
    json!({"epics": epics, "story_dependencies": edges})
}
