-- That there are no vectors of a text, because it says nothing or whoever makes them refuses it, is kept like vectors: as none of them.
-- Otherwise they would be asked for again every hour.
alter table article_embeddings
    drop constraint article_embeddings_check,
    add constraint article_embeddings_vectors_check check (octet_length(vectors) <= 4194304
        and octet_length(vectors) % dimensions = 0);
alter table system_article_embeddings
    drop constraint system_article_embeddings_check,
    add constraint system_article_embeddings_vectors_check check (octet_length(vectors) <= 4194304
        and octet_length(vectors) % dimensions = 0);
