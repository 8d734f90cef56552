//! Answers that every client hands on whole: some cut what is longer, without a word.

use serde_json::{Value, json};

/// Bytes of an answer's text.
pub(super) const MOST: usize = 8 * 1024;
/// Tokens of articles that fit such an answer, with what stands around them.
pub(super) const TOKENS: usize = 1800;
/// What a cut answer has besides the part that is shown.
const AROUND: usize = 512;

/// A value whose text is short enough. What is too long in spite of how it was made is cut, and says so.
pub(super) fn within_limits(value: Value) -> Value {
    let text = value.to_string();
    if text.len() <= MOST {
        return value;
    }
    let mut cut = json!({"cut": true, "part": begin(&text, MOST / 2)});
    for name in ["next", "error", "cursor"] {
        if let Some(kept) = value.get(name).filter(|kept| kept.to_string().len() < MOST / 4) {
            cut[name] = kept.clone();
        }
    }
    cut
}

/// A part of a long text from a place on, and the place where the next one begins.
pub(super) fn part(text: &str, from: usize, around: usize) -> (&str, Option<usize>) {
    let from = boundary(text, from);
    let rest = &text[from..];
    let room = MOST.saturating_sub(AROUND + around).max(1024);
    // What is shown is a string of JSON: line breaks and quotes take two bytes there, what is not printable six.
    let mut taken = 0;
    let end = rest.char_indices().find_map(|(at, char)| {
        taken += match char {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            char if char.is_control() => 6,
            char => char.len_utf8(),
        };
        (taken > room).then_some(at)
    });
    match end {
        None => (rest, None),
        Some(end) => {
            // At the end of a line, where there is one.
            let end = rest[..end].rfind('\n').filter(|line| *line > end / 2).map_or(end, |line| line + 1);
            (&rest[..end], Some(from + end))
        }
    }
}

/// The beginning of a text.
pub(super) fn begin(text: &str, most: usize) -> &str {
    &text[..boundary(text, most)]
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Parts are the whole, and each fits.
        #[test]
        fn nothing_is_lost_between_parts(text in "(?s).{0,9000}", around in 0_usize..4000) {
            let (mut from, mut read) = (0, String::new());
            loop {
                let (part, next) = part(&text, from, around);
                read.push_str(part);
                prop_assert!(Value::from(part).to_string().len() <= MOST);
                match next {
                    Some(next) => { prop_assert!(next > from); from = next; }
                    None => break,
                }
            }
            prop_assert_eq!(read, text);
        }

        #[test]
        fn whatever_is_answered_is_short(text in "(?s).{0,20000}") {
            let value = within_limits(json!({"text": text, "next": {"tool": "help"}}));
            prop_assert!(value.to_string().len() <= MOST);
            prop_assert_eq!(&value["next"]["tool"], "help");
        }
    }
}
