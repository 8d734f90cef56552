//! SQL of epics.

use tokio_postgres::Row;

use super::api::{Epic, StoryMini};
use crate::db::{DbError, statements};
use crate::projects::status_counts;

statements! {
    COUNT_EPICS = "
        select count(*) as total, exists (select from projects where tenant_id = $1 and id = $2) as known
        from epics where tenant_id = $1 and project_id = $2 and ($3::text is null or phase = $3)";
    LIST_EPICS = "
        select e.*, coalesce(s.total, 0)::bigint as story_count, coalesce(s.verified, 0)::bigint as verified_count
        from (
            select * from epics
            where tenant_id = $1 and project_id = $2 and ($3::text is null or phase = $3)
            order by position, number, id limit $4 offset $5
        ) e
        left join lateral (
            select count(*) as total, count(*) filter (where verified_status = 'verified') as verified
            from stories where tenant_id = $1 and epic_id = e.id
        ) s on true
        order by e.position, e.number, e.id";
    SHOW_EPIC = "select * from epics where tenant_id = $1 and id = $2";
    EPIC_PROGRESS = concat!("
        select ", status_counts!(), ",
               exists (select from epics where tenant_id = $1 and id = $2) as known
        from stories where tenant_id = $1 and epic_id = $2");
    EPIC_PROJECT = "select project_id from epics where tenant_id = $1 and id = $2";
    LOCK_EPIC_STORIES =
        "select id from stories where tenant_id = $1 and epic_id = $2 order by id for update";
    LOCK_EPIC = "select * from epics where tenant_id = $1 and id = $2 for no key update";
    INSERT_EPIC = "
        insert into epics (tenant_id, id, project_id, number, title, description, phase, position, metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        returning *";
    /// The foreign key brings a changed position to the stories.
    UPDATE_EPIC = "
        update epics set title = $3, description = $4, phase = $5, position = $6, metadata = $7,
                         updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning *";
    /// What hangs on the stories goes with them; they are told in the order of stories.
    DELETE_EPIC_STORIES = "
        with deleted as (
            delete from stories where tenant_id = $1 and epic_id = $2 returning id, number, title, major, minor
        )
        select id, number, title from deleted order by major, minor, number, id";
    DELETE_EPIC = "delete from epics where tenant_id = $1 and id = $2";
    EPIC_STORIES = "
        select id, number, title, agent_status, verified_status from stories
        where tenant_id = $1 and epic_id = $2 order by major, minor, number, id";
}

/// Reads a row of `epics`.
pub(super) fn read(row: &Row) -> Result<Epic, DbError> {
    Ok(Epic {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        project_id: row.try_get("project_id")?,
        number: row.try_get("number")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        phase: row.try_get("phase")?,
        position: row.try_get("position")?,
        metadata: row.try_get("metadata")?,
        completed_at: row.try_get("completed_at")?,
        inserted_at: row.try_get("inserted_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// Reads a story of an epic's detail.
pub(super) fn read_mini(row: &Row) -> Result<StoryMini, DbError> {
    Ok(StoryMini {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        title: row.try_get("title")?,
        agent_status: row.try_get("agent_status")?,
        verified_status: row.try_get("verified_status")?,
    })
}
