//! A provider that makes the vectors: a server that asks one of these tests' own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use loopctl_server::serve::ServeOptions;
use loopctl_server::{EmbeddingChoice, EmbeddingOptions, OpenAiOptions};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{article, each, hosted, nothing_under_way};
use crate::support::{PATIENCE, Tenant, TestServer, connect, own_database, started, text, until, until_true};

/// The secret that nobody may be told.
const KEY: &str = "sk-of-these-tests";

/// Makes vectors that lie along the first axis of a text's first letter.
struct Provider {
    asked: Mutex<Vec<Value>>,
    /// Answers that wait are given as many as there are of these.
    answers: Semaphore,
}

impl Provider {
    /// The texts with this word that it was asked about.
    fn asked_about(&self, word: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked["input"].as_str().unwrap().contains(word)).cloned().collect()
    }

    /// How many questions it was asked, beside the articles that the server makes vectors of when it likes.
    fn questions(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| !asked["input"].as_str().unwrap().contains('\n')).count()
    }

    async fn until_asked(&self, word: &str, times: usize) {
        until("the provider is asked", || self.asked_about(word).len() >= times).await;
    }
}

async fn answer(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let input = text(&body["input"]);
    let by = headers["authorization"].to_str().unwrap();
    provider.asked.lock().unwrap().push(json!({"input": input, "model": body["model"], "by": by}));
    if input.contains("WAIT") {
        provider.answers.acquire().await.unwrap().forget();
    }
    if input.contains("REFUSE") {
        return (StatusCode::UNAUTHORIZED, format!("no such key: {KEY}")).into_response();
    }
    if input.contains("ENDLESS") {
        return (StatusCode::BAD_REQUEST, "more tokens than there are").into_response();
    }
    if input.contains("BROKEN") {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let size = if input.contains("SHORT") { 512 } else { 1536 };
    let mut vector = vec![0.0; size];
    vector[usize::from(input.as_bytes()[0]) % size] = 1.0;
    Json(json!({"data": [{"embedding": vector}], "model": body["model"]})).into_response()
}

/// A server and the provider that it asks.
struct Stage {
    server: TestServer,
    provider: Arc<Provider>,
}

impl Stage {
    fn new() -> Self {
        let provider = Arc::new(Provider { asked: Mutex::default(), answers: Semaphore::new(0) });
        let router = Router::new().route("/v1/embeddings", post(answer)).with_state(Arc::clone(&provider));
        let base_url = format!("{}/v1/", hosted("127.0.0.1:0", router));
        let options = OpenAiOptions { api_key: KEY.into(), base_url, model: "small".into() };
        let embeddings = EmbeddingOptions {
            choice: EmbeddingChoice::OpenAi(options),
            related: Some(2.0),
            ..EmbeddingOptions::default()
        };
        let server = started(ServeOptions { embeddings, ..ServeOptions::local(own_database()) });
        Self { server, provider }
    }

    /// Once what the server itself has published is dealt with: what becomes of the provider is then this test's doing.
    async fn tenant(&self) -> Tenant {
        let owner = connect(&self.server.owner).await;
        let sql = "select (select count(*) from system_articles where status = 'published') = (select count(*) from system_article_embeddings)";
        until_true("the server's own articles have vectors", PATIENCE, &owner, sql, &[]).await;
        Tenant::at(&self.server.owner, &self.server.base).await
    }

    /// Publishes an article, and waits until nothing is under way; its id.
    async fn published(&self, tenant: &Tenant, title: &str, body: &str) -> String {
        let further = json!({"body": body, "status": "published"});
        let id = text(&article(&tenant.user, title, further).await["id"]);
        nothing_under_way(&connect(&self.server.owner).await, &tenant.id).await;
        id
    }

    /// A column of a tenant's rows.
    async fn texts(&self, sql: &str, tenant: &Tenant) -> Vec<String> {
        let owner = connect(&self.server.owner).await;
        owner.query(sql, &[&tenant.id]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

const MODELS: &str =
    "select model || ' ' || dimensions from article_embeddings where tenant_id = $1::text::uuid";

#[tokio::test]
async fn a_provider_is_asked_what_texts_mean() {
    let stage = Stage::new();
    let tenant = stage.tenant().await;
    let long = "word ".repeat(8000);
    let id = stage.published(&tenant, "Queues", &long).await;
    stage.published(&tenant, "Names", "Of branches.").await;
    assert_eq!(stage.texts(MODELS, &tenant).await, ["openai:small 1536"; 2]);
    let asked = stage.provider.asked_about("Queues");
    assert_eq!(
        (asked.len(), &asked[0]["by"], &asked[0]["model"]),
        (1, &json!(format!("Bearer {KEY}")), &json!("small"))
    );
    assert_eq!(
        text(&asked[0]["input"]),
        format!("Queues\n\n{long}").chars().take(32_000).collect::<String>()
    );
    let found = tenant.user.get("/knowledge/search?q=Quartz&mode=semantic").await.expect(200);
    assert_eq!((&each(&found, "id")[0], &found["data"][0]["score"]), (&json!(id), &json!(1.0)));
    // A vector of another length is none.
    stage.published(&tenant, "SHORT", "It has few numbers.").await;
    assert_eq!(stage.texts(MODELS, &tenant).await.len(), 2);
    let errors = "select last_error from jobs where tenant_id = $1::text::uuid and last_error is not null";
    assert_eq!(stage.texts(errors, &tenant).await, ["dimension mismatch: expected 1536, got 512"]);
    // Nor is a refusal, and nobody is told the key.
    stage.published(&tenant, "REFUSE", "It is refused.").await;
    let rows =
        stage.texts("select j::text from jobs j where tenant_id = $1::text::uuid", &tenant).await.concat();
    assert!(rows.contains("the provider answers 401") && !rows.contains(KEY), "{rows}");
}

/// What it does not take it is not asked about again, until that says something else; what says nothing neither.
#[tokio::test]
async fn a_text_that_is_refused_is_refused_once() {
    let stage = Stage::new();
    let (tenant, owner) = (stage.tenant().await, connect(&stage.server.owner).await);
    let id = stage.published(&tenant, "ENDLESS", "It goes on.").await;
    stage.published(&tenant, "Names", "Of branches.").await;
    let lacking = async || {
        let sql = "insert into jobs (tenant_id, id, queue, kind, args, max_attempts)
                   values ($1::text::uuid, gen_random_uuid(), 'maintenance', 'embed_what_lacks', '{}', 1) returning id";
        let job: uuid::Uuid = owner.query_one(sql, &[&tenant.id]).await.unwrap().get(0);
        let done = "select state = 'completed' from jobs where id = $1";
        until_true("what lacks vectors is looked for", PATIENCE, &owner, done, &[&job]).await;
        nothing_under_way(&owner, &tenant.id).await;
        let sql = "select result ->> 'lacking' from jobs where id = $1";
        owner.query_one(sql, &[&job]).await.unwrap().get::<_, String>(0)
    };
    assert_eq!(lacking().await, "0");
    assert_eq!(stage.provider.asked_about("ENDLESS").len(), 1);
    let errors = "select last_error from jobs where tenant_id = $1::text::uuid and last_error is not null";
    assert!(stage.texts(errors, &tenant).await.is_empty());
    // It is found by its words, and has a vector once it is another text.
    let found = tenant.user.get("/knowledge/search?q=endless").await.expect(200);
    assert_eq!(each(&found, "id")[0], json!(id));
    tenant.user.patch(&format!("/articles/{id}"), json!({"title": "It ends"})).await.expect(200);
    nothing_under_way(&owner, &tenant.id).await;
    let told =
        "select action from audit_log where tenant_id = $1::text::uuid and action like 'article.embedding_%'
                order by position";
    let [cleared, updated] = ["article.embedding_cleared", "article.embedding_updated"];
    assert_eq!(stage.texts(told, &tenant).await, [cleared, updated, updated]);
    let sql = "delete from article_embeddings where tenant_id = $1::text::uuid";
    assert_eq!(owner.execute(sql, &[&tenant.id]).await.unwrap(), 2);
    assert_eq!(lacking().await, "2");
    assert_eq!(stage.texts(MODELS, &tenant).await.len(), 2);
}

/// After three failures nobody is asked for a while: words are left, at once.
#[tokio::test]
async fn a_provider_that_fails_is_left_alone() {
    let stage = Stage::new();
    let tenant = stage.tenant().await;
    let id = stage.published(&tenant, "Connection pools", "They REST.").await;
    let search = async |query: &str| tenant.user.get(&format!("/knowledge/search?{query}")).await;
    for nth in 1..=3 {
        let answer = search("q=REFUSE+pools+or+pools").await.expect(200);
        assert_eq!(answer["meta"]["fallback"], true, "{answer}");
        assert_eq!(stage.provider.asked_about("REFUSE").len(), nth);
    }
    let before = stage.provider.questions();
    let answer = search("q=pools").await.expect(200);
    assert_eq!(
        (&each(&answer, "id")[0], &answer["meta"]["search_mode"]),
        (&json!(id), &json!("keyword_only"))
    );
    assert!(answer["data"][0]["score"].as_f64().unwrap() > 0.0);
    let refused = search("q=pools&mode=semantic").await.expect_error(503, "embedding_unavailable");
    assert_eq!(refused["message"], "Embedding service unavailable");
    let context = tenant.user.get("/knowledge/context?query=pools").await.expect(200);
    assert_eq!((&context["meta"]["fallback"], &context["data"][0]["id"]), (&json!(true), &json!(id)));
    assert_eq!(stage.provider.questions(), before, "nobody was asked");
}

/// Whoever made vectors was taken for dead: both come to their end, and they are written once. If the text has changed meanwhile, those
/// of the old one are not written.
#[tokio::test]
async fn vectors_that_two_make() {
    let stage = Stage::new();
    let (tenant, owner) = (stage.tenant().await, connect(&stage.server.owner).await);
    let lost = "update jobs set state = 'retryable', lease = null, leased_until = null, scheduled_at = clock_timestamp(),
                last_error = 'its worker was lost' where tenant_id = $1::text::uuid and state = 'executing' and queue = 'embedding'";
    let told =
        "select action from audit_log where tenant_id = $1::text::uuid and action like 'article.embedding_%'";
    let further = json!({"body": "WAIT", "status": "published"});
    let id = text(&article(&tenant.user, "Twins", further).await["id"]);
    stage.provider.until_asked("Twins", 1).await;
    assert_eq!(owner.execute(lost, &[&tenant.id]).await.unwrap(), 1);
    stage.provider.until_asked("Twins", 2).await;
    stage.provider.answers.add_permits(2);
    nothing_under_way(&owner, &tenant.id).await;
    assert_eq!(stage.texts(told, &tenant).await, ["article.embedding_updated"]);
    // The same, and somebody writes in between.
    tenant.user.patch(&format!("/articles/{id}"), json!({"title": "Older"})).await.expect(200);
    stage.provider.until_asked("Older", 1).await;
    tenant
        .user
        .patch(&format!("/articles/{id}"), json!({"title": "Newer", "body": "At once."}))
        .await
        .expect(200);
    stage.provider.until_asked("Newer", 1).await;
    stage.provider.answers.add_permits(1);
    nothing_under_way(&owner, &tenant.id).await;
    let hashes = "select (text_hash = sha256(e'Newer\\n\\nAt once.'))::text from article_embeddings
                  where tenant_id = $1::text::uuid";
    assert_eq!(stage.texts(hashes, &tenant).await, ["true"]);
    assert_eq!(stage.texts(told, &tenant).await.len(), 2);
}

/// What background work learns of the provider counts for those who search as well, and what searches learn for background work.
#[tokio::test]
async fn a_provider_that_fails_is_left_alone_by_everybody() {
    let stage = Stage::new();
    let tenant = stage.tenant().await;
    for title in ["BROKEN one", "BROKEN two", "BROKEN three"] {
        article(&tenant.user, title, json!({"status": "published"})).await;
    }
    // Each of them three times.
    stage.provider.until_asked("BROKEN", 9).await;
    let refused = async {
        while tenant.user.get("/knowledge/search?q=well&mode=semantic").await.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the last failure is noted");
    let asked = stage.provider.asked.lock().unwrap().len();
    tenant.user.get("/knowledge/search?q=well&mode=semantic").await.expect(503);
    article(&tenant.user, "Later", json!({"status": "published"})).await;
    let sql =
        "select last_error from jobs where tenant_id = $1::text::uuid and last_error like '%too often%'";
    let put_off = async {
        while stage.texts(sql, &tenant).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, put_off).await.expect("the job is put off");
    assert_eq!(stage.provider.asked.lock().unwrap().len(), asked);
    assert!(stage.provider.asked_about("Later").is_empty());
}
