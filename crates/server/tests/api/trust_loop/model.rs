//! The server against a model of the trust rules that shares no code with it (`loopctl-model`): calls of every kind that
//! the model knows, permitted or not, and walks at random.

use futures_util::StreamExt as _;
use futures_util::stream;
use loopctl_model::cast::KEYS;
use loopctl_model::traces::{self, Call, Kinds, Trace};
use loopctl_model::{Action, Key, Role, Rules, Shown, Who};
use serde_json::{Value, json};

use super::impersonation::{inside, superadmin};
use super::{Scene, evidence, review};
use crate::support::{Caller, Reply, echo, rounds, seed, story, text, unique};

/// The model's cast with real keys, and a project with an epic for each trace.
struct Stage {
    scene: Scene,
    callers: Vec<(Key, Caller)>,
    project: String,
}

impl Stage {
    async fn new(auto_reset: bool, epics: usize) -> Self {
        let scene = Scene::new().await;
        scene.auto_reset(auto_reset).await;
        let (own, c, root) = (scene.own_orchestrator().await, scene.tenant.agent().await, superadmin().await);
        let mut callers = Vec::new();
        for key in KEYS {
            let caller = match (key.role, key.who) {
                (Role::Agent, Some(Who::A)) => scene.a1.clone(),
                (Role::Agent, Some(Who::B)) => scene.a2.clone(),
                (Role::Agent, Some(Who::C)) => c.clone(),
                (Role::Orchestrator, Some(Who::A)) => own.clone(),
                (Role::Orchestrator, Some(Who::O)) => scene.o.clone(),
                (Role::User, None) => scene.tenant.user.clone(),
                (Role::Agent, Some(Who::Root)) => inside(&root, &scene, Some("agent")),
                (Role::Orchestrator, Some(Who::Root)) => inside(&root, &scene, Some("orchestrator")),
                (Role::User, Some(Who::Root)) => inside(&root, &scene, Some("user")),
                _ => panic!("nobody plays {key:?}"),
            };
            callers.push((key, caller));
        }
        let epics: Vec<_> =
            (1..=epics).map(|number| json!({"number": number, "title": "Epic", "stories": []})).collect();
        let project = scene.tenant.imported(json!({"epics": epics})).await;
        Self { scene, callers, project }
    }

    fn caller(&self, key: Key) -> &Caller {
        &self.callers.iter().find(|(known, _)| *known == key).unwrap().1
    }

    /// Plays a trace with the one story of this epic.
    async fn play(&self, epic: usize, trace: &Trace) {
        let mut part = Part { stage: self, epic, story: String::new(), other_criteria: false };
        for (index, call) in trace.iter().enumerate() {
            let reply = part.attempt(call).await;
            let shown = part.shown().await;
            let got = (outcome(&reply), shown);
            let expected = (call.refusal.map(|refusal| refusal.code().to_owned()), call.shown.map(visible));
            if got != expected {
                let steps: Vec<_> = trace[..=index].iter().map(told).collect();
                let (steps, seed) = (steps.join("\n"), seed());
                panic!("seed {seed}:\n{steps}\nexpected {expected:?}\n     got {got:?}\n{:#}", reply.body);
            }
        }
    }
}

/// A trace that is being played.
struct Part<'a> {
    stage: &'a Stage,
    epic: usize,
    story: String,
    other_criteria: bool,
}

impl Part<'_> {
    async fn attempt(&mut self, call: &Call) -> Reply {
        let caller = self.stage.caller(call.step.key);
        let at = |action: &str| format!("/stories/{}/{action}", self.story);
        match call.step.action {
            Action::Contract => caller.post(&at("contract"), echo()).await,
            Action::Claim => caller.post_empty(&at("claim")).await,
            Action::Start => caller.post_empty(&at("start")).await,
            Action::Report => caller.post_empty(&at("report")).await,
            Action::Unclaim => caller.post_empty(&at("unclaim")).await,
            Action::ReviewComplete => caller.post(&at("review-complete"), review()).await,
            Action::Verify => caller.post(&at("verify"), evidence()).await,
            Action::Reject => caller.post(&at("reject"), json!({"reason": "no tests"})).await,
            Action::ForceUnclaim => caller.post_empty(&at("force-unclaim")).await,
            Action::Backfill => caller.post(&at("backfill"), json!({"reason": unique("done before")})).await,
            Action::MarkComplete => {
                let items = json!({"stories": [{"story_id": self.story}]});
                caller.post("/stories/bulk/mark-complete", items).await
            }
            Action::EditCriteria => self.edit(caller).await,
            Action::Artifact => {
                caller.post(&at("artifacts"), json!({"artifact_type": "log", "path": "out.log"})).await
            }
            Action::Delete => caller.delete(&format!("/stories/{}", self.story)).await,
            Action::Create => {
                let mut body = self.new_story();
                body["epic_number"] = json!(self.epic);
                let reply = caller.post(&format!("/projects/{}/stories", self.stage.project), body).await;
                self.made(reply).await
            }
            Action::ImportVerified => self.import(caller, "initial_verified_status", "verified").await,
            Action::ImportReportedDone => self.import(caller, "initial_agent_status", "reported_done").await,
        }
    }

    /// As many criteria, so that the echo stays what it is.
    async fn edit(&mut self, caller: &Caller) -> Reply {
        let word = if self.other_criteria { "It works" } else { "It works well" };
        let mut criteria = story("1.1")["acceptance_criteria"].clone();
        criteria[0]["criterion"] = json!(word);
        let body = json!({"acceptance_criteria": criteria});
        let reply = caller.patch(&format!("/stories/{}", self.story), body).await;
        self.other_criteria ^= reply.status == 200;
        reply
    }

    fn new_story(&self) -> Value {
        story(&format!("{}.1", self.epic))
    }

    async fn import(&mut self, caller: &Caller, member: &str, word: &str) -> Reply {
        let mut story = self.new_story();
        story[member] = json!(word);
        let payload = json!({"epics": [{"number": self.epic, "title": "Epic", "stories": [story]}]});
        let reply =
            caller.post(&format!("/projects/{}/import?merge=true", self.stage.project), payload).await;
        self.made(reply).await
    }

    /// Takes up the story that was made, if it was.
    async fn made(&mut self, reply: Reply) -> Reply {
        if outcome(&reply).is_none() {
            let number = format!("{}.1", self.epic);
            self.story = self.stage.scene.tenant.story_id(&self.stage.project, &number).await;
            self.other_criteria = false;
        }
        reply
    }

    /// What is to be seen of the story, as the model would tell it.
    async fn shown(&self) -> Option<Value> {
        let reply = self.stage.scene.tenant.user.get(&format!("/stories/{}", self.story)).await;
        if reply.status == 404 {
            return None;
        }
        let story = &reply.expect(200)["story"];
        Some(json!({
            "agent_status": story["agent_status"], "verified_status": story["verified_status"],
            "verification_source": story["verification_source"],
            "contract_stale": story["contract_stale"], "verification_stale": story["verification_stale"],
        }))
    }
}

fn visible(shown: Shown) -> Value {
    json!({
        "agent_status": shown.agent_status.as_str(), "verified_status": shown.verdict.as_str(),
        "verification_source": shown.verdict.source(),
        "contract_stale": shown.contract_stale, "verification_stale": shown.verification_stale,
    })
}

/// The code of a refusal; of the only item, where a list of one was refused item by item.
fn outcome(reply: &Reply) -> Option<String> {
    assert!(reply.status < 500, "{:#}", reply.body);
    let item = &reply.body["results"][0]["code"];
    let code = if item.is_string() { item } else { &reply.body["error"]["code"] };
    (reply.status >= 400).then(|| text(code))
}

fn told(call: &Call) -> String {
    let key = call.step.key;
    let who = key.who.map_or_else(|| "nobody".to_owned(), |who| format!("{who:?}"));
    let outcome = call.refusal.map_or("ok", |refusal| refusal.code());
    format!("{who} as {:?}: {:?}: {outcome}", key.role, call.step.action)
}

/// Plays all of them, several at a time: each has a story of its own.
async fn play(auto_reset: bool, traces: Vec<Trace>) {
    let stage = Stage::new(auto_reset, traces.len()).await;
    let parts = traces.iter().enumerate().map(|(index, trace)| stage.play(index + 1, trace));
    stream::iter(parts).buffer_unordered(4).collect::<()>().await;
}

#[tokio::test]
async fn the_server_answers_every_kind_of_call_as_the_model_does() {
    let mut kinds = Kinds::default();
    for auto_reset in [true, false] {
        play(auto_reset, traces::covering(&Rules::new(auto_reset), &mut kinds)).await;
    }
}

#[tokio::test]
async fn the_server_walks_as_the_model_does() {
    for auto_reset in [true, false] {
        play(auto_reset, traces::random(&Rules::new(auto_reset), seed(), rounds(10), 60)).await;
    }
}
