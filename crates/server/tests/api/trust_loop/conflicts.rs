//! Every refusal that is about a story's state, with its code and its hint.

use serde_json::json;

use super::{Scene, evidence, refused, stories};
use crate::support::{Caller, Reach, echo};

const STATES: [(&str, Option<Reach>); 6] = [
    ("pending", None),
    ("contracted", Some(Reach::Contracted)),
    ("assigned", Some(Reach::Assigned)),
    ("implementing", Some(Reach::Implementing)),
    ("reported_done", Some(Reach::Reported)),
    ("verified", Some(Reach::Verified)),
];

/// (state, caller, action, status, code, what the first hint says)
#[rustfmt::skip]
const REFUSALS: &[(&str, &str, &str, u16, &str, &str)] = &[
    ("contracted", "a1", "contract", 409, "invalid_transition", "Call claim"),
    ("contracted", "o", "contract", 409, "invalid_transition", "Call claim"),
    ("assigned", "a1", "contract", 409, "invalid_transition", "Next is start"),
    ("implementing", "a1", "contract", 409, "invalid_transition", "request-review"),
    ("assigned", "a2", "contract", 409, "invalid_transition", "force-unclaim"),
    ("assigned", "o", "contract", 409, "invalid_transition", "held by another agent"),
    ("implementing", "a2", "contract", 409, "invalid_transition", "Only an orchestrator can take it away"),
    ("reported_done", "a1", "contract", 409, "invalid_transition", "waits for review"),
    ("verified", "a1", "contract", 409, "invalid_transition", "already verified"),
    ("pending", "a1", "claim", 409, "must_contract_first", "contract with story_title and ac_count first"),
    ("assigned", "a2", "claim", 409, "invalid_transition", SEED),
    ("implementing", "a2", "claim", 409, "invalid_transition", SEED),
    ("assigned", "a1", "claim", 409, "invalid_transition", "You already hold this claim. Call start"),
    ("implementing", "a1", "claim", 409, "invalid_transition", "Call request-review when finished"),
    ("reported_done", "a1", "claim", 409, "invalid_transition", "already reported"),
    ("reported_done", "a2", "claim", 409, "invalid_transition", "nothing to claim"),
    ("verified", "a2", "claim", 409, "invalid_transition", "already verified"),
    ("pending", "a1", "start", 409, "must_contract_first", "contract"),
    ("contracted", "a1", "start", 409, "must_claim_first", "Call claim first"),
    ("assigned", "a2", "start", 403, "not_assigned_agent", "Another agent holds"),
    ("implementing", "a1", "start", 409, "invalid_transition", "Already started. Call request-review"),
    ("implementing", "a2", "start", 409, "invalid_transition", "Already started"),
    ("reported_done", "a1", "start", 409, "invalid_transition", "already reported"),
    ("verified", "a1", "start", 409, "invalid_transition", "already reported"),
    ("pending", "a1", "request-review", 409, "invalid_transition", "implementing: contract, claim and start"),
    ("contracted", "a1", "request-review", 409, "invalid_transition", "implementing: claim and start"),
    ("assigned", "a1", "request-review", 409, "invalid_transition", "implementing: call start"),
    ("implementing", "a2", "request-review", 403, "not_assigned_agent", "Another agent holds"),
    ("reported_done", "a1", "request-review", 409, "invalid_transition", "already reported"),
    ("verified", "a1", "request-review", 409, "invalid_transition", "already reported"),
    ("pending", "a2", "report", 409, "invalid_transition", "must reach implementing"),
    ("contracted", "a2", "report", 409, "invalid_transition", "request-review"),
    ("assigned", "a2", "report", 409, "invalid_transition", "must reach implementing"),
    ("assigned", "a1", "report", 409, "invalid_transition", "must reach implementing"),
    ("implementing", "a1", "report", 409, "self_report_blocked", "A different agent must call report"),
    ("implementing", "o1", "report", 409, "self_report_blocked", "request-review"),
    ("reported_done", "a2", "report", 409, "invalid_transition", "review-complete, then verify"),
    ("reported_done", "a1", "report", 409, "invalid_transition", "already reported"),
    ("verified", "o", "report", 409, "invalid_transition", "already reported"),
    ("pending", "a1", "unclaim", 409, "invalid_transition", "nothing to release"),
    ("contracted", "a1", "unclaim", 403, "not_assigned_agent", "force-unclaim"),
    ("assigned", "a2", "unclaim", 403, "not_assigned_agent", "Another agent holds"),
    ("implementing", "a2", "unclaim", 403, "not_assigned_agent", "Another agent holds"),
    ("reported_done", "a2", "unclaim", 403, "not_assigned_agent", "Another agent holds"),
    ("verified", "a2", "unclaim", 403, "not_assigned_agent", "Another agent holds"),
    ("verified", "a1", "unclaim", 409, "invalid_transition", "Verified work cannot be released"),
    ("pending", "a2", "review-complete", 422, "invalid_transition", "report"),
    ("contracted", "u", "review-complete", 422, "invalid_transition", "report"),
    ("assigned", "a2", "review-complete", 422, "invalid_transition", "report"),
    ("implementing", "o", "review-complete", 422, "invalid_transition", "report"),
    ("assigned", "a1", "review-complete", 409, "self_review_blocked", "A different agent"),
    ("implementing", "a1", "review-complete", 409, "self_review_blocked", "A different agent"),
    ("reported_done", "a1", "review-complete", 409, "self_review_blocked", "A different agent"),
    ("reported_done", "o1", "review-complete", 409, "self_review_blocked", "A different agent"),
    ("verified", "a1", "review-complete", 409, "self_review_blocked", "A different agent"),
    ("pending", "o", "verify", 409, "invalid_transition", "reported_done before it can be verified"),
    ("contracted", "o", "verify", 409, "invalid_transition", "reported_done before it can be verified"),
    ("assigned", "o", "verify", 409, "invalid_transition", "reported_done before it can be verified"),
    ("implementing", "o", "verify", 409, "invalid_transition", "reported_done before it can be verified"),
    ("verified", "o", "verify", 409, "invalid_transition", "already verified"),
    ("assigned", "o1", "verify", 409, "self_verify_blocked", "another agent"),
    ("implementing", "o1", "verify", 409, "self_verify_blocked", "another agent"),
    ("reported_done", "o1", "verify", 409, "self_verify_blocked", "another agent"),
    ("verified", "o1", "verify", 409, "self_verify_blocked", "another agent"),
    ("reported_done", "o", "verify", 422, "review_not_conducted", "review-complete"),
    ("pending", "o", "reject", 409, "invalid_transition", "reported_done or verified"),
    ("contracted", "o", "reject", 409, "invalid_transition", "reported_done or verified"),
    ("assigned", "o", "reject", 409, "invalid_transition", "reported_done or verified"),
    ("implementing", "o", "reject", 409, "invalid_transition", "reported_done or verified"),
    ("implementing", "o1", "reject", 409, "self_verify_blocked", "another agent"),
    ("reported_done", "o1", "reject", 409, "self_verify_blocked", "another agent"),
    ("verified", "o1", "reject", 409, "self_verify_blocked", "another agent"),
];

const PICK_ANOTHER: &str = "Pick another one from GET /api/v1/stories/ready.";

const SEED: &str = "Story is already claimed by another agent. Use force-unclaim to reset it.";

#[tokio::test]
async fn every_refusal_tells_state_action_and_way_out() {
    let mut scene = Scene::new().await;
    let o1 = scene.own_orchestrator().await;
    let ids = stories(&scene.tenant, STATES.len()).await;
    for (story, (state, reach)) in ids.into_iter().zip(STATES) {
        scene.story = story;
        if let Some(reach) = reach {
            scene.bring(&scene.story, reach).await;
        }
        let caller = |name: &str| -> &Caller {
            match name {
                "a1" => &scene.a1,
                "a2" => &scene.a2,
                "o" => &scene.o,
                "o1" => &o1,
                "u" => &scene.tenant.user,
                other => panic!("{other}"),
            }
        };
        let before = scene.snapshot().await;
        for &(when, who, action, status, code, hint) in REFUSALS {
            if when != state {
                continue;
            }
            let words = match state {
                "verified" => ["reported_done", "verified"],
                other => [other, "unverified"],
            };
            let body = match action {
                "contract" => echo(),
                "reject" => json!({"reason": "no tests"}),
                _ => evidence(),
            };
            let error = refused(scene.act(caller(who), action, body).await, status, code, action, words);
            let hints = error["hints"].as_array().unwrap();
            // Who cannot have the story is told where there are others.
            let gone = ["contract", "claim"].contains(&action)
                && code == "invalid_transition"
                && state != "contracted"
                && (who != "a1" || ["reported_done", "verified"].contains(&state));
            assert_eq!(hints[1..], [PICK_ANOTHER].map(|hint| json!(hint))[..usize::from(gone)], "{error:#}");
            let text = hints[0].as_str().unwrap();
            assert!(text.contains(hint), "{who} {action} on {state}: {text}");
            if hint == SEED {
                assert_eq!(text, SEED);
            }
            let message = error["message"].as_str().unwrap();
            let wanted = match (code, action) {
                ("self_report_blocked", _) => "Cannot report your own implementation",
                ("self_review_blocked", _) => "Cannot review your own implementation",
                ("self_verify_blocked", _) => "Cannot verify your own implementation",
                ("must_contract_first", "start") => "must be contracted",
                ("must_claim_first", _) => "must be claimed",
                ("not_assigned_agent", _) => "Forbidden",
                ("review_not_conducted", _) => "No review record found",
                (_, "review-complete") => "reported_done",
                _ => "Cannot ",
            };
            assert!(message.contains(wanted), "{message}");
            if code == "not_assigned_agent" {
                assert_eq!(message, "Forbidden");
            }
        }
        assert_eq!(scene.snapshot().await, before, "a refusal changes nothing: {state}");
        // No gate halts anything.
        scene.a1.get(&format!("/stories/{}", scene.story)).await.expect(200);
    }
}
