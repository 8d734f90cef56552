//! Bulk calls that overlap: they lock their stories in the order of ids, so none waits for another in a circle; a
//! failed item takes back only itself, and epics are completed after the items.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use futures_util::future::join_all;
use loopctl_core::lifecycle::Action;
use serde_json::json;
use tokio_postgres::Client;

use super::bulk;
use crate::support::{Caller, Tenant, connect, rounds, seed, server, story, text};
use crate::trust_loop::replay::assert_legal;
use crate::trust_loop::results;
use crate::trust_loop::walk::{Dice, assert_well_formed, body};

/// What each worker does before the crowd goes home.
const TURNS: usize = 40;
const WORKERS: usize = 16;
const EPICS: usize = 6;
const STORIES_PER_EPIC: usize = 10;

/// What has succeeded, by name; what the clients believe.
type Tally = BTreeMap<&'static str, usize>;

/// What all workers share.
struct Field {
    agents: Vec<Caller>,
    orchestrators: Vec<Caller>,
    user: Caller,
    project: String,
    epics: Vec<String>,
    /// Grows with imports.
    stories: RwLock<Vec<String>>,
}

impl Field {
    async fn new(tenant: &Tenant) -> Self {
        let epics = (1..=EPICS).map(|epic| {
            let stories: Vec<_> =
                (1..=STORIES_PER_EPIC).map(|minor| story(&format!("{epic}.{minor}"))).collect();
            json!({"number": epic, "title": "Epic", "stories": stories})
        });
        let edges = (1..=EPICS).flat_map(|epic| {
            [(2, 1), (3, 1), (9, 8)].map(
                |(one, two)| json!({"story": format!("{epic}.{one}"), "depends_on": format!("{epic}.{two}")}),
            )
        });
        let plan = json!({
            "epics": epics.collect::<Vec<_>>(), "story_dependencies": edges.collect::<Vec<_>>(),
            "epic_dependencies": [{"epic": 6, "depends_on": 5}],
        });
        let project = tenant.imported(plan).await;
        let list = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
        let epics = list["data"].as_array().unwrap().iter().map(|epic| text(&epic["id"])).collect();
        let (mut agents, mut orchestrators) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            agents.push(tenant.agent().await);
            orchestrators.push(tenant.orchestrator().await);
        }
        orchestrators.push(tenant.orchestrator_of(agents[0].agent()).await);
        let user = tenant.user.clone();
        let field = Self { agents, orchestrators, user, project, epics, stories: RwLock::default() };
        field.look_for_stories().await;
        field
    }

    async fn look_for_stories(&self) {
        let list =
            self.user.get(&format!("/stories?project_id={}&limit=500", self.project)).await.expect(200);
        let ids = list["data"].as_array().unwrap().iter().map(|story| text(&story["id"])).collect();
        *self.stories.write().unwrap() = ids;
    }

    /// Up to `most` stories in any order.
    fn some(&self, dice: &mut Dice, most: usize) -> Vec<String> {
        let mut ids = self.stories.read().unwrap().clone();
        let count = 1 + dice.below(most);
        (0..count).map(|_| ids.swap_remove(dice.below(ids.len()))).collect()
    }
}

struct Worker {
    field: Arc<Field>,
    dice: Dice,
    /// Tells the calls of workers apart.
    number: usize,
    round: usize,
    tally: Tally,
}

impl Worker {
    fn count(&mut self, what: &'static str, times: usize) {
        *self.tally.entry(what).or_default() += times;
    }

    /// A call about one story; whether it succeeded.
    async fn one(&mut self, who: &Caller, id: &str, action: Action, what: &'static str) -> bool {
        let body = match action {
            Action::Backfill => json!({"reason": format!("{} {}", self.number, self.round)}),
            _ => body(action),
        };
        let reply = who.post(&format!("/stories/{id}/{action}"), body).await;
        assert_well_formed(&reply, action.as_str());
        assert!([200, 201, 403, 409, 422].contains(&reply.status), "{:#}", reply.body);
        self.count(what, usize::from(reply.status < 300));
        reply.status < 300
    }

    /// A bulk call; the stories that it names as successes.
    async fn several(
        &mut self,
        who: &Caller,
        action: Action,
        what: &'static str,
        most: usize,
    ) -> Vec<String> {
        let ids = self.field.some(&mut self.dice, most);
        let reply = bulk(who, action, &ids).await;
        assert!([200, 422].contains(&reply.status), "{:#}", reply.body);
        let results = results(reply);
        let named: Vec<_> = results.iter().map(|result| text(&result["story_id"])).collect();
        assert_eq!(named, ids, "in the order of the request");
        let done: Vec<_> = results.iter().filter(|result| result["status"] == "success").collect();
        self.count(what, done.len());
        done.iter().map(|result| text(&result["story_id"])).collect()
    }

    async fn turn(&mut self) {
        self.round += 1;
        let field = Arc::clone(&self.field);
        let agent = self.dice.pick(&field.agents).clone();
        let judge = self.dice.pick(&field.orchestrators).clone();
        match self.dice.below(24) {
            0..7 => {
                for id in field.some(&mut self.dice, 6) {
                    self.one(&agent, &id, Action::Contract, "contracted").await;
                }
                for id in self.several(&agent, Action::Claim, "assigned", 15).await {
                    self.one(&agent, &id, Action::Start, "implementing").await;
                }
            }
            7..13 => {
                for id in field.some(&mut self.dice, 12) {
                    if self.one(&agent, &id, Action::Report, "reported_done").await {
                        self.one(&agent, &id, Action::ReviewComplete, "review_completed").await;
                    }
                }
            }
            13..17 => {
                self.several(&judge, Action::Verify, "verified", 20).await;
            }
            17 => {
                let epic = self.dice.pick(&field.epics).clone();
                let reply = judge.post(&format!("/epics/{epic}/verify-all"), body(Action::Verify)).await;
                let answer = reply.expect(200);
                let verified = usize::try_from(answer["verified_count"].as_u64().unwrap()).unwrap();
                let skipped = usize::try_from(answer["skipped_count"].as_u64().unwrap()).unwrap();
                assert_eq!(answer["errors"].as_array().unwrap().len(), skipped);
                assert_eq!(answer["total_eligible"], verified + skipped);
                self.count("verified", verified);
            }
            18 | 19 => {
                self.several(&judge, Action::Reject, "rejected", 8).await;
            }
            20 => {
                self.several(&judge, Action::MarkComplete, "mark_complete", 4).await;
            }
            21 => {
                let id = field.some(&mut self.dice, 1).remove(0);
                self.one(&judge, &id, Action::ForceUnclaim, "force_unclaimed").await;
            }
            22 => {
                let id = field.some(&mut self.dice, 1).remove(0);
                self.one(&judge, &id, Action::Backfill, "backfilled").await;
            }
            _ => self.merge().await,
        }
    }

    /// Changes every story's text, an epic's position, and adds a story.
    async fn merge(&mut self) {
        let (number, round) = (self.number, self.round);
        let epics = (1..=EPICS).map(|epic| {
            let stories: Vec<_> = (1..=STORIES_PER_EPIC)
                .map(|minor| {
                    json!({"number": format!("{epic}.{minor}"), "description": format!("{number} {round}"),
                                    "initial_verified_status": "pass"})
                })
                .collect();
            json!({"number": epic, "position": self.dice.below(20), "stories": stories})
        });
        let mut epics: Vec<_> = epics.collect();
        let late = json!({"number": format!("{}.{round}", number + 50), "title": "Build API"});
        epics[0]["stories"].as_array_mut().unwrap().push(late);
        let path = format!("/projects/{}/import?merge=true", self.field.project);
        self.field.user.post(&path, json!({"epics": epics})).await.expect(200);
        self.count("merge_imported", 1);
        self.field.look_for_stories().await;
    }
}

async fn deadlocks(owner: &Client) -> i64 {
    let sql = "select deadlocks from pg_stat_database where datname = current_database()";
    owner.query_one(sql, &[]).await.unwrap().get(0)
}

/// How many audit entries of a tenant there are of each kind; those of a status by the status.
async fn entries(owner: &Client, tenant: &str) -> HashMap<String, usize> {
    let rows = owner
        .query(
            "select case action when 'status_changed' then new_state ->> 'agent_status' else action end, count(*)
             from audit_log where tenant_id = $1::text::uuid and entity_type in ('story', 'project', 'epic')
             group by 1",
            &[&tenant],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), usize::try_from(row.get::<_, i64>(1)).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn a_crowd_of_overlapping_bulk_calls() {
    let tenant = Tenant::new().await;
    let owner = connect(&server().owner).await;
    let field = Arc::new(Field::new(&tenant).await);
    let deadlocks_before = deadlocks(&owner).await;
    let workers = (0..WORKERS).map(|number| {
        let field = Arc::clone(&field);
        let dice = Dice(seed().wrapping_add(number as u64));
        let mut worker = Worker { field, dice, number, round: 0, tally: Tally::new() };
        tokio::spawn(async move {
            for _ in 0..rounds(TURNS) {
                worker.turn().await;
            }
            worker.tally
        })
    });
    let mut tally = Tally::new();
    for counted in join_all(workers.collect::<Vec<_>>()).await {
        for (what, count) in counted.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            *tally.entry(what).or_default() += count;
        }
    }
    println!("{tally:?}");
    assert_eq!(deadlocks(&owner).await, deadlocks_before, "a deadlock in PostgreSQL");

    // What clients were told is what happened: nothing twice, nothing lost.
    let told = entries(&owner, &tenant.id).await;
    let entered = |what: &str| told.get(what).copied().unwrap_or_default();
    for what in [
        "contracted",
        "assigned",
        "implementing",
        "reported_done",
        "review_completed",
        "verified",
        "rejected",
        "backfilled",
        "merge_imported",
    ] {
        assert_eq!(entered(what), tally[what], "{what}: {told:?} {tally:?}");
        let least = if what == "backfilled" { 1 } else { 10 };
        assert!(tally[what] >= least, "the crowd did not do much: {tally:?}");
    }
    // Successes that may have found the work done.
    for what in ["mark_complete", "force_unclaimed"] {
        assert!((1..=tally[what]).contains(&entered(what)), "{what}: {told:?} {tally:?}");
    }
    let row = owner
        .query_one(
            "select count(*), (select count(*) from (
                        select from verification_results where tenant_id = $1::text::uuid
                        group by story_id having max(iteration) <> count(*)) as gaps),
                    (select count(*) from audit_log where tenant_id = $1::text::uuid
                        and entity_type = 'verification_result' and action = 'created'),
                    (select count(*) from review_records where tenant_id = $1::text::uuid),
                    (select count(*) from epics where tenant_id = $1::text::uuid and completed_at is not null),
                    (select count(distinct entity_id) from audit_log where tenant_id = $1::text::uuid
                        and entity_type = 'epic' and action = 'completed')
             from verification_results where tenant_id = $1::text::uuid",
            &[&tenant.id],
        )
        .await
        .unwrap();
    let count = |column: usize| usize::try_from(row.get::<_, i64>(column)).unwrap();
    let judged = entered("verified") + entered("rejected") + entered("mark_complete");
    assert_eq!([count(0), count(1), count(2), count(3)], [judged, 0, judged, tally["review_completed"]]);
    // Each epic at most once, and known as completed just when that was told.
    assert_eq!([count(4), count(5)], [entered("completed"); 2]);
    let ids = field.stories.read().unwrap().clone();
    assert!(ids.len() > EPICS * STORIES_PER_EPIC);
    for id in &ids {
        assert_legal(&tenant.user, id).await;
    }
    tenant.keeps_count().await;
}
