//! How far something is, in words and in their colours.

use serde_json::Value;

use crate::table::plain;
use crate::terminal::Tone;

/// A word of the wire as people read it: `reported_done` is `reported done`.
pub(crate) fn words(status: &str) -> String {
    status.replace('_', " ")
}

/// What a status means. Of several words the first one says it.
pub(crate) fn tone(status: &str) -> Tone {
    let first = status.split([' ', '_', ',', ':']).next().unwrap_or_default();
    match first {
        "verified" | "pass" | "passed" | "active" | "delivered" | "published" | "completed" | "success"
        | "healthy" | "ok" | "resolved" => Tone::Good,
        "rejected" | "fail" | "failed" | "error" | "exhausted" | "suspended" | "revoked" | "expired"
        | "blocker" | "critical" | "exceeded" | "retryable" | "halted" => Tone::Bad,
        "reported" | "review" | "partial" | "warning" | "draft" | "queued" | "bug" | "high" => Tone::Waiting,
        "implementing" | "assigned" | "contracted" | "running" | "executing" => Tone::Working,
        "archived" | "deactivated" | "superseded" | "ignored" | "cancelled" => Tone::Quiet,
        _ => Tone::Plain,
    }
}

/// Where a story stands, from both of its statuses: what was decided of it, unless work goes on.
pub(crate) fn of_story(story: &Value) -> String {
    let (work, trust) = (plain(&story["agent_status"]), plain(&story["verified_status"]));
    let stale = |flags: &[&str]| if flags.iter().any(|flag| story[*flag] == true) { " (stale)" } else { "" };
    match trust.as_str() {
        // What was verified anew may be another thing than what was contracted.
        "verified" => format!("verified{}", stale(&["verification_stale"])),
        // What was rejected is done again from the start, or by whoever holds it still.
        "rejected" if ["pending", "reported_done"].contains(&work.as_str()) => "rejected".to_owned(),
        "rejected" => format!("{} (rejected)", words(&work)),
        _ => {
            // Its implementer has done what it could: somebody else is asked for the next step.
            let is_asked = work == "implementing" && story["review_requested_at"].is_string();
            let work = if is_asked { "review requested".to_owned() } else { words(&work) };
            format!("{work}{}", stale(&["contract_stale", "verification_stale"]))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_story_stands_where_the_last_word_of_it_says() {
        let of = |work: &str, trust: &str| of_story(&json!({"agent_status": work, "verified_status": trust}));
        assert_eq!(of("pending", "unverified"), "pending");
        assert_eq!(of("reported_done", "unverified"), "reported done");
        assert_eq!(of("reported_done", "verified"), "verified");
        assert_eq!(of("pending", "verified"), "verified", "taken over, and never worked on");
        assert_eq!(of("pending", "rejected"), "rejected");
        assert_eq!(of("reported_done", "rejected"), "rejected", "where a rejection resets nothing");
        assert_eq!(of("implementing", "rejected"), "implementing (rejected)");
    }

    #[test]
    fn work_that_waits_for_a_review_says_so() {
        let of = |work: &str| {
            of_story(
                &json!({"agent_status": work, "verified_status": "unverified", "review_requested_at": "T"}),
            )
        };
        assert_eq!(of("implementing"), "review requested");
        assert_eq!(of("reported_done"), "reported done");
    }

    #[test]
    fn what_has_changed_since_says_so() {
        let stale = |work: &str, trust: &str| {
            of_story(&json!({"agent_status": work, "verified_status": trust, "contract_stale": true,
                             "verification_stale": trust == "verified"}))
        };
        assert_eq!(stale("assigned", "unverified"), "assigned (stale)");
        assert_eq!(stale("reported_done", "verified"), "verified (stale)");
    }

    #[test]
    fn the_first_word_has_the_colour() {
        assert_eq!(tone("verified (stale)"), Tone::Good);
        assert_eq!(tone("implementing (rejected)"), Tone::Working);
        assert_eq!(tone("reported_done"), Tone::Waiting);
        assert_eq!(tone("pending"), Tone::Plain);
        assert_eq!(tone(""), Tone::Plain);
    }
}
