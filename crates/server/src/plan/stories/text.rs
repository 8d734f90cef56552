//! The part of a story that planners write.

use loopctl_core::breakdown::StoryChange;
use loopctl_core::fields::FieldErrors;
use loopctl_core::json::JsonText;
use loopctl_core::lifecycle;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::Row;
use crate::events::{Event, Field};

/// Tells what is wrong with metadata that planners send for a story that has `old`.
pub(super) fn check_metadata(old: &JsonText, sent: &StoryChange, errors: &mut FieldErrors) {
    let checked = sent.metadata.as_ref().map_or(Ok(()), |sent| lifecycle::check_planned(old, sent));
    if let Err(message) = checked {
        errors.add("metadata", message);
    }
}

/// What a `PATCH` or an import may change of a story.
#[derive(Debug, Clone, Row)]
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
            metadata: change.metadata.as_ref().map_or_else(
                || self.metadata.clone(),
                |metadata| lifecycle::planned(&self.metadata, metadata),
            ),
        }
    }

    /// Whether title and criteria are the same.
    pub(crate) fn asks_the_same(&self, new: &Self) -> bool {
        (&self.title, &self.acceptance_criteria) == (&new.title, &new.acceptance_criteria)
    }

    /// The audit entry of a change to `new`; none when nothing changed. Hours are numbers: 4.5 is 4.50.
    pub(crate) fn updated(&self, id: Uuid, new: &Self) -> Option<Event> {
        let criteria = (&self.acceptance_criteria, &new.acceptance_criteria);
        let fields = [
            Field::value("title", &self.title, &new.title),
            Field::value("description", &self.description, &new.description),
            Field::document("acceptance_criteria", criteria.0, criteria.1),
            Field::value("estimated_hours", &self.estimated_hours, &new.estimated_hours),
            Field::document("metadata", &self.metadata, &new.metadata),
        ];
        Event::updated("story", id, &["title", "description"], &fields)
    }
}
