-- Who read what of the knowledge, and the work that makes drafts of texts and reviews.

-- One row for each article that was read, written in batches by whoever was asked for it. Nothing points at what is read or at whoever
-- reads: a row costs as little as it can, keeps what happened, and goes when its time is over. Readers join with what is there.
create table article_access_events (
    tenant_id uuid not null references tenants (id) on delete cascade,
    accessed_at timestamptz not null,
    id uuid not null,
    article_id uuid not null,
    api_key_id uuid not null,
    -- What the reader worked on, where it said so and the tenant has it.
    project_id uuid,
    story_id uuid,
    access_type text not null check (access_type in ('search', 'get', 'context', 'index')),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    -- By time, because windows of time are what is read, and what is pruned.
    primary key (tenant_id, accessed_at, id)
);
create index article_access_of_article on article_access_events (tenant_id, article_id, accessed_at);
create index article_access_of_key on article_access_events (tenant_id, api_key_id, accessed_at);
create index article_access_of_project on article_access_events (tenant_id, project_id, accessed_at)
    where project_id is not null;
create trigger append_only before update on article_access_events for each row execute function append_only();

-- What is to be made of a text, a page or a review, as its tenant sees it. The work is a job of the queue (`jobs`), which is known by
-- `job_id`; from there come state, attempts and errors, whatever becomes of whoever does it.
create table knowledge_jobs (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id bigint not null generated always as identity,
    job_id uuid not null,
    kind text not null check (kind in ('content_ingestion', 'review_knowledge')),
    project_id uuid,
    source_type text check (length(source_type) between 1 and 64),
    url text check (length(url) <= 2048),
    -- Until the work is over.
    content text check (length(content) <= 500000),
    -- SHA-256 of the URL or the content, in hexadecimal digits.
    content_hash text check (content_hash ~ '^[0-9a-f]{64}$'),
    metadata jsonb check (jsonb_typeof(metadata) = 'object'),
    review_record_id uuid,
    state text not null default 'available'
        check (state in ('available', 'executing', 'retryable', 'completed', 'discarded', 'cancelled')),
    attempt integer not null default 0,
    max_attempts integer not null default 3,
    -- Of each attempt that failed.
    errors jsonb not null default '[]' check (jsonb_typeof(errors) = 'array'),
    inserted_at timestamptz not null default now(),
    attempted_at timestamptz,
    completed_at timestamptz,
    -- When its drafts were written, in the same transaction: then it is done, whoever comes to it again.
    drafted_at timestamptz,
    article_ids uuid[] not null default '{}',
    -- Pieces of the text of which nothing is known because the extractor failed.
    chunks_failed integer not null default 0 check (chunks_failed >= 0),
    primary key (tenant_id, id),
    constraint knowledge_jobs_job unique (tenant_id, job_id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    foreign key (tenant_id, review_record_id) references review_records (tenant_id, id) on delete cascade,
    check ((kind = 'content_ingestion') = (content_hash is not null and source_type is not null)),
    check ((kind = 'review_knowledge') = (review_record_id is not null))
) with (fillfactor = 80);
create index knowledge_jobs_newest on knowledge_jobs (tenant_id, kind, inserted_at desc);
create index knowledge_jobs_same on knowledge_jobs (tenant_id, content_hash, inserted_at) where content_hash is not null;
create index knowledge_jobs_review on knowledge_jobs (tenant_id, review_record_id) where review_record_id is not null;
create index knowledge_jobs_finished on knowledge_jobs (completed_at) where completed_at is not null;

do $$
declare
    name text;
begin
    foreach name in array array['article_access_events', 'knowledge_jobs'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = current_tenant_id()) '
                       'with check (tenant_id = current_tenant_id())', name);
    end loop;
end
$$;
grant select, insert on article_access_events to loopctl_app;
grant select on knowledge_jobs to loopctl_app;
grant insert (tenant_id, job_id, kind, project_id, source_type, url, content, content_hash, metadata, review_record_id)
    on knowledge_jobs to loopctl_app;
grant update (drafted_at, article_ids, chunks_failed) on knowledge_jobs to loopctl_app;

-- What becomes of a job of the queue becomes of its row here. A text that is done with is not kept.
create function follow_knowledge_job() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    has_failed constant boolean := old.state = 'executing' and new.state in ('retryable', 'discarded');
begin
    update knowledge_jobs k
        set state = new.state, attempt = new.attempt, max_attempts = new.max_attempts, attempted_at = new.attempted_at,
            completed_at = new.completed_at,
            content = case when new.completed_at is null then k.content end,
            errors = case when has_failed then k.errors || jsonb_build_object(
                'attempt', new.attempt,
                'at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'error', coalesce(new.last_error, '')) else k.errors end
        where k.tenant_id = new.tenant_id and k.job_id = new.id;
    return null;
end
$$;
create trigger knowledge_job after update of state on jobs for each row
    when (new.kind in ('content_ingestion', 'review_knowledge')) execute function follow_knowledge_job();

-- Forgets what a tenant's readers read longer than so many days ago, so many rows at a time; how many it were. Nothing of the last
-- year, whoever asks: what was read may not be taken away by those who may only note it.
create function prune_article_access(p_tenant uuid, p_days integer, p_most integer) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with pruned as (
        delete from article_access_events e where e.tenant_id = p_tenant and (e.accessed_at, e.id) in (
            select o.accessed_at, o.id from article_access_events o
            where o.tenant_id = p_tenant and o.accessed_at < now() - make_interval(days => greatest(p_days, 365))
            order by o.accessed_at, o.id limit p_most for update skip locked)
        returning 1
    )
    select count(*) from pruned
$$;

-- Forgets work that was completed a week ago, or given up a month ago, so many at a time; how many it were.
create function prune_knowledge_jobs(p_most integer) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with pruned as (
        delete from knowledge_jobs k where (k.tenant_id, k.id) in (
            select o.tenant_id, o.id from knowledge_jobs o
            where o.completed_at < now() - case o.state when 'completed' then interval '7 days' else interval '30 days' end
              and o.completed_at < now() - interval '7 days'
            order by o.completed_at limit p_most for update skip locked)
        returning 1
    )
    select count(*) from pruned
$$;

revoke all on function follow_knowledge_job(), prune_article_access(uuid, integer, integer), prune_knowledge_jobs(integer)
    from public;
grant execute on function prune_article_access(uuid, integer, integer), prune_knowledge_jobs(integer) to loopctl_app;
