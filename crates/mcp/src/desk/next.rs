//! What comes next, as a tool to call: what the API says can be done with a story, for those who sit here.

use serde_json::{Value, json};

use crate::seats::Seat;

/// What comes next for who sits here, of a story that the API has answered: a step of theirs, or what they do while it is others' turn.
pub(super) fn after(answer: &Value, seats: &[Seat]) -> Option<Value> {
    own_step(answer, seats).or_else(|| afterwards(&answer["story"], seats))
}

/// The step of a story that comes next, if it is one of theirs.
pub(super) fn own_step(answer: &Value, seats: &[Seat]) -> Option<Value> {
    let story = &answer["story"];
    let actions = answer["next_actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_asked = !story["review_requested_at"].is_null();
    actions
        .iter()
        .filter_map(|next| next["action"].as_str().map(|action| (action, &next["required_body"])))
        // Asking a second time is only for who has changed something since.
        .filter(|(action, _)| !(is_asked && matches!(*action, "request_review" | "request-review")))
        .find_map(|(action, body)| step(action, story, body, seats))
}

/// What a session has used is told when its work is.
pub(super) fn after_work(story: &Value) -> Value {
    let fill = ["input_tokens", "output_tokens", "model_name", "cost_millicents"];
    json!({"tool": "report_token_usage", "arguments": {"story_id": story["id"]}, "fill": fill})
}

fn step(action: &str, story: &Value, body: &Value, seats: &[Seat]) -> Option<Value> {
    let (tool, who): (&str, &[Seat]) = match action {
        "contract" | "claim" => ("contract_and_claim", &[Seat::Implementer]),
        "start" => ("start_story", &[Seat::Implementer]),
        "unclaim" => ("unclaim_story", &[Seat::Implementer]),
        "request-review" | "request_review" => ("request_review", &[Seat::Implementer]),
        "report" => ("report_story", &[Seat::Reviewer]),
        "review-complete" | "review_complete" => ("review_complete", &[Seat::Reviewer, Seat::Orchestrator]),
        "verify" => ("verify_story", &[Seat::Orchestrator]),
        _ => return None,
    };
    if !who.iter().any(|seat| seats.contains(seat)) {
        return None;
    }
    let mut arguments = json!({"story_id": story["id"]});
    let mut fill = Vec::new();
    if tool == "contract_and_claim" {
        arguments["story_title"] = story["title"].clone();
        arguments["ac_count"] = json!(story["acceptance_criteria"].as_array().map_or(0, Vec::len));
    } else {
        for (name, value) in body.as_object().into_iter().flatten() {
            // What the caller has to write is named, and never sent as it stands here.
            if value.as_str().is_some_and(|text| text.starts_with('<')) {
                fill.push(name.as_str());
            } else {
                arguments[name] = value.clone();
            }
        }
    }
    let mut next = json!({"tool": tool, "arguments": arguments});
    if !fill.is_empty() {
        next["fill"] = json!(fill);
    }
    Some(next)
}

/// When it is somebody else's turn: each goes on to what is theirs.
fn afterwards(story: &Value, seats: &[Seat]) -> Option<Value> {
    // Verified, or yet to be taken by somebody: then others are as good.
    let is_settled = story["verified_status"] == "verified"
        || ["pending", "contracted"].map(Value::from).contains(&story["agent_status"]);
    match seats.first()? {
        Seat::Orchestrator if is_settled => {
            Some(json!({"tool": "list_ready_stories", "arguments": {"project_id": story["project_id"]}}))
        }
        Seat::Orchestrator => Some(json!({"tool": "wait_for_story", "arguments": {"story_id": story["id"]}})),
        Seat::Implementer | Seat::Reviewer => begin(seats),
    }
}

/// With what who sits here begins.
pub(super) fn begin(seats: &[Seat]) -> Option<Value> {
    let tool = match seats.first()? {
        Seat::Implementer => "next_story",
        Seat::Reviewer => "next_review",
        Seat::Orchestrator => "list_ready_stories",
    };
    Some(json!({"tool": tool, "arguments": {}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(actions: &[(&str, Value)], more: Value) -> Value {
        let mut story = json!({"id": "s", "title": "T", "acceptance_criteria": [1, 2], "verified_status": "unverified",
                               "review_requested_at": null, "project_id": "p"});
        story.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let actions: Vec<_> =
            actions.iter().map(|(action, body)| json!({"action": action, "required_body": body})).collect();
        json!({"story": story, "next_actions": actions})
    }

    #[test]
    fn each_is_told_their_own_step() {
        let contract = answer(&[("contract", json!({"story_title": "T", "ac_count": 2}))], json!({}));
        let next = after(&contract, &[Seat::Implementer]).unwrap();
        assert_eq!(
            next,
            json!({"tool": "contract_and_claim",
                                "arguments": {"story_id": "s", "story_title": "T", "ac_count": 2}})
        );
        assert_eq!(after(&contract, &[Seat::Reviewer]).unwrap()["tool"], "next_review");
        assert_eq!(after(&contract, &[Seat::Orchestrator]).unwrap()["tool"], "wait_for_story");
        let verify = answer(&[("verify", json!({"summary": "<what>"})), ("reject", json!({}))], json!({}));
        let next = after(&verify, &[Seat::Orchestrator]).unwrap();
        assert_eq!(
            next,
            json!({"tool": "verify_story", "arguments": {"story_id": "s"}, "fill": ["summary"]})
        );
    }

    #[test]
    fn who_has_asked_for_a_review_is_done() {
        let asked = json!({"review_requested_at": "2026-01-01T00:00:00Z"});
        let again = answer(&[("request_review", json!({}))], asked);
        assert_eq!(after(&again, &[Seat::Implementer]).unwrap()["tool"], "next_story");
    }

    #[test]
    fn nobody_is_told_to_work_on_what_is_verified() {
        let verified = answer(&[], json!({"verified_status": "verified"}));
        assert_eq!(after(&verified, &[Seat::Orchestrator]).unwrap()["tool"], "list_ready_stories");
    }
}
