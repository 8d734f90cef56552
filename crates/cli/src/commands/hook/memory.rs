//! What agents were kept at work for, so that none hears the same twice. One small file for all sessions of a user.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::held::Reason;
use crate::error::Error;
use crate::replace::Replacement;

/// So many reasons are remembered, of whatever sessions; the oldest are forgotten.
const REMEMBERED: usize = 500;
/// How long others are waited for who write the file. They need a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(100);

/// The file, while nobody else may change it.
pub(super) struct Memory {
    path: PathBuf,
    entries: VecDeque<(String, Reason)>,
    _lock: File,
}

impl Memory {
    /// Opens the file of this user.
    pub(super) fn open() -> Result<Self, String> {
        Self::open_at(&path().ok_or("this user has no home directory")?)
    }

    fn open_at(path: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let directory = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(told)?;
        // The file is replaced and cannot be what is locked.
        let beside = path.with_extension("lock");
        let lock = File::options().create(true).append(true).mode(0o600).open(beside).map_err(told)?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(format!("{} is in use by others", path.display()));
                }
                Err(TryLockError::Error(error)) => return Err(told(error)),
            }
        }
        // What cannot be read is written anew: it was worth no more than a reminder.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let entries = serde_json::from_str(&text).map(|file| read(&file)).unwrap_or_default();
        Ok(Self { path: path.to_owned(), entries, _lock: lock })
    }

    /// What an agent was told in a session.
    pub(super) fn said(&self, session: &str) -> Vec<Reason> {
        let of_session = self.entries.iter().filter(|(of, _)| of == session);
        of_session.map(|(_, reason)| reason.clone()).collect()
    }

    /// Remembers what it is told now.
    pub(super) fn remember(mut self, session: &str, reasons: &[Reason]) -> Result<(), Error> {
        self.entries.extend(reasons.iter().map(|reason| (session.to_owned(), reason.clone())));
        let surplus = self.entries.len().saturating_sub(REMEMBERED);
        self.entries.drain(..surplus);
        let told: Vec<Value> = self
            .entries
            .iter()
            .map(|(of, reason)| json!({"session": of, "story": reason.story, "status": reason.status}))
            .collect();
        let mut replacement = Replacement::private(&self.path)?;
        replacement.write(json!({ "told": told }).to_string().as_bytes())?;
        replacement.finish()
    }
}

fn path() -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "loopctl")?;
    let state = directories.state_dir().unwrap_or_else(|| directories.data_local_dir());
    Some(state.join("hooks.json"))
}

fn read(file: &Value) -> VecDeque<(String, Reason)> {
    let entries = file["told"].as_array().map_or(&[][..], Vec::as_slice);
    let entry = |entry: &Value| {
        let text = |member: &str| entry[member].as_str().map(ToOwned::to_owned);
        Some((text("session")?, Reason { story: text("story")?, status: text("status")? }))
    };
    entries.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(story: &str) -> Reason {
        Reason { story: story.to_owned(), status: "implementing".to_owned() }
    }

    #[test]
    fn sessions_are_remembered_apart_and_the_oldest_are_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/hooks.json");
        Memory::open_at(&path).unwrap().remember("a", &[reason("1"), reason("2")]).unwrap();
        Memory::open_at(&path).unwrap().remember("b", &[reason("1")]).unwrap();
        let memory = Memory::open_at(&path).unwrap();
        assert_eq!((memory.said("a"), memory.said("b")), (vec![reason("1"), reason("2")], vec![reason("1")]));
        assert_eq!(memory.said("c"), []);
        let many: Vec<Reason> = (0..REMEMBERED).map(|n| reason(&n.to_string())).collect();
        memory.remember("c", &many[1..]).unwrap();
        let memory = Memory::open_at(&path).unwrap();
        assert_eq!((memory.said("a").len(), memory.said("b").len()), (0, 1));
        assert_eq!(memory.said("c").len(), REMEMBERED - 1);
    }

    #[test]
    fn what_cannot_be_read_is_written_anew() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hooks.json");
        for broken in ["", "{oops", "[]", r#"{"told": 7}"#, r#"{"told": [{"session": "a"}, 7]}"#] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(Memory::open_at(&path).unwrap().said("a"), [], "{broken}");
        }
        Memory::open_at(&path).unwrap().remember("a", &[reason("1")]).unwrap();
        assert_eq!(Memory::open_at(&path).unwrap().said("a"), [reason("1")]);
    }

    #[test]
    fn writers_take_turns_and_wait_only_briefly() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hooks.json");
        let held = Memory::open_at(&path).unwrap();
        let refused = Memory::open_at(&path).err().unwrap();
        assert!(refused.ends_with("is in use by others"), "{refused}");
        held.remember("a", &[reason("1")]).unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    // Each again until it is let in: eight at once may wait longer than one of them does.
                    let memory =
                        std::iter::repeat_with(|| Memory::open_at(path)).find_map(Result::ok).unwrap();
                    memory.remember("b", &[reason(&n.to_string())]).unwrap();
                });
            }
        });
        let memory = Memory::open_at(&path).unwrap();
        assert_eq!((memory.said("a").len(), memory.said("b").len()), (1, 8));
    }
}
