//! Escapes in strings of JSON that is known to be well formed.

use serde_json::value::RawValue;

use super::JsonText;

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

/// A document that takes up no more than its [`compact_length`].
pub fn compact(raw: &RawValue) -> JsonText {
    let length = compact_length(raw);
    if length == raw.get().len() {
        return raw.into();
    }
    let text = raw.get();
    let bytes = text.as_bytes();
    // What is copied as it is begins at `from`.
    let (mut written, mut from, mut at, mut in_string) = (String::with_capacity(length), 0, 0, false);
    while let Some(byte) = bytes.get(at) {
        let takes = match byte {
            b'\\' => {
                written.push_str(&text[from..at]);
                write_shortest(&text[at..], &mut written)
            }
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => {
                written.push_str(&text[from..at]);
                1
            }
            _ => {
                in_string ^= *byte == b'"';
                at += 1;
                continue;
            }
        };
        at += takes;
        from = at;
    }
    written.push_str(&text[from..]);
    // What was well formed still is.
    RawValue::from_string(written).map_or_else(|_| raw.into(), JsonText::from)
}

/// Writes what the escape at the beginning of `text` stands for, and returns how many bytes that takes up there.
fn write_shortest(text: &str, to: &mut String) -> usize {
    let (unit, takes) = read_escape(text.as_bytes());
    let (character, takes) = match (char::from_u32(unit.into()), &text[takes..]) {
        (None, rest) if rest.starts_with("\\u") => {
            let (low, further) = read_escape(rest.as_bytes());
            (char::decode_utf16([unit, low]).next().and_then(Result::ok), takes + further)
        }
        (character, _) => (character, takes),
    };
    match (character, short_escape(unit)) {
        (_, Some(short)) => to.extend(['\\', short]),
        (Some(character), None) if unit >= 0x20 => to.push(character),
        (Some(_), None) => to.push_str(&format!("\\u{unit:04x}")),
        (None, None) => to.push_str(&text[..takes]),
    }
    takes
}

/// What follows the backslash of a character that has a short escape.
const fn short_escape(unit: u16) -> Option<char> {
    Some(match unit {
        0x08 => 'b',
        0x09 => 't',
        0x0A => 'n',
        0x0C => 'f',
        0x0D => 'r',
        0x22 => '"',
        0x5C => '\\',
        _ => return None,
    })
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
        _ if short_escape(unit).is_some() => 2,
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

    #[test]
    fn nothing_is_written_that_need_not_be() {
        for (sent, written) in [
            ("{ \"a b\" :\t[ 1e2 , -0.10 ] }", r#"{"a b":[1e2,-0.10]}"#),
            (r#""\u0041\/\u00e9\ud83d\ude00\u000a\u0001\u0022\\\u005c""#, r#""A/é😀\n\u0001\"\\\\""#),
            (r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#),
            // Nobody accepts it, and it is not made worse.
            (r#"[ "\ud83d€", "\ud83d\n", "\ud83d" ]"#, r#"["\ud83d€","\ud83d\n","\ud83d"]"#),
        ] {
            assert_eq!(compact(serde_json::from_str(sent).unwrap()).as_str(), written);
        }
    }

    proptest! {
        #[test]
        fn compact_is_what_says_the_same_in_so_many_bytes(text in ".*", spaced in any::<bool>()) {
            let value = json!({"k": [text, {"x": [true, "\u{7f}"]}], text.clone(): {}});
            let sent = if spaced { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            for sent in [sent, format!("[ \"{escaped}\"]")] {
                let raw: Box<RawValue> = serde_json::from_str(&sent).unwrap();
                let written = compact(&raw);
                prop_assert_eq!(written.as_str().len(), compact_length(&raw));
                prop_assert_eq!(written, JsonText::from(raw));
            }
        }

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
