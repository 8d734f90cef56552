//! System articles: what everybody reads, and what nobody but superadmins writes.

use futures_util::future::join_all;
use loopctl_docs::ARTICLES;
use loopctl_server::operator::create_superadmin_key;
use reqwest::Method;
use serde_json::json;
use tokio_postgres::error::SqlState;

use super::so_far;
use crate::support::{Caller, Reply, Tenant, connect, server, text, unique};

/// Writes an article as the owner of the database; its slug.
async fn written(title: &str, body: &str, category: &str, status: &str) -> String {
    let slug = unique("written");
    let sql = "insert into system_articles (id, slug, title, body, category, status)
               values (gen_random_uuid(), $1, $2, $3, $4, $5)";
    let owner = connect(&server().owner).await;
    owner.execute(sql, &[&slug, &title, &body, &category, &status]).await.unwrap();
    slug
}

fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

async fn page(path: &str) -> (u16, String) {
    let reply = Caller::nobody().get(&format!("/{path}")).await;
    assert!(header(&reply, "content-type").starts_with("text/html"), "{path}: {}", reply.body);
    assert!(header(&reply, "content-security-policy").starts_with("default-src 'none'"), "{path}");
    (reply.status, text(&reply.body))
}

#[tokio::test]
async fn what_is_not_published_is_not_there() {
    let nobody = Caller::nobody();
    for status in ["draft", "archived", "superseded"] {
        let slug = written(&unique("Hidden"), "Text", "pattern", status).await;
        let error = nobody.get(&format!("/articles/system?slug={slug}")).await.expect_error(404, "not_found");
        assert_eq!(error["message"], "System article not found");
        let all = nobody.get("/articles/system").await.expect(200);
        assert!(all["data"].as_array().unwrap().iter().all(|article| article["slug"] != slug), "{status}");
        let (missing, html) = page(&format!("/wiki/{slug}")).await;
        assert_eq!(missing, 404);
        assert!(html.contains("wiki-not-found"));
        assert!(!page("/wiki").await.1.contains(&slug));
    }
    for query in ["category=bogus", "category=bogus&slug=chain-of-custody", "category=Pattern"] {
        let error = nobody.get(&format!("/articles/system?{query}")).await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Invalid category", "{query}");
    }
    for slug in
        ["nonexistent", "Chain-Of-Custody", "chain-of-custody'", "..", "chain-of-custody&category=pattern"]
    {
        let error = nobody.get(&format!("/articles/system?slug={slug}")).await.expect_error(404, "not_found");
        assert!(text(&error["message"]).contains("not found"), "{slug}");
    }
}

#[tokio::test]
async fn anybody_reads_them_with_any_key_or_none() {
    let tenant = Tenant::new().await;
    let mut astray = tenant.user.clone();
    astray.headers.push(("x-impersonate-tenant", "nobody".to_owned()));
    let one = written("Aardvark", "About it", "decision", "published").await;
    let mut tags = Vec::new();
    for caller in [Caller::nobody(), tenant.user.clone(), Caller::with_key("lc_wrong"), astray] {
        let all = caller.get("/articles/system").await.expect(200);
        let all = all["data"].as_array().unwrap();
        assert!(all.len() > ARTICLES.len());
        assert!(all.iter().all(|article| article["status"] == "published" && article["scope"] == "system"));
        let found = caller.get(&format!("/articles/system?slug={one}")).await;
        assert_eq!(header(&found, "cache-control"), "public, max-age=300");
        tags.push(header(&found, "etag"));
        let found = found.expect(200);
        let members: Vec<_> = found["data"].as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "id",
            "title",
            "slug",
            "body",
            "category",
            "scope",
            "status",
            "tags",
            "inserted_at",
            "updated_at",
        ];
        assert_eq!(members, expected);
        assert_eq!(
            (&found["data"]["title"], &found["data"]["body"]),
            (&json!("Aardvark"), &json!("About it"))
        );
    }
    tags.dedup();
    assert_eq!(tags.len(), 1, "{tags:?}");
    let nobody = Caller::nobody();
    let decisions = nobody.get("/articles/system?category=decision&slug=").await.expect(200);
    let decisions = decisions["data"].as_array().unwrap();
    assert!(decisions.iter().any(|article| article["slug"] == one));
    assert!(decisions.iter().all(|article| article["category"] == "decision"));
    let custody = nobody.get("/articles/system?slug=chain-of-custody&category=").await.expect(200);
    assert_eq!(custody["data"]["scope"], "system");

    // Who has it is not sent it, until it is another.
    let path = format!("/articles/system?slug={one}");
    let ask = async |tag: &str| {
        let request = nobody.request(Method::GET, &path).header("if-none-match", tag);
        nobody.send(request.header("accept-encoding", "identity")).await
    };
    let again = ask(&tags[0]).await;
    assert_eq!((again.status, header(&again, "etag")), (304, tags[0].clone()));
    let sql = "update system_articles set body = 'Another text' where slug = $1";
    connect(&server().owner).await.execute(sql, &[&one]).await.unwrap();
    let changed = ask(&tags[0]).await;
    assert_ne!(header(&changed, "etag"), tags[0]);
    assert_eq!(changed.expect(200)["data"]["body"], "Another text");
}

#[tokio::test]
async fn the_application_may_not_write_them() {
    let app = connect(&server().app).await;
    app.batch_execute("set role loopctl_app").await.unwrap();
    let refused = async |sql: &str| app.batch_execute(sql).await.expect_err(sql).code().cloned().unwrap();
    for sql in [
        "update system_articles set body = 'x'",
        "delete from system_articles",
        "insert into system_articles (id, slug, title, body, category) values (gen_random_uuid(), 'ab', 't', 'b', 'pattern')",
        "select from system_articles for update",
        "select demand_superadmin(gen_random_uuid())",
    ] {
        assert_eq!(refused(sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    // Only in the name of a live key of a superadmin.
    let owner = connect(&server().owner).await;
    let tenant = Tenant::new().await;
    let of_tenant = "select id from api_keys where tenant_id = $1::text::uuid";
    let of_tenant: uuid::Uuid = owner.query_one(of_tenant, &[&tenant.id]).await.unwrap().get(0);
    let (gone, expired, live) = (
        create_superadmin_key(&server().owner, &unique("gone")).await.unwrap().id,
        create_superadmin_key(&server().owner, &unique("expired")).await.unwrap().id,
        create_superadmin_key(&server().owner, &unique("live")).await.unwrap().id,
    );
    owner.execute("update api_keys set revoked_at = now() where id = $1", &[&gone]).await.unwrap();
    owner.execute("update api_keys set expires_at = now() where id = $1", &[&expired]).await.unwrap();
    let calls = |key: uuid::Uuid| {
        let slug = unique("forged");
        [
            format!("select lock_system_article('{key}', gen_random_uuid())"),
            format!(
                "select create_system_article('{key}', gen_random_uuid(), '{slug}', 't', 'b', 'pattern', 'draft', '{{}}', '{{}}')"
            ),
            format!(
                "select change_system_article('{key}', gen_random_uuid(), 't', 'b', 'pattern', 'draft', '{{}}', '{{}}')"
            ),
        ]
    };
    for key in [of_tenant, gone, expired, uuid::Uuid::nil()] {
        for sql in calls(key) {
            assert_eq!(refused(&sql).await, SqlState::RAISE_EXCEPTION, "{sql}");
        }
    }
    for sql in calls(live) {
        app.batch_execute(&sql).await.unwrap();
    }
}

#[tokio::test]
async fn the_wiki_lists_and_finds() {
    let word = unique("Quagga");
    let odd = format!("{word} 100%_\\");
    let by_title = written(&odd, "First paragraph of *it*.\n\nSecond.", "convention", "published").await;
    let by_text = written(&unique("Other"), &format!("Text <b>of</b> {word}"), "finding", "published").await;
    let (status, html) = page("/wiki").await;
    assert_eq!(status, 200);
    for part in [
        "loopctl Wiki",
        "id=\"wiki-index\"",
        "id=\"wiki-search-form\"",
        "id=\"wiki-categories\"",
        "id=\"category-reference\"",
        "Chain of custody",
        "First paragraph of it.",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("search-results"));
    let places =
        ["convention", "finding", "reference"].map(|of| html.find(&format!("id=\"category-{of}\"")).unwrap());
    assert!(places.is_sorted(), "{places:?}");

    let found = async |q: &str| {
        let path = format!("/wiki?q={}", q.replace('%', "%25").replace(' ', "+").replace('&', "%26"));
        let (status, html) = page(&path).await;
        assert_eq!(status, 200, "{q}");
        assert!(html.contains("id=\"search-results\"") && !html.contains("wiki-categories"), "{q}");
        let is_found = |slug: &str| html.contains(&format!("href=\"/wiki/{slug}\""));
        (is_found(&by_title), is_found(&by_text))
    };
    assert_eq!(found(&word).await, (true, true));
    assert_eq!(found(&format!(" {} ", word.to_uppercase())).await, (true, true));
    assert_eq!(found(&odd).await, (true, false));
    assert_eq!(found(&format!("{word} 100%")).await, (true, false));
    // What stands for anything elsewhere does not here.
    for nothing in
        [format!("{word}%it"), format!("{word}_100"), format!("{word}' or 'a' = 'a"), word.replace('-', "_")]
    {
        assert_eq!(found(&nothing).await, (false, false), "{nothing}");
    }
    // Nothing looked for is no search.
    for path in ["/wiki?q=", "/wiki?q=+", "/wiki?page=2"] {
        assert!(page(path).await.1.contains("id=\"wiki-categories\""), "{path}");
    }
    let (_, html) = page("/wiki?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!html.contains("<script>") && !html.contains("\"><script"), "{html}");
    let long = |characters: usize| format!("//wiki?q={}", "%C3%A4".repeat(characters));
    Caller::nobody().get(&long(500)).await.expect(200);
    let error = Caller::nobody().get(&long(501)).await.expect_error(400, "bad_request");
    assert!(text(&error["message"]).contains("500"));
    Caller::nobody().get("//wiki?q=%00").await.expect_error(400, "bad_request");
}

#[tokio::test]
async fn an_article_has_its_page() {
    let (status, html) = page("/wiki/chain-of-custody").await;
    assert_eq!(status, 200);
    for part in [
        "id=\"wiki-show\"",
        "id=\"wiki-sidebar\"",
        "id=\"wiki-article\"",
        "id=\"wiki-body\"",
        "<h1>Chain of custody</h1>",
        "href=\"/wiki/chain-of-custody\" aria-current=\"page\"",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let body = html.split("id=\"wiki-body\"").nth(1).unwrap();
    for related in ["agent-bootstrap", "agent-pattern", "tenant-signup", "discovery"] {
        assert!(body.contains(&format!("href=\"/wiki/{related}\"")), "{related}");
    }
    for name in
        ["nope", "Chain-of-custody", "%00", "chain-of-custody%00", "%2e%2e%2fhome", "a%27b", "%F0%9F%A6%8A"]
    {
        let (status, html) = page(&format!("/wiki/{name}")).await;
        assert_eq!(status, 404, "{name}");
        for part in ["id=\"wiki-not-found\"", "Article not found", "href=\"/wiki\"", "Browse all articles"] {
            assert!(html.contains(part), "{name}: {part}");
        }
    }
    let evil = "<script>alert(1)</script>\n\n[a](javascript:alert(1)) [gone](/wiki/nowhere) ![p](https://evil.test/x.png)\n\n\
                <img src=x onerror=alert(1)>\n\n## <svg onload=alert(1)>";
    let slug = written("<i>Title</i>", evil, "pattern", "published").await;
    let (status, html) = page(&format!("/wiki/{slug}")).await;
    assert_eq!(status, 200);
    let body = html.split("id=\"wiki-article\"").nth(1).unwrap().split("</article>").next().unwrap();
    for wrong in ["<script", "<img", "<svg", "<i>", "javascript:", "href=\"/wiki/nowhere\"", "evil.test"] {
        assert!(!body.contains(wrong), "{wrong}: {body}");
    }
    assert!(body.contains("&lt;svg onload=alert(1)&gt;"), "{body}");
    assert!(body.contains("<span class=\"missing\">gone"), "{body}");
}

/// A superadmin inside no tenant, and what their key is called.
async fn superadmin() -> (Caller, String) {
    let name = unique("root");
    let key = create_superadmin_key(&server().owner, &name).await.unwrap();
    (Caller::with_key(&key.raw_key), name)
}

/// Entries of a log, but for what background work on meaning adds when it likes.
fn but_for_meaning(log: &serde_json::Value) -> Vec<serde_json::Value> {
    let all = log["data"].as_array().unwrap().iter();
    all.filter(|entry| !text(&entry["actor_label"]).starts_with("worker:")).cloned().collect()
}

fn everybodys(title: &str) -> serde_json::Value {
    json!({"title": title, "body": format!("About {title}."), "category": "convention", "scope": "system", "tags": ["a"]})
}

#[tokio::test]
async fn nobody_below_superadmins_writes_them() {
    let tenant = Tenant::new().await;
    let (root, _) = superadmin().await;
    let mut within = root.clone();
    within.headers.push(("x-impersonate-tenant", tenant.id.clone()));
    let mut lowered = within.clone();
    lowered.headers.push(("x-effective-role", "user".to_owned()));
    let body = everybodys(&unique("Forbidden"));
    for who in [&tenant.user, &tenant.key("agent").await, &tenant.key("orchestrator").await, &lowered] {
        let error = who.post("/articles", body.clone()).await.expect_error(403, "system_scope_forbidden");
        assert_eq!(error["message"], "System-scoped articles require superadmin role");
    }
    Caller::nobody().post("/articles", body.clone()).await.expect_error(401, "unauthorized");
    root.post("/articles", json!({"scope": "system"})).await.expect_error(422, "validation_failed");
    for status in ["archived", "superseded"] {
        let mut finished = body.clone();
        finished["status"] = json!(status);
        root.post("/articles", finished).await.expect_error(422, "validation_failed");
    }
    // What is a tenant's is still written inside one.
    let own = json!({"title": "T", "body": "b", "category": "pattern"});
    root.post("/articles", own).await.expect_error(400, "bad_request");

    let article = root.post("/articles", body).await.expect(201)["data"].clone();
    let at = format!("/articles/{}", text(&article["id"]));
    // A draft is none of theirs: a tenant is not even told that there is one.
    for (who, status, code) in [(&tenant.user, 404, "not_found"), (&lowered, 403, "system_scope_forbidden")] {
        for path in [format!("{at}/publish"), format!("{at}/unpublish"), format!("{at}/archive")] {
            who.post_empty(&path).await.expect_error(status, code);
        }
        who.patch(&at, json!({"title": "x"})).await.expect_error(status, code);
        who.delete(&at).await.expect_error(status, code);
        who.get(&at).await.expect_error(404, "not_found");
    }
    assert_eq!(root.get(&at).await.expect(200)["data"]["body"], article["body"]);
    assert_eq!(within.get(&at).await.expect(200)["data"]["scope"], "system");
    let nothing = format!("/articles/{}", super::NOBODY);
    root.get(&nothing).await.expect_error(400, "bad_request");
    root.patch(&nothing, json!({"title": "x"})).await.expect_error(400, "bad_request");
    within.patch(&nothing, json!({"title": "x"})).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn superadmins_write_what_everybody_reads() {
    let tenant = Tenant::new().await;
    let before = so_far(&tenant).await;
    let (root, name) = superadmin().await;
    let title = unique("Everybodys");
    let mut body = everybodys(&title);
    let slug = unique("everybodys");
    body["slug"] = json!(slug);
    let article = root.post("/articles", body.clone()).await.expect(201)["data"].clone();
    for (member, value) in [
        ("tenant_id", json!(null)),
        ("project_id", json!(null)),
        ("scope", json!("system")),
        ("status", json!("draft")),
        ("slug", json!(slug)),
        ("tags", json!(["a"])),
    ] {
        assert_eq!(article[member], value, "{member}");
    }
    let error = root.post("/articles", body).await.expect_error(422, "validation_failed");
    assert_eq!(error["details"], json!({"slug": ["has already been taken"]}));
    // A title may be there twice; without a slug there is always another one.
    let twin = root.post("/articles", everybodys(&title)).await.expect(201)["data"].clone();
    assert_ne!(twin["slug"], slug);

    let at = format!("/articles/{}", text(&article["id"]));
    let published = root.post_empty(&format!("{at}/publish")).await.expect(200)["data"].clone();
    assert_eq!(published["status"], "published");
    let again = root.post_empty(&format!("{at}/publish")).await.expect_error(422, "invalid_transition");
    assert_eq!(again["message"], "Cannot transition from published to published");
    let shown = tenant.key("agent").await.get(&at).await.expect(200)["data"].clone();
    assert_eq!((&shown["title"], &shown["outgoing_links"]), (&json!(title), &json!([])));
    let of_system = format!("/articles/system?slug={slug}");
    assert_eq!(Caller::nobody().get(&of_system).await.expect(200)["data"]["title"], title);
    assert!(page(&format!("/wiki/{slug}")).await.1.contains(&title));
    // It is among the articles of no tenant.
    let listed = tenant.user.get("/articles").await.expect(200);
    assert_eq!(listed["meta"]["total_count"], 0);

    let edited = json!({"title": format!("{title} 2"), "body": "New", "scope": "tenant", "slug": "x", "tags": ["b"],
                        "project_id": super::NOBODY});
    let edited = root.put(&at, edited).await.expect(200)["data"].clone();
    assert_eq!(
        (&edited["body"], &edited["slug"], &edited["project_id"]),
        (&json!("New"), &json!(slug), &json!(null))
    );
    // What changes nothing is told to nobody.
    let same =
        root.patch(&at, json!({"body": "New", "status": "published", "title": null})).await.expect(200);
    assert_eq!(same["data"], edited);
    root.patch(&at, json!({"title": " "})).await.expect_error(422, "validation_failed");
    root.patch(&at, json!({"status": "superseded"})).await.expect_error(422, "invalid_transition");
    root.post_empty(&format!("{at}/unpublish")).await.expect(200);
    Caller::nobody().get(&of_system).await.expect_error(404, "not_found");
    root.post_empty(&format!("{at}/archive")).await.expect(200);
    for _ in 0..2 {
        assert_eq!(root.delete(&at).await.expect(200)["data"]["status"], "archived");
    }
    root.patch(&at, json!({"status": "published"})).await.expect_error(422, "invalid_transition");
    assert_eq!(
        root.delete(&format!("/articles/{}", text(&twin["id"]))).await.expect(200)["data"]["status"],
        "archived"
    );

    // The log of nobody has it, and that of the tenant does not.
    let log = root.get(&format!("/admin/audit?entity_id={}", text(&article["id"]))).await.expect(200);
    let log = but_for_meaning(&log);
    let actions: Vec<_> = log.iter().rev().map(|entry| text(&entry["action"])).collect();
    let expected = ["created", "published", "updated", "unpublished", "archived"];
    assert_eq!(actions, expected.map(|action| format!("article.{action}")));
    for entry in &log {
        assert_eq!(entry["tenant_id"], json!(null));
        assert_eq!((&entry["entity_type"], &entry["actor_type"]), (&json!("article"), &json!("superadmin")));
        assert_eq!(entry["actor_label"], format!("superadmin:{name}"));
    }
    assert_eq!(
        (&log[3]["old_state"], &log[3]["new_state"]),
        (&json!({"status": "draft"}), &json!({"status": "published"}))
    );
    assert_eq!((&log[2]["old_state"]["title"], &log[2]["new_state"]["body"]), (&json!(title), &json!("New")));
    let told = tenant.audit_log().await.split_off(before);
    assert!(told.iter().all(|entry| entry["entity_type"] != "article"), "{told:?}");
}

#[tokio::test]
async fn of_two_who_write_at_once_one_is_first() {
    let (root, _) = superadmin().await;
    let (other, _) = superadmin().await;
    for _ in 0..crate::support::rounds(4) {
        let mut body = everybodys(&unique("Race"));
        body["slug"] = json!(unique("race"));
        let both = join_all([&root, &other].map(|who| who.post("/articles", body.clone()))).await;
        let mut statuses: Vec<_> = both.iter().map(|reply| reply.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422]);
        let created = both.into_iter().find(|reply| reply.status == 201).unwrap().body["data"].clone();
        let at = format!("/articles/{}", text(&created["id"]));
        let publish = format!("{at}/publish");
        let both = join_all([&root, &other].map(|who| who.post_empty(&publish))).await;
        let mut statuses: Vec<_> = both.iter().map(|reply| reply.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422]);
        let log = root.get(&format!("/admin/audit?entity_id={}", text(&created["id"]))).await.expect(200);
        assert_eq!(but_for_meaning(&log).len(), 2, "{log:#}");
    }
    // What is sent again under its key is done once.
    let body = everybodys(&unique("Again"));
    let key = unique("key");
    let send = async || {
        let request = root.request(Method::POST, "/articles").header("Idempotency-Key", &key);
        root.send(request.json(&body)).await
    };
    let first = send().await.expect(201);
    let again = send().await;
    assert_eq!(header(&again, "idempotent-replayed"), "true");
    assert_eq!(again.expect(201), first);
}
