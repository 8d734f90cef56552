//! The keys that secrets are encrypted with: from the environment, or in a file beside the private cluster.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::db::migrate::connect;
use crate::db::{DbError, Login};

/// The variable of the current key.
const CURRENT: &str = "CLOAK_KEY";
/// The variable of those before it.
const RETIRED: &str = "CLOAK_RETIRED_KEYS";
/// In the data directory of the private cluster.
pub(crate) const FILE: &str = "secrets.key";

/// More than a key ever has.
const FILE_LIMIT: u64 = 1024;

const KEY_LEN: usize = 32;
/// Long enough that no two keys of one server are taken for each other.
pub(super) const KEY_ID_LEN: usize = 8;

/// Everything that is encrypted.
const SEALED: &str = "select (select count(*) from webhooks) + (select count(*) from tenant_secrets)";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Something that should be a key is none. It is not repeated here.
    #[error(
        "{place} is not a key ({reason}): it must be 32 bytes in base64, such as `openssl rand -base64 32` makes"
    )]
    Malformed {
        /// A variable, or a file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file cannot be read or made.
    #[error("cannot use the key file {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// The key file is gone, and something needs it.
    #[error(
        "the key file {} is missing, and {sealed} secrets in the database were encrypted with what was in it, or with a \
         CLOAK_KEY that is not set now: put the file back, or set CLOAK_KEY to that key. If the key is lost, so are those \
         secrets: set CLOAK_KEY to a new key (`openssl rand -base64 32`) and give the webhooks new secrets",
        path.display()
    )]
    Lost {
        /// Which.
        path: PathBuf,
        /// How many secrets there are.
        sealed: i64,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A key and its name.
#[derive(Clone)]
pub(super) struct Key {
    /// Says nothing of the key.
    pub(super) id: [u8; KEY_ID_LEN],
    pub(super) cipher: LessSafeKey,
}

impl Key {
    /// Reads a key; whoever calls says where it stands.
    fn parse(text: &str) -> Result<Self, String> {
        let bytes = BASE64_STANDARD.decode(text.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| "it is not base64".to_owned())?;
        Self::of(&bytes).ok_or_else(|| format!("it has {} bytes", bytes.len()))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let digest = Sha256::new().chain_update(b"loopctl key id\0").chain_update(bytes).finalize();
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest[..KEY_ID_LEN]);
        Some(Self { id, cipher })
    }
}

/// The keys of a server: one to encrypt with, and those that were used before.
#[derive(Clone, Default)]
pub struct Keys {
    pub(super) current: Option<Key>,
    pub(super) retired: Vec<Key>,
}

impl Keys {
    /// Reads `CLOAK_KEY` and `CLOAK_RETIRED_KEYS`. What is blank is not set.
    ///
    /// # Errors
    /// When one is not a key; names its variable.
    pub fn parse(current: Option<&str>, retired: Option<&str>) -> Result<Self, KeyError> {
        let malformed = |place: String, reason| KeyError::Malformed { place, reason };
        let current = current.filter(|text| !text.trim().is_empty());
        let current = current.map(Key::parse).transpose();
        let current = current.map_err(|reason| malformed(CURRENT.to_owned(), reason))?;
        let retired = retired.unwrap_or_default().split(',').filter(|text| !text.trim().is_empty());
        let retired = retired.enumerate().map(|(index, text)| {
            Key::parse(text).map_err(|reason| malformed(format!("key {} of {RETIRED}", index + 1), reason))
        });
        Ok(Self { current, retired: retired.collect::<Result<_, _>>()? })
    }

    /// These keys with that of the private cluster: the current one where none is configured, else one of those before it.
    pub(super) async fn with_file(&self, data_dir: &Path, owner: &Login) -> Result<Self, KeyError> {
        let path = data_dir.join(FILE);
        let mut keys = self.clone();
        match (read(&path)?, &keys.current) {
            (Some(key), Some(_)) => keys.retired.push(key),
            (None, Some(_)) => {}
            (Some(key), None) => keys.current = Some(key),
            (None, None) => {
                let row = connect(owner).await?.query_one(SEALED, &[]).await.map_err(DbError::from)?;
                let sealed = row.try_get(0).map_err(DbError::from)?;
                if sealed > 0 {
                    return Err(KeyError::Lost { path, sealed });
                }
                keys.current = Some(create(&path)?);
            }
        }
        Ok(keys)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = formatter.debug_struct("Keys");
        keys.field("current", &self.current.is_some()).field("retired", &self.retired.len()).finish()
    }
}

/// The key of the file, if there is one.
fn read(path: &Path) -> Result<Option<Key>, KeyError> {
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => {
            let malformed = |reason| KeyError::Malformed { place: path.display().to_string(), reason };
            Key::parse(&text).map(Some).map_err(malformed)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(KeyError::File { path: path.to_owned(), reason }),
    }
}

/// What the key file of a data directory holds, if there is one: for backups, without which the others are worth less.
///
/// # Errors
/// When it is not to be read, or is no key.
pub(crate) fn text_of(data_dir: &Path) -> Result<Option<Zeroizing<String>>, KeyError> {
    let path = data_dir.join(FILE);
    if read(&path)?.is_none() {
        return Ok(None);
    }
    let mut text = Zeroizing::new(String::new());
    let opened = File::open(&path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text));
    opened.map(|_| Some(text)).map_err(|reason| KeyError::File { path, reason })
}

/// Makes the file, with a new key, or reads what another process has made meanwhile. There is all of it or none.
fn create(path: &Path) -> Result<Key, KeyError> {
    let failed = |reason| KeyError::File { path: path.to_owned(), reason };
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    rand::rng().fill_bytes(&mut bytes[..]);
    match write(path, &BASE64_STANDARD.encode(&bytes[..])) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    read(path)?.ok_or_else(|| failed(ErrorKind::NotFound.into()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // Its mode is 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{text}")?;
    // Root may be running a command in the directory of an account whose server must read it.
    let owner = fs::metadata(dir)?;
    if owner.uid() != file.as_file().metadata()?.uid() {
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    // A secret must not be kept longer than its key.
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_no_key_is_named_and_not_repeated() {
        let short = BASE64_STANDARD.encode([7; 16]);
        let key = BASE64_STANDARD.encode([7; 32]);
        let two = format!("{key}, {short}");
        for (current, retired, told) in [
            (Some("hunter2!"), None, "CLOAK_KEY is not a key (it is not base64)"),
            (Some(short.as_str()), None, "CLOAK_KEY is not a key (it has 16 bytes)"),
            (Some(&key[..43]), None, "CLOAK_KEY is not a key (it is not base64)"),
            (Some(key.as_str()), Some(two.as_str()), "key 2 of CLOAK_RETIRED_KEYS is not a key"),
        ] {
            let error = Keys::parse(current, retired).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("openssl rand -base64 32"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains(&short), "{error}");
        }
    }

    #[test]
    fn blank_is_unset_and_blanks_around_a_key_say_nothing() {
        let none = Keys::parse(Some(" "), Some(" , ")).unwrap();
        assert!(none.current.is_none() && none.retired.is_empty());
        let key = BASE64_STANDARD.encode([7; 32]);
        let keys = Keys::parse(Some(&format!(" {key}\n")), Some(&format!("{key},{key}"))).unwrap();
        assert!(keys.current.is_some() && keys.retired.len() == 2);
    }

    #[test]
    fn a_key_file_is_private_made_once_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        // Root works for whom the directory belongs to.
        if nix::unistd::Uid::effective().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
        }
        let path = dir.path().join(FILE);
        assert!(read(&path).unwrap().is_none());
        // Whoever comes second has the same key.
        let keys: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&path).unwrap().id)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|id| *id == keys[0]));
        assert_eq!(read(&path).unwrap().unwrap().id, keys[0]);
        let (made, dir_made) = (fs::metadata(&path).unwrap(), fs::metadata(dir.path()).unwrap());
        assert_eq!((made.permissions().mode() & 0o777, made.uid()), (0o600, dir_made.uid()));
        // Nothing is left of the others.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        fs::write(&path, "half a key").unwrap();
        let error = create(&path).map(drop).unwrap_err().to_string();
        assert!(error.contains(FILE) && !error.contains("half"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "half a key");
    }
}
