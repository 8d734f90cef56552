//! `loopctl worker`: background jobs and deliveries to webhooks alone, for a database that others serve.

use std::sync::Arc;

use loopctl_core::webhooks::Policy;
use tokio::signal::unix::{SignalKind, signal};

use super::{DeliveryOptions, ServeError, check_schema, extraction, knowledge};
use crate::VERSION;
use crate::app::{App, Parts};
use crate::config::{Database, DatabaseOptions};
use crate::db::DEADLINE;
use crate::jobs::{Alone, Pace};
use crate::knowledge::embeddings::EmbeddingOptions;
use crate::knowledge::extraction::ExtractionOptions;
use crate::schedule::{Settings, Tools, kinds_with};
use crate::secrets::{Keys, Vault};
use crate::webhooks::keep_delivering;

/// What `worker` needs to know.
#[derive(Debug, Clone)]
pub struct WorkOptions {
    /// The database.
    pub database: DatabaseOptions,
    /// What background jobs are told.
    pub settings: Settings,
    /// Where webhooks may lead.
    pub webhooks: Policy,
    /// How webhooks are delivered to.
    pub deliveries: DeliveryOptions,
    /// What secrets are encrypted with.
    pub keys: Keys,
    /// How drafts are made of texts.
    pub extraction: ExtractionOptions,
    /// Who makes out what texts mean.
    pub embeddings: EmbeddingOptions,
}

/// Does background jobs until SIGINT or SIGTERM.
///
/// # Errors
/// See [`ServeError`].
pub async fn work(options: &WorkOptions) -> Result<(), ServeError> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let begin = async {
        let database = Database::attach(&options.database).await?;
        database.check_direct().await?;
        let alone = Alone::new(&database)?;
        check_schema(alone.db()).await?;
        let extraction = extraction(&options.extraction)?;
        let (owner, knowledge, jobs) =
            (database.owner.clone(), knowledge(&options.embeddings)?, alone.queue.clone());
        let kinds = kinds_with(options.settings, &knowledge);
        let tools = |db| Tools { db, owner, extraction, knowledge, jobs };
        let vault = Vault::of(&options.keys, &options.database, &database.owner).await?;
        let (life, admin) = (alone.life().clone(), database.admin_pool(DEADLINE, alone.life().clone())?);
        // Nobody calls it.
        let nowhere = Arc::from("");
        let app = App::from(Parts {
            webhook_policy: options.webhooks.clone(),
            ..Parts::new(alone.db().clone(), alone.db().clone(), admin, vault, nowhere, life)
        });
        alone.begin(&database, kinds, tools, Pace::default(), true);
        alone.life().spawn(keep_delivering(app, options.deliveries.clone()));
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
