//! `include_status`: what an import can restore, it restores, into new stories only; nothing leads into the loop.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{export, export_with_statuses, import, merge, stories};
use crate::support::{Reach, Tenant, bring, connect, server, text};

/// A project with a story in every state that stories come to, by number.
async fn worked_on(tenant: &Tenant) -> String {
    let numbers = ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9"];
    let list: Vec<_> = numbers.iter().map(|number| crate::support::story(number)).collect();
    let mut payload = json!({"epics": [{"number": 1, "title": "Epic", "stories": list}]});
    payload["epics"][0]["stories"][7]["initial_verified_status"] = json!("pass");
    payload["epics"][0]["stories"][8]["initial_agent_status"] = json!("reported_done");
    let project = tenant.imported(payload).await;
    let (implementer, reviewer) = (tenant.agent().await, tenant.agent().await);
    let orchestrator = tenant.orchestrator().await;
    let reaches = [Reach::Contracted, Reach::Assigned, Reach::Implementing, Reach::Reviewed, Reach::Verified];
    for (number, reach) in ["1.2", "1.3", "1.4", "1.5", "1.6"].iter().zip(reaches) {
        let story = tenant.story_id(&project, number).await;
        bring(&story, reach, &implementer, &reviewer, &orchestrator).await;
    }
    let rejected = tenant.story_id(&project, "1.7").await;
    bring(&rejected, Reach::Reported, &implementer, &reviewer, &orchestrator).await;
    let body = json!({"reason": "not yet", "review_type": "enhanced"});
    orchestrator.post(&format!("/stories/{rejected}/reject"), body).await.expect(200);
    project
}

/// The two statuses of every story, by number.
fn statuses(document: &Value) -> BTreeMap<String, [String; 2]> {
    let of = |story: &Value| [text(&story["agent_status"]), text(&story["verified_status"])];
    stories(document).map(|story| (text(&story["number"]), of(story))).collect()
}

/// The `initial_*` members of every story that has any, by number.
fn initial(document: &Value) -> BTreeMap<String, Value> {
    let of = |story: &Value| -> Value {
        let members = story.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("initial_"));
        Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let all = stories(document).map(|story| (text(&story["number"]), of(story)));
    all.filter(|(_, members)| *members != json!({})).collect()
}

/// Everything that the database holds of a project's stories.
async fn rows(project: &str) -> Vec<Value> {
    let sql = "select to_jsonb(s) from whole_stories s where project_id::text = $1 order by number";
    let rows = connect(&server().owner).await.query(sql, &[&project]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn only_what_an_import_can_set_is_restored() {
    let tenant = Tenant::new().await;
    let project = worked_on(&tenant).await;
    let plain = export(&tenant.user, &project).await;
    for flag in ["", "=", "=false", "=0", "=yes"] {
        let path = format!("/projects/{project}/export?include_status{flag}");
        assert_eq!(initial(&tenant.user.get(&path).await.expect(200)), BTreeMap::new(), "{path}");
    }
    let path = format!("/projects/{project}/export?include_status=1");
    let document = tenant.agent().await.get(&path).await.expect(200);
    assert_eq!(statuses(&document), statuses(&plain));
    let seen: Vec<_> = statuses(&document).into_values().map(|pair| pair.join(" ")).collect();
    assert_eq!(
        seen,
        [
            "pending unverified",
            "contracted unverified",
            "assigned unverified",
            "implementing unverified",
            "reported_done unverified",
            "reported_done verified",
            // Rejected, and free to be taken up again.
            "pending rejected",
            "reported_done verified",
            "reported_done unverified",
        ]
    );
    let verified = json!({"initial_verified_status": "verified"});
    let reported = json!({"initial_agent_status": "reported_done"});
    // 1.5 waits for its verification: imported without its implementer, that could verify it itself.
    let expected = [("1.6", &verified), ("1.8", &verified), ("1.9", &reported)];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(number, words)| (number.to_owned(), words.clone())).collect();
    assert_eq!(initial(&document), expected);

    // An orchestrator may import it elsewhere; what was not earned there says where it comes from.
    let other = Tenant::new().await;
    let copy = other.project().await;
    import(&other.orchestrator().await, &copy, &document).await;
    let copied = export_with_statuses(&other.user, &copy).await;
    assert_eq!(initial(&copied), expected);
    for (number, [agent, verified]) in statuses(&copied) {
        let restored = expected.contains_key(&number);
        assert_eq!(agent, if restored { "reported_done" } else { "pending" }, "{number}");
        let was = &statuses(&document)[&number][1];
        assert_eq!(&verified, if restored { was } else { "unverified" }, "{number}");
        let id = other.story_id(&copy, &number).await;
        let history = other.user.get(&format!("/stories/{id}/history")).await.expect(200);
        let created = &history["data"][0];
        assert_eq!(
            (&created["action"], &created["metadata"]["source"]),
            (&json!("created"), &json!("import"))
        );
        assert_eq!(created["new_state"]["verified_status"], verified, "{number}");
        for name in ["initial_agent_status", "initial_verified_status"] {
            let words = expected.get(&number).unwrap_or(&Value::Null);
            assert_eq!(created["metadata"][name], words[name], "{number}");
        }
    }
    // Nobody is named there who does not exist there.
    assert!(stories(&copied).all(|story| story["assigned_agent_id"].is_null()));
}

#[tokio::test]
async fn a_merge_changes_no_status() {
    let tenant = Tenant::new().await;
    let project = worked_on(&tenant).await;
    let document = export_with_statuses(&tenant.user, &project).await;
    let before = rows(&project).await;
    let merged = merge(&tenant.orchestrator().await, &project, &document).await;
    assert_eq!(
        (&merged["import"]["stories_updated"], &merged["import"]["stories_created"]),
        (&json!(9), &json!(0))
    );
    assert_eq!(rows(&project).await, before);

    // Nor where the document says verified and the story of that number is at its beginning.
    let fresh = tenant.imported(export(&tenant.user, &project).await).await;
    let before = rows(&fresh).await;
    merge(&tenant.user, &fresh, &document).await;
    assert_eq!(rows(&fresh).await, before);
    assert!(before.iter().all(|story| story["agent_status"] == "pending"));
}
