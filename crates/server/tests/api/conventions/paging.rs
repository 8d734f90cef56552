//! `page`, `page_size`, `limit` and `offset` on every list.

use serde_json::{Value, json};

use crate::support::{Caller, Reach, Tenant, bring, text};

struct List {
    path: String,
    default: i64,
    max: i64,
    /// Which of `page_size` and `limit` wins where both are sent.
    limit_wins: bool,
    /// How many rows there are.
    rows: usize,
}

impl List {
    async fn get(&self, caller: &Caller, query: &str) -> (Vec<Value>, Value) {
        let join = if self.path.contains('?') { '&' } else { '?' };
        let body = caller.get(&format!("{}{join}{query}", self.path)).await.expect(200);
        let mut data = body["data"].as_array().expect("data").clone();
        for row in data.iter_mut().filter_map(Value::as_object_mut) {
            // Reading a list is a use of the key that reads it.
            row.remove("last_used_at");
            row.remove("last_seen_at");
        }
        (data, body["meta"].clone())
    }
}

/// Every list that is in pages, or can be.
async fn lists(tenant: &Tenant) -> (Caller, Vec<List>) {
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    for _ in 0..2 {
        tenant.project().await;
    }
    let story = |number: &str| {
        json!({"number": number, "title": "Build API", "acceptance_criteria": [
        {"id": "AC-1", "criterion": "It works"}, {"id": "AC-2", "criterion": "It is tested"}]})
    };
    let epics: Vec<_> = (1..=3)
        .map(|epic| {
            let stories: Vec<_> = (1..=3).map(|minor| story(&format!("{epic}.{minor}"))).collect();
            json!({"number": epic, "title": "E", "stories": stories})
        })
        .collect();
    let blocked: Vec<_> =
        (1..=3).map(|minor| json!({"story": format!("3.{minor}"), "depends_on": "2.1"})).collect();
    let waiting: Vec<_> = (1..=2).map(|epic| json!({"epic": 3, "depends_on": epic})).collect();
    let plan = json!({"epics": epics, "story_dependencies": blocked, "epic_dependencies": waiting});
    let project = tenant.imported(plan).await;
    let id = tenant.story_id(&project, "1.1").await;
    bring(&id, Reach::Verified, &a1, &a2, &o).await;
    for number in 1..=3 {
        let artifact = json!({"artifact_type": "test", "path": number.to_string()});
        a1.post(&format!("/stories/{id}/artifacts"), artifact).await.expect(201);
    }
    let epic = text(&o.get(&format!("/stories/{id}")).await.expect(200)["story"]["epic_id"]);
    let epics = o.get(&format!("/projects/{project}/epics")).await.expect(200);
    let last = text(&epics["data"][2]["id"]);
    let list = |path: &str, default, max, rows| List {
        path: path.to_owned(),
        default,
        max,
        limit_wins: false,
        rows,
    };
    let lists = vec![
        list("/agents", 20, 100, 3),
        list("/api_keys", 20, 100, 5),
        list("/projects", 20, 100, 3),
        list(&format!("/projects/{project}/epics"), 20, 100, 3),
        list(&format!("/epics/{epic}/stories"), 20, 100, 3),
        List { limit_wins: true, ..list(&format!("/stories?project_id={project}"), 100, 500, 9) },
        list(&format!("/stories/ready?project_id={project}"), 100, 500, 5),
        list(&format!("/stories/blocked?project_id={project}"), 100, 500, 3),
        list("/stories/ready", 100, 500, 5),
        list(&format!("/stories/{id}/artifacts"), 20, 100, 3),
        list(&format!("/stories/{id}/history"), 100, 100, 12),
        list(&format!("/stories/{id}/verifications"), 20, 100, 1),
        list(&format!("/projects/{project}/epic_dependencies"), 20, 100, 2),
        list(&format!("/epics/{last}/story_dependencies"), 20, 100, 3),
    ];
    (tenant.user.clone(), lists)
}

#[tokio::test]
async fn every_list_pages_alike() {
    let tenant = Tenant::new().await;
    let (user, lists) = lists(&tenant).await;
    for list in &lists {
        let total = list.rows as i64;
        let meta = |page: i64, size: i64, offset: i64| {
            json!({"page": page, "page_size": size, "total_count": total,
                   "total_pages": (total + size - 1) / size, "limit": size, "offset": offset})
        };
        let (all, _) = list.get(&user, "page=1").await;
        assert_eq!(all.len(), list.rows, "{}", list.path);
        let (both, max) = (if list.limit_wins { 1 } else { 2 }, list.max);
        for (query, page, size, offset) in [
            // Nonsense is the default, never an error.
            ("page=abc&page_size=abc", 1, list.default, 0),
            ("page=&limit=abc", 1, list.default, 0),
            ("page=1&page[]=2&page_size[]=1&limit[a]=1", 1, list.default, 0),
            // Out of bounds is clamped.
            ("page=0&page_size=2", 1, 2, 0),
            ("page=-3&page_size=2", 1, 2, 0),
            ("page_size=0", 1, 1, 0),
            ("page_size=-5", 1, 1, 0),
            ("limit=0", 1, 1, 0),
            ("page_size=100000", 1, max, 0),
            ("limit=501", 1, max.min(501), 0),
            ("page_size=99999999999999999999999999", 1, max, 0),
            ("offset=-7&limit=2", 1, 2, 0),
            // One name is as good as the other.
            ("page_size=2", 1, 2, 0),
            ("limit=2", 1, 2, 0),
            ("page=2&limit=2", 2, 2, 2),
            ("page=2&page_size=2", 2, 2, 2),
            ("page_size=2&limit=1", 1, both, 0),
            ("page=1&page=2&page_size=2", 2, 2, 2),
            ("page_size=2abc&page=2x", 2, 2, 2),
            // Each of them alone asks for a page, also of a list that is whole without.
            ("page=1", 1, list.default, 0),
            ("page=2", 2, list.default, list.default),
            ("offset=0", 1, list.default, 0),
            ("offset=1", 1, list.default, 1),
            ("offset=abc", 1, list.default, 0),
            // An offset wins over a page.
            ("offset=1&limit=2", 1, 2, 1),
            ("offset=2&page_size=2&page=9", 2, 2, 2),
            // Beyond the end there is nothing, and it is no error; the total stays the total.
            ("page=1000&page_size=2", 1000, 2, 1998),
            ("offset=5000&limit=2", 2501, 2, 5000),
        ] {
            let (data, found) = list.get(&user, query).await;
            assert_eq!(found, meta(page, size, offset), "{} {query}", list.path);
            let expected: Vec<_> = all.iter().skip(offset as usize).take(size as usize).collect();
            assert_eq!(data.iter().collect::<Vec<_>>(), expected, "{} {query}", list.path);
        }
        for query in ["page=99999999999999999999", "offset=9223372036854775807&limit=2"] {
            let (data, found) = list.get(&user, query).await;
            assert_eq!((data.len(), &found["total_count"]), (0, &json!(total)), "{} {query}", list.path);
        }
    }
}

/// Clients that predate `data` and `meta` find what they know beside them.
#[tokio::test]
async fn the_older_shapes_are_kept() {
    let tenant = Tenant::new().await;
    let orchestrator = tenant.orchestrator().await;
    let agents = orchestrator.get("/agents?limit=1").await.expect(200);
    assert_eq!(agents["agents"], agents["data"]);
    assert_eq!((&agents["total"], &agents["page"], &agents["page_size"]), (&json!(1), &json!(1), &json!(1)));
    // Keys come all at once unless a page is asked for.
    for _ in 0..22 {
        tenant.key("agent").await;
    }
    let keys = tenant.user.get("/api_keys").await.expect(200);
    assert_eq!(keys["api_keys"], keys["data"]);
    assert_eq!(keys["data"].as_array().unwrap().len(), 25);
    assert_eq!(keys["meta"]["total_count"], 25);
    assert_eq!(keys["meta"]["total_pages"], 1);
    let keys = tenant.user.get("/api_keys?page=2").await.expect(200);
    assert_eq!(keys["data"].as_array().unwrap().len(), 5);
    let story = tenant.story().await;
    let history = tenant.user.get(&format!("/stories/{story}/history")).await.expect(200);
    assert_eq!(history["pagination"], json!({"total": 1, "page": 1, "page_size": 100}));
    // An empty list has no pages.
    let empty = Tenant::new().await.user.get("/projects").await.expect(200);
    assert_eq!(
        empty,
        json!({"data": [], "meta": {"page": 1, "page_size": 20, "total_count": 0, "total_pages": 0, "limit": 20, "offset": 0}})
    );
}
