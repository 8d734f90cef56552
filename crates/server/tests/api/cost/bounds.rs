//! Names of models are whatever somebody reports: answers stay small, and their totals exact.

use serde_json::{Value, json};

use super::Scene;
use crate::support::{connect, server};

/// 300 models in each of four phases: the model of number n costs n, and takes one token; the cheapest one takes a million.
const MODELS: &str = "
    insert into token_usage_reports (tenant_id, id, story_id, agent_id, project_id, epic_id, input_tokens, output_tokens,
                                     cost_millicents, model_name, phase)
    select s.tenant_id, gen_random_uuid(), s.id, $2::text::uuid, s.project_id, s.epic_id,
           case when n = 1 then 1000000 else 1 end, 0, n, 'm' || to_char(n, 'FM000'), phase
    from stories s, generate_series(1, 300) n, unnest(array['planning', 'implementing', 'reviewing', 'other']) phase
    where s.id = $1::text::uuid";

#[tokio::test]
async fn the_others_are_told_together() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    owner.execute(MODELS, &[&scene.story, &scene.a.agent()]).await.unwrap();
    let get = async |path: &str| scene.o.get(path).await.expect(200)["data"].clone();
    let (total, tokens) = (4 * 300 * 301 / 2, 4 * (1_000_000 + 299));
    let (others, of_others) = (4 * 200 * 201 / 2, 4 * (1_000_000 + 199));
    let folded = json!({"input_tokens": of_others, "output_tokens": 0, "cost_millicents": others});
    let breakdown = |of: &Value| {
        let models = of["model_breakdown"].as_object().unwrap();
        assert_eq!((models.len(), &models["(other)"]), (101, &folded));
        assert!(models.contains_key("m201") && models.contains_key("m300") && !models.contains_key("m200"));
        assert_eq!((&of["total_cost_millicents"], &of["total_tokens"]), (&json!(total), &json!(tokens)));
    };
    let agents = get("/analytics/agents").await;
    breakdown(&agents[0]);
    assert_eq!((&agents[0]["primary_model"], &agents[0]["report_count"]), (&json!("m001"), &json!(1200)));
    let epics = get(&format!("/analytics/epics?project_id={}", scene.project)).await;
    breakdown(&epics[0]);
    let project = get(&format!("/analytics/projects/{}", scene.project)).await;
    breakdown(&project);
    let models = project["models"].as_array().unwrap();
    assert_eq!((models.len(), &models[0]["model_name"]), (101, &json!("(other)")));
    assert_eq!((&models[1]["model_name"], &models[1]["cost_millicents"]), (&json!("m300"), &json!(1200)));
    assert_eq!(
        (&project["story_count"], &project["cost_by_phase"]["planning"]),
        (&json!(1), &json!(total / 4))
    );

    let profile = get(&format!("/analytics/agents/{}/model-profile", scene.a.agent())).await;
    assert_eq!((&profile["model_count"], &profile["is_model_blender"]), (&json!(300), &json!(true)));
    assert_eq!(profile["models_used"].as_array().unwrap().len(), 101);
    assert_eq!(profile["total_cost_millicents"], total);
    let usage = profile["usage"].as_array().unwrap();
    assert_eq!(usage.len(), 4 * 101);
    let told = usage.iter().find(|of| of["model_name"] == "(other)" && of["phase"] == "planning").unwrap();
    let told = (&told["report_count"], &told["total_cost_millicents"], &told["stories_count"]);
    assert_eq!(told, (&json!(200), &json!(others / 4), &json!(1)), "a story is one, however many models");

    for query in [String::new(), format!("?agent_id={}", scene.a.agent())] {
        let mix = get(&format!("/analytics/model-mix{query}")).await;
        assert_eq!(mix["matrix"].as_array().unwrap().len(), 1000);
        assert_eq!(mix["comparative"]["mixed_model"]["agent_count"], 1);
    }
}
