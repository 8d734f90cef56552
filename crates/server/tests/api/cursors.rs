//! Lists that grow without bound are read on from where the answer before ended.

use serde_json::{Value, json};

use crate::support::{Caller, Tenant, text};

/// Everything of a list, a few rows at a time, each answer read on from the one before. Something happens in between.
async fn read_on(
    caller: &Caller,
    path: &str,
    size: usize,
    mut meanwhile: impl AsyncFnMut(usize),
) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    for round in 0.. {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        // What the page says does not matter after a cursor.
        let separator = if path.contains('?') { '&' } else { '?' };
        let part = caller.get(&format!("{path}{separator}page_size={size}&page=1{after}")).await.expect(200);
        let data = part["data"].as_array().unwrap();
        assert!(data.len() <= size);
        rows.extend(data.iter().cloned());
        if part["next_cursor"].is_null() {
            break;
        }
        assert_eq!(data.len(), size, "only the last part may be short");
        cursor = Some(text(&part["next_cursor"]));
        meanwhile(round).await;
    }
    rows
}

#[tokio::test]
async fn a_storys_history_is_read_on() {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    let path = format!("/stories/{story}/history");
    let retitle = async |title: String| {
        tenant.user.patch(&format!("/stories/{story}"), json!({"title": title})).await.expect(200);
    };
    for n in 0..8 {
        retitle(format!("title {n}")).await;
    }
    let whole = tenant.user.get(&path).await.expect(200);
    assert_eq!(whole["next_cursor"], Value::Null);
    let whole = whole["data"].as_array().unwrap().clone();
    for size in [1, 2, 3, 9, 100] {
        assert_eq!(read_on(&tenant.user, &path, size, async |_| ()).await, whole, "{size}");
    }
    // What happens while somebody reads comes last, once.
    let mut read = read_on(&tenant.user, &path, 3, async |round| {
        if round < 2 {
            retitle(format!("meanwhile {round}")).await;
        }
    })
    .await;
    assert_eq!(read.len(), whole.len() + 2);
    let told: Vec<_> =
        read.split_off(whole.len()).iter().map(|entry| text(&entry["new_state"]["title"])).collect();
    assert_eq!((read, told), (whole, vec!["meanwhile 0".to_owned(), "meanwhile 1".to_owned()]));
}

#[tokio::test]
async fn a_checkpoints_history_is_read_on_backwards() {
    let tenant = Tenant::new().await;
    let (project, orchestrator) = (tenant.project().await, tenant.orchestrator().await);
    let path = format!("/orchestrator/state/{project}");
    let save = async |version: usize| {
        let body = json!({"state_key": "main", "state_data": {"n": version}, "version": version});
        let request = orchestrator.request(reqwest::Method::PUT, &path).json(&body);
        orchestrator.send(request).await.expect(200);
    };
    for version in 0..7 {
        save(version).await;
    }
    let history = format!("{path}/history?state_key=main");
    let versions =
        |rows: Vec<Value>| rows.iter().map(|row| row["version"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(versions(read_on(&orchestrator, &history, 3, async |_| ()).await), [7, 6, 5, 4, 3, 2, 1]);
    // Later saves are before what has been read, and do not push anything into it.
    let read = read_on(&orchestrator, &history, 2, async |round| save(7 + round).await).await;
    assert_eq!(versions(read), [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_cursor_that_no_answer_gave_is_refused() {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    for cursor in ["x", "0", "AAAA", "2026-01-01T00:00:00Z", "________8", "AAAAAAAAAAAAAAAA"] {
        let reply = tenant.user.get(&format!("/stories/{story}/history?cursor={cursor}")).await;
        let error = reply.expect_error(400, "bad_request");
        assert!(text(&error["message"]).contains("leave it out"), "{error}");
    }
    // A blank one is none, as everywhere.
    let whole = tenant.user.get(&format!("/stories/{story}/history?cursor=")).await.expect(200);
    assert_eq!(whole["data"].as_array().unwrap().len(), 1);
}
