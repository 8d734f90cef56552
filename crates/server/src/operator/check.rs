//! What is kept instead of being found out, found out once more: whether stories are ready or blocked, what they wait for, where
//! they stand in the queues, and how many of each an epic has.

use serde::Serialize;
use uuid::Uuid;

use super::OperatorError;
use crate::db::migrate::connect;
use crate::db::{DbError, Login};

/// How many differences are told.
const TOLD: i64 = 100;

/// One statement, which sees the database at one moment: nobody has to stop for it. It asks the plan itself and the statuses, and
/// nothing of what is kept.
const DIFFERENCES: &str = "
    with found as (
        select s.tenant_id, s.id, s.project_id, s.epic_id, e.position, s.epic_position, story_queue_key(s.order_key, s.number) as queue_key,
               t.agent_status = 'pending' as pending, t.verified_status <> 'verified' as open,
               coalesce(by_story.total, 0) as prerequisites, coalesce(by_story.unmet, 0) as unmet_stories, coalesce(by_epic.unmet, 0) as unmet_epics
        from stories s
        join epics e on e.tenant_id = s.tenant_id and e.id = s.epic_id
        left join story_states t on t.tenant_id = s.tenant_id and t.id = s.id
        left join (
            select d.tenant_id, d.story_id, count(*) as total, count(*) filter (where p.verified_status <> 'verified') as unmet
            from story_dependencies d
            join story_states p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
            group by d.tenant_id, d.story_id) by_story on by_story.tenant_id = s.tenant_id and by_story.story_id = s.id
        left join (
            select d.tenant_id, d.epic_id, count(*) as unmet
            from epic_dependencies d
            where exists (
                select from stories p join story_states t on t.tenant_id = p.tenant_id and t.id = p.id
                where p.tenant_id = d.tenant_id and p.epic_id = d.depends_on_epic_id and t.verified_status <> 'verified')
            group by d.tenant_id, d.epic_id) by_epic on by_epic.tenant_id = s.tenant_id and by_epic.epic_id = s.epic_id
        where $2::uuid is null or s.tenant_id = $2
    ), judged as (
        select *, coalesce(pending and open and unmet_stories + unmet_epics = 0, false) as ready,
               coalesce(open and unmet_stories + unmet_epics > 0, false) as blocked,
               exists (select from artifact_reports a where a.tenant_id = found.tenant_id and a.story_id = found.id)
                   or exists (select from review_records r where r.tenant_id = found.tenant_id and r.story_id = found.id)
                   or exists (select from verification_results v where v.tenant_id = found.tenant_id
                              and v.story_id = found.id) as has_evidence,
               coalesce(not pending and open and unmet_stories + unmet_epics = 0, false) as taken
        from found
    ), stories_found as (
        select 'story' as entity, f.tenant_id, f.id,
               jsonb_build_object('project_id', f.project_id, 'epic_id', f.epic_id, 'epic_position', f.position,
                                  'queue_key', f.queue_key, 'unmet_stories', f.unmet_stories,
                                  'unmet_epics', f.unmet_epics, 'ready', f.ready, 'blocked', f.blocked,
                                  'taken', f.taken, 'prerequisites', f.prerequisites,
                                  'has_evidence', f.has_evidence, 'position_in_plan', f.position) as found,
               jsonb_build_object('project_id', t.project_id, 'epic_id', t.epic_id, 'epic_position', t.epic_position,
                                  'queue_key', t.queue_key, 'unmet_stories', t.unmet_stories,
                                  'unmet_epics', t.unmet_epics, 'ready', t.ready, 'blocked', t.blocked,
                                  'taken', t.taken, 'prerequisites', t.prerequisites,
                                  'has_evidence', t.has_evidence, 'position_in_plan', f.epic_position) as kept
        from judged f left join story_states t on t.tenant_id = f.tenant_id and t.id = f.id
    ), epics_found as (
        select 'epic', e.tenant_id, e.id,
               jsonb_build_object('project_id', e.project_id, 'stories', count(f.id),
                                  'open', count(f.id) filter (where f.open),
                                  'blocked', count(f.id) filter (where f.blocked)),
               (select jsonb_build_object('project_id', k.project_id, 'stories', k.stories, 'open', k.open,
                                          'blocked', k.blocked)
                from epic_states k where k.tenant_id = e.tenant_id and k.id = e.id)
        from epics e left join judged f on f.tenant_id = e.tenant_id and f.epic_id = e.id
        where $2::uuid is null or e.tenant_id = $2
        group by e.tenant_id, e.id
    ), differing as (
        select * from (select * from stories_found union all select * from epics_found) everything
        where found is distinct from kept
    )
    select (select count(*) from judged) as stories,
           (select count(*) from epics where $2::uuid is null or tenant_id = $2) as epics,
           (select count(*) from differing) as different, d.entity, d.tenant_id, d.id, d.found::text, d.kept::text
    from (select 1) one
    left join (select * from differing order by tenant_id, entity, id limit $1) d on true
    order by d.tenant_id, d.entity, d.id";

/// What a check has found.
#[derive(Debug, Serialize)]
pub struct Check {
    /// How many stories there are.
    pub stories: i64,
    /// How many epics.
    pub epics: i64,
    /// How many differences there are.
    pub different: i64,
    /// The first 100 of them.
    pub differences: Vec<Difference>,
}

/// A record of which something else is kept than is found.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// `story` or `epic`.
    pub entity: String,
    /// Whose.
    pub tenant_id: Uuid,
    /// Which.
    pub id: Uuid,
    /// What is kept, as JSON; None where nothing is.
    pub kept: Option<String>,
    /// What should be.
    pub found: String,
}

/// Compares what is kept of readiness with what the plan and the statuses say, of a tenant or of all. It only reads, and may run
/// beside a server at work.
///
/// # Errors
/// When the database fails.
pub async fn check(owner: &Login, tenant: Option<Uuid>) -> Result<Check, OperatorError> {
    let client = connect(owner).await?;
    let rows = client.query(DIFFERENCES, &[&TOLD, &tenant]).await.map_err(DbError::from)?;
    let mut check = Check { stories: 0, epics: 0, different: 0, differences: Vec::new() };
    for row in rows {
        let read = || -> Result<_, tokio_postgres::Error> {
            let counts = (row.try_get("stories")?, row.try_get("epics")?, row.try_get("different")?);
            let entity: Option<String> = row.try_get("entity")?;
            let Some(entity) = entity else { return Ok((counts, None)) };
            let difference = Difference {
                entity,
                tenant_id: row.try_get("tenant_id")?,
                id: row.try_get("id")?,
                kept: row.try_get("kept")?,
                found: row.try_get("found")?,
            };
            Ok((counts, Some(difference)))
        };
        let (counts, difference) = read().map_err(DbError::from)?;
        (check.stories, check.epics, check.different) = counts;
        check.differences.extend(difference);
    }
    Ok(check)
}
