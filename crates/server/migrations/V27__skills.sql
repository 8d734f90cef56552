-- Skills: the prompts by which agents work, in versions that never change, and what came of each of them.

create table skills (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- Null: of the whole tenant.
    project_id uuid,
    name text not null check (name ~ '\S' and length(name) <= 255),
    description text check (length(description) <= 50000),
    -- The newest version.
    current_version integer not null default 1 check (current_version > 0),
    status text not null default 'active' check (status in ('active', 'archived')),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    constraint skills_name unique nulls not distinct (tenant_id, project_id, name)
);
create index skills_by_name on skills (tenant_id, name, id);

create table skill_versions (
    tenant_id uuid not null,
    id uuid not null,
    skill_id uuid not null,
    -- 1, 2, … within the skill.
    version integer not null check (version > 0),
    prompt_text text not null check (prompt_text ~ '\S' and length(prompt_text) <= 500000),
    -- SHA-256 of the prompt without the white space around it: an import compares by it.
    prompt_digest bytea not null check (octet_length(prompt_digest) = 32),
    changelog text check (length(changelog) <= 50000),
    created_by text check (length(created_by) <= 300),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, skill_id) references skills (tenant_id, id) on delete cascade,
    constraint skill_versions_number unique (tenant_id, skill_id, version)
);
-- Both are written by one statement, at the end of which each has the other.
alter table skills add constraint skills_current_version
    foreign key (tenant_id, id, current_version) references skill_versions (tenant_id, skill_id, version);

create table skill_results (
    tenant_id uuid not null,
    id uuid not null,
    skill_version_id uuid not null,
    verification_result_id uuid not null,
    story_id uuid not null,
    metrics jsonb not null default '{}' check (jsonb_typeof(metrics) = 'object'),
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, skill_version_id) references skill_versions (tenant_id, id) on delete cascade,
    foreign key (tenant_id, verification_result_id) references verification_results (tenant_id, id) on delete cascade,
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade
);
create index skill_results_newest on skill_results (tenant_id, skill_version_id, inserted_at desc, id desc);
create index skill_results_by_verification on skill_results (tenant_id, verification_result_id);
create index skill_results_by_story on skill_results (tenant_id, story_id);

-- A version follows the one before it, whoever writes: there is no gap.
create function skill_versions_follow() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    if not exists (select from skill_versions where tenant_id = new.tenant_id and skill_id = new.skill_id
                   and version = new.version - 1)
    then
        raise exception 'skill_versions_follow: there is no version before version %', new.version;
    end if;
    return null;
end
$$;
create trigger follow after insert on skill_versions for each row when (new.version > 1)
    execute function skill_versions_follow();

-- A skill goes on to its next version, and never back.
create function skill_advances() returns trigger language plpgsql as $$
begin
    if new.current_version <> old.current_version + 1 then
        raise exception 'skill_advances: version % cannot follow version %', new.current_version, old.current_version;
    end if;
    return new;
end
$$;
create trigger advances before update of current_version on skills for each row execute function skill_advances();

create trigger append_only before update on skill_versions for each row execute function append_only();
create trigger append_only before update on skill_results for each row execute function append_only();

do $$
declare
    name text;
begin
    foreach name in array array['skills', 'skill_versions', 'skill_results'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = current_tenant_id()) '
                       'with check (tenant_id = current_tenant_id())', name);
        execute format('grant select, insert on %I to loopctl_app', name);
    end loop;
end
$$;
-- Of a skill its name and project stay, so that who has named it finds it again.
grant update (description, current_version, status, metadata, updated_at) on skills to loopctl_app;
