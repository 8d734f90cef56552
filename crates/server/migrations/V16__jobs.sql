-- Background jobs: the queue, and when what is done regularly is due.
--
-- A job is enqueued in the transaction of whatever it is for, by the application, which may not touch it afterwards. Workers
-- serve all tenants, so everything else is done by the functions below, with the owner's rights. All times are the database's.

create table jobs (
    -- The nil UUID: of none. No foreign key: a job may be on its way when its tenant is not there any more.
    tenant_id uuid not null,
    id uuid not null,
    queue text not null check (length(queue) between 1 and 100),
    kind text not null check (length(kind) between 1 and 100),
    args jsonb not null default '{}' check (jsonb_typeof(args) = 'object' and octet_length(args::text) <= 65536),
    state text not null default 'available'
        check (state in ('available', 'executing', 'retryable', 'completed', 'discarded', 'cancelled')),
    attempt integer not null default 0 check (attempt between 0 and max_attempts),
    max_attempts integer not null check (max_attempts between 1 and 100),
    -- Of jobs of a kind with the same key only one is unfinished.
    unique_key text check (length(unique_key) between 1 and 500),
    -- Not before.
    scheduled_at timestamptz not null default clock_timestamp(),
    attempted_at timestamptz,
    completed_at timestamptz,
    last_error text check (octet_length(last_error) <= 4096),
    -- What it has to say of what it did.
    result jsonb check (octet_length(result::text) <= 4096),
    -- Whoever runs it, this once, and until when that counts.
    lease uuid,
    leased_until timestamptz,
    inserted_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, id),
    check ((state = 'executing') = (lease is not null) and (lease is null) = (leased_until is null)),
    check ((state in ('completed', 'discarded', 'cancelled')) = (completed_at is not null))
) with (
    -- Rows live for moments as what waits and for days as what is finished: what is left of the former is cleared away soon,
    -- however much there is of the latter.
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05
);
-- When the next one of a queue is due; which tenants have some; what is under way. A lease is in no index, so that renewing it
-- writes to none.
create index jobs_next on jobs (queue, scheduled_at) where state in ('available', 'retryable');
create index jobs_by_tenant on jobs (queue, tenant_id, scheduled_at, id) where state in ('available', 'retryable');
create index jobs_executing on jobs (kind) where state = 'executing';
create index jobs_failed on jobs (kind) where state in ('discarded', 'cancelled');
create index jobs_finished on jobs (completed_at) where state in ('completed', 'discarded', 'cancelled');
create unique index jobs_unique on jobs (tenant_id, kind, unique_key)
    where unique_key is not null and state in ('available', 'executing', 'retryable');

alter table jobs enable row level security, force row level security;
create policy tenant_isolation on jobs
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select on jobs to loopctl_app;
grant insert (tenant_id, id, queue, kind, args, max_attempts, unique_key, scheduled_at) on jobs to loopctl_app;

-- What is done regularly: when it is due next, and what became of it. Of a kind that goes through all tenants this is about the job
-- that begins it.
create table job_schedules (
    kind text primary key,
    -- What its jobs are told: a setting of the server that was started last.
    args jsonb not null,
    next_at timestamptz not null,
    last_fired_at timestamptz,
    last_started_at timestamptz,
    last_success_at timestamptz,
    -- Null when it has succeeded since.
    last_error text
) with (fillfactor = 50);
grant select on job_schedules to loopctl_app;

-- How many seconds are left until a job of these kinds is due in one of these queues, and until one of these schedules is.
create function jobs_ahead(p_queues text[], p_kinds text[], p_schedules text[])
    returns table (due_in float8, fires_in float8)
    language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    return query select
        extract(epoch from (
            select min(first.scheduled_at) from unnest(p_queues) q (queue) cross join lateral (
                select j.scheduled_at from jobs j
                where j.queue = q.queue and j.state in ('available', 'retryable') and j.kind = any (p_kinds)
                order by j.scheduled_at limit 1) first
        ) - clock_timestamp())::float8,
        extract(epoch from (
            select min(s.next_at) from job_schedules s where s.kind = any (p_schedules)) - clock_timestamp())::float8;
end
$$;

-- Takes jobs of a queue that are due, for so many seconds. Tenants take turns, one job at a time, beginning after the one that
-- was served last; whoever has thousands waiting delays nobody else's. That a claim is lost in a crash is harmless: then nobody
-- has it.
create function claim_jobs(p_queue text, p_kinds text[], p_places integer, p_after uuid, p_seconds float8)
    returns table (
        tenant_id uuid, id uuid, kind text, args jsonb, attempt integer, max_attempts integer, lease uuid
    )
    language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    moment constant timestamptz := clock_timestamp();
    places integer := least(p_places, 100);
    -- Null: before the first one.
    whose uuid := p_after;
    candidate uuid;
    job_id uuid;
    whole_round boolean := p_after is null;
    found_some boolean := false;
begin
    perform set_config('synchronous_commit', 'off', true);
    while places > 0 loop
        if whose is null then
            select j.tenant_id into candidate from jobs j
                where j.queue = p_queue and j.state in ('available', 'retryable')
                order by j.tenant_id limit 1;
        else
            select j.tenant_id into candidate from jobs j
                where j.queue = p_queue and j.state in ('available', 'retryable') and j.tenant_id > whose
                order by j.tenant_id limit 1;
        end if;
        if candidate is null then
            exit when whole_round and not found_some;
            whose := null;
            whole_round := true;
            found_some := false;
            continue;
        end if;
        whose := candidate;
        select j.id into job_id from jobs j
            where j.queue = p_queue and j.state in ('available', 'retryable') and j.tenant_id = whose
              and j.scheduled_at <= moment and j.kind = any (p_kinds)
            order by j.scheduled_at, j.id limit 1
            for update skip locked;
        continue when job_id is null;
        found_some := true;
        places := places - 1;
        return query update jobs j
            set state = 'executing', attempt = j.attempt + 1, attempted_at = clock_timestamp(), lease = gen_random_uuid(),
                leased_until = clock_timestamp() + make_interval(secs => p_seconds)
            where j.tenant_id = whose and j.id = job_id
            returning j.tenant_id, j.id, j.kind, j.args, j.attempt, j.max_attempts, j.lease;
        if whose = '00000000-0000-0000-0000-000000000000' then
            update job_schedules s set last_started_at = clock_timestamp()
                from jobs j where j.tenant_id = whose and j.id = job_id and s.kind = j.kind;
        end if;
    end loop;
end
$$;

-- Keeps what is still held for so many seconds more; says what that is.
create function renew_jobs(p_leases uuid[], p_seconds float8) returns uuid[]
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    kept uuid[];
begin
    perform set_config('synchronous_commit', 'off', true);
    with renewed as (
        update jobs j set leased_until = clock_timestamp() + make_interval(secs => p_seconds)
        where j.state = 'executing' and j.lease = any (p_leases)
        returning j.lease
    )
    select array_agg(lease) into kept from renewed;
    return coalesce(kept, '{}');
end
$$;

-- Gives back what was not finished, as if it had not been begun.
create function release_jobs(p_leases uuid[]) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with released as (
        update jobs j set state = 'available', attempt = j.attempt - 1, lease = null, leased_until = null
        where j.state = 'executing' and j.lease = any (p_leases)
        returning 1
    )
    select count(*) from released
$$;

-- Ends an attempt: without an error it is completed, otherwise tried again after so many seconds, or given up. Says which; null:
-- somebody else has it, or has had it.
create function finish_job(p_tenant uuid, p_id uuid, p_lease uuid, p_error text, p_result jsonb, p_again float8)
    returns text language plpgsql security definer set search_path = public, pg_temp as $$
declare
    job jobs;
begin
    update jobs j
        set state = case when p_error is null then 'completed' when j.attempt < j.max_attempts then 'retryable'
                         else 'discarded' end,
            scheduled_at = case when p_error is not null and j.attempt < j.max_attempts
                                then clock_timestamp() + make_interval(secs => p_again) else j.scheduled_at end,
            completed_at = case when p_error is null or j.attempt >= j.max_attempts then clock_timestamp() end,
            last_error = coalesce(p_error, j.last_error), result = p_result, lease = null, leased_until = null
        where j.tenant_id = p_tenant and j.id = p_id and j.lease = p_lease
        returning * into job;
    if job.tenant_id = '00000000-0000-0000-0000-000000000000' then
        update job_schedules s
            set last_success_at = case when p_error is null then clock_timestamp() else s.last_success_at end,
                last_error = p_error
            where s.kind = job.kind;
    end if;
    return job.state;
end
$$;

-- Takes from workers that are gone what they had: to be tried again, or given up when there is no attempt left.
create function rescue_jobs() returns table (kind text, attempt integer, state text)
    language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    told constant text := 'its worker was lost: the lease has expired';
begin
    return query with lost as (
        select j.tenant_id, j.id from jobs j
        where j.state = 'executing' and j.leased_until < clock_timestamp()
        order by j.leased_until limit 1000 for update skip locked
    ), rescued as (
        update jobs j
            set state = case when j.attempt < j.max_attempts then 'retryable' else 'discarded' end,
                scheduled_at = clock_timestamp(),
                completed_at = case when j.attempt < j.max_attempts then null else clock_timestamp() end,
                last_error = told, lease = null, leased_until = null
            from lost where (j.tenant_id, j.id) = (lost.tenant_id, lost.id)
            returning j.tenant_id, j.kind, j.attempt, j.state
    ), noted as (
        update job_schedules s set last_error = told
            from rescued r where s.kind = r.kind and r.tenant_id = '00000000-0000-0000-0000-000000000000'
    )
    select r.kind, r.attempt, r.state from rescued r;
end
$$;

-- Makes a schedule known, with what its jobs are told. What was missed is made up for once.
create function plan_jobs(p_kind text, p_args jsonb, p_next timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    insert into job_schedules as s (kind, args, next_at) values (p_kind, p_args, p_next)
    on conflict (kind) do update set args = excluded.args, next_at = least(s.next_at, excluded.next_at)
    where (s.args, s.next_at) is distinct from (excluded.args, least(s.next_at, excluded.next_at))
$$;

-- Enqueues the job of a schedule that is due, unless another server was faster, or the last one is not finished. The job is
-- locked before the schedule, as everywhere.
create function fire_schedule(
    p_kind text, p_seen timestamptz, p_next timestamptz, p_queue text, p_max_attempts integer
) returns boolean language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not exists (select from job_schedules s
                   where s.kind = p_kind and s.next_at = p_seen and s.next_at <= clock_timestamp()) then
        return false;
    end if;
    insert into jobs (tenant_id, id, queue, kind, args, max_attempts, unique_key)
        select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), p_queue, p_kind, s.args, p_max_attempts, 'schedule'
        from job_schedules s where s.kind = p_kind
        on conflict (tenant_id, kind, unique_key)
            where unique_key is not null and state in ('available', 'executing', 'retryable') do nothing;
    update job_schedules s set next_at = p_next, last_fired_at = clock_timestamp()
        where s.kind = p_kind and s.next_at = p_seen;
    if not found then
        raise exception using errcode = 'serialization_failure', message = 'another server has fired the schedule';
    end if;
    return true;
exception when serialization_failure then
    return false;
end
$$;

-- A job for each active tenant, of those that have none unfinished. Says how many.
create function fan_out_jobs(p_kind text, p_queue text, p_args jsonb, p_max_attempts integer) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with added as (
        insert into jobs (tenant_id, id, queue, kind, args, max_attempts, unique_key)
        select t.id, gen_random_uuid(), p_queue, p_kind, p_args, p_max_attempts, 'schedule'
        from tenants t where t.status = 'active'
        on conflict (tenant_id, kind, unique_key)
            where unique_key is not null and state in ('available', 'executing', 'retryable') do nothing
        returning 1
    )
    select count(*) from added
$$;

-- Forgets what was finished a week ago, up to so many. Says how many.
create function prune_jobs(p_most integer) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with old as (
        select j.tenant_id, j.id from jobs j
        where j.state in ('completed', 'discarded', 'cancelled') and j.completed_at < now() - interval '7 days'
        order by j.completed_at limit p_most for update skip locked
    ), pruned as (
        delete from jobs j using old where (j.tenant_id, j.id) = (old.tenant_id, old.id) returning 1
    )
    select count(*) from pruned
$$;

-- How many jobs of each kind wait, run, or were given up within the last week, and for how many seconds the first of those that
-- wait has been due.
create function job_queue_stats() returns table (kind text, state text, jobs bigint, oldest_due float8)
    language sql stable security definer set search_path = public, pg_temp as $$
    select j.kind, j.state, count(*),
           greatest(extract(epoch from clock_timestamp() - min(j.scheduled_at)), 0)::float8
        from jobs j where j.state in ('available', 'retryable') group by 1, 2
    union all
    select j.kind, j.state, count(*), null from jobs j where j.state = 'executing' group by 1, 2
    union all
    select j.kind, j.state, count(*), null from jobs j where j.state in ('discarded', 'cancelled') group by 1, 2
$$;

do $$
declare
    signature text;
begin
    foreach signature in array array[
        'jobs_ahead(text[], text[], text[])', 'claim_jobs(text, text[], integer, uuid, float8)',
        'renew_jobs(uuid[], float8)', 'release_jobs(uuid[])', 'finish_job(uuid, uuid, uuid, text, jsonb, float8)',
        'rescue_jobs()', 'plan_jobs(text, jsonb, timestamptz)',
        'fire_schedule(text, timestamptz, timestamptz, text, integer)', 'fan_out_jobs(text, text, jsonb, integer)',
        'prune_jobs(integer)', 'job_queue_stats()'
    ] loop
        execute format('revoke all on function %s from public', signature);
        execute format('grant execute on function %s to loopctl_app', signature);
    end loop;
end
$$;

-- Until when the log has partitions: the end of its newest month.
create function audit_log_ceiling() returns timestamptz language sql stable parallel safe
    set search_path = pg_catalog, pg_temp as $$
    select (max(to_timestamp(substr(c.relname, 12), 'YYYY"m"MM') at time zone 'utc') + interval '1 month') at time zone 'utc'
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.audit_log'::regclass and c.relname ~ '^audit_log_y\d{4}m\d{2}$'
$$;
