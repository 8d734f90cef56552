//! Many who write and many who search, and searches on another process than the one that is written to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use loopctl_server::serve::{ServeOptions, Server};
use serde_json::json;

use super::{article, each, embedded};
use crate::conventions::health::line_to;
use crate::support::{Caller, Tenant, by_meaning, own_database, rounds, started, text};

const MODES: [&str; 3] = ["keyword", "semantic", "combined"];

async fn found(who: &Caller, query: &str) -> BTreeSet<String> {
    let answer = who.get(&format!("/knowledge/search?limit=50&{query}")).await.expect(200);
    assert_eq!(answer["meta"].get("fallback"), None);
    each(&answer, "id").iter().map(text).collect()
}

/// What is published on one process is found on another: by its words at once, and by what it means as soon as that is known. What is
/// withdrawn is not found any more.
#[tokio::test]
async fn one_process_writes_and_another_is_searched() {
    let (_line, options) = line_to("loopctl", 4).await;
    let options = ServeOptions { embeddings: by_meaning(), jobs: false, ..options };
    let other = Server::start(&options).await.unwrap();
    let tenant = Tenant::new().await;
    let elsewhere = tenant.user.at(&format!("http://{}", other.address));
    let none = BTreeSet::new();
    for (before, how) in (0..).zip(["archive", "unpublish"]) {
        for mode in MODES {
            assert_eq!(found(&elsewhere, &format!("q=handles&mode={mode}")).await, none);
        }
        let body = "Every handle of the pool is taken: the store answers nobody.";
        let further = json!({"body": body, "status": "published"});
        let id = text(&article(&tenant.user, "Handles run out", further).await["id"]);
        for mode in ["keyword", "combined"] {
            assert!(found(&elsewhere, &format!("q=handles&mode={mode}")).await.contains(&id), "{mode}");
        }
        embedded(&tenant, before + 1).await;
        assert!(found(&elsewhere, "q=no+connection+is+left&mode=semantic").await.contains(&id));
        tenant.user.post(&format!("/articles/{id}/{how}"), json!({})).await.expect(200);
    }
    other.stop().await.unwrap();
}

/// What writers know of their articles.
#[derive(Default)]
struct Shelf {
    /// Somebody has begun to publish it.
    begun: BTreeSet<String>,
    /// It is published.
    is_out: BTreeSet<String>,
    /// Somebody has begun to withdraw it.
    leaving: BTreeSet<String>,
    /// It is withdrawn.
    gone: BTreeSet<String>,
}

type Known = Arc<Mutex<Shelf>>;

/// Drafts, publishes, and withdraws what was published the round before.
async fn write(who: Caller, known: Known, name: String, times: usize) {
    let mut last: Option<String> = None;
    for round in 0..times {
        let id = text(&article(&who, &format!("Pools of {name} in {round}"), json!({})).await["id"]);
        known.lock().unwrap().begun.insert(id.clone());
        who.post(&format!("/articles/{id}/publish"), json!({})).await.expect(200);
        known.lock().unwrap().is_out.insert(id.clone());
        if let Some(id) = last.replace(id) {
            known.lock().unwrap().leaving.insert(id.clone());
            let archive = format!("/articles/{id}/{}", if round % 2 == 0 { "archive" } else { "unpublish" });
            who.post(&archive, json!({})).await.expect(200);
            known.lock().unwrap().gone.insert(id);
        }
    }
}

/// Sees only what may be seen, whenever it looks.
async fn look(who: Caller, known: Known, mode: &'static str, times: usize) {
    for _ in 0..times {
        let (there, gone) = {
            let known = known.lock().unwrap();
            (known.is_out.clone(), known.gone.clone())
        };
        let ids = found(&who, &format!("q=pools&mode={mode}")).await;
        let known = known.lock().unwrap();
        assert!(ids.is_subset(&known.begun), "a draft, or another tenant's: {:?}", &ids - &known.begun);
        assert!(ids.is_disjoint(&gone), "withdrawn before: {:?}", &ids & &gone);
        // What it means is known later than its words.
        if mode != "semantic" {
            let stays = &there - &known.leaving;
            assert!(stays.is_subset(&ids), "not found: {:?}", &stays - &ids);
        }
    }
}

/// Sixteen of two tenants write and sixteen search. Nobody finds anything of another tenant, no draft and nothing that was withdrawn; and
/// whatever was there all the time is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_write_and_sixteen_search() {
    let times = rounds(20);
    // Its own: so many vectors at once would keep other tests from theirs.
    let server = started(ServeOptions::local(own_database()));
    let mut all = Vec::new();
    for _ in 0..2 {
        let (tenant, known) = (Tenant::at(&server.owner, &server.base).await, Known::default());
        for nth in 0..8 {
            let writer = tenant.key("user").await;
            all.push(tokio::spawn(write(writer, Arc::clone(&known), format!("writer {nth}"), times)));
            let reader = tenant.key("agent").await;
            all.push(tokio::spawn(look(reader, Arc::clone(&known), MODES[nth % 3], times)));
        }
    }
    for ended in join_all(all).await {
        ended.unwrap();
    }
}
