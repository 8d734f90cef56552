//! Skills themselves: requests, answers and handlers.

use axum::Json;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, Text, id, small_object, text, uuid, word};
use serde_json::json;
use uuid::Uuid;

use super::rules::digest;
use super::store::{
    INSERT_SKILL, LIST_SKILLS, LOCK_SKILL, PROJECTS_OF_SKILLS, SHOW_SKILL, Skill, SkillAndVersion,
    SkillWithPrompt, UPDATE_SKILL,
};
use crate::app::{Agent, AtLeast, Caller, Change, Committed, User};
use crate::db::{AsJson, DbError, Params};
use crate::events::{Event, Field};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, Page, Query, one, pages};

pub(super) const NAME: Text = text(255).shown();
pub(super) const PROMPT: Text = text(500_000);
pub(super) const LONG: Text = text(50_000);
pub(super) const CREATED_BY: Text = text(255);

/// `status` of a skill that was laid aside.
const ARCHIVED: &str = "archived";
const STATUSES: &[&str] = &["active", ARCHIVED];

fn known_status(word: &str) -> Option<&'static str> {
    STATUSES.iter().copied().find(|known| *known == word)
}

one! { pub(super) SkillResponse { skill: Skill } }

/// `POST /skills`.
#[derive(Request)]
pub(super) struct SkillCreateRequest {
    /// Unique in the project, or among the skills of the whole tenant; never changes.
    #[rule(NAME.required())]
    name: String,
    #[rule(PROMPT.required())]
    prompt_text: String,
    #[rule(LONG)]
    description: Option<String>,
    /// Absent: of the whole tenant.
    #[rule(uuid())]
    project_id: Option<Uuid>,
    /// Of the skill; default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    metadata: JsonText,
    /// Of the first version.
    #[rule(LONG)]
    changelog: Option<String>,
    /// Of the first version; default: the caller's role and key.
    #[rule(CREATED_BY)]
    created_by: Option<String>,
}

pub(super) async fn create(
    caller: Caller<AtLeast<User>>,
    body: Body<SkillCreateRequest>,
) -> ApiResult<Created<SkillAndVersion>> {
    let label = caller.attribution().actor_label;
    caller
        .change(async |mut change| {
            let project_id = body.anyway().project_id;
            let is_known = knows(&mut change, project_id).await?;
            let new = body.checked(|_, errors| {
                if !is_known {
                    errors.add("project_id", "does not exist");
                }
            })?;
            let (digest, label) = (digest(&new.prompt_text), new.created_by.as_ref().unwrap_or(&label));
            let params: Params<'_> = &[
                &Uuid::now_v7(),
                &project_id,
                &new.name,
                &new.description,
                &AsJson(&new.metadata),
                &Uuid::now_v7(),
                &new.prompt_text,
                &digest.as_slice(),
                &new.changelog,
                label,
            ];
            let created = change.one(INSERT_SKILL, params).await.map_err(name_taken)?;
            change.tell([told_created(created.skill.id, project_id, &created.skill.name)]);
            change.commit(Created(created)).await
        })
        .await
}

/// Whether a skill may be of this project, as far as the tenant is concerned.
async fn knows(change: &mut Change<'_>, project_id: Option<Uuid>) -> ApiResult<bool> {
    let Some(project_id) = project_id else { return Ok(true) };
    Ok(change.optional(PROJECTS_OF_SKILLS, &[&vec![project_id]]).await?.is_some())
}

fn name_taken(error: DbError) -> ApiError {
    if error.violates("skills_name") {
        return ApiError::invalid_field("name", "has already been taken for this tenant and project");
    }
    error.into()
}

/// The audit entry of a new skill.
pub(super) fn told_created(skill_id: Uuid, project_id: Option<Uuid>, name: &str) -> Event {
    let told = json!({"name": name, "status": "active", "current_version": 1});
    Event::new("skill", skill_id, "created", told).project(project_id)
}

#[derive(Request)]
pub(super) struct ListSkills {
    /// Only of this project.
    #[rule(id())]
    project_id: Option<Uuid>,
    /// `active` or `archived`; any other word lists nothing.
    #[rule(text(usize::MAX))]
    status: Option<String>,
    /// Part of the name, in either case.
    #[rule(text(usize::MAX))]
    name: Option<String>,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListSkills>,
) -> ApiResult<Json<List<Skill>>> {
    let filters: Params<'_> = &[&query.project_id, &query.status, &query.name];
    caller.list(&LIST_SKILLS, filters, &query.page).await.map(Json)
}

pub(super) async fn show(caller: Caller<AtLeast<Agent>>, Id(id): Id) -> ApiResult<Json<SkillWithPrompt>> {
    caller.find(SHOW_SKILL, &[&id]).await.map(Json)
}

/// `PATCH /skills/:id`: every field is optional, and what is null stays.
#[derive(Request)]
pub(super) struct SkillUpdateRequest {
    #[rule(LONG.clearable())]
    description: Option<Option<String>>,
    #[rule(word(STATUSES, known_status))]
    status: Option<&'static str>,
    /// Replaces the whole object.
    #[rule(small_object())]
    metadata: Option<JsonText>,
}

impl SkillUpdateRequest {
    /// The skill after this change.
    fn applied_to(&self, old: &Skill) -> Skill {
        Skill {
            description: self.description.as_ref().unwrap_or(&old.description).clone(),
            status: self.status.unwrap_or(&old.status).to_owned(),
            metadata: self.metadata.as_ref().unwrap_or(&old.metadata).clone(),
            ..old.clone()
        }
    }
}

pub(super) async fn update(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    body: Body<SkillUpdateRequest>,
) -> ApiResult<Json<SkillResponse>> {
    caller
        .change(async |mut change| {
            let old = change.found(LOCK_SKILL, &[&id]).await?;
            let new = body.valid()?.applied_to(&old);
            save(change, old, new).await
        })
        .await
}

pub(super) async fn archive(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<Json<SkillResponse>> {
    caller
        .change(async |mut change| {
            let old = change.found(LOCK_SKILL, &[&id]).await?;
            let new = Skill { status: ARCHIVED.to_owned(), ..old.clone() };
            save(change, old, new).await
        })
        .await
}

/// Writes and tells what has become of a locked skill; nothing, where nothing differs.
async fn save(mut change: Change<'_>, old: Skill, new: Skill) -> ApiResult<Committed<Json<SkillResponse>>> {
    let fields = [
        Field::value("description", &old.description, &new.description),
        Field::value("status", &old.status, &new.status),
        Field::document("metadata", &old.metadata, &new.metadata),
    ];
    let Some(event) = Event::updated("skill", old.id, &["description", "status"], &fields) else {
        return change.unchanged(Json(SkillResponse { skill: old })).await;
    };
    let params: Params<'_> = &[&new.id, &new.description, &new.status, &AsJson(&new.metadata)];
    let skill = change.one(UPDATE_SKILL, params).await?;
    change.tell([event.project(old.project_id)]);
    change.commit(Json(SkillResponse { skill })).await
}
