//! Ways around "nobody signs off their own work" that were tried, over HTTP: each is refused, in every form of the call, and
//! leaves nothing. Beside them what honest people do, which stays possible.

mod clocks;
mod criteria;
mod deletion;
mod merging;
mod one_key;
mod puppets;
mod rejections;
mod superadmins;

use serde_json::{Value, json};

use super::{Scene, evidence, outcomes, refused, replay, results, review};
use crate::support::{Caller, Reach, Reply, text};

/// A blocked self-action: a 409 with hints that says when the caller held the story, and of each time whether it is over.
#[track_caller]
fn blocked(reply: Reply, code: &str, action: &str, state: [&str; 2], over: &[bool]) {
    let error = refused(reply, 409, code, action, state);
    let times = error["context"]["held"].as_array().unwrap_or_else(|| panic!("held: {error:#}"));
    let told: Vec<_> = times
        .iter()
        .map(|held| {
            assert!(held["from"].is_string(), "{error:#}");
            held["until"].is_string()
        })
        .collect();
    assert_eq!(told, over, "{error:#}");
}

/// All the ways to have a story verified in the loop: single, bulk, and with its epic. Each answer as the code of its refusal, or
/// none.
async fn verify_every_way(scene: &Scene, who: &Caller) -> [Option<String>; 3] {
    let code = |value: &Value| value.as_str().map(str::to_owned);
    let single = scene.act(who, "verify", evidence()).await;
    let bulk = json!({"stories": [{"story_id": scene.story}]});
    let bulk = results(who.post("/stories/bulk/verify", bulk).await);
    let epic = text(&scene.show().await["epic_id"]);
    let all = who.post(&format!("/epics/{epic}/verify-all"), evidence()).await.expect(200);
    assert!(all["total_eligible"].as_i64().unwrap() <= 1, "{all:#}");
    [code(&single.body["error"]["code"]), code(&bulk[0]["code"]), code(&all["errors"][0]["code"])]
}

/// Refused in every form with this code, and nothing is left of it.
async fn nothing_verifies(scene: &Scene, who: &Caller, code: &str) {
    let before = scene.snapshot().await;
    let refusals = verify_every_way(scene, who).await;
    assert_eq!(refusals.each_ref().map(Option::as_deref), [Some(code); 3]);
    assert_eq!(scene.snapshot().await, before);
}

impl Scene {
    /// The keys that speak for an agent: its own, and an orchestrator's. A user's key speaks for nobody but its human.
    async fn keys_of(&self, agent: &Caller) -> [Caller; 2] {
        [agent.clone(), self.tenant.orchestrator_of(agent.agent()).await]
    }

    /// Contracted, claimed and started by this agent.
    async fn start(&self, who: &Caller) {
        crate::support::bring(&self.story, Reach::Implementing, who, who, &self.o).await;
    }

    /// Reviewed by another and verified by an orchestrator: what must be possible at the end of every attack.
    async fn finish_honestly(&self, reviewer: &Caller) {
        self.act(reviewer, "review-complete", review()).await.expect(201);
        let verified = self.act(&self.o, "verify", evidence()).await.expect(200);
        assert_eq!(verified["story"]["verification_source"], "loop");
        assert_eq!(verified["story"]["verification_stale"], false);
        replay::assert_legal(&self.o, &self.story).await;
    }
}
