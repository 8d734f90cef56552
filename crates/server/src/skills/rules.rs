//! What is looked at without a database: when two prompts are the same, what a path calls a version, and which metrics are numbers.

use loopctl_core::json::JsonText;
use sha2::{Digest as _, Sha256};

/// The metrics that mean the same everywhere, and are reckoned with.
const INTEGERS: [&str; 5] =
    ["findings_count", "false_positive_count", "true_positive_count", "review_duration_ms", "iteration"];

/// By which two prompts are compared: white space around them does not matter.
pub(super) fn digest(prompt: &str) -> [u8; 32] {
    Sha256::digest(prompt.trim()).into()
}

/// The version that a text in a path names; None when it is no integer. Of an integer that no version can have it is 0.
pub(super) fn version_number(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_integer.then(|| text.parse().unwrap_or(0))
}

/// What is wrong with metrics, each fault a sentence.
pub(super) fn faults_of_metrics(metrics: &JsonText) -> Vec<String> {
    let members = metrics.object().unwrap_or_default();
    let is_integer = |text: &str| text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    let faulty = INTEGERS.iter().filter(|name| members.get(name).is_some_and(|raw| !is_integer(raw.get())));
    faulty.map(|name| format!("{name} must be an integer")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn white_space_around_a_prompt_does_not_matter() {
        assert_eq!(digest("Review it."), digest(" \n\u{3000}Review it.\r\n"));
        for other in ["review it.", "Review  it.", "Review it", "Review\u{200b} it."] {
            assert_ne!(digest("Review it."), digest(other), "{other:?}");
        }
    }

    #[test]
    fn a_version_is_an_integer() {
        for (text, expected) in [("1", 1), ("007", 7), ("+2", 2), ("-3", -3), ("99999999999", 0)] {
            assert_eq!(version_number(text), Some(expected), "{text}");
        }
        for text in ["", "-", "abc", "1abc", "1.0", " 1", "1e3", "١", "0x1"] {
            assert_eq!(version_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn metrics_that_are_reckoned_with_are_integers() {
        let faults = |metrics: Value| faults_of_metrics(&metrics.into());
        let fine = json!({"findings_count": 0, "iteration": -1, "review_duration_ms": u64::MAX, "mood": "good", "cost": 0.5});
        assert_eq!(faults(fine), [""; 0]);
        for wrong in [json!(1.5), json!(1.0), json!("1"), json!(null), json!(true), json!([]), json!({})] {
            assert_eq!(faults(json!({"iteration": wrong})), ["iteration must be an integer"], "{wrong}");
        }
        assert_eq!(faults(json!({"true_positive_count": "x", "findings_count": "x"})).len(), 2);
    }
}
