//! The directory itself.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{File, Problem, assemble};
use crate::error::Error;
use crate::json_argument;
use crate::replace::Replacement;

/// What lies below the directories of an import.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<File>,
    /// What looks as if it were meant, and is not read.
    pub(super) others: Vec<String>,
    /// Directories that were not looked into.
    pub(super) passed_by: Vec<String>,
}

/// The files of an import. Whatever cannot be read is a problem, never silently left out.
pub(super) fn read(roots: &[impl AsRef<Path>], problems: &mut Vec<Problem>) -> Listing {
    let mut listing = Listing::default();
    for root in roots {
        let root = root.as_ref();
        let prefix = own_name(root);
        let mut walk = Walk::default();
        walk.below(root, &prefix);
        // With several directories, the same path may be in each of them.
        let place = |path: &str| match roots {
            [_] => path.to_owned(),
            _ => root.join(path.strip_prefix(&prefix).unwrap_or(path)).display().to_string(),
        };
        for (path, message) in walk.unreadable {
            problems.push(Problem::new(&place(&path), message));
        }
        for (on_disk, path) in walk.found {
            let place = place(&path);
            match content(&on_disk) {
                Ok(content) => listing.files.push(File { path, place, content }),
                Err(message) => problems.push(Problem::new(&place, message)),
            }
        }
        listing.others.extend(walk.others.iter().map(|path| place(path)));
        listing.passed_by.extend(walk.passed_by.iter().map(|path| place(path)));
    }
    listing.files.sort_by(|a, b| (&a.path, &a.place).cmp(&(&b.path, &b.place)));
    listing.others.sort();
    listing.passed_by.sort();
    listing
}

/// `epic_1_base/`, when the directory itself has such a telling name, also when it is called `.`: then a single epic is
/// imported. Else nothing.
fn own_name(root: &Path) -> String {
    let full = root.file_name().is_none().then(|| root.canonicalize().ok()).flatten();
    let name = full.as_deref().unwrap_or(root).file_name().unwrap_or_default().to_string_lossy();
    assemble::epic_of(&name).map_or_else(String::new, |_| format!("{name}/"))
}

/// The JSON in a file, or what is wrong with it.
fn content(place: &Path) -> Result<Value, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // To open a pipe is to wait for somebody who writes into it.
    if !std::fs::metadata(place).map_err(unreadable)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let text = std::fs::read_to_string(place).map_err(unreadable)?;
    json_argument::parse(&text).map_err(|error| format!("invalid JSON: {error}"))
}

/// A file below `root`; None when there is nothing that could be read.
pub(super) fn file(root: &Path, path: &str) -> Option<File> {
    Some(File::new(path, content(&root.join(path)).ok()?))
}

/// The paths of the files that an import would read, relative to `root`.
pub(super) fn import_files(root: &Path) -> Vec<String> {
    let mut walk = Walk::default();
    walk.below(root, "");
    let mut paths: Vec<String> = walk.found.into_iter().map(|(_, path)| path).collect();
    paths.sort();
    paths
}

/// What was found so far, by path relative to where the walk began.
#[derive(Default)]
struct Walk {
    /// What belongs to an import, with its place on the disk.
    found: Vec<(PathBuf, String)>,
    others: Vec<String>,
    passed_by: Vec<String>,
    unreadable: Vec<(String, String)>,
}

/// Whether a directory of this name belongs to tools: a repository holds thousands of JSON files there, and no plan. Those
/// that are named on the command line are read all the same.
fn is_of_tools(name: &str) -> bool {
    name.starts_with('.') || ["node_modules", "target"].contains(&name)
}

impl Walk {
    fn below(&mut self, directory: &Path, prefix: &str) {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return self.cannot_read(prefix, &error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.cannot_read(prefix, &error);
                    continue;
                }
            };
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_string_lossy());
            let (is_directory, leads_to_one) =
                (entry.file_type().is_ok_and(|kind| kind.is_dir()), entry.path().is_dir());
            if (is_directory || leads_to_one) && is_of_tools(&name.to_string_lossy()) {
                self.passed_by.push(path);
            } else if is_directory {
                self.below(&entry.path(), &format!("{path}/"));
            } else if leads_to_one {
                // They may lead in a circle.
                self.others.push(format!("{path} (links to directories are not followed)"));
            } else if assemble::kind(&path).is_some() {
                self.found.push((entry.path(), path));
            } else if path.to_ascii_lowercase().ends_with(".json") {
                self.others.push(path);
            }
        }
    }

    fn cannot_read(&mut self, prefix: &str, error: &std::io::Error) {
        let name = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
        self.unreadable.push((name.to_owned(), format!("cannot be read: {error}")));
    }
}

/// A directory to write to is new or empty, unless `force` allows what it holds.
pub(super) fn check_target(root: &Path, force: bool) -> Result<(), Error> {
    let mut entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::Usage(format!("Cannot write to {}: {error}", root.display()))),
    };
    if force || entries.next().is_none() {
        return Ok(());
    }
    Err(Error::Usage(format!("{} is not empty. Use --force to write into it", root.display())))
}

/// Writes one file below `root`, whole or not at all.
pub(super) fn write(root: &Path, file: &File) -> Result<(), Error> {
    let path = root.join(&file.path);
    let parents = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    parents.map_err(|error| {
        Error::Usage(format!("Cannot create the directory of {}: {error}", path.display()))
    })?;
    let mut replacement = Replacement::of(&path)?;
    replacement.write(format!("{:#}\n", file.content).as_bytes())?;
    replacement.finish()
}

/// Removes a file below `root`, and its directory with the last one.
pub(super) fn remove(root: &Path, path: &str) -> Result<(), Error> {
    let path = root.join(path);
    std::fs::remove_file(&path)
        .map_err(|error| Error::Usage(format!("Cannot remove {}: {error}", path.display())))?;
    if let Some(directory) = path.parent() {
        // Fails as long as something is in it.
        let _ = std::fs::remove_dir(directory);
    }
    Ok(())
}
