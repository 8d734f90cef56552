//! What is learned by reviews, and how it becomes knowledge.

use serde_json::{Value, json};

use super::{all_drafted, article, each, so_far};
use crate::support::{Reach, Tenant, bring, connect, server, text, unique};

/// Records a review of a new story; the record.
pub(crate) async fn reviewed(tenant: &Tenant, review: Value) -> Value {
    let (implementer, reviewer, orchestrator) =
        (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    bring(&story, Reach::Reported, &implementer, &reviewer, &orchestrator).await;
    reviewer.post(&format!("/stories/{story}/review-complete"), review).await.expect(201)["review_record"]
        .clone()
}

fn finding(summary: &str) -> Value {
    json!({"review_type": "enhanced", "findings_count": 2, "fixes_count": 2, "summary": summary})
}

/// How much work there was to be done of reviews.
async fn work(tenant: &Tenant) -> i64 {
    let sql =
        "select count(*) from knowledge_jobs where tenant_id = $1::text::uuid and kind = 'review_knowledge'";
    connect(&server().owner).await.query_one(sql, &[&tenant.id]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_tenant_that_wants_none_of_it() {
    let tenant = Tenant::new().await;
    let set = async |to: Value| {
        tenant.user.patch("/tenants/me", json!({"settings": {"knowledge_auto_extract": to}})).await
    };
    tenant.user.patch("/tenants/me", json!({"settings": {"max_projects": 7}})).await.expect(200);
    let error = set(json!("yes")).await.expect_error(422, "validation_failed");
    assert_eq!(error["details"]["settings"], json!(["knowledge_auto_extract must be a boolean"]));
    let settings = set(json!(false)).await.expect(200)["tenant"]["settings"].clone();
    assert_eq!(json!([settings["knowledge_auto_extract"], settings["max_projects"]]), json!([false, 7]));
    reviewed(&tenant, finding("Nobody learns this.")).await;
    assert_eq!(work(&tenant).await, 0);
    let pipeline = tenant.user.get("/knowledge/pipeline").await.expect(200)["data"].clone();
    assert_eq!(pipeline["auto_extract_enabled"], false);
    set(json!(true)).await.expect(200);
    reviewed(&tenant, finding("Somebody does.")).await;
    assert_eq!(work(&tenant).await, 1);
}

#[tokio::test]
async fn what_becomes_of_a_review() {
    let tenant = Tenant::new().await;
    let summary = "The lock was taken too late. It raced.";
    let review = reviewed(&tenant, finding(summary)).await;
    all_drafted(&tenant).await;
    let list = tenant.user.get("/articles").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 1);
    let draft = &list["data"][0];
    assert_eq!(
        json!([
            draft["title"],
            draft["category"],
            draft["status"],
            draft["source_type"],
            draft["source_id"],
            draft["project_id"],
            draft["tags"]
        ]),
        json!([
            "The lock was taken too late",
            "finding",
            "draft",
            "review_finding",
            review["id"],
            null,
            ["review", "enhanced"]
        ])
    );
    assert_eq!(
        json!([
            draft["metadata"]["extraction_source"],
            draft["metadata"]["story_id"],
            draft["metadata"]["project_id"].is_string()
        ]),
        json!(["local_rules_v1", review["story_id"], true])
    );
    assert!(text(&draft["body"]).ends_with(summary));
    let log = tenant.audit_log().await;
    let told: Vec<_> = log.iter().filter(|row| row["actor_label"] == "worker:review_knowledge").collect();
    assert_eq!(
        told.iter().map(|row| text(&row["action"])).collect::<Vec<_>>(),
        ["article.created", "knowledge.articles_extracted"]
    );
    assert_eq!(
        json!([told[1]["entity_type"], told[1]["entity_id"], told[1]["new_state"]]),
        json!(["article", review["id"], {"article_count": 1, "article_ids": [draft["id"]], "review_record_id": review["id"], "skipped_titles": []}])
    );
    // Begun again, it is done already.
    let owner = connect(&server().owner).await;
    let again = "update jobs set state = 'available', completed_at = null, attempt = 0, scheduled_at = clock_timestamp()
                 where tenant_id = $1::text::uuid and kind = 'review_knowledge'";
    assert_eq!(owner.execute(again, &[&tenant.id]).await.unwrap(), 1);
    all_drafted(&tenant).await;
    // Nor is it written where an article of the review is there, whoever wrote that.
    owner
        .execute(
            "update knowledge_jobs set drafted_at = null where tenant_id = $1::text::uuid",
            &[&tenant.id],
        )
        .await
        .unwrap();
    owner.execute(again, &[&tenant.id]).await.unwrap();
    all_drafted(&tenant).await;
    assert_eq!(tenant.user.get("/articles").await.expect(200)["meta"]["total_count"], 1);
    assert_eq!(so_far(&tenant).await, log.len());
}

/// A review that found nothing, or does not say what, teaches nothing; and that is not told.
#[tokio::test]
async fn a_review_that_teaches_nothing() {
    let tenant = Tenant::new().await;
    reviewed(&tenant, json!({"review_type": "enhanced", "summary": "All is well."})).await;
    reviewed(&tenant, json!({"review_type": "enhanced", "findings_count": 1, "fixes_count": 1})).await;
    all_drafted(&tenant).await;
    assert_eq!(work(&tenant).await, 2);
    assert_eq!(tenant.user.get("/articles").await.expect(200)["meta"]["total_count"], 0);
    assert!(
        tenant
            .audit_log()
            .await
            .iter()
            .all(|row| row["actor_type"] != "system" || row["entity_type"] != "article")
    );
}

#[tokio::test]
async fn the_pipeline() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let pipeline = async || o.get("/knowledge/pipeline").await.expect(200)["data"].clone();
    assert_eq!(
        pipeline().await,
        json!({"pending_extractions": 0, "recent_drafts": [], "publish_rate": 0.0,
               "extraction_errors": {"count": 0, "recent": []}, "auto_extract_enabled": true})
    );
    let of_review = |status: &str| json!({"source_type": "review_finding", "status": status});
    article(&o, "Published", of_review("published")).await;
    for nth in 0..3 {
        article(&o, &format!("Draft {nth}"), of_review("draft")).await;
    }
    // Neither counts.
    article(&o, "Manual", json!({"source_type": "manual"})).await;
    let laid_aside = article(&o, "Laid aside", of_review("draft")).await;
    tenant.user.delete(&format!("/articles/{}", text(&laid_aside["id"]))).await.expect(200);
    let some = pipeline().await;
    assert_eq!(
        json!([some["publish_rate"], some["recent_drafts"].as_array().unwrap().len()]),
        json!([0.25, 3])
    );
    for nth in 3..25 {
        article(&o, &format!("Draft {nth}"), of_review("draft")).await;
    }
    let drafts = json!({"data": pipeline().await["recent_drafts"]});
    let newest: Vec<_> = (5..25).rev().map(|nth| json!(format!("Draft {nth}"))).collect();
    assert_eq!(each(&drafts, "title"), newest);
    // What failed, with the last that was said of it.
    let record = reviewed(&tenant, json!({"review_type": unique("x")})).await;
    all_drafted(&tenant).await;
    let sql = "update knowledge_jobs set state = 'discarded', attempted_at = now(),
               errors = '[{\"attempt\": 1, \"error\": \"a\"}, {\"attempt\": 2, \"error\": \"b\"}]'
               where tenant_id = $1::text::uuid and review_record_id = $2::text::uuid";
    let owner = connect(&server().owner).await;
    assert_eq!(owner.execute(sql, &[&tenant.id, &text(&record["id"])]).await.unwrap(), 1);
    let errors = pipeline().await["extraction_errors"].clone();
    assert_eq!(
        json!([errors["count"], errors["recent"][0]["state"], errors["recent"][0]["error_reason"]]),
        json!([1, "discarded", {"attempt": 2, "error": "b"}])
    );
    assert!(text(&errors["recent"][0]["attempted_at"]).ends_with('Z'));
    // It is forgotten after a month, and what was completed after a week.
    let prune = "select prune_knowledge_jobs(1000)";
    let aged = "update knowledge_jobs set completed_at = completed_at - make_interval(days => $2) where tenant_id = $1::text::uuid";
    owner.execute(aged, &[&tenant.id, &8]).await.unwrap();
    owner.query_one(prune, &[]).await.unwrap();
    assert_eq!(work(&tenant).await, 1);
    owner.execute(aged, &[&tenant.id, &30]).await.unwrap();
    owner.query_one(prune, &[]).await.unwrap();
    assert_eq!(work(&tenant).await, 0);
}
