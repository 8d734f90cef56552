//! Writing files: the old content or the new, never half of it.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// New content of a file. Dropped without `finish`, it leaves no trace.
#[derive(Debug)]
pub(crate) struct Replacement {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// Takes the place of the file at the end.
    Temporary(NamedTempFile),
    /// A device or a pipe, which must stay what it is.
    Special(File),
}

impl Replacement {
    /// Begins the new content of `path`, which may not exist yet.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        // A link stays a link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let target = open(&path).map_err(|error| failure(&path, &error))?;
        Ok(Self { path, target })
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let result = match &mut self.target {
            Target::Temporary(file) => file.write_all(bytes),
            Target::Special(file) => file.write_all(bytes),
        };
        result.map_err(|error| failure(&self.path, &error))
    }

    /// Puts the new content in place.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.target {
            Target::Temporary(file) => match file.persist(&self.path) {
                Ok(_) => Ok(()),
                Err(error) => Err(failure(&self.path, &error.error)),
            },
            Target::Special(_) => Ok(()),
        }
    }
}

fn open(path: &Path) -> std::io::Result<Target> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok(Target::Special(File::options().write(true).open(path)?)),
        _ => {
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            // What every new file gets; the process may be stricter (umask).
            let permissions = Permissions::from_mode(0o666);
            Ok(Target::Temporary(tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?))
        }
    }
}

fn failure(path: &Path, error: &std::io::Error) -> Error {
    Error::Other(format!("Cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finished_replacement_replaces() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.json");
        std::fs::write(&path, "old").unwrap();
        let mut replacement = Replacement::of(&path).unwrap();
        replacement.write(b"half").unwrap();
        drop(replacement);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);

        let mut replacement = Replacement::of(&path).unwrap();
        replacement.write(b"new").unwrap();
        replacement.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(Replacement::of(home.path()).is_err());
    }

    #[test]
    fn links_and_devices_stay_what_they_are() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("file"), home.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&link, Path::new("/dev/null")] {
            let mut replacement = Replacement::of(path).unwrap();
            replacement.write(b"new").unwrap();
            replacement.finish().unwrap();
        }
        assert!(link.is_symlink() && std::fs::read_to_string(&file).unwrap() == "new");
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
