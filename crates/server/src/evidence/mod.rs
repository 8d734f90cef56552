//! What is known of the work: artifacts, UI tests, and an orchestrator's checkpoints.

pub(crate) mod artifacts;
pub(crate) mod orchestrator_state;
pub(crate) mod ui_tests;
