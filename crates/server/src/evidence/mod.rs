//! What is known of the work: artifacts, UI tests, an orchestrator's checkpoints, and everything that happened to a story.

pub(crate) mod artifacts;
pub(crate) mod history;
pub(crate) mod orchestrator_state;
pub(crate) mod ui_tests;
