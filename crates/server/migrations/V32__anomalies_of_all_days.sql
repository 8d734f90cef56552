-- Days that were counted are looked through for what stands out, also when the night was missed; and what is looked for by day, or is
-- too old, is found without reading everything else.

-- Of projects: whether what was counted last was looked through.
alter table cost_summaries add column looked_through boolean not null default false;
create index cost_summaries_to_look_through on cost_summaries (tenant_id, period_start)
    where scope_type = 'project' and not looked_through;

-- The last day of which it was found. Resolved once, it is not found again on any from `period_start` on.
alter table cost_anomalies no force row level security;
alter table cost_anomalies add column period_end date;
update cost_anomalies set period_end = greatest(period_start, (metadata ->> 'period_start')::date);
alter table cost_anomalies alter column period_end set not null, force row level security;
alter table cost_anomalies add check (period_end >= period_start);

create index usage_by_day_by_day on usage_by_day (tenant_id, day);
create index measured_usage_by_day on measured_usage (tenant_id, day) where story_id is not null;
create index token_usage_reports_kept on token_usage_reports (tenant_id, inserted_at)
    where deleted_at is null and corrects_report_id is null;
