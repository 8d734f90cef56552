//! A clock that jumps. What counts is the order of things, whatever any clock says of them.

use loopctl_server::serve::{ServeOptions, Server};
use serde_json::json;
use tokio_postgres::Client;

use super::*;
use crate::support::{Tenant, connect, own_database};

/// A server whose database has the time that a test wants.
///
/// Every statement of the server reads the clock by an unqualified name, in the database, and nowhere else, so names that are
/// found before those of the system are as good as a clock of the machine that was set: any rule that compared times would
/// compare these. Functions with a search path of their own go on reading the true time, and so does the server where it makes an
/// id: what decides must read neither, and had it read them, the walk below would see times that contradict each other.
struct Jumping {
    server: Server,
    clock: Client,
}

impl Jumping {
    async fn start() -> Self {
        let options = ServeOptions {
            public_url: Some("http://loopctl.test".to_owned()),
            ..ServeOptions::local(own_database())
        };
        let server = Server::start(&options).await.expect("a server of this test's own");
        let setting_up = connect(&server.database.owner).await;
        setting_up
            .batch_execute(
                "create schema shifted;
                 create table shifted.clock (ahead interval not null);
                 insert into shifted.clock values ('0');
                 create function shifted.clock_timestamp() returns timestamptz language sql volatile as
                     'select pg_catalog.clock_timestamp() + ahead from shifted.clock';
                 create function shifted.statement_timestamp() returns timestamptz language sql stable as
                     'select pg_catalog.statement_timestamp() + ahead from shifted.clock';
                 create function shifted.now() returns timestamptz language sql stable as
                     'select pg_catalog.now() + ahead from shifted.clock';
                 grant usage on schema shifted to loopctl_app;
                 grant select on shifted.clock to loopctl_app;
                 alter role loopctl_app set search_path = shifted, pg_catalog, public",
            )
            .await
            .unwrap();
        drop(setting_up);
        // Connections that there are have the path that they began with.
        server.stop().await.unwrap();
        let server = Server::start(&options).await.expect("the same again");
        let clock = connect(&server.database.owner).await;
        Self { server, clock }
    }

    async fn scene(&self) -> Scene {
        let base = format!("http://{}", self.server.address);
        Scene::of(Tenant::at(&self.server.database.owner, &base).await).await
    }

    async fn jump(&self, by: &str) {
        self.clock
            .execute("update shifted.clock set ahead = ahead + $1::text::interval", &[&by])
            .await
            .unwrap();
    }

    async fn end(self) {
        drop(self.clock);
        self.server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn no_jump_of_the_clock_makes_an_old_review_count_or_a_new_one_not() {
    let jumping = Jumping::start().await;
    for by in ["-1 hour", "1 hour"] {
        for auto_reset in [true, false] {
            let scene = jumping.scene().await;
            scene.auto_reset(auto_reset).await;
            scene.bring(&scene.story, Reach::Reviewed).await;
            scene.act(&scene.o, "reject", json!({"reason": "no tests"})).await.expect(200);
            let rejected_at = scene.show().await["rejected_at"].clone();
            jumping.jump(by).await;
            if auto_reset {
                scene.bring(&scene.story, Reach::Reported).await;
                let reported_at = scene.show().await["reported_done_at"].clone();
                let backwards = reported_at.as_str() < rejected_at.as_str();
                assert_eq!(backwards, by.starts_with('-'), "the clock jumped: {reported_at} {rejected_at}");
            }
            nothing_verifies(&scene, &scene.o, "review_not_conducted").await;
            // Between report and review, and between review and verification.
            jumping.jump(by).await;
            scene.act(&scene.a2, "review-complete", review()).await.expect(201);
            jumping.jump(by).await;
            let verified = scene.act(&scene.o, "verify", evidence()).await.expect(200);
            assert_eq!(verified["story"]["verification_source"], "loop");
            replay::assert_legal(&scene.o, &scene.story).await;
            // Late, and with the time as it is: the evidence of before is of before.
            scene.act(&scene.o, "reject", json!({"reason": "late"})).await.expect(200);
            if auto_reset {
                scene.bring(&scene.story, Reach::Reported).await;
            }
            nothing_verifies(&scene, &scene.o, "review_not_conducted").await;
        }
    }
    jumping.end().await;
}

/// Who started the story stays an implementer, though it was given back before it was taken.
#[tokio::test]
async fn no_jump_of_the_clock_makes_an_implementer_a_stranger() {
    let jumping = Jumping::start().await;
    let scene = jumping.scene().await;
    let [agent, orchestrator] = scene.keys_of(&scene.a1).await;
    scene.start(&scene.a1).await;
    jumping.jump("-2 hours").await;
    scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
    jumping.jump("-2 hours").await;
    let puppet = scene.tenant.agent().await;
    scene.start(&puppet).await;
    let state = ["implementing", "unverified"];
    blocked(scene.act(&agent, "report", json!({})).await, "self_report_blocked", "report", state, &[true]);
    scene.act(&scene.a2, "report", json!({})).await.expect(200);
    jumping.jump("8 hours").await;
    let state = ["reported_done", "unverified"];
    for who in [&agent, &orchestrator] {
        let reply = scene.act(who, "review-complete", review()).await;
        blocked(reply, "self_review_blocked", "review-complete", state, &[true]);
    }
    nothing_verifies(&scene, &orchestrator, "self_verify_blocked").await;
    scene.finish_honestly(&scene.a2).await;
    jumping.end().await;
}

/// When a review was completed is compared with the report only where somebody says when.
#[tokio::test]
async fn a_time_that_was_not_sent_is_not_checked() {
    let jumping = Jumping::start().await;
    let scene = jumping.scene().await;
    scene.bring(&scene.story, Reach::Reported).await;
    let reported_at = scene.show().await["reported_done_at"].clone();
    jumping.jump("-1 hour").await;
    let mut said = review();
    let an_hour_ago = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    said["completed_at"] = json!(an_hour_ago.to_rfc3339());
    let error = scene.act(&scene.a2, "review-complete", said).await.expect_error(422, "validation_failed");
    assert!(error["details"]["completed_at"].is_array(), "{error:#}");
    let answer = scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    let completed_at = &answer["review_record"]["completed_at"];
    assert!(completed_at.as_str() < reported_at.as_str(), "{completed_at} {reported_at}");
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
    // A backfill has nothing to do with a clock either.
    let id = scene.tenant.story().await;
    jumping.jump("-1 hour").await;
    let done = json!({"reason": "done before"});
    let answer = scene.o.post(&format!("/stories/{id}/backfill"), done).await.expect(200);
    assert_eq!(answer["story"]["verification_source"], "backfill");
    jumping.end().await;
}
