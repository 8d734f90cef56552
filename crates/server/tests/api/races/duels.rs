//! Two calls at once on one story.

use futures_util::future::join_all;
use loopctl_core::lifecycle::Action;
use serde_json::Value;

use super::{ROUNDS, call, together};
use crate::support::{Caller, Reach, Reply, Tenant, bring, rounds};
use crate::trust_loop::replay::assert_legal;
use crate::trust_loop::walk::body;
use crate::trust_loop::{refused, stories};

/// A tenant with stories that are all as far, and people to race for them.
struct Field {
    a1: Caller,
    a2: Caller,
    o: Caller,
    p: Caller,
    stories: Vec<String>,
}

impl Field {
    async fn at(reach: Option<Reach>) -> Self {
        let tenant = Tenant::new().await;
        let (a1, a2) = (tenant.agent().await, tenant.agent().await);
        let (o, p) = (tenant.orchestrator().await, tenant.orchestrator().await);
        let stories = stories(&tenant, rounds(ROUNDS)).await;
        if let Some(reach) = reach {
            join_all(stories.iter().map(|story| bring(story, reach, &a1, &a2, &o))).await;
        }
        Self { a1, a2, o, p, stories }
    }

    /// Two calls at once on every story, each of them first in every other round.
    async fn duel(&self, first: (&Caller, Action), second: (&Caller, Action)) -> Vec<(String, Reply, Reply)> {
        let mut rounds = Vec::new();
        for (round, story) in self.stories.iter().enumerate() {
            let mut calls: Vec<_> = [first, second]
                .into_iter()
                .map(|(who, action)| call(who, story, action.as_str(), body(action)))
                .collect();
            let swapped = round % 2 == 1;
            if swapped {
                calls.reverse();
            }
            let mut replies = together(calls).await;
            if swapped {
                replies.reverse();
            }
            assert_legal(&self.o, story).await;
            let (second, first) = (replies.pop().unwrap(), replies.pop().unwrap());
            rounds.push((story.clone(), first, second));
        }
        rounds
    }

    /// Both want the same, and one gets it; the loser is told the state that the winner has made.
    async fn one_winner(&self, action: Action, people: [&Caller; 2], state: [&str; 2]) {
        for (_, first, second) in self.duel((people[0], action), (people[1], action)).await {
            let (winner, loser) = if first.status < 400 { (first, second) } else { (second, first) };
            let won = winner.expect(200);
            assert_eq!(won["story"]["agent_status"], state[0]);
            assert_eq!(won["story"]["verified_status"], state[1]);
            refused(loser, 409, "invalid_transition", action.as_str(), state);
        }
    }

    async fn show(&self, story: &str) -> Value {
        let shown = self.o.get(&format!("/stories/{story}")).await.expect(200);
        shown["story"].clone()
    }

    #[track_caller]
    fn assert_state(story: &Value, state: [&str; 2]) {
        assert_eq!(story["agent_status"], state[0]);
        assert_eq!(story["verified_status"], state[1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_contracts_one_counts() {
    let field = Field::at(None).await;
    let people = [&field.a1, &field.a2];
    field.one_winner(Action::Contract, people, ["contracted", "unverified"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_reports_one_counts() {
    let field = Field::at(Some(Reach::Implementing)).await;
    let people = [&field.a2, &field.o];
    field.one_winner(Action::Report, people, ["reported_done", "unverified"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_verifications_one_counts() {
    let field = Field::at(Some(Reach::Reviewed)).await;
    let people = [&field.o, &field.p];
    field.one_winner(Action::Verify, people, ["reported_done", "verified"]).await;
    for story in &field.stories {
        assert_eq!(field.show(story).await["iteration_count"], 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_rejections_one_counts() {
    let field = Field::at(Some(Reach::Reviewed)).await;
    let people = [&field.o, &field.p];
    field.one_winner(Action::Reject, people, ["pending", "rejected"]).await;
    for story in &field.stories {
        assert_eq!(field.show(story).await["iteration_count"], 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rejection_outlasts_a_verification() {
    let field = Field::at(Some(Reach::Reviewed)).await;
    let duels = field.duel((&field.o, Action::Verify), (&field.p, Action::Reject)).await;
    for (story, verify, reject) in duels {
        reject.expect(200);
        let iterations = if verify.status == 200 {
            2
        } else {
            refused(verify, 409, "invalid_transition", "verify", ["pending", "rejected"]);
            1
        };
        let shown = field.show(&story).await;
        Field::assert_state(&shown, ["pending", "rejected"]);
        assert_eq!(shown["iteration_count"], iterations);
    }
}

/// Both may succeed, in either order, and the story ends `pending` with nothing left of the report.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_does_not_outlast_an_unclaim() {
    let field = Field::at(Some(Reach::Implementing)).await;
    let duels = field.duel((&field.a2, Action::Report), (&field.a1, Action::Unclaim)).await;
    for (story, report, unclaim) in duels {
        unclaim.expect(200);
        if report.status != 200 {
            let state = ["pending", "unverified"];
            refused(report, 409, "invalid_transition", "report", state);
        }
        let shown = field.show(&story).await;
        Field::assert_state(&shown, ["pending", "unverified"]);
        assert_eq!(shown["reported_by_agent_id"], Value::Null);
        assert_eq!(shown["reported_done_at"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_review_needs_the_story_reported() {
    let field = Field::at(Some(Reach::Reported)).await;
    let duels = field.duel((&field.a2, Action::ReviewComplete), (&field.o, Action::Reject)).await;
    for (story, review, reject) in duels {
        reject.expect(200);
        if review.status != 201 {
            refused(review, 422, "invalid_transition", "review-complete", ["pending", "rejected"]);
        }
        Field::assert_state(&field.show(&story).await, ["pending", "rejected"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_does_not_outlast_a_force_unclaim() {
    let field = Field::at(Some(Reach::Contracted)).await;
    let duels = field.duel((&field.a1, Action::Claim), (&field.o, Action::ForceUnclaim)).await;
    for (story, claim, force) in duels {
        force.expect(200);
        if claim.status != 200 {
            refused(claim, 409, "must_contract_first", "claim", ["pending", "unverified"]);
        }
        Field::assert_state(&field.show(&story).await, ["pending", "unverified"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verification_outlasts_a_force_unclaim() {
    let field = Field::at(Some(Reach::Reviewed)).await;
    let duels = field.duel((&field.o, Action::Verify), (&field.p, Action::ForceUnclaim)).await;
    for (story, verify, force) in duels {
        force.expect(200);
        let verified = if verify.status == 200 {
            "verified"
        } else {
            refused(verify, 409, "invalid_transition", "verify", ["pending", "unverified"]);
            "unverified"
        };
        Field::assert_state(&field.show(&story).await, ["pending", verified]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verify_and_unclaim_exclude_each_other() {
    let field = Field::at(Some(Reach::Reviewed)).await;
    let duels = field.duel((&field.o, Action::Verify), (&field.a1, Action::Unclaim)).await;
    for (story, verify, unclaim) in duels {
        let shown = field.show(&story).await;
        if verify.status == 200 {
            let state = ["reported_done", "verified"];
            refused(unclaim, 409, "invalid_transition", "unclaim", state);
            Field::assert_state(&shown, state);
        } else {
            unclaim.expect(200);
            let state = ["pending", "unverified"];
            refused(verify, 409, "invalid_transition", "verify", state);
            Field::assert_state(&shown, state);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn request_review_comes_too_late_after_a_report() {
    let field = Field::at(Some(Reach::Implementing)).await;
    let duels = field.duel((&field.a1, Action::RequestReview), (&field.a2, Action::Report)).await;
    for (story, request, report) in duels {
        report.expect(200);
        if request.status != 200 {
            refused(request, 409, "invalid_transition", "request-review", ["reported_done", "unverified"]);
        }
        Field::assert_state(&field.show(&story).await, ["reported_done", "unverified"]);
    }
}
