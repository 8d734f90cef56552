//! Rows and SQL of what is no longer kept.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::db::{Row, statements};

/// A report that is too old.
#[derive(Row)]
pub(super) struct Picked {
    pub(super) id: Uuid,
    pub(super) story_id: Uuid,
}

statements! {
    /// Days whose summaries are marked, of the reports that go next.
    DAYS_TO_PURGE -> NaiveDate = "
        select distinct s.period_start from (
            select (inserted_at at time zone 'UTC')::date as day from token_usage_reports
            where tenant_id = $1 and deleted_at < now() - interval '30 days' order by deleted_at limit 1000) r
        join cost_summaries s on s.tenant_id = $1 and s.period_start = r.day
        where s.stale and not s.final";
    /// A thousand at most, with their corrections, which were deleted with them.
    PURGE -> i64 = "
        with picked as (
            select id from token_usage_reports
            where tenant_id = $1 and deleted_at < now() - interval '30 days' order by deleted_at limit 1000
        ), old as (
            select id, deletion_reason, (inserted_at at time zone 'UTC')::date as day from token_usage_reports
            where tenant_id = $1 and (id in (select id from picked) or corrects_report_id in (select id from picked))
            order by id for update
        ), held as (
            select id from cost_summaries
            where tenant_id = $1 and not final and period_start in (select day from old where deletion_reason = 'retention')
            order by period_start, scope_type, scope_id for no key update
        ), closed as (
            update cost_summaries set final = true where tenant_id = $1 and id in (select id from held)
        ), gone as (
            delete from token_usage_reports where tenant_id = $1 and id in (select id from old) returning 1
        )
        select count(*) from gone";
    /// Days of the reports that go next, of which not everything is counted.
    UNCOUNTED_DAYS -> NaiveDate = "
        select day from (
            select (inserted_at at time zone 'UTC')::date as day, project_id from token_usage_reports
            where tenant_id = $1 and deleted_at is null and corrects_report_id is null
              and inserted_at < now() - make_interval(days => $2)
            order by inserted_at limit 1000
        ) r
        where not exists (
            select from cost_summaries s
            where s.tenant_id = $1 and s.scope_type = 'project' and s.scope_id = r.project_id and s.period_start = r.day
              and (s.final or not s.stale))
        group by day order by day";
    /// A thousand at most, whose day is counted. Corrections go with what they correct.
    PICK_OLD -> Picked = "
        select {*} from token_usage_reports r
        where tenant_id = $1 and deleted_at is null and corrects_report_id is null
          and inserted_at < now() - make_interval(days => $2)
          and exists (
            select from cost_summaries s
            where s.tenant_id = $1 and s.scope_type = 'project' and s.scope_id = r.project_id
              and s.period_start = (r.inserted_at at time zone 'UTC')::date and (s.final or not s.stale))
        order by inserted_at limit 1000";
    LOCK_STORIES_OF_REPORTS = "
        select from story_states where tenant_id = $1 and id = any($2) order by id for no key update";
    RETIRE -> i64 = "
        with held as (
            select id from token_usage_reports
            where tenant_id = $1 and (id = any($2) or corrects_report_id = any($2)) and deleted_at is null
            order by id for no key update
        ), retired as (
            update token_usage_reports set deleted_at = clock_timestamp(), deletion_reason = 'retention',
                                           updated_at = clock_timestamp()
            where tenant_id = $1 and id in (select id from held) returning 1
        )
        select count(*) from retired";
    ARCHIVE_ANOMALIES -> i64 = "
        with old as (
            select id from cost_anomalies
            where tenant_id = $1 and not archived and inserted_at < now() - make_interval(days => $2)
            order by inserted_at limit 1000 for no key update
        ), archived as (
            update cost_anomalies set archived = true where tenant_id = $1 and id in (select id from old) returning 1
        )
        select count(*) from archived";
}
