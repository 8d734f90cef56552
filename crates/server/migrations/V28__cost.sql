-- Cost: what agents say that their work has used, the sums of it, what may be spent, and what stands out.

-- What a session of work is said to have used. A correction adds to the report that it names, which stays as it is.
create table token_usage_reports (
    tenant_id uuid not null,
    id uuid not null,
    story_id uuid not null,
    -- Who reports it.
    agent_id uuid not null,
    -- Those of the story, which does not change them.
    project_id uuid not null,
    epic_id uuid not null,
    input_tokens bigint not null check (input_tokens between -9007199254740991 and 9007199254740991),
    output_tokens bigint not null check (output_tokens between -9007199254740991 and 9007199254740991),
    total_tokens bigint generated always as (input_tokens + output_tokens) stored,
    model_name text not null check (model_name ~ '\S' and length(model_name) <= 255),
    cost_millicents bigint not null check (cost_millicents between -9007199254740991 and 9007199254740991),
    phase text not null default 'other' check (phase in ('planning', 'implementing', 'reviewing', 'other')),
    session_id text check (length(session_id) <= 255),
    skill_version_id uuid,
    -- How the work was done. Unknown, unless it is told.
    tool_call_count integer check (tool_call_count >= 0),
    cot_length_tokens integer check (cot_length_tokens >= 0),
    tests_run_count integer check (tests_run_count >= 0),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    corrects_report_id uuid,
    deleted_at timestamptz,
    -- By a person, or because it was kept for as long as the tenant wants.
    deletion_reason text check (deletion_reason in ('user', 'retention')),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    -- What an agent has cost stays known.
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) deferrable initially deferred,
    foreign key (tenant_id, skill_version_id) references skill_versions (tenant_id, id) deferrable initially deferred,
    foreign key (tenant_id, corrects_report_id) references token_usage_reports (tenant_id, id) on delete cascade,
    constraint token_usage_reports_only_corrections_take_back check (
        corrects_report_id is not null or least(input_tokens, output_tokens, cost_millicents) >= 0),
    constraint token_usage_reports_deleted_for_a_reason check ((deleted_at is null) = (deletion_reason is null))
);
create index token_usage_reports_of_story on token_usage_reports (tenant_id, story_id, inserted_at desc, id desc);
create index token_usage_reports_by_time on token_usage_reports (tenant_id, inserted_at);
create index token_usage_reports_kept on token_usage_reports (tenant_id, inserted_at)
    where deleted_at is null and corrects_report_id is null;
create index token_usage_reports_deleted on token_usage_reports (tenant_id, deleted_at) where deleted_at is not null;
create index token_usage_reports_corrections on token_usage_reports (tenant_id, corrects_report_id)
    where corrects_report_id is not null;

-- The sums of reports that are not deleted, by day (UTC), so that nobody reads a year of reports to show what it cost. Triggers keep
-- them in step, whoever writes; a sum of nothing is no row. The nil UUID stands for reports that name no version of a skill.
create table usage_by_day (
    tenant_id uuid not null,
    story_id uuid not null,
    agent_id uuid not null,
    day date not null,
    phase text not null,
    model_name text not null,
    skill_version_id uuid not null,
    project_id uuid not null,
    epic_id uuid not null,
    input_tokens numeric not null,
    output_tokens numeric not null,
    cost_millicents numeric not null,
    -- Corrections included, and without them.
    reports integer not null check (reports >= 0),
    invocations integer not null check (invocations between 0 and reports),
    primary key (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade
) with (fillfactor = 80);
create index usage_by_day_by_day on usage_by_day (tenant_id, day);
create index usage_by_day_of_project on usage_by_day (tenant_id, project_id);
create index usage_by_day_of_epic on usage_by_day (tenant_id, epic_id);
create index usage_by_day_of_agent on usage_by_day (tenant_id, agent_id);
create index usage_by_day_of_skill on usage_by_day (tenant_id, skill_version_id)
    where skill_version_id <> '00000000-0000-0000-0000-000000000000';

-- The same for all days of an agent in a project: what budgets of agents and projects are compared with.
create table usage_of_agents (
    tenant_id uuid not null,
    project_id uuid not null,
    agent_id uuid not null,
    input_tokens numeric not null,
    output_tokens numeric not null,
    cost_millicents numeric not null,
    reports bigint not null check (reports >= 0),
    primary key (tenant_id, project_id, agent_id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) deferrable initially deferred
) with (fillfactor = 50);
create index usage_of_agents_by_agent on usage_of_agents (tenant_id, agent_id);

-- And of an epic.
create table usage_of_epics (
    tenant_id uuid not null,
    epic_id uuid not null,
    project_id uuid not null,
    input_tokens numeric not null,
    output_tokens numeric not null,
    cost_millicents numeric not null,
    reports bigint not null check (reports >= 0),
    primary key (tenant_id, epic_id),
    foreign key (tenant_id, epic_id) references epics (tenant_id, id) on delete cascade
) with (fillfactor = 50);
create index usage_of_epics_by_project on usage_of_epics (tenant_id, project_id);

-- Adds reports to their sums, in the order of the sums' keys: whoever adds several waits for others in no circle.
create function usage_comes() returns trigger language plpgsql security definer set search_path = public, pg_temp
    -- Planned for the first of many, when there is nothing there yet.
    set enable_seqscan = off as $$
begin
    insert into usage_by_day as d (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id, project_id, epic_id,
                                   input_tokens, output_tokens, cost_millicents, reports, invocations)
    select tenant_id, story_id, agent_id, (inserted_at at time zone 'UTC')::date, phase, model_name,
           coalesce(skill_version_id, '00000000-0000-0000-0000-000000000000'), project_id, epic_id,
           sum(input_tokens), sum(output_tokens), sum(cost_millicents), count(*), count(*) filter (where corrects_report_id is null)
    from added where deleted_at is null
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9 order by 1, 2, 3, 4, 5, 6, 7
    on conflict (tenant_id, story_id, agent_id, day, phase, model_name, skill_version_id) do update set
        input_tokens = d.input_tokens + excluded.input_tokens, output_tokens = d.output_tokens + excluded.output_tokens,
        cost_millicents = d.cost_millicents + excluded.cost_millicents, reports = d.reports + excluded.reports,
        invocations = d.invocations + excluded.invocations;
    insert into usage_of_agents as a (tenant_id, project_id, agent_id, input_tokens, output_tokens, cost_millicents, reports)
    select tenant_id, project_id, agent_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents), count(*)
    from added where deleted_at is null
    group by 1, 2, 3 order by 1, 2, 3
    on conflict (tenant_id, project_id, agent_id) do update set
        input_tokens = a.input_tokens + excluded.input_tokens, output_tokens = a.output_tokens + excluded.output_tokens,
        cost_millicents = a.cost_millicents + excluded.cost_millicents, reports = a.reports + excluded.reports;
    insert into usage_of_epics as e (tenant_id, epic_id, project_id, input_tokens, output_tokens, cost_millicents, reports)
    select tenant_id, epic_id, project_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents), count(*)
    from added where deleted_at is null
    group by 1, 2, 3 order by 1, 2
    on conflict (tenant_id, epic_id) do update set
        input_tokens = e.input_tokens + excluded.input_tokens, output_tokens = e.output_tokens + excluded.output_tokens,
        cost_millicents = e.cost_millicents + excluded.cost_millicents, reports = e.reports + excluded.reports;
    return null;
end
$$;
create trigger usage_comes after insert on token_usage_reports referencing new table as added
    for each statement execute function usage_comes();

-- A report is deleted once, and nothing else of it ever changes.
create function usage_stays() returns trigger language plpgsql as $$
begin
    if old.deleted_at is not null or new.deleted_at is null then
        raise exception 'usage_stays: of report % nothing changes but that it is deleted', old.id;
    end if;
    return new;
end
$$;
create trigger usage_stays before update on token_usage_reports for each row execute function usage_stays();

-- Takes reports that are deleted out of their sums, in the same order. Of a deleted story the sums may be gone before.
create function usage_goes() returns trigger language plpgsql security definer set search_path = public, pg_temp
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
        select tenant_id, project_id, agent_id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
               sum(cost_millicents) as cost_millicents, count(*) as reports
        from gone where deleted_at is null
        group by 1, 2, 3
    ), held as (
        select t.* from usage_of_agents a join taken t using (tenant_id, project_id, agent_id)
        order by tenant_id, project_id, agent_id for update of a
    )
    update usage_of_agents a set
        input_tokens = a.input_tokens - t.input_tokens, output_tokens = a.output_tokens - t.output_tokens,
        cost_millicents = a.cost_millicents - t.cost_millicents, reports = a.reports - t.reports
    from held t where (a.tenant_id, a.project_id, a.agent_id) = (t.tenant_id, t.project_id, t.agent_id);
    delete from usage_of_agents a using gone g
    where a.reports = 0 and a.tenant_id = g.tenant_id and a.project_id = g.project_id and a.agent_id = g.agent_id;
    with taken as (
        select tenant_id, epic_id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
               sum(cost_millicents) as cost_millicents, count(*) as reports
        from gone where deleted_at is null
        group by 1, 2
    ), held as (
        select t.* from usage_of_epics e join taken t using (tenant_id, epic_id)
        order by tenant_id, epic_id for update of e
    )
    update usage_of_epics e set
        input_tokens = e.input_tokens - t.input_tokens, output_tokens = e.output_tokens - t.output_tokens,
        cost_millicents = e.cost_millicents - t.cost_millicents, reports = e.reports - t.reports
    from held t where (e.tenant_id, e.epic_id) = (t.tenant_id, t.epic_id);
    delete from usage_of_epics e using gone g
    where e.reports = 0 and e.tenant_id = g.tenant_id and e.epic_id = g.epic_id;
    return null;
end
$$;
create trigger usage_is_deleted after update on token_usage_reports referencing old table as gone
    for each statement execute function usage_goes();
create trigger usage_goes after delete on token_usage_reports referencing old table as gone
    for each statement execute function usage_goes();

-- What may be spent, of money and of tokens.
create table token_budgets (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- `per_…`: each story, epic or agent of a project by itself.
    scope_type text not null
        check (scope_type in ('story', 'epic', 'project', 'agent', 'per_story', 'per_epic', 'per_agent')),
    -- The story, epic, project or agent; of `per_…` the project.
    scope_id uuid not null,
    budget_millicents bigint check (budget_millicents > 0),
    token_limit bigint check (token_limit > 0),
    -- 0: no limit.
    budget_input_tokens bigint check (budget_input_tokens >= 0),
    budget_output_tokens bigint check (budget_output_tokens >= 0),
    alert_threshold_pct integer not null default 80 check (alert_threshold_pct between 1 and 100),
    enforcement text not null default 'warn' check (enforcement in ('warn', 'block')),
    -- What a claim of a story sets aside.
    reserve_millicents bigint check (reserve_millicents > 0),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint token_budgets_scope unique (tenant_id, scope_type, scope_id),
    constraint token_budgets_limit_something check (num_nonnulls(budget_millicents, token_limit) > 0),
    constraint token_budgets_reserve_money check (reserve_millicents is null or budget_millicents is not null)
);
create index token_budgets_newest on token_budgets (tenant_id, inserted_at desc, id desc);

-- Which levels of a budget were told of, so that each is told once.
create table token_budget_alerts (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    -- Null: the tenant's default for each story.
    budget_id uuid,
    target_type text not null check (target_type in ('story', 'epic', 'project', 'agent')),
    target_id uuid not null,
    level text not null check (level in ('warning', 'exceeded')),
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, budget_id) references token_budgets (tenant_id, id) on delete cascade,
    constraint token_budget_alerts_once unique nulls not distinct (tenant_id, target_id, budget_id, target_type, level)
);
create index token_budget_alerts_of_budget on token_budget_alerts (tenant_id, budget_id);

-- What stories that are held have set aside of budgets, and not used yet.
create table budget_reservations (
    tenant_id uuid not null,
    story_id uuid not null,
    budget_id uuid not null,
    -- Which of the budget's stories, epics or agents, or its project.
    target_id uuid not null,
    millicents bigint not null check (millicents >= 0),
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, story_id, budget_id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, budget_id) references token_budgets (tenant_id, id) on delete cascade
);
create index budget_reservations_of_budget on budget_reservations (tenant_id, budget_id, target_id);

-- What is of a story or an epic goes with it.
create function budgets_go() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    delete from token_budgets b using gone g
    where b.tenant_id = g.tenant_id and b.scope_type = tg_argv[0] and b.scope_id = g.id;
    delete from token_budget_alerts a using gone g
    where a.tenant_id = g.tenant_id and a.target_type = tg_argv[0] and a.target_id = g.id;
    return null;
end
$$;
create trigger budgets_go after delete on stories referencing old table as gone
    for each statement execute function budgets_go('story');
create trigger budgets_go after delete on epics referencing old table as gone
    for each statement execute function budgets_go('epic');

-- Usage by day, for good: recounted from reports, those that were deleted only for their age included.
create table cost_summaries (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    scope_type text not null check (scope_type in ('agent', 'epic', 'project', 'story')),
    scope_id uuid not null,
    period_start date not null,
    period_end date not null,
    total_input_tokens numeric not null default 0,
    total_output_tokens numeric not null default 0,
    -- Negative on a day of corrections.
    total_cost_millicents numeric not null default 0,
    report_count integer not null default 0 check (report_count >= 0),
    model_breakdown jsonb not null default '{}' check (jsonb_typeof(model_breakdown) = 'object'),
    avg_cost_per_story_millicents numeric,
    -- A report of this day was deleted or corrected since.
    stale boolean not null default false,
    -- Some of the reports that it counts are gone for good: there is nothing any more of which it could be recounted.
    final boolean not null default false,
    -- Of projects: whether what was counted last was looked through for what stands out, also when the night was missed.
    looked_through boolean not null default false,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint cost_summaries_once unique (tenant_id, scope_type, scope_id, period_start),
    check (period_end >= period_start)
);
create index cost_summaries_by_day on cost_summaries (tenant_id, period_start);
create index cost_summaries_stale on cost_summaries (tenant_id, period_start) where stale;
create index cost_summaries_to_look_through on cost_summaries (tenant_id, period_start)
    where scope_type = 'project' and not looked_through;

-- Stories whose cost stands out.
create table cost_anomalies (
    tenant_id uuid not null,
    id uuid not null,
    story_id uuid not null,
    anomaly_type text not null
        check (anomaly_type in ('high_cost', 'suspiciously_low', 'budget_exceeded', 'claim_mismatch')),
    story_cost_millicents numeric not null check (story_cost_millicents >= 0),
    reference_avg_millicents numeric not null check (reference_avg_millicents >= 0),
    deviation_factor numeric not null,
    resolved boolean not null default false,
    archived boolean not null default false,
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    -- The first and the last day of which it was found: resolved once, it is not found again on any of them.
    period_start date not null,
    period_end date not null,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    check (period_end >= period_start)
);
create unique index cost_anomalies_open on cost_anomalies (tenant_id, story_id, anomaly_type) where not resolved and not archived;
create index cost_anomalies_newest on cost_anomalies (tenant_id, inserted_at desc, id desc);
create index cost_anomalies_of_story on cost_anomalies (tenant_id, story_id);

do $$
declare
    name text;
begin
    foreach name in array array['token_usage_reports', 'usage_by_day', 'usage_of_agents', 'usage_of_epics', 'token_budgets', 'token_budget_alerts',
                                'budget_reservations', 'cost_summaries', 'cost_anomalies']
    loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = current_tenant_id()) '
                       'with check (tenant_id = current_tenant_id())', name);
        execute format('grant select on %I to loopctl_app', name);
    end loop;
end
$$;
grant insert, delete on token_usage_reports to loopctl_app;
grant update (deleted_at, deletion_reason, updated_at) on token_usage_reports to loopctl_app;
grant insert, delete on token_budgets to loopctl_app;
-- Of what it is stays.
grant update (budget_millicents, token_limit, budget_input_tokens, budget_output_tokens, alert_threshold_pct, enforcement,
              reserve_millicents, metadata, updated_at) on token_budgets to loopctl_app;
grant insert, update, delete on budget_reservations to loopctl_app;
grant insert, delete on token_budget_alerts to loopctl_app;
-- For good: they come, and are recounted.
grant insert, update on cost_summaries, cost_anomalies to loopctl_app;
