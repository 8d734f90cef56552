-- Browsers in which somebody has signed in with one of a tenant's authenticators. They end with it, wherever they are.

create table sessions (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    authenticator_id uuid not null,
    -- SHA-256 of what the browser was given, in lower-case hex.
    token_hash text not null check (token_hash ~ '^[0-9a-f]{64}$'),
    inserted_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    primary key (tenant_id, id),
    constraint sessions_token unique (token_hash),
    foreign key (tenant_id, authenticator_id) references tenant_root_authenticators (tenant_id, id) on delete cascade
);
create index sessions_authenticator on sessions (tenant_id, authenticator_id, inserted_at);
create index sessions_expiry on sessions (expires_at);

alter table sessions enable row level security, force row level security;
create policy tenant_isolation on sessions
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select, insert, delete on sessions to loopctl_app;

-- Whose session it is, before it is known of which tenant.
create function find_session(p_token_hash text)
    returns table (tenant_id uuid, session_id uuid, authenticator_id uuid, friendly_name text, tenant_status text, rate_limit text)
    language sql stable security definer set search_path = public, pg_temp as $$
    select s.tenant_id, s.id, a.id, a.friendly_name, t.status, (t.settings -> 'rate_limit_requests_per_minute')::text
    from sessions s
    join tenant_root_authenticators a on a.tenant_id = s.tenant_id and a.id = s.authenticator_id
    join tenants t on t.id = s.tenant_id
    where s.token_hash = p_token_hash and s.expires_at > clock_timestamp()
$$;

-- The authenticators of a tenant that somebody wants to sign in to. That there is such a tenant is no secret: whoever signs up is
-- told so of a slug that is taken.
create function authenticators_of(p_slug text) returns setof bytea
    language sql stable security definer set search_path = public, pg_temp as $$
    select a.credential_id from tenants t join tenant_root_authenticators a on a.tenant_id = t.id
    where t.slug = p_slug and t.status = 'active' order by a.inserted_at, a.id
$$;

-- Where an authenticator is enrolled.
create function tenant_of_authenticator(p_credential_id bytea) returns table (tenant_id uuid, tenant_status text)
    language sql stable security definer set search_path = public, pg_temp as $$
    select t.id, t.status from tenant_root_authenticators a join tenants t on t.id = a.tenant_id
    where a.credential_id = p_credential_id
$$;

-- Uses up a challenge that was given to somebody who wants to sign in: what was asked for with it, if it is still good.
create function take_sign_in_challenge(p_id uuid) returns table (challenge bytea, state jsonb)
    language sql volatile security definer set search_path = public, pg_temp as $$
    delete from webauthn_challenges c
    where c.tenant_id = '00000000-0000-0000-0000-000000000000' and c.purpose = 'assertion' and c.id = p_id
      and c.expires_at > clock_timestamp()
    returning c.challenge, c.state
$$;

-- Forgets sessions whose time is over, so many at a time; how many it were.
create function prune_sessions(p_most integer) returns bigint
    language sql volatile security definer set search_path = public, pg_temp as $$
    with old as (
        delete from sessions where (tenant_id, id) in (
            select tenant_id, id from sessions
            where expires_at <= clock_timestamp() order by expires_at limit p_most for update skip locked)
        returning 1
    )
    select count(*) from old
$$;

revoke all on function find_session(text), authenticators_of(text), tenant_of_authenticator(bytea), take_sign_in_challenge(uuid),
    prune_sessions(integer) from public;
grant execute on function find_session(text), authenticators_of(text), tenant_of_authenticator(bytea),
    take_sign_in_challenge(uuid), prune_sessions(integer) to loopctl_app;
