//! Ready and blocked of random projects against a plain recomputation.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::epic_id;
use super::queues::{blocked, ready};
use crate::support::Tenant;

#[derive(Debug, Clone)]
pub(super) struct Epic {
    pub(super) number: i64,
    position: i64,
    /// Indices of epics; generated are earlier ones.
    pub(super) prerequisites: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Story {
    major: i64,
    minor: i64,
    pub(super) epic: usize,
    pub(super) status: Status,
    /// Indices of stories; generated are earlier ones.
    pub(super) prerequisites: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Status {
    Pending,
    Reported,
    Verified,
}

/// Stories come by epic, and every edge points backwards, so that nothing waits for itself.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) epics: Vec<Epic>,
    pub(super) stories: Vec<Story>,
}

impl Story {
    pub(super) fn number(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

impl Plan {
    pub(super) fn payload(&self) -> Value {
        let epics: Vec<_> = self
            .epics
            .iter()
            .enumerate()
            .map(|(index, epic)| {
                let stories: Vec<_> = self
                    .stories
                    .iter()
                    .filter(|story| story.epic == index)
                    .map(|story| {
                        let mut item = json!({"number": story.number(), "title": "S"});
                        match story.status {
                            Status::Pending => {}
                            Status::Reported => item["initial_agent_status"] = json!("reported_done"),
                            Status::Verified => item["initial_verified_status"] = json!("pass"),
                        }
                        item
                    })
                    .collect();
                json!({"number": epic.number, "title": "E", "position": epic.position, "stories": stories})
            })
            .collect();
        let story_edges: Vec<_> = self
            .stories
            .iter()
            .flat_map(|story| story.prerequisites.iter().map(move |other| (story, *other)))
            .map(
                |(story, other)| json!({"story": story.number(), "depends_on": self.stories[other].number()}),
            )
            .collect();
        let epic_edges: Vec<_> = self
            .epics
            .iter()
            .flat_map(|epic| epic.prerequisites.iter().map(move |other| (epic, *other)))
            .map(|(epic, other)| json!({"epic": epic.number, "depends_on": self.epics[other].number}))
            .collect();
        json!({"epics": epics, "story_dependencies": story_edges, "epic_dependencies": epic_edges})
    }

    /// By (epic position, major, minor): what is ready, and what is blocked by what.
    pub(super) fn expected(&self) -> (Vec<String>, Vec<String>) {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        let mut order: Vec<&Story> = self.stories.iter().collect();
        order.sort_by_key(|story| (self.epics[story.epic].position, story.major, story.minor));
        for story in order.into_iter().filter(|story| story.status != Status::Verified) {
            let mut blockers: BTreeMap<(i64, i64), &str> = BTreeMap::new();
            for other in &self.stories {
                if other.status != Status::Verified
                    && self.epics[story.epic].prerequisites.contains(&other.epic)
                {
                    blockers.insert((other.major, other.minor), "epic");
                }
            }
            for other in story.prerequisites.iter().map(|index| &self.stories[*index]) {
                if other.status != Status::Verified {
                    blockers.insert((other.major, other.minor), "story");
                }
            }
            if !blockers.is_empty() {
                let blockers: Vec<_> = blockers
                    .iter()
                    .map(|((major, minor), via)| format!("{major}.{minor} via {via}"))
                    .collect();
                later.push(format!("{}: {}", story.number(), blockers.join(", ")));
            } else if story.status == Status::Pending {
                now.push(story.number());
            }
        }
        (now, later)
    }
}

/// A subset of `0..below`, one chance in `one_in` each.
fn earlier(below: usize, one_in: u32) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..one_in, below).prop_map(|dice| {
        let chosen = dice.iter().enumerate().filter(|(_, die)| **die == 0);
        chosen.map(|(index, _)| index).collect()
    })
}

pub(super) fn plans() -> impl Strategy<Value = Plan> {
    let sizes = (2..=5_usize).prop_flat_map(|epics| (Just(epics), prop::collection::vec(0..epics, 0..=15)));
    sizes.prop_flat_map(|(epics, mut places)| {
        places.sort_unstable();
        let numbers = Just((1..=epics as i64).collect::<Vec<_>>()).prop_shuffle();
        let positions = prop::collection::vec(0..4_i64, epics);
        let epic_edges: Vec<_> = (0..epics).map(|index| earlier(index, 4)).collect();
        let story_numbers = Just((0..places.len() as i64).collect::<Vec<_>>()).prop_shuffle();
        let statuses = prop::collection::vec(
            prop_oneof![
                3 => Just(Status::Pending),
                1 => Just(Status::Reported),
                5 => Just(Status::Verified),
            ],
            places.len(),
        );
        let story_edges: Vec<_> = (0..places.len()).map(|index| earlier(index, 6)).collect();
        (numbers, positions, epic_edges, story_numbers, statuses, story_edges).prop_map(
            move |(numbers, positions, epic_edges, story_numbers, statuses, story_edges)| {
                let epics = numbers.into_iter().zip(positions).zip(epic_edges);
                let stories = places.iter().zip(story_numbers).zip(statuses).zip(story_edges);
                Plan {
                    epics: epics
                        .map(|((number, position), prerequisites)| Epic { number, position, prerequisites })
                        .collect(),
                    stories: stories
                        .map(|(((epic, index), status), prerequisites)| Story {
                            // 1.2, 1.9, 1.16, … 2.3: text and numbers sort differently.
                            major: index % 3 + 8,
                            minor: index * 7 + 2,
                            epic: *epic,
                            status,
                            prerequisites,
                        })
                        .collect(),
                }
            },
        )
    })
}

async fn check(tenant: &Tenant, plan: &Plan) -> Result<(), TestCaseError> {
    let project = tenant.imported(plan.payload()).await;
    let scope = format!("project_id={project}");
    let (now, later) = plan.expected();
    let (seen_now, seen_later) = (ready(tenant, &scope).await, blocked(tenant, &scope).await);
    prop_assert_eq!(&seen_now, &now);
    prop_assert_eq!(&seen_later, &later);
    // Asked epic by epic, it is the same.
    let mut by_epic = Vec::new();
    for epic in &plan.epics {
        let id = epic_id(tenant, &project, epic.number).await;
        by_epic.extend(ready(tenant, &format!("epic_id={id}")).await);
        by_epic.extend(blocked(tenant, &format!("{scope}&epic_id={id}")).await);
    }
    let mut whole = [now, later].concat();
    whole.sort();
    by_epic.sort();
    prop_assert_eq!(by_epic, whole);
    // A pending story is in exactly one of the two.
    for story in plan.stories.iter().filter(|story| story.status == Status::Pending) {
        let prefix = format!("{}: ", story.number());
        let in_later = seen_later.iter().any(|line| line.starts_with(&prefix));
        prop_assert!(seen_now.contains(&story.number()) != in_later, "{}", story.number());
    }
    Ok(())
}

#[test]
fn queues_agree_with_a_plain_recomputation() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tenant = runtime.block_on(Tenant::new());
    let config = Config { cases: 30, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let raise = json!({"settings": {"max_projects": 1000}});
    runtime.block_on(async { tenant.user.patch("/tenants/me", raise).await.expect(200) });
    TestRunner::new(config).run(&plans(), |plan| runtime.block_on(check(&tenant, &plan))).unwrap();
}
