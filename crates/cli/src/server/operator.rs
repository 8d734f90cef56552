//! `loopctl operator …`: what an operator does with access to the database.

use clap::Subcommand;
use loopctl_server::operator::{
    Check, check_and_tell, check_links, create_superadmin_key, create_tenant, list_superadmin_keys,
    revoke_superadmin_key, scan_violators, verify_log,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{DatabaseArguments, Failure, close, jobs, open, secrets};
use crate::progress;

/// `loopctl operator …`.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Superadmin keys
    #[command(subcommand)]
    Superadmin(SuperadminCommand),
    /// Secrets in the database
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Background jobs
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// The log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Records that ought not to be there
    #[command(subcommand)]
    Violators(ViolatorsCommand),
    /// The public wiki
    #[command(subcommand)]
    Wiki(WikiCommand),
    /// Compare what is kept of readiness, sums and the log with what it should be (exit 1 when it differs)
    Check(DatabaseArguments),
}

/// `loopctl operator audit …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Look through the log: that no position is missing, and that each entry is what its hash says (exit 1 when something differs)
    Verify {
        #[command(flatten)]
        database: DatabaseArguments,
        /// Only that of this tenant: id or slug
        #[arg(long, value_name = "REF")]
        tenant: Option<String>,
    },
    /// The same as `violators scan`
    DiscoverViolators(DatabaseArguments),
}

/// `loopctl operator violators …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ViolatorsCommand {
    /// Look for records that ought not to be there, for superadmins to see to (exit 1 when some wait for that)
    Scan(DatabaseArguments),
}

/// `loopctl operator wiki …`.
#[derive(Debug, Subcommand)]
pub(crate) enum WikiCommand {
    /// Follow all links into the wiki, and what refusals say that there is to read (exit 1 when one leads nowhere)
    CheckLinks(DatabaseArguments),
}

/// `loopctl operator secrets …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Encrypt all secrets with the current key (exit 1 when one cannot be read)
    #[command(after_help = secrets::KEYS)]
    Reencrypt {
        #[command(flatten)]
        database: DatabaseArguments,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// `loopctl operator tenant …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant with its first user key
    Create {
        #[command(flatten)]
        database: DatabaseArguments,
        /// Its name
        #[arg(long)]
        name: String,
        /// Its slug: lower-case letters, digits and hyphens
        #[arg(long)]
        slug: String,
        /// The address of whoever is responsible for it
        #[arg(long)]
        email: String,
    },
}

/// `loopctl operator superadmin …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SuperadminCommand {
    /// Create a superadmin key
    CreateKey {
        #[command(flatten)]
        database: DatabaseArguments,
        /// What the key is for
        #[arg(long)]
        name: String,
    },
    /// List superadmin keys, those that are revoked as well
    ListKeys(DatabaseArguments),
    /// Revoke a superadmin key
    RevokeKey {
        #[command(flatten)]
        database: DatabaseArguments,
        /// Id of the key
        id: Uuid,
    },
}

/// Runs an operator command. Its result is JSON.
pub(crate) async fn run(command: &OperatorCommand) -> Result<Value, Failure> {
    match command {
        OperatorCommand::Jobs(command) => jobs::run(command).await,
        OperatorCommand::Tenant(TenantCommand::Create { database, name, slug, email }) => {
            let database = open(database).await?;
            let created = create_tenant(&database.owner, name, slug, email).await;
            let created = created.map(|(tenant, key)| json!({"tenant": tenant, "api_key": key}));
            close(database, created.map_err(Failure::Operator)).await
        }
        OperatorCommand::Superadmin(SuperadminCommand::CreateKey { database, name }) => {
            let database = open(database).await?;
            let created = create_superadmin_key(&database.owner, name).await;
            let created = created.map(|key| json!({"api_key": key}));
            close(database, created.map_err(Failure::Operator)).await
        }
        OperatorCommand::Superadmin(SuperadminCommand::ListKeys(arguments)) => {
            let database = open(arguments).await?;
            let keys = list_superadmin_keys(&database.owner).await.map(|keys| json!({"api_keys": keys}));
            close(database, keys.map_err(Failure::Operator)).await
        }
        OperatorCommand::Superadmin(SuperadminCommand::RevokeKey { database, id }) => {
            let database = open(database).await?;
            let revoked = revoke_superadmin_key(&database.owner, *id).await;
            let revoked = revoked.map(|key| json!({"api_key": key}));
            close(database, revoked.map_err(Failure::Operator)).await
        }
        OperatorCommand::Secrets(SecretsCommand::Reencrypt { database: arguments, dry_run }) => {
            let keys = secrets::keys()?;
            let database = open(arguments).await?;
            let done = secrets::reencrypt(&arguments.options()?, &database, &keys, *dry_run).await;
            close(database, done).await
        }
        OperatorCommand::Audit(AuditCommand::Verify { database, tenant }) => {
            let database = open(database).await?;
            let bar = progress::counting("entries of the log");
            let looked = |entries: i64| bar.set_position(entries.unsigned_abs());
            let verified = verify_log(&database.owner, tenant.as_deref(), looked).await;
            bar.finish_and_clear();
            let verified = verified.map(|log| json!({"audit": log}));
            close(database, verified.map_err(Failure::Operator)).await
        }
        OperatorCommand::Violators(ViolatorsCommand::Scan(arguments))
        | OperatorCommand::Audit(AuditCommand::DiscoverViolators(arguments)) => {
            let database = open(arguments).await?;
            let bar = progress::waiting("looking through all tenants");
            let scan = scan_violators(&database.owner, None).await.map(|scan| json!({"scan": scan}));
            bar.finish_and_clear();
            close(database, scan.map_err(Failure::Operator)).await
        }
        OperatorCommand::Wiki(WikiCommand::CheckLinks(arguments)) => {
            let database = open(arguments).await?;
            let bar = progress::waiting("following links");
            let checked = check_links(&database.owner).await.map(|links| json!({"wiki": links}));
            bar.finish_and_clear();
            close(database, checked.map_err(|error| Failure::Operator(error.into()))).await
        }
        OperatorCommand::Check(arguments) => {
            let database = open(arguments).await?;
            let bar = progress::counting("entries of the log");
            let looked = |check: &Check| bar.set_position(check.log_entries.unsigned_abs());
            let checked = check_and_tell(&database.owner, None, looked).await;
            bar.finish_and_clear();
            let checked = checked.map(|check| json!({"check": check}));
            close(database, checked.map_err(Failure::Operator)).await
        }
    }
}
