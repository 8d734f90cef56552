//! What pages for people share: their frame, their looks, and the headers that keep others out of them. A page itself is in the
//! folder of what it is about, with its template.

mod assets;
mod page;

pub(crate) use assets::{FOREVER, HARMLESS, asset, serve as assets};
pub(crate) use page::{Elsewhere, Page, Visit};
