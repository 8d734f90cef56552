//! Knowledge: what articles are, how they move, how they hang together, and how they are written into files; and what is found in
//! texts that may become some.

mod answers;
mod article;
mod candidates;
mod chunks;
mod contradictions;
mod html;
mod local_rules;
mod markdown;
mod sections;
mod stems;
mod workflow;

pub use answers::answered;

pub use article::{
    Category, MAX_BODY, MAX_TAGS, MAX_TITLE, Relationship, SOURCE_TYPES, Status, Tags, check_slug,
    check_source_type, generated_slug, tags,
};
pub use candidates::{Candidate, Found, MOST_OF_CONTENT, MOST_OF_REVIEW, accepted};
pub use chunks::chunks;
pub use contradictions::{Contradiction, clusters};
pub use html::page_text;
pub use local_rules::{LOCAL_RULES, ReviewSummary, of_content, of_review};
pub use markdown::{ArticleText, EntryNames, index_page, page};
pub use stems::{stems, words};
pub use workflow::{Move, moved};
