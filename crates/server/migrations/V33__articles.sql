-- The knowledge of a tenant: articles that agents and people write, and how they hang together.

-- A text as it is looked through for words: what has no space for a hundred characters gets one, because the parser of full texts takes
-- time with the square of such a run, and it is no word.
create function searchable(text text) returns text
    language sql immutable parallel safe strict set search_path = pg_catalog
    as $$ select regexp_replace(text, '(\S{100})', '\1 ', 'g') $$;

create table articles (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- Null: of the whole tenant.
    project_id uuid,
    title text not null check (title ~ '\S' and length(title) <= 500),
    -- Markdown.
    body text not null check (body ~ '\S' and length(body) <= 100000),
    category text not null check (category in ('pattern', 'convention', 'decision', 'finding', 'reference')),
    status text not null default 'draft' check (status in ('draft', 'published', 'archived', 'superseded')),
    slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]*[a-z0-9]$' and length(slug) between 2 and 64),
    tags text[] not null default '{}' check (cardinality(tags) <= 20 and array_position(tags, null) is null),
    -- Where it comes from: free text for what was ingested.
    source_type text check (length(source_type) between 1 and 64),
    -- No foreign key: of several kinds of things.
    source_id uuid,
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    search_vector tsvector not null generated always as (
        setweight(to_tsvector('english', searchable(title)), 'A')
        || setweight(to_tsvector('english', searchable(body)), 'B')) stored,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade,
    constraint articles_slug unique (tenant_id, slug)
);
-- A title is free again once its article is out of use.
create unique index articles_title on articles (tenant_id, title) where status not in ('archived', 'superseded');
create index articles_newest on articles (tenant_id, inserted_at desc, id desc);
create index articles_by_project on articles (tenant_id, project_id, inserted_at desc, id desc) where project_id is not null;
create index articles_by_status on articles (tenant_id, status, updated_at desc, id);
create index articles_by_source on articles (tenant_id, source_type, source_id) where source_type is not null;
create statistics articles_tenant_project (dependencies) on tenant_id, project_id from articles;

create table article_links (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    source_article_id uuid not null,
    target_article_id uuid not null,
    relationship_type text not null
        check (relationship_type in ('relates_to', 'derived_from', 'contradicts', 'supersedes')),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    inserted_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, source_article_id) references articles (tenant_id, id) on delete cascade,
    foreign key (tenant_id, target_article_id) references articles (tenant_id, id) on delete cascade,
    check (source_article_id <> target_article_id),
    constraint article_links_once unique (tenant_id, source_article_id, target_article_id, relationship_type)
);
-- Related is related in both directions.
create unique index article_links_related on article_links
    (tenant_id, least(source_article_id, target_article_id), greatest(source_article_id, target_article_id))
    where relationship_type = 'relates_to';
create index article_links_by_target on article_links (tenant_id, target_article_id);

create trigger append_only before update on article_links for each row execute function append_only();

do $$
declare
    name text;
begin
    foreach name in array array['articles', 'article_links'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = current_tenant_id()) '
                       'with check (tenant_id = current_tenant_id())', name);
    end loop;
end
$$;
-- Articles are laid aside, not deleted.
grant select, insert on articles to loopctl_app;
grant update (project_id, title, body, category, status, tags, metadata, updated_at) on articles to loopctl_app;
grant select, insert, delete on article_links to loopctl_app;
