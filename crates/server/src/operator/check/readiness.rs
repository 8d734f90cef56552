//! Whether stories are ready or blocked, what they wait for, where they stand in the queues, and how many of each an epic has.

use tokio_postgres::Transaction;
use uuid::Uuid;

use super::{Check, Difference, TOLD};
use crate::db::DbError;

/// It asks the plan itself and the statuses, and nothing of what is kept.
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

/// Compares what is kept of readiness with what the plan and the statuses say.
pub(super) async fn compare(
    seen: &Transaction<'_>,
    tenant: Option<Uuid>,
    check: &mut Check,
) -> Result<(), DbError> {
    for row in seen.query(DIFFERENCES, &[&TOLD, &tenant]).await? {
        (check.stories, check.epics) = (row.try_get("stories")?, row.try_get("epics")?);
        check.different = row.try_get("different")?;
        let entity: Option<String> = row.try_get("entity")?;
        if let Some(entity) = entity {
            check.tell(Difference::read(entity, &row)?);
        }
    }
    Ok(())
}
