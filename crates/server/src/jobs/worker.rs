//! Who works the queue off: fires schedules when their time has come, takes what is due, renews what is under way, and takes over
//! what others have left behind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use super::queue::{Alive, Queue};
use super::run::attempt;
use super::store::{AHEAD, CLAIM, Claimed, DATABASE_NOW, DUE_SCHEDULES, FIRE, PLAN, RELEASE, RENEW, RESCUE};
use super::{Kind, PLACES, Pace};
use crate::db::migrate::{connect, is_above_tenants};
use crate::db::{AsJson, Db, DbError, Login};
use crate::life::Life;
use crate::metrics;

/// How long what runs may go on when the process ends: less than requests have, so that the rest can be given back.
const GRACE: Duration = Duration::from_secs(3);

/// How long the database may take then to answer what it was asked last.
const MOMENT: Duration = Duration::from_secs(1);

/// The jobs of this process.
pub(crate) struct Worker<C> {
    db: Db,
    /// The login that owns the tables, if it does.
    owner: Login,
    kinds: Arc<[Kind<C>]>,
    context: C,
    queue: Queue,
    pace: Pace,
    /// Of one queue at the same time.
    places: usize,
    /// Whether schedules are seen to.
    fires: bool,
    /// What this process may do; None: that is not known yet.
    able: Option<Able>,
    /// The jobs of this process that run, by their tasks.
    tasks: JoinSet<()>,
    running: HashMap<Id, Running>,
    /// The tenant that was served last, by queue.
    served: HashMap<&'static str, Uuid>,
    renewed: Instant,
    rescued: Option<Instant>,
    /// Tells when the worker is gone, however.
    _alive: Alive,
}

struct Running {
    lease: Uuid,
    queue: &'static str,
    task: AbortHandle,
}

/// What a process may do with its logins.
struct Able {
    kinds: Vec<&'static str>,
    queues: Vec<&'static str>,
    schedules: Vec<&'static str>,
}

impl<C: Clone + Send + Sync + 'static> Worker<C> {
    /// A worker that has not begun. Jobs are done with what `context` makes of the connections: a quarter of them at most, whatever
    /// queues they are of. Of one queue a few run at the same time, so that what waits for somebody else keeps no other queue waiting.
    pub(crate) fn new(
        db: Db,
        owner: Login,
        kinds: Vec<Kind<C>>,
        context: impl FnOnce(Db) -> C,
        queue: Queue,
        pool_size: usize,
    ) -> Self {
        let alive = queue.begin();
        let context = context(db.for_jobs(pool_size / 4));
        Self {
            db,
            owner,
            kinds: kinds.into(),
            context,
            queue,
            pace: Pace::default(),
            places: (pool_size / 4).clamp(1, PLACES),
            fires: true,
            able: None,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            served: HashMap::new(),
            renewed: Instant::now(),
            rescued: None,
            _alive: alive,
        }
    }

    /// The same at another pace.
    pub(super) fn at(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same that leaves schedules to others.
    pub(super) fn without_schedules(self) -> Self {
        Self { fires: false, ..self }
    }

    /// Works for as long as the process lives.
    pub(crate) async fn keep_working(mut self, life: Life) {
        let mut troubled = false;
        loop {
            self.queue.beat();
            let turn = tokio::select! {
                turn = self.turn() => turn,
                // The database may not answer for long. What it gave us then is others' when the lease is over.
                () = patience(&life) => break,
            };
            let pause = match turn {
                Ok(pause) => {
                    troubled = false;
                    pause
                }
                Err(error) => {
                    if !troubled {
                        tracing::warn!(%error, "jobs wait: the database cannot be asked for them");
                    }
                    troubled = true;
                    self.pace.poll
                }
            };
            tokio::select! {
                biased;
                () = life.ending() => break,
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.running.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                }
                () = self.queue.woken() => {}
                () = sleep(pause) => {}
            }
        }
        self.leave().await;
    }

    /// Does what there is to do now; says for how long there is nothing.
    async fn turn(&mut self) -> Result<Duration, DbError> {
        self.keep_hold().await?;
        if self.able.is_none() {
            self.able = Some(self.prepare().await?);
        }
        let Some(able) = &self.able else { return Ok(self.pace.poll) };
        let (kinds, schedules) = (able.kinds.clone(), able.schedules.clone());
        let free: Vec<_> = able.queues.iter().map(|queue| (*queue, self.free(queue))).collect();
        let free: Vec<_> = free.into_iter().filter(|(_, places)| *places > 0).collect();
        let queues: Vec<_> = free.iter().map(|(queue, _)| *queue).collect();
        let ahead = self.db.without_tenant(AHEAD, &[&queues, &kinds, &schedules]).await?;
        let (due_in, fires_in) = ahead.map_or((None, None), |ahead| (ahead.due_in, ahead.fires_in));
        let is_now = |seconds: Option<f64>| seconds.is_some_and(|seconds| seconds <= 0.0);
        let mut moved = is_now(fires_in) && self.fire(&schedules).await?;
        if is_now(due_in) || moved {
            for (queue, places) in free {
                moved |= self.claim(queue, &kinds, places).await?;
            }
        }
        if moved {
            return Ok(Duration::ZERO);
        }
        // What is due and was not to be had is with somebody else.
        let later = [due_in, fires_in].into_iter().flatten().filter(|seconds| *seconds > 0.0);
        let next = later.fold(self.pace.poll.as_secs_f64(), f64::min);
        Ok(Duration::from_secs_f64(next))
    }

    fn free(&self, queue: &str) -> usize {
        let taken = self.running.values().filter(|running| running.queue == queue).count();
        self.places.saturating_sub(taken)
    }

    /// Finds out what this process may do, makes its schedules known, and enqueues what each start calls for.
    async fn prepare(&self) -> Result<Able, DbError> {
        let owns = self.kinds.iter().any(|kind| kind.needs_owner) && owns_tables(&self.owner).await?;
        let (can, cannot): (Vec<_>, Vec<_>) = self.kinds.iter().partition(|kind| owns || !kind.needs_owner);
        if !cannot.is_empty() {
            let kinds = cannot.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                kinds,
                "these jobs are not done by this process, because its login does not own the tables: set ADMIN_DATABASE_URL \
                 to the login that migrates, here or for a `loopctl worker`"
            );
        }
        let mut schedules = Vec::new();
        if self.fires {
            let now = self.db.without_tenant(DATABASE_NOW, &[]).await?;
            for kind in &can {
                if let (Some(schedule), Some(now)) = (kind.schedule, &now) {
                    let next = schedule.next_after(*now);
                    self.db.without_tenant(PLAN, &[&kind.name, &AsJson(&kind.args), &next]).await?;
                    schedules.push(kind.name);
                }
                if kind.at_start {
                    self.db
                        .transaction(Uuid::nil(), async |mut tx| {
                            self.queue.enqueue(&mut tx, kind.task(), &kind.args, Some("schedule")).await?;
                            tx.commit(&()).await
                        })
                        .await?;
                }
            }
        }
        self.queue.plan(schedules.clone());
        let mut queues: Vec<_> = can.iter().map(|kind| kind.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        Ok(Able { kinds: can.iter().map(|kind| kind.name).collect(), queues, schedules })
    }

    /// Fires what is due; whether it was this process that did. What was missed while nobody was there fires once.
    async fn fire(&self, schedules: &[&'static str]) -> Result<bool, DbError> {
        let mut fired = false;
        for due in self.db.all_without_tenant(DUE_SCHEDULES, &[&schedules]).await? {
            let Some(kind) = self.kind(&due.kind) else { continue };
            let Some(schedule) = kind.schedule else { continue };
            let next = schedule.next_after(due.now);
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&kind.name, &due.next_at, &next, &kind.queue, &kind.attempts];
            fired |= self.db.without_tenant(FIRE, &params).await?.unwrap_or_default();
        }
        Ok(fired)
    }

    /// Takes what is due and begins it; whether there was anything.
    async fn claim(&mut self, queue: &'static str, kinds: &[&str], places: usize) -> Result<bool, DbError> {
        let (places, after) = (i32::try_from(places).unwrap_or(1), self.served.get(queue));
        let lease = self.pace.lease.as_secs_f64();
        let claimed = self.db.all_without_tenant(CLAIM, &[&queue, &kinds, &places, &after, &lease]).await?;
        let some = !claimed.is_empty();
        for job in claimed {
            self.served.insert(queue, job.tenant_id);
            self.begin(queue, job);
        }
        Ok(some)
    }

    fn begin(&mut self, queue: &'static str, job: Claimed) {
        let Some(nth) = self.kinds.iter().position(|kind| kind.name == job.kind) else { return };
        let (kinds, context, db, lease) =
            (Arc::clone(&self.kinds), self.context.clone(), self.db.clone(), job.lease);
        let span = tracing::info_span!(
            "job", kind = job.kind, job_id = %job.id, tenant_id = %job.tenant_id, attempt = job.attempt
        );
        let work = async move {
            if let Some(kind) = kinds.get(nth) {
                attempt(kind, context, &db, job).await;
            }
        };
        let task = self.tasks.spawn(work.instrument(span));
        self.running.insert(task.id(), Running { lease, queue, task });
    }

    /// Renews what is under way, and takes over what others have left behind. What is somebody else's by now is given up.
    async fn keep_hold(&mut self) -> Result<(), DbError> {
        let now = Instant::now();
        if !self.running.is_empty() && now.duration_since(self.renewed) >= self.pace.lease / 3 {
            let leases: Vec<_> = self.running.values().map(|running| running.lease).collect();
            let answer = self.db.without_tenant(RENEW, &[&leases, &self.pace.lease.as_secs_f64()]).await?;
            self.renewed = now;
            let kept = answer.map(|answer| answer.kept).unwrap_or_default();
            for lost in self.running.values().filter(|running| !kept.contains(&running.lease)) {
                lost.task.abort();
            }
        }
        if self.rescued.is_none_or(|last| now.duration_since(last) >= self.pace.lease / 4) {
            for job in self.db.all_without_tenant(RESCUE, &[]).await? {
                metrics::job_lost(job.kind.clone());
                let (kind, attempt) = (job.kind, job.attempt);
                match job.state.as_str() {
                    "discarded" => {
                        tracing::error!(kind, attempt, "a job has lost its worker for the last time")
                    }
                    _ => tracing::warn!(kind, attempt, "a job has lost its worker, and is tried again"),
                }
            }
            self.rescued = Some(now);
        }
        Ok(())
    }

    /// Lets what runs come to its end, if that is soon, and gives the rest back.
    async fn leave(mut self) {
        let ended = timeout(GRACE, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.running.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
        });
        if ended.await.is_ok() {
            return;
        }
        self.tasks.shutdown().await;
        let leases: Vec<_> = self.running.values().map(|running| running.lease).collect();
        match self.db.without_tenant(RELEASE, &[&leases]).await {
            Ok(_) => {
                tracing::info!(jobs = leases.len(), "jobs were given back that had not come to their end")
            }
            Err(error) => {
                tracing::warn!(%error, "jobs could not be given back: others wait for their leases")
            }
        }
    }

    fn kind(&self, name: &str) -> Option<&Kind<C>> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}

/// Ends a moment after nothing new is to be begun.
async fn patience(life: &Life) {
    life.ending().await;
    sleep(MOMENT).await;
}

/// Whether a login may do what the owner of the tables may, and sees all rows.
pub(crate) async fn owns_tables(login: &Login) -> Result<bool, DbError> {
    let client = connect(login).await?;
    let sql = "select pg_has_role(current_user, (select relowner from pg_class where oid = 'public.jobs'::regclass), 'USAGE')";
    Ok(client.query_one(sql, &[]).await?.try_get(0)? && is_above_tenants(login).await?)
}
