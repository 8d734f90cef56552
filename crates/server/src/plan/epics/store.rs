//! Rows and SQL of epics.

use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::text::EpicText;
use crate::db::{Row, Timestamp, statements};
use crate::plan::projects::StatusCounts;

/// An epic.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Epic {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    pub(super) project_id: Uuid,
    pub(super) number: i32,
    #[serde(flatten)]
    #[row(flatten)]
    pub(super) text: EpicText,
    /// When all of its stories were verified for the first time.
    completed_at: Option<Timestamp>,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

/// An epic in a list.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct EpicItem {
    #[serde(flatten)]
    #[row(flatten)]
    epic: Epic,
    #[row(sql = "(select stories from epic_states e where e.tenant_id = $1 and e.id = epics.id)")]
    story_count: i32,
    /// Verified stories in per cent, one decimal; 0.0 without stories.
    #[row(sql = "(select coalesce(round(100.0 * (stories - open) / nullif(stories, 0), 1), 0)::float8
                  from epic_states e where e.tenant_id = $1 and e.id = epics.id)")]
    completion_percentage: f64,
}

/// A story in an epic's detail.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct StoryMini {
    id: Uuid,
    number: String,
    title: String,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
}

/// How far an epic is.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct EpicProgress {
    #[serde(flatten)]
    #[row(flatten)]
    stories: StatusCounts,
    /// Verified stories in per cent, one decimal; 0.0 without stories.
    #[row(sql = "coalesce(round(100.0 * count(*) filter (where verified_status = 'verified')
                                / nullif(count(*), 0), 1), 0)::float8")]
    verification_percentage: f64,
}

/// A story that went with its epic.
#[derive(Row)]
pub(super) struct DeletedStory {
    pub(super) id: Uuid,
    pub(super) number: String,
    pub(super) title: String,
}

statements! {
    LIST_EPICS -> list of EpicItem = {
        within: "projects where tenant_id = $1 and id = $2",
        from: "epics where tenant_id = $1 and project_id = $2 and ($3::text is null or phase = $3)",
        page: "order by position, number, id limit $4 offset $5",
    };
    SHOW_EPIC -> Epic = "select {*} from epics where tenant_id = $1 and id = $2";
    EPIC_STORIES -> StoryMini = "
        select {*} from whole_stories where tenant_id = $1 and epic_id = $2 order by order_key, number, id";
    /// An unknown epic yields no row.
    EPIC_PROGRESS -> EpicProgress = "
        select {*} from whole_stories where tenant_id = $1 and epic_id = $2
        having exists (select from epics where tenant_id = $1 and id = $2)";
    EPIC_PROJECT -> Uuid = "select project_id from epics where tenant_id = $1 and id = $2";
    EPIC_STORY_IDS -> Uuid = "select id from stories where tenant_id = $1 and epic_id = $2 order by id";
    LOCK_EPIC -> Epic = "select {*} from epics where tenant_id = $1 and id = $2 for no key update";
    INSERT_EPIC -> Epic = "
        insert into epics (tenant_id, id, project_id, number, title, description, phase, position, metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        returning {*}";
    /// A trigger brings a changed position to the stories.
    UPDATE_EPIC -> Epic = "
        update epics set title = $3, description = $4, phase = $5, position = $6, metadata = $7,
                         updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
    /// What hangs on the stories goes with them; they are told in the order of stories.
    DELETE_EPIC_STORIES -> DeletedStory = "
        with deleted as (
            delete from stories where tenant_id = $1 and epic_id = $2 returning id, number, title, order_key
        )
        select {*} from deleted order by order_key, number, id";
    DELETE_EPIC = "delete from epics where tenant_id = $1 and id = $2";
}
