//! Poolers that lend a connection to others between transactions (PgBouncer's `pool_mode=transaction`). Behind one nobody hears of
//! changes, locks of a session are somebody else's a moment later, settings are lost, and prepared statements are not there. Nothing
//! of that fails at once, so it is looked for before anything is served.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::migrate::connect as open;
use super::{DbError, Login, line};

/// Why a database is not worked on.
#[derive(Debug, thiserror::Error)]
pub enum NotDirect {
    /// The database cannot be asked.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The settings of a session do not arrive.
    #[error(
        "what stands between loopctl and PostgreSQL does not hand on the settings of a session (lock_timeout, statement_timeout, \
         idle_in_transaction_session_timeout): connect to PostgreSQL itself, and not to a pooler{}",
        .0.as_ref().map_or_else(String::new, |said| format!(" ({said})"))
    )]
    SettingsLost(Option<String>),
    /// Two sessions are one.
    #[error(
        "a pooler in transaction mode stands between loopctl and PostgreSQL: two connections of ours were the same one there. Connect \
         to PostgreSQL itself, or to a pooler in session mode"
    )]
    Lent,
}

/// How often it is looked whether two connections are one: a pooler hands out the one that came back last, unless somebody else was
/// quicker.
const LOOKS: usize = 5;

/// What the settings of a session are, and as what PostgreSQL shows those that we ask for.
const SETTINGS: &str = "select current_setting('lock_timeout'), current_setting('statement_timeout'),
    current_setting('idle_in_transaction_session_timeout')";
const AS_WANTED: [&str; 3] = ["10s", "1min", "1min"];

/// Which connection of which PostgreSQL it is: of several hosts two may have the same number.
const WHICH: &str = "select pg_backend_pid(), pg_postmaster_start_time()";

/// Looks whether connections of this login are ours for as long as we have them, and are as we want them.
///
/// # Errors
/// See [`NotDirect`].
pub async fn check_direct(login: &Login) -> Result<(), NotDirect> {
    let mut login = login.clone();
    login.begin_sessions_as_wanted();
    let first = connect(&login).await?;
    let found = ask(&first, SETTINGS).await?;
    if found != AS_WANTED {
        return Err(NotDirect::SettingsLost(None));
    }
    let second = connect(&login).await?;
    for _ in 0..LOOKS {
        if ask(&first, WHICH).await? == ask(&second, WHICH).await? {
            return Err(NotDirect::Lent);
        }
    }
    Ok(())
}

/// PgBouncer refuses what it does not know.
async fn connect(login: &Login) -> Result<Client, NotDirect> {
    open(login).await.map_err(|error| match &error {
        DbError::Postgres(refused) => match refused.as_db_error() {
            Some(told)
                if *told.code() == SqlState::PROTOCOL_VIOLATION
                    && told.message().contains("startup parameter") =>
            {
                NotDirect::SettingsLost(Some(told.message().to_owned()))
            }
            _ => error.into(),
        },
        _ => error.into(),
    })
}

/// What a row of text says. Nothing is prepared for it, which some poolers cannot.
async fn ask(client: &Client, sql: &str) -> Result<Vec<String>, DbError> {
    let answers = line::in_time(line::CONNECT, client.simple_query(sql)).await??;
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or_else(|| DbError::Unexpected("no row".to_owned()))?;
    Ok((0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect())
}
