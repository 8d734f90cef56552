//! Tests wait for what they are told, and not for a while.

use std::time::Duration;

use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use super::{connect, server};

/// Waits until somebody waits for what this connection has locked.
pub(crate) async fn somebody_waits_for(locker: &impl GenericClient) {
    let pid: i32 = locker.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let watcher = connect(&server().owner).await;
    let sql = "select exists (select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)))";
    until_true("somebody waits", PATIENCE, &watcher, sql, &[&pid]).await;
}

/// Waits until what is asked of the database is so.
pub(crate) async fn until_true(
    what: &str,
    patience: Duration,
    client: &impl GenericClient,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) {
    let waiting = async {
        while !client.query_one(sql, params).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Waits for something that is not in the database.
pub(crate) async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let waiting = async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// How long anything may take that ought to take a moment. Only what hangs takes longer, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// For as long as a server may go by what it had read of a key before somebody else changed it.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// Waits until every server has noticed what was changed in the database.
pub(crate) async fn a_moment() {
    tokio::time::sleep(BOUND).await;
}
