//! What the rest of the process has to do with jobs: it enqueues them, and asks whether they are worked off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use loopctl_core::json::JsonText;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Task;
use super::store::{ENQUEUE, ENQUEUE_EACH};
use crate::db::{AsJson, DbError, Params, Tx};

/// How long a worker may be busy with the database, which may leave a statement unanswered for a minute, until it is taken for
/// dead.
const STUCK: Duration = Duration::from_secs(180);

/// How long a worker may take, after its start, to make up for what was missed.
const GRACE: Duration = Duration::from_secs(60);

/// The queue, as this process sees it.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wake: Notify,
    standing: Mutex<Standing>,
}

/// What is known of this process's worker.
#[derive(Debug, Default)]
enum Standing {
    /// There is to be none.
    #[default]
    None,
    Works {
        since: Instant,
        /// When it last went about its work.
        beat: Instant,
        /// What it is to do regularly.
        schedules: Vec<&'static str>,
    },
    /// It ended, and nobody had asked it to.
    Dead,
}

impl Queue {
    /// Enqueues a job of the transaction's tenant, along with whatever else the transaction does; its id. None: one with this key
    /// is there, and not finished. Once it is committed, [`Self::wake`] has it begun at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue(
        &self,
        tx: &mut Tx,
        task: Task,
        args: &JsonText,
        key: Option<&str>,
    ) -> Result<Option<Uuid>, DbError> {
        let id = Uuid::now_v7();
        tx.optional(ENQUEUE, &[&id, &task.queue, &task.name, &AsJson(args), &task.attempts, &key]).await
    }

    /// Enqueues as many jobs of one kind: what each is told, and its key. Those of which one is there and not finished are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue_each(
        &self,
        tx: &mut Tx,
        task: Task,
        jobs: &[(JsonText, String)],
    ) -> Result<(), DbError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = jobs.iter().map(|_| Uuid::now_v7()).collect();
        let args: Vec<_> = jobs.iter().map(|(args, _)| AsJson(args)).collect();
        let keys: Vec<_> = jobs.iter().map(|(_, key)| key.as_str()).collect();
        tx.execute(ENQUEUE_EACH, &[&task.queue, &task.name, &task.attempts, &ids, &args, &keys]).await
    }

    /// Something is due that this process knows of.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// A worker begins. It is dead when what this returns is dropped.
    pub(super) fn begin(&self) -> Alive {
        let now = Instant::now();
        *self.standing() = Standing::Works { since: now, beat: now, schedules: Vec::new() };
        Alive(self.clone())
    }

    pub(super) fn plan(&self, kinds: Vec<&'static str>) {
        if let Standing::Works { schedules, .. } = &mut *self.standing() {
            *schedules = kinds;
        }
    }

    pub(super) fn beat(&self) {
        if let Standing::Works { beat, .. } = &mut *self.standing() {
            *beat = Instant::now();
        }
    }

    /// Whether this process does what it should.
    pub(crate) fn is_alive(&self) -> bool {
        match &*self.standing() {
            Standing::None => true,
            Standing::Works { beat, .. } => beat.elapsed() < STUCK,
            Standing::Dead => false,
        }
    }

    /// The schedules that this process sees to, if it has had the time.
    pub(crate) fn schedules(&self) -> Vec<&'static str> {
        match &*self.standing() {
            Standing::Works { since, schedules, .. } if since.elapsed() > GRACE => schedules.clone(),
            _ => Vec::new(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enqueues a job of nobody with the login that owns the tables, along with whatever else the transaction does.
///
/// # Errors
/// When the database fails.
pub(crate) async fn enqueue_as_owner(
    tx: &tokio_postgres::Transaction<'_>,
    task: Task,
    args: &JsonText,
    key: &str,
) -> Result<(), DbError> {
    let params: Params<'_> =
        &[&Uuid::nil(), &Uuid::now_v7(), &task.queue, &task.name, &AsJson(args), &task.attempts, &key];
    tx.query(ENQUEUE.text(), params).await?;
    Ok(())
}

/// For as long as a worker works.
#[derive(Debug)]
pub(crate) struct Alive(Queue);

impl Drop for Alive {
    fn drop(&mut self) {
        *self.0.standing() = Standing::Dead;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_should_have_a_worker_is_well_only_with_it() {
        let queue = Queue::default();
        assert!(queue.is_alive(), "it is not to have any");
        let alive = queue.begin();
        queue.plan(vec!["a"]);
        assert!(queue.is_alive());
        assert_eq!(queue.schedules(), [""; 0], "it has just begun");
        if let Standing::Works { since, beat, .. } = &mut *queue.standing() {
            (*since, *beat) = (*since - GRACE, *beat - STUCK);
        }
        assert!(!queue.is_alive(), "it is stuck");
        queue.beat();
        assert!(queue.is_alive());
        assert_eq!(queue.schedules(), ["a"]);
        drop(alive);
        assert!(!queue.is_alive(), "it is dead");
    }
}
