//! What is found out of articles in the background: on a server that goes by words, so that it is known what is near what.

use std::sync::LazyLock;

use loopctl_server::serve::ServeOptions;
use loopctl_server::{EmbeddingChoice, EmbeddingOptions};
use serde_json::{Value, json};

use super::article;
use crate::support::{
    Caller, PATIENCE, Tenant, TestServer, connect, own_database, started, text, until_true,
};

static LITERAL: LazyLock<TestServer> = LazyLock::new(|| {
    let embeddings = EmbeddingOptions { choice: EmbeddingChoice::Hash, ..EmbeddingOptions::default() };
    started(ServeOptions { embeddings, ..ServeOptions::local(own_database()) })
});

const BODY: &str =
    "A pool keeps connections to the database open and hands them out, one to each request that asks for it.";

async fn publish(who: &Caller, title: &str, further: Value) -> String {
    let mut all = json!({"body": BODY, "status": "published"});
    all.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    text(&article(who, title, all).await["id"])
}

/// Waits until nothing is under way for a tenant, and nothing waits.
async fn quiet(tenant: &Tenant) {
    let owner = connect(&LITERAL.owner).await;
    let sql =
        "select not exists (select from jobs where tenant_id = $1::text::uuid and completed_at is null)";
    until_true("the work is done", PATIENCE, &owner, sql, &[&tenant.id]).await;
}

/// What the log tells of this kind, first things first: who did it, and what it says.
async fn told(tenant: &Tenant, action: &str) -> Vec<Value> {
    let owner = connect(&LITERAL.owner).await;
    let sql =
        "select json_build_object('actor_label', actor_label, 'new_state', new_state)::text from audit_log
               where tenant_id = $1::text::uuid and action = $2 order by position";
    let rows = owner.query(sql, &[&tenant.id, &action]).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

/// The links of an article: from where to where, and what is said of them.
async fn links(who: &Caller, id: &str) -> Vec<Value> {
    who.get(&format!("/articles/{id}/links")).await.expect(200)["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_says_nearly_the_same_is_linked_once() {
    let tenant = Tenant::at(&LITERAL.owner, &LITERAL.base).await;
    let other = Tenant::at(&LITERAL.owner, &LITERAL.base).await;
    let user = &tenant.user;
    let (mine, others_project) = (tenant.project().await, tenant.project().await);
    publish(&other.user, "Connection pools of others", json!({})).await;
    let first = publish(user, "Connection pools", json!({})).await;
    quiet(&tenant).await;
    let second = publish(user, "Connection pools again", json!({"project_id": mine})).await;
    quiet(&tenant).await;
    let third = publish(user, "Connection pools elsewhere", json!({"project_id": others_project})).await;
    let far = publish(user, "Branch names", json!({"body": "Begin with the number of a story."})).await;
    let draft = text(&article(user, "Connection pools in a draft", json!({"body": BODY})).await["id"]);
    quiet(&tenant).await;
    // With what is of the whole tenant, and not with another project's, a draft's or another tenant's.
    let linked = links(user, &second).await;
    assert_eq!(linked.len(), 1, "{linked:#?}");
    assert_eq!(
        (&linked[0]["source_article_id"], &linked[0]["target_article_id"]),
        (&json!(second), &json!(first))
    );
    assert_eq!(
        (&linked[0]["relationship_type"], &linked[0]["metadata"]["auto_generated"]),
        (&json!("relates_to"), &json!(true))
    );
    assert!(linked[0]["metadata"]["similarity_score"].as_f64().unwrap() >= 0.35);
    assert_eq!(links(user, &first).await.len(), 2);
    assert_eq!(
        (links(user, &third).await.len(), links(user, &far).await.len(), links(user, &draft).await.len()),
        (1, 0, 0)
    );
    let entries = told(&tenant, "knowledge.articles_linked").await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["actor_label"], "worker:article_linking");
    assert_eq!(entries[0]["new_state"]["new_link_count"], 1);
    // Another text of the same: no second link, in either direction.
    user.patch(&format!("/articles/{first}"), json!({"body": format!("{BODY} So it is.")})).await.expect(200);
    quiet(&tenant).await;
    assert_eq!(links(user, &first).await.len(), 2);
    assert_eq!(told(&tenant, "knowledge.articles_linked").await.len(), 2);
}

/// What has changed since it was compared is not linked: its text, or whose it is.
#[tokio::test]
async fn what_is_not_as_it_was_is_not_linked() {
    let tenant = Tenant::at(&LITERAL.owner, &LITERAL.base).await;
    let (mine, others_project) = (tenant.project().await, tenant.project().await);
    let owner = connect(&LITERAL.owner).await;
    let project = json!({"project_id": mine});
    for (nth, change) in [
        "set body = 'Begin with the number of a story.'".to_owned(),
        format!("set project_id = '{others_project}'"),
        "set tags = '{still-the-same}'".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let old = publish(&tenant.user, &format!("Connection pools {nth}"), json!({})).await;
        quiet(&tenant).await;
        owner
            .execute("delete from article_links where tenant_id = $1::text::uuid", &[&tenant.id])
            .await
            .unwrap();
        // Behind the server's back, so that it compares what it knows of it.
        let sql = format!("update articles {change} where id = $1::text::uuid");
        owner.execute(&sql, &[&old]).await.unwrap();
        let new = publish(&tenant.user, &format!("Connection pools anew {nth}"), project.clone()).await;
        quiet(&tenant).await;
        let linked = links(&tenant.user, &new).await;
        assert_eq!(linked.iter().any(|link| link["target_article_id"] == json!(old)), nth == 2, "{change}");
        tenant.user.delete(&format!("/articles/{old}")).await.expect(200);
        tenant.user.delete(&format!("/articles/{new}")).await.expect(200);
    }
}

#[tokio::test]
async fn what_says_nothing_any_more_has_no_vector() {
    let tenant = Tenant::at(&LITERAL.owner, &LITERAL.base).await;
    let id = publish(&tenant.user, "Pools", json!({})).await;
    quiet(&tenant).await;
    let updated = told(&tenant, "article.embedding_updated").await;
    assert_eq!((updated.len(), &updated[0]["new_state"]), (1, &json!({"embedding_dimensions": 1536})));
    tenant
        .user
        .patch(&format!("/articles/{id}"), json!({"title": "Of it", "body": "There and then."}))
        .await
        .expect(200);
    quiet(&tenant).await;
    let cleared = told(&tenant, "article.embedding_cleared").await;
    assert_eq!((cleared.len(), &cleared[0]["new_state"]), (1, &json!({"embedding_dimensions": null})));
    let found = tenant.user.get("/knowledge/search?q=pools&mode=semantic").await.expect(200);
    assert_eq!(found["data"], json!([]));
}
