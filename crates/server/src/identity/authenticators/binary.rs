//! Bytes in JSON: base64url, with or without its padding; ordinary base64 is taken as well.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use loopctl_core::fields::{BLANK, Fields, INVALID};
use loopctl_core::request::{Custom, custom};
use schemars::json_schema;
use serde_json::Value;

/// More than any authenticator sends.
const LONGEST: usize = 64 * 1024;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes as they are told.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes as they were sent; None for what is no such text.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.trim().replace('+', "-").replace('/', "_")).ok()
}

/// Bytes that must be there.
pub(crate) const fn binary() -> Custom<Vec<u8>> {
    custom(read, || json_schema!({"type": "string", "maxLength": LONGEST})).mandatory()
}

fn read(fields: &mut Fields<'_>, name: &'static str) -> Vec<u8> {
    let decoded = match fields.filled(name) {
        None => {
            fields.fail(name, BLANK);
            return Vec::new();
        }
        Some(Value::String(text)) if text.len() <= LONGEST => decode(&text),
        Some(_) => None,
    };
    if decoded.is_none() {
        fields.fail(name, INVALID);
    }
    decoded.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_read_however_they_are_written(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            for text in [
                encode(&bytes), BASE64_URL_SAFE.encode(&bytes), BASE64_STANDARD.encode(&bytes),
                BASE64_STANDARD_NO_PAD.encode(&bytes),
            ] {
                prop_assert_eq!(decode(&text), Some(bytes.clone()));
            }
        }

        #[test]
        fn nothing_panics(text in ".*") {
            let _ = decode(&text);
        }
    }
}
