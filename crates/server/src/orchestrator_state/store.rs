//! SQL of orchestrator_state.

use crate::db::statements;

statements! {}
