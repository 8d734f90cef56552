//! Prerequisites of a claim.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::refused;
use crate::support::{Caller, Reach, Reply, Tenant, bring, echo, story, text};

struct Plan {
    a1: Caller,
    a2: Caller,
    o: Caller,
    /// Story and epic ids by number.
    ids: HashMap<String, String>,
}

impl Plan {
    async fn new(payload: Value) -> Self {
        let tenant = Tenant::new().await;
        let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        let project = tenant.imported(payload).await;
        let mut ids = HashMap::new();
        for path in [format!("/stories?project_id={project}"), format!("/projects/{project}/epics")] {
            let list = tenant.user.get(&path).await.expect(200);
            for item in list["data"].as_array().unwrap() {
                let number =
                    item["number"].as_str().map_or_else(|| item["number"].to_string(), str::to_owned);
                ids.insert(number, text(&item["id"]));
            }
        }
        Self { a1, a2, o, ids }
    }

    async fn verify(&self, number: &str) {
        bring(&self.ids[number], Reach::Verified, &self.a1, &self.a2, &self.o).await;
    }

    async fn contract(&self, number: &str) {
        let path = format!("/stories/{}/contract", self.ids[number]);
        self.a1.post(&path, echo()).await.expect(200);
    }

    async fn claim(&self, number: &str) -> Reply {
        self.a1.post_empty(&format!("/stories/{}/claim", self.ids[number])).await
    }

    /// Hints and ids of a claim that prerequisites forbid; the last hint is where there are other stories.
    async fn unmet(&self, number: &str) -> (Vec<String>, Value, Value) {
        let reply = self.claim(number).await;
        let state = ["contracted", "unverified"];
        let error = refused(reply, 409, "dependencies_not_met", "claim", state);
        let mut hints: Vec<String> = error["hints"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(hints.pop().unwrap(), "Pick another one from GET /api/v1/stories/ready.");
        let context = &error["context"];
        (hints, context["unmet_story_ids"].clone(), context["unmet_epic_ids"].clone())
    }
}

#[tokio::test]
async fn a_claim_waits_for_its_prerequisite_stories() {
    let plan = Plan::new(json!({
        "epics": [{"number": 1, "title": "Epic", "stories": [story("1.1"), story("1.2"), story("1.3"), story("1.4")]}],
        "story_dependencies": [{"story": "1.3", "depends_on": "1.1"}, {"story": "1.3", "depends_on": "1.2"},
                               {"story": "1.4", "depends_on": "1.3"}],
    }))
    .await;
    // The state is looked at first.
    let early = plan.claim("1.3").await;
    refused(early, 409, "must_contract_first", "claim", ["pending", "unverified"]);
    // Prerequisites forbid the claim only.
    plan.contract("1.3").await;
    let (hints, stories, epics) = plan.unmet("1.3").await;
    assert_eq!(hints.len(), 2);
    assert!(hints[0].contains("1.1 is unverified"), "{hints:?}");
    assert!(hints[1].contains("1.2 is unverified"), "{hints:?}");
    assert_eq!(stories, json!([plan.ids["1.1"], plan.ids["1.2"]]));
    assert_eq!(epics, json!([]));
    let path = format!("/stories/{}", plan.ids["1.3"]);
    let shown = plan.o.get(&path).await.expect(200);
    assert_eq!(shown["story"]["agent_status"], "contracted");

    // Nothing less than verified will do.
    let people = [&plan.a1, &plan.a2, &plan.o];
    bring(&plan.ids["1.1"], Reach::Reviewed, people[0], people[1], people[2]).await;
    assert_eq!(plan.unmet("1.3").await.0.len(), 2);
    let path = format!("/stories/{}/reject", plan.ids["1.1"]);
    plan.o.post(&path, json!({"reason": "no tests"})).await.expect(200);
    let (hints, ..) = plan.unmet("1.3").await;
    assert!(hints[0].contains("1.1 is rejected"), "{hints:?}");
    plan.verify("1.1").await;
    let (hints, stories, _) = plan.unmet("1.3").await;
    assert!(hints.len() == 1 && hints[0].contains("1.2 is unverified"), "{hints:?}");
    assert_eq!(stories, json!([plan.ids["1.2"]]));
    plan.verify("1.2").await;
    plan.claim("1.3").await.expect(200);

    // Only direct prerequisites count, and a late rejection counts again.
    plan.contract("1.4").await;
    let (_, stories, _) = plan.unmet("1.4").await;
    assert_eq!(stories, json!([plan.ids["1.3"]]));
}

#[tokio::test]
async fn a_claim_waits_for_its_prerequisite_epics() {
    let plan = Plan::new(json!({
        "epics": [{"number": 1, "title": "A", "stories": [story("1.1"), story("1.2")]},
                  {"number": 2, "title": "B", "stories": [story("2.1")]},
                  {"number": 3, "title": "None", "stories": []},
                  {"number": 4, "title": "C", "stories": [story("4.1"), story("4.2")]}],
        "epic_dependencies": [{"epic": 4, "depends_on": 1}, {"epic": 4, "depends_on": 2}, {"epic": 4, "depends_on": 3}],
        "story_dependencies": [{"story": "4.2", "depends_on": "4.1"}],
    }))
    .await;
    plan.contract("4.2").await;
    let (hints, stories, epics) = plan.unmet("4.2").await;
    assert_eq!(hints.len(), 3, "{hints:?}");
    assert!(hints[0].contains("4.1 is unverified"), "{hints:?}");
    assert!(hints[1].contains("epic 1"), "{hints:?}");
    assert!(hints[2].contains("epic 2"), "{hints:?}");
    assert_eq!(stories, json!([plan.ids["4.1"]]));
    assert_eq!(epics, json!([plan.ids["1"], plan.ids["2"]]));

    plan.contract("4.1").await;
    plan.verify("1.1").await;
    let (hints, stories, epics) = plan.unmet("4.1").await;
    assert_eq!(hints.len(), 2, "{hints:?}");
    assert_eq!(stories, json!([]));
    assert_eq!(epics, json!([plan.ids["1"], plan.ids["2"]]));
    plan.verify("2.1").await;
    let (hints, _, epics) = plan.unmet("4.1").await;
    assert_eq!(hints.len(), 1, "{hints:?}");
    assert_eq!(epics, json!([plan.ids["1"]]));
    plan.verify("1.2").await;
    plan.claim("4.1").await.expect(200);
}

/// Work that was imported as verified counts, and a late rejection closes the door again.
#[tokio::test]
async fn imported_verifications_count() {
    let plan = Plan::new(json!({
        "epics": [{"number": 1, "title": "Epic", "stories": [
            {"number": "1.1", "title": "Old", "initial_agent_status": "reported_done", "initial_verified_status": "verified"},
            story("1.2"), story("1.3")]}],
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}, {"story": "1.3", "depends_on": "1.1"}],
    }))
    .await;
    plan.contract("1.2").await;
    plan.claim("1.2").await.expect(200);
    plan.contract("1.3").await;
    let path = format!("/stories/{}/reject", plan.ids["1.1"]);
    plan.o.post(&path, json!({"reason": "broken"})).await.expect(200);
    assert_eq!(plan.unmet("1.3").await.1, json!([plan.ids["1.1"]]));
    // What is claimed already goes on.
    let path = format!("/stories/{}/start", plan.ids["1.2"]);
    plan.a1.post_empty(&path).await.expect(200);
}
