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
            let name = name.as_str().unwrap();
            let is_count = name.ends_with("_tokens") || name.ends_with("_millicents");
            arguments[name] = if is_count { json!(7) } else { json!("checked by its tests") };
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
    while said["next"]["tool"] != "report_token_usage" {
        said = follower.follow(&said).await;
    }
    assert_eq!(said["story"]["agent_status"], "implementing");
    assert!(said["story"]["review_requested_at"].is_string());
    // The work is done; what it took is told, and then there is another story to take.
    said = follower.follow(&said).await;
    assert_eq!(said["token_usage_report"]["input_tokens"], 7, "{said}");
    assert_eq!(said["next"], json!({"tool": "next_story", "arguments": {}}));
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

/// An agent that begins anew goes on with what it holds, and is not given more.
#[tokio::test]
async fn what_is_held_comes_before_what_is_ready() {
    let tenant = Tenant::new().await;
    let (implementer, bob) = (tenant.agent().await, tenant.agent().await);
    let orchestrator = tenant.orchestrator().await;
    let project = tenant.project_of(&["1.1", "1.2", "1.3", "1.4"]).await;
    let mut ids = Vec::new();
    for number in ["1.1", "1.2", "1.3", "1.4"] {
        let found =
            tenant.user.get(&format!("/stories?project_id={project}&number={number}")).await.expect(200);
        ids.push(text(&found["data"][0]["id"]));
    }
    let offered = async |caller: &Caller, arguments: Value| {
        let (said, is_error) = Follower::of(caller).call("next_story", arguments).await;
        assert!(!is_error, "{said}");
        (said["story"]["number"].clone(), said["next"]["tool"].clone())
    };
    assert_eq!(offered(&implementer, json!({})).await, (json!("1.1"), json!("contract_and_claim")));
    // Who cannot take one sees the next, and begins at the front again when that is gone.
    assert_eq!(offered(&implementer, json!({"after": "1.1"})).await.0, "1.2");
    assert_eq!(offered(&implementer, json!({"after": ids[2]})).await.0, "1.4");
    assert_eq!(offered(&implementer, json!({"after": "1.4"})).await.0, Value::Null);

    for (at, reach, next) in [
        (2, Reach::Contracted, "contract_and_claim"),
        (1, Reach::Assigned, "start_story"),
        (0, Reach::Implementing, "request_review"),
    ] {
        bring(&ids[at], reach, &implementer, &bob, &orchestrator).await;
        let number = format!("1.{}", at + 1);
        assert_eq!(offered(&implementer, json!({})).await, (json!(number), json!(next)));
    }
    assert_eq!(offered(&implementer, json!({"after": "1.1"})).await.0, "1.2");
    // What is somebody else's is not theirs, and what waits for others is not in the way.
    assert_eq!(offered(&bob, json!({})).await.0, "1.4");
    for number in ["1.1", "1.2", "1.3"] {
        let mut follower = Follower::of(&implementer);
        let mut said = json!({"next": {"tool": "get_story", "arguments": {"story_id": number}}});
        while said["next"]["tool"] != "report_token_usage" {
            said = follower.follow(&said).await;
        }
    }
    assert_eq!(offered(&implementer, json!({})).await, (json!("1.4"), json!("contract_and_claim")));

    // Reviewers pass over what they cannot look at, too.
    let rita = reviewer(&tenant).await;
    for (after, number) in [(None, json!("1.1")), (Some("1.1"), json!("1.2")), (Some("1.3"), Value::Null)] {
        let arguments = after.map_or(json!({}), |after| json!({"after": after}));
        let (said, _) = Follower::of(&rita).call("next_review", arguments).await;
        assert_eq!(said["story"]["number"], number, "{said}");
    }
}

/// Where rejected stories stay with whoever had them, these give them back and take them anew.
#[tokio::test]
async fn what_was_rejected_and_kept_is_given_back_first() {
    let tenant = Tenant::new().await;
    let (implementer, reviewer) = (tenant.agent().await, reviewer(&tenant).await);
    let orchestrator = tenant.orchestrator().await;
    tenant
        .user
        .patch("/tenants/me", json!({"settings": {"auto_reset_on_rejection": false}}))
        .await
        .expect(200);
    let story = tenant.story().await;
    bring(&story, Reach::Reviewed, &implementer, &reviewer, &orchestrator).await;
    let reject = json!({"story_id": story, "reason": "no test"});
    assert!(!Follower::of(&orchestrator).call("reject_story", reject).await.1);
    let mut follower = Follower::of(&implementer);
    let (mut said, _) = follower.call("next_story", json!({})).await;
    assert_eq!(
        (&said["story"]["id"], &said["next"]["tool"]),
        (&json!(story), &json!("unclaim_story")),
        "{said}"
    );
    while said["next"]["tool"] != "report_token_usage" {
        said = follower.follow(&said).await;
    }
    assert!(follower.calls <= 8);
}

#[tokio::test]
async fn nobody_is_given_a_story_of_whichever_project() {
    let tenant = Tenant::new().await;
    let implementer = tenant.agent().await;
    let [first, second] = [tenant.project_of(&["1.1"]).await, tenant.project_of(&["1.1"]).await];
    let (said, is_error) = Follower::of(&implementer).call("next_story", json!({})).await;
    assert!(is_error && said["projects"].as_array().unwrap().len() == 2, "{said}");
    for project in [first, second] {
        let (said, _) = Follower::of(&implementer).call("next_story", json!({"project_id": project})).await;
        assert_eq!(said["story"]["project_id"], json!(project), "{said}");
    }
}

#[tokio::test]
async fn a_budget_is_set_for_what_people_call_it() {
    let tenant = Tenant::new().await;
    let (agent, orchestrator) = (tenant.agent().await, tenant.orchestrator().await);
    let project = tenant.project_of(&["1.1"]).await;
    let shown = tenant.user.get(&format!("/projects/{project}")).await.expect(200);
    let name =
        tenant.user.get(&format!("/agents/{}", agent.agent())).await.expect(200)["agent"]["name"].clone();
    for (scope, named) in [
        ("story", json!("1.1")),
        ("epic", json!("1")),
        ("project", shown["project"]["slug"].clone()),
        ("agent", name),
    ] {
        let budget = json!({"scope_type": scope, "scope_id": named, "budget_millicents": 5});
        let (said, is_error) = Follower::of(&orchestrator).call("set_token_budget", budget).await;
        assert!(!is_error && said["token_budget"]["scope_type"] == scope, "{said}");
        let budget = json!({"scope_type": scope, "scope_id": "9", "budget_millicents": 5});
        let (said, is_error) = Follower::of(&orchestrator).call("set_token_budget", budget).await;
        assert!(is_error && said["error"]["message"].as_str().unwrap().contains("There is no"), "{said}");
    }
}
