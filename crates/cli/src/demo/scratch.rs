//! Where the demo's database lives.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::Error;

/// A directory for one run: a temporary one that goes when this is dropped, or the user's, which stays.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// `dir` has to be new or empty: the demo must never come near anybody's data.
    pub(super) fn new(dir: Option<&Path>) -> Result<Self, Error> {
        let Some(dir) = dir else {
            // Not made here: the server does that with the rights that PostgreSQL's account needs, which a
            // private temporary directory of root would not give. Nobody can guess the name.
            let path = std::env::temp_dir().join(format!("loopctl-demo-{}", Uuid::now_v7().simple()));
            return Ok(Self { path, keep: false });
        };
        let occupied = match std::fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::Usage(format!("Cannot use {}: {error}", dir.display()))),
        };
        if occupied {
            return Err(Error::Usage(format!(
                "{} is not empty. The demo makes its own database: name a new directory",
                dir.display()
            )));
        }
        Ok(Self { path: dir.to_path_buf(), keep: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub(super) fn stays(&self) -> bool {
        self.keep
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // It may never have been made.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_goes_and_a_named_one_stays() {
        let temporary = Scratch::new(None).unwrap();
        let path = temporary.path().to_path_buf();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        drop(temporary);
        assert!(!path.exists());

        let home = tempfile::tempdir().unwrap();
        drop(Scratch::new(Some(home.path())).unwrap());
        assert!(home.path().exists());
        drop(Scratch::new(Some(&home.path().join("new"))).unwrap());
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(matches!(Scratch::new(Some(home.path())), Err(Error::Usage(_))));
    }
}
