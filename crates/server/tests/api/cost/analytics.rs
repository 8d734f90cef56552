//! What work costs, by agent, epic, project, model, day and phase: the refusals, the worked example, and figures beyond 2^53.

use serde_json::{Value, json};

use super::{Dated, NOBODY, budget};
use crate::support::{Caller, Reach, Tenant, bring, connect, server, story, text};

/// Two agents, two epics, three stories of which one was rejected, and four reports.
struct Example {
    tenant: Tenant,
    a: Caller,
    b: Caller,
    o: Caller,
    project: String,
    epics: [String; 2],
    stories: [String; 3],
}

impl Example {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        let epic = |number: i64, title: &str, stories: &[&str]| {
            let stories: Vec<_> = stories.iter().map(|number| story(number)).collect();
            json!({"number": number, "title": title, "stories": stories})
        };
        let epics = [epic(1, "Epic One", &["1.1", "1.2"]), epic(2, "Epic Two", &["2.1"])];
        let project = tenant.imported(json!({"epics": epics})).await;
        let mut stories = Vec::new();
        for number in ["1.1", "1.2", "2.1"] {
            stories.push(tenant.story_id(&project, number).await);
        }
        let list = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
        let epics = [text(&list["data"][0]["id"]), text(&list["data"][1]["id"])];
        let scene = Self { tenant, a, b, o, project, epics, stories: stories.try_into().unwrap() };
        let [one, two, three] = &scene.stories;
        for (story, reach) in [(one, Reach::Verified), (two, Reach::Reported), (three, Reach::Verified)] {
            bring(story, reach, &scene.a, &scene.b, &scene.o).await;
        }
        let reason = json!({"reason": "It does not work"});
        scene.o.post(&format!("/stories/{two}/reject"), reason).await.expect(200);
        for (who, story, model, phase, input, output, cost) in [
            (&scene.a, one, "claude-opus-4", "implementing", 2000, 1000, 5000),
            (&scene.b, two, "claude-sonnet-4", "implementing", 1000, 500, 1500),
            (&scene.a, three, "claude-opus-4", "reviewing", 3000, 1500, 7000),
            (&scene.b, one, "claude-sonnet-4", "planning", 500, 200, 700),
        ] {
            let body = json!({
                "story_id": story, "model_name": model, "phase": phase, "input_tokens": input, "output_tokens": output,
                "cost_millicents": cost,
            });
            who.post("/token-usage", body).await.expect(201);
        }
        scene
    }

    async fn get(&self, path: &str) -> Value {
        self.o.get(path).await.expect(200)
    }
}

/// Whether each of these members is as expected.
#[track_caller]
fn has(value: &Value, expected: Value) {
    for (name, wanted) in expected.as_object().unwrap() {
        assert_eq!(&value[name], wanted, "{name} of {value:#}");
    }
}

fn today() -> String {
    chrono::Utc::now().date_naive().to_string()
}

#[tokio::test]
async fn who_may_look_and_at_what() {
    let tenant = Tenant::new().await;
    let (agent, o) = (tenant.agent().await, tenant.orchestrator().await);
    let profile = format!("/analytics/agents/{}/model-profile", agent.agent());
    for path in ["/analytics/agents", "/analytics/trends", "/analytics/model-mix", &profile] {
        agent.get(path).await.expect_error(403, "forbidden");
        o.get(path).await.expect(200);
        tenant.user.get(path).await.expect(200);
    }
    for path in ["/analytics/epics", "/analytics/models"] {
        agent.get(path).await.expect(200);
    }
    for path in [
        format!("/analytics/projects/{NOBODY}"),
        "/analytics/projects/none".to_owned(),
        format!("/analytics/agents/{NOBODY}/model-profile"),
        "/analytics/agents/none/model-profile".to_owned(),
        "/analytics/agents?project_id=none".to_owned(),
    ] {
        o.get(&path).await.expect_error(404, "not_found");
    }
    for path in
        ["/analytics/agents", "/analytics/models", "/analytics/trends", "/analytics/model-mix", &profile]
    {
        for (name, sent) in
            [("since", "garbage"), ("until", "2026-13-01"), ("since", "2026-02-30"), ("until", "20260101")]
        {
            let error = o.get(&format!("{path}?{name}={sent}")).await.expect_error(400, "bad_request");
            assert_eq!(error["message"], format!("Invalid date for '{name}'. Expected YYYY-MM-DD"));
        }
    }
    // Nothing was used: lists are empty, figures 0.
    let project = tenant.project_of(&["1.1"]).await;
    let shown = agent.get(&format!("/analytics/projects/{project}")).await.expect(200)["data"].clone();
    has(
        &shown,
        json!({
            "total_cost_millicents": 0, "total_cost_dollars": "0.00", "total_tokens": 0, "budget_millicents": null,
            "utilization_pct": null, "cost_by_phase": {}, "model_breakdown": {}, "models": [], "top_agents": [],
            "agent_count": 0, "story_count": 0, "epic_count": 0, "avg_cost_per_story_millicents": 0,
        }),
    );
    let epics = agent.get(&format!("/analytics/epics?project_id={project}")).await.expect(200);
    has(&epics["data"][0], json!({"story_count": 1, "total_cost_millicents": 0, "model_breakdown": {}}));
    let mix = o.get("/analytics/model-mix").await.expect(200)["data"].clone();
    let nobody =
        json!({"agent_count": 0, "avg_verification_rate_pct": null, "avg_cost_per_story_millicents": null});
    assert_eq!(mix, json!({"matrix": [], "comparative": {"mixed_model": nobody, "single_model": nobody}}));
}

#[tokio::test]
async fn the_worked_example_by_agent_and_epic() {
    let scene = Example::new().await;
    let agents = scene.get("/analytics/agents").await;
    assert_eq!(agents["meta"]["total_count"], 2);
    has(
        &agents["data"][0],
        json!({
            "agent_id": scene.b.agent(), "total_stories_reported": 2, "total_input_tokens": 1500, "total_output_tokens": 700,
            "total_tokens": 2200, "total_cost_millicents": 2200, "cost_millicents": 2200,
            "avg_cost_per_story_millicents": 1100, "avg_tokens_per_story": 1100, "report_count": 2,
            "primary_model": "claude-sonnet-4", "efficiency_rank": 1,
            "model_breakdown": {"claude-sonnet-4": {"input_tokens": 1500, "output_tokens": 700, "cost_millicents": 2200}},
        }),
    );
    has(
        &agents["data"][1],
        json!({
            "agent_id": scene.a.agent(), "total_stories_reported": 2, "total_cost_millicents": 12_000,
            "avg_cost_per_story_millicents": 6000, "primary_model": "claude-opus-4", "efficiency_rank": 2,
        }),
    );
    // Ranks go on from page to page.
    let second = scene.get("/analytics/agents?page_size=1&page=2").await;
    has(&second["data"][0], json!({"agent_id": scene.a.agent(), "efficiency_rank": 2}));
    assert_eq!(second["meta"]["total_pages"], 2);
    let beyond = scene.get("/analytics/agents?page_size=1&page=3").await;
    assert_eq!((&beyond["data"], &beyond["meta"]["total_count"]), (&json!([]), &json!(2)));

    budget(&scene.o, "epic", &scene.epics[0], json!({"budget_millicents": 100_000})).await;
    let epics = scene.a.get(&format!("/analytics/epics?project_id={}", scene.project)).await.expect(200);
    let opus = json!({"input_tokens": 2000, "output_tokens": 1000, "cost_millicents": 5000});
    let sonnet = json!({"input_tokens": 1500, "output_tokens": 700, "cost_millicents": 2200});
    has(
        &epics["data"][0],
        json!({
            "epic_id": scene.epics[0], "epic_name": "Epic One", "epic_title": "Epic One", "epic_number": 1, "story_count": 2,
            "completed_story_count": 1, "total_cost_millicents": 7200, "avg_cost_per_story_millicents": 3600,
            "budget_millicents": 100_000, "utilization_pct": 7, "budget_utilization_pct": 7, "total_tokens": 5200,
            "model_breakdown": {"claude-opus-4": opus, "claude-sonnet-4": sonnet},
        }),
    );
    has(
        &epics["data"][1],
        json!({"epic_number": 2, "completed_story_count": 1, "budget_millicents": null, "utilization_pct": null}),
    );
    assert_eq!(scene.get(&format!("/analytics/epics?project_id={NOBODY}")).await["meta"]["total_count"], 0);
}

#[tokio::test]
async fn the_worked_example_by_project_and_model() {
    let scene = Example::new().await;
    budget(&scene.o, "project", &scene.project, json!({"budget_millicents": 50_000})).await;
    let shown = scene.get(&format!("/analytics/projects/{}", scene.project)).await["data"].clone();
    has(
        &shown,
        json!({
            "project_id": scene.project, "total_cost_millicents": 14_200, "total_cost_dollars": "0.14",
            "total_input_tokens": 6500, "total_output_tokens": 3200, "total_tokens": 9700, "budget_millicents": 50_000,
            "utilization_pct": 28, "budget_utilization_pct": 28, "budget_utilization_percent": 28,
            "cost_by_phase": {"implementing": 6500, "reviewing": 7000, "planning": 700},
            "phase_breakdown": {"implementing": 6500, "reviewing": 7000, "planning": 700},
            "agent_count": 2, "story_count": 3, "epic_count": 2, "avg_cost_per_story_millicents": 4733,
            "models": [
                {"model_name": "claude-opus-4", "cost_millicents": 12_000, "percent": 84},
                {"model_name": "claude-sonnet-4", "cost_millicents": 2200, "percent": 15},
            ],
        }),
    );
    let top: Vec<_> =
        shown["top_agents"].as_array().unwrap().iter().map(|of| &of["cost_millicents"]).collect();
    assert_eq!(top, [12_000, 2200]);
    let alias = scene.get(&format!("/projects/{}/token-usage", scene.project)).await;
    assert_eq!(alias["data"], shown);

    let models = scene.a.get("/analytics/models").await.expect(200);
    has(
        &models["data"][0],
        json!({
            "model_name": "claude-opus-4", "total_input_tokens": 5000, "total_output_tokens": 2500,
            "total_cost_millicents": 12_000, "report_count": 2, "avg_cost_per_report_millicents": 6000, "story_count": 2,
            "stories_verified_count": 2, "stories_rejected_count": 0, "verification_rate_pct": 100,
        }),
    );
    has(
        &models["data"][1],
        json!({
            "model_name": "claude-sonnet-4", "total_cost_millicents": 2200, "stories_verified_count": 1,
            "stories_rejected_count": 1, "verification_rate_pct": 50,
        }),
    );
    let models = scene.get("/analytics/models?limit=1&page=2").await;
    assert_eq!(models["meta"]["total_count"], 2);
}

#[tokio::test]
async fn the_worked_example_by_day_and_phase() {
    let scene = Example::new().await;
    let (day, whole) = (
        today(),
        json!({
            "total_cost_millicents": 14_200, "total_tokens": 9700, "total_input_tokens": 6500, "total_output_tokens": 3200,
            "report_count": 4, "unique_agents": 2, "story_count": 3,
        }),
    );
    let days = scene.get("/analytics/trends").await;
    assert_eq!((&days["meta"]["total_count"], &days["data"][0]["period"]), (&json!(1), &json!(day)));
    has(&days["data"][0], whole.clone());
    let weeks = scene.get("/analytics/trends?granularity=weekly").await;
    let monday = chrono::Utc::now().date_naive().week(chrono::Weekday::Mon).first_day().to_string();
    assert_eq!(weeks["data"][0]["period"], monday);
    has(&weeks["data"][0], whole);

    let mix = scene.get("/analytics/model-mix").await["data"].clone();
    let cells: Vec<_> = mix["matrix"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| {
            json!([
                cell["model_name"],
                cell["phase"],
                cell["total_tokens"],
                cell["total_cost_millicents"],
                cell["stories_count"],
                cell["verified_count"],
                cell["rejected_count"],
                cell["verification_rate_pct"]
            ])
        })
        .collect();
    assert_eq!(
        cells,
        [
            json!(["claude-opus-4", "implementing", 3000, 5000, 1, 1, 0, 100]),
            json!(["claude-opus-4", "reviewing", 4500, 7000, 1, 1, 0, 100]),
            json!(["claude-sonnet-4", "implementing", 1500, 1500, 1, 0, 1, 0]),
            json!(["claude-sonnet-4", "planning", 700, 700, 1, 1, 0, 100]),
        ]
    );
    let nobody =
        json!({"agent_count": 0, "avg_verification_rate_pct": null, "avg_cost_per_story_millicents": null});
    let both =
        json!({"agent_count": 2, "avg_verification_rate_pct": 75, "avg_cost_per_story_millicents": 3550});
    let comparative = json!({"mixed_model": nobody, "single_model": both});
    assert_eq!(mix["comparative"], comparative);
    let of_a = scene.get(&format!("/analytics/model-mix?agent_id={}", scene.a.agent())).await["data"].clone();
    assert_eq!((of_a["matrix"].as_array().unwrap().len(), &of_a["comparative"]), (2, &comparative));

    let profile = format!("/analytics/agents/{}/model-profile", scene.a.agent());
    let shown = scene.get(&profile).await["data"].clone();
    has(
        &shown,
        json!({
            "model_count": 1, "is_model_blender": false, "models_used": ["claude-opus-4"], "total_cost_millicents": 12_000,
        }),
    );
    let shares: Vec<_> = shown["usage"].as_array().unwrap().iter().map(|of| &of["cost_share_pct"]).collect();
    assert_eq!(shares, [41, 58]);
    has(
        &shown["usage"][0],
        json!({"phase": "implementing", "report_count": 1, "stories_count": 1, "verified_count": 1}),
    );
    let none = scene.get(&format!("{profile}?project_id={NOBODY}")).await["data"].clone();
    has(&none, json!({"model_count": 0, "usage": [], "total_cost_millicents": 0}));
}

/// Days are included at both ends; who asks for others, for another project or as another tenant, sees nothing.
#[tokio::test]
async fn filters_and_strangers() {
    let scene = Example::new().await;
    let (day, stranger) = (today(), Tenant::new().await);
    let lists = ["/analytics/agents", "/analytics/models", "/analytics/trends"];
    for list in lists {
        let count = async |who: &Caller, query: &str| {
            who.get(&format!("{list}?{query}")).await.expect(200)["meta"]["total_count"].clone()
        };
        let all = count(&scene.o, "").await;
        assert!(all.as_i64().unwrap() > 0);
        for query in [
            format!("since={day}"),
            format!("until={day}"),
            format!("since={day}&until={day}"),
            format!("since={day}T23:59:59Z&until={day}T00:00:00Z"),
            format!("project_id={}", scene.project),
        ] {
            assert_eq!(count(&scene.o, &query).await, all, "{list} {query}");
        }
        for query in ["since=9999-01-01", "until=2020-01-01", &format!("project_id={NOBODY}")] {
            assert_eq!(count(&scene.o, query).await, 0, "{list} {query}");
        }
        assert_eq!(count(&stranger.user, "").await, 0);
        assert_eq!(count(&stranger.user, &format!("project_id={}", scene.project)).await, 0);
    }
    let mix =
        stranger.user.get(&format!("/analytics/model-mix?agent_id={}", scene.a.agent())).await.expect(200);
    assert_eq!(mix["data"]["matrix"], json!([]));
    assert_eq!(stranger.user.get("/analytics/epics").await.expect(200)["data"], json!([]));
    for path in [
        format!("/analytics/projects/{}", scene.project),
        format!("/projects/{}/token-usage", scene.project),
        format!("/analytics/agents/{}/model-profile", scene.a.agent()),
    ] {
        stranger.user.get(&path).await.expect_error(404, "not_found");
    }
}

/// A story that is worked on for days by several agents is one story, whatever is looked at; figures beyond 2^53 are exact.
#[tokio::test]
async fn stories_are_counted_once_and_sums_are_exact() {
    let tenant = Tenant::new().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    let owner = connect(&server().owner).await;
    let most = 9_007_199_254_740_991_i64;
    // The days come in no order. The 2nd of March 2026 is a Monday.
    for (agent, day, model, phase) in [
        (&a, "2026-03-04", "x", "implementing"),
        (&b, "2026-03-02", "x", "reviewing"),
        (&a, "2026-03-03", "x", "implementing"),
        (&a, "2026-03-03", "y", "planning"),
        (&a, "2026-03-10", "x", "implementing"),
        (&a, "2026-03-03", "x", "implementing"),
    ] {
        let at = format!("{day}T12:00:00Z");
        Dated { model, phase, ..Dated::of(&story, agent.agent(), &at, [most, most, most]) }
            .write(&owner)
            .await;
    }
    let get = async |path: &str| o.get(path).await.expect(200)["data"].clone();
    let agents = get("/analytics/agents").await;
    let six = |times: i64| json!(times * most);
    let find = |rows: &Value, agent: &Caller| {
        rows.as_array().unwrap().iter().find(|row| row["agent_id"] == agent.agent()).unwrap().clone()
    };
    has(
        &find(&agents, &a),
        json!({"total_stories_reported": 1, "report_count": 5, "total_cost_millicents": six(5)}),
    );
    has(&find(&agents, &a), json!({"avg_cost_per_story_millicents": six(5), "total_tokens": six(10)}));
    has(&find(&agents, &b), json!({"total_stories_reported": 1, "total_cost_millicents": six(1)}));
    let models = get("/analytics/models").await;
    has(&models[0], json!({"model_name": "x", "story_count": 1, "report_count": 5}));
    let later = get("/analytics/models?since=2026-03-04").await;
    assert_eq!(later.as_array().unwrap().len(), 1);
    has(&later[0], json!({"story_count": 1, "report_count": 2}));
    let one = get("/analytics/agents?since=2026-03-03&until=2026-03-03").await;
    has(&one[0], json!({"total_stories_reported": 1, "report_count": 3}));
    let days = get("/analytics/trends").await;
    let periods = |rows: &Value| -> Vec<Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| json!([row["period"], row["report_count"], row["unique_agents"], row["story_count"]]))
            .collect()
    };
    assert_eq!(
        periods(&days),
        [
            json!(["2026-03-02", 1, 1, 1]),
            json!(["2026-03-03", 3, 1, 1]),
            json!(["2026-03-04", 1, 1, 1]),
            json!(["2026-03-10", 1, 1, 1]),
        ]
    );
    let weeks = get("/analytics/trends?granularity=weekly").await;
    assert_eq!(periods(&weeks), [json!(["2026-03-02", 5, 2, 1]), json!(["2026-03-09", 1, 1, 1])]);
    let weeks = get("/analytics/trends?granularity=weekly&since=2026-03-04").await;
    assert_eq!(periods(&weeks), [json!(["2026-03-02", 1, 1, 1]), json!(["2026-03-09", 1, 1, 1])]);
    let mix = get("/analytics/model-mix").await;
    let counts: Vec<_> =
        mix["matrix"].as_array().unwrap().iter().map(|cell| &cell["stories_count"]).collect();
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(mix["comparative"]["mixed_model"]["agent_count"], 1);
    // A report that is deleted takes its sums along, and the story is counted by what is left.
    let reports = o.get(&format!("/stories/{story}/token-usage")).await.expect(200);
    for report in reports["data"].as_array().unwrap() {
        if report["inserted_at"].as_str().unwrap() < "2026-03-04" {
            tenant.user.delete(&format!("/token-usage/{}", text(&report["id"]))).await.expect(200);
        }
    }
    let agents = get("/analytics/agents").await;
    has(&find(&agents, &a), json!({"total_stories_reported": 1, "report_count": 2}));
    assert_eq!(agents.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn cost_stands_beside_progress_and_stories() {
    let scene = Example::new().await;
    let [one, ..] = &scene.stories;
    let progress = format!("/projects/{}/progress", scene.project);
    let plain = scene.a.get(&progress).await.expect(200)["progress"].clone();
    assert_eq!(plain.get("total_cost_millicents"), None);
    budget(&scene.o, "project", &scene.project, json!({"budget_millicents": 50_000})).await;
    let with = scene.a.get(&format!("{progress}?include_cost=true")).await.expect(200)["progress"].clone();
    has(
        &with,
        json!({
            "total_cost_millicents": 14_200, "total_input_tokens": 6500, "total_output_tokens": 3200, "total_tokens": 9700,
            "budget_millicents": 50_000, "utilization_pct": 28,
        }),
    );
    has(&with, plain);
    let empty = scene.tenant.project_of(&["1.1"]).await;
    budget(&scene.o, "project", &empty, json!({"budget_millicents": 7})).await;
    let none =
        scene.a.get(&format!("/projects/{empty}/progress?include_cost=1")).await.expect(200)["progress"]
            .clone();
    has(
        &none,
        json!({"total_cost_millicents": null, "total_tokens": null, "budget_millicents": 7, "utilization_pct": null}),
    );

    let list = scene.get(&format!("/stories?project_id={}&include_token_totals=true", scene.project)).await;
    let shown = list["data"].as_array().unwrap().iter().find(|story| story["id"] == **one).unwrap().clone();
    let totals = scene.get(&format!("/stories/{one}/token-usage")).await["totals"].clone();
    has(&shown, json!({"total_tokens": 3700, "total_cost_millicents": 5700, "token_totals": totals}));
    let list = scene.get(&format!("/stories?project_id={empty}&include_token_totals=1")).await;
    has(&list["data"][0], json!({"total_tokens": null, "total_cost_millicents": null, "token_totals": null}));
    let list = scene.get(&format!("/stories?project_id={empty}&include_token_totals=yes")).await;
    assert_eq!(list["data"][0].get("token_totals"), None);
}
