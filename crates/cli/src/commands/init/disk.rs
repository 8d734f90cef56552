//! The repository itself: what is found in it, and how it is changed, all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::folders::Folders;
use super::plan::{Change, Disk, Found, Step};
use crate::error::Error;
use crate::replace::Replacement;

/// A repository, and where the paths in it really lead to.
#[derive(Debug)]
pub(super) struct Repository {
    root: PathBuf,
    real: BTreeMap<&'static str, PathBuf>,
    disk: Disk,
}

impl Repository {
    /// Looks at these paths. One that leads to the same file as one before it is noted as such.
    pub(super) fn read(root: &Path, paths: &[&'static str]) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Usage(format!("Cannot use {}: {reason}", root.display()));
        let root = root.canonicalize().map_err(|error| unusable(error.to_string()))?;
        if !root.is_dir() {
            return Err(unusable("it is no directory".to_owned()));
        }
        let (mut real, mut disk): (BTreeMap<&'static str, PathBuf>, Disk) = Default::default();
        for path in paths {
            let (place, found) = match place(&root, path) {
                Ok(place) if real.values().any(|other| *other == place) => (place, Found::Same),
                // The link to a folder is not what is in it.
                Ok(place) if real.values().any(|other| other.parent() == Some(&place)) => {
                    (place, Found::Same)
                }
                Ok(place) => {
                    let found = look(&place);
                    (place, found)
                }
                Err(reason) => (root.join(path), Found::Blocked(reason)),
            };
            real.insert(path, place);
            disk.insert(path, found);
        }
        Ok(Self { root, real, disk })
    }

    /// What was found.
    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Whether there is such a file or folder.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Does what the steps say. If one fails, all is as before.
    pub(super) fn apply(&self, steps: &[Step]) -> Result<(), Error> {
        // One after the other: what another run undoes is not to be what this one has written.
        let directory = std::fs::File::open(&self.root).map_err(|error| failed(&self.root, &error))?;
        directory.lock().map_err(|error| failed(&self.root, &error))?;
        let paths: Vec<&'static str> = self.disk.keys().copied().collect();
        let now = Self::read(&self.root, &in_order(&paths, &self.disk))?;
        if let Some(path) = paths.iter().find(|path| self.disk.get(*path) != now.disk.get(*path)) {
            return Err(Error::Usage(format!(
                "{path} has changed meanwhile. Nothing was written; run init again"
            )));
        }
        let mut undo = Undo::default();
        let empty = self.empty_folders(steps);
        let done = self.try_apply(steps, &mut undo);
        match done {
            Ok(()) => self.tidy(steps, empty),
            Err(_) => undo.undo(),
        }
        done
    }

    fn try_apply(&self, steps: &[Step], undo: &mut Undo) -> Result<(), Error> {
        // What may fail for want of rights or room comes first.
        let mut prepared = Vec::new();
        for step in steps {
            let place = self.place(step);
            match &step.change {
                Change::Write { before, after } => {
                    undo.make_parents(&place)?;
                    let mut replacement = Replacement::of(&place)?;
                    replacement.write(after.as_bytes())?;
                    prepared.push((replacement, place, before));
                }
                Change::Link(_) => undo.make_parents(&place)?,
                Change::Nothing | Change::Delete { .. } => {}
            }
        }
        for (replacement, place, before) in prepared {
            let mode = place.metadata().map(|found| found.permissions()).ok();
            replacement.finish()?;
            undo.files.push((place, before.clone(), mode));
        }
        for step in steps {
            let place = self.place(step);
            match &step.change {
                Change::Link(to) => {
                    std::os::unix::fs::symlink(to, &place).map_err(|error| failed(&place, &error))?;
                    undo.files.push((place, None, None));
                }
                Change::Delete { before } => {
                    let mode = place.metadata().map(|found| found.permissions()).ok();
                    let link = std::fs::read_link(&place).ok();
                    std::fs::remove_file(&place).map_err(|error| failed(&place, &error))?;
                    match link {
                        Some(to) => undo.links.push((place, to)),
                        None => undo.files.push((place, before.clone(), mode)),
                    }
                }
                Change::Nothing | Change::Write { .. } => {}
            }
        }
        Ok(())
    }

    fn place(&self, step: &Step) -> PathBuf {
        self.real.get(step.path).cloned().unwrap_or_else(|| self.root.join(step.path))
    }

    /// The folders with nothing in them into which something will be put.
    fn empty_folders(&self, steps: &[Step]) -> BTreeSet<PathBuf> {
        let made = |step: &&Step| matches!(step.change, Change::Write { before: None, .. } | Change::Link(_));
        let nearest = steps.iter().filter(made).filter_map(|step| {
            let place = self.place(step);
            place.ancestors().skip(1).find(|parent| parent.exists()).map(Path::to_owned)
        });
        nearest.filter(|folder| *folder != self.root && is_empty(folder)).collect()
    }

    /// Removes folders that have become empty, but not those that were so before. One that is not empty refuses it.
    fn tidy(&self, steps: &[Step], empty: BTreeSet<PathBuf>) {
        let before = Folders::of(&self.root);
        let stay: BTreeSet<PathBuf> = before.known.iter().cloned().chain(empty).collect();
        for step in steps.iter().filter(|step| matches!(step.change, Change::Delete { .. })) {
            let place = self.place(step);
            let parents = place.ancestors().skip(1).take_while(|parent| *parent != self.root);
            for parent in parents {
                if stay.contains(parent) || std::fs::remove_dir(parent).is_err() {
                    break;
                }
            }
        }
        // Of those that are as before, or gone, nothing has to be known any more.
        before.know(&stay.into_iter().filter(|folder| folder.is_dir() && !is_empty(folder)).collect());
    }
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

/// The paths as they were looked at: those that lead to another one's file after it.
fn in_order(paths: &[&'static str], disk: &Disk) -> Vec<&'static str> {
    let same = |path: &&&'static str| disk.get(**path) == Some(&Found::Same);
    let (last, first): (Vec<_>, Vec<_>) = paths.iter().partition(same);
    first.into_iter().chain(last).copied().collect()
}

/// What has been done so far, and how it was before.
#[derive(Debug, Default)]
struct Undo {
    directories: Vec<PathBuf>,
    files: Vec<(PathBuf, Option<String>, Option<Permissions>)>,
    links: Vec<(PathBuf, PathBuf)>,
}

impl Undo {
    fn make_parents(&mut self, place: &Path) -> Result<(), Error> {
        let missing: Vec<&Path> = place.ancestors().skip(1).take_while(|parent| !parent.exists()).collect();
        for directory in missing.into_iter().rev() {
            std::fs::create_dir(directory).map_err(|error| failed(directory, &error))?;
            self.directories.push(directory.to_owned());
        }
        Ok(())
    }

    /// As far as it goes: what stopped the rest may stop this.
    fn undo(self) {
        for (place, before, mode) in self.files.into_iter().rev() {
            let _ = match before {
                None => std::fs::remove_file(&place),
                Some(text) => std::fs::write(&place, text),
            };
            if let Some(mode) = mode {
                let _ = std::fs::set_permissions(&place, mode);
            }
        }
        for (place, to) in self.links.into_iter().rev() {
            let _ = std::os::unix::fs::symlink(to, place);
        }
        for directory in self.directories.into_iter().rev() {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

fn failed(place: &Path, error: &std::io::Error) -> Error {
    Error::Usage(format!("Cannot change {}: {error}. Nothing was changed", place.display()))
}

/// Where a path really leads to, or why nobody should go there.
fn place(root: &Path, path: &str) -> Result<PathBuf, String> {
    let mut place = root.to_owned();
    let names: Vec<&str> = path.split('/').collect();
    for (index, name) in names.iter().enumerate() {
        let is_last = index + 1 == names.len();
        let next = place.join(name);
        let found = match next.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(names[index..].iter().fold(place, |place, name| place.join(name)));
            }
            Err(error) => return Err(format!("it cannot be read: {error}")),
        };
        // What is at the end of the path may be meant to be a link to a folder.
        place = if !found.is_symlink() {
            next
        } else {
            let target = next.canonicalize().ok();
            let shown = names[..=index].join("/");
            match target {
                None if is_last => return Err(format!("{shown} is a link that leads nowhere")),
                Some(target) if is_last && target.is_dir() => return Ok(next),
                Some(target) if target.starts_with(root) => target,
                Some(_) => return Err(format!("{shown} is a link that leads out of the repository")),
                None => return Err(format!("{shown} is a link that leads nowhere")),
            }
        };
        if !is_last && !place.is_dir() {
            return Err(format!("{} is no folder", names[..=index].join("/")));
        }
    }
    Ok(place)
}

fn look(place: &Path) -> Found {
    if let Ok(to) = std::fs::read_link(place) {
        return Found::Link(to.to_string_lossy().into_owned());
    }
    match place.symlink_metadata() {
        Err(_) => Found::Missing,
        Ok(found) if found.is_dir() => Found::Blocked("it is a folder".to_owned()),
        Ok(found) if !found.is_file() => Found::Blocked("it is no file".to_owned()),
        Ok(found) => match std::fs::read(place).map(String::from_utf8) {
            Ok(Ok(text)) => Found::File { text, read_only: found.permissions().readonly() },
            Ok(Err(_)) => Found::Blocked("it is no UTF-8 text".to_owned()),
            Err(error) => Found::Blocked(format!("it cannot be read: {error}")),
        },
    }
}
