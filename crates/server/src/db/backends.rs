//! What is at the other end of the connections: processes of PostgreSQL, which can be told to stop what they are at.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use deadpool_postgres::{ClientWrapper, Hook, HookError, Pool, StatementCache};
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use super::DbError;
use super::line::CONNECT;

/// The role that requests have in the database, which is also the login on the private cluster.
pub(crate) const APP_ROLE: &str = "loopctl_app";

const SILENT: &str = "the database does not answer on a new connection";

/// Of every new connection.
const WHO: &str = "select pg_backend_pid(), current_user, extract(epoch from pg_postmaster_start_time())";

/// Another PostgreSQL may have a process of the same number.
const STOP: &str =
    "select pg_cancel_backend($1) where extract(epoch from pg_postmaster_start_time())::text = $2";

/// What is known of each connection since it was opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Backends(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The processes, by what a connection has of its own for as long as there is one: what it has prepared.
    processes: Mutex<HashMap<usize, (Weak<StatementCache>, Process)>>,
    /// Whether one has another role than the application's. Set for good: a transaction too many that takes the role it has costs little.
    takes_role: AtomicBool,
}

/// A process of a PostgreSQL that was started at some time.
#[derive(Debug, Clone)]
struct Process {
    number: i32,
    started: String,
}

impl Backends {
    /// Has a pool look once at every connection that it opens.
    pub(super) fn hook(&self) -> Hook {
        let known = self.clone();
        Hook::async_fn(move |connection, _| {
            let known = known.clone();
            Box::pin(async move {
                let looked = timeout(CONNECT, known.look_at(connection)).await;
                looked.map_err(|_| HookError::message(SILENT))?.map_err(HookError::Backend)
            })
        })
    }

    async fn look_at(&self, connection: &ClientWrapper) -> Result<(), tokio_postgres::Error> {
        for answer in connection.simple_query(WHO).await? {
            let SimpleQueryMessage::Row(row) = answer else { continue };
            if row.get(1) != Some(APP_ROLE) {
                self.0.takes_role.store(true, Ordering::Relaxed);
            }
            let number = row.get(0).and_then(|number| number.parse().ok());
            if let Some((number, started)) = number.zip(row.get(2)) {
                let process = Process { number, started: started.to_owned() };
                let mut processes = self.processes();
                processes.retain(|_, (connection, _)| connection.strong_count() > 0);
                processes.insert(key(connection), (Arc::downgrade(&connection.statement_cache), process));
            }
        }
        Ok(())
    }

    /// Whether transactions have to take the application's role.
    pub(super) fn take_role(&self) -> bool {
        self.0.takes_role.load(Ordering::Relaxed)
    }

    /// Stops what a connection is at, from another one. What is sent to it from now on is not stopped: the signal is there before it.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub(super) async fn stop(&self, connection: &ClientWrapper, others: &Pool) -> Result<(), DbError> {
        let process = self.processes().get(&key(connection)).map(|(_, process)| process.clone());
        let gone = || DbError::Unexpected("there is no process at the other end".to_owned());
        let Process { number, started } = process.ok_or_else(gone)?;
        let other = others.get().await?;
        let stop = other.prepare_cached(STOP).await?;
        let stopped = other.query_opt(&stop, &[&number, &started]).await?;
        if stopped.is_some_and(|row| row.get(0)) { Ok(()) } else { Err(gone()) }
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<usize, (Weak<StatementCache>, Process)>> {
        self.0.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody else has it as long as somebody remembers it.
fn key(connection: &ClientWrapper) -> usize {
    Arc::as_ptr(&connection.statement_cache).addr()
}
