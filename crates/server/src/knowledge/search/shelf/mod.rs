//! What a tenant has published, in memory, so that a question is compared with all of it: the words and vectors of each article, kept in
//! step with the tenant's log. Whoever asks sees what was committed before, whichever process did it.

mod kept;
mod store;
mod system;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::db::{Db, DbError, Params, Timestamp};
use crate::knowledge::embeddings::Model;
use crate::metrics;

pub(crate) use kept::{Found, Related, Shelf, Wanted, by_both, by_meaning};
pub(crate) use store::STATEMENTS;
use store::{CHANGED_SINCE, Change, LOG_HEAD, SHELVED, SHELVED_FROM};

/// The most bytes of a shelf, and of all together: those that were used longest ago go first.
const MOST_BYTES: usize = 256 * 1024 * 1024;
/// After how long it is looked again whether a tenant's articles fit.
const RETRIED_AFTER: Duration = Duration::from_secs(600);
/// A shelf that lags by more than this is read anew: of the log some may be gone.
const MOST_LAG: TimeDelta = TimeDelta::days(1);
/// Articles that are read at once: the words of a long one take up a third of a megabyte until they are put onto the shelf, and nobody else
/// is served meanwhile by who does that.
const BATCH: usize = 50;
/// With more entries of the log than this to look through, all is read anew.
const MOST_CHANGES: i64 = 5000;

/// The shelves of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelves {
    tenants: Arc<Mutex<HashMap<Uuid, Arc<Slot>>>>,
    system: Arc<system::Slot>,
}

/// The place of a tenant's shelf.
#[derive(Debug)]
pub(crate) struct Slot {
    shelf: RwLock<Shelf>,
    state: tokio::sync::Mutex<State>,
    bytes: AtomicUsize,
    used: Mutex<Instant>,
}

/// Of what a shelf is.
#[derive(Debug, Default)]
struct State {
    /// The last entry of the log that is in it; None: nothing was read yet.
    until: Option<Timestamp>,
    model: Option<Model>,
    /// When it was seen that the tenant has published more than fits.
    full_since: Option<Instant>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            shelf: RwLock::default(),
            state: tokio::sync::Mutex::default(),
            bytes: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
        }
    }
}

impl Slot {
    /// Looks something up. It may take a processor's time.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Shelf) -> T) -> T {
        look(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut shelf);
        self.bytes.store(shelf.bytes(), Ordering::Relaxed);
        answer
    }
}

impl Shelves {
    /// The shelf of a tenant, with all that is committed. None: that does not fit.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn up_to_date(
        &self,
        db: &Db,
        tenant_id: Uuid,
        model: Option<&Model>,
    ) -> Result<Option<Arc<Slot>>, DbError> {
        let slot = Arc::clone(self.slots().entry(tenant_id).or_default());
        let mut state = slot.state.lock().await;
        if state.full_since.is_some_and(|since| since.elapsed() < RETRIED_AFTER) {
            return Ok(None);
        }
        let (head, changes) = self.changes(db, tenant_id, state.until).await?;
        let lags = state.until.zip(head).is_some_and(|(until, head)| head.0 - until.0 > MOST_LAG);
        let is_same = state.model.as_ref() == model && state.until.is_some() && !lags;
        let is_whole = if !is_same || changes.len() as i64 > MOST_CHANGES {
            // What happens meanwhile is read again, as a change.
            load(db, tenant_id, model, &slot).await?
        } else if changes.is_empty() {
            true
        } else {
            let ids: Vec<Uuid> = changes.iter().map(|change| change.id).collect();
            change(db, tenant_id, model, &slot, &ids).await?
        };
        if !is_whole {
            clear(slot.write(std::mem::take));
            tracing::warn!(%tenant_id, "a tenant has published more than fits into memory: its searches go by words alone");
            *state = State { full_since: Some(Instant::now()), ..State::default() };
            return Ok(None);
        }
        *state = State { until: head.or(state.until), model: model.cloned(), full_since: None };
        drop(state);
        *slot.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.make_room(tenant_id);
        Ok(Some(slot))
    }

    /// The last entry of the log, and what has changed since another one.
    async fn changes(
        &self,
        db: &Db,
        tenant_id: Uuid,
        since: Option<Timestamp>,
    ) -> Result<(Option<Timestamp>, Vec<Change>), DbError> {
        let limit = MOST_CHANGES + 1;
        let params: Params<'_> = &[&since, &limit];
        // The head first: what comes between the two statements is seen twice, and not missed.
        let (head, changes) = db.read(tenant_id, (LOG_HEAD.with(&[]), CHANGED_SINCE.with(params))).await?;
        Ok((head.into_iter().next().and_then(|head| head.last_at), changes))
    }

    /// Forgets the shelves that were used longest ago, where there are too many.
    fn make_room(&self, mine: Uuid) {
        let mut slots = self.slots();
        let bytes = |slots: &HashMap<Uuid, Arc<Slot>>| -> usize {
            slots.values().map(|slot| slot.bytes.load(Ordering::Relaxed)).sum()
        };
        while bytes(&slots) > MOST_BYTES && slots.len() > 1 {
            let used = |slot: &Slot| *slot.used.lock().unwrap_or_else(PoisonError::into_inner);
            let others = slots.iter().filter(|(tenant_id, _)| **tenant_id != mine);
            let Some(oldest) = others.min_by_key(|(_, slot)| used(slot)).map(|(tenant_id, _)| *tenant_id)
            else {
                break;
            };
            slots.remove(&oldest);
        }
        metrics::show_shelves(slots.len(), bytes(&slots));
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Slot>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees a shelf where nobody waits for it: there may be millions of pieces.
fn clear(shelf: Shelf) {
    tokio::task::spawn_blocking(move || drop(shelf));
}

/// Reads again what has changed; whether it still fits.
async fn change(
    db: &Db,
    tenant_id: Uuid,
    model: Option<&Model>,
    slot: &Slot,
    ids: &[Uuid],
) -> Result<bool, DbError> {
    let name = model.map(|model| model.name.as_str());
    for ids in ids.chunks(BATCH) {
        let rows = db.read_part(tenant_id, SHELVED.with(&[&name, &ids])).await?;
        let fits = slot.write(|shelf| {
            ids.iter().for_each(|id| shelf.remove(*id));
            rows.into_iter().for_each(|row| shelf.put(row));
            shelf.bytes() <= MOST_BYTES
        });
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads everything, unless that does not fit: then the answer is no.
async fn load(db: &Db, tenant_id: Uuid, model: Option<&Model>, slot: &Slot) -> Result<bool, DbError> {
    let name = model.map(|model| model.name.as_str());
    let (mut shelf, mut after) = (Shelf::default(), Uuid::nil());
    loop {
        let rows = db.read_part(tenant_id, SHELVED_FROM.with(&[&name, &after, &(BATCH as i64)])).await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        rows.into_iter().for_each(|row| shelf.put(row));
        if shelf.bytes() > MOST_BYTES {
            clear(shelf);
            return Ok(false);
        }
    }
    clear(slot.write(|known| std::mem::replace(known, shelf)));
    Ok(true)
}
