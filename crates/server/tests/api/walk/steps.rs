//! What is particular to each route: its successes, and the refusals that come from its records or its fields.

use serde_json::{Value, json};

use super::{NOBODY, World, short};
use crate::admin::halts::halt;
use crate::conformance::Operation;
use crate::isolation::Populated;
use crate::isolation::routes::filled;
use crate::isolation::violation;
use crate::measured::{short_logs, short_metrics};
use crate::signup::device::HOME;
use crate::signup::proofs::{add, another, proof};
use crate::signup::sessions::{asked_to_sign_in, signed_in};
use crate::signup::{application, enrolled, signed_up, visitor};
use crate::support::{Caller, Reach, Tenant, connect, echo, server, text, unique};

/// Somebody from an address of their own. What keys they have does not matter.
fn wanderer(who: &Caller) -> Caller {
    let mut wanderer = who.clone();
    wanderer.headers.extend(visitor().headers);
    wanderer
}

/// Somebody on a page of others.
fn foreign(who: &Caller) -> Caller {
    let mut foreign = wanderer(who);
    foreign.headers.push(("origin", "http://evil.test".to_owned()));
    foreign
}

/// Somebody who has tried as often as one may.
async fn insistent(who: &Caller, kind: &str) -> Caller {
    let insistent = wanderer(who);
    let (_, address) = insistent.headers.last().unwrap();
    let sql = "insert into address_attempts (kind, address, times)
               values ($1, host(network(set_masklen($2::text::inet, 64))), array(select now() from generate_series(1, 60)))";
    connect(&server().owner).await.execute(sql, &[&kind, address]).await.unwrap();
    insistent
}

/// A page of ours in a browser in which the populated tenant's owner has signed in.
async fn page_of(a: &Populated) -> Caller {
    signed_in(&mut *a.device.lock().await).await
}

/// Who has everything that does not change.
fn knowing() -> Caller {
    let mut knowing = Caller::nobody();
    knowing.headers.push(("if-none-match", "*".to_owned()));
    knowing
}

/// A call, and the status that is its answer.
pub(super) struct Step {
    pub(super) who: Caller,
    pub(super) status: u16,
    pub(super) path: String,
    /// Null for none.
    pub(super) body: Value,
}

/// The calls to be made of a route, in this order. A route that is not known here fails the test: add how it succeeds, and
/// how it comes to what it refuses besides what every route does.
pub(super) async fn steps(world: &World, operation: &Operation) -> Vec<Step> {
    let World { a, reviewer, accomplice, unbound, .. } = world;
    let (user, agent, orchestrator) = (&a.tenant.user, &a.agent, &a.orchestrator);
    let route = short(operation);
    let steps = |path: &str, steps: &[(&Caller, u16, Value)]| {
        let step = |(who, status, body): &(&Caller, u16, Value)| Step {
            who: (*who).clone(),
            status: *status,
            path: path.to_owned(),
            body: body.clone(),
        };
        steps.iter().map(step).collect::<Vec<_>>()
    };
    // Of the populated tenant's records, whatever becomes of them.
    let here = |tries: &[(&Caller, u16, Value)]| steps(&filled(&route, a)[0], tries);
    // Of one record.
    let of = |id: &str, tries: &[(&Caller, u16, Value)]| {
        let parts = route.split('/').map(|part| if part.starts_with('{') { id } else { part });
        steps(&parts.collect::<Vec<_>>().join("/"), tries)
    };
    // With a query string.
    let read = |who: &Caller, tries: &[(u16, &str)]| {
        let path = filled(&route, a).swap_remove(0);
        let step = |(status, query): &(u16, &str)| Step {
            who: who.clone(),
            status: *status,
            path: format!("{path}{query}"),
            body: Value::Null,
        };
        tries.iter().map(step).collect::<Vec<_>>()
    };
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
        ("GET", "//docs/{name}") => {
            let mut tries = of(
                "agents",
                &[(&Caller::nobody(), 200, nothing.clone()), (&knowing(), 304, nothing.clone())],
            );
            tries.extend(of("nothing", &[(&Caller::nobody(), 404, nothing)]));
            tries
        }
        ("GET", "//wiki/{slug}") => {
            let mut tries = of("chain-of-custody", &[(&Caller::nobody(), 302, nothing.clone())]);
            tries.extend(of("nothing", &[(&Caller::nobody(), 404, nothing)]));
            tries
        }
        ("GET", path)
            if ["/openapi", "/lifecycle", "//home", "//docs", "//swaggerui", "//terms", "//privacy"]
                .contains(&path)
                || path.starts_with("//.well-known/") =>
        {
            here(&[(&Caller::nobody(), 200, nothing.clone()), (&knowing(), 304, nothing)])
        }
        ("GET", "//swagger") => here(&[(&Caller::nobody(), 302, nothing)]),
        ("GET", "//signup") => here(&[(&Caller::nobody(), 200, nothing)]),
        ("GET", "//tenants/{tenant_id}/onboarding") => {
            let who = wanderer(user);
            let (_, one) = enrolled(&who, &HOME).await;
            let made = who.post("//signup", application(&unique("walk"), &[one])).await.expect(201);
            let mut tries =
                steps(&format!("/{}", text(&made["data"]["redirect_to"])), &[(&who, 200, nothing.clone())]);
            tries.extend(here(&[(&who, 302, nothing)]));
            tries
        }
        ("GET", "//sign-in") => {
            let tries = [(&Caller::nobody(), 200, nothing.clone()), (&page_of(a).await, 302, nothing)];
            here(&tries)
        }
        ("GET", "//account") => {
            let tries = [(&Caller::nobody(), 302, nothing.clone()), (&page_of(a).await, 200, nothing)];
            here(&tries)
        }
        ("POST", "//sign-in/challenge") => {
            let tries = [
                (&wanderer(user), 200, empty.clone()),
                (&wanderer(user), 422, json!({"slug": 7})),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "sign_in_challenge").await, 429, empty),
            ];
            here(&tries)
        }
        ("POST", "//sign-in") => {
            let who = wanderer(user);
            let signed = a.device.lock().await.prove(&asked_to_sign_in(&who).await, &HOME).await;
            let body = json!({"webauthn_assertion": signed});
            let tries = [
                (&who, 401, empty.clone()),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "sign_in").await, 429, empty),
                (&who, 200, body),
            ];
            here(&tries)
        }
        ("POST", "//sign-out") => {
            let page = page_of(a).await;
            let mut foreign = page.clone();
            foreign.headers.retain(|(name, _)| *name != "origin");
            here(&[
                (&Caller::nobody(), 401, empty.clone()),
                (&foreign, 403, empty.clone()),
                (&page, 200, empty),
            ])
        }
        ("POST", "//account/keys") => {
            let page = page_of(a).await;
            let mut foreign = page.clone();
            foreign.headers.retain(|(name, _)| *name != "origin");
            let named = json!({"name": unique("walk")});
            let signed = proof(&a.tenant, &mut *a.device.lock().await).await;
            let body = json!({"name": unique("walk"), "webauthn_assertion": signed});
            let tries = [
                (&page, 401, named.clone()),
                (&page, 422, empty),
                (&foreign, 403, named),
                (&page, 201, body),
            ];
            here(&tries)
        }
        ("POST", "//signup/challenge") => {
            let tries = [
                (&wanderer(user), 200, empty.clone()),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "challenge").await, 429, empty),
            ];
            here(&tries)
        }
        ("POST", "//signup") => {
            let who = wanderer(user);
            let (_, one) = enrolled(&who, &HOME).await;
            let body = application(&unique("walk"), &[one]);
            let tries = [
                (&who, 422, empty.clone()),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "signup").await, 429, empty),
                (&who, 201, body),
            ];
            here(&tries)
        }
        ("POST", "/tenants/{tenant_id}/authenticators") => {
            let (_, one) = another(&a.tenant).await;
            let signed = proof(&a.tenant, &mut *a.device.lock().await).await;
            let body = json!({"authenticator": one, "webauthn_assertion": signed});
            here(&[(user, 422, empty), (user, 401, json!({"authenticator": one})), (user, 201, body)])
        }
        ("POST", path) if path.starts_with("/tenants/") => here(&[(user, 200, empty)]),
        ("DELETE", "/tenants/{tenant_id}/authenticators/{id}") => {
            let mut device = a.device.lock().await;
            let (_, one) = another(&a.tenant).await;
            let signed = proof(&a.tenant, &mut device).await;
            let spare = text(&add(&a.tenant, &one, signed).await.expect(201)["data"]["id"]);
            let body = json!({"webauthn_assertion": proof(&a.tenant, &mut device).await});
            // Another tenant, who has but one.
            let other = Tenant::new().await;
            let (mut theirs, one) = another(&other).await;
            let last = text(&add(&other, &one, json!(null)).await.expect(201)["data"]["id"]);
            let theirs = json!({"webauthn_assertion": proof(&other, &mut theirs).await});
            let path = |tenant: &Tenant, id: &str| format!("/tenants/{}/authenticators/{id}", tenant.id);
            let mut tries = steps(&path(&other, &last), &[(&other.user, 409, theirs)]);
            tries.extend(steps(&path(&a.tenant, &spare), &[(user, 401, empty), (user, 200, body)]));
            tries
        }
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
            of(&story, &[(agent, 409, empty.clone()), (reviewer, 422, nameless), (reviewer, 200, empty)])
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
        ("POST", "//v1/metrics") => {
            let told = short_metrics(&a.stories[0]);
            here(&[(agent, 200, told.clone()), (unbound, 422, told)])
        }
        ("POST", "//v1/logs") => {
            let told = short_logs(&a.stories[0]);
            here(&[(agent, 200, told.clone()), (unbound, 422, told)])
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
        ("GET", "/audit") => read(user, &[(200, ""), (400, "?from=none"), (404, "?entity_id=none")]),
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
            read(&world.superadmin, &[(200, ""), (400, "?from=none"), (404, "?tenant_id=none")])
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
