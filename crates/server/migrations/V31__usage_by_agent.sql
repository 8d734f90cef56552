-- What a report adds to sums, with fewer statements: those of epics and of agents are one table, and where a day comes among the days
-- of its story is known before it is written.

-- Sums for all days of what an agent has used for an epic: what budgets of epics, agents and projects are compared with.
create table usage_by_agent (
    tenant_id uuid not null,
    epic_id uuid not null,
    agent_id uuid not null,
    project_id uuid not null,
    input_tokens numeric not null,
    output_tokens numeric not null,
    cost_millicents numeric not null,
    reports bigint not null check (reports >= 0),
    primary key (tenant_id, epic_id, agent_id),
    foreign key (tenant_id, epic_id) references epics (tenant_id, id) on delete cascade,
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) deferrable initially deferred
) with (fillfactor = 50);
create index usage_by_agent_of_project on usage_by_agent (tenant_id, project_id);
create index usage_by_agent_of_agent on usage_by_agent (tenant_id, agent_id);

insert into usage_by_agent (tenant_id, epic_id, agent_id, project_id, input_tokens, output_tokens, cost_millicents, reports)
select tenant_id, epic_id, agent_id, project_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents), sum(reports)
from usage_by_day group by 1, 2, 3, 4;

alter table usage_by_agent enable row level security, force row level security;
create policy tenant_isolation on usage_by_agent
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select on usage_by_agent to loopctl_app;

-- Both in one index.
drop index usage_by_day_of_project, usage_by_day_of_epic;
create index usage_by_day_of_epic on usage_by_day (tenant_id, project_id, epic_id);

-- Puts the days of a story in order. Reports are written under the lock of their story, which is taken by whoever has not got it yet:
-- what somebody else has added is not to be seen before they have committed.
create function order_usage_days(p_tenant_id uuid, p_story_id uuid) returns void language plpgsql set search_path = public, pg_temp
    -- Planned for the first of many, when there is nothing there yet.
    set enable_seqscan = off as $$
begin
    perform from story_states where tenant_id = p_tenant_id and id = p_story_id for no key update;
    update usage_by_day d set
        story_before = o.story_before, agent_before = o.agent_before, model_before = o.model_before, phase_before = o.phase_before
    from (
        select agent_id, day, phase, model_name, skill_version_id,
               lag(day, 1, '-infinity') over (
                   order by day, agent_id, model_name, phase, skill_version_id) as story_before,
               lag(day, 1, '-infinity') over (
                   partition by agent_id order by day, model_name, phase, skill_version_id) as agent_before,
               lag(day, 1, '-infinity') over (
                   partition by model_name order by day, agent_id, phase, skill_version_id) as model_before,
               lag(day, 1, '-infinity') over (
                   partition by model_name, phase order by day, agent_id, skill_version_id) as phase_before
        from usage_by_day where tenant_id = p_tenant_id and story_id = p_story_id
    ) o
    where d.tenant_id = p_tenant_id and d.story_id = p_story_id
      and (d.agent_id, d.day, d.phase, d.model_name, d.skill_version_id)
        = (o.agent_id, o.day, o.phase, o.model_name, o.skill_version_id)
      and (d.story_before, d.agent_before, d.model_before, d.phase_before)
        <> (o.story_before, o.agent_before, o.model_before, o.phase_before);
end
$$;
revoke all on function order_usage_days(uuid, uuid) from public;

-- Adds reports to their sums, in the order of the sums' keys: whoever adds several waits for others in no circle. A sum that is new
-- comes after what its story has had until today, unless another one of its story comes with it, or there are later ones.
create or replace function usage_comes() returns trigger language plpgsql security definer set search_path = public, pg_temp
    -- Planned for the first of many, when there is nothing there yet.
    set enable_seqscan = off as $$
declare
    out_of_order boolean;
    story record;
begin
    select count(*) > count(distinct a.story_id) into out_of_order
    from (select tenant_id, story_id from added order by 1, 2) a
    cross join lateral (
        select from story_states s where s.tenant_id = a.tenant_id and s.id = a.story_id for no key update) s;
    with put as (
        insert into usage_by_day as d (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id, project_id, epic_id,
                                       input_tokens, output_tokens, cost_millicents, reports, invocations,
                                       story_before, agent_before, model_before, phase_before)
        select s.*, b.*
        from (
            select tenant_id, story_id, agent_id, (inserted_at at time zone 'UTC')::date as day, phase, model_name,
                   coalesce(skill_version_id, '00000000-0000-0000-0000-000000000000'), project_id, epic_id,
                   sum(input_tokens), sum(output_tokens), sum(cost_millicents), count(*),
                   count(*) filter (where corrects_report_id is null)
            from added where deleted_at is null
            group by 1, 2, 3, 4, 5, 6, 7, 8, 9 order by 1, 2, 3, 4, 5, 6, 7
        ) s cross join lateral (
            select coalesce(max(u.day), '-infinity'),
                   coalesce(max(u.day) filter (where u.agent_id = s.agent_id), '-infinity'),
                   coalesce(max(u.day) filter (where u.model_name = s.model_name), '-infinity'),
                   coalesce(max(u.day) filter (where u.model_name = s.model_name and u.phase = s.phase), '-infinity')
            from usage_by_day u where u.tenant_id = s.tenant_id and u.story_id = s.story_id
        ) b
        on conflict (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id) do update set
            input_tokens = d.input_tokens + excluded.input_tokens, output_tokens = d.output_tokens + excluded.output_tokens,
            cost_millicents = d.cost_millicents + excluded.cost_millicents, reports = d.reports + excluded.reports,
            invocations = d.invocations + excluded.invocations
        returning d.story_before > d.day as is_late
    )
    select out_of_order or coalesce(bool_or(is_late), false) into out_of_order from put;
    if out_of_order then
        for story in select distinct tenant_id, story_id from added order by 1, 2 loop
            perform order_usage_days(story.tenant_id, story.story_id);
        end loop;
    end if;
    insert into usage_by_agent as a (tenant_id, epic_id, agent_id, project_id, input_tokens, output_tokens, cost_millicents, reports)
    select tenant_id, epic_id, agent_id, project_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents), count(*)
    from added where deleted_at is null
    group by 1, 2, 3, 4 order by 1, 2, 3
    on conflict (tenant_id, epic_id, agent_id) do update set
        input_tokens = a.input_tokens + excluded.input_tokens, output_tokens = a.output_tokens + excluded.output_tokens,
        cost_millicents = a.cost_millicents + excluded.cost_millicents, reports = a.reports + excluded.reports;
    return null;
end
$$;
drop trigger usage_days_come on usage_by_day;

-- Sums that are gone: what is left of their stories is put in order.
create or replace function usage_days_follow() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare
    story record;
begin
    for story in select distinct tenant_id, story_id from moved order by 1, 2 loop
        perform order_usage_days(story.tenant_id, story.story_id);
    end loop;
    return null;
end
$$;

-- Takes reports that are deleted out of their sums, in the same order. Of a deleted story the sums may be gone before.
create or replace function usage_goes() returns trigger language plpgsql security definer set search_path = public, pg_temp
    -- Planned for the first of many, when there is nothing there yet.
    set enable_seqscan = off as $$
begin
    with taken as (
        select tenant_id, story_id, agent_id, (inserted_at at time zone 'UTC')::date as day, phase, model_name,
               coalesce(skill_version_id, '00000000-0000-0000-0000-000000000000') as skill_version_id,
               sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(cost_millicents) as cost_millicents,
               count(*) as reports, count(*) filter (where corrects_report_id is null) as invocations
        from gone where deleted_at is null
        group by 1, 2, 3, 4, 5, 6, 7
    ), held as (
        select t.* from usage_by_day d
        join taken t using (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id)
        order by tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id for update of d
    )
    update usage_by_day d set
        input_tokens = d.input_tokens - t.input_tokens, output_tokens = d.output_tokens - t.output_tokens,
        cost_millicents = d.cost_millicents - t.cost_millicents, reports = d.reports - t.reports,
        invocations = d.invocations - t.invocations
    from held t
    where (d.tenant_id, d.story_id, d.agent_id, d.day, d.phase, d.model_name, d.skill_version_id)
        = (t.tenant_id, t.story_id, t.agent_id, t.day, t.phase, t.model_name, t.skill_version_id);
    delete from usage_by_day d using gone g
    where d.reports = 0 and d.tenant_id = g.tenant_id and d.story_id = g.story_id and d.agent_id = g.agent_id
      and d.day = (g.inserted_at at time zone 'UTC')::date;
    with taken as (
        select tenant_id, epic_id, agent_id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
               sum(cost_millicents) as cost_millicents, count(*) as reports
        from gone where deleted_at is null
        group by 1, 2, 3
    ), held as (
        select t.* from usage_by_agent a join taken t using (tenant_id, epic_id, agent_id)
        order by tenant_id, epic_id, agent_id for update of a
    )
    update usage_by_agent a set
        input_tokens = a.input_tokens - t.input_tokens, output_tokens = a.output_tokens - t.output_tokens,
        cost_millicents = a.cost_millicents - t.cost_millicents, reports = a.reports - t.reports
    from held t where (a.tenant_id, a.epic_id, a.agent_id) = (t.tenant_id, t.epic_id, t.agent_id);
    delete from usage_by_agent a using gone g
    where a.reports = 0 and a.tenant_id = g.tenant_id and a.epic_id = g.epic_id and a.agent_id = g.agent_id;
    return null;
end
$$;

drop table usage_of_agents, usage_of_epics;
