-- What published articles mean, as vectors. They are no part of an article: writing them does not change it.

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
    -- SHA-256 of title, two line breaks and body: the text that they are of.
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
