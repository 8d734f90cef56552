//! A story's hours in the document.

use loopctl_core::fields;
use rust_decimal::Decimal;
use serde::{Serialize as _, Serializer};
use serde_json::Value;

/// Writes hours with [`hours`].
pub(super) fn serialize<S: Serializer>(decimal: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
    decimal.map(hours).serialize(serializer)
}

/// The JSON number of a decimal. JSON numbers are read as floating-point numbers nearly everywhere, by the import as
/// well; a decimal that would come back as another one is a string, which the import reads to the last digit.
fn hours(decimal: Decimal) -> Value {
    let text = decimal.to_string();
    match serde_json::from_str(&text) {
        Ok(number) if fields::decimal(&number) == Some(decimal) => number,
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_numbers_where_numbers_are_exact() {
        for (text, expected) in [
            ("8", json!(8)),
            ("4.5", json!(4.5)),
            ("4.50", json!(4.5)),
            ("0.1", json!(0.1)),
            ("0", json!(0)),
            ("123456789012.345", json!(123_456_789_012.345)),
            ("18446744073709551615", json!(u64::MAX)),
            ("100000000000000000000", json!(1e20)),
            ("0.0000000000000000000000000001", json!(1e-28)),
            ("0.1234567890123456789", json!("0.1234567890123456789")),
            ("9999999999999999999999999999", json!("9999999999999999999999999999")),
        ] {
            assert_eq!(hours(decimal(text)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hours_come_back(digits in 0..9_999_999_999_999_999_999_999_999_999_i128, scale in 0..29_u32, short in any::<bool>()) {
            let digits = if short { digits % 1_000_000_000_000_000 } else { digits };
            let value = Decimal::from_i128_with_scale(digits, scale);
            // As it crosses the wire.
            let sent: Value = serde_json::from_str(&hours(value).to_string()).unwrap();
            prop_assert_eq!(fields::decimal(&sent), Some(value));
            if short {
                prop_assert!(sent.is_number(), "{value}: {sent}");
            }
        }
    }
}
