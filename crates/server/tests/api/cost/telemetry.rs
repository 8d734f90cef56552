//! What the way of working gives away, when a review is requested.

use serde_json::{Value, json};

use super::{Scene, used};
use crate::support::Reach;

/// The metadata of a story that was estimated at so many hours, after reports that tell this; and that of the event.
async fn noted(hours: Value, reports: &[Value]) -> (Value, Value) {
    let scene = Scene::new().await;
    let at = format!("/stories/{}", scene.story);
    scene.o.patch(&at, json!({"estimated_hours": hours, "metadata": {"kept": 1}})).await.expect(200);
    scene.bring(&scene.story, Reach::Implementing).await;
    for told in reports {
        let mut body = used(&scene.story, 500, 500, 10);
        body.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        scene.a.post("/token-usage", body).await.expect(201);
    }
    let answer = scene.a.post(&format!("{at}/request-review"), json!({})).await.expect(200);
    let shown = scene.a.get(&at).await.expect(200);
    assert_eq!(answer["story"]["metadata"], shown["story"]["metadata"]);
    assert_eq!(shown["story"]["metadata"]["kept"], 1);
    let (_, event) = scene.told("story", "review_requested").await.pop().unwrap();
    (shown["story"]["metadata"].clone(), event)
}

#[tokio::test]
async fn little_work_is_noted() {
    let told = json!({"tool_call_count": 2, "cot_length_tokens": 50, "tests_run_count": 0});
    let (metadata, event) = noted(json!(8), &[told]).await;
    assert_eq!((&metadata["lazy_score"], &metadata["lazy_flagged"]), (&json!(0.85), &json!(true)));
    assert_eq!(metadata["lazy_reasons"].as_array().unwrap().len(), 4);
    assert_eq!(event["lazy_score"], 0.85);
    // Enough of it, over several reports.
    let told = json!({"input_tokens": 20_000, "tool_call_count": 50, "cot_length_tokens": 2500, "tests_run_count": 13});
    let (metadata, _) = noted(json!("5.0"), &[told.clone(), told]).await;
    assert_eq!((&metadata["lazy_score"], &metadata["lazy_flagged"]), (&json!(0.0), &json!(false)));
}

#[tokio::test]
async fn what_is_not_told_speaks_against_nobody() {
    let (metadata, event) = noted(json!(8), &[]).await;
    assert!(metadata.get("lazy_score").is_none() && event.get("lazy_score").is_none());
    // Of an hour nothing is expected, nor of what nobody has estimated.
    for hours in [json!(1), json!(null)] {
        let (metadata, _) = noted(hours, &[json!({"tests_run_count": 0})]).await;
        assert_eq!(metadata["lazy_score"], 0.0);
    }
    let (metadata, _) = noted(json!(8), &[json!({"input_tokens": 90_000})]).await;
    assert_eq!((&metadata["lazy_score"], &metadata["lazy_reasons"]), (&json!(0.0), &json!([])));
}
