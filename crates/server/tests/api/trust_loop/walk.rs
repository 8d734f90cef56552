//! Random walks: the server against `loopctl_core::lifecycle` as its model, and the implementer's keys
//! against the gates.

use loopctl_core::json::JsonText;
use loopctl_core::lifecycle::{
    self, Action, Actor, AgentStatus, Attempt, Backfill, Echo, Facts, Refusal, Status,
};
use loopctl_core::request::Request as _;
use loopctl_core::role::Role;
use serde_json::{Value, json};

use super::impersonation::{inside, superadmin};
use super::known::{Known, World};
use super::{Scene, evidence, refused, replay, review, stories};
use crate::support::{Caller, Reach, Reply, echo, seed, story, text};

/// A reproducible source of choices (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A refusal must tell what was refused and why, whoever asks.
#[track_caller]
pub(crate) fn assert_well_formed(reply: &Reply, action: &str) {
    assert!(reply.status < 500, "{:#}", reply.body);
    if reply.status == 409 {
        let error = &reply.body["error"];
        let code = text(&error["code"]);
        let state = [text(&error["current_state"]), text(&error["context"]["current_verified_status"])];
        refused(reply.clone(), 409, &code, action, [&state[0], &state[1]]);
    }
}

/// A request's body that is right for its action.
pub(crate) fn body(action: Action) -> Value {
    match action {
        Action::Contract => echo(),
        Action::ReviewComplete => review(),
        Action::Verify => evidence(),
        Action::Reject => json!({"reason": "no tests"}),
        Action::Backfill => json!({"reason": "done before", "pr_number": 7}),
        _ => json!({}),
    }
}

/// The call that attempts an action on a story: its path and its body. `mark-complete` exists for
/// several stories only; here it is a list of one.
pub(crate) fn request(action: Action, story: &str, body: Value) -> (String, Value) {
    if action != Action::MarkComplete {
        return (format!("/stories/{story}/{action}"), body);
    }
    let mut item = body;
    item["story_id"] = json!(story);
    ("/stories/bulk/mark-complete".to_owned(), json!({"stories": [item]}))
}

struct Person {
    name: &'static str,
    caller: Caller,
    actor: Actor,
}

fn person(name: &'static str, caller: &Caller, role: Role) -> Person {
    let agent_id = caller.agent_id.as_deref().map(|id| id.parse().unwrap());
    let actor = Actor { role, agent_id, impersonating: name.starts_with("superadmin") };
    Person { name, caller: caller.clone(), actor }
}

/// An attempt as the model sees it, and the body that makes it; sometimes a flawed one.
fn attempt(action: Action, flawed: bool) -> (Attempt, Value) {
    let body = match (action, flawed) {
        (Action::Contract, true) => json!({"story_title": "Build API", "ac_count": 3}),
        (Action::Verify, true) => json!({"review_type": "enhanced"}),
        // No flaw, but another story: it matters when it is told of one that is verified.
        (Action::Backfill, true) => json!({"reason": "done before", "pr_number": 8}),
        _ => body(action),
    };
    let attempt = match action {
        Action::Contract => Attempt::Contract(Echo {
            story_title: Some(body["story_title"].clone()),
            ac_count: Some(body["ac_count"].clone()),
            skip: false,
        }),
        Action::Claim => Attempt::Claim,
        Action::Start => Attempt::Start,
        Action::RequestReview => Attempt::RequestReview,
        Action::Report => Attempt::Report,
        Action::Unclaim => Attempt::Unclaim,
        Action::ReviewComplete => Attempt::ReviewComplete,
        Action::Verify => Attempt::Verify { evidence: !flawed },
        Action::Reject => Attempt::Reject { reason: "no tests".to_owned() },
        Action::ForceUnclaim => Attempt::ForceUnclaim,
        Action::Backfill => {
            Attempt::Backfill(Backfill::from_object(&JsonText::from(body.clone()).object().unwrap()).unwrap())
        }
        Action::MarkComplete => Attempt::MarkComplete,
    };
    (attempt, body)
}

#[track_caller]
fn assert_refused_alike(reply: &Reply, refusal: Option<&Refusal>, action: Action) {
    let error = &reply.body["error"];
    let Some(refusal) = refusal else {
        assert_eq!(reply.status, 403, "{error:#}");
        let message = error["message"].as_str().unwrap();
        let minimum = message == "Insufficient permissions. Required role: orchestrator";
        assert!(minimum == (action == Action::Backfill), "{action}: {message}");
        assert!(minimum || message.starts_with("This endpoint requires the "), "{message}");
        return;
    };
    let status = match refusal.status {
        Status::BadRequest => 400,
        Status::Forbidden => 403,
        Status::Conflict => 409,
        Status::Unprocessable => 422,
    };
    if action == Action::MarkComplete && refusal.conflict.is_some() {
        return assert_item_refused_alike(reply, refusal);
    }
    assert_eq!(reply.status, status, "{error:#}");
    assert_eq!(error["code"], refusal.code.as_str());
    assert_eq!(error["message"], refusal.message);
    assert_eq!(error["hints"], json!(refusal.hints));
    let mut context = (*refusal.context).clone();
    if let Some(conflict) = &refusal.conflict {
        let state = [conflict.agent_status.as_str(), conflict.verified_status.as_str()];
        refused(reply.clone(), status, refusal.code.as_str(), conflict.action, state);
        context.insert("current_agent_status".to_owned(), json!(state[0]));
        context.insert("current_verified_status".to_owned(), json!(state[1]));
        context.insert("attempted_action".to_owned(), json!(conflict.action));
    }
    let mut told = error["context"].as_object().cloned().unwrap_or_default();
    // The times are the server's.
    let until = |held: Option<Value>| {
        let held = held.map_or_else(Vec::new, |held| held.as_array().unwrap().clone());
        held.iter().map(|held| held["until"].is_string()).collect::<Vec<_>>()
    };
    assert_eq!(until(told.remove("held")), until(context.remove("held")), "{error:#}");
    assert_eq!(told, context);
}

/// The only item of a bulk call was refused: its result tells what a call for one story would.
#[track_caller]
fn assert_item_refused_alike(reply: &Reply, refusal: &Refusal) {
    let answer = reply.clone().expect(422);
    let conflict = refusal.conflict.as_ref().unwrap();
    let item = &answer["results"][0];
    assert_eq!(item["status"], "error");
    assert_eq!(item["code"], refusal.code.as_str());
    assert_eq!(item["reason"], refusal.message);
    assert_eq!(item["hints"], json!(refusal.hints));
    assert_eq!(item["current_state"], json!(conflict.agent_status));
    assert_eq!(item["context"]["current_verified_status"], json!(conflict.verified_status));
    assert_eq!(item["attempted_action"], json!(conflict.action));
}

#[track_caller]
fn assert_same_story(shown: &Value, known: &Known) {
    let state = &known.state;
    let stale = |digest: &Option<String>| digest.as_ref().is_some_and(|digest| *digest != known.digest);
    let same = json!({
        "contract_stale": stale(&state.contracted_digest), "verification_stale": stale(&state.verified_digest),
        "verification_source": state.verification_source,
        "agent_status": state.agent_status, "verified_status": state.verified_status,
        "assigned_agent_id": state.assigned_agent_id, "contracted_by_agent_id": state.contracted_by_agent_id,
        "reported_by_agent_id": state.reported_by_agent_id, "rejection_reason": state.rejection_reason,
    });
    for (column, value) in same.as_object().unwrap() {
        assert_eq!(&shown[column], value, "{column}");
    }
    for (column, time) in [
        ("assigned_at", state.assigned_at),
        ("first_claimed_at", state.first_claimed_at),
        ("review_requested_at", state.review_requested_at),
        ("reported_done_at", state.reported_done_at),
        ("verified_at", state.verified_at),
        ("rejected_at", state.rejected_at),
    ] {
        assert_eq!(shown[column].is_string(), time.is_some(), "{column}");
    }
}

#[track_caller]
fn assert_offered_alike(offered: &Value, facts: &Facts, actor: &Actor) {
    let offered: Vec<_> = offered.as_array().unwrap().iter().collect();
    let model = lifecycle::next_actions(facts, actor);
    assert_eq!(offered.len(), model.len(), "{offered:#?} {model:#?}");
    for (offered, model) in offered.into_iter().zip(model) {
        assert_eq!(offered["action"], model.action.as_str().replace('-', "_"));
        assert_eq!(offered["required_body"], json!(model.required_body));
        assert_eq!(offered["preconditions"], json!(model.preconditions));
    }
}

#[tokio::test]
async fn the_server_answers_as_its_model() {
    const SEED: u64 = 0x1005_7E57;
    let scene = Scene::new().await;
    let root = superadmin().await;
    let people = [
        person("a1", &scene.a1, Role::Agent),
        person("a2", &scene.a2, Role::Agent),
        person("a3", &scene.tenant.agent().await, Role::Agent),
        person("o", &scene.o, Role::Orchestrator),
        person("own", &scene.own_orchestrator().await, Role::Orchestrator),
        person("user", &scene.tenant.user, Role::User),
        person("nameless", &scene.tenant.key("agent").await, Role::Agent),
        person("nobody", &scene.tenant.key("orchestrator").await, Role::Orchestrator),
        person("superadmin as agent", &inside(&root, &scene, Some("agent")), Role::Agent),
        person("superadmin as user", &inside(&root, &scene, Some("user")), Role::User),
        person("superadmin", &inside(&root, &scene, None), Role::Superadmin),
    ];
    // The first three are walked on most. The others are there to be done without the loop, as long as they last.
    let numbers: Vec<String> = (1..=15).map(|minor| format!("1.{minor}")).collect();
    let project = scene
        .tenant
        .imported(json!({
            "epics": [{"number": 1, "title": "Epic", "stories": numbers.iter().map(|n| story(n)).collect::<Vec<_>>()}],
            "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}],
        }))
        .await;
    let mut world = World { stories: Vec::new(), auto_reset: true, clock: 0 };
    for number in &numbers {
        world.stories.push(Known::new(scene.tenant.story_id(&project, number).await));
    }
    let mut dice = Dice(SEED);
    let (mut passed, mut verified, mut conflicts, mut done_before, mut not_before) = (0, 0, 0, 0, 0);
    let (mut edited, mut not_edited) = (0, 0);
    for step in 0..900 {
        if dice.below(40) == 0 {
            world.auto_reset = !world.auto_reset;
            scene.auto_reset(world.auto_reset).await;
        }
        let index = if dice.below(4) > 0 { dice.below(3) } else { dice.below(world.stories.len()) };
        if dice.below(12) == 0 {
            let Person { name, caller, actor } = dice.pick(&people);
            let known = &mut world.stories[index];
            let (path, body) =
                (format!("/stories/{}", known.id), json!({"acceptance_criteria": known.other()}));
            let reply = caller.patch(&path, body).await;
            println!("{step}: {name} changes the criteria of story {index}: {}", reply.status);
            match known.edit(actor) {
                Err(refusal) => {
                    assert_refused_alike(&reply, refusal.as_ref(), Action::Backfill);
                    not_edited += usize::from(refusal.is_some());
                }
                Ok(()) => {
                    assert_same_story(&reply.expect(200)["story"], known);
                    edited += 1;
                }
            }
            continue;
        }
        let possible: Vec<(usize, Action)> = people
            .iter()
            .enumerate()
            .flat_map(|(who, person)| Action::ALL.iter().map(move |action| (who, *action, person)))
            .filter(|(_, action, person)| {
                world.decide(index, &attempt(*action, false).0, &person.actor).is_ok()
            })
            // Setbacks are possible nearly always: take few, or nothing ever gets done. And what is done without
            // the loop never enters it.
            .filter(|(who, action, _)| match action {
                Action::ForceUnclaim | Action::Unclaim | Action::Reject => (who + step) % 11 == 0,
                Action::Backfill | Action::MarkComplete => index > 2 && (who + step) % 3 == 0,
                _ => true,
            })
            .map(|(who, action, _)| (who, action))
            .collect();
        let (who, action) = if dice.below(5) < 3 && !possible.is_empty() {
            *dice.pick(&possible)
        } else {
            (dice.below(people.len()), *dice.pick(Action::ALL))
        };
        if index < 3
            && matches!(action, Action::Backfill | Action::MarkComplete)
            && world.stories[index].state.first_touched_at.is_none()
        {
            continue;
        }
        let (attempt, body) = attempt(action, dice.below(8) == 0);
        let Person { name, caller, actor } = &people[who];
        let id = world.stories[index].id.clone();
        let before = world.stories[index].state.clone();
        let (path, body) = request(action, &id, body);
        let reply = caller.post(&path, body).await;
        println!(
            "{step}: {name} {action} story {index} ({} {}): {}",
            before.agent_status, before.verified_status, reply.status
        );
        conflicts += usize::from(reply.status == 409);
        match world.decide(index, &attempt, actor) {
            Err(refusal) => {
                assert_refused_alike(&reply, refusal.as_ref(), action);
                not_before +=
                    usize::from(refusal.is_some_and(|refusal| refusal.code.as_str() == "not_pre_existing"));
            }
            Ok(next) => {
                let status = if action == Action::ReviewComplete { 201 } else { 200 };
                let answer = reply.expect(status);
                if matches!(action, Action::Backfill | Action::MarkComplete) && next != before {
                    assert_eq!(before.first_touched_at, None);
                    done_before += 1;
                }
                world.settle(index, &attempt, next);
                passed += 1;
                let facts = world.facts(index, action);
                if action == Action::MarkComplete {
                    assert_eq!(answer, json!({"results": [{"story_id": id, "status": "success"}]}));
                } else {
                    assert_offered_alike(&answer["next_actions"], &facts, actor);
                }
                if !matches!(action, Action::ReviewComplete | Action::MarkComplete) {
                    assert_same_story(&answer["story"], &world.stories[index]);
                }
                if action == Action::Verify {
                    verified += 1;
                    assert!(actor.agent_id.is_some() && actor.agent_id != before.assigned_agent_id);
                }
            }
        }
        let shown = caller.get(&format!("/stories/{id}")).await.expect(200);
        let facts = world.facts(index, Action::ReviewComplete);
        assert_same_story(&shown["story"], &world.stories[index]);
        assert_offered_alike(&shown["next_actions"], &facts, actor);
    }
    for known in &world.stories {
        replay::assert_legal(&scene.o, &known.id).await;
    }
    // Or the walk went nowhere and proves nothing.
    assert!(
        passed > 150 && verified > 5 && conflicts > 50 && done_before > 3 && not_before > 3,
        "{passed} passed, {verified} verified, {conflicts} conflicts, {done_before} done before the loop, \
         {not_before} not"
    );
    assert!(edited > 5 && not_edited > 3, "{edited} changes of criteria, {not_edited} refused");
}

/// The heart of the product: whatever the keys of the implementing agent do, from wherever others have brought
/// its story, they never verify it, and never report it.
#[tokio::test]
async fn no_sequence_by_the_implementers_keys_verifies() {
    let mut scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    let reaches = [
        Reach::Assigned,
        Reach::Assigned,
        Reach::Implementing,
        Reach::Reported,
        Reach::Reviewed,
        Reach::Reviewed,
    ];
    let mut conflicts = 0;
    let ids = stories(&scene.tenant, reaches.len()).await;
    for (walk, (id, reach)) in ids.into_iter().zip(reaches).enumerate() {
        scene.story = id;
        scene.bring(&scene.story, reach).await;
        let mut dice = Dice(seed().wrapping_add(walk as u64));
        let mut reported = reach >= Reach::Reported;
        for _ in 0..50 {
            let who = *dice.pick(&[&scene.a1, &own]);
            let action = *dice.pick(Action::ALL);
            // Giving the story back ends the interesting part; it comes late and seldom.
            if matches!(action, Action::Unclaim | Action::ForceUnclaim) && dice.below(12) > 0 {
                continue;
            }
            let (path, body) = request(action, &scene.story, body(action));
            let reply = who.post(&path, body).await;
            assert_well_formed(&reply, action.as_str());
            conflicts += usize::from(reply.status == 409);
            if matches!(
                action,
                Action::Report | Action::Verify | Action::Reject | Action::Backfill | Action::MarkComplete
            ) {
                assert!(reply.status >= 400, "{action}: {:#}", reply.body);
            }
            let shown = scene.show().await;
            assert_eq!(shown["verified_status"], "unverified");
            assert_eq!(shown["iteration_count"], 0);
            let is_reported = shown["agent_status"] == AgentStatus::ReportedDone.as_str();
            assert!(reported || !is_reported, "reported by its own implementer");
            reported = is_reported;
        }
        replay::assert_legal(&scene.o, &scene.story).await;
        scene.tenant.keeps_count().await;
    }
    assert!(conflicts > 60, "{conflicts}");
}
