//! Where backups are written, and where they are restored: nothing has its name before it is whole, and nothing is deleted.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use loopctl_postgres::{Claim, EmbeddedOptions};
use uuid::Uuid;

use super::BackupError;
use crate::config::APPLICATION;
use crate::secrets::KEY_FILE;

/// What is being restored, within the data directory: from there a rename is enough, also where it is a volume of its own.
const UNFINISHED: &str = "restoring";

/// The parts of a data directory that a restore brings, in the order in which they take their places: without the cluster the others
/// are nothing, so it is the last.
const PARTS: [&str; 3] = ["bundles", KEY_FILE, "postgres"];

/// What is set aside with them.
const LOGS: [&str; 2] = ["postgres.log", "postgres.log.1"];

/// How long PostgreSQL may still be writing into a directory that goes.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// After how many bytes more is told.
const STEP: u64 = 16 * 1024 * 1024;

/// A writer that says how much has passed.
pub(super) struct Told<'a> {
    to: &'a mut dyn Write,
    tell: &'a dyn Fn(&str),
    what: &'static str,
    bytes: u64,
    next: u64,
}

impl<'a> Told<'a> {
    pub(super) fn new(to: &'a mut dyn Write, tell: &'a dyn Fn(&str), what: &'static str) -> Self {
        Self { to, tell, what, bytes: 0, next: 0 }
    }
}

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        if self.bytes >= self.next {
            (self.tell)(&format!("{} MB {}", self.bytes / 1_000_000, self.what));
            self.next = self.bytes + STEP;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The file of a backup, with the directory that it is in.
pub(super) fn file(out: Option<PathBuf>) -> Result<PathBuf, BackupError> {
    let out = out.unwrap_or_else(|| PathBuf::from("."));
    let path = if out.is_dir() { out.join(name(Utc::now())) } else { out };
    std::path::absolute(&path).map_err(|source| BackupError::io("resolve", &path, source))
}

fn name(now: DateTime<Utc>) -> String {
    now.format("loopctl_%Y%m%d_%H%M%S.tar").to_string()
}

/// The directory of an absolute path.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Makes what was renamed in a directory outlast a crash.
pub(super) fn sync(dir: &Path) -> Result<(), BackupError> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| BackupError::io("sync", dir, source))
}

/// A directory for a cluster that goes again.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// One of which nobody can guess the name. It is made by whoever starts a cluster in it, with the rights that PostgreSQL's
    /// account needs.
    pub(super) fn temporary() -> Self {
        Self(std::env::temp_dir().join(format!("loopctl-verify-{}", Uuid::now_v7().simple())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = remove(&self.0);
    }
}

/// Removes a directory, also when PostgreSQL is about to end in it.
fn remove(dir: &Path) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match fs::remove_dir_all(dir) {
            // Not: something in it has just gone by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => return Ok(()),
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(POLL),
            removed => return removed,
        }
    }
}

/// What a data directory is to somebody who restores into it.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing is there, but what a restore that was interrupted has left.
    Free,
    /// Something is.
    Occupied,
}

/// Judges a data directory by the names in it. A directory in the making says that nothing else was there: as long as it is, what has
/// got its place already is the restore's own.
fn state(names: &[String]) -> State {
    let lock = format!("{}.lock", APPLICATION.name);
    let unfinished = names.iter().any(|name| name == UNFINISHED);
    let counts = |name: &str| {
        let own = name == UNFINISHED || (unfinished && (name == "bundles" || name == KEY_FILE));
        !(own || name == lock || name == "lost+found")
    };
    if names.iter().any(|name| counts(name)) { State::Occupied } else { State::Free }
}

/// A data directory that nobody else uses, to restore into.
#[derive(Debug)]
pub(super) struct Place {
    claim: Claim,
    // What is in it goes when something fails.
    unfinished: Scratch,
    occupied: bool,
}

impl Place {
    /// Takes a data directory. Unless it is empty it has to be `force`.
    pub(super) fn take(options: &EmbeddedOptions, force: bool) -> Result<Self, BackupError> {
        let claim = Claim::take(options)?;
        let dir = claim.dir();
        let read = || {
            fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        let names: io::Result<Vec<String>> = read();
        let names = names.map_err(|source| BackupError::io("read", dir, source))?;
        let occupied = state(&names) == State::Occupied;
        if occupied && !force {
            let message = format!(
                "{} is not empty: name a new directory with --data-dir, or say --force, which sets aside what is there",
                dir.display()
            );
            return Err(BackupError::Refused(message));
        }
        let unfinished = dir.join(UNFINISHED);
        remove(&unfinished).map_err(|source| BackupError::io("remove", &unfinished, source))?;
        Ok(Self { unfinished: Scratch(unfinished), claim, occupied })
    }

    /// Where to restore.
    pub(super) fn unfinished(&self) -> &Path {
        self.unfinished.path()
    }

    /// Gives what was restored its place, and sets aside what has it: the directory, and where the other is.
    pub(super) fn settle(self) -> Result<(PathBuf, Option<PathBuf>), BackupError> {
        let dir = self.claim.dir().to_owned();
        // The files are there for good before their names are.
        nix::unistd::sync();
        let aside = self.occupied.then(|| dir.join(Utc::now().format("replaced-%Y%m%d-%H%M%S").to_string()));
        let mut moves = Vec::new();
        if let Some(aside) = &aside {
            fs::create_dir(aside).map_err(|source| BackupError::io("create", aside, source))?;
            moves.extend(PARTS.iter().rev().chain(&LOGS).map(|part| (dir.join(part), aside.join(part))));
        }
        moves.extend(PARTS.iter().map(|part| (self.unfinished().join(part), dir.join(part))));
        for (done, (from, to)) in moves.iter().enumerate() {
            if let Err(error) = rename(from, to) {
                // As it was.
                for (from, to) in moves[..done].iter().rev() {
                    let _ = rename(to, from);
                }
                return Err(error);
            }
        }
        sync(&dir)?;
        Ok((dir, aside))
    }
}

/// Moves something, if it is there.
fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("move", from, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> State {
        state(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_directory_is_free_when_nothing_is_in_it_but_an_interrupted_restore() {
        for free in [
            &[][..],
            &["loopctl.lock"],
            &["lost+found", "loopctl.lock"],
            &["loopctl.lock", "restoring"],
            &["restoring", "secrets.key", "bundles"],
        ] {
            assert_eq!(of(free), State::Free, "{free:?}");
        }
        for occupied in [
            &["postgres"][..],
            &["secrets.key"],
            &["bundles"],
            &["restoring", "postgres"],
            &["restoring", "notes.txt"],
            &["loopctl.lock", "replaced-20261130-040000"],
        ] {
            assert_eq!(of(occupied), State::Occupied, "{occupied:?}");
        }
    }

    #[test]
    fn a_backup_is_named_after_its_moment() {
        let now = DateTime::parse_from_rfc3339("2026-11-30T03:00:01Z").unwrap();
        assert_eq!(name(now.into()), "loopctl_20261130_030001.tar");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(file(Some(dir.path().to_owned())).unwrap().parent(), Some(dir.path()));
        assert_eq!(file(Some(dir.path().join("x.tar"))).unwrap(), dir.path().join("x.tar"));
        assert!(file(None).unwrap().is_absolute());
    }

    #[test]
    fn what_was_there_is_set_aside_and_never_deleted() {
        let home = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions::new(&APPLICATION, home.path());
        fs::create_dir(home.path().join("postgres")).unwrap();
        fs::write(home.path().join("postgres/old"), "").unwrap();
        fs::write(home.path().join(KEY_FILE), "old key").unwrap();
        let refused = Place::take(&options, false).unwrap_err().to_string();
        assert!(refused.contains("is not empty") && refused.contains("--force"), "{refused}");

        let place = Place::take(&options, true).unwrap();
        let locked = Place::take(&options, true).unwrap_err().to_string();
        assert!(locked.contains("already uses"), "{locked}");
        fs::create_dir_all(place.unfinished().join("postgres")).unwrap();
        fs::write(place.unfinished().join("postgres/new"), "").unwrap();
        let (dir, aside) = place.settle().unwrap();
        let aside = aside.unwrap();
        assert!(dir.join("postgres/new").exists() && !dir.join("restoring").exists());
        assert!(!dir.join(KEY_FILE).exists(), "the backup brought none");
        assert!(aside.join("postgres/old").exists());
        assert_eq!(fs::read_to_string(aside.join(KEY_FILE)).unwrap(), "old key");
    }

    #[test]
    fn a_restore_that_ends_early_leaves_nothing_that_looks_whole() {
        let home = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions::new(&APPLICATION, home.path());
        let place = Place::take(&options, false).unwrap();
        fs::create_dir_all(place.unfinished().join("postgres")).unwrap();
        // Killed: nothing clears away.
        std::mem::forget(place.unfinished);
        drop(place.claim);
        assert!(!home.path().join("postgres").exists() && home.path().join("restoring/postgres").exists());
        // Failed: the next one begins anew, and goes.
        let place = Place::take(&options, false).unwrap();
        assert!(!place.unfinished().exists());
        fs::create_dir_all(place.unfinished().join("postgres")).unwrap();
        drop(place);
        assert!(!home.path().join("restoring").exists());
    }
}
