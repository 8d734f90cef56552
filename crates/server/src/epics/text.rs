//! The part of an epic that planners write.

use loopctl_core::breakdown::EpicChange;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::DbError;
use crate::events::{Event, members};

/// What a `PATCH` or an import may change of an epic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EpicText {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) position: i32,
    pub(crate) metadata: Value,
}

impl EpicText {
    /// Reads a row of `epics`.
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            phase: row.try_get("phase")?,
            position: row.try_get("position")?,
            metadata: row.try_get("metadata")?,
        })
    }

    /// The text after a change.
    #[must_use]
    pub(crate) fn changed(&self, change: &EpicChange) -> Self {
        Self {
            title: change.title.clone().unwrap_or_else(|| self.title.clone()),
            description: change.description.clone().unwrap_or_else(|| self.description.clone()),
            phase: change.phase.clone().unwrap_or_else(|| self.phase.clone()),
            position: change.position.unwrap_or(self.position),
            metadata: change.metadata.clone().map_or_else(|| self.metadata.clone(), Value::Object),
        }
    }

    /// The audit entry of a change to `new` (file 03 §12); none when nothing changed.
    pub(crate) fn updated(&self, id: Uuid, new: &Self) -> Option<Event> {
        Event::updated("epic", id, &["title", "phase", "position"], self.members(), new.members())
    }

    fn members(&self) -> Map<String, Value> {
        members([
            ("title", self.title.as_str().into()),
            ("description", self.description.as_deref().into()),
            ("phase", self.phase.as_deref().into()),
            ("position", self.position.into()),
            ("metadata", self.metadata.clone()),
        ])
    }
}
