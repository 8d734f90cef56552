//! What can go wrong, which exit code it gets, and how it is shown.

use std::time::Duration;

use serde_json::Value;

use crate::output::{self, Format};
use crate::resolve::Found;

/// A failed command.
#[derive(Debug)]
pub(crate) enum Error {
    /// Wrong arguments or bad local input.
    Usage(String),
    /// Bad local input with several problems: a heading and one line per problem.
    Problems(String, Vec<String>),
    /// The command says everything itself, also how it ends.
    Refused(String),
    /// Nothing was wrong, and yet nothing was done: it was only asked about, or declined.
    Undone(String),
    /// No server, no key, or a configuration file that cannot be used.
    NotConfigured(String),
    /// A reference or setting that leads to nothing.
    NotFound(String),
    /// No answer: connection, TLS or timeout.
    Network(String),
    /// No answer to a write that the server may have received.
    Unanswered(String),
    /// The server answered with an error status.
    Server(Box<ServerError>),
    /// Of several stories some failed, or all. The reasons were printed with the results.
    Unfinished {
        /// Stories that failed.
        failed: usize,
        /// All of them.
        of: usize,
    },
    /// What stopped a command that had done a part, and what was left.
    Stopped(Box<Self>, String),
    /// Anything else.
    Other(String),
}

/// An error answer.
#[derive(Debug)]
pub(crate) struct ServerError {
    /// HTTP status.
    pub(crate) status: u16,
    /// The body, as sent.
    pub(crate) body: Value,
    /// What the tool itself can advise, after the server's own words.
    pub(crate) advice: Option<String>,
    /// Replaces the whole first line (`Login failed ...`).
    pub(crate) headline: Option<String>,
    /// The story that it was about, as the user knows it.
    pub(crate) story: Option<Found>,
    /// How long the server wants to be left alone, where the caller waits by itself.
    pub(crate) retry_after: Option<Duration>,
}

impl ServerError {
    /// An error as the server sent it.
    pub(crate) fn new(status: u16, body: Value) -> Box<Self> {
        Box::new(Self { status, body, advice: None, headline: None, story: None, retry_after: None })
    }

    /// The server's message, or the best substitute for one.
    pub(crate) fn message(&self) -> String {
        let error = &self.body["error"];
        if let Some(message) = error["message"].as_str().or_else(|| error.as_str()) {
            return message.to_owned();
        }
        if let Some(text) =
            self.body.as_str().and_then(|text| text.lines().find(|line| !line.trim().is_empty()))
        {
            return text.trim().chars().take(200).collect();
        }
        let reason =
            reqwest::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        reason.unwrap_or("no message").to_owned()
    }

    fn lines(&self) -> Vec<String> {
        let first = match &self.headline {
            Some(headline) => format!("Error: {headline}"),
            None => format!("Error: Server returned {}: {}", self.status, self.message()),
        };
        let mut lines = vec![first];
        let error = &self.body["error"];
        match &error["details"] {
            Value::Null => {}
            Value::Object(details) => {
                lines.extend(details.iter().map(|(field, text)| format!("  {field}: {}", join(text))));
            }
            other => lines.push(format!("  details: {}", join(other))),
        }
        for (name, value) in [("cycle", &error["context"]["cycle"]), ("story_id", &error["story_id"])] {
            if !value.is_null() {
                lines.push(format!("  {name}: {}", join(value)));
            }
        }
        lines.extend(error["context"]["held"].as_array().into_iter().flatten().map(held));
        if matches!(error["code"].as_str(), Some("token_budget_exceeded" | "budget_exhausted")) {
            lines.extend(budget(&error["context"], self.story.as_ref()));
        }
        match (error["hints"].as_array(), &error["remediation"]["description"]) {
            (Some(hints), _) if !hints.is_empty() => {
                lines.extend(hints.iter().map(|hint| format!("  hint: {}", join(hint))));
            }
            (_, Value::String(description)) => lines.push(format!("  hint: {description}")),
            // The server does not know what its clients are called, and where their keys come from.
            _ if self.advice.is_none() && self.headline.is_none() => {
                lines.extend(usual_hint(self.status, &error["code"]).map(|hint| format!("  hint: {hint}")));
            }
            _ => {}
        }
        if let Some(code) = error["code"].as_str() {
            lines.push(format!("  code: {code}"));
        }
        lines.extend(self.advice.clone());
        lines
    }
}

/// What to do where the server does not say it.
fn usual_hint(status: u16, code: &Value) -> Option<&'static str> {
    match status {
        401 => Some(
            "`loopctl auth status` shows which key is used, and where it is from; `loopctl auth login` takes another",
        ),
        403 => Some("`loopctl auth status` shows which key is used, and its role"),
        404 => {
            Some("Nothing of this tenant has that id, or not any more: look it up in the list of its kind")
        }
        // A budget does not pass by waiting.
        429 if code != "token_budget_exceeded" => Some("Wait a minute before you try again"),
        _ => None,
    }
}

/// What to do when no server was reached.
const UNREACHED: &str =
    "  hint: `loopctl auth status` shows which server is meant, `loopctl doctor` what is wrong with it";
/// Where whoever does not know whether something was done finds out.
const UNKNOWN: &str =
    "  hint: what was done is in `loopctl history <story>`, `loopctl changes --since 5m` and `loopctl audit`";

/// When whoever is refused as an implementer held the story.
fn held(held: &Value) -> String {
    match &held["until"] {
        Value::Null => format!("  held: since {}", join(&held["from"])),
        until => format!("  held: from {} until {}", join(&held["from"]), join(until)),
    }
}

/// Which budget refuses: `budget: ID (per_story of story 2.1)`. Of what is not known by name there is the id.
fn budget(context: &Value, story: Option<&Found>) -> Option<String> {
    let scope = context["scope_type"].as_str()?;
    let (kind, id) = (join(&context["target_type"]), join(&context["target_id"]));
    let name = story.filter(|story| kind == "story" && story.id == id).map_or(&id, |story| &story.label);
    let of = if scope == kind { String::new() } else { format!("{scope} of ") };
    // The budget that every story has by the tenant's settings has no id.
    let budget = context["budget_id"].as_str().map_or_else(String::new, |id| format!("{id} "));
    Some(format!("  budget: {budget}({of}{kind} {name})"))
}

/// Texts of a `details` entry on one line, and no more of them than anybody reads.
fn join(value: &Value) -> String {
    const SHOWN: usize = 10;
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let mut texts: Vec<String> = items.iter().take(SHOWN).map(join).collect();
            if items.len() > SHOWN {
                texts.push(format!("… and {} more", items.len() - SHOWN));
            }
            texts.join(", ")
        }
        other => other.to_string(),
    }
}

impl Error {
    /// A success whose body cannot come from loopctl.
    pub(crate) fn not_json() -> Self {
        Self::Other("The answer is not JSON. Is the configured server a loopctl server?".to_owned())
    }

    /// The same, of a story.
    pub(crate) fn about(mut self, story: &Found) -> Self {
        if let Self::Server(error) = &mut self {
            error.story = Some(story.clone());
        }
        self
    }

    /// What went wrong, in one line.
    pub(crate) fn to_line(&self) -> String {
        match self {
            Self::Usage(text)
            | Self::NotConfigured(text)
            | Self::NotFound(text)
            | Self::Network(text)
            | Self::Unanswered(text)
            | Self::Other(text)
            | Self::Refused(text)
            | Self::Undone(text)
            | Self::Problems(text, _) => text.clone(),
            Self::Server(error) => format!("the server answers {}: {}", error.status, error.message()),
            Self::Unfinished { failed, of } => format!("{failed} of {of} stories failed"),
            Self::Stopped(error, _) => error.to_line(),
        }
    }

    /// Whether the server knows no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Server(error) if error.status == 404)
    }

    /// Whether what was asked for is more than an answer may be.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Server(error) if error.body["error"]["code"] == "answer_too_large")
    }

    /// Whether the server may well answer otherwise in a while.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Network(_) | Self::Unanswered(_) => true,
            Self::Server(error) => matches!(error.status, 429 | 502..=504),
            _ => false,
        }
    }

    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server(error) => error.retry_after,
            _ => None,
        }
    }

    /// The exit codes of the tool.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Other(_) | Self::Undone(_) => 1,
            Self::Usage(_) | Self::Problems(..) | Self::Refused(_) => 2,
            Self::NotConfigured(_) => 3,
            Self::NotFound(_) => 5,
            // As the server answers them: a conflict in part of the work, or nothing that could be done.
            Self::Unfinished { failed, of } => {
                if failed < of {
                    6
                } else {
                    7
                }
            }
            Self::Network(_) | Self::Unanswered(_) => 9,
            Self::Stopped(error, _) => error.exit_code(),
            Self::Server(error) => match error.status {
                401 => 3,
                403 => 4,
                404 => 5,
                409 => 6,
                400 | 422 => 7,
                429 => 8,
                500..=599 => 10,
                _ => 1,
            },
        }
    }

    /// Prints the error on stderr and gives the exit code.
    pub(crate) fn report(&self, format: Format) -> u8 {
        match self {
            Self::Usage(text) | Self::NotConfigured(text) | Self::NotFound(text) | Self::Other(text) => {
                output::note(&format!("Error: {text}"))
            }
            Self::Network(text) => {
                output::note(&format!("Error: {text}"));
                output::note(UNREACHED);
            }
            Self::Unanswered(text) => {
                output::note(&format!("Error: {text}"));
                output::note(UNKNOWN);
            }
            Self::Refused(text) | Self::Undone(text) => output::notes(text),
            Self::Unfinished { failed, of } => {
                output::note(&format!("Error: {failed} of {of} stories failed"))
            }
            Self::Problems(heading, problems) => {
                output::note(&format!("Error: {heading}"));
                for problem in problems {
                    output::note(problem);
                }
            }
            Self::Server(error) => {
                let lines = error.lines();
                let (first, rest) =
                    lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
                output::note(first);
                // Scripts read the second line; people read the rest.
                if format == Format::Json && !error.body.is_null() {
                    output::note_body(&error.body);
                }
                for line in rest {
                    output::note(line);
                }
            }
            Self::Stopped(error, left) => {
                error.report(format);
                output::note(left);
            }
        }
        self.exit_code()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_status_has_its_exit_code() {
        let code = |status| Error::Server(ServerError::new(status, Value::Null)).exit_code();
        let got = [400, 401, 403, 404, 409, 413, 422, 428, 429, 500, 503].map(code);
        assert_eq!(got, [7, 3, 4, 5, 6, 1, 7, 1, 8, 10, 10]);
    }

    #[test]
    fn a_server_error_shows_message_details_hints_and_code() {
        let body = json!({"error": {"status": 422, "message": "Validation failed", "code": "validation_failed",
            "details": {"slug": ["is invalid", "too short"]}, "hints": ["try another"]}});
        let lines = ServerError::new(422, body).lines();
        assert_eq!(
            lines,
            [
                "Error: Server returned 422: Validation failed",
                "  slug: is invalid, too short",
                "  hint: try another",
                "  code: validation_failed"
            ]
        );
    }

    #[test]
    fn what_to_do_is_shown_wherever_the_server_says_it() {
        let rest = |error: Value| ServerError::new(422, json!({ "error": error })).lines().split_off(1);
        let remedy = json!({"description": "There is such a dependency already: nothing has to be done."});
        assert_eq!(
            rest(json!({"remediation": remedy, "context": {"cycle": "1.1 -> 1.2 -> 1.1"}})),
            [
                "  cycle: 1.1 -> 1.2 -> 1.1",
                "  hint: There is such a dependency already: nothing has to be done."
            ]
        );
        assert_eq!(rest(json!({"hints": ["read"], "remediation": remedy})), ["  hint: read"]);
        assert_eq!(rest(json!({"hints": [], "remediation": remedy})).len(), 1);
    }

    #[test]
    fn where_the_server_says_nothing_the_usual_is_said() {
        let hints = |status: u16, error: Value| {
            let lines = ServerError::new(status, json!({ "error": error })).lines();
            lines.into_iter().filter(|line| line.starts_with("  hint: ")).collect::<Vec<_>>()
        };
        for status in [401, 403, 404, 429] {
            assert_eq!(hints(status, json!({"message": "no"})).len(), 1, "{status}");
            assert_eq!(hints(status, json!({"hints": ["read"]})), ["  hint: read"], "{status}");
        }
        for (status, error) in [(422, json!({})), (409, json!({})), (500, json!({}))] {
            assert_eq!(hints(status, error), [""; 0], "{status}");
        }
        assert_eq!(hints(429, json!({"code": "token_budget_exceeded"})), [""; 0]);
        let mut advised = ServerError::new(404, json!({"error": {}}));
        advised.advice = Some("look".to_owned());
        assert_eq!(advised.lines()[1..], ["look"]);
    }

    #[test]
    fn an_implementer_reads_when_it_held_the_story() {
        let held = json!([{"from": "T1", "until": "T2"}, {"from": "T3", "until": null}]);
        let body = json!({"error": {"message": "Cannot verify your own implementation", "context": {"held": held},
            "story_id": "s", "hints": ["Another must verify."], "code": "self_verify_blocked"}});
        assert_eq!(
            ServerError::new(409, body).lines()[1..],
            [
                "  story_id: s",
                "  held: from T1 until T2",
                "  held: since T3",
                "  hint: Another must verify.",
                "  code: self_verify_blocked"
            ]
        );
    }

    #[test]
    fn whoever_is_stopped_by_a_budget_reads_by_which() {
        let lines = |code: &str, context: Value, story: &str| {
            let body = json!({"error": {"message": "No", "context": context, "code": code}});
            let mut error = ServerError::new(409, body);
            error.story = Some(Found { id: story.to_owned(), label: "2.1".to_owned() });
            error.lines().split_off(1)
        };
        let context = json!({"budget_id": "b", "scope_type": "per_story", "scope_id": "p", "target_type": "story",
            "target_id": "s", "limit": 5});
        assert_eq!(
            lines("token_budget_exceeded", context.clone(), "s"),
            ["  budget: b (per_story of story 2.1)", "  code: token_budget_exceeded"]
        );
        assert_eq!(
            lines("budget_exhausted", context.clone(), "other")[0],
            "  budget: b (per_story of story s)"
        );
        let project =
            json!({"budget_id": "b", "scope_type": "project", "target_type": "project", "target_id": "p"});
        assert_eq!(lines("budget_exhausted", project, "s")[0], "  budget: b (project p)");
        assert_eq!(lines("budget_exhausted", Value::Null, "s"), ["  code: budget_exhausted"]);
        assert_eq!(lines("another", context, "s"), ["  code: another"]);
    }

    #[test]
    fn long_details_are_cut() {
        let numbers: Vec<String> = (1..=630).map(|n| format!("1.{n}")).collect();
        let lines = ServerError::new(409, json!({"error": {"details": {"duplicates": numbers}}})).lines();
        assert_eq!(
            lines[1],
            "  duplicates: 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 1.10, … and 620 more"
        );
    }

    #[test]
    fn a_body_without_envelope_still_gives_a_message() {
        let message = |body| ServerError::new(502, body).message();
        assert_eq!(message(Value::Null), "Bad Gateway");
        assert_eq!(message(json!("\n<html>oops\nmore")), "<html>oops");
        assert_eq!(message(json!({"error": "nope"})), "nope");
    }
}
