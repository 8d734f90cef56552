//! From a backup to a cluster that a server can start on, in a directory where nothing is.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use loopctl_postgres::{EmbeddedOptions, Tools};
use tokio::task::spawn_blocking;
use tokio_postgres::{Client, IsolationLevel};

use super::archive::{Archive, Manifest};
use super::{BackupError, Found, Tell, count};
use crate::config::{Database, DatabaseOptions};
use crate::db::APP_ROLE;
use crate::db::migrate::{connect, newest_version};
use crate::operator::check::check_and_tell;
use crate::operator::reencrypt;
use crate::secrets::{KEY_FILE, KeyError, Keys, Vault};

/// Restores a backup into a cluster of its own, brings its schema up to date, and looks whether all is there and as it should be. The
/// cluster is stopped afterwards.
pub(super) async fn bring_back(
    mut archive: Archive,
    options: &EmbeddedOptions,
    keys: Keys,
    tell: &Tell,
) -> Result<Found, BackupError> {
    tell("reading the backup");
    let archive = spawn_blocking(move || archive.verify().map(|()| archive)).await;
    let archive = archive.map_err(|_| BackupError::Interrupted)??;
    let tools = fitting(&archive.manifest, options)?;
    let database = Database::start(options).await?;
    let found = fill(&database, tools, archive, options, keys, tell).await;
    let closed = database.close().await;
    let found = found?;
    closed?;
    Ok(found)
}

/// The programs that read this backup.
fn fitting(manifest: &Manifest, options: &EmbeddedOptions) -> Result<Tools, BackupError> {
    let Manifest { schema, postgres, loopctl, .. } = manifest;
    if *schema > newest_version() {
        let message = format!(
            "the backup was made by loopctl {loopctl}, which is newer than this one: restore it with that"
        );
        return Err(BackupError::Refused(message));
    }
    let tools = Tools::of(options)?;
    if *postgres > tools.major() {
        let message = format!(
            "the backup was made with PostgreSQL {postgres}, and this is {}: install PostgreSQL {postgres}, or set LOOPCTL_PG_BIN \
             to its programs",
            tools.major()
        );
        return Err(BackupError::Refused(message));
    }
    Ok(tools)
}

async fn fill(
    database: &Database,
    tools: Tools,
    mut archive: Archive,
    options: &EmbeddedOptions,
    keys: Keys,
    tell: &Tell,
) -> Result<Found, BackupError> {
    database.create().await?;
    let mut client = connect(&database.owner).await?;
    // Rights are granted to it, and roles are of the cluster, not of the database.
    client.batch_execute(&format!("create role {APP_ROLE} nologin")).await?;
    tell("restoring");
    let (owner, manifest) = (database.owner.clone(), archive.manifest.clone());
    let brings_key = archive.key.is_some();
    if let Some(key) = &archive.key {
        write_key(&options.data_dir, key)?;
    }
    let path = options.data_dir.clone();
    let work = move || {
        let mut dump = archive.dump().map_err(|source| BackupError::io("read", &path, source))?;
        tools.restore(&owner, &mut dump).map_err(|error| BackupError::of_tool(error, "read", &path))
    };
    spawn_blocking(work).await.map_err(|_| BackupError::Interrupted)??;
    tell("counting");
    compare(&mut client, &manifest).await?;
    tell("bringing the schema up to date");
    database.prepare().await?;
    // Plans are made from statistics, and those are not in a backup.
    client.batch_execute("analyze").await?;
    let check = check_and_tell(&database.owner, None, |checked| {
        tell(&format!("checking: {} entries of the log", checked.log_entries));
    });
    let check = check.await?;
    let secrets = secrets(database, options, keys).await?;
    if !brings_key {
        // One that was made for want of another, and that nothing needs: a server makes its own.
        let _ = fs::remove_file(options.data_dir.join(KEY_FILE));
    }
    Ok(Found::of(check, secrets))
}

/// Whether as many rows are there as were in each table.
async fn compare(client: &mut Client, manifest: &Manifest) -> Result<(), BackupError> {
    let seen = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let restored = count(&seen.start().await?).await?;
    let tables = manifest.rows.keys().chain(restored.keys());
    for table in tables {
        let of = |rows: &super::Rows| rows.get(table).copied().unwrap_or_default();
        let (had, restored) = (of(&manifest.rows), of(&restored));
        if had != restored {
            return Err(BackupError::Lost { table: table.clone(), had, restored });
        }
    }
    Ok(())
}

/// How many secrets can be read, and how many cannot.
async fn secrets(
    database: &Database,
    options: &EmbeddedOptions,
    keys: Keys,
) -> Result<(u64, u64), BackupError> {
    let place = DatabaseOptions::Embedded(options.clone());
    let vault = match Vault::of(&keys, &place, &database.owner).await {
        Err(KeyError::Lost { sealed, .. }) => return Ok((0, sealed.unsigned_abs())),
        vault => vault?,
    };
    let read = reencrypt(&database.owner, &vault, true, |_| {}).await?;
    Ok((read.current + read.reencrypted, read.unreadable))
}

fn write_key(dir: &Path, key: &str) -> Result<(), BackupError> {
    let path = dir.join(KEY_FILE);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(key.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| BackupError::io("write", &path, source))
}
