//! The attacks of the benchmark `fairness`, small and short: what has to hold of them on any machine.

#![allow(dead_code, reason = "the benchmark prints a table of all of it")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "../benches/fairness/attacks/mod.rs"]
mod attacks;
#[path = "../benches/fairness/bodies.rs"]
mod bodies;
#[path = "../benches/fairness/health.rs"]
mod health;
#[path = "../benches/fairness/hostile.rs"]
mod hostile;
#[path = "../benches/fairness/outcome.rs"]
mod outcome;
#[path = "../benches/fairness/polite.rs"]
mod polite;
#[path = "../benches/support/mod.rs"]
mod support;
#[path = "../benches/fairness/trial.rs"]
mod trial;

use std::time::Duration;

use attacks::{Attack, Size};
use support::service::scratch_dir;
use trial::{Plan, Trials};

#[tokio::test]
async fn whatever_one_tenant_sends_others_are_answered() {
    let scratch = scratch_dir();
    let mut trials = Trials::begin(&scratch).await;
    let [alone, beside, settle, lead] = [1, 4, 0, 1].map(Duration::from_secs);
    let plan = Plan { alone, beside, settle, lead, polite: 1, hostile: 1, least_rate: None };
    let mut broken = Vec::new();
    for attack in Attack::ALL.into_iter().filter(|attack| *attack != Attack::Everything) {
        broken.extend(trials.run(attack, Size::Small, &plan).await.broken_anywhere());
    }
    drop(trials);
    std::fs::remove_dir_all(&scratch).unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
}
