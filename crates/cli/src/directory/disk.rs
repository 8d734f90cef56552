//! The directory itself.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{File, Problem, assemble};
use crate::error::Error;
use crate::replace::Replacement;

/// The files of an import. Whatever cannot be read is a problem, never silently left out.
pub(super) fn read(root: &Path, problems: &mut Vec<Problem>) -> Vec<File> {
    // A single epic can be imported too: then the directory itself has the telling name, also when it is called `.`.
    let full = root.file_name().is_none().then(|| root.canonicalize().ok()).flatten();
    let name = full.as_deref().unwrap_or(root).file_name().unwrap_or_default().to_string_lossy();
    let prefix = if name.starts_with("epic_") { format!("{name}/") } else { String::new() };
    let mut found = Vec::new();
    walk(root, &prefix, &mut found, problems);
    let mut files = Vec::new();
    for (place, path) in found {
        match content(&place) {
            Ok(content) => files.push(File { path, content }),
            Err(message) => problems.push(Problem::new(&path, message)),
        }
    }
    files
}

/// The JSON in a file, or what is wrong with it.
fn content(place: &Path) -> Result<Value, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // To open a pipe is to wait for somebody who writes into it.
    if !std::fs::metadata(place).map_err(unreadable)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let text = std::fs::read_to_string(place).map_err(unreadable)?;
    super::parse(&text).map_err(|error| format!("invalid JSON: {error}"))
}

/// A file below `root`; None when there is nothing that could be read.
pub(super) fn file(root: &Path, path: &str) -> Option<File> {
    Some(File { path: path.to_owned(), content: content(&root.join(path)).ok()? })
}

/// The paths of the files that an import would read, relative to `root`.
pub(super) fn import_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(root, "", &mut found, &mut Vec::new());
    let mut paths: Vec<String> = found.into_iter().map(|(_, path)| path).collect();
    paths.sort();
    paths
}

/// Collects the files below `directory` that belong to an import.
fn walk(directory: &Path, prefix: &str, found: &mut Vec<(PathBuf, String)>, problems: &mut Vec<Problem>) {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let name = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
            problems.push(Problem::new(name, format!("cannot be read: {error}")));
            return;
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(Problem::new(prefix, format!("cannot be read: {error}")));
                continue;
            }
        };
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Links to directories are not followed: they may lead in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{path}/"), found, problems);
        } else if assemble::is_known(&path) {
            found.push((entry.path(), path));
        }
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
