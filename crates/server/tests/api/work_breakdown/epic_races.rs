//! Changes of epics at once, and beside what moves their stories.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::epic_deletion::rows_that_name;
use super::{epic_id, plain, told};
use crate::support::{Reply, Tenant, connect, echo, server, story, text};

#[tokio::test]
async fn of_many_with_one_number_one_is_created() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let at = format!("/projects/{project}/epics");
    for number in 1..=5 {
        let body = json!({"number": number, "title": "E"});
        let mut created = 0;
        for reply in join_all((0..8).map(|_| tenant.user.post(&at, body.clone()))).await {
            if reply.status == 201 {
                created += 1;
                continue;
            }
            let error = reply.expect_error(422, "validation_failed");
            assert!(
                text(&error["message"])
                    .starts_with(&format!("Epic {number} already exists in this project."))
            );
            assert_eq!(error["details"], json!({"number": ["has already been taken for this project"]}));
        }
        assert_eq!(created, 1);
    }
    let log = tenant.audit_log().await;
    assert_eq!(log.iter().filter(|entry| entry["entity_type"] == "epic").count(), 5);
    tenant.keeps_count().await;
}

/// The last writer wins, and every entry's old state is the one before's new state.
#[tokio::test]
async fn changes_follow_one_another() {
    let tenant = Tenant::new().await;
    let project =
        tenant.imported(json!({"epics": [{"number": 1, "title": "E", "stories": [plain("1.1")]}]})).await;
    let epic = epic_id(&tenant, &project, 1).await;
    let at = format!("/epics/{epic}");
    join_all((1..=24).map(async |number| {
        let body = match number % 3 {
            0 => json!({"title": format!("t{number}")}),
            1 => json!({"position": number}),
            _ => json!({"title": format!("t{number}"), "position": number}),
        };
        tenant.user.patch(&at, body).await.expect(200);
    }))
    .await;
    let entries = told(&tenant, &epic).await;
    assert_eq!(entries.len(), 24);
    let mut state = json!({"title": "E", "phase": null, "position": 0});
    for entry in &entries {
        assert_eq!(entry[1], state);
        state = entry[2].clone();
    }
    let shown = tenant.user.get(&at).await.expect(200)["epic"].clone();
    assert_eq!(json!({"title": shown["title"], "phase": null, "position": shown["position"]}), state);
    tenant.keeps_count().await;
}

/// The others learn that there is nothing left to delete: 404, and one entry in the log.
#[tokio::test]
async fn of_many_who_delete_one_does() {
    let tenant = Tenant::new().await;
    for _ in 0..5 {
        let project = tenant.project_of(&["1.1", "1.2"]).await;
        let epic = epic_id(&tenant, &project, 1).await;
        let at = format!("/epics/{epic}");
        let mut deleted = 0;
        for reply in join_all((0..6).map(|_| tenant.user.delete(&at))).await {
            if reply.status == 204 {
                deleted += 1;
            } else {
                reply.expect_error(404, "not_found");
            }
        }
        assert_eq!(deleted, 1);
        let log = tenant.audit_log().await;
        let of_project = log.iter().filter(|entry| entry["project_id"] == project);
        assert_eq!(of_project.filter(|entry| entry["action"] == "deleted").count(), 3);
    }
    tenant.keeps_count().await;
}

fn assert_done_or_gone(reply: Reply, done: u16) {
    if reply.status != done {
        reply.expect_error(404, "not_found");
    }
}

/// An epic is deleted while its stories are claimed and worked on: no orphans, no 5xx, and nothing is told of a story
/// after its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletion_beside_claims_leaves_no_orphans() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let owner = connect(&server().owner).await;
    let mut done = 0;
    for round in 0..12 {
        let numbers: Vec<String> = (1..=8).map(|minor| format!("1.{minor}")).collect();
        let stories: Vec<Value> = numbers.iter().map(|number| story(number)).collect();
        let project =
            tenant.imported(json!({"epics": [{"number": 1, "title": "E", "stories": stories}]})).await;
        let epic = epic_id(&tenant, &project, 1).await;
        let list = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
        let mut ids: Vec<String> =
            list["data"].as_array().unwrap().iter().map(|story| text(&story["id"])).collect();
        join_all(ids.iter().map(async |id| {
            agent.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
        }))
        .await;
        let claims = ids.clone().into_iter().enumerate().map(|(nth, id)| {
            let (agent, artifact) = (agent.clone(), json!({"artifact_type": "test", "path": "t.rs"}));
            tokio::spawn(async move {
                if nth % 2 == 0 {
                    (agent.post(&format!("/stories/{id}/artifacts"), artifact).await, 201)
                } else {
                    (agent.post_empty(&format!("/stories/{id}/claim")).await, 200)
                }
            })
        });
        let claims: Vec<_> = claims.collect();
        let (user, at) = (tenant.user.clone(), format!("/epics/{epic}"));
        let deletion = tokio::spawn(async move {
            // Each time a little later than the claims.
            for _ in 0..round * 40 {
                tokio::task::yield_now().await;
            }
            user.delete(&at).await
        });
        for claim in join_all(claims).await {
            let (reply, status) = claim.unwrap();
            done += usize::from(reply.status == status);
            assert_done_or_gone(reply, status);
        }
        deletion.await.unwrap().expect(204);
        ids.push(epic);
        assert_eq!(rows_that_name(&owner, &ids).await, 0);
        let log = tenant.audit_log().await;
        for id in &ids {
            let of_it: Vec<_> = log.iter().filter(|entry| entry["entity_id"] == *id).collect();
            assert_eq!(of_it.last().unwrap()["action"], "deleted");
            assert_eq!(of_it.iter().filter(|entry| entry["action"] == "deleted").count(), 1);
        }
    }
    assert!(done > 0, "the deletion never came too late for anybody");
    tenant.keeps_count().await;
}

/// Imports into the epic while it is deleted: they find it, or make it anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletion_beside_merges() {
    let tenant = Tenant::new().await;
    for _ in 0..8 {
        let payload = json!({"merge": true, "epics": [{"number": 1, "title": "E", "stories": [plain("1.1"), plain("1.2")]}]});
        let project = tenant.project().await;
        let import = format!("/projects/{project}/import");
        tenant.user.post(&import, payload.clone()).await.expect(200);
        let epic = epic_id(&tenant, &project, 1).await;
        let at = format!("/epics/{epic}");
        let merges = join_all((0..3).map(|_| tenant.user.post(&import, payload.clone())));
        let (deleted, merges) = join(tenant.user.delete(&at), merges).await;
        deleted.expect(204);
        let anew = merges.into_iter().filter(|reply| {
            let counts = reply.clone().expect(200)["import"].clone();
            let stories = (counts["stories_created"].as_i64(), counts["stories_updated"].as_i64());
            assert!([(Some(2), Some(0)), (Some(0), Some(2))].contains(&stories), "{counts}");
            counts["epics_created"] == 1
        });
        let anew = anew.count();
        let shown = tenant.user.get(&format!("/projects/{project}")).await.expect(200)["project"].clone();
        let expected = if anew == 1 { (json!(1), json!(2)) } else { (json!(0), json!(0)) };
        assert_eq!((&shown["epic_count"], &shown["story_count"]), (&expected.0, &expected.1));
        assert!(anew <= 1);
    }
    tenant.keeps_count().await;
}

/// A position reaches the stories while they are moved: everything passes, and all are in step.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn positions_beside_the_loop() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let numbers = ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6"];
    let project = tenant.project_of(&numbers).await;
    let epic = epic_id(&tenant, &project, 1).await;
    let list = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
    let mut tasks = Vec::new();
    for position in 1..=10 {
        let (user, at) = (tenant.user.clone(), format!("/epics/{epic}"));
        tasks.push(tokio::spawn(async move {
            user.patch(&at, json!({"position": position})).await.expect(200);
        }));
    }
    for story in list["data"].as_array().unwrap() {
        let (agent, at) = (agent.clone(), format!("/stories/{}", text(&story["id"])));
        tasks.push(tokio::spawn(async move {
            agent.post(&format!("{at}/contract"), echo()).await.expect(200);
            for action in ["claim", "start", "unclaim"] {
                agent.post_empty(&format!("{at}/{action}")).await.expect(200);
            }
        }));
    }
    for (task, import) in (20..24).enumerate() {
        let (user, at) = (tenant.user.clone(), format!("/projects/{project}/import"));
        // The same text: a contract echoes the title that it has read.
        let stories = json!([story("1.1"), plain(&format!("1.{import}"))]);
        let payload =
            json!({"merge": true, "epics": [{"number": 1, "title": format!("E{task}"), "stories": stories}]});
        tasks.push(tokio::spawn(async move {
            user.post(&at, payload).await.expect(200);
        }));
    }
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let row = connect(&server().owner)
        .await
        .query_one(
            "select count(*), count(*) filter (where s.epic_position = e.position)
             from stories s join epics e on e.tenant_id = s.tenant_id and e.id = s.epic_id
             where e.id = $1::text::uuid",
            &[&epic],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (10, 10));
    tenant.keeps_count().await;
}
