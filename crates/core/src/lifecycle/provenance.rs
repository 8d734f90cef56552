//! Where a verified story comes from is said by a backfill, in the story's metadata, and by nobody else.

use super::BACKFILL;
use crate::json::{InOrder, JsonText};

/// The member under which an import keeps what another project told of a backfill.
const IMPORTED: &str = "imported_backfill";

/// Whether planners may send this as the metadata of a story that has `old`: of a backfill it says what is there, or
/// nothing.
///
/// # Errors
/// What to send instead.
pub fn check_planned(old: &JsonText, sent: &JsonText) -> Result<(), String> {
    let told = member(sent, BACKFILL);
    if told.is_none() || told == member(old, BACKFILL) {
        return Ok(());
    }
    Err("`backfill` is written by POST /api/v1/stories/:id/backfill alone: leave it out, or send it as the story has it"
        .to_owned())
}

/// The metadata of a story that has `old` after planners have replaced it: what a backfill has written stays.
#[must_use]
pub fn planned(old: &JsonText, sent: &JsonText) -> JsonText {
    match member(old, BACKFILL) {
        Some(recorded) => with(sent, BACKFILL, &recorded),
        None => sent.clone(),
    }
}

/// What an import sends as the metadata of a story that has `old`, as planners may send it. An export of another project
/// may come again and again.
///
/// # Errors
/// As [`check_planned`].
pub fn imported_over(old: &JsonText, sent: &JsonText) -> Result<JsonText, String> {
    if member(sent, BACKFILL).is_some_and(|told| Some(told) == member(old, IMPORTED)) {
        return Ok(imported(sent));
    }
    check_planned(old, sent).map(|()| sent.clone())
}

/// The metadata of a story that an import creates. Exports tell of backfills, and must be fit to be imported; but what
/// anybody can write is no proof, so it is kept under another name.
#[must_use]
pub fn imported(sent: &JsonText) -> JsonText {
    match member(sent, BACKFILL) {
        Some(told) => with(sent, IMPORTED, &told),
        None => sent.clone(),
    }
}

fn member(metadata: &JsonText, name: &str) -> Option<JsonText> {
    metadata.object()?.get(name).map(JsonText::from)
}

/// The metadata with this in the place of its backfill.
fn with(metadata: &JsonText, name: &str, value: &JsonText) -> JsonText {
    let object = metadata.object().unwrap_or_default();
    let others = object.members().filter(|(known, _)| ![BACKFILL, name].contains(known));
    let others = others.map(|(name, raw)| (name, JsonText::from(raw)));
    let members: Vec<_> = others.chain([(name, value.clone())]).collect();
    // Members with a text have a text together.
    JsonText::of(&InOrder(&members)).unwrap_or_else(|_| metadata.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a story may have, and what may be sent.
    fn metadata() -> Vec<JsonText> {
        let told = [json!({"reason": "r"}), json!({"reason": "other"}), json!("done"), Value::Null];
        let mut all = vec![json!({}), json!({"a": 1})];
        for told in &told {
            all.push(json!({"backfill": told}));
            all.push(json!({"a": 2, "imported_backfill": told}));
            all.push(json!({"imported_backfill": told, "backfill": {"reason": "r"}}));
        }
        all.into_iter().map(JsonText::from).collect()
    }

    #[test]
    fn whatever_is_sent_what_a_backfill_wrote_stays_as_it_is() {
        for old in metadata() {
            for sent in metadata() {
                let what = format!("{old:?} {sent:?}");
                if check_planned(&old, &sent).is_ok() {
                    let new = planned(&old, &sent);
                    assert_eq!(member(&new, BACKFILL), member(&old, BACKFILL), "{what}");
                    assert_eq!(planned(&new, &sent), new, "{what}");
                }
                if let Ok(sent) = imported_over(&old, &sent) {
                    assert!(check_planned(&old, &sent).is_ok(), "{what}");
                    let new = planned(&old, &sent);
                    assert_eq!(member(&new, BACKFILL), member(&old, BACKFILL), "{what}");
                }
            }
            // What the story has may always be sent again.
            assert!(check_planned(&old, &old).is_ok());
            assert_eq!(
                imported_over(&old, &old).map(|sent| planned(&old, &sent)),
                Ok(old.clone()),
                "{old:?}"
            );
        }
    }

    #[test]
    fn an_import_proves_nothing_and_loses_nothing() {
        for sent in metadata() {
            let new = imported(&sent);
            assert_eq!(member(&new, BACKFILL), None);
            assert_eq!(member(&new, "a"), member(&sent, "a"));
            if let Some(told) = member(&sent, BACKFILL) {
                assert_eq!(member(&new, IMPORTED), Some(told));
            }
            // The same document may come again.
            assert_eq!(imported_over(&new, &sent).map(|sent| planned(&new, &sent)), Ok(new), "{sent:?}");
        }
    }

    #[test]
    fn a_name_may_be_written_with_escapes() {
        let sent: JsonText = serde_json::from_str(r#"{"b\u0061ckfill": {}}"#).unwrap();
        assert!(check_planned(&JsonText::empty_object(), &sent).is_err());
        assert_eq!(imported(&sent), json!({"imported_backfill": {}}).into());
    }
}
