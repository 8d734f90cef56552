mod custody;
mod description;
mod rules;
mod world;
mod worlds;

use serde_json::json;

use super::*;

const A: Uuid = Uuid::from_u128(0xA);
const B: Uuid = Uuid::from_u128(0xB);
const C: Uuid = Uuid::from_u128(0xC);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn actor(role: Role, agent_id: Option<Uuid>) -> Actor {
    Actor { role, agent_id, impersonating: false }
}

fn facts(state: LoopState) -> Facts {
    Facts {
        state,
        title: "Build API".into(),
        ac_count: 2,
        digest: "as planned".into(),
        started: Vec::new(),
        unmet: Vec::new(),
        review: Review::Missing,
        backfill: None,
    }
}

fn echo() -> Attempt {
    Attempt::Contract(Echo { story_title: Some(json!("Build API")), ac_count: Some(json!(2)), skip: false })
}

fn attempt(action: Action) -> Attempt {
    match action {
        Action::Contract => echo(),
        Action::Claim => Attempt::Claim,
        Action::Start => Attempt::Start,
        Action::RequestReview => Attempt::RequestReview,
        Action::Report => Attempt::Report,
        Action::Unclaim => Attempt::Unclaim,
        Action::ReviewComplete => Attempt::ReviewComplete,
        Action::Verify => Attempt::Verify { evidence: true },
        Action::Reject => Attempt::Reject { reason: "no tests".into() },
        Action::ForceUnclaim => Attempt::ForceUnclaim,
        Action::Backfill => Attempt::Backfill(backfill("done before")),
        Action::MarkComplete => Attempt::MarkComplete,
    }
}

fn backfill(reason: &str) -> Backfill {
    Backfill { reason: reason.to_owned(), evidence_url: None, pr_number: None }
}

fn well_formed(refusal: &Refusal) {
    assert!(!refusal.message.is_empty());
    assert!(!refusal.hints.is_empty() && refusal.hints.iter().all(|hint| !hint.is_empty()));
    // Clients compare the message: what to call instead is a hint. The one exception is the contract's own.
    let advises = refusal.message.contains("/api/v1/");
    assert_eq!(advises, refusal.status == Status::BadRequest, "{}", refusal.message);
    if refusal.status == Status::Conflict {
        let conflict = refusal.conflict.as_ref().expect("every 409 tells the state");
        if refusal.code.as_str() == "invalid_transition" {
            let message = &refusal.message;
            assert!(message.starts_with("Conflict"), "{message}");
            assert!(message.contains(&format!("Cannot {}", conflict.action)), "{message}");
            assert!(message.contains(conflict.agent_status.as_str()), "{message}");
            assert!(message.contains(conflict.verified_status.as_str()), "{message}");
        }
    }
}
