-- UI test runs with their findings (file 03 §11), and the checkpoints of orchestrators (file 02 §8).

create table ui_test_runs (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    started_by_agent_id uuid,
    status text not null default 'in_progress' check (status in ('in_progress', 'passed', 'failed', 'cancelled')),
    guide_reference text check (length(guide_reference) <= 1000),
    notes text,
    summary text,
    -- Counted as findings are added, under the run's lock.
    screenshots_count integer not null default 0 check (screenshots_count >= 0),
    findings_count integer not null default 0 check (findings_count >= 0),
    critical_count integer not null default 0 check (critical_count >= 0),
    high_count integer not null default 0 check (high_count >= 0),
    started_at timestamptz not null default now(),
    completed_at timestamptz,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    foreign key (tenant_id, started_by_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    constraint ui_test_runs_open_or_completed check ((status = 'in_progress') = (completed_at is null))
);
create index ui_test_runs_by_project on ui_test_runs (tenant_id, project_id, started_at desc, id);

-- A row per finding, so that adding one never rewrites the others.
create table ui_test_findings (
    tenant_id uuid not null,
    id uuid not null,
    run_id uuid not null,
    -- 1, 2, … within the run.
    position integer not null check (position > 0),
    -- What was sent, in the words of the family it was sent to.
    content jsonb not null check (jsonb_typeof(content) = 'object'),
    recorded_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, run_id) references ui_test_runs (tenant_id, id) on delete cascade,
    constraint ui_test_findings_position unique (tenant_id, run_id, position)
);

create table orchestrator_states (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    state_key text not null check (state_key ~ '\S' and length(state_key) <= 255),
    state_data jsonb not null default '{}' check (jsonb_typeof(state_data) = 'object'),
    version integer not null default 1 check (version > 0),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    constraint orchestrator_states_key unique (tenant_id, project_id, state_key)
);

-- Each save is one version more, whoever writes: no save is ever lost under another.
create function orchestrator_state_advances() returns trigger language plpgsql as $$
begin
    if new.version <> old.version + 1 then
        raise exception 'orchestrator_state_advances: version % cannot follow version %', new.version, old.version;
    end if;
    return new;
end
$$;
create trigger advances before update of version, state_data on orchestrator_states
    for each row execute function orchestrator_state_advances();

create trigger append_only before update on ui_test_findings for each row execute function append_only();

do $$
declare
    name text;
begin
    foreach name in array array['ui_test_runs', 'ui_test_findings', 'orchestrator_states'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = (select current_tenant_id())) '
                       'with check (tenant_id = (select current_tenant_id()))', name);
        execute format('grant select, insert on %I to loopctl_app', name);
    end loop;
end
$$;
grant update on ui_test_runs, orchestrator_states to loopctl_app;
