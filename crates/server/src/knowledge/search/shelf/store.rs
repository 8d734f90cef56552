//! Rows and SQL of what is kept in memory.

use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// The end of a tenant's log.
#[derive(Debug, Row)]
pub(super) struct Head {
    /// Null: nothing happened yet.
    #[row(sql = "nullif(last_at, '-infinity')")]
    pub(super) last_at: Option<Timestamp>,
}

/// An article with which something happened.
#[derive(Debug, Row)]
pub(super) struct Change {
    pub(super) id: Uuid,
}

/// A published article, as it is searched.
#[derive(Debug, Row)]
pub(crate) struct Shelved {
    #[row(sql = "a.id")]
    pub(crate) id: Uuid,
    #[row(sql = "a.project_id")]
    pub(crate) project_id: Option<Uuid>,
    #[row(sql = "a.category")]
    pub(crate) category: String,
    #[row(sql = "a.tags")]
    pub(crate) tags: Vec<String>,
    #[row(sql = "a.updated_at")]
    pub(crate) updated_at: Timestamp,
    /// The stems of its words.
    #[row(
        sql = "tsvector_to_array(a.search_vector || to_tsvector('english', array_to_string(a.tags, ' ')))"
    )]
    pub(crate) stems: Vec<String>,
    #[row(sql = "e.vectors")]
    pub(crate) vectors: Option<Vec<u8>>,
    #[row(sql = "e.dimensions")]
    pub(crate) dimensions: Option<i32>,
}

macro_rules! shelved {
    ($which:literal) => {
        concat!(
            "select {*} from articles a
             left join article_embeddings e
                on e.tenant_id = (select $1::uuid) and e.article_id = a.id and e.model = $2
                and e.text_hash = a.text_hash
             where a.tenant_id = $1 and a.status = 'published' and ",
            $which
        )
    };
}

statements! {
    LOG_HEAD -> Head = "select {*} from audit_heads where tenant_id = $1";
    CHANGED_SINCE -> Change = "
        select {*} from (
            select distinct entity_id as id from audit_log
            where tenant_id = $1 and inserted_at > $2 and entity_type = 'article'
            limit $3) changed";
    SHELVED -> Shelved = shelved!("a.id = any($3)");
    SHELVED_FROM -> Shelved = shelved!("a.id > $3 order by a.id limit $4");
    /// What is published of the server's own articles, and what is known of it, in one word. `$1` is nobody.
    SYSTEM_STATE -> String = "
        select encode(sha256(convert_to(coalesce(string_agg(
            concat_ws(' ', a.id, a.updated_at, encode(a.text_hash, 'hex'), e.embedded_at), ',' order by a.id), ''), 'UTF8')), 'hex')
        from system_articles a
        left join system_article_embeddings e on e.article_id = a.id and e.model = $2 and e.text_hash = a.text_hash
        where $1::uuid is not null and a.status = 'published'";
    SYSTEM_SHELVED -> Shelved = "
        select {*} from (select *, null::uuid as project_id from system_articles) a
        left join system_article_embeddings e on e.article_id = a.id and e.model = $2 and e.text_hash = a.text_hash
        where $1::uuid is not null and a.status = 'published'";
}
