//! The HTTP API as tools see it: calls that they make of it, and what comes back. Whoever runs them decides how they get there.

use serde_json::{Value, json};

/// Whose key a call is made with, where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFor {
    /// Everybody may.
    Anyone,
    /// Somebody who works on stories.
    Agent,
    /// Somebody who reviews what others did.
    Reviewer,
    /// Whoever runs the loop.
    Orchestrator,
    /// A person.
    User,
}

/// What whoever has no person's key is told, with more, of a call that takes one.
pub(crate) const ONLY_A_PERSON: &str = "only a person may do this";

/// How a call changes things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Not at all.
    Get,
    /// It writes.
    Post,
    /// It takes away.
    Delete,
}

impl Verb {
    /// As in a request.
    #[must_use]
    pub fn method(self) -> http::Method {
        match self {
            Self::Get => http::Method::GET,
            Self::Post => http::Method::POST,
            Self::Delete => http::Method::DELETE,
        }
    }
}

/// One call of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Whose key.
    pub key: KeyFor,
    /// Whether it writes.
    pub verb: Verb,
    /// From `/api/v1` on, percent-encoded.
    pub path: String,
    /// In the order in which it is sent.
    pub query: Vec<(&'static str, String)>,
    /// None: no body at all.
    pub body: Option<Value>,
}

impl Call {
    /// Reads something.
    pub(crate) fn get(key: KeyFor, path: impl Into<String>) -> Self {
        Self { key, verb: Verb::Get, path: format!("/api/v1{}", path.into()), query: Vec::new(), body: None }
    }

    /// Asks who is calling.
    #[must_use]
    pub fn me() -> Self {
        Self::get(KeyFor::Anyone, "/tenants/me")
    }

    /// Does something.
    pub(crate) fn post(key: KeyFor, path: impl Into<String>) -> Self {
        Self { verb: Verb::Post, ..Self::get(key, path) }
    }

    /// Takes something away.
    pub(crate) fn delete(key: KeyFor, path: impl Into<String>) -> Self {
        Self { verb: Verb::Delete, ..Self::get(key, path) }
    }

    /// With a parameter, if there is something to send.
    pub(crate) fn query(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    /// With a body.
    pub(crate) fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Its path with its parameters, as forms are written.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&self.query);
        format!("{}?{}", self.path, form.finish())
    }
}

/// Bytes of an answer, and of a message with a plan in it: more would be no use to a model.
pub const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// 0: nothing came back, or nothing was sent; the body is a sentence then.
    pub status: u16,
    /// What was answered.
    pub body: Value,
}

impl Reply {
    /// What was not sent, or not answered.
    pub fn nothing(why: impl Into<String>) -> Self {
        Self { status: 0, body: Value::String(why.into()) }
    }

    /// What is said where nothing is left to say.
    #[must_use]
    pub fn without_content() -> Self {
        Self { status: 200, body: json!({"ok": true}) }
    }

    /// Whether it was done.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A refusal as it is handed on.
    #[must_use]
    pub fn told(&self) -> Value {
        if self.is_ok() {
            return self.body.clone();
        }
        json!({"error": true, "status": self.status, "body": self.body})
    }
}

/// Who makes calls.
pub trait Api: Clone + Send + Sync + 'static {
    /// Makes one.
    fn call(&self, call: Call) -> impl Future<Output = Reply> + Send;

    /// Makes one whose answer is a new file of this machine.
    fn save(&self, _call: Call, _path: &str) -> impl Future<Output = Reply> + Send {
        async { Reply::nothing("save_to is for a local server alone: leave it out, and run the command") }
    }

    /// What else the holder of the keys has said.
    fn settings(&self) -> &Settings;
}

/// What whoever configures the tools has said.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The address of the server, without a trailing slash.
    pub server: String,
    /// The project that is meant where none is named.
    pub project: Option<String>,
    /// Whether files of this machine may be read, and below which directory. None: there is no such machine.
    pub files: Option<crate::files::Files>,
}
