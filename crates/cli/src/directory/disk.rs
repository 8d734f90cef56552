//! The directory itself.

use std::path::{Path, PathBuf};

use super::{File, Problem, assemble};
use crate::error::Error;
use crate::replace::Replacement;

/// The files of an import. Whatever cannot be read is a problem, never silently left out.
pub(super) fn read(root: &Path, problems: &mut Vec<Problem>) -> Vec<File> {
    // A single epic can be imported too: then the directory itself has the telling name.
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prefix = if name.starts_with("epic_") { format!("{name}/") } else { String::new() };
    let mut found = Vec::new();
    walk(root, &prefix, &mut found, problems);
    let mut files = Vec::new();
    for (place, path) in found {
        match std::fs::read_to_string(place) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(content) => files.push(File { path, content }),
                Err(error) => problems.push(Problem::new(&path, format!("invalid JSON: {error}"))),
            },
            Err(error) => problems.push(Problem::new(&path, format!("cannot be read: {error}"))),
        }
    }
    files
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
        Error::Other(format!("Cannot create the directory of {}: {error}", path.display()))
    })?;
    let mut replacement = Replacement::of(&path)?;
    replacement.write(format!("{:#}\n", file.content).as_bytes())?;
    replacement.finish()
}
