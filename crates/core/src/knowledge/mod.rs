//! Knowledge: what articles are, how they move, how they hang together, and how they are written into files.

mod article;
mod contradictions;
mod markdown;
mod workflow;

pub use article::{
    Category, MAX_BODY, MAX_TAGS, MAX_TITLE, Relationship, SOURCE_TYPES, Status, Tags, check_slug,
    check_source_type, generated_slug, tags,
};
pub use contradictions::{Contradiction, clusters};
pub use markdown::{ArticleText, EntryNames, index_page, page};
pub use workflow::{Move, moved};
