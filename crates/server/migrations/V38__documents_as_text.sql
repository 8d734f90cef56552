-- Documents that are only kept and given back are kept as their text. Out of jsonb it would be put together anew for every reader, value by
-- value: of a list of stories with large documents that was nearly all that it cost.
--
-- All of it is written anew, and nobody reads or writes it meanwhile. The view comes first, as it does for whoever reads.
lock table whole_stories, projects, epics, stories, artifact_reports, verification_results, ui_test_findings, orchestrator_states, agents;

do $$
declare
    -- What speaks of a column whose type changes comes again as it was.
    whole text := pg_get_viewdef('whole_stories'::regclass);
    advances text := pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'orchestrator_states'::regclass and tgname = 'advances';
    kept record;
begin
    drop view whole_stories;
    drop trigger advances on orchestrator_states;
    for kept in
        select * from (values
            ('projects', 'metadata'), ('epics', 'metadata'), ('stories', 'metadata'), ('artifact_reports', 'details'),
            ('ui_test_findings', 'content'), ('orchestrator_states', 'state_data'), ('agents', 'metadata')) as k (name, document)
    loop
        execute format('alter table %1$I drop constraint %3$I, alter %2$I drop default, alter %2$I type json using %2$I::json, '
                       'add constraint %3$I check (json_typeof(%2$I) = ''object'')',
                       kept.name, kept.document, kept.name || '_' || kept.document || '_check');
        -- Of a finding something is always said.
        if kept.name <> 'ui_test_findings' then
            execute format('alter table %I alter %I set default ''{}''', kept.name, kept.document);
        end if;
    end loop;
    execute advances;
    execute 'create view whole_stories with (security_invoker = true) as ' || whole;
end
$$;
grant select on whole_stories to loopctl_app;
alter table verification_results
    alter findings drop default, alter findings type json using findings::json, alter findings set default '{}';

-- A document with these members in it: what it has besides stays as it is written. Servers of the version before have the same statement.
create function with_members(p_document json, p_members jsonb) returns json language sql stable strict parallel safe
    set search_path = public, pg_temp as $$
    select ('{' || coalesce(string_agg(to_json(name)::text || ':' || value, ',' order by is_further, nth), '') || '}')::json
    from (
        select name, value::text, false as is_further, nth
        from json_each(p_document) with ordinality as kept (name, value, nth) where not p_members ? name
        union all
        select name, value::text, true, nth from jsonb_each(p_members) with ordinality as further (name, value, nth)) members
$$;
create operator || (leftarg = json, rightarg = jsonb, function = with_members);
