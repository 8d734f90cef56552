//! Orchestrator state (file 02 §8).
