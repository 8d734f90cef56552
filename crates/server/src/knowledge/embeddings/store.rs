//! Rows and SQL of vectors.

use uuid::Uuid;

use crate::db::{Row, statements};

/// The text of a published article, for whoever makes its vectors.
#[derive(Debug, Row)]
pub(super) struct Text {
    pub(super) title: String,
    pub(super) body: String,
    #[row(sql = "text_hash")]
    pub(super) hash: Vec<u8>,
}

/// An article whose vectors were written.
#[derive(Debug, Row)]
pub(super) struct Placed {
    pub(super) project_id: Option<Uuid>,
}

/// A published article of whose text no vectors of a model were made.
#[derive(Debug, Row)]
pub(super) struct Lacking {
    pub(super) id: Uuid,
    #[row(sql = "encode(text_hash, 'hex')")]
    pub(super) hash: String,
}

/// A system article that somebody else may have changed meanwhile.
#[derive(Debug, Row)]
pub(super) struct SystemText {
    #[row(flatten)]
    pub(super) text: Text,
    /// Whether its vectors are there.
    pub(super) is_known: bool,
}

statements! {
    PUBLISHED_TEXT -> Text = "select {*} from articles where tenant_id = $1 and id = $2 and status = 'published'";
    /// As long as it is published and still says that, nobody changes it meanwhile.
    LOCK_SAME_TEXT -> Placed = "
        select {*} from articles
        where tenant_id = $1 and id = $2 and status = 'published'
          and text_hash = $3
        for share";
    /// Of what says nothing there are none, and that is kept, so that nobody tries again. Nothing, where they are there already.
    WRITE_VECTORS -> Uuid = "
        insert into article_embeddings as known (tenant_id, article_id, model, dimensions, vectors, text_hash)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (tenant_id, article_id) do update
            set model = excluded.model, dimensions = excluded.dimensions, vectors = excluded.vectors,
                text_hash = excluded.text_hash, embedded_at = clock_timestamp()
            where (known.model, known.text_hash) is distinct from (excluded.model, excluded.text_hash)
        returning article_id";
    WITHOUT_VECTORS -> Lacking = "
        select {*} from articles a
        where tenant_id = $1 and status = 'published' and id > $3 and not exists (
            select from article_embeddings e
            where e.tenant_id = (select $1::uuid) and e.article_id = a.id and e.model = $2
              and e.text_hash = a.text_hash)
        order by id limit $4";
    /// Of the server's own articles: `$1` is nobody.
    SYSTEM_TEXT -> SystemText = "
        select {*} from (
            select a.*, exists (
                select from system_article_embeddings e
                where e.article_id = a.id and e.model = $3 and e.text_hash = a.text_hash) as is_known
            from system_articles a) a
        where $1::uuid is not null and id = $2 and status = 'published'";
    SYSTEM_WITHOUT_VECTORS -> Lacking = "
        select {*} from system_articles a
        where $1::uuid is not null and status = 'published' and not exists (
            select from system_article_embeddings e
            where e.article_id = a.id and e.model = $2 and e.text_hash = a.text_hash)
        order by id";
    /// Those of `$3` with which `$2` is to be linked, with how near each is. Not where there is some link already, in either direction, nor
    /// where one of them is not published any more, has another text than its vectors are of, those are of another model, or they are of
    /// different projects meanwhile.
    LINK_RELATED -> Uuid = "
        insert into article_links (tenant_id, id, source_article_id, target_article_id, relationship_type, metadata)
        select $1, l.id, $2, l.target, 'relates_to',
               jsonb_build_object('auto_generated', true, 'similarity_score', l.score)
        from unnest($3::uuid[], $4::uuid[], $5::float8[]) as l (id, target, score)
        join articles a on a.tenant_id = (select $1::uuid) and a.id = l.target and a.status = 'published'
        join article_embeddings e on e.tenant_id = (select $1::uuid) and e.article_id = l.target and e.model = $6
            and e.text_hash = a.text_hash
        where exists (
                select from articles s join article_embeddings v on v.tenant_id = s.tenant_id and v.article_id = s.id
                where s.tenant_id = (select $1::uuid) and s.id = $2 and s.status = 'published'
                  and v.model = $6 and v.text_hash = s.text_hash
                  and (s.project_id is null or a.project_id is null or a.project_id = s.project_id))
          and not exists (
                select from article_links k
                where k.tenant_id = (select $1::uuid)
                  and (k.source_article_id, k.target_article_id) in (($2, l.target), (l.target, $2)))
        on conflict do nothing
        returning target_article_id";
}
