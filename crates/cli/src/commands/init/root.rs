//! Which directory is set up where none is named.

use std::path::{Path, PathBuf};

/// The root of the git repository around a directory; the directory itself, where there is none. A repository that is the whole
/// home directory (of settings, mostly) or the whole machine is not meant by who works below it.
fn root(directory: &Path, home: Option<&Path>, has_git: impl Fn(&Path) -> bool) -> PathBuf {
    let around = directory.ancestors().find(|place| !is_everything(place, home) && has_git(place));
    around.unwrap_or(directory).to_owned()
}

/// Whether a directory is the home directory or `/`: what is put there is about every repository, and mostly a mistake.
pub(super) fn is_everything(directory: &Path, home: Option<&Path>) -> bool {
    directory.parent().is_none() || home == Some(directory)
}

/// The same root, as the machine has it.
pub(crate) fn root_here(directory: &Path) -> PathBuf {
    // A file, in a worktree or a submodule.
    root(directory, home().as_deref(), |place| place.join(".git").exists())
}

/// The user's own directory, with no link in its path.
pub(super) fn home() -> Option<PathBuf> {
    directories::BaseDirs::new()?.home_dir().canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(directory: &str, repositories: &[&str]) -> String {
        let has_git = |place: &Path| repositories.iter().any(|repository| place == Path::new(repository));
        root(Path::new(directory), Some(Path::new("/home/a")), has_git).display().to_string()
    }

    #[test]
    fn the_nearest_repository_around_is_meant() {
        assert_eq!(of("/home/a/x/src/deep", &["/home/a/x"]), "/home/a/x");
        assert_eq!(of("/home/a/x/sub/src", &["/home/a/x", "/home/a/x/sub"]), "/home/a/x/sub");
        assert_eq!(of("/home/a/x", &["/home/a/x"]), "/home/a/x");
        assert_eq!(of("/home/a/x/src", &[]), "/home/a/x/src");
        assert_eq!(of("/home/a/x", &["/home/a", "/"]), "/home/a/x");
    }

    #[test]
    fn home_and_the_machine_are_everything() {
        let home = Some(Path::new("/home/a"));
        for (place, expected) in [("/", true), ("/home/a", true), ("/home", false), ("/home/a/x", false)] {
            assert_eq!(is_everything(Path::new(place), home), expected, "{place}");
        }
        assert!(!is_everything(Path::new("/home/a"), None));
    }
}
