//! `knowledge`: what is sent, and what people and programs are shown.

mod names;

use serde_json::{Value, json};

use crate::support::{Answer, CONTENT_TYPE, Request, World, error};
use crate::{P1, S21, body_of, list, one_project};

const RETRY: &str = "0192dddd-0000-7000-8000-000000000001";
const OTHER: &str = "0192dddd-0000-7000-8000-000000000002";
const OLD: &str = "0192dddd-0000-7000-8000-000000000003";

fn article(id: &str, slug: &str, title: &str, status: &str) -> Value {
    json!({"id": id, "project_id": null, "title": title, "slug": slug, "body": "# Why\n\nSee [it](https://x.example/a).\n",
           "category": "pattern", "status": status, "tags": ["http", "retries"], "source_type": null, "source_id": null,
           "metadata": {}, "inserted_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-02T00:00:00.000000Z"})
}

fn end(id: &str, title: &str) -> Value {
    json!({"id": id, "title": title})
}

/// What there is.
fn articles() -> Vec<Value> {
    vec![
        article(OLD, "retry-budgets-old", "Retry budgets", "archived"),
        article(RETRY, "retry-budgets", "Retry budgets", "published"),
        article(OTHER, "other", "Ötherwise", "draft"),
        article(OLD, "x1", "Twice", "archived"),
        article(OTHER, "x2", "Twice", "superseded"),
    ]
}

/// Those with exactly the slug or the title that is asked for.
fn of_name(request: &Request, mut articles: Vec<Value>) -> Vec<Value> {
    let url = reqwest::Url::parse(&format!("http://x/?{}", request.query)).unwrap();
    for (name, value) in url.query_pairs().filter(|(name, _)| ["slug", "title"].contains(&name.as_ref())) {
        articles.retain(|article| article[name.as_ref()] == value.as_ref());
    }
    articles
}

fn server(request: &Request) -> Answer {
    let retry = || article(RETRY, "retry-budgets", "Retry budgets", "published");
    let path = request.path.strip_prefix("/api/v1").unwrap();
    let at = format!("/articles/{RETRY}");
    match (request.method.as_str(), path.strip_prefix(&at).unwrap_or(path)) {
        ("GET", "/articles") => list(&of_name(request, articles())),
        ("GET", "") => {
            let mut article = retry();
            article["outgoing_links"] = json!([{"id": OLD, "relationship_type": "supersedes",
                "source_article": end(RETRY, "Retry budgets"), "target_article": end(OLD, "Retry forever")}]);
            article["incoming_links"] = json!([{"id": OTHER, "relationship_type": "relates_to",
                "source_article": end(OTHER, "Timeouts"), "target_article": end(RETRY, "Retry budgets")}]);
            json!({"data": article}).into()
        }
        ("GET", "/links") => json!({"data": [{"id": OLD, "relationship_type": "supersedes",
            "source_article": end(RETRY, "Retry budgets"), "target_article": end(OLD, "Retry forever")}]})
        .into(),
        ("POST", "/articles") => (201, json!({"data": article(OTHER, "n", "New", "draft")})).into(),
        ("POST" | "PATCH", "" | "/publish" | "/unpublish" | "/archive") => json!({"data": retry()}).into(),
        ("POST", "/knowledge/bulk-publish") => json!({"data": [retry()], "meta": {"count": 1}}).into(),
        ("POST", "/article_links") => {
            (201, json!({"data": {"id": OLD, "relationship_type": "supersedes", "metadata": {}}})).into()
        }
        ("DELETE", path) if path.starts_with("/article_links/") => (204, Value::Null).into(),
        ("GET", "/knowledge/search") => json!({"data": [
            {"id": RETRY, "title": "Retry budgets", "category": "pattern", "tags": ["http"], "score": 0.8, "snippet": "a **retry** costs"},
            {"id": OTHER, "title": "Other", "category": "finding", "tags": [], "scope": "system", "score": 0.2}],
            "meta": {"total_count": 12, "limit": 10, "offset": 0, "fallback": true}})
        .into(),
        ("GET", "/knowledge/context") => json!({"data": [
            {"id": RETRY, "title": "Retry budgets", "category": "pattern", "tags": [], "body": "Some **text**.",
             "updated_at": "T", "relevance_score": 1.0, "recency_score": 0.5, "combined_score": 0.85,
             "linked_articles": [{"id": OTHER, "title": "Timeouts", "category": "finding"}]}],
            "meta": {"total_count": 1, "limit": 5, "recency_weight": 0.3, "cut": [{"id": OTHER, "reason": "no_room"}]}})
        .into(),
        ("GET", path) if path.ends_with("knowledge/index") => json!({"data": {
            "reference": [{"id": OTHER, "title": "Ports", "category": "reference", "tags": [], "updated_at": "T2"}],
            "pattern": [{"id": RETRY, "title": "Retry budgets", "category": "pattern", "tags": ["a", "b"], "updated_at": "T1"}]},
            "meta": {"total_count": 2, "categories": {"pattern": 1, "reference": 1}, "truncated": false}})
        .into(),
        ("GET", "/knowledge/drafts") => list(&[article(OTHER, "d", "Draft", "draft")]),
        ("GET", path) if path.ends_with("knowledge/lint") => json!({"data": {
            "stale_articles": [{"article_id": RETRY, "title": "Retry budgets", "days_since_update": 100, "severity": "warning",
                                "suggested_action": "Review"}],
            "orphan_articles": [], "broken_sources": [],
            "contradiction_clusters": [{"article_ids": [RETRY, OTHER], "titles": ["A", "B"], "link_ids": [OLD],
                                        "severity": "warning", "suggested_action": "Resolve"}],
            "coverage_gaps": [{"category": "decision", "current_count": 1, "threshold": 3, "severity": "info",
                               "suggested_action": "Add"}]},
            "summary": {"total_articles": 9, "total_issues": 4, "total_per_category": {"stale_articles": 2, "orphan_articles": 0,
                        "contradiction_clusters": 1, "coverage_gaps": 1, "broken_sources": 0},
                        "truncated": {"stale_articles": true}}})
        .into(),
        ("GET", path) if path.ends_with("knowledge/export") => {
            Answer(200, vec![(CONTENT_TYPE, "application/zip".to_owned())], json!("PK"))
        }
        ("POST", "/knowledge/ingest") => {
            (202, json!({"data": {"id": 12, "status": "queued", "content_hash": "ab", "source_type": "s"}})).into()
        }
        ("GET", "/knowledge/ingestion-jobs") => json!({"data": [{"id": 12, "state": "retryable", "source_type": "s", "url": null,
            "inserted_at": "T", "completed_at": null, "article_count": 0,
            "errors": [{"attempt": 1, "error": "first"}, {"attempt": 2, "error": "no answer"}]}]})
        .into(),
        ("GET", path) if path.ends_with("/stats") => json!({"data": {"article_id": RETRY, "title": "Retry budgets",
            "total_accesses": 2, "recent_accesses": [{"accessed_at": "T", "access_type": "search", "api_key_id": P1,
            "metadata": {"query": "retry"}}]}})
        .into(),
        ("GET", path) if path.contains("/analytics/") => {
            json!({"data": [{"article_id": RETRY, "title": "Retry budgets", "access_count": 3}], "meta": {"count": 1}}).into()
        }
        _ => one_project(request),
    }
}

/// A mistake that is told before anything is asked of the server.
#[test]
fn what_cannot_be_meant_is_not_sent() {
    let world = World::new(server);
    let long = "x".repeat(501);
    let many = (0..101).map(|_| RETRY).collect::<Vec<_>>().join(" ");
    let tags = vec!["t"; 21].join(",");
    for (words, said) in [
        ("search", "<WORD>"),
        ("search +", "must not be blank"),
        (format!("search {long}").as_str(), "more than 500 characters"),
        ("search x --mode magic", "Valid modes: keyword, semantic, combined"),
        ("search x --category gossip", "Valid categories: pattern"),
        ("search x --limit 51", "51 is not in 1..=50"),
        ("context x --limit 21", "21 is not in 1..=20"),
        ("context x --max-tokens 0", "0 is not in 1.."),
        ("context x --recency-weight 1.5", "--recency-weight"),
        ("context x --status secret", "Valid statuses: published"),
        ("get +", "must not be blank"),
        ("create --title + --file -", "--title is empty"),
        (format!("create --title {long}").as_str(), "--title has more than 500"),
        ("create --title T --category gossip", "Valid categories"),
        ("create --title T --tags a+b", "contains invalid characters"),
        (format!("create --title T --tags {tags}").as_str(), "at most 20 tags"),
        ("create --title T --slug Not-One", "Invalid --slug"),
        ("create --title T --source-type rumour", "unknown source type: rumour"),
        ("create --title T --metadata []", "it must be an object"),
        ("create --title T --file /does/not/exist.md", "Cannot read /does/not/exist.md"),
        ("create --title T", "- holds no text"),
        ("update retry-budgets", "Nothing to change"),
        ("update retry-budgets --file /does/not/exist.md", "Cannot read"),
        ("publish", "<ARTICLE>"),
        (format!("publish {many}").as_str(), "At most 100"),
        ("lint --stale-days 0", "0 is not in 1..=36500"),
        ("lint --max-per-category 501", "501 is not in 1..=500"),
        ("export -o /does/not/exist/x.zip", "Cannot write /does/not/exist/x.zip"),
        ("ingest ftp://example.com/a", "it must be http:// or https://"),
        ("ingest https://me:secret@example.com/a", "without a name and a password"),
        ("ingest /does/not/exist.md", "Cannot read"),
        ("ingest -", "- holds no text"),
        ("link a likes b", "Valid relationships: relates_to"),
        ("unlink a", "it must be a UUID"),
        ("stats retry-budgets --unused", "cannot be used with"),
        ("stats --since-days 366", "366 is not in 1..=365"),
        ("stats --limit 101", "--limit is at most 100 without --unused"),
        ("stats --unused --limit 201", "201 is not in 1..=200"),
        ("stats --exclude-new", "--unused"),
        ("stats --unused --project my-app", "leave out --project"),
    ] {
        let run = world.run(&format!("knowledge {words}"));
        assert!(run.code == 2 && run.stderr.contains(said), "{words}: {run:?}");
        assert!(!run.stderr.contains("secret@"), "{run:?}");
    }
    assert_eq!(world.lines(), Vec::<String>::new());
}

#[test]
fn what_is_found_is_a_ranked_list() {
    let world = World::new(server);
    let run = world.run("knowledge search retry budget --mode keyword --category pattern --tags a,b --limit 5 --offset 10 --story 2.1 --project my-app");
    assert_eq!(run.json()["meta"]["total_count"], 12);
    assert_eq!(
        world.lines().pop().unwrap(),
        format!(
            "GET /api/v1/knowledge/search?q=retry+budget&project_id={P1}&story_id={S21}&category=pattern&tags=a%2Cb&mode=keyword&limit=5&offset=10"
        )
    );
    world.run("knowledge search retry --include-system");
    assert_eq!(world.lines().pop().unwrap(), "GET /api/v1/knowledge/search?q=retry&include_system=true");
    let run = world.run("knowledge search retry --format human");
    assert_eq!(world.lines().pop().unwrap(), "GET /api/v1/knowledge/search?q=retry");
    assert_eq!(
        run.stdout,
        format!(
            "1. Retry budgets\n   a **retry** costs\n   ########## 100% of the best  pattern  #http\n\n\
             2. Other\n   ###....... 25% of the best  finding  system\n   {OTHER}\n\n\
             Ranked among themselves: the first may still be no answer.\npage 1 of 2, 12 total\n"
        )
    );
    assert!(run.stderr.contains("there are no embeddings now"), "{run:?}");
    let run = world.run("knowledge search retry --format csv");
    let first = format!(
        "id,title,category,tags,score,snippet\n{RETRY},Retry budgets,pattern,\"[\"\"http\"\"]\",0.8,a **retry** costs\n"
    );
    assert!(run.stdout.starts_with(&first), "{run:?}");
    let refused = World::new(|_| error(503, "Embedding service unavailable"));
    assert_eq!(refused.run_with("knowledge search x --mode semantic --timeout 1", &[], "").code, 10);
}

#[test]
fn what_is_known_of_a_task_is_read_in_full() {
    let world = World::new(server);
    let run = world.run("knowledge context bound retries --limit 3 --max-tokens 900 --recency-weight 0 --status draft --format human");
    assert_eq!(
        world.lines().pop().unwrap(),
        "GET /api/v1/knowledge/context?query=bound+retries&limit=3&max_tokens=900&recency_weight=0&status=draft"
    );
    assert_eq!(
        run.stdout,
        "1.  Retry budgets\n########## 100% of the best  pattern  changed T\n\nSome text.\n\n  see also  Timeouts\n\n\
         Ranked among themselves: the first may still be no answer.\n"
    );
    assert!(run.stderr.contains(&format!("cut: {OTHER} (no_room)")), "{run:?}");
    let said = "only a user's key finds drafts";
    assert!(run.stderr.contains(said), "{run:?}");
    let published = world.run("knowledge context x --status published");
    assert!(!published.stderr.contains(said), "{published:?}");
    assert_eq!(world.run("knowledge context x").json()["data"][0]["body"], "Some **text**.");
    let csv = world.run("knowledge context x --format csv").stdout;
    assert!(csv.starts_with("id,title,category,tags,combined_score,"), "{csv}");
}

#[test]
fn an_article_is_read_by_people_and_by_programs() {
    let world = World::new(server);
    let run = world.run("knowledge get retry-budgets --story 2.1 --project my-app --format human");
    assert_eq!(
        world.lines().pop().unwrap(),
        format!("GET /api/v1/articles/{RETRY}?project_id={P1}&story_id={S21}")
    );
    assert_eq!(
        run.stdout,
        "Retry budgets\n\nstatus:   published\ncategory: pattern\ntags:     http,retries\n\
         slug:     retry-budgets\nchanged:  2026-01-02\n\n# Why\n\nSee it (https://x.example/a).\n\n\
         Links\n  supersedes ->  Retry forever\n  relates_to <-  Timeouts\n"
    );
    assert_eq!(
        world.run("knowledge get retry-budgets --body").stdout,
        "# Why\n\nSee [it](https://x.example/a).\n"
    );
    // To the last sign, so that it can be written again.
    let odd = World::new(|_| {
        let mut article = article(RETRY, "retry-budgets", "Retry budgets", "published");
        article["body"] = json!("a\u{1b}[1m \u{202e}b\r\n\n  \n");
        json!({"data": article}).into()
    });
    assert_eq!(odd.run(&format!("knowledge get {RETRY} --body")).stdout, "a\u{1b}[1m \u{202e}b\r\n\n  \n");
    assert_eq!(world.run("knowledge get retry-budgets").json()["data"]["title"], "Retry budgets");
    let links = world.run("knowledge links retry-budgets --format csv").stdout;
    assert_eq!(
        links,
        format!(
            "source_article.title,relationship_type,target_article.title,id\nRetry budgets,supersedes,Retry forever,{OLD}\n"
        )
    );
}

#[test]
fn articles_are_written_from_files_and_from_standard_input() {
    let world = World::new(server);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("body.md");
    std::fs::write(&file, "\u{feff}Text.\n").unwrap();
    let words = format!(
        "knowledge create --title New --category decision --tags a,b --slug new-one --source-type manual --metadata {{\"k\":1}} --publish --file {} --project my-app",
        file.display()
    );
    assert_eq!(world.run(&words).json()["data"]["title"], "New");
    assert_eq!(
        body_of(&world, "/articles"),
        json!({"title": "New", "body": "Text.\n", "category": "decision", "tags": ["a", "b"], "slug": "new-one",
               "source_type": "manual", "metadata": {"k": 1}, "status": "published", "project_id": P1})
    );
    for file in ["", " --file -"] {
        let world = World::new(server);
        let run = world.run_with(
            format!("knowledge create --title New{file} --format human").as_str(),
            &[],
            "Said.\n",
        );
        assert_eq!(
            body_of(&world, "/articles"),
            json!({"title": "New", "body": "Said.\n", "category": "finding"})
        );
        assert!(run.stdout.starts_with("New\n\n") && !run.stdout.contains("body"), "{run:?}");
    }
    let words =
        format!("knowledge update retry-budgets --title T --category finding --file {}", file.display());
    assert_eq!(world.run(&words).code, 0);
    let sent = world.requests().pop().unwrap();
    assert_eq!(sent.line(), format!("PATCH /api/v1/articles/{RETRY}"));
    assert_eq!(sent.body, json!({"title": "T", "category": "finding", "body": "Text.\n"}));
    world.run_words(&["knowledge", "update", RETRY, "--tags", ""], &[], "");
    assert_eq!(world.requests().pop().unwrap().body, json!({"tags": []}));
}

#[test]
fn articles_are_published_withdrawn_and_laid_aside() {
    let world = World::new(server);
    for step in ["publish", "unpublish", "archive"] {
        assert_eq!(world.run(&format!("knowledge {step} {RETRY}")).code, 0);
        assert_eq!(world.lines().pop().unwrap(), format!("POST /api/v1/articles/{RETRY}/{step}"));
    }
    let several = world.run(&format!("knowledge publish {RETRY} other --format csv"));
    assert_eq!(body_of(&world, "/bulk-publish"), json!({"article_ids": [RETRY, OTHER]}));
    assert_eq!(
        several.stdout,
        format!("id,title,category,status\n{RETRY},Retry budgets,pattern,published\n")
    );
    let drafts = world.run("knowledge drafts --format human --project my-app");
    assert!(world.lines().pop().unwrap().contains(&format!("/knowledge/drafts?project_id={P1}&")));
    assert!(drafts.stdout.contains("Draft (pattern, http,retries, "), "{drafts:?}");
}

#[test]
fn links_are_made_and_removed() {
    let world = World::new(server);
    assert_eq!(world.run("knowledge link retry-budgets Relates-To other --metadata {\"why\":1}").code, 0);
    assert_eq!(
        body_of(&world, "/article_links"),
        json!({"source_article_id": RETRY, "target_article_id": OTHER, "relationship_type": "relates_to",
               "metadata": {"why": 1}})
    );
    assert_eq!(world.run(&format!("knowledge unlink {OLD}")).json()["status"], "deleted");
    assert_eq!(world.lines().pop().unwrap(), format!("DELETE /api/v1/article_links/{OLD}"));
}

#[test]
fn the_index_and_what_is_wrong_with_it_are_tables() {
    let world = World::new(server);
    let index = world.run("knowledge index --format csv --project my-app");
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/projects/{P1}/knowledge/index"));
    assert_eq!(
        index.stdout,
        format!(
            "category,title,tags,updated_at,id\npattern,Retry budgets,\"a,b\",T1,{RETRY}\nreference,Ports,,T2,{OTHER}\n"
        )
    );
    let part = World::new(|_| {
        json!({"data": {"pattern": [{"id": RETRY, "title": "Retry budgets", "category": "pattern", "tags": [], "updated_at": "T"}]},
               "meta": {"total_count": 1500, "categories": {"pattern": 1500}, "truncated": true}})
        .into()
    });
    let said = "note: only the 1 articles that were changed last\n";
    assert!(part.run("knowledge index").stderr.contains(said));
    let run = part.run("knowledge index --format csv");
    assert_eq!(run.stderr, format!("{said}note: 1 of 1500 rows\n"));
    let run = part.run("knowledge index --format human");
    assert!(run.stderr == said && run.stdout.ends_with("\n1 of 1500\n"), "{run:?}");
    let empty = World::new(|_| {
        json!({"data": {}, "meta": {"total_count": 0, "categories": {}, "truncated": false}}).into()
    });
    assert_eq!(empty.run("knowledge index --format human").stdout, "No articles.\n");

    let lint =
        world.run("knowledge lint --stale-days 30 --min-coverage 2 --max-per-category 1 --format human");
    assert_eq!(
        world.lines().pop().unwrap(),
        "GET /api/v1/knowledge/lint?stale_days=30&min_coverage=2&max_per_category=1"
    );
    let sum = "4 issues in 9 articles: 1 contradiction_clusters, 2 stale_articles (of which some are shown), 1 coverage_gaps\n";
    assert!(lint.stdout.ends_with(sum), "{}", lint.stdout);
    for part in ["A, B", "Retry budgets (100 days)", "decision: 1 of 3"] {
        assert!(lint.stdout.contains(part), "{part}: {}", lint.stdout);
    }
    let ids = format!("{RETRY}, {OTHER}");
    assert!(!lint.stdout.contains(&ids));
    assert!(world.run("knowledge lint --wide --format human").stdout.contains(&ids));
    let lint = world.run("knowledge lint --format csv --project my-app");
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/projects/{P1}/knowledge/lint"));
    assert!(
        lint.stdout.contains(&format!("stale_articles,warning,Retry budgets (100 days),{RETRY},Review\n"))
    );
}

#[test]
fn an_export_goes_to_a_file_whole_or_not_at_all() {
    let world = World::new(server);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("wiki.zip");
    let name = path.display().to_string();
    let run = world.run(&format!("knowledge export -o {name} --project my-app"));
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/projects/{P1}/knowledge/export"));
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert_eq!(run.stderr, format!("4 bytes written to {name}\n"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "\"PK\"");
    // As it is, without a line break.
    assert_eq!(world.run("knowledge export").stdout, "\"PK\"");

    let broken = World::new(|_| {
        let headers =
            vec![(CONTENT_TYPE, "application/zip".to_owned()), ("Content-Length", "5000".to_owned())];
        Answer(200, headers, json!("PK"))
    });
    let run = broken.run(&format!("knowledge export --out {name}"));
    assert!(run.code == 9 && run.stderr.contains("was cut off"), "{run:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "\"PK\"");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    let refused = World::new(|_| error(403, "Insufficient permissions. Required role: orchestrator"));
    assert_eq!(refused.run(&format!("knowledge export --out {name}")).code, 4);
}

#[test]
fn pages_and_texts_are_ingested() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("notes.md");
    std::fs::write(&file, "\u{feff}Notes.\n").unwrap();
    let file = file.display().to_string();
    for (words, stdin, body) in [
        ("https://example.com/a", "", json!({"source_type": "web_article", "url": "https://example.com/a"})),
        (file.as_str(), "", json!({"source_type": "ingestion", "content": "Notes.\n"})),
        ("-", "\u{feff}Said.", json!({"source_type": "ingestion", "content": "Said."})),
        (
            "- --source-type session_log --metadata {\"a\":1} --project my-app",
            "Said.",
            json!({"source_type": "session_log", "content": "Said.", "metadata": {"a": 1}, "project_id": P1}),
        ),
    ] {
        let world = World::new(server);
        let run = world.run_with(format!("knowledge ingest {words}").as_str(), &[], stdin);
        assert_eq!(run.json()["data"]["status"], "queued");
        assert_eq!(body_of(&world, "/ingest"), body, "{words}");
    }
    let jobs = World::new(server).run("knowledge jobs --format csv");
    assert_eq!(
        jobs.stdout,
        "id,state,source_type,url,article_count,inserted_at,completed_at,error\n12,retryable,s,,0,T,,no answer\n"
    );
}

#[test]
fn what_is_read_is_counted() {
    let world = World::new(server);
    let one = world.run("knowledge stats retry-budgets --format human");
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/knowledge/articles/{RETRY}/stats"));
    assert!(one.stdout.contains("total accesses: 2") && one.stdout.contains("retry\n"), "{one:?}");
    for (words, line) in [
        ("", "top-articles".to_owned()),
        (
            "--since-days 30 --limit 5 --project my-app",
            format!("top-articles?since_days=30&limit=5&project_id={P1}"),
        ),
        (
            "--unused --since-days 60 --limit 200 --exclude-new",
            "unused-articles?days_unused=60&limit=200&exclude_new=true".to_owned(),
        ),
    ] {
        assert_eq!(world.run(&format!("knowledge stats {words} --format csv")).code, 0, "{words}");
        assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/knowledge/analytics/{line}"));
    }
    // A configured project limits nothing that the whole tenant has.
    let environment = [("LOOPCTL_PROJECT", "my-app")];
    assert_eq!(world.run_with("knowledge stats --unused", &environment, "").code, 0);
    assert_eq!(world.lines().pop().unwrap(), "GET /api/v1/knowledge/analytics/unused-articles");
}

#[test]
fn each_command_shows_how_it_is_used() {
    let world = World::new(server);
    for command in [
        "search",
        "context",
        "get",
        "create",
        "update",
        "publish",
        "unpublish",
        "archive",
        "drafts",
        "index",
        "lint",
        "export",
        "ingest",
        "jobs",
        "links",
        "link",
        "unlink",
        "stats",
    ] {
        let help = world.run(&format!("help knowledge {command}"));
        assert!(
            help.code == 0 && help.stdout.contains(&format!("  loopctl knowledge {command}")),
            "{help:?}"
        );
        assert!(help.stdout.contains("Example"), "{help:?}");
    }
    assert_eq!(world.lines(), Vec::<String>::new());
}
