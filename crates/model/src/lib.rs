//! The trust rules once more, independent of the code that serves them.
//!
//! This is written from the contract's text, knows no other crate of ours, and is small enough that a model checker visits
//! every state there is: what holds in all of them holds after any sequence of calls, by anybody, however long. Read
//! [`Rules::answer`] beside `docs/lifecycle.md`: one arm per row of its table, guards in the same order.
//!
//! - [`cast`] is who takes part. Three agents do the work; the keys of orchestrators are one of the first of these agents
//!   (the implementer's accomplice) and one of an agent that does no work; there is a user, and a superadmin who takes
//!   whatever role it likes.
//! - [`story`] is what the rules look at. One story, with two texts for its criteria, that can be deleted and made again
//!   under its number. Cycles and reports have no numbers: they are only ever compared with the current one, so the state
//!   holds what is of the current one and forgets the rest. That makes it finite without a bound.
//! - [`rules`] is who may do what, with a refusal's code otherwise. Each guard can be left out ([`Omission`]), to see that
//!   the properties notice.
//! - [`history`] is what really happened, noted beside the rules and never looked at by them, and the properties.
//! - [`traces`] are sequences of calls with the answers that are to be expected, to be replayed against a server.
//!
//! `tests/check.rs` has the checker (`stateright`), which nothing else needs.
//!
//! Left out, because it moves nothing that is judged here: request-review, prerequisites, the echo of a contract, evidence
//! and other fields of bodies, keys without an agent. Bulk calls are single calls one after the other. An import that merges
//! changes criteria as an edit does.

pub mod cast;
pub mod history;
pub mod rules;
pub mod story;
pub mod traces;

pub use cast::{Key, Role, Who};
pub use rules::{Action, Omission, Refusal, Rules, Step};
pub use story::{Shown, State, Story};
