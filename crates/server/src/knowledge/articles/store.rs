//! Rows and SQL of articles.

use constcat::concat;
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Status};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, fitting, statements, weighed};

/// An article.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct Article {
    pub(crate) id: Uuid,
    /// Null: everybody's.
    pub(crate) tenant_id: Option<Uuid>,
    /// Null: of the whole tenant.
    pub(crate) project_id: Option<Uuid>,
    pub(crate) title: String,
    /// Markdown.
    pub(crate) body: String,
    pub(crate) category: Category,
    pub(crate) status: Status,
    /// `tenant` or `system`.
    #[row(sql = "'tenant'::text")]
    pub(crate) scope: String,
    /// Unique in the tenant.
    pub(crate) slug: String,
    pub(crate) tags: Vec<String>,
    /// Where it comes from.
    pub(crate) source_type: Option<String>,
    /// What it comes from.
    pub(crate) source_id: Option<Uuid>,
    pub(crate) metadata: JsonText,
    pub(crate) inserted_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// An article of a page, with how much of an answer the page is up to it, in bytes.
#[derive(Row)]
pub(super) struct Weighed {
    #[row(flatten)]
    pub(super) article: Article,
    pub(super) upto: i64,
}

/// An article that a bulk call has locked.
#[derive(Row)]
pub(super) struct Locked {
    pub(super) id: Uuid,
    pub(super) status: Status,
    #[row(sql = "(octet_length(to_json(body)::text) + octet_length(metadata::text) + 8192)::bigint")]
    pub(super) weight: i64,
}

/// The articles that a list is made of: of a project or of all, of a category, with a status, from a source, with one of some tags, of one
/// slug or title.
const LISTED: &str = "
    articles
    where tenant_id = $1 and ($2::uuid is null or project_id = $2) and ($3::text is null or category = $3)
      and ($4::text is null or status = $4) and ($5::text is null or source_type = $5)
      and ($6::text[] is null or tags && $6)
      and ($7::text is null or slug = $7) and ($8::text is null or title = $8)";
/// The same of the server's own.
const LISTED_OF_SYSTEM: &str = "
    system_articles
    where $1::uuid is not null and status = 'published' and $2::uuid is null and ($3::text is null or category = $3)
      and ($4::text is null or status = $4) and $5::text is null and ($6::text[] is null or tags && $6)
      and ($7::text is null or slug = $7) and ($8::text is null or title = $8)";

/// A body in JSON may have six times as many bytes as its text.
const WEIGHT: &str = "octet_length(to_json(body)::text) + octet_length(metadata::text) + 8192";
const NEWEST: &str = "order by inserted_at desc, id desc";
const BY_TITLE: &str = "order by title, id";
const PAGE: &str = weighed!(
    WEIGHT,
    NEWEST,
    concat!("select * from ", LISTED, " ", NEWEST, " limit $9 offset $10"),
    "articles"
);

statements! {
    LIST_ARTICLES -> list of Weighed = {
        within: "",
        count: concat!("count(*) from ", LISTED),
        from: PAGE,
        page: fitting!(NEWEST),
    };
    LIST_ARTICLES_OF_PROJECT -> list of Weighed = {
        within: "projects where tenant_id = $1 and id = $2",
        count: concat!("count(*) from ", LISTED),
        from: PAGE,
        page: fitting!(NEWEST),
    };
    /// The server's own, as everybody reads them: what is published, by title. They are of no project and from no source.
    LIST_SYSTEM_ARTICLES -> list of Weighed = {
        within: "",
        count: concat!("count(*) from ", LISTED_OF_SYSTEM),
        from: weighed!(WEIGHT, BY_TITLE, concat!(
            "select *, null::uuid as tenant_id, null::uuid as project_id, null::text as source_type, null::uuid as source_id from ",
            LISTED_OF_SYSTEM, " ", BY_TITLE, " limit $9 offset $10"), "articles"),
        page: fitting!(BY_TITLE),
    };
    SHOW_ARTICLE -> Article = "select {*} from articles where tenant_id = $1 and id = $2";
    LOCK_ARTICLE -> Article = "select {*} from articles where tenant_id = $1 and id = $2 for no key update";
    LOCK_ARTICLES -> Locked = "
        select {*} from articles where tenant_id = $1 and id = any($2::uuid[]) order by id for no key update";
    INSERT_ARTICLE -> Article = "
        insert into articles (tenant_id, id, project_id, title, body, category, status, slug, tags, source_type, source_id,
                              metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        returning {*}";
    UPDATE_ARTICLE -> Article = "
        update articles set title = $3, body = $4, category = $5, status = $6, tags = $7, metadata = $8, project_id = $9,
                            updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
    SET_STATUS -> Article = "
        update articles set status = $3, updated_at = clock_timestamp() where tenant_id = $1 and id = $2 returning {*}";
    PUBLISH_ARTICLES -> Article = "
        update articles set status = 'published', updated_at = clock_timestamp()
        where tenant_id = $1 and id = any($2::uuid[])
        returning {*}";
}
