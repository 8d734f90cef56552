//! From draft to published, and aside.

use serde_json::{Value, json};

use super::{NOBODY, article, linked, published, so_far, status_of, told};
use crate::support::{Caller, Tenant, text};

async fn refused(who: &Caller, path: &str, message: &str) {
    let error = who.post_empty(path).await.expect_error(422, "invalid_transition");
    assert_eq!(error["message"], message, "{path}");
}

/// Every way from every status, by the routes and by a change.
#[tokio::test]
async fn every_way_is_open_or_closed() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let ways = [("publish", "published"), ("unpublish", "draft"), ("archive", "archived")];
    let open = |from: &str, to: &str| {
        [
            ("draft", "published"),
            ("draft", "archived"),
            ("published", "draft"),
            ("published", "archived"),
            ("superseded", "draft"),
        ]
        .contains(&(from, to))
    };
    let bring = async |title: &str, status: &str| {
        let id = text(&article(u, title, json!({})).await["id"]);
        match status {
            "published" => drop(u.post_empty(&format!("/articles/{id}/publish")).await.expect(200)),
            "archived" => drop(u.delete(&format!("/articles/{id}")).await.expect(200)),
            "superseded" => {
                let newer = text(&article(u, &format!("Newer than {title}"), json!({})).await["id"]);
                linked(u, &newer, "supersedes", &id).await;
            }
            _ => {}
        }
        assert_eq!(status_of(u, &id).await, status);
        id
    };
    for from in ["draft", "published", "archived", "superseded"] {
        for (way, to) in ways {
            let id = bring(&format!("{from} {way}"), from).await;
            let at = format!("/articles/{id}/{way}");
            let message = format!("Cannot transition from {from} to {to}");
            if open(from, to) {
                let moved = u.post(&at, json!({})).await.expect(200)["data"].clone();
                assert_eq!(moved["status"], to);
                assert_eq!(status_of(u, &id).await, to);
            } else {
                refused(u, &at, &message).await;
                assert_eq!(status_of(u, &id).await, from);
            }
            // A change goes the same ways, but for the one to where it is.
            let id = bring(&format!("{from} {to} by a change"), from).await;
            let reply = u.patch(&format!("/articles/{id}"), json!({"status": to})).await;
            if open(from, to) || from == to {
                assert_eq!(reply.expect(200)["data"]["status"], to);
            } else {
                assert_eq!(reply.expect_error(422, "invalid_transition")["message"], message);
            }
        }
        let id = bring(&format!("{from} superseded"), from).await;
        let reply =
            u.patch(&format!("/articles/{id}"), json!({"status": "superseded", "title": "Also"})).await;
        if from == "superseded" {
            reply.expect(200);
        } else {
            reply.expect_error(422, "invalid_transition");
            // Nor was anything else changed.
            assert_eq!(
                u.get(&format!("/articles/{id}")).await.expect(200)["data"]["title"],
                format!("{from} superseded")
            );
        }
        // Laid aside from anywhere.
        assert_eq!(u.delete(&format!("/articles/{id}")).await.expect(200)["data"]["status"], "archived");
    }
}

#[tokio::test]
async fn publishing_is_told() {
    let tenant = Tenant::new().await;
    let (o, u) = (tenant.key("orchestrator").await, &tenant.user);
    let at = format!("/articles/{}", text(&article(u, "A", json!({})).await["id"]));
    let since = so_far(&tenant).await;
    o.post_empty(&format!("{at}/publish")).await.expect(200);
    refused(&o, &format!("{at}/publish"), "Cannot transition from published to published").await;
    u.post_empty(&format!("{at}/unpublish")).await.expect(200);
    u.post_empty(&format!("{at}/archive")).await.expect(200);
    u.delete(&at).await.expect(200);
    let entry =
        |action: &str, old: &str, new: &str| json!(["article", action, {"status": old}, {"status": new}]);
    assert_eq!(
        told(&tenant, since).await,
        [
            entry("article.published", "draft", "published"),
            entry("article.unpublished", "published", "draft"),
            entry("article.archived", "draft", "archived"),
        ]
    );
}

#[tokio::test]
async fn many_are_published_or_none() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let mut ids: Vec<Value> = Vec::new();
    for title in ["one", "two", "three"] {
        ids.push(article(u, title, json!({})).await["id"].clone());
    }
    let done = published(u, "done").await;
    let theirs = text(&article(&other.user, "theirs", json!({})).await["id"]);
    let since = so_far(&tenant).await;
    let publish = async |body: Value| u.post("/knowledge/bulk-publish", body).await;
    let many: Vec<_> = (0..101).map(|_| NOBODY).collect();
    let (none, no_list) = ("article_ids must not be empty", "article_ids must be an array of UUIDs");
    for (body, message) in [
        (json!({}), none),
        (json!({"article_ids": null}), none),
        (json!({"article_ids": []}), none),
        (json!({"article_ids": many}), "Maximum 100 articles per bulk publish"),
        (json!({"article_ids": text(&ids[0])}), no_list),
        (json!({"article_ids": {"0": ids[0]}}), no_list),
        (json!({"article_ids": [ids[0], "x"]}), no_list),
        (json!({"article_ids": [ids[0], 7]}), no_list),
    ] {
        assert_eq!(publish(body).await.expect_error(400, "bad_request")["message"], message);
    }
    for missing in [NOBODY, &theirs] {
        publish(json!({"article_ids": [ids[0], missing]})).await.expect_error(404, "not_found");
    }
    let error = publish(json!({"article_ids": [ids[0], done]})).await.expect_error(422, "invalid_transition");
    assert_eq!(error["message"], format!("Article {done} is in status published, expected draft"));
    assert_eq!(so_far(&tenant).await, since);
    assert_eq!(u.get("/articles?status=draft").await.expect(200)["meta"]["total_count"], 3);
    // In the order in which they are named, each once.
    let asked = json!([ids[2], ids[0], ids[2].as_str().unwrap().to_uppercase(), ids[1]]);
    let answer = publish(json!({"article_ids": asked})).await.expect(200);
    assert_eq!(super::each(&answer, "id"), [ids[2].clone(), ids[0].clone(), ids[1].clone()]);
    assert_eq!(super::each(&answer, "status"), ["published"; 3]);
    assert_eq!(answer["meta"]["count"], 3);
    let entry = json!(["article", "article.published", {"status": "draft"}, {"status": "published"}]);
    assert_eq!(told(&tenant, since).await, [entry.clone(), entry.clone(), entry]);
}
