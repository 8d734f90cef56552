//! Writing files: the old content or the new, never half of it.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write};
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
    /// Begins the new content of `path`, which may not exist yet. A file keeps its mode.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        Self::begin(path, None)
    }

    /// Begins the new content of a file that only its owner may read, whatever was so before.
    pub(crate) fn private(path: &Path) -> Result<Self, Error> {
        Self::begin(path, Some(Permissions::from_mode(0o600)))
    }

    fn begin(path: &Path, mode: Option<Permissions>) -> Result<Self, Error> {
        open(path, mode).map_err(|error| {
            // The temporary file that the error may name means nothing to anybody.
            let text = error.to_string();
            let reason = text.split(" at path ").next().unwrap_or_default();
            Error::Usage(format!("Cannot write {}: {reason}", path.display()))
        })
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
            Target::Temporary(file) => {
                // Else a crash could leave the new name without the new content.
                let persisted = file.as_file().sync_all().and_then(|()| Ok(file.persist(&self.path)?));
                persisted.map(drop).map_err(|error| failure(&self.path, &error))
            }
            Target::Special(_) => Ok(()),
        }
    }
}

fn open(path: &Path, mode: Option<Permissions>) -> std::io::Result<Replacement> {
    let (path, old) = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let target = Target::Special(File::options().write(true).open(path)?);
            return Ok(Replacement { path: path.to_owned(), target });
        }
        // A link stays a link.
        Ok(found) => (path.canonicalize()?, Some(found.permissions())),
        Err(error) if error.kind() == ErrorKind::NotFound => (destination(path), None),
        Err(error) => return Err(error),
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // What every new file gets; the process may be stricter (umask).
    let usual = mode.clone().unwrap_or(Permissions::from_mode(0o666));
    let file = tempfile::Builder::new().permissions(usual).tempfile_in(directory)?;
    if let Some(kept) = old.filter(|_| mode.is_none()) {
        file.as_file().set_permissions(kept)?;
    }
    Ok(Replacement { path, target: Target::Temporary(file) })
}

/// Where a link leads to, though nothing is there yet.
fn destination(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    while let Ok(target) = std::fs::read_link(&path) {
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
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
    fn a_file_keeps_its_mode_and_secrets_are_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.json");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for kept in [0o600, 0o664] {
            std::fs::write(&path, "old").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
            Replacement::of(&path).unwrap().finish().unwrap();
            assert_eq!(mode(), kept);
        }
        Replacement::private(&path).unwrap().finish().unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn errors_name_what_was_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("missing/a.json");
        let Err(Error::Usage(message)) = Replacement::of(&path) else { panic!("there is no such directory") };
        assert_eq!(
            message,
            format!("Cannot write {}: No such file or directory (os error 2)", path.display())
        );
        let circle = home.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert!(Replacement::of(&circle).is_err());
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
        // Also when they lead to what is not there yet.
        std::fs::remove_file(&file).unwrap();
        let further = home.path().join("further");
        std::os::unix::fs::symlink("link", &further).unwrap();
        Replacement::of(&further).unwrap().finish().unwrap();
        assert!(further.is_symlink() && link.is_symlink() && file.is_file());
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
