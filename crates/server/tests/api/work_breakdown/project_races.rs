//! Changes of projects at once.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{archive, told};
use crate::support::{Tenant, connect, server, somebody_waits_for, text, unique};

/// Creation and reactivation draw on one limit.
#[tokio::test]
async fn the_limit_holds_for_those_who_come_and_those_who_come_back() {
    let tenant = Tenant::new().await;
    let mut archived = Vec::new();
    for _ in 0..10 {
        let project = tenant.project().await;
        archive(&tenant, &project).await;
        archived.push(project);
    }
    let body = json!({"settings": {"max_projects": 5}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let back = archived.iter().map(async |project| {
        tenant.user.patch(&format!("/projects/{project}"), json!({"status": "active"})).await
    });
    let new = (0..10).map(async |_| {
        let slug = unique("race");
        tenant.user.post("/projects", json!({"name": slug, "slug": slug})).await
    });
    let (back, new) = join(join_all(back), join_all(new)).await;
    let mut passed = 0;
    for reply in back.into_iter().chain(new) {
        if [200, 201].contains(&reply.status) {
            passed += 1;
        } else {
            reply.expect_error(422, "project_limit_reached");
        }
    }
    assert_eq!(passed, 5);
    let list = tenant.user.get("/projects").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 5);
}

/// The last writer wins, and every entry's old state is the one before's new state.
#[tokio::test]
async fn changes_follow_one_another() {
    let tenant = Tenant::new().await;
    let o = tenant.key("orchestrator").await;
    let project = tenant.project().await;
    let at = format!("/projects/{project}");
    tenant.user.patch(&at, json!({"name": "start", "mission": "start"})).await.expect(200);
    let writers = (0..24).map(async |number| {
        let who = if number % 2 == 0 { &o } else { &tenant.user };
        // Half of them know nothing of the other field.
        let body = match number % 3 {
            0 => json!({"name": format!("n{number}")}),
            1 => json!({"mission": format!("m{number}")}),
            _ => json!({"name": format!("n{number}"), "mission": format!("m{number}")}),
        };
        who.patch(&at, body).await.expect(200)
    });
    let replies = join_all(writers).await;
    let entries = told(&tenant, &project).await;
    assert_eq!(entries.len(), 1 + 24);
    let mut state = json!({"name": "start", "mission": "start", "status": "active"});
    for entry in &entries[1..] {
        for (name, value) in entry[1].as_object().unwrap() {
            assert_eq!(state[name], *value, "{entry}");
        }
        state.as_object_mut().unwrap().extend(entry[2].as_object().unwrap().clone());
    }
    let shown = tenant.user.get(&at).await.expect(200)["project"].clone();
    for name in ["name", "mission", "status"] {
        assert_eq!(shown[name], state[name]);
    }
    let newest = replies.iter().map(|reply| text(&reply["project"]["updated_at"])).max().unwrap();
    assert_eq!(shown["updated_at"], newest);
}

#[tokio::test]
async fn of_many_who_archive_one_is_told() {
    let tenant = Tenant::new().await;
    for _ in 0..5 {
        let project = tenant.project().await;
        let at = format!("/projects/{project}");
        let stamps: Vec<Value> = join_all((0..6).map(async |_| {
            let archived = tenant.user.delete(&at).await.expect(200)["project"].clone();
            assert_eq!(archived["status"], "archived");
            archived["updated_at"].clone()
        }))
        .await;
        assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{stamps:?}");
        let entry = json!(["project/archived", {"status": "active"}, {"status": "archived"}]);
        assert_eq!(told(&tenant, &project).await, [entry]);
    }
}

/// Archiving and bringing back: whatever the order, what is told is what happened.
#[tokio::test]
async fn archiving_and_reactivation_take_turns() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let at = format!("/projects/{project}");
    join_all((0..20).map(async |number| {
        if number % 2 == 0 {
            tenant.user.delete(&at).await.expect(200);
        } else {
            tenant.user.patch(&at, json!({"status": "active"})).await.expect(200);
        }
    }))
    .await;
    let mut status = json!("active");
    for entry in told(&tenant, &project).await {
        assert_eq!(entry[1]["status"], status);
        assert_ne!(entry[2]["status"], status);
        status = entry[2]["status"].clone();
    }
    let shown = tenant.user.get(&at).await.expect(200);
    assert_eq!(shown["project"]["status"], status);
}

/// A limit that is set while somebody waits for the project counts for whoever waited.
#[tokio::test]
async fn a_limit_is_read_after_the_wait() {
    let one = json!({"number": "1.2", "title": "s"});
    let by_number = json!({"number": "1.2", "title": "s", "epic_number": 1});
    let plan = json!({"epics": [{"number": 1, "title": "E", "stories": [one.clone()]}]});
    for (path, body) in [
        ("/epics/{epic}/stories", one),
        ("/projects/{project}/stories", by_number),
        ("/projects/{project}/import?merge=true", plan),
    ] {
        let tenant = Tenant::new().await;
        let project = tenant.project_of(&["1.1"]).await;
        let epics = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
        let path = path.replace("{project}", &project).replace("{epic}", &text(&epics["data"][0]["id"]));
        let mut owner = connect(&server().owner).await;
        let lock = owner.transaction().await.unwrap();
        lock.execute("select from projects where id = $1::text::uuid for update", &[&project]).await.unwrap();
        let (user, at) = (tenant.user.clone(), path.clone());
        let call = tokio::spawn(async move { user.post(&at, body).await });
        somebody_waits_for(&lock).await;
        let limit = json!({"settings": {"max_stories_per_project": 1}});
        tenant.user.patch("/tenants/me", limit).await.expect(200);
        lock.rollback().await.unwrap();
        call.await.unwrap().expect_error(422, "story_limit_reached");
        let list = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
        assert_eq!(list["meta"]["total_count"], 1, "{path}");
    }
}
