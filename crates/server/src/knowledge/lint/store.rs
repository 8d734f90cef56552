//! Rows and SQL of lint. Every statement looks at what is published of a project (`$2`) and of the whole tenant, or at all; whatever has
//! a `total` has the count of all its rows in each.

use loopctl_core::knowledge::Category;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// How many articles a category has.
#[derive(Row)]
pub(super) struct Coverage {
    pub(super) category: Category,
    #[row(sql = "count(*)")]
    pub(super) count: i64,
}

/// An article that nobody has changed for long.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct StaleArticle {
    #[row(sql = "a.id")]
    article_id: Uuid,
    #[row(sql = "a.title")]
    title: String,
    #[row(sql = "a.updated_at")]
    last_updated: Timestamp,
    #[row(sql = "floor(extract(epoch from statement_timestamp() - a.updated_at) / 86400)::bigint")]
    days_since_update: i64,
    #[row(sql = "count(*) over ()")]
    #[serde(skip)]
    pub(super) total: i64,
}

/// An article that is linked with nothing.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct OrphanArticle {
    #[row(sql = "a.id")]
    article_id: Uuid,
    #[row(sql = "a.title")]
    title: String,
    #[row(sql = "a.category")]
    category: Category,
    #[row(sql = "count(*) over ()")]
    #[serde(skip)]
    pub(super) total: i64,
}

/// Two articles that contradict each other.
#[derive(Row)]
pub(super) struct Contradicting {
    #[row(sql = "l.id")]
    pub(super) link_id: Uuid,
    #[row(sql = "l.source_article_id")]
    pub(super) source_id: Uuid,
    #[row(sql = "l.target_article_id")]
    pub(super) target_id: Uuid,
}

/// An article whose source is gone.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct BrokenSource {
    #[row(sql = "a.id")]
    article_id: Uuid,
    #[row(sql = "a.title")]
    title: String,
    #[row(sql = "a.source_type")]
    source_type: String,
    #[row(sql = "a.source_id")]
    source_id: Uuid,
    #[row(sql = "count(*) over ()")]
    #[serde(skip)]
    pub(super) total: i64,
}

/// What an article is called.
#[derive(Row)]
pub(super) struct Title {
    pub(super) id: Uuid,
    pub(super) title: String,
}

/// What is looked at.
macro_rules! published {
    ($alias:literal) => {
        concat!(
            $alias,
            ".tenant_id = (select $1::uuid) and ",
            $alias,
            ".status = 'published' and ($2::uuid is null or ",
            $alias,
            ".project_id is null or ",
            $alias,
            ".project_id = $2)"
        )
    };
}

statements! {
    COVERAGE -> Coverage = concat!("select {*} from articles a where ", published!("a"), " group by category");
    STALE_ARTICLES -> StaleArticle = concat!("
        select {*} from articles a
        where ", published!("a"), " and a.updated_at < statement_timestamp() - make_interval(days => $3)
        order by a.updated_at, a.id limit $4");
    ORPHAN_ARTICLES -> OrphanArticle = concat!("
        select {*} from articles a
        where ", published!("a"), "
          and not exists (select from article_links l where l.tenant_id = a.tenant_id and l.source_article_id = a.id)
          and not exists (select from article_links l where l.tenant_id = a.tenant_id and l.target_article_id = a.id)
        order by a.title, a.id limit $3");
    CONTRADICTIONS -> Contradicting = concat!("
        select {*} from article_links l
        join articles s on s.tenant_id = l.tenant_id and s.id = l.source_article_id
        join articles t on t.tenant_id = l.tenant_id and t.id = l.target_article_id
        where l.tenant_id = (select $1::uuid) and l.relationship_type = 'contradicts' and ", published!("s"), " and ", published!("t"), "
        order by l.inserted_at desc, l.id desc limit 2000");
    BROKEN_SOURCES -> BrokenSource = concat!("
        select {*} from articles a
        where ", published!("a"), " and a.source_type = 'review_finding' and a.source_id is not null
          and not exists (select from review_records r where r.tenant_id = a.tenant_id and r.id = a.source_id)
        order by a.title, a.id limit $3");
    TITLES -> Title = "select {*} from articles where tenant_id = $1 and id = any($2::uuid[])";
}
