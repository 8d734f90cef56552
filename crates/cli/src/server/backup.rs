//! `loopctl backup` and `loopctl restore`: of loopctl's own PostgreSQL.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use loopctl_postgres::EmbeddedOptions;
use loopctl_server::operator::{
    Backup, BackupError, BackupOptions, RestoreOptions, Restored, Tell, back_up, restore,
};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{ClusterArguments, Failure, secrets};
use crate::output::{self, Output};
use crate::progress;

/// What the help of `backup` ends with.
pub(crate) const BACKUP_NOTES: &str = "The file is of one moment, complete, and readable by you alone. It holds everything that is in the \
    database and, unless\n--without-key is given, the key that secrets are encrypted with: keep it as you keep the data directory.\n\
    A database of your own (DATABASE_URL) is backed up by deploy/backup.sh.\n\n\
    Examples:\n  \
    loopctl backup    # loopctl_20261130_030000.tar, here\n  \
    loopctl backup --out /var/backups/loopctl/    # the same, there\n  \
    loopctl backup --data-dir /srv/loopctl --out /backup/today.tar --force";

/// What the help of `restore` ends with.
pub(crate) const RESTORE_NOTES: &str = "Nothing is deleted: with --force, what is in the data directory is moved to replaced-<time> within it.\n\
    When the backup holds no key, put secrets.key back, or set CLOAK_KEY, before the server starts.\n\n\
    Examples:\n  \
    loopctl restore loopctl_20261130_030000.tar --data-dir /srv/loopctl\n  \
    loopctl serve --data-dir /srv/loopctl";

/// `loopctl backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
    /// The file, or a directory for loopctl_<time>.tar (default: the current one)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
    /// Leave out the key of secrets; without it nobody reads them again
    #[arg(long)]
    without_key: bool,
    /// Do not restore it once to see whether it is good
    #[arg(long)]
    no_verify: bool,
}

/// `loopctl restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
    /// A file that `loopctl backup` has made
    file: PathBuf,
    /// Set aside what is in the data directory
    #[arg(long)]
    force: bool,
}

/// Makes a backup; the exit code.
pub(crate) async fn run_backup(arguments: &BackupArguments, output: &Output) -> u8 {
    let made = async {
        let options = BackupOptions {
            cluster: own(&arguments.cluster)?,
            out: arguments.out.clone(),
            force: arguments.force,
            with_key: !arguments.without_key,
            verify: !arguments.no_verify,
            keys: secrets::keys()?,
        };
        let backup = with_progress(|tell| async move { back_up(options, &tell).await }).await?;
        tell_backup(&backup);
        Ok((backup.found.as_ref().map_or(0, |found| found.different), json!({"backup": backup})))
    };
    finish(made.await, "backup", output)
}

/// Restores a backup; the exit code.
pub(crate) async fn run_restore(arguments: &RestoreArguments, output: &Output) -> u8 {
    let made = async {
        let options = RestoreOptions {
            file: arguments.file.clone(),
            cluster: own(&arguments.cluster)?,
            force: arguments.force,
            keys: secrets::keys()?,
        };
        let restored = with_progress(|tell| async move { restore(options, &tell).await }).await?;
        tell_restored(&restored);
        Ok((restored.found.different, json!({"restore": restored})))
    };
    finish(made.await, "restore", output)
}

/// The private cluster. Another database is not ours to back up like this, and to take the one for the other would be noticed late.
fn own(arguments: &ClusterArguments) -> Result<EmbeddedOptions, Failure> {
    if std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty()) {
        let message = "DATABASE_URL is set, and this is for loopctl's own PostgreSQL: use deploy/backup.sh and \
                       deploy/restore.sh (or pg_dump), or unset it";
        return Err(Failure::Setting(message.to_owned()));
    }
    arguments.options()
}

fn tell_backup(backup: &Backup) {
    if backup.key == "left_out" {
        output::note(
            "note: without the key secrets.key of the data directory nobody reads the secrets in this backup: keep it as well, \
             in another place",
        );
    }
    if let Some(found) = &backup.found
        && found.secrets_unreadable > 0
        && backup.key != "left_out"
    {
        output::note(&format!(
            "note: {} secrets are encrypted with another key than those of this backup and this environment: keep the CLOAK_KEY \
             that the server runs with",
            found.secrets_unreadable
        ));
    }
}

fn tell_restored(restored: &Restored) {
    let dir = restored.data_dir.display();
    if restored.found.secrets_unreadable > 0 {
        output::note(&format!(
            "note: {} secrets cannot be read: before the server starts, put the key of the time of the backup into {dir}/secrets.key, \
             or set CLOAK_KEY",
            restored.found.secrets_unreadable
        ));
    }
    if let Some(aside) = &restored.set_aside {
        output::note(&format!(
            "note: what was there before is in {}; remove it when you need it no more",
            aside.display()
        ));
    }
    output::note(&format!("Now run `loopctl serve --data-dir {dir}`."));
}

/// Prints what came of it; the exit code.
fn finish(outcome: Result<(i64, Value), Failure>, envelope: &str, output: &Output) -> u8 {
    let (different, body) = match outcome {
        Ok(made) => made,
        Err(failure) => return failure.report(),
    };
    if let Err(error) = output.object(&body, envelope).and_then(|()| output.finish()) {
        return error.report(output.format());
    }
    if different > 0 {
        output::note(&format!("Error: {different} records are kept otherwise than they should be"));
    }
    u8::from(different > 0)
}

/// Does something, and says how it goes. A signal ends it in order: what is not complete goes.
async fn with_progress<T, F: Future<Output = Result<T, BackupError>>>(
    work: impl FnOnce(Tell) -> F,
) -> Result<T, Failure> {
    let bar = progress::waiting("");
    let line = bar.clone();
    let tell: Tell = Arc::new(move |what: &str| line.set_message(what.to_owned()));
    let listen =
        |kind| signal(kind).map_err(|error| Failure::Setting(format!("Cannot listen to signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let done = tokio::select! {
        done = work(tell) => done.map_err(Failure::Backup),
        _ = interrupt.recv() => Err(Failure::Interrupted),
        _ = terminate.recv() => Err(Failure::Interrupted),
    };
    bar.finish_and_clear();
    done
}
