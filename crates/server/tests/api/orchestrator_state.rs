//! Orchestrator state: checkpoints under a key, each save naming the version that it follows.

use std::collections::HashSet;

use futures_util::future::join_all;
use loopctl_server::operator::create_superadmin_key;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, Reply, Tenant, connect, server, text, unique};

const RANDOM_ID: &str = "0190f5ad-0000-7000-8000-000000000000";

struct Scene {
    tenant: Tenant,
    o: Caller,
    project: String,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (o, project) = (tenant.key("orchestrator").await, tenant.project().await);
        Self { tenant, o, project }
    }

    fn path(&self) -> String {
        format!("/orchestrator/state/{}", self.project)
    }

    async fn save(&self, body: Value) -> Reply {
        self.o.put(&self.path(), body).await
    }

    async fn load(&self, query: &str) -> Value {
        self.o.get(&format!("{}{query}", self.path())).await.expect(200)["state"].clone()
    }

    async fn history(&self, query: &str) -> Value {
        self.o.get(&format!("{}/history{query}", self.path())).await.expect(200)
    }

    async fn saves(&self) -> Vec<Value> {
        let mut log = self.tenant.audit_log().await;
        log.retain(|entry| entry["entity_type"] == "orchestrator_state");
        log
    }
}

fn main(version: i32, data: Value) -> Value {
    json!({"state_key": "main", "state_data": data, "version": version})
}

#[track_caller]
fn assert_conflict(reply: Reply, current: i32) {
    let error = reply.expect_error(409, "version_conflict");
    assert!(text(&error["message"]).starts_with("Conflict"), "{error:#}");
    assert_eq!(error["current_version"], current);
    assert_eq!(error["current_state"], format!("v{current}"));
    assert_eq!(error["attempted_action"], "save_state");
    assert!(error["hints"].as_array().unwrap().iter().all(|hint| !text(hint).is_empty()));
    assert_eq!(error["hints"].as_array().unwrap().len(), 1);
}

/// Exactly orchestrators and superadmins, before the project and the body are looked at.
#[tokio::test]
async fn only_orchestrators_keep_state() {
    let scene = Scene::new().await;
    scene.save(main(0, json!({"a": 1}))).await.expect(200);
    let history = format!("{}/history", scene.path());
    for caller in [scene.tenant.agent().await, scene.tenant.user.clone()] {
        for reply in [
            // The role is looked at before the project and the body.
            caller.put(&format!("/orchestrator/state/{RANDOM_ID}"), json!({})).await,
            caller.put(&scene.path(), main(1, json!({}))).await,
            caller.get(&scene.path()).await,
            caller.get(&history).await,
        ] {
            let error = reply.expect_error(403, "forbidden");
            assert_eq!(error["message"], "This endpoint requires the orchestrator or superadmin role");
        }
    }
    let key = create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    let superadmin = Caller::with_key(&key.raw_key);
    superadmin.put(&scene.path(), main(1, json!({}))).await.expect_error(400, "bad_request");
    superadmin.get(&scene.path()).await.expect_error(400, "bad_request");
    for (role, status) in [("", 200), ("orchestrator", 200), ("user", 403), ("agent", 403)] {
        let mut inside = superadmin.clone();
        inside.headers.push(("x-impersonate-tenant", scene.tenant.id.clone()));
        inside.headers.push(("x-effective-role", role.to_owned()));
        let version = scene.load("").await["version"].as_i64().unwrap();
        inside.put(&scene.path(), main(version as i32, json!({"by": role}))).await.expect(status);
        inside.get(&scene.path()).await.expect(status);
        inside.get(&history).await.expect(status);
    }
    let saved = scene.history("").await["data"].clone();
    assert_eq!(saved.as_array().unwrap().len(), 3);
    assert_eq!(saved[0]["saved_by"], format!("superadmin:impersonating:{}", scene.tenant.slug));
    assert!(text(&saved[2]["saved_by"]).starts_with("orchestrator:"));
}

/// Foreign, unknown and malformed projects are 404, whatever is to be saved in them.
#[tokio::test]
async fn projects_are_found_first() {
    let (scene, theirs) = (Scene::new().await, Scene::new().await);
    theirs.save(main(0, json!({"secret": true}))).await.expect(200);
    for project in [theirs.project.as_str(), RANDOM_ID, "nope"] {
        let path = format!("/orchestrator/state/{project}");
        for body in [main(0, json!({})), main(1, json!({})), json!({"state_key": "k", "version": "x"})] {
            scene.o.put(&path, body).await.expect_error(404, "not_found");
        }
        for path in [path.clone(), format!("{path}/history"), format!("{path}/history?state_key=x")] {
            scene.o.get(&path).await.expect_error(404, "not_found");
        }
    }
    assert_eq!(scene.saves().await, Vec::<Value>::new());
    assert_eq!(theirs.saves().await.len(), 1);
    // A blank key comes before the project.
    scene.o.put(&format!("/orchestrator/state/{RANDOM_ID}"), json!({})).await.expect(422);
    // Nothing saved yet.
    scene.o.get(&scene.path()).await.expect_error(404, "not_found");
    let history = scene.history("").await;
    assert_eq!(history["data"], json!([]));
    assert_eq!((&history["meta"]["total_count"], &history["meta"]["page_size"]), (&json!(0), &json!(25)));
}

/// Blank key, then version, then data; nothing of it leaves a trace.
#[tokio::test]
async fn saves_are_checked() {
    let scene = Scene::new().await;
    for (body, details) in [
        (json!({}), json!({"state_key": ["can't be blank"]})),
        (json!({"state_key": " ", "version": "x"}), json!({"state_key": ["can't be blank"]})),
        (json!({"state_key": null, "state_data": {}}), json!({"state_key": ["can't be blank"]})),
        (json!({"state_key": ["main"], "state_data": {}}), json!({"state_key": ["is invalid"]})),
        (
            json!({"state_key": "ä".repeat(256), "state_data": {}}),
            json!({"state_key": ["should be at most 255 character(s)"]}),
        ),
        (json!({"state_key": "main", "version": "x"}), json!({"version": ["is invalid"]})),
        (json!({"state_key": "main", "version": 0.5, "state_data": {}}), json!({"version": ["is invalid"]})),
        (json!({"state_key": "main", "version": 1_u64 << 31}), json!({"version": ["is invalid"]})),
        (json!({"state_key": "main", "version": true, "state_data": {}}), json!({"version": ["is invalid"]})),
        (json!({"state_key": "main"}), json!({"state_data": ["can't be blank"]})),
        (json!({"state_key": "main", "state_data": null}), json!({"state_data": ["can't be blank"]})),
        (json!({"state_key": "main", "state_data": [1]}), json!({"state_data": ["is invalid"]})),
        (json!({"state_key": "main", "state_data": "{}"}), json!({"state_data": ["is invalid"]})),
        // PostgreSQL stores no U+0000, however deep it hides.
        (
            json!({"state_key": "main", "state_data": {"deep": ["a\u{0}"]}}),
            json!({"state_data": ["is invalid"]}),
        ),
    ] {
        let error = scene.save(body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }
    // The version comes before the data.
    assert_conflict(scene.save(json!({"state_key": "main", "version": 3})).await, 0);
    assert_conflict(scene.save(main(-1, json!({}))).await, 0);
    scene.o.get(&scene.path()).await.expect_error(404, "not_found");
    assert_eq!(scene.saves().await, Vec::<Value>::new());
    let longest = "ä".repeat(255);
    scene.save(json!({"state_key": longest, "state_data": {}})).await.expect(200);
}

/// A save must name the version that is stored; so a save whose answer was lost is told so when it is sent again.
#[tokio::test]
async fn versions_count_up() {
    let scene = Scene::new().await;
    let first = scene.save(main(0, json!({"step": 1}))).await.expect(200)["state"].clone();
    let members =
        ["id", "inserted_at", "project_id", "state_data", "state_key", "tenant_id", "updated_at", "version"];
    let mut names: Vec<_> = first.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, members);
    assert_eq!((&first["version"], &first["state_key"]), (&json!(1), &json!("main")));
    assert_eq!((&first["tenant_id"], &first["project_id"]), (&json!(scene.tenant.id), &json!(scene.project)));
    assert_eq!(scene.load("").await, first);
    assert_conflict(scene.save(main(0, json!({"step": 1}))).await, 1);
    // Absent is 0, which an existing state does not take.
    assert_conflict(scene.save(json!({"state_key": "main", "state_data": {}})).await, 1);

    let second = scene.save(main(1, json!({}))).await.expect(200)["state"].clone();
    assert_eq!((&second["version"], &second["state_data"]), (&json!(2), &json!({})));
    assert_eq!((&second["id"], &second["inserted_at"]), (&first["id"], &first["inserted_at"]));
    assert!(text(&second["updated_at"]) > text(&first["updated_at"]));
    assert_conflict(scene.save(main(1, json!({}))).await, 2);
    assert_conflict(scene.save(main(3, json!({}))).await, 2);
    // A conflict comes before what is wrong with the data.
    assert_conflict(scene.save(json!({"state_key": "main", "version": 1, "state_data": 7})).await, 2);
    assert_eq!(scene.load("?state_key=main").await, second);
    // The same data is another save; numeric strings are numbers.
    let third = json!({"state_key": "main", "state_data": {}, "version": "2"});
    assert_eq!(scene.save(third).await.expect(200)["state"]["version"], 3);
    assert_eq!(scene.saves().await.len(), 3);
}

/// What is saved is what is loaded.
#[tokio::test]
async fn data_comes_back_unchanged() {
    let scene = Scene::new().await;
    let data = json!({
        "text": "ü🦀 \" \\ \n \u{7f}", "": "empty name", "null": null, "flags": [true, false],
        "numbers": [0, -1, 1.5, 0.1, 1e-7, 1e300, 9_007_199_254_740_993_i64, i64::MIN, u64::MAX],
        "nested": {"a": [{"b": [[], {}, [null, "x", 1]]}]},
        "id": "mine", "version": 99, "state_data": {"state_key": "other"},
    });
    let saved = scene.save(main(0, data.clone())).await.expect(200)["state"].clone();
    assert_eq!(saved["state_data"], data);
    assert_eq!(saved["version"], 1);
    assert_eq!(scene.load("").await["state_data"], data);
    assert_eq!(scene.history("").await["data"][0]["state_data"], data);
    // As deep as a body may be, and as large.
    for (depth, status) in [(98, 200), (99, 400)] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let key = format!("deep {depth}");
        let body = format!("{{\"state_key\": \"{key}\", \"state_data\": {{\"a\": {deep}}}}}");
        let request = scene.o.request(Method::PUT, &scene.path()).header("content-type", "application/json");
        let reply = scene.o.send(request.body(body)).await;
        assert_eq!(reply.status, status, "{depth}");
        let there = if status == 200 { 200 } else { 404 };
        scene.o.get(&format!("{}?state_key={key}", scene.path())).await.expect(there);
        scene.o.get(&format!("{}/history?state_key={key}", scene.path())).await.expect(200);
    }
    let large = json!({"log": "x".repeat(1_048_000)});
    let body = json!({"state_key": "large", "state_data": large});
    assert_eq!(scene.save(body).await.expect(200)["state"]["state_data"], large);
    let body = json!({"state_key": "large", "state_data": {"log": "x".repeat(1_049_000)}, "version": 1});
    let refused = scene.save(body).await.expect_error(422, "validation_failed");
    assert_eq!(refused["details"], json!({"state_data": ["must be smaller than 1MB"]}));
    let body = json!({"state_key": "large", "state_data": {"log": "x".repeat(2_100_000)}, "version": 1});
    scene.save(body).await.expect_error(413, "body_too_large");
}

/// Keys are independent of each other.
#[tokio::test]
async fn keys_and_projects_are_independent() {
    let scene = Scene::new().await;
    for (key, saves) in [("main", 1), ("other", 3), ("Main", 2), ("a b/ü&x=1", 1)] {
        for version in 0..saves {
            let body = json!({"state_key": key, "state_data": {"of": key}, "version": version});
            scene.save(body).await.expect(200);
        }
    }
    assert_eq!(scene.load("").await["state_data"]["of"], "main");
    for (query, key, version) in [
        ("?state_key=other", "other", 3),
        ("?state_key=Main", "Main", 2),
        ("?state_key=a+b/%C3%BC%26x%3D1", "a b/ü&x=1", 1),
        // Blank is none; white space around a key is no part of it.
        ("?state_key=", "main", 1),
        ("?state_key=%20other%20", "other", 3),
    ] {
        let state = scene.load(query).await;
        assert_eq!((&state["state_key"], &state["version"]), (&json!(key), &json!(version)));
        let history = scene.history(query).await;
        assert_eq!(history["meta"]["total_count"], version);
        assert!(history["data"].as_array().unwrap().iter().all(|save| save["state_data"]["of"] == key));
    }
    let padded = json!({"state_key": " other\n", "state_data": {}, "version": 3});
    assert_eq!(scene.save(padded).await.expect(200)["state"]["state_key"], "other");
    scene.o.get(&format!("{}?state_key=unsaved", scene.path())).await.expect_error(404, "not_found");
    assert_eq!(scene.history("?state_key=unsaved").await["data"], json!([]));
    let project = scene.tenant.project().await;
    let elsewhere = format!("/orchestrator/state/{project}");
    scene.o.get(&elsewhere).await.expect_error(404, "not_found");
    scene.o.put(&elsewhere, main(0, json!({}))).await.expect(200);
    assert_eq!(scene.history("").await["meta"]["total_count"], 1);
}

/// History, and the log that it is read from.
#[tokio::test]
async fn history_is_newest_first() {
    let scene = Scene::new().await;
    for version in 0..30 {
        scene.save(main(version, json!({"step": version + 1}))).await.expect(200);
    }
    let all = scene.history("").await;
    assert_eq!(all["data"].as_array().unwrap().len(), 25);
    let mut seen = Vec::new();
    for page in 1..=5 {
        let part = scene.history(&format!("?page={page}&page_size=7")).await;
        let meta = ["page", "page_size", "total_count", "total_pages"].map(|name| &part["meta"][name]);
        assert_eq!(json!(meta), json!([page, 7, 30, 5]));
        seen.extend(part["data"].as_array().unwrap().clone());
    }
    let versions: Vec<_> = seen.iter().map(|save| save["version"].as_i64().unwrap()).collect();
    assert_eq!(versions, (1..=30).rev().collect::<Vec<_>>());
    for (query, rows) in
        [("?limit=3", 3), ("?page_size=2&limit=9", 2), ("?page_size=999", 30), ("?page=9", 0)]
    {
        assert_eq!(scene.history(query).await["data"].as_array().unwrap().len(), rows, "{query}");
    }
    assert_eq!(scene.history("?page_size=999").await["meta"]["page_size"], 100);

    let log = scene.saves().await;
    assert_eq!(log.len(), 30);
    let state = scene.load("").await;
    for (index, (entry, save)) in log.iter().zip(seen.iter().rev()).enumerate() {
        let told = |version: usize| json!({"project_id": scene.project, "state_key": "main", "state_data": {"step": version}, "version": version});
        assert_eq!((&entry["action"], &entry["entity_id"]), (&json!("saved"), &state["id"]));
        assert_eq!(entry["project_id"], scene.project);
        assert_eq!(entry["new_state"], told(index + 1));
        assert_eq!(entry["old_state"], if index == 0 { Value::Null } else { told(index) });
        assert_eq!(save["state_data"], json!({"step": index + 1}));
        assert_eq!(save["saved_by"], entry["actor_label"]);
        assert!(text(&save["saved_by"]).starts_with("orchestrator:"));
        assert_eq!(save.as_object().unwrap().len(), 4);
    }
    let times: Vec<_> = seen.iter().map(|save| text(&save["saved_at"])).collect();
    assert!(
        times.iter().all(|time| time.len() == 27) && times.is_sorted_by(|later, earlier| later > earlier)
    );
}

/// One wins, the first save as well as later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_saves_exactly_one_succeeds() {
    const SAVERS: i32 = 10;
    let scene = Scene::new().await;
    for version in 0..8 {
        let calls = (0..SAVERS).map(|saver| {
            let (o, path) = (scene.o.clone(), scene.path());
            tokio::spawn(async move { o.put(&path, main(version, json!({"saver": saver}))).await })
        });
        let calls: Vec<_> = calls.collect();
        let replies: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 9), "version {version}");
        for reply in lost {
            assert_conflict(reply, version + 1);
        }
        let state = scene.load("").await;
        assert_eq!(state, won[0].body["state"]);
        assert_eq!(state["version"], version + 1);
        assert_eq!(scene.history("").await["meta"]["total_count"], version + 1, "one entry more");
    }
}

/// Other keys do not wait for each other, nor conflict; and nobody's save is lost who reads and tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn savers_who_try_again_all_succeed() {
    const SAVERS: i64 = 8;
    let scene = Scene::new().await;
    let savers = (0..SAVERS).map(|saver| {
        let (o, path) = (scene.o.clone(), scene.path());
        tokio::spawn(async move {
            let own = json!({"state_key": format!("own {saver}"), "state_data": {}});
            o.put(&path, own).await.expect(200);
            let (mut version, mut savers) = (0, Vec::new());
            loop {
                savers.push(json!(saver));
                let reply = o.put(&path, main(version, json!({"savers": savers}))).await;
                if reply.status == 200 {
                    return;
                }
                let error = reply.expect_error(409, "version_conflict");
                let state = o.get(&path).await.expect(200)["state"].clone();
                version = state["version"].as_i64().unwrap() as i32;
                assert!(i64::from(version) >= error["current_version"].as_i64().unwrap());
                savers = state["state_data"]["savers"].as_array().unwrap().clone();
            }
        })
    });
    let savers: Vec<_> = savers.collect();
    for saver in join_all(savers).await {
        saver.unwrap();
    }
    let state = scene.load("").await;
    assert_eq!(state["version"], SAVERS);
    let saved: HashSet<_> = state["state_data"]["savers"].as_array().unwrap().iter().collect();
    assert_eq!(saved.len() as i64, SAVERS, "{state:#}");
}

/// Whoever writes to the table: no save goes under another.
#[tokio::test]
async fn the_database_counts_versions() {
    let scene = Scene::new().await;
    scene.save(main(0, json!({"step": 1}))).await.expect(200);
    let owner = connect(&server().owner).await;
    let update = async |set: &str| {
        let sql = format!("update orchestrator_states set {set} where tenant_id = $1::text::uuid");
        owner.execute(&sql, &[&scene.tenant.id]).await
    };
    for set in ["state_data = '{}'", "version = 1", "version = 3", "state_data = '{}', version = 1"] {
        let error = update(set).await.expect_err(set);
        assert!(error.as_db_error().unwrap().message().starts_with("orchestrator_state_advances"), "{set}");
    }
    assert_eq!(scene.load("").await["version"], 1);
    assert_eq!(update("version = 2").await.unwrap(), 1);
}
