//! The part of a story that planners write.

use loopctl_core::breakdown::StoryChange;
use loopctl_core::json::JsonText;
use loopctl_core::lifecycle::BACKFILL;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::Row;
use crate::events::{Event, field};

/// What a `PATCH` or an import may change of a story.
#[derive(Debug, Clone, PartialEq, Row)]
pub(crate) struct StoryText {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) acceptance_criteria: JsonText,
    pub(crate) estimated_hours: Option<Decimal>,
    pub(crate) metadata: JsonText,
}

impl StoryText {
    /// The text after a change.
    #[must_use]
    pub(crate) fn changed(&self, change: &StoryChange) -> Self {
        let criteria = change.acceptance_criteria.as_ref().map(|criteria| criteria.as_json().clone());
        Self {
            title: change.title.clone().unwrap_or_else(|| self.title.clone()),
            description: change.description.clone().unwrap_or_else(|| self.description.clone()),
            acceptance_criteria: criteria.unwrap_or_else(|| self.acceptance_criteria.clone()),
            estimated_hours: change.estimated_hours.or(self.estimated_hours),
            metadata: change
                .metadata
                .as_ref()
                .map_or_else(|| self.metadata.clone(), |metadata| self.keeping_backfill(metadata)),
        }
    }

    /// Replaces the metadata, but for what a backfill has written: where a verified story comes from stays known.
    fn keeping_backfill(&self, metadata: &JsonText) -> JsonText {
        let recorded = self.metadata.object().and_then(|old| old.get(BACKFILL).map(JsonText::from));
        match (recorded, metadata.to_value()) {
            (Some(recorded), Value::Object(mut members)) => {
                members.insert(BACKFILL.to_owned(), recorded.to_value());
                Value::Object(members).into()
            }
            _ => metadata.clone(),
        }
    }

    /// The audit entry of a change to `new`; none when nothing changed. Hours are numbers: 4.5 is 4.50.
    pub(crate) fn updated(&self, id: Uuid, new: &Self) -> Option<Event> {
        if self == new {
            return None;
        }
        Event::updated("story", id, &["title", "description"], self.fields(), new.fields())
    }

    fn fields(&self) -> [(&'static str, JsonText); 5] {
        [
            field("title", self.title.as_str()),
            field("description", self.description.as_deref()),
            ("acceptance_criteria", self.acceptance_criteria.clone()),
            field("estimated_hours", json!(self.estimated_hours)),
            ("metadata", self.metadata.clone()),
        ]
    }
}
