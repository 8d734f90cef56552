//! Sums of what was used, and how many findings a run of user interface tests has.

use tokio_postgres::Transaction;
use uuid::Uuid;

use super::{Check, note_all};
use crate::db::DbError;

/// Each yields differences.
const KINDS: [(&str, &str); 3] =
    [("usage_by_day", BY_DAY), ("usage_by_agent", BY_AGENT), ("ui_test_run", UI_TEST_RUNS)];

/// The sums of reports that are not deleted, and where each day comes among those of its story: of all sums of one day one follows
/// the day before, whichever came first, and the others follow that one.
const BY_DAY: &str = "
    with found as (
        select tenant_id, story_id, agent_id, (inserted_at at time zone 'UTC')::date as day, phase, model_name,
               coalesce(skill_version_id, '00000000-0000-0000-0000-000000000000') as skill_version_id, project_id, epic_id,
               sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(cost_millicents) as cost_millicents,
               count(*) as reports, count(*) filter (where corrects_report_id is null) as invocations
        from token_usage_reports
        where deleted_at is null and ($2::uuid is null or tenant_id = $2)
        group by 1, 2, 3, 4, 5, 6, 7, 8, 9
    ), kept as (
        select *,
               (story_before, agent_before, model_before, phase_before) = (
                   lag(day, 1, '-infinity') over (partition by tenant_id, story_id order by day, story_before),
                   lag(day, 1, '-infinity') over (partition by tenant_id, story_id, agent_id order by day, agent_before),
                   lag(day, 1, '-infinity') over (partition by tenant_id, story_id, model_name order by day, model_before),
                   lag(day, 1, '-infinity') over (
                       partition by tenant_id, story_id, model_name, phase order by day, phase_before)
               ) as in_order
        from usage_by_day where $2::uuid is null or tenant_id = $2
    )
    select tenant_id, story_id as id,
           case when k.reports is not null then jsonb_build_object(
               'agent_id', agent_id, 'day', day, 'phase', phase, 'model_name', model_name, 'skill_version_id', skill_version_id,
               'project_id', k.project_id, 'epic_id', k.epic_id, 'input_tokens', k.input_tokens,
               'output_tokens', k.output_tokens, 'cost_millicents', k.cost_millicents, 'reports', k.reports,
               'invocations', k.invocations, 'in_order', k.in_order)::text end as kept,
           jsonb_build_object(
               'agent_id', agent_id, 'day', day, 'phase', phase, 'model_name', model_name, 'skill_version_id', skill_version_id,
               'project_id', f.project_id, 'epic_id', f.epic_id, 'input_tokens', f.input_tokens,
               'output_tokens', f.output_tokens, 'cost_millicents', f.cost_millicents, 'reports', coalesce(f.reports, 0),
               'invocations', coalesce(f.invocations, 0), 'in_order', true)::text as found,
           count(*) over () as different
    from found f
    full join kept k using (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id)
    where (f.project_id, f.epic_id, f.input_tokens, f.output_tokens, f.cost_millicents, f.reports, f.invocations, true)
        is distinct from
          (k.project_id, k.epic_id, k.input_tokens, k.output_tokens, k.cost_millicents, k.reports, k.invocations, k.in_order)
    order by 1, 2 limit $1";

const BY_AGENT: &str = "
    with found as (
        select tenant_id, epic_id, agent_id, project_id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
               sum(cost_millicents) as cost_millicents, count(*) as reports
        from token_usage_reports
        where deleted_at is null and ($2::uuid is null or tenant_id = $2)
        group by 1, 2, 3, 4
    ), kept as (
        select * from usage_by_agent where $2::uuid is null or tenant_id = $2
    )
    select tenant_id, epic_id as id,
           case when k.reports is not null then jsonb_build_object(
               'agent_id', agent_id, 'project_id', k.project_id, 'input_tokens', k.input_tokens,
               'output_tokens', k.output_tokens, 'cost_millicents', k.cost_millicents, 'reports', k.reports)::text end as kept,
           jsonb_build_object(
               'agent_id', agent_id, 'project_id', f.project_id, 'input_tokens', f.input_tokens,
               'output_tokens', f.output_tokens, 'cost_millicents', f.cost_millicents,
               'reports', coalesce(f.reports, 0))::text as found,
           count(*) over () as different
    from found f full join kept k using (tenant_id, epic_id, agent_id)
    where (f.project_id, f.input_tokens, f.output_tokens, f.cost_millicents, f.reports)
        is distinct from (k.project_id, k.input_tokens, k.output_tokens, k.cost_millicents, k.reports)
    order by 1, 2 limit $1";

/// Positions go from 1 to how many there are.
const UI_TEST_RUNS: &str = "
    select r.tenant_id, r.id, jsonb_build_object('findings_count', r.findings_count)::text as kept,
           jsonb_build_object('findings_count', greatest(f.findings, f.last))::text as found, count(*) over () as different
    from ui_test_runs r
    cross join lateral (
        select count(*) as findings, coalesce(max(position), 0) as last
        from ui_test_findings where tenant_id = r.tenant_id and run_id = r.id) f
    where ($2::uuid is null or r.tenant_id = $2) and (r.findings_count, r.findings_count) <> (f.findings, f.last)
    order by 1, 2 limit $1";

/// Compares what is kept of sums and counts with what they are of.
pub(super) async fn compare(
    seen: &Transaction<'_>,
    tenant: Option<Uuid>,
    check: &mut Check,
) -> Result<(), DbError> {
    for (entity, differences) in KINDS {
        note_all(seen, entity, differences, tenant, check).await?;
    }
    Ok(())
}
