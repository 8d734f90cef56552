//! Requests, answers and the handler of imports.

use std::collections::HashMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use loopctl_core::fields::Fields;
use loopctl_core::import::{self, Ignored, ImportError, Mode, Payload, Plan};
use loopctl_core::lifecycle::{self, AgentStatus};
use loopctl_core::request::{Member, Request, Rule as _, flag};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::audit;
use super::store::{REFRESH_DETAILS, Snapshot, TOUCHED_BEFORE, Texts, snapshot, texts};
use super::write::{Changed, VERY_LARGE, changed_epics, changed_stories, write};
use crate::app::{App, Caller, Change, Exact, Orchestrator, Superadmin, User};
use crate::http::{Answer, ApiError, ApiResult, Id, Kept, LargeBody, Operation, Output};
use crate::plan::projects::lock_project;
use crate::plan::stories::{StoryText, UnderWay};

/// The most stories that a refusal names.
const NAMED: usize = 20;

/// `POST /projects/:id/import`.
#[derive(Debug)]
pub(super) struct ImportRequest {
    mode: Mode,
    /// What is wrong with it is told after the project was looked up.
    payload: Result<Payload, ImportError>,
}

impl Request for ImportRequest {
    const NAME: &'static str = "ImportRequest";

    fn read(fields: &mut Fields<'_>) -> Self {
        let mode = if flag().read(fields, "merge") { Mode::Merge } else { Mode::Fresh };
        Self { mode, payload: import::parse(fields.object(), mode) }
    }

    fn members() -> Vec<Member> {
        let list = |name, description| {
            let schema = json_schema!({"type": "array", "items": {"type": "object"}});
            Member { name, description, schema, required: false }
        };
        let mut members = vec![
            list("epics", "At most 500, with at most 5000 stories; only a merge may leave the list out."),
            list("story_dependencies", "`{\"story\": \"1.2\", \"depends_on\": \"1.1\"}`"),
            list("epic_dependencies", "`{\"epic\": 2, \"depends_on\": 1}`"),
        ];
        let about = "Update what exists instead of refusing it; also as a query parameter.";
        members.extend(flag().members("merge", about));
        members
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Imported{S}")]
pub(super) struct Imported<S> {
    import: S,
}

/// What an import did.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Summary {
    Fresh(FreshSummary),
    Merge(MergeSummary),
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FreshSummary {
    epics_created: usize,
    stories_created: usize,
    /// Of both kinds.
    dependencies_created: usize,
    #[serde(flatten)]
    unread: Option<Unread>,
}

/// Keys of the payload that nothing reads; left out where there are none.
#[derive(Serialize, JsonSchema)]
struct Unread {
    /// The first 20, such as `epics[0].stories[1].acceptanceCriteria`.
    ignored: Vec<String>,
    /// How many there are.
    ignored_count: usize,
}

impl Unread {
    fn of(payload: &Payload) -> Option<Self> {
        let Ignored { paths, count } = payload.ignored.clone();
        (count > 0).then_some(Self { ignored: paths, ignored_count: count })
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct MergeSummary {
    epics_created: usize,
    /// Matched, changed or not.
    epics_updated: usize,
    stories_created: usize,
    /// Matched, changed or not.
    stories_updated: usize,
    /// What the project has and the payload leaves out, by number.
    stories_orphaned: Vec<Orphan>,
    /// Of both kinds.
    dependencies_created: usize,
    /// Of both kinds.
    dependencies_existing: usize,
    #[serde(flatten)]
    unread: Option<Unread>,
}

#[derive(Serialize, JsonSchema)]
struct Orphan {
    number: String,
    title: Option<String>,
}

impl Summary {
    const fn stories_created(&self) -> usize {
        match self {
            Self::Fresh(summary) => summary.stories_created,
            Self::Merge(summary) => summary.stories_created,
        }
    }

    fn of(mode: Mode, plan: &Plan, found: &Snapshot, unread: Option<Unread>) -> Self {
        let (epics_created, stories_created) = (plan.new_epics.len(), plan.new_stories.len());
        let dependencies_created = plan.new_story_edges.len() + plan.new_epic_edges.len();
        let orphans = plan
            .orphans
            .iter()
            .map(|number| Orphan { number: number.to_string(), title: found.titles.get(number).cloned() });
        match mode {
            Mode::Fresh => {
                Self::Fresh(FreshSummary { epics_created, stories_created, dependencies_created, unread })
            }
            Mode::Merge => Self::Merge(MergeSummary {
                epics_created,
                epics_updated: plan.updated_epics.len(),
                stories_created,
                stories_updated: plan.updated_stories.len(),
                stories_orphaned: orphans.collect(),
                dependencies_created,
                dependencies_existing: plan.existing_edges,
                unread,
            }),
        }
    }
}

impl IntoResponse for Imported<Summary> {
    fn into_response(self) -> Response {
        let status = match self.import {
            Summary::Fresh(_) => StatusCode::CREATED,
            Summary::Merge(_) => StatusCode::OK,
        };
        (status, Json(self)).into_response()
    }
}

impl Answer for Imported<Summary> {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        match self.import {
            Summary::Fresh(_) => Kept::created(self),
            Summary::Merge(_) => Kept::ok(self),
        }
    }
}

impl Output for Imported<Summary> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<Imported<FreshSummary>>(201, "Imported");
        operation.answer::<Imported<MergeSummary>>(200, "Merged");
    }
}

pub(super) async fn import(
    caller: Caller<Exact<(Orchestrator, User, Superadmin)>>,
    Id(project_id): Id,
    body: LargeBody<ImportRequest>,
) -> ApiResult<Imported<Summary>> {
    // Was read without the lock: nobody waits for a large payload to be read.
    let ImportRequest { mode, payload } = body.valid()?;
    let _turn = caller.app.fair.heavy(caller.tenant_id).await?;
    let imported = caller
        .change_much(async |mut change| {
            // An unknown project is 404 whatever the payload says.
            let project = lock_project(&mut change, project_id).await?;
            let payload = payload.clone().map_err(refused)?;
            let unread = Unread::of(&payload);
            let found = snapshot(&mut change, project_id).await?;
            let mut plan = payload.plan(&found.existing).map_err(refused)?;
            let texts = texts(&mut change, &plan, &found).await?;
            settle_metadata(&mut plan, &texts)?;
            let new_stories = plan.new_stories.len();
            if new_stories > 0 {
                project.admits((found.stories.len() + new_stories) as u64)?;
            }
            refuse_done_again(&mut change, project_id, &plan).await?;
            let (epics, stories) = (changed_epics(&plan, &texts), changed_stories(&plan, &texts));
            let under_way = UnderWay::admit(&mut change, &asking_for_other(&stories, &texts)).await?;
            let written = write(&mut change, project_id, &plan, &found, epics, stories).await?;
            let summary = Summary::of(*mode, &plan, &found, unread);
            change.tell(audit::events(project_id, &plan, written, &under_way, &summary)?);
            change.commit(Imported { import: summary }).await
        })
        .await?;
    if imported.import.stories_created() >= VERY_LARGE {
        refresh_statistics(&caller.app).await;
    }
    Ok(imported)
}

/// Work that an agent touched before its story was deleted is finished in the loop: it does not arrive as done.
async fn refuse_done_again(change: &mut Change<'_>, project_id: Uuid, plan: &Plan) -> ApiResult<()> {
    let done =
        plan.new_stories.iter().filter(|story| story.initial.agent_status() == AgentStatus::ReportedDone);
    let numbers: Vec<&str> = done.map(|story| story.number.as_str()).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let touched = change.all(TOUCHED_BEFORE, &[&project_id, &numbers]).await?;
    let Some(first) = touched.first() else { return Ok(()) };
    let message = format!(
        "story '{first}' cannot arrive as done: an agent had worked on the story of this number before it was deleted"
    );
    let hint =
        "Import it without initial_agent_status and initial_verified_status, and finish it through the loop.";
    Err(ApiError::unprocessable(Code::NotPreExisting, message).with("hints", json!([hint])).with(
        "details",
        json!({"story_numbers": touched.iter().take(NAMED).collect::<Vec<_>>(),
                                "story_count": touched.len()}),
    ))
}

/// The changed stories that get another title or other criteria.
fn asking_for_other(changed: &[Changed<StoryText>], texts: &Texts) -> Vec<Uuid> {
    let old: HashMap<Uuid, &StoryText> = texts.stories.values().map(|(id, text)| (*id, text)).collect();
    let other = changed
        .iter()
        .filter(|change| old.get(&change.id).is_some_and(|old| !old.asks_the_same(&change.new)));
    other.map(|change| change.id).collect()
}

/// Of a backfill, metadata of matched stories says what planners may say.
fn settle_metadata(plan: &mut Plan, texts: &Texts) -> ApiResult<()> {
    for (number, change) in &mut plan.updated_stories {
        let Some((sent, (_, old))) = change.metadata.as_mut().zip(texts.stories.get(number)) else {
            continue;
        };
        *sent = lifecycle::imported_over(&old.metadata, sent)
            .map_err(|message| ImportError::Invalid(format!("story '{number}': metadata: {message}")))
            .map_err(refused)?;
    }
    Ok(())
}

/// Lets the planner know of what has arrived with the stories. The import is done, whatever becomes of this.
async fn refresh_statistics(app: &App) {
    if let Err(error) = app.db.without_tenant(REFRESH_DETAILS, &[]).await {
        tracing::warn!(%error, "statistics were not refreshed after a large import");
    }
}

fn refused(error: ImportError) -> ApiError {
    let message = error.to_string();
    match error {
        ImportError::Invalid(_) => ApiError::unprocessable(Code::InvalidImport, message),
        ImportError::Conflict { epics, stories } => ApiError::conflict(Code::ImportConflict, message)
            .with("details", json!({"duplicate_epic_numbers": epics, "duplicate_story_numbers": stories})),
    }
}
