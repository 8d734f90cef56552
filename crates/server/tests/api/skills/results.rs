//! What came of versions, and what is reckoned from it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{NOBODY, skill, told};
use crate::support::{Caller, Reach, Tenant, bring, connect, server, text};

/// A tenant with an orchestrator, and who works for it.
struct Scene {
    tenant: Tenant,
    implementer: Caller,
    reviewer: Caller,
    o: Caller,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (implementer, reviewer) = (tenant.agent().await, tenant.agent().await);
        let o = tenant.orchestrator().await;
        Self { tenant, implementer, reviewer, o }
    }

    /// A story that was just verified, with its verification.
    async fn verified(&self, result: &str) -> (String, String) {
        let story = self.tenant.story().await;
        bring(&story, Reach::Reviewed, &self.implementer, &self.reviewer, &self.o).await;
        let at = |step: &str| format!("/stories/{story}/{step}");
        let body = json!({"review_type": "enhanced", "summary": "s", "result": result});
        let verification = if result == "fail" {
            self.o.post(&at("reject"), json!({"reason": "no"})).await.expect(200);
            self.o.get(&at("verifications")).await.expect(200)["data"][0]["id"].clone()
        } else {
            self.o.post(&at("verify"), body).await.expect(200)["verification"]["id"].clone()
        };
        (story, text(&verification))
    }

    /// The id of a version.
    async fn version(&self, skill: &str, number: usize) -> String {
        let version = self.tenant.user.get(&format!("/skills/{skill}/versions/{number}")).await.expect(200);
        text(&version["version"]["id"])
    }
}

fn body(version: &str, verification: &str, story: &str) -> Value {
    json!({"skill_version_id": version, "verification_result_id": verification, "story_id": story})
}

#[tokio::test]
async fn refused_results() {
    let (scene, other) = (Scene::new().await, Scene::new().await);
    let id = skill(&scene.tenant.user, "review", "p").await;
    let version = scene.version(&id, 1).await;
    let (story, verification) = scene.verified("pass").await;
    let (another, _) = scene.verified("pass").await;
    let theirs = skill(&other.tenant.user, "review", "p").await;
    let (their_story, their_verification) = other.verified("pass").await;
    let their_version = other.version(&theirs, 1).await;
    let before = scene.tenant.audit_log().await.len();
    let (blank, invalid, unknown) =
        (json!(["can't be blank"]), json!(["is invalid"]), json!(["does not exist"]));
    let all = |why: &Value| json!({"skill_version_id": why, "verification_result_id": why, "story_id": why});
    let good = body(&version, &verification, &story);
    let with = |metrics: Value| {
        let mut body = good.clone();
        body["metrics"] = metrics;
        body
    };
    for (sent, details) in [
        (json!({}), all(&blank)),
        (body("x", "1", "-"), all(&invalid)),
        (body(NOBODY, NOBODY, NOBODY), all(&unknown)),
        (body(&their_version, &their_verification, &their_story), all(&unknown)),
        (body(&their_version, &verification, &story), json!({"skill_version_id": unknown})),
        (body(&version, &their_verification, &story), json!({"verification_result_id": unknown})),
        (
            body(&version, &verification, &another),
            json!({"verification_result_id": ["does not belong to story"]}),
        ),
        // A skill is not a version of it.
        (body(&id, &verification, &story), json!({"skill_version_id": unknown})),
        (with(json!([])), json!({"metrics": invalid})),
        (with(json!({"a": "x".repeat(70_000)})), json!({"metrics": ["must be smaller than 64KB"]})),
        (
            with(json!({"findings_count": "3", "iteration": 1.5, "other": "x"})),
            json!({"metrics": ["findings_count must be an integer", "iteration must be an integer"]}),
        ),
    ] {
        let error = scene.o.post("/skill_results", sent.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{sent}");
    }
    assert_eq!(scene.tenant.audit_log().await.len(), before);
    let list = scene.o.get(&format!("/skills/{id}/versions/1/results")).await.expect(200);
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn what_came_of_a_version() {
    let scene = Scene::new().await;
    let (u, o) = (&scene.tenant.user, &scene.o);
    let id = skill(u, "review", "p").await;
    for prompt in ["q", "r"] {
        u.post(&format!("/skills/{id}/versions"), json!({"prompt_text": prompt})).await.expect(201);
    }
    let (one, two) = (scene.version(&id, 1).await, scene.version(&id, 2).await);
    let stats = format!("/skills/{id}/stats");
    assert_eq!(u.get(&stats).await.expect(200)["data"], json!([]));
    let (passed, failed, partial) =
        (scene.verified("pass").await, scene.verified("fail").await, scene.verified("partial").await);
    let before = scene.tenant.audit_log().await.len();
    let record = async |version: &str, (story, verification): &(String, String), metrics: Value| {
        let mut body = body(version, verification, story);
        body["metrics"] = metrics;
        o.post("/skill_results", body).await.expect(201)["skill_result"].clone()
    };
    let metrics = json!({"findings_count": 10, "false_positive_count": 4, "mood": "good"});
    let first = record(&one, &passed, metrics.clone()).await;
    assert_eq!((&first["metrics"], &first["story_id"]), (&metrics, &json!(passed.0)));
    assert_eq!(
        told(&scene.tenant, before).await,
        [
            json!(["skill_result", "created", null, {"skill_version_id": one, "verification_result_id": passed.1,
                "story_id": passed.0, "metrics": metrics}])
        ]
    );
    let row = scene.tenant.audit_log().await.pop().unwrap();
    assert!(row["project_id"].is_string());
    assert_eq!((&row["entity_id"], &row["metadata"]["story_id"]), (&first["id"], &json!(passed.0)));
    // The same verification may be recorded again.
    let second =
        record(&one, &passed, json!({"findings_count": 10, "false_positive_count": 4, "iteration": 2})).await;
    let third = record(&one, &failed, json!({})).await;
    record(&two, &partial, json!({"findings_count": 0, "iteration": 3})).await;

    let list = u.get(&format!("/skills/{id}/versions/1/results")).await.expect(200);
    assert_eq!(list["data"], json!([third, second, first]), "newest first");
    assert_eq!(list["meta"]["page_size"], 3);
    let page = u.get(&format!("/skills/{id}/versions/1/results?page_size=2&page=2")).await.expect(200);
    assert_eq!(page["data"], json!([first]));

    let rows = u.get(&stats).await.expect(200)["data"].clone();
    assert_eq!(
        rows,
        json!([
            {"version": 1, "total_results": 3, "pass_count": 2, "fail_count": 1, "partial_count": 0, "stories_reviewed": 2,
             "avg_findings": "10", "avg_false_positives": "4", "false_positive_rate": "0.4", "avg_iterations": "2"},
            {"version": 2, "total_results": 1, "pass_count": 0, "fail_count": 0, "partial_count": 1, "stories_reviewed": 1,
             "avg_findings": "0", "avg_false_positives": null, "false_positive_rate": "0", "avg_iterations": "3"},
        ])
    );
    // Findings that nobody has looked at twice.
    record(&scene.version(&id, 3).await, &passed, json!({"findings_count": 8})).await;
    assert_eq!(u.get(&stats).await.expect(200)["data"][2]["false_positive_rate"], Value::Null);
    assert_eq!(u.get(&format!("{stats}?limit=1&page=3")).await.expect(200)["data"][0]["version"], 3);
    // What is no number is left out, however it came there.
    let sql = "insert into skill_results (tenant_id, id, skill_version_id, verification_result_id, story_id, metrics)
               select tenant_id, gen_random_uuid(), skill_version_id, verification_result_id, story_id,
                      '{\"findings_count\": \"many\", \"iteration\": [1], \"false_positive_count\": 1}'
               from skill_results where id = $1::text::uuid";
    connect(&server().owner).await.execute(sql, &[&text(&first["id"])]).await.unwrap();
    let row = u.get(&stats).await.expect(200)["data"][0].clone();
    assert_eq!(
        (&row["total_results"], &row["avg_findings"], &row["avg_iterations"], &row["avg_false_positives"]),
        (&json!(4), &json!("10"), &json!("2"), &json!("3"))
    );

    // Results go with their story, and stay otherwise.
    u.send(u.request(Method::DELETE, &format!("/stories/{}", partial.0))).await.expect(204);
    let versions: Vec<_> = u.get(&stats).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["version"].clone())
        .collect();
    assert_eq!(versions, [1, 3]);
}

/// A result and the deletion of its story: it comes before, or is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_story_that_goes_takes_its_results_along() {
    let scene = Scene::new().await;
    let u = &scene.tenant.user;
    let id = skill(u, "review", "p").await;
    let version = scene.version(&id, 1).await;
    for _ in 0..4 {
        let (story, verification) = scene.verified("pass").await;
        let path = format!("/stories/{story}");
        let (recorded, deleted) = tokio::join!(
            scene.o.post("/skill_results", body(&version, &verification, &story)),
            u.delete(&path)
        );
        deleted.expect(204);
        if recorded.status != 201 {
            let error = recorded.expect_error(422, "validation_failed");
            let unknown = json!(["does not exist"]);
            assert_eq!(error["details"], json!({"story_id": unknown, "verification_result_id": unknown}));
        }
    }
    let results = u.get(&format!("/skills/{id}/versions/1/results")).await.expect(200);
    assert_eq!(results["data"], json!([]));
}
