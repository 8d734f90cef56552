//! Random plans, made edge by edge through the API: whether an edge is let in, what is
//! ready, and what is blocked, against a plain recomputation; and every plan that was let in can be worked off.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::column;
use super::dependencies::edge;
use super::queues::{blocked, ready};
use super::random_queues::{Plan, Status, plans};
use crate::support::{Caller, Tenant, text};

/// An edge to be tried: between stories or epics, from and to, by any index.
type Try = (bool, usize, usize);

fn tries() -> impl Strategy<Value = Vec<Try>> {
    prop::collection::vec((prop::bool::weighted(0.6), 0..100_usize, 0..100_usize), 0..18)
}

/// What may become of an edge.
#[derive(Debug, PartialEq)]
enum Verdict {
    Added,
    Exists,
    Itself,
    Cycle,
    Deadlock,
}

impl Plan {
    /// Without its edges.
    fn bare(mut self) -> Self {
        self.epics.iter_mut().for_each(|epic| epic.prerequisites.clear());
        self.stories.iter_mut().for_each(|story| story.prerequisites.clear());
        self
    }

    /// A pair of records on the level that is asked for, if there are any.
    fn pair(&self, (stories, from, to): Try) -> Option<(usize, usize)> {
        let count = if stories { self.stories.len() } else { self.epics.len() };
        (count > 0).then(|| (from % count, to % count))
    }

    fn prerequisites(&mut self, stories: bool, of: usize) -> &mut Vec<usize> {
        if stories { &mut self.stories[of].prerequisites } else { &mut self.epics[of].prerequisites }
    }

    /// What must become of an edge, by the rule to the letter: the graph of stories and gates, all of its paths.
    fn verdict(&self, stories: bool, from: usize, to: usize) -> Verdict {
        let mut grown = self.clone();
        let prerequisites = grown.prerequisites(stories, from);
        if from == to {
            return Verdict::Itself;
        }
        let exists = prerequisites.contains(&to);
        prerequisites.push(to);
        let own: Vec<(usize, usize)> = if stories { grown.story_edges() } else { grown.epic_edges() };
        if has_cycle(own, self.stories.len().max(self.epics.len())) {
            return Verdict::Cycle;
        }
        let gate = |epic: usize| self.stories.len() + epic;
        let mut all = grown.story_edges();
        all.extend(grown.stories.iter().enumerate().map(|(story, of)| (story, gate(of.epic))));
        for (epic, prerequisite) in grown.epic_edges() {
            all.push((gate(epic), gate(prerequisite)));
            let inside = grown.stories.iter().enumerate().filter(|(_, story)| story.epic == prerequisite);
            all.extend(inside.map(|(story, _)| (gate(epic), story)));
        }
        match (has_cycle(all, self.stories.len() + self.epics.len()), exists) {
            (true, _) => Verdict::Deadlock,
            (false, true) => Verdict::Exists,
            (false, false) => Verdict::Added,
        }
    }

    fn story_edges(&self) -> Vec<(usize, usize)> {
        let edges = self.stories.iter().enumerate();
        edges.flat_map(|(from, story)| story.prerequisites.iter().map(move |to| (from, *to))).collect()
    }

    fn epic_edges(&self) -> Vec<(usize, usize)> {
        let edges = self.epics.iter().enumerate();
        edges.flat_map(|(from, epic)| epic.prerequisites.iter().map(move |to| (from, *to))).collect()
    }
}

/// Whether something reaches itself: the transitive closure, step by step.
fn has_cycle(edges: Vec<(usize, usize)>, nodes: usize) -> bool {
    let mut reaches = vec![vec![false; nodes]; nodes];
    for (from, to) in edges {
        reaches[from][to] = true;
    }
    for middle in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                reaches[from][to] |= reaches[from][middle] && reaches[middle][to];
            }
        }
    }
    (0..nodes).any(|node| reaches[node][node])
}

/// A plan in the database, with the ids of its records in the plan's order.
struct Made {
    plan: Plan,
    scope: String,
    stories: Vec<String>,
    epics: Vec<String>,
}

/// Imports the records, and tries the edges one by one.
async fn made(tenant: &Tenant, o: &Caller, plan: Plan, tries: &[Try]) -> Result<Made, TestCaseError> {
    let project = tenant.imported(plan.payload()).await;
    let list = o.get(&format!("/stories?project_id={project}&limit=500")).await.expect(200);
    let find = |list: &Value, number: Value| {
        let found = list["data"].as_array().unwrap().iter().find(|item| item["number"] == number);
        text(&found.unwrap()["id"])
    };
    let stories: Vec<_> = plan.stories.iter().map(|story| find(&list, json!(story.number()))).collect();
    let list = o.get(&format!("/projects/{project}/epics?limit=100")).await.expect(200);
    let epics: Vec<_> = plan.epics.iter().map(|epic| find(&list, json!(epic.number))).collect();
    let mut made = Made { plan, scope: format!("project_id={project}"), stories, epics };
    for attempt in tries {
        let Some((from, to)) = made.plan.pair(*attempt) else { continue };
        let ids = if attempt.0 { &made.stories } else { &made.epics };
        let (path, body) = edge(attempt.0, &ids[from], &ids[to]);
        let reply = o.post(path, body).await;
        let verdict = match (reply.status, reply.body["error"]["code"].as_str()) {
            (201, None) => Verdict::Added,
            (409, Some("dependency_exists")) => Verdict::Exists,
            (422, Some("depends_on_itself")) => Verdict::Itself,
            (422, Some("dependency_cycle")) => Verdict::Cycle,
            (422, Some("cross_level_deadlock")) => Verdict::Deadlock,
            other => return Err(TestCaseError::fail(format!("{other:?}: {:#}", reply.body))),
        };
        prop_assert_eq!(
            &verdict,
            &made.plan.verdict(attempt.0, from, to),
            "{:?} in {:?}",
            attempt,
            made.plan
        );
        if verdict == Verdict::Added {
            made.plan.prerequisites(attempt.0, from).push(to);
        }
    }
    Ok(made)
}

async fn queues_agree(tenant: &Tenant, made: &Made) -> Result<(), TestCaseError> {
    let (now, later) = made.plan.expected();
    prop_assert_eq!(ready(tenant, &made.scope).await, now);
    prop_assert_eq!(blocked(tenant, &made.scope).await, later);
    Ok(())
}

/// People, in a tenant that may have many projects.
struct People {
    tenant: Tenant,
    a1: Caller,
    a2: Caller,
    o: Caller,
}

async fn people() -> People {
    let tenant = Tenant::new().await;
    let raise = json!({"settings": {"max_projects": 1000}});
    tenant.user.patch("/tenants/me", raise).await.expect(200);
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    People { tenant, a1, a2, o }
}

fn config(cases: u32) -> Config {
    Config { cases, max_shrink_iters: 100, failure_persistence: None, ..Config::default() }
}

#[test]
fn edges_and_queues_agree_with_a_plain_recomputation() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let people = runtime.block_on(people());
    let seen = std::cell::RefCell::new(std::collections::BTreeMap::new());
    let check = async |plan: Plan, tries: Vec<Try>| {
        let made = made(&people.tenant, &people.o, plan.bare(), &tries).await?;
        let edges = made.plan.story_edges().len() + made.plan.epic_edges().len();
        *seen.borrow_mut().entry(edges > 3).or_insert(0) += 1;
        queues_agree(&people.tenant, &made).await
    };
    TestRunner::new(config(40))
        .run(&(plans(), tries()), |(plan, tries)| runtime.block_on(check(plan, tries)))
        .unwrap();
    assert!(
        seen.borrow().get(&true).is_some_and(|count| *count > 5),
        "too few edges to mean anything: {seen:?}"
    );
}

/// Takes whatever is ready, in any order, until nothing is: then everything is verified, and every epic that has
/// stories was completed once.
async fn work_off(people: &People, mut made: Made, picks: &[usize]) -> Result<(), TestCaseError> {
    let People { tenant, a1, a2, o } = people;
    let verify = json!({"review_type": "enhanced", "summary": "checked"});
    for round in 0.. {
        let list = o.get(&format!("/stories/ready?{}&limit=500", made.scope)).await.expect(200);
        let ids = column(&list, "id");
        if ids.is_empty() {
            break;
        }
        let id = &ids[picks[round % picks.len()] % ids.len()];
        for (who, action, body, status) in [
            (a1, "contract", json!({"story_title": "S", "ac_count": 0}), 200),
            (a1, "claim", json!({}), 200),
            (a1, "start", json!({}), 200),
            (a2, "report", json!({}), 200),
            (a2, "review-complete", json!({"review_type": "enhanced"}), 201),
            (o, "verify", verify.clone(), 200),
        ] {
            who.post(&format!("/stories/{id}/{action}"), body).await.expect(status);
        }
        let index = made.stories.iter().position(|story| story == id).unwrap();
        made.plan.stories[index].status = Status::Verified;
        queues_agree(tenant, &made).await?;
    }
    prop_assert!(
        made.plan.stories.iter().all(|story| story.status == Status::Verified),
        "stuck: {:?}",
        made.plan
    );
    let log = tenant.audit_log().await;
    for (index, id) in made.epics.iter().enumerate() {
        let completed = log.iter().filter(|entry| {
            entry["entity_id"] == json!(id)
                && entry["entity_type"] == "epic"
                && entry["action"] == "completed"
        });
        let has_stories = made.plan.stories.iter().any(|story| story.epic == index);
        prop_assert_eq!(completed.count(), usize::from(has_stories), "epic {}", index);
    }
    Ok(())
}

#[test]
fn every_plan_can_be_worked_off() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let people = runtime.block_on(people());
    let inputs = (plans(), tries(), prop::collection::vec(0..100_usize, 1..20));
    let check = async |plan: Plan, tries: Vec<Try>, picks: Vec<usize>| {
        let mut plan = plan.bare();
        plan.stories.iter_mut().for_each(|story| story.status = Status::Pending);
        let made = made(&people.tenant, &people.o, plan, &tries).await?;
        work_off(&people, made, &picks).await
    };
    TestRunner::new(Config { max_shrink_iters: 10, ..config(6) })
        .run(&inputs, |(plan, tries, picks)| runtime.block_on(check(plan, tries, picks)))
        .unwrap();
}
