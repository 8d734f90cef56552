//! Whoever comes at the same time.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{article, draft, published, so_far, status_of, told};
use crate::support::{Caller, Reply, Tenant, rounds, text};

/// All calls at once, each on a task of its own.
async fn together(calls: Vec<(Caller, String, Value)>) -> Vec<Reply> {
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|(who, path, body)| tokio::spawn(async move { who.post(&path, body).await }))
        .collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

fn won(replies: &[Reply]) -> usize {
    replies.iter().filter(|reply| reply.status < 300).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_draft_is_published_once() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    for round in 0..rounds(5) {
        let id = text(&article(&o, &format!("{round}"), json!({})).await["id"]);
        let since = so_far(&tenant).await;
        let mut calls: Vec<_> =
            (0..4).map(|_| (o.clone(), format!("/articles/{id}/publish"), json!({}))).collect();
        calls.push((tenant.user.clone(), "/knowledge/bulk-publish".to_owned(), json!({"article_ids": [id]})));
        let replies = together(calls).await;
        assert_eq!(won(&replies), 1);
        for lost in replies.into_iter().filter(|reply| reply.status >= 300) {
            lost.expect_error(422, "invalid_transition");
        }
        assert_eq!(told(&tenant, since).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_title_is_one_article() {
    let tenant = Tenant::new().await;
    let calls = (0..8).map(|_| (tenant.user.clone(), "/articles".to_owned(), draft("Wanted"))).collect();
    let replies = together(calls).await;
    assert_eq!(won(&replies), 1);
    for lost in replies.into_iter().filter(|reply| reply.status >= 300) {
        lost.expect_error(422, "validation_failed");
    }
    assert_eq!(tenant.user.get("/articles").await.expect(200)["meta"]["total_count"], 1);
}

/// Sets of drafts that overlap, each named in another order: one of them wins, or those that do not meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_drafts_are_published_by_many() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    for round in 0..rounds(3) {
        let mut ids = Vec::new();
        for nth in 0..4 {
            ids.push(article(u, &format!("{round} {nth}"), json!({})).await["id"].clone());
        }
        let since = so_far(&tenant).await;
        let sets = [[0, 1, 2], [2, 1, 0], [3, 2, 1], [1, 3, 0]];
        let calls = sets.map(|set| {
            let named: Vec<_> = set.iter().map(|nth| ids[*nth].clone()).collect();
            (u.clone(), "/knowledge/bulk-publish".to_owned(), json!({"article_ids": named}))
        });
        let replies = together(calls.to_vec()).await;
        assert_eq!(won(&replies), 1, "each set has one of each other");
        assert!(replies.iter().all(|reply| [200, 422].contains(&reply.status)));
        assert_eq!(told(&tenant, since).await.len(), 3);
    }
}

/// A link and its twin the other way round: one is there, whoever was first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_are_related_once() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    for round in 0..rounds(5) {
        let (a, b) = (published(u, &format!("A{round}")).await, published(u, &format!("B{round}")).await);
        let calls = (0..6).map(|nth| {
            let (source, target) = if nth % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let body = json!({"source_article_id": source, "target_article_id": target, "relationship_type": "relates_to"});
            (u.clone(), "/article_links".to_owned(), body)
        });
        let replies = together(calls.collect()).await;
        assert_eq!(won(&replies), 1);
        assert!(replies.iter().all(|reply| [201, 409, 422].contains(&reply.status)));
        assert_eq!(
            u.get(&format!("/articles/{a}/links")).await.expect(200)["data"].as_array().unwrap().len(),
            1
        );
    }
}

/// Articles that would all supersede the next one, in a circle: the circle is not closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_supersedes_in_a_circle() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    for round in 0..rounds(4) {
        let size = 2 + round % 4;
        let mut ids = Vec::new();
        for nth in 0..size {
            ids.push(published(u, &format!("{round} {nth}")).await);
        }
        let calls = (0..size).map(|nth| {
            let body = json!({"source_article_id": ids[nth], "target_article_id": ids[(nth + 1) % size],
                              "relationship_type": "supersedes"});
            (u.clone(), "/article_links".to_owned(), body)
        });
        let replies = together(calls.collect()).await;
        assert_eq!(won(&replies), size - 1, "all but the one that would close it");
        let mut left = 0;
        for id in &ids {
            left += usize::from(status_of(u, id).await == "published");
        }
        assert_eq!(left, 1);
    }
}

/// Changes, moves and supersessions of one article at once: every one that succeeds is told, and none undoes another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_is_told_in_order() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    for round in 0..rounds(4) {
        let (id, newer) =
            (published(u, &format!("{round}")).await, published(u, &format!("Newer {round}")).await);
        let since = so_far(&tenant).await;
        let at = format!("/articles/{id}");
        let tags = json!({"tags": ["changed"]});
        let replaces =
            json!({"source_article_id": newer, "target_article_id": id, "relationship_type": "supersedes"});
        let (unpublish, archive) = (format!("{at}/unpublish"), format!("{at}/archive"));
        let (one, two, three, four, five) = tokio::join!(
            u.post_empty(&unpublish),
            u.post_empty(&archive),
            u.patch(&at, tags),
            u.delete(&at),
            u.post("/article_links", replaces),
        );
        assert_eq!((three.status, four.status, five.status), (200, 200, 201));
        assert!([one, two].iter().all(|reply| [200, 422].contains(&reply.status)));
        // Each entry begins where the one before it has ended.
        let mut status = json!("published");
        for entry in told(&tenant, since).await.iter().filter(|entry| entry[0] == "article") {
            assert_eq!(entry[2]["status"], status, "{entry}");
            status = entry[3]["status"].clone();
        }
        let shown = u.get(&at).await.expect(200)["data"].clone();
        assert_eq!((&shown["status"], &shown["tags"]), (&status, &json!(["changed"])));
    }
}
