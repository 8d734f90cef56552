//! The account that PostgreSQL runs as. PostgreSQL refuses to run as root, so root steps down.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};

use crate::error::{IoContext, Problem};

/// Accounts to step down to, best first. `initdb` wants an account that has a passwd entry.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Who runs `initdb` and `postgres`, and so owns their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    name: String,
    /// We are root and must change to this account.
    pub(crate) step_down: bool,
    /// The system has no name for it.
    pub(crate) nameless: bool,
}

impl Account {
    /// The account for the cluster in `pgdata`, or for a new one.
    ///
    /// An existing cluster decides: PostgreSQL runs only as the owner of its files, and the directory may
    /// have been made when this machine had no user `postgres` yet.
    pub(crate) fn choose(pgdata: Option<&PathBuf>) -> Result<Self, Problem> {
        let uid = Uid::effective();
        let me = Self {
            uid: uid.as_raw(),
            gid: Gid::effective().as_raw(),
            name: name_of(uid.as_raw()),
            step_down: false,
            // Where there is no file of names at all, that is an error.
            nameless: !matches!(User::from_uid(uid), Ok(Some(_))),
        };
        let root = Uid::effective().is_root();
        let Some(pgdata) = pgdata else {
            return if root { Self::candidate() } else { Ok(me) };
        };
        let meta = fs::metadata(pgdata).context("read", pgdata)?;
        let foreign = |suggested: String| Problem::ForeignOwner {
            path: pgdata.clone(),
            owner: format!("user `{}`", name_of(meta.uid())),
            suggested,
        };
        match (root, meta.uid()) {
            (true, 0) => Err(foreign(Self::candidate()?.name)),
            (true, uid) => {
                Ok(Self { uid, gid: meta.gid(), name: name_of(uid), step_down: true, nameless: false })
            }
            (false, uid) if uid == me.uid => Ok(me),
            (false, _) => Err(foreign(me.name)),
        }
    }

    fn candidate() -> Result<Self, Problem> {
        CANDIDATES
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                name: user.name,
                step_down: true,
                nameless: false,
            })
            .ok_or(Problem::NoAccount)
    }

    /// Gives a path that we made to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Problem> {
        if !self.step_down {
            return Ok(());
        }
        // Not following links: the path is ours, and root must never give away what a link points to.
        lchown(path, Some(self.uid), Some(self.gid)).context("change the owner of", path)
    }

    /// Checks that the account can enter every directory from the root down to `path`.
    ///
    /// Without this, the first sign of a data directory below `/root` is a riddle from `initdb`.
    pub(crate) fn check_reach(&self, path: &Path) -> Result<(), Problem> {
        if !self.step_down {
            return Ok(());
        }
        for dir in path.ancestors() {
            let meta = fs::metadata(dir).context("read", dir)?;
            // Supplementary groups are dropped with the account, so these three bits are the whole story
            // (short of access control lists, which only ever make this check too strict).
            let search = match meta {
                ref m if m.uid() == self.uid => 0o100,
                ref m if m.gid() == self.gid => 0o010,
                _ => 0o001,
            };
            if meta.mode() & search == 0 {
                return Err(Problem::Unreachable {
                    user: self.name.clone(),
                    blocked: dir.to_path_buf(),
                    path: path.to_path_buf(),
                });
            }
        }
        Ok(())
    }
}

fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}
