//! What webhooks are told of an event.

use loopctl_core::json::JsonText;
use loopctl_core::webhooks::EventType;
use serde::Serialize;
use uuid::Uuid;

/// What webhooks are told, beside the type and the time of the event.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(super) event_type: EventType,
    /// An object.
    pub(super) payload: JsonText,
    /// The one webhook that is told, whatever it subscribes to, and as what; None: all that subscribe.
    pub(super) only: Option<(Uuid, Uuid)>,
}

impl Notice {
    /// To all that subscribe to its type. The payload is an object.
    pub(crate) fn new(event_type: EventType, payload: &impl Serialize) -> Self {
        Self { event_type, payload: JsonText::of(payload).unwrap_or_default(), only: None }
    }

    /// To one webhook alone, as the event of this id.
    #[must_use]
    pub(crate) fn only_to(self, webhook_id: Uuid, id: Uuid) -> Self {
        Self { only: Some((webhook_id, id)), ..self }
    }
}

/// What is told of a story: where it is, and what happened.
#[derive(Serialize)]
pub(crate) struct OfStory<T> {
    pub(crate) story_id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) epic_id: Uuid,
    /// Further members.
    #[serde(flatten)]
    pub(crate) what: T,
}
