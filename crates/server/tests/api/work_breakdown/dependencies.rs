//! Edges between epics and between stories, one by one.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{keys, meta, plain, superadmin};
use crate::support::{Caller, Reply, Tenant, text};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// A project whose epics (`1`) and stories (`1.1`) are called by their numbers.
pub(super) struct Plan {
    pub(super) tenant: Tenant,
    pub(super) o: Caller,
    pub(super) project: String,
    ids: HashMap<String, String>,
}

impl Plan {
    /// One epic per list of stories, numbered from 1, without edges.
    pub(super) async fn new(epics: &[&[&str]]) -> Self {
        let tenant = Tenant::new().await;
        Self::of(tenant, epics).await
    }

    pub(super) async fn of(tenant: Tenant, epics: &[&[&str]]) -> Self {
        let epics: Vec<_> = (1..)
            .zip(epics)
            .map(|(number, stories)| {
                let stories: Vec<_> = stories.iter().map(|number| plain(number)).collect();
                json!({"number": number, "title": "E", "stories": stories})
            })
            .collect();
        let project = tenant.imported(json!({"epics": epics})).await;
        let mut ids = HashMap::new();
        let o = tenant.key("orchestrator").await;
        for path in [format!("/stories?project_id={project}&limit=500"), format!("/projects/{project}/epics")]
        {
            for item in o.get(&path).await.expect(200)["data"].as_array().unwrap() {
                let number =
                    item["number"].as_str().map_or_else(|| item["number"].to_string(), str::to_owned);
                ids.insert(number, text(&item["id"]));
            }
        }
        Self { tenant, o, project, ids }
    }

    pub(super) fn id(&self, number: &str) -> &str {
        &self.ids[number]
    }

    /// Two numbers with a point are stories, two without are epics.
    pub(super) fn call(&self, dependent: &str, prerequisite: &str) -> (&'static str, Value) {
        edge(dependent.contains('.'), self.id(dependent), self.id(prerequisite))
    }

    pub(super) async fn add(&self, dependent: &str, prerequisite: &str) -> Reply {
        let (path, body) = self.call(dependent, prerequisite);
        self.o.post(path, body).await
    }

    /// The id of a new edge.
    pub(super) async fn added(&self, dependent: &str, prerequisite: &str) -> String {
        let made = self.add(dependent, prerequisite).await.expect(201);
        let edge = made.get("story_dependency").or(made.get("epic_dependency"));
        text(&edge.unwrap()["id"])
    }

    async fn cycle(&self, dependent: &str, prerequisite: &str) {
        let error = self.add(dependent, prerequisite).await.expect_error(422, "dependency_cycle");
        assert_eq!(error["message"], "Cycle detected in dependency graph", "{dependent} -> {prerequisite}");
        assert_eq!(error.get("details"), None);
        // Which one it would be.
        let cycle = text(&error["context"]["cycle"]);
        assert!(cycle.contains(" -> ") && !cycle.contains("Cycle"), "{cycle}");
    }

    async fn deadlock(&self, dependent: &str, prerequisite: &str) -> String {
        let error = self.add(dependent, prerequisite).await.expect_error(422, "cross_level_deadlock");
        let message = text(&error["message"]);
        assert!(message.starts_with("Cross-level deadlock: "), "{message}");
        message
    }

    /// All edges, as the lists have them.
    pub(super) async fn edges(&self) -> Vec<Value> {
        let list = self.o.get(&format!("/projects/{}/epic_dependencies", self.project)).await.expect(200);
        let mut edges = list["data"].as_array().unwrap().clone();
        let graph = self.o.get(&format!("/projects/{}/dependency_graph", self.project)).await.expect(200);
        edges.extend(graph["graph"]["story_dependencies"].as_array().unwrap().clone());
        edges
    }
}

/// The path and the body that make an edge.
pub(super) fn edge(between_stories: bool, dependent: &str, prerequisite: &str) -> (&'static str, Value) {
    if between_stories {
        ("/story_dependencies", json!({"story_id": dependent, "depends_on_story_id": prerequisite}))
    } else {
        ("/epic_dependencies", json!({"epic_id": dependent, "depends_on_epic_id": prerequisite}))
    }
}

#[tokio::test]
async fn roles() {
    let plan = Plan::new(&[&["1.1", "1.2"], &[], &[]]).await;
    let (agent, root) = (plan.tenant.agent().await, superadmin(&plan.tenant).await);
    for (dependent, prerequisite) in [("1.2", "1.1"), ("2", "1")] {
        let (path, body) = plan.call(dependent, prerequisite);
        // Before anything is looked at.
        for body in [&body, &json!({})] {
            let error = agent.post(path, body.clone()).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
        }
        for who in [&plan.o, &root, &plan.tenant.user] {
            let made = who.post(path, body.clone()).await.expect(201);
            let id = text(&made.as_object().unwrap().values().next().unwrap()["id"]);
            let at = format!("{path}/{id}");
            for low in [&agent, &plan.o] {
                let error = low.delete(&at).await.expect_error(403, "forbidden");
                assert_eq!(error["message"], "Insufficient permissions. Required role: user");
                low.delete(&format!("{path}/{NONE}")).await.expect(403);
            }
            let who = if who.headers.is_empty() { &plan.tenant.user } else { who };
            who.delete(&at).await.expect(204);
        }
    }
    assert_eq!(plan.edges().await, [] as [Value; 0]);
}

/// Missing field, itself, unknown, other project, circle, duplicate: each case beside those that come after it.
#[tokio::test]
async fn bad_edges_are_refused_in_order() {
    let plan = Plan::new(&[&["1.1", "1.2"], &["2.1"]]).await;
    let (elsewhere, other) =
        (Plan::of(Tenant::new().await, &[&["1.1"]]).await, plan.tenant.project_of(&["1.1"]).await);
    let other_story = plan.tenant.story_id(&other, "1.1").await;
    let other_epic = super::epic_id(&plan.tenant, &other, 1).await;
    for (path, names, own, far, foreign, words) in [
        (
            "/epic_dependencies",
            ["epic_id", "depends_on_epic_id"],
            [plan.id("1"), plan.id("2")],
            &other_epic,
            elsewhere.id("1"),
            ["An epic", "Epics"],
        ),
        (
            "/story_dependencies",
            ["story_id", "depends_on_story_id"],
            [plan.id("1.1"), plan.id("2.1")],
            &other_story,
            elsewhere.id("1.1"),
            ["A story", "Stories"],
        ),
    ] {
        let post = |dependent: Value, prerequisite: Value| {
            plan.o.post(path, json!({names[0]: dependent, names[1]: prerequisite}))
        };
        let blank = json!(["can't be blank"]);
        // 1: missing, however bad the other one is.
        for missing in [Value::Null, json!(""), json!("  ")] {
            for bad in ["nope", NONE, own[0], foreign] {
                let error = post(missing.clone(), json!(bad)).await.expect_error(422, "validation_failed");
                assert_eq!(error["details"], json!({names[0]: blank}));
                let error = post(json!(bad), missing.clone()).await.expect_error(422, "validation_failed");
                assert_eq!(error["details"], json!({names[1]: blank}));
            }
        }
        let error = plan.o.post(path, json!({})).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({names[0]: blank, names[1]: blank}));
        for wrong in [json!(7), json!([own[0]]), json!({}), json!(true)] {
            let error = post(json!(own[0]), wrong).await.expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({names[1]: ["is invalid"]}));
        }
        plan.o.post(path, json!([])).await.expect_error(422, "not_an_object");
        // 2: itself, in either case, known or not.
        for id in [own[0], NONE, foreign] {
            for (dependent, prerequisite) in [
                (id.to_owned(), id.to_owned()),
                (id.to_uppercase(), id.to_owned()),
                (id.to_owned(), id.to_uppercase()),
            ] {
                let error =
                    post(json!(dependent), json!(prerequisite)).await.expect_error(422, "depends_on_itself");
                assert_eq!(error["message"], format!("{} cannot depend on itself", words[0]));
            }
        }
        // 3: unknown, malformed, foreign; of the other kind is unknown, too.
        let kind = if path == "/epic_dependencies" { plan.id("1.1") } else { plan.id("1") };
        let simple = own[1].replace('-', "");
        for bad in [NONE, "nope", "1.1", foreign, kind, &simple, &format!(" {}", own[1]), other.as_str()] {
            for good in [own[0], far] {
                post(json!(good), json!(bad)).await.expect_error(404, "not_found");
                post(json!(bad), json!(good)).await.expect_error(404, "not_found");
            }
        }
        post(json!("nope"), json!("nope")).await.expect_error(404, "not_found");
        elsewhere
            .o
            .post(path, json!({names[0]: own[0], names[1]: own[1]}))
            .await
            .expect_error(404, "not_found");
        // 4: another project of the tenant.
        for (dependent, prerequisite) in [(own[0], far.as_str()), (far.as_str(), own[0])] {
            let error = post(json!(dependent), json!(prerequisite)).await;
            let error = error.expect_error(422, "different_projects");
            assert_eq!(error["message"], format!("{} must belong to the same project", words[1]));
        }
    }
    assert_eq!(plan.edges().await, [] as [Value; 0]);
    let log = plan.tenant.audit_log().await;
    assert!(log.iter().all(|entry| !text(&entry["entity_type"]).ends_with("dependency")));
}

/// Through however many nodes; and an edge that is there already is a conflict, not a circle.
#[tokio::test]
async fn cycles_on_one_level_are_refused() {
    let plan = Plan::new(&[&["1.1", "1.2", "1.3", "1.4"], &[], &[], &["4.1"]]).await;
    for [a, b, c] in [["1.1", "1.2", "1.3"], ["1", "2", "3"]] {
        plan.added(b, a).await;
        plan.cycle(a, b).await;
        plan.added(c, b).await;
        plan.cycle(a, c).await;
        plan.cycle(a, b).await;
        // The way round is allowed, and an edge that is there is 409, in either case of its ids.
        plan.added(c, a).await;
        for (dependent, prerequisite) in [(b, a), (c, b), (c, a)] {
            let error = plan.add(dependent, prerequisite).await.expect_error(409, "dependency_exists");
            assert_eq!(error["message"], "Conflict");
        }
        let (path, body) = plan.call(b, a);
        let upper = json!(
            body.as_object()
                .unwrap()
                .iter()
                .map(|(name, id)| (name.clone(), text(id).to_uppercase()))
                .collect::<HashMap<_, _>>()
        );
        plan.o.post(path, upper).await.expect_error(409, "dependency_exists");
    }
    // Across epics it is one level all the same.
    plan.added("4.1", "1.3").await;
    plan.cycle("1.1", "4.1").await;
    assert_eq!(plan.edges().await.len(), 7);
}

/// An epic waits for all stories of another, so a circle may run through both levels; whichever edge would close it is refused.
#[tokio::test]
async fn deadlocks_across_levels_are_refused_in_either_order() {
    let direct = "Cross-level deadlock: epic 1 depends on epic 2, but story 2.1 (in epic 2) depends on story 1.1 (in epic 1)";
    let plan = Plan::new(&[&["1.1"], &["2.1"], &["3.1"], &[]]).await;
    let story = plan.added("2.1", "1.1").await;
    assert_eq!(plan.deadlock("1", "2").await, direct);
    plan.tenant.user.delete(&format!("/story_dependencies/{story}")).await.expect(204);
    let epic = plan.added("1", "2").await;
    assert_eq!(plan.deadlock("2.1", "1.1").await, direct);
    // What is in line with it is allowed.
    plan.added("1.1", "2.1").await;
    plan.tenant.user.delete(&format!("/epic_dependencies/{epic}")).await.expect(204);

    // Through an intermediate story, and through intermediate epics, one of them empty.
    let plan = Plan::new(&[&["1.1"], &["2.1"], &["3.1"], &[]]).await;
    plan.added("2.1", "3.1").await;
    plan.added("3.1", "1.1").await;
    let message = plan.deadlock("1", "2").await;
    assert!(message.contains("story 2.1 (in epic 2) depends on story 3.1 (in epic 3)"), "{message}");
    let plan = Plan::new(&[&["1.1"], &["2.1"], &["3.1"], &[]]).await;
    plan.added("1", "4").await;
    plan.added("4", "3").await;
    plan.added("3", "2").await;
    plan.deadlock("2.1", "1.1").await;
    plan.deadlock("3.1", "1.1").await;
    plan.added("1.1", "3.1").await;
    // Both levels by turns.
    let plan = Plan::new(&[&["1.1"], &["2.1"], &["3.1"], &["4.1"]]).await;
    plan.added("1", "2").await;
    plan.added("2.1", "3.1").await;
    plan.added("3", "4").await;
    plan.deadlock("4.1", "1.1").await;
    plan.deadlock("4", "1").await;
    plan.added("1.1", "4.1").await;
}

/// Who may remove them, what an edge shows, and what the log tells of it.
#[tokio::test]
async fn edges_come_and_go_and_are_told() {
    let plan = Plan::new(&[&["1.1", "1.2"], &[]]).await;
    let user = &plan.tenant.user;
    for (dependent, prerequisite, entity, names) in [
        ("1.2", "1.1", "story_dependency", ["story_id", "depends_on_story_id"]),
        ("2", "1", "epic_dependency", ["epic_id", "depends_on_epic_id"]),
    ] {
        let (path, body) = plan.call(dependent, prerequisite);
        let mut upper = body.clone();
        upper[names[0]] = json!(text(&body[names[0]]).to_uppercase());
        upper["id"] = json!(NONE);
        upper["tenant_id"] = json!(NONE);
        let made = plan.o.post(path, upper).await.expect(201);
        assert_eq!(keys(&made), [entity]);
        let edge = &made[entity];
        let mut members = vec!["id", "tenant_id", "inserted_at", names[0], names[1]];
        members.sort_unstable();
        assert_eq!(keys(edge), members);
        assert_eq!((&edge[names[0]], &edge[names[1]]), (&body[names[0]], &body[names[1]]));
        assert_eq!(edge["tenant_id"], plan.tenant.id);
        let id = text(&edge["id"]);
        assert_ne!(id, NONE);

        let at = format!("{path}/{id}");
        Tenant::new().await.user.delete(&at).await.expect_error(404, "not_found");
        let unknown = [NONE.to_owned(), "nope".to_owned(), text(&body[names[0]])];
        for unknown in unknown {
            user.delete(&format!("{path}/{unknown}")).await.expect_error(404, "not_found");
        }
        // An edge of the one level is none of the other.
        let twin = if entity == "story_dependency" { "/epic_dependencies" } else { "/story_dependencies" };
        user.delete(&format!("{twin}/{id}")).await.expect_error(404, "not_found");
        let reply = user.delete(&format!("{path}/{}", id.to_uppercase())).await;
        assert_eq!(reply.expect(204), Value::Null);
        user.delete(&at).await.expect_error(404, "not_found");

        let log = plan.tenant.audit_log().await;
        let of_edge: Vec<_> = log.iter().filter(|entry| entry["entity_id"] == json!(id)).collect();
        let [created, deleted] = of_edge.as_slice() else { panic!("{of_edge:#?}") };
        for (entry, action, old, new) in
            [(created, "created", &Value::Null, &body), (deleted, "deleted", &body, &Value::Null)]
        {
            assert_eq!((&entry["entity_type"], &entry["action"]), (&json!(entity), &json!(action)));
            assert_eq!((&entry["old_state"], &entry["new_state"]), (old, new));
            assert_eq!(entry["project_id"], plan.project);
        }
        // It can be made again, and the other way round.
        let again = plan.added(dependent, prerequisite).await;
        user.delete(&format!("{path}/{again}")).await.expect(204);
        plan.added(prerequisite, dependent).await;
    }
}

/// Whoever draws the graph wants all edges; a story edge is listed with both epics that it touches.
#[tokio::test]
async fn lists_show_all_unless_a_page_is_asked_for() {
    let plan = Plan::new(&[&["1.1", "1.2"], &["2.1", "2.2"], &["3.1"], &[]]).await;
    let other = Plan::of(Tenant::new().await, &[&["1.1"], &["2.1"]]).await;
    other.added("2", "1").await;
    other.added("2.1", "1.1").await;
    let mut epics = Vec::new();
    for (dependent, prerequisite) in [("3", "2"), ("3", "1"), ("2", "1"), ("4", "3")] {
        epics.push(plan.added(dependent, prerequisite).await);
    }
    let mut stories = Vec::new();
    for (dependent, prerequisite) in
        [("2.1", "1.1"), ("2.2", "2.1"), ("3.1", "2.1"), ("1.2", "1.1"), ("3.1", "1.2")]
    {
        stories.push(plan.added(dependent, prerequisite).await);
    }
    let agent = plan.tenant.agent().await;
    let list = async |path: &str| {
        let list = agent.get(path).await.expect(200);
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|edge| text(&edge["id"])).collect();
        (ids, list["meta"].clone())
    };
    let path = format!("/projects/{}/epic_dependencies", plan.project);
    assert_eq!(list(&path).await, (epics.clone(), meta(1, 4, 4, 1)));
    // Either end, and an edge with both ends in the epic once.
    let of_epic = |number: &str| format!("/epics/{}/story_dependencies", plan.id(number));
    let pick = |places: &[usize]| places.iter().map(|place| stories[*place].clone()).collect::<Vec<_>>();
    assert_eq!(list(&of_epic("1")).await, (pick(&[0, 3, 4]), meta(1, 3, 3, 1)));
    assert_eq!(list(&of_epic("2")).await, (pick(&[0, 1, 2]), meta(1, 3, 3, 1)));
    assert_eq!(list(&of_epic("3")).await, (pick(&[2, 4]), meta(1, 2, 2, 1)));
    assert_eq!(list(&of_epic("4")).await, (vec![], meta(1, 1, 0, 0)));

    for (path, all) in [(&path, &epics), (&of_epic("1"), &pick(&[0, 3, 4]))] {
        let total = all.len() as i64;
        for query in ["page_size=2", "limit=2", "page_size=2&limit=1&page=1", "page_size=2&page=0"] {
            let expected = (all[..2].to_vec(), meta(1, 2, total, 2));
            assert_eq!(list(&format!("{path}?{query}")).await, expected, "{query}");
        }
        let second = (all[2..].to_vec(), meta(2, 2, total, 2));
        assert_eq!(list(&format!("{path}?page_size=2&page=2")).await, second);
        assert_eq!(list(&format!("{path}?page=1")).await, (all.clone(), meta(1, 20, total, 1)));
        assert_eq!(list(&format!("{path}?page=9&limit=500")).await, (vec![], meta(9, 100, total, 1)));
        for query in ["page=", "page_size=%20", "x=1"] {
            assert_eq!(list(&format!("{path}?{query}")).await.0, *all, "{query}");
        }
        // Nobody else's, and nobody else sees them.
        other.o.get(path).await.expect_error(404, "not_found");
    }
    for path in ["/projects/{}/epic_dependencies", "/epics/{}/story_dependencies"] {
        for id in [NONE, "nope", plan.id("1.1")] {
            agent.get(&path.replace("{}", id)).await.expect_error(404, "not_found");
        }
    }
    let shown = agent.get(&of_epic("3")).await.expect(200);
    assert_eq!(
        keys(&shown["data"][0]),
        ["depends_on_story_id", "id", "inserted_at", "story_id", "tenant_id"]
    );
    let shown = agent.get(&path).await.expect(200);
    assert_eq!(keys(&shown["data"][0]), ["depends_on_epic_id", "epic_id", "id", "inserted_at", "tenant_id"]);
}

/// A new edge counts at once: for the queues and for claims.
#[tokio::test]
async fn an_edge_holds_its_dependents_back() {
    let plan = Plan::new(&[&["1.1", "1.2"], &["2.1"]]).await;
    let agent = plan.tenant.agent().await;
    let contract = |number: &str| json!({"story_title": format!("Story {number}"), "ac_count": 0});
    for number in ["1.2", "2.1"] {
        agent.post(&format!("/stories/{}/contract", plan.id(number)), contract(number)).await.expect(200);
    }
    let edges = [plan.added("1.2", "1.1").await, plan.added("2", "1").await];
    assert_eq!(
        super::queues::blocked(&plan.tenant, "").await,
        ["1.2: 1.1 via story", "2.1: 1.1 via epic, 1.2 via epic"]
    );
    for number in ["1.2", "2.1"] {
        let claim = agent.post_empty(&format!("/stories/{}/claim", plan.id(number))).await;
        claim.expect_error(409, "dependencies_not_met");
    }
    let user = &plan.tenant.user;
    user.delete(&format!("/story_dependencies/{}", edges[0])).await.expect(204);
    user.delete(&format!("/epic_dependencies/{}", edges[1])).await.expect(204);
    assert_eq!(super::queues::blocked(&plan.tenant, "").await, [""; 0]);
    for number in ["1.2", "2.1"] {
        agent.post_empty(&format!("/stories/{}/claim", plan.id(number))).await.expect(200);
    }
}
