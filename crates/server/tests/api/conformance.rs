//! The OpenAPI document beside real answers: whatever a test of this binary receives must be what the document says. The
//! status is listed, and the body has the members that the schema names, all of them and no others, of the right types.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use reqwest::Method;
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
    answers: Vec<(String, Option<Validator>)>,
    /// Whether it answers for as long as somebody wants to know: `body` is then what it told first, if anything.
    is_stream: bool,
}

impl Operation {
    pub(crate) fn method(&self) -> Method {
        self.method.parse().unwrap()
    }

    /// The statuses that it lists one by one: all but those of a server that cannot do its work.
    pub(crate) fn statuses(&self) -> BTreeSet<u16> {
        self.answers.iter().filter_map(|(status, _)| status.parse().ok()).collect()
    }
}

/// Every operation.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let document = strict(loopctl_server::openapi());
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap().iter();
            let answers = responses.map(|(status, response)| {
                let response = match response["$ref"].as_str() {
                    Some(reference) => document.pointer(&reference[1..]).unwrap(),
                    None => response,
                };
                // Where there are several forms, the body is in one of them.
                let forms = response["content"]
                    .as_object()
                    .map(|content| content.values().map(|form| form["schema"].clone()).collect::<Vec<_>>());
                (status.clone(), forms.map(|forms| validator(&json!({"anyOf": forms}), &document)))
            });
            operations.push(Operation {
                is_secured: operation["security"] != json!([]),
                takes_keys: operation["security"][0]["BearerAuth"].is_array(),
                roles: operation["x-loopctl-roles"].as_array().into_iter().flatten().map(text).collect(),
                is_stream: responses_of(operation, "text/event-stream"),
                method: method.to_uppercase(),
                path: path.clone(),
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
pub(crate) fn check(method: &Method, path: &str, status: u16, body: &Value) {
    let what = format!("{method} {path} answered {status}");
    let Some(known) = operation(method.as_str(), path) else {
        assert!([302, 404].contains(&status), "{what}, and the document knows no such route");
        return;
    };
    let listed = |name: &str| known.answers.iter().find(|(status, _)| status == name);
    let answer =
        listed(&status.to_string()).or_else(|| listed("default").filter(|_| status == 408 || status >= 500));
    let Some((_, schema)) = answer else { panic!("{what}, which the document does not list: {body:#}") };
    if method == Method::HEAD || known.is_stream && body.is_null() {
        return;
    }
    match schema {
        None => assert_eq!(*body, Value::Null, "{what} with a body"),
        Some(schema) => {
            let faults: Vec<_> =
                schema.iter_errors(body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
            assert!(faults.is_empty(), "{what}, otherwise than documented: {faults:#?}\n{body:#}");
        }
    }
}
