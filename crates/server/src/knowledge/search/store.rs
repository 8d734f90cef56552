//! Rows and SQL of search.

use loopctl_core::knowledge::Category;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// The stems of a question's words.
#[derive(Debug, Row)]
pub(super) struct Stems {
    /// Of those that are asked for.
    pub(super) stems: Vec<String>,
    /// Of those with a minus before them.
    pub(super) unwanted: Vec<String>,
    /// Whether it has no words but those that every text has.
    pub(super) says_nothing: bool,
}

/// An article that has the words that were asked for.
#[derive(Debug, Row)]
pub(super) struct Ranked {
    pub(super) id: Uuid,
    pub(super) rank: f64,
    /// Of all that were found.
    pub(super) best: f64,
}

/// An article as it is shown among others.
#[derive(Debug, Row)]
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) category: Category,
    pub(super) tags: Vec<String>,
    /// `tenant` or `system`.
    pub(super) scope: String,
    /// Words around those that were asked for; null: it has none of them.
    pub(super) headline: Option<String>,
    /// As much of it as may be shown of its beginning.
    pub(super) beginning: String,
}

/// An article with its text.
#[derive(Debug, Row)]
pub(super) struct Whole {
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) category: Category,
    pub(super) tags: Vec<String>,
    pub(super) body: String,
    pub(super) updated_at: Timestamp,
    /// How many days ago that was.
    #[row(sql = "(extract(epoch from clock_timestamp() - updated_at) / 86400)::float8")]
    pub(super) age_days: f64,
}

/// A neighbour of an article.
#[derive(Debug, Row)]
pub(super) struct Linked {
    pub(super) of: Uuid,
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) category: Category,
}

/// Articles with a status that have the words of `$2`, of a project (with those of the tenant, if `$4`), a category, one of some tags;
/// and the server's own, if `$8`.
macro_rules! matching {
    () => {
        "(select id, updated_at, search_vector, query
          from articles cross join (select websearch_to_tsquery('english', $2) as query) asked
          where tenant_id = $1 and status = $7 and search_vector @@ query
            and ($3::uuid is null or project_id = $3 or $4 and project_id is null)
            and ($5::text is null or category = $5) and ($6::text[] is null or tags && $6)
          union all
          select id, updated_at, search_vector, query
          from system_articles cross join (select websearch_to_tsquery('english', $2) as query) asked
          where $8 and status = $7 and search_vector @@ query
            and ($5::text is null or category = $5) and ($6::text[] is null or tags && $6)) matching"
    };
}

statements! {
    /// As search engines read it: what is not negated is what could be looked up in an index, if anything.
    QUESTION_STEMS -> Stems = "
        select {*} from (
            select stems, words = '{}' as says_nothing,
                   case when stems <> '{}' and $2 ~ '(^|\\s)-\\S' then array(select unnest(words) except select unnest(stems))
                        else '{}' end as unwanted
            from (select tsvector_to_array(to_tsvector('english', $2)) as words, array(
                select replace(stem[1], '''''', '''')
                from regexp_matches(querytree(websearch_to_tsquery('english', $2)), '''((?:[^'']|'''')+)''', 'g') as found (stem)
            ) as stems) asked) read where $1::uuid is not null";
    BY_WORDS -> list of Ranked = {
        within: "",
        count: concat!("count(*) from ", matching!()),
        from: concat!(
            "(select id, updated_at, ts_rank_cd(search_vector, query)::float8 as rank,
                     max(ts_rank_cd(search_vector, query)) over ()::float8 as best from ",
            matching!(),
            ") ranked"
        ),
        page: "order by rank desc, updated_at desc, id limit $9 offset $10",
    };
    /// `$3` is a question as it was asked, or words of which one is enough; with `$5` the server's own articles are among them.
    SHOW_FOUND -> Shown = "
        select {*} from (
            select id, title, category, tags, scope, left(body, 2000) as beginning,
                   case when search_vector @@ query then
                       ts_headline('english', searchable(body), query, 'StartSel=**, StopSel=**, MaxWords=35, MinWords=15') end as headline
            from (
                select id, title, category, tags, 'tenant'::text as scope, body, search_vector from articles
                where tenant_id = $1 and id = any($2) and status = 'published'
                union all
                select id, title, category, tags, 'system', body, search_vector from system_articles
                where $5 and id = any($2) and status = 'published') chosen
            cross join (
                select case when $4 then websearch_to_tsquery('english', $3)
                            else replace(plainto_tsquery('english', $3)::text, '&', '|')::tsquery end as query) asked) found";
    READ_FOUND -> Whole = "select {*} from articles where tenant_id = $1 and id = any($2) and status = $3";
    /// What is published and linked with some articles, of each the five newest.
    LINKED_WITH -> Linked = "
        select {*} from (
            select of, id, title, category, row_number() over (partition by of order by newest desc, id) as nth
            from (
                select o.of, a.id, a.title, a.category, max(l.inserted_at) as newest
                from unnest($2::uuid[]) o (of)
                join article_links l on l.tenant_id = (select $1::uuid) and o.of in (l.source_article_id, l.target_article_id)
                join articles a on a.tenant_id = (select $1::uuid) and a.status = 'published'
                    and a.id = case when l.source_article_id = o.of then l.target_article_id else l.source_article_id end
                group by o.of, a.id, a.title, a.category) neighbours) linked
        where nth <= 5 order by of, nth";
}
