//! Many at once: no limit is passed unseen, nothing is told twice, nothing is lost.

use futures_util::future::join_all;
use serde_json::json;

use super::{Scene, budget, inline, used};
use crate::support::{Caller, Reach, bring, connect, server, text};
use crate::webhooks::{queued, subscribed};

const MANY: usize = 16;

/// Agents, and a story for each that another has implemented.
async fn crowd(scene: &Scene) -> (String, Vec<(Caller, String)>) {
    let numbers: Vec<String> = (1..=MANY).map(|nth| format!("1.{nth}")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let project = scene.tenant.project_of(&numbers).await;
    let mut crowd = Vec::new();
    for number in numbers {
        crowd.push((scene.tenant.agent().await, scene.tenant.story_id(&project, number).await));
    }
    (project, crowd)
}

/// Of reports of stories at once, those go through that the budget has room for, and not one more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocking_budget_is_never_passed_by_reports() {
    let scene = Scene::new().await;
    let (project, crowd) = crowd(&scene).await;
    for (_, story) in &crowd {
        bring(story, Reach::Implementing, &scene.a, &scene.b, &scene.o).await;
    }
    let hook = subscribed(&scene.tenant, &["token.budget_warning", "token.budget_exceeded"], None).await;
    let id =
        budget(&scene.o, "project", &project, json!({"budget_millicents": 1000, "enforcement": "block"}))
            .await;
    let reports = crowd.iter().map(|(agent, story)| {
        let (agent, at) = (agent.clone(), format!("/stories/{story}/report"));
        tokio::spawn(async move { agent.post(&at, json!({"token_usage": inline(1, 1, 150)})).await })
    });
    let replies = join_all(reports.collect::<Vec<_>>()).await;
    let (mut done, mut refused) = (0, 0);
    for reply in replies {
        let reply = reply.unwrap();
        if reply.status == 200 {
            done += 1;
        } else {
            reply.expect_error(429, "token_budget_exceeded");
            refused += 1;
        }
    }
    // Six times 150 fit into 1000.
    assert_eq!((done, refused), (6, MANY - 6));
    let shown = scene.o.get(&format!("/token-budgets/{id}")).await.expect(200);
    assert_eq!(shown["token_budget"]["current_spend_millicents"], 900);
    let told: Vec<_> = queued(&hook).await.iter().map(|event| text(&event["event_type"])).collect();
    assert_eq!(told, ["token.budget_warning"]);
    assert_eq!(scene.told("token_budget", "report_blocked").await.len(), MANY - 6);
}

/// Reports by themselves are all recorded, and each level is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reports_at_once_tell_each_level_once() {
    let scene = Scene::new().await;
    scene.tenant.user.patch("/tenants/me", json!({"default_story_budget_millicents": 400})).await.expect(200);
    budget(&scene.o, "per_agent", &scene.project, json!({"budget_millicents": 300})).await;
    budget(&scene.o, "project", &scene.project, json!({"budget_millicents": 1000})).await;
    let second = scene.other("1.2").await;
    let agents = [&scene.a, &scene.b, &scene.o];
    let reports = (0..MANY * 3).map(|nth| {
        let agent = agents[nth % 3].clone();
        let body = used(if nth % 2 == 0 { &scene.story } else { &second }, 1, 1, 25);
        tokio::spawn(async move { agent.post("/token-usage", body).await.expect(201) })
    });
    for reply in join_all(reports.collect::<Vec<_>>()).await {
        reply.unwrap();
    }
    // Two stories of 600 each, three agents of 400 each, a project of 1200.
    let told = scene.told("token_budget", "threshold_crossed").await;
    let mut told: Vec<_> = told
        .iter()
        .map(|(new, _)| format!("{} {}", text(&new["scope_type"]), text(&new["threshold_type"])))
        .collect();
    told.sort_unstable();
    let expected = [
        ("per_agent exceeded", 3),
        ("per_agent warning", 3),
        ("project exceeded", 1),
        ("project warning", 1),
        ("story exceeded", 2),
        ("story warning", 2),
    ];
    let expected: Vec<_> =
        expected.iter().flat_map(|(what, times)| vec![(*what).to_owned(); *times]).collect();
    assert_eq!(told, expected);
}

/// Claims at once set aside no more than there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_at_once_overdraw_nothing() {
    let scene = Scene::new().await;
    let (project, crowd) = crowd(&scene).await;
    for (agent, story) in &crowd {
        bring(story, Reach::Contracted, agent, &scene.b, &scene.o).await;
    }
    let limits = json!({"budget_millicents": 1000, "reserve_millicents": 150, "enforcement": "block"});
    let id = budget(&scene.o, "project", &project, limits).await;
    let claims = crowd.iter().map(|(agent, story)| {
        let (agent, at) = (agent.clone(), format!("/stories/{story}/claim"));
        tokio::spawn(async move { (agent.post(&at, json!({})).await, agent, at) })
    });
    let mut claimed = Vec::new();
    for reply in join_all(claims.collect::<Vec<_>>()).await {
        let (reply, agent, at) = reply.unwrap();
        if reply.status == 200 {
            claimed.push((agent, at.replace("claim", "unclaim")));
        } else {
            reply.expect_error(409, "budget_exhausted");
        }
    }
    assert_eq!(claimed.len(), 6);
    let unclaims =
        claimed.into_iter().map(|(agent, at)| async move { agent.post(&at, json!({})).await.expect(200) });
    join_all(unclaims).await;
    let left = "select count(*) from budget_reservations where budget_id = $1::text::uuid";
    let left: i64 = connect(&server().owner).await.query_one(left, &[&id]).await.unwrap().get(0);
    assert_eq!(left, 0);
}

/// Corrections and deletions of one report, at once: it never falls below nothing, and the sums are those of its rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sums_are_those_of_the_reports_whatever_happens_at_once() {
    let scene = Scene::new().await;
    let user = scene.tenant.user.clone();
    let mut work = Vec::new();
    for nth in 0..MANY {
        let agent = if nth % 2 == 0 { &scene.a } else { &scene.b };
        let reported = agent.post("/token-usage", used(&scene.story, 10, 10, 100)).await.expect(201);
        let at = format!("/token-usage/{}", text(&reported["token_usage_report"]["id"]));
        for _ in 0..3 {
            let (user, at) = (user.clone(), format!("{at}/correction"));
            work.push(tokio::spawn(
                async move { user.post(&at, json!({"cost_millicents": -40})).await.status },
            ));
        }
        let (user, agent, story) = (user.clone(), agent.clone(), scene.story.clone());
        work.push(tokio::spawn(async move {
            if nth % 4 == 0 {
                user.delete(&at).await.status
            } else {
                agent.post("/token-usage", used(&story, 1, 1, 1)).await.status
            }
        }));
    }
    for status in join_all(work).await {
        assert!([200, 201, 404, 422].contains(&status.unwrap()));
    }
    let owner = connect(&server().owner).await;
    let sums = "with live as (
            select * from token_usage_reports where story_id = $1::text::uuid and deleted_at is null
        )
        select (select sum(cost_millicents)::text from live) = (select sum(cost_millicents)::text from usage_by_day where story_id = $1::text::uuid)
           and (select count(*) from live) = (select sum(reports) from usage_by_day where story_id = $1::text::uuid)
           and (select sum(cost_millicents)::text from live) = (select sum(cost_millicents)::text from usage_by_agent where project_id = $2::text::uuid)
           and not exists (
               select from live group by coalesce(corrects_report_id, id) having sum(cost_millicents) < 0)";
    assert!(owner.query_one(sums, &[&scene.story, &scene.project]).await.unwrap().get::<_, bool>(0));
}

/// Budgets come after what they are of, for whoever takes both: nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_budget_changes_while_its_story_goes() {
    let scene = Scene::new().await;
    let (_, crowd) = crowd(&scene).await;
    let user = scene.tenant.user.clone();
    for (_, story) in crowd {
        let at =
            format!("/token-budgets/{}", budget(&user, "story", &story, json!({"token_limit": 9})).await);
        let mut work = Vec::new();
        for limit in 1..=4 {
            let (user, at) = (user.clone(), at.clone());
            work.push(tokio::spawn(
                async move { user.patch(&at, json!({"token_limit": limit})).await.status },
            ));
        }
        let (one, other) = (user.clone(), user.clone());
        work.push(tokio::spawn(async move { one.delete(&format!("/stories/{story}")).await.status }));
        work.push(tokio::spawn(async move { other.delete(&at).await.status }));
        for status in join_all(work).await {
            assert!([200, 204, 404].contains(&status.unwrap()));
        }
    }
    assert_eq!(user.get("/token-budgets").await.expect(200)["data"], json!([]));
}
