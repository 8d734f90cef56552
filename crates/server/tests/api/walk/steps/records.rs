//! Skills, what work costs, and webhooks.

use serde_json::{Value, json};

use super::{Calls, Step};
use crate::measured::{short_logs, short_metrics};
use crate::support::{Caller, text, unique};
use crate::walk::NOBODY;

/// The calls to be made of a route, if it is one of these.
pub(super) async fn steps(calls: &Calls<'_>, method: &str) -> Option<Vec<Step>> {
    let a = &calls.world.a;
    let (user, agent, orchestrator) = (&a.tenant.user, &a.agent, &a.orchestrator);
    let route = &calls.route;
    let here = |tries: &[(&Caller, u16, Value)]| calls.here(tries);
    let of = |id: &str, tries: &[(&Caller, u16, Value)]| calls.of(id, tries);
    let read = |who: &Caller, tries: &[(u16, &str)]| calls.read(who, tries);
    let (nothing, empty) = (Value::Null, json!({}));
    Some(match (method, route.as_str()) {
        ("POST", "/skills") => {
            let body =
                json!({"name": unique("loopctl:review"), "prompt_text": "Assume that there are gaps."});
            here(&[(user, 201, body), (user, 422, empty)])
        }
        ("PATCH", "/skills/{id}") => here(&[
            (user, 200, json!({"description": "Reviews a story"})),
            (user, 422, json!({"status": "gone"})),
        ]),
        ("DELETE", "/skills/{id}") => {
            let body = json!({"name": unique("skill"), "prompt_text": "Look."});
            let skill = user.post("/skills", body).await.expect(201);
            of(&text(&skill["skill"]["id"]), &[(user, 200, nothing)])
        }
        ("POST", "/skills/{id}/versions") => {
            let body = json!({"prompt_text": "Assume that there are gaps. Run the tests.", "changelog": "Run the tests"});
            here(&[(user, 201, body), (user, 422, empty)])
        }
        ("POST", "/skills/import") => {
            let skill = json!({"name": unique("loopctl:plan"), "prompt_text": "Be conservative.", "description": "Plans"});
            here(&[
                (user, 400, empty),
                (user, 200, json!({"skills": [skill]})),
                (user, 422, json!({"skills": [7]})),
            ])
        }
        ("GET", "/skills") => read(agent, &[(200, ""), (404, "?project_id=none")]),
        ("POST", "/skill_results") => {
            let body = json!({"skill_version_id": a.skill_version, "verification_result_id": a.verification,
                              "story_id": a.stories[0], "metrics": {"findings_count": 3, "false_positive_count": 1}});
            here(&[(orchestrator, 201, body), (orchestrator, 422, empty)])
        }
        ("POST", "/webhooks") => {
            let body = json!({"url": "https://walk.invalid/", "events": ["tenant.custody_halted"]});
            here(&[(user, 201, body), (user, 422, empty)])
        }
        ("PATCH", "/webhooks/{id}") => {
            here(&[(user, 200, json!({"url": "https://other.invalid/"})), (user, 422, json!({"events": []}))])
        }
        ("DELETE", "/webhooks/{id}") => {
            let body = json!({"url": "https://walk.invalid/", "events": ["tenant.custody_halted"]});
            let webhook = user.post("/webhooks", body).await.expect(201);
            of(&text(&webhook["webhook"]["id"]), &[(user, 204, nothing)])
        }
        ("POST", "/webhooks/{id}/test") => here(&[(user, 200, empty)]),
        ("POST", path) if path.ends_with("/redeliver") => {
            here(&[(user, 200, empty.clone()), (user, 409, empty)])
        }
        ("GET", "/webhooks/{id}/deliveries") => read(user, &[(200, ""), (422, "?status=none")]),
        ("POST", "//v1/metrics" | "//v1/logs") => {
            let told = match route.ends_with("metrics") {
                true => short_metrics(&a.stories[0]),
                false => short_logs(&a.stories[0]),
            };
            here(&[(agent, 200, told.clone()), (&calls.world.unbound, 422, told)])
        }
        ("POST", "/token-usage") => {
            let body = json!({"story_id": a.stories[0], "input_tokens": 12_000, "output_tokens": 3400,
                              "model_name": "claude-opus-4", "cost_millicents": 43_500, "phase": "implementing"});
            let mut astray = body.clone();
            astray["story_id"] = json!(NOBODY);
            here(&[(agent, 201, body), (agent, 404, astray), (agent, 422, empty)])
        }
        ("POST", "/token-usage/{id}/correction") => {
            let too_much = json!({"cost_millicents": -1_000_000});
            here(&[(user, 201, json!({"cost_millicents": 10})), (user, 422, too_much)])
        }
        ("DELETE", "/token-usage/{id}") => {
            let report = json!({"story_id": a.stories[0], "input_tokens": 1, "output_tokens": 1, "model_name": "m",
                                "cost_millicents": 10});
            let report = agent.post("/token-usage", report).await.expect(201);
            let report = text(&report["token_usage_report"]["id"]);
            let correct = async |cost: i64| {
                let body = json!({"cost_millicents": cost});
                let corrected =
                    user.post(&format!("/token-usage/{report}/correction"), body).await.expect(201);
                text(&corrected["token_usage_report"]["id"])
            };
            let more = correct(5).await;
            correct(-15).await;
            let mut both = of(&more, &[(user, 422, nothing.clone())]);
            both.extend(of(&report, &[(user, 200, nothing)]));
            both
        }
        ("POST", "/token-budgets") => {
            let project = a.tenant.project().await;
            let body = json!({"scope_type": "per_story", "scope_id": project, "budget_millicents": 500_000,
                              "enforcement": "block", "reserve_millicents": 100_000});
            let mut astray = body.clone();
            astray["scope_id"] = json!(NOBODY);
            here(&[
                (orchestrator, 201, body.clone()),
                (orchestrator, 409, body),
                (orchestrator, 404, astray),
                (orchestrator, 422, empty),
            ])
        }
        ("PATCH", "/token-budgets/{id}") => here(&[
            (user, 200, json!({"alert_threshold_pct": 75})),
            (user, 422, json!({"alert_threshold_pct": 0})),
        ]),
        ("DELETE", "/token-budgets/{id}") => {
            let body =
                json!({"scope_type": "project", "scope_id": a.tenant.project().await, "token_limit": 9});
            let budget = user.post("/token-budgets", body).await.expect(201);
            of(&text(&budget["token_budget"]["id"]), &[(user, 200, nothing)])
        }
        ("GET", "/analytics/epics" | "/cost-anomalies") => {
            read(user, &[(200, ""), (404, "?project_id=none")])
        }
        ("GET", "/analytics/agents/{id}/model-profile") => read(user, &[(200, ""), (400, "?since=none")]),
        ("GET", path) if path.starts_with("/analytics/") && !path.ends_with("{id}") => {
            read(user, &[(200, ""), (400, "?until=none"), (404, "?project_id=none")])
        }
        ("PATCH", "/cost-anomalies/{id}") => {
            here(&[(user, 422, json!({"resolved": false})), (user, 200, json!({"resolved": true}))])
        }
        ("GET", "/token-budgets") => read(agent, &[(200, ""), (404, "?scope_id=none")]),
        _ => return None,
    })
}
