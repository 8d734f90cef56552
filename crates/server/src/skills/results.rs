//! What came of a version of a skill.

use axum::Json;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, small_object, uuid};
use serde_json::json;
use uuid::Uuid;

use super::rules::faults_of_metrics;
use super::store::{
    INSERT_RESULT, KEEP_VERIFIED_STORY, LIST_RESULTS, PARTS_OF_RESULT, Parts, STATS, SkillResult, SkillStats,
};
use super::versions::VersionPath;
use crate::app::{Agent, AtLeast, Caller, Exact, Orchestrator, Superadmin};
use crate::db::{AsJson, Params};
use crate::events::Event;
use crate::http::{ApiResult, Body, Created, Id, List, PagedOrWhole, Query, one};

one! { pub(super) SkillResultResponse { skill_result: SkillResult } }

/// `POST /skill_results`.
#[derive(Request)]
pub(super) struct SkillResultCreateRequest {
    #[rule(uuid().required())]
    skill_version_id: Uuid,
    /// Of this story: `verification.id` in the answer of verify, or from the story's verifications.
    #[rule(uuid().required())]
    verification_result_id: Uuid,
    #[rule(uuid().required())]
    story_id: Uuid,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    metrics: JsonText,
}

const UNKNOWN: &str = "does not exist";

pub(super) async fn create(
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    body: Body<SkillResultCreateRequest>,
) -> ApiResult<Created<SkillResultResponse>> {
    caller
        .change(async |mut change| {
            let SkillResultCreateRequest { skill_version_id, verification_result_id, story_id, .. } =
                body.anyway();
            let project_id = change.optional(KEEP_VERIFIED_STORY, &[story_id]).await?;
            let parts = change.one(PARTS_OF_RESULT, &[skill_version_id, verification_result_id]).await?;
            let new = body.checked(|new, errors| {
                let Parts { version_is_known, verified_story } = parts;
                let of_another = project_id.is_some() && verified_story.is_some_and(|of| of != new.story_id);
                for (field, fault) in [
                    ("skill_version_id", (!version_is_known).then_some(UNKNOWN)),
                    ("story_id", project_id.is_none().then_some(UNKNOWN)),
                    ("verification_result_id", verified_story.is_none().then_some(UNKNOWN)),
                    ("verification_result_id", of_another.then_some("does not belong to story")),
                ] {
                    // What is no id names nothing, which was told.
                    if let Some(fault) = fault.filter(|_| !errors.0.contains_key(field)) {
                        errors.add(field, fault);
                    }
                }
                for fault in faults_of_metrics(&new.metrics) {
                    errors.add("metrics", fault);
                }
            })?;
            let params: Params<'_> =
                &[&Uuid::now_v7(), skill_version_id, verification_result_id, story_id, &AsJson(&new.metrics)];
            let result = change.one(INSERT_RESULT, params).await?;
            let told = json!({
                "skill_version_id": result.skill_version_id,
                "verification_result_id": result.verification_result_id,
                "story_id": result.story_id,
                "metrics": result.metrics,
            });
            let event = Event::new("skill_result", result.id, "created", told);
            change.tell([Event { project_id, ..event.meta("story_id", story_id.to_string()) }]);
            change.commit(Created(SkillResultResponse { skill_result: result })).await
        })
        .await
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    VersionPath { skill_id, version }: VersionPath,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<SkillResult>>> {
    caller.list(&LIST_RESULTS, &[&skill_id, &version], &query.page).await.map(Json)
}

pub(super) async fn stats(
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<SkillStats>>> {
    caller.list(&STATS, &[&id], &query.page).await.map(Json)
}
