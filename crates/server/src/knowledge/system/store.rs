//! Rows and SQL of system articles. `$1` is nobody: they belong to no tenant.

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Status};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};
use crate::knowledge::articles::Article;

/// A system article, as everybody reads it.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct SystemArticle {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    /// What it is known by: `/wiki/<slug>` shows it.
    pub(crate) slug: String,
    /// Markdown.
    pub(crate) body: String,
    pub(crate) category: Category,
    /// Always `system`.
    #[row(sql = "'system'::text")]
    pub(crate) scope: String,
    pub(crate) status: Status,
    pub(crate) tags: Vec<String>,
    #[serde(skip)]
    pub(crate) metadata: JsonText,
    pub(crate) inserted_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// As superadmins read and write it: by the routes of articles.
impl From<SystemArticle> for Article {
    fn from(article: SystemArticle) -> Self {
        let SystemArticle { id, title, slug, body, category, scope, status, tags, metadata, .. } = article;
        let SystemArticle { inserted_at, updated_at, .. } = article;
        Self {
            id,
            tenant_id: None,
            project_id: None,
            title,
            body,
            category,
            status,
            scope,
            slug,
            tags,
            source_type: None,
            source_id: None,
            metadata,
            inserted_at,
            updated_at,
        }
    }
}

/// An article in a list of titles.
#[derive(Debug, Row)]
pub(super) struct Listed {
    pub(super) slug: String,
    pub(super) title: String,
}

/// An article in a list that says what each is about.
#[derive(Debug, Row)]
pub(super) struct Found {
    pub(super) slug: String,
    pub(super) title: String,
    pub(super) category: Category,
    /// As much as its first paragraph may be.
    #[row(sql = "left(body, 2000)")]
    pub(super) beginning: String,
}

statements! {
    PUBLISHED_SYSTEM_ARTICLES -> SystemArticle = "
        select {*} from system_articles
        where $1::uuid is not null and status = 'published' and ($2::text is null or category = $2)
        order by title, id";
    PUBLISHED_SYSTEM_ARTICLE -> SystemArticle = "
        select {*} from system_articles where $1::uuid is not null and status = 'published' and slug = $2";
    SYSTEM_TITLES -> Listed = "
        select {*} from system_articles where $1::uuid is not null and status = 'published' order by lower(title), id";
    /// Text is compared as it is: nothing in it stands for anything else.
    LOOK_FOR_SYSTEM_ARTICLES -> Found = "
        select {*} from system_articles
        where $1::uuid is not null and status = 'published'
          and ($2::text is null or position(lower($2) in lower(title)) > 0 or position(lower($2) in lower(body)) > 0)
        order by lower(title), id";
    /// Whatever its status.
    SHOW_SYSTEM_ARTICLE -> SystemArticle = "
        select {*} from system_articles where $1::uuid is not null and id = $2";
    /// The application's role may not: the database lets it in the name of this key. So it is with the next two.
    LOCK_SYSTEM_ARTICLE -> SystemArticle = "
        select {*} from lock_system_article($2, $3) where $1::uuid is not null";
    CREATE_SYSTEM_ARTICLE -> SystemArticle = "
        select {*} from create_system_article($2, $3, $4, $5, $6, $7, $8, $9, $10) where $1::uuid is not null";
    CHANGE_SYSTEM_ARTICLE -> SystemArticle = "
        select {*} from change_system_article($2, $3, $4, $5, $6, $7, $8, $9) where $1::uuid is not null";
}
