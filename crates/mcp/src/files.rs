//! Files of this machine that a tool may read for a model: plans as JSON, and nothing else.

use std::fs::OpenOptions;
use std::io::Read as _;
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
        if let Some(root) = &self.root {
            let root = root.canonicalize().map_err(|_| wrong("LOOPCTL_IMPORT_ROOT does not exist"))?;
            if !real.starts_with(root) {
                return Err(wrong("is refused: it is not below LOOPCTL_IMPORT_ROOT"));
            }
        }
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
}
