//! The trust loop by its commands, and what speaks for a story.

use serde_json::{Value, json};

use super::refused;
use super::team::Team;

/// The numbers in a list.
fn numbers(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|story| story["number"].as_str().unwrap()).collect()
}

#[test]
fn a_story_is_brought_to_verified_by_others_than_its_implementer() {
    let team = Team::staffed();
    let project = team.project("my-app", &["2.1"]);
    for step in ["contract", "claim", "start", "request-review"] {
        team.run("alice", &format!("{step} US-2.1 --project my-app")).success();
    }
    let own = team.run("alice", "report US-2.1 --project my-app");
    refused(&own, 6, "code: self_report_blocked");
    assert!(own.stderr.contains("hint: A different agent must call report."), "{own:?}");
    assert_eq!(team.story(&project, "2.1")["agent_status"], "implementing");
    team.run("bob", "report US-2.1 --project my-app").success();
    team.run("bob", "review-complete US-2.1 --review-type manual --project my-app").success();
    let verified = team.run("lead", "verify US-2.1 --result pass --summary All+ACs+met --project my-app");
    assert_eq!(verified.json()["status"], "verified");
    let story = team.story(&project, "2.1");
    assert_eq!(
        (&story["verified_status"], &story["verification_source"]),
        (&json!("verified"), &json!("loop"))
    );
}

#[test]
fn a_verdict_that_is_none_is_not_sent() {
    let team = Team::staffed();
    let project = team.project("my-app", &["2.1"]);
    let id = team.report(&project, "2.1");
    let review = json!({"review_type": "manual"});
    team.sent("bob", "POST", &format!("/stories/{id}/review-complete"), &review);
    let before = team.rows(&format!("/stories/{id}/history"));
    for (words, told) in [
        (
            "verify 2.1 --result maybe",
            "invalid value 'maybe' for '--result <RESULT>': Valid results: pass, partial",
        ),
        ("verify 2.1 --result fail", "Use: loopctl reject <story> --reason <text>"),
        ("verify 2.1", "--summary"),
        ("reject 2.1", "--reason"),
        ("reject 2.1 --reason +", "--reason must not be blank"),
    ] {
        refused(&team.run("lead", words), 2, told);
    }
    let story = team.story(&project, "2.1");
    assert_eq!(
        (&story["agent_status"], &story["verified_status"]),
        (&json!("reported_done"), &json!("unverified"))
    );
    assert_eq!(team.rows(&format!("/stories/{id}/history")), before);
}

#[test]
fn what_waits_for_verification_is_what_was_reported_and_not_verified() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "2.1"]);
    let other = team.project("other", &["1.1"]);
    team.implement(&project, "1.2");
    team.report(&project, "1.3");
    let verified = team.report(&project, "1.4");
    let review = json!({"review_type": "manual"});
    team.sent("bob", "POST", &format!("/stories/{verified}/review-complete"), &review);
    let verdict = json!({"review_type": "manual", "summary": "fine"});
    team.sent("lead", "POST", &format!("/stories/{verified}/verify"), &verdict);
    let rejected = team.report(&project, "1.5");
    team.sent("lead", "POST", &format!("/stories/{rejected}/reject"), &json!({"reason": "no"}));
    let adopted = team.story_id(&project, "1.6");
    team.sent("lead", "POST", &format!("/stories/{adopted}/backfill"), &json!({"reason": "was there"}));
    team.report(&project, "2.1");
    team.report(&other, "1.1");

    let pending = team.run("lead", "pending --project my-app").json();
    assert_eq!(numbers(&pending), ["1.3", "2.1"]);
    assert!(pending["data"].as_array().unwrap().iter().all(|story| story["agent_status"] == "reported_done"));
    assert_eq!(numbers(&team.run("lead", "pending --project other").json()), ["1.1"]);
}

#[test]
fn a_state_is_saved_upon_the_one_before() {
    let team = Team::staffed();
    let project = team.project("my-app", &[]);
    let saved = || team.call("lead", "GET", &format!("/orchestrator/state/{project}?state_key=main"), None).1;
    for version in [1, 2] {
        let words = format!(r#"state save --project my-app --data {{"wave":{version}}}"#);
        assert_eq!(team.run("lead", &words).json()["state"]["version"], version);
        let state = &saved()["state"];
        assert_eq!((&state["version"], &state["state_data"]["wave"]), (&json!(version), &json!(version)));
    }
    let late = team.run("lead", r#"state save --project my-app --version 1 --data {"wave":9}"#);
    refused(&late, 6, "  hint: ");
    refused(&team.run("lead", "state save --project my-app --data {oops"), 2, "Invalid JSON in --data: ");
    refused(&team.run("lead", "state save --project my-app --data @nowhere"), 2, "Cannot read nowhere");
    assert_eq!(saved()["state"]["state_data"], json!({"wave": 2}));

    team.write("state.json", r#"{"wave": 3}"#);
    team.run("lead", "state save --project my-app --data @state.json").success();
    assert_eq!(saved()["state"]["state_data"], json!({"wave": 3}));
    team.run_with("lead", "state save --project my-app --data -", r#"{"wave": 4}"#).success();
    assert_eq!(team.run("lead", "state load --project my-app").json(), saved());
    assert_eq!(saved()["state"]["version"], 4);
}

#[test]
fn evidence_is_attached_to_what_is_reported() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1", "1.2", "1.3"]);
    let ids = ["1.1", "1.2", "1.3"].map(|number| team.implement(&project, number));
    let of = |id: &str| {
        let rows = team.rows(&format!("/stories/{id}/artifacts"));
        rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    team.write("a.json", r#"{"artifact_type": "test", "path": "tests/a.rs", "exists": true}"#);
    team.run("bob", "report 1.1 --project my-app --artifact @a.json").success();
    assert_eq!(of(&ids[0]), ["tests/a.rs"]);
    let piped = r#"{"artifact_type": "migration", "path": "b.sql"}"#;
    team.run_with("bob", "report 1.2 --project my-app --artifact -", piped).success();
    assert_eq!(of(&ids[1]), ["b.sql"]);

    team.write("broken.json", "{oops");
    for (artifact, told) in [
        ("{oops", "Invalid JSON in --artifact: "),
        ("[1]", "Invalid JSON in --artifact: it must be an object"),
        ("@broken.json", "Invalid JSON in --artifact: "),
        ("@nowhere.json", "Cannot read nowhere.json for --artifact: "),
    ] {
        let words = format!("report 1.3 --project my-app --artifact {artifact}");
        refused(&team.run("bob", &words), 2, told);
    }
    assert_eq!(of(&ids[2]), [""; 0]);
    assert_eq!(team.story(&project, "1.3")["agent_status"], "implementing", "nothing was sent");
}

#[test]
fn nothing_ready_is_no_failure() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1"]);
    assert_eq!(numbers(&team.run("alice", "next --project my-app").json()), ["1.1"]);
    team.implement(&project, "1.1");
    let nothing = team.run("alice", "next --project my-app");
    assert_eq!(nothing.json()["data"], json!([]));
    let human = team.run("alice", "next --project my-app --format human");
    assert_eq!((human.code, human.stderr.as_str()), (0, ""));
    assert_eq!(human.stdout, "No stories are ready. `loopctl blocked` shows what waits for what.\n");
    let rows = team.run("alice", "next --project my-app --format csv");
    assert_eq!((rows.code, rows.stdout.lines().count()), (0, 1), "{rows:?}");
}
