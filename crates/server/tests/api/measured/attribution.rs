//! To which story what was measured belongs.

use super::{DELTA, claude_export, claude_tokens, counted, is_taken, now, partial, send};
use crate::support::{Caller, Reach, Reply, Tenant, bring};

/// Ten input tokens, of a resource that says this.
async fn ten(agent: &Caller, says: &[(&str, &str)]) -> Reply {
    let at = now();
    send(agent, &claude_export(says, DELTA, vec![claude_tokens("s", "input", at - 1, at, 10.0)], Vec::new()))
        .await
}

async fn of(column: &str, id: &str) -> i64 {
    counted(column, id).await[0]
}

#[tokio::test]
async fn stories_that_a_resource_names() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let project = tenant.project_of(&["1.1", "1.2"]).await;
    let [one, two] = [tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await];
    let shown = tenant.user.get(&format!("/projects/{project}")).await.expect(200);
    let slug = shown["project"]["slug"].as_str().unwrap();
    is_taken(ten(&agent, &[("loopctl.story_id", &one)]).await);
    is_taken(ten(&agent, &[("loopctl.story_id", &one.to_uppercase())]).await);
    is_taken(ten(&agent, &[("loopctl.story_number", "1.2"), ("loopctl.project", slug)]).await);
    is_taken(ten(&agent, &[("loopctl.story_number", " 1.2 "), ("loopctl.project", &project)]).await);
    // The id counts where both are named.
    is_taken(ten(&agent, &[("loopctl.story_id", &one), ("loopctl.story_number", "9.9")]).await);
    assert_eq!((of("story_id", &one).await, of("story_id", &two).await), (30, 20));
    // A project alone.
    is_taken(ten(&agent, &[("loopctl.project", slug)]).await);
    assert_eq!((of("project_id", &project).await, of("agent_id", agent.agent()).await), (60, 60));
    // Nothing said counts as nothing said.
    is_taken(ten(&agent, &[("loopctl.story_id", ""), ("loopctl.project", " ")]).await);
    assert_eq!((of("project_id", &project).await, of("agent_id", agent.agent()).await), (60, 70));
}

/// It counts for the agent, and the exporter is told.
#[tokio::test]
async fn what_a_tenant_does_not_have() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let agent = tenant.agent().await;
    let theirs = other.project_of(&["1.1"]).await;
    let story = other.story_id(&theirs, "1.1").await;
    let own = tenant.project_of(&["1.1"]).await;
    for says in [
        &[("loopctl.story_id", story.as_str())][..],
        &[("loopctl.story_id", "no id")],
        &[("loopctl.story_id", "00000000-0000-0000-0000-000000000000")],
        &[("loopctl.project", &theirs)],
        &[("loopctl.story_number", "1.1"), ("loopctl.project", &theirs)],
        &[("loopctl.story_number", "1.1")],
        &[("loopctl.story_number", "7.7"), ("loopctl.project", &own)],
        &[("loopctl.project", "no-such")],
    ] {
        let (count, why) = partial(ten(&agent, says).await);
        assert_eq!(count, "0", "{says:?}");
        assert!(why.ends_with("what is of it counts for the agent alone"), "{why}");
        assert!(!why.contains(&story) && !why.contains(&theirs), "{why}");
    }
    assert_eq!(of("agent_id", agent.agent()).await, 80);
    for (column, id) in [("story_id", &story), ("project_id", &theirs), ("project_id", &own)] {
        assert_eq!(of(column, id).await, 0, "{column}");
    }
    // Nobody asks about what is not told.
    is_taken(
        send(&agent, &claude_export(&[("loopctl.story_id", &story)], DELTA, Vec::new(), Vec::new())).await,
    );
}

#[tokio::test]
async fn the_story_that_was_started_last() {
    let tenant = Tenant::new().await;
    let (agent, reviewer, orchestrator) =
        (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let project = tenant.project_of(&["1.1", "1.2", "1.3"]).await;
    let mut stories = Vec::new();
    for number in ["1.1", "1.2", "1.3"] {
        stories.push(tenant.story_id(&project, number).await);
    }
    // All are claimed, in this order, and the first is started after the second.
    for story in &stories {
        bring(story, Reach::Assigned, &agent, &reviewer, &orchestrator).await;
    }
    is_taken(ten(&agent, &[]).await);
    for nth in [1, 0] {
        agent.post(&format!("/stories/{}/start", stories[nth]), serde_json::json!({})).await.expect(200);
    }
    let counts = async || {
        let mut counts = Vec::new();
        for story in &stories {
            counts.push(of("story_id", story).await);
        }
        counts
    };
    assert_eq!(counts().await, [0, 0, 0]);
    is_taken(ten(&agent, &[]).await);
    assert_eq!(counts().await, [10, 0, 0]);
    // Given back, and the other one is what it holds.
    agent.post(&format!("/stories/{}/unclaim", stories[0]), serde_json::json!({})).await.expect(200);
    is_taken(ten(&agent, &[]).await);
    assert_eq!(counts().await, [10, 10, 0]);
    // Of the project that is named it holds a story; of another it does not.
    let other = tenant.project().await;
    is_taken(ten(&agent, &[("loopctl.project", &project)]).await);
    is_taken(ten(&agent, &[("loopctl.project", &other)]).await);
    assert_eq!(counts().await, [10, 20, 0]);
    assert_eq!(of("project_id", &other).await, 10);
    // Reported by somebody else: it is done.
    reviewer.post(&format!("/stories/{}/report", stories[1]), serde_json::json!({})).await.expect(200);
    is_taken(ten(&agent, &[]).await);
    assert_eq!(counts().await, [10, 20, 0]);
    assert_eq!(of("agent_id", agent.agent()).await, 60);
}

/// What is of a story goes with it, and whoever works on goes on.
#[tokio::test]
async fn deleted_stories() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let story = tenant.story().await;
    is_taken(ten(&agent, &[("loopctl.story_id", &story)]).await);
    tenant.user.delete(&format!("/stories/{story}")).await.expect(204);
    assert_eq!(of("agent_id", agent.agent()).await, 0);
    let (count, _) = partial(ten(&agent, &[("loopctl.story_id", &story)]).await);
    assert_eq!((count.as_str(), of("agent_id", agent.agent()).await), ("0", 10));
}
