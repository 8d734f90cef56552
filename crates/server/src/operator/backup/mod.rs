//! A backup of the private cluster, and the way back. Servers go on meanwhile: what is written down is what one transaction sees.
//!
//! It is what `pg_dump` makes, not a copy of the cluster's files: a newer PostgreSQL reads it, and one of yours does; damage is noticed
//! while it is read; and nothing has to be configured on the cluster for it.

mod archive;
mod bring_back;
mod place;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use loopctl_postgres::{EmbeddedError, EmbeddedOptions, ToolError, Tools, has_cluster};
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use tokio_postgres::{IsolationLevel, Transaction};
use zeroize::Zeroizing;

use self::archive::{Archive, Manifest, Moment, Rows};
use self::bring_back::bring_back;
use self::place::{Place, Scratch};
use super::check::Check;
use super::{Difference, OperatorError};
use crate::config::{APPLICATION, Database, OpenError};
use crate::db::DbError;
use crate::db::migrate::connect;
use crate::secrets::{KeyError, Keys, key_of};

/// Says what is being done.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Why there is no backup, or none was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The private cluster, or its database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The check of what was restored.
    #[error(transparent)]
    Check(#[from] OperatorError),
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file or a directory.
    #[error("cannot {action} {}: {source}; see to the permissions and the free space there", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was asked for is not to be done like this.
    #[error("{0}")]
    Refused(String),
    /// Something else than a backup, or a part of one.
    #[error("{} is not a whole backup of loopctl: take another one", path.display())]
    NotABackup {
        /// Which file.
        path: PathBuf,
    },
    /// A backup that has changed since it was made.
    #[error("{} is damaged: it is not what was written when it was made; take another one", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// What came out of a backup is not what went in.
    #[error(
        "the table {table} had {had} rows when the backup was made, and {restored} are restored: make another backup"
    )]
    Lost {
        /// Which table.
        table: String,
        /// How many rows it had.
        had: i64,
        /// How many came back.
        restored: i64,
    },
    /// The thread that did the work is gone, which is a defect of loopctl.
    #[error("a worker thread ended early: try again, and report this as a defect if it comes back")]
    Interrupted,
}

impl BackupError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    fn of_tool(error: ToolError, action: &'static str, path: &Path) -> Self {
        match error {
            ToolError::Embedded(error) => error.into(),
            ToolError::Transfer(source) => Self::io(action, path, source),
        }
    }
}

impl From<EmbeddedError> for BackupError {
    fn from(error: EmbeddedError) -> Self {
        Self::Open(error.into())
    }
}

impl From<tokio_postgres::Error> for BackupError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(error.into())
    }
}

/// How a backup is made.
#[derive(Debug)]
pub struct BackupOptions {
    /// Of which cluster.
    pub cluster: EmbeddedOptions,
    /// The file, or the directory of it; none: the current one.
    pub out: Option<PathBuf>,
    /// Whether a file of this name is replaced.
    pub force: bool,
    /// Whether the key file goes along, without which secrets cannot be read.
    pub with_key: bool,
    /// Whether it is restored once, and looked at.
    pub verify: bool,
    /// The keys of the environment, with which secrets are tried.
    pub keys: Keys,
}

/// A backup that was made.
#[derive(Debug, Serialize)]
pub struct Backup {
    /// Where it is.
    pub file: PathBuf,
    /// How large it is.
    pub bytes: u64,
    /// What is in it.
    #[serde(flatten)]
    pub holds: Holds,
    /// `included`, `left_out`, or `none`: there was no key file.
    pub key: &'static str,
    /// Whether it was restored, and compared with what it was made of.
    pub verified: bool,
    /// What was found when it was restored.
    #[serde(flatten)]
    pub found: Option<Found>,
}

/// What a backup holds.
#[derive(Debug, Serialize)]
pub struct Holds {
    /// Of which moment it is.
    pub taken_at: String,
    /// The version of the schema.
    pub schema: i32,
    /// How many tenants.
    pub tenants: i64,
    /// How many stories.
    pub stories: i64,
    /// How many entries of the log.
    pub log_entries: i64,
}

impl Holds {
    fn of(manifest: &Manifest) -> Self {
        let of = |table: &str| manifest.rows.get(table).copied().unwrap_or_default();
        // Each month of the log is a table.
        let log = manifest.rows.iter().filter(|(table, _)| table.starts_with("audit_log_"));
        Self {
            taken_at: manifest.taken_at.clone(),
            schema: manifest.schema,
            tenants: of("tenants"),
            stories: of("stories"),
            log_entries: log.map(|(_, rows)| rows).sum(),
        }
    }
}

/// What was found in a database that was restored.
#[derive(Debug, Serialize)]
pub struct Found {
    /// How many secrets can be read, with the key that is in the backup and those of the environment.
    pub secrets_readable: u64,
    /// How many cannot.
    pub secrets_unreadable: u64,
    /// How many records are kept otherwise than they should be.
    pub different: i64,
    /// The first 100 of them.
    pub differences: Vec<Difference>,
}

impl Found {
    fn of(check: Check, secrets: (u64, u64)) -> Self {
        Self {
            secrets_readable: secrets.0,
            secrets_unreadable: secrets.1,
            different: check.different,
            differences: check.differences,
        }
    }
}

/// Makes a backup, beside a server at work or by itself. It gets its name when it is complete and, unless that is left out, has been
/// restored once.
///
/// # Errors
/// Then there is no file, or the one that was there.
pub async fn back_up(options: BackupOptions, tell: &Tell) -> Result<Backup, BackupError> {
    let BackupOptions { cluster, out, force, with_key, verify, keys } = options;
    if !has_cluster(&cluster)? {
        let message = format!(
            "there is no loopctl data in {}: name its directory with --data-dir",
            cluster.data_dir.display()
        );
        return Err(BackupError::Refused(message));
    }
    let path = place::file(out)?;
    if !force && path.exists() {
        let message = format!("{} is there already: name another file, or say --force", path.display());
        return Err(BackupError::Refused(message));
    }
    let dir = place::parent(&path);
    // Its mode is 0600.
    let unfinished = tempfile::Builder::new().prefix(".loopctl-backup-").tempfile_in(dir);
    let mut unfinished = unfinished.map_err(|source| BackupError::io("create a file in", dir, source))?;

    tell("opening the database");
    let tools = Tools::of(&cluster)?;
    let database = Database::open_as_it_is(&cluster).await?;
    let key = key_of(&cluster.data_dir)?;
    let word = match &key {
        Some(_) if with_key => "included",
        Some(_) => "left_out",
        None => "none",
    };
    // What it is restored with for a look; what was unpacked in its own directory is seen from nowhere else.
    let programs = tools.bin_dir().to_owned();
    let written = write(&database, tools, &mut unfinished, key.filter(|_| with_key), &path, tell).await;
    let closed = database.close().await;
    let manifest = written?;
    closed?;

    let found = if verify { Some(verified(&unfinished, programs, keys, tell).await?) } else { None };
    let bytes =
        unfinished.as_file().metadata().map_err(|source| BackupError::io("read", &path, source))?.len();
    let kept = if force { unfinished.persist(&path) } else { unfinished.persist_noclobber(&path) };
    kept.map_err(|error| BackupError::io("create", &path, error.error))?;
    place::sync(dir)?;
    Ok(Backup { file: path, bytes, holds: Holds::of(&manifest), key: word, verified: verify, found })
}

/// Writes what a transaction sees to a file that has no name yet.
async fn write(
    database: &Database,
    tools: Tools,
    unfinished: &mut NamedTempFile,
    key: Option<Zeroizing<String>>,
    path: &Path,
    tell: &Tell,
) -> Result<Manifest, BackupError> {
    let mut client = connect(&database.owner).await?;
    let seen = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let seen = seen.start().await?;
    let snapshot: String = seen.query_one("select pg_export_snapshot()", &[]).await?.try_get(0)?;
    tell("counting");
    let moment = Moment {
        schema: schema(&seen).await?,
        postgres: tools.major(),
        taken_at: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        rows: count(&seen).await?,
    };
    let failed = |source| BackupError::io("write", path, source);
    let mut file = unfinished.as_file().try_clone().map_err(failed)?;
    let (owner, told, path) = (database.owner.clone(), Arc::clone(tell), path.to_owned());
    let work = move || {
        let dump = |to: &mut dyn Write| {
            let mut to = place::Told::new(to, told.as_ref(), "written");
            tools.dump(&owner, &snapshot, &mut to).map(drop)
        };
        archive::write(&mut file, moment, key.as_ref().map(|key| key.as_str()), dump)
            .map_err(|error| BackupError::of_tool(error, "write", &path))
    };
    let manifest = spawn_blocking(work).await.map_err(|_| BackupError::Interrupted)??;
    // It was open for the snapshot alone.
    seen.rollback().await?;
    Ok(manifest)
}

async fn schema(seen: &Transaction<'_>) -> Result<i32, BackupError> {
    let known =
        seen.query_one("select to_regclass('public.refinery_schema_history') is not null", &[]).await?;
    let newest = "select max(version) from refinery_schema_history";
    let version: Option<i32> =
        if known.try_get(0)? { seen.query_one(newest, &[]).await?.try_get(0)? } else { None };
    version.ok_or_else(|| {
        BackupError::Refused("there is nothing in this database yet: `loopctl serve` prepares it".to_owned())
    })
}

/// How many rows each table has of which all is written down.
async fn count(seen: &Transaction<'_>) -> Result<Rows, BackupError> {
    let tables = "select relname::text, quote_ident(relname) from pg_class
                  where relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence = 'p' order by 1";
    let mut rows = Rows::new();
    for table in seen.query(tables, &[]).await? {
        let (name, quoted): (String, String) = (table.try_get(0)?, table.try_get(1)?);
        let counted = seen.query_one(&format!("select count(*) from only public.{quoted}"), &[]).await?;
        rows.insert(name, counted.try_get(0)?);
    }
    Ok(rows)
}

/// Restores what was written into a directory that goes again.
async fn verified(
    unfinished: &NamedTempFile,
    programs: PathBuf,
    keys: Keys,
    tell: &Tell,
) -> Result<Found, BackupError> {
    let archive = Archive::open(unfinished.path())?;
    let scratch = Scratch::temporary();
    let options =
        EmbeddedOptions { pg_bin: Some(programs), ..EmbeddedOptions::new(&APPLICATION, scratch.path()) };
    bring_back(archive, &options, keys, tell).await
}

/// How a backup is restored.
#[derive(Debug)]
pub struct RestoreOptions {
    /// The backup.
    pub file: PathBuf,
    /// Where to.
    pub cluster: EmbeddedOptions,
    /// Whether what is there is set aside.
    pub force: bool,
    /// The keys of the environment, with which secrets are tried.
    pub keys: Keys,
}

/// A backup that was restored.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// Where it is now.
    pub data_dir: PathBuf,
    /// What is in it.
    #[serde(flatten)]
    pub holds: Holds,
    /// Where what was there before has been moved.
    pub set_aside: Option<PathBuf>,
    /// What was found when it was restored.
    #[serde(flatten)]
    pub found: Found,
}

/// Restores a backup into a data directory that is empty, or whose data is set aside. It is made in a directory within, and gets its
/// place when it is complete and checked.
///
/// # Errors
/// Then the data directory holds what it held before.
pub async fn restore(options: RestoreOptions, tell: &Tell) -> Result<Restored, BackupError> {
    let RestoreOptions { file, cluster, force, keys } = options;
    let archive = Archive::open(&file)?;
    let holds = Holds::of(&archive.manifest);
    let place = Place::take(&cluster, force)?;
    let inner = EmbeddedOptions { data_dir: place.unfinished().to_owned(), ..cluster };
    let found = bring_back(archive, &inner, keys, tell).await?;
    let (data_dir, set_aside) = place.settle()?;
    Ok(Restored { data_dir, holds, set_aside, found })
}
