//! What agents were kept at work for, so that none hears the same twice. One small file for all sessions of a user.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::held::Reason;
use crate::config::state_directory;
use crate::error::Error;
use crate::replace::Replacement;

/// So many reasons are remembered, of whatever sessions; the oldest are forgotten.
const REMEMBERED: usize = 500;
/// More than the file is ever long.
const LONGEST: u64 = 4 * 1024 * 1024;
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
        let state = state_directory().ok_or("this user has no home directory")?;
        Self::open_at(&state.join("hooks.json"))
    }

    fn open_at(path: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let directory = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(told)?;
        // The file is replaced and cannot be what is locked.
        let beside = path.with_extension("lock");
        for path in [path, &beside] {
            // A pipe or a device could be waited for without end.
            if path.metadata().is_ok_and(|found| !found.is_file()) {
                return Err(format!("{} is no file", path.display()));
            }
        }
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
        let mut text = String::new();
        let read_whole = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        let parsed = read_whole.ok().and_then(|_| serde_json::from_str(&text).ok());
        let entries = parsed.map(|file| read(&file)).unwrap_or_default();
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
    fn what_is_no_file_is_neither_waited_for_nor_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hooks.json");
        for name in ["hooks.json", "hooks.lock"] {
            let place = home.path().join(name);
            let refused = || {
                let refused = Memory::open_at(&path).err().unwrap();
                assert_eq!(refused, format!("{} is no file", place.display()));
            };
            std::fs::create_dir(&place).unwrap();
            refused();
            std::fs::remove_dir(&place).unwrap();
            nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap();
            refused();
            std::fs::remove_file(&place).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
            refused();
            std::fs::remove_file(&place).unwrap();
        }
        // One without an end, as it were.
        File::create(&path).unwrap().set_len(1 << 33).unwrap();
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
