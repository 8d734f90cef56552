//! Story files (`epic_<n>_<slug>/us_<n>.<m>.json`) in a directory: as an import request, and written from an export.
//! `disk` reads and writes; everything between files and requests is pure.

mod assemble;
mod check;
mod disk;
mod export;
mod note;
mod story;
mod unread;

use std::collections::{BTreeMap, BTreeSet};
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
    /// The path that messages name: of several directories, which one is a part of it.
    place: String,
    /// Parsed content.
    content: Value,
}

impl File {
    fn new(path: &str, content: Value) -> Self {
        Self { path: path.to_owned(), place: path.to_owned(), content }
    }
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

/// The stories and epics that a project has, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// With the file that each is noted to come from.
    pub(crate) stories: BTreeMap<String, Option<String>>,
    pub(crate) epics: BTreeSet<u64>,
}

/// The member of a story's metadata that says from which file it was imported first.
pub(crate) const SOURCE_FILE: &str = "source_file";

/// How to read a directory.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// What the project has that is merged into: dependencies may point at it, and of it only what files say is sent.
    pub(crate) merge: Option<Known>,
    /// New stories get the status that an export noted.
    pub(crate) with_status: bool,
    /// Dependencies on what is neither in the directory nor in the project are left out.
    pub(crate) drop_unknown: bool,
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
    /// What whoever wrote the files should know, a line each.
    pub(crate) notes: Vec<String>,
}

/// The import request for directories, all of them one plan.
pub(crate) fn import(roots: &[impl AsRef<Path>], options: Options) -> Result<Import, Error> {
    let mut problems = Vec::new();
    let disk::Listing { files, others, passed_by } = disk::read(roots, &mut problems);
    let count = others.len();
    let mut notes = not_read(others, count);
    notes.extend(unread::notes(&files));
    let names = roots.iter().map(|root| root.as_ref().display().to_string()).collect::<Vec<_>>().join(", ");
    if files.is_empty() && problems.is_empty() {
        // Nobody misses them, unless the plan is in one.
        let count = passed_by.len();
        notes.extend(not_read(passed_by.iter().map(|path| format!("{path} {PASSED_BY}")), count));
        let heading = format!("No story files in {names}: they are called us_<number>.json");
        return Err(Error::Problems(heading, notes));
    }
    let mut payload = assemble::payload(&files, &mut problems);
    notes.extend(payload.directories_of_one_epic());
    let (merge, known) = (options.merge.is_some(), options.merge.unwrap_or_default());
    if options.drop_unknown {
        notes.extend(payload.drop_unknown(&known));
    }
    check::payload(&payload, merge, &mut problems);
    if problems.is_empty() {
        let without_status = if options.with_status { payload.apply_statuses() } else { 0 };
        return Ok(Import { body: payload.into_json(&known), files: files.len(), without_status, notes });
    }
    problems.sort_by(|a, b| a.file.cmp(&b.file));
    let count = problems.len();
    let heading = format!(
        "Nothing was imported: {count} {} in {names}",
        if count == 1 { "problem" } else { "problems" },
    );
    let lines = problems.iter().map(|p| format!("{}: {}", p.file, p.message));
    Err(Error::Problems(heading, lines.chain(notes).collect()))
}

/// What a document is that is no plan but a file of one, as its name or its number says.
pub(crate) fn part_of_plan(path: &Path, document: &Value) -> Option<&'static str> {
    const PLAN: [&str; 3] = ["epics", "story_dependencies", "epic_dependencies"];
    let members = document.as_object()?;
    if PLAN.iter().any(|key| members.contains_key(*key)) {
        return None;
    }
    match assemble::kind(&path.to_string_lossy()) {
        Some(assemble::Kind::Epic) => Some("an epic file"),
        Some(assemble::Kind::Story) => Some("a story file"),
        _ => ["id", "number"].iter().any(|key| members.contains_key(*key)).then_some("a story file"),
    }
}

/// How a line begins that says what an import left aside.
const NOT_READ: &str = "note: not read: ";
/// Why a directory is not read.
const PASSED_BY: &str = "(not looked into, unless it is named itself)";

/// Most things that are named of a kind: as many as the server names of what it did not read.
const NAMED: usize = 20;

/// Names what was not read, of all `count` the first ones.
pub(crate) fn not_read(paths: impl IntoIterator<Item = String>, count: usize) -> Vec<String> {
    named(NOT_READ, paths, count)
}

/// A line for each of the first ones, and one that says how many more of all `count` there are.
pub(crate) fn named(lead: &str, names: impl IntoIterator<Item = String>, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = names.into_iter().take(NAMED).map(|name| format!("{lead}{name}")).collect();
    if count > lines.len() {
        lines.push(format!("{lead}… and {} more", count - lines.len()));
    }
    lines
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
/// Nothing is written when it is not what an export should be, or would not be the same on every disk.
pub(crate) fn export(root: &Path, body: &Value) -> Result<Export, Error> {
    let files = export::files(body)
        .map_err(|what| Error::Other(format!("The server's answer is not an export: {what}")))?;
    if let Some((one, other)) = export::alike(&files) {
        return Err(Error::Usage(format!(
            "Nothing was written: {one} and {other} differ in upper and lower case alone, and many disks cannot hold \
             both. Export to a file instead (--out FILE), which `import` takes as well"
        )));
    }
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
