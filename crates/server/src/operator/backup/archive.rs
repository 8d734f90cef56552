//! The file that a backup is: a tar archive with what `pg_dump` wrote, the key of secrets, and last what is in it, so that half a file
//! is never taken for a whole one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use loopctl_postgres::ToolError;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::BackupError;

/// The names of its members. What `pg_dump` wrote can be taken out and be read by `pg_restore`.
const DUMP: &str = "database.dump";
const KEY: &str = "secrets.key";
const MANIFEST: &str = "manifest.json";

/// The only form so far.
const FORMAT: u32 = 1;

/// What the small members hold at most.
const MANIFEST_LIMIT: u64 = 1024 * 1024;
const KEY_LIMIT: u64 = 1024;

/// How much is read of a dump at once.
const PART: usize = 256 * 1024;

/// Rows by table.
pub(super) type Rows = BTreeMap<String, i64>;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// The version of loopctl that made it.
    pub(super) loopctl: String,
    /// The version of the schema.
    pub(super) schema: i32,
    /// The major version of PostgreSQL.
    pub(super) postgres: u32,
    /// Of which moment it is.
    pub(super) taken_at: String,
    pub(super) dump_bytes: u64,
    pub(super) dump_sha256: String,
    pub(super) rows: Rows,
}

/// Of which moment a backup is, and what was there then.
pub(super) struct Moment {
    pub(super) schema: i32,
    pub(super) postgres: u32,
    pub(super) taken_at: String,
    pub(super) rows: Rows,
}

/// Counts and hashes what passes by.
struct Hashing<W> {
    to: W,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes an archive. What `dump` writes is a member of it as it comes: how long it is, is noted afterwards.
pub(super) fn write(
    file: &mut File,
    moment: Moment,
    key: Option<&str>,
    dump: impl FnOnce(&mut dyn Write) -> Result<(), ToolError>,
) -> Result<Manifest, ToolError> {
    let mut archive = tar::Builder::new(file);
    let (dump_bytes, dump_sha256) = write_dump(&mut archive, dump)?;
    let manifest = Manifest {
        format: FORMAT,
        loopctl: crate::VERSION.to_owned(),
        schema: moment.schema,
        postgres: moment.postgres,
        taken_at: moment.taken_at,
        dump_bytes,
        dump_sha256,
        rows: moment.rows,
    };
    finish(archive, &manifest, key).map_err(ToolError::Transfer)?;
    Ok(manifest)
}

fn write_dump(
    archive: &mut tar::Builder<&mut File>,
    dump: impl FnOnce(&mut dyn Write) -> Result<(), ToolError>,
) -> Result<(u64, String), ToolError> {
    let mut header = header();
    let to = archive.append_writer(&mut header, DUMP).map_err(ToolError::Transfer)?;
    let mut hashing = Hashing { to, bytes: 0, hash: Sha256::new() };
    dump(&mut hashing)?;
    hashing.to.finish().map_err(ToolError::Transfer)?;
    Ok((hashing.bytes, hex::encode(hashing.hash.finalize())))
}

fn finish(mut archive: tar::Builder<&mut File>, manifest: &Manifest, key: Option<&str>) -> io::Result<()> {
    if let Some(key) = key {
        append(&mut archive, KEY, key.as_bytes())?;
    }
    append(&mut archive, MANIFEST, &serde_json::to_vec_pretty(manifest)?)?;
    archive.into_inner()?.sync_all()
}

fn header() -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header
}

fn append(archive: &mut tar::Builder<&mut File>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = header();
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, bytes)
}

/// A backup that is there.
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    dump_at: u64,
    pub(super) manifest: Manifest,
    pub(super) key: Option<Zeroizing<String>>,
}

impl Archive {
    /// Opens a backup, and looks what is in it.
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => BackupError::Refused(format!(
                "there is no file {}: name one that `loopctl backup` has made",
                path.display()
            )),
            _ => BackupError::io("read", path, source),
        };
        let not_whole = || BackupError::NotABackup { path: path.to_owned() };
        let file = File::open(path).map_err(failed)?;
        let (mut dump, mut key, mut manifest) = (None, None, None);
        let mut members = tar::Archive::new(&file);
        for member in members.entries_with_seek().map_err(|_| not_whole())? {
            let mut member = member.map_err(|_| not_whole())?;
            let name = member.path().map_err(|_| not_whole())?.into_owned();
            if name == Path::new(DUMP) {
                dump = Some((member.raw_file_position(), member.size()));
            } else if name == Path::new(KEY) {
                let mut text = Zeroizing::new(String::new());
                member.by_ref().take(KEY_LIMIT).read_to_string(&mut text).map_err(|_| not_whole())?;
                key = Some(text);
            } else if name == Path::new(MANIFEST) {
                let read: Result<Manifest, _> = serde_json::from_reader(member.by_ref().take(MANIFEST_LIMIT));
                manifest = Some(read.map_err(|_| not_whole())?);
            }
        }
        let (Some((dump_at, bytes)), Some(manifest)) = (dump, manifest) else { return Err(not_whole()) };
        if manifest.format != FORMAT {
            let message = format!("{} was made by a newer loopctl: restore it with that", path.display());
            return Err(BackupError::Refused(message));
        }
        if bytes != manifest.dump_bytes {
            return Err(not_whole());
        }
        Ok(Self { path: path.to_owned(), file, dump_at, manifest, key })
    }

    /// What `pg_dump` wrote.
    pub(super) fn dump(&mut self) -> io::Result<io::Take<&mut File>> {
        self.file.seek(SeekFrom::Start(self.dump_at))?;
        Ok((&mut self.file).take(self.manifest.dump_bytes))
    }

    /// Makes sure that the dump is what was written, bit by bit. Blocks.
    pub(super) fn verify(&mut self) -> Result<(), BackupError> {
        let path = self.path.clone();
        let failed = |source| BackupError::io("read", &path, source);
        let mut dump = self.dump().map_err(failed)?;
        let (mut hash, mut part) = (Sha256::new(), vec![0; PART]);
        loop {
            match dump.read(&mut part).map_err(failed)? {
                0 => break,
                read => hash.update(&part[..read]),
            }
        }
        if hex::encode(hash.finalize()) == self.manifest.dump_sha256 {
            return Ok(());
        }
        Err(BackupError::Damaged { path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        let rows = Rows::from([("tenants".to_owned(), 2), ("stories".to_owned(), 3)]);
        Moment { schema: 7, postgres: 15, taken_at: "2026-11-30T04:00:00Z".to_owned(), rows }
    }

    fn written(dir: &Path, key: Option<&str>) -> (PathBuf, Manifest) {
        let path = dir.join("backup.tar");
        let mut file = File::create(&path).unwrap();
        let manifest = write(&mut file, moment(), key, |to| {
            to.write_all(b"what ").and_then(|()| to.write_all(&[7; 3000])).map_err(ToolError::Transfer)
        });
        (path, manifest.unwrap())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        for key in [Some("a key\n"), None] {
            let (path, manifest) = written(dir.path(), key);
            let mut archive = Archive::open(&path).unwrap();
            assert_eq!(archive.manifest, manifest);
            assert_eq!(archive.key.as_ref().map(|key| key.as_str()), key);
            archive.verify().unwrap();
            let mut dump = Vec::new();
            archive.dump().unwrap().read_to_end(&mut dump).unwrap();
            assert_eq!((dump.len() as u64, &dump[..6]), (manifest.dump_bytes, &b"what \x07"[..]));
        }
    }

    #[test]
    fn half_a_file_and_another_one_are_no_backup() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = written(dir.path(), Some("key"));
        let whole = std::fs::read(&path).unwrap();
        // The end of an archive are blocks of zeros, which say nothing.
        let said = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for length in [0, 1, 511, 512, 600, 3000, 4096, 5000, said] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Archive::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("is not a whole backup"), "{length}: {error}");
        }
        std::fs::write(&path, "-- PostgreSQL database dump").unwrap();
        assert!(matches!(Archive::open(&path), Err(BackupError::NotABackup { .. })));
    }

    #[test]
    fn a_bit_that_was_changed_shows() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = written(dir.path(), None);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1500] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Archive::open(&path).unwrap().verify().unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    }

    #[test]
    fn the_form_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = written(dir.path(), None);
        let text = std::fs::read(&path).unwrap();
        let at = text.windows(11).position(|part| part == b"\"format\": 1").unwrap();
        let mut text = text;
        text[at + 10] = b'2';
        std::fs::write(&path, text).unwrap();
        let error = Archive::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("a newer loopctl"), "{error}");
    }
}
