//! An epic goes with everything below it, and nothing else does.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{column, epic_id, plain, told};
use crate::support::{Reach, Tenant, bring, connect, server, story, text};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// How many rows name one of these ids, outside the log, in whatever table and whatever column.
pub(super) async fn rows_that_name(owner: &Client, ids: &[String]) -> i64 {
    let columns = owner
        .query(
            "select c.relname::text, a.attname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
               and c.relname <> 'audit_log' and a.atttypid = 'uuid'::regtype and a.attnum > 0",
            &[],
        )
        .await
        .unwrap();
    assert!(columns.len() > 40, "{}", columns.len());
    let mut total = 0;
    for column in columns {
        let (table, column): (String, String) = (column.get(0), column.get(1));
        let sql = format!("select count(*) from {table} where {column}::text = any($1)");
        total += owner.query_one(&sql, &[&ids]).await.unwrap().get::<_, i64>(0);
    }
    total
}

#[tokio::test]
async fn deletion_needs_a_user_of_the_tenant() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = tenant.project_of(&["1.1"]).await;
    let epic = epic_id(&tenant, &project, 1).await;
    let at = format!("/epics/{epic}");
    for who in [tenant.agent().await, tenant.key("orchestrator").await] {
        for at in [at.clone(), format!("/epics/{NONE}")] {
            let error = who.delete(&at).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: user");
        }
    }
    other.user.delete(&at).await.expect_error(404, "not_found");
    for id in [NONE, "nope", &project] {
        let error = tenant.user.delete(&format!("/epics/{id}")).await.expect_error(404, "not_found");
        assert_eq!(error["message"], "Not found");
    }
    let shown = tenant.user.get(&at).await.expect(200);
    assert_eq!(shown["epic"]["stories"].as_array().unwrap().len(), 1);
    assert_eq!(told(&tenant, &epic).await, [json!(null); 0]);
}

/// Stories in every state, with evidence, criteria and dependencies in both directions.
#[tokio::test]
async fn everything_below_goes_and_nothing_else() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let project = tenant
        .imported(json!({
            "epics": [
                {"number": 1, "title": "Goes",
                 "stories": [story("1.10"), story("1.9"), story("1.2"), story("1.1")]},
                {"number": 2, "title": "Stays", "stories": [story("2.1"), story("2.2")]},
                {"number": 3, "title": "Waits", "stories": [plain("3.1")]}],
            "story_dependencies": [
                {"story": "2.1", "depends_on": "1.9"}, {"story": "1.10", "depends_on": "2.2"},
                {"story": "1.10", "depends_on": "1.9"}],
            "epic_dependencies": [{"epic": 3, "depends_on": 1}],
        }))
        .await;
    let epic = epic_id(&tenant, &project, 1).await;
    let mut ids = vec![epic.clone()];
    for number in ["1.1", "1.2", "1.9", "1.10"] {
        ids.push(tenant.story_id(&project, number).await);
    }
    bring(&ids[1], Reach::Verified, &a1, &a2, &o).await;
    bring(&ids[2], Reach::Implementing, &a1, &a2, &o).await;
    let artifact = json!({"artifact_type": "test", "path": "t.rs"});
    a1.post(&format!("/stories/{}/artifacts", ids[2]), artifact).await.expect(201);
    let owner = connect(&server().owner).await;
    assert!(rows_that_name(&owner, &ids).await > 20);
    let ready = format!("/stories/ready?project_id={project}");
    assert_eq!(column(&tenant.user.get(&ready).await.expect(200), "number"), ["1.9", "2.2"]);
    let edges = async |path: String| {
        let list = tenant.user.get(&path).await.expect(200);
        list["data"].as_array().unwrap().clone()
    };
    let epic_edges = edges(format!("/projects/{project}/epic_dependencies")).await;
    let story_edges = edges(format!("/epics/{epic}/story_dependencies")).await;
    let history = tenant.audit_log().await.len();

    let reply = tenant.user.delete(&format!("/epics/{epic}")).await;
    assert_eq!(reply.headers.get("content-length").map(|length| length.to_str().unwrap()), None);
    assert_eq!(reply.expect(204), Value::Null);

    assert_eq!(rows_that_name(&owner, &ids).await, 0);
    tenant.user.get(&format!("/epics/{epic}")).await.expect_error(404, "not_found");
    tenant.user.delete(&format!("/epics/{epic}")).await.expect_error(404, "not_found");
    for id in &ids[1..] {
        tenant.user.get(&format!("/stories/{id}")).await.expect_error(404, "not_found");
        a1.post_empty(&format!("/stories/{id}/unclaim")).await.expect_error(404, "not_found");
    }
    // What waited for it waits no more.
    assert_eq!(column(&tenant.user.get(&ready).await.expect(200), "number"), ["2.1", "2.2", "3.1"]);
    let shown = tenant.user.get(&format!("/projects/{project}")).await.expect(200)["project"].clone();
    assert_eq!((&shown["epic_count"], &shown["story_count"]), (&json!(2), &json!(3)));

    // One entry for the epic, then one for each story, in the order of stories, then the dependencies.
    let log = tenant.audit_log().await.split_off(history);
    let entries: Vec<_> = log
        .iter()
        .map(|entry| {
            assert_eq!((&entry["project_id"], &entry["actor_label"]), (&json!(project), &json!("user:root")));
            assert_eq!((&entry["new_state"], &entry["metadata"]), (&Value::Null, &json!({})));
            json!([entry["entity_type"], entry["action"], entry["entity_id"], entry["old_state"]])
        })
        .collect();
    let mut expected =
        vec![json!(["epic", "deleted", epic, {"number": 1, "title": "Goes", "project_id": project}])];
    for (number, id) in ["1.1", "1.2", "1.9", "1.10"].iter().zip(&ids[1..]) {
        let old = json!({"number": number, "title": "Build API", "epic_id": epic});
        expected.push(json!(["story", "deleted", id, old]));
    }
    for edge in epic_edges.iter().chain(&story_edges) {
        let mut ends = edge.as_object().unwrap().clone();
        let (id, kind) = (ends.remove("id"), if ends.contains_key("epic_id") { "epic" } else { "story" });
        ends.retain(|name, _| name.ends_with("_id") && name != "tenant_id" && name != "project_id");
        expected.push(json!([format!("{kind}_dependency"), "deleted", id, ends]));
    }
    assert_eq!(expected.len(), 1 + 4 + 1 + 3);
    assert_eq!(entries, expected);
    // The numbers are free again.
    let body = json!({"epics": [{"number": 1, "title": "New", "stories": [plain("1.1")]}]});
    tenant.user.post(&format!("/projects/{project}/import"), body).await.expect(201);
}

#[tokio::test]
async fn an_empty_epic_goes_alone() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let body = json!({"number": 1, "title": "Empty"});
    let epic = tenant.user.post(&format!("/projects/{project}/epics"), body).await.expect(201);
    let epic = text(&epic["epic"]["id"]);
    tenant.user.delete(&format!("/epics/{epic}")).await.expect(204);
    let old = json!({"number": 1, "title": "Empty", "project_id": project});
    assert_eq!(told(&tenant, &epic).await, [json!(["epic/deleted", old, null])]);
    assert!(tenant.audit_log().await.iter().all(|entry| entry["entity_type"] != "story"));
}

/// Hundreds of stories in a chain, as an import makes them; every one is told, in the order of numbers.
#[tokio::test]
async fn a_large_epic_goes_in_one_request() {
    let tenant = Tenant::new().await;
    let numbers: Vec<String> = (0..600).map(|index| format!("1.{index}")).collect();
    let stories: Vec<_> = numbers.iter().rev().map(|number| story(number)).collect();
    let edges: Vec<_> =
        numbers.windows(2).map(|pair| json!({"story": pair[1], "depends_on": pair[0]})).collect();
    let payload =
        json!({"epics": [{"number": 1, "title": "E", "stories": stories}], "story_dependencies": edges});
    let project = tenant.imported(payload).await;
    let epic = epic_id(&tenant, &project, 1).await;
    tenant.user.delete(&format!("/epics/{epic}")).await.expect(204);
    let log = tenant.audit_log().await;
    let deleted = log.iter().filter(|entry| entry["action"] == "deleted");
    let stories = deleted.filter(|entry| entry["entity_type"] == "story");
    let told: Vec<_> = stories.map(|entry| text(&entry["old_state"]["number"])).collect();
    assert_eq!(told, numbers);
}
