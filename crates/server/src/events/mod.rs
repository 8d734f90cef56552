//! What happens: the one writer of events, and the catalogue of what an event can be. An event is written with its change and never
//! altered; a tenant's events are in the order of their commits, without a gap, and so are their times.

mod catalogue;
mod notice;
mod record;

pub use catalogue::CATALOGUE;
pub(crate) use notice::{Notice, OfStory};
pub(crate) use record::{Attribution, Event, Field, STATEMENTS, record, record_as_owner};
