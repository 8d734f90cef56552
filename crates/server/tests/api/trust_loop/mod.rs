//! Stories through the loop: one by one, and several at once.

mod access;
mod artifacts;
mod attacks;
mod backfill;
mod bodies;
mod bulk;
mod bulk_items;
mod claims;
mod conflicts;
mod contract;
pub(crate) mod epics;
mod history;
mod impersonation;
mod known;
mod laundering;
mod mark_complete;
mod model;
mod next_actions;
mod prerequisites;
mod rejection;
pub(crate) mod replay;
mod reports;
mod reviews;
mod verification;
mod verify_all;
pub(crate) mod walk;

use serde_json::{Value, json};

use crate::support::{Caller, Reach, Reply, Tenant, bring, echo, story, text};

/// Those who take part (two agents, an orchestrator, a user) and one story.
struct Scene {
    tenant: Tenant,
    a1: Caller,
    a2: Caller,
    o: Caller,
    story: String,
}

impl Scene {
    /// With a pending story.
    async fn new() -> Self {
        Self::of(Tenant::new().await).await
    }

    /// Of a tenant without anybody yet.
    async fn of(tenant: Tenant) -> Self {
        let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        let story = tenant.story().await;
        Self { tenant, a1, a2, o, story }
    }

    /// With a1's story brought this far.
    async fn at(reach: Reach) -> Self {
        let scene = Self::new().await;
        scene.bring(&scene.story, reach).await;
        scene
    }

    /// The same people with another pending story.
    async fn next(mut self) -> Self {
        self.story = self.tenant.story().await;
        self
    }

    async fn bring(&self, story: &str, reach: Reach) {
        bring(story, reach, &self.a1, &self.a2, &self.o).await;
    }

    async fn act(&self, who: &Caller, action: &str, body: Value) -> Reply {
        who.post(&format!("/stories/{}/{action}", self.story), body).await
    }

    async fn get(&self, what: &str) -> Value {
        self.tenant.user.get(&format!("/stories/{}{what}", self.story)).await.expect(200)
    }

    async fn show(&self) -> Value {
        self.get("").await["story"].clone()
    }

    /// The story's history in full, which must fit a page.
    async fn history(&self) -> Vec<Value> {
        let history = self.get("/history").await;
        assert!(history["meta"]["total_pages"].as_i64().unwrap() <= 1);
        history["data"].as_array().unwrap().clone()
    }

    /// Everything that a refused call must leave alone.
    async fn snapshot(&self) -> Value {
        json!([
            self.show().await,
            self.history().await,
            self.get("/verifications").await,
            self.get("/artifacts").await,
        ])
    }

    /// What [`Self::snapshot`] has of another story.
    async fn snapshot_of(&self, story: &str) -> Value {
        let mut parts = Vec::new();
        for what in ["", "/history", "/verifications", "/artifacts"] {
            parts.push(self.tenant.user.get(&format!("/stories/{story}{what}")).await.expect(200));
        }
        json!(parts)
    }

    /// An orchestrator key of the implementing agent.
    async fn own_orchestrator(&self) -> Caller {
        self.tenant.orchestrator_of(self.a1.agent()).await
    }

    async fn auto_reset(&self, on: bool) {
        let body = json!({"settings": {"auto_reset_on_rejection": on}});
        self.tenant.user.patch("/tenants/me", body).await.expect(200);
    }
}

/// A new project with stories 1.1 to 1.`count`; their ids in order.
pub(crate) async fn stories(tenant: &Tenant, count: usize) -> Vec<String> {
    let stories: Vec<_> = (1..=count).map(|minor| story(&format!("1.{minor}"))).collect();
    let project =
        tenant.imported(json!({"epics": [{"number": 1, "title": "Epic", "stories": stories}]})).await;
    let list = tenant.user.get(&format!("/stories?project_id={project}&limit=500")).await.expect(200);
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|story| text(&story["id"])).collect();
    assert_eq!(ids.len(), count);
    ids
}

fn review() -> Value {
    json!({"review_type": "enhanced"})
}

fn evidence() -> Value {
    json!({"review_type": "enhanced", "summary": "checked"})
}

/// The `error` of an answer about a story's state, with all its members in order.
#[track_caller]
pub(crate) fn refused(reply: Reply, status: u16, code: &str, action: &str, state: [&str; 2]) -> Value {
    let error = reply.expect_error(status, code);
    assert_eq!(error["current_state"], state[0], "{error:#}");
    assert_eq!(error["attempted_action"], action, "{error:#}");
    let context = &error["context"];
    assert_eq!(context["current_agent_status"], state[0], "{error:#}");
    assert_eq!(context["current_verified_status"], state[1], "{error:#}");
    assert_eq!(context["attempted_action"], action, "{error:#}");
    let hints = error["hints"].as_array().expect("hints");
    assert!(!hints.is_empty(), "{error:#}");
    for hint in hints {
        assert!(!hint.as_str().unwrap().trim().is_empty(), "{error:#}");
    }
    let remediation = &error["remediation"];
    for member in ["description", "next_action"] {
        assert!(!remediation[member].as_str().unwrap().is_empty(), "{error:#}");
    }
    let page = format!("http://loopctl.test/docs/errors#{code}");
    assert_eq!(remediation["learn_more"], page, "{error:#}");
    let message = error["message"].as_str().unwrap();
    if status == 409 && !code.starts_with("self_") {
        assert!(message.starts_with("Conflict"), "{message}");
        assert!(message.contains(&format!("Cannot {action}")), "{message}");
        for word in state {
            assert!(message.contains(&format!("'{word}'")), "{message}");
        }
    }
    error
}

/// The results of a bulk call's answer, which has nothing else unless every item has failed.
#[track_caller]
pub(crate) fn results(reply: Reply) -> Vec<Value> {
    let all_failed = reply.status == 422;
    let answer = reply.expect(if all_failed { 422 } else { 200 });
    let results = answer["results"].as_array().unwrap_or_else(|| panic!("results: {answer:#}")).clone();
    for result in &results {
        match result["status"].as_str().unwrap() {
            "success" => assert_eq!(result.as_object().unwrap().len(), 2, "{result:#}"),
            "error" => {
                for member in ["code", "reason"] {
                    assert!(!result[member].as_str().unwrap().is_empty(), "{result:#}");
                }
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(all_failed, results.iter().all(|result| result["status"] == "error"), "{answer:#}");
    if all_failed {
        assert_eq!(answer["error"]["code"], "nothing_processed");
    } else {
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer:#}");
    }
    results
}

/// `success`, or the code of the error, of each result.
#[track_caller]
fn outcomes(results: &[Value]) -> Vec<&str> {
    let word = |result: &'_ Value| if result["status"] == "success" { "status" } else { "code" };
    results.iter().map(|result| result[word(result)].as_str().unwrap()).collect()
}

/// The one result of a bulk call that was refused, with this code; its reason.
#[track_caller]
fn refused_item(result: &Value, code: &str) -> String {
    assert_eq!(result["status"], "error", "{result:#}");
    assert_eq!(result["code"], code, "{result:#}");
    text(&result["reason"])
}

/// What an array of entries has under `key`.
fn pluck(entries: &[Value], key: &str) -> Vec<String> {
    entries.iter().map(|entry| text(&entry[key])).collect()
}

/// The whole flow with nothing but Bearer keys.
#[tokio::test]
async fn a_story_goes_through_the_loop() {
    let scene = Scene::new().await;
    let Scene { a1, a2, o, story, .. } = &scene;
    let at = |action: &str| format!("/stories/{story}/{action}");

    let contracted = a1.post(&at("contract"), echo()).await.expect(200);
    assert_eq!(contracted["story"]["agent_status"], "contracted");
    assert_eq!(contracted["story"]["contracted_by_agent_id"], a1.agent());
    assert_eq!(contracted["next_actions"][0]["action"], "claim");

    let claimed = a1.post_empty(&at("claim")).await.expect(200);
    assert_eq!(claimed["story"]["agent_status"], "assigned");
    assert_eq!(claimed["story"]["assigned_agent_id"], a1.agent());
    assert!(claimed["story"]["assigned_at"].is_string());
    assert_eq!(claimed["story"]["first_claimed_at"], claimed["story"]["assigned_at"]);

    let started = a1.post_empty(&at("start-work")).await.expect(200);
    assert_eq!(started["story"]["agent_status"], "implementing");

    let requested = a1.post_empty(&at("request-review")).await.expect(200);
    assert_eq!(requested["story"]["agent_status"], "implementing");
    assert!(requested["story"]["review_requested_at"].is_string());

    let reported = a2.post(&at("report-done"), json!({"summary": "x"})).await.expect(200);
    assert_eq!(reported["story"]["agent_status"], "reported_done");
    assert_eq!(reported["story"]["verified_status"], "unverified");
    assert_eq!(reported["story"]["reported_by_agent_id"], a2.agent());
    assert_eq!(reported["story"]["assigned_agent_id"], a1.agent());
    assert!(reported["story"]["reported_done_at"].is_string());

    let body =
        json!({"review_type": "enhanced", "findings_count": 6, "fixes_count": 4, "disproved_count": 2});
    let review = a2.post(&at("review-complete"), body).await.expect(201);
    assert_eq!(review["review_record"]["reviewer_agent_id"], a2.agent());

    let body = json!({"result": "pass", "review_type": "enhanced", "summary": "All criteria met"});
    let verified = o.post(&at("verify"), body).await.expect(200);
    assert_eq!(verified["status"], "verified");
    assert_eq!(verified["story"]["verified_status"], "verified");
    assert!(verified["story"]["verified_at"].is_string());
    assert_eq!(verified.get("run_id"), Some(&Value::Null));
    assert_eq!(verified["next_actions"], json!([]));

    assert_eq!(scene.show().await["verified_status"], "verified");
    let actions = pluck(&scene.history().await, "action");
    assert_eq!(
        actions,
        [
            "created",
            "status_changed",
            "status_changed",
            "status_changed",
            "review_requested",
            "status_changed",
            "review_completed",
            "created",
            "verified"
        ]
    );
    replay::assert_legal(o, story).await;
}
