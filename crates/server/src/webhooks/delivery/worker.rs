//! Who gets a place: the worker takes webhooks that have something due, and gives each a turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::sender::Sender;
use super::store::{CLAIM_WEBHOOKS, Claim};
use super::turn::{Office, Turn};
use super::{DeliveryOptions, LEASE};
use crate::app::App;
use crate::db::DbError;
use crate::life::Life;
use crate::reach::System;

/// How often it is looked for something due: when something waits, and otherwise. Other servers may have put it there.
const SOON: f64 = 1.0;
const IDLE: f64 = 5.0;
/// What is put into the queue here is looked for at once, but not for every event by itself.
const TOGETHER: Duration = Duration::from_millis(10);
/// How long receivers may take when the process ends: less than everything else has, so that what they have not answered by then can be
/// given back. It is delivered again, by others or later.
const GRACE: Duration = Duration::from_secs(3);

/// A place that is taken.
struct Taken {
    tenant_id: Uuid,
    struggling: bool,
}

/// The turns that are under way.
#[derive(Default)]
struct Turns {
    tasks: JoinSet<()>,
    taken: HashMap<Id, Taken>,
}

impl Turns {
    fn begin(&mut self, turn: Turn, taken: Taken, life: &Life) {
        // Whatever ends it, its lease is given back before the process ends.
        let task = self.tasks.spawn(life.track(turn.run()));
        self.taken.insert(task.id(), taken);
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a delivery panicked");
                }
                error.id()
            }
        };
        self.taken.remove(&id);
    }

    fn tenants(&self, which: impl Fn(&Taken) -> bool) -> Vec<Uuid> {
        self.taken.values().filter(|taken| which(taken)).map(|taken| taken.tenant_id).collect()
    }
}

/// Delivers for as long as the process lives. At its end nothing more is begun, and what is under way is brought to its end, if that is
/// soon.
pub(crate) async fn keep_delivering(app: App, options: DeliveryOptions) {
    let sender = Sender::new(app.webhook_policy.clone(), Arc::new(System));
    let office = Arc::new(Office { app: app.clone(), sender, options });
    let mut turns = Turns::default();
    while !app.life.is_ending() {
        let has_place = turns.taken.len() < office.options.concurrency;
        let pause = if has_place { claim(&office, &mut turns).await } else { Duration::from_secs(60) };
        let queued = async {
            app.webhooks_queued.notified().await;
            sleep(TOGETHER).await;
        };
        tokio::select! {
            () = app.life.ending() => break,
            Some(ended) = turns.tasks.join_next_with_id() => turns.ended(ended),
            () = queued, if has_place => {}
            () = sleep(pause) => {}
        }
        while let Some(ended) = turns.tasks.try_join_next_with_id() {
            turns.ended(ended);
        }
    }
    let under_way = async {
        while let Some(ended) = turns.tasks.join_next_with_id().await {
            turns.ended(ended);
        }
    };
    // Dropped, turns give back their leases.
    let _ = timeout(GRACE, under_way).await;
}

/// Takes what there is place for, and says when to look again.
async fn claim(office: &Arc<Office>, turns: &mut Turns) -> Duration {
    let (lease, asked) = (Uuid::now_v7(), Instant::now());
    let claim = match claimed(office, turns, lease).await {
        Ok(claim) => claim,
        Err(error) => {
            tracing::warn!(%error, "webhooks to be delivered to could not be looked for");
            return Duration::from_secs_f64(SOON);
        }
    };
    let webhooks = claim.tenant_ids.into_iter().zip(claim.webhook_ids).zip(claim.struggling);
    for ((tenant_id, webhook_id), struggling) in webhooks {
        let turn = Turn::new(Arc::clone(office), (tenant_id, webhook_id), lease, asked);
        turns.begin(turn, Taken { tenant_id, struggling }, &office.app.life);
    }
    Duration::from_secs_f64(claim.next_in.unwrap_or(IDLE).clamp(SOON, IDLE))
}

async fn claimed(office: &Office, turns: &Turns, lease: Uuid) -> Result<Claim, DbError> {
    let places = i32::try_from(office.options.concurrency).unwrap_or(i32::MAX);
    let (busy, struggling) = (turns.tenants(|_| true), turns.tenants(|taken| taken.struggling));
    let params = &[&lease as _, &LEASE.as_secs_f64() as _, &places as _, &busy as _, &struggling as _];
    let claim = office.app.db.without_tenant(CLAIM_WEBHOOKS, params).await?;
    claim.ok_or_else(|| DbError::Unexpected("a statement that always yields a row yielded none".to_owned()))
}
