//! What work costs: what agents say of it and what was measured, what may be spent, and what became of it.

pub(crate) mod measured;
