//! Dependencies between stories and between epics.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World};
use crate::{P1, S21, list, one_project, story};

const E1: &str = "0192cccc-0000-7000-8000-000000000001";
const E2: &str = "0192cccc-0000-7000-8000-000000000002";
const S11: &str = "0192bbbb-0000-7000-8000-000000000011";
const EDGE: &str = "0192dddd-0000-7000-8000-000000000001";

fn graph() -> Value {
    let epic = |id: &str, number: u32, title: &str, stories: &[Value]| json!({"id": id, "number": number, "title": title, "phase": null, "position": 0, "stories": stories});
    json!({"graph": {"epics": [epic(E1, 1, "Base", &[story(S11, "1.1")]), epic(E2, 2, "More", &[story(S21, "2.1")])],
        "epic_dependencies": [{"from": E2, "to": E1}], "story_dependencies": [{"from": S21, "to": S11}]}})
}

/// Epic 2 depends on epic 1, story 2.1 on story 1.1.
fn world(request: &Request) -> Answer {
    let edge = |kind: &str, from: &str, to: &str| {
        let mut edge = json!({"id": EDGE, "inserted_at": "2026-01-01T00:00:00.000000Z"});
        edge[format!("{kind}_id")] = from.into();
        edge[format!("depends_on_{kind}_id")] = to.into();
        edge
    };
    let path = request.path.strip_prefix("/api/v1").unwrap();
    match (request.method.as_str(), path) {
        ("GET", "/stories") => list(&[story(S11, "1.1"), story(S21, "2.1")]),
        ("GET", path) if path == format!("/projects/{P1}/dependency_graph") => graph().into(),
        ("GET", path) if path == format!("/projects/{P1}/epics") => list(&[
            json!({"id": E1, "number": 1, "title": "Base"}),
            json!({"id": E2, "number": 2, "title": "More"}),
        ]),
        ("GET", path) if path == format!("/stories/{S21}") => {
            json!({"story": {"id": S21, "number": "2.1", "epic_id": E2}}).into()
        }
        ("GET", path) if path == format!("/epics/{E2}") => {
            json!({"epic": {"id": E2, "project_id": P1}}).into()
        }
        // Both ends may be in the epic: the edge in the other direction is another one.
        ("GET", path) if path == format!("/epics/{E2}/story_dependencies") => {
            let mut opposite = edge("story", S11, S21);
            opposite["id"] = S11.into();
            json!({"data": [opposite, edge("story", S21, S11)]}).into()
        }
        ("GET", path) if path == format!("/projects/{P1}/epic_dependencies") => {
            json!({"data": [edge("epic", E2, E1)]}).into()
        }
        ("POST", "/story_dependencies") => (201, json!({"story_dependency": edge("story", S21, S11)})).into(),
        ("POST", "/epic_dependencies") => (201, json!({"epic_dependency": edge("epic", E2, E1)})).into(),
        ("DELETE", _) => Answer(204, Vec::new(), Value::Null),
        _ => one_project(request),
    }
}

#[test]
fn the_graph_is_a_picture_for_people() {
    let server = World::new(world);
    assert_eq!(server.run("deps graph --project my-app").json(), graph());
    let expected = "\
Epic 1  Base  (0 of 1 verified)
  1.1  Story 1.1  pending
Epic 2  More  (0 of 1 verified)  <- epic 1
  2.1  Story 2.1  pending  <- 1.1

<- needs what follows; [x] is verified
";
    assert_eq!(server.run("deps graph --project my-app --format human").stdout, expected);
    let csv = "\
epic,number,title,agent_status,verified_status,waits_for
1,1.1,Story 1.1,pending,unverified,
2,2.1,Story 2.1,pending,unverified,1.1
";
    assert_eq!(server.run("deps graph --project my-app --format csv").stdout, csv);
}

#[test]
fn dependencies_are_added() {
    let server = World::new(world);
    let run = server.run("deps add US-2.1 1.1 --project my-app");
    assert_eq!(run.json()["story_dependency"]["id"], EDGE);
    let request = server.requests().pop().unwrap();
    assert_eq!(request.line(), "POST /api/v1/story_dependencies");
    assert_eq!(request.body, json!({"story_id": S21, "depends_on_story_id": S11}));
    server.run("deps add 2 epic-1 --epic --project my-app");
    let request = server.requests().pop().unwrap();
    assert_eq!(request.line(), "POST /api/v1/epic_dependencies");
    assert_eq!(request.body, json!({"epic_id": E2, "depends_on_epic_id": E1}));
    // The server has the word on this one.
    server.run("deps add 2.1 2.1 --project my-app");
    assert_eq!(server.requests().pop().unwrap().body, json!({"story_id": S21, "depends_on_story_id": S21}));
}

#[test]
fn dependencies_are_removed_by_their_ends_or_their_id() {
    for (words, path) in [
        ("deps remove 2.1 1.1", "story_dependencies"),
        ("deps remove 2 1 --epic", "epic_dependencies"),
        (&format!("deps remove {EDGE}"), "story_dependencies"),
        (&format!("deps remove --epic {EDGE}"), "epic_dependencies"),
    ] {
        let server = World::new(world);
        let run = server.run(&format!("{words} --project my-app"));
        assert_eq!(run.json(), json!({"status": "deleted", "id": EDGE}), "{words}");
        assert_eq!(server.lines().pop().unwrap(), format!("DELETE /api/v1/{path}/{EDGE}"), "{words}");
    }
    let server = World::new(world);
    let run = server.run("deps remove 2.1 2.1 --project my-app");
    assert_eq!((run.code, run.stderr.as_str()), (5, "Error: 2.1 does not depend on 2.1\n"));
    assert!(server.requests().iter().all(|request| request.method == "GET"));
    let server = World::new(world);
    assert_eq!(server.run("deps remove 2.1").code, 2);
    assert_eq!(server.lines(), [""; 0]);
}

#[test]
fn lists_name_numbers_for_people() {
    let server = World::new(world);
    assert_eq!(server.run("deps list 2 --project my-app").json()["data"][1]["depends_on_story_id"], S11);
    assert_eq!(server.lines().pop().unwrap(), format!("GET /api/v1/epics/{E2}/story_dependencies"));
    let header = "\
dependent  depends on  since
---------  ----------  ----------
";
    let row = |dependent: &str, depends_on: &str| format!("{dependent:<9}  {depends_on:<10}  2026-01-01\n");
    let human = |words: &str| server.run(&format!("{words} --project my-app --format human")).stdout;
    let edges = row("1.1", "2.1") + &row("2.1", "1.1");
    assert_eq!(human("deps list 2"), format!("{header}{edges}page 1 of 1, 2 total\n"));
    assert_eq!(human("deps list"), format!("{header}{}page 1 of 1, 1 total\n", row("2", "1")));
    assert!(human("deps list --wide").contains(&format!("2026-01-01T00:00:00Z  {EDGE}\n")));
    assert_eq!(server.run("deps list --project my-app").json()["data"][0]["epic_id"], E2);
}
