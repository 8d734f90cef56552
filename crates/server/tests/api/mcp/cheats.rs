//! What nobody may do is refused over tools as over everything else, with the code and what can be done instead.

use serde_json::{Value, json};

use super::steps::{Follower, reviewer};
use crate::support::{Caller, Reach, Tenant, bring, story, text};

async fn refused(who: &Caller, tool: &str, arguments: Value, code: &str) {
    let (said, is_error) = Follower::of(who).call(tool, arguments).await;
    assert!(is_error, "{tool}: {said}");
    assert_eq!(said["error"]["code"], code, "{tool}: {said}");
    let is_helped = said["next"]["tool"].is_string()
        || said["error"]["hints"].as_array().is_some_and(|hints| !hints.is_empty());
    assert!(is_helped, "{tool} says nothing of what can be done: {said}");
}

#[tokio::test]
async fn no_cheat_gets_through() {
    let tenant = Tenant::new().await;
    let (alice, bob) = (tenant.agent().await, tenant.agent().await);
    let (rita, lead) = (reviewer(&tenant).await, tenant.orchestrator().await);
    let alice_as_lead = tenant.orchestrator_of(alice.agent()).await;
    let plan = json!({"epics": [{"number": 1, "title": "E", "stories": [story("1.1"), story("1.2"), story("1.3")]}],
                      "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}]});
    let project = tenant.imported(plan).await;
    let (one, two) = (tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await);
    let of = |story: &str| json!({"story_id": story});
    let contract = |story: &str, title: &str, count: u32| json!({"story_id": story, "story_title": title, "ac_count": count});

    // Before the work.
    refused(&alice, "claim_story", of(&one), "must_contract_first").await;
    refused(&alice, "contract_and_claim", contract(&one, "Another title", 2), "contract_mismatch").await;
    refused(&alice, "contract_and_claim", contract(&one, "Build API", 3), "contract_mismatch").await;
    refused(&alice, "contract_and_claim", contract(&two, "Build API", 2), "dependencies_not_met").await;
    refused(&alice, "start_story", of(&two), "must_claim_first").await;
    assert!(!Follower::of(&alice).call("contract_and_claim", contract(&one, "Build API", 2)).await.1);
    refused(&bob, "claim_story", of(&one), "invalid_transition").await;
    refused(&bob, "start_story", of(&one), "not_assigned_agent").await;
    refused(&alice, "request_review", of(&one), "invalid_transition").await;

    // Two at once: one of them has it.
    let three = tenant.story_id(&project, "1.3").await;
    let (mut first, mut second) = (Follower::of(&alice), Follower::of(&bob));
    let both = tokio::join!(
        first.call("contract_and_claim", contract(&three, "Build API", 2)),
        second.call("contract_and_claim", contract(&three, "Build API", 2)),
    );
    assert!(both.0.1 != both.1.1, "{both:?}");

    // Signing off the own work.
    for tool in ["start_story", "request_review"] {
        assert!(!Follower::of(&alice).call(tool, of(&one)).await.1);
    }
    refused(&alice, "report_story", of(&one), "self_report_blocked").await;
    refused(&alice_as_lead, "report_story", of(&one), "self_report_blocked").await;
    assert!(!Follower::of(&rita).call("report_story", of(&one)).await.1);
    let review = json!({"story_id": one, "review_type": "code"});
    refused(&alice, "review_complete", review.clone(), "self_review_blocked").await;
    let verify = json!({"story_id": one, "review_type": "code", "summary": "looked at it"});
    refused(&lead, "verify_story", verify.clone(), "review_not_conducted").await;
    refused(&alice, "verify_story", verify.clone(), "forbidden").await;
    assert!(!Follower::of(&rita).call("review_complete", review).await.1);
    refused(&alice_as_lead, "verify_story", verify.clone(), "self_verify_blocked").await;
    let criteria = json!({"acceptance_criteria": [{"id": "AC-1", "criterion": "It exists"}]});
    lead.patch(&format!("/stories/{one}"), criteria).await.expect(200);
    refused(&lead, "verify_story", verify, "criteria_changed").await;

    // Work of the loop that comes back as if it had been there before.
    let done = tenant.story().await;
    bring(&done, Reach::Implementing, &alice, &bob, &lead).await;
    let shown = tenant.user.get(&format!("/stories/{done}")).await.expect(200);
    let (number, project) = (text(&shown["story"]["number"]), text(&shown["story"]["project_id"]));
    tenant.user.delete(&format!("/stories/{done}")).await.expect(204);
    let mut again = story(&number);
    again["initial_verified_status"] = json!("verified");
    let plan = json!({"epics": [{"number": 1, "title": "Epic", "stories": [again]}]});
    refused(
        &lead,
        "import_stories",
        json!({"project_id": project, "payload": plan, "merge": true}),
        "not_pre_existing",
    )
    .await;
}
