//! An agent that has read no documentation: it knows the address of the API and its key. It follows links, does what `next_actions`
//! offers, and when it is refused, what the refusal says.

use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::Regex;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Caller, Tenant, story, text, unique};

/// The one path that it knows.
const START: &str = "/api/v1";

/// How many calls it may need, whatever comes in its way.
const MOST: usize = 8;

/// A call in a sentence: a method, a path, and perhaps a body.
static CALL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/:.-]*\w)(?: (\{[^{}]*\}))?").unwrap());

/// What is to be called.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    method: Method,
    path: String,
    body: Value,
}

impl Call {
    fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: Value::Null }
    }

    /// As an element of `next_actions` has it.
    fn offered(next: &Value) -> Self {
        Self {
            method: text(&next["method"]).parse().unwrap(),
            path: text(&next["path"]),
            body: said(&next["required_body"]),
        }
    }

    /// As the first sentence has it that names one, for the story of this id.
    fn advised(hints: &Value, story_id: &str) -> Option<Self> {
        let hints = hints.as_array().into_iter().flatten().filter_map(Value::as_str);
        let found = hints.filter_map(|hint| CALL.captures(hint)).next()?;
        let body = found.get(3).map_or(Value::Null, |body| serde_json::from_str(body.as_str()).unwrap());
        Some(Self {
            method: found[1].parse().unwrap(),
            path: found[2].replace(":id", story_id),
            body: said(&body),
        })
    }
}

/// A body in which the caller has put its own words for what is within `<>`.
fn said(body: &Value) -> Value {
    let Some(members) = body.as_object() else { return Value::Null };
    let own = |value: &Value| match value.as_str() {
        Some(told) if told.starts_with('<') && told.ends_with('>') => json!(unique("newcomer")),
        _ => value.clone(),
    };
    members.iter().map(|(name, value)| (name.clone(), own(value))).collect::<Map<_, _>>().into()
}

struct Newcomer {
    key: Caller,
    /// What it calls next.
    next: Call,
    /// What it was refused, to be called again when what was missing is done.
    refused: Option<Call>,
    /// Where the stories come from that it has read of.
    list: String,
    /// Of those, the ones that it has not tried.
    others: VecDeque<Value>,
    /// The id of the one that it works on.
    story: String,
    /// The codes of its refusals.
    codes: Vec<String>,
    /// What it has called, and how that was answered.
    calls: Vec<String>,
    /// The story, when a review was asked for.
    done: Option<Value>,
}

impl Newcomer {
    fn new(key: Caller) -> Self {
        Self {
            key,
            next: Call::get(START),
            refused: None,
            list: String::new(),
            others: VecDeque::new(),
            story: String::new(),
            codes: Vec::new(),
            calls: Vec::new(),
            done: None,
        }
    }

    /// Makes one call, and decides about the next one.
    async fn step(&mut self) {
        let call = self.next.clone();
        let mut request = self.key.request(call.method.clone(), &format!("/{}", call.path));
        if !call.body.is_null() {
            request = request.json(&call.body);
        }
        let reply = self.key.send(request).await;
        self.calls.push(format!("{} {} {}: {}", call.method, call.path, call.body, reply.status));
        assert!(self.calls.len() <= MOST, "{:#?}", self.calls);
        if reply.status >= 400 {
            self.is_refused(call, &reply.body["error"]);
        } else {
            self.is_answered(&call, &reply.body);
        }
    }

    fn is_answered(&mut self, call: &Call, answer: &Value) {
        if let Some(list) = answer["ready_stories"].as_str() {
            self.next = Call::get(list);
        } else if let Some(rows) = answer["data"].as_array() {
            self.list.clone_from(&call.path);
            self.others = rows.iter().cloned().collect();
            self.take_another();
        } else if answer["story"]["review_requested_at"].is_string() {
            self.done = Some(answer["story"].clone());
        } else if let Some(next) = answer["next_actions"].get(0) {
            self.next = Call::offered(next);
        } else {
            self.next = self.refused.take().unwrap_or_else(|| panic!("what next? {answer:#}"));
        }
    }

    fn is_refused(&mut self, call: Call, error: &Value) {
        self.codes.push(text(&error["code"]));
        let advised = Call::advised(&error["hints"], &self.story);
        let advised = advised.unwrap_or_else(|| panic!("what to do instead? {error:#}"));
        if advised.path == self.list {
            self.take_another();
        } else {
            self.refused = Some(call);
            self.next = advised;
        }
    }

    fn take_another(&mut self) {
        let row = self.others.pop_front().expect("another story");
        self.story = text(&row["id"]);
        self.next = Call::offered(&row["next_actions"][0]);
    }

    /// Goes on until it is about to call this of a story.
    async fn until(&mut self, action: &str) {
        while !self.next.path.ends_with(&format!("/{action}")) {
            self.step().await;
            assert!(self.done.is_none(), "never came to {action}: {:#?}", self.calls);
        }
    }

    /// Goes on to the end, after these refusals; the id of the story that it has worked on.
    async fn finish(mut self, refusals: &[&str]) -> String {
        loop {
            self.step().await;
            if let Some(story) = self.done {
                assert_eq!(story["agent_status"], "implementing");
                assert_eq!(self.codes, refusals, "{:#?}", self.calls);
                return text(&story["id"]);
            }
        }
    }
}

/// A tenant with two stories that are ready, and their ids.
async fn two_stories() -> (Tenant, [String; 2]) {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1", "1.2"]).await;
    let ids = [tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await];
    (tenant, ids)
}

/// Somebody else, who does this with a story.
async fn another_has(tenant: &Tenant, story: &str, actions: &[&str]) {
    let other = tenant.agent().await;
    for action in actions {
        let body = if *action == "contract" { crate::support::echo() } else { json!({}) };
        other.post(&format!("/stories/{story}/{action}"), body).await.expect(200);
    }
}

#[tokio::test]
async fn it_needs_no_documentation() {
    let (tenant, [first, _]) = two_stories().await;
    let newcomer = Newcomer::new(tenant.agent().await);
    assert_eq!(newcomer.finish(&[]).await, first);
}

#[tokio::test]
async fn a_key_without_an_agent_registers_one() {
    let (tenant, [first, _]) = two_stories().await;
    let newcomer = Newcomer::new(tenant.key("agent").await);
    assert_eq!(newcomer.finish(&["agent_required"]).await, first);
}

/// Whatever happened to the story since the newcomer read of it, it takes the next one.
#[tokio::test]
async fn what_somebody_else_has_taken_is_left_to_them() {
    for (before, actions) in [
        ("contract", &["contract", "claim"][..]),
        ("contract", &["contract", "claim", "start"]),
        ("claim", &["claim"]),
        ("claim", &["claim", "start"]),
    ] {
        let (tenant, [first, second]) = two_stories().await;
        let mut newcomer = Newcomer::new(tenant.agent().await);
        newcomer.until(before).await;
        another_has(&tenant, &first, actions).await;
        assert_eq!(newcomer.finish(&["invalid_transition"]).await, second, "{before}: {actions:?}");
    }
}

#[tokio::test]
async fn what_is_done_already_is_left_alone() {
    let (tenant, [first, second]) = two_stories().await;
    let mut newcomer = Newcomer::new(tenant.agent().await);
    newcomer.until("contract").await;
    let body = json!({"stories": [{"story_id": first}]});
    tenant.orchestrator().await.post("/stories/bulk/mark-complete", body).await.expect(200);
    assert_eq!(newcomer.finish(&["invalid_transition"]).await, second);
}

/// Whoever contracts a story does not own it yet.
#[tokio::test]
async fn what_somebody_else_has_contracted_can_be_claimed() {
    let (tenant, [first, _]) = two_stories().await;
    let mut newcomer = Newcomer::new(tenant.agent().await);
    newcomer.until("contract").await;
    another_has(&tenant, &first, &["contract"]).await;
    assert_eq!(newcomer.finish(&["invalid_transition"]).await, first);
}

/// The story asks for something else than when the newcomer read of it.
#[tokio::test]
async fn a_wrong_echo_is_read_again() {
    let criteria =
        json!([{"criterion": "It works"}, {"criterion": "It is tested"}, {"criterion": "It is fast"}]);
    for change in [json!({"title": "Build another API"}), json!({"acceptance_criteria": criteria})] {
        let (tenant, [first, _]) = two_stories().await;
        let mut newcomer = Newcomer::new(tenant.agent().await);
        newcomer.until("contract").await;
        tenant.user.patch(&format!("/stories/{first}"), change).await.expect(200);
        assert_eq!(newcomer.finish(&["contract_mismatch"]).await, first);
    }
}

/// What the story waits for turns out not to be done.
#[tokio::test]
async fn what_has_to_wait_is_left_for_later() {
    let tenant = Tenant::new().await;
    let mut done = story("1.1");
    done["initial_verified_status"] = json!("verified");
    let project = tenant
        .imported(json!({
            "epics": [{"number": 1, "title": "Epic", "stories": [done, story("1.2"), story("1.3")]}],
            "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}],
        }))
        .await;
    let mut newcomer = Newcomer::new(tenant.agent().await);
    newcomer.until("claim").await;
    let rejected = tenant.story_id(&project, "1.1").await;
    let path = format!("/stories/{rejected}/reject");
    tenant.orchestrator().await.post(&path, json!({"reason": "it does not work"})).await.expect(200);
    let other = tenant.story_id(&project, "1.3").await;
    // The rejected one is ready again, but the newcomer has read of the others.
    assert_eq!(newcomer.finish(&["dependencies_not_met"]).await, other);
}
