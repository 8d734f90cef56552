-- What coding agents measured of their own work, as they export it: the sums, and what was seen of it, so that nothing counts twice.

-- Whoever exports something takes their row first: exports of one agent are added one after the other.
create table measured_agents (
    tenant_id uuid not null references tenants (id) on delete cascade,
    agent_id uuid not null,
    last_at timestamptz not null default now(),
    primary key (tenant_id, agent_id),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id)
) with (fillfactor = 50);

-- The points of the last days. A point is its series (agent, resource, scope, metric and attributes, as a digest) and its times.
create table measured_points (
    tenant_id uuid not null,
    series uuid not null,
    -- Nanoseconds since 1970. When the series began, or this part of it; 0 where it does not say.
    begun_ns bigint not null check (begun_ns >= 0),
    at_ns bigint not null check (at_ns > 0),
    agent_id uuid not null,
    -- Of a series that says how much there is in all: further points count by what they say more.
    value numeric check (value >= 0),
    primary key (tenant_id, series, begun_ns, at_ns),
    foreign key (tenant_id, agent_id) references measured_agents (tenant_id, agent_id) on delete cascade
);
create index measured_points_by_time on measured_points (at_ns);

-- The sums. What metrics say and what logs say of the same work stands beside each other; which of it counts is in the view below.
create table measured_usage (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    agent_id uuid not null,
    tool text not null check (tool in ('claude_code', 'codex')),
    -- Empty where none was named.
    session_id text not null check (length(session_id) <= 255),
    source text not null check (source in ('metrics', 'logs')),
    model_name text not null check (length(model_name) <= 255),
    -- Of the points, in UTC.
    day date not null,
    -- Null: of no story, or of no project, that is known.
    story_id uuid,
    project_id uuid,
    -- Without what was read from a cache or written to it. Where a tool tells all of it and its parts, the parts are taken off: until
    -- all of it has been told, that may be less than nothing.
    input_tokens numeric not null,
    output_tokens numeric not null check (output_tokens >= 0),
    cache_read_tokens numeric not null check (cache_read_tokens >= 0),
    cache_creation_tokens numeric not null check (cache_creation_tokens >= 0),
    -- A millionth of a millionth of a dollar.
    cost_picodollars numeric not null check (cost_picodollars >= 0),
    -- How many points told of tokens, and of cost.
    token_points bigint not null check (token_points >= 0),
    cost_points bigint not null check (cost_points >= 0),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    constraint measured_usage_once unique nulls not distinct
        (tenant_id, agent_id, tool, session_id, source, model_name, day, story_id, project_id)
) with (fillfactor = 70);
create index measured_usage_of_story on measured_usage (tenant_id, story_id) where story_id is not null;
create index measured_usage_by_day on measured_usage (tenant_id, day) where story_id is not null;
create index measured_usage_of_project on measured_usage (tenant_id, project_id) where project_id is not null;

-- What counts. Metrics do; logs only where metrics say nothing of the same run of the agent, of tokens or of cost each by itself.
-- Metrics that name no session are taken for those of all sessions of their day.
create view counted_usage with (security_invoker = true) as
    select u.tenant_id, u.agent_id, u.tool, u.session_id, u.source, u.model_name, u.day, u.story_id, u.project_id,
           case when c.tokens then u.input_tokens else 0 end as input_tokens,
           case when c.tokens then u.output_tokens else 0 end as output_tokens,
           case when c.tokens then u.cache_read_tokens else 0 end as cache_read_tokens,
           case when c.tokens then u.cache_creation_tokens else 0 end as cache_creation_tokens,
           case when c.cost then u.cost_picodollars else 0 end as cost_picodollars,
           case when c.tokens then u.token_points else 0 end as token_points,
           case when c.cost then u.cost_points else 0 end as cost_points
    from measured_usage u cross join lateral (
        select u.source = 'metrics' or not exists (
                   select from measured_usage m
                   where m.tenant_id = u.tenant_id and m.agent_id = u.agent_id and m.tool = u.tool
                     and m.session_id in (u.session_id, '') and m.source = 'metrics' and m.token_points > 0
                     and (m.session_id = u.session_id or m.day = u.day)) as tokens,
               u.source = 'metrics' or not exists (
                   select from measured_usage m
                   where m.tenant_id = u.tenant_id and m.agent_id = u.agent_id and m.tool = u.tool
                     and m.session_id in (u.session_id, '') and m.source = 'metrics' and m.cost_points > 0
                     and (m.session_id = u.session_id or m.day = u.day)) as cost) c;

-- Points older than a week are refused; a day later they are forgotten.
create function prune_measured_points(p_most integer) returns bigint
    language sql volatile security definer set search_path = public, pg_temp as $$
    with old as (
        delete from measured_points where (tenant_id, series, begun_ns, at_ns) in (
            select tenant_id, series, begun_ns, at_ns from measured_points
            where at_ns < (extract(epoch from now() - interval '8 days') * 1000000000)::bigint
            order by at_ns limit p_most for update skip locked)
        returning 1
    )
    select count(*) from old
$$;
revoke all on function prune_measured_points(integer) from public;
grant execute on function prune_measured_points(integer) to loopctl_app;

-- Which of the stories that an agent holds it started last. Null: before it was noted.
alter table story_starts add column started_at timestamptz;
create function story_starts_now() returns trigger language plpgsql as $$
begin
    if new.held_until is null then
        new.started_at := clock_timestamp();
    end if;
    return new;
end
$$;
create trigger starts_now before insert or update on story_starts for each row execute function story_starts_now();
create index story_starts_held on story_starts (tenant_id, agent_id) where held_until is null;

do $$
declare
    name text;
begin
    foreach name in array array['measured_agents', 'measured_points', 'measured_usage'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = current_tenant_id()) '
                       'with check (tenant_id = current_tenant_id())', name);
        execute format('grant select, insert on %I to loopctl_app', name);
    end loop;
end
$$;
grant select on counted_usage to loopctl_app;
grant update (last_at) on measured_agents to loopctl_app;
grant update (input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, cost_picodollars, token_points, cost_points,
              updated_at) on measured_usage to loopctl_app;
