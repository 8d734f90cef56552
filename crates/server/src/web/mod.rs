//! What pages for people share: their frame, their looks, the headers that keep others out of them, and what is shown instead of one that
//! is refused. A page itself is in the folder of what it is about, with its template.

mod assets;
mod page;
mod refused;

pub(crate) use assets::{asset, serve as assets};
pub(crate) use page::{FixedPage, Page, SentPage, Visit};
pub(crate) use refused::refused_pages;
