//! Long answers: what is read comes in parts, what is written is told in few words.

use serde_json::json;

use super::seat;
use crate::U;
use crate::recorder::Recorder;
use crate::session::{KEYS, Session};

#[test]
fn articles_are_read_with_their_titles_the_best_first_and_in_parts() {
    let long = "A line of what is known.\n".repeat(500);
    let body = long.clone();
    let recorder = Recorder::new(move |_| {
        json!({"data": [{"id": U, "title": "First", "category": "pattern", "body": body, "combined_score": 0.9,
                         "linked_articles": [{"id": U, "title": "Other", "category": "finding"}]},
                        {"id": "second", "title": "Second", "category": "finding", "body": "Short.", "linked_articles": []}],
               "meta": {"total_count": 2, "cut": [{"id": "third", "reason": "no_room"}]}})
        .into()
    });
    let mut session = seat(&recorder, "LOOPCTL_AGENT_KEY");
    let (mut read, mut arguments, mut parts) = (String::new(), json!({"query": "x"}), 0);
    loop {
        let told = session.call("knowledge_context", &arguments);
        assert!(!told.is_error && told.text.len() <= 8192, "{told:?}");
        let told = told.structured;
        assert_eq!((&told["articles"], &told["cut"]), (&json!(2), &json!(["third: no_room"])));
        read.push_str(told["text"].as_str().unwrap());
        parts += 1;
        match told.get("cursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => break,
        }
    }
    let whole = format!(
        "# First\npattern, {U}\n\n{}\n\nLinked: Other\n\n# Second\nfinding, second\n\nShort.",
        long.trim()
    );
    assert_eq!(read, whole);
    assert!(parts > 1);
    let recorder = Recorder::new(|_| json!({"data": [], "meta": {"total_count": 0}}).into());
    let told = seat(&recorder, "LOOPCTL_AGENT_KEY").call("knowledge_context", &json!({"query": "x"}));
    assert_eq!(told.structured, json!({"articles": 0, "message": "Nothing is written about this."}));
}

/// A number is what it says, whoever writes it; what is neither is refused, and nothing is read from the start instead.
#[test]
fn a_cursor_may_be_a_number() {
    let recorder = Recorder::new(|_| {
        json!({"data": [{"id": U, "title": "T", "category": "pattern", "body": "A line.\n".repeat(2000)}], "meta": {}}).into()
    });
    let mut session = seat(&recorder, "LOOPCTL_AGENT_KEY");
    for (tool, mut arguments) in [
        ("knowledge_context", json!({"query": "x"})),
        ("knowledge_search", json!({"q": "x"})),
        // One whose schema names it.
        ("get_story", json!({"story_id": U})),
    ] {
        arguments["cursor"] = json!("5000");
        let as_text = session.call(tool, &arguments).structured;
        arguments["cursor"] = json!(5000);
        let as_number = session.call(tool, &arguments).structured;
        assert_eq!(as_number, as_text, "{tool}");
        arguments["cursor"] = json!(null);
        assert_ne!(session.call(tool, &arguments).structured, as_text, "{tool}");
        let before = recorder.requests().len();
        for (cursor, said) in [
            (json!([5000]), "cursor must be a string"),
            (json!(true), "cursor must be a string"),
            (json!(-1), "none of an answer's"),
            (json!(1.5), "none of an answer's"),
            (json!("next"), "none of an answer's"),
        ] {
            arguments["cursor"] = cursor;
            let told = session.call(tool, &arguments);
            assert!(told.is_error && told.text.contains(said), "{tool} {arguments}: {told:?}");
        }
        assert_eq!(recorder.requests().len(), before, "{tool}");
    }
}

/// Whatever writes is done once: its long answer is cut, and no cursor leads to its rest.
#[test]
fn nothing_is_written_again_to_read_on() {
    let recorder = Recorder::new(|_| json!({"data": {"id": U, "note": "long ".repeat(4000)}}).into());
    let mut session = Session::start(&recorder.address, KEYS);
    for (tool, arguments) in [
        ("knowledge_create", json!({"title": "T", "body": "B"})),
        ("knowledge_ingest", json!({"content": "c", "source_type": "s"})),
        ("knowledge_ingest_batch", json!({"items": [{"content": "c", "source_type": "s"}]})),
        ("knowledge_bulk_publish", json!({"article_ids": [U]})),
        ("knowledge_publish", json!({"article_id": U})),
        ("import_stories", json!({"project_id": U, "payload": {"epics": []}})),
    ] {
        let before = recorder.requests().len();
        let told = session.call(tool, &arguments);
        assert!(!told.is_error && told.structured.get("cursor").is_none(), "{tool}: {told:?}");
        assert_eq!(recorder.requests().len(), before + 1, "{tool}");
        for cursor in [json!("7000"), json!(7000), json!("")] {
            let mut again = arguments.clone();
            again["cursor"] = cursor;
            let told = session.call(tool, &again);
            assert!(told.is_error && told.text.contains("cursor is not an argument"), "{tool}: {told:?}");
        }
        assert_eq!(recorder.requests().len(), before + 1, "{tool}");
    }
    let told = session.call("knowledge_ingest", &json!({"content": "c", "source_type": "s"})).structured;
    assert_eq!(told["cut"], true, "{told}");
}

#[test]
fn what_became_of_many_is_a_line_each() {
    let recorder = Recorder::new(|request| {
        let article = json!({"id": U, "title": "T", "body": "long ".repeat(200), "status": "published"});
        let jobs: Vec<_> = (0..48)
            .map(|id| json!({"status": "queued", "id": id, "content_hash": "a".repeat(64), "source_type": "manual"}))
            .chain([json!({"status": "already_queued", "id": 7, "content_hash": "b"}),
                    json!({"status": "error", "error": format!("no such page: {}", "ä".repeat(500))})])
            .collect();
        match request.line.contains("bulk-publish") {
            true => json!({"data": vec![article; 100], "meta": {"count": 100}}).into(),
            false => json!({"data": jobs}).into(),
        }
    });
    let mut session = Session::start(&recorder.address, KEYS);
    let told = session.call("knowledge_bulk_publish", &json!({"article_ids": vec![U; 100]})).structured;
    assert_eq!(told, json!({"results": vec![format!("{U}: published"); 100]}));
    let items = vec![json!({"content": "c", "source_type": "manual"}); 50];
    let told = session.call("knowledge_ingest_batch", &json!({"items": items})).structured;
    let results = told["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0], &results[48]),
        (50, &json!("0: queued"), &json!("7: already_queued"))
    );
    let error = results[49].as_str().unwrap();
    assert!(error.starts_with("error: no such page: ä") && error.len() < 120, "{error}");
}
