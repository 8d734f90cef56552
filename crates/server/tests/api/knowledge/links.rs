//! How articles hang together.

use serde_json::{Value, json};

use super::{NOBODY, article, linked, published, so_far, status_of, told};
use crate::support::{Tenant, connect, server, text};

fn link(source: &str, relationship: &str, target: &str) -> Value {
    json!({"source_article_id": source, "target_article_id": target, "relationship_type": relationship})
}

#[tokio::test]
async fn refused_links() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, u) = (tenant.key("agent").await, &tenant.user);
    let (a, b) = (published(u, "A").await, published(u, "B").await);
    let theirs = published(&other.user, "Theirs").await;
    let since = so_far(&tenant).await;
    let (blank, invalid) = (json!(["can't be blank"]), json!(["is invalid"]));
    let missing = json!(["does not exist in this tenant"]);
    for (body, details) in [
        (
            json!({}),
            json!({"source_article_id": blank, "target_article_id": blank, "relationship_type": blank}),
        ),
        (
            json!({"target_article_id": b, "relationship_type": "relates_to"}),
            json!({"source_article_id": blank}),
        ),
        (link("x", "bogus", &b), json!({"source_article_id": invalid, "relationship_type": invalid})),
        (link(&theirs, "relates_to", &b), json!({"source_article_id": missing})),
        (link(&a, "supersedes", &theirs), json!({"target_article_id": missing})),
        (
            link(NOBODY, "relates_to", NOBODY),
            json!({"source_article_id": missing, "target_article_id": missing}),
        ),
        (link(&a, "relates_to", &a), json!({"target_article_id": ["cannot link an article to itself"]})),
        (link(&a, "supersedes", &a), json!({"target_article_id": ["cannot link an article to itself"]})),
        (
            json!({"source_article_id": a, "target_article_id": b, "relationship_type": "relates_to", "metadata": []}),
            json!({"metadata": invalid}),
        ),
    ] {
        let error = agent.post("/article_links", body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{body}");
    }
    assert_eq!(so_far(&tenant).await, since);
    // Twice the same, and the same the other way round.
    let id = linked(&agent, &a, "relates_to", &b).await;
    let error =
        agent.post("/article_links", link(&a, "relates_to", &b)).await.expect_error(422, "validation_failed");
    assert_eq!(
        error["details"],
        json!({"tenant_id": ["link already exists between these articles with this relationship type"]})
    );
    agent.post("/article_links", link(&b, "relates_to", &a)).await.expect_error(409, "link_exists");
    // Other relationships of the same two, in both directions where they have one.
    linked(&agent, &a, "derived_from", &b).await;
    linked(&agent, &b, "derived_from", &a).await;
    // Who may take it away.
    let at = format!("/article_links/{id}");
    for who in [&agent, &tenant.key("orchestrator").await] {
        let error = who.delete(&at).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "Insufficient permissions. Required role: user");
    }
    for (who, at) in
        [(&other.user, at.as_str()), (u, &format!("/article_links/{NOBODY}")), (u, "/article_links/x")]
    {
        who.delete(at).await.expect_error(404, "not_found");
    }
    assert_eq!(u.delete(&at).await.expect(204), Value::Null);
    u.delete(&at).await.expect_error(404, "not_found");
    linked(&agent, &b, "relates_to", &a).await;
}

#[tokio::test]
async fn links_are_shown_from_both_ends() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let (a, b, c) = (published(u, "A").await, published(u, "B").await, published(u, "C").await);
    let mut body = link(&a, "relates_to", &b);
    body["metadata"] = json!({"why": "both"});
    let made = u.post("/article_links", body).await.expect(201)["data"].clone();
    assert_eq!(made["metadata"], json!({"why": "both"}));
    linked(u, &c, "derived_from", &a).await;
    let end = |id: &str, title: &str| json!({"id": id, "title": title});
    let shown = u.get(&format!("/articles/{a}")).await.expect(200)["data"].clone();
    let outgoing = json!([{"id": made["id"], "relationship_type": "relates_to", "source_article": end(&a, "A"),
                           "target_article": end(&b, "B")}]);
    assert_eq!(shown["outgoing_links"], outgoing);
    assert_eq!(shown["incoming_links"][0]["source_article"], end(&c, "C"));
    assert_eq!(shown["incoming_links"].as_array().unwrap().len(), 1);
    let list = u.get(&format!("/articles/{a}/links")).await.expect(200);
    assert_eq!(super::each(&list, "relationship_type"), ["derived_from", "relates_to"]);
    let mut whole = made.clone();
    whole["source_article"] = end(&a, "A");
    whole["target_article"] = end(&b, "B");
    assert_eq!(list["data"][1], whole);
    // Of nothing there is nothing, and so it is of others'.
    assert_eq!(u.get(&format!("/articles/{NOBODY}/links")).await.expect(200), json!({"data": []}));
    assert_eq!(other.user.get(&format!("/articles/{a}/links")).await.expect(200), json!({"data": []}));
    u.get("/articles/x/links").await.expect_error(404, "not_found");
    // There is an end.
    let sql = "with made as (
                   insert into articles (tenant_id, id, title, body, category, slug)
                   select $1::text::uuid, gen_random_uuid(), 'many ' || n, 'b', 'finding', 'many-' || n
                   from generate_series(1, 120) n
                   returning id)
               select count(*) from made";
    let owner = connect(&server().owner).await;
    owner.query(sql, &[&tenant.id]).await.unwrap();
    let sql =
        "insert into article_links (tenant_id, id, source_article_id, target_article_id, relationship_type)
               select tenant_id, gen_random_uuid(), id, $2::text::uuid, 'derived_from' from articles
               where tenant_id = $1::text::uuid and title like 'many %'";
    owner.execute(sql, &[&tenant.id, &b]).await.unwrap();
    assert_eq!(
        u.get(&format!("/articles/{b}/links")).await.expect(200)["data"].as_array().unwrap().len(),
        100
    );
    let shown = u.get(&format!("/articles/{b}")).await.expect(200)["data"].clone();
    assert_eq!(shown["incoming_links"].as_array().unwrap().len(), 100);
}

/// Whatever the target's status: it is superseded, and nothing goes in a circle.
#[tokio::test]
async fn one_takes_the_place_of_another() {
    let tenant = Tenant::new().await;
    let (agent, u) = (tenant.key("agent").await, &tenant.user);
    let (a, b, c) = (published(u, "A").await, published(u, "B").await, published(u, "C").await);
    let old = text(&article(u, "Old", json!({})).await["id"]);
    u.delete(&format!("/articles/{old}")).await.expect(200);
    let since = so_far(&tenant).await;
    // An agent may.
    let id = linked(&agent, &b, "supersedes", &a).await;
    assert_eq!(status_of(u, &a).await, "superseded");
    assert_eq!(status_of(u, &b).await, "published");
    let fields = json!({"source_article_id": b, "target_article_id": a, "relationship_type": "supersedes"});
    let mut with = fields.clone();
    with["target_superseded"] = json!(true);
    assert_eq!(
        told(&tenant, since).await,
        [
            json!(["article_link", "article_link.created", null, with]),
            json!(["article", "article.superseded", {"status": "published"}, {"status": "superseded"}]),
        ]
    );
    linked(u, &c, "supersedes", &b).await;
    linked(u, &c, "supersedes", &old).await;
    assert_eq!(status_of(u, &old).await, "superseded");
    for (newer, older) in [(&a, &b), (&a, &c), (&b, &c)] {
        let error = u
            .post("/article_links", link(newer, "supersedes", older))
            .await
            .expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"target_article_id": ["would create a supersession cycle"]}));
    }
    // Twice by the same is no other; by another it is.
    u.post("/article_links", link(&b, "supersedes", &a)).await.expect(422);
    linked(u, &c, "supersedes", &a).await;
    // It is not undone by taking the link away.
    let since = so_far(&tenant).await;
    u.delete(&format!("/article_links/{id}")).await.expect(204);
    assert_eq!(told(&tenant, since).await, [json!(["article_link", "article_link.deleted", fields, null])]);
    assert_eq!(status_of(u, &a).await, "superseded");
    u.post_empty(&format!("/articles/{a}/unpublish")).await.expect(200);
}

/// What is deleted takes along what hangs on it.
#[tokio::test]
async fn a_project_goes_with_its_articles_and_their_links() {
    let tenant = Tenant::new().await;
    let (u, project) = (&tenant.user, tenant.project().await);
    let of_project = text(&article(u, "Of the project", json!({"project_id": project})).await["id"]);
    let (kept, too) = (published(u, "Kept").await, published(u, "Too").await);
    linked(u, &of_project, "relates_to", &kept).await;
    linked(u, &kept, "derived_from", &of_project).await;
    linked(u, &kept, "relates_to", &too).await;
    let owner = connect(&server().owner).await;
    owner.execute("delete from projects where id = $1::text::uuid", &[&project]).await.unwrap();
    u.get(&format!("/articles/{of_project}")).await.expect_error(404, "not_found");
    let list = u.get(&format!("/articles/{kept}/links")).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
