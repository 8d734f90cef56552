//! Planners beside planners, and beside the loop.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{BoxFuture, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use super::dependencies::{Plan, edge};
use super::{column, told};
use crate::races::together;
use crate::support::{Caller, Reply, Tenant, connect, echo, server, text};
use crate::trust_loop::walk::Dice;

const ROUNDS: usize = 12;

/// A call to be made later.
fn call(who: &Caller, method: Method, path: &str, body: Value) -> BoxFuture<'static, Reply> {
    let (who, path) = (who.clone(), path.to_owned());
    Box::pin(async move { who.send(who.request(method, &path).json(&body)).await })
}

fn post(who: &Caller, path: &str, body: Value) -> BoxFuture<'static, Reply> {
    call(who, Method::POST, path, body)
}

fn delete(who: &Caller, path: &str) -> BoxFuture<'static, Reply> {
    call(who, Method::DELETE, path, json!({}))
}

/// How many answers there were of each status.
fn statuses(replies: &[Reply]) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for reply in replies {
        *statuses.entry(reply.status).or_default() += 1;
    }
    statuses
}

/// Each of two edges is fine alone; the second must be judged with the first in place.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opposite_edges_never_leave_a_cycle() {
    for (a, b, code) in [
        ("1.1", "2.1", "dependency_cycle"),
        ("1", "2", "dependency_cycle"),
        ("1.1", "1.2", "dependency_cycle"),
    ] {
        for _ in 0..4 {
            let plan = Plan::new(&[&["1.1", "1.2"], &["2.1"]]).await;
            let calls: Vec<_> = (0..20)
                .map(|index| {
                    let (path, body) = if index % 2 == 0 { plan.call(a, b) } else { plan.call(b, a) };
                    post(&plan.o, path, body)
                })
                .collect();
            let replies = together(calls).await;
            assert_eq!(statuses(&replies), BTreeMap::from([(201, 1), (409, 9), (422, 10)]));
            for reply in replies.into_iter().filter(|reply| reply.status == 422) {
                reply.expect_error(422, code);
            }
            assert_eq!(plan.edges().await.len(), 1);
        }
    }
}

/// As [`opposite_edges_never_leave_a_cycle`], where the circle needs more than two edges, or both levels.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn edges_that_close_a_circle_together_are_not_all_let_in() {
    for circle in [
        &[("1.1", "2.1"), ("2.1", "3.1"), ("3.1", "1.1")][..],
        &[("1", "2"), ("2", "3"), ("3", "1")],
        &[("1", "2"), ("2.1", "1.1")],
        &[("1", "2"), ("2", "3"), ("3.1", "1.1")],
        &[("1", "2"), ("2.1", "3.1"), ("3.1", "1.1")],
    ] {
        for _ in 0..3 {
            let plan = Plan::new(&[&["1.1"], &["2.1"], &["3.1"]]).await;
            let calls: Vec<_> = (0..18)
                .map(|index| {
                    let (from, to) = circle[index % circle.len()];
                    let (path, body) = plan.call(from, to);
                    post(&plan.o, path, body)
                })
                .collect();
            let replies = together(calls).await;
            let of_each = 18 / circle.len();
            let open = circle.len() - 1;
            let expected = BTreeMap::from([(201, open), (409, open * (of_each - 1)), (422, of_each)]);
            assert_eq!(statuses(&replies), expected, "{circle:?}");
            assert_eq!(plan.edges().await.len(), open);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_number_is_given_once() {
    let plan = Plan::new(&[&[], &[]]).await;
    for round in 1..=ROUNDS {
        let number = format!("1.{round}");
        let calls: Vec<_> = (0..12)
            .map(|index| {
                let epic = ["1", "2"][index % 2];
                let body = json!({"epic_number": epic, "number": number, "title": format!("T{index}"),
                                  "acceptance_criteria": [{"id": "AC-1"}]});
                let path = match index % 3 {
                    0 => format!("/projects/{}/stories", plan.project),
                    _ => format!("/epics/{}/stories", plan.id(epic)),
                };
                post(&plan.o, &path, body)
            })
            .collect();
        let replies = together(calls).await;
        assert_eq!(statuses(&replies), BTreeMap::from([(201, 1), (422, 11)]));
        let won = replies.iter().find(|reply| reply.status == 201).unwrap();
        let list =
            plan.o.get(&format!("/stories?project_id={}&number={number}", plan.project)).await.expect(200);
        assert_eq!(list["data"], json!([won.body["story"]]));
        for reply in replies.into_iter().filter(|reply| reply.status == 422) {
            let error = reply.expect_error(422, "validation_failed");
            assert!(
                text(&error["message"]).starts_with(&format!("Story {number} already exists")),
                "{error}"
            );
        }
    }
    let log = plan.tenant.audit_log().await;
    let created = log.iter().filter(|entry| entry["entity_type"] == "story" && entry["action"] == "created");
    assert_eq!(created.count(), ROUNDS);
    plan.tenant.keeps_count().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_of_stories_holds() {
    let tenant = Tenant::new().await;
    let body = json!({"settings": {"max_stories_per_project": 5}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    for _ in 0..4 {
        let plan = Plan::of(
            Tenant { id: tenant.id.clone(), slug: tenant.slug.clone(), user: tenant.user.clone() },
            &[&[], &[]],
        )
        .await;
        let import = json!({"merge": true, "epics": [{"number": 2, "stories": [super::plain("9.1"), super::plain("9.2")]}]});
        let import = post(&tenant.user, &format!("/projects/{}/import", plan.project), import);
        let mut calls = vec![import];
        calls.extend((0..15).map(|index| {
            let body = json!({"epic_number": 1 + index % 2, "number": format!("1.{index}"), "title": "T"});
            post(&plan.o, &format!("/projects/{}/stories", plan.project), body)
        }));
        let replies = together(calls).await;
        let imported = if replies[0].status == 200 { 2 } else { 0 };
        assert_eq!(statuses(&replies[1..]), BTreeMap::from([(201, 5 - imported), (422, 10 + imported)]));
        for reply in replies.into_iter().filter(|reply| reply.status == 422) {
            reply.expect_error(422, "story_limit_reached");
        }
        let shown = plan.o.get(&format!("/projects/{}", plan.project)).await.expect(200);
        assert_eq!(shown["project"]["story_count"], 5);
    }
    tenant.keeps_count().await;
}

/// The other learns that there is nothing left to delete.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_deletes_one_finds_something() {
    let numbers: Vec<String> = (1..=ROUNDS).map(|minor| format!("1.{minor}")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let plan = Plan::new(&[&numbers, &["2.1"]]).await;
    for number in numbers {
        let edges = [plan.added("2.1", number).await, plan.added("2", "1").await];
        let paths = [
            (format!("/story_dependencies/{}", edges[0]), &edges[0]),
            (format!("/epic_dependencies/{}", edges[1]), &edges[1]),
            (format!("/stories/{}", plan.id(number)), &plan.id(number).to_owned()),
        ];
        for (path, id) in paths {
            let replies = together((0..4).map(|_| delete(&plan.tenant.user, &path)).collect()).await;
            assert_eq!(statuses(&replies), BTreeMap::from([(204, 1), (404, 3)]), "{path}");
            let log = told(&plan.tenant, id).await;
            assert_eq!(log.len(), 1, "{log:?}");
            assert!(text(&log[0][0]).ends_with("/deleted"));
        }
    }
    plan.tenant.keeps_count().await;
}

/// An edge to a story that is being deleted: it comes first and goes with the story, or it finds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_edge_to_a_story_that_goes() {
    let numbers: Vec<String> = (1..=ROUNDS).map(|minor| format!("1.{minor}")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let plan = Plan::new(&[&numbers, &["2.1", "2.2"]]).await;
    for (round, number) in numbers.iter().enumerate() {
        let story = plan.id(number);
        let (from, to) = if round % 2 == 0 { (*number, "2.1") } else { ("2.1", *number) };
        let (path, body) = plan.call(from, to);
        let (second_path, second) = plan.call("2.2", number);
        let mut calls = vec![post(&plan.o, path, body), post(&plan.o, second_path, second)];
        calls.insert(round % 3, delete(&plan.tenant.user, &format!("/stories/{story}")));
        let mut replies = together(calls).await;
        assert_eq!(replies.remove(round % 3).status, 204);
        assert_eq!(plan.edges().await, [] as [Value; 0]);
        for reply in replies {
            if reply.status == 404 {
                reply.expect_error(404, "not_found");
                continue;
            }
            let edge = text(&reply.expect(201)["story_dependency"]["id"]);
            let log = told(&plan.tenant, &edge).await;
            assert_eq!(log.len(), 1, "{log:?}");
            assert_eq!(log[0][0], "story_dependency/deleted");
        }
    }
    plan.tenant.keeps_count().await;
}

/// A claim of a story that is being deleted: it comes first, or it finds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_of_a_story_that_goes() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    for round in 0..ROUNDS {
        let id = tenant.story().await;
        agent.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
        let mut calls = vec![
            post(&agent, &format!("/stories/{id}/claim"), json!({})),
            delete(&tenant.user, &format!("/stories/{id}")),
            post(&agent, &format!("/stories/{id}/artifacts"), json!({"artifact_type": "test", "path": "a"})),
        ];
        calls.rotate_left(round % 3);
        let mut replies = together(calls).await;
        replies.rotate_right(round % 3);
        let [claim, delete, artifact] = replies.try_into().unwrap();
        delete.expect(204);
        let mut expected = vec![json!("story/status_changed")];
        if claim.status == 200 {
            expected.push(json!("story/status_changed"));
        } else {
            claim.expect_error(404, "not_found");
        }
        if artifact.status != 201 {
            artifact.expect_error(404, "not_found");
        }
        expected.push(json!("story/deleted"));
        let log: Vec<_> = told(&tenant, &id).await.into_iter().map(|entry| entry[0].clone()).collect();
        assert_eq!(log, expected);
        agent.get(&format!("/stories/{id}")).await.expect(404);
        let left = connect(&server().owner).await;
        let sql = "select count(*) from artifact_reports where story_id = $1::text::uuid";
        assert_eq!(left.query_one(sql, &[&id]).await.unwrap().get::<_, i64>(0), 0);
    }
    tenant.keeps_count().await;
}

/// A contract agrees to the criteria of the moment: it comes before their change, or it is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn criteria_change_while_they_are_agreed_to() {
    let tenant = Tenant::new().await;
    let (agent, o) = (tenant.agent().await, tenant.key("orchestrator").await);
    let mut won = 0;
    for round in 0..ROUNDS {
        let id = tenant.story().await;
        let change = json!({"acceptance_criteria": [{"id": "AC-1", "criterion": "It is quick"}]});
        let mut calls = vec![
            post(&agent, &format!("/stories/{id}/contract"), echo()),
            call(&o, Method::PATCH, &format!("/stories/{id}"), change),
        ];
        let swapped = round % 2 == 1;
        if swapped {
            calls.reverse();
        }
        let mut replies = together(calls).await;
        if swapped {
            replies.reverse();
        }
        let [contract, change] = replies.try_into().unwrap();
        change.expect(200);
        let log: Vec<_> = told(&tenant, &id).await.into_iter().map(|entry| entry[0].clone()).collect();
        if contract.status == 200 {
            won += 1;
            assert_eq!(log, ["story/status_changed", "story/updated", "story/criteria_changed"]);
        } else {
            assert_eq!(contract.expect(422)["error"]["code"], "contract_mismatch");
            assert_eq!(log, ["story/updated"]);
        }
        let rows = o.get(&format!("/stories/{id}/acceptance_criteria")).await.expect(200);
        assert_eq!(column(&rows, "description"), ["It is quick"]);
    }
    assert!(won > 0, "no race at all: the contract always lost");
    tenant.keeps_count().await;
}

/// Two planners change different fields: both changes are there in the end, and the log chains them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_one_story_take_turns() {
    let tenant = Tenant::new().await;
    let id = tenant.story().await;
    let path = format!("/stories/{id}");
    let calls: Vec<_> = (0..16)
        .map(|index| {
            let body = match index % 2 {
                0 => json!({"title": format!("T{index}")}),
                _ => json!({"description": format!("D{index}"),
                            "acceptance_criteria": [{"id": format!("AC-{index}")}]}),
            };
            call(&tenant.user, Method::PATCH, &path, body)
        })
        .collect();
    for reply in together(calls).await {
        reply.expect(200);
    }
    let log = told(&tenant, &id).await;
    assert_eq!(log.len(), 16);
    for pair in log.windows(2) {
        for name in ["title", "description"] {
            assert_eq!(pair[0][2][name], pair[1][1][name], "{pair:?}");
        }
    }
    let shown = tenant.user.get(&path).await.expect(200)["story"].clone();
    let rows = tenant.user.get(&format!("{path}/acceptance_criteria")).await.expect(200);
    assert_eq!(column(&rows, "ac_id"), [text(&shown["acceptance_criteria"][0]["id"])]);
    tenant.keeps_count().await;
}

/// Everybody changes one plan at once: no failure of the server, nothing left hanging, and the log tells exactly what
/// is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_free_for_all_leaves_a_sound_plan() {
    let plan = Plan::new(&[&["1.1", "1.2", "1.3"], &["2.1", "2.2"], &["3.1"], &[]]).await;
    let agent = plan.tenant.agent().await;
    let tasks: Vec<_> = (0..10)
        .map(|worker: u64| {
            let (user, agent, project) = (plan.tenant.user.clone(), agent.clone(), plan.project.clone());
            tokio::spawn(async move {
                let mut dice = Dice(crate::support::seed().wrapping_add(worker + 1));
                let mut seen = BTreeMap::new();
                for step in 0..25 {
                    let graph = user.get(&format!("/projects/{project}/dependency_graph")).await.expect(200);
                    let epics = graph["graph"]["epics"].as_array().unwrap();
                    let epic_ids: Vec<_> = epics.iter().map(|epic| text(&epic["id"])).collect();
                    let stories = epics.iter().flat_map(|epic| epic["stories"].as_array().unwrap());
                    let story_ids: Vec<_> = stories.map(|story| text(&story["id"])).collect();
                    if epic_ids.is_empty() || story_ids.is_empty() {
                        break;
                    }
                    let (epic, other) = (dice.pick(&epic_ids), dice.pick(&epic_ids));
                    let (story, second) = (dice.pick(&story_ids), dice.pick(&story_ids));
                    let number = format!("{}.{step}", worker + 10);
                    let what = if worker == 0 && step == 12 { 12 } else { dice.below(19) };
                    let reply = match what {
                        0..5 => {
                            let (path, body) = edge(true, story, second);
                            user.post(path, body).await
                        }
                        5..8 => {
                            let (path, body) = edge(false, epic, other);
                            user.post(path, body).await
                        }
                        8..11 => {
                            let body = json!({"number": number, "title": "T", "acceptance_criteria": [{}]});
                            user.post(&format!("/epics/{epic}/stories"), body).await
                        }
                        11 => user.delete(&format!("/stories/{story}")).await,
                        12 if step == 12 && worker == 0 => user.delete(&format!("/epics/{epic}")).await,
                        12..15 => {
                            let body = json!({"description": number, "acceptance_criteria": [{"id": number}]});
                            user.patch(&format!("/stories/{story}"), body).await
                        }
                        15 => {
                            let body = json!({"position": dice.below(5)});
                            user.patch(&format!("/epics/{epic}"), body).await
                        }
                        16 => {
                            let stories = [json!({"number": number, "title": "I"})];
                            let body = json!({"merge": true, "epics": [{"number": 3, "title": "E", "stories": stories}]});
                            user.post(&format!("/projects/{project}/import"), body).await
                        }
                        17 => {
                            let list = user.get(&format!("/epics/{epic}/story_dependencies")).await;
                            let edges = list.body["data"].as_array().cloned().unwrap_or_default();
                            let Some(edge) = edges.first() else { continue };
                            user.delete(&format!("/story_dependencies/{}", text(&edge["id"]))).await
                        }
                        _ => agent.post_empty(&format!("/stories/{story}/claim")).await,
                    };
                    assert!(reply.status < 500, "{:#}", reply.body);
                    *seen.entry(reply.status).or_insert(0) += 1;
                }
                seen
            })
        })
        .collect();
    let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
    for statuses in join_all(tasks).await {
        for (status, count) in statuses.unwrap() {
            *seen.entry(status).or_default() += count;
        }
    }
    assert!(seen.get(&201).is_some_and(|count| *count > 10), "{seen:?}");

    // Replayed from the log, it is what the database holds.
    let mut told: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for entry in plan.tenant.audit_log().await {
        let (kind, id) = (text(&entry["entity_type"]), text(&entry["entity_id"]));
        let of_kind = told.entry(kind.clone()).or_default();
        match text(&entry["action"]).as_str() {
            "created" => {
                let before = of_kind.insert(id, entry["new_state"].clone());
                assert_eq!(before, None, "{kind} created twice");
            }
            "deleted" => assert!(of_kind.remove(&id).is_some(), "{kind} deleted twice"),
            "updated" if kind != "tenant" => {
                assert!(of_kind.contains_key(&id), "{kind} changed after its end")
            }
            _ => {}
        }
    }
    let owner = connect(&server().owner).await;
    let ids = async |table: &str| -> BTreeSet<String> {
        let sql = format!("select id::text from {table} where project_id = $1::text::uuid");
        owner.query(&sql, &[&plan.project]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    for (kind, table) in [("epic", "epics"), ("story", "stories")] {
        let left: BTreeSet<_> = told[kind].keys().cloned().collect();
        assert_eq!(ids(table).await, left, "{table}");
    }
    for (kind, end, table) in [
        ("epic_dependency", "epic", "epic_dependencies"),
        ("story_dependency", "story", "story_dependencies"),
    ] {
        // Those of a deleted epic went with it.
        let there = |edge: &&(String, Value)| {
            edge.1.as_object().unwrap().values().all(|id| told[end].contains_key(&text(id)))
        };
        let edges: Vec<_> = told.get(kind).cloned().unwrap_or_default().into_iter().collect();
        let left: BTreeSet<_> = edges.iter().filter(there).map(|edge| edge.0.clone()).collect();
        assert_eq!(ids(table).await, left, "{table}");
    }
    // Criteria and positions are in step.
    let astray: i64 = owner
        .query_one(
            "select count(*) from stories s join epics e on e.id = s.epic_id
             where s.project_id = $1::text::uuid
               and (s.epic_position <> e.position
                    or jsonb_array_length(s.acceptance_criteria)
                       <> (select count(*) from story_acceptance_criteria c where c.story_id = s.id))",
            &[&plan.project],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(astray, 0);
    // An import checks the whole graph, also of what was there before.
    let body = json!({"merge": true, "epics": [{"number": 99, "title": "New"}]});
    plan.tenant.user.post(&format!("/projects/{}/import", plan.project), body).await.expect(200);
    plan.tenant.keeps_count().await;
}
