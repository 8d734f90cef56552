//! Every page-style list of this domain pages alike, and the story lists in their own way.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{column, epic_id, meta, plain};
use crate::support::Tenant;

/// Paths of the four page-style lists, each with seven rows: (path, default size, largest size).
async fn lists(tenant: &Tenant) -> Vec<(String, i64, i64)> {
    let stories: Vec<_> = (1..=7).map(|minor| plain(&format!("1.{minor}"))).collect();
    let mut epics = vec![json!({"number": 1, "title": "E", "stories": stories})];
    epics.extend((2..=7).map(|number| json!({"number": number, "title": "E"})));
    let project = tenant.imported(json!({"epics": epics})).await;
    for _ in 1..7 {
        tenant.project().await;
    }
    let epic = epic_id(tenant, &project, 1).await;
    vec![
        ("/projects?x=1".to_owned(), 20, 100),
        (format!("/projects/{project}/epics?x=1"), 20, 100),
        (format!("/epics/{epic}/stories?x=1"), 20, 100),
        ("/stories/ready?x=1".to_owned(), 100, 500),
        (format!("/stories/ready?epic_id={epic}"), 100, 500),
        (format!("/stories?project_id={project}"), 100, 500),
    ]
}

#[tokio::test]
async fn sizes_are_clamped_and_never_refused() {
    let tenant = Tenant::new().await;
    for (path, default, largest) in lists(&tenant).await {
        for (query, page, size) in [
            ("", 1, default),
            ("&page_size=2", 1, 2),
            ("&limit=2", 1, 2),
            ("&page_size=2&page=3", 3, 2),
            ("&page_size=20abc", 1, 20),
            ("&page_size=abc", 1, default),
            ("&page_size=", 1, default),
            ("&page_size=0", 1, 1),
            ("&page_size=-5", 1, 1),
            ("&page_size=9999", 1, largest),
            ("&page_size=99999999999999999999", 1, largest),
            ("&page=0", 1, default),
            ("&page=-3", 1, default),
            ("&page[]=3", 1, default),
        ] {
            let list = tenant.user.get(&format!("{path}{query}")).await.expect(200);
            let pages = (7 + size - 1) / size;
            assert_eq!(list["meta"], meta(page, size, 7, pages), "{path}{query}");
            let rows = (7 - (page - 1) * size).clamp(0, size);
            assert_eq!(list["data"].as_array().unwrap().len() as i64, rows, "{path}{query}");
        }
        for beyond in [
            "&page=5",
            "&page=99999999999999999999",
            "&offset=9223372036854775807",
            "&offset=9223372036854775807&page_size=1&limit=1",
        ] {
            let list = tenant.user.get(&format!("{path}{beyond}")).await.expect(200);
            assert_eq!(list["data"], json!([]), "{path}{beyond}");
            assert_eq!(list["meta"]["total_count"], 7, "{path}{beyond}");
        }
    }
}

#[tokio::test]
async fn of_two_sizes_limit_wins_on_the_story_list_and_page_size_elsewhere() {
    let tenant = Tenant::new().await;
    for (path, ..) in lists(&tenant).await {
        let list = tenant.user.get(&format!("{path}&limit=3&page_size=2")).await.expect(200);
        let size = if path.starts_with("/stories?") { 3 } else { 2 };
        assert_eq!(
            (&list["meta"]["page_size"], &list["meta"]["limit"]),
            (&json!(size), &json!(size)),
            "{path}"
        );
        assert_eq!(list["data"].as_array().unwrap().len(), size, "{path}");
    }
}

#[tokio::test]
async fn pages_and_offsets_show_every_row_once() {
    let tenant = Tenant::new().await;
    for (path, ..) in lists(&tenant).await {
        let whole = column(&tenant.user.get(&path).await.expect(200), "id");
        assert_eq!(whole.iter().collect::<HashSet<_>>().len(), 7, "{path}");
        for by_page in [true, false] {
            let mut seen = Vec::new();
            for page in 0..4 {
                let place =
                    if by_page { format!("page={}", page + 1) } else { format!("offset={}", page * 2) };
                let list = tenant.user.get(&format!("{path}&page_size=2&{place}")).await.expect(200);
                assert_eq!(list["meta"]["offset"], page * 2, "{path} {place}");
                seen.extend(column(&list, "id"));
            }
            assert_eq!(seen, whole, "{path}");
        }
    }
}

/// The story list's own parameters.
#[tokio::test]
async fn an_offset_may_lie_between_pages() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1", "1.2", "1.3", "1.4", "1.5"]).await;
    let list = async |query: &str| -> Value {
        let path = format!("/stories?project_id={project}{query}");
        tenant.user.get(&path).await.expect(200)
    };
    let between = list("&limit=2&offset=1").await;
    assert_eq!(column(&between, "number"), ["1.2", "1.3"]);
    assert_eq!((&between["meta"]["offset"], &between["meta"]["total_count"]), (&json!(1), &json!(5)));
    // `offset` wins over `page`, and is clamped.
    assert_eq!(column(&list("&limit=2&offset=4&page=1").await, "number"), ["1.5"]);
    assert_eq!(column(&list("&limit=2&offset=-1").await, "number"), ["1.1", "1.2"]);
    assert_eq!(column(&list("&limit=2&page=3").await, "number"), ["1.5"]);
    assert_eq!(list("&limit=9999").await["meta"]["limit"], 500);
    assert_eq!(list("&limit=0").await["meta"]["limit"], 1);
    assert_eq!(list("").await["meta"], meta(1, 100, 5, 1));
}
