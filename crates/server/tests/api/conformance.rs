//! The OpenAPI document beside real answers: whatever a test of this binary receives must be what the document says. The
//! status is listed with the code of a refusal and with the headers, and the body has the members that the schema names, all of
//! them and no others, of the right types.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::text;

/// An operation of the document.
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Whether it needs a key.
    pub(crate) is_secured: bool,
    /// Whether it takes keys, and not only sessions.
    pub(crate) takes_keys: bool,
    /// The roles of the keys that it takes.
    pub(crate) roles: Vec<String>,
    /// By status.
    answers: Vec<(String, Answer)>,
    /// Whether it answers for as long as somebody wants to know: `body` is then what it told first, if anything.
    is_stream: bool,
    /// Its part of the document.
    told: Value,
}

impl Operation {
    pub(crate) fn method(&self) -> Method {
        self.method.parse().unwrap()
    }

    /// The statuses that it lists one by one: all but those of a server that cannot do its work.
    pub(crate) fn statuses(&self) -> BTreeSet<u16> {
        self.answers.iter().filter_map(|(status, _)| status.parse().ok()).collect()
    }

    /// The codes that come with a status.
    pub(crate) fn codes(&self, status: u16) -> Vec<&str> {
        let answer = self.answers.iter().find(|(known, _)| *known == status.to_string());
        answer.into_iter().flat_map(|(_, answer)| answer.codes.iter().map(String::as_str)).collect()
    }

    /// Whether it answers with a document whose members are described elsewhere.
    pub(crate) fn answers_anything(&self) -> bool {
        let schema = &self.told["responses"]["200"]["content"]["application/json"]["schema"];
        schema.is_object() && schema.get("$ref").is_none() && schema.get("properties").is_none()
    }

    /// Whether it reads a body.
    pub(crate) fn takes_body(&self) -> bool {
        self.told["requestBody"].is_object()
    }

    /// What is wrong with the examples of it.
    pub(crate) fn faults_of_examples(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let body = &self.told["requestBody"]["content"]["application/json"];
        if self.takes_body() {
            let sent = validator(&body["schema"], &DOCUMENT);
            faults.extend(sent.iter_errors(&body["example"]).map(|fault| format!("request: {fault}")));
        }
        for (status, answer) in &self.answers {
            let response = &self.told["responses"][status];
            let content = &response["content"]["application/json"];
            let is_success = status.starts_with('2') && content.is_object() && !self.answers_anything();
            match (content.get("example"), answer.body_in("application/json")) {
                (Some(example), Some(body)) => {
                    faults.extend(body.iter_errors(example).map(|fault| format!("{status}: {fault}")));
                }
                (None, Some(_)) if is_success => faults.push(format!("{status}: there is none")),
                _ => (),
            }
        }
        faults
    }

    /// Whether requests may be repeated with a key.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.takes_keys && self.method != "GET"
    }
}

/// What is said of an answer.
struct Answer {
    /// By content type.
    bodies: Vec<(String, Validator)>,
    codes: Vec<String>,
    /// The headers that are listed, and whether they are always there.
    headers: Vec<(String, bool)>,
}

impl Answer {
    fn of(response: &Value, document: &Value) -> Self {
        let response = resolved(response, document);
        let content = response["content"].as_object().into_iter().flatten();
        let bodies = content.map(|(of, form)| (of.clone(), validator(&form["schema"], document)));
        let headers = response["headers"].as_object().into_iter().flatten().map(|(name, header)| {
            (name.to_ascii_lowercase(), resolved(header, document)["required"] == json!(true))
        });
        Self {
            bodies: bodies.collect(),
            codes: response["x-loopctl-codes"].as_array().into_iter().flatten().map(text).collect(),
            headers: headers.collect(),
        }
    }

    /// What a body is like that is written in this.
    fn body_in(&self, content_type: &str) -> Option<&Validator> {
        self.bodies.iter().find(|(of, _)| of == content_type).map(|(_, body)| body)
    }

    /// Holds the headers of an answer to those that are listed: none is lacking, and none that is described is told unannounced.
    #[track_caller]
    fn check_headers(&self, what: &str, headers: &HeaderMap) {
        for (name, always) in &self.headers {
            assert!(!always || headers.contains_key(name), "{what} without {name}: {headers:?}");
        }
        for name in DESCRIBED.iter().filter(|name| headers.contains_key(*name)) {
            let listed = self.headers.iter().any(|(listed, _)| listed == name);
            assert!(listed, "{what} with {name}, which the document does not list: {headers:?}");
        }
    }
}

/// Headers that are described, but for one that every answer has and that says something of note only where it is listed.
static DESCRIBED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = DOCUMENT["components"]["headers"].as_object().unwrap().keys();
    names.map(|name| name.to_ascii_lowercase()).filter(|name| name != "cache-control").collect()
});

/// What it is, or what it refers to.
fn resolved<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |reference| document.pointer(&reference[1..]).expect(reference))
}

/// The document, in which what is not named is not there.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| strict(loopctl_server::openapi()));

/// Every operation.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let document = &*DOCUMENT;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap().iter();
            let answers =
                responses.map(|(status, response)| (status.clone(), Answer::of(response, document)));
            operations.push(Operation {
                is_secured: operation["security"] != json!([]),
                takes_keys: operation["security"][0]["BearerAuth"].is_array(),
                roles: operation["x-loopctl-roles"].as_array().into_iter().flatten().map(text).collect(),
                is_stream: responses_of(operation, "text/event-stream"),
                method: method.to_uppercase(),
                path: path.clone(),
                told: operation.clone(),
                answers: answers.collect(),
            });
        }
    }
    operations
});

/// Whether it answers in this way when all goes well.
fn responses_of(operation: &Value, content_type: &str) -> bool {
    !operation["responses"]["200"]["content"][content_type].is_null()
}

fn validator(schema: &Value, document: &Value) -> Validator {
    let mut whole = json!({"$schema": "https://json-schema.org/draft/2020-12/schema"});
    whole["components"] = document["components"].clone();
    whole["allOf"] = json!([schema]);
    // References say where a schema is in the document.
    jsonschema::options().should_validate_formats(true).build(&whole).expect("a sound schema")
}

/// Objects have the members that are named, and no others, unless their schema says otherwise.
fn strict(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            for value in members.values_mut() {
                *value = strict(std::mem::take(value));
            }
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = strict(std::mem::take(item))),
        _ => {}
    }
    schema
}

/// The operation that a path belongs to: of several, the one with the fewest parameters.
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static Operation> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
        template.len() == parts.len()
            && template.iter().zip(&parts).all(|(known, sent)| known.starts_with('{') || known == sent)
    };
    // PUT does whatever PATCH does, where there is no PUT of its own; HEAD answers as GET.
    let methods = match method {
        "PUT" => ["PUT", "PATCH"],
        "HEAD" => ["GET", "GET"],
        other => [other, other],
    };
    methods.iter().find_map(|method| {
        let known = OPERATIONS.iter().filter(|known| known.method == *method && fits(&known.path));
        known.min_by_key(|known| known.path.matches('{').count())
    })
}

/// Compares an answer with what the document says of it.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let what = format!("{method} {path} answered {status}");
    let Some(known) = operation(method.as_str(), path) else {
        assert!([302, 404].contains(&status), "{what}, and the document knows no such route");
        return;
    };
    // Not every PATCH is also a PUT.
    if method == Method::PUT && known.method == "PATCH" && body["error"]["code"] == "not_found" {
        return;
    }
    let listed = |name: &str| known.answers.iter().find(|(status, _)| status == name);
    let answer =
        listed(&status.to_string()).or_else(|| listed("default").filter(|_| status == 408 || status >= 500));
    let Some((_, answer)) = answer else { panic!("{what}, which the document does not list: {body:#}") };
    answer.check_headers(&what, headers);
    if let Some(code) = body["error"]["code"].as_str() {
        let is_told = answer.codes.iter().any(|told| told == code);
        assert!(is_told, "{what} with {code}, which the document does not list: {:?}", answer.codes);
    }
    if method == Method::HEAD || known.is_stream && body.is_null() {
        return;
    }
    if answer.bodies.is_empty() {
        assert_eq!(*body, Value::Null, "{what} with a body");
        return;
    }
    let written_in = headers.get("content-type").map_or("", |of| of.to_str().unwrap());
    let written_in = written_in.split(';').next().unwrap_or_default();
    let Some(schema) = answer.body_in(written_in) else {
        panic!("{what} in {written_in:?}, which the document does not list: {body:#}")
    };
    let faults: Vec<_> =
        schema.iter_errors(body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{what}, otherwise than documented: {faults:#?}\n{body:#}");
}
