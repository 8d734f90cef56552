//! What can go wrong between the server and PostgreSQL.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use super::tls::advice;

/// A database failure. It reaches clients as 503 or 500 without its text; the text goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection: the database is away, or every connection is busy for too long.
    #[error("no database connection: {0}")]
    Pool(String),
    /// PostgreSQL refused a statement, or the connection broke.
    #[error("database: {}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The database did not answer in time, and its connection was closed.
    #[error("the database did not answer in time, and its connection was closed")]
    Silent,
    /// The connection was lost while a change was being committed, so nobody knows whether it was.
    #[error("{0}, while a change was being committed")]
    Uncertain(Box<Self>),
    /// A transaction that was not begun, because for too long somebody else held what it begins with: nothing of its work was tried.
    #[error("what the transaction begins with is held by another one")]
    HeldUp,
    /// Others of the tenant have all that it may have of something, and have had it for too long.
    #[error("{0}")]
    Overloaded(&'static str),
    /// A transaction that was not begun, because it would have had to wait and the process ends.
    #[error("the server is stopping")]
    Stopping,
    /// A transaction that was stopped because it took longer than this, and taken back.
    #[error("it took longer than {} s, and was stopped", .0.as_secs())]
    TooLong(Duration),
    /// More than one answer may hold: it holds so many of its rows, and one at least.
    #[error("more than one answer may hold")]
    TooLarge(usize),
    /// The database answered something that the code did not expect.
    #[error("unexpected database answer: {0}")]
    Unexpected(String),
}

/// `tokio_postgres::Error` prints as "db error" or "error connecting to server" alone; the server's own words, and
/// the system's, are in its source.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => match advice(error).or_else(|| whereabouts(error)) {
            Some(advice) => format!("{error}: {source}; {advice}"),
            None => format!("{error}: {source}"),
        },
        (None, None) => error.to_string(),
    }
}

/// What to look at where nothing answers. Only the text says that it was the connecting that failed.
fn whereabouts(error: &tokio_postgres::Error) -> Option<&'static str> {
    let is_connecting = error.to_string() == "error connecting to server";
    is_connecting.then_some("does PostgreSQL run where DATABASE_URL (or ADMIN_DATABASE_URL) leads?")
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            // What PostgreSQL said when it refused the connection is worth its own kind; the rest was never sent.
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                if error.as_db_error().is_some() {
                    Self::Postgres(error)
                } else {
                    Self::Pool(describe(&error))
                }
            }
            other => Self::Pool(other.to_string()),
        }
    }
}

impl DbError {
    fn db(&self) -> Option<&tokio_postgres::error::DbError> {
        match self {
            Self::Postgres(error) => error.as_db_error(),
            Self::Uncertain(error) => error.db(),
            _ => None,
        }
    }

    /// What it is when a `COMMIT` was on the way. What PostgreSQL has refused it has not committed; an answer that was lost
    /// is another matter.
    pub(super) fn while_committing(self) -> Self {
        let lost = match &self {
            // PostgreSQL says of a crash that it is about to begin anew, and not what has become of anything.
            Self::Postgres(error) => {
                error.as_db_error().is_none_or(|db| *db.code() == SqlState::CRASH_SHUTDOWN)
            }
            Self::Silent => true,
            _ => false,
        };
        if lost { Self::Uncertain(Box::new(self)) } else { self }
    }

    /// Whether the database has stopped answering on a connection that is still open.
    pub(super) fn is_silence(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Uncertain(error) => error.is_silence(),
            _ => false,
        }
    }

    /// Whether this is a violation of the constraint or unique index of this name.
    pub fn violates(&self, constraint: &str) -> bool {
        self.db().is_some_and(|db| db.constraint() == Some(constraint))
    }

    /// What it is when it is the answer to what begins a transaction.
    pub(super) fn while_beginning(error: tokio_postgres::Error) -> Self {
        let code = error.as_db_error().map(tokio_postgres::error::DbError::code);
        if code == Some(&SqlState::LOCK_NOT_AVAILABLE) { Self::HeldUp } else { Self::Postgres(error) }
    }

    /// Whether a table that the statement names does not exist.
    pub fn is_missing_table(&self) -> bool {
        self.db().is_some_and(|db| *db.code() == SqlState::UNDEFINED_TABLE)
    }

    /// Whether the same transaction may well succeed when it is run again: a lost deadlock or serialisation
    /// conflict, or a plan that a migration has made stale.
    pub fn is_transient(&self) -> bool {
        let lost = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        self.db().is_some_and(|db| lost.contains(db.code())) || self.is_stale_plan()
    }

    /// Whether a migration has passed by under a prepared statement: "cached plan must not change result type", or the
    /// plan names a function or a table that was replaced at just this moment.
    pub fn is_stale_plan(&self) -> bool {
        self.db().is_some_and(|db| {
            *db.code() == SqlState::FEATURE_NOT_SUPPORTED
                || *db.code() == SqlState::INTERNAL_ERROR && db.message().starts_with("cache lookup failed")
        })
    }

    /// Whether the database's disk takes nothing more: full, read-only, or broken. Reading may well go on.
    pub fn is_storage_failure(&self) -> bool {
        let codes = [SqlState::DISK_FULL, SqlState::IO_ERROR, SqlState::READ_ONLY_SQL_TRANSACTION];
        self.db().is_some_and(|db| {
            // PostgreSQL takes a read-only disk for a lack of rights.
            codes.contains(db.code()) || db.message().ends_with("Read-only file system")
        })
    }

    /// Whether the database is away or overloaded, as opposed to having refused something.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Silent | Self::Stopping | Self::Uncertain(_) => true,
            Self::Postgres(error) => match error.as_db_error() {
                // Class 57P: shutting down or starting up.
                Some(db) => {
                    db.code().code().starts_with("57P")
                        || [
                            SqlState::TOO_MANY_CONNECTIONS,
                            SqlState::LOCK_NOT_AVAILABLE,
                            // The statement timeout.
                            SqlState::QUERY_CANCELED,
                        ]
                        .contains(db.code())
                }
                None => error.is_closed() || is_io(error),
            },
            _ => false,
        }
    }

    /// Whether a change may have been made all the same. Whatever was lost before its `COMMIT` was sent is taken back, and of
    /// what only reads nothing can have come.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Uncertain(_))
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|source| source.is::<std::io::Error>())
}
