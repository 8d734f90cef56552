//! Rows and SQL of links.

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Relationship, Status};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A link between two articles, of the alias `l`.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct Link {
    #[row(sql = "l.id")]
    pub(super) id: Uuid,
    #[row(sql = "l.source_article_id")]
    pub(super) source_article_id: Uuid,
    #[row(sql = "l.target_article_id")]
    pub(super) target_article_id: Uuid,
    #[row(sql = "l.relationship_type")]
    pub(super) relationship_type: Relationship,
    #[row(sql = "l.metadata")]
    pub(super) metadata: JsonText,
    #[row(sql = "l.inserted_at")]
    pub(super) inserted_at: Timestamp,
}

/// A link with the titles of its ends, of the aliases `s` and `t`.
#[derive(Row)]
pub(crate) struct LinkRow {
    #[row(flatten)]
    link: Link,
    #[row(sql = "s.title")]
    source_title: String,
    #[row(sql = "t.title")]
    target_title: String,
}

/// An end of a link.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LinkEnd {
    id: Uuid,
    title: String,
}

/// A link as an article shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ArticleLink {
    id: Uuid,
    relationship_type: Relationship,
    source_article: LinkEnd,
    target_article: LinkEnd,
}

impl ArticleLink {
    /// A link as its article shows it.
    pub(crate) fn of(LinkRow { link, source_title, target_title }: LinkRow) -> Self {
        Self {
            id: link.id,
            relationship_type: link.relationship_type,
            source_article: LinkEnd { id: link.source_article_id, title: source_title },
            target_article: LinkEnd { id: link.target_article_id, title: target_title },
        }
    }
}

/// A link and its ends.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LinkWithArticles {
    #[serde(flatten)]
    link: Link,
    source_article: LinkEnd,
    target_article: LinkEnd,
}

impl LinkWithArticles {
    pub(super) fn of(LinkRow { link, source_title, target_title }: LinkRow) -> Self {
        Self {
            source_article: LinkEnd { id: link.source_article_id, title: source_title },
            target_article: LinkEnd { id: link.target_article_id, title: target_title },
            link,
        }
    }
}

/// An article that is to be an end of a link.
#[derive(Debug, Clone, Row)]
pub(super) struct End {
    pub(super) id: Uuid,
    pub(super) project_id: Option<Uuid>,
    pub(super) title: String,
    pub(super) status: Status,
}

/// What was taken away.
#[derive(Row)]
pub(super) struct Deleted {
    #[row(flatten)]
    pub(super) link: Link,
    #[row(
        sql = "(select a.project_id from articles a where a.tenant_id = l.tenant_id and a.id = l.source_article_id)"
    )]
    pub(super) project_id: Option<Uuid>,
}

macro_rules! linked_by_system {
    ($end:literal) => {
        concat!(
            "select {*} from (
                select id, source_article_id, target_article_id, 'relates_to'::text as relationship_type,
                       jsonb_build_object('auto_generated', true, 'similarity_score', similarity_score) as metadata, inserted_at
                from system_article_links where $1::uuid is not null and ",
            $end,
            " = $2) l
             join system_articles s on s.id = l.source_article_id
             join system_articles t on t.id = l.target_article_id
             where (s.status = 'published' or s.id = $2) and (t.status = 'published' or t.id = $2)
             order by l.inserted_at desc, l.id desc limit 100"
        )
    };
}

statements! {
    OUTGOING_LINKS -> LinkRow = "
        select {*} from (
            select * from article_links where tenant_id = $1 and source_article_id = $2
            order by inserted_at desc, id desc limit 100) l
        join articles s on s.tenant_id = l.tenant_id and s.id = l.source_article_id
        join articles t on t.tenant_id = l.tenant_id and t.id = l.target_article_id
        order by l.inserted_at desc, l.id desc";
    INCOMING_LINKS -> LinkRow = "
        select {*} from (
            select * from article_links where tenant_id = $1 and target_article_id = $2
            order by inserted_at desc, id desc limit 100) l
        join articles s on s.tenant_id = l.tenant_id and s.id = l.source_article_id
        join articles t on t.tenant_id = l.tenant_id and t.id = l.target_article_id
        order by l.inserted_at desc, l.id desc";
    /// Of the server's own articles, with what is published of them: `$1` is nobody.
    SYSTEM_OUTGOING_LINKS -> LinkRow = linked_by_system!("source_article_id");
    SYSTEM_INCOMING_LINKS -> LinkRow = linked_by_system!("target_article_id");
    LINKS -> LinkRow = "
        select {*} from (
            (select * from article_links where tenant_id = $1 and source_article_id = $2
             order by inserted_at desc, id desc limit 100)
            union all
            (select * from article_links where tenant_id = $1 and target_article_id = $2
             order by inserted_at desc, id desc limit 100)) l
        join articles s on s.tenant_id = l.tenant_id and s.id = l.source_article_id
        join articles t on t.tenant_id = l.tenant_id and t.id = l.target_article_id
        order by l.inserted_at desc, l.id desc limit 100";
    /// Who supersedes takes turns in the tenant: whether links close a circle is judged on what is there.
    TAKE_TURN_TO_SUPERSEDE = "select 1 from tenants where id = $1 for no key update";
    END -> End = "select {*} from articles where tenant_id = $1 and id = $2";
    LOCK_END -> End = "select {*} from articles where tenant_id = $1 and id = $2 for no key update";
    /// Whether `$2` was superseded by `$3`, directly or by way of others.
    IS_SUPERSEDED_BY -> bool = "
        with recursive newer as (
            select l.source_article_id as id from article_links l
            where l.tenant_id = $1 and l.target_article_id = $2 and l.relationship_type = 'supersedes'
            union
            select l.source_article_id from newer n
            join article_links l on l.tenant_id = $1 and l.target_article_id = n.id and l.relationship_type = 'supersedes'
        )
        select exists (select from newer where id = $3)";
    INSERT_LINK -> Link = "
        insert into article_links as l
            (tenant_id, id, source_article_id, target_article_id, relationship_type, metadata)
        values ($1, $2, $3, $4, $5, $6)
        on conflict do nothing
        returning {*}";
    IS_LINKED -> bool = "
        select exists (
            select from article_links where tenant_id = $1 and source_article_id = $2 and target_article_id = $3
                                        and relationship_type = $4)";
    DELETE_LINK -> Deleted = "delete from article_links l where tenant_id = $1 and id = $2 returning {*}";
}
