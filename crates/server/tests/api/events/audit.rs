//! `GET /audit`.

use loopctl_server::operator::create_superadmin_key;
use serde_json::{Value, json};

use super::{each, with_large_log};
use crate::support::{Caller, Reach, Tenant, bring, server, text, unique};

async fn audit(who: &Caller, query: &str) -> Value {
    who.get(&format!("/audit?{query}")).await.expect(200)
}

async fn rename(tenant: &Tenant, project: &str, name: &str) {
    tenant.user.patch(&format!("/projects/{project}"), json!({"name": name})).await.expect(200);
}

#[tokio::test]
async fn an_entry_tells_who_did_what_to_what() {
    let tenant = Tenant::new().await;
    let created = tenant.user.post("/projects", json!({"name": "One", "slug": "one"})).await.expect(201);
    let project = text(&created["project"]["id"]);
    rename(&tenant, &project, "Two").await;
    let list = audit(&tenant.user, "entity_type=project&action=created").await;
    let rows = list["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{list:#}");
    let row = &rows[0];
    assert_eq!(row["old_state"], Value::Null);
    assert_eq!(row["new_state"], json!({"name": "One", "slug": "one", "status": "active"}));
    assert_eq!((&row["entity_id"], &row["project_id"]), (&json!(project), &json!(project)));
    assert_eq!(row["actor_type"], "api_key");
    let me = tenant.user.get("/api_keys").await.expect(200);
    let key = me["data"].as_array().unwrap().iter().find(|key| key["id"] == row["actor_id"]).unwrap();
    assert_eq!(row["actor_label"], format!("user:{}", text(&key["name"])));
    let list = audit(&tenant.user, "entity_type=project&action=updated").await;
    assert_eq!(list["data"][0]["old_state"]["name"], "One");
    assert_eq!(list["data"][0]["new_state"]["name"], "Two");
}

#[tokio::test]
async fn pages_are_clamped_and_told_twice() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    for number in 0..25 {
        rename(&tenant, &project, &format!("Name {number}")).await;
    }
    let query = format!("entity_id={project}&action=updated");
    let first = audit(&tenant.user, &format!("{query}&page=1&page_size=10")).await;
    assert_eq!(first["data"].as_array().unwrap().len(), 10);
    assert_eq!(first["pagination"], json!({"total": 25, "page": 1, "page_size": 10}));
    assert_eq!((&first["meta"]["total_count"], &first["meta"]["total_pages"]), (&json!(25), &json!(3)));
    assert_eq!(first["data"][0]["new_state"]["name"], "Name 24");
    let third = audit(&tenant.user, &format!("{query}&page=3&limit=10")).await;
    assert_eq!(third["data"].as_array().unwrap().len(), 5);
    assert_eq!(third["meta"]["as_of"], Value::Null);
    for (sent, size) in [("page_size=1000", 100), ("page=0", 20), ("page_size=abc", 20), ("limit=7", 7)] {
        let list = audit(&tenant.user, &format!("{query}&{sent}")).await;
        assert_eq!((&list["meta"]["page_size"], &list["meta"]["page"]), (&json!(size), &json!(1)), "{sent}");
    }
    // What arrives meanwhile moves no further page, when one asks for what there was.
    let as_of = text(&first["meta"]["as_of"]);
    assert_eq!(as_of, text(&first["data"][0]["inserted_at"]));
    let second = audit(&tenant.user, &format!("{query}&page=2&page_size=10&to={as_of}")).await;
    rename(&tenant, &project, "Later").await;
    let again = audit(&tenant.user, &format!("{query}&page=2&page_size=10&to={as_of}")).await;
    assert_eq!(second["data"], again["data"]);
    assert_eq!(again["meta"]["total_count"], 25);
}

/// Without a filter the count is told by positions.
#[tokio::test]
async fn the_whole_log_newest_first() {
    let tenant = Tenant::new().await;
    tenant.project_of(&["1.1", "1.2"]).await;
    let all = tenant.audit_log().await;
    let list = audit(&tenant.user, "page_size=3").await;
    assert_eq!(list["meta"]["total_count"], all.len());
    let (mut seen, mut times) = (Vec::new(), Vec::new());
    for page in 1..=list["meta"]["total_pages"].as_i64().unwrap() {
        let list = audit(&tenant.user, &format!("page_size=3&page={page}")).await;
        seen.extend(each(&list, "id"));
        times.extend(each(&list, "inserted_at"));
    }
    assert_eq!(seen.len(), all.len());
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
    let filtered = audit(&tenant.user, "from=2020-01-01&page_size=100").await;
    assert_eq!(filtered["meta"]["total_count"], all.len());
    assert_eq!(each(&filtered, "id")[..seen.len().min(100)], seen[..seen.len().min(100)]);
}

#[tokio::test]
async fn filters_narrow_each_and_together() {
    let tenant = Tenant::new().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let (story, other) = (tenant.story().await, tenant.project().await);
    bring(&story, Reach::Reported, &a, &b, &o).await;
    let shown = tenant.user.get(&format!("/stories/{story}")).await.expect(200);
    let (project, epic) = (text(&shown["story"]["project_id"]), text(&shown["story"]["epic_id"]));
    let moves =
        audit(&tenant.user, &format!("entity_type=story&entity_id={story}&action=status_changed")).await;
    assert_eq!(moves["meta"]["total_count"], 4, "contract, claim, start, report: {moves:#}");
    assert!(moves["data"].as_array().unwrap().iter().all(|row| row["project_id"] == project.as_str()));
    let by = text(&moves["data"][3]["actor_id"]);
    for (query, expected) in [
        (format!("entity_id={story}"), true),
        (format!("entity_id={epic}"), true),
        (format!("entity_id={epic}&entity_type=story"), false),
        (format!("actor_id={by}"), true),
        (format!("actor_id={by}&action=imported"), false),
        (format!("actor_id={story}"), false),
        ("actor_type=api_key".to_owned(), true),
        ("actor_type=superadmin".to_owned(), false),
        (format!("project_id={project}&entity_type=story&action=status_changed&actor_type=api_key"), true),
        (format!("project_id={other}&entity_type=story"), false),
        ("from=2999-01-01T00:00:00Z".to_owned(), false),
        ("from=2026-03-01".to_owned(), true),
        ("to=2026-03-01".to_owned(), false),
        ("entity_type=&action=&entity_id=&from=".to_owned(), true),
        ("entity_type=nothing".to_owned(), false),
    ] {
        let list = audit(&tenant.user, &query).await;
        let rows = list["data"].as_array().unwrap();
        assert_eq!(!rows.is_empty(), expected, "{query}");
        let total = list["meta"]["total_count"].as_u64().unwrap();
        assert!(total >= rows.len() as u64 && (total == 0) == rows.is_empty(), "{query}");
        for pair in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if let (name @ ("entity_id" | "entity_type" | "actor_id" | "action" | "project_id"), sent) = pair
                && !sent.is_empty()
            {
                assert!(rows.iter().all(|row| row[name] == sent), "{query}");
            }
        }
    }
    for (name, bad) in [("from", "not-a-date"), ("to", "2026-13-45T99:99:99Z"), ("from", "5")] {
        let error = tenant.user.get(&format!("/audit?{name}={bad}")).await.expect_error(400, "bad_request");
        let expected =
            format!("Invalid timestamp format for '{name}'. Expected ISO8601 (e.g., 2026-01-01T00:00:00Z)");
        assert_eq!(error["message"], expected);
    }
    for name in ["entity_id", "actor_id", "project_id"] {
        tenant.user.get(&format!("/audit?{name}=x")).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn it_is_the_tenants_owners_to_read() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    tenant.story().await;
    for key in [tenant.agent().await, tenant.orchestrator().await] {
        let error = key.get("/audit").await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "Insufficient permissions. Required role: user");
    }
    Caller::nobody().get("/audit").await.expect_error(401, "unauthorized");
    let own = each(&audit(&tenant.user, "page_size=100").await, "id");
    let theirs = each(&audit(&other.user, "page_size=100").await, "id");
    assert!(!own.is_empty() && own.iter().all(|id| !theirs.contains(id)));
}

/// Superadmins alone see everybody's, and what belongs to nobody.
#[tokio::test]
async fn superadmins_read_the_log_of_all_tenants() {
    let (a, b) = (Tenant::new().await, Tenant::new().await);
    let name = unique("reader");
    let key = create_superadmin_key(&server().owner, &name).await.unwrap();
    let mut superadmin = Caller::with_key(&key.raw_key);
    for who in [&a.user, &a.orchestrator().await, &a.agent().await] {
        let error = who.get("/admin/audit").await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "This endpoint requires the superadmin role");
    }
    Caller::nobody().get("/admin/audit").await.expect_error(401, "unauthorized");
    let began = a.audit_log().await[0]["inserted_at"].as_str().unwrap().replace('+', "%2B");
    // What a tenant is told of does not narrow it, nor what it is told of roles.
    superadmin.headers.push(("x-impersonate-tenant", b.id.clone()));
    superadmin.headers.push(("x-effective-role", "agent".to_owned()));
    let of = async |query: &str| superadmin.get(&format!("/admin/audit?{query}")).await.expect(200);
    for tenant in [&a, &b] {
        let list = of(&format!("tenant_id={}&page_size=100", tenant.id)).await;
        let rows = list["data"].as_array().unwrap();
        let logged = tenant.audit_log().await;
        assert_eq!(list["meta"]["total_count"], logged.len());
        let newest_first: Vec<_> = logged.iter().rev().map(|entry| text(&entry["id"])).collect();
        assert_eq!(each(&list, "id"), newest_first);
        for row in rows {
            let told = [&row["tenant_id"], &row["tenant_name"], &row["tenant_slug"]];
            assert_eq!(told, [&json!(tenant.id), &json!(tenant.slug), &json!(tenant.slug)]);
        }
        let keys =
            of(&format!("tenant_id={}&entity_type=api_key&action=created&page_size=1", tenant.id)).await;
        assert_eq!(
            (&keys["data"][0]["entity_type"], keys["data"].as_array().unwrap().len()),
            (&json!("api_key"), 1)
        );
    }
    let nobodys = of(&format!("entity_id={}", key.id)).await;
    let row = &nobodys["data"][0];
    assert_eq!(
        [&row["tenant_id"], &row["tenant_name"], &row["tenant_slug"], &row["actor_type"]],
        [&Value::Null, &Value::Null, &Value::Null, &json!("system")]
    );
    // Of everybody, in one order; others write entries meanwhile of which few fit into an answer.
    let everybody = of(&format!("from={began}&page_size=7")).await;
    let times = each(&everybody, "inserted_at");
    assert!(times.is_sorted_by(|newer, older| newer >= older));
    let nothing = of("from=2999-01-01").await;
    assert_eq!((&nothing["data"], &nothing["meta"]["total_pages"]), (&json!([]), &json!(0)));
    let superadmins = of(&format!("from={began}&actor_type=superadmin&page_size=7")).await;
    assert!(superadmins["data"].as_array().unwrap().iter().all(|row| row["actor_type"] == "superadmin"));
    let error = superadmin.get("/admin/audit?to=none").await.expect_error(400, "bad_request");
    assert!(text(&error["message"]).contains("'to'"));
    superadmin.get("/admin/audit?tenant_id=none").await.expect_error(404, "not_found");
}

/// No page is larger than an answer may be; whoever is refused is told what fits.
#[tokio::test]
async fn pages_have_a_size() {
    let (tenant, story) = with_large_log().await;
    let key = create_superadmin_key(&server().owner, &unique("size")).await.unwrap();
    let superadmin = Caller::with_key(&key.raw_key);
    let history = format!("/stories/{story}/history");
    for (who, path, fit) in [
        (&tenant.user, "/audit?", 26),
        (&tenant.user, "/audit?entity_type=story&", 26),
        (&superadmin, &format!("/admin/audit?tenant_id={}&", tenant.id), 26),
        (&tenant.user, &format!("{history}?"), 28),
    ] {
        let error = who.get(&format!("{path}limit=40")).await.expect_error(422, "answer_too_large");
        assert_eq!(error["hints"], json!([format!("Ask for less: {fit} fit (limit).")]), "{path}");
        let page = who.get(&format!("{path}limit={fit}")).await.expect(200);
        assert_eq!(page["data"].as_array().unwrap().len(), fit, "{path}");
        let last = who.get(&format!("{path}limit={fit}&offset=1000")).await.expect(200);
        assert_eq!(last["data"], json!([]));
        assert_eq!(last["meta"]["total_count"], page["meta"]["total_count"], "{path}");
    }
    // What was refused as a whole is read in parts.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let part = tenant.user.get(&format!("{history}?limit=20{cursor}")).await.expect(200);
        seen.extend(each(&part, "id"));
        let Some(next) = part["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let entries = tenant.audit_log().await;
    let of_story: Vec<_> = entries
        .iter()
        .filter(|entry| entry["story_id"] == story.as_str())
        .map(|entry| text(&entry["id"]))
        .collect();
    assert_eq!(seen, of_story);
}
