//! The wiki as tools: what each asks of the API, and how a role is answered.

mod parts;

use serde_json::{Value, json};

use crate::U;
use crate::calls::Row;
use crate::recorder::{Answer, Recorder};
use crate::session::{ALL, Session};

/// Every tool of the wiki.
pub(crate) fn table() -> Vec<Row> {
    let article = json!({"article_id": U});
    let post = |what: &str| format!("POST /api/v1/articles/{U}/{what}");
    let mut rows = reading();
    rows.extend([
        (
            "knowledge_create",
            json!({"title": "T", "body": "B"}),
            "POST /api/v1/articles".into(),
            "AGENT",
            Some(json!({"title": "T", "body": "B", "category": "finding"})),
        ),
        (
            "knowledge_create",
            json!({"title": "T", "body": "B", "category": "decision", "tags": ["a", "b"], "project_id": U}),
            "POST /api/v1/articles".into(),
            "AGENT",
            Some(json!({"title": "T", "body": "B", "category": "decision", "tags": ["a", "b"], "project_id": U})),
        ),
        ("knowledge_publish", article.clone(), post("publish"), "ORCH", None),
        (
            "knowledge_bulk_publish",
            json!({"article_ids": [U]}),
            "POST /api/v1/knowledge/bulk-publish".into(),
            "USER",
            Some(json!({"article_ids": [U]})),
        ),
        ("knowledge_unpublish", article.clone(), post("unpublish"), "USER", None),
        ("knowledge_archive", article.clone(), post("archive"), "USER", None),
        ("knowledge_delete", article.clone(), format!("DELETE /api/v1/articles/{U}"), "USER", None),
        (
            "knowledge_ingest",
            json!({"url": "https://example.com/a", "content": "", "source_type": "web_article", "project_id": U}),
            "POST /api/v1/knowledge/ingest".into(),
            "ORCH",
            Some(json!({"url": "https://example.com/a", "source_type": "web_article", "project_id": U})),
        ),
        (
            "knowledge_ingest_batch",
            json!({"items": [{"content": "c", "source_type": "s"},
                             {"url": "u", "source_type": "s", "project_id": "theirs", "metadata": {"a": 1}}],
                   "project_id": U}),
            "POST /api/v1/knowledge/ingest/batch".into(),
            "ORCH",
            Some(json!({"items": [{"content": "c", "source_type": "s", "project_id": U},
                                  {"url": "u", "source_type": "s", "project_id": "theirs", "metadata": {"a": 1}}]})),
        ),
    ]);
    rows
}

/// Those that change nothing.
fn reading() -> Vec<Row> {
    let get = |path: &str| format!("GET /api/v1/{path}");
    let rows: Vec<(&'static str, Value, String, &'static str)> = vec![
        ("knowledge_index", json!({}), get("knowledge/index"), "AGENT"),
        (
            "knowledge_index",
            json!({"project_id": U, "story_id": U}),
            get(&format!("projects/{U}/knowledge/index?story_id={U}")),
            "AGENT",
        ),
        (
            "knowledge_search",
            json!({"q": "a b&c", "limit": 0}),
            get("knowledge/search?q=a+b%26c&limit=0"),
            "AGENT",
        ),
        (
            "knowledge_search",
            json!({"limit": 3, "include_system": true, "mode": "keyword", "tags": "a,b", "category": "finding", "story_id": U, "project_id": U, "q": "x"}),
            get(&format!(
                "knowledge/search?q=x&project_id={U}&story_id={U}&category=finding&tags=a%2Cb&mode=keyword&include_system=true&limit=3"
            )),
            "AGENT",
        ),
        ("knowledge_get", json!({"article_id": U}), get(&format!("articles/{U}")), "AGENT"),
        (
            "knowledge_get",
            json!({"article_id": U, "project_id": U, "story_id": U}),
            get(&format!("articles/{U}?project_id={U}&story_id={U}")),
            "AGENT",
        ),
        (
            "knowledge_context",
            json!({"query": "x", "project_id": U, "story_id": U, "limit": 0, "recency_weight": 0, "max_tokens": 900}),
            get(&format!(
                "knowledge/context?query=x&project_id={U}&story_id={U}&limit=0&recency_weight=0&max_tokens=900"
            )),
            "AGENT",
        ),
        (
            "knowledge_drafts",
            json!({"limit": 100, "offset": 0}),
            get("knowledge/drafts?limit=20&offset=0"),
            "ORCH",
        ),
        (
            "knowledge_drafts",
            json!({"limit": -1, "offset": -1, "project_id": U}),
            get(&format!("knowledge/drafts?limit=1&offset=0&project_id={U}")),
            "ORCH",
        ),
        ("knowledge_lint", json!({"min_coverage": 2}), get("knowledge/lint?min_coverage=2"), "ORCH"),
        (
            "knowledge_lint",
            json!({"project_id": U, "stale_days": 1, "max_per_category": 500}),
            get(&format!("projects/{U}/knowledge/lint?stale_days=1&max_per_category=500")),
            "ORCH",
        ),
        ("knowledge_ingestion_jobs", json!({}), get("knowledge/ingestion-jobs"), "ORCH"),
        ("knowledge_analytics_top", json!({}), get("knowledge/analytics/top-articles"), "ORCH"),
        (
            "knowledge_analytics_top",
            json!({"limit": 5, "since_days": 7, "access_type": "get", "project_id": U, "group_by": "agent"}),
            get(&format!(
                "knowledge/analytics/top-articles?limit=5&since_days=7&access_type=get&project_id={U}&group_by=agent"
            )),
            "ORCH",
        ),
        (
            "knowledge_article_stats",
            json!({"article_id": U}),
            get(&format!("knowledge/articles/{U}/stats")),
            "ORCH",
        ),
        (
            "knowledge_agent_usage",
            json!({"api_key_id": U, "limit": 5, "since_days": 30}),
            get(&format!("knowledge/analytics/agents/{U}?limit=5&since_days=30")),
            "ORCH",
        ),
        (
            "knowledge_agent_usage",
            json!({"agent_id": U}),
            get(&format!("knowledge/analytics/agents/{U}")),
            "ORCH",
        ),
        (
            "knowledge_unused_articles",
            json!({"days_unused": 30, "limit": 200}),
            get("knowledge/analytics/unused-articles?days_unused=30&limit=200"),
            "ORCH",
        ),
        ("get_system_articles", json!({}), get("articles/system"), "ORCH"),
        (
            "get_system_articles",
            json!({"slug": "chain-of-custody", "category": "reference"}),
            get("articles/system?slug=chain-of-custody&category=reference"),
            "ORCH",
        ),
    ];
    rows.into_iter().map(|(tool, arguments, line, key)| (tool, arguments, line, key, None)).collect()
}

#[test]
fn what_is_missing_or_wrong_is_said_and_not_sent() {
    let recorder = Recorder::content();
    let mut session = Session::of(&recorder, &[]);
    let exactly_one = "pass exactly one of api_key_id or agent_id";
    for (tool, arguments, said) in [
        ("knowledge_search", json!({}), "q is required"),
        ("knowledge_search", json!({"q": ""}), "q is required"),
        ("knowledge_search", json!({"q": "x", "mode": "magic"}), "mode must be one of"),
        ("knowledge_search", json!({"q": "x", "include_system": "perhaps"}), "include_system must be"),
        ("knowledge_context", json!({"query": ""}), "query is required"),
        (
            "knowledge_context",
            json!({"query": "x", "recency_weight": 1.5}),
            "recency_weight must be from 0 to 1",
        ),
        ("knowledge_create", json!({"title": "T"}), "body is required"),
        (
            "knowledge_create",
            json!({"title": "T", "body": "B", "category": "gossip"}),
            "category must be one of",
        ),
        (
            "knowledge_create",
            json!({"title": "T", "body": "B", "tags": [1]}),
            "tags must be a list of strings",
        ),
        (
            "knowledge_create",
            json!({"title": "T", "body": "B", "tags": vec!["t"; 21]}),
            "tags must have at most 20",
        ),
        ("knowledge_bulk_publish", json!({"article_ids": vec![U; 101]}), "article_ids must have at most 100"),
        ("knowledge_drafts", json!({"article_id": U}), "article_id is not an argument"),
        (
            "knowledge_lint",
            json!({"max_per_category": 501}),
            "max_per_category must be at least 1 at most 500",
        ),
        ("knowledge_ingest_batch", json!({"items": []}), "items must have 1 to 50"),
        ("knowledge_export", json!({"project_id": "../../x"}), "project_id must be a canonical UUID"),
        ("knowledge_analytics_top", json!({"limit": 101}), "limit must be"),
        ("knowledge_agent_usage", json!({}), exactly_one),
        ("knowledge_agent_usage", json!({"api_key_id": "", "agent_id": "   "}), exactly_one),
        ("knowledge_agent_usage", json!({"api_key_id": U, "agent_id": U}), exactly_one),
        ("knowledge_agent_usage", json!({"api_key_id": 42}), "canonical UUID"),
        ("knowledge_agent_usage", json!({"agent_id": "deadbeef"}), "canonical UUID"),
        ("knowledge_agent_usage", json!({"agent_id": "../../../stories/123"}), "canonical UUID"),
    ] {
        let told = session.call(tool, &arguments);
        assert!(told.is_error && told.text.contains(said), "{tool} {arguments}: {told:?}");
        assert_eq!(told.json()["status"], 0);
    }
    assert_eq!(recorder.requests().len(), 0);
}

#[test]
fn what_a_person_does_takes_a_persons_key() {
    let recorder = Recorder::content();
    let mut session = Session::start(&recorder.address, &[ALL, ("LOOPCTL_ORCH_KEY", "ORCH")]);
    for (tool, arguments) in [
        ("knowledge_unpublish", json!({"article_id": U})),
        ("knowledge_archive", json!({"article_id": U})),
        ("knowledge_delete", json!({"article_id": U})),
        ("knowledge_bulk_publish", json!({"article_ids": [U]})),
    ] {
        let told = session.call(tool, &arguments);
        assert!(told.is_error && told.text.contains("LOOPCTL_USER_KEY"), "{tool}: {told:?}");
    }
    assert_eq!(recorder.requests().len(), 0);
    // And what everybody may read takes none.
    let mut session = Session::start(&recorder.address, &[ALL]);
    assert!(!session.call("get_system_articles", &json!({})).is_error);
    assert_eq!(recorder.take().header("authorization"), None);
}

#[test]
fn who_names_an_agent_is_told_to_name_a_key() {
    let recorder = Recorder::new(|_| (404, json!({"error": {"status": 404}})).into());
    let mut session = Session::of(&recorder, &[]);
    let told = session.call("knowledge_agent_usage", &json!({"agent_id": U}));
    let hint = told.meta["deprecation_hint"].as_str().unwrap();
    assert!(told.is_error && hint.contains("api_key_id") && hint.contains("agents.id"), "{told:?}");
    assert!(!told.text.contains("deprecat"), "{told:?}");
    for arguments in [json!({"api_key_id": U}), json!({"api_key_id": U, "agent_id": " "})] {
        let told = session.call("knowledge_agent_usage", &arguments);
        assert_eq!(told.meta["deprecation_hint"], Value::Null, "{told:?}");
    }
}

#[test]
fn an_export_is_a_command_for_a_shell() {
    let recorder = Recorder::content();
    let mut session = Session::of(&recorder, &[]);
    for (arguments, path) in [
        (json!({}), "/api/v1/knowledge/export".to_owned()),
        (json!({"project_id": U}), format!("/api/v1/projects/{U}/knowledge/export")),
    ] {
        let told = session.call("knowledge_export", &arguments);
        let told = (!told.is_error).then(|| told.json()).unwrap();
        let endpoint = format!("{}{path}", recorder.address);
        assert_eq!(told["endpoint"], endpoint);
        let command = told["command"].as_str().unwrap();
        for part in [
            "curl -f ",
            "-H \"Authorization: Bearer $LOOPCTL_ORCH_KEY\"",
            "-H \"X-Loopctl-STH-Bootstrap: true\"",
            &format!("\"{endpoint}\""),
            "-o knowledge-export.zip",
        ] {
            assert!(command.contains(part), "{command}");
        }
        assert!(told["message"].is_string());
    }
    assert_eq!(recorder.requests().len(), 0);
}

#[test]
fn an_export_is_written_where_there_is_no_file_yet() {
    let recorder =
        Recorder::new(|_| Answer(200, "content-type: application/zip\r\n".to_owned(), "PK..".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("wiki.zip");
    let sent = json!({"project_id": U, "save_to": path});
    let mut session = Session::of(&recorder, &[]);
    let told = session.call("knowledge_export", &sent).json();
    assert_eq!((&told["path"], &told["bytes"]), (&json!(path), &json!(4)), "{told}");
    assert_eq!(told["sha256"], "c8aa8d270cca0bc11c4c0f9f2d7e892c7a369c97c022083b9e8c302439ceaf2c");
    assert_eq!(std::fs::read(&path).unwrap(), b"PK..");
    let request = recorder.take();
    assert_eq!(request.line, format!("GET /api/v1/projects/{U}/knowledge/export"));
    assert_eq!(request.header("authorization"), Some("Bearer ORCH"));
    for (path, said) in [
        (path.to_str().unwrap(), "already exists"),
        ("wiki.zip", "must be absolute"),
        ("/proc/wiki.zip", "refused"),
    ] {
        let told = session.call("knowledge_export", &json!({"save_to": path}));
        assert!(told.is_error && told.text.contains(said), "{told:?}");
    }
    assert_eq!(recorder.requests().len(), 0);
    // What is no archive leaves nothing, and neither does what is refused.
    for kind in ["content-type: text/html\r\n", "content-type: application/json\r\n", ""] {
        let page = Recorder::new(move |_| Answer(200, kind.to_owned(), "<html>login</html>".to_owned()));
        let other = dir.path().join("page.zip");
        let told = Session::of(&page, &[]).call("knowledge_export", &json!({"save_to": other}));
        assert!(told.is_error && told.text.contains("is no archive") && !other.exists(), "{told:?}");
    }
    let refused = Recorder::new(|_| (403, json!({"error": {"status": 403}})).into());
    let other = dir.path().join("other.zip");
    let told = Session::of(&refused, &[]).call("knowledge_export", &json!({"save_to": other}));
    assert!(told.is_error && told.json()["status"] == 403 && !other.exists(), "{told:?}");
}

#[test]
fn whoever_lowers_a_page_of_drafts_is_told() {
    let recorder = Recorder::new(|_| json!({"data": [{"id": U, "description": "stays"}]}).into());
    let told = Session::of(&recorder, &[]).call("knowledge_drafts", &json!({"limit": 100}));
    assert!(told.note.as_str().unwrap().contains("lowered to 20"), "{told:?}");
    assert_eq!(told.json()["data"][0]["description"], "stays");
}

fn seat(recorder: &Recorder, variable: &str) -> Session {
    Session::start(&recorder.address, &[(variable, "k")])
}

fn listed(recorder: &Recorder, variable: &str) -> Vec<String> {
    let listed = seat(recorder, variable).ask("tools/list", &json!({}));
    let names =
        listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    names.filter(|name| name.starts_with("knowledge_")).map(str::to_owned).collect()
}

#[test]
fn each_role_has_the_few_that_it_needs() {
    let recorder = Recorder::content();
    assert_eq!(listed(&recorder, "LOOPCTL_AGENT_KEY"), ["knowledge_context", "knowledge_create"]);
    assert_eq!(listed(&recorder, "LOOPCTL_REVIEWER_KEY"), ["knowledge_context"]);
    assert_eq!(
        listed(&recorder, "LOOPCTL_ORCH_KEY"),
        ["knowledge_context", "knowledge_publish", "knowledge_drafts", "knowledge_lint"]
    );
}

/// A filter is what somebody asks for. What is configured says where work is done, and most of what is known is everybody's.
#[test]
fn a_configured_project_does_not_hide_what_everybody_knows() {
    let recorder = Recorder::new(|request| match request.line.as_str() {
        line if line.starts_with("GET /api/v1/projects?") => {
            json!({"data": [{"id": U, "name": "Only", "slug": "only"}]}).into()
        }
        line if line.contains("number=1.2") => json!({"data": [{"id": U}]}).into(),
        _ => json!({"data": [], "meta": {}}).into(),
    });
    let last = || recorder.requests().last().unwrap().line.clone();
    for configured in ["only", U] {
        let environment = [("LOOPCTL_AGENT_KEY", "k"), ("LOOPCTL_PROJECT", configured)];
        let mut session = Session::start(&recorder.address, &environment);
        session.call("knowledge_context", &json!({"query": "x"}));
        assert_eq!(last(), "GET /api/v1/knowledge/context?query=x&max_tokens=1800");
        session.call("knowledge_context", &json!({"query": "x", "project_id": "only"}));
        assert_eq!(last(), format!("GET /api/v1/knowledge/context?query=x&project_id={U}&max_tokens=1800"));
        // Who asks for more gets more.
        session.call("knowledge_context", &json!({"query": "x", "story_id": "1.2", "max_tokens": 9000}));
        assert_eq!(last(), format!("GET /api/v1/knowledge/context?query=x&story_id={U}&max_tokens=9000"));
        // Not listed, but known by story and project all the same, and read on.
        session.call("knowledge_search", &json!({"q": "x", "story_id": "1.2", "cursor": "0"}));
        assert_eq!(last(), format!("GET /api/v1/knowledge/search?q=x&story_id={U}"));
    }
}

#[test]
fn an_orchestrator_reads_a_draft_before_it_publishes_it() {
    let draft = |status: &str| {
        json!({"id": U, "title": "T", "body": "Text.\n", "category": "finding", "status": status, "tags": [],
               "source_type": "review_finding", "metadata": {"much": "of it"}})
    };
    let recorder = Recorder::new(move |request| match request.line.as_str() {
        line if line.contains("/drafts") => {
            json!({"data": vec![draft("draft"); 20], "meta": {"total_count": 21, "limit": 20, "offset": 0}})
                .into()
        }
        line if line.ends_with("/publish") => json!({"data": draft("published")}).into(),
        _ => json!({"data": draft("draft")}).into(),
    });
    let mut session = seat(&recorder, "LOOPCTL_ORCH_KEY");
    let told = session.call("knowledge_drafts", &json!({})).structured;
    assert_eq!(told["drafts"][0], format!("{U} T: finding, review_finding"));
    assert_eq!((&told["total"], &told["cursor"]), (&json!(21), &json!("20")));
    let read = json!({"tool": "knowledge_drafts", "arguments": {"article_id": U}});
    assert_eq!(told["next"], read);
    let told = session.call("knowledge_drafts", &read["arguments"]).structured;
    assert_eq!(told["text"], "Text.");
    let publish = json!({"tool": "knowledge_publish", "arguments": {"article_id": U}});
    assert_eq!(told["next"], publish);
    let told = session.call("knowledge_publish", &publish["arguments"]).structured;
    let article = json!({"id": U, "title": "T", "category": "finding", "status": "published"});
    assert_eq!(told, json!({"article": article, "next": {"tool": "knowledge_drafts", "arguments": {}}}));
    session.call("knowledge_drafts", &json!({"cursor": "20"}));
    let lines: Vec<_> = recorder.requests().iter().map(|request| request.line.clone()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/knowledge/drafts?limit=20".to_owned(),
            format!("GET /api/v1/articles/{U}"),
            format!("POST /api/v1/articles/{U}/publish"),
            "GET /api/v1/knowledge/drafts?limit=20&offset=20".to_owned(),
        ]
    );
}

#[test]
fn who_files_something_is_told_what_it_is_and_no_more() {
    let recorder = Recorder::new(|_| {
        (201, json!({"data": {"id": U, "title": "T", "body": "B", "category": "finding", "status": "draft"}}))
            .into()
    });
    let told =
        seat(&recorder, "LOOPCTL_AGENT_KEY").call("knowledge_create", &json!({"title": "T", "body": "B"}));
    assert_eq!(
        told.structured,
        json!({"article": {"id": U, "title": "T", "category": "finding", "status": "draft"}})
    );
}

#[test]
fn what_is_wrong_is_counted_and_the_first_of_each_is_shown() {
    let recorder = Recorder::new(|_| {
        let stale =
            json!({"article_id": U, "title": "Old", "days_since_update": 100, "suggested_action": "Review"});
        json!({"data": {"stale_articles": [stale, stale], "orphan_articles": [],
                        "contradiction_clusters": [{"titles": ["a", "b", "c", "d"], "suggested_action": "Resolve"}]},
               "summary": {"total_articles": 9, "total_issues": 3, "total_per_category":
                           {"stale_articles": 2, "orphan_articles": 0, "contradiction_clusters": 1}}})
        .into()
    });
    let told = seat(&recorder, "LOOPCTL_ORCH_KEY").call("knowledge_lint", &json!({})).structured;
    assert_eq!((&told["articles"], &told["issues"]), (&json!(9), &json!(3)));
    assert_eq!(told["stale_articles"]["count"], 2);
    assert_eq!(told["stale_articles"]["first"]["title"], "Old");
    assert_eq!(told["contradiction_clusters"]["first"]["titles"], json!(["a", "b", "c"]));
    assert!(told.get("orphan_articles").is_none());
}
