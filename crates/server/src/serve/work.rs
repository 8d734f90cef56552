//! `loopctl worker`: background jobs alone, for a database that others serve.

use tokio::signal::unix::{SignalKind, signal};

use super::{ServeError, check_schema};
use crate::VERSION;
use crate::config::{Database, DatabaseOptions};
use crate::jobs::{Alone, Pace};
use crate::schedule::{Settings, Tools, kinds};

/// What `worker` needs to know.
#[derive(Debug, Clone)]
pub struct WorkOptions {
    /// The database.
    pub database: DatabaseOptions,
    /// What background jobs are told.
    pub settings: Settings,
}

/// Does background jobs until SIGINT or SIGTERM.
///
/// # Errors
/// See [`ServeError`].
pub async fn work(options: &WorkOptions) -> Result<(), ServeError> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let begin = async {
        let database = Database::attach(&options.database).await?;
        let alone = Alone::new(&database)?;
        check_schema(alone.db()).await?;
        let tools = Tools { db: alone.db().clone(), owner: database.owner.clone() };
        alone.begin(&database, kinds(options.settings), tools, Pace::default(), true);
        Ok::<_, ServeError>(alone)
    };
    let alone = tokio::select! {
        begun = begin => begun?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    tracing::info!(version = VERSION, "the worker is ready");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: jobs under way may come to their end");
    alone.stop().await;
    Ok(())
}
