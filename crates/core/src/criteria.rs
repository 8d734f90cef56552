//! Acceptance criteria: the list in a story's JSON, and the rows derived from it.

use std::collections::{BTreeMap, HashSet};

use schemars::json_schema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::fields::INVALID;
use crate::json::{JsonText, Object, compact_length, count, count_values, elements, scalar};
use crate::request::{Custom, custom};

/// The most characters that an item's `id` may have: an index has to hold it.
const ID: usize = 255;

/// The most items of one list: every item is a row.
pub const MAX_ITEMS: usize = 500;

/// Below so many bytes a list must be, without white space and needless escapes: each change of it is digested.
const MAX_BYTES: usize = 262_144;

/// What is told of a list with [`MAX_BYTES`] or more.
const TOO_LARGE: &str = "must be smaller than 256KB";

/// The most values of one list at all its levels, for the same reason.
const MAX_VALUES: usize = 20_000;

const DESCRIPTION: &str = "description";
const CRITERION: &str = "criterion";
const VERIFICATION: &str = "verification_criterion";

/// A story's `acceptance_criteria` as they were sent: an array of objects with free keys, of which `id`, `criterion`,
/// `description` and `verification_criterion` mean something.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Criteria(JsonText);

impl Default for Criteria {
    fn default() -> Self {
        Self(json!([]).into())
    }
}

impl Criteria {
    /// The list of a document. None when it is not an array of objects.
    pub fn parse(raw: &RawValue) -> Option<Self> {
        let all_objects = elements(raw)?.iter().all(|item| item.get().starts_with('{'));
        all_objects.then(|| Self(raw.into()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count().unwrap_or_default()
    }

    /// How many values they hold at all their levels.
    pub fn values(&self) -> usize {
        count_values(self.0.as_str())
    }

    /// The array.
    pub fn as_json(&self) -> &JsonText {
        &self.0
    }

    fn items(&self) -> Vec<Object<'_>> {
        self.0.elements().unwrap_or_default().into_iter().filter_map(Object::parse).collect()
    }
}

/// What `story_acceptance_criteria` holds for one item of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct CriterionRow {
    /// The item's id, or the first free `AC-<n>`. Unique within the story.
    pub ac_id: String,
    /// What must hold.
    pub description: String,
    /// How it is verified.
    pub verification_criterion: JsonText,
    /// 0-based place in the list.
    pub position: i32,
}

/// The rule of a field that holds a list.
pub const fn list() -> Custom<Option<Criteria>> {
    custom(
        |fields, name| {
            let raw = fields.document(name)?;
            if raw.get().len() >= MAX_BYTES && compact_length(raw) >= MAX_BYTES {
                fields.fail(name, TOO_LARGE);
                return None;
            }
            if count_values(raw.get()) > MAX_VALUES {
                fields.fail(name, too_intricate());
                return None;
            }
            if count(raw).is_some_and(|items| items > MAX_ITEMS) {
                fields.fail(name, too_many());
                return None;
            }
            let Some(criteria) = Criteria::parse(raw) else {
                fields.fail(name, INVALID);
                return None;
            };
            for fault in faults(&criteria) {
                fields.fail(name, fault.message);
            }
            Some(criteria)
        },
        || json_schema!({"type": "array", "items": {"type": "object"}, "maxItems": MAX_ITEMS}),
    )
}

/// What is told of a list with more than [`MAX_ITEMS`].
pub(crate) fn too_many() -> String {
    format!("should have at most {MAX_ITEMS} item(s)")
}

/// What is told of a list with more than [`MAX_VALUES`].
fn too_intricate() -> String {
    format!("should hold at most {MAX_VALUES} values")
}

/// What is wrong with an item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The item's 0-based place.
    pub index: usize,
    /// Its offending member.
    pub member: &'static str,
    /// Why it is refused.
    pub message: String,
}

/// What is wrong with a list: the first item of each kind of fault.
pub fn faults(criteria: &Criteria) -> impl Iterator<Item = Fault> {
    let verification = bad_verification(criteria).map(|index| Fault {
        index,
        member: VERIFICATION,
        message: "must have a valid type".to_owned(),
    });
    let id = long_id(criteria).map(|index| Fault {
        index,
        member: "id",
        message: format!("should be at most {ID} character(s)"),
    });
    verification.into_iter().chain(id)
}

/// The index of the first item whose `id` is longer than [`ID`].
fn long_id(criteria: &Criteria) -> Option<usize> {
    criteria.items().iter().position(|item| text(item, "id").is_some_and(|id| id.chars().count() > ID))
}

/// The index of the first item whose `verification_criterion` is not an object with a known `type`.
fn bad_verification(criteria: &Criteria) -> Option<usize> {
    criteria.items().iter().position(|item| verification(item).is_some_and(|raw| !has_valid_type(raw)))
}

/// What import does to the list: the text of `description` becomes `criterion`, everything else stays. A `description`
/// without text is no description and stays where it is.
pub fn normalise(criteria: Criteria) -> Criteria {
    let items = criteria.items();
    if !items.iter().any(|item| text(item, DESCRIPTION).is_some()) {
        return criteria;
    }
    let renamed: Vec<_> = items.iter().map(renamed).collect();
    // Members with a text have a text together.
    JsonText::of(&renamed).map(Criteria).unwrap_or_else(|_| criteria.clone())
}

/// An item whose `description`, if that says something, has become its `criterion`.
fn renamed<'a>(item: &'a Object<'a>) -> BTreeMap<&'a str, &'a RawValue> {
    let describes = text(item, DESCRIPTION).is_some();
    let kept = item.members().filter(|(name, _)| !(describes && [DESCRIPTION, CRITERION].contains(name)));
    let criterion = item.get(DESCRIPTION).filter(|_| describes).map(|raw| (CRITERION, raw));
    kept.chain(criterion).collect()
}

/// The rows of a list, in its order.
pub fn rows(criteria: &Criteria) -> Vec<CriterionRow> {
    let items = criteria.items();
    let mut taken: HashSet<String> = HashSet::new();
    // First all ids that were given, so that a generated one never takes the id of a later item.
    let given: Vec<Option<String>> =
        items.iter().map(|item| text(item, "id").filter(|id| taken.insert(id.clone()))).collect();
    let mut free = (1_u64..).map(|n| format!("AC-{n}")).filter(|id| !taken.contains(id));
    items
        .iter()
        .zip(given)
        .zip(0..)
        .map(|((item, id), position)| CriterionRow {
            ac_id: id.or_else(|| free.next()).unwrap_or_default(),
            description: text(item, DESCRIPTION)
                .or_else(|| text(item, CRITERION))
                .unwrap_or_else(|| "No description".to_owned()),
            verification_criterion: verification(item)
                .filter(|raw| has_valid_type(raw))
                .map_or_else(|| json!({"type": "manual", "description": "legacy"}).into(), JsonText::from),
            position,
        })
        .collect()
}

/// The text under a key; none when it is absent, blank or not a string.
fn text(item: &Object<'_>, key: &str) -> Option<String> {
    match scalar(item.get(key)?) {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

fn verification<'a>(item: &Object<'a>) -> Option<&'a RawValue> {
    item.get(VERIFICATION).filter(|raw| raw.get() != "null")
}

fn has_valid_type(verification: &RawValue) -> bool {
    let kind = Object::parse(verification).and_then(|object| object.get("type").map(scalar));
    let kind = kind.as_ref().and_then(Value::as_str);
    matches!(kind, Some("test" | "code" | "route" | "migration" | "manual"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::Fields;
    use crate::request::Rule as _;

    fn parse(value: &Value) -> Option<Criteria> {
        Criteria::parse(serde_json::from_str(&value.to_string()).unwrap())
    }

    fn list(value: Value) -> Criteria {
        parse(&value).unwrap()
    }

    #[test]
    fn only_arrays_of_objects_are_lists() {
        for bad in [json!("x"), json!(["x"]), json!({"id": "AC-1"}), json!([{}, null]), json!(1)] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        assert_eq!(parse(&json!([])), Some(Criteria::default()));
    }

    #[test]
    fn import_turns_description_into_criterion() {
        let cases = [
            (json!({"id": "AC-1", "description": "d"}), json!({"id": "AC-1", "criterion": "d"})),
            (json!({"criterion": "c", "description": "d", "x": 1}), json!({"criterion": "d", "x": 1})),
            (json!({"criterion": "c", "id": "AC-9"}), json!({"criterion": "c", "id": "AC-9"})),
            (json!({"criterion": "c", "description": null}), json!({"criterion": "c", "description": null})),
            (json!({"criterion": "c", "description": " "}), json!({"criterion": "c", "description": " "})),
        ];
        for (before, after) in cases {
            assert_eq!(normalise(list(json!([before]))), list(json!([after])));
        }
    }

    #[test]
    fn verification_needs_a_known_type() {
        for kind in ["test", "code", "route", "migration", "manual"] {
            assert_eq!(bad_verification(&list(json!([{"verification_criterion": {"type": kind}}]))), None);
        }
        for bad in [json!({"type": "bogus"}), json!({"type": 1}), json!({}), json!("manual"), json!([])] {
            let criteria =
                list(json!([{}, {"verification_criterion": null}, {"verification_criterion": bad}]));
            assert_eq!(bad_verification(&criteria), Some(2), "{bad}");
        }
    }

    /// The first thing that is told of the list under `c`.
    fn told(document: &JsonText) -> Option<String> {
        let object = document.object().unwrap();
        let mut fields = Fields::new(&object);
        super::list().read(&mut fields, "c");
        fields.into_errors().0.remove("c").and_then(|messages| messages.into_iter().next())
    }

    #[test]
    fn lists_have_an_end() {
        for (count, expected) in [(MAX_ITEMS, None), (MAX_ITEMS + 1, Some(too_many()))] {
            let text = JsonText::from(json!({"c": vec![json!({}); count]}));
            assert_eq!(told(&text), expected, "{count}");
        }
    }

    #[test]
    fn sizes_have_an_end() {
        for (length, spaces, expected) in [(0, 0, None), (0, 9, None), (1, 0, Some(TOO_LARGE.to_owned()))] {
            let text = "ä".repeat((MAX_BYTES - r#"[{"c":"xx"}]"#.len()) / 2 + length);
            let document = format!(r#"{{"c": [{{{}"c":"x{text}"}}]}}"#, " ".repeat(spaces));
            let text: JsonText = serde_json::from_str(&document).unwrap();
            assert_eq!(told(&text), expected, "{length} {spaces}");
        }
    }

    #[test]
    fn depths_and_widths_have_an_end() {
        for (count, expected) in [(MAX_VALUES - 2, None), (MAX_VALUES, Some(too_intricate()))] {
            let text = JsonText::from(json!({"c": [{"x": vec![json!({}); count / 2]}]}));
            assert_eq!(told(&text), expected, "{count}");
        }
    }

    #[test]
    fn ids_have_an_end() {
        let id = |length| json!({"id": "ä".repeat(length)});
        assert_eq!(long_id(&list(json!([{}, id(255), {"id": 7}]))), None);
        assert_eq!(long_id(&list(json!([{}, id(256)]))), Some(1));
    }

    #[test]
    fn rows_take_the_first_free_id() {
        let criteria = list(json!([
            {"criterion": "one"},
            {"id": "AC-1", "description": "two", "criterion": "other"},
            {"id": "AC-1"},
            {"id": " ", "description": ""},
            {"id": "AC-3", "verification_criterion": {"type": "test", "path": "t.rs", "test_name": "t"}},
        ]));
        let rows = rows(&criteria);
        let seen: Vec<_> =
            rows.iter().map(|row| (row.ac_id.as_str(), row.description.as_str(), row.position)).collect();
        assert_eq!(
            seen,
            [
                ("AC-2", "one", 0),
                ("AC-1", "two", 1),
                ("AC-4", "No description", 2),
                ("AC-5", "No description", 3),
                ("AC-3", "No description", 4),
            ]
        );
        assert_eq!(rows[0].verification_criterion, json!({"type": "manual", "description": "legacy"}).into());
        assert_eq!(
            rows[4].verification_criterion,
            json!({"type": "test", "path": "t.rs", "test_name": "t"}).into()
        );
    }

    proptest! {
        #[test]
        fn row_ids_are_unique(ids in prop::collection::vec(prop::option::of("(AC-[1-4])?"), 0..12)) {
            let criteria = list(ids.iter().map(|id| json!({"id": id})).collect());
            let rows = rows(&criteria);
            let unique: HashSet<_> = rows.iter().map(|row| &row.ac_id).collect();
            prop_assert_eq!(unique.len(), ids.len());
            prop_assert!(rows.iter().all(|row| !row.ac_id.is_empty()));
        }
    }
}
