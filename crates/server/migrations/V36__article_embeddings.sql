-- What published articles mean, as vectors. They are no part of an article: writing them does not change it.

-- SHA-256 of what an article's vectors are of. Texts are UTF-8 in every database of ours, so it depends on nothing else.
create function article_text_hash(title text, body text) returns bytea
    language sql immutable parallel safe strict set search_path = pg_catalog
    as $$ select sha256(convert_to(title || E'\n\n' || body, 'UTF8')) $$;
alter table articles add column text_hash bytea not null
    generated always as (article_text_hash(title, body)) stored;

create table article_embeddings (
    tenant_id uuid not null,
    article_id uuid not null,
    -- What made them. Vectors of different models are never compared.
    model text not null check (length(model) between 1 and 200),
    -- Of each vector.
    dimensions integer not null check (dimensions between 1 and 8192),
    -- One vector after the other, a signed byte for each of its parts.
    vectors bytea not null check (octet_length(vectors) between dimensions and 4194304
                                  and octet_length(vectors) % dimensions = 0),
    -- Of the text that they are of.
    text_hash bytea not null check (octet_length(text_hash) = 32),
    embedded_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, article_id),
    foreign key (tenant_id, article_id) references articles (tenant_id, id) on delete cascade
);
alter table article_embeddings enable row level security, force row level security;
create policy tenant_isolation on article_embeddings
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select, insert, delete on article_embeddings to loopctl_app;
grant update (model, dimensions, vectors, text_hash, embedded_at) on article_embeddings to loopctl_app;

-- The same of the server's own articles, which everybody reads: their words as a search compares them, what they mean, and which of them
-- belong together. Tenants write none of it, and neither does the application's role: only the login that owns the tables. They are
-- linked with each other alone, because the keys say so.
alter table system_articles
    add column text_hash bytea not null generated always as (article_text_hash(title, body)) stored,
    add column search_vector tsvector not null generated always as (
        setweight(to_tsvector('english', searchable(title)), 'A')
        || setweight(to_tsvector('english', searchable(body)), 'B')) stored;

create table system_article_embeddings (
    article_id uuid primary key references system_articles (id) on delete cascade,
    model text not null check (length(model) between 1 and 200),
    dimensions integer not null check (dimensions between 1 and 8192),
    vectors bytea not null check (octet_length(vectors) between dimensions and 4194304
                                  and octet_length(vectors) % dimensions = 0),
    text_hash bytea not null check (octet_length(text_hash) = 32),
    embedded_at timestamptz not null default clock_timestamp()
);
grant select on system_article_embeddings to loopctl_app;

create table system_article_links (
    id uuid primary key,
    source_article_id uuid not null references system_articles (id) on delete cascade,
    target_article_id uuid not null references system_articles (id) on delete cascade,
    -- How near their meanings are.
    similarity_score double precision not null,
    inserted_at timestamptz not null default clock_timestamp(),
    check (source_article_id <> target_article_id)
);
-- Of two articles one link is enough, whichever is its source.
create unique index system_article_links_pair on system_article_links
    (least(source_article_id, target_article_id), greatest(source_article_id, target_article_id));
create index system_article_links_source on system_article_links (source_article_id);
create index system_article_links_target on system_article_links (target_article_id);
grant select on system_article_links to loopctl_app;
