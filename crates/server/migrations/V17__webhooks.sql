-- Webhooks: who wants to be told of what, and what is to be delivered to them. The events to be delivered are the queue and its log.

create table webhooks (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- Null: whatever the project.
    project_id uuid,
    url text not null check (length(url) <= 2048),
    -- Encrypted; bound to this tenant and webhook.
    signing_secret bytea not null,
    events text[] not null check (cardinality(events) between 1 and 100),
    active boolean not null default true,
    -- Events that were given up since the last success.
    consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
    last_delivery_at timestamptz,
    -- The last attempt failed: such receivers never take all places.
    struggling boolean not null default false,
    -- Whoever delivers to it at the moment, and until when that counts. Of one webhook one event is under way at a time.
    lease uuid,
    leased_until timestamptz,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    check ((lease is null) = (leased_until is null))
);
create index webhooks_newest on webhooks (tenant_id, inserted_at desc, id desc);

create table webhook_events (
    -- Goes with its webhook. No key of its own to the tenant: its row would be locked after the head of the log.
    tenant_id uuid not null,
    -- Also what receivers know it by, whatever the attempt.
    id uuid not null,
    webhook_id uuid not null,
    event_type text not null,
    payload jsonb not null check (jsonb_typeof(payload) = 'object'),
    -- Of the event in the tenant's log: the order in which they came about.
    position bigint not null,
    status text not null default 'pending' check (status in ('pending', 'delivered', 'failed', 'exhausted')),
    attempts integer not null default 0 check (attempts between 0 and 6),
    next_attempt_at timestamptz not null default now(),
    last_attempt_at timestamptz,
    delivered_at timestamptz,
    error text,
    response_status integer,
    latency_ms integer,
    response_excerpt text check (octet_length(response_excerpt) <= 1024),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade
);
-- What waits, by webhook; and the log of a webhook, newest first.
create index webhook_events_pending on webhook_events (tenant_id, webhook_id, next_attempt_at, position)
    where status = 'pending';
create index webhook_events_newest on webhook_events (tenant_id, webhook_id, inserted_at desc, id desc);

alter table webhooks enable row level security, force row level security;
create policy tenant_isolation on webhooks
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select, insert, delete on webhooks to loopctl_app;
grant update (url, events, project_id, active, consecutive_failures, last_delivery_at, struggling, lease, leased_until, updated_at)
    on webhooks to loopctl_app;

alter table webhook_events enable row level security, force row level security;
create policy tenant_isolation on webhook_events
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select, insert, delete on webhook_events to loopctl_app;
grant update (status, attempts, next_attempt_at, last_attempt_at, delivered_at, error, response_status, latency_ms,
              response_excerpt, updated_at)
    on webhook_events to loopctl_app;

-- Puts into the queue what webhooks are to be told of entries of the log: the p_nths of those that begin after p_position and
-- p_time, each a microsecond after the one before. p_projects has the project of every entry. An entry is told to each active
-- webhook of its tenant that subscribes to its type and has no project or the same one, or to p_webhooks alone, as p_ids.
-- Whether there was anybody to tell.
--
-- Whoever calls it has the head of the log. A volatile function sees what was committed meanwhile: a webhook that was created
-- before an entry is told of it. Of the webhooks it locks the keys, which nobody keeps from others but who has the head.
create function queue_webhook_events(
    p_tenant uuid, p_position bigint, p_time timestamptz, p_projects uuid[],
    p_nths bigint[], p_types text[], p_payloads text[], p_webhooks uuid[], p_ids uuid[]
) returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
    -- Most tenants have none, and this question is all that they pay.
    if not exists (select from webhooks w where w.tenant_id = (select p_tenant)) then
        return false;
    end if;
    insert into webhook_events (tenant_id, id, webhook_id, event_type, payload, position, inserted_at)
    select p_tenant, coalesce(n.id, gen_random_uuid()), w.id, n.type,
           n.payload::jsonb || jsonb_build_object(
               'event', n.type, 'timestamp', to_char(entry.time at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
           p_position + n.nth, entry.time
    from unnest(p_nths, p_types, p_payloads, p_webhooks, p_ids) n (nth, type, payload, webhook_id, id)
         cross join lateral (select p_time + n.nth * interval '1 microsecond' as time) entry
         join webhooks w on w.tenant_id = (select p_tenant)
              and case when n.webhook_id is not null then w.id = n.webhook_id
                       else w.active and n.type = any (w.events)
                            and (w.project_id is null or w.project_id = p_projects[n.nth]) end;
    return found;
end
$$;
revoke all on function queue_webhook_events(uuid, bigint, timestamptz, uuid[], bigint[], text[], text[], uuid[], uuid[])
    from public;
grant execute on function queue_webhook_events(uuid, bigint, timestamptz, uuid[], bigint[], text[], text[], uuid[], uuid[])
    to loopctl_app;
