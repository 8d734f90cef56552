//! Creating the cluster, so that it is there completely or not at all.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use crate::Application;
use crate::account::Account;
use crate::binaries::Installation;
use crate::error::{IoContext, Problem};
use crate::layout::Layout;
use crate::process;

/// A library that gives every account a name; empty where it could not be built.
const NAME: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/name.so"));

/// The prefix of clusters in the making, beside the finished one so that a rename completes them.
const UNFINISHED: &str = "postgres.init-";

/// Characters by Unicode, but order by bytes: it is the same order as that of C.UTF-8, needs no call into the
/// C library, and cannot change under an index with an update of that library.
#[cfg(not(target_os = "macos"))]
const LOCALE: [&str; 2] = ["--locale=C.UTF-8", "--lc-collate=C"];
/// Older releases of macOS know the character set only under this name.
#[cfg(target_os = "macos")]
const LOCALE: [&str; 2] = ["--locale=C", "--lc-ctype=UTF-8"];

/// Defaults for a small machine. They are in the file and not on the command line, so that they can be edited;
/// what the application depends on is on the command line.
fn settings(application: &Application) -> String {
    let name = application.name;
    format!(
        "
# {name}: defaults for a small machine. You may change them; restart {name} afterwards.
max_connections = 100
shared_buffers = 64MB
effective_cache_size = 512MB
random_page_cost = 1.1
# Requests are short: compiling or splitting up their queries costs more than it gains, and parallel workers
# need more shared memory than a container usually has.
jit = off
max_parallel_workers_per_gather = 0
# What users write does not belong into the log: no statements, no rows.
log_min_error_statement = panic
log_error_verbosity = terse
"
    )
}

/// The major version of the cluster, or `None` if there is none yet.
pub(crate) fn version(pgdata: &Path) -> Result<Option<u32>, Problem> {
    let not_a_cluster = || Problem::NotACluster { pgdata: pgdata.to_path_buf() };
    match fs::read_to_string(pgdata.join("PG_VERSION")) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| not_a_cluster()),
        // An empty directory is what somebody who prepares a volume makes; the rename replaces it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match fs::read_dir(pgdata).map(Iterator::count) {
                Ok(1..) => Err(not_a_cluster()),
                _ => Ok(None),
            }
        }
        Err(error) => Err(error).context("read", &pgdata.join("PG_VERSION")),
    }
}

/// Removes what a start that was killed left behind. Failing at that is no reason not to start: an `initdb`
/// that has just lost its parent may still be removing its files itself.
pub(crate) fn clear_unfinished(layout: &Layout) {
    let Ok(entries) = fs::read_dir(layout.root()) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let remove =
            |path: &Path| if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
            && let Err(error) = remove(&path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished cluster");
        }
    }
}

/// Creates the cluster. Blocks for about a second, most of it in `initdb` and its syncs.
pub(crate) fn create(layout: &Layout, account: &Account, installation: &Installation) -> Result<(), Problem> {
    // A name of its own, because an orphan of the last attempt may still be writing to that one's.
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let unfinished = layout.root().join(format!("{UNFINISHED}{}-{moment}", std::process::id()));
    tracing::info!(dir = %layout.pgdata().display(), "creating the database cluster");
    let result = fill(&unfinished, layout, account, installation);
    if result.is_err() {
        clear_unfinished(layout);
    }
    result
}

/// Lets `initdb` find a name for its account. Gives the library that does, to be kept for as long as it runs.
fn lend_name(command: &mut Command, layout: &Layout) -> Result<tempfile::TempPath, Problem> {
    let mut library = tempfile::Builder::new()
        // Removed with the rest, should we be killed.
        .prefix(&format!("{UNFINISHED}name-"))
        .suffix(".so")
        .tempfile_in(layout.root())
        .context("create a file in", layout.root())?;
    library.write_all(NAME).context("write", library.path())?;
    // Relative, because a path with blanks or colons would be taken for several.
    let mut name = OsString::from("./");
    name.push(library.path().file_name().unwrap_or_default());
    command.env("LD_PRELOAD", name).current_dir(layout.root());
    Ok(library.into_temp_path())
}

fn fill(
    unfinished: &Path,
    layout: &Layout,
    account: &Account,
    installation: &Installation,
) -> Result<(), Problem> {
    DirBuilder::new().mode(0o700).create(unfinished).context("create", unfinished)?;
    account.own(unfinished)?;

    let program = installation.bin_dir.join("initdb");
    let mut command = process::command(&program, account);
    command.arg("--pgdata").arg(unfinished).args([
        "--username",
        layout.application().owner,
        "--encoding=UTF8",
        "--lc-messages=C",
        "--text-search-config=english",
        // Safe, because the directory of the socket is private to the account that owns the data; see
        // `Layout::socket_dir`. Over TCP, should anybody ever switch it on, nobody gets in.
        "--auth-local=trust",
        "--auth-host=reject",
        "--data-checksums",
        "--no-instructions",
    ]);
    command.args(LOCALE).stdout(Stdio::piped()).stderr(Stdio::piped());
    let _name = if account.nameless { Some(lend_name(&mut command, layout)?) } else { None };
    let output = process::spawn_tied(&mut command, Signal::SIGTERM)
        .and_then(std::process::Child::wait_with_output)
        .map_err(|source| Problem::Spawn { program, source })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(if account.nameless && text.contains("user does not exist") {
            Problem::Nameless { uid: account.uid, output: text }
        } else {
            Problem::Initdb {
                dir: layout.root().to_path_buf(),
                status: output.status.to_string(),
                output: text,
            }
        });
    }

    let defaults = settings(layout.application());
    let settings = unfinished.join("postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(&settings).context("open", &settings)?;
    file.write_all(defaults.as_bytes()).and_then(|()| file.sync_all()).context("write", &settings)?;

    // `initdb` has synced its files; the rename makes them the cluster, and the sync makes the rename last.
    let pgdata = layout.pgdata();
    fs::rename(unfinished, &pgdata).context("create", &pgdata)?;
    File::open(layout.root()).and_then(|dir| dir.sync_all()).context("sync", layout.root())
}
