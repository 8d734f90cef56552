//! Findings and ends that meet in one run.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Scene, id};
use crate::support::{Caller, Reply, text};

/// All calls at once, each on a task of its own.
async fn together(calls: Vec<(Caller, String, Value)>) -> Vec<Reply> {
    let tasks =
        calls.into_iter().map(|(who, path, body)| tokio::spawn(async move { who.post(&path, body).await }));
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

fn finding(nth: usize) -> Value {
    let severity = ["bug", "enhancement", "blocker"][nth % 3];
    json!({"severity": severity, "title": format!("t{nth}"), "screenshot_path": format!("{nth}.png")})
}

/// However many arrive at once: each is counted and kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_finding_is_lost() {
    const FINDINGS: usize = 50;
    let scene = Scene::new().await;
    let seed = scene.seed_run().await;
    let code = format!("/projects/{}/ui-tests/{}", scene.project, id(&seed));
    let calls = (0..FINDINGS).map(|nth| {
        let (who, path) = if nth % 2 == 0 { (&scene.agent, &code) } else { (&scene.orchestrator, &seed) };
        (who.clone(), format!("{path}/findings"), finding(nth))
    });
    let replies = together(calls.collect()).await;
    let mut counts = HashSet::new();
    for (nth, reply) in replies.into_iter().enumerate() {
        let run = reply.expect(if nth % 2 == 0 { 200 } else { 201 })["ui_test_run"].clone();
        counts.insert(run["findings_count"].as_u64().unwrap());
        assert_eq!(run["findings"].as_array().unwrap().len() as u64, run["findings_count"].as_u64().unwrap());
        let last = run["findings"].as_array().unwrap().last().unwrap();
        assert_eq!(last["title"], format!("t{nth}"), "its own finding is the last");
    }
    assert_eq!(counts.len(), FINDINGS, "each saw another count");

    let run = scene.agent.get(&seed).await.expect(200)["data"].clone();
    let counts = ["findings_count", "screenshots_count", "critical_count", "high_count"];
    assert_eq!(counts.map(|name| run[name].as_u64().unwrap()), [50, 50, 16, 17]);
    let findings = run["findings"].as_array().unwrap();
    for name in ["id", "title"] {
        let different: HashSet<_> = findings.iter().map(|finding| text(&finding[name])).collect();
        assert_eq!(different.len(), FINDINGS, "{name}");
    }
    let times: Vec<_> = findings.iter().map(|finding| text(&finding["recorded_at"])).collect();
    assert!(times.is_sorted(), "in the order in which they were recorded");
    let added: Vec<_> = scene
        .audited()
        .await
        .iter()
        .skip(1)
        .map(|entry| entry["new_state"]["findings_count"].clone())
        .collect();
    assert_eq!(added, (1..=FINDINGS).map(Value::from).collect::<Vec<_>>());
}

/// Exactly one complete wins, and what is found after it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_ends_once() {
    let scene = Scene::new().await;
    for round in 0..10 {
        let seed = scene.seed_run().await;
        let code = format!("/projects/{}/ui-tests/{}", scene.project, id(&seed));
        let calls = (0..20).map(|nth| match nth % 4 {
            0 => (
                &scene.agent,
                format!("{code}/complete"),
                json!({"summary": format!("{nth}"), "status": "passed"}),
            ),
            1 => (&scene.orchestrator, format!("{seed}/complete"), json!({"summary": format!("{nth}")})),
            _ => (&scene.agent, format!("{code}/findings"), finding(nth)),
        });
        let calls = calls.map(|(who, path, body)| (who.clone(), path, body)).collect();
        let (mut ended, mut found) = (Vec::new(), 0);
        for (nth, reply) in together(calls).await.into_iter().enumerate() {
            match (nth % 4 < 2, reply.status) {
                (true, 200) => ended.push(reply.body),
                (true, _) => drop(reply.expect_error(422, "run_already_completed")),
                (false, 200) => found += 1,
                (false, _) => drop(reply.expect_error(422, "run_not_in_progress")),
            }
        }
        assert_eq!(ended.len(), 1, "round {round}");
        let ended = ended[0].as_object().unwrap().values().next().unwrap();
        let run = scene.agent.get(&seed).await.expect(200)["data"].clone();
        assert_eq!(run, *ended, "nothing came after the end");
        assert_eq!(run["findings_count"], found);
        let log = scene.audited().await;
        let of_run: Vec<_> = log.iter().filter(|entry| entry["entity_id"] == id(&seed)).collect();
        assert_eq!(of_run.len(), 2 + found, "start, findings, end");
        assert_eq!(of_run.last().unwrap()["action"], "ui_test.completed");
        assert_eq!(of_run.last().unwrap()["new_state"]["findings_count"], found);
    }
}
