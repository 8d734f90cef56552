//! Rows and SQL of exports.

use loopctl_core::knowledge::{Category, Relationship, Status};
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// An article that is to be exported.
#[derive(Row)]
pub(super) struct Listed {
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) category: Category,
}

impl Listed {
    /// Where it comes among the others.
    pub(super) fn place(&self) -> (&'static str, &str, Uuid) {
        (self.category.as_str(), &self.title, self.id)
    }
}

/// The whole of it.
#[derive(Row)]
pub(super) struct Whole {
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) category: Category,
    pub(super) tags: Vec<String>,
    pub(super) status: Status,
    pub(super) source_type: Option<String>,
    pub(super) inserted_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// A published article that another one is linked with.
#[derive(Row)]
pub(super) struct Related {
    #[row(sql = "x.id")]
    pub(super) article_id: Uuid,
    #[row(sql = "n.title")]
    pub(super) title: String,
    #[row(sql = "n.relationship_type")]
    pub(super) relationship_type: Relationship,
}

statements! {
    /// One more than an export may have.
    EXPORTED_ARTICLES -> Listed = "
        select {*} from articles
        where tenant_id = $1 and status = 'published' and ($2::uuid is null or project_id is null or project_id = $2)
        limit 5001";
    WHOLE_ARTICLES -> Whole = "select {*} from articles where tenant_id = $1 and id = any($2::uuid[])";
    /// Those that it leads to first, the oldest links first, at most 200 in either direction.
    RELATED_ARTICLES -> Related = "
        select {*} from unnest($2::uuid[]) x (id) cross join lateral (
            (select 1 as direction, t.title, l.relationship_type, l.inserted_at, l.id
             from article_links l join articles t on t.tenant_id = l.tenant_id and t.id = l.target_article_id
             where l.tenant_id = (select $1::uuid) and l.source_article_id = x.id and t.status = 'published'
             order by l.inserted_at, l.id limit 200)
            union all
            (select 2, s.title, l.relationship_type, l.inserted_at, l.id
             from article_links l join articles s on s.tenant_id = l.tenant_id and s.id = l.source_article_id
             where l.tenant_id = (select $1::uuid) and l.target_article_id = x.id and s.status = 'published'
             order by l.inserted_at, l.id limit 200)) n
        order by x.id, n.direction, n.inserted_at, n.id";
}
