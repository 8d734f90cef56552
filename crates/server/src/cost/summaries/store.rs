//! Rows and SQL of summaries.

use chrono::NaiveDate;

use crate::db::statements;

statements! {
    /// Of these reports (`$2`), whatever has become of them: the summaries of their story, epic, project and agent on their day. One
    /// that is being counted for the first time is waited for. Today's are not there yet.
    MARK_STALE = "
        insert into cost_summaries as s (tenant_id, scope_type, scope_id, period_start, period_end, stale)
        select distinct $1::uuid, scope.type, scope.id, r.day, r.day, true
        from (
            select *, (inserted_at at time zone 'UTC')::date as day from token_usage_reports
            where tenant_id = $1 and id = any($2::uuid[])
        ) r
        cross join lateral (values ('agent', r.agent_id), ('epic', r.epic_id), ('project', r.project_id), ('story', r.story_id))
            as scope (type, id)
        where r.day < (clock_timestamp() at time zone 'UTC')::date
        order by 2, 3, 4
        on conflict on constraint cost_summaries_once do update set stale = true where not s.stale and not s.final";
    /// Days with such a mark, the first ones.
    STALE_DAYS -> NaiveDate = "
        select distinct period_start from cost_summaries
        where tenant_id = $1 and stale and not final order by period_start limit 100";
    /// The first day after the last one that was counted when it was over; null of nothing.
    NEXT_TO_COUNT -> Option<NaiveDate> = "
        select max(period_start) + 1 as next from cost_summaries
        where tenant_id = $1 and not stale and updated_at >= (period_end + 1)::timestamp at time zone 'UTC'";
    /// The first day from this one on, before today, on which something was reported.
    NEXT_DAY -> Option<NaiveDate> = "
        select (min(inserted_at) at time zone 'UTC')::date as day from token_usage_reports
        where tenant_id = $1 and inserted_at >= $2::date::timestamp at time zone 'UTC'
          and inserted_at < (clock_timestamp() at time zone 'UTC')::date::timestamp at time zone 'UTC'";
    /// Holds what there is of a day, in the order in which everybody does; whether it may be recounted.
    HOLD_DAY -> bool = "
        with held as (
            select final from cost_summaries where tenant_id = $1 and period_start = $2
            order by scope_type, scope_id for no key update
        )
        select not coalesce(bool_or(final), false) as is_open from held";
    UNMARK_DAY = "update cost_summaries set stale = false where tenant_id = $1 and period_start = $2 and stale";
    /// Counts a day: what a person has deleted does not count, what was only too old does. What has nothing left is 0. Rows that are
    /// right stay as they are.
    COUNT_DAY -> i64 = "
        with counted as (
            select story_id, epic_id, project_id, agent_id, model_name, phase, sum(input_tokens) as input_tokens,
                   sum(output_tokens) as output_tokens, sum(cost_millicents) as cost_millicents, count(*) as reports
            from token_usage_reports
            where tenant_id = $1 and inserted_at >= $2::date::timestamp at time zone 'UTC'
              and inserted_at < ($2::date + 1)::timestamp at time zone 'UTC'
              and (deleted_at is null or deletion_reason = 'retention')
            group by 1, 2, 3, 4, 5, 6
        ), scoped as (
            select scope.type, scope.id, c.*
            from counted c cross join lateral (
                values ('agent', c.agent_id), ('epic', c.epic_id), ('project', c.project_id), ('story', c.story_id)
            ) as scope (type, id)
        ), by_phase as (
            select type, id, model_name, phase, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                   sum(cost_millicents) as cost_millicents
            from scoped group by 1, 2, 3, 4
        ), by_model as (
            select type, id, model_name,
                   jsonb_object_agg(phase, jsonb_build_object(
                       'input_tokens', input_tokens, 'output_tokens', output_tokens, 'cost_millicents', cost_millicents)) as phases
            from by_phase group by 1, 2, 3
        ), breakdowns as (
            select type, id, jsonb_object_agg(model_name, phases) as breakdown from by_model group by 1, 2
        ), sums as (
            select type, id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                   sum(cost_millicents) as cost_millicents, sum(reports)::integer as reports,
                   case when type in ('epic', 'project') then div(sum(cost_millicents), count(distinct story_id)) end as mean
            from scoped group by 1, 2
        ), told as (
            select s.type, s.id, s.input_tokens, s.output_tokens, s.cost_millicents, s.reports, b.breakdown, s.mean
            from sums s join breakdowns b using (type, id)
            union all
            select scope_type, scope_id, 0, 0, 0, 0, '{}'::jsonb, null from cost_summaries c
            where tenant_id = $1 and period_start = $2 and (scope_type, scope_id) not in (select type, id from sums)
        ), written as (
            insert into cost_summaries as s (tenant_id, scope_type, scope_id, period_start, period_end, total_input_tokens,
                total_output_tokens, total_cost_millicents, report_count, model_breakdown, avg_cost_per_story_millicents)
            select $1::uuid, type, id, $2::date, $2::date, input_tokens, output_tokens, cost_millicents, reports, breakdown, mean
            from told order by type, id
            on conflict on constraint cost_summaries_once do update set
                period_end = excluded.period_end, total_input_tokens = excluded.total_input_tokens,
                total_output_tokens = excluded.total_output_tokens, total_cost_millicents = excluded.total_cost_millicents,
                report_count = excluded.report_count, model_breakdown = excluded.model_breakdown,
                avg_cost_per_story_millicents = excluded.avg_cost_per_story_millicents, looked_through = false,
                updated_at = clock_timestamp()
            where (s.period_end, s.total_input_tokens, s.total_output_tokens, s.total_cost_millicents, s.report_count,
                   s.model_breakdown)
                is distinct from (excluded.period_end, excluded.total_input_tokens, excluded.total_output_tokens,
                   excluded.total_cost_millicents, excluded.report_count, excluded.model_breakdown)
               or s.avg_cost_per_story_millicents is distinct from excluded.avg_cost_per_story_millicents
               or s.updated_at < (s.period_end + 1)::timestamp at time zone 'UTC'
        )
        select count(*) from told";
}
