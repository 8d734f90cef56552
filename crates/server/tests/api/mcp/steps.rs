//! Agents that know nothing and do only what the tools answer.

use serde_json::{Value, json};

use super::{OLD, ask};
use crate::support::{Caller, Reach, Tenant, bring, text};

/// Whoever calls tools, and counts.
pub(super) struct Follower<'a> {
    caller: &'a Caller,
    pub(super) calls: usize,
}

impl<'a> Follower<'a> {
    pub(super) fn of(caller: &'a Caller) -> Self {
        Self { caller, calls: 0 }
    }

    /// Calls a tool; what it says, and whether it was refused.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> (Value, bool) {
        self.calls += 1;
        let answer =
            ask(self.caller, "//mcp", OLD, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        let result = &answer["result"];
        let said = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(said.len() <= 8192 && said.lines().count() <= 200);
        let said: Value = serde_json::from_str(said).unwrap();
        assert_eq!(said, result["structuredContent"], "both say the same");
        (said, result["isError"] == true)
    }

    /// What it was told to do next, with something in place of what it has to write itself.
    async fn follow(&mut self, said: &Value) -> Value {
        let mut arguments = said["next"]["arguments"].clone();
        for name in said["next"]["fill"].as_array().into_iter().flatten() {
            arguments[name.as_str().unwrap()] = json!("checked by its tests");
        }
        let (said, is_error) = self.call(said["next"]["tool"].as_str().unwrap(), arguments).await;
        assert!(!is_error, "{said}");
        said
    }
}

pub(super) async fn reviewer(tenant: &Tenant) -> Caller {
    let mut caller = tenant.key("agent").await;
    let body = json!({"name": "rita", "agent_type": "reviewer"});
    caller.agent_id = Some(text(&caller.post("/agents/register", body).await.expect(201)["agent"]["id"]));
    caller
}

#[tokio::test]
async fn a_story_is_finished_by_whoever_does_what_the_tools_say() {
    let tenant = Tenant::new().await;
    let (implementer, reviewer) = (tenant.agent().await, reviewer(&tenant).await);
    let orchestrator = tenant.orchestrator().await;
    let story = tenant.story().await;

    let mut follower = Follower::of(&implementer);
    let (mut said, _) = follower.call("next_story", json!({})).await;
    assert_eq!(said["story"]["id"], story);
    assert!(said["text"].as_str().unwrap().contains("AC-2: It is tested"));
    while said["next"]["tool"] != "next_story" {
        said = follower.follow(&said).await;
    }
    assert_eq!(said["story"]["agent_status"], "implementing");
    assert!(said["story"]["review_requested_at"].is_string());
    let used = json!({"story_id": story, "input_tokens": 10, "output_tokens": 5, "model_name": "m", "cost_millicents": 1});
    assert!(!follower.call("report_token_usage", used).await.1);
    assert!(follower.calls <= 8, "{}", follower.calls);

    let mut follower = Follower::of(&reviewer);
    let (mut said, _) = follower.call("next_review", json!({})).await;
    assert_eq!(said["story"]["id"], story);
    while said["next"]["tool"] != "next_review" {
        said = follower.follow(&said).await;
    }
    assert!(follower.calls <= 8, "{}", follower.calls);

    let mut follower = Follower::of(&orchestrator);
    let (mut said, _) = follower.call("wait_for_story", json!({"story_id": story})).await;
    assert_eq!(said["next"]["tool"], "verify_story", "{said}");
    while said["next"]["tool"] != "list_ready_stories" {
        said = follower.follow(&said).await;
    }
    assert_eq!(said["story"]["verified_status"], "verified");
    assert!(follower.calls <= 8, "{}", follower.calls);
    // Of the only project, though nobody names it.
    let (said, is_error) = Follower::of(&orchestrator).call("get_progress", json!({})).await;
    assert!(!is_error && said["progress"]["stories_by_verified_status"]["verified"] == 1, "{said}");
    let (said, _) = Follower::of(&implementer).call("next_story", json!({})).await;
    assert_eq!(said["story"], Value::Null);
}

#[tokio::test]
async fn who_waits_is_told_when_something_has_become_of_it() {
    let tenant = Tenant::new().await;
    let (implementer, bob) = (tenant.agent().await, tenant.agent().await);
    let orchestrator = tenant.orchestrator().await;
    let story = tenant.story().await;
    let wait = async {
        let mut follower = Follower::of(&orchestrator);
        follower.call("wait_for_story", json!({"story_id": story})).await.0
    };
    let work = bring(&story, Reach::Reviewed, &implementer, &bob, &orchestrator);
    let (said, ()) = tokio::join!(wait, work);
    assert_ne!(said["story"]["agent_status"], "pending", "{said}");
    assert!(said["next"]["tool"].is_string());
}

/// A step that was done and whose answer was lost is asked for again.
#[tokio::test]
async fn what_is_repeated_says_where_the_story_is() {
    let tenant = Tenant::new().await;
    let implementer = tenant.agent().await;
    let story = tenant.story().await;
    let contract = json!({"story_id": story, "story_title": "Build API", "ac_count": 2});
    implementer
        .post(&format!("/stories/{story}/contract"), json!({"story_title": "Build API", "ac_count": 2}))
        .await
        .expect(200);
    let mut follower = Follower::of(&implementer);
    let (said, is_error) = follower.call("contract_and_claim", contract.clone()).await;
    assert!(!is_error && said["next"]["tool"] == "start_story", "{said}");
    let (said, is_error) = follower.call("contract_and_claim", contract).await;
    assert!(is_error && said["next"]["tool"] == "start_story", "{said}");
}

#[tokio::test]
async fn a_story_that_was_rejected_goes_round_again() {
    let tenant = Tenant::new().await;
    let (implementer, reviewer) = (tenant.agent().await, reviewer(&tenant).await);
    let orchestrator = tenant.orchestrator().await;
    let story = tenant.story().await;
    bring(&story, Reach::Reviewed, &implementer, &reviewer, &orchestrator).await;
    let reject = json!({"story_id": story, "reason": "the second criterion has no test"});
    let (said, is_error) = Follower::of(&orchestrator).call("reject_story", reject).await;
    // Somebody has to take it again; nothing comes of waiting.
    assert!(!is_error && said["next"]["tool"] == "list_ready_stories", "{said}");
    let mut follower = Follower::of(&implementer);
    let (mut said, _) = follower.call("next_story", json!({})).await;
    assert_eq!(said["story"]["id"], story);
    while said["next"]["tool"] != "next_story" {
        said = follower.follow(&said).await;
    }
    let (said, _) = Follower::of(&reviewer).call("next_review", json!({})).await;
    assert_eq!(said["story"]["id"], story, "{said}");
}

/// What somebody else has contracted is taken by whoever has read it, and by nobody who has not.
#[tokio::test]
async fn taking_what_is_contracted_wants_its_echo_too() {
    let tenant = Tenant::new().await;
    let (alice, bob) = (tenant.agent().await, tenant.agent().await);
    let story = tenant.story().await;
    let contract = |count: u32| json!({"story_id": story, "story_title": "Build API", "ac_count": count});
    assert!(!Follower::of(&alice).call("contract_story", contract(2)).await.1);
    let (said, is_error) = Follower::of(&bob).call("contract_and_claim", contract(99)).await;
    assert!(is_error && said["error"]["code"] == "contract_mismatch", "{said}");
    assert!(!Follower::of(&bob).call("contract_and_claim", contract(2)).await.1);
}
