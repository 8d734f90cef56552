//! Long lists are whole, or say that they are not; what they hold does nothing to a terminal.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World};
use crate::{P1, S21, one_project};

const TOTAL: usize = 230;

/// Lists of 230 rows, in pages as the server gives them: no more than 100 rows (500 stories) whatever is asked for.
fn long(request: &Request) -> Answer {
    let path = request.path.as_str();
    let resolves = request.query.contains("slug=") || request.query.contains("number=");
    if request.method != "GET" || resolves || path == format!("/api/v1/stories/{S21}") {
        return one_project(request);
    }
    let number = |key: &str| {
        let values = request.query.split('&').filter_map(|pair| pair.strip_prefix(&format!("{key}=")));
        values.filter_map(|value| value.parse::<usize>().ok()).next_back()
    };
    let most = if path == "/api/v1/stories" { 500 } else { 100 };
    let size = number("page_size").or(number("limit")).unwrap_or(100).min(most);
    let skip = number("offset").unwrap_or_else(|| size * (number("page").unwrap_or(1) - 1));
    // A history is read on from its last row.
    let feed = path.ends_with("/history");
    let skip = if feed { number("cursor").unwrap_or(skip) } else { skip };
    let row = |n: usize| {
        json!({"id": format!("row-{n}"), "number": n, "name": n, "version": n, "inserted_at": n, "path": n,
                                "iteration": n, "story": {"id": format!("row-{n}"), "number": n}})
    };
    let rows: Vec<Value> = (0..TOTAL).skip(skip).take(size).map(row).collect();
    let end = skip + rows.len();
    let mut body = json!({"data": rows, "meta": {"page": skip / size + 1, "page_size": size, "total_count": TOTAL,
                          "total_pages": TOTAL.div_ceil(size), "limit": size, "offset": skip}});
    if feed {
        body["next_cursor"] = if end < TOTAL { json!(end.to_string()) } else { Value::Null };
    }
    body.into()
}

fn every_list() -> Vec<String> {
    let project = format!("--project {P1}");
    vec![
        format!("next {project}"),
        "next".to_owned(),
        format!("blocked {project}"),
        format!("pending {project}"),
        format!("story list {project}"),
        format!("epic list {project}"),
        "project list".to_owned(),
        "project list --include-archived".to_owned(),
        format!("history {S21}"),
        format!("verifications {S21}"),
        format!("artifacts {S21}"),
        format!("ui-test list {project}"),
        format!("state history {project}"),
    ]
}

#[test]
fn lists_are_whole_in_every_format() {
    let world = World::new(long);
    for words in every_list() {
        let csv = world.run(&format!("{words} --format csv"));
        assert_eq!((csv.stdout.lines().count(), csv.stderr.as_str()), (TOTAL + 1, ""), "{words}: {csv:?}");
        let data = world.run(&format!("{words} --data-only"));
        assert_eq!((data.json().as_array().unwrap().len(), data.stderr.as_str()), (TOTAL, ""), "{words}");
        let whole = world.run(&words).json();
        assert_eq!((&whole["meta"]["total_count"], &whole["next_cursor"]), (&json!(TOTAL), &Value::Null));
        let ids =
            |body: &Value| body.as_array().unwrap().iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
        assert_eq!(
            ids(&data.json()),
            (0..TOTAL).map(|n| json!(format!("row-{n}"))).collect::<Vec<_>>(),
            "{words}"
        );
        assert_eq!(whole["data"], data.json(), "{words}");
    }
}

#[test]
fn a_part_says_that_it_is_one() {
    let world = World::new(long);
    for words in every_list() {
        for more in ["--format csv", "--data-only"] {
            let run = world.run(&format!("{words} --limit 20 --page 2 {more}"));
            assert_eq!(run.stderr, "note: 20 of 230 rows: page 2 of 12, 230 total\n", "{words}: {run:?}");
        }
        assert_eq!(world.run(&format!("{words} --limit 20")).stderr, "", "the body says it");
        assert_eq!(world.run(&format!("{words} --limit 20 --format human")).stderr, "", "the footer says it");
    }
    let run = world.run("api get /stories/ready?limit=20 --format csv");
    assert_eq!(run.stderr, "note: 20 of 230 rows: page 1 of 12, 230 total\n", "{run:?}");
    let run = world.run("api get /stories/ready?limit=20 --data-only");
    assert_eq!(run.stderr, "note: 20 of 230 rows: page 1 of 12, 230 total\n", "{run:?}");
}

/// Names that would clear a screen, ring, or turn the direction of writing.
#[test]
fn what_people_named_does_nothing_to_a_terminal() {
    const EVIL: &str = "a\u{1b}]0;x\u{7}b\u{9b}2Jc\u{7f}\u{202e}d\u{2066}\re\nf";
    let world = World::new(|request| {
        match request.path.as_str() {
        "/api/v1/projects" => json!({"data": [{"id": P1, "name": EVIL, "slug": "my-app", "status": "active"}]}).into(),
        path if path.ends_with("/progress") => json!({"progress": {"stories_by_agent_status": {EVIL: 1}}}).into(),
        path if path.ends_with("/dependency_graph") => {
            json!({"graph": {"epics": [{"id": "e", "number": 1, "title": EVIL, "stories": [
                {"id": "s", "number": "1.1", "title": EVIL, "agent_status": EVIL}]}]}}).into()
        }
        path if path.contains("/bulk/") => {
            json!({"results": [{"story_id": S21, "status": EVIL, "reason": EVIL, "hints": [EVIL]}]}).into()
        }
        path if path.ends_with("/import") => {
            json!({"import": {"stories_updated": 1, "stories_orphaned": [{"number": EVIL, "title": EVIL}]}}).into()
        }
        _ => json!({EVIL: EVIL, "story": {"title": EVIL, "metadata": {EVIL: EVIL}}, "epic": {"title": EVIL, "stories": [{"title": EVIL}]}}).into(),
    }
    });
    let p = format!("--project {P1}");
    for format in ["human", "csv"] {
        for words in [
            "project list".to_owned(),
            format!("status {p}"),
            format!("story show {S21}"),
            format!("epic show {S21}"),
            format!("deps graph {p}"),
            format!("claim {S21} {P1}"),
            format!("contract {S21}"),
            format!("import - {p}"),
            "health".to_owned(),
            "tenant info".to_owned(),
            "api get /x".to_owned(),
        ] {
            let run = world.run_with(&format!("{words} --format {format}"), &[], "{}");
            let all = format!("{}{}", run.stdout, run.stderr);
            let acts = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}".contains(c);
            assert!(!all.contains(acts), "{words} --format {format}: {run:?}");
            assert!(all.contains("b\\x9b2Jc\\x7f\\u{202e}d\\u{2066}"), "{words}: {run:?}");
        }
        let set = world.run_words(&["config", "set", "project", EVIL, "--format", format], &[], "");
        assert!(set.stdout.starts_with("Config project set to a\\x1b"), "{set:?}");
        world.configure(&json!({"server": world.address(), "api_key": "k"}));
    }
    // A line of a field stays one in CSV, and JSON says what the server said.
    assert!(world.run("project list --format csv").stdout.contains("\\x0de\nf\""));
    assert_eq!(world.run("project list").json()["data"][0]["name"], EVIL);
    assert!(world.run("api get /x --data-only").stdout.contains("\\u001b]0;x\\u0007b\u{9b}"));
}
