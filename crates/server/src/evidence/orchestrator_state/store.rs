//! Rows and SQL of orchestrator states.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A checkpoint.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct OrchestratorState {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    project_id: Uuid,
    state_key: String,
    /// As it was saved.
    pub(super) state_data: JsonText,
    /// 1 after the first save, and one more with each.
    pub(super) version: i32,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

/// What a save finds in its project under its key.
#[derive(Row)]
pub(super) struct Saved {
    /// None when nothing is saved.
    #[row(sql = "s.id")]
    pub(super) id: Option<Uuid>,
    /// 0 when nothing is saved.
    #[row(sql = "coalesce(s.version, 0)")]
    pub(super) version: i32,
    #[row(sql = "s.state_data")]
    pub(super) state_data: Option<JsonText>,
}

/// A save, as the audit log tells of it.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SavedState {
    #[row(sql = "(new_state ->> 'version')::integer")]
    version: i32,
    #[row(sql = "new_state -> 'state_data'")]
    state_data: JsonText,
    /// `orchestrator:<key name>`.
    #[row(sql = "actor_label")]
    saved_by: Option<String>,
    #[row(sql = "inserted_at")]
    pub(super) saved_at: Timestamp,
}

statements! {
    /// No row without the project, which stays until the transaction ends.
    FIND_STATE -> Saved = "
        select {*}
        from projects p
             left join orchestrator_states s on s.tenant_id = p.tenant_id and s.project_id = p.id and s.state_key = $3
        where p.tenant_id = $1 and p.id = $2 for key share of p";
    /// No row when somebody else was first.
    FIRST_SAVE -> OrchestratorState = "
        insert into orchestrator_states (tenant_id, id, project_id, state_key, state_data, inserted_at, updated_at)
        values ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp())
        on conflict (tenant_id, project_id, state_key) do nothing
        returning {*}";
    /// No row when the version has moved on. The data of one version never changes: what was read of the version
    /// that this replaces is what it replaces.
    NEXT_SAVE -> OrchestratorState = "
        update orchestrator_states set state_data = $4, version = version + 1, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2 and version = $3
        returning {*}";
    SHOW_STATE -> OrchestratorState = "
        select {*} from orchestrator_states where tenant_id = $1 and project_id = $2 and state_key = $3";
    LIST_SAVES -> list of SavedState = {
        within: "projects where tenant_id = $1 and id = $2",
        from: "
            audit_log
            where tenant_id = $1 and entity_type = 'orchestrator_state' and action = 'saved'
              and entity_id = (select id from orchestrator_states
                               where tenant_id = $1 and project_id = $2 and state_key = $3)",
        page: "
            and inserted_at < coalesce($6::timestamptz, 'infinity')
            order by inserted_at desc limit $4 offset $5",
    };
}
