//! One pass over a body: what no handler wants to see is found before anything is made of it.

use std::borrow::Cow;
use std::collections::HashSet;

use super::escape::read_escape;
use super::number;

/// The most members that one object may have.
pub const MAX_MEMBERS: usize = 50_000;

/// What a document may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many levels deep it may nest.
    pub depth: usize,
    /// How many characters longer it may become when its numbers are written without exponents, as PostgreSQL writes them in the log:
    /// seven bytes may stand for three hundred.
    pub growth: usize,
}

/// What is wrong with a document that is well-formed JSON. Paths look like `epics[0].stories[2].title`, places count bytes
/// from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// What begins here is nested deeper than it may be.
    TooDeep(usize),
    /// An object has more members than [`MAX_MEMBERS`].
    TooManyMembers,
    /// An object has two members of this name; which of them is meant?
    Duplicate(String),
    /// The string that ends here stands for no text: it holds half of a surrogate pair.
    LoneSurrogate(usize),
    /// A string at this path, or a name in the object there, contains U+0000, which PostgreSQL cannot store.
    Nul {
        /// Where it is.
        path: String,
        /// The outermost name on the way there.
        field: String,
    },
    /// No float holds the number that ends here, or it has too many digits.
    OutOfRange(usize),
    /// With the number that ends here, numbers with exponents stand for more further digits than they may.
    TooManyDigits(usize),
}

/// An array or object that is open.
enum Level<'a> {
    Array {
        index: usize,
    },
    Object {
        names: HashSet<Cow<'a, str>>,
        /// The name of the member that is being read.
        current: Cow<'a, str>,
    },
}

/// Looks through well-formed JSON. Takes no memory but for the names in the objects that are open.
///
/// # Errors
/// The first fault.
pub fn inspect(text: &str, bounds: Bounds) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut open: Vec<Level<'_>> = Vec::new();
    let (mut at, mut growth) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' if open.len() == bounds.depth => return Err(Fault::TooDeep(at)),
            b'{' => open.push(Level::Object { names: HashSet::new(), current: Cow::Borrowed("") }),
            b'[' => open.push(Level::Array { index: 0 }),
            b'}' | b']' => drop(open.pop()),
            b',' => {
                if let Some(Level::Array { index }) = open.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let end = end_of_string(bytes, at);
                let is_name = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                let content = &text[at + 1..end - 1];
                check_string(content, end, || nul(around_string(is_name, &open)))?;
                if is_name {
                    begin_member(content, &mut open)?;
                }
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let number = number_at(text, at);
                at += number.len();
                if !number::is_in_range(number) {
                    return Err(Fault::OutOfRange(at));
                }
                growth += number::growth(number);
                if growth > bounds.growth {
                    return Err(Fault::TooManyDigits(at));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Whether every number in well-formed JSON comes back as it was sent.
pub fn is_exact(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let number = number_at(text, at);
                if !number::is_exact(number) {
                    return false;
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    true
}

/// The number that begins at `start`.
fn number_at(text: &str, start: usize) -> &str {
    let rest = &text[start..];
    let length = rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
    &rest[..length.unwrap_or(rest.len())]
}

/// The place behind the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A name belongs to the object around it.
fn around_string<'o, 'a>(is_name: bool, open: &'o [Level<'a>]) -> &'o [Level<'a>] {
    if is_name { open.split_last().map_or(open, |(_, around)| around) } else { open }
}

fn nul(open: &[Level<'_>]) -> Fault {
    let field = match open.first() {
        Some(Level::Object { current, .. }) => current.to_string(),
        Some(Level::Array { .. }) | None => String::new(),
    };
    Fault::Nul { path: path(open), field }
}

/// Looks at what the escapes of a string stand for.
fn check_string(content: &str, end: usize, nul: impl Fn() -> Fault) -> Result<(), Fault> {
    let bytes = content.as_bytes();
    let (mut at, mut high) = (0, false);
    while let Some(offset) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        let (unit, length) = read_escape(&bytes[at + offset..]);
        let is_low = (0xDC00..0xE000).contains(&unit);
        if unit == 0 {
            return Err(nul());
        }
        // The second half follows the first at once, and nothing else does.
        if is_low != high || high && offset > 0 {
            return Err(Fault::LoneSurrogate(end));
        }
        high = (0xD800..0xDC00).contains(&unit);
        at += offset + length;
    }
    if high { Err(Fault::LoneSurrogate(end)) } else { Ok(()) }
}

fn begin_member<'a>(content: &'a str, open: &mut [Level<'a>]) -> Result<(), Fault> {
    let name = if content.contains('\\') {
        Cow::Owned(serde_json::from_str(&format!("\"{content}\"")).unwrap_or_else(|_| content.to_owned()))
    } else {
        Cow::Borrowed(content)
    };
    let Some(Level::Object { names, current }) = open.last_mut() else { return Ok(()) };
    if names.len() == MAX_MEMBERS {
        return Err(Fault::TooManyMembers);
    }
    *current = name.clone();
    if names.insert(name) { Ok(()) } else { Err(Fault::Duplicate(path(open))) }
}

/// Names that would not stand out in a path, or be taken for a part of it, are quoted.
fn path(open: &[Level<'_>]) -> String {
    let mut path = String::new();
    for level in open {
        match level {
            Level::Array { index } => path.push_str(&format!("[{index}]")),
            Level::Object { current, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                if current.is_empty() || current.contains(['.', '[', ']', '"']) {
                    path.push_str(&format!("{current:?}"));
                } else {
                    path.push_str(current);
                }
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const GROWTH: usize = 65_536;

    const fn levels(depth: usize) -> Bounds {
        Bounds { depth, growth: GROWTH }
    }

    fn fault(text: &str) -> Option<Fault> {
        inspect(text, levels(4)).err()
    }

    #[test]
    fn faults_are_found_where_they_are() {
        let at = |path: &str| path.to_owned();
        let nul = |path, field| Fault::Nul { path: at(path), field: at(field) };
        for (text, expected) in [
            (r#"{"a": ["x", {"b": "y\u0000"}]}"#, nul("a[1].b", "a")),
            (r#"{"a": {"k\u0000": 1}}"#, nul("a", "a")),
            (r#"{"a.b": {"": "\u0000"}}"#, nul("\"a.b\".\"\"", "a.b")),
            (r#"{"\u0000": 1}"#, nul("", "")),
            (r#"{"a": [{"": 1, "": 2}]}"#, Fault::Duplicate(at("a[0].\"\""))),
            (r#"{"a": 1, "b": {"c": 2, "\u0063": 3}}"#, Fault::Duplicate(at("b.c"))),
            (r#"{"a": [0, -1e400]}"#, Fault::OutOfRange(16)),
            (r#"{"a": "\ud83d"}"#, Fault::LoneSurrogate(14)),
            (r#"{"a": "\ud83dx\ude00"}"#, Fault::LoneSurrogate(21)),
            (r#"{"a": "\ud83d\n"}"#, Fault::LoneSurrogate(16)),
            (r#"{"a": "\ude00\ud83d"}"#, Fault::LoneSurrogate(20)),
            (r#"[[[[[1]]]]]"#, Fault::TooDeep(4)),
        ] {
            assert_eq!(fault(text), Some(expected), "{text}");
        }
        for sound in [
            r#"{"a": "\ud83d\ude00\\u0000 {[\"", "b": [[[1.5, -3e2]]], "a.b": {"a": 1}, "": 0}"#,
            r#""\\""#,
            "{}",
            "[1,2]",
            "null",
        ] {
            assert_eq!(fault(sound), None, "{sound}");
        }
    }

    #[test]
    fn exponents_have_a_bound() {
        // Each is 304 characters longer than it looks.
        let list = |count: usize| format!("[{}]", vec!["1e308"; count].join(","));
        assert_eq!(fault(&list(GROWTH / 304)), None);
        assert!(matches!(fault(&list(GROWTH / 304 + 1)), Some(Fault::TooManyDigits(_))));
    }

    #[test]
    fn objects_have_a_bound() {
        let object = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(fault(&object(MAX_MEMBERS)), None);
        assert_eq!(fault(&object(MAX_MEMBERS + 1)), Some(Fault::TooManyMembers));
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(|text: String| Value::from(text.replace('\0', ""))),
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z\"\\\\]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_a_writer_writes_is_sound(value in document()) {
            prop_assert_eq!(inspect(&value.to_string(), levels(9)), Ok(()));
            prop_assert_eq!(inspect(&serde_json::to_string_pretty(&value).unwrap(), levels(9)), Ok(()));
        }

        #[test]
        fn a_nul_is_found_wherever_it_is(value in document()) {
            let text = json!({"before": value, "it": ["\0"], "after": value}).to_string();
            prop_assert_eq!(inspect(&text, levels(9)), Err(Fault::Nul { path: "it[0]".to_owned(), field: "it".to_owned() }));
        }

        #[test]
        fn depth_is_counted(depth in 1..20_usize) {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            prop_assert_eq!(inspect(&text, levels(depth)), Ok(()));
            prop_assert_eq!(inspect(&text, levels(depth - 1)), Err(Fault::TooDeep(depth - 1)));
        }
    }
}
