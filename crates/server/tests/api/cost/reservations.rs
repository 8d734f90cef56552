//! What claims set aside of budgets, and when it is free again.

use serde_json::{Value, json};

use super::{Scene, budget, inline, spend};
use crate::support::{Reach, connect, server, text};

/// A budget of the project of which each claim sets 400 of 1000 aside.
async fn reserving(enforcement: &str) -> (Scene, String) {
    let scene = Scene::new().await;
    let limits = json!({"budget_millicents": 1000, "reserve_millicents": 400, "enforcement": enforcement});
    let id = budget(&scene.o, "project", &scene.project, limits).await;
    (scene, id)
}

impl Scene {
    /// What is set aside of a budget, as it shows it, and counted anew: nothing is set aside of stories that nobody holds.
    async fn reserved(&self, id: &str) -> i64 {
        let shown = self.o.get(&format!("/token-budgets/{id}")).await.expect(200);
        let shown = shown["token_budget"]["reserved_millicents"].as_i64().unwrap();
        let held = "select coalesce(sum(r.millicents), 0)::bigint from budget_reservations r
                    join story_states s on s.tenant_id = r.tenant_id and s.id = r.story_id
                    where r.budget_id = $1::text::uuid and s.agent_status in ('assigned', 'implementing')";
        let held: i64 = connect(&server().owner).await.query_one(held, &[&id]).await.unwrap().get(0);
        assert_eq!(shown, held, "set aside by stories that are held, and by no others");
        shown
    }

    async fn claim(&self, story: &str) -> crate::support::Reply {
        self.bring(story, Reach::Contracted).await;
        self.a.post(&format!("/stories/{story}/claim"), json!({})).await
    }

    async fn act(&self, who: &crate::support::Caller, story: &str, action: &str, body: Value) {
        let reply = who.post(&format!("/stories/{story}/{action}"), body).await;
        assert!(reply.status < 300, "{action}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_claim_beyond_what_is_left_is_refused() {
    let (scene, id) = reserving("block").await;
    let (second, third) = (scene.other("1.2").await, scene.other("2.1").await);
    scene.claim(&scene.story).await.expect(200);
    assert_eq!(scene.reserved(&id).await, 400);
    spend(&scene.b, &third, 200).await;
    // Just the limit: 200 spent, 800 set aside.
    scene.claim(&second).await.expect(200);
    let error = scene.claim(&third).await.expect_error(409, "budget_exhausted");
    for (member, value) in [
        ("budget_id", json!(id)),
        ("scope_type", json!("project")),
        ("spent", json!(200)),
        ("reserved", json!(800)),
        ("limit", json!(1000)),
        ("raised_by", json!("user")),
    ] {
        assert_eq!(error["context"][member], value, "{member}");
    }
    assert_eq!(scene.status(&third).await, "contracted");
    let bulk = scene.a.post("/stories/bulk/claim", json!({"story_ids": [third]})).await.expect(422);
    assert_eq!(bulk["results"][0]["code"], "budget_exhausted");
    // Whoever may not raise it, may not set less aside either.
    let at = format!("/token-budgets/{id}");
    scene.o.patch(&at, json!({"reserve_millicents": 1})).await.expect_error(403, "forbidden");
    scene.tenant.user.patch(&at, json!({"budget_millicents": 1400})).await.expect(200);
    scene.a.post(&format!("/stories/{third}/claim"), json!({})).await.expect(200);
    assert_eq!(scene.reserved(&id).await, 1200);
}

#[tokio::test]
async fn what_was_set_aside_is_used_and_then_free() {
    let (scene, id) = reserving("block").await;
    scene.claim(&scene.story).await.expect(200);
    spend(&scene.a, &scene.story, 150).await;
    assert_eq!(scene.reserved(&id).await, 250);
    spend(&scene.b, &scene.story, 300).await;
    assert_eq!(scene.reserved(&id).await, 0);
    let second = scene.other("1.2").await;
    scene.claim(&second).await.expect(200);
    scene.act(&scene.a, &second, "start", json!({})).await;
    assert_eq!(scene.reserved(&id).await, 400);
    scene.act(&scene.b, &second, "report", json!({"token_usage": inline(1, 1, 10)})).await;
    assert_eq!(scene.reserved(&id).await, 0);
    let shown = scene.o.get(&format!("/token-budgets/{id}")).await.expect(200);
    assert_eq!(shown["token_budget"]["current_spend_millicents"], 460);
}

/// What is taken back was used before, and is not set aside again.
#[tokio::test]
async fn a_correction_sets_nothing_aside() {
    let (scene, id) = reserving("block").await;
    scene.claim(&scene.story).await.expect(200);
    let report = spend(&scene.a, &scene.story, 900).await;
    assert_eq!(scene.reserved(&id).await, 0);
    let at = format!("/token-usage/{}", text(&report["id"]));
    let user = &scene.tenant.user;
    user.post(&format!("{at}/correction"), json!({"cost_millicents": -900})).await.expect(201);
    assert_eq!(scene.reserved(&id).await, 0);
    user.delete(&at).await.expect(200);
    assert_eq!(scene.reserved(&id).await, 0);
    scene.claim(&scene.other("1.2").await).await.expect(200);
    assert_eq!(scene.reserved(&id).await, 400);
}

#[tokio::test]
async fn whatever_ends_a_claim_frees_what_it_has_set_aside() {
    for ending in ["unclaim", "force-unclaim", "reject", "delete", "mark-complete"] {
        let (scene, id) = reserving("block").await;
        let story = &scene.story;
        scene.claim(story).await.expect(200);
        assert_eq!(scene.reserved(&id).await, 400, "{ending}");
        match ending {
            "unclaim" => scene.act(&scene.a, story, ending, json!({})).await,
            "force-unclaim" => scene.act(&scene.o, story, ending, json!({})).await,
            "reject" => {
                scene.act(&scene.a, story, "start", json!({})).await;
                scene.act(&scene.b, story, "report", json!({})).await;
                scene.act(&scene.o, story, "reject", json!({"reason": "r"})).await;
                scene.claim(story).await.expect(200);
                assert_eq!(scene.reserved(&id).await, 400, "the next cycle sets aside anew");
                scene.act(&scene.a, story, "unclaim", json!({})).await;
            }
            "delete" => drop(scene.tenant.user.delete(&format!("/stories/{story}")).await.expect(204)),
            // Not for what was worked on: it stays as it is.
            _ => {
                scene
                    .o
                    .post("/stories/bulk/mark-complete", json!({"stories": [{"story_id": story}]}))
                    .await
                    .expect(422);
                assert_eq!(scene.reserved(&id).await, 400);
                scene.act(&scene.a, story, "unclaim", json!({})).await;
            }
        }
        assert_eq!(scene.reserved(&id).await, 0, "{ending}");
    }
}

/// Each kind of budget that may set something aside, and what only warns refuses nothing.
#[tokio::test]
async fn every_scope_sets_aside() {
    for scope in ["epic", "agent", "per_story", "per_epic", "per_agent"] {
        let scene = Scene::new().await;
        let of = match scope {
            "epic" => scene.epic.clone(),
            "agent" => scene.a.agent().to_owned(),
            _ => scene.project.clone(),
        };
        let limits = json!({"budget_millicents": 500, "reserve_millicents": 400, "enforcement": "block"});
        let id = budget(&scene.o, scope, &of, limits).await;
        scene.claim(&scene.story).await.expect(200);
        assert_eq!(scene.reserved(&id).await, 400, "{scope}");
        // In the same epic, by the same agent; another story.
        let second = scene.claim(&scene.other("1.2").await).await;
        if scope == "per_story" {
            second.expect(200);
        } else {
            second.expect_error(409, "budget_exhausted");
        }
    }
    let (scene, id) = reserving("warn").await;
    for number in ["1.1", "1.2", "2.1"] {
        scene.claim(&scene.other(number).await).await.expect(200);
    }
    assert_eq!(scene.reserved(&id).await, 1200);
}

/// What others use for a story is not what its holder has set aside of a budget of their own.
#[tokio::test]
async fn a_budget_of_agents_is_used_by_its_agent_alone() {
    for scope in ["agent", "per_agent"] {
        let scene = Scene::new().await;
        let of = if scope == "agent" { scene.a.agent().to_owned() } else { scene.project.clone() };
        let limits = json!({"budget_millicents": 500, "reserve_millicents": 400, "enforcement": "block"});
        let id = budget(&scene.o, scope, &of, limits).await;
        scene.claim(&scene.story).await.expect(200);
        spend(&scene.b, &scene.story, 400).await;
        let held = "select millicents from budget_reservations where budget_id = $1::text::uuid";
        let held: i64 = connect(&server().owner).await.query_one(held, &[&id]).await.unwrap().get(0);
        assert_eq!(held, 400, "{scope}");
        scene.claim(&scene.other("1.2").await).await.expect_error(409, "budget_exhausted");
        spend(&scene.a, &scene.story, 100).await;
        let left: i64 = connect(&server().owner)
            .await
            .query_one("select millicents from budget_reservations where budget_id = $1::text::uuid", &[&id])
            .await
            .unwrap()
            .get(0);
        assert_eq!(left, 300, "{scope}");
    }
}
