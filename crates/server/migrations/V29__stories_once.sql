-- How many stories an agent, or a model, has worked on within some days: without comparing hundreds of thousands of sums with each
-- other, as often as somebody asks.

-- The day of the sum before this one, of all sums of the story, of those of this agent, of this model, and of this model in this phase.
-- Of the sums of some days each has exactly one whose day before comes before them, so that one counts the story.
alter table usage_by_day
    add column story_before date not null default '-infinity',
    add column agent_before date not null default '-infinity',
    add column model_before date not null default '-infinity',
    add column phase_before date not null default '-infinity';

-- Sums come and go: those of the same stories are put into order. Reports are written under the lock of their story, which is taken by
-- whoever has not got it yet: what somebody else has added is not to be seen before they have committed.
create function usage_days_follow() returns trigger language plpgsql security definer set search_path = public, pg_temp
    -- Planned for the first of many, when there is nothing there yet.
    set enable_seqscan = off as $$
begin
    if not exists (select from moved) then
        return null;
    end if;
    perform from (select distinct tenant_id, story_id from moved order by 1, 2) m
    cross join lateral (
        select from story_states s where s.tenant_id = m.tenant_id and s.id = m.story_id for no key update) s;
    update usage_by_day d set
        story_before = o.story_before, agent_before = o.agent_before, model_before = o.model_before, phase_before = o.phase_before
    -- Each story is looked up by itself, whatever the planner believes of a tenant's size.
    from (select distinct tenant_id, story_id from moved) m
    cross join lateral (
        select tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id,
               lag(day, 1, '-infinity') over (
                   order by day, agent_id, model_name, phase, skill_version_id) as story_before,
               lag(day, 1, '-infinity') over (
                   partition by agent_id order by day, model_name, phase, skill_version_id) as agent_before,
               lag(day, 1, '-infinity') over (
                   partition by model_name order by day, agent_id, phase, skill_version_id) as model_before,
               lag(day, 1, '-infinity') over (
                   partition by model_name, phase order by day, agent_id, skill_version_id) as phase_before
        from usage_by_day u where u.tenant_id = m.tenant_id and u.story_id = m.story_id
    ) o
    where (d.tenant_id, d.story_id, d.agent_id, d.day, d.phase, d.model_name, d.skill_version_id)
        = (o.tenant_id, o.story_id, o.agent_id, o.day, o.phase, o.model_name, o.skill_version_id)
      and (d.story_before, d.agent_before, d.model_before, d.phase_before)
        <> (o.story_before, o.agent_before, o.model_before, o.phase_before);
    return null;
end
$$;
create trigger usage_days_come after insert on usage_by_day referencing new table as moved
    for each statement execute function usage_days_follow();
create trigger usage_days_go after delete on usage_by_day referencing old table as moved
    for each statement execute function usage_days_follow();
