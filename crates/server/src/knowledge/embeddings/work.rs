//! Background work on what articles mean: their vectors are made, and those that are near each other are linked.

use std::cmp::Reverse;

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::Status;
use loopctl_embed::Small;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::store::{LINK_RELATED, LOCK_SAME_TEXT, PUBLISHED_TEXT, WITHOUT_VECTORS, WRITE_VECTORS};
use super::{EMBEDDING_OF_SYSTEM, Model};
use crate::app::Change;
use crate::db::{Db, DbError, Params, Tx};
use crate::events::{self, Attribution, Event};
use crate::http::ApiResult;
use crate::jobs::{Job, JobError, Queue, Task};
use crate::knowledge::Knowledge;
use crate::knowledge::articles::Article;
use crate::knowledge::search::Related;

/// Makes the vectors of an article.
pub(crate) const EMBEDDING: Task = Task { name: "article_embedding", queue: "embedding", attempts: 4 };
/// Links an article with those that are near it.
pub(crate) const LINKING: Task = Task { name: "article_linking", queue: "linking", attempts: 3 };

/// The most articles with which one is compared closely, and linked.
const MOST: usize = 50;
/// Articles that lack vectors of which one statement tells.
const BATCH: i64 = 500;

/// Of articles whose text has changed or that were published: their vectors are to be made, if they are published. Jobs are of a text, so
/// that one that has begun does not stand for what was written since. Whoever commits it wakes the queue.
///
/// # Errors
/// When the database fails.
pub(crate) async fn changed(change: &mut Change<'_>, articles: &[Article]) -> ApiResult<()> {
    let app = &change.caller.app;
    if app.knowledge.meaning.model().is_none() {
        return Ok(());
    }
    let published = articles.iter().filter(|article| article.status == Status::Published);
    let (of_tenant, of_system): (Vec<_>, Vec<_>) = published.partition(|article| article.tenant_id.is_some());
    for (task, articles) in [(EMBEDDING, of_tenant), (EMBEDDING_OF_SYSTEM, of_system)] {
        let text = |article: &&Article| (article.id, text_hash(&article.title, &article.body));
        enqueue(&app.jobs, change, task, &articles.iter().map(text).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// As the database makes it out.
pub(super) fn text_hash(title: &str, body: &str) -> String {
    hex::encode(Sha256::digest(format!("{title}\n\n{body}")))
}

/// Enqueues a job for each of these articles and its text.
pub(super) async fn enqueue(
    queue: &Queue,
    tx: &mut Tx,
    task: Task,
    texts: &[(Uuid, String)],
) -> Result<(), DbError> {
    let jobs: Vec<_> = texts.iter().map(|(id, text)| (told(*id), key(*id, text))).collect();
    queue.enqueue_each(tx, task, &jobs).await
}

/// What a job is told of its article.
pub(super) fn told(id: Uuid) -> JsonText {
    JsonText::from(json!({"article_id": id}))
}

/// What a job is known by: an article and one of its texts.
pub(super) fn key(id: Uuid, text: &str) -> String {
    format!("{id}:{text}")
}

/// The article of a job.
pub(super) fn article_of(job: &Job) -> Result<Uuid, JobError> {
    let id = job.args.to_value()["article_id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| JobError("the job names no article".to_owned()))
}

/// Makes the vectors of a published article and keeps them, unless its text has changed meanwhile: then there is another job.
pub(crate) async fn embed(
    db: &Db,
    queue: &Queue,
    knowledge: &Knowledge,
    job: Job,
) -> Result<Value, JobError> {
    let (id, tenant_id) = (article_of(&job)?, job.tenant_id);
    let Some(model) = knowledge.meaning.model() else { return Ok(json!({"off": true})) };
    let text = db.read(tenant_id, PUBLISHED_TEXT.with(&[&id])).await?.into_iter().next();
    let Some(text) = text else { return Ok(json!({"gone": true})) };
    let vectors = knowledge.meaning.article(&text.title, &text.body).await;
    let vectors = vectors.map_err(|error| JobError(error.to_string()))?;
    let (dimensions, bytes) = packed(&model, &vectors);
    let linked = [(id, hex::encode(&text.hash))];
    db.transaction(tenant_id, async |mut tx: Tx| {
        let Some(placed) = tx.optional(LOCK_SAME_TEXT, &[&id, &text.hash]).await? else {
            return Ok(json!({"changed": true}));
        };
        let params: Params<'_> = &[&id, &model.name, &dimensions, &bytes, &text.hash];
        let written = tx.optional(WRITE_VECTORS, params).await?;
        if !bytes.is_empty() {
            enqueue(queue, &mut tx, LINKING, &linked).await?;
        }
        let told = made(id, &vectors, dimensions).project(placed.project_id);
        let events = written.map(|_| told).into_iter().collect();
        events::record(tx, &Attribution::worker("embedding"), events, None).await?;
        queue.wake();
        Ok(json!({"vectors": vectors.len()}))
    })
    .await
}

/// Vectors as they are kept: how long each is, and one after the other.
pub(super) fn packed(model: &Model, vectors: &[Small]) -> (i32, Vec<u8>) {
    let bytes = vectors.iter().flat_map(Small::parts).map(|part| part.cast_unsigned());
    (i32::try_from(model.dimensions).unwrap_or(i32::MAX), bytes.collect())
}

/// What the log is told of vectors that are kept: how long each is, or that there are none.
pub(super) fn made(id: Uuid, vectors: &[Small], dimensions: i32) -> Event {
    let (action, told) = if vectors.is_empty() {
        ("article.embedding_cleared", Value::Null)
    } else {
        ("article.embedding_updated", json!(dimensions))
    };
    Event::new("article", id, action, json!({"embedding_dimensions": told}))
}

/// Links a published article with those that are near it: of a project, with those of the project and of the whole tenant; of the whole
/// tenant, with all.
pub(crate) async fn link(db: &Db, knowledge: &Knowledge, job: Job) -> Result<Value, JobError> {
    let (id, tenant_id) = (article_of(&job)?, job.tenant_id);
    let Some(model) = knowledge.meaning.model() else { return Ok(json!({"off": true})) };
    let slot = knowledge.shelves.up_to_date(db, tenant_id, Some(&model)).await?;
    let Some(slot) = slot else { return Ok(json!({"too_many": true})) };
    let near = knowledge.meaning.aside(tenant_id, move || slot.read(|shelf| shelf.near(id, model.related)));
    let near = near.await.map_err(|error| JobError(error.to_string()))?;
    let Some(Related { project_id, mut near }) = near else { return Ok(json!({"gone": true})) };
    if near.len() > MOST {
        tracing::warn!(%tenant_id, article_id = %id, near = near.len(), "more articles are near it than are linked");
    }
    let Nearest { ids, others, scores } = nearest(&mut near);
    db.transaction(tenant_id, async |mut tx: Tx| {
        let params: Params<'_> = &[&id, &ids, &others, &scores, &model.name];
        let linked = if near.is_empty() { Vec::new() } else { tx.all(LINK_RELATED, params).await? };
        let state = json!({"article_id": id, "new_link_count": linked.len()});
        let told = Event::new("article", id, "knowledge.articles_linked", state).project(project_id);
        let events = if linked.is_empty() { Vec::new() } else { vec![told] };
        events::record(tx, &Attribution::worker("article_linking"), events, None).await?;
        Ok(json!({"links": linked.len()}))
    })
    .await
}

/// Links that are to be, to the nearest first.
pub(super) struct Nearest {
    pub(super) ids: Vec<Uuid>,
    pub(super) others: Vec<Uuid>,
    pub(super) scores: Vec<f64>,
}

/// Of what is near an article, that with which it is linked.
pub(super) fn nearest(near: &mut Vec<(Uuid, f32)>) -> Nearest {
    near.sort_by_key(|(other, score)| (Reverse((score * 1e6) as i64), *other));
    near.truncate(MOST);
    Nearest {
        ids: near.iter().map(|_| Uuid::now_v7()).collect(),
        others: near.iter().map(|(other, _)| *other).collect(),
        scores: near.iter().map(|(_, score)| (f64::from(*score) * 100.0).round() / 100.0).collect(),
    }
}

/// Has the vectors made that published articles of a tenant lack: of another model, or because a job was given up.
pub(crate) async fn embed_what_lacks(
    db: &Db,
    queue: &Queue,
    knowledge: &Knowledge,
    job: Job,
) -> Result<Value, JobError> {
    let Some(model) = knowledge.meaning.model() else { return Ok(json!({"off": true})) };
    let (mut after, mut count) = (Uuid::nil(), 0);
    loop {
        let params: Params<'_> = &[&model.name, &after, &BATCH];
        let lacking = db.read(job.tenant_id, WITHOUT_VECTORS.with(params)).await?;
        let Some(last) = lacking.last() else { return Ok(json!({"lacking": count})) };
        after = last.id;
        count += lacking.len();
        let texts: Vec<_> = lacking.into_iter().map(|article| (article.id, article.hash)).collect();
        db.transaction(job.tenant_id, async |mut tx: Tx| {
            enqueue(queue, &mut tx, EMBEDDING, &texts).await?;
            events::record(tx, &Attribution::worker("embedding"), Vec::new(), None).await?;
            Ok::<_, JobError>(())
        })
        .await?;
        queue.wake();
    }
}
