//! The contract's rules, row by row.

use super::super::table::RULES;
use super::*;

#[test]
fn the_table_is_in_the_order_of_the_actions() {
    for (rule, action) in RULES.iter().zip(Action::ALL) {
        assert_eq!(rule.action, *action);
    }
    assert_eq!(RULES.len(), Action::ALL.len());
}

fn holding(agent_status: AgentStatus, agent: Option<Uuid>) -> LoopState {
    let claimed = !matches!(agent_status, AgentStatus::Pending | AgentStatus::Contracted);
    let reported = agent_status == AgentStatus::ReportedDone;
    LoopState {
        agent_status,
        assigned_agent_id: agent.filter(|_| claimed),
        assigned_at: claimed.then(|| at(1)),
        first_claimed_at: claimed.then(|| at(1)),
        first_touched_at: claimed.then(|| at(1)),
        reported_done_at: reported.then(|| at(2)),
        reported_by_agent_id: reported.then_some(B),
        ..LoopState::untouched()
    }
}

fn refuse(state: LoopState, action: Action, who: Actor) -> Refusal {
    decide(&facts(state), &attempt(action), &who, at(9)).unwrap_err()
}

/// Row by row: attempted action, state, caller, expected code, words of the hint.
#[test]
fn hints_say_what_to_do() {
    use AgentStatus::*;
    let a = actor(Role::Agent, Some(A));
    let b = actor(Role::Agent, Some(B));
    let orchestrator = actor(Role::Orchestrator, Some(B));
    let own_orchestrator = actor(Role::Orchestrator, Some(A));
    let rows = [
        (Action::Contract, Contracted, a, "invalid_transition", "claim"),
        (Action::Contract, Assigned, a, "invalid_transition", "start"),
        (Action::Contract, Implementing, a, "invalid_transition", "request-review"),
        (Action::Contract, Assigned, b, "invalid_transition", "force-unclaim"),
        (Action::Contract, ReportedDone, b, "invalid_transition", "verification"),
        (Action::Claim, Pending, a, "must_contract_first", "story_title and ac_count"),
        (
            Action::Claim,
            Assigned,
            b,
            "invalid_transition",
            "Story is already claimed by another agent. Use force-unclaim to reset it.",
        ),
        (Action::Claim, Assigned, a, "invalid_transition", "already hold"),
        (Action::Claim, Implementing, a, "invalid_transition", "request-review"),
        (Action::Claim, ReportedDone, a, "invalid_transition", "already reported"),
        (Action::Start, Pending, a, "must_contract_first", "contract"),
        (Action::Start, Contracted, a, "must_claim_first", "claim"),
        (Action::Start, Implementing, a, "invalid_transition", "Already started"),
        (Action::Start, ReportedDone, a, "invalid_transition", "already reported"),
        (Action::RequestReview, Assigned, a, "invalid_transition", "implementing"),
        (Action::RequestReview, ReportedDone, a, "invalid_transition", "already reported"),
        (Action::Report, Assigned, b, "invalid_transition", "implementing"),
        (Action::Report, ReportedDone, b, "invalid_transition", "review-complete"),
        (Action::Report, Implementing, a, "self_report_blocked", "request-review"),
        (Action::Unclaim, Pending, a, "invalid_transition", "nothing to release"),
        (Action::ReviewComplete, Implementing, a, "self_review_blocked", "different agent"),
        (Action::Verify, Implementing, orchestrator, "invalid_transition", "reported_done"),
        (Action::Verify, ReportedDone, own_orchestrator, "self_verify_blocked", "another agent"),
        (Action::Reject, ReportedDone, own_orchestrator, "self_verify_blocked", "another agent"),
        (Action::Reject, Implementing, orchestrator, "invalid_transition", "reported_done or verified"),
    ];
    for (action, status, who, code, words) in rows {
        let refusal = refuse(holding(status, Some(A)), action, who);
        assert_eq!((refusal.status, refusal.code.as_str()), (Status::Conflict, code), "{action} {status}");
        let conflict = refusal.conflict.unwrap();
        assert_eq!((conflict.agent_status, conflict.action), (status, action.as_str()));
        assert!(refusal.hints.iter().any(|hint| hint.contains(words)), "{action}: {:?}", refusal.hints);
    }
}

#[test]
fn verified_stories_are_closed() {
    let verified = |status| LoopState {
        verified_status: VerifiedStatus::Verified,
        verified_at: Some(at(3)),
        ..holding(status, Some(A))
    };
    // Also after a force-unclaim, which leaves `pending` and `verified`.
    for action in [Action::Contract, Action::Claim] {
        let refusal = refuse(verified(AgentStatus::Pending), action, actor(Role::Agent, Some(B)));
        assert_eq!(refusal.code.as_str(), "invalid_transition");
        assert!(refusal.hints[0].contains("reject"));
    }
    let refusal = refuse(verified(AgentStatus::ReportedDone), Action::Unclaim, actor(Role::Agent, Some(A)));
    assert_eq!(refusal.status, Status::Conflict);
    let refusal =
        refuse(verified(AgentStatus::ReportedDone), Action::Verify, actor(Role::Orchestrator, Some(B)));
    assert!(refusal.hints[0].contains("already verified"));
}

#[test]
fn strangers_may_not_touch_a_claim() {
    for (action, status) in [
        (Action::Start, AgentStatus::Assigned),
        (Action::RequestReview, AgentStatus::Implementing),
        (Action::Unclaim, AgentStatus::Implementing),
        (Action::Unclaim, AgentStatus::Contracted),
    ] {
        let refusal = refuse(holding(status, Some(A)), action, actor(Role::Agent, Some(B)));
        assert_eq!((refusal.status, refusal.code.as_str()), (Status::Forbidden, "not_assigned_agent"));
        assert!(!refusal.hints.is_empty());
    }
}

#[test]
fn keys_without_an_agent_are_stopped() {
    let required = |action, role, status| {
        let refusal = admit(action, &actor(role, None)).unwrap_err();
        assert_eq!(refusal.status, status, "{action}");
    };
    required(Action::Claim, Role::Agent, Status::Unprocessable);
    required(Action::Report, Role::Orchestrator, Status::Unprocessable);
    required(Action::ReviewComplete, Role::Orchestrator, Status::Unprocessable);
    required(Action::Verify, Role::Orchestrator, Status::BadRequest);
    required(Action::Reject, Role::Orchestrator, Status::BadRequest);
    required(Action::ForceUnclaim, Role::Orchestrator, Status::BadRequest);
    assert!(admit(Action::ReviewComplete, &actor(Role::User, None)).is_ok());
    let impersonating = Actor { role: Role::Agent, agent_id: None, impersonating: true };
    assert!(admit(Action::Claim, &impersonating).is_ok());
    assert!(admit(Action::Report, &impersonating).is_err());
}

#[test]
fn the_contract_echo_is_exact() {
    let pending = facts(LoopState::untouched());
    let contract = |role, title: Option<Value>, count: Option<Value>, skip| {
        let echo = Echo { story_title: title, ac_count: count, skip };
        decide(&pending, &Attempt::Contract(echo), &actor(role, Some(A)), at(1))
    };
    let title = || Some(json!("Build API"));
    assert!(contract(Role::Agent, title(), Some(json!(2)), false).is_ok());
    assert!(contract(Role::Agent, title(), Some(json!("2")), false).is_ok());
    for wrong in [json!("build api"), json!("Build API "), json!(7), Value::Null] {
        let refusal = contract(Role::Agent, Some(wrong), Some(json!(2)), true).unwrap_err();
        assert_eq!(refusal.message, "story_title does not match");
        well_formed(&refusal);
    }
    for wrong in [json!(5), json!("two"), json!(2.5), json!(-2), json!([2]), json!("2 ")] {
        let refusal = contract(Role::Agent, title(), Some(wrong.clone()), false).unwrap_err();
        assert_eq!(refusal.context["expected_ac_count"], 2);
        assert_eq!(refusal.context["provided_ac_count"], wrong);
        assert!(refusal.message.contains("expected ac_count 2"), "{}", refusal.message);
        assert!(refusal.message.ends_with(&format!("got {wrong}")), "{}", refusal.message);
        well_formed(&refusal);
    }
    assert!(contract(Role::Agent, None, None, true).is_err(), "agents cannot skip");
    assert!(contract(Role::Orchestrator, None, None, false).is_ok());
    assert!(contract(Role::Orchestrator, Some(json!("x")), None, true).is_ok());
    assert!(contract(Role::Orchestrator, Some(json!("x")), None, false).is_err());
    let next = contract(Role::Orchestrator, None, None, false).unwrap();
    assert_eq!(next.contracted_by_agent_id, None);
}

#[test]
fn unmet_prerequisites_are_named() {
    let unmet = vec![
        Prerequisite::Story { id: A, number: "1.2".into(), verified_status: VerifiedStatus::Rejected },
        Prerequisite::Epic { id: B, number: 4, open_stories: 3 },
    ];
    let contracted = Facts { unmet, ..facts(holding(AgentStatus::Contracted, None)) };
    let refusal = decide(&contracted, &Attempt::Claim, &actor(Role::Agent, Some(A)), at(1)).unwrap_err();
    assert_eq!(refusal.code.as_str(), "dependencies_not_met");
    assert_eq!(refusal.context["unmet_story_ids"], json!([A]));
    assert_eq!(refusal.context["unmet_epic_ids"], json!([B]));
    let hints = refusal.hints;
    assert!(hints[0].contains("1.2 is rejected") && hints[1].contains("epic 4"), "{hints:?}");
    assert!(hints[2].contains("another one"), "{hints:?}");
}

#[test]
fn evidence_comes_after_the_state_and_before_the_review_record() {
    let verifier = actor(Role::Orchestrator, Some(B));
    let verify = |facts: &Facts, evidence| {
        decide(facts, &Attempt::Verify { evidence }, &verifier, at(9))
            .map_err(|refusal| refusal.code.as_str())
    };
    let implementing = facts(holding(AgentStatus::Implementing, Some(A)));
    assert_eq!(verify(&implementing, false), Err("invalid_transition"));
    let mut reported = facts(holding(AgentStatus::ReportedDone, Some(A)));
    assert_eq!(verify(&reported, false), Err("review_evidence_required"));
    assert_eq!(verify(&reported, true), Err("review_not_conducted"));
    reported.review = Review::Outdated;
    assert_eq!(verify(&reported, true), Err("criteria_changed"));
    reported.review = Review::Current;
    assert_eq!(verify(&reported, true).unwrap().verified_status, VerifiedStatus::Verified);
}

/// What predates the loop, and what does not.
#[test]
fn bootstrapping_is_for_work_outside_the_loop() {
    let orchestrator = actor(Role::Orchestrator, Some(B));
    let bring = |facts: &Facts, attempt: Attempt| {
        decide(facts, &attempt, &orchestrator, at(9)).map_err(|refusal| {
            well_formed(&refusal);
            assert_eq!(refusal.status, Status::Unprocessable);
            (refusal.code.as_str(), refusal.message)
        })
    };
    let fill = || Attempt::Backfill(backfill("done before"));
    let untouched = facts(LoopState::untouched());
    for attempt in [fill(), Attempt::MarkComplete] {
        let next = bring(&untouched, attempt).unwrap();
        assert_eq!((next.reported_done_at, next.verified_at), (Some(at(9)), Some(at(9))));
        assert_eq!(
            (next.agent_status, next.verified_status),
            (AgentStatus::ReportedDone, VerifiedStatus::Verified)
        );
    }

    // Contracted is on its way into the loop, but nobody has worked on it.
    let contracted = facts(holding(AgentStatus::Contracted, None));
    assert_eq!(bring(&contracted, fill()).unwrap_err().0, "not_pre_existing");
    assert!(bring(&contracted, Attempt::MarkComplete).is_ok());

    // Whatever an agent ever touched is out, also when it is pending again.
    let touched = LoopState { first_touched_at: Some(at(1)), ..LoopState::untouched() };
    let released = LoopState { first_claimed_at: Some(at(1)), ..touched.clone() };
    for state in [
        touched,
        released,
        holding(AgentStatus::Implementing, Some(A)),
        holding(AgentStatus::ReportedDone, Some(A)),
    ] {
        for attempt in [fill(), Attempt::MarkComplete] {
            let (code, message) = bring(&facts(state.clone()), attempt).unwrap_err();
            assert_eq!(code, "not_pre_existing");
            assert!(message.contains("dispatch lineage") && message.contains("OUTSIDE the loopctl dispatch"));
        }
    }

    // Rejected, never claimed: an import that turned out wrong.
    let rejected = LoopState {
        verified_status: VerifiedStatus::Rejected,
        rejected_at: Some(at(1)),
        rejection_reason: Some("not there".into()),
        ..LoopState::untouched()
    };
    assert_eq!(bring(&facts(rejected.clone()), fill()).unwrap_err().0, "story_rejected");
    let next = bring(&facts(rejected), Attempt::MarkComplete).unwrap();
    assert_eq!((next.rejected_at, next.rejection_reason), (None, None));

    // Repeated: nothing happens; said otherwise: refused.
    let mut verified = facts(bring(&untouched, fill()).unwrap());
    verified.backfill = Some(backfill("done before"));
    for attempt in [fill(), Attempt::MarkComplete] {
        assert_eq!(bring(&verified, attempt).unwrap(), verified.state);
    }
    let (code, message) = bring(&verified, Attempt::Backfill(backfill("other"))).unwrap_err();
    assert_eq!(code, "already_verified");
    assert!(message.contains("already verified"));
    // Of what was backfilled, rejected and then verified otherwise, a backfill is no repetition.
    let mut reworked = verified.clone();
    reworked.state.verification_source = Some(VerificationSource::Loop);
    assert_eq!(bring(&reworked, fill()).unwrap_err().0, "already_verified");
    // Already verified comes before ever claimed.
    verified.state.first_touched_at = Some(at(1));
    assert_eq!(bring(&verified, Attempt::MarkComplete).unwrap(), verified.state);
}

#[test]
fn rework_after_a_rejection_awaits_verification_again() {
    let rejected = LoopState {
        verified_status: VerifiedStatus::Rejected,
        rejected_at: Some(at(1)),
        rejection_reason: Some("no tests".into()),
        ..holding(AgentStatus::Implementing, Some(A))
    };
    let next = decide(&facts(rejected), &Attempt::Report, &actor(Role::Agent, Some(B)), at(5)).unwrap();
    assert_eq!(next.verified_status, VerifiedStatus::Unverified);
    assert_eq!(next.rejection_reason.as_deref(), Some("no tests"), "kept until verify");
}

#[test]
fn next_actions_lead_through_the_loop() {
    let names = |state: LoopState, reviewed, who: Actor| {
        let review = if reviewed { Review::Current } else { Review::Missing };
        let facts = Facts { review, ..facts(state) };
        next_actions(&facts, &who).into_iter().map(|next| next.action).collect::<Vec<_>>()
    };
    let (a, b) = (actor(Role::Agent, Some(A)), actor(Role::Agent, Some(B)));
    let orchestrator = actor(Role::Orchestrator, Some(B));
    let held = |status| holding(status, Some(A));
    assert_eq!(names(held(AgentStatus::Pending), false, a), [Action::Contract]);
    assert_eq!(names(held(AgentStatus::Contracted), false, orchestrator), [Action::Claim]);
    assert_eq!(names(held(AgentStatus::Assigned), false, a), [Action::Start]);
    assert_eq!(names(held(AgentStatus::Implementing), false, a), [Action::RequestReview]);
    assert_eq!(names(held(AgentStatus::Implementing), false, b), [Action::Report]);
    let reported = held(AgentStatus::ReportedDone);
    let all = [Action::ReviewComplete, Action::Verify, Action::Reject];
    assert_eq!(names(reported.clone(), false, orchestrator), all);
    assert_eq!(names(reported.clone(), true, orchestrator), all[1..]);
    assert_eq!(names(reported.clone(), false, b), [Action::ReviewComplete]);
    assert_eq!(names(reported.clone(), false, a), []);
    let verified = LoopState { verified_status: VerifiedStatus::Verified, ..reported };
    assert_eq!(names(verified, true, orchestrator), []);
    let body = &next_actions(&facts(LoopState::untouched()), &a)[0].required_body;
    assert_eq!(json!(body), json!({"story_title": "Build API", "ac_count": 2}));
}
