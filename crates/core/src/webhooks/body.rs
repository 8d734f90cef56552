//! What is sent to a receiver: an envelope, and the payload twice, under `data` and spread beside the envelope. The same event
//! gives the same bytes at every attempt.

use std::borrow::Cow;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::json::{InOrder, JsonText, Object, scalar};

/// No body is longer.
pub const MAX_BODY: usize = 65_536;

/// What is left out first where a payload is too large, and named as such.
const LARGE: [&str; 3] = ["old_state", "new_state", "findings"];
/// Where it is named.
const LEFT_OUT: &str = "_truncated_fields";
/// Longer strings are shortened next.
const LONG: usize = 1024;
/// No id, status or time is longer.
const SHORT: usize = 64;

/// What every body tells at its top, whatever else is left out.
const KEPT: [&str; 22] = [
    "event",
    "timestamp",
    "id",
    "story_id",
    "project_id",
    "epic_id",
    "agent_id",
    "orchestrator_agent_id",
    "reviewer_agent_id",
    "reporter_agent_id",
    "artifact_report_id",
    "review_record_id",
    "previous_assigned_agent_id",
    "webhook_id",
    "article_id",
    "article_link_id",
    "budget_id",
    "scope_id",
    "anomaly_id",
    "old_status",
    "new_status",
    "status",
];

/// What a body begins with. Members of the payload with these names are under `data` alone.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The event as it is known to the receiver.
    pub id: Uuid,
    /// What kind of event it is.
    pub event: &'a str,
    /// When it happened.
    pub timestamp: &'a str,
}

type Member<'a> = (Cow<'a, str>, Cow<'a, RawValue>);

/// Members beside the envelope, and under `data`.
type Parts<'a> = (Vec<Member<'a>>, Vec<Member<'a>>);

/// The bytes to be signed and sent: never more than [`MAX_BODY`].
pub fn body(envelope: &Envelope<'_>, payload: &JsonText) -> Vec<u8> {
    let object = payload.object().unwrap_or_default();
    let whole: Vec<Member<'_>> = members(&object).collect();
    let first = write(envelope, false, &whole, &whole);
    if first.len() <= MAX_BODY {
        return first;
    }
    let mut light: Vec<Member<'_>> =
        members(&object).filter(|(name, _)| !LARGE.contains(&name.as_ref()) && name != LEFT_OUT).collect();
    light.extend(raw(&LARGE).map(|names| (Cow::Borrowed(LEFT_OUT), Cow::Owned(names))));
    // Each of these is shorter than the one before, and the last is shorter than the limit.
    let steps: [for<'a> fn(&[Member<'a>]) -> Parts<'a>; 4] = [
        |light| (spread(light), light.to_vec()),
        |light| (chosen(light, is_kept), light.to_vec()),
        |light| (chosen(light, is_kept), light.iter().cloned().map(shortened).collect()),
        |light| (chosen(light, is_kept), chosen(light, is_essential)),
    ];
    for step in steps {
        let (beside, data) = step(&light);
        let body = write(envelope, true, &beside, &data);
        if body.len() <= MAX_BODY {
            return body;
        }
    }
    let kept = chosen(&light, is_kept);
    write(envelope, true, &kept, &kept)
}

fn members<'a>(object: &Object<'a>) -> impl Iterator<Item = Member<'a>> {
    object.members().map(|(name, value)| (Cow::Owned(name.to_owned()), Cow::Borrowed(value)))
}

/// All that is beside the envelope; what is left out is named under `data`.
fn spread<'a>(members: &[Member<'a>]) -> Vec<Member<'a>> {
    members.iter().filter(|(name, _)| name != LEFT_OUT).cloned().collect()
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name)
}

/// Ids, statuses and times, and what says what is missing.
fn is_essential(name: &str) -> bool {
    is_kept(name)
        || name == LEFT_OUT
        || ["_id", "_status", "_at"].iter().any(|ending| name.len() <= SHORT && name.ends_with(ending))
}

/// The members of these names that are short enough, or can be made so.
fn chosen<'a>(members: &[Member<'a>], which: fn(&str) -> bool) -> Vec<Member<'a>> {
    let chosen = members.iter().filter(|(name, _)| which(name));
    chosen
        .filter_map(|(name, value)| {
            let value = match scalar(value) {
                Value::String(text) if text.len() > SHORT => Cow::Owned(raw(&cut(&text, SHORT))?),
                _ if value.get().len() <= 6 * SHORT => value.clone(),
                _ => return None,
            };
            Some((name.clone(), value))
        })
        .collect()
}

/// A member without long strings. What is longer than a whole body is not looked into: it would not fit anyhow.
fn shortened((name, value): Member<'_>) -> Member<'_> {
    if value.get().len() <= LONG || value.get().len() > MAX_BODY && value.get().starts_with(['{', '[']) {
        return (name, value);
    }
    let mut tree = serde_json::from_str(value.get()).unwrap_or_default();
    shorten(&mut tree);
    let value = raw(&tree).map_or(value, Cow::Owned);
    (name, value)
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONG => *text = cut(text, LONG),
        Value::Array(elements) => elements.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

/// The beginning of a text with a mark that it is one, together not longer than `most` bytes.
fn cut(text: &str, most: usize) -> String {
    const MARK: char = '…';
    let end = text.floor_char_boundary(most - MARK.len_utf8());
    let mut cut = text.get(..end).unwrap_or_default().to_owned();
    cut.push(MARK);
    cut
}

fn raw(value: &(impl Serialize + ?Sized)) -> Option<Box<RawValue>> {
    to_raw_value(value).ok()
}

fn write(envelope: &Envelope<'_>, truncated: bool, beside: &[Member<'_>], data: &[Member<'_>]) -> Vec<u8> {
    let body = Body { envelope, truncated, beside, data: InOrder(data) };
    // Texts as names and JSON as values can always be written.
    serde_json::to_vec(&body).unwrap_or_default()
}

struct Body<'a> {
    envelope: &'a Envelope<'a>,
    truncated: bool,
    beside: &'a [Member<'a>],
    data: InOrder<'a, Cow<'a, str>, Cow<'a, RawValue>>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Envelope { id, event, timestamp } = self.envelope;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("event", event)?;
        map.serialize_entry("timestamp", timestamp)?;
        if self.truncated {
            map.serialize_entry("truncated", &true)?;
        }
        let is_ours = |name: &str| {
            ["id", "event", "timestamp", "data"].contains(&name) || self.truncated && name == "truncated"
        };
        for (name, value) in self.beside.iter().filter(|(name, _)| !is_ours(name)) {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("data", &self.data)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);
    const AT: &str = "2026-03-27T12:00:00.123456Z";

    fn sent(payload: &Value) -> (usize, Value) {
        let envelope = Envelope { id: ID, event: "story.rejected", timestamp: AT };
        let bytes = body(&envelope, &payload.clone().into());
        (bytes.len(), serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn the_payload_is_there_twice_and_the_envelope_wins() {
        let payload = json!({"event": "other", "story_id": "s", "id": 7, "data": [], "timestamp": AT, "truncated": "x",
                             "number": 1});
        let (_, body) = sent(&payload);
        assert_eq!(
            body,
            json!({"id": ID, "event": "story.rejected", "timestamp": AT, "story_id": "s", "truncated": "x", "number": 1,
                   "data": payload})
        );
        assert_eq!(
            sent(&json!({})).1,
            json!({"id": ID, "event": "story.rejected", "timestamp": AT, "data": {}})
        );
    }

    #[test]
    fn what_is_large_is_left_out_first() {
        let (length, body) =
            sent(&json!({"story_id": "s", "findings": "x".repeat(100_000), "reason": "bad"}));
        assert!(length < MAX_BODY);
        let data = json!({"story_id": "s", "reason": "bad", "_truncated_fields": ["old_state", "new_state", "findings"]});
        assert_eq!(
            body,
            json!({"id": ID, "event": "story.rejected", "timestamp": AT, "truncated": true, "story_id": "s",
                   "reason": "bad", "data": data})
        );
    }

    #[test]
    fn then_what_is_said_twice_then_long_texts_then_all_but_ids() {
        let (_, body) = sent(&json!({"story_id": "s", "reason": "x".repeat(40_000)}));
        assert_eq!((&body["reason"], &body["story_id"]), (&Value::Null, &json!("s")));
        assert_eq!(body["data"]["reason"], "x".repeat(40_000));
        let (_, body) =
            sent(&json!({"story_id": "s", "reason": "é".repeat(40_000), "more": [{"a": "y".repeat(2_000)}]}));
        let reason = body["data"]["reason"].as_str().unwrap();
        assert!(reason.len() <= LONG && reason.starts_with("éé") && reason.ends_with('…'), "{reason}");
        assert_eq!(body["data"]["more"][0]["a"].as_str().unwrap().len(), LONG);
        let many: Map<String, Value> =
            (0..2_000).map(|n| (format!("member_{n}"), json!("z".repeat(50)))).collect();
        let mut payload =
            json!({"story_id": "s", "new_status": "pending", "reported_done_at": AT, "pages": many});
        let (_, body) = sent(&payload);
        assert_eq!(
            body["data"],
            json!({"story_id": "s", "new_status": "pending", "reported_done_at": AT,
                   "_truncated_fields": ["old_state", "new_state", "findings"]})
        );
        let many = (0..5_000).map(|n| (format!("member_{n}_id"), json!("z".repeat(50))));
        payload.as_object_mut().unwrap().extend(many);
        let (_, body) = sent(&payload);
        assert_eq!(body["data"], json!({"story_id": "s", "new_status": "pending"}));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[\u{0}-\u{20}é\"]{0,40}".prop_map(Value::from),
            (prop_oneof![0..3_000_usize, 20_000..40_000_usize], "[a\u{1}€]")
                .prop_map(|(count, text)| Value::from(text.repeat(count))),
        ];
        leaf.prop_recursive(3, 12, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::from),
                vec(("[a-z]{1,9}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn name() -> impl Strategy<Value = String> {
        let known = [&LARGE[..], &KEPT[..], &["reason", "summary", "data", "truncated"]].concat();
        prop_oneof![
            proptest::sample::select(known).prop_map(str::to_owned),
            "[a-z\u{1}]{1,9}(_id|_at|_status)?",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Never above the limit, the same every time, and the ids are there.
        #[test]
        fn never_too_long_and_ids_always_there(members in vec((name(), value()), 0..12), many in prop_oneof![Just(0), 0..4_000_usize]) {
            let mut payload: Map<String, Value> = members.into_iter().collect();
            payload.extend((0..many).map(|n| (format!("m{n}_id"), json!(n))));
            let ids = ["story_id", "project_id", "epic_id"];
            payload.extend(ids.map(|name| (name.to_owned(), json!(ID))));
            let payload = Value::Object(payload);
            let (length, body) = sent(&payload);
            prop_assert!(length <= MAX_BODY, "{}", length);
            prop_assert_eq!(sent(&payload), (length, body.clone()));
            prop_assert_eq!((&body["id"], &body["timestamp"]), (&json!(ID), &json!(AT)));
            for name in ids {
                prop_assert_eq!((&body[name], &body["data"][name]), (&json!(ID), &json!(ID)));
            }
            if body["data"].get(LEFT_OUT).is_some() {
                prop_assert_eq!(&body["truncated"], true);
            } else {
                prop_assert_eq!(&body["data"], &payload);
            }
        }
    }
}
