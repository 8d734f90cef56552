-- After a large import the planner knows nothing of what was imported until autovacuum has looked; until then the
-- cascades and checks of foreign keys are planned for a project without rows. The application's role owns no table and
-- may not analyze one, so it has these functions, which do nothing else.
create function refresh_record_statistics() returns void language plpgsql security definer
    set search_path = public, pg_temp set lock_timeout = '2s' as $$
begin
    analyze epics, stories;
exception when lock_not_available then
    -- Somebody else is looking already.
    null;
end
$$;

create function refresh_detail_statistics() returns void language plpgsql security definer
    set search_path = public, pg_temp set lock_timeout = '2s' as $$
begin
    analyze story_acceptance_criteria, epic_dependencies, story_dependencies;
exception when lock_not_available then
    null;
end
$$;

revoke execute on function refresh_record_statistics(), refresh_detail_statistics() from public;
grant execute on function refresh_record_statistics(), refresh_detail_statistics() to loopctl_app;
