//! `operator check` names whatever is kept otherwise than it should be. Each thing is broken, found, and put back.

use loopctl_server::operator::check;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Reach, Tenant, bring, connect, server, text};

/// A tenant with something of everything that is counted.
struct Scene {
    tenant: Tenant,
    owner: Client,
    id: Uuid,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        let project = tenant.project_of(&["1.1"]).await;
        let story = tenant.story_id(&project, "1.1").await;
        bring(&story, Reach::Verified, &a, &b, &o).await;
        for cost in [5, 7] {
            let used = json!({"story_id": story, "input_tokens": 10, "output_tokens": 1, "model_name": "opus",
                              "cost_millicents": cost});
            a.post("/token-usage", used).await.expect(201);
        }
        let runs = format!("/projects/{project}/ui-tests");
        let run = a.post(&runs, json!({"guide_reference": "docs/guide.md"})).await.expect(201);
        let findings = format!("{runs}/{}/findings", text(&run["ui_test_run"]["id"]));
        a.post(&findings, json!({"description": "one"})).await.expect(200);
        let hook = json!({"url": "https://hooks.example.com/x", "events": ["story.verified"]});
        tenant.user.post("/webhooks", hook).await.expect(201);
        let owner = connect(&server().owner).await;
        // What is forbidden is not what is tested here.
        owner.batch_execute("set session_replication_role = replica").await.unwrap();
        Self { id: tenant.id.parse().unwrap(), tenant, owner }
    }

    async fn run(&self, sql: &str) {
        let sql = sql.replace("$T", &format!("'{}'", self.tenant.id));
        assert!(self.owner.execute(&sql, &[]).await.unwrap() > 0, "{sql}");
    }

    /// What is found, as its kind and its id.
    async fn found(&self) -> Vec<(String, Uuid)> {
        let check = check(&server().owner, Some(self.id)).await.unwrap();
        assert_eq!(check.different, check.differences.len() as i64);
        assert!(check.differences.iter().all(|difference| difference.tenant_id == self.id));
        check.differences.into_iter().map(|difference| (difference.entity, difference.id)).collect()
    }

    async fn uuid(&self, sql: &str) -> Uuid {
        let sql = sql.replace("$T", &format!("'{}'", self.tenant.id));
        self.owner.query_one(&sql, &[]).await.unwrap().get(0)
    }
}

#[tokio::test]
async fn every_sum_and_count_that_is_wrong_is_named() {
    let scene = Scene::new().await;
    assert_eq!(scene.found().await, []);
    for (table, wrong, right, entity, id) in [
        ("usage_by_day", "input_tokens = 21", "input_tokens = 20", "usage_by_day", "story_id"),
        ("usage_by_day", "reports = 3", "reports = 2", "usage_by_day", "story_id"),
        ("usage_by_day", "story_before = day", "story_before = '-infinity'", "usage_by_day", "story_id"),
        ("usage_by_agent", "cost_millicents = 0", "cost_millicents = 12", "usage_by_agent", "epic_id"),
        ("ui_test_runs", "findings_count = 2", "findings_count = 1", "ui_test_run", "id"),
        ("ui_test_findings", "position = 2", "position = 1", "ui_test_run", "run_id"),
        ("audit_heads", "position = position + 1", "position = position - 1", "log_head", "tenant_id"),
        ("audit_heads", "has_webhooks = false", "has_webhooks = true", "log_head", "tenant_id"),
    ] {
        let id = scene.uuid(&format!("select {id} from {table} where tenant_id = $T")).await;
        scene.run(&format!("update {table} set {wrong} where tenant_id = $T")).await;
        assert_eq!(scene.found().await, [(entity.to_owned(), id)], "{table}: {wrong}");
        scene.run(&format!("update {table} set {right} where tenant_id = $T")).await;
        assert_eq!(scene.found().await, [], "{table}: {right}");
    }
}

#[tokio::test]
async fn sums_of_a_day_may_come_in_any_order() {
    let scene = Scene::new().await;
    let story = scene.uuid("select id from stories where tenant_id = $T").await;
    for (model, phase) in
        [("zeta", "reviewing"), ("zeta", "implementing"), ("alpha", "reviewing"), ("alpha", "other")]
    {
        let used = json!({"story_id": story, "input_tokens": 10, "output_tokens": 1, "model_name": model, "phase": phase,
                          "cost_millicents": 5});
        let agent = scene.tenant.agent().await;
        agent.post("/token-usage", used).await.expect(201);
    }
    assert_eq!(scene.found().await, []);
    // Days that follow none, or all of them one: neither is an order.
    let kept = format!(
        "create temp table kept as select * from usage_by_day where tenant_id = '{}'",
        scene.tenant.id
    );
    scene.owner.batch_execute(&kept).await.unwrap();
    for before in ["day", "'-infinity'"] {
        scene.run(&format!("update usage_by_day set story_before = {before} where tenant_id = $T")).await;
        let found = scene.found().await;
        assert!(
            !found.is_empty() && found.iter().all(|(entity, _)| entity == "usage_by_day"),
            "{before}: {found:?}"
        );
    }
    scene.run("delete from usage_by_day where tenant_id = $T").await;
    scene.run("insert into usage_by_day select * from kept where tenant_id = $T").await;
    assert_eq!(scene.found().await, []);
}

#[tokio::test]
async fn an_entry_of_the_log_that_was_changed_or_taken_away_is_named() {
    let scene = Scene::new().await;
    let at = async |position: i64| {
        scene.uuid(&format!("select id from audit_log where tenant_id = $T and position = {position}")).await
    };
    let entry = |id: Uuid| ("log_entry".to_owned(), id);
    // Whatever is changed, its hash no longer says.
    let changed = at(3).await;
    for (column, wrong) in [
        ("new_state", r#"coalesce(new_state, '{}') || '{"forged": true}'"#),
        ("metadata", r#"metadata || '{"forged": 1e999}'"#),
        ("action", "action || '.'"),
        ("actor_label", "'somebody else'"),
        ("project_id", "gen_random_uuid()"),
        ("leaf_hash", "sha256('x')"),
    ] {
        scene.owner.batch_execute("drop table if exists pg_temp.before").await.unwrap();
        let before = format!(
            "create temp table before as select id, {column} as was from audit_log where id = '{changed}'"
        );
        scene.owner.batch_execute(&before).await.unwrap();
        scene.run(&format!("update audit_log set {column} = {wrong} where id = '{changed}'")).await;
        assert_eq!(scene.found().await, [entry(changed)], "{column}");
        let back = format!("update audit_log a set {column} = was from before b where a.id = b.id");
        scene.run(&back).await;
        assert_eq!(scene.found().await, [], "{column}");
    }
    // One that is gone leaves a gap before the next, or before the head.
    let last = "select max(position) from audit_log where tenant_id = $1";
    let last: i64 = scene.owner.query_one(last, &[&scene.id]).await.unwrap().get(0);
    for (gone, named) in
        [(1, entry(at(2).await)), (5, entry(at(6).await)), (last, ("log_head".to_owned(), scene.id))]
    {
        let id = at(gone).await;
        scene.run(&format!("update audit_log set tenant_id = '{}' where id = '{id}'", Uuid::now_v7())).await;
        assert_eq!(scene.found().await, [named], "{gone} of {last}");
        scene.run(&format!("update audit_log set tenant_id = $T where id = '{id}'")).await;
        assert_eq!(scene.found().await, []);
    }
    // And what nobody may have done: a log without a head.
    let told = check(&server().owner, Some(scene.id)).await.unwrap();
    assert_eq!(told.log_entries, last);
    scene.run("delete from audit_heads where tenant_id = $T").await;
    let check = check(&server().owner, Some(scene.id)).await.unwrap();
    let head = &check.differences[0];
    assert_eq!((head.entity.as_str(), head.kept.as_deref()), ("log_head", None));
    let found: Value = serde_json::from_str(&head.found).unwrap();
    assert_eq!(found["position"], last);
    super::positions::put_head_back(&scene.owner, &scene.tenant.id).await;
    scene.run("update audit_heads set has_webhooks = true where tenant_id = $T").await;
    assert_eq!(scene.found().await, []);
}
