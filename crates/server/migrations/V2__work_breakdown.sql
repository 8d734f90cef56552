-- Projects, epics, stories and their dependencies (file 03 §1), with the lifecycle columns of file 02 §11.

create table projects (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    name text not null check (name ~ '\S' and length(name) <= 255),
    slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]*[a-z0-9]$' and length(slug) between 2 and 63),
    repo_url text check (length(repo_url) <= 2048),
    description text,
    tech_stack text check (length(tech_stack) <= 255),
    status text not null default 'active' check (status in ('active', 'archived')),
    mission text check (length(mission) <= 2000),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint projects_slug unique (tenant_id, slug)
);
create index projects_by_name on projects (tenant_id, status, name, id);

create table epics (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    number integer not null check (number > 0),
    title text not null check (title ~ '\S' and length(title) <= 500),
    description text check (length(description) <= 50000),
    phase text check (length(phase) <= 255),
    position integer not null default 0 check (position >= 0),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    -- Set once, when every story is verified for the first time: `epic.completed` is told once for ever.
    completed_at timestamptz,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    constraint epics_number unique (tenant_id, project_id, number),
    -- Targets of the composite keys below.
    unique (tenant_id, project_id, id),
    unique (tenant_id, project_id, id, position)
);
create index epics_in_order on epics (tenant_id, project_id, position, number, id);

create table stories (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    epic_id uuid not null,
    -- The epic's position, kept in step by the foreign key, so that the order of stories across epics
    -- (decision 21) comes from one index.
    epic_position integer not null,
    number text not null,
    major integer not null check (major between 0 and 9999),
    minor integer not null check (minor between 0 and 9999),
    sort_key integer not null generated always as (major * 10000 + minor * 10) stored,
    title text not null check (title ~ '\S' and length(title) <= 500),
    description text check (length(description) <= 50000),
    acceptance_criteria jsonb not null default '[]' check (jsonb_typeof(acceptance_criteria) = 'array'),
    estimated_hours numeric check (estimated_hours >= 0),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    agent_status text not null default 'pending'
        check (agent_status in ('pending', 'contracted', 'assigned', 'implementing', 'reported_done')),
    verified_status text not null default 'unverified'
        check (verified_status in ('unverified', 'verified', 'rejected')),
    assigned_agent_id uuid,
    assigned_at timestamptz,
    contracted_by_agent_id uuid,
    first_claimed_at timestamptz,
    review_requested_at timestamptz,
    reported_done_at timestamptz,
    reported_by_agent_id uuid,
    verified_at timestamptz,
    rejected_at timestamptz,
    rejection_reason text,
    implementer_dispatch_id uuid,
    verifier_dispatch_id uuid,
    verifier_needed boolean not null default false,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    constraint stories_epic foreign key (tenant_id, project_id, epic_id, epic_position)
        references epics (tenant_id, project_id, id, position) on delete cascade on update cascade,
    foreign key (tenant_id, assigned_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    foreign key (tenant_id, contracted_by_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    foreign key (tenant_id, reported_by_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    constraint stories_number unique (tenant_id, project_id, number),
    unique (tenant_id, project_id, id),
    -- What the state machine promises, whoever writes.
    constraint stories_held_means_claimed
        check (agent_status not in ('assigned', 'implementing') or first_claimed_at is not null),
    constraint stories_idle_means_not_held
        check (agent_status not in ('pending', 'contracted') or assigned_agent_id is null),
    constraint stories_nobody_reports_their_own
        check (assigned_agent_id is null or reported_by_agent_id is distinct from assigned_agent_id),
    constraint stories_verified_has_time
        check (verified_status <> 'verified' or verified_at is not null)
);
create index stories_in_order on stories (tenant_id, project_id, epic_position, major, minor, number, id);
create index stories_by_epic on stories (tenant_id, epic_id, major, minor, number, id);
create index stories_by_agent_status on stories (tenant_id, project_id, agent_status);
create index stories_by_assignee on stories (tenant_id, assigned_agent_id) where assigned_agent_id is not null;
-- The ready queue looks at these two only: neither grows with what is done.
create index stories_waiting on stories (tenant_id, project_id, epic_position, major, minor, number, id)
    where agent_status = 'pending' and verified_status <> 'verified';
create index stories_open_by_epic on stories (tenant_id, epic_id) where verified_status <> 'verified';

-- `project_id` makes the database refuse an edge across projects.
create table epic_dependencies (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    epic_id uuid not null,
    depends_on_epic_id uuid not null,
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id, epic_id) references epics (tenant_id, project_id, id) on delete cascade,
    foreign key (tenant_id, project_id, depends_on_epic_id)
        references epics (tenant_id, project_id, id) on delete cascade,
    constraint epic_dependencies_edge unique (tenant_id, epic_id, depends_on_epic_id),
    check (epic_id <> depends_on_epic_id)
);
create index epic_dependencies_reverse on epic_dependencies (tenant_id, depends_on_epic_id);
create index epic_dependencies_project on epic_dependencies (tenant_id, project_id, inserted_at, id);

create table story_dependencies (
    tenant_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    story_id uuid not null,
    depends_on_story_id uuid not null,
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id, story_id)
        references stories (tenant_id, project_id, id) on delete cascade,
    foreign key (tenant_id, project_id, depends_on_story_id)
        references stories (tenant_id, project_id, id) on delete cascade,
    constraint story_dependencies_edge unique (tenant_id, story_id, depends_on_story_id),
    check (story_id <> depends_on_story_id)
);
create index story_dependencies_reverse on story_dependencies (tenant_id, depends_on_story_id);
create index story_dependencies_project on story_dependencies (tenant_id, project_id, inserted_at, id);

-- Mirrors `stories.acceptance_criteria`, one row per criterion, for per-criterion verification.
create table story_acceptance_criteria (
    tenant_id uuid not null,
    id uuid not null,
    story_id uuid not null,
    position integer not null,
    ac_id text not null,
    description text not null,
    verification_criterion jsonb not null default '{"type": "manual", "description": "legacy"}',
    status text not null default 'pending' check (status in ('pending', 'verified', 'failed', 'unverifiable')),
    verified_at timestamptz,
    evidence_path text,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    constraint story_acceptance_criteria_ac_id unique (tenant_id, story_id, ac_id)
);

-- A project belongs to one tenant: without this the planner multiplies the two selectivities, expects too few
-- rows and picks plans that are many times slower.
create statistics epics_tenant_project (dependencies) on tenant_id, project_id from epics;
create statistics stories_tenant_project (dependencies) on tenant_id, project_id, epic_id from stories;
create statistics epic_dependencies_tenant_project (dependencies) on tenant_id, project_id from epic_dependencies;
create statistics story_dependencies_tenant_project (dependencies) on tenant_id, project_id
    from story_dependencies;

do $$
declare
    name text;
begin
    foreach name in array array['projects', 'epics', 'stories', 'epic_dependencies', 'story_dependencies',
                                'story_acceptance_criteria'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = (select current_tenant_id())) '
                       'with check (tenant_id = (select current_tenant_id()))', name);
        execute format('grant select, insert, update, delete on %I to loopctl_app', name);
    end loop;
end
$$;
-- Projects are archived, never deleted: with them would go all evidence.
revoke delete on projects from loopctl_app;
