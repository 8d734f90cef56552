//! What a hash chain and a Merkle tree need of an event: a canonical form and its leaf hash.
//!
//! The hash covers what happened, not when: position and time are given by the database when the event is
//! recorded, and a chain entry binds them to this hash.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 over the RFC 8785 form of `content`, which may hold documents that are kept as text
/// ([`crate::json::Transcoded`]).
///
/// # Errors
/// When `content` has no canonical form (a number that is not finite, which JSON cannot hold either).
pub fn leaf_hash(content: &impl Serialize) -> Result<[u8; 32], serde_json::Error> {
    Ok(Sha256::digest(serde_json_canonicalizer::to_vec(content)?).into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::{JsonText, Transcoded};

    #[test]
    fn a_text_hashes_like_its_value() {
        let value = json!({"b": [1, -2.5, "é\n", null, true, {"z": 1e300, "a": 18_446_744_073_709_551_615_u64}], "a": {}});
        let text = JsonText::from(value.clone());
        assert_eq!(leaf_hash(&Transcoded(&text)).unwrap(), leaf_hash(&value).unwrap());
    }

    #[test]
    fn key_order_and_number_form_do_not_matter() {
        let one: Value = serde_json::from_str(r#"{"a":{"x":1,"y":[1.0,"é"]},"b":null}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":null,"a":{"y":[1,"\u00e9"],"x":1}}"#).unwrap();
        assert_eq!(leaf_hash(&one).unwrap(), leaf_hash(&other).unwrap());
        assert_ne!(leaf_hash(&one).unwrap(), leaf_hash(&json!({"a": {"x": 2}})).unwrap());
    }

    #[test]
    fn known_value() {
        // SHA-256 of the two bytes `{}`.
        assert_eq!(
            hex::encode(leaf_hash(&json!({})).unwrap()),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
