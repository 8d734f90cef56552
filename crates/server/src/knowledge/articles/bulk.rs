//! Many drafts are published at once: all of them, or none.

use std::collections::{HashMap, HashSet};

use axum::Json;
use loopctl_core::fields::parse_uuid;
use loopctl_core::json::{elements, scalar};
use loopctl_core::knowledge::Status;
use loopctl_core::request::{Custom, Request, custom};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use uuid::Uuid;

use super::store::{Article, LOCK_ARTICLES, PUBLISH_ARTICLES};
use super::told;
use super::update::not_that_way;
use crate::app::{AtLeast, Caller, User};
use crate::http::{ApiError, ApiResult, Body, LARGEST_ANSWER};
use crate::knowledge::embeddings;

/// The most articles of one call.
const MOST: usize = 100;

/// The articles that are named, each once; or what is wrong with the list.
type Named = Result<Vec<Uuid>, &'static str>;

const fn article_ids() -> Custom<Named> {
    let read: Custom<Named> = custom(
        |fields, name| {
            const NO_LIST: &str = "article_ids must be an array of UUIDs";
            let Some(raw) = fields.raw(name) else { return Err("article_ids must not be empty") };
            let items = elements(raw).ok_or(NO_LIST)?;
            match items.len() {
                0 => return Err("article_ids must not be empty"),
                1..=MOST => {}
                _ => return Err("Maximum 100 articles per bulk publish"),
            }
            let mut seen = HashSet::new();
            let mut ids = Vec::with_capacity(items.len());
            for item in items {
                let id = scalar(item).as_str().and_then(parse_uuid).ok_or(NO_LIST)?;
                if seen.insert(id) {
                    ids.push(id);
                }
            }
            Ok(ids)
        },
        || {
            json_schema!({
                "type": "array",
                "minItems": 1,
                "maxItems": MOST,
                "items": {"type": "string", "format": "uuid"},
            })
        },
    );
    read.mandatory()
}

/// `POST /knowledge/bulk-publish`.
#[derive(Request)]
pub(super) struct BulkPublishRequest {
    /// Drafts; of an id that is there twice the first counts.
    #[rule(article_ids())]
    article_ids: Named,
}

/// What was published, in the order in which it was named.
#[derive(Serialize, JsonSchema)]
pub(super) struct BulkPublishResponse {
    data: Vec<Article>,
    meta: PublishedCount,
}

/// How many there are.
#[derive(Serialize, JsonSchema)]
struct PublishedCount {
    count: usize,
}

pub(super) async fn publish(
    caller: Caller<AtLeast<User>>,
    body: Body<BulkPublishRequest>,
) -> ApiResult<Json<BulkPublishResponse>> {
    let ids = body.valid()?.article_ids.as_ref().map_err(|message| ApiError::bad_request(*message))?;
    let answer = caller
        .change(async |mut change| {
            let locked = change.all(LOCK_ARTICLES, &[ids]).await?;
            if locked.len() < ids.len() {
                return Err(ApiError::not_found());
            }
            if let Some(other) = locked.iter().find(|article| article.status != Status::Draft) {
                let (id, status) = (other.id, other.status);
                return Err(not_that_way(format!("Article {id} is in status {status}, expected draft")));
            }
            let weight: i64 = locked.iter().map(|article| article.weight).sum();
            if weight > LARGEST_ANSWER {
                let heaviest = locked.iter().map(|article| article.weight).max().unwrap_or(LARGEST_ANSWER);
                return Err(ApiError::answer_too_large("article_ids", LARGEST_ANSWER / heaviest));
            }
            let published = change.all(PUBLISH_ARTICLES, &[ids]).await?;
            let mut by_id: HashMap<_, _> =
                published.into_iter().map(|article| (article.id, article)).collect();
            let data: Vec<_> = ids.iter().filter_map(|id| by_id.remove(id)).collect();
            embeddings::changed(&mut change, &data).await?;
            change.tell(data.iter().map(|article| told::moved(article, Status::Draft)));
            let meta = PublishedCount { count: data.len() };
            change.commit(Json(BulkPublishResponse { data, meta })).await
        })
        .await?;
    caller.app.jobs.wake();
    Ok(answer)
}
