//! Files of this machine that a tool may read for a model, plans as JSON, or write, archives where there is nothing yet; and
//! nothing else.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::arguments::Wrong;

/// A plan that the API takes at most.
const MOST: u64 = 5 * 1024 * 1024;
/// Where no files lie, but what the system shows of itself and of others.
const PSEUDO: [&str; 3] = ["/proc", "/dev", "/sys"];
/// Where nobody's plans lie.
const OTHERS: [&str; 2] = ["/run", "/etc"];

/// Which files may be read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Below this directory alone.
    pub root: Option<PathBuf>,
}

impl Files {
    /// Reads a plan. What is wrong with it never shows what is in it.
    ///
    /// # Errors
    /// Whatever keeps it from being read, with its path.
    pub(crate) fn plan(&self, path: &str) -> Result<Value, Wrong> {
        let wrong = |why: &str| Wrong(format!("payload_path {path}: {why}"));
        let named = Path::new(path);
        if !named.is_absolute() {
            return Err(wrong("must be absolute"));
        }
        refuse_places(named).map_err(|why| wrong(&why))?;
        // What it leads to, whatever links there are on the way.
        let real =
            named.canonicalize().map_err(|error| wrong(&format!("cannot be read: {}", error.kind())))?;
        refuse_places(&real).map_err(|why| wrong(&why))?;
        self.refuse_outside(&real).map_err(wrong)?;
        // A pipe would keep whoever opens it waiting.
        let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&real);
        let file = opened.map_err(|error| wrong(&format!("cannot be read: {}", error.kind())))?;
        let metadata =
            file.metadata().map_err(|error| wrong(&format!("cannot be read: {}", error.kind())))?;
        if !metadata.is_file() {
            return Err(wrong("is not a regular file"));
        }
        if real.extension().is_none_or(|extension| extension != "json") {
            return Err(wrong("is refused: only files whose name ends with .json are read"));
        }
        let too_long = || wrong(&format!("exceeds max of {MOST} bytes"));
        if metadata.len() > MOST {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        let read = file.take(MOST + 1).read_to_end(&mut bytes);
        read.map_err(|error| wrong(&format!("cannot be read: {}", error.kind())))?;
        if bytes.len() as u64 > MOST {
            return Err(too_long());
        }
        let plan: Value = serde_json::from_slice(&bytes).map_err(|error| {
            wrong(&format!("not valid JSON at line {} column {}", error.line(), error.column()))
        })?;
        if plan.is_object() { Ok(plan) } else { Err(wrong("must hold a JSON object")) }
    }

    /// Begins an archive.
    ///
    /// # Errors
    /// Whatever keeps it from being written, with its path.
    pub(crate) fn archive(&self, path: &str) -> Result<Archive, Wrong> {
        let wrong = |why: &str| Wrong(format!("save_to {path}: {why}"));
        let named = Path::new(path);
        if !named.is_absolute() {
            return Err(wrong("must be absolute"));
        }
        refuse_places(named).map_err(|why| wrong(&why))?;
        let (Some(directory), Some(name)) = (named.parent(), named.file_name()) else {
            return Err(wrong("is no name of a file"));
        };
        if named.extension().is_none_or(|extension| extension != "zip") {
            return Err(wrong("is refused: only files whose name ends with .zip are written"));
        }
        let cannot = |error: std::io::Error| wrong(&format!("cannot be written: {}", error.kind()));
        let real = directory.canonicalize().map_err(cannot)?;
        refuse_places(&real).map_err(|why| wrong(&why))?;
        self.refuse_outside(&real).map_err(wrong)?;
        let path = real.join(name);
        // Nothing is written over, and no link is followed.
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(cannot)?;
        Ok(Archive { path, file, is_whole: false })
    }

    fn refuse_outside(&self, real: &Path) -> Result<(), &'static str> {
        let Some(root) = &self.root else { return Ok(()) };
        let root = root.canonicalize().map_err(|_| "LOOPCTL_IMPORT_ROOT does not exist")?;
        if real.starts_with(root) { Ok(()) } else { Err("is refused: it is not below LOOPCTL_IMPORT_ROOT") }
    }
}

/// A file that is being written. Dropped before it is whole, it is gone.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    file: File,
    is_whole: bool,
}

impl Archive {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Keeps it.
    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        self.file.sync_all()?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if !self.is_whole {
            // Whoever cannot remove it could hardly write it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn refuse_places(path: &Path) -> Result<(), String> {
    if let Some(place) = PSEUDO.iter().find(|place| path.starts_with(place)) {
        return Err(format!("is refused: {place} is a pseudo-filesystem"));
    }
    if let Some(place) = OTHERS.iter().find(|place| path.starts_with(place)) {
        return Err(format!("is refused: nothing below {place} is read"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> String {
        Files::default().plan(path).expect_err("it is refused").0
    }

    #[test]
    fn only_plans_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("plan.json"), r#"{"epics": []}"#).expect("a file");
        std::fs::write(at("secret.json"), "TOKEN=abcdef").expect("a file");
        std::fs::write(at("list.json"), "[]").expect("a file");
        std::fs::write(at("plan.txt"), "{}").expect("a file");
        std::fs::write(at("long.json"), vec![b' '; 6 * 1024 * 1024]).expect("a file");
        std::os::unix::fs::symlink("/proc/self/environ", at("link.json")).expect("a link");
        let said = |name: &str| refusal(at(name).to_str().expect("a path"));
        assert!(refusal("relative.json").contains("must be absolute"));
        for path in ["/proc/self/environ", "/tmp/../proc/self/environ", "/dev/zero", "/sys"] {
            assert!(
                refusal(path).contains("refused") && refusal(path).contains("pseudo-filesystem"),
                "{path}"
            );
        }
        assert!(said("link.json").contains("pseudo-filesystem"));
        assert!(refusal("/etc/passwd").contains("refused"));
        assert!(refusal("/procfoo/plan.json").contains("cannot be read"));
        assert!(refusal(dir.path().to_str().expect("a path")).contains("is not a regular file"));
        assert!(said("long.json").contains("exceeds max"));
        assert!(said("list.json").contains("must hold a JSON object"));
        assert!(said("plan.txt").contains(".json"));
        let secret = said("secret.json");
        assert!(secret.contains("not valid JSON at line 1 column") && !secret.contains("TOKEN"));
        let plan = Files::default().plan(at("plan.json").to_str().expect("a path"));
        assert_eq!(plan, Ok(serde_json::json!({"epics": []})));
        let below = Files { root: Some(at("elsewhere")) };
        assert!(below.plan(at("plan.json").to_str().expect("a path")).is_err());
        let below = Files { root: Some(dir.path().to_owned()) };
        assert!(below.plan(at("plan.json").to_str().expect("a path")).is_ok());
    }

    #[test]
    fn only_new_archives_are_written_and_only_whole_ones_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
        let refusal = |path: &str| Files::default().archive(path).expect_err("it is refused").0;
        std::fs::write(at("there.zip"), "old").expect("a file");
        std::os::unix::fs::symlink(at("elsewhere.zip"), at("link.zip")).expect("a link");
        std::os::unix::fs::symlink("/etc", at("etc")).expect("a link");
        for (path, said) in [
            ("wiki.zip", "must be absolute"),
            ("/proc/wiki.zip", "pseudo-filesystem"),
            ("/etc/wiki.zip", "refused"),
            (at("etc/wiki.zip").as_str(), "refused"),
            (at("wiki.txt").as_str(), ".zip"),
            (at("there.zip").as_str(), "cannot be written: entity already exists"),
            (at("link.zip").as_str(), "cannot be written: entity already exists"),
            (at("nowhere/wiki.zip").as_str(), "cannot be written"),
            ("/", "is no name"),
        ] {
            assert!(refusal(path).contains(said), "{path}: {}", refusal(path));
        }
        let below = Files { root: Some(dir.path().join("etc")) };
        assert!(below.archive(&at("wiki.zip")).is_err());
        let mut half = Files::default().archive(&at("wiki.zip")).expect("a file");
        half.write(b"PK").expect("bytes");
        drop(half);
        let mut whole = Files::default().archive(&at("wiki.zip")).expect("nothing is left of the other one");
        whole.write(b"PK").and_then(|()| whole.finish()).expect("bytes");
        drop(whole);
        assert_eq!(std::fs::read(at("wiki.zip")).expect("a file"), b"PK");
        assert_eq!(std::fs::read(at("there.zip")).expect("a file"), b"old");
    }
}
