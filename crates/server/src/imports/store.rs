//! SQL of imports. Reads take the whole project, writes take whole columns as arrays: the number of
//! statements does not grow with the payload.

use std::collections::HashMap;

use loopctl_core::import::Existing;
use loopctl_core::number::StoryNumber;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::db::{DbError, Statement, Tx, statements};
use crate::epics::EpicText;
use crate::stories::StoryText;

statements! {
    PROJECT_EPICS = "
        select id, number, title, description, phase, position, metadata from epics
        where tenant_id = $1 and project_id = $2 order by number";
    PROJECT_STORIES = "
        select s.id, s.number, e.number as epic, s.title, s.description, s.acceptance_criteria, s.estimated_hours,
               s.metadata
        from stories s join epics e on e.tenant_id = s.tenant_id and e.id = s.epic_id
        where s.tenant_id = $1 and s.project_id = $2 order by s.id";
    /// In the order of ids as everywhere, and before any epic: a changed position reaches the epic's stories.
    LOCK_PROJECT_STORIES = "
        select id from stories where tenant_id = $1 and project_id = $2 order by id for no key update";
    PROJECT_STORY_EDGES = "
        select s.number as dependent, p.number as prerequisite from story_dependencies d
        join stories s on s.tenant_id = d.tenant_id and s.id = d.story_id
        join stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid)";
    PROJECT_EPIC_EDGES = "
        select e.number as dependent, p.number as prerequisite from epic_dependencies d
        join epics e on e.tenant_id = d.tenant_id and e.id = d.epic_id
        join epics p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid)";
    /// Epics and stories: what foreign keys point at.
    REFRESH_RECORDS = "select refresh_record_statistics()";
    /// Criteria and dependencies: what goes with a deleted story.
    REFRESH_DETAILS = "select refresh_detail_statistics()";
    INSERT_EPICS = "
        insert into epics (tenant_id, project_id, id, number, title, description, phase, position, metadata)
        select $1, $2, * from unnest($3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[], $9::jsonb[])";
    UPDATE_EPICS = "
        update epics e set title = n.title, description = n.description, phase = n.phase, position = n.position,
                           metadata = n.metadata, updated_at = clock_timestamp()
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::jsonb[])
             as n (id, title, description, phase, position, metadata)
        where e.tenant_id = $1 and e.id = n.id";
    INSERT_STORIES = "
        insert into stories (tenant_id, project_id, id, epic_id, epic_position, number, major, minor, title, description,
                             acceptance_criteria, estimated_hours, metadata, agent_status, verified_status,
                             reported_done_at, verified_at)
        select $1, $2, n.id, e.id, e.position, n.number, n.major, n.minor, n.title, n.description, n.criteria, n.hours,
               n.metadata, n.agent_status, n.verified_status,
               case when n.agent_status = 'reported_done' then now() end,
               case when n.verified_status = 'verified' then now() end
        from unnest($3::uuid[], $4::int[], $5::text[], $6::int[], $7::int[], $8::text[], $9::text[], $10::jsonb[],
                    $11::numeric[], $12::jsonb[], $13::text[], $14::text[])
             as n (id, epic, number, major, minor, title, description, criteria, hours, metadata, agent_status,
                   verified_status)
        join epics e on e.tenant_id = $1 and e.project_id = $2 and e.number = n.epic";
    UPDATE_STORIES = "
        update stories s set title = n.title, description = n.description, acceptance_criteria = n.criteria,
                             estimated_hours = n.hours, metadata = n.metadata, updated_at = clock_timestamp()
        from unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::numeric[], $7::jsonb[])
             as n (id, title, description, criteria, hours, metadata)
        where s.tenant_id = $1 and s.id = n.id";
    INSERT_EPIC_EDGES = "
        insert into epic_dependencies (tenant_id, project_id, id, epic_id, depends_on_epic_id)
        select $1, $2, * from unnest($3::uuid[], $4::uuid[], $5::uuid[])";
    INSERT_STORY_EDGES = "
        insert into story_dependencies (tenant_id, project_id, id, story_id, depends_on_story_id)
        select $1, $2, * from unnest($3::uuid[], $4::uuid[], $5::uuid[])";
}

/// What the project has, by number, read under its lock.
pub(super) struct Snapshot {
    pub(super) epics: HashMap<i32, (Uuid, EpicText)>,
    pub(super) stories: HashMap<String, (Uuid, StoryText)>,
    pub(super) existing: Existing,
}

/// Reads what the project has. With `lock_stories` its stories are locked first.
pub(super) async fn snapshot(
    tx: &mut Tx,
    tenant_id: Uuid,
    project_id: Uuid,
    lock_stories: bool,
) -> Result<Snapshot, DbError> {
    let params: &[&(dyn ToSql + Sync)] = &[&tenant_id, &project_id];
    if lock_stories {
        tx.query(LOCK_PROJECT_STORIES, params).await?;
    }
    let answers = tx
        .run(
            &[PROJECT_EPICS, PROJECT_STORIES, PROJECT_STORY_EDGES, PROJECT_EPIC_EDGES]
                .map(|sql| Statement { sql, params }),
        )
        .await?;
    let [epics, stories, story_edges, epic_edges] = answers.as_slice() else {
        return Err(DbError::Unexpected("fewer answers than statements".to_owned()));
    };
    let mut found =
        Snapshot { epics: HashMap::new(), stories: HashMap::new(), existing: Existing::default() };
    for row in epics {
        let number = row.try_get("number")?;
        found.existing.epics.push(number);
        found.epics.insert(number, (row.try_get("id")?, EpicText::read(row)?));
    }
    for row in stories {
        let text: &str = row.try_get("number")?;
        let number = StoryNumber::parse(text)
            .map_err(|reason| DbError::Unexpected(format!("story number {text:?}: {reason}")))?;
        found.existing.stories.push((number, row.try_get("epic")?));
        found.stories.insert(text.to_owned(), (row.try_get("id")?, StoryText::read(row)?));
    }
    for row in story_edges {
        found.existing.story_edges.push((row.try_get("dependent")?, row.try_get("prerequisite")?));
    }
    for row in epic_edges {
        found.existing.epic_edges.push((row.try_get("dependent")?, row.try_get("prerequisite")?));
    }
    Ok(found)
}
