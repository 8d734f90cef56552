//! Acceptance criteria: the list in a story's JSON, and the rows derived from it (file 03 §6).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// One item of a story's `acceptance_criteria`: an object with free keys, of which `id`, `criterion`,
/// `description` and `verification_criterion` mean something.
pub type Criterion = Map<String, Value>;

/// The most characters that an item's `id` may have.
const ID: usize = 255;

const DESCRIPTION: &str = "description";
const CRITERION: &str = "criterion";
const VERIFICATION: &str = "verification_criterion";

/// What `story_acceptance_criteria` holds for one item of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct CriterionRow {
    /// The item's id, or the first free `AC-<n>`. Unique within the story.
    pub ac_id: String,
    /// What must hold.
    pub description: String,
    /// How it is verified.
    pub verification_criterion: Value,
    /// 0-based place in the list.
    pub position: i32,
}

/// The list of a JSON value. None when it is not an array of objects.
pub fn parse(value: &Value) -> Option<Vec<Criterion>> {
    value.as_array()?.iter().map(|item| item.as_object().cloned()).collect()
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
pub fn faults(criteria: &[Criterion]) -> impl Iterator<Item = Fault> {
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

/// The index of the first item whose `id` is longer than [`ID`]: an index has to hold it.
fn long_id(criteria: &[Criterion]) -> Option<usize> {
    criteria.iter().position(|item| text(item, "id").is_some_and(|id| id.chars().count() > ID))
}

/// The index of the first item whose `verification_criterion` is not an object with a known `type`.
fn bad_verification(criteria: &[Criterion]) -> Option<usize> {
    criteria.iter().position(|item| verification(item).is_some_and(|value| !has_valid_type(value)))
}

/// What import does to the list: the text of `description` becomes `criterion`, everything else stays
/// (file 03 §6.1). A `description` without text is no description and stays where it is.
pub fn normalise(mut criteria: Vec<Criterion>) -> Vec<Criterion> {
    for item in &mut criteria {
        if text(item, DESCRIPTION).is_some()
            && let Some(description) = item.remove(DESCRIPTION)
        {
            item.insert(CRITERION.to_owned(), description);
        }
    }
    criteria
}

/// The rows of a list, in its order.
pub fn rows(criteria: &[Criterion]) -> Vec<CriterionRow> {
    let mut taken: HashSet<&str> = HashSet::new();
    // First all ids that were given, so that a generated one never takes the id of a later item.
    let given: Vec<Option<&str>> =
        criteria.iter().map(|item| text(item, "id").filter(|id| taken.insert(id))).collect();
    let mut free = (1_u64..).map(|n| format!("AC-{n}")).filter(|id| !taken.contains(id.as_str()));
    criteria
        .iter()
        .zip(given)
        .zip(0..)
        .map(|((item, id), position)| CriterionRow {
            ac_id: id.map(str::to_owned).or_else(|| free.next()).unwrap_or_default(),
            description: text(item, DESCRIPTION)
                .or_else(|| text(item, CRITERION))
                .unwrap_or("No description")
                .to_owned(),
            verification_criterion: verification(item)
                .filter(|value| has_valid_type(value))
                .cloned()
                .unwrap_or_else(|| json!({"type": "manual", "description": "legacy"})),
            position,
        })
        .collect()
}

/// The text under a key; none when it is absent, blank or not a string.
fn text<'a>(item: &'a Criterion, key: &str) -> Option<&'a str> {
    item.get(key)?.as_str().filter(|text| !text.trim().is_empty())
}

fn verification(item: &Criterion) -> Option<&Value> {
    item.get(VERIFICATION).filter(|value| !value.is_null())
}

fn has_valid_type(verification: &Value) -> bool {
    let kind = verification.get("type").and_then(Value::as_str);
    matches!(kind, Some("test" | "code" | "route" | "migration" | "manual"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(value: Value) -> Vec<Criterion> {
        parse(&value).unwrap()
    }

    #[test]
    fn only_arrays_of_objects_are_lists() {
        for bad in [json!("x"), json!(["x"]), json!({"id": "AC-1"}), json!([{}, null]), json!(1)] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        assert_eq!(parse(&json!([])), Some(Vec::new()));
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
        assert_eq!(rows[0].verification_criterion, json!({"type": "manual", "description": "legacy"}));
        assert_eq!(rows[4].verification_criterion, json!({"type": "test", "path": "t.rs", "test_name": "t"}));
    }

    proptest! {
        #[test]
        fn row_ids_are_unique(ids in prop::collection::vec(prop::option::of("(AC-[1-4])?"), 0..12)) {
            let criteria: Vec<Criterion> =
                ids.iter().map(|id| Criterion::from_iter([("id".to_owned(), json!(id))])).collect();
            let rows = rows(&criteria);
            let unique: HashSet<_> = rows.iter().map(|row| &row.ac_id).collect();
            prop_assert_eq!(unique.len(), ids.len());
            prop_assert!(rows.iter().all(|row| !row.ac_id.is_empty()));
        }
    }
}
