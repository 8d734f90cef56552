//! Steps that go together: what agents of one tenant ask for while a transaction of theirs is under way is done in the next one,
//! all at once. They would have to wait for each other in any case, for the tenant's place in the log; so they share what a
//! transaction costs, above all its way to the disk. Who asks alone waits for nobody.
//!
//! Nobody waits for a story that somebody else holds: such a step goes on by itself. And when the database refuses a transaction,
//! each of its steps is tried by itself, so that nobody suffers from what another has sent. Whoever hangs up before their step was
//! begun takes it back; one that was begun with others is done.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scopeguard::ScopeGuard;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

use super::transition::{NOTHING, Outcome, Wanted, attempt_free, by_itself};
use crate::app::App;
use crate::db::{DbError, LOCK_PATIENCE};
use crate::http::{ApiError, ApiResult};

/// The most steps of one transaction: how long the last one waits for the others stays within milliseconds.
const MOST: usize = 32;

/// The steps that wait, by tenant. A tenant with a transaction under way has an entry, if an empty one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Together(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    tenants: HashMap<Uuid, Vec<Waiting>>,
    /// How many steps have ever come: a number for the next one.
    count: u64,
}

/// A step, and who waits for what becomes of it.
#[derive(Debug)]
struct Waiting {
    number: u64,
    wanted: Wanted,
    answer: oneshot::Sender<ApiResult<Outcome>>,
    /// Of its request.
    span: Span,
}

/// A step's place among those that wait, which it leaves when this is dropped.
struct Place<'a> {
    together: &'a Together,
    tenant_id: Uuid,
    number: u64,
}

/// Attempts a transition, together with others of its tenant.
///
/// # Errors
/// As by itself, or when it cannot be begun for too long, or any more.
pub(super) async fn perform(wanted: Wanted) -> ApiResult<Outcome> {
    let (app, tenant_id) = (wanted.caller.app.clone(), wanted.caller.tenant_id);
    let (answer, mut answered) = oneshot::channel();
    let (place, is_first) = app.together.join(wanted, answer);
    if is_first {
        let forget = move |app: App| app.together.forget(tenant_id);
        let until_done = scopeguard::guard(app.clone(), forget);
        app.life.spawn(go(until_done, tenant_id).instrument(info_span!(parent: None, "steps", %tenant_id)));
    }
    let answer = match app.life.wait(timeout(LOCK_PATIENCE, &mut answered)).await {
        Some(Ok(answer)) => answer,
        None if place.leave() => return Err(ApiError::stopping()),
        Some(Err(_)) if place.leave() => return Err(not_begun("other steps of the tenant take too long")),
        None | Some(Err(_)) => answered.await,
    };
    // It was begun, and ended with the process, or by a defect.
    answer.unwrap_or_else(|_| {
        let given_up = DbError::Unexpected("a step was given up".to_owned());
        Err(DbError::Uncertain(Box::new(given_up)).into())
    })
}

fn not_begun(why: &str) -> ApiError {
    DbError::Pool(why.to_owned()).into()
}

/// Does what waits, until nothing does. Whatever happens here, the tenant's next step must find somebody: see `forget`.
async fn go(app: ScopeGuard<App, impl FnOnce(App)>, tenant_id: Uuid) {
    while let Some(next) = app.together.next(tenant_id) {
        all(&app, next).await;
    }
    ScopeGuard::into_inner(app);
}

async fn all(app: &App, waiting: Vec<Waiting>) {
    let wanted: Vec<&Wanted> = waiting.iter().map(|waiting| &waiting.wanted).collect();
    let attempted = match attempt_free(&wanted).await {
        Ok(attempted) => attempted,
        // It will not be otherwise for each of them; or nobody knows what has become of them.
        Err(error) if error.is_unavailable() => wanted.iter().map(|_| Some(Err(error.clone()))).collect(),
        Err(_) => wanted.iter().map(|_| None).collect(),
    };
    for (Waiting { wanted, mut answer, span, .. }, attempted) in waiting.into_iter().zip(attempted) {
        match attempted {
            // Nobody is there any more if it cannot be sent.
            Some(result) => drop(answer.send(result)),
            None => {
                let alone = async move {
                    tokio::select! {
                        result = by_itself(&wanted, NOTHING) => drop(answer.send(result)),
                        // Whoever hangs up takes it back.
                        () = answer.closed() => {}
                    }
                };
                app.life.spawn(alone.instrument(span));
            }
        }
    }
}

impl Together {
    /// Takes a place at the end. Whether nobody was there: then whoever joins has to see to it that somebody goes.
    fn join(&self, wanted: Wanted, answer: oneshot::Sender<ApiResult<Outcome>>) -> (Place<'_>, bool) {
        let tenant_id = wanted.caller.tenant_id;
        let mut lines = self.lines();
        lines.count += 1;
        let number = lines.count;
        let is_first = !lines.tenants.contains_key(&tenant_id);
        let waiting = Waiting { number, wanted, answer, span: Span::current() };
        lines.tenants.entry(tenant_id).or_default().push(waiting);
        (Place { together: self, tenant_id, number }, is_first)
    }

    /// The next steps, in the order in which they came: of each story one at most. None when there are no more, and then somebody
    /// else has to see to those to come.
    fn next(&self, tenant_id: Uuid) -> Option<Vec<Waiting>> {
        let mut lines = self.lines();
        let all = lines.tenants.get_mut(&tenant_id)?;
        let (mut next, mut later, mut stories) = (Vec::new(), Vec::new(), HashSet::new());
        for waiting in all.drain(..) {
            if next.len() < MOST && stories.insert(waiting.wanted.story_id) {
                next.push(waiting);
            } else {
                later.push(waiting);
            }
        }
        *all = later;
        if next.is_empty() {
            lines.tenants.remove(&tenant_id);
            return None;
        }
        Some(next)
    }

    /// Nobody sees to this tenant's steps any more: those that still wait are told so, and the next one finds the place empty.
    fn forget(&self, tenant_id: Uuid) {
        let waiting = self.lines().tenants.remove(&tenant_id);
        for Waiting { answer, .. } in waiting.into_iter().flatten() {
            drop(answer.send(Err(ApiError::stopping())));
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Leaves, if the step is not begun yet. Whether it was so.
    fn leave(&self) -> bool {
        let mut lines = self.together.lines();
        let Some(all) = lines.tenants.get_mut(&self.tenant_id) else { return false };
        let before = all.len();
        all.retain(|waiting| waiting.number != self.number);
        all.len() < before
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use loopctl_core::lifecycle::Attempt;

    use super::super::evidence::Evidence;
    use super::*;
    use crate::app::Identity;

    type Answered = oneshot::Receiver<ApiResult<Outcome>>;

    const TENANT: Uuid = Uuid::from_u128(1);

    fn caller() -> Identity {
        Identity::of_agent(App::without_database(), TENANT, Uuid::from_u128(3))
    }

    fn join<'a>(together: &'a Together, caller: &Identity, story: u128) -> (Place<'a>, bool, Answered) {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted::of(caller, Uuid::from_u128(story), Attempt::Claim, Evidence::None);
        let (place, is_first) = together.join(wanted, answer);
        (place, is_first, answered)
    }

    fn stories(next: Option<Vec<Waiting>>) -> Option<Vec<u128>> {
        Some(next?.iter().map(|waiting| waiting.wanted.story_id.as_u128()).collect())
    }

    #[tokio::test]
    async fn each_story_once_in_the_order_of_coming_and_not_too_many() {
        let (together, caller) = (Together::default(), caller());
        let places: Vec<_> =
            [7, 5, 7, 7, 6].into_iter().map(|story| join(&together, &caller, story)).collect();
        assert_eq!(
            places.iter().map(|place| place.1).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        assert_eq!(stories(together.next(TENANT)), Some(vec![7, 5, 6]));
        assert_eq!(stories(together.next(TENANT)), Some(vec![7]));
        let many: Vec<_> = (0..MOST as u128 + 1).map(|story| join(&together, &caller, 100 + story)).collect();
        assert!(many.iter().all(|place| !place.1), "somebody goes already");
        let next = stories(together.next(TENANT)).unwrap();
        assert_eq!((next.len(), next[0], next[1]), (MOST, 7, 100));
        assert_eq!(stories(together.next(TENANT)).map(|rest| rest.len()), Some(2));
        assert_eq!(stories(together.next(TENANT)), None);
        assert!(together.lines().tenants.is_empty());
        assert!(join(&together, &caller, 1).1, "nobody goes any more");
    }

    #[tokio::test]
    async fn whoever_hangs_up_before_it_was_begun_takes_it_back() {
        let (together, caller) = (Together::default(), caller());
        let (first, second, third) =
            (join(&together, &caller, 1), join(&together, &caller, 2), join(&together, &caller, 3));
        drop(second);
        assert_eq!(stories(together.next(TENANT)), Some(vec![1, 3]));
        // What is begun cannot be left any more.
        assert!(!first.0.leave() && !third.0.leave());
        let fourth = join(&together, &caller, 4);
        assert!(fourth.0.leave() && !fourth.0.leave());
        assert_eq!(stories(together.next(TENANT)), None);
    }

    #[tokio::test]
    async fn whoever_still_waits_when_nobody_goes_any_more_is_told_that_nothing_was_changed() {
        let (together, caller) = (Together::default(), caller());
        let (_first, _, begun) = join(&together, &caller, 1);
        drop(together.next(TENANT).unwrap());
        let (_second, _, waiting) = join(&together, &caller, 2);
        together.forget(TENANT);
        let error = serde_json::to_value(waiting.await.unwrap().unwrap_err()).unwrap();
        assert_eq!((&error["status"], &error["outcome"]), (&503.into(), &"unchanged".into()));
        assert!(begun.await.is_err());
        assert!(join(&together, &caller, 3).1);
    }
}
