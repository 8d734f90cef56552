//! SQL of projects.

use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use serde_json::{Map, Value};
use tokio_postgres::Row;

use super::api::{Progress, Project};
use crate::db::{DbError, statements};

/// The columns that [`by_status`] reads, besides `total`: how many stories there are in each status.
macro_rules! status_counts {
    () => {
        " count(*) as total,
          count(*) filter (where agent_status = 'pending') as pending,
          count(*) filter (where agent_status = 'contracted') as contracted,
          count(*) filter (where agent_status = 'assigned') as assigned,
          count(*) filter (where agent_status = 'implementing') as implementing,
          count(*) filter (where agent_status = 'reported_done') as reported_done,
          count(*) filter (where verified_status = 'unverified') as unverified,
          count(*) filter (where verified_status = 'verified') as verified,
          count(*) filter (where verified_status = 'rejected') as rejected"
    };
}

pub(crate) use status_counts;

statements! {
    PROJECT_KNOWN = "select id from projects where tenant_id = $1 and id = $2";
    COUNT_ACTIVE_PROJECTS =
        "select count(*) as total from projects where tenant_id = $1 and status = 'active'";
    INSERT_PROJECT = "
        insert into projects (tenant_id, id, name, slug, repo_url, description, tech_stack, mission, metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        returning *";
    /// What changes a project waits for imports into it, too.
    LOCK_PROJECT_ROW = "select * from projects where tenant_id = $1 and id = $2 for no key update";
    UPDATE_PROJECT = "
        update projects set name = $3, repo_url = $4, description = $5, tech_stack = $6, status = $7, mission = $8,
                            metadata = $9, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning *";
    COUNT_PROJECTS = "
        select count(*) as total from projects
        where tenant_id = $1 and ($2::text is null or status = $2) and ($3::text is null or slug = $3)";
    LIST_PROJECTS = "
        select * from projects
        where tenant_id = $1 and ($2::text is null or status = $2) and ($3::text is null or slug = $3)
        order by name, id limit $4 offset $5";
    SHOW_PROJECT = "
        select p.*,
               (select count(*) from epics e where e.tenant_id = $1 and e.project_id = $2) as epic_count,
               (select count(*) from stories s where s.tenant_id = $1 and s.project_id = $2) as story_count
        from projects p where p.tenant_id = $1 and p.id = $2";
    /// One pass over the project's stories, grouped by epic, then over the epics.
    PROJECT_PROGRESS = concat!("
        with by_epic as (
            select epic_id, ", status_counts!(), ",
                   sum(estimated_hours) as hours,
                   sum(estimated_hours) filter (where verified_status = 'verified') as hours_completed
            from stories where tenant_id = $1 and project_id = $2 group by epic_id
        )
        select coalesce(sum(total), 0)::bigint as total, coalesce(sum(pending), 0)::bigint as pending,
               coalesce(sum(contracted), 0)::bigint as contracted, coalesce(sum(assigned), 0)::bigint as assigned,
               coalesce(sum(implementing), 0)::bigint as implementing,
               coalesce(sum(reported_done), 0)::bigint as reported_done,
               coalesce(sum(unverified), 0)::bigint as unverified, coalesce(sum(verified), 0)::bigint as verified,
               coalesce(sum(rejected), 0)::bigint as rejected,
               count(*) filter (where total = verified) as epics_completed,
               coalesce(sum(hours), 0)::float8 as hours,
               coalesce(sum(hours_completed), 0)::float8 as hours_completed,
               (select count(*) from epics where tenant_id = $1 and project_id = $2) as epics,
               exists (select from projects where tenant_id = $1 and id = $2) as known
        from by_epic");
}

/// Reads a row of `projects`.
pub(super) fn read(row: &Row) -> Result<Project, DbError> {
    Ok(Project {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        name: row.try_get("name")?,
        slug: row.try_get("slug")?,
        repo_url: row.try_get("repo_url")?,
        description: row.try_get("description")?,
        tech_stack: row.try_get("tech_stack")?,
        status: row.try_get("status")?,
        mission: row.try_get("mission")?,
        metadata: row.try_get("metadata")?,
        inserted_at: row.try_get("inserted_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// Reads the row of `PROJECT_PROGRESS`; None for an unknown project.
pub(super) fn read_progress(row: &Row) -> Result<Option<Progress>, DbError> {
    if !row.try_get::<_, bool>("known")? {
        return Ok(None);
    }
    let count = |column: &str| -> Result<i64, DbError> { Ok(row.try_get(column)?) };
    let by_status = by_status(row)?;
    Ok(Some(Progress {
        total_stories: count("total")?,
        stories_by_agent_status: by_status.agent,
        stories_by_verified_status: by_status.verified,
        total_epics: count("epics")?,
        epics_completed: count("epics_completed")?,
        verification_percentage: percentage(count("verified")?, count("total")?),
        estimated_hours_total: whole_or_fraction(row.try_get("hours")?),
        estimated_hours_completed: whole_or_fraction(row.try_get("hours_completed")?),
    }))
}

/// How many stories are in which status: every status, in the order of a story's life.
pub(crate) struct ByStatus {
    pub(crate) agent: Map<String, Value>,
    pub(crate) verified: Map<String, Value>,
}

/// Reads the counts that `status_counts!` selects.
pub(crate) fn by_status(row: &Row) -> Result<ByStatus, DbError> {
    let count = |word: &'static str| -> Result<(String, Value), DbError> {
        Ok((word.to_owned(), row.try_get::<_, i64>(word)?.into()))
    };
    let agent = AgentStatus::ALL.iter().map(|status| count(status.as_str())).collect::<Result<_, _>>()?;
    let verified =
        VerifiedStatus::ALL.iter().map(|status| count(status.as_str())).collect::<Result<_, _>>()?;
    Ok(ByStatus { agent, verified })
}

/// A share in per cent with one decimal; 0.0 of nothing.
pub(crate) fn percentage(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 1000.0 / whole as f64).round() / 10.0 }
}

/// A sum of hours as the wire wants it: `8`, not `8.0`.
fn whole_or_fraction(hours: f64) -> Value {
    if hours.fract() == 0.0 && hours.abs() < 1e15 { (hours as i64).into() } else { hours.into() }
}
