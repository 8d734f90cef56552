//! Readiness is kept while plans and verifications change, one change at a time and several at once.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::epic_id;
use crate::support::{Caller, Reply, Tenant, connect, rounds, seed, server, text};
use crate::trust_loop::walk::Dice;

const EPICS: usize = 4;
const STORIES: usize = 5;

/// A project whose plan changes all the time.
struct Changing {
    tenant: Tenant,
    o: Caller,
    project: String,
    epics: Vec<String>,
}

impl Changing {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let epics: Vec<Value> = (1..=EPICS)
            .map(|epic| {
                let stories: Vec<Value> = (1..=STORIES)
                    .map(|story| json!({"number": format!("{epic}.{story}"), "title": "Story"}))
                    .collect();
                json!({"number": epic, "title": "Epic", "stories": stories})
            })
            .collect();
        let project = tenant.imported(json!({"epics": epics})).await;
        let mut ids = Vec::new();
        for number in 1..=EPICS {
            ids.push(epic_id(&tenant, &project, i64::try_from(number).unwrap()).await);
        }
        let o = tenant.orchestrator().await;
        Self { tenant, o, project, epics: ids }
    }

    async fn rows(&self, path: &str) -> Vec<Value> {
        let list = self.tenant.user.get(path).await.expect(200);
        list["data"].as_array().unwrap().clone()
    }

    async fn story(&self, dice: &mut Dice) -> Option<String> {
        let stories = self.rows(&format!("/stories?project_id={}&limit=500", self.project)).await;
        (!stories.is_empty()).then(|| text(&dice.pick(&stories)["id"]))
    }

    /// One change of whatever readiness depends on. What is refused changes nothing.
    async fn change(&self, dice: &mut Dice) -> Option<Reply> {
        let (user, project) = (&self.tenant.user, &self.project);
        let (epic, other) = (dice.pick(&self.epics), dice.pick(&self.epics));
        Some(match dice.below(12) {
            0 | 1 => {
                let ends = json!({"story_id": self.story(dice).await?, "depends_on_story_id": self.story(dice).await?});
                user.post("/story_dependencies", ends).await
            }
            2 => user.post("/epic_dependencies", json!({"epic_id": epic, "depends_on_epic_id": other})).await,
            3 => {
                let edges = self.rows(&format!("/epics/{epic}/story_dependencies")).await;
                let edge = (!edges.is_empty()).then(|| text(&dice.pick(&edges)["id"]))?;
                user.delete(&format!("/story_dependencies/{edge}")).await
            }
            4 => {
                let edges = self.rows(&format!("/projects/{project}/epic_dependencies")).await;
                let edge = (!edges.is_empty()).then(|| text(&dice.pick(&edges)["id"]))?;
                user.delete(&format!("/epic_dependencies/{edge}")).await
            }
            5..=7 => {
                let path = format!("/stories/{}/backfill", self.story(dice).await?);
                self.o.post(&path, json!({"reason": "Done before"})).await
            }
            8 | 9 => {
                let path = format!("/stories/{}/reject", self.story(dice).await?);
                self.o.post(&path, json!({"reason": "It does not work"})).await
            }
            10 => {
                let number = format!("9.{}", dice.below(100_000));
                user.post(&format!("/epics/{epic}/stories"), json!({"number": number, "title": "Story"}))
                    .await
            }
            _ if dice.below(2) == 0 => {
                user.patch(&format!("/epics/{epic}"), json!({"position": dice.below(5)})).await
            }
            _ => user.delete(&format!("/stories/{}", self.story(dice).await?)).await,
        })
    }

    /// What the queues say, all pages of them together, is what they say they have.
    async fn totals_are_true(&self) {
        for queue in ["ready", "blocked"] {
            let path = format!("/stories/{queue}?project_id={}&limit=500", self.project);
            let list = self.tenant.user.get(&path).await.expect(200);
            assert_eq!(list["meta"]["total_count"], list["data"].as_array().unwrap().len(), "{queue}");
        }
    }
}

#[tokio::test]
async fn after_each_change_it_is_what_it_should_be() {
    let (plan, mut dice) = (Changing::new().await, Dice(seed()));
    let mut done = 0;
    for _ in 0..rounds(120) {
        done += usize::from(plan.change(&mut dice).await.is_some_and(|reply| reply.status < 300));
        plan.tenant.keeps_count().await;
    }
    assert!(done > 40, "{done}");
    plan.totals_are_true().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_many_changes_at_once_it_is_what_it_should_be() {
    let plan = Arc::new(Changing::new().await);
    let workers: Vec<JoinHandle<usize>> = (0..6)
        .map(|number: u64| {
            let (plan, mut dice) = (Arc::clone(&plan), Dice(seed().wrapping_add(number)));
            tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..rounds(30) {
                    let reply = plan.change(&mut dice).await;
                    assert!(reply.as_ref().is_none_or(|reply| reply.status < 500), "{reply:?}");
                    done += usize::from(reply.is_some_and(|reply| reply.status < 300));
                }
                done
            })
        })
        .collect();
    let done: usize = join_all(workers).await.into_iter().map(Result::unwrap).sum();
    assert!(done > 60, "{done}");
    plan.tenant.keeps_count().await;
    plan.totals_are_true().await;
}

/// The check that all of this rests on finds what is not as it should be.
#[tokio::test]
async fn a_wrong_count_is_found() {
    let plan = Changing::new().await;
    let owner = connect(&server().owner).await;
    let tenant = plan.tenant.id.parse().unwrap();
    let found = async || {
        let check = loopctl_server::operator::check(&server().owner, Some(tenant)).await.unwrap();
        let mut entities: Vec<_> =
            check.differences.iter().map(|difference| difference.entity.clone()).collect();
        entities.sort();
        assert_eq!(check.different, entities.len() as i64);
        entities.join(" ")
    };
    assert_eq!(found().await, "");
    for (table, wrong, right, entities) in [
        (
            "story_states",
            "unmet_stories = 1, prerequisites = 1",
            "unmet_stories = 0, prerequisites = 0",
            "story",
        ),
        ("story_states", "ready = false", "ready = true", "story"),
        ("story_states", "epic_position = 7", "epic_position = 0", "story"),
        ("story_states", "has_evidence = true", "has_evidence = false", "story"),
        ("stories", "epic_position = 7", "epic_position = 0", "story"),
        ("epic_states", "open = open - 1", "open = open + 1", "epic"),
        ("epic_states", "blocked = 1", "blocked = 0", "epic"),
    ] {
        for (columns, expected) in [(wrong, entities), (right, "")] {
            let sql = format!(
                "begin; set local session_replication_role = replica;
                 update {table} set {columns}
                 where (tenant_id, id) = (select tenant_id, min(id::text)::uuid from {table}
                                          where tenant_id = '{tenant}' group by tenant_id);
                 commit"
            );
            owner.batch_execute(&sql).await.unwrap();
            assert_eq!(found().await, expected, "{table}: {columns}");
        }
    }
}
