//! What hostile clients send: as much work as fits into what a request may hold.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

/// The most that an import may be, and any other body.
pub(crate) const IMPORT: usize = 10 << 20;
pub(crate) const BODY: usize = 2 << 20;
/// What a JSON column may hold, with some room.
pub(crate) const COLUMN: usize = 65_000;

/// A list of objects, as many as fit into so many bytes: a few bytes each, and hundreds as a tree.
pub(crate) fn values(bytes: usize) -> String {
    const VALUE: &str = r#"{"":0}"#;
    let count = bytes.saturating_sub(2) / (VALUE.len() + 1);
    format!("[{}]", vec![VALUE; count].join(","))
}

/// An object with such a list.
pub(crate) fn object(bytes: usize) -> String {
    const AROUND: &str = r#"{"values":}"#;
    format!(r#"{{"values":{}}}"#, values(bytes - AROUND.len()))
}

/// How an import ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Sound,
    /// Two stories that wait for each other, which is judged when everything else was.
    Cycle,
}

/// Stories of an epic.
const PER_EPIC: usize = 100;
/// Criteria of a story: 20,000 in all are the most of an import, which has 5,000 stories.
const CRITERIA: usize = 4;
/// Objects in each criterion, which is less than the most values that there may be.
const IN_CRITERION: usize = 6;

/// A merge of so many stories, of about so many bytes. Bodies with different words change every story.
pub(crate) fn import(stories: usize, bytes: usize, word: &str, end: End) -> Arc<[u8]> {
    let criterion = format!(
        r#"{{"criterion":"It works, {word}","values":{}}}"#,
        values(2 + IN_CRITERION * r#"{"":0},"#.len())
    );
    let criteria = vec![criterion; CRITERIA].join(",");
    const REST_OF_STORY: usize = 120;
    let text = "a".repeat((bytes / stories).saturating_sub(criteria.len() + REST_OF_STORY));
    let epics: Vec<_> = (0..stories.div_ceil(PER_EPIC))
        .map(|before| {
            let number = before + 1;
            let stories: Vec<_> = (1..=PER_EPIC.min(stories - before * PER_EPIC))
                .map(|story| {
                    format!(
                        r#"{{"number":"{number}.{story}","title":"Story {word}","description":"{text}","acceptance_criteria":[{criteria}]}}"#
                    )
                })
                .collect();
            format!(r#"{{"number":{number},"title":"Epic","stories":[{}]}}"#, stories.join(","))
        })
        .collect();
    let dependencies = match end {
        End::Sound => "",
        End::Cycle => r#"{"story":"1.1","depends_on":"1.2"},{"story":"1.2","depends_on":"1.1"}"#,
    };
    let body =
        format!(r#"{{"merge":true,"epics":[{}],"story_dependencies":[{dependencies}]}}"#, epics.join(","));
    body.into_bytes().into()
}

/// An import that is read for nothing: what is wrong with it is the last thing in it.
pub(crate) fn refused_import(bytes: usize) -> Arc<[u8]> {
    const END: &str = r#","epics":[{"number":1,"title":""}]}"#;
    let mut body = r#"{"unread":"#.to_owned();
    body += &values(bytes - body.len() - END.len());
    body += END;
    body.into_bytes().into()
}

/// A change of a story that brings so many criteria, of about so many bytes in all and with nearly as many values as there may be.
pub(crate) fn criteria(count: usize, bytes: usize, word: &str) -> Arc<[u8]> {
    const VALUES: usize = 15;
    const REST: usize = 50;
    let values = values(2 + VALUES * r#"{"":0},"#.len());
    let text = "a".repeat((bytes / count).saturating_sub(values.len() + REST));
    let mut items = String::new();
    for number in 1..=count {
        let comma = if number > 1 { "," } else { "" };
        let _ =
            write!(items, r#"{comma}{{"id":"AC-{number}","criterion":"{word} {text}","values":{values}}}"#);
    }
    format!(r#"{{"acceptance_criteria":[{items}]}}"#).into_bytes().into()
}

/// Stories of one epic, with so many bytes of metadata each.
pub(crate) fn large_stories(epic: usize, count: usize, bytes: usize) -> Arc<[u8]> {
    let metadata = object(bytes);
    let stories: Vec<_> = (1..=count)
        .map(|story| format!(r#"{{"number":"{epic}.{story}","title":"Large","metadata":{metadata}}}"#))
        .collect();
    let body = format!(
        r#"{{"merge":true,"epics":[{{"number":{epic},"title":"Large","stories":[{}]}}]}}"#,
        stories.join(",")
    );
    body.into_bytes().into()
}

/// So many stories, and as many that wait for all of them. Each title is as long as it may be, and shown with each that waits.
pub(crate) fn entangled(count: usize) -> Arc<[u8]> {
    let title = "a".repeat(500);
    let first: Vec<_> =
        (1..=count).map(|story| json!({"number": format!("1.{story}"), "title": title})).collect();
    let all: Vec<_> = (1..=count).map(|story| format!("1.{story}")).collect();
    let second: Vec<_> = (1..=count)
        .map(|story| json!({"number": format!("2.{story}"), "title": title, "depends_on_stories": all}))
        .collect();
    let body = json!({"merge": true, "epics": [{"number": 1, "title": "First", "stories": first},
                                               {"number": 2, "title": "Then", "stories": second}]});
    body.to_string().into_bytes().into()
}
