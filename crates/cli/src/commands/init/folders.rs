//! Which folders of a repository were there with nothing in them before something was put into them, so that they stay when it is
//! taken out. Git keeps no such folder: only this machine can know, in a small file for each repository.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::block::digest;
use crate::config::state_directory;
use crate::error::Error;
use crate::replace::Replacement;

/// What is known of a repository.
#[derive(Debug)]
pub(super) struct Folders {
    file: Option<PathBuf>,
    pub(super) known: BTreeSet<PathBuf>,
}

impl Folders {
    /// Of the repository with this root.
    pub(super) fn of(root: &Path) -> Self {
        let name = digest(std::iter::once(root.to_string_lossy().as_ref()));
        Self::read(state_directory().map(|state| state.join("init").join(name)))
    }

    fn read(file: Option<PathBuf>) -> Self {
        // A pipe could be waited for without end.
        let file = file.filter(|file| file.metadata().map_or(true, |found| found.is_file()));
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        Self { file, known: text.lines().map(PathBuf::from).collect() }
    }

    /// Knows `now` instead. Where that cannot be kept, no more is lost than an empty folder.
    pub(super) fn know(self, now: &BTreeSet<PathBuf>) {
        if let Some(file) = self.file.filter(|_| *now != self.known) {
            let _ = match now.is_empty() {
                true => std::fs::remove_file(&file).map_err(|error| Error::Other(error.to_string())),
                false => write(&file, now),
            };
        }
    }
}

fn write(file: &Path, folders: &BTreeSet<PathBuf>) -> Result<(), Error> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| Error::Other(error.to_string()))?;
    let mut replacement = Replacement::private(file)?;
    for folder in folders {
        replacement.write(format!("{}\n", folder.display()).as_bytes())?;
    }
    replacement.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_kept_until_it_is_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state/init/x");
        let read = || Folders::read(Some(file.clone()));
        assert!(read().known.is_empty());
        let folders = BTreeSet::from([".codex", ".github/hooks"].map(PathBuf::from));
        read().know(&folders);
        assert_eq!(read().known, folders);
        read().know(&BTreeSet::new());
        assert!(!file.exists() && read().known.is_empty());
        // What is in the way stays, and is not waited for.
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read().known.is_empty());
        read().know(&folders);
        assert!(file.exists());
    }
}
