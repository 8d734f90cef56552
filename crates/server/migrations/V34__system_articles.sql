-- Articles of the server itself: the public wiki. They belong to no tenant, everybody reads them, and only superadmins write them.

create table system_articles (
    id uuid primary key,
    slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]*[a-z0-9]$' and length(slug) between 2 and 64),
    title text not null check (title ~ '\S' and length(title) <= 500),
    -- Markdown.
    body text not null check (body ~ '\S' and length(body) <= 100000),
    category text not null check (category in ('pattern', 'convention', 'decision', 'finding', 'reference')),
    status text not null default 'draft' check (status in ('draft', 'published', 'archived', 'superseded')),
    tags text[] not null default '{}' check (cardinality(tags) <= 20 and array_position(tags, null) is null),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    -- SHA-256 of what the article said as it came with loopctl; null: it did not. As long as it still says that, a newer loopctl
    -- may replace it.
    shipped_digest bytea check (length(shipped_digest) = 32),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint system_articles_slug unique (slug)
);
create index system_articles_by_title on system_articles (title, id) where status = 'published';

-- There is no row that somebody may not read, so there is no policy. Nobody may write: the functions below do.
grant select on system_articles to loopctl_app;

-- Fails unless this is a live key of a superadmin.
create function demand_superadmin(p_api_key_id uuid) returns void
    language plpgsql stable set search_path = public, pg_temp as $$
begin
    if not exists (select from api_keys where id = p_api_key_id and role = 'superadmin' and revoked_at is null
                       and (expires_at is null or expires_at > clock_timestamp()))
    then
        raise exception 'system_articles_are_the_superadmins: only a superadmin writes system articles';
    end if;
end
$$;
revoke all on function demand_superadmin(uuid) from public;

-- Nobody else changes the article as long as the transaction goes on.
create function lock_system_article(p_api_key_id uuid, p_id uuid) returns setof system_articles
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    perform demand_superadmin(p_api_key_id);
    return query select * from system_articles where id = p_id for update;
end
$$;

create function create_system_article(p_api_key_id uuid, p_id uuid, p_slug text, p_title text, p_body text, p_category text,
                                      p_status text, p_tags text[], p_metadata jsonb) returns setof system_articles
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    perform demand_superadmin(p_api_key_id);
    return query insert into system_articles (id, slug, title, body, category, status, tags, metadata)
        values (p_id, p_slug, p_title, p_body, p_category, p_status, p_tags, p_metadata) returning *;
end
$$;

-- Its slug stays, because others link to it.
create function change_system_article(p_api_key_id uuid, p_id uuid, p_title text, p_body text, p_category text, p_status text,
                                      p_tags text[], p_metadata jsonb) returns setof system_articles
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    perform demand_superadmin(p_api_key_id);
    return query update system_articles
        set title = p_title, body = p_body, category = p_category, status = p_status, tags = p_tags, metadata = p_metadata,
            updated_at = clock_timestamp()
        where id = p_id returning *;
end
$$;

do $$
declare
    name text;
begin
    foreach name in array array['lock_system_article(uuid, uuid)',
                                'create_system_article(uuid, uuid, text, text, text, text, text, text[], jsonb)',
                                'change_system_article(uuid, uuid, text, text, text, text, text[], jsonb)'] loop
        execute format('revoke all on function %s from public', name);
        execute format('grant execute on function %s to loopctl_app', name);
    end loop;
end
$$;

-- What superadmins do to system articles may be repeated as well, and is no tenant's: the nil UUID. What a tenant that is gone leaves
-- behind goes with time.
alter table idempotency_keys drop constraint idempotency_keys_tenant_id_fkey;
