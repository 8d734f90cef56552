//! Real concurrency: of calls that exclude each other exactly one succeeds, every answer is true at the moment
//! it is given, and what is left is a legal history.

mod bulk;
mod crowds;
mod custody;
mod duels;
mod overlaps;
mod sharing;

use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use loopctl_core::lifecycle::Action;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::support::{Caller, Reply};
use crate::trust_loop::walk;

const ROUNDS: usize = 20;

/// A call to be made later, by whoever polls it.
fn call(
    who: &Caller,
    story: &str,
    action: &str,
    body: Value,
) -> impl Future<Output = Reply> + Send + 'static {
    let (who, path) = (who.clone(), format!("/stories/{story}/{action}"));
    async move { who.post(&path, body).await }
}

/// Makes all calls at once, each on a task of its own; the answers in the same order.
pub(crate) async fn together<F: Future<Output = Reply> + Send + 'static>(calls: Vec<F>) -> Vec<Reply> {
    let barrier = Arc::new(Barrier::new(calls.len()));
    let tasks = calls.into_iter().map(|call| {
        let barrier = barrier.clone();
        tokio::spawn(async move {
            barrier.wait().await;
            call.await
        })
    });
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// A bulk call's body: under both names, each endpoint reads its own.
fn bulk_body(ids: &[String], action: Action) -> Value {
    let items: Vec<_> = ids
        .iter()
        .map(|id| {
            let mut item = walk::body(action);
            item["story_id"] = json!(id);
            item
        })
        .collect();
    json!({"story_ids": ids, "stories": items})
}

async fn bulk(who: &Caller, action: Action, ids: &[String]) -> Reply {
    who.post(&format!("/stories/bulk/{action}"), bulk_body(ids, action)).await
}
