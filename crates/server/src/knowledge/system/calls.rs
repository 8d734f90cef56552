//! The articles that come along speak of calls, of which each is there: nobody runs what they show.

use std::collections::BTreeSet;

use loopctl_docs::{ARTICLES, page};

/// A call: its method, if it is said, and its path with `:` for whatever varies.
type Call = (Option<String>, String);

/// What articles say that there is not, or not yet, and a path that stands for many.
const NOT_THERE: [(&str, &str); 3] = [
    ("POST", "/api/v1/stories/:/recover-cap"),
    ("PUT", "/api/v1/api_keys/:"),
    ("POST", "/api/v1/stories/:/<call>"),
];

/// A path without its query, with `:` for each of its parts that varies.
fn path_of(text: &str) -> String {
    let path = text.split('?').next().unwrap_or_default();
    let part = |part: &str| if part.starts_with([':', '$', '{']) { ":".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The call of a command line, from its `curl` on.
fn of_command(text: &str) -> Option<Call> {
    let (_, address) = text.split_once("\"$LOOPCTL_SERVER")?;
    let named = text.split_once("-X ").and_then(|(_, rest)| rest.split_whitespace().next());
    let method = named.unwrap_or(if text.contains(" -d ") { "POST" } else { "GET" });
    Some((Some(method.to_owned()), path_of(address.split('"').next()?)))
}

/// The call of a phrase in a sentence: a path, perhaps with a method before it.
fn of_phrase(text: &str) -> Option<Call> {
    match text.split_once(' ') {
        Some((method, path)) if path.starts_with('/') && method.chars().all(|c| c.is_ascii_uppercase()) => {
            Some((Some(method.to_owned()), path_of(path)))
        }
        None if text.starts_with("/api/") || text.starts_with("/.well-known/") => Some((None, path_of(text))),
        _ => None,
    }
}

/// All calls that a text speaks of.
fn calls(body: &str) -> Vec<Call> {
    let mut found = Vec::new();
    // What is between fences, and what is not, by turns.
    for (nth, part) in body.split("```").enumerate() {
        if nth % 2 == 1 {
            found.extend(part.split("curl ").skip(1).filter_map(of_command));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).filter_map(of_phrase));
        }
    }
    found
}

/// The calls that are mounted and of which the group is one of these.
fn mounted(is_wanted: impl Fn(&str) -> bool) -> BTreeSet<(String, String)> {
    let document = crate::openapi();
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["tags"][0].as_str().is_some_and(&is_wanted) {
                found.insert((method.to_uppercase(), path_of(path)));
            }
        }
    }
    found
}

#[test]
fn calls_are_found_wherever_they_stand() {
    let text = "`POST /signup?a=1` and `/api/v1/x/:id`, not `/reject`.\n```sh\nA=$(curl -s \"$LOOPCTL_SERVER/api/v1/a\" | jq .)\n\
                curl -s -X DELETE \"$LOOPCTL_SERVER/api/v1/b/$ID?c=d\"\ncurl \"$LOOPCTL_SERVER/api/v1/e\" \\\n  -d '{}'\n```\n`GET /z`";
    let call = |method: Option<&str>, path: &str| (method.map(str::to_owned), path.to_owned());
    let expected = [
        call(Some("POST"), "/signup"),
        call(None, "/api/v1/x/:"),
        call(Some("GET"), "/api/v1/a"),
        call(Some("DELETE"), "/api/v1/b/:"),
        call(Some("POST"), "/api/v1/e"),
        call(Some("GET"), "/z"),
    ];
    assert_eq!(calls(text), expected);
}

#[test]
fn every_call_of_an_article_is_there() {
    let mounted = mounted(|_| true);
    let is_there = |method: &Option<String>, path: &str| match method {
        Some(method) => mounted.contains(&(method.clone(), path.to_owned())),
        None => mounted.iter().any(|(_, mounted)| mounted == path),
    };
    let (mut said, mut not_there) = (0, BTreeSet::new());
    for article in ARTICLES {
        for (method, path) in calls(article.body) {
            said += 1;
            let excepted = NOT_THERE.iter().find(|not| (Some(not.0), not.1) == (method.as_deref(), &*path));
            match excepted {
                Some(not) => {
                    not_there.insert(*not);
                }
                None => assert!(is_there(&method, &path), "{}: {method:?} {path}", article.slug),
            }
        }
    }
    // What has come to be there is said wrongly, and what nobody speaks of need not be excepted.
    assert_eq!(not_there, NOT_THERE.into_iter().collect());
    assert!(NOT_THERE.iter().all(|(method, path)| !is_there(&Some((*method).to_owned()), path)));
    assert!(said > 80, "{said}");
}

/// What clients are told of the API names the routes of knowledge, each by its path below `/api/v1`.
#[test]
fn every_route_of_knowledge_is_in_the_api() {
    let api = page("api").unwrap().html();
    let spans = api.split("<code>").skip(1).filter_map(|rest| rest.split("</code>").next());
    let named: BTreeSet<_> =
        spans.filter_map(|span| span.split(' ').find(|word| word.starts_with('/'))).map(path_of).collect();
    let routes = mounted(|group| group.starts_with("Knowledge"));
    assert!(routes.len() > 30, "{}", routes.len());
    for (method, path) in routes {
        let short = path.strip_prefix("/api/v1").unwrap();
        assert!(named.contains(short), "{method} {path}");
    }
}
