-- What was answered to requests that carry a key of their client's choice: repeated, they are answered the same, and nothing is done
-- twice. The row is written in the transaction of the change, so there is one without the other never.
create table idempotency_keys (
    tenant_id uuid not null references tenants (id) on delete cascade,
    -- Whose choice the key is. No foreign key: an API key is never deleted but with its tenant.
    api_key_id uuid not null,
    -- SHA-256 of the key, and of everything that the request asks for.
    key_hash bytea not null check (length(key_hash) = 32),
    fingerprint bytea not null check (length(fingerprint) = 32),
    -- Of the answer; null only as long as the transaction goes on.
    status integer check (status between 200 and 299),
    -- Null where it has no body.
    answer text,
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, api_key_id, key_hash)
);
create index idempotency_keys_age on idempotency_keys (inserted_at);
-- An answer is the largest thing in it, and written by an update of the row that the transaction began with.
alter table idempotency_keys set (autovacuum_vacuum_scale_factor = 0.02);

alter table idempotency_keys enable row level security, force row level security;
create policy tenant_isolation on idempotency_keys
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select, insert on idempotency_keys to loopctl_app;
grant update (status, answer) on idempotency_keys to loopctl_app;

-- Forgets what was answered more than a day ago, so many at a time; how many it were.
create function prune_idempotency_keys(p_most integer) returns bigint
    language sql volatile security definer set search_path = public, pg_temp as $$
    with old as (
        delete from idempotency_keys where (tenant_id, api_key_id, key_hash) in (
            select tenant_id, api_key_id, key_hash from idempotency_keys
            where inserted_at < now() - interval '24 hours' order by inserted_at limit p_most for update skip locked)
        returning 1
    )
    select count(*) from old
$$;
revoke all on function prune_idempotency_keys(integer) from public;
grant execute on function prune_idempotency_keys(integer) to loopctl_app;
