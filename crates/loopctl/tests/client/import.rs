//! `import` from directories, files and standard input.

use serde_json::json;

use crate::support::{Answer, Request, Run, World, error};
use crate::{P1, body_of, list, one_project};

fn write(root: &std::path::Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn run(world: &World, root: &std::path::Path, more: &[&str]) -> Run {
    let root = root.display().to_string();
    let words: Vec<&str> =
        ["import", &root, "--project", "my-app"].into_iter().chain(more.iter().copied()).collect();
    world.run_words(&words, &[], "")
}

fn stories() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "epic_1_base/us_1.1.json", r#"{"id":"US-1.1","title":"One","estimated_hours":4}"#);
    write(
        root.path(),
        "epic_2_more/us_2.1.json",
        r#"{"id":"US-2.1","title":"Two","dependencies":["US-1.1"]}"#,
    );
    write(root.path(), "epic_2_more/notes.json", "not for the import");
    root
}

fn imports(request: &Request) -> Answer {
    match request.method.as_str() {
        "POST" if request.query == "merge=true" => {
            json!({"import": {"epics_created": 0, "epics_updated": 2, "stories_created": 0, "stories_updated": 2,
                   "stories_orphaned": [{"number": "9.9", "title": "Old"}], "dependencies_created": 0}})
            .into()
        }
        "POST" => {
            (201, json!({"import": {"epics_created": 2, "stories_created": 2, "dependencies_created": 1}})).into()
        }
        _ if request.path.ends_with("/epics") => list(&[]),
        _ => one_project(request),
    }
}

#[test]
fn a_directory_becomes_one_request() {
    let (world, root) = (World::new(imports), stories());
    let done = run(&world, root.path(), &["--format", "human"]);
    assert_eq!(done.stdout, "Imported: 2 epics, 2 stories, 1 dependencies\n", "{done:?}");
    assert_eq!(world.lines().last().unwrap(), &format!("POST /api/v1/projects/{P1}/import"));
    let sent = body_of(&world, "/import");
    assert_eq!(sent["epics"][0]["stories"][0]["estimated_hours"], 4);
    assert_eq!(sent["story_dependencies"], json!([{"story": "2.1", "depends_on": "1.1"}]));

    let merged = run(&world, root.path(), &["--merge", "--format", "human"]);
    assert!(merged.stdout.contains("Updated: 2 epics, 2 stories\n"), "{merged:?}");
    assert!(merged.stdout.contains("left alone: 9.9 Old"), "{merged:?}");
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let (world, root) = (World::new(imports), stories());
    let shown = run(&world, root.path(), &["--dry-run"]).json();
    assert_eq!(shown["epics"][1]["title"], "More");
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_broken_file_stops_everything() {
    let (world, root) = (World::new(imports), stories());
    write(root.path(), "epic_2_more/us_2.2.json", "{\"id\":");
    write(root.path(), "epic_2_more/us_2.3.json", r#"{"id":"US-2.1","title":"Twice"}"#);
    let failed = run(&world, root.path(), &[]);
    assert_eq!(failed.code, 2);
    assert!(failed.stderr.starts_with("Error: Nothing was imported: 2 problems in "), "{failed:?}");
    assert!(failed.stderr.contains("epic_2_more/us_2.2.json: invalid JSON"), "{failed:?}");
    assert!(failed.stderr.contains("us_2.3.json: duplicate story number 2.1"), "{failed:?}");
    assert_eq!(world.lines(), [""; 0]);
    assert_eq!(world.run("import /does/not/exist --project my-app").code, 2);
}

#[test]
fn files_and_standard_input_are_sent_as_they_are() {
    let world = World::new(imports);
    let done = world.run_with("import - --project my-app", &[], r#"{"epics":[]}"#);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(body_of(&world, "/import"), json!({"epics": []}));
    let nowhere = world.run_with("import -", &[], r#"{"epics":[]}"#);
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.stderr.contains("Missing --project"), "{nowhere:?}");
}

/// A server would find nothing in it that it reads.
#[test]
fn a_file_of_a_plan_is_no_plan() {
    let (world, root) = (World::new(imports), stories());
    write(root.path(), "epic_1_base/epic.json", r#"{"number":1,"title":"Base"}"#);
    write(root.path(), "story.json", r#"{"number":"1.2","title":"Two"}"#);
    for (file, what) in [
        ("epic_1_base/us_1.1.json", "a story file"),
        ("story.json", "a story file"),
        ("epic_1_base/epic.json", "an epic file"),
    ] {
        let path = root.path().join(file);
        for more in [&[][..], &["--merge"], &["--dry-run"]] {
            let refused = run(&world, &path, more);
            let expected = format!("Error: {}: this is {what}: name its directory\n", path.display());
            assert_eq!((refused.code, refused.stderr), (2, expected));
        }
    }
    let refused = world.run_with("import - --merge", &[], r#"{"id":"US-2.1","title":"Two"}"#);
    assert_eq!((refused.code, world.lines()), (2, Vec::new()), "{refused:?}");
    // A merge may bring dependencies alone.
    let edges = r#"{"story_dependencies":[{"story":"2.1","depends_on":"1.1"}]}"#;
    assert_eq!(world.run_with("import - --merge --project my-app", &[], edges).code, 0);
}

#[test]
fn a_conflict_suggests_to_merge() {
    let root = stories();
    let world = World::new(|request| match request.method.as_str() {
        "POST" => error(409, "Import conflicts with existing data. Use merge=true to update."),
        _ => one_project(request),
    });
    let failed = run(&world, root.path(), &[]);
    assert_eq!(failed.code, 6);
    assert!(failed.stderr.contains("--merge"), "{failed:?}");
}

#[test]
fn one_epic_can_be_imported_alone() {
    let (world, root) = (World::new(imports), stories());
    let epic = root.path().join("epic_1_base");
    let shown = run(&world, &epic, &["--dry-run"]).json();
    assert_eq!((&shown["epics"][0]["number"], &shown["epics"][0]["title"]), (&json!(1), &json!("Base")));
    // What it depends on is on the server already, or it is a mistake.
    let epic = root.path().join("epic_2_more");
    let refused = run(&world, &epic, &["--dry-run"]);
    assert!(refused.stderr.contains("epic_2_more/us_2.1.json: unknown story 1.1"), "{refused:?}");
    assert_eq!(run(&world, &epic, &["--dry-run", "--merge"]).code, 0);
}

#[test]
fn an_epic_is_known_by_its_directory_also_from_inside() {
    let (world, root) = (World::new(imports), stories());
    let epic = root.path().join("epic_1_base");
    std::fs::create_dir(epic.join("deep")).unwrap();
    for path in [epic.join("."), epic.join("deep/..")] {
        let shown = run(&world, &path, &["--dry-run"]).json();
        let epic = &shown["epics"][0];
        assert_eq!((&epic["number"], &epic["title"]), (&json!(1), &json!("Base")), "{}", path.display());
        assert_eq!(epic["stories"][0]["metadata"]["source_file"], "epic_1_base/us_1.1.json");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_json() {
    let (world, root) = (World::new(imports), stories());
    write(root.path(), "epic_2_more/us_2.2.json", "\u{feff}{\"id\":\"US-2.2\",\"title\":\"Three\"}");
    let shown = run(&world, root.path(), &["--dry-run"]).json();
    assert_eq!(shown["epics"][1]["stories"][1]["title"], "Three");
    write(root.path(), "document.json", "\u{feff}{\"epics\":[]}");
    let shown = run(&world, &root.path().join("document.json"), &["--dry-run"]);
    assert_eq!(shown.json(), json!({"epics": []}));
}

/// A pipe with a telling name would keep the import waiting for ever.
#[test]
fn only_files_are_read() {
    let (world, root) = (World::new(imports), stories());
    let epic = root.path().join("epic_2_more");
    nix::unistd::mkfifo(&epic.join("us_2.2.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("nowhere", epic.join("us_2.3.json")).unwrap();
    let failed = run(&world, root.path(), &[]);
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(failed.stderr.contains("2 problems"), "{failed:?}");
    assert!(failed.stderr.contains("epic_2_more/us_2.2.json: is not a file"), "{failed:?}");
    assert!(failed.stderr.contains("epic_2_more/us_2.3.json: cannot be read"), "{failed:?}");

    // A link to a file is as good as the file.
    for name in ["us_2.2.json", "us_2.3.json"] {
        std::fs::remove_file(epic.join(name)).unwrap();
    }
    write(root.path(), "elsewhere.json", r#"{"id":"US-2.2","title":"Linked"}"#);
    std::os::unix::fs::symlink("../elsewhere.json", epic.join("us_2.2.json")).unwrap();
    let shown = run(&world, root.path(), &["--dry-run"]).json();
    assert_eq!(shown["epics"][1]["stories"][1]["title"], "Linked");
}
