//! What the loop costs models that go through it with the tools of `loopctl mcp`, in tokens of o200k, and that the documents say the
//! same. Printed is the table of docs/mcp.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy knows only test functions")]

#[allow(dead_code, reason = "there it is asked for more than here")]
#[path = "server/support.rs"]
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};
use support::{Daemon, Scratch, command, run, run_on};

/// Of what a role is told before it calls anything, and of what one answer may say.
const MOST: [(&str, usize); 4] =
    [("implementer", 1500), ("reviewer", 1500), ("orchestrator", 2500), ("everything", 4500)];
const MOST_OF_AN_ANSWER: usize = 400;
/// Of all that three models read and write until a story is verified: lists, instructions, calls and answers.
const MOST_OF_THE_LOOP: usize = 6000;
/// How far figures in documents may be from what is measured.
const TOLERANCE: f64 = 0.1;

/// Ids and times are others each time, and so many tokens more or less.
static VARIES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap()
});

fn tokens(text: &str) -> usize {
    let same = VARIES.replace_all(text, |found: &regex::Captures<'_>| {
        if found[0].contains('T') {
            "2026-11-29T10:13:30.169872Z"
        } else {
            "01a22871-b297-7640-ab02-e45d52bc3c0a"
        }
    });
    tiktoken_rs::o200k_base_singleton().encode_with_special_tokens(&same).len()
}

/// A line of the table.
#[derive(Debug)]
struct Row {
    what: String,
    written: usize,
    read: usize,
}

/// Somebody with tools.
struct Seated {
    role: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Seated {
    fn new(role: &'static str, environment: &[(&str, &str)]) -> Self {
        let mut child = command("mcp", environment).stdin(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { role, child, input, output, asked: 0 }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params});
        writeln!(self.input, "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(answer["error"].is_null(), "{request} {line}");
        answer["result"].take()
    }

    /// What is read before anything is called.
    fn begin(&mut self) -> [Row; 2] {
        let client = json!({"protocolVersion": "2025-11-25", "capabilities": {},
                            "clientInfo": {"name": "tokens", "version": "1"}});
        let instructions = self.ask("initialize", &client)["instructions"].as_str().unwrap().to_owned();
        let listed = self.ask("tools/list", &json!({}));
        let count = listed["tools"].as_array().unwrap().len();
        [
            Row {
                what: format!("{}: {count} tools", self.role),
                written: 0,
                read: tokens(&listed.to_string()),
            },
            Row { what: format!("{}: instructions", self.role), written: 0, read: tokens(&instructions) },
        ]
    }

    fn list(&mut self) -> Row {
        let listed = self.ask("tools/list", &json!({}));
        let count = listed["tools"].as_array().unwrap().len();
        Row { what: format!("{}: {count} tools", self.role), written: 0, read: tokens(&listed.to_string()) }
    }

    fn call(&mut self, tool: &str, arguments: &Value, is_refused: bool) -> (Row, Value) {
        let call = json!({"name": tool, "arguments": arguments});
        let result = self.ask("tools/call", &call);
        assert_eq!(result["isError"].as_bool().unwrap_or(false), is_refused, "{call} {result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let refused = if is_refused { ", refused" } else { "" };
        let row = Row {
            what: format!("{}: `{tool}`{refused}", self.role),
            written: tokens(&call.to_string()),
            read: tokens(text),
        };
        (row, serde_json::from_str(text).unwrap())
    }

    /// Does what the answers say, so many times.
    fn follow(&mut self, mut tool: String, mut arguments: Value, calls: usize) -> (Vec<Row>, Value) {
        let (mut rows, mut told) = (Vec::new(), Value::Null);
        for _ in 0..calls {
            let (row, answer) = self.call(&tool, &arguments, false);
            rows.push(row);
            let next = &answer["next"];
            (tool, arguments) =
                (next["tool"].as_str().unwrap_or_default().to_owned(), next["arguments"].clone());
            for name in next["fill"].as_array().into_iter().flatten() {
                arguments[name.as_str().unwrap()] = json!("every criterion was checked by its test");
            }
            told = answer;
        }
        (rows, told)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tenant with a backlog, and a key for each role.
fn keys(dir: &Scratch, server: &str) -> [String; 3] {
    let made =
        run_on(dir.path(), "operator tenant create --name Tokens --slug tokens --email t@tokens.example");
    let owner = made.json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let with = |key: &str, words: &str| {
        run(words, &[("LOOPCTL_SERVER", server), ("LOOPCTL_API_KEY", key), ("LOOPCTL_FORMAT", "json")]).json()
    };
    let key = |name: &str, more: &str| {
        let made = with(&owner, &format!("keys create --name {name} {more}"));
        made["api_key"]["raw_key"].as_str().unwrap().to_owned()
    };
    let agent = |name: &str, kind: &str| {
        let key = key(name, "--role agent");
        let made = with(&key, &format!("agent register --name {name} --type {kind}"));
        (key, made["agent"]["id"].as_str().unwrap().to_owned())
    };
    let (implementer, _) = agent("alice", "implementer");
    let (reviewer, _) = agent("bob", "reviewer");
    let (_, lead) = agent("lead", "orchestrator");
    let orchestrator = key("lead-key", &format!("--role orchestrator --agent {lead}"));
    with(&owner, "project create Shedshare");
    let plan = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/backlog.json");
    with(&owner, &format!("import {plan} --project shedshare"));
    [implementer, reviewer, orchestrator]
}

fn loop_of_a_story(server: &str, [implementer, reviewer, orchestrator]: &[String; 3]) -> Vec<Row> {
    let mut rows = Vec::new();
    let seat =
        |role, variable, key: &String| Seated::new(role, &[("LOOPCTL_SERVER", server), (variable, key)]);

    let mut lead = seat("orchestrator", "LOOPCTL_ORCH_KEY", orchestrator);
    rows.extend(lead.begin());
    let (row, ready) = lead.call("list_ready_stories", &json!({}), false);
    assert!(!ready["stories"].as_array().unwrap().is_empty(), "{ready}");
    rows.push(row);

    let mut alice = seat("implementer", "LOOPCTL_AGENT_KEY", implementer);
    rows.extend(alice.begin());
    let (steps, told) = alice.follow("next_story".to_owned(), json!({}), 4);
    let story = told["story"]["id"].clone();
    assert!(!told["story"]["review_requested_at"].is_null(), "{told}");
    rows.extend(steps);
    let used = json!({"story_id": story, "input_tokens": 12000, "output_tokens": 3400, "model_name": "a-model",
                      "cost_millicents": 8000});
    rows.push(alice.call("report_token_usage", &used, false).0);
    let (row, refused) = alice.call("report_story", &json!({"story_id": story}), true);
    assert_eq!(refused["error"]["code"], "self_report_blocked", "{refused}");
    rows.push(row);

    let mut bob = seat("reviewer", "LOOPCTL_REVIEWER_KEY", reviewer);
    rows.extend(bob.begin());
    let (steps, told) = bob.follow("next_review".to_owned(), json!({}), 3);
    assert_eq!(told["review"]["story_id"], story, "{told}");
    rows.extend(steps);

    let (steps, told) = lead.follow("get_story".to_owned(), json!({"story_id": story}), 2);
    assert_eq!(told["story"]["verified_status"], "verified", "{told}");
    rows.extend(steps);
    rows.push(lead.call("get_progress", &json!({}), false).0);
    rows
}

/// The list of every tool, for whoever asks for it.
fn everything(server: &str, [_, _, orchestrator]: &[String; 3]) -> Row {
    let all = [
        ("LOOPCTL_SERVER", server),
        ("LOOPCTL_ORCH_KEY", orchestrator.as_str()),
        ("LOOPCTL_MCP_TOOLS", "all"),
    ];
    let mut row = Seated::new("everything", &all).list();
    row.what.push_str(", instead of a role's");
    row
}

fn table(rows: &[Row]) -> String {
    let count = |count: usize| if count == 0 { String::new() } else { format!(" {count}") };
    let line = |row: &Row| format!("| {} |{} | {} |\n", row.what, count(row.written), row.read);
    format!("| what | written | read |\n|---|---|---|\n{}", rows.iter().map(line).collect::<String>())
}

/// What the documents say of the same, where it is not the same.
fn outdated(document: &str, rows: &[Row]) -> Vec<String> {
    let is_near = |told: Option<&str>, measured: usize| {
        let told = told.and_then(|told| told.trim().parse::<u32>().ok()).map_or(0.0, f64::from);
        let measured = f64::from(u32::try_from(measured).unwrap());
        (told - measured).abs() <= (measured * TOLERANCE).max(5.0)
    };
    let wrong = rows.iter().filter(|row| {
        let line = document.lines().find_map(|line| line.strip_prefix(&format!("| {} |", row.what)));
        let mut told = line.unwrap_or_default().split('|');
        !(is_near(told.next(), row.written) && is_near(told.next(), row.read))
    });
    wrong.map(|row| format!("{row:?}")).collect()
}

#[test]
fn the_loop_costs_what_is_written() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let keys = keys(&dir, &server.base);
    let mut rows = loop_of_a_story(&server.base, &keys);
    let total = rows.iter().map(|row| row.written + row.read).sum();
    rows.push(Row { what: "all of it".to_owned(), written: 0, read: total });
    rows.push(everything(&server.base, &keys));
    println!("{}", table(&rows));
    for (role, most) in MOST {
        let row = rows.iter().find(|row| row.what.starts_with(role) && row.what.contains(" tools")).unwrap();
        assert!((300..=most).contains(&row.read), "{row:?}: at most {most}");
    }
    for row in rows.iter().filter(|row| row.written > 0) {
        assert!((1..=MOST_OF_AN_ANSWER).contains(&row.read), "{row:?}: at most {MOST_OF_AN_ANSWER}");
    }
    assert!(total <= MOST_OF_THE_LOOP, "{total}: at most {MOST_OF_THE_LOOP}");
    let outdated = outdated(include_str!("../../../docs/mcp.md"), &rows);
    assert!(
        outdated.is_empty(),
        "docs/mcp.md says otherwise: {outdated:#?}\nbin/mcp-tokens prints its table"
    );
}
