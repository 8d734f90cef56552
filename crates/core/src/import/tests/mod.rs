//! Every message of an import, and what of imports and exports needs no database.

mod messages;
mod plans;
mod random;

use serde_json::{Value, json};

use super::*;

fn number(text: &str) -> StoryNumber {
    StoryNumber::parse(text).unwrap()
}

/// A project with the given stories; an epic exists when it has a story.
fn project(stories: &[(&str, i32)]) -> Existing {
    let mut epics: Vec<i32> = stories.iter().map(|(_, epic)| *epic).collect();
    epics.dedup();
    Existing {
        epics,
        stories: stories.iter().map(|(text, epic)| (number(text), *epic)).collect(),
        ..Existing::default()
    }
}

fn import(body: &Value, mode: Mode, existing: &Existing) -> Result<Plan, ImportError> {
    parse(&JsonText::from(body.clone()).object().unwrap(), mode)?.plan(existing)
}

fn fresh(body: &Value) -> Result<Plan, ImportError> {
    import(body, Mode::Fresh, &Existing::default())
}

#[track_caller]
fn assert_invalid(body: &Value, message: &str) {
    assert_eq!(fresh(body), Err(ImportError::Invalid(message.to_owned())), "{body}");
}

/// One epic with these stories.
fn epic_with(stories: Value) -> Value {
    json!({"epics": [{"number": 1, "title": "E", "stories": stories}]})
}

/// Stories 1.1 to 1.3 of epic 1 and 2.1 of epic 2, with the given edges.
fn four_stories(story_edges: Value, epic_edges: Value) -> Value {
    json!({
        "epics": [
            {"number": 1, "title": "One", "stories": [
                {"number": "1.1", "title": "a"}, {"number": "1.2", "title": "b"}, {"number": "1.3", "title": "c"}]},
            {"number": 2, "title": "Two", "stories": [{"number": "2.1", "title": "d"}]},
        ],
        "story_dependencies": story_edges,
        "epic_dependencies": epic_edges,
    })
}
