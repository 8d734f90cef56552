//! Import from a directory of story files (`epic_<n>_<slug>/us_<n>.<m>.json`): reading here, assembling and checking as
//! pure functions below.

mod assemble;
mod check;
mod story;

use std::path::Path;

use serde_json::Value;

use crate::error::Error;

/// A JSON file of the directory.
#[derive(Debug, Clone)]
struct File {
    /// Path relative to the imported directory, with `/`.
    path: String,
    /// Parsed content.
    content: Value,
}

/// Something wrong in a file.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    file: String,
    message: String,
}

impl Problem {
    fn new(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), message: message.into() }
    }
}

/// The import request for a directory. With `merge`, dependencies may point at stories that exist only on the server.
pub(crate) fn payload(root: &Path, merge: bool) -> Result<Value, Error> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    // A single epic can be imported too: then the directory itself has the telling name.
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prefix = if name.starts_with("epic_") { format!("{name}/") } else { String::new() };
    read(root, &prefix, &mut files, &mut problems);
    if files.is_empty() && problems.is_empty() {
        return Err(Error::Usage(format!("No us_*.json files found in {}", root.display())));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let payload = assemble::payload(&files, &mut problems);
    check::payload(&payload, merge, &mut problems);
    if problems.is_empty() {
        return Ok(payload.into_json());
    }
    problems.sort_by(|a, b| a.file.cmp(&b.file));
    let count = problems.len();
    let heading = format!(
        "Nothing was imported: {count} {} in {}",
        if count == 1 { "problem" } else { "problems" },
        root.display()
    );
    Err(Error::Problems(heading, problems.iter().map(|p| format!("{}: {}", p.file, p.message)).collect()))
}

/// Collects the files below `directory`; whatever cannot be read is a problem, never silently left out.
fn read(directory: &Path, prefix: &str, files: &mut Vec<File>, problems: &mut Vec<Problem>) {
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
            read(&entry.path(), &format!("{path}/"), files, problems);
        } else if assemble::is_known(&path) {
            match std::fs::read_to_string(entry.path()) {
                Ok(text) => match serde_json::from_str(&text) {
                    Ok(content) => files.push(File { path, content }),
                    Err(error) => problems.push(Problem::new(&path, format!("invalid JSON: {error}"))),
                },
                Err(error) => problems.push(Problem::new(&path, format!("cannot be read: {error}"))),
            }
        }
    }
}
