//! What is noted and not yet written. There is room for so much; what comes while it is taken is counted and left out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use loopctl_core::json::JsonText;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::store::{RECORD_READS, Unresolved};
use super::{Access, MOST_ROWS, WorkedOn};
use crate::db::{AsJson, Db, DbError, Params, column};
use crate::life::Life;
use crate::metrics;

/// How often what was noted is written, and how many rows are written sooner.
const PERIOD: Duration = Duration::from_secs(1);
const BATCH: usize = 500;

/// The most rows that wait.
const MOST: usize = 10_000;

/// How long somebody who reads waits for what is not written yet.
const MOMENT: Duration = Duration::from_millis(500);

/// Reads that the database does not know of yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// Told when there is a batch of it.
    full: Notify,
    /// Held while a batch is written: whoever wants to read what was noted waits for it, too.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Pending {
    reads: Vec<Read>,
    /// How many rows they are.
    rows: usize,
    /// Rows that are being written: until they are, they take up room.
    under_way: usize,
}

fn rows_of(reads: &[Read]) -> usize {
    reads.iter().map(|read| read.articles.len()).sum()
}

/// A request that read something.
#[derive(Debug)]
struct Read {
    tenant_id: Uuid,
    api_key_id: Uuid,
    access: Access,
    on: WorkedOn,
    articles: Vec<Uuid>,
    at: Instant,
}

impl Reads {
    /// Notes a read, now.
    pub(super) fn note(
        &self,
        tenant_id: Uuid,
        api_key_id: Uuid,
        access: Access,
        on: WorkedOn,
        mut articles: Vec<Uuid>,
    ) {
        articles.truncate(MOST_ROWS);
        if !articles.is_empty() {
            self.keep(Read { tenant_id, api_key_id, access, on, articles, at: Instant::now() });
        }
    }

    fn keep(&self, read: Read) {
        let mut pending = self.pending();
        let rows = read.articles.len();
        if pending.rows + pending.under_way + rows > MOST {
            metrics::reads_dropped("full", rows);
            return;
        }
        pending.rows += rows;
        pending.reads.push(read);
        if pending.rows >= BATCH {
            self.0.full.notify_one();
        }
    }

    /// Takes what waits, to write it.
    fn take(&self) -> Vec<Read> {
        let mut pending = self.pending();
        pending.under_way += std::mem::take(&mut pending.rows);
        std::mem::take(&mut pending.reads)
    }

    /// Puts back what could not be written, before what has come since. There is room for it, and nobody is told: it waits for its time.
    fn put_back(&self, reads: Vec<Read>) {
        let mut pending = self.pending();
        let rows = rows_of(&reads);
        pending.under_way = pending.under_way.saturating_sub(rows);
        pending.rows += rows;
        pending.reads.splice(0..0, reads);
    }

    /// So many rows are written, or never will be.
    fn done(&self, rows: usize) {
        let mut pending = self.pending();
        pending.under_way = pending.under_way.saturating_sub(rows);
    }

    /// Writes batches for as long as the process lives. One that was begun is written to its end.
    pub(crate) async fn keep_writing(self, db: Db, life: Life) {
        self.keep_up(life, || self.write(&db)).await;
    }

    /// Has it written whenever it is time or there is a batch; after a failure only when it is time, however much there is.
    async fn keep_up<W: Future<Output = bool>>(&self, life: Life, write: impl Fn() -> W) {
        let mut failed = false;
        loop {
            tokio::select! {
                () = life.ending() => return,
                () = sleep(PERIOD) => {}
                () = self.0.full.notified(), if !failed => {}
            }
            failed = !write().await;
        }
    }

    /// Writes what has been noted so far, if that takes moments. For those who want to read it; nobody waits for long, and what was
    /// begun goes on without them.
    pub(crate) async fn write_now(&self, db: &Db, life: &Life) {
        let (reads, db) = (self.clone(), db.clone());
        let (done, written) = oneshot::channel::<()>();
        life.spawn(async move {
            reads.write(&db).await;
            drop(done);
        });
        let _ = timeout(MOMENT, written).await;
    }

    /// Writes what is left when the process ends; what that takes longer for than a moment is given up.
    pub(crate) async fn write_last(&self, db: &Db) {
        if timeout(MOMENT, self.write(db)).await.is_err() {
            tracing::warn!("the last reads of articles could not be noted in time");
        }
    }

    /// Whether the database was there.
    async fn write(&self, db: &Db) -> bool {
        let _turn = self.0.writing.lock().await;
        let mut by_tenant: HashMap<Uuid, Vec<Read>> = HashMap::new();
        for read in self.take() {
            by_tenant.entry(read.tenant_id).or_default().push(read);
        }
        let mut was_there = true;
        for (tenant_id, reads) in by_tenant {
            let rows = rows_of(&reads);
            match write_batch(db, tenant_id, &reads).await {
                Ok(unresolved) => {
                    self.done(rows);
                    unresolved.iter().for_each(|one| one.warn(tenant_id));
                }
                Err(error) if error.is_unavailable() => {
                    was_there = false;
                    self.put_back(reads);
                }
                Err(error) => {
                    self.done(rows);
                    tracing::warn!(%error, %tenant_id, rows, "reads of articles could not be noted");
                    metrics::reads_dropped("failed", rows);
                }
            }
        }
        was_there
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told of one article of a read.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
}

impl Access {
    const fn word(&self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Search { .. } => "search",
            Self::Context { .. } => "context",
        }
    }

    /// Of the nth article, counted from 1.
    fn told(&self, nth: usize) -> JsonText {
        let told = match self {
            Self::Get => Told { query: None, rank: None, mode: None },
            Self::Search { query, mode } => {
                Told { query: query.as_deref(), rank: Some(nth), mode: Some(mode) }
            }
            Self::Context { query } => Told { query: Some(query), rank: Some(nth), mode: None },
        };
        JsonText::of(&told).unwrap_or_default()
    }
}

/// A row that is written.
struct Event<'a> {
    read: &'a Read,
    age: f64,
    article_id: Uuid,
    told: JsonText,
}

async fn write_batch(db: &Db, tenant_id: Uuid, reads: &[Read]) -> Result<Vec<Unresolved>, DbError> {
    let events: Vec<_> = reads
        .iter()
        .flat_map(|read| {
            // Times are the database's own: it is told how long ago.
            let age = read.at.elapsed().as_secs_f64();
            let articles = read.articles.iter().zip(1..);
            articles.map(move |(id, nth)| Event { read, age, article_id: *id, told: read.access.told(nth) })
        })
        .collect();
    let params: Params<'_> = &[
        &column(&events, |_| Uuid::now_v7()),
        &column(&events, |event| event.age),
        &column(&events, |event| event.article_id),
        &column(&events, |event| event.read.api_key_id),
        &column(&events, |event| event.read.access.word()),
        &column(&events, |event| AsJson(&event.told)),
        &column(&events, |event| event.read.on.project_id),
        &column(&events, |event| event.read.on.story_id),
    ];
    db.write(tenant_id, RECORD_READS.with(params)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(reads: &Reads, rows: usize) {
        let articles = vec![Uuid::nil(); rows];
        reads.note(Uuid::nil(), Uuid::nil(), Access::Get, WorkedOn::default(), articles);
    }

    /// Rows that wait, and rows that are being written.
    fn room(reads: &Reads) -> (usize, usize) {
        let pending = reads.pending();
        (pending.rows, pending.under_way)
    }

    #[test]
    fn there_is_room_for_so_much_and_no_more() {
        let reads = Reads::default();
        note(&reads, 0);
        assert_eq!(reads.pending().rows, 0);
        note(&reads, 500);
        assert_eq!(reads.pending().rows, MOST_ROWS, "the first ones of a read");
        for _ in 0..MOST {
            note(&reads, 7);
        }
        let pending = reads.pending();
        assert!(pending.rows <= MOST && pending.rows > MOST - 7);
        assert_eq!(pending.reads.iter().map(|read| read.articles.len()).sum::<usize>(), pending.rows);
    }

    /// What could not be written comes before what has come since, and finds its room.
    #[test]
    fn what_is_put_back_is_all_there() {
        let reads = Reads::default();
        for _ in 0..MOST / MOST_ROWS {
            note(&reads, MOST_ROWS);
        }
        let taken = reads.take();
        note(&reads, 1);
        assert_eq!(room(&reads), (0, MOST), "there is no room yet");
        let first = taken.first().map(|read| read.at);
        reads.put_back(taken);
        assert_eq!(room(&reads), (MOST, 0));
        let written = reads.take();
        reads.done(MOST);
        note(&reads, 1);
        assert_eq!(written.first().map(|read| read.at), first);
        assert_eq!(room(&reads), (1, 0));
    }

    /// However much waits, and comes meanwhile: a database that is away is asked once in a period.
    #[tokio::test(start_paused = true)]
    async fn a_database_that_is_away_is_left_alone() {
        let reads = Reads::default();
        let asked = std::sync::atomic::AtomicU32::default();
        let (noted, times) = (&reads, &asked);
        let write = || async move {
            times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
            let taken = noted.take();
            noted.put_back(taken);
            note(noted, 7);
            false
        };
        for _ in 0..100 {
            note(&reads, 7);
        }
        let _ = timeout(PERIOD * 10, reads.keep_up(Life::default(), write)).await;
        let asked = asked.into_inner();
        assert!((9..=10).contains(&asked), "{asked}");
    }

    #[test]
    fn what_is_told_of_a_read() {
        let told = |access: Access| access.told(2).to_value();
        assert_eq!(told(Access::Get), serde_json::json!({}));
        let query = Some(Arc::from("q"));
        assert_eq!(
            told(Access::Search { query, mode: "keyword" }),
            serde_json::json!({"query": "q", "rank": 2, "mode": "keyword"})
        );
        assert_eq!(
            told(Access::Search { query: None, mode: "semantic" }),
            serde_json::json!({"rank": 2, "mode": "semantic"})
        );
        assert_eq!(
            told(Access::Context { query: Arc::from("q") }),
            serde_json::json!({"query": "q", "rank": 2})
        );
    }
}
