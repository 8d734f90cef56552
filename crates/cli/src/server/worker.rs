//! `loopctl worker`: background jobs and deliveries without a server.

use clap::Args;
use loopctl_server::Settings;
use loopctl_server::serve::{WorkOptions, work};

use super::extraction::ExtractionArguments;
use super::webhooks::WebhookArguments;
use super::{DatabaseArguments, Failure, Log, secrets};

/// What background jobs are told, and what is logged: the same options for `serve` and `worker`.
#[derive(Debug, Args)]
pub(super) struct WorkArguments {
    /// For how many days the audit log is kept, in whole months
    #[arg(long, env = "AUDIT_RETENTION_DAYS", value_name = "DAYS", default_value_t = Settings::default().audit_retention_days,
          value_parser = clap::value_parser!(u16).range(1..=36500))]
    audit_retention_days: u16,
    /// For how many days it is known which articles were read
    #[arg(long, env = "LOOPCTL_ACCESS_RETENTION_DAYS", value_name = "DAYS",
          default_value_t = Settings::default().access_retention_days, value_parser = clap::value_parser!(u16).range(365..=36500))]
    access_retention_days: u16,
    /// What to log: error, warn, info, debug, trace, off, or a filter such as `loopctl_server=debug`
    #[arg(long, env = "LOOPCTL_LOG", value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
}

impl WorkArguments {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            audit_retention_days: self.audit_retention_days,
            access_retention_days: self.access_retention_days,
        }
    }
}

/// `loopctl worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    webhooks: WebhookArguments,
    #[command(flatten)]
    extraction: ExtractionArguments,
    #[command(flatten)]
    work: WorkArguments,
}

/// Does background jobs until a signal.
pub(crate) async fn run(arguments: &WorkerArguments) -> Result<(), Failure> {
    let _log = Log::start(&arguments.work.log)?;
    let options = WorkOptions {
        database: arguments.database.options()?,
        settings: arguments.work.settings(),
        webhooks: arguments.webhooks.policy().map_err(Failure::Setting)?,
        deliveries: arguments.webhooks.deliveries(),
        keys: secrets::keys()?,
        extraction: arguments.extraction.options().map_err(Failure::Setting)?,
    };
    work(&options).await.map_err(Failure::Serve)
}
