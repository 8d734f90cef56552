//! What is particular to each route: its successes, and the refusals that come from its records or its fields.

mod knowledge;
mod pages;
mod records;

use serde_json::{Value, json};

use super::{NOBODY, World, short};
use crate::admin::halts::halt;
use crate::conformance::Operation;
use crate::events::with_large_log;
use crate::isolation::routes::filled;
use crate::isolation::violation;
use crate::signup::proofs::proof;
use crate::signup::signed_up;
use crate::support::{Caller, Reach, Tenant, echo, text, unique};

/// A call, and the status that is its answer.
pub(super) struct Step {
    pub(super) who: Caller,
    pub(super) status: u16,
    pub(super) path: String,
    /// Null for none.
    pub(super) body: Value,
}

/// A route that is called.
struct Calls<'a> {
    world: &'a World,
    /// Without what all of them begin with.
    route: String,
}

impl Calls<'_> {
    /// Calls of one path.
    fn steps(&self, path: &str, tries: &[(&Caller, u16, Value)]) -> Vec<Step> {
        let step = |(who, status, body): &(&Caller, u16, Value)| Step {
            who: (*who).clone(),
            status: *status,
            path: path.to_owned(),
            body: body.clone(),
        };
        tries.iter().map(step).collect()
    }

    /// Of the populated tenant's records, whatever becomes of them.
    fn here(&self, tries: &[(&Caller, u16, Value)]) -> Vec<Step> {
        self.steps(&filled(&self.route, &self.world.a)[0], tries)
    }

    /// Of one record.
    fn of(&self, id: &str, tries: &[(&Caller, u16, Value)]) -> Vec<Step> {
        let parts = self.route.split('/').map(|part| if part.starts_with('{') { id } else { part });
        self.steps(&parts.collect::<Vec<_>>().join("/"), tries)
    }

    /// With a query string.
    fn read(&self, who: &Caller, tries: &[(u16, &str)]) -> Vec<Step> {
        let path = filled(&self.route, &self.world.a).swap_remove(0);
        let step = |(status, query): &(u16, &str)| Step {
            who: who.clone(),
            status: *status,
            path: format!("{path}{query}"),
            body: Value::Null,
        };
        tries.iter().map(step).collect()
    }
}

/// The calls to be made of a route, in this order. A route that is not known here fails the test: add how it succeeds, and
/// how it comes to what it refuses besides what every route does.
pub(super) async fn steps(world: &World, operation: &Operation) -> Vec<Step> {
    let World { a, reviewer, accomplice, unbound, .. } = world;
    let (user, agent, orchestrator) = (&a.tenant.user, &a.agent, &a.orchestrator);
    let route = short(operation);
    let calls = Calls { world, route: route.clone() };
    let found = match pages::steps(&calls, &operation.method).await {
        Some(found) => Some(found),
        None => records::steps(&calls, &operation.method).await,
    };
    let found = match found {
        Some(found) => Some(found),
        None => knowledge::steps(&calls, &operation.method).await,
    };
    if let Some(found) = found {
        return found;
    }
    let steps = |path: &str, tries: &[(&Caller, u16, Value)]| calls.steps(path, tries);
    let here = |tries: &[(&Caller, u16, Value)]| calls.here(tries);
    let of = |id: &str, tries: &[(&Caller, u16, Value)]| calls.of(id, tries);
    let read = |who: &Caller, tries: &[(u16, &str)]| calls.read(who, tries);
    let epic = async |number: u32| {
        let body = json!({"number": number, "title": "Another"});
        let epic = user.post(&format!("/projects/{}/epics", a.project), body).await.expect(201);
        text(&epic["epic"]["id"])
    };
    let (nothing, empty) = (Value::Null, json!({}));
    let review = json!({"review_type": "enhanced", "summary": "checked"});
    let named = |name: &str| json!({"name": unique(name), "slug": unique(name)});
    match (operation.method.as_str(), route.as_str()) {
        ("GET", "//health") => steps("//health", &[(&Caller::nobody(), 200, nothing)]),
        ("GET", "") => steps("", &[(&Caller::nobody(), 200, nothing)]),
        ("GET", "/routes") => here(&[(agent, 200, nothing)]),
        ("PATCH", "/tenants/me") => {
            here(&[(user, 200, json!({"name": "A"})), (user, 422, json!({"slug": "-"}))])
        }
        ("POST", "/api_keys") => here(&[
            (user, 201, json!({"name": "key", "role": "agent"})),
            (user, 403, json!({"name": "key", "role": "superadmin"})),
            (user, 422, empty),
        ]),
        ("DELETE", "/api_keys/{id}") => here(&[(user, 200, nothing)]),
        ("POST", "/api_keys/{id}/rotate") => {
            let key = user.post("/api_keys", json!({"name": "old", "role": "agent"})).await.expect(201);
            let id = text(&key["api_key"]["id"]);
            of(&id, &[(user, 201, json!({"grace_period_hours": 1})), (user, 422, empty)])
        }
        ("POST", "/agents/register") => {
            let key = a.tenant.key("agent").await;
            let body = json!({"name": unique("agent"), "agent_type": "implementer"});
            here(&[(&key, 422, empty), (&key, 201, body.clone()), (&key, 409, body)])
        }
        ("POST", "/projects") => here(&[(user, 201, named("project")), (user, 422, empty)]),
        ("PATCH", "/projects/{id}") => here(&[
            (orchestrator, 200, json!({"name": "A"})),
            (orchestrator, 403, json!({"status": "archived"})),
            (orchestrator, 422, json!({"name": ""})),
        ]),
        ("DELETE", "/projects/{id}") => of(&a.tenant.project().await, &[(user, 200, nothing)]),
        ("POST", "/projects/{id}/import") => {
            let payload = json!({"epics": [{"number": 1, "title": "Epic", "stories": []}]});
            let mut merged = payload.clone();
            merged["merge"] = json!(true);
            let tries =
                [(user, 201, payload.clone()), (user, 409, payload), (user, 200, merged), (user, 422, empty)];
            of(&a.tenant.project().await, &tries)
        }
        ("POST", "/projects/{project_id}/epics") => {
            here(&[(user, 201, json!({"number": 70, "title": "Epic"})), (user, 422, empty)])
        }
        ("PATCH", "/epics/{id}") => {
            here(&[(user, 200, json!({"title": "A"})), (user, 422, json!({"title": ""}))])
        }
        ("PATCH", "/stories/{id}") => {
            let story = world.at(Reach::Implementing).await;
            let tries = [
                (user, 200, json!({"title": "A"})),
                (user, 422, json!({"title": ""})),
                (accomplice, 409, json!({"title": "B"})),
            ];
            of(&story, &tries)
        }
        ("DELETE", "/epics/{id}") => of(&epic(71).await, &[(user, 204, nothing)]),
        ("POST", "/epics/{epic_id}/stories") => {
            here(&[(user, 201, json!({"number": "1.71", "title": "Story"})), (user, 422, empty)])
        }
        ("POST", "/projects/{project_id}/stories") => {
            let body = json!({"epic_number": 1, "number": "1.72", "title": "Story"});
            here(&[(user, 201, body), (user, 422, empty)])
        }
        ("DELETE", "/stories/{id}") => of(&a.tenant.story().await, &[(user, 204, nothing)]),
        ("POST", "/epic_dependencies") => {
            let ends = |of: &str, on: &str| json!({"epic_id": of, "depends_on_epic_id": on});
            let (epic, other) = (epic(72).await, epic(73).await);
            here(&[
                (user, 201, ends(&epic, &other)),
                (user, 409, ends(&epic, &other)),
                (user, 422, ends(&epic, &epic)),
                (user, 404, ends(&epic, NOBODY)),
            ])
        }
        ("POST", "/story_dependencies") => {
            let ends = |of: &str, on: &str| json!({"story_id": of, "depends_on_story_id": on});
            let [first, _, third] = &a.stories;
            here(&[
                (user, 201, ends(third, first)),
                (user, 409, ends(third, first)),
                (user, 422, ends(third, third)),
                (user, 404, ends(third, NOBODY)),
            ])
        }
        ("DELETE", "/epic_dependencies/{id}" | "/story_dependencies/{id}") => here(&[(user, 204, nothing)]),
        ("POST", "/stories/{id}/contract") => {
            of(&a.tenant.story().await, &[(agent, 422, empty), (agent, 200, echo()), (agent, 409, echo())])
        }
        ("POST", "/stories/{id}/claim") => {
            let unbound = a.tenant.key("agent").await;
            let story = world.at(Reach::Contracted).await;
            of(&story, &[(&unbound, 422, empty.clone()), (agent, 200, empty.clone()), (agent, 409, empty)])
        }
        ("POST", "/stories/{id}/start" | "/stories/{id}/start-work" | "/stories/{id}/unclaim") => {
            let story = world.at(Reach::Assigned).await;
            of(&story, &[(reviewer, 403, empty.clone()), (agent, 200, empty.clone()), (agent, 409, empty)])
        }
        ("POST", "/stories/{id}/request-review") => {
            let tries = [(reviewer, 403, empty.clone()), (agent, 200, empty.clone())];
            let mut both = of(&world.at(Reach::Implementing).await, &tries);
            both.extend(of(&a.tenant.story().await, &[(agent, 409, empty)]));
            both
        }
        ("POST", "/stories/{id}/report" | "/stories/{id}/report-done") => {
            let nameless = json!({"artifact": {}});
            let story = world.at(Reach::Implementing).await;
            let usage = json!({"token_usage": {"input_tokens": 9000, "output_tokens": 1200, "model_name": "claude-opus-4",
                                               "cost_millicents": 13_500, "phase": "reviewing"}});
            of(&story, &[(agent, 409, empty), (reviewer, 422, nameless), (reviewer, 200, usage)])
        }
        ("POST", "/stories/{id}/review-complete") => {
            let story = world.at(Reach::Reported).await;
            of(&story, &[(agent, 409, review.clone()), (reviewer, 422, empty), (reviewer, 201, review)])
        }
        ("POST", "/stories/{id}/verify") => of(
            &world.at(Reach::Reviewed).await,
            &[
                (unbound, 400, review.clone()),
                (accomplice, 409, review.clone()),
                (orchestrator, 422, empty),
                (orchestrator, 200, review),
            ],
        ),
        ("POST", "/stories/{id}/reject") => {
            let why = json!({"reason": "untested"});
            of(
                &world.at(Reach::Reported).await,
                &[
                    (unbound, 400, why.clone()),
                    (accomplice, 409, why.clone()),
                    (orchestrator, 422, empty),
                    (orchestrator, 200, why),
                ],
            )
        }
        ("POST", "/stories/{id}/force-unclaim") => {
            let story = world.at(Reach::Assigned).await;
            of(&story, &[(unbound, 400, empty.clone()), (orchestrator, 200, empty)])
        }
        ("POST", "/stories/{id}/backfill") => of(
            &a.tenant.story().await,
            &[(orchestrator, 422, empty), (orchestrator, 200, json!({"reason": "was there before"}))],
        ),
        ("POST", "/stories/bulk/claim") => {
            let story = world.at(Reach::Contracted).await;
            let body = json!({"story_ids": [story]});
            here(&[(agent, 422, empty), (agent, 200, body.clone()), (agent, 422, body)])
        }
        ("POST", "/stories/bulk/verify" | "/stories/bulk/reject" | "/stories/bulk/mark-complete") => {
            let story = match route.ends_with("/mark-complete") {
                true => a.tenant.story().await,
                false => world.at(Reach::Reviewed).await,
            };
            let body = json!({"stories": [{"story_id": story, "reason": "untested"}]});
            let unknown = json!({"stories": [{"story_id": NOBODY, "reason": "untested"}]});
            here(&[
                (unbound, 400, body.clone()),
                (orchestrator, 422, empty),
                (orchestrator, 422, unknown),
                (orchestrator, 200, body),
            ])
        }
        ("POST", "/epics/{id}/verify-all") => {
            let story = user.get(&format!("/stories/{}", world.at(Reach::Reviewed).await)).await.expect(200);
            let epic = text(&story["story"]["epic_id"]);
            of(
                &epic,
                &[(unbound, 400, review.clone()), (orchestrator, 422, empty), (orchestrator, 200, review)],
            )
        }
        ("POST", "/stories/{id}/artifacts") => {
            let body = json!({"artifact_type": "test", "path": "tests/a.rs"});
            here(&[(agent, 201, body), (agent, 422, empty)])
        }
        ("PUT", "/orchestrator/state/{project_id}") => {
            let body = json!({"state_key": "walk", "state_data": {}});
            here(&[(orchestrator, 200, body.clone()), (orchestrator, 409, body), (orchestrator, 422, empty)])
        }
        ("POST", "/projects/{project_id}/ui-tests" | "/projects/{id}/ui_test_runs") => here(&[
            (agent, 201, json!({"guide_reference": "guide.md"})),
            (agent, 422, json!({"guide_reference": 7})),
        ]),
        ("POST", path) if path.ends_with("/findings") => {
            let created = if path.starts_with("/ui_test_runs/") { 201 } else { 200 };
            here(&[(agent, created, json!({"severity": "bug", "title": "Broken"})), (agent, 422, empty)])
        }
        ("POST", path) if path.ends_with("/complete") => {
            let run = agent.post(&format!("/projects/{}/ui_test_runs", a.project), empty.clone()).await;
            let run = text(&run.expect(201)["data"]["id"]);
            let path = filled(path, a)[0].replace(&a.ui_test_run, &run);
            let body = json!({"summary": "all was well", "status": "passed"});
            steps(&path, &[(agent, 422, empty), (agent, 200, body.clone()), (agent, 422, body)])
        }
        ("GET", "/stories") => {
            let [query, filtered] =
                ["", "&agent_status=none"].map(|rest| format!("?project_id={}{rest}", a.project));
            read(agent, &[(200, &query), (422, &filtered), (400, "")])
        }
        ("GET", "/audit") => {
            let (large, _) = with_large_log().await;
            let mut steps = read(user, &[(200, ""), (400, "?from=none"), (404, "?entity_id=none")]);
            steps.extend(calls.read(&large.user, &[(422, "?limit=50")]));
            steps
        }
        ("GET", "/stories/{id}/history") => {
            let (large, story) = with_large_log().await;
            let mut steps = here(&[(agent, 200, nothing.clone())]);
            steps.extend(
                calls.steps(&format!("/stories/{story}/history?limit=50"), &[(&large.user, 422, nothing)]),
            );
            steps
        }
        ("PATCH", "/admin/tenants/{id}") => {
            let superadmin = &world.superadmin;
            here(&[(superadmin, 200, json!({"name": "B"})), (superadmin, 422, json!({"slug": "-"}))])
        }
        ("POST", "/admin/tenants/{id}/suspend") => {
            let (superadmin, tenant) = (&world.superadmin, Tenant::new().await);
            of(&tenant.id, &[(superadmin, 200, empty.clone()), (superadmin, 422, empty)])
        }
        ("POST", "/admin/tenants/{id}/activate") => {
            let (superadmin, tenant) = (&world.superadmin, Tenant::new().await);
            superadmin.post(&format!("/admin/tenants/{}/suspend", tenant.id), json!({})).await.expect(200);
            of(&tenant.id, &[(superadmin, 200, empty.clone()), (superadmin, 422, empty)])
        }
        ("POST", "/admin/tenants/{id}/clear-halt") => {
            halt(&a.tenant.id).await;
            let superadmin = &world.superadmin;
            let signed = proof(&a.tenant, &mut *a.device.lock().await).await;
            here(&[(superadmin, 401, empty), (superadmin, 200, json!({"webauthn_assertion": signed}))])
        }
        ("POST", "/admin/violators/{id}/resolve" | "/admin/violators/{id}/ignore") => {
            let (superadmin, violation) = (&world.superadmin, violation(&a.tenant.id, &a.word).await);
            let note = |note: Value| json!({"note": note});
            let tries = [
                (superadmin, 422, note(json!(7))),
                (superadmin, 200, note(json!("n"))),
                (superadmin, 422, empty),
            ];
            of(&violation, &tries)
        }
        ("GET", "/admin/violators") => {
            read(&world.superadmin, &[(200, ""), (404, "?tenant_id=none"), (422, "?status=none")])
        }
        ("GET", "/admin/tenants" | "/admin/tenants/{id}" | "/admin/stats") => {
            read(&world.superadmin, &[(200, "")])
        }
        ("GET", "/admin/audit") => {
            let large = format!("?limit=50&tenant_id={}", with_large_log().await.0.id);
            let own = format!("?tenant_id={}", a.tenant.id);
            read(
                &world.superadmin,
                &[(200, &own), (400, "?from=none"), (404, "?tenant_id=none"), (422, &large)],
            )
        }
        ("GET", "/tenants/{id}/audit_public_key") => {
            of(&signed_up().await.0.id, &[(&Caller::nobody(), 200, nothing)])
        }
        ("GET", "/changes") => read(
            agent,
            &[(200, "?since=2000-01-01"), (400, "?since=none"), (404, "?since=2000-01-01&project_id=none")],
        ),
        ("GET", "/changes/stream") => read(
            agent,
            &[(200, "?since=2000-01-01"), (200, ""), (400, "?since=none"), (404, "?project_id=none")],
        ),
        ("GET", "/epics/{epic_id}/stories") => read(agent, &[(200, ""), (422, "?verified_status=none")]),
        ("GET", "/projects" | "/projects/{project_id}/ui-tests" | "/projects/{id}/ui_test_runs") => {
            read(agent, &[(200, ""), (422, "?status=none")])
        }
        ("GET", path) if path.starts_with("/orchestrator/") => read(orchestrator, &[(200, "")]),
        ("GET", _) => read(user, &[(200, "")]),
        _ => panic!("{} {} is not covered", operation.method, operation.path),
    }
}
