//! The examples of the OpenAPI document: what the walk has sent and what it was answered, with ids, times and secrets that are always
//! the same. With `LOOPCTL_TEST_RECORD=1` they are written anew; otherwise they are compared with what has just been answered.

use std::path::PathBuf;

use chrono::DateTime;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::steps::Step;
use crate::conformance::Operation;
use crate::support::Reply;

const RECORD: &str =
    "LOOPCTL_TEST_RECORD=1 cargo test --workspace --test api -- walk::every_documented_status";

/// Any time.
const TIME: &str = "2026-01-05T09:30:00.000000Z";

/// The same in nanoseconds.
const TIME_NANOS: &str = "1767605400000000000";

/// What is different in every run, and of no use to a reader.
const BINARY: [&str; 8] = [
    "challenge",
    "credential_id",
    "attestation_object",
    "client_data_json",
    "authenticator_data",
    "signature",
    "public_key",
    "x",
];

/// How many elements of a list are shown.
const SHOWN: usize = 2;

/// By method and path.
#[derive(Default)]
pub(super) struct Examples {
    recorded: Map<String, Value>,
    /// In the order in which they were first seen.
    ids: Vec<Uuid>,
}

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/discovery/examples.json")
}

impl Examples {
    /// Notes a call. Of several that are answered with the same status, the first one is shown.
    pub(super) fn note(&mut self, operation: &Operation, step: &Step, reply: &Reply) {
        // The most telling refusals are those of rules, and they are conflicts.
        let is_telling = reply.status < 300 || reply.status == 409;
        let is_json =
            reply.headers.get("content-type").is_some_and(|of| of == "application/json; charset=utf-8");
        if !is_telling || !is_json || operation.answers_anything() {
            return;
        }
        let answer = self.tidy("", &reply.body);
        let body = (reply.status < 300 && operation.takes_body()).then(|| self.tidy("", &step.body));
        let of = self.recorded.entry(format!("{} {}", operation.method, operation.path));
        let of = of.or_insert_with(|| json!({"answers": {}})).as_object_mut().unwrap();
        if let Some(body) = body {
            of.entry("request").or_insert(body);
        }
        of["answers"].as_object_mut().unwrap().entry(reply.status.to_string()).or_insert(answer);
    }

    /// Keeps what was noted, or holds what was kept to it: it has the same members, of the same types.
    pub(super) fn keep_or_compare(self) {
        let noted = Value::Object(self.recorded);
        if std::env::var_os("LOOPCTL_TEST_RECORD").is_some_and(|set| !set.is_empty()) {
            let text = serde_json::to_string_pretty(&noted).unwrap();
            std::fs::write(place(), format!("{text}\n")).unwrap();
            return;
        }
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(place()).unwrap()).unwrap();
        let mut faults = Vec::new();
        compare("", &kept, &noted, &mut faults);
        assert!(
            faults.is_empty(),
            "examples are other than answers; record them anew: {RECORD}\n{faults:#?}"
        );
    }

    fn tidy(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), self.tidy(name, value))).collect()
            }
            Value::Array(items) => items.iter().take(SHOWN).map(|item| self.tidy(name, item)).collect(),
            Value::String(text) => self.tidy_text(name, text).into(),
            other => other.clone(),
        }
    }

    fn tidy_text(&mut self, name: &str, text: &str) -> String {
        if name.ends_with("UnixNano") {
            return TIME_NANOS.to_owned();
        }
        if BINARY.contains(&name) {
            return "AQIDBAUGBwgJCgsMDQ4PEA".to_owned();
        }
        if text.starts_with("whsec_") {
            return "whsec_AQIDBAUGBwgJCgsMDQ4PEA==".to_owned();
        }
        if let Some(secret) = text.strip_prefix("lc_") {
            return format!("lc_{}", "0".repeat(secret.len()));
        }
        if DateTime::parse_from_rfc3339(text).is_ok() {
            return TIME.to_owned();
        }
        if text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return "0123456789abcdef".repeat(text.len().div_ceil(16))[..text.len()].to_owned();
        }
        let text = text.replace("http://loopctl.test", "http://localhost:4000");
        let text =
            text.split_once("token=").map_or(text.clone(), |(before, _)| format!("{before}token=TOKEN"));
        self.with_stable_ids(&without_run(&text))
    }

    /// Ids have the place in which they came.
    fn with_stable_ids(&mut self, text: &str) -> String {
        let (mut tidied, mut rest) = (String::new(), text);
        while let Some(next) = rest.chars().next() {
            let id = rest.get(..36).and_then(|part| Uuid::try_parse(part).ok());
            let (piece, length) = match id {
                Some(id) => (self.stable(id), 36),
                None => (next.to_string(), next.len_utf8()),
            };
            tidied.push_str(&piece);
            rest = &rest[length..];
        }
        tidied
    }

    fn stable(&mut self, id: Uuid) -> String {
        let known = self.ids.iter().position(|known| *known == id);
        let place = known.unwrap_or_else(|| {
            self.ids.push(id);
            self.ids.len() - 1
        });
        format!("019b8cf0-1a40-7000-8000-{:012x}", place + 1)
    }
}

/// A name that no other test has, without what makes it so.
fn without_run(text: &str) -> String {
    let mark = format!("-{}-", std::process::id());
    let mut parts = text.split(&mark);
    let first = parts.next().unwrap_or_default().to_owned();
    let tidied = parts
        .fold(first, |tidied, part| tidied + part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    // What others must not find in a tenant's records is called so.
    tidied.replace("classified", "example")
}

/// Names the places at which the two are not alike. Elements of lists are not looked at: what they may be, schemas say.
fn compare(place: &str, kept: &Value, noted: &Value, faults: &mut Vec<String>) {
    match (kept, noted) {
        (Value::Object(kept), Value::Object(noted)) => {
            for name in kept.keys().chain(noted.keys().filter(|name| !kept.contains_key(*name))) {
                let place = format!("{place}/{name}");
                match (kept.get(name), noted.get(name)) {
                    (Some(kept), Some(noted)) => compare(&place, kept, noted, faults),
                    (Some(_), None) => faults.push(format!("{place} is not answered")),
                    (None, _) => faults.push(format!("{place} is answered")),
                }
            }
        }
        (Value::Null, _) | (_, Value::Null) => (),
        (kept, noted) => {
            let kind = |value: &Value| match value {
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) | Value::Null => "object",
            };
            if kind(kept) != kind(noted) {
                faults.push(format!("{place} is {}, not {}", kind(noted), kind(kept)));
            }
        }
    }
}
