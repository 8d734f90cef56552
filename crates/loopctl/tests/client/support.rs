//! A home directory, a tiny HTTP server with canned answers, and the built binary between them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path without query.
    pub(crate) path: String,
    /// The query, not decoded.
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `POST /api/v1/x?merge=true`
    pub(crate) fn line(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("{} {}{query}", self.method, self.path)
    }
}

/// Pause in milliseconds between the parts of an answer's body; no header that is sent.
pub(crate) const DRIP: &str = "Drip";
/// Server-sent events instead of a body.
pub(crate) const EVENTS: &str = "events";

/// Said where an answer is no JSON.
pub(crate) const CONTENT_TYPE: &str = "Content-Type";

/// A status that is none: the server hangs up without a word.
pub(crate) const NO_ANSWER: u16 = 0;

/// An answer: status, further headers, body.
pub(crate) struct Answer(pub(crate) u16, pub(crate) Vec<(&'static str, String)>, pub(crate) Value);

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self(200, Vec::new(), body)
    }
}

impl From<(u16, Value)> for Answer {
    fn from((status, body): (u16, Value)) -> Self {
        Self(status, Vec::new(), body)
    }
}

/// The error envelope.
pub(crate) fn error(status: u16, message: &str) -> Answer {
    (status, json!({"error": {"status": status, "message": message}})).into()
}

/// A logged-in user: configuration, server, recorded requests.
pub(crate) struct World {
    home: TempDir,
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is no JSON ({error}): {self:?}"))
    }
}

impl World {
    /// Starts a server and a home directory that is logged in to it.
    pub(crate) fn new(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    if let Some(request) = read(&stream) {
                        seen.lock().unwrap().push(request.clone());
                        write(&stream, &answer(&request));
                    }
                });
            }
        });
        let world = Self { home: tempfile::tempdir().unwrap(), address, requests };
        world.configure(&json!({"server": world.address, "api_key": "lc_secret_of_the_test"}));
        world
    }

    /// A home directory that was never used; the server answers 500 to everything.
    pub(crate) fn unconfigured() -> Self {
        let world = Self::new(|_| error(500, "nobody should ask"));
        std::fs::remove_file(world.config_path()).unwrap();
        world
    }

    pub(crate) fn configure(&self, content: &Value) {
        std::fs::create_dir_all(self.config_path().parent().unwrap()).unwrap();
        std::fs::write(self.config_path(), content.to_string()).unwrap();
    }

    pub(crate) fn config_path(&self) -> std::path::PathBuf {
        self.home.path().join(".loopctl/config.json")
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The lines of all requests so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    /// Runs `loopctl` with blank-separated words; `+` in a word stands for a blank.
    pub(crate) fn run(&self, words: &str) -> Run {
        self.run_with(words, &[], "")
    }

    pub(crate) fn run_with(&self, words: &str, environment: &[(&str, &str)], stdin: &str) -> Run {
        let arguments = words.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace('+', " "));
        self.run_words(&arguments.collect::<Vec<_>>(), environment, stdin)
    }

    /// The binary in this home directory.
    pub(crate) fn command(&self, arguments: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopctl"));
        command.args(arguments.iter().map(AsRef::as_ref)).env_clear().env("HOME", self.home.path());
        command
    }

    pub(crate) fn run_words(
        &self,
        arguments: &[impl AsRef<str>],
        environment: &[(&str, &str)],
        stdin: &str,
    ) -> Run {
        let mut child = self
            .command(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut request =
        Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: Value::Null };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(request)
}

fn write(mut stream: &TcpStream, Answer(status, headers, body): &Answer) {
    if *status == NO_ANSWER {
        return;
    }
    let body = body.to_string();
    let length = ("Content-Length", body.len().to_string());
    // An answer may promise more than it holds.
    let length = (!headers.iter().any(|(name, _)| *name == length.0)).then_some(&length);
    let drip = headers.iter().find(|(name, _)| *name == DRIP).and_then(|(_, pause)| pause.parse().ok());
    // Events are sent as they are written.
    let events = headers.iter().find(|(name, _)| *name == EVENTS).map(|(_, events)| events.clone());
    if let Some(events) = events {
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{events}"
        );
        return;
    }
    let json = (CONTENT_TYPE, "application/json".to_owned());
    let json = (!headers.iter().any(|(name, _)| *name == json.0)).then_some(&json);
    let headers = headers.iter().filter(|(name, _)| *name != DRIP).chain(length).chain(json);
    let headers = headers.map(|(name, value)| format!("{name}: {value}\r\n"));
    let _ = write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n{}\r\n", headers.collect::<String>());
    for part in body.as_bytes().chunks(body.len().div_ceil(if drip.is_some() { 5 } else { 1 }).max(1)) {
        if stream.write_all(part).is_err() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(drip.unwrap_or(0)));
    }
}
