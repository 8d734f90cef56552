//! What views read of the sums.

use loopctl_server::db::Named;
use uuid::Uuid;

use super::{
    DELTA, SECOND, claude_cost, claude_event, claude_events, claude_export, claude_tokens, codex_export,
    is_taken, now, send,
};
use crate::support::{Tenant, connect, server};

fn named(name: &str) -> &'static str {
    let mut all = loopctl_server::statements().map(|(_, named): (_, &Named)| named);
    all.find(|named| named.name == name).unwrap().text
}

/// As the application sees it, in the name of a tenant.
async fn read(tenant: &Tenant, name: &str, ids: &[&str], project: Option<&str>) -> Vec<(String, String)> {
    let mut app = connect(&server().app).await;
    let tx = app.transaction().await.unwrap();
    tx.batch_execute(&format!("set local role loopctl_app; set local loopctl.tenant_id = '{}'", tenant.id))
        .await
        .unwrap();
    let uuid = |text: &str| -> Uuid { text.parse().unwrap() };
    let (tenant, ids, project) =
        (uuid(&tenant.id), ids.iter().map(|id| uuid(id)).collect::<Vec<_>>(), project.map(uuid));
    let day = |text: &str| -> chrono::NaiveDate { text.parse().unwrap() };
    let statement = tx.prepare(named(name)).await.unwrap();
    let rows = match name {
        "MEASURED_OF_AGENTS" => {
            tx.query(&statement, &[&tenant, &ids, &project, &day("2026-01-01"), &day("9999-12-31")]).await
        }
        _ => tx.query(&statement, &[&tenant, &ids]).await,
    };
    let told = rows.unwrap().into_iter().map(|row| {
        let number = |nth: usize| row.get::<_, rust_decimal::Decimal>(nth).to_string();
        let numbers: Vec<_> = (1..6).map(number).collect();
        let has = (row.get::<_, bool>(6), row.get::<_, bool>(7));
        (row.get::<_, Uuid>(0).to_string(), format!("{} {has:?}", numbers.join(" ")))
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[tokio::test]
async fn sums_of_stories_agents_and_projects() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (a, b) = (tenant.agent().await, tenant.agent().await);
    let project = tenant.project_of(&["1.1"]).await;
    let story = tenant.story_id(&project, "1.1").await;
    let at = now();
    let says = [("loopctl.story_id", story.as_str())];
    let export = claude_export(
        &says,
        DELTA,
        vec![
            claude_tokens("s", "input", at - SECOND, at, 10.0),
            claude_tokens("s", "output", at - SECOND, at, 5.0),
            claude_tokens("s", "cacheRead", at - SECOND, at, 99.0),
        ],
        vec![claude_cost("s", at - SECOND, at, 0.5)],
    );
    is_taken(send(&a, &export).await);
    // What its events say does not count beside that.
    is_taken(
        send(&a, &claude_events(&says, vec![claude_event("s", at, 1, &[("input_tokens", "777")])])).await,
    );
    is_taken(send(&b, &codex_export(&says, at - SECOND, at, &[("input", 8.0), ("cached_input", 3.0)])).await);
    // Of no story, and of a cache alone: what it is a part of has not been told yet.
    is_taken(send(&b, &codex_export(&[], at, at + 1, &[("cached_input", 50.0)])).await);
    let of_story = "15 5 102 0 500000000000 (true, true)".to_owned();
    let row = |id: &str, told: &str| (id.to_owned(), told.to_owned());
    let stories = read(&tenant, "MEASURED_OF_STORIES", &[&story, a.agent()], None).await;
    assert_eq!(stories, [(story.clone(), of_story.clone())]);
    assert_eq!(read(&tenant, "MEASURED_OF_PROJECTS", &[&project], None).await, [(project.clone(), of_story)]);
    let of_a = row(a.agent(), "10 5 99 0 500000000000 (true, true)");
    let everywhere = read(&tenant, "MEASURED_OF_AGENTS", &[a.agent(), b.agent()], None).await;
    let mut expected = [of_a.clone(), row(b.agent(), "0 0 53 0 0 (true, false)")];
    expected.sort();
    assert_eq!(everywhere, expected);
    let mut expected = [of_a, row(b.agent(), "5 0 3 0 0 (true, false)")];
    expected.sort();
    let there = read(&tenant, "MEASURED_OF_AGENTS", &[a.agent(), b.agent()], Some(&project)).await;
    assert_eq!(there, expected);
    for name in ["MEASURED_OF_STORIES", "MEASURED_OF_AGENTS", "MEASURED_OF_PROJECTS"] {
        assert_eq!(read(&other, name, &[&story, a.agent(), &project], None).await, [], "{name}");
    }
}
