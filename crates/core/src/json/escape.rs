//! Escapes in strings of JSON that is known to be well formed.

use serde_json::value::RawValue;

/// The escape at the beginning of `text`: the UTF-16 unit that it stands for, and how many bytes it takes up.
pub(super) fn read_escape(text: &[u8]) -> (u16, usize) {
    match text.get(1) {
        Some(b'u') => {
            let digits = text.get(2..6).and_then(|digits| std::str::from_utf8(digits).ok());
            (digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or_default(), 6)
        }
        Some(b'b') => (8, 2),
        Some(b't') => (9, 2),
        Some(b'n') => (10, 2),
        Some(b'f') => (12, 2),
        Some(b'r') => (13, 2),
        Some(other) => (u16::from(*other), 2),
        None => (0, 1),
    }
}

/// How many bytes a document takes up without white space, and with no more escapes than its strings need.
pub fn compact_length(raw: &RawValue) -> usize {
    let text = raw.get().as_bytes();
    let (mut length, mut at, mut in_string) = (0, 0, false);
    while let Some(byte) = text.get(at) {
        let (needs, takes) = match byte {
            b'\\' => {
                let (unit, takes) = read_escape(&text[at..]);
                (bytes_needed(unit), takes)
            }
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => (0, 1),
            b'"' => {
                in_string = !in_string;
                (1, 1)
            }
            _ => (1, 1),
        };
        length += needs;
        at += takes;
    }
    length
}

/// How many values a document holds at all its levels, but for itself; an empty list or object counts as holding one.
pub fn count_values(document: &str) -> usize {
    let text = document.as_bytes();
    let (mut values, mut at, mut in_string) = (0, 0, false);
    while let Some(byte) = text.get(at) {
        match byte {
            // Whatever is escaped ends no string.
            b'\\' => at += 1,
            b'"' => in_string = !in_string,
            // Before each value stands one of these.
            b'{' | b'[' | b',' if !in_string => values += 1,
            _ => {}
        }
        at += 1;
    }
    values
}

/// How many bytes a character needs in a string. Half of a pair needs half of the pair's four.
fn bytes_needed(unit: u16) -> usize {
    match unit {
        0x22 | 0x5C | 0x08 | 0x09 | 0x0A | 0x0C | 0x0D => 2,
        0..0x20 => 6,
        0x20..0x80 => 1,
        0x80..0x800 | 0xD800..0xE000 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn length(text: &str) -> usize {
        compact_length(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn white_space_and_needless_escapes_do_not_count() {
        assert_eq!(length("{ \"a\" :\t[ 1 , \"b c\" ] }"), r#"{"a":[1,"b c"]}"#.len());
        assert_eq!(length(r#""\u0041\/\u00e9\ud83d\ude00\u000a\u0001""#), r#""A/é😀\n\u0001""#.len());
    }

    #[test]
    fn values_are_counted_at_all_levels() {
        for (text, values) in [
            ("7", 0),
            (r#"" , [ \" , ""#, 0),
            ("[]", 1),
            ("[1, 2]", 2),
            (r#"{"a": [1, {"b": "{[,"}], "c\\": "\\\"["}"#, 5),
        ] {
            assert_eq!(count_values(text), values, "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_long_as_it_is_when_written_anew(text in ".*", number in any::<i64>()) {
            let value = json!({"k": [text, number, null, {"x": [true]}]});
            prop_assert_eq!(length(&value.to_string()), value.to_string().len());
            let spaced = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(length(&spaced), value.to_string().len());
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(length(&format!("\"{escaped}\"")), Value::from(text).to_string().len());
        }
    }
}
