//! Tools that are more than one call.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Desk, key_of, next, shape};
use crate::api::{Api, Call, KeyFor, Reply};
use crate::arguments::{Arguments, Wrong};
use crate::catalogue::{Run, Shape};
use crate::instructions;
use crate::seats::Seat;

/// How long a tool waits: clients give a call a minute.
const PATIENCE: Duration = Duration::from_secs(50);
/// How often it looks meanwhile.
const PAUSE: Duration = Duration::from_secs(2);
/// Stories of a project that are looked through for one that waits for somebody.
const LOOKED_THROUGH: &str = "100";
/// Of how many of them it is asked what can be done.
const LOOKED_AT: usize = 20;

/// What a tool of our own comes to.
pub(super) enum Told {
    /// What the API answered.
    Reply(Reply, Shape),
    /// What we say ourselves, and whether it is a refusal.
    Said(Value, bool),
}

impl Told {
    /// In the form of the API's answers.
    pub(super) fn into_reply(self) -> Reply {
        match self {
            Self::Reply(reply, _) => reply,
            Self::Said(body, false) => Reply { status: 200, body },
            Self::Said(body, true) => Reply { status: 0, body: body["error"]["message"].clone() },
        }
    }
}

impl<A: Api> Desk<A> {
    pub(super) async fn own(&self, run: Run, arguments: &Arguments, seats: &[Seat]) -> Told {
        match run {
            Run::Call(call) => {
                Told::Reply(self.make(call(arguments, self.api.settings())).await, Shape::Whole)
            }
            Run::Export(call) => match (call(arguments), arguments.text("save_to")) {
                (Err(Wrong(why)), _) => Told::Said(shape::said(&why), true),
                (Ok(call), Some(path)) => Told::Reply(self.api.save(call, path).await, Shape::Whole),
                (Ok(call), None) => Told::Said(command(&call, &self.api.settings().server), false),
            },
            Run::NextStory => self.next_story(arguments).await,
            Run::NextReview => self.next_review(arguments).await,
            Run::ContractAndClaim => self.contract_and_claim(arguments).await,
            Run::WaitForStory => self.wait(arguments, seats).await,
            Run::SkillResult => self.skill_result(arguments).await,
            Run::Help => Told::Said(instructions::help(arguments.text("code"), seats), false),
        }
    }

    /// What they hold already and can go on with; else the first that is ready, after the one that they pass over.
    async fn next_story(&self, arguments: &Arguments) -> Told {
        let held = Call::get(KeyFor::Agent, "/stories")
            .query("held_by", Some("me".to_owned()))
            .query("limit", Some(LOOKED_AT.to_string()));
        let held = self.api.call(held).await;
        // A key that is no agent's holds nothing.
        if !held.is_ok() && held.status != 400 {
            return Told::Reply(held, Shape::Story);
        }
        let passed = arguments.text("after");
        let mine = stories_of(&held).filter(|story| Some(*story) != passed);
        if let Some(told) = self.first_for(Seat::Implementer, mine).await {
            return told;
        }
        let project = match self.project(arguments).await {
            Ok(project) => project,
            Err(said) => return Told::Said(said, true),
        };
        let ready = Call::get(KeyFor::Agent, "/stories/ready")
            .query("project_id", Some(project))
            .query("limit", Some(if passed.is_some() { LOOKED_THROUGH } else { "1" }.to_owned()));
        let reply = self.api.call(ready).await;
        if !reply.is_ok() {
            return Told::Reply(reply, Shape::Story);
        }
        let ids: Vec<&str> = stories_of(&reply).collect();
        match ids.get(behind(&ids, passed)) {
            Some(id) => self.read(KeyFor::Agent, id).await,
            None => Told::Said(
                json!({"story": null, "message": "Nothing is ready: stop, or ask again later."}),
                false,
            ),
        }
    }

    async fn read(&self, key: KeyFor, id: &str) -> Told {
        Told::Reply(self.story(key, id).await, Shape::Story)
    }

    /// The first of these stories in which there is something to do for who sits here.
    async fn first_for<'a>(&self, seat: Seat, ids: impl Iterator<Item = &'a str>) -> Option<Told> {
        for id in ids.take(LOOKED_AT) {
            let reply = self.story(key_of(&[seat]), id).await;
            if reply.is_ok() && next::own_step(&reply.body, &[seat]).is_some() {
                return Some(Told::Reply(reply, Shape::Story));
            }
        }
        None
    }

    async fn next_review(&self, arguments: &Arguments) -> Told {
        let project = match self.project(arguments).await {
            Ok(project) => project,
            Err(said) => return Told::Said(said, true),
        };
        // What is reported waits for a review; what is asked for waits for a report.
        let mut waiting = Vec::new();
        for status in ["reported_done", "implementing"] {
            let call = Call::get(KeyFor::Reviewer, "/stories")
                .query("project_id", Some(project.clone()))
                .query("agent_status", Some(status.to_owned()))
                .query("limit", Some(LOOKED_THROUGH.to_owned()));
            let reply = self.api.call(call).await;
            if !reply.is_ok() {
                return Told::Reply(reply, Shape::Stories);
            }
            let stories = reply.body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            let asked = stories.iter().filter(|story| !story["review_requested_at"].is_null());
            waiting.extend(asked.filter_map(|story| story["id"].as_str()).map(str::to_owned));
        }
        let ids: Vec<&str> = waiting.iter().map(String::as_str).collect();
        let from = behind(&ids, arguments.text("after"));
        // Their own work, or what has its review already, is not theirs to look at.
        self.first_for(Seat::Reviewer, ids.into_iter().skip(from)).await.unwrap_or_else(|| {
            Told::Said(
                json!({"story": null, "message": "Nothing waits for a review: stop, or ask again later."}),
                false,
            )
        })
    }

    async fn contract_and_claim(&self, arguments: &Arguments) -> Told {
        let steps = |step: &str| -> Result<Call, Wrong> {
            Ok(Call::post(KeyFor::Agent, format!("/stories/{}/{step}", arguments.id("story_id")?)))
        };
        let body = Value::Object(arguments.some_of(&["story_title", "ac_count"]));
        let contracted = self.make(steps("contract").map(|call| call.body(body))).await;
        // Contracted before, as when a lost answer makes somebody ask again: claiming decides.
        let was_before = contracted.body["error"]["current_state"] == "contracted";
        if !contracted.is_ok() && !was_before {
            return Told::Reply(contracted, Shape::Step);
        }
        if was_before {
            // Whoever takes it has read it nevertheless.
            let read = match arguments.id("story_id") {
                Ok(id) => self.story(KeyFor::Agent, &id).await,
                Err(Wrong(why)) => return Told::Said(shape::said(&why), true),
            };
            if !read.is_ok() {
                return Told::Reply(read, Shape::Step);
            }
            let (story, count) = (&read.body["story"], arguments.integer("ac_count"));
            let counted =
                story["acceptance_criteria"].as_array().and_then(|all| i64::try_from(all.len()).ok());
            let is_title =
                story["title"].as_str().map(str::trim) == arguments.text("story_title").map(str::trim);
            if !(is_title && counted == count) {
                let hints = [
                    "Read the story (get_story) and send its exact title and number of acceptance criteria.",
                ];
                let error = json!({"status": 422, "code": "contract_mismatch", "hints": hints,
                                   "message": "story_title and ac_count are not what the story says"});
                return Told::Reply(Reply { status: 422, body: json!({"error": error}) }, Shape::Step);
            }
        }
        Told::Reply(self.make(steps("claim")).await, Shape::Step)
    }

    /// Of the verification that is named, or else of the story's newest one.
    async fn skill_result(&self, arguments: &Arguments) -> Told {
        let names = ["skill_version_id", "story_id", "verification_result_id"];
        let wrong = names
            .into_iter()
            .filter(|name| arguments.value(name).is_some())
            .find_map(|name| arguments.id(name).err());
        if let Some(Wrong(why)) = wrong {
            return Told::Said(shape::said(&why), true);
        }
        let mut body = arguments.some_of(&names);
        body.extend(arguments.some_of(&["metrics"]));
        if !body.contains_key("verification_result_id") {
            let path = format!("/stories/{}/verifications", arguments.text("story_id").unwrap_or_default());
            let newest = Call::get(KeyFor::Orchestrator, path).query("page_size", Some("1".to_owned()));
            let reply = self.api.call(newest).await;
            if !reply.is_ok() {
                return Told::Reply(reply, Shape::Whole);
            }
            let Some(id) = reply.body["data"][0]["id"].as_str() else {
                let none =
                    "This story was not verified or rejected yet: verify_story or reject_story comes first.";
                return Told::Said(shape::said(none), true);
            };
            body.insert("verification_result_id".to_owned(), json!(id));
        }
        let call = Call::post(KeyFor::Orchestrator, "/skill_results").body(Value::Object(body));
        Told::Reply(self.api.call(call).await, Shape::Whole)
    }

    async fn wait(&self, arguments: &Arguments, seats: &[Seat]) -> Told {
        let id = match arguments.id("story_id") {
            Ok(id) => id,
            Err(Wrong(why)) => return Told::Said(shape::said(&why), true),
        };
        let until_settled = arguments.text("until") == Some("settled");
        let (began, mut first) = (tokio::time::Instant::now(), None);
        loop {
            let reply = self.story(key_of(seats), &id).await;
            let is_over = began.elapsed() + PAUSE > PATIENCE;
            // Who asks too often is told so at the end, and goes on then.
            if reply.status == 429 && !is_over {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if !reply.is_ok() || is_over {
                return Told::Reply(reply, Shape::Step);
            }
            let story = &reply.body["story"];
            let now = json!([story["agent_status"], story["verified_status"], story["review_requested_at"]]);
            let has_moved = first.as_ref().is_some_and(|before| *before != now);
            // What was rejected before goes on; what is verified does not.
            let verdict = &story["verified_status"];
            let is_settled = verdict == "verified" || has_moved && verdict == "rejected";
            // Nobody else will move what waits for their own verdict.
            let is_theirs =
                next::after(&reply.body, seats).is_some_and(|next| next["tool"] == "verify_story");
            if is_settled || (has_moved || is_theirs) && !until_settled {
                return Told::Reply(reply, Shape::Step);
            }
            first.get_or_insert(now);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What somebody types in a shell, to whom no archive is shown.
fn command(call: &Call, server: &str) -> Value {
    let endpoint = format!("{}{}", server.trim_end_matches('/'), call.target());
    let command = format!(
        "curl -f -H \"Authorization: Bearer $LOOPCTL_ORCH_KEY\" -H \"X-Loopctl-STH-Bootstrap: true\" \"{endpoint}\" \
         -o knowledge-export.zip"
    );
    let message =
        "Run the command with an orchestrator's key: it writes all published articles as Markdown, in a ZIP.";
    json!({"message": message, "command": command, "endpoint": endpoint})
}

/// The ids of a list of stories, or of a queue.
fn stories_of(reply: &Reply) -> impl Iterator<Item = &str> {
    let data = reply.body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    data.iter().filter_map(|story| story["id"].as_str())
}

/// Where a list goes on behind a story that was passed over: at its begin where that is not in it any more.
fn behind(ids: &[&str], passed: Option<&str>) -> usize {
    ids.iter().position(|id| Some(*id) == passed).map_or(0, |place| place + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::api::Settings;
    use crate::seats::Toolset;

    /// A story of which something becomes while it is looked at.
    #[derive(Clone)]
    struct Moving(Arc<(Settings, Vec<Value>, AtomicUsize)>);

    impl Api for Moving {
        async fn call(&self, _: Call) -> Reply {
            let at = self.0.2.fetch_add(1, Ordering::Relaxed).min(self.0.1.len() - 1);
            Reply { status: 200, body: self.0.1[at].clone() }
        }

        fn settings(&self) -> &Settings {
            &self.0.0
        }
    }

    fn story(agent_status: &str, verified_status: &str, actions: &[&str]) -> Value {
        let actions: Vec<_> =
            actions.iter().map(|action| json!({"action": action, "required_body": {}})).collect();
        json!({"story": {"id": "01a22871-b297-7640-ab02-e45d52bc3c0a", "agent_status": agent_status,
                         "verified_status": verified_status, "review_requested_at": null},
               "next_actions": actions})
    }

    /// How long an orchestrator waits, and for which next call.
    async fn waited(stories: &[&Value], until: &str) -> (u64, Value) {
        let api = Moving(Arc::new((
            Settings::default(),
            stories.iter().copied().cloned().collect(),
            AtomicUsize::new(0),
        )));
        let desk = Desk::new(api, Toolset::Of(vec![Seat::Orchestrator]));
        let sent = json!({"story_id": "01a22871-b297-7640-ab02-e45d52bc3c0a", "until": until});
        let began = tokio::time::Instant::now();
        let answer = desk.call("wait_for_story", sent.as_object().unwrap()).await.unwrap();
        assert!(!answer.is_error, "{}", answer.text);
        (began.elapsed().as_secs(), answer.structured.unwrap()["next"]["tool"].clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_there_is_something_to_do() {
        let working = story("implementing", "unverified", &["reject"]);
        let reported = story("reported_done", "unverified", &["review-complete"]);
        let reviewed = story("reported_done", "unverified", &["verify", "reject"]);
        let verified = story("reported_done", "verified", &[]);

        let (seconds, next) = waited(&[&working], "moved").await;
        assert!((45..55).contains(&seconds), "{seconds}");
        assert_eq!(next, "wait_for_story");
        let (seconds, _) = waited(&[&reported], "moved").await;
        assert!((45..55).contains(&seconds), "a reviewer may be at it: {seconds}");
        assert_eq!(waited(&[&working, &reported], "moved").await, (2, json!("review_complete")));
        assert_eq!(waited(&[&reviewed], "moved").await, (0, json!("verify_story")));
        assert_eq!(waited(&[&reported, &reviewed], "moved").await, (2, json!("verify_story")));
        let (seconds, _) = waited(&[&reviewed], "settled").await;
        assert!((45..55).contains(&seconds), "somebody else verifies: {seconds}");
        assert_eq!(waited(&[&reviewed, &verified], "settled").await, (2, json!("list_ready_stories")));
        assert_eq!(waited(&[&verified], "moved").await.0, 0);
    }
}
