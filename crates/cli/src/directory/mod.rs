//! Story files (`epic_<n>_<slug>/us_<n>.<m>.json`) in a directory: as an import request, and written from an export.
//! `disk` reads and writes; everything between files and requests is pure.

mod assemble;
mod check;
mod disk;
mod export;
mod note;
mod story;

use std::collections::BTreeSet;
use std::path::Path;

use loopctl_core::json::JsonText;
use loopctl_core::request::Request;
use serde_json::{Map, Value};

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

/// How to read a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Dependencies may point at stories that exist only on the server.
    pub(crate) merge: bool,
    /// New stories get the status that an export noted.
    pub(crate) with_status: bool,
}

/// A directory as an import request.
#[derive(Debug)]
pub(crate) struct Import {
    /// The request.
    pub(crate) body: Value,
    /// Files it was made from.
    pub(crate) files: usize,
    /// Stories whose status the import cannot give to a new story.
    pub(crate) without_status: usize,
}

/// The import request for a directory.
pub(crate) fn import(root: &Path, options: Options) -> Result<Import, Error> {
    let mut problems = Vec::new();
    let mut files = disk::read(root, &mut problems);
    if files.is_empty() && problems.is_empty() {
        return Err(Error::Usage(format!("No us_*.json files found in {}", root.display())));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut payload = assemble::payload(&files, &mut problems);
    check::payload(&payload, options.merge, &mut problems);
    if problems.is_empty() {
        let without_status = if options.with_status { payload.apply_statuses() } else { 0 };
        return Ok(Import { body: payload.into_json(), files: files.len(), without_status });
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

/// JSON as editors write it, also with a byte order mark.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Hands on the fields of a record that the server would refuse.
fn report<T: Request>(content: &Map<String, Value>, problem: &mut impl FnMut(String)) {
    let text = JsonText::from(Value::Object(content.clone()));
    let errors = text.object().and_then(|object| T::from_object(&object).err());
    for (field, messages) in errors.into_iter().flat_map(|errors| errors.0) {
        problem(format!("{field}: {}", messages.join(", ")));
    }
}

/// What an export to a directory did.
#[derive(Debug)]
pub(crate) struct Export {
    /// Files written.
    pub(crate) files: usize,
    /// Files of an earlier export that were removed: this one does not have them.
    pub(crate) removed: Vec<String>,
    /// Files that `import` would read too, though no export wrote them.
    pub(crate) others: Vec<String>,
}

/// Refuses a directory that holds something, unless `force` allows to write into it.
pub(crate) fn check_target(root: &Path, force: bool) -> Result<(), Error> {
    disk::check_target(root, force)
}

/// Writes an export in place of an earlier one: with files of both, stories would be there twice or come back.
/// Nothing is written when it is not what an export should be.
pub(crate) fn export(root: &Path, body: &Value) -> Result<Export, Error> {
    let files = export::files(body)
        .map_err(|what| Error::Other(format!("The server's answer is not an export: {what}")))?;
    for file in &files {
        disk::write(root, file)?;
    }
    let written: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut others = disk::import_files(root);
    others.retain(|path| !written.contains(path.as_str()));
    let (removed, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|path| disk::file(root, path).as_ref().is_some_and(export::is_ours));
    for path in &removed {
        disk::remove(root, path)?;
    }
    Ok(Export { files: files.len(), removed, others })
}

#[cfg(test)]
mod round_trip;
