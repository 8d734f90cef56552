//! What is wrong with what has been published.

use serde_json::{Value, json};

use super::{NOBODY, aged, article, linked, many_published, published};
use crate::support::{Reach, Tenant, bring, connect, server, text};

const CATEGORIES: [&str; 5] = ["pattern", "convention", "decision", "finding", "reference"];

/// A member of each item of a list.
fn all(report: &Value, list: &str, member: &str) -> Vec<Value> {
    report["data"][list].as_array().unwrap().iter().map(|item| item[member].clone()).collect()
}

#[tokio::test]
async fn refused_requests() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (a, o) = (tenant.key("agent").await, tenant.key("orchestrator").await);
    let project = tenant.project().await;
    for path in ["/knowledge/lint".to_owned(), format!("/projects/{project}/knowledge/lint")] {
        let error = a.get(&path).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
        let most = "max_per_category must be a positive integer <= 500";
        for (name, values, message) in [
            (
                "stale_days",
                vec!["0", "-1", "abc", "1.5", "36501", "99999999999999999999"],
                "stale_days must be a positive integer",
            ),
            ("min_coverage", vec!["0", "-1", "x", "3x"], "min_coverage must be a positive integer"),
            ("max_per_category", vec!["0", "-1", "501", "abc"], most),
        ] {
            for value in values {
                let error = o.get(&format!("{path}?{name}={value}")).await.expect_error(400, "bad_request");
                assert_eq!(error["message"], message, "{value}");
            }
        }
        o.get(&format!("{path}?stale_days=36500&min_coverage=1&max_per_category=500")).await.expect(200);
    }
    for (who, project) in [(&o, NOBODY), (&o, "not-a-uuid"), (&other.user, project.as_str())] {
        who.get(&format!("/projects/{project}/knowledge/lint")).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn an_empty_wiki_lacks_everything() {
    let tenant = Tenant::new().await;
    let report = tenant.user.get("/knowledge/lint").await.expect(200);
    let kinds =
        ["stale_articles", "orphan_articles", "contradiction_clusters", "coverage_gaps", "broken_sources"];
    let summary = &report["summary"];
    assert_eq!((&summary["total_articles"], &summary["total_issues"]), (&json!(0), &json!(5)));
    assert_eq!(summary["issues_by_severity"], json!({"info": 5}));
    for kind in kinds {
        let count = if kind == "coverage_gaps" { 5 } else { 0 };
        assert_eq!(summary["total_per_category"][kind], count, "{kind}");
        assert_eq!(summary["truncated"][kind], false, "{kind}");
        assert_eq!(report["data"][kind].as_array().unwrap().len(), count, "{kind}");
    }
    assert_eq!(all(&report, "coverage_gaps", "category"), CATEGORIES);
    let gap = json!({"category": "pattern", "current_count": 0, "threshold": 3, "severity": "info",
                     "suggested_action": "Add more articles in this category"});
    assert_eq!(report["data"]["coverage_gaps"][0], gap);
    // Each list ends; what is counted does not.
    let report = tenant.user.get("/knowledge/lint?max_per_category=2").await.expect(200);
    assert_eq!(report["data"]["coverage_gaps"].as_array().unwrap().len(), 2);
    assert_eq!(report["summary"]["truncated"]["coverage_gaps"], true);
    assert_eq!(report["summary"]["total_issues"], 5);
}

#[tokio::test]
async fn what_is_old_and_what_hangs_on_nothing() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let (old, older, tenth) =
        (published(u, "Old").await, published(u, "Older").await, published(u, "Tenth").await);
    let draft = text(&article(u, "Draft", json!({})).await["id"]);
    for (id, days) in [(&old, 100), (&older, 200), (&tenth, 10), (&draft, 300)] {
        aged(id, days).await;
    }
    let report = u.get("/knowledge/lint").await.expect(200);
    assert_eq!(all(&report, "stale_articles", "article_id"), [json!(older), json!(old)]);
    let item = &report["data"]["stale_articles"][1];
    assert_eq!(
        (&item["days_since_update"], &item["title"], &item["severity"], &item["suggested_action"]),
        (&json!(100), &json!("Old"), &json!("warning"), &json!("Review and update or archive this article"))
    );
    assert_eq!(item.as_object().unwrap().len(), 6);
    let report = u.get("/knowledge/lint?stale_days=5&max_per_category=2").await.expect(200);
    assert_eq!(all(&report, "stale_articles", "article_id"), [json!(older), json!(old)]);
    assert_eq!(report["summary"]["total_per_category"]["stale_articles"], 3);
    assert_eq!(report["summary"]["truncated"]["stale_articles"], true);
    assert_eq!(report["summary"]["total_articles"], 3);
    // A link of any kind, to whatever it may be, is one.
    assert_eq!(all(&report, "orphan_articles", "title"), ["Old", "Older"]);
    linked(u, &old, "relates_to", &draft).await;
    let report = u.get("/knowledge/lint").await.expect(200);
    assert_eq!(all(&report, "orphan_articles", "title"), ["Older", "Tenth"]);
    let orphan = json!({"article_id": older, "title": "Older", "category": "pattern", "severity": "info",
                        "suggested_action": "Consider linking to related articles or reviewing for relevance"});
    assert_eq!(report["data"]["orphan_articles"][0], orphan);
    linked(u, &older, "derived_from", &tenth).await;
    assert_eq!(
        all(&u.get("/knowledge/lint").await.expect(200), "orphan_articles", "title"),
        [Value::Null; 0]
    );
}

#[tokio::test]
async fn contradictions_come_in_clusters() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let (project, elsewhere) = (tenant.project().await, tenant.project().await);
    let (a, b, c) = (published(u, "A").await, published(u, "B").await, published(u, "C").await);
    let far = text(&article(u, "Far", json!({"status": "published", "project_id": elsewhere})).await["id"]);
    let draft = text(&article(u, "Draft", json!({})).await["id"]);
    let links = [linked(u, &a, "contradicts", &b).await, linked(u, &c, "contradicts", &b).await];
    linked(u, &c, "contradicts", &draft).await;
    linked(u, &a, "relates_to", &c).await;
    let mut sorted = [(&a, "A"), (&b, "B"), (&c, "C")];
    sorted.sort();
    let mut by_id = links.to_vec();
    by_id.sort();
    let cluster = json!({"article_ids": sorted.map(|(id, _)| id), "titles": sorted.map(|(_, title)| title), "link_ids": by_id,
                         "severity": "warning",
                         "suggested_action": "Resolve contradiction by updating or superseding one article"});
    let report = u.get("/knowledge/lint").await.expect(200);
    assert_eq!(report["data"]["contradiction_clusters"], json!([cluster]));
    assert_eq!(report["summary"]["issues_by_severity"]["warning"], 1);
    // Another cluster, of an article that this project does not see.
    let near = text(&article(u, "Near", json!({"status": "published", "project_id": project})).await["id"]);
    linked(u, &near, "contradicts", &far).await;
    assert_eq!(all(&u.get("/knowledge/lint").await.expect(200), "contradiction_clusters", "titles").len(), 2);
    let of_project = u.get(&format!("/projects/{project}/knowledge/lint")).await.expect(200);
    assert_eq!(of_project["data"]["contradiction_clusters"], json!([cluster]));
    assert_eq!(of_project["summary"]["total_articles"], 4);
    // What is withdrawn contradicts nobody.
    u.post_empty(&format!("/articles/{b}/unpublish")).await.expect(200);
    assert_eq!(
        u.get(&format!("/projects/{project}/knowledge/lint")).await.expect(200)["data"]["contradiction_clusters"],
        json!([])
    );
}

#[tokio::test]
async fn sources_are_looked_for() {
    let tenant = Tenant::new().await;
    let (agent, reviewer, o, u) =
        (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await, &tenant.user);
    let story = tenant.story().await;
    bring(&story, Reach::Reviewed, &agent, &reviewer, &o).await;
    let sql = "select id::text from review_records where story_id = $1::text::uuid";
    let record: String = connect(&server().owner).await.query_one(sql, &[&story]).await.unwrap().get(0);
    let of = |source: &str, id: &str| json!({"status": "published", "source_type": source, "source_id": id});
    article(u, "Found", of("review_finding", &record)).await;
    article(u, "By hand", of("manual", NOBODY)).await;
    article(u, "Without", json!({"status": "published", "source_type": "review_finding"})).await;
    article(u, "A draft", json!({"source_type": "review_finding", "source_id": NOBODY})).await;
    let lost = article(u, "Lost", of("review_finding", NOBODY)).await;
    let report = u.get("/knowledge/lint").await.expect(200);
    let item = json!({"article_id": lost["id"], "title": "Lost", "source_type": "review_finding", "source_id": NOBODY,
                      "severity": "warning",
                      "suggested_action": "Source entity was deleted; consider updating or removing source reference"});
    assert_eq!(report["data"]["broken_sources"], json!([item]));
}

/// However much is wrong, the answer stays small, and the sums are right.
#[tokio::test]
async fn much_is_wrong() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    many_published(&tenant, 2000).await;
    let report = tenant.user.get("/knowledge/lint?max_per_category=500&min_coverage=2001").await.expect(200);
    assert_eq!(report["data"]["orphan_articles"].as_array().unwrap().len(), 500);
    assert_eq!(report["summary"]["total_per_category"]["orphan_articles"], 2000);
    assert_eq!(report["summary"]["total_issues"], 2005);
    assert_eq!(all(&report, "coverage_gaps", "current_count"), [0, 0, 0, 2000, 0]);
    assert_eq!(other.user.get("/knowledge/lint").await.expect(200)["summary"]["total_articles"], 0);
}
