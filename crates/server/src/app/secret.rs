//! The secrets behind API keys and sessions.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::Rng as _;
use sha2::{Digest, Sha256};

/// A new secret: `lc_` and 30 random bytes in base64url, 43 characters. Shown once, never stored.
pub(crate) fn new_raw_key() -> String {
    format!("lc_{}", random_text())
}

/// What a browser is given when somebody signs in; no key, and it does not look like one.
pub(crate) fn new_session_token() -> String {
    format!("lcs_{}", random_text())
}

fn random_text() -> String {
    let mut bytes = [0_u8; 30];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What is stored of a key, and looked up: SHA-256 in lower-case hex. The look-up is by an index on the hash,
/// so its timing says nothing about the secret.
pub(crate) fn hash_key(raw: &str) -> String {
    hex::encode(Sha256::digest(raw.as_bytes()))
}

/// The part of a key that may be shown.
pub(crate) fn key_prefix(raw: &str) -> String {
    raw.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_contracts_form() {
        let key = new_raw_key();
        assert_eq!((key.len(), &key[..3]), (43, "lc_"));
        assert!(key[3..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(key_prefix(&key), key[..8]);
        assert_ne!(key, new_raw_key());
        assert_eq!(hash_key("").len(), 64);
    }
}
