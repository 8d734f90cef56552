//! The same work on system articles. They are everybody's and no tenant's, so only the login that owns the tables writes what they mean.

use loopctl_embed::Small;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::Model;
use super::store::{SYSTEM_TEXT, SYSTEM_WITHOUT_VECTORS, Text};
use super::work::{Nearest, article_of, enqueue, key, made, nearest, packed, text_hash, told};
use crate::db::migrate::connect;
use crate::db::{Db, DbError, Login, Tx};
use crate::events::{Attribution, Event, record_as_owner};
use crate::jobs::{Job, JobError, Queue, Task, enqueue_as_owner};
use crate::knowledge::Knowledge;

/// Makes the vectors of a system article, and links it with those of them that are near it.
pub(crate) const EMBEDDING_OF_SYSTEM: Task =
    Task { name: "system_article_embedding", queue: "embedding", attempts: 4 };

/// As long as it is published and still says that; nothing, where they are there already.
const WRITE: &str = "
    insert into system_article_embeddings as known (article_id, model, dimensions, vectors, text_hash)
    select id, $2, $3, $4, text_hash from system_articles
    where id = $1 and status = 'published' and text_hash = $5
    for share
    on conflict (article_id) do update
        set model = excluded.model, dimensions = excluded.dimensions, vectors = excluded.vectors,
            text_hash = excluded.text_hash, embedded_at = clock_timestamp()
        where (known.model, known.text_hash) is distinct from (excluded.model, excluded.text_hash)";
/// Those of `$3` with which `$1` is to be linked. Not where they are linked already, nor where one of them is not published any more or
/// has another text than its vectors are of, or those are of another model.
const LINK: &str = "
    with known as (
        select a.id from system_articles a
        join system_article_embeddings e on e.article_id = a.id and e.model = $5 and e.text_hash = a.text_hash
        where a.status = 'published'
    )
    insert into system_article_links (id, source_article_id, target_article_id, similarity_score)
    select l.id, s.id, t.id, l.score
    from unnest($2::uuid[], $3::uuid[], $4::float8[]) as l (id, target, score)
    join known s on s.id = $1
    join known t on t.id = l.target
    on conflict do nothing";

/// Of a system article that the login which owns the tables has written: its vectors are to be made.
///
/// # Errors
/// When the database fails.
pub(crate) async fn changed_by_owner(
    tx: &tokio_postgres::Transaction<'_>,
    id: Uuid,
    title: &str,
    body: &str,
) -> Result<(), DbError> {
    enqueue_as_owner(tx, EMBEDDING_OF_SYSTEM, &told(id), &key(id, &text_hash(title, body))).await
}

/// Makes the vectors of a published system article and keeps them, unless it says something else by then, for which there is another
/// job; and links it.
pub(crate) async fn embed_of_system(
    db: &Db,
    owner: &Login,
    knowledge: &Knowledge,
    job: Job,
) -> Result<Value, JobError> {
    let id = article_of(&job)?;
    let Some(model) = knowledge.meaning.model() else { return Ok(json!({"off": true})) };
    let found = db.read(Uuid::nil(), SYSTEM_TEXT.with(&[&id, &model.name])).await?.into_iter().next();
    let Some(found) = found else { return Ok(json!({"gone": true})) };
    let mut owner = connect(owner).await?;
    let vectors = if found.is_known {
        None
    } else {
        let vectors = knowledge.meaning.article(&found.text.title, &found.text.body).await;
        let vectors = vectors.map_err(|error| JobError(error.to_string()))?;
        keep(&mut owner, id, &model, &found.text, &vectors).await?;
        Some(vectors.len())
    };
    let links = link(db, &mut owner, knowledge, id, &model).await?;
    Ok(json!({"vectors": vectors, "links": links}))
}

async fn keep(
    owner: &mut Client,
    id: Uuid,
    model: &Model,
    text: &Text,
    vectors: &[Small],
) -> Result<(), DbError> {
    let (dimensions, bytes) = packed(model, vectors);
    let tx = owner.transaction().await?;
    if tx.execute(WRITE, &[&id, &model.name, &dimensions, &bytes, &text.hash]).await? == 0 {
        return Ok(tx.rollback().await?);
    }
    let event = made(id, vectors, dimensions).meta("scope", "system");
    record_as_owner(tx, Uuid::nil(), &Attribution::worker("embedding"), vec![event]).await
}

/// Links it with other system articles that are near it; with how many that were not linked with it.
async fn link(
    db: &Db,
    owner: &mut Client,
    knowledge: &Knowledge,
    id: Uuid,
    model: &Model,
) -> Result<u64, JobError> {
    let Some(shelf) = knowledge.shelves.of_system(db, Some(model)).await? else { return Ok(0) };
    let related = model.related;
    let near = knowledge.meaning.aside(Uuid::nil(), move || shelf.near(id, related)).await;
    let Some(mut near) = near.map_err(|error| JobError(error.to_string()))?.map(|related| related.near)
    else {
        return Ok(0);
    };
    let Nearest { ids, others, scores } = nearest(&mut near);
    let tx = owner.transaction().await.map_err(DbError::from)?;
    let linked =
        tx.execute(LINK, &[&id, &ids, &others, &scores, &model.name]).await.map_err(DbError::from)?;
    if linked == 0 {
        tx.rollback().await.map_err(DbError::from)?;
        return Ok(0);
    }
    let state = json!({"article_id": id, "new_link_count": linked});
    let event = Event::new("article", id, "knowledge.articles_linked", state).meta("scope", "system");
    record_as_owner(tx, Uuid::nil(), &Attribution::worker("article_linking"), vec![event]).await?;
    Ok(linked)
}

/// Has the vectors made that published system articles lack: those that have come along, those of another model, or those whose job was
/// given up.
pub(crate) async fn embed_what_lacks_of_system(
    db: &Db,
    queue: &Queue,
    knowledge: &Knowledge,
) -> Result<Value, JobError> {
    let Some(model) = knowledge.meaning.model() else { return Ok(json!({"off": true})) };
    let lacking = db.read(Uuid::nil(), SYSTEM_WITHOUT_VECTORS.with(&[&model.name])).await?;
    let count = lacking.len();
    let texts: Vec<_> = lacking.into_iter().map(|article| (article.id, article.hash)).collect();
    db.transaction(Uuid::nil(), async |mut tx: Tx| {
        enqueue(queue, &mut tx, EMBEDDING_OF_SYSTEM, &texts).await?;
        tx.commit(&()).await
    })
    .await?;
    queue.wake();
    Ok(json!({"lacking": count}))
}
