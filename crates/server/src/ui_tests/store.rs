//! SQL of UI test runs.

use crate::db::statements;

/// Runs with their findings, in one snapshot. An array per column, so that each finding is read for itself.
macro_rules! with_findings {
    ($runs:literal) => {
        concat!(
            " select r.*, f.* from ",
            $runs,
            " r cross join lateral (
                select coalesce(array_agg(id order by position), '{}') as finding_ids,
                       coalesce(array_agg(content order by position), '{}') as finding_contents,
                       coalesce(array_agg(recorded_at order by position), '{}') as finding_times
                from ui_test_findings where tenant_id = r.tenant_id and run_id = r.id) f "
        )
    };
}

statements! {
    PROJECT_EXISTS = "select from projects where tenant_id = $1 and id = $2 for key share";
    INSERT_RUN = concat!("
        with run as (
            insert into ui_test_runs (tenant_id, id, project_id, started_by_agent_id, guide_reference, notes)
            values ($1, $2, $3, $4, $5, $6)
            returning *
        )", with_findings!("run"));
    COUNT_RUNS = "
        select count(*) as total, exists (select from projects where tenant_id = $1 and id = $2) as known
        from ui_test_runs where tenant_id = $1 and project_id = $2 and ($3::text is null or status = $3)";
    LIST_RUNS = concat!("
        with page as (
            select * from ui_test_runs
            where tenant_id = $1 and project_id = $2 and ($3::text is null or status = $3)
            order by started_at desc, id limit $4 offset $5
        )", with_findings!("page"), "order by r.started_at desc, r.id");
    /// `$3` is the project in which the run must be, where the path names one.
    SHOW_RUN = concat!("
        with run as (
            select * from ui_test_runs
            where tenant_id = $1 and id = $2 and ($3::uuid is null or project_id = $3)
        )", with_findings!("run"));
    /// As `SHOW_RUN`, for who is about to change it.
    LOCK_RUN = "
        select status, findings_count, critical_count, high_count from ui_test_runs
        where tenant_id = $1 and id = $2 and ($3::uuid is null or project_id = $3) for no key update";
    INSERT_FINDING = "
        insert into ui_test_findings (tenant_id, id, run_id, position, content, recorded_at)
        values ($1, $2, $3, $4, $5, clock_timestamp())";
    /// The run's row is locked, and its new finding is there.
    COUNT_FINDING = concat!("
        with run as (
            update ui_test_runs
            set findings_count = findings_count + 1, screenshots_count = screenshots_count + $3,
                critical_count = critical_count + $4, high_count = high_count + $5, updated_at = clock_timestamp()
            where tenant_id = $1 and id = $2
            returning *
        )", with_findings!("run"));
    COMPLETE_RUN = concat!("
        with run as (
            update ui_test_runs
            set status = $3, summary = $4, completed_at = clock_timestamp(), updated_at = clock_timestamp()
            where tenant_id = $1 and id = $2
            returning *
        )", with_findings!("run"));
}
