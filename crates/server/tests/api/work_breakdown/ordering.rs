//! The order of stories: (epic position where the list crosses epics, number, id).

use serde_json::{Value, json};

use loopctl_core::number::StoryNumber;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::{column, epic_id, plain};
use crate::support::{Tenant, connect, seed, server, text};

/// The database's order, by which lists are sorted, is the one of the rules, by which imports are.
#[tokio::test]
async fn the_database_orders_as_the_rules_do() {
    let mut rng = StdRng::seed_from_u64(seed());
    let parts = [
        "0",
        "1",
        "01",
        "9",
        "10",
        "10000",
        "99999999999999999999",
        "R",
        "a",
        "a-b",
        "ab",
        "_",
        "-1",
        "1a",
        "Z",
    ];
    let mut number = || -> String {
        let parts: Vec<&str> =
            (0..rng.random_range(1..=4)).map(|_| *parts.choose(&mut rng).unwrap()).collect();
        parts.join(".")
    };
    let numbers: Vec<String> = (0..2000).map(|_| number()).collect();
    let sql = "select number from unnest($1::text[]) number order by story_order_key(number) collate \"C\", number collate \"C\"";
    let rows = connect(&server().owner).await.query(sql, &[&numbers]).await.unwrap();
    let ordered: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut expected: Vec<_> = numbers.iter().map(|text| StoryNumber::parse(text).unwrap()).collect();
    expected.sort();
    assert_eq!(ordered, expected.iter().map(StoryNumber::as_str).collect::<Vec<_>>());
}

/// `sort_key` is what clients of old knew.
#[tokio::test]
async fn sort_keys_are_of_the_first_two_numbers() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&[]).await;
    let epic = epic_id(&tenant, &project, 1).await;
    for (number, expected) in [
        ("2.10", 20_100),
        ("3", 30_000),
        ("26.0.1", 260_000),
        ("0009.01", 90_010),
        ("1.2.R", 10_020),
        ("26.R.1", 0),
        ("R.1", 0),
        ("10000.1", 0),
        ("1.10000", 0),
        ("9999.9999", 100_089_990),
    ] {
        let body = json!({"number": number, "title": "S"});
        let story = tenant.user.post(&format!("/epics/{epic}/stories"), body).await.expect(201);
        assert_eq!(
            (&story["story"]["number"], &story["story"]["sort_key"]),
            (&json!(number), &json!(expected))
        );
    }
}

#[tokio::test]
async fn numbers_compare_as_numbers_everywhere() {
    let tenant = Tenant::new().await;
    let order = [
        "1.01",
        "1.2",
        "1.9",
        "1.10",
        "1.10.2",
        "1.10.12",
        "1.1000",
        "1.R",
        "1.R.2",
        "1.R.10",
        "1.a",
        "2",
        "2.1",
        "10.1",
        "26.0.1",
        "26.R.1",
        "20000000000.1",
        "R",
        "b",
    ];
    let stories: Vec<_> = [
        "1.10",
        "b",
        "10.1",
        "26.R.1",
        "1.9",
        "2.1",
        "1.R.10",
        "1.2",
        "1.R",
        "2",
        "1.10.12",
        "1.1000",
        "R",
        "1.a",
        "1.R.2",
        "1.01",
        "26.0.1",
        "1.10.2",
        "20000000000.1",
    ]
    .into_iter()
    .map(plain)
    .collect();
    let blocked: Vec<_> = ["20.10", "20.9", "3", "100.1", "20.1000", "21"]
        .into_iter()
        .map(|number| json!({"number": number, "title": "S", "depends_on_stories": ["1.10", "1.9", "1.R", "2"]}))
        .collect();
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "Free", "stories": stories}, {"number": 2, "title": "Blocked", "stories": blocked}]}))
        .await;
    let epic = epic_id(&tenant, &project, 1).await;
    let get = async |path: String| tenant.user.get(&path).await.expect(200);

    assert_eq!(column(&get(format!("/epics/{epic}/stories?limit=50")).await, "number"), order);
    assert_eq!(column(&get(format!("/stories/ready?project_id={project}")).await, "number"), order);
    assert_eq!(column(&get("/stories/ready".to_owned()).await, "number"), order);
    let list = get(format!("/stories?project_id={project}&epic_id={epic}")).await;
    assert_eq!(column(&list, "number"), order);
    let detail = get(format!("/epics/{epic}")).await;
    let stories = json!({"data": detail["epic"]["stories"]});
    assert_eq!(column(&stories, "number"), order);

    let waiting = get(format!("/stories/blocked?project_id={project}")).await;
    let numbers: Vec<_> =
        waiting["data"].as_array().unwrap().iter().map(|item| text(&item["story"]["number"])).collect();
    assert_eq!(numbers, ["3", "20.9", "20.10", "20.1000", "21", "100.1"]);
    let blockers = json!({"data": waiting["data"][0]["blocking_dependencies"]});
    assert_eq!(column(&blockers, "number"), ["1.9", "1.10", "1.R", "2"]);
}

/// 1.10 comes after 1.9, because numbers are compared as numbers; the export has its own tests.
#[tokio::test]
async fn stories_created_one_by_one_come_in_order_of_their_numbers() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&[]).await;
    let epic = epic_id(&tenant, &project, 1).await;
    for number in ["1.10", "1.9", "2.1", "1.2", "2", "1.1000"] {
        let body = json!({"number": number, "title": "S"});
        tenant.user.post(&format!("/epics/{epic}/stories"), body).await.expect(201);
    }
    let order = ["1.2", "1.9", "1.10", "1.1000", "2", "2.1"];
    let get = async |path: String| tenant.user.get(&path).await.expect(200);
    for path in [
        format!("/epics/{epic}/stories"),
        format!("/stories?project_id={project}"),
        format!("/stories/ready?project_id={project}"),
        format!("/projects/{project}/stories/ready"),
    ] {
        assert_eq!(column(&get(path.clone()).await, "number"), order, "{path}");
    }
    let detail = get(format!("/epics/{epic}")).await;
    assert_eq!(column(&json!({"data": detail["epic"]["stories"]}), "number"), order);
    let graph = get(format!("/projects/{project}/dependency_graph")).await;
    assert_eq!(column(&json!({"data": graph["graph"]["epics"][0]["stories"]}), "number"), order);
}

/// The epic's position counts first where a list crosses epics; at the same position the numbers mix.
#[tokio::test]
async fn epics_come_by_position_not_by_number() {
    let tenant = Tenant::new().await;
    let waiting = |number: &str| json!({"number": number, "title": "S", "depends_on_stories": ["1.1"]});
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "Last", "position": 30, "stories": [plain("1.2"), plain("1.1"), waiting("1.3")]},
            {"number": 2, "title": "First", "position": 2, "stories": [plain("9.1"), plain("3.10"), waiting("9.2")]},
            {"number": 3, "title": "Middle", "position": 10, "stories": [plain("5.1"), waiting("5.3")]},
            {"number": 4, "title": "Middle", "position": 10, "stories": [plain("4.1"), plain("5.2"), waiting("4.2")]}]}))
        .await;
    let get = async |path: String| tenant.user.get(&path).await.expect(200);
    let list = get(format!("/stories?project_id={project}&limit=50")).await;
    assert_eq!(
        column(&list, "number"),
        ["3.10", "9.1", "9.2", "4.1", "4.2", "5.1", "5.2", "5.3", "1.1", "1.2", "1.3"]
    );
    let ready = get(format!("/stories/ready?project_id={project}")).await;
    assert_eq!(column(&ready, "number"), ["3.10", "9.1", "4.1", "5.1", "5.2", "1.1", "1.2"]);
    // Page by page it is the same order.
    let mut paged = Vec::new();
    for page in 1..=4 {
        paged.extend(column(&get(format!("/stories/ready?page_size=2&page={page}")).await, "number"));
    }
    assert_eq!(paged, column(&ready, "number"));
    let numbers = |list: &Value| -> Vec<String> {
        let items = list["data"].as_array().unwrap();
        items.iter().map(|item| text(&item["story"]["number"])).collect()
    };
    let blocked = get("/stories/blocked".to_owned()).await;
    assert_eq!(numbers(&blocked), ["9.2", "4.2", "5.3", "1.3"]);

    // A changed position takes the epic's stories along.
    let body = json!({"epics": [{"number": 1, "position": 0}]});
    let path = format!("/projects/{project}/import?merge=true");
    tenant.user.post(&path, body).await.expect(200);
    let list = get(format!("/stories?project_id={project}&limit=4")).await;
    assert_eq!(column(&list, "number"), ["1.1", "1.2", "1.3", "3.10"]);
    assert_eq!(numbers(&get("/stories/blocked".to_owned()).await), ["1.3", "9.2", "4.2", "5.3"]);
}
