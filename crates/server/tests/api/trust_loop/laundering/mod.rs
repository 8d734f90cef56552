//! The heart of the product, over HTTP and against the database: whatever anybody does in whatever order, a story that
//! was ever claimed stays known as claimed, and becomes verified only after a review and a passing result by others
//! than its implementer. `LOOPCTL_TEST_SEED` repeats a walk.

#![allow(clippy::print_stdout, reason = "a walk that fails shows its seed and its steps")]

mod rows;

use std::collections::{BTreeMap, HashMap};

use loopctl_core::lifecycle::Action;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::impersonation::{inside, superadmin};
use super::walk::{Dice, assert_well_formed, body, request};
use super::{Scene, replay};
use crate::support::{Caller, Reply, connect, rounds, seed, server, story, text};
use rows::{Reviewers, Row, fault, rows};

/// Calls of one walk.
const CALLS: usize = 1200;
const STORIES: usize = 36;
/// From this one on the stories are there to be done without the loop.
const LOOPED: usize = 14;

struct Walk {
    scene: Scene,
    owner: Client,
    dice: Dice,
    people: Vec<(&'static str, Caller)>,
    project: String,
    epics: Vec<String>,
    /// Ids in order of numbers.
    stories: Vec<String>,
    rows: BTreeMap<String, Row>,
    reviewers: Reviewers,
    auto_reset: bool,
    imports: usize,
    counts: HashMap<&'static str, usize>,
}

fn plan() -> Value {
    let epics = (0..3).map(|epic| {
        let stories = (0..STORIES).filter(|place| place % 3 == epic).map(|place| {
            let mut item = story(&format!("{}.{}", epic + 1, place + 1));
            if place == STORIES - 1 {
                item["initial_verified_status"] = json!("pass");
            } else if place >= STORIES - 6 {
                item["initial_agent_status"] = json!("reported_done");
            }
            item
        });
        json!({"number": epic + 1, "title": "Epic", "stories": stories.collect::<Vec<_>>()})
    });
    json!({"epics": epics.collect::<Vec<_>>()})
}

impl Walk {
    async fn new(reviewers: Reviewers) -> Self {
        let seed = seed();
        println!("LOOPCTL_TEST_SEED={seed}");
        let scene = Scene::new().await;
        let root = superadmin().await;
        let people = vec![
            ("a1", scene.a1.clone()),
            ("own", scene.own_orchestrator().await),
            ("a2", scene.a2.clone()),
            ("own of a2", scene.tenant.orchestrator_of(scene.a2.agent()).await),
            ("o", scene.o.clone()),
            ("p", scene.tenant.orchestrator().await),
            ("user", scene.tenant.user.clone()),
            ("nameless", scene.tenant.key("agent").await),
            ("nobody", scene.tenant.key("orchestrator").await),
            ("root", inside(&root, &scene, None)),
            ("root as user", inside(&root, &scene, Some("user"))),
            ("root as orchestrator", inside(&root, &scene, Some("orchestrator"))),
            ("root as agent", inside(&root, &scene, Some("agent"))),
        ];
        let project = scene.tenant.imported(plan()).await;
        let list = scene.tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
        let epics = list["data"].as_array().unwrap().iter().map(|epic| text(&epic["id"])).collect();
        let mut stories = Vec::new();
        for place in 0..STORIES {
            let number = format!("{}.{}", place % 3 + 1, place + 1);
            stories.push(scene.tenant.story_id(&project, &number).await);
        }
        let owner = connect(&server().owner).await;
        let rows = rows(&owner, &scene.tenant.id).await;
        Self {
            scene,
            owner,
            dice: Dice(seed),
            people,
            project,
            epics,
            stories,
            rows,
            reviewers,
            auto_reset: true,
            imports: 0,
            counts: HashMap::new(),
        }
    }

    fn person(&self, name: &str) -> (&'static str, Caller) {
        self.people.iter().find(|(known, _)| *known == name).unwrap().clone()
    }

    fn anybody(&mut self) -> (&'static str, Caller) {
        self.dice.pick(&self.people).clone()
    }

    /// A story; one that is there for the loop is not handed to those who would have done it before.
    fn any_story(&mut self, before_the_loop: bool) -> String {
        let place = if self.dice.below(3) > 0 { self.dice.below(LOOPED) } else { self.dice.below(STORIES) };
        let id = self.stories[place].clone();
        if place < LOOPED && before_the_loop && !self.rows[&id].was_claimed() {
            return self.stories[LOOPED + self.dice.below(STORIES - LOOPED)].clone();
        }
        id
    }

    /// Whether this person's call is left out, for the sake of what the walk is to show.
    fn is_barred(&self, name: &str, action: Action) -> bool {
        self.reviewers == Reviewers::ImplementerOnly
            && match action {
                Action::Claim => name != "a1",
                Action::ReviewComplete => !["a1", "own"].contains(&name),
                _ => false,
            }
    }

    /// The step that comes next for a story, by somebody who may well take it.
    fn next_step(&mut self) -> Option<(&'static str, Caller, Action, String)> {
        let id = self.stories[self.dice.below(LOOPED)].clone();
        let row = &self.rows[&id];
        let holder = self.people[..6]
            .iter()
            .find(|(_, caller)| caller.agent_id.as_deref() == row.columns["assigned_agent_id"].as_str())
            .map_or("root as agent", |(name, _)| *name);
        let agents = ["a1", "a1", "a2", "root as agent"];
        let judges = ["o", "p", "own of a2", "own"];
        let (name, action) = match row.column("agent_status") {
            _ if row.is_verified() => (*self.dice.pick(&judges), Action::Reject),
            "pending" => (*self.dice.pick(&agents), Action::Contract),
            "contracted" => (*self.dice.pick(&agents), Action::Claim),
            "assigned" => (holder, Action::Start),
            "implementing" => (*self.dice.pick(&["a1", "a2", "o", "own of a2"]), Action::Report),
            _ => match self.dice.below(5) {
                0 => (*self.dice.pick(&judges), Action::Reject),
                1 | 2 => (*self.dice.pick(&["a1", "own", "a2", "o", "user"]), Action::ReviewComplete),
                _ => (*self.dice.pick(&judges), Action::Verify),
            },
        };
        // Verified work is the end of most stories, but not of all.
        if row.is_verified() && self.dice.below(6) > 0 || self.is_barred(name, action) {
            return None;
        }
        let (name, caller) = self.person(name);
        Some((name, caller, action, id))
    }

    /// One call, and what must hold after it.
    async fn call(&mut self) {
        if self.dice.below(2) == 0 {
            if let Some((name, caller, action, id)) = self.next_step() {
                self.act(name, &caller, action, &id).await;
            }
            return;
        }
        let (name, caller) = self.anybody();
        match self.dice.below(21) {
            0..10 => {
                let action = *self.dice.pick(Action::ALL);
                let before = matches!(action, Action::Backfill | Action::MarkComplete);
                let id = self.any_story(before);
                // Giving work back is possible nearly always: take little of it.
                let setback = matches!(action, Action::Unclaim | Action::ForceUnclaim);
                let skipped = self.is_barred(name, action) || setback && self.dice.below(3) > 0;
                if !skipped {
                    self.act(name, &caller, action, &id).await;
                }
            }
            10..16 => self.several(name, &caller).await,
            16 => {
                let epic = self.dice.pick(&self.epics).clone();
                let reply = caller.post(&format!("/epics/{epic}/verify-all"), body(Action::Verify)).await;
                self.settle(name, "verify-all", &reply, reply.status >= 400).await;
            }
            17 => self.edit(name, &caller).await,
            18 => {
                let (name, caller) =
                    if self.dice.below(3) > 0 { self.person("user") } else { (name, caller) };
                self.import(name, &caller).await;
            }
            19 => {
                let action = *self.dice.pick(&[Action::Backfill, Action::MarkComplete]);
                let id = self.stories[LOOPED + self.dice.below(STORIES - LOOPED)].clone();
                let name = *self.dice.pick(&["o", "own"]);
                let (name, caller) = self.person(name);
                self.act(name, &caller, action, &id).await;
            }
            _ => {
                self.auto_reset = !self.auto_reset;
                self.scene.auto_reset(self.auto_reset).await;
            }
        }
    }

    async fn act(&mut self, name: &'static str, caller: &Caller, action: Action, id: &str) {
        let mut body = body(action);
        if action == Action::ReviewComplete && self.dice.below(4) == 0 {
            // As far in the future as it may be: it must not cover the next report.
            let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(50);
            body["completed_at"] = json!(soon.to_rfc3339());
        }
        if action == Action::Backfill && self.dice.below(3) == 0 {
            body["reason"] = json!("another");
        }
        let (path, body) = request(action, id, body);
        let reply = caller.post(&path, body).await;
        assert_well_formed(&reply, action.as_str());
        if action == Action::MarkComplete && reply.status < 500 {
            self.count_results("mark-complete", &reply);
        } else {
            let code = &reply.body["error"]["code"];
            self.count(action.as_str(), reply.status < 400, code);
        }
        self.settle(name, action.as_str(), &reply, reply.status >= 400).await;
    }

    async fn several(&mut self, name: &'static str, caller: &Caller) {
        let action = *self.dice.pick(&[Action::Claim, Action::Verify, Action::Reject, Action::MarkComplete]);
        if self.is_barred(name, action) {
            return;
        }
        let ids: Vec<_> =
            (0..=self.dice.below(6)).map(|_| self.any_story(action == Action::MarkComplete)).collect();
        let items: Vec<_> = ids
            .iter()
            .map(|id| {
                let mut item = body(action);
                item["story_id"] = json!(id);
                item
            })
            .collect();
        let reply = caller
            .post(&format!("/stories/bulk/{action}"), json!({"story_ids": ids, "stories": items}))
            .await;
        self.count_results(action.as_str(), &reply);
        self.settle(name, &format!("bulk {action}"), &reply, reply.status >= 400).await;
    }

    /// Everything that a story's or an epic's row has, as something that was never sent before.
    async fn edit(&mut self, name: &'static str, caller: &Caller) {
        let path = if self.dice.below(4) == 0 {
            format!("/epics/{}", self.dice.pick(&self.epics))
        } else {
            format!("/stories/{}", self.any_story(false))
        };
        let method = if self.dice.below(3) == 0 { Method::PUT } else { Method::PATCH };
        let agent = self.scene.a2.agent();
        let told = if self.dice.below(2) == 0 { "backfill" } else { "team" };
        let edit = json!({
            "agent_status": "reported_done", "verified_status": "verified", "first_claimed_at": null,
            "assigned_agent_id": agent, "reported_by_agent_id": agent, "reported_done_at": "2026-01-01T00:00:00Z",
            "verified_at": "2026-01-01T00:00:00Z", "initial_verified_status": "pass", "result": "pass",
            "completed_at": "2026-01-01T00:00:00Z", "description": format!("edit {}", self.dice.below(1000)),
            "metadata": {told: {"reason": "done before", "evidence_url": null, "pr_number": 7}},
        });
        let reply = caller.send(caller.request(method, &path).json(&edit)).await;
        self.count("edit", reply.status < 400, &Value::Null);
        // Whatever the answer: no status moves.
        self.settle(name, &path, &reply, true).await;
    }

    async fn import(&mut self, name: &'static str, caller: &Caller) {
        let mut plan = plan();
        for epic in plan["epics"].as_array_mut().unwrap() {
            for story in epic["stories"].as_array_mut().unwrap() {
                story["initial_verified_status"] = json!("pass");
                story["initial_agent_status"] = json!("reported_done");
                story["description"] = json!(format!("import {}", self.imports));
                for (member, value) in [("agent_status", "pending"), ("verified_status", "verified")] {
                    story[member] = json!(value);
                }
                story["first_claimed_at"] = Value::Null;
            }
        }
        let merge = self.dice.below(3) > 0;
        let fresh = self.dice.below(3) == 0;
        if fresh {
            // Old work that comes late: allowed, and only ever its own beginning.
            let late = json!({"number": format!("9.{}", self.imports), "title": "Late",
                              "initial_verified_status": "verified"});
            plan = json!({"epics": [{"number": 100 + self.imports, "title": "Late", "stories": [late]}]});
        }
        self.imports += 1;
        let path = format!("/projects/{}/import{}", self.project, if merge { "?merge=true" } else { "" });
        let reply = caller.post(&path, plan).await;
        if !fresh && !merge && reply.status != 403 {
            assert_eq!(reply.status, 409, "{:#}", reply.body);
        }
        self.count(if merge && !fresh { "merge" } else { "import" }, reply.status < 400, &Value::Null);
        self.settle(name, "import", &reply, true).await;
    }

    fn count(&mut self, what: &str, passed: bool, code: &Value) {
        let known = [
            "contract",
            "claim",
            "start",
            "report",
            "review-complete",
            "verify",
            "reject",
            "backfill",
            "mark-complete",
            "edit",
            "merge",
            "import",
        ];
        if let Some(what) = known.into_iter().find(|known| *known == what && passed) {
            *self.counts.entry(what).or_default() += 1;
        }
        let known = [
            "not_pre_existing",
            "self_verify_blocked",
            "self_review_blocked",
            "self_report_blocked",
            "review_not_conducted",
        ];
        if let Some(code) = known.into_iter().find(|known| *code == *known) {
            *self.counts.entry(code).or_default() += 1;
        }
    }

    fn count_results(&mut self, action: &str, reply: &Reply) {
        for result in reply.body["results"].as_array().into_iter().flatten() {
            self.count(action, result["status"] == "success", &result["code"]);
        }
    }

    /// Looks at every story. With `still`, none of those that were there may have moved.
    async fn settle(&mut self, name: &str, what: &str, reply: &Reply, still: bool) {
        println!("{name}: {what}: {}", reply.status);
        assert!(reply.status < 500, "{:#}", reply.body);
        let now = rows(&self.owner, &self.scene.tenant.id).await;
        for (id, before) in &self.rows {
            let now = now.get(id).unwrap_or_else(|| panic!("story {id} is gone"));
            if still {
                assert_eq!(before.columns, now.columns, "{name}: {what}: {:#}", reply.body);
            }
        }
        for (id, row) in &now {
            let before = self.rows.get(id);
            if let Some(fault) = fault(before, row, self.reviewers) {
                panic!("{name}: {what}: {fault}");
            }
            let turned_verified = row.is_verified() && !before.is_some_and(Row::is_verified);
            if turned_verified && before.is_some() {
                let how =
                    if row.was_claimed() { "verified in the loop" } else { "verified without the loop" };
                *self.counts.entry(how).or_default() += 1;
            }
        }
        self.rows = now;
    }

    fn counted(&self, what: &str) -> usize {
        self.counts.get(what).copied().unwrap_or_default()
    }

    async fn walk(reviewers: Reviewers) -> Self {
        let mut walk = Self::new(reviewers).await;
        for _ in 0..rounds(CALLS) {
            walk.call().await;
        }
        for id in &walk.stories {
            replay::assert_legal(&walk.scene.o, id).await;
        }
        println!("{:#?}", walk.counts);
        // Or the walk went nowhere and proves nothing.
        for (what, least) in [
            ("claim", 10),
            ("start", 5),
            ("report", 3),
            ("reject", 5),
            ("backfill", 1),
            ("mark-complete", 3),
            ("verified without the loop", 5),
            ("not_pre_existing", 3),
            ("self_report_blocked", 1),
            ("self_review_blocked", 1),
            ("self_verify_blocked", 3),
            ("review_not_conducted", 3),
            ("edit", 2),
            ("merge", 1),
        ] {
            assert!(walk.counted(what) >= least, "{what}: {:#?}", walk.counts);
        }
        walk
    }
}

#[tokio::test]
async fn claimed_work_is_verified_by_others_or_not_at_all() {
    let walk = Walk::walk(Reviewers::Anyone).await;
    assert!(walk.counted("verified in the loop") >= 5, "{:#?}", walk.counts);
}

#[tokio::test]
async fn nobody_verifies_what_only_its_implementer_reviewed() {
    let walk = Walk::walk(Reviewers::ImplementerOnly).await;
    assert_eq!(walk.counted("verified in the loop"), 0);
    assert!(walk.stories.iter().filter(|id| walk.rows[*id].was_claimed()).count() >= 10);
}
