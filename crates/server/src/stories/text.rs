//! The part of a story that planners write.

use loopctl_core::breakdown::StoryChange;
use loopctl_core::criteria::Criterion;
use loopctl_core::lifecycle::BACKFILL;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::DbError;
use crate::events::{Event, members};

/// What a `PATCH` or an import may change of a story.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoryText {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) acceptance_criteria: Value,
    pub(crate) estimated_hours: Option<Decimal>,
    pub(crate) metadata: Value,
}

impl StoryText {
    /// Reads a row of `stories`.
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            acceptance_criteria: row.try_get("acceptance_criteria")?,
            estimated_hours: row.try_get("estimated_hours")?,
            metadata: row.try_get("metadata")?,
        })
    }

    /// The text after a change.
    #[must_use]
    pub(crate) fn changed(&self, change: &StoryChange) -> Self {
        Self {
            title: change.title.clone().unwrap_or_else(|| self.title.clone()),
            description: change.description.clone().unwrap_or_else(|| self.description.clone()),
            acceptance_criteria: change
                .acceptance_criteria
                .as_deref()
                .map_or_else(|| self.acceptance_criteria.clone(), criteria_value),
            estimated_hours: change.estimated_hours.or(self.estimated_hours),
            metadata: change
                .metadata
                .clone()
                .map_or_else(|| self.metadata.clone(), |metadata| self.keeping_backfill(metadata)),
        }
    }

    /// Replaces the metadata, but for what a backfill has written: where a verified story comes from stays known.
    fn keeping_backfill(&self, mut metadata: Map<String, Value>) -> Value {
        if let Some(recorded) = self.metadata.get(BACKFILL) {
            metadata.insert(BACKFILL.to_owned(), recorded.clone());
        }
        Value::Object(metadata)
    }

    /// The audit entry of a change to `new` (file 03 §12); none when nothing changed. Hours are numbers: 4.5 is 4.50.
    pub(crate) fn updated(&self, id: Uuid, new: &Self) -> Option<Event> {
        if self == new {
            return None;
        }
        Event::updated("story", id, &["title", "description"], self.members(), new.members())
    }

    fn members(&self) -> Map<String, Value> {
        members([
            ("title", self.title.as_str().into()),
            ("description", self.description.as_deref().into()),
            ("acceptance_criteria", self.acceptance_criteria.clone()),
            ("estimated_hours", json!(self.estimated_hours)),
            ("metadata", self.metadata.clone()),
        ])
    }
}

/// A list of criteria as its column holds it.
pub(crate) fn criteria_value(criteria: &[Criterion]) -> Value {
    criteria.iter().cloned().map(Value::Object).collect()
}
