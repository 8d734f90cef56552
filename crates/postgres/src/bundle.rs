//! PostgreSQL from an archive, for machines without a package of it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use sha2::{Digest, Sha256};

use crate::Carried;
use crate::binaries::is_bin_dir;
use crate::error::{IoContext, Problem};
use crate::layout::Layout;

/// What a file begins with that `xz` has compressed; anything else is taken for gzip's.
const XZ: &[u8] = b"\xfd7zXZ\0";

/// What unpacking such a one may take, in KiB: as much as what was compressed as well as it goes.
const MOST_MEMORY: u32 = 96 * 1024;

/// An unpacking that is not complete has this in its name.
const UNFINISHED: &str = "unfinished-";

/// Unpacks a file that somebody named into the data directory, unless that has been done, and returns its `bin` directory.
/// The caller holds the lock of the data directory.
pub(crate) fn install(bundle: &str, layout: &Layout) -> Result<PathBuf, Problem> {
    let path = Path::new(bundle.strip_prefix("file://").unwrap_or(bundle));
    if bundle.contains("://") && !bundle.starts_with("file://") {
        return Err(Problem::BundleUrl { url: bundle.to_owned() });
    }
    let bad = |problem: String| Problem::BadBinaries {
        setting: layout.application().pg_bundle,
        path: path.to_path_buf(),
        problem,
    };
    let key = key(path).map_err(|error| bad(error.to_string()))?;
    let open = || File::open(path).map(BufReader::new);
    unpacked(&key, open, layout, bad)
}

/// The same with what the program carries.
pub(crate) fn install_carried(Carried(archive): Carried, layout: &Layout) -> Result<PathBuf, Problem> {
    // There are sums and lengths of the content at the end, whatever has compressed it.
    let end = archive.len().saturating_sub(1024);
    let key = named(Sha256::new().chain_update(&archive[end..]).chain_update(archive.len().to_le_bytes()));
    unpacked(&key, || Ok(archive), layout, |problem| Problem::BadCarried { problem })
}

/// What is unpacked under this name, and if nothing is, the archive after that.
fn unpacked<R: BufRead>(
    key: &str,
    open: impl FnOnce() -> io::Result<R>,
    layout: &Layout,
    bad: impl Fn(String) -> Problem,
) -> Result<PathBuf, Problem> {
    let target = layout.bundles().join(key);
    if let Some(bin_dir) = bin_dir(&target) {
        return Ok(bin_dir);
    }

    let bundles = layout.bundles();
    open_dir(&bundles)?;
    clear_unfinished(&bundles)?;
    let unfinished = bundles.join(format!("{UNFINISHED}{key}"));
    open_dir(&unfinished)?;
    tracing::info!(into = %target.display(), "unpacking PostgreSQL");
    if let Err(error) = open().and_then(|archive| unpack(archive, &unfinished)) {
        clear_unfinished(&bundles)?;
        return Err(bad(format!("it cannot be unpacked as .tar.gz or .tar.xz: {error}")));
    }
    if bin_dir(&unfinished).is_none() {
        clear_unfinished(&bundles)?;
        return Err(bad("it holds no directory `bin` with `postgres` and `initdb`".to_owned()));
    }
    // Everything must be on the disk before the name says that it is complete.
    nix::unistd::sync();
    if target.exists() {
        fs::remove_dir_all(&target).context("remove", &target)?;
    }
    fs::rename(&unfinished, &target).context("create", &target)?;
    bin_dir(&target).ok_or_else(|| bad("its files vanished while it was unpacked".to_owned()))
}

/// The `bin` directories of bundles that were unpacked earlier.
pub(crate) fn installed(layout: &Layout) -> Vec<PathBuf> {
    subdirectories(&layout.bundles())
        .into_iter()
        .filter(|dir| !is_unfinished(dir))
        .filter_map(|dir| bin_dir(&dir))
        .collect()
}

/// A short name for this file in this state. Hashing the content instead would cost every start the reading
/// of some tens of megabytes.
fn key(path: &Path) -> io::Result<String> {
    let path = fs::canonicalize(path)?;
    let meta = fs::metadata(&path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut hash = Sha256::new();
    hash.update(path.as_os_str().as_bytes());
    for number in [meta.len(), meta.mtime().cast_unsigned(), meta.mtime_nsec().cast_unsigned()] {
        hash.update(number.to_le_bytes());
    }
    Ok(named(hash))
}

/// What an archive of which this is the hash is called.
fn named(hash: Sha256) -> String {
    hex::encode(hash.finalize())[..16].to_owned()
}

fn unpack(mut archive: impl BufRead, into: &Path) -> io::Result<()> {
    let is_xz = archive.fill_buf()?.starts_with(XZ);
    let unpacked: Box<dyn Read> = if is_xz {
        Box::new(XzReader::new_mem_limit(archive, false, MOST_MEMORY))
    } else {
        Box::new(GzDecoder::new(archive))
    };
    // The archive's modes are kept (programs must stay executable), its owners are not; entries that lead
    // out of the directory are left out by the library.
    tar::Archive::new(unpacked).unpack(into)
}

/// Archives have `bin` at the top, below a directory that is named after the version, or one deeper, where libraries lie beside.
fn bin_dir(root: &Path) -> Option<PathBuf> {
    let below = subdirectories(root);
    let deeper: Vec<_> = below.iter().flat_map(|dir| subdirectories(dir)).collect();
    let all = std::iter::once(root.to_path_buf()).chain(below).chain(deeper);
    all.map(|dir| dir.join("bin")).find(|dir| is_bin_dir(dir))
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// A directory that PostgreSQL's account can read, whatever our umask is.
fn open_dir(path: &Path) -> Result<(), Problem> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).context("create", path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).context("open up", path)
}

fn is_unfinished(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.as_bytes().starts_with(UNFINISHED.as_bytes()))
}

fn clear_unfinished(bundles: &Path) -> Result<(), Problem> {
    for dir in subdirectories(bundles).into_iter().filter(|dir| is_unfinished(dir)) {
        fs::remove_dir_all(&dir).context("remove", &dir)?;
    }
    Ok(())
}
