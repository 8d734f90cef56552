//! Secrets at rest: what the server must be able to read again, such as what it signs deliveries with, is in the database
//! only as AES-256-GCM makes it. A sealed secret names its key, so that keys can be changed, and is bound to the record that it
//! belongs to, so that it is of no use in another one.
//!
//! ```text
//! 1 byte    the format, 1
//! 8 bytes   which key: the beginning of a hash of it
//! 12 bytes  the nonce, random
//! …         what was encrypted, and the tag of 16 bytes
//! ```

mod keys;
mod token;

use std::fmt;

use rand::Rng as _;
use ring::aead::{Aad, NONCE_LEN, Nonce};
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) use keys::{FILE as KEY_FILE, text_of as key_of};
use keys::{KEY_ID_LEN, Key};
pub use keys::{KeyError, Keys};

use crate::config::DatabaseOptions;
use crate::db::Login;

/// The only format so far.
const FORMAT: u8 = 1;
/// What a sealed secret says in the clear: format and key.
const HEAD_LEN: usize = 1 + KEY_ID_LEN;
const TAG_LEN: usize = 16;

/// Why a secret was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no key.
    #[error(
        "this server has no key to encrypt secrets with: set CLOAK_KEY (`openssl rand -base64 32` makes one)"
    )]
    NoKey,
    /// Nothing that a request may hold comes near.
    #[error("the secret is too long to be encrypted")]
    TooLong,
}

/// Why a sealed secret was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed with a key that is not there.
    #[error("it was encrypted with key {0}, which is neither CLOAK_KEY nor among CLOAK_RETIRED_KEYS")]
    UnknownKey(String),
    /// It is not what was sealed, or not for this record.
    #[error("it is damaged, or belongs to another record")]
    Damaged,
}

/// What the signing secret of a webhook is bound to.
pub(crate) fn webhook_context<'a>(tenant_id: &'a Uuid, webhook_id: &'a Uuid) -> [&'a [u8]; 3] {
    [b"webhook", tenant_id.as_bytes(), webhook_id.as_bytes()]
}

/// What a secret of a tenant is bound to, by its name.
pub(crate) fn tenant_context<'a>(tenant_id: &'a Uuid, name: &'a str) -> [&'a [u8]; 3] {
    [b"tenant", tenant_id.as_bytes(), name.as_bytes()]
}

/// What a token for the first steps of a tenant is bound to.
pub fn onboarding_context(tenant_id: &Uuid) -> [&[u8]; 2] {
    [b"onboarding", tenant_id.as_bytes()]
}

/// Seals secrets with the current key, and opens them with whichever key they name.
pub struct Vault {
    current: Option<Key>,
    retired: Vec<Key>,
}

impl Vault {
    /// The vault of a server or an operator command. Beside the private cluster a key file serves where no key is configured.
    ///
    /// # Errors
    /// When the key file cannot be used, or is gone although there are secrets that need it.
    pub async fn of(keys: &Keys, database: &DatabaseOptions, owner: &Login) -> Result<Self, KeyError> {
        let keys = match database {
            DatabaseOptions::External { .. } => keys.clone(),
            DatabaseOptions::Embedded(options) => keys.with_file(&options.data_dir, owner).await?,
        };
        Ok(Self::with(keys))
    }

    fn with(keys: Keys) -> Self {
        Self { current: keys.current, retired: keys.retired }
    }

    /// Whether there is a key to seal with.
    pub fn has_key(&self) -> bool {
        self.current.is_some()
    }

    /// Encrypts a secret. It opens again only in the same context: what it is, and the ids of the record that it belongs to.
    ///
    /// # Errors
    /// Without a key.
    pub fn seal(&self, context: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.current.as_ref().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        // All of its room at once: where it grew, it would leave the secret behind.
        let mut text = Vec::with_capacity(plain.len() + TAG_LEN);
        text.extend_from_slice(plain);
        let head = head(key);
        let bound = Aad::from(bound(&head, context));
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.cipher.seal_in_place_append_tag(nonce_used, bound, &mut text).map_err(|_| SealError::TooLong)?;
        Ok([&head[..], &nonce, &text].concat())
    }

    /// Decrypts what [`Self::seal`] has made in the same context.
    ///
    /// # Errors
    /// When its key is not there, or it is not what was sealed here.
    pub fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let (head, rest) = sealed.split_at_checked(HEAD_LEN).ok_or(UnsealError::Damaged)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(UnsealError::Damaged)?;
        let [FORMAT, id @ ..] = head else { return Err(UnsealError::Damaged) };
        let key = self.keys().find(|key| key.id[..] == *id);
        let key = key.ok_or_else(|| UnsealError::UnknownKey(hex::encode(id)))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Damaged)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key.cipher.open_in_place(nonce, Aad::from(bound(head, context)), &mut text);
        let length = opened.map_err(|_| UnsealError::Damaged)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// Whether it was sealed with the current key.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.current.as_ref().is_some_and(|key| sealed.starts_with(&head(key)))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.current.iter().chain(&self.retired)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut vault = formatter.debug_struct("Vault");
        vault.field("has_key", &self.has_key()).field("retired", &self.retired.len()).finish()
    }
}

fn head(key: &Key) -> [u8; HEAD_LEN] {
    let mut head = [FORMAT; HEAD_LEN];
    head[1..].copy_from_slice(&key.id);
    head
}

/// What is authenticated beside the secret. Every part has its length before it: no two contexts are one.
fn bound(head: &[u8], context: &[&[u8]]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for part in context {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
impl Vault {
    /// One that can do nothing.
    pub(crate) fn without_key() -> Self {
        Self::with(Keys::default())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    const CONTEXT: [&[u8]; 2] = [b"webhook", b"1"];

    fn encoded(byte: u8) -> String {
        BASE64_STANDARD.encode([byte; 32])
    }

    /// A vault whose keys are 32 times these bytes, the current one first.
    fn vault(current: u8, retired: &[u8]) -> Vault {
        let retired: Vec<_> = retired.iter().map(|byte| encoded(*byte)).collect();
        Vault::with(Keys::parse(Some(&encoded(current)), Some(&retired.join(","))).unwrap())
    }

    #[test]
    fn without_a_key_nothing_is_sealed_and_it_says_what_to_set() {
        let error = Vault::without_key().seal(&CONTEXT, b"secret").unwrap_err();
        assert!(error == SealError::NoKey && error.to_string().contains("set CLOAK_KEY"), "{error}");
        let sealed = vault(1, &[]).seal(&CONTEXT, b"secret").unwrap();
        assert!(!Vault::without_key().is_current(&sealed));
        let error = Vault::without_key().open(&CONTEXT, &sealed).unwrap_err();
        assert!(matches!(error, UnsealError::UnknownKey(_)), "{error}");
    }

    #[test]
    fn retired_keys_open_and_do_not_seal() {
        let old = vault(1, &[]).seal(&CONTEXT, b"secret").unwrap();
        let rotated = vault(2, &[3, 1]);
        assert!(vault(1, &[]).is_current(&old) && !rotated.is_current(&old));
        assert_eq!(rotated.open(&CONTEXT, &old).unwrap().as_slice(), b"secret");
        let new = rotated.seal(&CONTEXT, b"secret").unwrap();
        assert!(rotated.is_current(&new) && vault(2, &[]).open(&CONTEXT, &new).is_ok());
        let error = vault(2, &[3]).open(&CONTEXT, &old).unwrap_err();
        assert_eq!(error, UnsealError::UnknownKey(hex::encode(&old[1..HEAD_LEN])));
    }

    /// The format is kept in databases: a change of it must be meant. Made by another implementation (Python's `cryptography`).
    #[test]
    fn what_was_sealed_by_this_version_opens() {
        let sealed = concat!(
            "01",
            "8de1a67608d31b11",
            "000102030405060708090a0b",
            "6fe99a157e56b22718c58b7177d6f3fccc2af5771aadde8a289bc2"
        );
        let opened = vault(7, &[]).open(&CONTEXT, &hex::decode(sealed).unwrap()).unwrap();
        assert_eq!(opened.as_slice(), b"whsec_known");
    }

    #[test]
    fn nothing_is_told_of_keys() {
        let told = format!("{:?} {:?}", vault(1, &[2]), Keys::parse(Some(&encoded(1)), None).unwrap());
        assert!(!told.contains("AQEB") && !told.contains("1, 1"), "{told}");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_its_context_alone(
            plain in prop::collection::vec(any::<u8>(), 0..100),
            context in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..4),
            other in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..4),
        ) {
            let of = |parts: &[Vec<u8>]| -> Vec<Vec<u8>> { parts.to_vec() };
            let (mine, others) = (of(&context), of(&other));
            let mine: Vec<&[u8]> = mine.iter().map(Vec::as_slice).collect();
            let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
            let vault = vault(1, &[2]);
            let sealed = vault.seal(&mine, &plain).unwrap();
            prop_assert_eq!(&*vault.open(&mine, &sealed).unwrap(), &plain);
            prop_assert_eq!(vault.open(&others, &sealed).is_ok(), mine == others);
            // The same parts, cut elsewhere.
            if mine.len() > 1 {
                let joined = mine.concat();
                prop_assert_eq!(vault.open(&[&joined], &sealed), Err(UnsealError::Damaged));
            }
            // No two are alike, whatever is in them.
            prop_assert_ne!(vault.seal(&mine, &plain).unwrap(), sealed);
        }

        #[test]
        fn what_was_changed_or_cut_does_not_open(
            plain in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            flipped in 1..=255_u8,
        ) {
            let vault = vault(1, &[2]);
            let sealed = vault.seal(&CONTEXT, &plain).unwrap();
            let at = at.index(sealed.len());
            let mut changed = sealed.clone();
            changed[at] ^= flipped;
            prop_assert!(vault.open(&CONTEXT, &changed).is_err());
            prop_assert!(vault.open(&CONTEXT, &sealed[..at]).is_err());
            prop_assert!(vault.open(&CONTEXT, &[&sealed[..], &[flipped]].concat()).is_err());
        }
    }
}
