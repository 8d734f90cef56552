//! What random requests are made of: the document's routes and fields, callers of every kind, real ids.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;

use crate::isolation::{anomaly, violation};
use crate::signup::proofs::{add, another};
use crate::signup::sessions::signed_in;
use crate::support::{Caller, Tenant, server, story, text, unique};

/// A route of the document.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: String,
    /// The names of its query parameters.
    pub(super) query: Vec<String>,
}

/// What the requests are made of.
pub(super) struct World {
    pub(super) routes: Vec<Route>,
    /// Names of body fields.
    pub(super) fields: Vec<String>,
    pub(super) callers: Vec<Caller>,
    /// Opens a connection per request: a server may close one whose request it has not read to the end.
    pub(super) http: reqwest::Client,
    /// Ids by the resource that a path names.
    pub(super) ids: BTreeMap<&'static str, Vec<String>>,
}

fn routes() -> (Vec<Route>, Vec<String>) {
    let document = serde_json::to_value(loopctl_server::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            routes.push(Route {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                query: parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| text(&parameter["name"]))
                    .collect(),
            });
        }
    }
    let mut fields: Vec<String> = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|schema| schema["properties"].as_object())
        .flat_map(|properties| properties.keys().cloned())
        .collect();
    fields.extend(
        [
            "story_title",
            "ac_count",
            "artifact",
            "stories",
            "depends_on_stories",
            "title",
            "story",
            "depends_on",
        ]
        .map(str::to_owned),
    );
    fields.sort();
    fields.dedup();
    (routes, fields)
}

/// Two tenants with every kind of record; the second one's callers take part, too.
pub(super) async fn world() -> World {
    let (routes, fields) = routes();
    let mut ids: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut callers = vec![Caller::nobody(), Caller::with_key("lc_junk"), Caller::with_key("  ")];
    let mut entered = None;
    for _ in 0..2 {
        let tenant = Tenant::new().await;
        let raise = json!({"settings": {"max_api_keys": 5000, "max_agents": 5000, "max_projects": 5000, "max_webhooks": 5000}});
        tenant.user.patch("/tenants/me", raise).await.expect(200);
        let stories: Vec<_> = (1..=12).map(|minor| story(&format!("1.{minor}"))).collect();
        let project = tenant
            .imported(json!({"epics": [
                {"number": 1, "title": "E", "stories": stories},
                {"number": 2, "title": "E", "depends_on_epics": [1], "stories": [story("2.1")]}]}))
            .await;
        let list = |path: String| {
            let user = tenant.user.clone();
            async move {
                let list = user.get(&path).await.expect(200);
                let items = list["data"].as_array().unwrap().clone();
                items.iter().map(|item| text(&item["id"])).collect::<Vec<_>>()
            }
        };
        let stories = list(format!("/stories?project_id={project}")).await;
        ids.entry("stories").or_default().extend(stories);
        let epics = list(format!("/projects/{project}/epics")).await;
        ids.entry("epics").or_default().extend(epics);
        for _ in 0..10 {
            let run =
                tenant.user.post(&format!("/projects/{project}/ui_test_runs"), json!({})).await.expect(201);
            for family in ["ui-tests", "ui_test_runs"] {
                ids.entry(family).or_default().push(text(&run["data"]["id"]));
            }
        }
        ids.entry("state").or_default().push(project.clone());
        ids.entry("projects").or_default().push(project);
        // To be deleted, so that the others last.
        let spare: Vec<_> = (1..=20)
            .map(|number| json!({"number": number, "title": "E", "stories": [story(&number.to_string())]}))
            .collect();
        let spare = tenant.imported(json!({"epics": spare})).await;
        let epics = list(format!("/projects/{spare}/epics")).await;
        ids.entry("spare epics").or_default().extend(epics);
        let stories = list(format!("/stories?project_id={spare}")).await;
        ids.entry("spare stories").or_default().extend(stories);
        let (agent, second, orchestrator) =
            (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        ids.entry("agents").or_default().extend([agent.agent().to_owned(), second.agent().to_owned()]);
        for _ in 0..20 {
            // To be revoked: none of them calls.
            let body = json!({"name": unique("spare"), "role": "agent"});
            let key = tenant.user.post("/api_keys", body).await.expect(201);
            ids.entry("api_keys").or_default().push(text(&key["api_key"]["id"]));
        }
        for story in list(format!("/stories?project_id={spare}")).await.into_iter().take(10) {
            let body = json!({"story_id": story, "input_tokens": 1, "output_tokens": 1, "model_name": "m", "cost_millicents": 9});
            let usage = agent.post("/token-usage", body).await.expect(201);
            ids.entry("token-usage").or_default().push(text(&usage["token_usage_report"]["id"]));
            let body = json!({"scope_type": "story", "scope_id": story, "token_limit": 9});
            let budget = tenant.user.post("/token-budgets", body).await.expect(201);
            ids.entry("token-budgets").or_default().push(text(&budget["token_budget"]["id"]));
        }
        for story in ids["spare stories"].iter().rev().take(5).cloned().collect::<Vec<_>>() {
            let anomaly = anomaly(&tenant.id, &story, "fuzz").await;
            ids.entry("cost-anomalies").or_default().push(anomaly);
        }
        ids.entry("versions").or_default().extend(["1", "2"].map(str::to_owned));
        for _ in 0..5 {
            let body = json!({"name": unique("skill"), "prompt_text": "p"});
            let skill = tenant.user.post("/skills", body).await.expect(201);
            ids.entry("skills").or_default().push(text(&skill["skill"]["id"]));
            ids.entry("skill_versions").or_default().push(text(&skill["version"]["id"]));
        }
        for _ in 0..10 {
            let body = json!({"title": unique("article"), "body": "b", "category": "finding"});
            let article = text(&tenant.user.post("/articles", body).await.expect(201)["data"]["id"]);
            ids.entry("articles").or_default().push(article);
        }
        for ends in ids["articles"].clone().windows(2).rev().take(9) {
            let body = json!({"source_article_id": ends[0], "target_article_id": ends[1], "relationship_type": "derived_from"});
            let link = text(&tenant.user.post("/article_links", body).await.expect(201)["data"]["id"]);
            ids.entry("article_links").or_default().push(link);
        }
        let (mut device, enrolled) = another(&tenant).await;
        let added = add(&tenant, &enrolled, json!(null)).await.expect(201);
        ids.entry("authenticators").or_default().push(text(&added["data"]["id"]));
        callers.push(signed_in(&mut device).await);
        for kind in ["webhooks", "spare webhooks"] {
            for _ in 0..5 {
                let body = json!({"url": "https://fuzz.invalid/", "events": ["story.verified"]});
                let webhook = tenant.user.post("/webhooks", body).await.expect(201);
                let webhook = text(&webhook["webhook"]["id"]);
                let test =
                    tenant.user.post(&format!("/webhooks/{webhook}/test"), json!({})).await.expect(200);
                ids.entry("deliveries").or_default().push(text(&test["webhook_event_id"]));
                ids.entry(kind).or_default().push(webhook);
            }
        }
        callers.extend([agent, second, orchestrator, tenant.key("agent").await]);
        callers.extend([tenant.key("orchestrator").await, tenant.user.clone()]);
        for _ in 0..5 {
            ids.entry("violators").or_default().push(violation(&tenant.id, "fuzz").await);
            // To be changed and suspended, so that those who call may go on.
            ids.entry("tenants").or_default().push(Tenant::new().await.id);
        }
        entered.get_or_insert(tenant.id);
    }
    let key =
        loopctl_server::operator::create_superadmin_key(&server().owner, &unique("super")).await.unwrap();
    callers.push(Caller::with_key(&key.raw_key));
    let mut inside = Caller::with_key(&key.raw_key);
    inside.headers.extend(entered.map(|tenant| ("x-impersonate-tenant", tenant)));
    callers.push(inside);
    let http = reqwest::Client::builder()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    World { routes, fields, callers, http, ids }
}
