//! Bulk calls: up to 50 stories in one transaction, each by the same step as in its single-story call. An item that is refused
//! has written nothing and leaves the others alone.

use std::collections::HashSet;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use loopctl_core::fields::parse_uuid;
use loopctl_core::json::{JsonText, Object, scalar};
use loopctl_core::lifecycle::{Action, Attempt};
use loopctl_core::request::{
    Custom, Request, custom, nested_object, object_or_array, schema_of, text, uuid, word,
};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::api::{ByAgent, ByOrchestrator};
use super::evidence::{CompletionRequest, Evidence, RejectRequest, VerifyRequest, has_evidence};
use super::transition::{Outcome, Wanted, attempt};
use crate::app::{Caller, Identity};
use crate::cost::usage::TokenUsage;
use crate::http::{Answer, ApiError, ApiResult, Body, Kept, Operation, Output, Sent};

/// The most items that one call may hold.
const MAX_ITEMS: usize = 50;

/// `POST /stories/bulk/claim`.
#[derive(Request)]
pub(super) struct BulkClaimRequest {
    /// 1 to 50.
    #[rule(list(|| json_schema!({"type": "array", "maxItems": MAX_ITEMS, "items": {"type": "string", "format": "uuid"}})))]
    story_ids: Option<JsonText>,
}

/// `POST /stories/bulk/verify`, `/reject` and `/mark-complete`.
#[derive(Request)]
pub(super) struct BulkStoriesRequest {
    /// 1 to 50.
    #[rule(list(|| json_schema!({"type": "array", "maxItems": MAX_ITEMS, "items": schema_of::<BulkStory>()})))]
    stories: Option<JsonText>,
}

const fn list(schema: fn() -> schemars::Schema) -> Custom<Option<JsonText>> {
    custom(|fields, name| fields.raw(name).map(JsonText::from), schema).mandatory()
}

/// One story of a bulk call, for what clients are told; read according to the call.
#[derive(Request)]
#[expect(dead_code, reason = "each call reads what it needs of it")]
struct BulkStory {
    #[rule(uuid())]
    story_id: Option<Uuid>,
    /// reject: why; not blank.
    #[rule(text(50_000))]
    reason: Option<String>,
    /// verify: `pass` (default) or `partial`.
    #[rule(word(&["pass", "partial"], |word| Some(word.to_owned())))]
    result: Option<String>,
    /// verify, mark-complete: what was checked.
    #[rule(text(50_000))]
    summary: Option<String>,
    /// Default `bulk_verify`, `bulk_reject` or `pre_existing`.
    #[rule(text(255))]
    review_type: Option<String>,
    /// verify, reject: an object or an array.
    #[rule(object_or_array())]
    findings: Option<JsonText>,
    /// mark-complete: what was used for it.
    #[rule(nested_object::<TokenUsage>())]
    token_usage: Option<TokenUsage>,
}

/// One story of a call.
struct Item {
    /// `story_id` as it was sent; None when there is none.
    echo: Option<String>,
    /// What to attempt, on which story, or why the item is refused as it stands.
    work: Result<Wanted, Refused>,
}

/// Why an item failed, as its result tells it.
type Refused = Map<String, Value>;

/// What became of one item.
#[derive(Serialize, JsonSchema)]
struct ItemResult {
    /// As sent; null when the item had none.
    story_id: Option<String>,
    /// `success` or `error`.
    status: &'static str,
    /// Why, on an error: `code`, `reason`, and what else the single-story call would tell (`hints`, `details`, …).
    #[serde(flatten)]
    error: Refused,
}

/// The answer of a bulk call: 200 when at least one item succeeded, else 422.
#[derive(Serialize, JsonSchema)]
pub(super) struct Results {
    /// In the order of the request.
    results: Vec<ItemResult>,
    /// The common envelope besides, when nothing succeeded, for clients that look no further than the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
}

impl IntoResponse for Results {
    fn into_response(self) -> Response {
        match &self.error {
            Some(error) => error.beside(&self),
            None => Json(self).into_response(),
        }
    }
}

impl Answer for Results {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        if self.error.is_some() { Ok(None) } else { Kept::ok(self) }
    }
}

impl Output for Results {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<Self>(200, "At least one was processed");
        operation.answer::<Self>(
            422,
            "None was processed, or the list is not acceptable, which is told without `results`",
        );
    }
}

pub(super) async fn claim(caller: Caller<ByAgent>, body: Body<BulkClaimRequest>) -> ApiResult<Results> {
    let list = body.valid()?.story_ids.as_ref();
    let items = read_items(&caller, Action::Claim, list, "story_ids", |element| {
        (Some(scalar(element)), Ok((Attempt::Claim, Evidence::None)))
    })?;
    perform(items).await
}

pub(super) async fn verify(
    caller: Caller<ByOrchestrator>,
    body: Body<BulkStoriesRequest>,
) -> ApiResult<Results> {
    let list = body.valid()?.stories.as_ref();
    let items = read_items(&caller, Action::Verify, list, "stories", |element| {
        story(element, |item| {
            let sent = Sent::<VerifyRequest>::of(item)
                .amended(|item| fill(item, "Verified via bulk operation", "bulk_verify"));
            Ok((Attempt::Verify { evidence: has_evidence(&sent) }, Evidence::Verification(sent)))
        })
    })?;
    perform(items).await
}

pub(super) async fn reject(
    caller: Caller<ByOrchestrator>,
    body: Body<BulkStoriesRequest>,
) -> ApiResult<Results> {
    let list = body.valid()?.stories.as_ref();
    let items = read_items(&caller, Action::Reject, list, "stories", |element| {
        story(element, |item| {
            let sent = Sent::<RejectRequest>::of(item);
            let reason = sent.anyway().required_reason()?;
            let sent = sent.amended(|item| {
                item.review_type.get_or_insert_with(|| "bulk_reject".to_owned());
            });
            Ok((Attempt::Reject { reason }, Evidence::Rejection(sent)))
        })
    })?;
    perform(items).await
}

pub(super) async fn mark_complete(
    caller: Caller<ByOrchestrator>,
    body: Body<BulkStoriesRequest>,
) -> ApiResult<Results> {
    let list = body.valid()?.stories.as_ref();
    let items = read_items(&caller, Action::MarkComplete, list, "stories", |element| {
        story(element, |item| {
            // Nobody reviewed anything: there is no other result than `pass`, and there are no findings.
            let sent = Sent::<CompletionRequest>::of(&item.only(&["summary", "review_type", "token_usage"]));
            let sent = sent.amended(|item| {
                fill(&mut item.verification, "Marked complete (pre-existing work)", "pre_existing");
            });
            Ok((Attempt::MarkComplete, Evidence::Completion(sent)))
        })
    })?;
    perform(items).await
}

/// What a verification says where nothing else was sent.
fn fill(item: &mut VerifyRequest, summary: &str, review_type: &str) {
    item.summary.get_or_insert_with(|| summary.to_owned());
    item.review_type.get_or_insert_with(|| review_type.to_owned());
}

/// What an element of a list asks for: the story's id as it was sent, and what to attempt with which evidence.
type Asked = (Option<Value>, ApiResult<(Attempt, Evidence)>);

/// An element that should be an object with a `story_id`; if it is none, it has no id.
fn story(element: &RawValue, read: impl FnOnce(&Object<'_>) -> ApiResult<(Attempt, Evidence)>) -> Asked {
    let item = Object::parse(element).unwrap_or_default();
    (item.get("story_id").map(scalar), read(&item))
}

/// Reads the list of a bulk call, named `name`; `read` makes of each element a story's id, as sent, and what to
/// attempt.
///
/// # Errors
/// 422 for a list that is missing, empty or too long; 400 or 422 for a key that needs an agent and has none.
fn read_items(
    caller: &Identity,
    action: Action,
    list: Option<&JsonText>,
    name: &str,
    read: impl Fn(&RawValue) -> Asked,
) -> ApiResult<Vec<Item>> {
    let refused = |message: String| ApiError::unprocessable(Code::InvalidBatch, message);
    let length = list.and_then(JsonText::count);
    let length = length.ok_or_else(|| refused(format!("{name} is required and must be an array")))?;
    caller.admit(action)?;
    if length == 0 {
        return Err(refused(format!("{name} must not be empty")));
    }
    if length > MAX_ITEMS {
        return Err(refused(format!("Maximum batch size is {MAX_ITEMS} stories")));
    }
    let mut seen = HashSet::new();
    let elements = list.and_then(JsonText::elements).unwrap_or_default();
    let items = elements.into_iter().map(|element| {
        let (sent, asked) = read(element);
        let sent = sent.as_ref().and_then(Value::as_str);
        let story_id = sent.and_then(parse_uuid);
        let work = match (sent, story_id) {
            (None, _) => Err(ApiError::unprocessable(
                Code::InvalidItem,
                "Story not found: story_id is required and must be a string",
            )),
            (Some(_), None) => Err(unknown()),
            (Some(_), Some(id)) if !seen.insert(id) => Err(ApiError::unprocessable(
                Code::Duplicate,
                "The story is listed more than once; only its first place counts",
            )),
            (Some(_), Some(id)) => asked.map(|(attempt, evidence)| Wanted::of(caller, id, attempt, evidence)),
        };
        let echo = story_id.map(|id| id.to_string()).or_else(|| sent.map(str::to_owned));
        Item { echo, work: work.map_err(ApiError::into_members) }
    });
    Ok(items.collect())
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, Code::NotFound, "Story not found")
}

/// Attempts every item in one transaction and answers with what became of each.
///
/// # Errors
/// When the database fails; then nothing of the call is kept.
async fn perform(items: Vec<Item>) -> ApiResult<Results> {
    let wanted: Vec<&Wanted> = items.iter().filter_map(|item| item.work.as_ref().ok()).collect();
    let attempted = attempt(&wanted, &|outcomes| results(&items, outcomes.to_vec()).kept()).await?;
    Ok(results(&items, attempted))
}

/// What became of each item, of which those that could be attempted were.
fn results(items: &[Item], attempted: Vec<ApiResult<Outcome>>) -> Results {
    let mut attempted = attempted.into_iter();
    let results = items.iter().map(|item| {
        let refused = match &item.work {
            Err(refused) => Some(refused.clone()),
            Ok(_) => attempted.next().and_then(Result::err).map(|error| {
                if error.is_not_found() { unknown().into_members() } else { error.into_members() }
            }),
        };
        let status = if refused.is_none() { "success" } else { "error" };
        ItemResult { story_id: item.echo.clone(), status, error: refused.unwrap_or_default() }
    });
    let results: Vec<_> = results.collect();
    let failed = results.iter().all(|result| result.status == "error");
    let why = "No story was processed; results says why for each";
    let error = failed.then(|| ApiError::unprocessable(Code::NothingProcessed, why));
    Results { results, error }
}
