//! Whoever comes at the same time: versions follow each other, and imports do not stumble over each other.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::skill;
use crate::support::{Caller, Reply, Tenant, text};

/// All calls at once, each on a task of its own.
async fn together(who: &Caller, path: &str, bodies: impl Iterator<Item = Value>) -> Vec<Reply> {
    let tasks = bodies.map(|body| {
        let (who, path) = (who.clone(), path.to_owned());
        tokio::spawn(async move { who.post(&path, body).await })
    });
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_follow_each_other() {
    const MANY: i64 = 16;
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let id = skill(u, "review", "0").await;
    let at = format!("/skills/{id}/versions");
    let bodies = (1..=MANY).map(|nth| json!({"prompt_text": format!("prompt {nth}")}));
    let mut numbers = BTreeSet::new();
    for (nth, reply) in together(u, &at, bodies).await.into_iter().enumerate() {
        let added = reply.expect(201);
        assert_eq!(added["skill"]["current_version"], added["version"]["version"]);
        assert_eq!(added["version"]["prompt_text"], format!("prompt {}", nth + 1));
        numbers.insert(added["version"]["version"].as_i64().unwrap());
    }
    assert_eq!(numbers, (2..=MANY + 1).collect());
    let shown = u.get(&format!("/skills/{id}")).await.expect(200);
    assert_eq!(shown["skill"]["current_version"], MANY + 1);
    let last = u.get(&format!("{at}/{}", MANY + 1)).await.expect(200);
    assert_eq!(last["version"]["prompt_text"], shown["current_prompt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_name_is_one_skill() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "wanted", "prompt_text": "p"});
    let replies = together(&tenant.user, "/skills", (0..8).map(|_| body.clone())).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for reply in lost {
        reply.expect_error(422, "validation_failed");
    }
}

/// Each says what it did; all together created each skill once, and whoever came later compared with what was there by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn imports_of_the_same_skills_all_succeed() {
    const MANY: usize = 8;
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let payload = |nth: usize| {
        // Two of them say the same, and each lists them in an order of its own.
        let mut skills: Vec<_> = (0..6)
            .map(|name| json!({"name": format!("skill {name}"), "prompt_text": format!("by {}", nth / 2)}))
            .collect();
        skills.rotate_left(nth % 6);
        json!({"skills": skills})
    };
    let replies = together(u, "/skills/import", (0..MANY).map(payload)).await;
    let sums: Vec<_> = replies.into_iter().map(|reply| reply.expect(200)).collect();
    let sum = |member: &str| sums.iter().map(|sum| sum[member].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("total"), sum("created")), (6 * MANY as u64, 6));
    let list = u.get("/skills").await.expect(200);
    let skills = list["data"].as_array().unwrap();
    assert_eq!(skills.len(), 6);
    let mut versions = 0;
    for skill in skills {
        let at = format!("/skills/{}/versions", text(&skill["id"]));
        let list = u.get(&at).await.expect(200);
        let numbers: Vec<_> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version["version"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, (1..=skill["current_version"].as_u64().unwrap()).collect::<Vec<_>>());
        versions += numbers.len() as u64;
        // No version says what the one before it says.
        let mut before = Value::Null;
        for number in numbers {
            let version = u.get(&format!("{at}/{number}")).await.expect(200);
            assert_ne!(version["version"]["prompt_text"], before);
            before = version["version"]["prompt_text"].clone();
        }
    }
    assert_eq!(versions, sum("versions_created"));
}

/// A change of what is said of a skill takes no version along.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_and_versions_do_not_undo_each_other() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let at = format!("/skills/{}", skill(u, "review", "0").await);
    let versions = format!("{at}/versions");
    for round in 0..5 {
        let (added, changed, archived) = tokio::join!(
            u.post(&versions, json!({"prompt_text": format!("{round}")})),
            u.patch(&at, json!({"description": format!("{round}")})),
            u.delete(&at),
        );
        added.expect(201);
        changed.expect(200);
        archived.expect(200);
        let shown = u.get(&at).await.expect(200)["skill"].clone();
        assert_eq!(
            (&shown["current_version"], &shown["description"], &shown["status"]),
            (&json!(round + 2), &json!(format!("{round}")), &json!("archived"))
        );
    }
}
