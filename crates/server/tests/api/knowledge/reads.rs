//! Who reads what, and what is told of it.

use serde_json::{Value, json};

use super::{NOBODY, article, each, embedded, many_published, published};
use crate::support::{Caller, Tenant, connect, server, text};

/// Reads an article so often.
async fn read(who: &Caller, id: &str, times: usize, query: &str) {
    for _ in 0..times {
        who.get(&format!("/articles/{id}{query}")).await.expect(200);
    }
}

/// The rows of what is read most.
async fn top(who: &Caller, query: &str) -> Value {
    who.get(&format!("/knowledge/analytics/top-articles{query}")).await.expect(200)
}

/// Where the reads of an article belong, as the database has it.
async fn attributed(orchestrator: &Caller, id: &str) -> Vec<(Option<String>, Option<String>)> {
    orchestrator.get(&format!("/knowledge/articles/{id}/stats")).await.expect(200);
    let sql =
        "select project_id::text, story_id::text from article_access_events where article_id = $1::text::uuid
               order by accessed_at, id";
    let rows = connect(&server().owner).await.query(sql, &[&id]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Reads an article as if it had been so many days ago.
async fn read_ago(tenant: &Tenant, who: &Caller, id: &str, days: i32) {
    let sql = "insert into article_access_events (tenant_id, accessed_at, id, article_id, api_key_id, access_type)
               select $1::text::uuid, now() - make_interval(days => $4, mins => 1), gen_random_uuid(), $2::text::uuid, k.id, 'get'
               from api_keys k where k.key_prefix = left($3, 8) and k.tenant_id = $1::text::uuid";
    let prefix = who.key.as_deref().unwrap();
    let added =
        connect(&server().owner).await.execute(sql, &[&tenant.id, &id, &prefix, &days]).await.unwrap();
    assert_eq!(added, 1);
}

#[tokio::test]
async fn who_may_ask() {
    let tenant = Tenant::new().await;
    let (agent, id) = (tenant.agent().await, published(&tenant.user, "A").await);
    for path in [
        "analytics/top-articles".to_owned(),
        format!("articles/{id}/stats"),
        format!("analytics/agents/{}", agent.agent()),
        format!("analytics/projects/{}/usage", tenant.project().await),
        "analytics/unused-articles".to_owned(),
        "pipeline".to_owned(),
        "ingestion-jobs".to_owned(),
    ] {
        let error = agent.get(&format!("/knowledge/{path}")).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator", "{path}");
        Caller::nobody().get(&format!("/knowledge/{path}")).await.expect_error(401, "unauthorized");
        tenant.user.get(&format!("/knowledge/{path}")).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_not_there_or_anothers() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (orchestrator, foreign) = (tenant.key("orchestrator").await, published(&other.user, "A").await);
    let agent = other.agent().await;
    for path in [
        format!("articles/{foreign}/stats"),
        format!("articles/{NOBODY}/stats"),
        "articles/nope/stats".to_owned(),
        format!("analytics/agents/{}", agent.agent()),
        format!("analytics/agents/{NOBODY}"),
        "analytics/agents/nope".to_owned(),
        format!("analytics/projects/{}/usage", other.project().await),
        "analytics/projects/not-a-uuid/usage".to_owned(),
    ] {
        orchestrator.get(&format!("/knowledge/{path}")).await.expect_error(404, "not_found");
    }
}

/// What is no id, or not the tenant's, is left out, and the read goes on.
#[tokio::test]
async fn what_a_reader_works_on() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, orchestrator) = (tenant.agent().await, tenant.key("orchestrator").await);
    let project = tenant.project_of(&["1.1"]).await;
    let (story, elsewhere) = (tenant.story_id(&project, "1.1").await, tenant.project().await);
    let (foreign_project, foreign_story) = (other.project().await, other.story().await);
    let id = published(&tenant.user, "A").await;
    let (p, s, e) = (Some(project.clone()), Some(story.clone()), Some(elsewhere.clone()));
    for (query, on) in [
        (String::new(), (None, None)),
        (format!("?story_id={story}"), (p.clone(), s.clone())),
        (format!("?project_id={project}"), (p.clone(), None)),
        (format!("?story_id={story}&project_id={elsewhere}"), (e, s.clone())),
        (format!("?story_id={foreign_story}"), (None, None)),
        (format!("?project_id={foreign_project}"), (None, None)),
        (format!("?story_id={story}&project_id={foreign_project}"), (None, s.clone())),
        ("?story_id=nope".to_owned(), (None, None)),
        (format!("?story_id={story}&project_id=nope"), (None, s)),
        (format!("?project_id={project}&story_id=%20"), (p, None)),
    ] {
        let before = attributed(&orchestrator, &id).await.len();
        read(&agent, &id, 1, &query).await;
        let after = attributed(&orchestrator, &id).await;
        assert_eq!((after.len(), after.last()), (before + 1, Some(&on)), "{query}");
    }
}

/// What is found is read: in each way of looking, with its place, and with what was asked unless that was by meaning alone.
#[tokio::test]
async fn what_is_found_is_noted() {
    let tenant = Tenant::new().await;
    let (agent, orchestrator) = (tenant.key("agent").await, tenant.key("orchestrator").await);
    let project = tenant.project_of(&["1.1"]).await;
    let story = tenant.story_id(&project, "1.1").await;
    let first = published(&tenant.user, "Pools and pools").await;
    many_published(&tenant, 24).await;
    embedded(&tenant, 1).await;
    let noted = async || {
        orchestrator.get(&format!("/knowledge/articles/{first}/stats")).await.expect(200);
        let sql = "select to_jsonb(e) - 'tenant_id' - 'id' - 'api_key_id' - 'accessed_at' from article_access_events e
                   where tenant_id = $1::text::uuid order by accessed_at, id";
        let rows = connect(&server().owner).await.query(sql, &[&tenant.id]).await.unwrap();
        rows.iter().map(|row| row.get::<_, Value>(0)).collect::<Vec<_>>()
    };
    let row = |kind: &str, metadata: Value| json!({"article_id": first, "project_id": project, "story_id": story, "access_type": kind, "metadata": metadata});
    let mut before = 0;
    for (path, kind, metadata) in [
        ("search?mode=keyword&q=pools", "search", json!({"query": "pools", "rank": 1, "mode": "keyword"})),
        ("search?q=pools", "search", json!({"query": "pools", "rank": 1, "mode": "combined"})),
        ("search?mode=semantic&q=pools", "search", json!({"rank": 1, "mode": "semantic"})),
        ("context?query=pools&limit=1", "context", json!({"query": "pools", "rank": 1})),
    ] {
        let found = agent.get(&format!("/knowledge/{path}&story_id={story}")).await.expect(200);
        assert_eq!(found["data"][0]["id"], first, "{path}");
        let shown = found["data"].as_array().unwrap().len();
        let rows = noted().await.split_off(before);
        before += rows.len();
        assert_eq!((rows.len(), &rows[0]), (shown, &row(kind, metadata)), "{path}");
    }
    // Of many the first twenty.
    let found = agent.get("/knowledge/search?mode=keyword&q=many&limit=50").await.expect(200);
    assert_eq!(found["data"].as_array().unwrap().len(), 24);
    let rows = noted().await.split_off(before);
    assert_eq!((rows.len(), &rows[19]["metadata"]["rank"]), (20, &json!(20)));
}

#[tokio::test]
async fn what_is_read_most() {
    let tenant = Tenant::new().await;
    let (agent, orchestrator) = (tenant.agent().await, tenant.key("orchestrator").await);
    let (project, other) = (tenant.project().await, tenant.project().await);
    let much = published(&tenant.user, "Much").await;
    let little = published(&tenant.user, "Little").await;
    read(&agent, &much, 2, &format!("?project_id={project}")).await;
    read(&orchestrator, &much, 1, "").await;
    read(&agent, &little, 1, &format!("?project_id={other}")).await;
    let list = top(&orchestrator, "").await;
    assert_eq!(
        list["data"],
        json!([
            {"article_id": much, "title": "Much", "category": "pattern", "access_count": 3, "unique_agents": 2},
            {"article_id": little, "title": "Little", "category": "pattern", "access_count": 1, "unique_agents": 1},
        ])
    );
    let meta = &list["meta"];
    assert_eq!(
        [&meta["count"], &meta["limit"], &meta["access_type"], &meta["project_id"], &meta["group_by"]],
        [&json!(2), &json!(20), &json!(null), &json!(null), &json!("article")]
    );
    for (query, count) in [
        ("?access_type=search", 0),
        ("?access_type=get", 2),
        ("?access_type=nonsense", 2),
        ("?limit=1", 1),
        ("?limit=0", 1),
        ("?limit=x&since_days=x", 2),
        (&format!("?project_id={project}"), 1),
        ("?project_id=nope&group_by=nope", 2),
        (&format!("?project_id={NOBODY}"), 0),
        ("?group_by=project", 2),
        ("?group_by=agent", 2),
    ] {
        assert_eq!(top(&orchestrator, query).await["data"].as_array().unwrap().len(), count, "{query}");
    }
    let projects = top(&orchestrator, "?group_by=project").await;
    assert_eq!(
        each(&projects, "project_id"),
        [json!(project), json!(other)],
        "the reads without one are left out"
    );
    assert_eq!(each(&projects, "unique_api_keys"), [1, 1]);
    // A tie is by title.
    read(&agent, &little, 2, "").await;
    assert_eq!(each(&top(&orchestrator, "").await, "title"), ["Little", "Much"]);
    // Nothing of another tenant's.
    let stranger = Tenant::new().await;
    assert_eq!(top(&stranger.user, "").await["data"], json!([]));
}

/// Keys of one agent are one reader; keys of nobody another, and those that are gone a third.
#[tokio::test]
async fn readers() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let (second, gone) = (tenant.orchestrator_of(agent.agent()).await, tenant.agent().await);
    let id = published(&tenant.user, "A").await;
    let other = published(&tenant.user, "B").await;
    read(&agent, &id, 2, "").await;
    read(&second, &other, 1, "").await;
    read(&gone, &id, 2, "").await;
    read(&tenant.user, &id, 1, "").await;
    let keys = tenant.user.get("/api_keys?page_size=100").await.expect(200);
    let key_of = |caller: &Caller| {
        let prefix = &caller.key.as_deref().unwrap()[..8];
        let rows = keys["data"].as_array().unwrap().iter();
        text(
            &rows
                .clone()
                .find(|row| row["key_prefix"] == prefix && row["agent_id"] == json!(caller.agent_id))
                .unwrap()["id"],
        )
    };
    let (first_key, gone_key) = (key_of(&agent), key_of(&gone));
    tenant.user.delete(&format!("/api_keys/{gone_key}")).await;
    let list = top(&second, "?group_by=agent").await;
    let told: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["agent_name"],
                row["agent_id"],
                row["access_count"],
                row["unique_articles"],
                row["api_key_count"]
            ])
        })
        .collect();
    let name = list["data"][0]["agent_name"].clone();
    assert_eq!(
        told,
        [
            json!([name, agent.agent(), 3, 2, 2]),
            json!(["revoked", null, 2, 1, 1]),
            json!(["unassigned", null, 1, 1, 1]),
        ]
    );
    let of = async |id: &str| {
        second.get(&format!("/knowledge/analytics/agents/{id}")).await.expect(200)["data"].clone()
    };
    let one = of(&first_key).await;
    assert_eq!(
        json!([
            one["resolved_as"],
            one["api_key_id"],
            one["total_reads"],
            one["unique_articles"],
            one["access_by_type"]
        ]),
        json!(["api_key", first_key, 2, 1, {"get": 2}])
    );
    let both = of(agent.agent()).await;
    assert_eq!(
        json!([
            both["resolved_as"],
            both["agent_id"],
            both["agent_type"],
            both["api_key_count"],
            both["total_reads"]
        ]),
        json!(["agent", agent.agent(), "implementer", 2, 3])
    );
    assert_eq!(
        both["top_articles"][0],
        json!({"article_id": id, "title": "A", "category": "pattern", "access_count": 2})
    );
    // What was read with a key that is gone counts, and is not among what is read most.
    let left = of(gone.agent()).await;
    assert_eq!(json!([left["api_key_count"], left["total_reads"], left["top_articles"]]), json!([0, 2, []]));
}

#[tokio::test]
async fn an_article_and_its_last_reads() {
    let tenant = Tenant::new().await;
    let (agent, orchestrator) = (tenant.agent().await, tenant.key("orchestrator").await);
    let id = text(&article(&agent, "A", json!({"tags": ["t"]})).await["id"]);
    let stats = async || {
        orchestrator.get(&format!("/knowledge/articles/{id}/stats")).await.expect(200)["data"].clone()
    };
    let nothing = stats().await;
    assert_eq!(
        json!([
            nothing["total_accesses"],
            nothing["last_accessed_at"],
            nothing["accesses_by_type"],
            nothing["recent_accesses"]
        ]),
        json!([0, null, {}, []])
    );
    read(&agent, &id, 12, "").await;
    read_ago(&tenant, &agent, &id, 390).await;
    let some = stats().await;
    assert_eq!(
        json!([
            some["article_id"],
            some["title"],
            some["status"],
            some["tags"],
            some["total_accesses"],
            some["unique_agents"]
        ]),
        json!([id, "A", "draft", ["t"], 13, 1]),
        "of all time"
    );
    let recent = some["recent_accesses"].as_array().unwrap();
    assert_eq!((recent.len(), &recent[0]["accessed_at"]), (10, &some["last_accessed_at"]));
    assert_eq!(json!([recent[0]["access_type"], recent[0]["metadata"]]), json!(["get", {}]));
}

#[tokio::test]
async fn a_project_day_by_day() {
    let tenant = Tenant::new().await;
    let (agent, orchestrator) = (tenant.agent().await, tenant.key("orchestrator").await);
    let (project, id) = (tenant.project().await, published(&tenant.user, "A").await);
    read(&agent, &id, 2, &format!("?project_id={project}")).await;
    read(&tenant.user, &id, 1, &format!("?project_id={project}")).await;
    read(&agent, &id, 1, "").await;
    let usage = async |query: &str| {
        orchestrator.get(&format!("/knowledge/analytics/projects/{project}/usage{query}")).await.expect(200)
    };
    let week = usage("").await;
    let data = &week["data"];
    assert_eq!(
        json!([
            data["project_id"],
            data["total_reads"],
            data["unique_articles"],
            data["unique_api_keys"],
            data["unique_agents"]
        ]),
        json!([project, 3, 1, 2, 1])
    );
    assert_eq!(
        (&week["meta"], data["top_articles"][0]["access_count"].as_i64()),
        (&json!({"since_days": 7}), Some(3))
    );
    let days = data["daily_series"].as_array().unwrap();
    assert_eq!((days.len(), days.iter().filter_map(|day| day["read_count"].as_i64()).sum::<i64>()), (7, 3));
    assert!(days.windows(2).all(|pair| text(&pair[0]["date"]) < text(&pair[1]["date"])));
    for (query, count) in [("?since_days=99999", 365), ("?since_days=0", 1), ("?since_days=x", 7)] {
        let series = usage(query).await["data"]["daily_series"].as_array().unwrap().len();
        assert_eq!(series, count, "{query}");
    }
}

#[tokio::test]
async fn what_nobody_reads() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let (read_one, unread) = (published(&tenant.user, "Read").await, published(&tenant.user, "Unread").await);
    let long_ago = published(&tenant.user, "Long ago").await;
    article(&tenant.user, "Draft", json!({})).await;
    read(&agent, &read_one, 1, "").await;
    read_ago(&tenant, &agent, &long_ago, 40).await;
    let unused = async |query: &str| {
        tenant.user.get(&format!("/knowledge/analytics/unused-articles{query}")).await.expect(200)
    };
    let list = unused("").await;
    assert_eq!(each(&list, "article_id"), [json!(unread), json!(long_ago)]);
    assert_eq!(list["meta"], json!({"count": 2, "days_unused": 30, "limit": 50}));
    assert_eq!(each(&unused("?days_unused=50").await, "title"), ["Unread"]);
    assert_eq!(
        unused("?days_unused=9999&limit=9999").await["meta"],
        json!({"count": 1, "days_unused": 365, "limit": 200})
    );
    assert_eq!(unused("?exclude_new=true").await["data"], json!([]));
}

/// Whoever may write them may not change or forget them; the one that may forgets by age.
#[tokio::test]
async fn reads_are_forgotten_by_age_alone() {
    let tenant = Tenant::new().await;
    let (agent, id) = (tenant.agent().await, published(&tenant.user, "A").await);
    for days in [10, 399, 401, 900] {
        read_ago(&tenant, &agent, &id, days).await;
    }
    let app = connect(&server().app).await;
    app.batch_execute("set role loopctl_app").await.unwrap();
    for sql in ["delete from article_access_events", "update article_access_events set access_type = 'get'"] {
        app.batch_execute(sql).await.expect_err(sql);
    }
    let prune = async |days: i32, most: i32| -> i64 {
        let sql = "select prune_article_access($1::text::uuid, $2, $3)";
        app.query_one(sql, &[&tenant.id, &days, &most]).await.unwrap().get(0)
    };
    assert_eq!((prune(400, 1).await, prune(400, 1000).await, prune(400, 1000).await), (1, 1, 0));
    // Nobody forgets what was read within a year.
    read_ago(&tenant, &agent, &id, 364).await;
    assert_eq!((prune(0, i32::MAX).await, prune(-7, i32::MAX).await), (1, 0));
    let stats = tenant.user.get(&format!("/knowledge/articles/{id}/stats")).await.expect(200);
    assert_eq!(stats["data"]["total_accesses"], 2);
}
