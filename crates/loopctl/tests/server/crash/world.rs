//! What all agents share: where the server is, the backlog, and a record of everything acknowledged.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockWriteGuard};

use super::STORIES;
use crate::support::{call_with, client};

const EPICS: usize = 10;
const IMPLEMENTERS: usize = 10;
const REVIEWERS: usize = 3;
const ORCHESTRATORS: usize = 3;

/// What an agent is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Implementer,
    Reviewer,
    Orchestrator,
}

/// An agent and its key.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) part: Part,
    pub(super) key: String,
    pub(super) id: String,
}

/// A transition that the server has acknowledged: what, on which story, by which agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ack {
    pub(super) story: String,
    pub(super) what: &'static str,
    pub(super) agent: String,
}

#[derive(Debug)]
pub(super) struct World {
    /// Read by whoever sends a request; written by whoever kills the server.
    base: RwLock<String>,
    pub(super) project: String,
    user: String,
    pub(super) actors: Vec<Actor>,
    acks: Mutex<Vec<Ack>>,
    /// Answers that nobody ought to get.
    surprises: Mutex<Vec<String>>,
    /// `story@report` that are known to be reviewed.
    reviewed: Mutex<HashSet<String>>,
    /// Stories that were sent back; once is enough.
    rejected: Mutex<HashSet<String>>,
    finished: AtomicBool,
    dice: AtomicU64,
}

impl World {
    /// Agents, project and backlog, by the user's key.
    pub(super) async fn prepare(base: &str, user: &str) -> Self {
        let mut actors = Vec::new();
        for number in 0..IMPLEMENTERS + REVIEWERS + ORCHESTRATORS {
            let part = match number {
                0..IMPLEMENTERS => Part::Implementer,
                number if number < IMPLEMENTERS + REVIEWERS => Part::Reviewer,
                _ => Part::Orchestrator,
            };
            actors.push(actor(base, user, part, number).await);
        }
        let settings = json!({"settings": {"rate_limit_requests_per_minute": 1_000_000}});
        ask(base, user, "PATCH", "/tenants/me", &settings, 200).await;
        let project = json!({"name": "Crash", "slug": "crash"});
        let project = ask(base, user, "POST", "/projects", &project, 201).await;
        let project = project["project"]["id"].as_str().unwrap().to_owned();
        ask(base, user, "POST", &format!("/projects/{project}/import"), &backlog(), 201).await;
        Self {
            base: RwLock::new(base.to_owned()),
            project,
            user: user.to_owned(),
            actors,
            acks: Mutex::default(),
            surprises: Mutex::default(),
            reviewed: Mutex::default(),
            rejected: Mutex::default(),
            finished: AtomicBool::new(false),
            dice: AtomicU64::new(0x1005_EC71),
        }
    }

    /// One request. None when there was no answer.
    pub(super) async fn send(
        &self,
        http: &reqwest::Client,
        key: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let base = self.base.read().await;
        let url = format!("{base}/api/v1{path}");
        let (status, body) = call_with(http, method, &url, Some(key), body).await.ok()?;
        if ![200, 201, 403, 409, 422].contains(&status) {
            self.surprise(format!("{method} {path}: {status} {body}"));
        }
        Some((status, body))
    }

    /// A GET that has to succeed when it is answered at all.
    pub(super) async fn read(&self, http: &reqwest::Client, key: &str, path: &str) -> Option<Value> {
        let (status, body) = self.send(http, key, "GET", path, None).await?;
        if status != 200 {
            self.surprise(format!("GET {path}: {status} {body}"));
            return None;
        }
        Some(body)
    }

    /// A transition, recorded when it is acknowledged. Returns the status and the code of a refusal.
    pub(super) async fn act(
        &self,
        http: &reqwest::Client,
        actor: &Actor,
        story: &str,
        (action, what): (&str, &'static str),
        body: Value,
    ) -> Option<(u16, String)> {
        let path = format!("/stories/{story}/{action}");
        let (status, body) = self.send(http, &actor.key, "POST", &path, Some(&body)).await?;
        let code = body["error"]["code"].as_str().unwrap_or_default();
        match status {
            200 | 201 => {
                self.acks.lock().unwrap().push(Ack { story: story.to_owned(), what, agent: actor.id.clone() })
            }
            // Somebody was faster, or the answer to an earlier try was lost.
            409 | 422 if ["invalid_transition", "review_not_conducted"].contains(&code) => {}
            // Sent back under the feet of whoever was about to claim it, or what waits for it.
            409 if ["must_contract_first", "dependencies_not_met"].contains(&code) => {}
            403 if code == "not_assigned_agent" => {}
            _ => self.surprise(format!("{path}: {status} {body}")),
        }
        Some((status, code.to_owned()))
    }

    /// Stops all requests that have not begun, and waits for those that have. The server's address can be
    /// changed meanwhile.
    pub(super) async fn hold(&self) -> RwLockWriteGuard<'_, String> {
        self.base.write().await
    }

    /// How many stories are verified, if the server answers.
    pub(super) async fn verified(&self) -> Option<usize> {
        let path = format!("/stories?project_id={}&verified_status=verified&limit=1", self.project);
        let body = self.read(&client(), &self.user, &path).await?;
        usize::try_from(body["meta"]["total_count"].as_u64()?).ok()
    }

    /// GET at a given address, past the barrier of [`Self::hold`].
    pub(super) async fn look(&self, http: &reqwest::Client, base: &str, path: &str) -> Value {
        let url = format!("{base}/api/v1{path}");
        let (status, body) = call_with(http, "GET", &url, Some(&self.user), None).await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Whether the story's present report is known to be reviewed.
    pub(super) fn is_reviewed(&self, story: &Value) -> bool {
        self.reviewed.lock().unwrap().contains(&report_of(story))
    }

    pub(super) fn set_reviewed(&self, story: &Value) {
        self.reviewed.lock().unwrap().insert(report_of(story));
    }

    /// True the first time that somebody asks for this story.
    pub(super) fn send_back_once(&self, story: &str) -> bool {
        self.rejected.lock().unwrap().insert(story.to_owned())
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acks.lock().unwrap().len()
    }

    pub(super) fn acks(&self) -> Vec<Ack> {
        self.acks.lock().unwrap().clone()
    }

    pub(super) fn surprise(&self, what: String) {
        self.surprises.lock().unwrap().push(what);
    }

    pub(super) fn surprises(&self) -> Vec<String> {
        self.surprises.lock().unwrap().clone()
    }

    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// A number below `limit`.
    pub(super) fn random(&self, limit: u64) -> u64 {
        let mut mixed = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// A story at its present report: a review of an earlier one does not count.
fn report_of(story: &Value) -> String {
    format!("{}@{}", story["id"], story["reported_done_at"])
}

async fn ask(base: &str, key: &str, method: &str, path: &str, body: &Value, expected: u16) -> Value {
    let url = format!("{base}/api/v1{path}");
    let (status, answer) = call_with(&client(), method, &url, Some(key), Some(body)).await.unwrap();
    assert_eq!(status, expected, "{path}: {answer}");
    answer
}

async fn actor(base: &str, user: &str, part: Part, number: usize) -> Actor {
    let raw = |key: &Value| key["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let name = format!("agent-{number}");
    let body = json!({"name": name, "role": "agent"});
    let mut key = raw(&ask(base, user, "POST", "/api_keys", &body, 201).await);
    let body = json!({"name": name, "agent_type": "implementer"});
    let agent = ask(base, &key, "POST", "/agents/register", &body, 201).await;
    let id = agent["agent"]["id"].as_str().unwrap().to_owned();
    if part == Part::Orchestrator {
        let body = json!({"name": format!("{name}-orchestrator"), "role": "orchestrator", "agent_id": id});
        key = raw(&ask(base, user, "POST", "/api_keys", &body, 201).await);
    }
    Actor { part, key, id }
}

/// Ten epics of twenty stories. In each, five chains; each epic's first story waits for the epic before, and the
/// last epic waits for the whole first one.
fn backlog() -> Value {
    let per_epic = STORIES / EPICS;
    let mut edges = Vec::new();
    let epics: Vec<Value> = (1..=EPICS)
        .map(|epic| {
            let stories: Vec<Value> = (1..=per_epic)
                .map(|story| {
                    let number = format!("{epic}.{story}");
                    if story > 5 {
                        edges.push(json!({"story": number, "depends_on": format!("{epic}.{}", story - 5)}));
                    } else if story == 1 && epic > 1 {
                        edges.push(json!({"story": number, "depends_on": format!("{}.3", epic - 1)}));
                    }
                    let criteria: Vec<Value> = (0..story % 4)
                        .map(|criterion| json!({"criterion": format!("It does thing {criterion}")}))
                        .collect();
                    json!({"number": number, "title": format!("Story {number}"), "acceptance_criteria": criteria})
                })
                .collect();
            json!({"number": epic, "title": format!("Epic {epic}"), "stories": stories})
        })
        .collect();
    json!({
        "epics": epics, "story_dependencies": edges,
        "epic_dependencies": [{"epic": EPICS, "depends_on": 1}],
    })
}
