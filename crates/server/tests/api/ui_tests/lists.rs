//! Lists of runs.

use serde_json::{Value, json};

use super::{Scene, id};
use crate::support::text;

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|run| text(&run["id"])).collect()
}

#[tokio::test]
async fn lists_are_in_pages_newest_first() {
    let scene = Scene::new().await;
    let (code, seed) = (
        format!("/projects/{}/ui-tests", scene.project),
        format!("/projects/{}/ui_test_runs", scene.project),
    );
    for path in [&code, &seed] {
        let empty = scene.agent.get(path).await.expect(200);
        assert_eq!(empty["data"], json!([]));
        assert_eq!(
            empty["meta"],
            json!({"total": 0, "page": 1, "page_size": 20, "total_count": 0, "total_pages": 0, "limit": 20, "offset": 0})
        );
    }
    let mut runs = Vec::new();
    for nth in 0..5 {
        let path = if nth % 2 == 0 { scene.code_run().await } else { scene.seed_run().await };
        runs.push(id(&path).to_owned());
    }
    // Another project's run is not among them.
    let other = scene.tenant.project().await;
    scene.agent.post(&format!("/projects/{other}/ui_test_runs"), json!({})).await.expect(201);
    runs.reverse();
    for path in [&code, &seed] {
        let all = scene.agent.get(path).await.expect(200);
        assert_eq!(ids(&all), runs);
        for (query, wanted, meta) in [
            ("limit=2&offset=1", 1..3, json!([5, 2, 1, 1, 3])),
            ("page=2&page_size=2", 2..4, json!([5, 2, 2, 2, 3])),
            ("page=3&limit=2", 4..5, json!([5, 2, 4, 3, 3])),
            // Of the two names `page_size` wins, and sizes are clamped.
            ("page_size=3&limit=1", 0..3, json!([5, 3, 0, 1, 2])),
            ("page_size=9999", 0..5, json!([5, 100, 0, 1, 1])),
            ("limit=-5&offset=-5", 0..1, json!([5, 1, 0, 1, 5])),
            ("offset=99999999999999999999", 0..0, json!([5, 20, i64::MAX, i64::MAX / 20 + 1, 1])),
        ] {
            let page = scene.agent.get(&format!("{path}?{query}")).await.expect(200);
            assert_eq!(ids(&page), runs[wanted], "{query}");
            let told = ["total", "limit", "offset", "page", "total_pages"].map(|name| &page["meta"][name]);
            assert_eq!(json!(told), meta, "{query}");
            assert_eq!(page["meta"]["total_count"], 5);
            assert_eq!(page["meta"]["page_size"], page["meta"]["limit"]);
        }
    }
}

#[tokio::test]
async fn lists_are_filtered_in_both_languages() {
    let scene = Scene::new().await;
    let (open, failed, passed) = (scene.code_run().await, scene.seed_run().await, scene.code_run().await);
    let bug = json!({"severity": "bug", "title": "t"});
    scene.agent.post(&format!("{failed}/findings"), bug).await.expect(201);
    scene.agent.post(&format!("{failed}/complete"), json!({"summary": "s"})).await.expect(200);
    let ended = json!({"summary": "s", "status": "passed"});
    scene.agent.post(&format!("{passed}/complete"), ended).await.expect(200);
    for (family, word) in [("ui-tests", "in_progress"), ("ui_test_runs", "running")] {
        let path = format!("/projects/{}/{family}", scene.project);
        for (status, run, shown) in [
            ("in_progress", Some(&open), word),
            ("running", Some(&open), word),
            ("failed", Some(&failed), "failed"),
            ("passed", Some(&passed), "passed"),
            ("cancelled", None, ""),
        ] {
            let list = scene.agent.get(&format!("{path}?status={status}")).await.expect(200);
            assert_eq!(ids(&list), Vec::from_iter(run.map(|run| id(run).to_owned())), "{family} {status}");
            assert_eq!(list["meta"]["total"], ids(&list).len());
            assert!(run.is_none() || list["data"][0]["status"] == shown, "{family} {status}");
        }
        let error =
            scene.agent.get(&format!("{path}?status=verified")).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"status": ["is invalid"]}));
        // Items are runs as they are shown, in one family but for their findings.
        let list = scene.agent.get(&format!("{path}?status=failed")).await.expect(200);
        let mut shown = scene.agent.get(&failed).await.expect(200)["data"].take();
        assert_eq!(shown["findings"][0]["title"], "t");
        if family == "ui_test_runs" {
            shown.as_object_mut().unwrap().remove("findings");
        }
        assert_eq!(list["data"][0], shown);
    }
}

/// A list tells of each run no more than fits many of them.
#[tokio::test]
async fn lists_have_the_newest_findings_or_none() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    for nth in 1..=25 {
        let finding = json!({"severity": "low", "title": format!("finding {nth}")});
        scene.agent.post(&format!("{run}/findings"), finding).await.expect(200);
    }
    let list = scene.agent.get(&format!("/projects/{}/ui-tests", scene.project)).await.expect(200);
    let findings = list["data"][0]["findings"].as_array().unwrap();
    let titles: Vec<_> = findings.iter().map(|finding| text(&finding["title"])).collect();
    assert_eq!(titles, (6..=25).map(|nth| format!("finding {nth}")).collect::<Vec<_>>());
    assert_eq!(list["data"][0]["findings_count"], 25);
    let list = scene.agent.get(&format!("/projects/{}/ui_test_runs", scene.project)).await.expect(200);
    assert_eq!((&list["data"][0]["findings_count"], list["data"][0].get("findings")), (&json!(25), None));
    let shown = scene.agent.get(&run).await.expect(200);
    assert_eq!(shown["ui_test_run"]["findings"].as_array().unwrap().len(), 25);
}
