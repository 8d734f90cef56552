//! `Idempotency-Key`: whatever was done once is answered again, and not done again.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    Caller, Reach, Reply, Tenant, bring, connect, echo, rounds, server, story, text, unique,
};
use crate::trust_loop::stories;

async fn send(who: &Caller, method: Method, path: &str, key: &str, body: &Value) -> Reply {
    who.send(who.request(method, path).header("Idempotency-Key", key).json(body)).await
}

async fn post(who: &Caller, path: &str, key: &str, body: &Value) -> Reply {
    send(who, Method::POST, path, key, body).await
}

fn is_replayed(reply: &Reply) -> bool {
    reply.headers.contains_key("idempotent-replayed")
}

async fn projects(tenant: &Tenant) -> u64 {
    tenant.user.get("/projects").await.expect(200)["meta"]["total_count"].as_u64().unwrap()
}

#[tokio::test]
async fn a_key_is_one_header_of_visible_characters() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "A", "slug": "aa"});
    let long = "k".repeat(256);
    for bad in ["", "a b", "\u{e9}", long.as_str()] {
        let request =
            tenant.user.request(Method::POST, "/projects").header("Idempotency-Key", bad.as_bytes());
        let error = tenant.user.send(request.json(&body)).await.expect_error(400, "bad_request");
        assert!(text(&error["message"]).contains("1 to 255 visible ASCII characters"), "{bad}");
    }
    let twice = tenant.user.request(Method::POST, "/projects").header("Idempotency-Key", "a");
    tenant.user.send(twice.header("Idempotency-Key", "a").json(&body)).await.expect_error(400, "bad_request");
    assert_eq!(projects(&tenant).await, 0);
    // Who reads has no need of one.
    let read = tenant.user.request(Method::GET, "/projects").header("Idempotency-Key", "a b");
    assert!(!is_replayed(&tenant.user.send(read).await));
    post(&tenant.user, "/projects", &long[1..], &body).await.expect(201);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let tenant = Tenant::new().await;
    let (a, b) = (json!({"name": "A", "slug": "aa"}), json!({"name": "B", "slug": "bb"}));
    let first = post(&tenant.user, "/projects", "k", &a).await;
    let id = text(&first.clone().expect(201)["project"]["id"]);
    assert!(!is_replayed(&first));
    for (method, path, body) in [
        (Method::POST, "/projects".to_owned(), &b),
        (Method::POST, "/projects?x=1".to_owned(), &a),
        (Method::POST, format!("/projects/{id}/epics"), &json!({"number": 1, "title": "E"})),
        (Method::PATCH, format!("/projects/{id}"), &a),
        (Method::DELETE, format!("/projects/{id}"), &a),
    ] {
        let error =
            send(&tenant.user, method, &path, "k", body).await.expect_error(422, "idempotency_key_reused");
        assert!(text(&error["message"]).contains("use a new key"), "{path}");
    }
    let again = post(&tenant.user, "/projects", "k", &a).await;
    assert!(is_replayed(&again) && again.body == first.body);
    // A key is its API key's own, and its tenant's.
    let (colleague, stranger) = (tenant.key("user").await, Tenant::new().await);
    post(&colleague, "/projects", "k", &b).await.expect(201);
    post(&stranger.user, "/projects", "k", &a).await.expect(201);
    assert_eq!((projects(&tenant).await, projects(&stranger).await), (2, 1));
}

#[tokio::test]
async fn what_was_refused_is_not_kept() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let bad = json!({"name": "A"});
    for _ in 0..2 {
        let refused = post(&tenant.user, "/projects", "k", &bad).await;
        assert!(!is_replayed(&refused));
        refused.expect_error(422, "validation_failed");
    }
    post(&tenant.user, "/projects", "k", &json!({"name": "A", "slug": "aa"})).await.expect(201);
    let [id] = stories(&tenant, 1).await.try_into().unwrap();
    let claim = format!("/stories/{id}/claim");
    post(&agent, &claim, "c", &json!({})).await.expect(409);
    agent.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
    assert!(!is_replayed(&post(&agent, &claim, "c", &json!({})).await));
    let nothing = json!({"story_ids": [id]});
    for _ in 0..2 {
        let refused = post(&agent, "/stories/bulk/claim", "b", &nothing).await;
        assert!(!is_replayed(&refused));
        assert_eq!(refused.status, 422);
    }
}

/// An agent that repeats each step learns what came of it, and is not told that it was too late.
#[tokio::test]
async fn steps_are_answered_again() {
    let tenant = Tenant::new().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let [id, other] = stories(&tenant, 2).await.try_into().unwrap();
    let review = json!({"review_type": "enhanced", "summary": "checked"});
    let artifact = json!({"artifact": {"artifact_type": "test", "path": "a.rs"}});
    let twice = async |who: &Caller, path: String, body: Value| {
        let key = unique("key");
        let first = post(who, &path, &key, &body).await;
        assert!([200, 201].contains(&first.status) && !is_replayed(&first), "{path}: {first:#?}");
        let again = post(who, &path, &key, &body).await;
        assert!(is_replayed(&again), "{path}: {again:#?}");
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
    };
    let step = |step: &str| format!("/stories/{id}/{step}");
    twice(&a, step("contract"), echo()).await;
    twice(&a, step("claim"), json!({})).await;
    twice(&a, step("start"), json!({})).await;
    twice(&a, step("request-review"), json!({})).await;
    twice(&b, step("report"), artifact).await;
    twice(&b, step("review-complete"), review.clone()).await;
    twice(&o, step("verify"), review.clone()).await;
    twice(&o, step("reject"), json!({"reason": "no"})).await;
    bring(&other, Reach::Contracted, &a, &b, &o).await;
    twice(&a, "/stories/bulk/claim".to_owned(), json!({"story_ids": [other]})).await;
    let shown = a.get(&format!("/stories/{id}/history")).await.expect(200);
    let of = |action: &str, kind: &str| {
        let rows = shown["data"].as_array().unwrap().iter();
        rows.filter(|row| row["action"] == action && row["entity_type"] == kind).count()
    };
    assert_eq!((of("status_changed", "story"), of("created", "artifact_report")), (4, 1));
    assert_eq!((of("verified", "story"), of("rejected", "story")), (1, 1));
}

/// Each story of an epic is verified by itself, and the answer of all of it is one.
#[tokio::test]
async fn verify_all_is_answered_again() {
    let tenant = Tenant::new().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let id = tenant.story().await;
    bring(&id, Reach::Reviewed, &a, &b, &o).await;
    let epic = text(&a.get(&format!("/stories/{id}")).await.expect(200)["story"]["epic_id"]);
    let (path, body) = (format!("/epics/{epic}/verify-all"), json!({"review_type": "e", "summary": "s"}));
    let first = post(&o, &path, "k", &body).await;
    assert_eq!(first.clone().expect(200)["verified_count"], 1);
    let again = post(&o, &path, "k", &body).await;
    assert!(is_replayed(&again) && again.body == first.body);
    assert_eq!(post(&o, &path, "other", &body).await.expect(200)["total_eligible"], 0);
}

/// Of two requests under one key one is refused, and does nothing; twins wait for each other, and tell what was done by both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verify_all_is_done_once_under_a_key() {
    let tenant = Tenant::new().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let mut paths = Vec::new();
    for _ in 0..2 {
        let ids = stories(&tenant, 6).await;
        for id in &ids {
            bring(id, Reach::Reviewed, &a, &b, &o).await;
        }
        let epic = text(&a.get(&format!("/stories/{}", ids[0])).await.expect(200)["story"]["epic_id"]);
        paths.push(format!("/epics/{epic}/verify-all"));
    }
    let body = json!({"review_type": "e", "summary": "s"});
    let answers = join_all([0, 1, 0, 1].map(|n| post(&o, &paths[n], "k", &body))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((done.len(), refused.len()), (2, 2));
    assert!(
        done.iter().all(|answer| answer.body["verified_count"] == 6 && answer.body["skipped_count"] == 0)
    );
    assert_eq!(done.iter().filter(|answer| is_replayed(answer)).count(), 1);
    refused.into_iter().for_each(|answer| drop(answer.expect_error(422, "idempotency_key_reused")));
    let verified = tenant.user.get("/audit?action=verified&entity_type=story").await.expect(200);
    assert_eq!(verified["meta"]["total_count"], 6);
}

/// Whoever sends the same at the same time gets the same answer, and it is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twins_are_answered_the_same() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    for round in 1..=rounds(5) {
        let (slug, key, other) = (unique("twin"), unique("key"), unique("key"));
        let body = json!({"name": slug, "slug": slug});
        let twins = join_all((0..12).map(|_| post(&tenant.user, "/projects", &key, &body))).await;
        assert_eq!(twins.iter().filter(|twin| !is_replayed(twin)).count(), 1);
        assert!(twins.iter().all(|twin| twin.status == 201 && twin.body == twins[0].body));
        let epics =
            json!({"epics": [{"number": round, "title": "E", "stories": [story(&format!("{round}.1"))]}]});
        let path = format!("/projects/{project}/import?merge=true");
        let twins = join_all((0..4).map(|_| post(&tenant.user, &path, &other, &epics))).await;
        assert_eq!(twins.iter().filter(|twin| !is_replayed(twin)).count(), 1);
        assert!(twins.iter().all(|twin| twin.status == 200 && twin.body["import"]["stories_created"] == 1));
    }
    assert_eq!(projects(&tenant).await, 1 + rounds(5) as u64);
}

/// A twin of another process, which does not come to its end.
#[tokio::test]
async fn a_twin_that_waits_too_long_is_told_to_come_back() {
    let tenant = Tenant::new().await;
    let mut owner = connect(&server().owner).await;
    let tx = owner.transaction().await.unwrap();
    let hash = Sha256::digest("k").to_vec();
    let sql = "insert into idempotency_keys (tenant_id, api_key_id, key_hash, fingerprint)
               select tenant_id, id, $2, $2 from api_keys where tenant_id::text = $1";
    assert_eq!(tx.execute(sql, &[&tenant.id, &hash]).await.unwrap(), 1);
    let body = json!({"name": "A", "slug": "aa"});
    let error =
        post(&tenant.user, "/projects", "k", &body).await.expect_error(409, "idempotency_in_progress");
    assert!(text(&error["message"]).contains("same key"));
    tx.rollback().await.unwrap();
    post(&tenant.user, "/projects", "k", &body).await.expect(201);
}

/// What was answered more than a day ago is forgotten, and nothing else.
#[tokio::test]
async fn keys_are_kept_for_a_day() {
    let tenant = Tenant::new().await;
    for (key, slug) in [("old", "aa"), ("new", "bb")] {
        post(&tenant.user, "/projects", key, &json!({"name": "A", "slug": slug})).await.expect(201);
    }
    let owner = connect(&server().owner).await;
    let sql = "update idempotency_keys set inserted_at = now() - interval '24 hours 1 second'
               where tenant_id::text = $1 and key_hash = $2";
    assert_eq!(owner.execute(sql, &[&tenant.id, &Sha256::digest("old").to_vec()]).await.unwrap(), 1);
    let app = connect(&server().app).await;
    let pruned: i64 = app.query_one("select prune_idempotency_keys(1000)", &[]).await.unwrap().get(0);
    assert!(pruned >= 1);
    let error = app.batch_execute("delete from idempotency_keys").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    assert!(is_replayed(&post(&tenant.user, "/projects", "new", &json!({"name": "A", "slug": "bb"})).await));
    // By now it is another project of the same name.
    let again = post(&tenant.user, "/projects", "old", &json!({"name": "A", "slug": "aa"})).await;
    again.expect_error(422, "validation_failed");
}
