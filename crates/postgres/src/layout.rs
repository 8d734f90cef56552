//! The data directory: its paths, who may use it, and where the socket lives.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::unistd::Uid;
use sha2::{Digest, Sha256};

use crate::Application;
use crate::account::Account;
use crate::error::{IoContext, Problem};

/// The port is only part of the socket's file name; nothing listens on TCP.
pub(crate) const PORT: u16 = 5432;

/// `sun_path` without its terminating zero.
pub(crate) const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A log beyond this is set aside at the next start; one predecessor is kept.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// The data directory of an application. It exists, and its path is canonical.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    application: &'static Application,
    root: PathBuf,
}

impl Layout {
    pub(crate) fn create(application: &'static Application, data_dir: &Path) -> Result<Self, Problem> {
        if !data_dir.is_dir() {
            if let Some(parent) = data_dir.parent() {
                fs::create_dir_all(parent).context("create", parent)?;
            }
            // For root the directory stays root's and PostgreSQL's account may only pass through it, so
            // that a hole in PostgreSQL gives nothing that the application itself keeps here.
            let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
            match DirBuilder::new().mode(mode).create(data_dir) {
                // Explicitly, because the umask may have taken bits away.
                Ok(()) => fs::set_permissions(data_dir, Permissions::from_mode(mode)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && data_dir.is_dir() => Ok(()),
                Err(error) => Err(error),
            }
            .context("create", data_dir)?;
        }
        // Canonical, because PostgreSQL leaves our working directory and because the old server is
        // recognised by its own.
        let root = fs::canonicalize(data_dir).context("resolve", data_dir)?;
        Ok(Self { application, root })
    }

    pub(crate) fn application(&self) -> &'static Application {
        self.application
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn pgdata(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    pub(crate) fn bundles(&self) -> PathBuf {
        self.root.join("bundles")
    }

    /// Opens the log for appending, after setting a large one aside. Returns its length: what follows is
    /// of this run.
    pub(crate) fn open_log(&self) -> Result<(File, u64), Problem> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_LIMIT) {
            fs::rename(&path, self.root.join("postgres.log.1")).context("set aside", &path)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = file.context("open", &path)?;
        let start = file.metadata().context("read", &path)?.len();
        Ok((file, start))
    }

    /// The private directory for the socket: mode 0700 and the account's own. That mode is the whole
    /// authentication of the cluster (`trust` in `pg_hba.conf`): only this account and root get to the
    /// socket, and both could read the data files anyway.
    pub(crate) fn socket_dir(&self, account: &Account) -> Result<PathBuf, Problem> {
        let near = self.root.join("run");
        if fits(&near) {
            return private_dir(near, account);
        }
        let digest = hex::encode(Sha256::digest(self.root.as_os_str().as_bytes()));
        let name = format!("{}-{}", self.application.name, &digest[..16]);
        [std::env::temp_dir(), PathBuf::from("/tmp")]
            .into_iter()
            .filter_map(|base| Some(fs::canonicalize(base).ok()?.join(&name)))
            .find(|dir| fits(dir))
            .ok_or_else(|| Problem::SocketPathTooLong { dir: self.root.clone(), limit: SOCKET_PATH_LIMIT })
            .and_then(|dir| private_dir(dir, account))
    }
}

fn fits(dir: &Path) -> bool {
    dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() <= SOCKET_PATH_LIMIT
}

/// Creates `path` for `account` alone, or makes sure that it already is so. In a temporary directory anybody
/// may have been there first.
fn private_dir(path: PathBuf, account: &Account) -> Result<PathBuf, Problem> {
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => account.own(&path)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context("create", &path),
    }
    let mut meta = fs::symlink_metadata(&path).context("read", &path)?;
    if meta.is_dir() && meta.uid() != account.uid && meta.uid() == Uid::effective().as_raw() {
        // We were killed between the creation and the change of owner.
        account.own(&path)?;
        meta = fs::symlink_metadata(&path).context("read", &path)?;
    }
    if !meta.is_dir() || meta.uid() != account.uid {
        return Err(Problem::UnsafeSocketDir { path, uid: account.uid });
    }
    if meta.mode() & 0o777 != 0o700 {
        fs::set_permissions(&path, Permissions::from_mode(0o700)).context("make private", &path)?;
    }
    if let Some(parent) = path.parent() {
        account.check_reach(parent)?;
    }
    Ok(path)
}

/// The right to run a server on a data directory. The kernel gives it up when the process dies, however it
/// dies; the descriptor is close-on-exec, so PostgreSQL does not inherit it.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
}

/// Said to the kernel, because closing is not enough: a child of this process has the file as well, from its fork until its exec.
impl Drop for DirLock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of a data directory is given up only by its file being closed");
        }
    }
}

impl DirLock {
    /// How long to wait for a holder that may just be dying, for example after `kill -9`.
    const PATIENCE: Duration = Duration::from_millis(300);
    const POLL: Duration = Duration::from_millis(20);

    pub(crate) fn acquire(layout: &Layout) -> Result<Self, Problem> {
        let path = layout.root().join(format!("{}.lock", layout.application().name));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .context("open", &path)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if waited < Self::PATIENCE => {
                    thread::sleep(Self::POLL);
                    waited += Self::POLL;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    // The number is a courtesy to the reader; without it the message still holds.
                    let _ = file.read_to_string(&mut pid);
                    let pid = Some(pid.trim()).filter(|pid| !pid.is_empty()).unwrap_or("unknown");
                    return Err(Problem::Locked { dir: layout.root().to_path_buf(), pid: pid.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(error).context("lock", &path),
            }
        }
        file.set_len(0).context("write", &path)?;
        writeln!(file, "{}", std::process::id()).context("write", &path)?;
        Ok(Self { file })
    }
}
