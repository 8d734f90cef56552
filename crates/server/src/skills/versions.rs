//! Versions of a skill: added, never changed.

use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use loopctl_core::code::Code;
use loopctl_core::fields::parse_uuid;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::api::{CREATED_BY, LONG, PROMPT};
use super::cost::{COST_OF_VERSIONS, SkillCostSummary};
use super::rules::{digest, version_number};
use super::store::{
    ADD_VERSION, LIST_VERSIONS, LOCK_SKILL, SHOW_VERSION, SkillAndVersion, SkillVersion, SkillVersionSummary,
};
use crate::app::{Agent, AtLeast, Caller, User};
use crate::db::Params;
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Created, Id, Input, List, Operation, PagedOrWhole, Query};

/// A version in a path, and its skill.
#[derive(Debug, Clone, Copy)]
pub(super) struct VersionPath {
    pub(super) skill_id: Uuid,
    pub(super) version: i32,
}

impl<S: Send + Sync> FromRequestParts<S> for VersionPath {
    type Rejection = ApiError;

    /// An id that is none names nothing: 404. A version that is no integer is 400.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // Fails when one of them is not even text.
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::not_found())?;
        let mut texts = params.iter().map(|(_, text)| text);
        let skill_id = texts.next().and_then(parse_uuid).ok_or_else(ApiError::not_found)?;
        let version = texts.next().and_then(version_number);
        let version = version.ok_or_else(|| ApiError::bad_request("Invalid version number"))?;
        Ok(Self { skill_id, version })
    }
}

impl Input for VersionPath {
    fn describe(operation: &mut Operation<'_>) {
        Id::describe(operation);
        operation.path_integers = &["version"];
        operation.refuse(400, Code::BadRequest, "the version is no integer");
    }
}

/// `POST /skills/:id/versions`.
#[derive(Request)]
pub(super) struct SkillVersionCreateRequest {
    #[rule(PROMPT.required())]
    prompt_text: String,
    #[rule(LONG)]
    changelog: Option<String>,
    /// Default: the caller's role and key.
    #[rule(CREATED_BY)]
    created_by: Option<String>,
}

pub(super) async fn create(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    body: Body<SkillVersionCreateRequest>,
) -> ApiResult<Created<SkillAndVersion>> {
    let label = caller.attribution().actor_label;
    caller
        .change(async |mut change| {
            change.found(LOCK_SKILL, &[&id]).await?;
            let new = body.valid()?;
            let (digest, label) = (digest(&new.prompt_text), new.created_by.as_ref().unwrap_or(&label));
            let version_id = Uuid::now_v7();
            let params: Params<'_> =
                &[&id, &version_id, &new.prompt_text, &digest.as_slice(), &new.changelog, label];
            let added = change.one(ADD_VERSION, params).await?;
            let SkillAndVersion { skill, version } = &added;
            let number = skill.current_version;
            change.tell([told_added(version.id, id, skill.project_id, number, version.changelog.as_deref())]);
            change.commit(Created(added)).await
        })
        .await
}

/// The audit entry of a new version.
pub(super) fn told_added(
    version_id: Uuid,
    skill_id: Uuid,
    project_id: Option<Uuid>,
    version: i32,
    changelog: Option<&str>,
) -> Event {
    let told = json!({"skill_id": skill_id, "version": version, "changelog": changelog});
    Event::new("skill_version", version_id, "created", told).project(project_id)
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<SkillVersionSummary>>> {
    caller.list(&LIST_VERSIONS, &[&id], &query.page).await.map(Json)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SkillVersionResponse {
    version: SkillVersion,
    /// Null where no report names this version.
    cost_summary: Option<SkillCostSummary>,
}

pub(super) async fn show(
    caller: Caller<AtLeast<Agent>>,
    VersionPath { skill_id, version }: VersionPath,
) -> ApiResult<Json<SkillVersionResponse>> {
    let params = [&skill_id as _, &version as _];
    let (shown, cost) = caller.read((SHOW_VERSION.with(&params), COST_OF_VERSIONS.with(&params))).await?;
    let version = shown.into_iter().next().ok_or_else(ApiError::not_found)?;
    let cost_summary = cost.into_iter().next().map(SkillCostSummary::from);
    Ok(Json(SkillVersionResponse { version, cost_summary }))
}
