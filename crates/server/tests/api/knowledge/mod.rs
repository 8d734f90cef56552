//! The knowledge wiki.

mod articles;
mod crowds;
mod everybodys;
mod export;
mod index;
mod ingestion;
pub(crate) mod learning;
mod links;
mod lint;
mod meaning;
mod notices;
mod provider;
mod quality;
mod races;
mod reads;
mod search;
mod shipped;
mod sources;
mod system;
mod workflow;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Caller, PATIENCE, Tenant, TestServer, connect, server, text, until_true};

/// An id that nothing has.
const NOBODY: &str = "0190f5ad-0000-7000-8000-000000000000";

/// The body of a new article.
fn draft(title: &str) -> Value {
    json!({"title": title, "body": format!("About {title}."), "category": "pattern"})
}

/// A new article with this title, and these fields beside; as it was answered.
async fn article(who: &Caller, title: &str, further: Value) -> Value {
    let mut body = draft(title);
    body.as_object_mut().unwrap().extend(further.as_object().cloned().unwrap_or_default());
    who.post("/articles", body).await.expect(201)["data"].clone()
}

/// A new published article; its id.
async fn published(user: &Caller, title: &str) -> String {
    text(&article(user, title, json!({"status": "published"})).await["id"])
}

/// A new link; its id.
async fn linked(who: &Caller, source: &str, relationship: &str, target: &str) -> String {
    let body =
        json!({"source_article_id": source, "target_article_id": target, "relationship_type": relationship});
    text(&who.post("/article_links", body).await.expect(201)["data"]["id"])
}

/// The status of an article.
async fn status_of(who: &Caller, id: &str) -> Value {
    who.get(&format!("/articles/{id}")).await.expect(200)["data"]["status"].clone()
}

/// A tenant with a project whose articles are so large that no page holds all of them.
pub(crate) async fn with_large_articles() -> (Tenant, String) {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let sql = "insert into articles (tenant_id, id, project_id, title, body, category, slug)
               select $1::text::uuid, gen_random_uuid(), $2::text::uuid, 'large ' || n, repeat(chr(1), 99999) || 'x', 'finding',
                      'large-' || n
               from generate_series(1, 30) n";
    connect(&server().owner).await.execute(sql, &[&tenant.id, &project]).await.unwrap();
    (tenant, project)
}

/// So many published articles of a tenant, written by other hands, with a number in their titles.
pub(crate) async fn many_published(tenant: &Tenant, count: i32) {
    let sql = "insert into articles (tenant_id, id, title, body, category, slug, status)
               select $1::text::uuid, gen_random_uuid(), 'many ' || n, 'b', 'finding', 'many-' || n, 'published'
               from generate_series(1, $2) n";
    connect(&server().owner).await.execute(sql, &[&tenant.id, &count]).await.unwrap();
}

/// Makes an article as old as so many days.
async fn aged(id: &str, days: i32) {
    let sql = "update articles set updated_at = now() - make_interval(days => $2, mins => 1) where id = $1::text::uuid";
    connect(&server().owner).await.execute(sql, &[&id, &days]).await.unwrap();
}

/// A member of each row of a list.
fn each(list: &Value, member: &str) -> Vec<Value> {
    list["data"].as_array().unwrap().iter().map(|row| row[member].clone()).collect()
}

/// The entries of a tenant's log, but for what background work on meaning adds when it likes.
async fn entries(tenant: &Tenant) -> Vec<Value> {
    let log = tenant.audit_log().await;
    log.into_iter().filter(|row| !text(&row["action"]).starts_with("article.embedding_")).collect()
}

/// How many of them there are.
async fn so_far(tenant: &Tenant) -> usize {
    entries(tenant).await.len()
}

/// What they tell since there were so many.
async fn told(tenant: &Tenant, since: usize) -> Vec<Value> {
    let log = entries(tenant).await.split_off(since);
    log.iter()
        .map(|row| json!([row["entity_type"], row["action"], row["old_state"], row["new_state"]]))
        .collect()
}

/// What serves as long as the process lives; its address.
fn hosted(address: &'static str, router: axum::Router) -> String {
    let (told, tell) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            told.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    tell.recv().unwrap()
}

/// Waits until nothing is to be made of texts and reviews of a tenant any more.
pub(crate) async fn all_drafted(tenant: &Tenant) {
    let owner = connect(&server().owner).await;
    drafted(&owner, &tenant.id).await;
}

/// The same, in another database.
async fn drafted(owner: &tokio_postgres::Client, tenant_id: &str) {
    let sql = "select not exists (select from knowledge_jobs where tenant_id = $1::text::uuid and completed_at is null)";
    until_true("all drafts are made", PATIENCE, owner, sql, &[&tenant_id]).await;
}

/// Waits until no background work on what a tenant knows is due; what has failed may wait for its next attempt.
async fn nothing_under_way(owner: &tokio_postgres::Client, tenant_id: &str) {
    no_jobs(owner, tenant_id, &["available", "executing"]).await;
}

/// The same, also of what has failed once.
pub(crate) async fn nothing_to_do(owner: &tokio_postgres::Client, tenant_id: &str) {
    no_jobs(owner, tenant_id, &["available", "executing", "retryable"]).await;
}

async fn no_jobs(owner: &tokio_postgres::Client, tenant_id: &str, states: &[&str]) {
    let sql = "select not exists (select from jobs
               where tenant_id = $1::text::uuid and state = any($2)
                 and queue in ('ingestion', 'review_knowledge', 'embedding', 'linking'))";
    until_true("nothing is to be done", PATIENCE, owner, sql, &[&tenant_id, &states]).await;
}

/// Waits until so many articles of a tenant have vectors.
async fn embedded(tenant: &Tenant, count: i64) {
    embedded_at(server(), tenant, count, PATIENCE).await;
}

/// The same, on another server than that of all tests.
async fn embedded_at(server: &TestServer, tenant: &Tenant, count: i64, patience: Duration) {
    let owner = connect(&server.owner).await;
    let sql = "select count(*) >= $2 from article_embeddings where tenant_id = $1::text::uuid";
    until_true("vectors are made", patience, &owner, sql, &[&tenant.id, &count]).await;
}
