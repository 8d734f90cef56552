//! What happens: the one writer of events, and the catalogue of what an event can be. An event is written with its change and never
//! altered; a tenant's events are in the order of their commits, without a gap, and so are their times. Whoever waits for the next one
//! is told that it is there.

mod catalogue;
mod listeners;
mod notice;
mod record;

pub use catalogue::CATALOGUE;
pub(crate) use listeners::{Listener, Listeners, MOST, MOST_OF_TENANT};
pub(crate) use notice::{Notice, OfStory};
pub(crate) use record::{
    Attribution, Event, Field, Recorded, STATEMENTS, leaf_hash_of, record, record_as_owner,
};
