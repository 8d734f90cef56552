//! Rows and SQL of artifact reports, and the one way to add one.

use loopctl_core::json::JsonText;
use loopctl_core::role::Role;
use loopctl_core::webhooks::EventType;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::api::ArtifactCreateRequest;
use crate::app::Change;
use crate::db::{AsJson, DbError, Params, Row, Timestamp, statements};
use crate::events::{Event, Notice, OfStory};

/// An artifact report, of the alias `a`.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct ArtifactReport {
    #[row(sql = "(a).id")]
    id: Uuid,
    #[row(sql = "(a).tenant_id")]
    tenant_id: Uuid,
    #[row(sql = "(a).story_id")]
    story_id: Uuid,
    /// `agent` or `orchestrator`, from the key's role.
    #[row(sql = "(a).reported_by")]
    reported_by: Role,
    #[row(sql = "(a).reporter_agent_id")]
    reporter_agent_id: Option<Uuid>,
    #[row(sql = "(a).artifact_type")]
    artifact_type: String,
    #[row(sql = "(a).path")]
    path: String,
    #[row(sql = "(a).\"exists\"")]
    exists: bool,
    #[row(sql = "(a).details")]
    details: JsonText,
    #[row(sql = "(a).inserted_at")]
    inserted_at: Timestamp,
    #[row(sql = "(a).updated_at")]
    updated_at: Timestamp,
}

/// A story, and where it is.
#[derive(Row)]
pub(crate) struct Place {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) epic_id: Uuid,
}

statements! {
    /// The story stays until the transaction ends. Its first artifact is noted in its state.
    KEEP_REPORTED_STORY -> Place = "
        select {*} from story_states where tenant_id = $1 and id = $2 for no key update";
    INSERT_ARTIFACT -> ArtifactReport = r#"
        insert into artifact_reports as a (tenant_id, id, story_id, reported_by, reporter_agent_id, artifact_type, path,
                                      "exists", details, inserted_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp(), clock_timestamp())
        returning {*}"#;
    LIST_ARTIFACTS -> list of ArtifactReport = {
        within: "stories where tenant_id = $1 and id = $2",
        from: "artifact_reports a where tenant_id = $1 and story_id = $2",
        page: "order by inserted_at, id limit $3 offset $4",
    };
}

/// Adds a report to a story that the caller has found in this transaction, and yields its event.
pub(crate) async fn insert(
    change: &mut Change<'_>,
    story: &Place,
    new: &ArtifactCreateRequest,
) -> Result<(ArtifactReport, Event), DbError> {
    let caller = change.caller;
    let Place { id: story_id, project_id, epic_id } = *story;
    let params: Params<'_> = &[
        &Uuid::now_v7(),
        &story_id,
        &caller.role.as_str(),
        &caller.agent_id,
        &new.artifact_type,
        &new.path,
        &new.exists,
        &AsJson(&new.details),
    ];
    let report = change.one(INSERT_ARTIFACT, params).await?;
    let told = json!({
        "story_id": story_id, "artifact_type": report.artifact_type, "path": report.path, "exists": report.exists,
        "reported_by": report.reported_by, "reporter_agent_id": report.reporter_agent_id,
    });
    let what = json!({
        "artifact_report_id": report.id, "artifact_type": report.artifact_type, "path": report.path,
        "reported_by": report.reported_by, "reporter_agent_id": report.reporter_agent_id,
    });
    let notice = Notice::new(EventType::ArtifactReported, &OfStory { story_id, project_id, epic_id, what });
    let event = Event::new("artifact_report", report.id, "created", told)
        .project(project_id)
        .meta("story_id", story_id.to_string())
        .telling(notice);
    Ok((report, event))
}
