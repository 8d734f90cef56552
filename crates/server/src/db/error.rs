//! What can go wrong between the server and PostgreSQL.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// A database failure. It reaches clients as 503 or 500 without its text; the text goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection: the database is away, or every connection is busy for too long.
    #[error("no database connection: {0}")]
    Pool(String),
    /// PostgreSQL refused a statement, or the connection broke.
    #[error("database: {}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The database answered something that the code did not expect.
    #[error("unexpected database answer: {0}")]
    Unexpected(String),
}

/// `tokio_postgres::Error` prints as "db error" or "error connecting to server" alone; the server's own words, and
/// the system's, are in its source.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            other => Self::Pool(other.to_string()),
        }
    }
}

impl DbError {
    fn db(&self) -> Option<&tokio_postgres::error::DbError> {
        match self {
            Self::Postgres(error) => error.as_db_error(),
            Self::Pool(_) | Self::Unexpected(_) => None,
        }
    }

    /// Whether this is a violation of the constraint or unique index of this name.
    pub fn violates(&self, constraint: &str) -> bool {
        self.db().is_some_and(|db| db.constraint() == Some(constraint))
    }

    /// Whether the same transaction may well succeed when it is run again.
    pub fn is_transient(&self) -> bool {
        self.db().is_some_and(|db| {
            [
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::T_R_SERIALIZATION_FAILURE,
            ]
            .contains(db.code())
        })
    }

    /// Whether the database is away, as opposed to having refused something.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Pool(_) => true,
            Self::Postgres(error) => error
                .as_db_error()
                // Class 57P: the server is shutting down or starting up; 53300: too many connections.
                .is_none_or(|db| db.code().code().starts_with("57P") || db.code().code() == "53300"),
            Self::Unexpected(_) => false,
        }
    }
}
