//! A tenant of a test with its people: their commands, and what its server says.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::shared::TestServer;
use crate::support::{Run, call, command};

/// A tenant on the shared server, and a directory in which its commands are typed.
pub(super) struct Team {
    pub(super) server: Arc<TestServer>,
    directory: TempDir,
    pub(super) slug: String,
    pub(super) id: String,
    keys: BTreeMap<&'static str, String>,
}

impl Team {
    /// A tenant with its first key alone, that of `user`.
    pub(super) fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let server = TestServer::together();
        let slug = format!("accepts-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let made = server.operate(&format!(
            "operator tenant create --name {slug} --slug {slug} --email {slug}@accepts.test"
        ));
        let made = made.json();
        let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        Self {
            server,
            directory: tempfile::tempdir().unwrap(),
            slug,
            id: text("/tenant/id"),
            keys: BTreeMap::from([("user", text("/api_key/raw_key"))]),
        }
    }

    /// With two implementers, `alice` and `bob`, and an orchestrator, `lead`.
    pub(super) fn staffed() -> Self {
        let mut team = Self::new();
        for (name, kind) in [("alice", "implementer"), ("bob", "implementer"), ("boss", "orchestrator")] {
            team.keys.insert(name, team.new_key(&json!({"name": name, "role": "agent"})));
            team.sent(name, "POST", "/agents/register", &json!({"name": name, "agent_type": kind}));
        }
        let agents = team.get("/agents");
        let agents = agents["data"].as_array().or_else(|| agents["agents"].as_array()).unwrap();
        let boss = agents.iter().find(|agent| agent["name"] == "boss").unwrap()["id"].clone();
        let lead = team.new_key(&json!({"name": "lead", "role": "orchestrator", "agent_id": boss}));
        team.keys.insert("lead", lead);
        team
    }

    /// With a superadmin, `root`, who is of no tenant.
    pub(super) fn with_root(mut self) -> Self {
        let made = self.server.operate("operator superadmin create-key --name root").json();
        self.keys.insert("root", made["api_key"]["raw_key"].as_str().unwrap().to_owned());
        self
    }

    fn new_key(&self, key: &Value) -> String {
        self.sent("user", "POST", "/api_keys", key)["api_key"]["raw_key"].as_str().unwrap().to_owned()
    }

    pub(super) fn key(&self, who: &str) -> &str {
        &self.keys[who]
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file below the directory.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.directory().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A command of somebody's: blank-separated words, in which `+` is a blank.
    pub(super) fn command(&self, who: &str, words: &str) -> Command {
        let home = self.directory().to_str().unwrap();
        let environment =
            [("HOME", home), ("LOOPCTL_SERVER", self.server.base()), ("LOOPCTL_API_KEY", self.key(who))];
        let mut command = command("", &environment);
        command.args(words.split_whitespace().map(|word| word.replace('+', " ")));
        command.current_dir(self.directory());
        command
    }

    pub(super) fn run(&self, who: &str, words: &str) -> Run {
        Run::of(self.command(who, words).output().unwrap())
    }

    /// With something on its standard input.
    pub(super) fn run_with(&self, who: &str, words: &str, input: &str) -> Run {
        let mut child = self.command(who, words).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Run::of(child.wait_with_output().unwrap())
    }

    /// Without a server and a key: what counts is what is stored, and what is typed.
    pub(super) fn run_unset(&self, words: &str) -> Run {
        let mut command = self.command("user", words);
        command.env_remove("LOOPCTL_SERVER").env_remove("LOOPCTL_API_KEY");
        Run::of(command.output().unwrap())
    }

    /// What the server says.
    pub(super) fn call(&self, who: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}/api/v1{path}", self.server.base());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(call(method, &url, Some(self.key(who)), body)).unwrap()
    }

    /// What the tenant's owner is shown.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("user", "GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The rows of a list that fits a page.
    #[track_caller]
    pub(super) fn rows(&self, path: &str) -> Vec<Value> {
        self.get(path)["data"].as_array().unwrap_or_else(|| panic!("a list: {path}")).clone()
    }

    /// What comes of a change that succeeds.
    #[track_caller]
    pub(super) fn sent(&self, who: &str, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(who, method, path, Some(body));
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A project with these stories in an epic each, by the part of the number before the point; its id.
    pub(super) fn project(&self, slug: &str, numbers: &[&str]) -> String {
        let made = self.sent("user", "POST", "/projects", &json!({"name": slug, "slug": slug}));
        let id = made["project"]["id"].as_str().unwrap().to_owned();
        let mut epics: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for number in numbers {
            let epic = number.split('.').next().unwrap();
            epics.entry(epic).or_default().push(json!({"number": number, "title": format!("Story {number}"),
                "acceptance_criteria": [{"id": "AC-1", "description": "works"}]}));
        }
        let epics = epics.into_iter().map(
            |(number, stories)| json!({"number": number, "title": format!("Epic {number}"), "stories": stories}),
        );
        let plan = json!({"epics": epics.collect::<Vec<_>>()});
        self.sent("user", "POST", &format!("/projects/{id}/import"), &plan);
        id
    }

    /// A story as the server has it.
    #[track_caller]
    pub(super) fn story(&self, project: &str, number: &str) -> Value {
        let rows = self.rows(&format!("/stories?project_id={project}&number={number}"));
        rows.into_iter().next().unwrap_or_else(|| panic!("story {number}"))
    }

    pub(super) fn story_id(&self, project: &str, number: &str) -> String {
        self.story(project, number)["id"].as_str().unwrap().to_owned()
    }

    /// Alice works on a story until her part is done.
    pub(super) fn implement(&self, project: &str, number: &str) -> String {
        let id = self.story_id(project, number);
        let contract = json!({"story_title": format!("Story {number}"), "ac_count": 1});
        for (step, body) in [("contract", contract), ("claim", json!({})), ("start", json!({}))] {
            self.sent("alice", "POST", &format!("/stories/{id}/{step}"), &body);
        }
        id
    }

    /// And Bob reports it as done.
    pub(super) fn report(&self, project: &str, number: &str) -> String {
        let id = self.implement(project, number);
        self.sent("bob", "POST", &format!("/stories/{id}/report"), &json!({}));
        id
    }

    /// What a story has used, as Alice tells it.
    pub(super) fn use_up(&self, story: &str, input: u64, output: u64, cost: u64) -> Value {
        let usage = json!({"story_id": story, "input_tokens": input, "output_tokens": output, "model_name": "m",
            "cost_millicents": cost});
        self.sent("alice", "POST", "/token-usage", &usage)["token_usage_report"].clone()
    }
}
