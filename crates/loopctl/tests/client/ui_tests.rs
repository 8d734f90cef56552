//! Runs of user interface tests, on the paths of `ui_test_runs`.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World, error};
use crate::{P1, S21, list, one_project};

const RUN: &str = S21;

fn run(status: &str, findings: &[Value]) -> Value {
    json!({"id": RUN, "project_id": P1, "status": status, "guide_reference": "docs/guide.md", "findings": findings,
           "findings_count": findings.len(), "critical_count": 0, "high_count": findings.len(),
           "started_at": "2026-01-01T00:00:00Z", "completed_at": null})
}

fn finding() -> Value {
    json!({"id": P1, "severity": "bug", "title": "Wrong total", "expected": "2", "actual": "3"})
}

fn server(request: &Request) -> Answer {
    match (request.method.as_str(), request.path.strip_prefix("/api/v1").unwrap()) {
        ("POST", path) if path.ends_with("/ui_test_runs") => {
            (201, json!({"data": run("running", &[])})).into()
        }
        ("POST", path) if path.ends_with("/findings") => {
            (201, json!({"data": finding(), "ui_test_run": run("running", &[finding()])})).into()
        }
        ("POST", path) if path.ends_with("/complete") => json!({"data": run("failed", &[finding()])}).into(),
        ("GET", path) if path.ends_with("/ui_test_runs") => list(&[run("running", &[])]),
        ("GET", path) if path.contains("/ui_test_runs/") => json!({"data": run("running", &[])}).into(),
        _ => one_project(request),
    }
}

fn sent(words: &str) -> (String, Value) {
    let world = World::new(server);
    let run = world.run(words);
    assert_eq!(run.code, 0, "{run:?}");
    let request = world.requests().pop().unwrap();
    (request.line(), request.body)
}

#[test]
fn runs_are_started_filled_and_completed() {
    let (line, body) = sent("ui-test start --project my-app");
    assert_eq!((line, body), (format!("POST /api/v1/projects/{P1}/ui_test_runs"), json!({})));
    let (_, body) = sent("ui-test start --project my-app --guide-reference docs/guide.md --notes=-n");
    assert_eq!(body, json!({"guide_reference": "docs/guide.md", "notes": "-n"}));
    let (line, body) = sent(&format!(
        "ui-test finding {RUN} --severity bug --title Wrong+total --steps s --expected 2 --actual 3 --screenshot-path a.png"
    ));
    assert_eq!(line, format!("POST /api/v1/ui_test_runs/{RUN}/findings"));
    assert_eq!(
        body,
        json!({"severity": "bug", "title": "Wrong total", "steps": "s", "expected": "2", "actual": "3",
               "screenshot_path": "a.png"})
    );
    let (line, body) = sent(&format!("ui-test complete {RUN} --summary done --status passed"));
    assert_eq!(line, format!("POST /api/v1/ui_test_runs/{RUN}/complete"));
    assert_eq!(body, json!({"summary": "done", "status": "passed"}));
    let (_, body) = sent(&format!("ui-test complete {RUN} --summary done"));
    assert_eq!(body, json!({"summary": "done"}), "the findings decide");
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let world = World::new(server);
    for words in [
        "ui-test finding 2.1 --severity bug --title t".to_owned(),
        format!("ui-test finding {RUN} --severity critical --title t"),
        format!("ui-test finding {RUN} --severity bug"),
        format!("ui-test finding {RUN} --severity bug --title +"),
        format!("ui-test complete {RUN}"),
        format!("ui-test complete {RUN} --summary +"),
        format!("ui-test complete {RUN} --summary s --status running"),
        "ui-test list --status open".to_owned(),
    ] {
        assert_eq!(world.run(&words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
    let closed = World::new(|_| error(422, "Run is already completed"));
    assert_eq!(closed.run(&format!("ui-test complete {RUN} --summary s")).code, 7);
}

#[test]
fn runs_and_findings_are_tables_for_people() {
    let world = World::new(server);
    let listed = world.run("ui-test list --project my-app --status running --limit 5 --format human").stdout;
    assert!(listed.contains(&format!("  running         0  2026-01-01  {RUN}\n")), "{listed}");
    let last = world.lines().pop().unwrap();
    assert_eq!(last, format!("GET /api/v1/projects/{P1}/ui_test_runs?status=running&limit=5"));

    let completed = world.run(&format!("ui-test complete {RUN} --summary s --format human")).stdout;
    let finding = "\n\n1.  Wrong total\nseverity: bug\nexpected: 2\nactual:   3\n";
    assert!(completed.contains("  failed\n") && completed.ends_with(finding), "{completed}");
    assert!(!completed.contains("findings: "), "{completed}");
    let shown = world.run(&format!("ui-test show {RUN} --format human")).stdout;
    assert!(shown.ends_with("\n\nNo findings.\n"), "{shown}");
    assert_eq!(world.run(&format!("ui-test show {RUN}")).json(), json!({"data": run("running", &[])}));

    let words = format!("ui-test finding {RUN} --severity bug --title t");
    let added = world.run(&format!("{words} --format human")).stdout;
    assert!(added.ends_with("actual:              3\nfindings of the run: 1\n"), "{added}");
    assert_eq!(world.run(&words).json()["ui_test_run"]["findings_count"], 1);
}
