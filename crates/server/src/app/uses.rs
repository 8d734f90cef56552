//! When keys and their agents were last seen: noted in memory, written in batches. A request does not wait for it, and
//! losing the last second of it in a crash is harmless.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::db::{Db, DbError, Row, statements};
use crate::life::Life;

statements! {
    NOTE_USES -> Noted = "select {*}";
}

#[derive(Row)]
pub(crate) struct Noted {
    /// Keys whose row, or whose agent's row, somebody holds at the moment; they are tried again.
    #[row(sql = "note_key_uses($1, $2)")]
    busy: Vec<Uuid>,
}

/// How often what has been noted is written.
const PERIOD: Duration = Duration::from_secs(1);

/// How long somebody who reads waits for what is not written yet.
const MOMENT: Duration = Duration::from_millis(500);

/// The uses of keys that the database does not know of yet. One entry per key, however often it is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyUses(Arc<Uses>);

#[derive(Debug, Default)]
struct Uses {
    pending: Mutex<HashMap<Uuid, Instant>>,
    /// Held while a batch is written: whoever wants to read what was noted waits for it, too.
    writing: tokio::sync::Mutex<()>,
}

impl KeyUses {
    /// The key is in use, now.
    pub(crate) fn note(&self, key_id: Uuid) {
        self.pending().insert(key_id, Instant::now());
    }

    /// Writes batches for as long as the process lives.
    pub(crate) async fn keep_writing(self, db: Db, life: Life) {
        let write = async {
            loop {
                sleep(PERIOD).await;
                self.write(&db).await;
            }
        };
        tokio::select! {
            () = write => {}
            () = life.ending() => {}
        }
    }

    /// Writes what has been noted so far, if that takes moments. For those who want to read it; nobody waits for long.
    pub(crate) async fn write_now(&self, db: &Db) {
        // What was begun and is dropped stays noted.
        let _ = timeout(MOMENT, self.write(db)).await;
    }

    /// Writes what has been noted so far. What cannot be written stays noted, and the log is told.
    async fn write(&self, db: &Db) {
        let _turn = self.0.writing.lock().await;
        let noted: Vec<(Uuid, Instant)> = self.pending().iter().map(|(key, at)| (*key, *at)).collect();
        if noted.is_empty() {
            return;
        }
        match Self::write_batch(&noted, db).await {
            Ok(busy) => {
                let mut pending = self.pending();
                for (key, at) in noted {
                    // Used again since, it stays.
                    if pending.get(&key) == Some(&at) && !busy.contains(&key) {
                        pending.remove(&key);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the last use of keys could not be noted"),
        }
    }

    async fn write_batch(noted: &[(Uuid, Instant)], db: &Db) -> Result<Vec<Uuid>, DbError> {
        let keys: Vec<Uuid> = noted.iter().map(|(key, _)| *key).collect();
        // Times are the database's own: it is told how long ago.
        let ages: Vec<f64> = noted.iter().map(|(_, at)| at.elapsed().as_secs_f64()).collect();
        let answer = db.without_tenant(NOTE_USES, &[&keys, &ages]).await?;
        Ok(answer.map(|answer| answer.busy).unwrap_or_default())
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Instant>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
