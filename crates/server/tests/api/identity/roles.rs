//! Which role may call what: of every route that is mounted, with every kind of key and with none.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::RANDOM_ID;
use super::impersonation::{inside, superadmin};
use crate::conformance::OPERATIONS;
use crate::signup::visitor;
use crate::support::{Caller, Tenant, text};

/// What a route asks for.
#[derive(Debug, Clone, Copy)]
enum Needs {
    /// No key.
    Nothing,
    /// A session, which nobody here has: a key does not stand in for it.
    Session,
    /// Any key.
    Key,
    /// This role or a higher one.
    AtLeast(&'static str),
    /// One of these roles, for which no higher one stands in.
    Exactly(&'static [&'static str]),
}

use Needs::{AtLeast, Exactly, Key, Nothing, Session};

const RISING: [&str; 4] = ["agent", "orchestrator", "user", "superadmin"];

const MATRIX: &[(Needs, &[&str])] = &[
    (
        Nothing,
        &[
            "GET /health",
            "GET /swaggerui",
            "GET /swagger",
            "GET /home",
            "GET /docs",
            "GET /docs/{name}",
            "GET /terms",
            "GET /privacy",
            "GET /wiki",
            "GET /wiki/{slug}",
            "GET /articles/system",
            "GET /api/v1",
            "GET /openapi",
            "GET /lifecycle",
            "GET /.well-known/loopctl",
            "GET /.well-known/loopctl/schema.json",
            "POST /signup",
            "POST /signup/challenge",
            "GET /tenants/{id}/audit_public_key",
            "GET /signup",
            "GET /swagger",
            "GET /swaggerui",
            "GET /tenants/{tenant_id}/onboarding",
            "GET /sign-in",
            "POST /sign-in",
            "POST /sign-in/challenge",
            "GET /account",
        ],
    ),
    (Session, &["POST /sign-out", "POST /account/keys"]),
    (
        Key,
        &[
            "GET /routes",
            "GET /tenants/me",
            "GET /changes",
            "GET /changes/stream",
            "GET /stories/{id}/history",
        ],
    ),
    (
        AtLeast("agent"),
        &[
            "GET /projects",
            "GET /projects/{id}",
            "GET /projects/{id}/progress",
            "GET /projects/{id}/export",
            "GET /projects/{id}/dependency_graph",
            "GET /projects/{id}/epic_dependencies",
            "GET /projects/{project_id}/epics",
            "GET /projects/{project_id}/stories/ready",
            "GET /projects/{project_id}/stories/blocked",
            "GET /epics/{id}",
            "GET /epics/{id}/progress",
            "GET /epics/{id}/story_dependencies",
            "GET /epics/{epic_id}/stories",
            "GET /stories",
            "GET /stories/ready",
            "GET /stories/blocked",
            "GET /stories/{id}",
            "GET /stories/{story_id}/acceptance_criteria",
            "GET /stories/{id}/artifacts",
            "POST /projects/{project_id}/ui-tests",
            "GET /projects/{project_id}/ui-tests",
            "GET /projects/{project_id}/ui-tests/{id}",
            "POST /projects/{project_id}/ui-tests/{id}/findings",
            "POST /projects/{project_id}/ui-tests/{id}/complete",
            "POST /projects/{id}/ui_test_runs",
            "GET /projects/{id}/ui_test_runs",
            "GET /ui_test_runs/{id}",
            "POST /ui_test_runs/{id}/findings",
            "POST /ui_test_runs/{id}/complete",
            "GET /articles",
            "POST /articles",
            "GET /projects/{project_id}/articles",
            "POST /projects/{project_id}/articles",
            "GET /articles/{id}",
            "POST /article_links",
            "GET /articles/{article_id}/links",
            "GET /knowledge/index",
            "GET /projects/{project_id}/knowledge/index",
            "GET /knowledge/search",
            "GET /knowledge/context",
            "GET /skills",
            "GET /skills/{id}",
            "GET /skills/{id}/versions",
            "GET /skills/{id}/versions/{version}",
            "GET /skills/{id}/versions/{version}/results",
            "GET /skills/{id}/stats",
            "POST /token-usage",
            "GET /stories/{story_id}/token-usage",
            "GET /token-budgets",
            "GET /token-budgets/{id}",
            "GET /analytics/epics",
            "GET /analytics/models",
            "GET /analytics/projects/{id}",
            "GET /projects/{id}/token-usage",
            "POST /v1/metrics",
            "POST /v1/logs",
        ],
    ),
    (
        AtLeast("orchestrator"),
        &[
            "POST /articles/{id}/publish",
            "GET /knowledge/drafts",
            "GET /knowledge/lint",
            "GET /projects/{project_id}/knowledge/lint",
            "GET /knowledge/export",
            "GET /projects/{project_id}/knowledge/export",
            "GET /knowledge/analytics/top-articles",
            "GET /knowledge/articles/{id}/stats",
            "GET /knowledge/analytics/agents/{id}",
            "GET /knowledge/analytics/projects/{id}/usage",
            "GET /knowledge/analytics/unused-articles",
            "POST /knowledge/ingest",
            "POST /knowledge/ingest/batch",
            "GET /knowledge/ingestion-jobs",
            "GET /knowledge/pipeline",
            "GET /agents",
            "GET /agents/{id}",
            "POST /projects",
            "PATCH /projects/{id}",
            "POST /projects/{project_id}/epics",
            "POST /projects/{project_id}/stories",
            "PATCH /epics/{id}",
            "POST /epics/{epic_id}/stories",
            "PATCH /stories/{id}",
            "POST /stories/{id}/backfill",
            "GET /stories/{story_id}/verifications",
            "POST /epic_dependencies",
            "POST /story_dependencies",
            "POST /token-budgets",
            "PATCH /token-budgets/{id}",
            "GET /analytics/agents",
            "GET /analytics/agents/{id}/model-profile",
            "GET /analytics/model-mix",
            "GET /analytics/trends",
            "GET /cost-anomalies",
            "GET /projects/{id}/cost-anomalies",
        ],
    ),
    (
        AtLeast("user"),
        &[
            "PATCH /tenants/me",
            "POST /api_keys",
            "GET /api_keys",
            "DELETE /api_keys/{id}",
            "POST /api_keys/{id}/rotate",
            "GET /tenants/{tenant_id}/authenticators",
            "POST /tenants/{tenant_id}/authenticators",
            "POST /tenants/{tenant_id}/authenticators/challenge",
            "DELETE /tenants/{tenant_id}/authenticators/{id}",
            "POST /tenants/{tenant_id}/webauthn/challenge",
            "GET /audit",
            "DELETE /projects/{id}",
            "DELETE /epics/{id}",
            "DELETE /stories/{id}",
            "DELETE /epic_dependencies/{id}",
            "DELETE /story_dependencies/{id}",
            "PATCH /articles/{id}",
            "DELETE /articles/{id}",
            "POST /articles/{id}/unpublish",
            "POST /articles/{id}/archive",
            "POST /knowledge/bulk-publish",
            "DELETE /article_links/{id}",
            "POST /skills",
            "POST /skills/import",
            "PATCH /skills/{id}",
            "DELETE /skills/{id}",
            "POST /skills/{id}/versions",
            "DELETE /token-usage/{id}",
            "POST /token-usage/{id}/correction",
            "DELETE /token-budgets/{id}",
            "GET /skills/{id}/cost-performance",
            "PATCH /cost-anomalies/{id}",
            "POST /webhooks",
            "GET /webhooks",
            "GET /webhooks/{id}",
            "PATCH /webhooks/{id}",
            "DELETE /webhooks/{id}",
            "POST /webhooks/{id}/test",
            "GET /webhooks/{id}/deliveries",
            "POST /webhooks/{id}/deliveries/{delivery_id}/redeliver",
        ],
    ),
    (
        Exactly(&["agent"]),
        &[
            "POST /agents/register",
            "POST /stories/{id}/claim",
            "POST /stories/{id}/start",
            "POST /stories/{id}/start-work",
            "POST /stories/{id}/request-review",
            "POST /stories/{id}/unclaim",
            "POST /stories/bulk/claim",
        ],
    ),
    (
        Exactly(&["agent", "orchestrator"]),
        &[
            "POST /stories/{id}/contract",
            "POST /stories/{id}/report",
            "POST /stories/{id}/report-done",
            "POST /stories/{id}/artifacts",
        ],
    ),
    (Exactly(&["agent", "orchestrator", "user"]), &["POST /stories/{id}/review-complete"]),
    (
        Exactly(&["orchestrator"]),
        &[
            "POST /stories/{id}/verify",
            "POST /stories/{id}/reject",
            "POST /stories/{id}/force-unclaim",
            "POST /stories/bulk/verify",
            "POST /stories/bulk/reject",
            "POST /stories/bulk/mark-complete",
            "POST /epics/{id}/verify-all",
        ],
    ),
    (Exactly(&["orchestrator", "user", "superadmin"]), &["POST /projects/{id}/import"]),
    (
        Exactly(&["orchestrator", "superadmin"]),
        &[
            "PUT /orchestrator/state/{project_id}",
            "GET /orchestrator/state/{project_id}",
            "GET /orchestrator/state/{project_id}/history",
            "POST /skill_results",
        ],
    ),
    (
        Exactly(&["superadmin"]),
        &[
            "GET /admin/tenants",
            "GET /admin/tenants/{id}",
            "PATCH /admin/tenants/{id}",
            "POST /admin/tenants/{id}/suspend",
            "POST /admin/tenants/{id}/activate",
            "POST /admin/tenants/{id}/clear-halt",
            "GET /admin/stats",
            "GET /admin/audit",
            "GET /admin/violators",
            "POST /admin/violators/{id}/resolve",
            "POST /admin/violators/{id}/ignore",
        ],
    ),
];

impl Needs {
    /// What a key of this role is told, if it is refused.
    fn refusal(self, role: &str) -> Option<String> {
        let level = |role: &str| RISING.iter().position(|known| *known == role).unwrap();
        match self {
            Nothing | Session | Key => None,
            AtLeast(least) => {
                let message = format!("Insufficient permissions. Required role: {least}");
                (level(role) < level(least)).then_some(message)
            }
            Exactly(roles) => {
                let message = format!("This endpoint requires the {} role", roles.join(" or "));
                (!roles.contains(&role)).then_some(message)
            }
        }
    }
}

impl Needs {
    /// The roles of the keys that are let in.
    fn roles(self) -> Vec<&'static str> {
        let keys = !matches!(self, Nothing | Session);
        RISING.into_iter().filter(|role| keys && self.refusal(role).is_none()).collect()
    }
}

/// A kind of caller.
struct Kind {
    caller: Caller,
    /// The role that counts; None without a key.
    role: Option<&'static str>,
    /// A superadmin who is inside no tenant, under `/admin` as well as elsewhere.
    outside: bool,
    /// Whether the role is taken on inside a tenant, which under `/admin` does not count.
    taken: bool,
}

async fn kinds(tenant: &Tenant) -> Vec<Kind> {
    let (superadmin, _) = superadmin().await;
    let kind = |caller: &Caller, role| Kind { caller: caller.clone(), role, outside: false, taken: false };
    let mut kinds = vec![
        kind(&Caller::nobody(), None),
        kind(&tenant.agent().await, Some("agent")),
        kind(&tenant.key("agent").await, Some("agent")),
        kind(&tenant.orchestrator().await, Some("orchestrator")),
        kind(&tenant.key("orchestrator").await, Some("orchestrator")),
        kind(&tenant.user, Some("user")),
        Kind { outside: true, ..kind(&superadmin, Some("superadmin")) },
        kind(&inside(&superadmin, &tenant.id, None), Some("superadmin")),
    ];
    for role in ["agent", "orchestrator", "user"] {
        let caller = inside(&superadmin, &tenant.id, Some(role));
        kinds.push(Kind { taken: true, ..kind(&caller, Some(role)) });
    }
    // From an address of their own each: whoever signs up is counted by it.
    kinds.iter_mut().for_each(|kind| kind.caller.headers.extend(visitor().headers));
    kinds
}

/// The route's path with this in the place of every id.
fn path_of(template: &str, id: &str) -> String {
    let parts = template.split('/').map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Whoever may not call a route is told so before anything else is looked at: the body, and the record.
async fn is_refused(kind: &Kind, method: &Method, template: &str, status: u16, message: &str) {
    for id in ["not-a-uuid", RANDOM_ID] {
        for body in ["", "{broken", "{\"name\": \"x\", \"role\": \"superadmin\"}"] {
            let path = path_of(template, id);
            let request = kind.caller.request(method.clone(), &path);
            let request = request.header("content-type", "application/json").body(body);
            let error = kind.caller.send(request).await.expect(status)["error"].clone();
            assert_eq!(error["message"], message, "{:?}: {method} {path}", kind.role);
        }
    }
}

/// Whoever may, comes to the record that is not there, or to what is missing in the body.
async fn is_let_in(kind: &Kind, method: &Method, template: &str) {
    // What is asked for may be looked at before whose it is.
    let query = if template.starts_with("/changes") { "?since=2000-01-01" } else { "" };
    let path = path_of(template, RANDOM_ID) + query;
    let request = kind.caller.request(method.clone(), &path);
    let request = if *method == Method::GET { request } else { request.json(&json!({})) };
    let reply = kind.caller.send(request).await;
    let what = format!("{:?}: {method} {template}: {:#}", kind.role, reply.body);
    // To sign in takes no key, but a touch.
    let is_refused = [401, 403].contains(&reply.status) && template != "//sign-in";
    assert!(!is_refused && reply.status < 500, "{what}");
    let must_go_in = reply.body["error"]["message"] == "Superadmin must use X-Impersonate-Tenant header";
    assert!(!must_go_in || reply.status == 400 && kind.outside, "{what}");
    // Of a tenant that the path names they need not be inside, nor where none is looked at.
    let without_tenant =
        ["/admin/", "/webauthn/challenge", "/routes"].iter().any(|part| template.contains(part));
    let is_public = kind.caller.key.is_none() || matches!(needs(method, template), Some(Nothing));
    assert_eq!(must_go_in, kind.outside && !without_tenant && !is_public, "{what}");
}

fn needs(method: &Method, template: &str) -> Option<Needs> {
    let of = |method: &str| {
        let route = format!("{method} {}", if template.is_empty() { "/api/v1" } else { template });
        let route = route.replace(" //", " /");
        MATRIX.iter().find(|(_, routes)| routes.contains(&route.as_str())).map(|(needs, _)| *needs)
    };
    // PUT does whatever PATCH does, where there is no PUT of its own.
    of(method.as_str()).or_else(|| (*method == Method::PUT).then(|| of("PATCH")).flatten())
}

/// A path as [`Caller::request`] takes it.
fn template_of(path: &str) -> String {
    path.strip_prefix("/api/v1").map_or_else(|| format!("/{path}"), str::to_owned)
}

/// What clients are told of who may call what is what the table says, to which the next test holds the server.
#[tokio::test]
async fn clients_are_told_what_they_may_call() {
    for operation in OPERATIONS.iter() {
        let needs = needs(&operation.method(), &template_of(&operation.path)).expect("a route of the table");
        assert_eq!(operation.roles, needs.roles(), "{} {}", operation.method, operation.path);
    }
    for kind in kinds(&Tenant::new().await).await {
        let Some(role) = kind.role else { continue };
        let told = kind.caller.get("/routes").await.expect(200);
        let routes = told["routes"].as_array().unwrap();
        assert_eq!(told["count"], routes.len());
        let mut listed = BTreeSet::new();
        for route in routes {
            let (method, path) = (text(&route["method"]), text(&route["path"]));
            let parts = path.split('/').map(|part| match part.strip_prefix(':') {
                Some(name) => format!("{{{name}}}"),
                None => part.to_owned(),
            });
            let path = parts.collect::<Vec<_>>().join("/");
            let template = template_of(&path);
            let needs = needs(&method.parse().unwrap(), &template).expect("a route of the table");
            let allowed = match needs {
                Nothing => true,
                Session => false,
                _ => kind.taken && template.starts_with("/admin/") || needs.refusal(role).is_none(),
            };
            assert_eq!(route["roles"], json!(needs.roles()), "{method} {path}");
            assert_eq!(route["allowed"], allowed, "{role}: {method} {path}");
            assert!(listed.insert((method, path)), "once each: {route}");
        }
        let mounted = OPERATIONS.iter().map(|known| (known.method.clone(), known.path.clone()));
        assert_eq!(listed, mounted.collect());
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let tenant = Tenant::new().await;
    let settings = json!({"settings": {"rate_limit_requests_per_minute": 100_000}});
    tenant.user.patch("/tenants/me", settings).await.expect(200);
    let kinds = kinds(&tenant).await;
    let mut mounted = BTreeSet::new();
    for operation in OPERATIONS.iter() {
        let template = template_of(&operation.path);
        let twin = operation.method == "PATCH" && template.contains('{') && !template.starts_with("/admin/");
        for method in [Some(operation.method()), twin.then_some(Method::PUT)].into_iter().flatten() {
            let Some(needs) = needs(&method, &template) else {
                panic!("{method} {template} is not in the table: decide who may call it")
            };
            for kind in &kinds {
                let refusal = match kind.role {
                    _ if matches!(needs, Session) => {
                        let message =
                            "Unauthorized: nobody has signed in, or not for long enough; sign in at /sign-in";
                        Some((401, message.to_owned()))
                    }
                    None if !matches!(needs, Nothing) => Some((401, "Unauthorized".to_owned())),
                    None => None,
                    Some(_) if kind.taken && template.starts_with("/admin/") => None,
                    Some(role) => needs.refusal(role).map(|message| (403, message)),
                };
                match refusal {
                    Some((status, message)) => is_refused(kind, &method, &template, status, &message).await,
                    None => is_let_in(kind, &method, &template).await,
                }
            }
        }
        mounted.insert(format!("{} {}", operation.method, template.replacen("//", "/", 1)));
    }
    let listed = MATRIX.iter().flat_map(|(_, routes)| routes.iter().copied());
    let gone: Vec<_> = listed.filter(|route| !mounted.contains(*route) && *route != "GET /api/v1").collect();
    assert!(gone.is_empty(), "in the table and not mounted: {gone:?}");
}
