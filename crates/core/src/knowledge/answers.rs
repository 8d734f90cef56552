//! What a model answers that was asked for candidates: JSON, more or less.

use serde_json::{Deserializer, Value};

use super::MAX_TAGS;
use super::candidates::Candidate;

/// As many are read of one answer.
const MOST: usize = 100;

/// The candidates of an answer: of an array, or of an object with such an array called `articles`, whatever stands around it. Of one
/// that was cut off, those that are whole. None: there is nothing of the kind.
pub fn answered(answer: &str) -> Option<Vec<Candidate>> {
    let begins = answer.find(['[', '{'])?;
    let json = &answer[begins..];
    let list = if json.starts_with('[') {
        json
    } else {
        let named = json.find("\"articles\"").map(|at| &json[at..])?;
        &named[named.find('[')?..]
    };
    leading(list)
}

/// The elements of an array up to where it ends, or is no JSON any more. None: it was cut off before the first one.
fn leading(list: &str) -> Option<Vec<Candidate>> {
    let mut rest = list.strip_prefix('[')?.trim_start();
    let mut candidates = Vec::new();
    while candidates.len() < MOST && !rest.starts_with(']') {
        let mut elements = Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(element)) = elements.next() else {
            return Some(candidates).filter(|candidates| !candidates.is_empty());
        };
        candidates.push(candidate(&element));
        rest = rest[elements.byte_offset()..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(candidates)
}

fn candidate(element: &Value) -> Candidate {
    let text = |name: &str| element[name].as_str().unwrap_or_default().to_owned();
    let tags = element["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tags = tags.iter().filter_map(Value::as_str).map(|tag| {
        // Models like to write words with blanks between.
        tag.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-")
    });
    Candidate {
        title: text("title"),
        body: text("body"),
        category: text("category"),
        tags: tags.take(MAX_TAGS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str =
        r#"{"title": "A", "body": "b", "category": "pattern", "tags": ["X", "Two Words", 7, null]}"#;

    fn titles(answer: &str) -> Option<Vec<String>> {
        Some(answered(answer)?.into_iter().map(|candidate| candidate.title).collect())
    }

    #[test]
    fn an_array_or_an_object_fenced_or_not() {
        for answer in [
            format!("[{ONE}]"),
            format!("{{\"articles\": [{ONE}]}}"),
            format!("```json\n[{ONE}]\n```"),
            format!("Here you are:\n```\n{{\"articles\":[{ONE}]}}\n```\nAnything else?"),
            format!("{{\"note\": \"x\", \"articles\" : [ {ONE} ], \"more\": 1}}"),
        ] {
            let found = answered(&answer).unwrap();
            assert_eq!(found.len(), 1, "{answer}");
            assert_eq!(found[0].title, "A");
            assert_eq!(found[0].tags, ["x", "two-words"]);
        }
        assert_eq!(titles("[]"), Some(vec![]));
        assert_eq!(titles("{\"articles\": []}"), Some(vec![]));
    }

    #[test]
    fn what_was_cut_off_leaves_what_is_whole() {
        for cut in ["", ",", ", {\"title\": \"B\", \"bo", ", {\"title\""] {
            assert_eq!(titles(&format!("```json\n[{ONE}{cut}")), Some(vec!["A".to_owned()]), "{cut}");
            assert_eq!(titles(&format!("{{\"articles\": [{ONE}{cut}")), Some(vec!["A".to_owned()]), "{cut}");
        }
        for nothing in ["", "I cannot do that.", "[", "[{\"title\": \"A", "{\"articles\"", "{\"error\": []}"]
        {
            assert_eq!(titles(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_no_candidate_is_an_empty_one() {
        assert_eq!(answered("[1, \"x\", [], {}]").unwrap(), vec![Candidate::default(); 4]);
        let many = format!("[{}]", vec!["{}"; 500].join(","));
        assert_eq!(answered(&many).unwrap().len(), MOST);
        assert_eq!(titles(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(answer in "\\PC*", cut in 0..200_usize) {
            let _ = answered(&answer);
            let whole = format!("[{ONE},{ONE}]");
            let _ = answered(whole.get(..cut).unwrap_or(&whole));
        }
    }
}
