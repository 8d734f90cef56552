-- What the trust loop leaves behind (file 02 §11): artifacts, reviews, verification results. Append-only: the
-- application role may neither update nor delete, and nobody may update. Rows go only with their story.

create table artifact_reports (
    tenant_id uuid not null,
    id uuid not null,
    story_id uuid not null,
    reported_by text not null check (reported_by in ('agent', 'orchestrator')),
    reporter_agent_id uuid,
    artifact_type text not null check (length(artifact_type) <= 255),
    path text not null check (length(path) <= 2000),
    "exists" boolean not null default true,
    details jsonb not null default '{}' check (jsonb_typeof(details) = 'object'),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, reporter_agent_id) references agents (tenant_id, id) deferrable initially deferred
);
create index artifact_reports_by_story on artifact_reports (tenant_id, story_id, inserted_at, id);

create table review_records (
    tenant_id uuid not null,
    id uuid not null,
    story_id uuid not null,
    reviewer_agent_id uuid,
    review_type text not null check (length(review_type) <= 255),
    findings_count integer not null default 0 check (findings_count >= 0),
    fixes_count integer not null default 0 check (fixes_count >= 0),
    disproved_count integer not null default 0 check (disproved_count >= 0),
    summary text,
    completed_at timestamptz not null,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, reviewer_agent_id) references agents (tenant_id, id) deferrable initially deferred
);
create index review_records_by_story on review_records (tenant_id, story_id, completed_at);

create table verification_results (
    tenant_id uuid not null,
    id uuid not null,
    story_id uuid not null,
    orchestrator_agent_id uuid,
    result text not null check (result in ('pass', 'fail', 'partial')),
    summary text,
    findings jsonb not null default '{}',
    review_type text check (length(review_type) <= 255),
    commit_sha text check (length(commit_sha) <= 64),
    iteration integer not null check (iteration > 0),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, orchestrator_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    constraint verification_results_iteration unique (tenant_id, story_id, iteration)
);

create function append_only() returns trigger language plpgsql as $$
begin
    raise exception '% on % is not allowed: its rows are evidence', tg_op, tg_table_name;
end
$$;

do $$
declare
    name text;
begin
    foreach name in array array['artifact_reports', 'review_records', 'verification_results'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = (select current_tenant_id())) '
                       'with check (tenant_id = (select current_tenant_id()))', name);
        execute format('grant select, insert on %I to loopctl_app', name);
        execute format('create trigger append_only before update on %I for each row execute function append_only()',
                       name);
    end loop;
end
$$;

-- The heart of the trust model, once more, for whoever writes to the table and by whatever way: that a story was
-- ever claimed is never forgotten, and such a story becomes verified only with a review newer than its report and
-- a passing result by an agent that did not do the work.
create function stories_keep_custody() returns trigger language plpgsql as $$
begin
    if old.first_claimed_at is not null and new.first_claimed_at is distinct from old.first_claimed_at then
        raise exception 'first_claimed_is_final: a story that was claimed stays known as claimed';
    end if;
    if new.verified_status = 'verified' and old.verified_status <> 'verified' and new.first_claimed_at is not null
        and not (
            exists (
                select from review_records r
                where r.tenant_id = new.tenant_id and r.story_id = new.id and r.completed_at > new.reported_done_at
                  and r.inserted_at > new.reported_done_at
                  and r.reviewer_agent_id is distinct from coalesce(new.assigned_agent_id, '00000000-0000-0000-0000-000000000000'))
            and exists (
                select from verification_results v
                where v.tenant_id = new.tenant_id and v.story_id = new.id and v.result <> 'fail'
                  and v.inserted_at > new.reported_done_at
                  and v.orchestrator_agent_id <> coalesce(new.assigned_agent_id, '00000000-0000-0000-0000-000000000000')))
    then
        raise exception 'verified_needs_evidence: story % has no review and result by others than its implementer',
            new.id;
    end if;
    return new;
end
$$;
create trigger keep_custody before update of first_claimed_at, verified_status on stories
    for each row execute function stories_keep_custody();
