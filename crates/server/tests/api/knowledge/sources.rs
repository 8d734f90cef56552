//! Pages that are fetched, and a model that is asked: a server of its own, a host and a model of these tests.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use loopctl_server::serve::ServeOptions;
use loopctl_server::{AnthropicOptions, ExtractionOptions, ExtractorChoice};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::learning::reviewed;
use super::{drafted, hosted};
use crate::support::{PATIENCE, Tenant, TestServer, connect, own_database, started, text, until};

/// The secret that nobody may be told.
const KEY: &str = "sk-of-these-tests";

/// A model that answers what the text in its question says it should.
struct Model {
    /// What was asked, each as the whole request.
    asked: Mutex<Vec<Value>>,
    /// Answers that wait are given as many as there are of these.
    answers: Semaphore,
}

impl Model {
    /// How often it was asked about this.
    fn asked_about(&self, word: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| asked["question"].as_str().unwrap().contains(word))
            .count()
    }

    async fn until_asked(&self, word: &str, times: usize) {
        until("the model is asked", || self.asked_about(word) >= times).await;
    }
}

async fn answer(State(model): State<Arc<Model>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let question = text(&body["messages"][0]["content"]);
    let key = headers["x-api-key"].to_str().unwrap().to_owned();
    let version = headers["anthropic-version"].to_str().unwrap().to_owned();
    let asked = json!({"question": question, "key": key, "version": version, "model": body["model"], "max_tokens": body["max_tokens"], "system": body["system"]});
    model.asked.lock().unwrap().push(asked);
    let one = |nth: usize| json!({"title": format!("Title {nth}"), "body": "Body.", "category": "pattern", "tags": ["A B"]});
    let says = |answer: String| Json(json!({"content": [{"type": "text", "text": answer}]})).into_response();
    if question.contains("WAIT") {
        model.answers.acquire().await.unwrap().forget();
    }
    if question.contains("REFUSE") {
        return (StatusCode::UNAUTHORIZED, format!("invalid key {key}")).into_response();
    }
    if question.contains("TWELVE") {
        let mut all: Vec<_> = (1..=12).map(one).collect();
        all.push(json!({"title": "", "body": "b", "category": "pattern"}));
        all.push(json!({"title": "t", "body": "b", "category": "idea"}));
        all.push(json!({"title": "u", "body": "b".repeat(100_001), "category": "pattern"}));
        return says(format!("```json\n{}\n```", json!(all)));
    }
    if question.contains("CUT") {
        return says(format!("[{}, {{\"title\": \"Half", one(1)));
    }
    if question.contains("SIX") {
        return says(json!({"articles": (1..=6).map(one).collect::<Vec<_>>()}).to_string());
    }
    says("[]".to_owned())
}

struct Stage {
    server: TestServer,
    model: Arc<Model>,
    pages: String,
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let model = Arc::new(Model { asked: Mutex::default(), answers: Semaphore::new(0) });
        let router = Router::new().route("/v1/messages", post(answer)).with_state(Arc::clone(&model));
        let base_url = format!("{}/v1", hosted("127.0.0.1:0", router));
        let pages = Router::new()
            .route(
                "/page",
                get(|| async { Html("<title>T</title><script>no</script><nav>no</nav><p>CUT &amp; dried") }),
            )
            .route("/moved", get(|| async { Redirect::temporary("/page") }));
        let pages = hosted("127.0.0.2:0", pages);
        let anthropic = AnthropicOptions { api_key: KEY.into(), base_url, model: "small".into() };
        let extraction = ExtractionOptions {
            extractor: ExtractorChoice::Anthropic(anthropic),
            allowed_sources: "127.0.0.2".parse().unwrap(),
        };
        let server = started(ServeOptions { extraction, ..ServeOptions::local(own_database()) });
        Stage { server, model, pages }
    })
}

/// A tenant there, an orchestrator of it, and what it has made of a text or a page.
async fn ingested(further: Value) -> (Tenant, Value, Vec<Value>) {
    let stage = stage();
    let tenant = Tenant::at(&stage.server.owner, &stage.server.base).await;
    let mut body = json!({"source_type": "web_article"});
    body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    tenant.user.post("/knowledge/ingest", body).await.expect(202);
    let owner = connect(&stage.server.owner).await;
    drafted(&owner, &tenant.id).await;
    let job = tenant.user.get("/knowledge/ingestion-jobs").await.expect(200)["data"][0].clone();
    let drafts = tenant.user.get("/articles?limit=100").await.expect(200)["data"].as_array().unwrap().clone();
    (tenant, job, drafts)
}

#[tokio::test]
async fn a_page_is_fetched_and_asked_about() {
    let (_, job, drafts) = ingested(json!({"url": format!("{}/moved", stage().pages)})).await;
    assert_eq!(json!([job["state"], job["article_count"], job["errors"]]), json!(["completed", 1, []]));
    assert_eq!(
        json!([drafts[0]["title"], drafts[0]["tags"], drafts[0]["metadata"]["extraction_source"]]),
        json!(["Title 1", ["a-b"], "claude_content_extractor"])
    );
    let asked = stage()
        .model
        .asked
        .lock()
        .unwrap()
        .iter()
        .find(|asked| asked["question"].as_str().unwrap().contains("dried"))
        .cloned()
        .unwrap();
    let question = text(&asked["question"]);
    let (mark, shown) = question.split_once('\n').unwrap();
    let mark = mark.trim_matches(['<', '>']);
    assert_eq!(shown, format!("Source type: web_article\n\n# T\n\nCUT & dried\n</{mark}>"));
    assert!(mark.len() > 30 && text(&asked["system"]).contains(&format!("<{mark}>")), "{asked}");
    assert_eq!(
        json!([asked["key"], asked["version"], asked["model"], asked["max_tokens"]]),
        json!([KEY, "2023-06-01", "small", 64_000])
    );
}

#[tokio::test]
async fn ten_of_twelve_and_none_that_is_bad() {
    let (_, job, drafts) = ingested(json!({"content": "TWELVE"})).await;
    assert_eq!((drafts.len(), &job["article_count"], &job["state"]), (10, &json!(10), &json!("completed")));
    assert!(
        drafts.iter().all(|draft| text(&draft["title"]).starts_with("Title ")
            && draft["source_id"] == drafts[0]["source_id"])
    );
}

/// Some pieces of a long text fail: the others count, and how many failed is told.
#[tokio::test]
async fn a_text_of_which_a_part_fails() {
    let filler = |word: &str| format!("# {word}\n\n{}\n\n", "word ".repeat(1400));
    let content = [filler("CUT"), filler("REFUSE"), filler("Nothing")].concat();
    let (_, job, drafts) = ingested(json!({"content": content})).await;
    assert_eq!(json!([job["state"], job["chunks_failed"], drafts.len()]), json!(["completed", 1, 1]));
}

/// All of it fails: the job is tried again, and nobody is told the key.
#[tokio::test]
async fn a_model_that_refuses() {
    let stage = stage();
    let tenant = Tenant::at(&stage.server.owner, &stage.server.base).await;
    tenant
        .user
        .post("/knowledge/ingest", json!({"source_type": "x", "content": "REFUSE this"}))
        .await
        .expect(202);
    let waiting = async {
        loop {
            let job = tenant.user.get("/knowledge/ingestion-jobs").await.expect(200)["data"][0].clone();
            if job["state"] == "retryable" {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let job = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert_eq!(job["errors"][0]["error"], "the extractor answered HTTP 401");
    assert!(!job.to_string().contains(KEY));
    let owner = connect(&stage.server.owner).await;
    let sql = "select string_agg(j::text, '') from jobs j where tenant_id = $1::text::uuid";
    let rows: String = owner.query_one(sql, &[&tenant.id]).await.unwrap().get(0);
    assert!(rows.contains("HTTP 401") && !rows.contains(KEY));
}

#[tokio::test]
async fn five_of_what_a_review_teaches() {
    let stage = stage();
    let tenant = Tenant::at(&stage.server.owner, &stage.server.base).await;
    let summary = "SIX things were learned.";
    let review = reviewed(&tenant, json!({"review_type": "enhanced", "summary": summary})).await;
    drafted(&connect(&stage.server.owner).await, &tenant.id).await;
    let drafts = tenant.user.get("/articles").await.expect(200);
    assert_eq!(drafts["meta"]["total_count"], 5);
    assert_eq!(
        json!([
            drafts["data"][0]["source_type"],
            drafts["data"][0]["source_id"],
            drafts["data"][0]["metadata"]["extraction_source"]
        ]),
        json!(["review_finding", review["id"], "llm_review_extractor"])
    );
    let other = Tenant::at(&stage.server.owner, &stage.server.base).await;
    assert_eq!(other.user.get("/articles").await.expect(200)["meta"]["total_count"], 0);
}

/// Two workers have one job, because the first was taken for dead: both come to their end, and the drafts are written once.
#[tokio::test]
async fn a_job_that_two_have() {
    let stage = stage();
    let (model, owner) = (&stage.model, connect(&stage.server.owner).await);
    let tenant = Tenant::at(&stage.server.owner, &stage.server.base).await;
    tenant
        .user
        .post("/knowledge/ingest", json!({"source_type": "x", "content": "WAIT SIX twins"}))
        .await
        .expect(202);
    model.until_asked("twins", 1).await;
    let before = tenant.audit_log_at(&stage.server.owner).await.len();
    let taken = "update jobs set state = 'retryable', lease = null, leased_until = null, scheduled_at = clock_timestamp(),
                 last_error = 'its worker was lost'
                 where tenant_id = $1::text::uuid and kind = 'content_ingestion' and state = 'executing'";
    assert_eq!(owner.execute(taken, &[&tenant.id]).await.unwrap(), 1);
    model.until_asked("twins", 2).await;
    model.answers.add_permits(2);
    drafted(&owner, &tenant.id).await;
    // Whoever came second has come to its end as well: nothing of the tenant's is open.
    let job = tenant.user.get("/knowledge/ingestion-jobs").await.expect(200)["data"][0].clone();
    assert_eq!(
        json!([job["state"], job["article_count"], job["errors"][0]["error"]]),
        json!(["completed", 6, "its worker was lost"])
    );
    assert_eq!(tenant.user.get("/articles").await.expect(200)["meta"]["total_count"], 6);
    let log = tenant.audit_log_at(&stage.server.owner).await.split_off(before);
    assert_eq!(log.iter().filter(|row| row["action"] == "knowledge.content_ingested").count(), 1);
    assert_eq!(log.len(), 7);
}
