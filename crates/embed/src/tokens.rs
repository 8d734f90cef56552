//! From a text to the pieces that the model knows.

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::weights::Weights;

/// A word of more characters is no word.
const LONGEST: usize = 100;

/// The pieces of a text, by number.
pub(crate) fn pieces(weights: &Weights, text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for word in words(text) {
        let before = found.len();
        if split(weights, &word, &mut found).is_none() {
            found.truncate(before);
            found.push(weights.unknown);
        }
    }
    found
}

/// A word as the longest pieces that there are, from its begin on. None: it cannot be put together.
fn split(weights: &Weights, word: &str, into: &mut Vec<usize>) -> Option<()> {
    if word.chars().count() > LONGEST {
        return None;
    }
    let mut rest = word;
    let mut prefix = "";
    while !rest.is_empty() {
        let ends = rest.char_indices().map(|(at, char)| at + char.len_utf8()).rev();
        let (piece, end) = ends
            .into_iter()
            .find_map(|end| Some((weights.piece(&format!("{prefix}{}", &rest[..end]))?, end)))?;
        into.push(piece);
        rest = &rest[end..];
        prefix = "##";
    }
    Some(())
}

/// Words in lower case without accents. Each mark and each Chinese sign is one by itself.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let plain = text.chars().filter_map(cleaned).nfd();
    for char in plain.filter(|char| char.general_category() != GeneralCategory::NonspacingMark) {
        for char in char.to_lowercase() {
            let is_alone = is_mark(char) || is_chinese(char);
            if char.is_whitespace() || is_alone {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            if is_alone {
                words.push(char.to_string());
            } else if !char.is_whitespace() {
                word.push(char);
            }
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn cleaned(char: char) -> Option<char> {
    match char {
        '\t' | '\n' | '\r' => Some(' '),
        '\u{fffd}' => None,
        char => match char.general_category() {
            GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::Unassigned
            | GeneralCategory::PrivateUse => None,
            _ => Some(char),
        },
    }
}

fn is_mark(char: char) -> bool {
    char.is_ascii_punctuation() || char.general_category_group() == GeneralCategoryGroup::Punctuation
}

fn is_chinese(char: char) -> bool {
    matches!(
        u32::from(char),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF | 0x2A700..=0x2CEAF | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cleaned_and_marks_stand_alone() {
        assert_eq!(words("Café, FOR\tUPDATE!"), ["cafe", ",", "for", "update", "!"]);
        assert_eq!(words("a\u{0}b\u{ad}c 数据"), ["abc", "数", "据"]);
        assert_eq!(words("lock_timeout"), ["lock", "_", "timeout"]);
        assert_eq!(words(" \n\u{200b}"), [""; 0]);
    }

    /// By number: one that is not known would hardly be seen in the vector of a long text.
    #[test]
    fn pieces_are_as_they_were_computed() {
        let weights = Weights::read(include_bytes!("../model.bin")).unwrap();
        let inputs: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../distil/vectors.json")).unwrap();
        assert!(inputs.len() >= 25, "{}", inputs.len());
        for input in inputs {
            let text = input["text"].as_str().unwrap();
            assert_eq!(serde_json::json!(pieces(&weights, text)), input["ids"], "{text:?}");
        }
    }
}
