//! SQL of artifact reports, and the one way to add one.

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{ArtifactReport, NewArtifact};
use crate::db::{DbError, Tx, statements};
use crate::events::Event;
use crate::http::Identity;

statements! {
    STORY_PROJECT = "select project_id from stories where tenant_id = $1 and id = $2 for key share";
    INSERT_ARTIFACT = r#"
        insert into artifact_reports (tenant_id, id, story_id, reported_by, reporter_agent_id, artifact_type, path,
                                      "exists", details, inserted_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp(), clock_timestamp())
        returning *"#;
    COUNT_ARTIFACTS = "
        select count(*) as total, exists (select from stories where tenant_id = $1 and id = $2) as known
        from artifact_reports where tenant_id = $1 and story_id = $2";
    LIST_ARTIFACTS = "
        select * from artifact_reports where tenant_id = $1 and story_id = $2
        order by inserted_at, id limit $3 offset $4";
}

/// Adds a report to a story that the caller has found in this transaction, and yields its event.
pub(crate) async fn insert(
    tx: &mut Tx,
    caller: &Identity,
    story_id: Uuid,
    project_id: Uuid,
    new: NewArtifact,
) -> Result<(ArtifactReport, Event), DbError> {
    let row = tx
        .query_one(
            INSERT_ARTIFACT,
            &[
                &caller.tenant_id,
                &Uuid::now_v7(),
                &story_id,
                &caller.role.as_str(),
                &caller.agent_id,
                &new.artifact_type,
                &new.path,
                &new.exists,
                &Value::Object(new.details),
            ],
        )
        .await?;
    let report = ArtifactReport::read(&row)?;
    let event = Event::new(
        "artifact_report",
        report.id,
        "created",
        json!({
            "story_id": story_id, "artifact_type": report.artifact_type, "path": report.path,
            "exists": report.exists, "reported_by": report.reported_by,
            "reporter_agent_id": report.reporter_agent_id,
        }),
    )
    .project(project_id)
    .meta("story_id", story_id.to_string());
    Ok((report, event))
}
