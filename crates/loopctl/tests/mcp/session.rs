//! A process of `loopctl mcp`, spoken to line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::recorder::Recorder;

/// The keys of everybody, each of which says whose it is.
pub(crate) const KEYS: &[(&str, &str)] =
    &[("LOOPCTL_ORCH_KEY", "ORCH"), ("LOOPCTL_AGENT_KEY", "AGENT"), ("LOOPCTL_USER_KEY", "USER")];
/// The catalogue of old.
pub(crate) const ALL: (&str, &str) = ("LOOPCTL_MCP_TOOLS", "all");

pub(crate) struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last: i64,
}

/// What a tool answered.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) is_error: bool,
    pub(crate) structured: Value,
    /// What is said beside the text.
    pub(crate) note: Value,
    /// What stands apart from the answer.
    pub(crate) meta: Value,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Session {
    pub(crate) fn start(server: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loopctl"))
            .arg("mcp")
            .env_clear()
            .env("LOOPCTL_SERVER", server)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), child, output, last: 0 }
    }

    /// With everybody's keys and all tools.
    pub(crate) fn of(recorder: &Recorder, more: &[(&str, &str)]) -> Self {
        let environment: Vec<_> = KEYS.iter().chain([&ALL]).chain(more).copied().collect();
        Self::start(&recorder.address, &environment)
    }

    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
    }

    /// A request, and its answer.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        self.send(
            &json!({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}).to_string(),
        );
        let answer = self.read();
        assert_eq!(answer["id"], self.last, "{answer}");
        answer
    }

    /// Calls a tool.
    pub(crate) fn call(&mut self, name: &str, arguments: &Value) -> Told {
        let answer = self.ask("tools/call", &json!({"name": name, "arguments": arguments}));
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let is_error = result["isError"].as_bool().unwrap_or(false);
        let note = result["content"][1]["text"].clone();
        let (structured, meta) = (result["structuredContent"].clone(), result["_meta"].clone());
        Told { text, is_error, structured, note, meta }
    }

    /// Closes the input; the exit code, and what was said beside the protocol.
    pub(crate) fn end(mut self) -> (i32, String) {
        self.input = None;
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code().unwrap(), said)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
