//! Jobs in a process that serves nobody.

use std::time::Duration;

use loopctl_core::json::JsonText;
use tokio::time::sleep;
use uuid::Uuid;

use super::store::{OUTCOME, Outcome};
use super::{Kind, Pace, Queue, Worker};
use crate::config::Database;
use crate::db::{DEADLINE, Db, DbError};
use crate::life::Life;

/// Connections of such a process.
const POOL: usize = 10;

/// How long what runs may take when it ends.
const DRAIN: Duration = Duration::from_secs(5);

/// How often somebody who waits for a job looks.
const LOOK: Duration = Duration::from_millis(50);

/// A worker with connections of its own. It works until [`Self::stop`] is called.
pub struct Alone {
    /// What it works off.
    pub queue: Queue,
    db: Db,
    life: Life,
}

impl Alone {
    /// Connects; works on nothing yet.
    ///
    /// # Errors
    /// When there can be no pool of this configuration.
    pub fn new(database: &Database) -> Result<Self, DbError> {
        let life = Life::default();
        Ok(Self { queue: Queue::default(), db: database.pool(POOL, DEADLINE, life.clone())?, life })
    }

    /// What lives as long as it works.
    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// Its connections.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Begins to work on jobs of these kinds, with what is made of their share of the connections; whether also on their schedules.
    pub fn begin<C: Clone + Send + Sync + 'static>(
        &self,
        database: &Database,
        kinds: Vec<Kind<C>>,
        context: impl FnOnce(Db) -> C,
        pace: Pace,
        schedules: bool,
    ) {
        let owner = database.owner.clone();
        let worker = Worker::new(self.db.clone(), owner, kinds, context, self.queue.clone(), POOL).at(pace);
        let worker = if schedules { worker } else { worker.without_schedules() };
        self.life.spawn(worker.keep_working(self.life.clone()));
    }

    /// Enqueues a job of a tenant, or of none (the nil UUID), and has it begun; its id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue<C>(
        &self,
        tenant_id: Uuid,
        kind: &Kind<C>,
        args: &JsonText,
        key: Option<&str>,
    ) -> Result<Option<Uuid>, DbError> {
        let work = async |mut tx| {
            let id = self.queue.enqueue(&mut tx, kind.task(), args, key).await?;
            tx.commit(&()).await?;
            Ok::<_, DbError>(id)
        };
        let id = self.db.transaction(tenant_id, work).await?;
        self.queue.wake();
        Ok(id)
    }

    /// Waits until a job is finished, whoever does it. None: it is not there any more.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn outcome(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<Outcome>, DbError> {
        loop {
            let found = self.db.read(tenant_id, OUTCOME.with(&[&id])).await?;
            match found.into_iter().next() {
                Some(job) if matches!(job.state.as_str(), "available" | "executing" | "retryable") => {
                    sleep(LOOK).await;
                }
                ended => return Ok(ended),
            }
        }
    }

    /// Lets what runs come to its end, or gives it back.
    pub async fn stop(self) {
        if !self.life.end(DRAIN).await {
            tracing::warn!(
                "jobs were still running after {} s; others wait for their leases",
                DRAIN.as_secs()
            );
        }
        self.db.close();
    }
}
