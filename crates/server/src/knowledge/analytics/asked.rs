//! What questions about reads have in common: of which days, how many rows, and articles by how often they were read.

use std::collections::BTreeMap;

use loopctl_core::knowledge::Category;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::Identity;
use crate::db::{Row, Timestamp, statements};

/// How each way of reading is counted, of the rows of a `from`.
macro_rules! sums_from {
    ($from:literal) => {
        concat!(
            "select {*} from (
                select count(*) as total_reads, count(distinct e.article_id) as unique_articles,
                       count(*) filter (where e.access_type = 'search') as searched,
                       count(*) filter (where e.access_type = 'get') as got,
                       count(*) filter (where e.access_type = 'context') as in_context,
                       count(distinct e.api_key_id) as unique_keys, max(e.accessed_at) as last_at
                from ",
            $from,
            ") e"
        )
    };
}
pub(super) use sums_from;

/// The articles that are read most, of the rows of a `from`; `$2` is since when, `$3` how many.
macro_rules! top_from {
    ($from:literal) => {
        concat!(
            "select {*} from (
                select e.article_id, count(*) as access_count from ",
            $from,
            " group by 1) e
            join articles a on a.tenant_id = (select $1::uuid) and a.id = e.article_id
            order by access_count desc, a.title, a.id limit (select $3::integer)"
        )
    };
}
pub(super) use top_from;

/// How much was read, and in which ways.
#[derive(Debug, Clone, Copy, Row)]
pub(super) struct Sums {
    pub(super) total_reads: i64,
    pub(super) unique_articles: i64,
    searched: i64,
    got: i64,
    in_context: i64,
    pub(super) unique_keys: i64,
    pub(super) last_at: Option<Timestamp>,
}

impl Sums {
    /// The ways that occur.
    pub(super) fn by_type(&self) -> BTreeMap<&'static str, i64> {
        let ways = [("search", self.searched), ("get", self.got), ("context", self.in_context)];
        ways.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// An article, and how often it was read.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct ReadArticle {
    #[row(sql = "a.id")]
    article_id: Uuid,
    title: String,
    category: Category,
    access_count: i64,
}

statements! {
    /// So many days ago, as all statements of one transaction see it.
    DAYS_AGO -> Timestamp = "select now() - make_interval(days => $2) where $1::uuid is not null";
}

/// Has the reads written that this process knows of.
pub(super) async fn up_to_date(caller: &Identity) {
    let app = &caller.app;
    app.reads.write_now(&app.db, &app.life).await;
}
