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
    tenant_id uuid not null references tenants (id) on delete cascade,
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
grant update (url, events, project_id, active, consecutive_failures, last_delivery_at, struggling, lease, leased_until, updated_at,
              signing_secret)
    on webhooks to loopctl_app;

alter table webhook_events enable row level security, force row level security;
create policy tenant_isolation on webhook_events
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select, insert on webhook_events to loopctl_app;
grant update (status, attempts, next_attempt_at, last_attempt_at, delivered_at, error, response_status, latency_ms,
              response_excerpt, updated_at)
    on webhook_events to loopctl_app;
