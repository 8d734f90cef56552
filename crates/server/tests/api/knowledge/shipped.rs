//! The articles that come along with loopctl.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use loopctl_docs::ARTICLES;
use loopctl_server::db::migrate::migrate;
use loopctl_server::operator::{check_links, write_articles};

use crate::database::migrations::{drop_database, fresh_database};
use crate::support::connect;

/// The articles that come along, as a database has them.
async fn rows(owner: &tokio_postgres::Config) -> Vec<(String, String, String)> {
    let sql = "select slug, title, status from system_articles order by slug";
    let rows = connect(owner).await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn they_come_along_once_and_are_brought_up_to_date() {
    let config = fresh_database().await;
    migrate(&config, None).await.unwrap();
    // However many servers start at once.
    let written = join_all((0..4).map(|_| write_articles(&config))).await;
    let mut written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    written.sort_unstable();
    assert_eq!(written, [0, 0, 0, ARTICLES.len()]);
    let shipped: Vec<_> = ARTICLES
        .iter()
        .map(|article| (article.slug.to_owned(), article.title.to_owned(), "published".to_owned()))
        .collect();
    assert_eq!(rows(&config).await, shipped);
    // What they mean is to be made out, whoever is there for it.
    let jobs = "select count(*) from jobs where kind = 'system_article_embedding' and state = 'available'";
    let jobs: i64 = connect(&config).await.query_one(jobs, &[]).await.unwrap().get(0);
    let all = ARTICLES.len() as i64;
    assert_eq!(jobs, all);
    let check = check_links(&config).await.unwrap();
    assert_eq!((check.broken, check.articles), (0, ARTICLES.len()), "{check:#?}");

    let owner = connect(&config).await;
    let told = "select count(*), count(distinct entity_id) from audit_log
                where tenant_id = '00000000-0000-0000-0000-000000000000' and entity_type = 'article' and action = 'article.created'
                  and actor_type = 'system' and actor_label = 'system:wiki'";
    let told = owner.query_one(told, &[]).await.unwrap();
    assert_eq!((told.get::<_, i64>(0), told.get::<_, i64>(1)), (all, all));

    // One as it came with an earlier version, one that somebody has changed, one taken back, and one of somebody's own.
    let earlier = "update system_articles set title = 'Earlier', shipped_digest =
                       sha256(convert_to('[\"Earlier\",' || to_json(body)::text || ',\"reference\",'
                                         || replace(to_json(tags)::text, ', ', ',') || ']', 'UTF8'))
                   where slug = 'discovery'";
    for sql in [
        earlier,
        "update system_articles set title = 'Mine' where slug = 'break-glass'",
        "update system_articles set status = 'draft' where slug = 'verify-story'",
        "update system_articles set title = 'My own', shipped_digest = null where slug = 'agent-pattern'",
        "delete from system_articles where slug = 'wrong-lineage'",
    ] {
        assert_eq!(owner.execute(sql, &[]).await.unwrap(), 1, "{sql}");
    }
    assert_eq!(write_articles(&config).await.unwrap(), 2);
    let expected: Vec<_> = shipped
        .iter()
        .map(|(slug, title, status)| match slug.as_str() {
            "break-glass" => (slug.clone(), "Mine".to_owned(), status.clone()),
            "agent-pattern" => (slug.clone(), "My own".to_owned(), status.clone()),
            "verify-story" => (slug.clone(), title.clone(), "draft".to_owned()),
            _ => (slug.clone(), title.clone(), status.clone()),
        })
        .collect();
    assert_eq!(rows(&config).await, expected);
    assert_eq!(write_articles(&config).await.unwrap(), 0);

    // What leads to the one that was taken back leads nowhere.
    let check = check_links(&config).await.unwrap();
    let to: BTreeSet<_> = check.links.iter().map(|link| link.to.as_str()).collect();
    assert_eq!(to.into_iter().collect::<Vec<_>>(), ["/wiki/verify-story"], "{check:#?}");
    assert!(check.broken > 0);
    drop_database(&config).await;
}
