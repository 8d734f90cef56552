//! What the server tells of itself, to whoever knows no more than its address.

use std::collections::BTreeSet;

use loopctl_server::{VERSION, openapi};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::conformance::OPERATIONS;
use crate::support::{Caller, Reply, Tenant, text};

const DOCUMENTS: [(&str, &str, &str); 4] = [
    ("/openapi", "application/json; charset=utf-8", "public, max-age=0, must-revalidate"),
    ("/lifecycle", "application/json; charset=utf-8", "public, max-age=0, must-revalidate"),
    ("//.well-known/loopctl", "application/json; charset=utf-8", "public, max-age=3600"),
    ("//.well-known/loopctl/schema.json", "application/schema+json", "public, max-age=86400"),
];

fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// An answer to somebody without a key who sends this header along.
async fn with(path: &str, name: &str, value: &str) -> Reply {
    let nobody = Caller::nobody();
    nobody.send(nobody.request(Method::GET, path).header(name, value)).await
}

/// Everybody is told the same, and nobody twice.
#[tokio::test]
async fn documents_are_for_everybody_and_sent_once() {
    for (path, content_type, cache) in DOCUMENTS {
        let reply = Caller::nobody().get(path).await;
        assert_eq!((reply.status, header(&reply, "content-type").as_str()), (200, content_type), "{path}");
        assert_eq!(header(&reply, "cache-control"), cache, "{path}");
        let etag = header(&reply, "etag");
        let body = Caller::nobody().request(Method::GET, path).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(etag, format!("W/\"{}\"", &hex::encode(Sha256::digest(&body))[..16]), "{path}");
        let strong = etag.trim_start_matches("W/").to_owned();
        for known in [etag.clone(), strong, "*".to_owned(), format!("\"other\", {etag}")] {
            let again = with(path, "if-none-match", &known).await;
            assert_eq!((again.status, &again.body), (304, &Value::Null), "{path}: {known}");
            assert_eq!([header(&again, "etag"), header(&again, "cache-control")], [&etag, cache], "{path}");
        }
        for (name, value) in [
            ("if-none-match", "W/\"0000000000000000\""),
            ("host", "localhost"),
            ("x-forwarded-host", "evil.test"),
            ("authorization", "Bearer lc_unknown"),
        ] {
            let same = with(path, name, value).await;
            assert_eq!((same.status, header(&same, "etag")), (200, etag.clone()), "{path}: {name}");
            assert_eq!(same.body, reply.body, "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn openapi_is_what_is_mounted() {
    let document = Caller::nobody().get("/openapi").await.expect(200);
    assert_eq!(document, openapi());
    assert!(text(&document["openapi"]).starts_with("3."));
    assert_eq!(
        (&document["info"]["title"], &document["info"]["version"]),
        (&json!("loopctl"), &json!("1.0.0"))
    );
    let scheme = &document["components"]["securitySchemes"]["BearerAuth"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    assert_eq!(document["security"], json!([{"BearerAuth": []}]));
    let servers: Vec<_> =
        document["servers"].as_array().unwrap().iter().map(|server| &server["url"]).collect();
    assert_eq!(servers, ["/", "http://localhost:4000"]);
    for path in ["/health", "/api/v1/tenants/me", "/api/v1/projects", "/api/v1/stories/{id}"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
    assert_eq!(document["paths"]["/health"]["get"]["security"], json!([]));
    let claim = &document["paths"]["/api/v1/stories/{id}/claim"]["post"];
    assert_eq!(claim["x-loopctl-roles"], json!(["agent"]));
    assert_eq!(claim["responses"]["429"]["$ref"], "#/components/responses/RateLimitError");
    assert!(document["components"]["responses"]["RateLimitError"]["content"].is_object());
}

/// What is shown was really sent and answered once, and is what would be sent and answered now.
#[test]
fn examples_are_what_schemas_say() {
    for operation in OPERATIONS.iter() {
        let faults = operation.faults_of_examples();
        assert!(faults.is_empty(), "{} {}: {faults:#?}", operation.method, operation.path);
    }
}

/// Each group has its sentence, and each operation its group.
#[test]
fn operations_are_in_groups() {
    let document = openapi();
    let told: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| text(&tag["name"])).collect();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|of| of.as_object().unwrap().values());
    let used: BTreeSet<_> = operations.map(|operation| text(&operation["tags"][0])).collect();
    assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), used);
    assert_eq!(told.len(), used.len());
}

/// Names of one route are told from each other, and what lists take is said in a line.
#[tokio::test]
async fn routes_are_told_to_whoever_has_a_key() {
    Caller::nobody().get("/routes").await.expect_error(401, "unauthorized");
    let told = Tenant::new().await.agent().await.get("/routes").await.expect(200);
    let route = |method: &str, path: &str| {
        let routes = told["routes"].as_array().unwrap();
        let found = routes.iter().find(|route| route["method"] == method && route["path"] == path);
        found.unwrap_or_else(|| panic!("{method} {path}")).clone()
    };
    for path in ["/api/v1/stories", "/api/v1/epics/:epic_id/stories"] {
        let description = text(&route("GET", path)["description"]);
        assert!(description.contains("`limit`") && description.contains("`page_size`"), "{description}");
    }
    for action in ["contract", "claim", "start", "report", "verify", "reject"] {
        let route = route("POST", &format!("/api/v1/stories/:id/{action}"));
        assert_eq!(
            (&route["alias_of"], &route["allowed"]),
            (&Value::Null, &json!(!matches!(action, "verify" | "reject")))
        );
    }
    let alias = route("POST", "/api/v1/stories/:id/start-work");
    assert_eq!(alias["alias_of"], "/api/v1/stories/:id/start");
    assert_eq!(alias["description"], route("POST", "/api/v1/stories/:id/start")["description"]);
}

#[tokio::test]
async fn agents_find_the_rules_without_a_key() {
    let told = Caller::nobody().get("//.well-known/loopctl").await.expect(200);
    // The URL that this server's clients are told.
    assert_eq!(
        told,
        json!({
            "spec_version": "2",
            "mcp_server": {
                "name": "loopctl-mcp-server", "npm_version": VERSION,
                "repository_url": "http://loopctl.test/docs/mcp",
            },
            "audit_signing_key_url": "http://loopctl.test/api/v1/tenants/{tenant_id}/audit_public_key",
            "capability_scheme_url": "http://loopctl.test/wiki/capability-tokens",
            "chain_of_custody_spec_url": "http://loopctl.test/wiki/chain-of-custody",
            "discovery_bootstrap_url": "http://loopctl.test/wiki/agent-bootstrap",
            "required_agent_pattern_url": "http://loopctl.test/wiki/agent-pattern",
            "system_articles_endpoint": "http://loopctl.test/api/v1/articles/system",
            "contact": "operator@loopctl.com",
        })
    );
    let schema = Caller::nobody().get("//.well-known/loopctl/schema.json").await.expect(200);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["$id"], "https://loopctl.com/.well-known/loopctl/schema.json");
    assert_eq!(schema["type"], "object");
    assert_eq!(
        schema["required"],
        json!([
            "spec_version",
            "mcp_server",
            "audit_signing_key_url",
            "capability_scheme_url",
            "chain_of_custody_spec_url",
            "system_articles_endpoint",
        ])
    );
    assert_eq!(schema["properties"]["audit_signing_key_url"]["format"], "uri-template");
    assert_eq!(schema["properties"]["system_articles_endpoint"]["format"], "uri");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    assert!(validator.is_valid(&told));
    let mut other = told.clone();
    other["capability_scheme_url"] = json!("no address");
    assert!(!validator.is_valid(&other));
}

/// The launcher, the binary and what the server tells are of one version.
#[test]
fn the_launcher_has_the_version_of_the_build() {
    let package = include_str!("../../../../mcp-server/package.json");
    let package: Value = serde_json::from_str(package).unwrap();
    assert_eq!((&package["name"], &package["version"]), (&json!("loopctl-mcp-server"), &json!(VERSION)));
    assert_eq!(package["dependencies"], Value::Null);
}

/// Where an action is called and who may is said in two places, from the table and from what is mounted.
#[tokio::test]
async fn the_lifecycle_is_that_of_the_routes() {
    let told = Caller::nobody().get("/lifecycle").await.expect(200);
    assert_eq!(
        told["states"],
        json!({
            "agent_status": ["pending", "contracted", "assigned", "implementing", "reported_done"],
            "verified_status": ["unverified", "verified", "rejected"],
        })
    );
    let transitions = told["transitions"].as_array().unwrap();
    for transition in transitions {
        let path = text(&transition["path"]).replace(":id", "{id}");
        let operation = OPERATIONS.iter().find(|known| known.method == "POST" && known.path == path);
        let operation = operation.unwrap_or_else(|| panic!("{path} is not mounted"));
        assert_eq!(json!(operation.roles), transition["roles"], "{path}");
    }
    let of = |action: &str| transitions.iter().find(|told| told["action"] == action).unwrap();
    assert_eq!(of("claim")["from"], json!(["contracted"]));
    assert_eq!(of("claim")["to"], json!(["assigned"]));
    // What is told of a refusal is what it is.
    let tenant = Tenant::new().await;
    let (agent, story) = (tenant.agent().await, tenant.story().await);
    for action in ["claim", "start", "request-review", "unclaim"] {
        let reply = agent.post_empty(&format!("/stories/{story}/{action}")).await;
        let error = &reply.body["error"];
        let refusals = of(action)["refusals"].as_array().unwrap();
        let refused = refusals.iter().find(|told| told["code"] == error["code"]).unwrap();
        assert_eq!(refused["status"], reply.status, "{action}");
        assert!(text(&refused["when"]).contains("pending"), "{action}: {refused}");
    }
}
