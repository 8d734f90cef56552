//! Rows and SQL of projects.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A project.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct Project {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) repo_url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) tech_stack: Option<String>,
    /// `active` or `archived`.
    pub(super) status: String,
    pub(super) mission: Option<String>,
    pub(super) metadata: JsonText,
    pub(super) inserted_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// A project with the size of its plan.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct ProjectDetail {
    #[serde(flatten)]
    #[row(flatten)]
    project: Project,
    #[row(sql = "(select count(*) from epics where tenant_id = $1 and project_id = $2)")]
    epic_count: i64,
    #[row(
        sql = "(select coalesce(sum(stories), 0) from epic_states where tenant_id = $1 and project_id = $2)"
    )]
    story_count: i64,
}

/// How many stories there are, and how many in which status: every status, also those with no stories.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct StatusCounts {
    #[row(sql = "count(*)")]
    total_stories: i64,
    #[row(flatten)]
    stories_by_agent_status: AgentStatusCounts,
    #[row(flatten)]
    stories_by_verified_status: VerifiedStatusCounts,
    /// Verified by the loop: reported, reviewed and verified there, by others than those who did the work.
    #[row(sql = "count(*) filter (where verification_source = 'loop')")]
    verified_in_loop: i64,
    /// Verified otherwise: backfilled, marked complete, or brought by an import as verified or reported.
    #[row(sql = "count(*) filter (where verification_source <> 'loop')")]
    verified_adopted: i64,
}

/// Stories by what is claimed of them, in the order of a story's life.
#[derive(Debug, Serialize, JsonSchema, Row)]
struct AgentStatusCounts {
    #[row(sql = "count(*) filter (where agent_status = 'pending')")]
    pending: i64,
    #[row(sql = "count(*) filter (where agent_status = 'contracted')")]
    contracted: i64,
    #[row(sql = "count(*) filter (where agent_status = 'assigned')")]
    assigned: i64,
    #[row(sql = "count(*) filter (where agent_status = 'implementing')")]
    implementing: i64,
    #[row(sql = "count(*) filter (where agent_status = 'reported_done')")]
    reported_done: i64,
}

/// Stories by what was verified of them.
#[derive(Debug, Serialize, JsonSchema, Row)]
struct VerifiedStatusCounts {
    #[row(sql = "count(*) filter (where verified_status = 'unverified')")]
    unverified: i64,
    #[row(sql = "count(*) filter (where verified_status = 'verified')")]
    verified: i64,
    #[row(sql = "count(*) filter (where verified_status = 'rejected')")]
    rejected: i64,
}

/// How far a project is.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Progress {
    #[serde(flatten)]
    #[row(flatten)]
    stories: StatusCounts,
    #[row(sql = "(select count(*) from epics where tenant_id = $1 and project_id = $2)")]
    total_epics: i64,
    /// Epics with at least one story and every story verified.
    #[row(
        sql = "count(distinct epic_id) - count(distinct epic_id) filter (where verified_status <> 'verified')"
    )]
    epics_completed: i64,
    /// Verified stories in per cent, one decimal; 0.0 without stories.
    #[row(sql = "coalesce(round(100.0 * count(*) filter (where verified_status = 'verified')
                                / nullif(count(*), 0), 1), 0)::float8")]
    verification_percentage: f64,
    #[row(sql = "coalesce(sum(estimated_hours), 0)::float8")]
    #[serde(serialize_with = "whole_or_fraction")]
    estimated_hours_total: f64,
    /// Of verified stories.
    #[row(sql = "coalesce(sum(estimated_hours) filter (where verified_status = 'verified'), 0)::float8")]
    #[serde(serialize_with = "whole_or_fraction")]
    estimated_hours_completed: f64,
}

/// A sum of hours as the wire wants it: `8`, not `8.0`.
fn whole_or_fraction<S: Serializer>(hours: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if hours.fract() == 0.0 && hours.abs() < 1e15 {
        return serializer.serialize_i64(*hours as i64);
    }
    serializer.serialize_f64(*hours)
}

statements! {
    PROJECT_KNOWN -> Uuid = "select id from projects where tenant_id = $1 and id = $2";
    COUNT_ACTIVE_PROJECTS -> i64 = "select count(*) from projects where tenant_id = $1 and status = 'active'";
    INSERT_PROJECT -> Project = "
        insert into projects (tenant_id, id, name, slug, repo_url, description, tech_stack, mission, metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        returning {*}";
    /// What changes a project waits for imports into it, too.
    LOCK_PROJECT_ROW -> Project =
        "select {*} from projects where tenant_id = $1 and id = $2 for no key update";
    UPDATE_PROJECT -> Project = "
        update projects set name = $3, repo_url = $4, description = $5, tech_stack = $6, status = $7, mission = $8,
                            metadata = $9, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
    LIST_PROJECTS -> list of Project = {
        within: "",
        from: "
            projects
            where tenant_id = $1 and ($2::text is null or status = $2) and ($3::text is null or slug = $3)",
        page: "order by name, id limit $4 offset $5",
    };
    SHOW_PROJECT -> ProjectDetail = "select {*} from projects where tenant_id = $1 and id = $2";
    /// One pass over the project's stories. An unknown project yields no row.
    PROJECT_PROGRESS -> Progress = "
        select {*} from whole_stories where tenant_id = $1 and project_id = $2
        having exists (select from projects where tenant_id = $1 and id = $2)";
}
