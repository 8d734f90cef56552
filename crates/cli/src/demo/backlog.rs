//! The shipped backlog, as far as the demo has to know it beforehand.

use serde_json::Value;

use crate::error::Error;

/// `examples/backlog.json`, the body of an import.
const PAYLOAD: &str = include_str!("../../../../examples/backlog.json");

/// A work breakdown and its payload.
#[derive(Debug)]
pub(super) struct Backlog {
    /// The body of the import.
    pub(super) payload: Value,
    /// The number of epics.
    pub(super) epics: usize,
    /// In the order of the file.
    pub(super) stories: Vec<Story>,
}

/// A story of the backlog.
#[derive(Debug, Clone)]
pub(super) struct Story {
    /// `1.1`
    pub(super) number: String,
    /// The stories that it waits for.
    pub(super) prerequisites: Vec<String>,
    /// How long it is estimated to take.
    pub(super) hours: f64,
}

impl Backlog {
    /// The shipped one.
    pub(super) fn shipped() -> Result<Self, Error> {
        let payload = serde_json::from_str(PAYLOAD)
            .map_err(|error| Error::Other(format!("The shipped backlog is no JSON: {error}")))?;
        Ok(Self::of(payload))
    }

    /// Reads an import's body. What is wrong with it is the server's to say.
    pub(super) fn of(payload: Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let edges = list(&payload["story_dependencies"]);
        let epics = list(&payload["epics"]);
        let stories = epics.iter().flat_map(|epic| list(&epic["stories"]));
        let stories = stories
            .map(|story| {
                let number = text(&story["number"]);
                let mine = edges.iter().filter(|edge| edge["story"] == story["number"]);
                Story {
                    prerequisites: mine.map(|edge| text(&edge["depends_on"])).collect(),
                    hours: story["estimated_hours"].as_f64().unwrap_or(1.0),
                    number,
                }
            })
            .collect();
        Self { epics: epics.len(), stories, payload }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[test]
    fn the_shipped_backlog_is_worth_a_demo() {
        let backlog = Backlog::shipped().unwrap();
        assert!(backlog.epics >= 6 && backlog.stories.len() >= 36);
        let numbers: HashSet<_> = backlog.stories.iter().map(|story| &story.number).collect();
        assert_eq!(numbers.len(), backlog.stories.len(), "numbers are unique");
        for epic in backlog.payload["epics"].as_array().unwrap() {
            assert!(epic["phase"].is_string() && epic["description"].is_string());
            for story in epic["stories"].as_array().unwrap() {
                let criteria = story["acceptance_criteria"].as_array().unwrap();
                assert!((2..=5).contains(&criteria.len()), "{story}");
                assert!(story["estimated_hours"].as_f64().unwrap() > 0.0);
            }
        }
        assert!(backlog.payload["epic_dependencies"].as_array().unwrap().len() >= 2);
    }

    #[test]
    fn its_dependencies_lead_somewhere_and_vary_the_parallelism() {
        let backlog = Backlog::shipped().unwrap();
        // Waves of stories that could be worked on at once. The file lists prerequisites before dependents.
        let mut wave: BTreeMap<&str, usize> = BTreeMap::new();
        for story in &backlog.stories {
            let before = story.prerequisites.iter().map(|number| wave[number.as_str()]);
            let mine = before.max().map_or(0, |last| last + 1);
            wave.insert(&story.number, mine);
        }
        let depth = wave.values().max().unwrap() + 1;
        let widest =
            (0..depth).map(|step| wave.values().filter(|mine| **mine == step).count()).max().unwrap();
        assert!(depth >= 6 && widest >= 6, "{depth} waves, the widest of {widest}");
    }
}
