//! Thousands of requests that nobody meant: never a 5xx, always the envelope, and the server goes on.

mod requests;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::support::{Caller, Tenant, rounds, seed};
use world::world;

const REQUESTS: usize = 4_000;
const WORKERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_random_requests() {
    let (seed, requests) = (seed(), rounds(REQUESTS));
    let world = Arc::new(world().await);
    let workers = (0..WORKERS).map(|worker| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(worker as u64));
            let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
            for number in 0..requests.div_ceil(WORKERS) {
                let request = world.request(&mut rng);
                match world.send(&request).await {
                    Ok(status) => *seen.entry(status).or_default() += 1,
                    Err(fault) => {
                        panic!(
                            "LOOPCTL_TEST_SEED={seed}, worker {worker}, request {number}: {fault}\n{request}"
                        )
                    }
                }
            }
            seen
        })
    });
    let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
    for statuses in join_all(workers).await {
        for (status, count) in statuses.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        {
            *seen.entry(status).or_default() += count;
        }
    }
    // Random, but not so random that nothing gets past the door.
    for status in [200, 201, 400, 401, 403, 404, 409, 415, 422] {
        assert!(seen.contains_key(&status), "no {status} among {seen:?}, seed {seed}");
    }
    let passed: usize = seen.range(200..300).map(|(_, count)| count).sum();
    assert!(passed > requests / 20, "{seen:?}, seed {seed}");

    // And the server is as well as ever.
    let health = Caller::nobody().get("//health").await.expect(200);
    assert_eq!(health["status"], "ok");
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let ready = tenant.user.get(&format!("/stories/ready?project_id={project}")).await.expect(200);
    assert_eq!(ready["meta"]["total_count"], 1);
    tenant.keeps_count().await;
}
