//! Steps that go together: what agents of one tenant ask for while a transaction of theirs is under way is done in the next one,
//! all at once. They would have to wait for each other in any case, for the tenant's place in the log; so they share what a
//! transaction costs, above all its way to the disk. Who asks alone waits for nobody.
//!
//! Nobody waits for a story that somebody else holds: such a step goes on by itself. And when a transaction fails, each of its
//! steps is tried by itself, so that nobody suffers from what another has sent.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scopeguard::ScopeGuard;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::transition::{Attempted, Held, Outcome, Wanted, attempt, by_itself};
use crate::app::App;
use crate::db::DbError;
use crate::http::ApiResult;

/// The most steps of one transaction: how long the last one waits for the others stays within milliseconds.
const MOST: usize = 32;

/// The steps that wait, by tenant. A tenant with a transaction under way has an entry, if an empty one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Together(Arc<Mutex<HashMap<Uuid, Vec<Waiting>>>>);

/// A step, and who waits for what becomes of it.
#[derive(Debug)]
struct Waiting {
    wanted: Wanted,
    answer: oneshot::Sender<ApiResult<Outcome>>,
}

/// Attempts a transition, together with others of its tenant.
///
/// # Errors
/// As by itself.
pub(super) async fn perform(wanted: Wanted) -> ApiResult<Outcome> {
    let (app, tenant_id) = (wanted.caller.app.clone(), wanted.caller.tenant_id);
    let (answer, answered) = oneshot::channel();
    if app.together.join(tenant_id, Waiting { wanted, answer }) {
        app.life.spawn(go(app.clone(), tenant_id));
    }
    // It is dropped without an answer only when the process ends, or by a defect.
    let lost = |_| Err(DbError::Uncertain(Box::new(DbError::Silent)).into());
    answered.await.unwrap_or_else(lost)
}

/// Does what waits, until nothing does.
async fn go(app: App, tenant_id: Uuid) {
    // Whatever happens here, the tenant's next step must find somebody.
    let until_done = scopeguard::guard((), |()| app.together.forget(tenant_id));
    while let Some(next) = app.together.next(tenant_id) {
        all(&app, next).await;
    }
    ScopeGuard::into_inner(until_done);
}

async fn all(app: &App, waiting: Vec<Waiting>) {
    let wanted: Vec<&Wanted> = waiting.iter().map(|waiting| &waiting.wanted).collect();
    let attempted: Vec<Attempted> = match attempt(&wanted, Held::AreLeft).await {
        Ok(attempted) => attempted,
        // It will not be otherwise for each of them; or nobody knows what has become of them.
        Err(error) if error.is_unavailable() => wanted.iter().map(|_| Some(Err(error.clone()))).collect(),
        Err(_) => wanted.iter().map(|_| None).collect(),
    };
    for (Waiting { wanted, answer }, attempted) in waiting.into_iter().zip(attempted) {
        match attempted {
            // Nobody is there any more if it cannot be sent.
            Some(result) => drop(answer.send(result)),
            None => app.life.spawn(async move { drop(answer.send(by_itself(&wanted).await)) }),
        }
    }
}

impl Together {
    /// Whether nobody was there: then whoever joins has to see to it that there is somebody.
    fn join(&self, tenant_id: Uuid, waiting: Waiting) -> bool {
        let mut tenants = self.tenants();
        let is_first = !tenants.contains_key(&tenant_id);
        tenants.entry(tenant_id).or_default().push(waiting);
        is_first
    }

    /// The next steps, in the order in which they came: of each story one at most, and none that nobody waits for any more.
    /// None when there are no more, and then somebody else has to see to those to come.
    fn next(&self, tenant_id: Uuid) -> Option<Vec<Waiting>> {
        let mut tenants = self.tenants();
        let all = tenants.get_mut(&tenant_id)?;
        let (mut next, mut later, mut stories) = (Vec::new(), Vec::new(), HashSet::new());
        for waiting in all.drain(..).filter(|waiting| !waiting.answer.is_closed()) {
            if next.len() < MOST && stories.insert(waiting.wanted.story_id) {
                next.push(waiting);
            } else {
                later.push(waiting);
            }
        }
        *all = later;
        if next.is_empty() {
            tenants.remove(&tenant_id);
            return None;
        }
        Some(next)
    }

    fn forget(&self, tenant_id: Uuid) {
        self.tenants().remove(&tenant_id);
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
