//! The knowledge wiki: what is worth knowing beyond one story.

pub(crate) mod system;
