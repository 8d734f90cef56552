//! Random requests, and what their answers must be.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::world::{Route, World};
use crate::measured::{SECOND, claude_cost, claude_event, claude_events, claude_export, claude_tokens, now};
use crate::support::{Events, echo, unique};

/// Words that mean something somewhere in the contract.
const WORDS: [&str; 44] = [
    "pending",
    "contracted",
    "assigned",
    "implementing",
    "reported_done",
    "unverified",
    "verified",
    "rejected",
    "pass",
    "fail",
    "partial",
    "active",
    "archived",
    "agent",
    "orchestrator",
    "user",
    "superadmin",
    "implementer",
    "standard",
    "strict",
    "enhanced",
    "test",
    "manual",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "1.1",
    "2.1",
    "99.99",
    "US-1.1",
    "a@b.example",
    "Build API",
    "AC-1",
    "2026-03-27T12:00:00Z",
    "2026-13-45",
    "9999999999999999999",
    "null",
    "merge",
    "p0",
    "x-y",
    "main",
    "0190163d-8694-739b-aea5-966c26f8ad91",
];

/// What no parser likes.
const TEXTS: [&str; 14] = [
    "",
    " ",
    "\u{0}",
    "a\u{0}b",
    "\u{FEFF}",
    "\u{202E}",
    "\u{1F980}\u{200D}\u{1F980}",
    "'; drop table stories; --",
    "%00%ff",
    "../../etc/passwd",
    "\\",
    "\"",
    "<script>",
    "١.١",
];

/// A request, as it is told when it fails.
pub(super) struct Request {
    method: Method,
    path: String,
    caller: usize,
    content_type: Option<&'static str>,
    header: Option<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    fn wants_page(&self) -> bool {
        let accepts =
            self.header.as_ref().is_some_and(|(name, value)| *name == "accept" && value == "text/html");
        accepts && !self.path.contains("/api/")
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.body.as_deref().map(String::from_utf8_lossy);
        write!(
            f,
            "{} {} as caller {}, {:?}, {:?}, body {body:?}",
            self.method, self.path, self.caller, self.content_type, self.header
        )
    }
}

/// Usage of a coding agent, as it is exported.
fn usage(of: &str, rng: &mut StdRng) -> Value {
    let at = now() - rng.random_range(0..SECOND);
    let says = [("loopctl.story_number", "1.1"), ("loopctl.project", "none")];
    if of == "logs" {
        return json!(claude_events(&says, vec![claude_event("s", at, 1, &[("output_tokens", "3")])]));
    }
    let tokens = vec![claude_tokens("s", "input", at - SECOND, at, rng.random_range(-1.0..9.0f64).round())];
    json!(claude_export(&says, rng.random_range(0..3), tokens, vec![claude_cost("s", at - SECOND, at, 0.5)]))
}

impl World {
    fn id(&self, resource: &str, rng: &mut StdRng) -> String {
        let any: Vec<&String> = self.ids.values().flatten().collect();
        match rng.random_range(0..20) {
            0 => "00000000-0000-0000-0000-000000000000".to_owned(),
            1 => uuid::Uuid::now_v7().to_string(),
            2 => ["nope", "1.1", "me", "%00", "%ff", "%zz", "%2e%2e", "x".repeat(300).as_str(), "ready", "ä"]
                .choose(rng)
                .unwrap()
                .to_string(),
            3 => any.choose(rng).unwrap().to_string(),
            4 => any.choose(rng).unwrap().to_uppercase(),
            _ => self
                .ids
                .get(resource)
                .and_then(|ids| ids.choose(rng))
                .unwrap_or(any.choose(rng).unwrap())
                .clone(),
        }
    }

    fn path(&self, route: &Route, rng: &mut StdRng) -> String {
        let mut resource = "";
        let parts: Vec<String> = route
            .path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    let spare = format!("spare {resource}");
                    let deletes = route.method == Method::DELETE && self.ids.contains_key(spare.as_str());
                    return self.id(if deletes { &spare } else { resource }, rng);
                }
                resource = part;
                part.to_owned()
            })
            .collect();
        let mut path = parts.join("/");
        if rng.random_ratio(1, 50) {
            path.push('/');
        }
        if rng.random_ratio(1, 100) {
            path = format!("/{path}/extra");
        }
        let pairs: Vec<_> = (0..rng.random_range(0..4)).map(|_| self.pair(route, rng)).collect();
        if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
    }

    fn pair(&self, route: &Route, rng: &mut StdRng) -> String {
        let paging = ["page", "page_size", "limit", "offset", "project_id", "merge"];
        let name = match (rng.random_range(0..10), route.query.choose(rng)) {
            (0..7, Some(name)) => name.clone(),
            (7, _) => self.fields.choose(rng).unwrap().clone(),
            (8, _) => ["page[]", "a[b][c]", "%00", "%f", "", "ä"].choose(rng).unwrap().to_string(),
            _ => paging.choose(rng).unwrap().to_string(),
        };
        let value = match rng.random_range(0..6) {
            0 | 1 if name.ends_with("_id") => self.id(name.trim_end_matches("_id"), rng),
            2 => rng.random::<i64>().to_string(),
            3 => ["%00", "%ff", "%zz", "%", "+", "", "true", "1", "-1", "20abc", "%F0%9F%A6%80", "a=b"]
                .choose(rng)
                .unwrap()
                .to_string(),
            4 => "9".repeat(rng.random_range(1..40)),
            _ => WORDS.choose(rng).unwrap().replace(' ', "%20"),
        };
        format!("{name}={value}")
    }

    fn value(&self, rng: &mut StdRng, depth: usize) -> Value {
        match rng.random_range(0..if depth == 0 { 9 } else { 13 }) {
            0 => Value::Null,
            1 => json!(rng.random_bool(0.5)),
            2 => json!(rng.random_range(-3..20)),
            3 => json!(rng.random::<i64>()),
            4 => json!([0.5, 1e308, -1e-300, 4.25, -0.0].choose(rng).unwrap()),
            5 => json!(TEXTS.choose(rng).unwrap()),
            6 => json!(self.id("stories", rng)),
            7 => json!("x".repeat([255, 256, 501, 2001, 50_001][rng.random_range(0..5)])),
            8 => json!(WORDS.choose(rng).unwrap()),
            9 | 10 => (0..rng.random_range(0..4)).map(|_| self.value(rng, depth - 1)).collect(),
            _ => self.object(rng, depth - 1),
        }
    }

    fn object(&self, rng: &mut StdRng, depth: usize) -> Value {
        let members = (0..rng.random_range(0..5)).map(|_| {
            let name = if rng.random_ratio(1, 20) {
                TEXTS.choose(rng).unwrap().to_string()
            } else {
                self.fields.choose(rng).unwrap().clone()
            };
            (name, self.value(rng, depth))
        });
        Value::Object(members.collect::<Map<_, _>>())
    }

    /// An item of a bulk call, now and then with one broken field, or nothing of the kind.
    fn item(&self, story: &str, rng: &mut StdRng) -> Value {
        let mut item = json!({"story_id": story, "reason": "no", "summary": "s"});
        match rng.random_range(0..4) {
            0 => {
                let name = self.fields.choose(rng).unwrap();
                item[name.as_str()] = self.value(rng, 2);
                item
            }
            1 => self.value(rng, 2),
            _ => item,
        }
    }

    /// What somebody may have used.
    fn usage(&self, rng: &mut StdRng) -> Value {
        json!({"input_tokens": rng.random_range(-1..900), "output_tokens": 1, "model_name": "m",
               "cost_millicents": rng.random_range(0..900), "skill_version_id": self.id("skill_versions", rng)})
    }

    /// A body that passes for this route, now and then with one more or one broken field.
    fn plausible(&self, route: &Route, rng: &mut StdRng) -> Value {
        let number = format!("{}.{}", rng.random_range(3..400), rng.random_range(0..9999));
        let last = route.path.rsplit('/').next().unwrap_or_default();
        let mut body = match last {
            "contract" => echo(),
            _ if route.path.contains("/bulk/") => {
                let ids: Vec<_> = (0..rng.random_range(0..6)).map(|_| self.id("stories", rng)).collect();
                let items: Value = ids.iter().map(|id| self.item(id, rng)).collect();
                json!({"story_ids": ids, "stories": items})
            }
            "backfill" => json!({"reason": "r", "evidence_url": "https://a.example", "pr_number": "7"}),
            "verify" | "verify-all" | "review-complete" => {
                json!({"review_type": "enhanced", "summary": "s", "findings_count": rng.random_range(0..3)})
            }
            "reject" => json!({"reason": "no", "findings": [{"a": 1}]}),
            "artifacts" => json!({"artifact_type": "test", "path": "t.rs", "details": {"a": 1}}),
            "signup" => json!({"name": "F", "slug": unique("fuzz"), "email": "f@fuzz.example",
                "authenticators": [{"credential_id": "AAAA", "attestation_object": "o2NmbXRkbm9uZQ", "client_data_json": "e30"}]}),
            "authenticators" => json!({"authenticator": {"credential_id": "AAAA", "attestation_object": "oA",
                "client_data_json": "e30"}, "webauthn_assertion": {"challenge_id": self.id("authenticators", rng),
                "credential_id": "AAAA", "authenticator_data": "AAAA", "client_data_json": "e30", "signature": "AA"}}),
            "register" => json!({"name": unique("fuzz"), "agent_type": "implementer"}),
            "rotate" => json!({"grace_period_hours": rng.random_range(-1..200)}),
            "clear-halt" => json!({"webauthn_assertion": "touched", "override_reason": "r"}),
            "resolve" | "ignore" => json!({"note": "n"}),
            "api_keys" => json!({"name": unique("fuzz"), "role": "agent"}),
            "epics" => {
                json!({"number": rng.random_range(1..400), "title": "E", "position": 2, "phase": "p0"})
            }
            "projects" => json!({"name": "F", "slug": unique("fuzz"), "mission": "m"}),
            "articles" => {
                json!({"title": unique("fuzz"), "body": "b", "category": "finding", "tags": ["a"], "metadata": {"a": 1}})
            }
            "article_links" => {
                let kind = ["relates_to", "derived_from", "contradicts", "supersedes"].choose(rng).copied();
                json!({"source_article_id": self.id("articles", rng), "target_article_id": self.id("articles", rng),
                       "relationship_type": kind})
            }
            "ingest" => {
                json!({"source_type": "fuzz", "content": unique("We decided."), "metadata": {"a": 1}})
            }
            "batch" if route.path.contains("/ingest/") => {
                json!({"items": [{"source_type": "fuzz", "content": unique("How to.")}, {"source_type": 1}, []]})
            }
            "bulk-publish" => {
                let ids: Vec<_> = (0..rng.random_range(0..4)).map(|_| self.id("articles", rng)).collect();
                json!({"article_ids": ids})
            }
            "skills" => json!({"name": unique("fuzz"), "prompt_text": "p", "metadata": {"a": 1}}),
            "token-usage" | "report" | "report-done" => {
                json!({"artifact": {"artifact_type": "test", "path": "p"},
                "token_usage": self.usage(rng), "story_id": self.id("stories", rng), "input_tokens": rng.random_range(0..9),
                "output_tokens": 1, "model_name": "m", "cost_millicents": rng.random_range(0..900)})
            }
            "correction" => json!({"cost_millicents": rng.random_range(-500..500)}),
            "token-budgets" => {
                let (scope, of) =
                    [("story", "stories"), ("per_story", "projects"), ("agent", "agents"), ("epic", "epics")]
                        .choose(rng)
                        .copied()
                        .unwrap();
                json!({"scope_type": scope, "scope_id": self.id(of, rng), "budget_millicents": rng.random_range(1..9000),
                       "enforcement": "block", "reserve_millicents": rng.random_range(1..900)})
            }
            "versions" => json!({"prompt_text": unique("p"), "changelog": "c"}),
            "metrics" | "logs" => usage(last, rng),
            "skill_results" => json!({"skill_version_id": self.id("skill_versions", rng),
                "verification_result_id": self.id("verification_results", rng), "story_id": self.id("stories", rng),
                "metrics": {"findings_count": rng.random_range(-1..9)}}),
            "import" if route.path.contains("/skills/") => json!({"skills": [
                {"name": unique("fuzz"), "prompt_text": "p"}, {"name": "fuzz", "prompt_text": unique("p")}]}),
            "import" => json!({"merge": true, "epics": [{"number": rng.random_range(1..400), "title": "E",
                "position": rng.random_range(0..9), "stories": [{"number": number, "title": "S", "estimated_hours": 1,
                "acceptance_criteria": [{"description": "d"}], "depends_on_stories": ["1.1"]}]}]}),
            "stories" => json!({"epic_number": rng.random_range(1..4), "number": number, "title": "S",
                "acceptance_criteria": [{"description": "d"}], "estimated_hours": 1}),
            "story_dependencies" => json!({"story_id": self.id("stories", rng),
                "depends_on_story_id": self.id("stories", rng)}),
            "epic_dependencies" => json!({"epic_id": self.id("epics", rng),
                "depends_on_epic_id": self.id("epics", rng)}),
            "me" => json!({"settings": {"auto_reset_on_rejection": rng.random_bool(0.5)}}),
            "ui-tests" | "ui_test_runs" => json!({"guide_reference": "g", "notes": "n"}),
            "findings" => json!({"severity": "bug", "title": "t", "step": 1, "console_errors": ["e"]}),
            "complete" => json!({"summary": "s", "status": "failed"}),
            "{project_id}" => {
                json!({"state_key": "main", "state_data": {"a": 1}, "version": rng.random_range(0..3)})
            }
            _ => json!({}),
        };
        if rng.random_bool(0.4) {
            let name = self.fields.choose(rng).unwrap();
            body[name.as_str()] = self.value(rng, 2);
        }
        if let (true, Value::Object(members)) = (rng.random_bool(0.4), &mut body)
            && let Some(name) = members.keys().nth(rng.random_range(0..8))
        {
            let name = name.clone();
            members.insert(name, self.value(rng, 3));
        }
        body
    }

    fn body(&self, route: &Route, rng: &mut StdRng) -> (Option<Vec<u8>>, Option<&'static str>) {
        let json_type = Some("application/json");
        let other = [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/vnd.api+json"),
            Some("APPLICATION/JSON; charset=utf-16"),
            Some(";;"),
        ];
        let other = *other.choose(rng).unwrap();
        match rng.random_range(0..20) {
            0 => (None, None),
            1 => (Some(Vec::new()), json_type),
            2 => (Some(self.value(rng, 4).to_string().into_bytes()), json_type),
            3 => (Some(self.object(rng, 4).to_string().into_bytes()), other),
            4 => {
                let bytes = (0..rng.random_range(1..200)).map(|_| rng.random()).collect();
                (Some(bytes), if rng.random_bool(0.5) { json_type } else { other })
            }
            5 => {
                let mut bytes = self.plausible(route, rng).to_string().into_bytes();
                bytes.truncate(rng.random_range(0..=bytes.len()));
                (Some(bytes), json_type)
            }
            6 => {
                let form: Vec<_> = (0..4).map(|_| self.pair(route, rng)).collect();
                (Some(form.join("&").into_bytes()), Some("application/x-www-form-urlencoded"))
            }
            7 => (Some("[".repeat(rng.random_range(1..5000)).into_bytes()), json_type),
            8 | 9 => (Some(self.object(rng, 3).to_string().into_bytes()), json_type),
            _ => (Some(self.plausible(route, rng).to_string().into_bytes()), json_type),
        }
    }

    pub(super) fn request(&self, rng: &mut StdRng) -> Request {
        let route = self.routes.choose(rng).unwrap();
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
        let method = if rng.random_ratio(1, 25) {
            methods.choose(rng).unwrap().parse().unwrap()
        } else {
            route.method.clone()
        };
        let (body, content_type) = if method == Method::GET && rng.random_ratio(19, 20) {
            (None, None)
        } else {
            self.body(route, rng)
        };
        let header = rng.random_ratio(1, 15).then(|| {
            let names =
                ["x-impersonate-tenant", "x-effective-role", "x-request-id", "accept", "authorization"];
            let values = [
                "agent",
                "superadmin",
                "text/html",
                "Bearer",
                "Basic x",
                "",
                "\u{e4}",
                &self.ids["tenants"][1],
            ];
            (*names.choose(rng).unwrap(), values.choose(rng).unwrap().to_string())
        });
        Request {
            path: self.path(route, rng),
            method,
            caller: rng.random_range(0..self.callers.len()),
            content_type,
            header,
            body,
        }
    }

    /// Sends a request; its status, or what is wrong with the answer.
    pub(super) async fn send(&self, request: &Request) -> Result<u16, String> {
        let caller = &self.callers[request.caller];
        let mut builder = caller.request(request.method.clone(), &format!("/{}", request.path));
        if let Some(content_type) = request.content_type {
            builder = builder.header("content-type", content_type);
        }
        if let Some((name, value)) = &request.header {
            builder = builder.header(*name, value.as_bytes());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let answer = self.http.execute(builder.build().unwrap()).await;
        let answer = answer.map_err(|error| format!("no answer: {error:?}"))?;
        let status = answer.status().as_u16();
        let content_type = answer.headers().get("content-type").cloned();
        let is = |of: &[u8]| content_type.as_ref().is_some_and(|value| value.as_bytes().starts_with(of));
        let is_json = is(b"application/json") || is(b"application/schema+json");
        if is(b"text/event-stream") && request.method == Method::GET {
            // Has no end of its own.
            Events::of(answer).already().await;
            return Ok(status);
        }
        let text = answer.text().await.map_err(|error| format!("{status} cut off: {error:?}"))?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let envelope = &body["error"];
        let told = ["message", "code"]
            .iter()
            .all(|name| envelope[name].as_str().is_some_and(|text| !text.is_empty()));
        match status {
            500.. => Err(format!("{status} {text}")),
            // Outside of the API whoever would rather read a page gets one.
            400.. if is(b"text/html") && request.wants_page() => Ok(status),
            400.. if !is_json || envelope["status"] != status || !told => {
                Err(format!("{status} without the envelope: {text}"))
            }
            204 if text.is_empty() => Ok(status),
            200 if is(b"text/html") && request.method == Method::GET => Ok(status),
            200 if is(b"application/zip") && text.starts_with("PK") => Ok(status),
            200..300 if !is_json || !body.is_object() => Err(format!("{status} is no JSON: {text}")),
            _ => Ok(status),
        }
    }
}
