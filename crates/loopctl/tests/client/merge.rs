//! `import --merge` of a part of a plan: what a project has is changed as the files say, and in nothing else.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Answer, Request, Run, World};
use crate::{P1, body_of, one_project};

/// The project has epics 1 to 150, of which 2 has story 2.1, and stories 1.1 to 1.600.
fn large(request: &Request) -> Answer {
    let number = |key: &str| {
        let words = request.query.split('&').find_map(|part| part.strip_prefix(key));
        words.and_then(|text| text.parse::<usize>().ok()).unwrap_or_default()
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", _) => json!({"import": {}}).into(),
        (_, "/api/v1/stories") => {
            let of_file = |n| json!({"number": format!("1.{n}"), "metadata": {"source_file": format!("old/us_1.{n}.json")}});
            let all: Vec<Value> = std::iter::once(json!({"number": "2.1", "metadata": {"owner": "ops"}}))
                .chain((1..=600).map(of_file))
                .collect();
            let page: Vec<&Value> = all.iter().skip(number("offset=")).take(500).collect();
            json!({"data": page, "meta": {"total_count": all.len(), "limit": 500, "offset": 0}}).into()
        }
        (_, path) if path.ends_with("/epics") => {
            let page = number("page=");
            let rows: Vec<Value> =
                (1..=150).skip((page - 1) * 100).take(100).map(|n| json!({"number": n})).collect();
            json!({"data": rows, "meta": {"page": page, "page_size": 100, "total_count": 150, "total_pages": 2}}).into()
        }
        _ => one_project(request),
    }
}

fn plan(files: &[(&str, Value)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content.to_string()).unwrap();
    }
    root
}

fn merge(world: &World, root: &Path, more: &[&str]) -> Run {
    let root = root.display().to_string();
    let words = ["import", &root, "--merge"].into_iter().chain(more.iter().copied());
    world.run_words(&words.collect::<Vec<_>>(), &[], "")
}

/// What a merge of these files sends to that project.
fn sent(files: &[(&str, Value)]) -> Value {
    let (world, root) = (World::new(large), plan(files));
    let run = merge(&world, root.path(), &["--project", "my-app"]);
    assert_eq!(run.code, 0, "{run:?}");
    let shown = merge(&world, root.path(), &["--project", "my-app", "--dry-run"]);
    let body = body_of(&world, "/import");
    assert_eq!(shown.json(), body, "a dry run shows what is sent");
    assert_eq!(world.requests().iter().filter(|request| request.method == "POST").count(), 1);
    body
}

#[test]
fn nothing_that_nobody_wrote_is_sent_of_what_the_project_has() {
    let body = sent(&[
        ("epic_2_auth/us_2.1.json", json!({"id": "US-2.1", "title": "Log in", "phase": null})),
        ("epic_150_last/us_1.600.json", json!({"id": "US-1.600", "title": "Last"})),
    ]);
    assert_eq!(
        body["epics"],
        json!([
            {"number": 2, "stories": [{"number": "2.1", "title": "Log in", "metadata": {"phase": null}}]},
            {"number": 150, "stories": [{"number": "1.600", "title": "Last"}]}
        ]),
        "pages are read to the end"
    );
}

#[test]
fn what_is_written_is_sent() {
    let body = sent(&[
        ("epic_2_auth/epic.json", json!({"title": "Signing in", "position": 7, "metadata": {"a": 1}})),
        (
            "epic_3_more/us_3.1.json",
            json!({"id": "3.1", "title": "x", "epic": {"id": 3, "name": "Of a story"}}),
        ),
    ]);
    assert_eq!(
        body["epics"][0],
        json!({"number": 2, "title": "Signing in", "position": 7, "metadata": {"a": 1}, "stories": []})
    );
    assert_eq!(
        (&body["epics"][1]["title"], &body["epics"][1]["position"]),
        (&json!("Of a story"), &Value::Null)
    );
}

/// Most phases of a part are not those of the whole.
#[test]
fn the_phase_of_most_stories_is_for_new_epics() {
    let story = |number: &str| json!({"id": number, "title": "x", "phase": "p1"});
    let body = sent(&[("epic_2/us_2.1.json", story("2.1")), ("epic_151/us_151.1.json", story("151.1"))]);
    assert_eq!((&body["epics"][0]["phase"], &body["epics"][1]["phase"]), (&Value::Null, &json!("p1")));
}

#[test]
fn new_records_get_what_is_derived() {
    let body = sent(&[
        ("epic_2_auth/us_2.2.json", json!({"id": "2.2", "title": "Log out", "owner": "me"})),
        ("epic_151_late_work/us_151.1.json", json!({"id": "151.1", "title": "x"})),
    ]);
    let source = "epic_2_auth/us_2.2.json";
    assert_eq!(body["epics"][0]["stories"][0]["metadata"], json!({"owner": "me", "source_file": source}));
    let epic = &body["epics"][1];
    assert_eq!((&epic["title"], &epic["position"]), (&json!("Late work"), &json!(1)));
    assert_eq!(epic["stories"][0]["metadata"], json!({"source_file": "epic_151_late_work/us_151.1.json"}));
}

/// Metadata is replaced as a whole: without this, every import after the first would take the note away.
#[test]
fn where_a_story_came_from_stays_noted() {
    let metadata = |file: Value| {
        let number = file["id"].as_str().unwrap().to_owned();
        sent(&[(&format!("epic_2/us_{number}.json"), file)])["epics"][0]["stories"][0]["metadata"].clone()
    };
    let noted = "old/us_1.7.json";
    assert_eq!(
        metadata(json!({"id": "1.7", "title": "x", "owner": "me"})),
        json!({"owner": "me", "source_file": noted})
    );
    assert_eq!(metadata(json!({"id": "1.7", "title": "x", "metadata": {}})), json!({"source_file": noted}));
    assert_eq!(
        metadata(json!({"id": "1.7", "title": "x", "metadata": {"source_file": "mine"}})),
        json!({"source_file": "mine"})
    );
    assert_eq!(metadata(json!({"id": "2.1", "title": "x", "owner": "me"})), json!({"owner": "me"}));
}

#[test]
fn what_is_left_alone_is_named_in_moderation() {
    let left = |count: usize| {
        let world = World::new(move |request| match request.method.as_str() {
            "POST" => {
                let orphan = |n| json!({"number": format!("1.{n}"), "title": "Old"});
                json!({"import": {"stories_orphaned": (1..=count).map(orphan).collect::<Vec<_>>()}}).into()
            }
            _ => one_project(request),
        });
        let run = world.run_with("import - --merge --project my-app --format human", &[], r#"{"epics":[]}"#);
        let lines =
            run.stdout.lines().filter_map(|line| line.strip_prefix("Not in the import, left alone: "));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (twenty, many) = (left(20), left(25));
    assert_eq!((twenty.len(), twenty[19].as_str()), (20, "1.20 Old"));
    assert_eq!((many.len(), &many[..20], many[20].as_str()), (21, &twenty[..], "… and 5 more"));
}

#[test]
fn a_project_that_is_not_there_has_nothing() {
    let root = plan(&[("epic_2_auth/us_2.1.json", json!({"id": "2.1", "title": "Log in"}))]);
    let world = World::new(large);
    for more in [&["--dry-run"][..], &["--dry-run", "--project", "other"]] {
        let shown = merge(&world, root.path(), more);
        assert_eq!(shown.json()["epics"][0]["title"], "Auth", "{shown:?}");
    }
    assert_eq!(merge(&world, root.path(), &["--project", "other"]).code, 5);
    let nowhere = merge(&world, root.path(), &[]);
    assert!(nowhere.code == 2 && nowhere.stderr.contains("Missing --project"), "{nowhere:?}");
    // Nor is anything asked of a document, which is sent as it is.
    let world = World::new(large);
    let run = world.run_with(&format!("import - --merge --project {P1}"), &[], r#"{"epics":[]}"#);
    assert_eq!((run.code, world.lines()), (0, vec![format!("POST /api/v1/projects/{P1}/import?merge=true")]));
}
