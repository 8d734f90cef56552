//! Projects, epics and stories: `project update|archive`, `epic …`, `story …`.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World, error};
use crate::{P1, S21, list, one_project, story};

const E2: &str = "0192cccc-0000-7000-8000-000000000002";

fn epic(number: u32, title: &str) -> Value {
    json!({"id": if number == 2 { E2 } else { P1 }, "number": number, "title": title, "phase": null, "position": number - 1,
           "story_count": 1, "completion_percentage": 50.0})
}

/// The project with epics 1 and 2; writing answers what a server would.
fn breakdown(request: &Request) -> Answer {
    let epic_path = format!("/api/v1/epics/{E2}");
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", path) if path == format!("/api/v1/projects/{P1}/epics") => {
            list(&[epic(1, "Base"), epic(2, "More")])
        }
        ("GET", path) if path == epic_path => {
            json!({"epic": {"id": E2, "number": 2, "title": "More", "stories": [story(S21, "2.1")]}}).into()
        }
        ("POST", path) if path.ends_with("/epics") => (201, json!({"epic": epic(2, "More")})).into(),
        ("POST", path) if path.ends_with("/stories") => (201, json!({"story": story(S21, "2.1")})).into(),
        ("PATCH", path) if path == epic_path => json!({"epic": epic(2, "New")}).into(),
        ("PATCH", path) if path.contains("/stories/") => json!({"story": story(S21, "2.1")}).into(),
        ("PATCH" | "DELETE", path) if path.contains("/projects/") => {
            json!({"project": {"id": P1, "name": "My App", "status": "archived"}}).into()
        }
        ("DELETE", _) => Answer(204, Vec::new(), Value::Null),
        _ => one_project(request),
    }
}

/// Runs a command that ends in one writing request; gives its line and body.
fn written(words: &str) -> (String, Value) {
    let world = World::new(breakdown);
    let run = world.run(words);
    assert_eq!(run.code, 0, "{run:?}");
    let request = world.requests().pop().unwrap();
    (request.line(), request.body)
}

#[test]
fn projects_are_changed_and_archived() {
    let (line, body) = written(
        "project update my-app --name N --repo https://x --tech-stack Rust --description=-d --mission + --status archived",
    );
    assert_eq!(line, format!("PATCH /api/v1/projects/{P1}"));
    assert_eq!(
        body,
        json!({"name": "N", "repo_url": "https://x", "tech_stack": "Rust", "description": "-d", "mission": " ",
               "status": "archived"})
    );
    let world = World::new(breakdown);
    let run = world.run("project archive my-app");
    assert_eq!(run.json(), json!({"status": "archived", "id": P1}));
    assert_eq!(world.lines().pop().unwrap(), format!("DELETE /api/v1/projects/{P1}"));
    let world = World::new(breakdown);
    for words in ["project update my-app", "project update my-app --status done", "project archive"] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
    let last = world.run("project list --status archived --include-archived");
    assert_eq!(last.code, 0);
    assert!(world.lines()[0].contains("status=archived&include_archived=true"), "{:?}", world.lines());
}

#[test]
fn epics_are_listed_to_the_end() {
    let world = World::new(|request| {
        let page: u64 = if request.query.contains("page=2") { 2 } else { 1 };
        match request.path.as_str() {
            path if path.ends_with("/epics") => {
                let rows = if page == 1 { [epic(1, "Base")] } else { [epic(2, "More")] };
                json!({"data": rows, "meta": {"page": page, "page_size": 1, "total_count": 2, "total_pages": 2}})
                    .into()
            }
            _ => one_project(request),
        }
    });
    let run = world.run("epic list --project my-app --phase p1");
    assert_eq!(
        run.json(),
        json!({"data": [epic(1, "Base"), epic(2, "More")],
               "meta": {"page": 1, "page_size": 2, "total_count": 2, "total_pages": 1}})
    );
    let path = format!("GET /api/v1/projects/{P1}/epics?phase=p1");
    let asked = world.lines();
    assert_eq!(asked[1..], [format!("{path}&page_size=100&page=1"), format!("{path}&page_size=100&page=2")]);
    let human = world.run("epic list --project my-app --limit 1 --page 2 --format human");
    assert_eq!(
        human.stdout,
        "\
number  title  stories  verified %
------  -----  -------  ----------
2       More         1        50.0
page 2 of 2, 2 total
"
    );
    let last = world.lines().pop().unwrap();
    assert!(last.ends_with("/epics?limit=1&page=2"), "{last}");
}

#[test]
fn epics_are_written() {
    let (line, body) = written("epic create --project my-app --number 2 --title More");
    assert_eq!(
        (line, body),
        (format!("POST /api/v1/projects/{P1}/epics"), json!({"number": 2, "title": "More"}))
    );
    let (_, body) = written(
        "epic create --number 2 --title More --description d --phase p1 --position 0 --metadata {\"a\":[1]}",
    );
    assert_eq!(
        body,
        json!({"number": 2, "title": "More", "description": "d", "phase": "p1", "position": 0, "metadata": {"a": [1]}})
    );
    for reference in ["2", "E2", "epic-2", "epic_2", E2] {
        let (line, body) = written(&format!("epic update {reference} --title New --position 3"));
        assert_eq!(line, format!("PATCH /api/v1/epics/{E2}"), "{reference}");
        assert_eq!(body, json!({"title": "New", "position": 3}));
    }
    let world = World::new(breakdown);
    assert_eq!(world.run("epic delete epic-2").json(), json!({"status": "deleted", "id": E2}));
    assert_eq!(world.lines().pop().unwrap(), format!("DELETE /api/v1/epics/{E2}"));
    assert_eq!(world.run("epic delete 7").code, 5);
    let world = World::new(breakdown);
    for words in [
        "epic update 2",
        "epic create --number 0 --title x",
        "epic create --number 1 --title x --metadata [1]",
        "epic update 2 --metadata {",
        "epic show two",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn an_epic_is_shown_with_its_stories() {
    let world = World::new(breakdown);
    assert_eq!(world.run("epic show 2").json()["epic"]["stories"][0]["number"], "2.1");
    assert_eq!(
        world.run("epic show 2 --format human").stdout,
        "\
2  More

number  title      status
------  ---------  -------
2.1     Story 2.1  pending
"
    );
}

#[test]
fn stories_are_written() {
    let (line, body) = written("story create --project my-app --epic E2 --number US-2.1 --title Login");
    assert_eq!(line, format!("POST /api/v1/projects/{P1}/stories"));
    assert_eq!(body, json!({"epic_number": 2, "number": "2.1", "title": "Login"}));
    let (line, body) = written(&format!(
        "story create --epic {E2} --number 2.1 --title Login --description=-d --hours 1.5 --criteria [{{\"id\":\"AC-1\"}}] --metadata {{}}"
    ));
    assert_eq!(line, format!("POST /api/v1/epics/{E2}/stories"));
    assert_eq!(
        body,
        json!({"number": "2.1", "title": "Login", "description": "-d", "estimated_hours": 1.5,
               "acceptance_criteria": [{"id": "AC-1"}], "metadata": {}})
    );
    let (line, body) = written("story update US-2.1 --title New --hours 4 --criteria []");
    assert_eq!(line, format!("PATCH /api/v1/stories/{S21}"));
    assert_eq!(body, json!({"title": "New", "estimated_hours": 4, "acceptance_criteria": []}));
    let world = World::new(breakdown);
    assert_eq!(world.run("story delete 2.1").json(), json!({"status": "deleted", "id": S21}));
    assert_eq!(world.run("story show 2.1").json()["story"]["number"], "2.1");
    let world = World::new(breakdown);
    for words in [
        "story create --epic 2 --number 1..3 --title x",
        "story create --epic two --number 1.2 --title x",
        "story create --epic 2 --number 1.2 --title x --hours many",
        "story create --epic 2 --number 1.2 --title x --criteria {}",
        "story update 2.1",
        "story list --agent-status done",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn stories_are_listed_to_the_end_as_one_answer() {
    let world = World::new(|request| {
        match request.path.as_str() {
        "/api/v1/stories" if request.query.contains("offset=0") => {
            json!({"data": [story(P1, "1.1"), story(P1, "1.2")], "meta": {"total_count": 3, "limit": 2, "offset": 0}}).into()
        }
        "/api/v1/stories" => {
            json!({"data": [story(S21, "2.1")], "meta": {"total_count": 3, "limit": 2, "offset": 2}}).into()
        }
        _ => breakdown(request),
    }
    });
    let run =
        world.run("story list --project my-app --agent-status pending --verified-status unverified --epic 2");
    assert_eq!(
        run.json(),
        json!({"data": [story(P1, "1.1"), story(P1, "1.2"), story(S21, "2.1")],
               "meta": {"total_count": 3, "limit": 3, "offset": 0}})
    );
    let filters = format!("project_id={P1}&agent_status=pending&verified_status=unverified&epic_id={E2}");
    let lines = world.lines();
    assert_eq!(lines[lines.len() - 2], format!("GET /api/v1/stories?{filters}&limit=500&offset=0"));
    assert_eq!(lines[lines.len() - 1], format!("GET /api/v1/stories?{filters}&limit=500&offset=2"));
    let human = world.run("story list --project my-app --format human").stdout;
    assert_eq!(human.lines().count(), 6, "{human}");
    assert!(human.ends_with("page 1 of 1, 3 total\n"), "{human}");
    world.run("story list --project my-app --limit 10 --page 3");
    assert_eq!(
        world.lines().pop().unwrap(),
        format!("GET /api/v1/stories?project_id={P1}&limit=10&offset=20")
    );
}

#[test]
fn what_the_server_refuses_ends_with_its_code() {
    let world = World::new(|request| match request.method.as_str() {
        "DELETE" => error(403, "Insufficient permissions. Required role: user"),
        "POST" => error(422, "Epic number 9 not found in this project."),
        _ => breakdown(request),
    });
    assert_eq!(world.run("story delete 2.1").code, 4);
    assert_eq!(world.run("story create --epic 9 --number 9.1 --title x").code, 7);
    // A number that leads to nothing is the same everywhere.
    let world = World::new(|request| match request.method.as_str() {
        "POST" => {
            let error =
                json!({"status": 422, "code": "epic_not_found", "message": "Epic number 9 not found"});
            (422, json!({ "error": error })).into()
        }
        _ => breakdown(request),
    });
    for words in ["story create --number 9.1 --title x", "story list"] {
        let run = world.run(&format!("{words} --epic 9 --project my-app"));
        assert_eq!(
            (run.code, run.stderr.as_str()),
            (5, "Error: Epic 9 not found in project my-app\n"),
            "{words}"
        );
    }
}

#[test]
fn standard_input_is_read_for_one_option_only() {
    let world = World::new(breakdown);
    let run = world.run_with("story update 2.1 --criteria - --metadata -", &[], "[]");
    let message =
        "Error: Cannot read standard input for --metadata: it was read already for another option\n";
    assert_eq!((run.code, run.stderr.as_str()), (2, message));
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn empty_lists_say_so() {
    let world = World::new(|request| match request.path.rsplit('/').next().unwrap() {
        "projects" => one_project(request),
        "dependency_graph" => json!({"graph": {"epics": []}}).into(),
        path if path == E2 => json!({"epic": {"id": E2, "project_id": P1, "stories": []}}).into(),
        _ => list(&[]),
    });
    for (words, expected) in [
        ("epic list".to_owned(), "No epics.\n"),
        ("story list".to_owned(), "No stories.\n"),
        ("deps list".to_owned(), "No dependencies.\n"),
        (format!("deps list {E2}"), "No dependencies.\n"),
        ("ui-test list".to_owned(), "No runs.\n"),
        ("state history --key k".to_owned(), "No state 'k' is saved in project my-app.\n"),
        (format!("history {S21}"), "No history.\n"),
    ] {
        assert_eq!(
            world.run(&format!("{words} --project my-app --format human")).stdout,
            expected,
            "{words}"
        );
    }
    let shown = world.run(&format!("epic show {E2} --format human")).stdout;
    assert!(shown.ends_with("\n\nNo stories.\n"), "{shown}");
}
