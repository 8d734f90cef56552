//! The part of an epic that planners write.

use loopctl_core::breakdown::EpicChange;
use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::Row;
use crate::events::{Event, Field};

/// What a `PATCH` or an import may change of an epic.
#[derive(Debug, Clone, Default, Serialize, JsonSchema, Row)]
pub(crate) struct EpicText {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) position: i32,
    pub(crate) metadata: JsonText,
}

impl EpicText {
    /// The text after a change.
    #[must_use]
    pub(crate) fn changed(&self, change: &EpicChange) -> Self {
        Self {
            title: change.title.as_ref().unwrap_or(&self.title).clone(),
            description: change.description.as_ref().unwrap_or(&self.description).clone(),
            phase: change.phase.as_ref().unwrap_or(&self.phase).clone(),
            position: change.position.unwrap_or(self.position),
            metadata: change.metadata.as_ref().unwrap_or(&self.metadata).clone(),
        }
    }

    /// The audit entry of a change to `new`; none when nothing changed.
    pub(crate) fn updated(&self, id: Uuid, new: &Self) -> Option<Event> {
        let fields = [
            Field::value("title", &self.title, &new.title),
            Field::value("description", &self.description, &new.description),
            Field::value("phase", &self.phase, &new.phase),
            Field::value("position", &self.position, &new.position),
            Field::document("metadata", &self.metadata, &new.metadata),
        ];
        Event::updated("epic", id, &["title", "phase", "position"], &fields)
    }
}
