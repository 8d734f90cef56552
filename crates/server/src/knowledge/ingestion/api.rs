//! Requests, answers and handlers of ingestion.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use loopctl_core::fields::Fields;
use loopctl_core::json::{JsonText, Object, elements};
use loopctl_core::request::{Member, Request, schema_of};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::json;

use super::super::work::{INGESTION, INGESTION_JOBS, INSERT_INGESTION, IngestionJob, Queued, SAME_INGESTION};
use super::item::{Fault, IngestRequest, Item};
use crate::app::{AtLeast, Caller, Change, Orchestrator};
use crate::db::{AsJson, Params, Timestamp};
use crate::http::{Answer, ApiError, ApiResult, Kept, LargeBody, Operation, Output, one};
use crate::identity::tenants;
use crate::plan::projects::PROJECT_KNOWN;

/// The most items of a batch.
const MOST: usize = 50;

/// What becomes of what was sent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum Ingested {
    /// Drafts are made of it in the background.
    Queued { id: i64, content_hash: String, source_type: String, inserted_at: Timestamp },
    /// The same is being done, or was within the last hour: the job of that.
    AlreadyQueued { id: i64, content_hash: String },
}

/// What becomes of an item of a batch.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum ItemResult {
    /// Drafts are made of it in the background.
    Queued { id: i64, content_hash: String, source_type: String, inserted_at: Timestamp },
    /// The same is being done, or was within the last hour: the job of that.
    AlreadyQueued { id: i64, content_hash: String },
    /// It is not acceptable.
    Error { error: String },
}

impl From<Result<Ingested, Fault>> for ItemResult {
    fn from(result: Result<Ingested, Fault>) -> Self {
        match result {
            Ok(Ingested::Queued { id, content_hash, source_type, inserted_at }) => {
                Self::Queued { id, content_hash, source_type, inserted_at }
            }
            Ok(Ingested::AlreadyQueued { id, content_hash }) => Self::AlreadyQueued { id, content_hash },
            Err(error) => Self::Error { error },
        }
    }
}

one! {
    pub(super) IngestResponse { data: Ingested }
    pub(super) IngestBatchResponse { data: Vec<ItemResult> }
    pub(super) IngestionJobsResponse { data: Vec<IngestionJob> }
}

/// 202 where something is done, and 200 where it is already.
pub(super) struct Accepted(IngestResponse);

impl Accepted {
    fn status(&self) -> StatusCode {
        match self.0.data {
            Ingested::Queued { .. } => StatusCode::ACCEPTED,
            Ingested::AlreadyQueued { .. } => StatusCode::OK,
        }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (self.status(), Json(self.0)).into_response()
    }
}

impl Output for Accepted {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<IngestResponse>(202, "It is done in the background");
        operation.answer::<IngestResponse>(200, "The same is being done, or was within the last hour");
    }
}

impl Answer for Accepted {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        let kept = Kept::ok(&self.0)?;
        Ok(kept.map(|kept| Kept { status: self.status().as_u16(), ..kept }))
    }
}

fn refused(fault: impl Into<String>) -> ApiError {
    ApiError::unprocessable(Code::InvalidIngestion, fault)
}

pub(super) async fn ingest(
    caller: Caller<AtLeast<Orchestrator>>,
    body: LargeBody<IngestRequest>,
) -> ApiResult<Accepted> {
    let IngestRequest(item) = body.valid()?;
    let item = item.as_ref().map_err(refused)?;
    let answer = caller
        .change(async |mut change| {
            tenants::lock(&mut change).await?;
            let data = queued(&mut change, item).await?.map_err(refused)?;
            change.commit(Accepted(IngestResponse { data })).await
        })
        .await;
    caller.app.jobs.wake();
    answer
}

/// Queues an item, unless the same is there. The tenant's row is locked, so of two that come at once the second finds the first.
async fn queued(change: &mut Change<'_>, item: &Item) -> ApiResult<Result<Ingested, Fault>> {
    let Item { source_type, source, project_id, metadata } = item;
    if let Some(project_id) = project_id
        && change.optional(PROJECT_KNOWN, &[project_id]).await?.is_none()
    {
        return Ok(Err("project_id does not belong to this tenant".to_owned()));
    }
    // Where a name leads is found out when it is fetched.
    if let Some(url) = source.url()
        && let Err(fault) = change.caller.app.source_policy.url(url)
    {
        return Ok(Err(format!("'url' {fault}")));
    }
    let content_hash = source.hash();
    if let Some(id) = change.optional(SAME_INGESTION, &[&content_hash, project_id]).await? {
        return Ok(Ok(Ingested::AlreadyQueued { id, content_hash }));
    }
    let args = JsonText::from(json!({"content_hash": content_hash}));
    let jobs = change.caller.app.jobs.clone();
    let job_id = jobs.enqueue(change, INGESTION, &args, None).await?.ok_or_else(ApiError::internal)?;
    let metadata = metadata.as_ref().map(AsJson);
    let (url, content) = (source.url(), source.content());
    let params: Params<'_> = &[&job_id, project_id, source_type, &url, &content, &content_hash, &metadata];
    let Queued { id, inserted_at } = change.one(INSERT_INGESTION, params).await?;
    Ok(Ok(Ingested::Queued { id, content_hash, source_type: source_type.clone(), inserted_at }))
}

/// `POST /knowledge/ingest/batch`.
pub(super) struct IngestBatchRequest(Result<Vec<Result<Item, Fault>>, Fault>);

impl Request for IngestBatchRequest {
    const NAME: &'static str = "IngestBatchRequest";

    fn read(fields: &mut Fields<'_>) -> Self {
        let items = fields.raw("items").filter(|raw| raw.get().starts_with('[')).and_then(elements);
        Self(match items {
            None => Err("'items' must be a non-empty array".to_owned()),
            Some(items) if items.is_empty() => Err("'items' must be a non-empty array".to_owned()),
            Some(items) if items.len() > MOST => {
                Err(format!("Batch exceeds max of {MOST} items (got {})", items.len()))
            }
            Some(items) => Ok(items
                .into_iter()
                .map(|raw| match Object::parse(raw) {
                    Some(object) => Item::of(&object),
                    None => Err("item must be an object".to_owned()),
                })
                .collect()),
        })
    }

    fn members() -> Vec<Member> {
        let schema = json_schema!({
            "type": "array", "minItems": 1, "maxItems": MOST, "items": schema_of::<IngestRequest>()
        });
        vec![Member { name: "items", description: "Pages and texts.", schema, required: true }]
    }
}

pub(super) async fn ingest_batch(
    caller: Caller<AtLeast<Orchestrator>>,
    body: LargeBody<IngestBatchRequest>,
) -> ApiResult<Json<IngestBatchResponse>> {
    let IngestBatchRequest(items) = body.valid()?;
    let items = items.as_ref().map_err(refused)?;
    let answer = caller
        .change(async |mut change| {
            tenants::lock(&mut change).await?;
            let mut data = Vec::with_capacity(items.len());
            for item in items {
                let result = match item {
                    Ok(item) => queued(&mut change, item).await?,
                    Err(fault) => Err(fault.clone()),
                };
                data.push(ItemResult::from(result));
            }
            change.commit(Json(IngestBatchResponse { data })).await
        })
        .await;
    caller.app.jobs.wake();
    answer
}

pub(super) async fn list(caller: Caller<AtLeast<Orchestrator>>) -> ApiResult<Json<IngestionJobsResponse>> {
    let data = caller.read(INGESTION_JOBS.with(&[])).await?;
    Ok(Json(IngestionJobsResponse { data }))
}
