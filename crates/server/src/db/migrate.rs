//! Schema migrations, forward only.

use std::time::Duration;

use tokio_postgres::Client;

use super::{DbError, Login, NotDirect, line};

#[allow(missing_docs, unreachable_pub)]
mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Any number will do as long as every loopctl uses the same.
const MIGRATION_LOCK: i64 = 0x006c_6f6f_7063_746c;

/// How long PostgreSQL may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(30);

/// The oldest PostgreSQL that has what the schema uses.
const OLDEST_POSTGRES: i32 = 150_000;

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is not to be reached or refused a statement.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Two sessions would be one, or settings be lost.
    #[error(transparent)]
    NotDirect(#[from] NotDirect),
    /// A migration failed; it was rolled back.
    #[error("migration failed: {}", reason(.0))]
    Migration(#[from] refinery::Error),
    /// The server is too old.
    #[error("PostgreSQL {found} is too old: loopctl needs 15 or newer")]
    TooOld {
        /// `server_version` of the server.
        found: String,
    },
    /// The login may not do what migrations must do.
    #[error(
        "the database user {user} is neither superuser nor BYPASSRLS: run migrations with the admin connection \
         (ADMIN_DATABASE_URL), e.g. after `ALTER ROLE {user} BYPASSRLS CREATEROLE`"
    )]
    NotPrivileged {
        /// The login.
        user: String,
    },
}

/// Which migration, and what the database said: the end of the chain of causes.
fn reason(error: &refinery::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{error}: {cause}")
}

/// The version of the schema that this binary was made for.
pub fn newest_version() -> i32 {
    let versions =
        embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max();
    versions.unwrap_or_default()
}

/// Connects with an owner's login and brings the schema up to date. Two at once take turns.
/// Returns the names of the migrations applied now, oldest first. `app_user` is the login of the application pool, which may become `loopctl_app`.
///
/// # Errors
/// See [`MigrateError`].
pub async fn migrate(login: &Login, app_user: Option<&str>) -> Result<Vec<String>, MigrateError> {
    let mut client = connect(login).await?;
    check(&client).await?;
    client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.map_err(DbError::from)?;
    let report = embedded::migrations::runner().set_grouped(false).run_async(&mut client).await?;
    client
        .batch_execute("grant select on refinery_schema_history to loopctl_app")
        .await
        .map_err(DbError::from)?;
    add_partitions(&client).await?;
    if let Some(user) = app_user.filter(|user| *user != "loopctl_app") {
        let quoted = user.replace('"', "\"\"");
        client.batch_execute(&format!("grant loopctl_app to \"{quoted}\"")).await.map_err(DbError::from)?;
    }
    // The lock goes with the connection.
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Partitions are not a migration: time creates the need for them. What cannot be had, because somebody has been reading the
/// log for long, is no reason not to start: there are others for months, and the next run tries again.
async fn add_partitions(client: &Client) -> Result<(), DbError> {
    let row = client.query_one("select ensure_audit_partitions(3) as missing", &[]).await?;
    let missing: Vec<String> = column(&row, "missing")?;
    if !missing.is_empty() {
        let names = missing.join(", ");
        tracing::warn!(
            "the log is being read, so it did not get {names}; the next start or `loopctl migrate` tries again"
        );
    }
    Ok(())
}

async fn check(client: &Client) -> Result<(), MigrateError> {
    let row = client
        .query_one(
            "select current_user::text as name, rolsuper or rolbypassrls as privileged,
                    current_setting('server_version_num')::int as version, current_setting('server_version') as found
             from pg_roles where rolname = current_user",
            &[],
        )
        .await
        .map_err(DbError::from)?;
    let (version, found): (i32, String) = (column(&row, "version")?, column(&row, "found")?);
    if version < OLDEST_POSTGRES {
        return Err(MigrateError::TooOld { found });
    }
    if !column::<bool>(&row, "privileged")? {
        return Err(MigrateError::NotPrivileged { user: column(&row, "name")? });
    }
    Ok(())
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a tokio_postgres::Row,
    name: &str,
) -> Result<T, DbError> {
    Ok(row.try_get(name)?)
}

/// Whether a login sees the rows of all tenants, row-level security or not.
///
/// # Errors
/// When the database is not to be reached.
pub async fn is_above_tenants(login: &Login) -> Result<bool, DbError> {
    let sql = "select rolsuper or rolbypassrls as above from pg_roles where rolname = current_user";
    column(&connect(login).await?.query_one(sql, &[]).await?, "above")
}

/// One connection outside the pool, for the owner's work.
///
/// # Errors
/// When the database is not to be reached or refuses the login.
pub async fn connect(login: &Login) -> Result<Client, DbError> {
    let mut login = login.clone();
    line::watch(&mut login);
    let (client, _driven) = line::in_time(PATIENCE, line::dial(&login, &login)).await??;
    Ok(client)
}
