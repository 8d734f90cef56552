//! Articles are written, found and changed.

use loopctl_server::operator::create_superadmin_key;
use serde_json::{Value, json};

use super::{NOBODY, article, draft, each, so_far, told, with_large_articles};
use crate::support::{Caller, Tenant, server, text, unique};

/// All failing fields are named together, and nothing is left behind.
#[tokio::test]
async fn refused_fields() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    article(u, "Taken", json!({"slug": "taken"})).await;
    let old = article(u, "Old", json!({})).await;
    let at = format!("/articles/{}", text(&old["id"]));
    let theirs = other.project().await;
    let since = so_far(&tenant).await;
    let (blank, invalid) = (json!(["can't be blank"]), json!(["is invalid"]));
    let most = |most: usize| json!([format!("should be at most {most} character(s)")]);
    let foreign = json!(["does not belong to this tenant"]);
    let taken = json!(["has already been taken for this tenant"]);
    // On a new article as in a change.
    for (changed, details) in [
        (json!({"title": " \n"}), json!({"title": blank})),
        (
            json!({"title": "", "body": "\u{3000}", "category": ""}),
            json!({"title": blank, "body": blank, "category": blank}),
        ),
        (
            json!({"title": "ä".repeat(501), "body": "b".repeat(100_001)}),
            json!({"title": most(500), "body": most(100_000)}),
        ),
        (
            json!({"title": 7, "body": [], "category": "x", "status": "gone"}),
            json!({"title": invalid, "body": invalid, "category": invalid, "status": invalid}),
        ),
        (
            json!({"tags": "a", "metadata": "x", "project_id": "x"}),
            json!({"tags": invalid, "metadata": invalid, "project_id": invalid}),
        ),
        (
            json!({"tags": (0..21).map(|nth| format!("t{nth}")).collect::<Vec<_>>()}),
            json!({"tags": ["must not exceed 20 tags"]}),
        ),
        (
            json!({"tags": ["bad tag!", null]}),
            json!({"tags": ["tag bad tag! contains invalid characters", "each tag must be a string"]}),
        ),
        (json!({"tags": ["good\n"]}), json!({"tags": ["tag good\n contains invalid characters"]})),
        (json!({"metadata": {"a": "x".repeat(70_000)}}), json!({"metadata": ["must be smaller than 64KB"]})),
        (json!({"project_id": theirs}), json!({"project_id": foreign})),
        (json!({"project_id": NOBODY, "title": ""}), json!({"project_id": foreign, "title": blank})),
        (json!({"title": "Taken"}), json!({"title": taken, "tenant_id": taken})),
        (json!({"title": "a\u{0}b"}), json!({"title": invalid})),
    ] {
        let mut body = draft("New");
        body.as_object_mut().unwrap().extend(changed.as_object().cloned().unwrap());
        for reply in [u.post("/articles", body.clone()).await, u.patch(&at, changed.clone()).await] {
            assert_eq!(reply.expect_error(422, "validation_failed")["details"], details, "{changed}");
        }
    }
    // Only when it is written: afterwards they stay.
    for (further, details) in [
        (
            json!({"title": null, "body": null, "category": null}),
            json!({"title": blank, "body": blank, "category": blank}),
        ),
        (json!({"status": "archived"}), json!({"status": invalid})),
        (json!({"status": "superseded"}), json!({"status": invalid})),
        (json!({"scope": "galaxy"}), json!({"scope": invalid})),
        (json!({"slug": "a"}), json!({"slug": ["should be at least 2 character(s)"]})),
        (json!({"slug": "a".repeat(65)}), json!({"slug": most(64)})),
        (json!({"slug": "Not-a-slug"}), json!({"slug": ["must be lowercase alphanumeric with hyphens"]})),
        (json!({"slug": "a-slug\n"}), json!({"slug": ["must be lowercase alphanumeric with hyphens"]})),
        (json!({"slug": "taken"}), json!({"slug": taken, "tenant_id": taken})),
        (
            json!({"source_type": "unknown_source"}),
            json!({"source_type": ["unknown source type: unknown_source"]}),
        ),
        (json!({"source_id": "x"}), json!({"source_id": invalid})),
    ] {
        let mut body = draft("New");
        body.as_object_mut().unwrap().extend(further.as_object().cloned().unwrap());
        let error = u.post("/articles", body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{further}");
    }
    assert_eq!(
        u.patch(&at, json!({"slug": "x", "scope": "system", "source_type": 7, "source_id": 7}))
            .await
            .expect(200)["data"],
        old
    );
    // What is written into no field of ours.
    u.post("/articles", json!({"title": "a", "body": "b\u{0}", "category": "pattern"})).await.expect(422);
    assert_eq!(u.get("/articles").await.expect(200)["meta"]["total_count"], 2);
    assert_eq!(so_far(&tenant).await, since);
}

/// The role first, then the article, then the body.
#[tokio::test]
async fn who_may_do_what() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (a, o, u) = (tenant.key("agent").await, tenant.key("orchestrator").await, &tenant.user);
    let id = text(&article(&a, "Mine", json!({"status": "draft"})).await["id"]);
    let at = format!("/articles/{id}");
    let project = tenant.project().await;
    let new = json!({"title": "Loud", "body": "b", "category": "pattern", "status": "published"});
    let mut unheard = new.clone();
    unheard["status"] = json!("unheard-of");
    for (reply, role) in [
        // An agent's article goes through the gate.
        (a.post("/articles", new.clone()).await, "orchestrator"),
        (a.post("/articles", unheard).await, "orchestrator"),
        (a.post(&format!("/projects/{project}/articles"), new.clone()).await, "orchestrator"),
        (a.get("/knowledge/drafts").await, "orchestrator"),
        (a.post_empty(&format!("{at}/publish")).await, "orchestrator"),
        (a.patch(&at, json!({"title": ""})).await, "user"),
        (a.put(&at, json!({"title": ""})).await, "user"),
        (a.delete(&at).await, "user"),
        (o.patch(&at, json!({"title": "x"})).await, "user"),
        (o.delete(&at).await, "user"),
        (o.post_empty(&format!("{at}/unpublish")).await, "user"),
        (o.post_empty(&format!("{at}/archive")).await, "user"),
        (o.post("/knowledge/bulk-publish", json!({"article_ids": []})).await, "user"),
        (a.post("/knowledge/bulk-publish", json!({"article_ids": [id]})).await, "user"),
    ] {
        let error = reply.expect_error(403, "forbidden");
        assert_eq!(error["message"], format!("Insufficient permissions. Required role: {role}"));
    }
    for who in [&a, &o, u] {
        let mut body = draft("Everybody's");
        body["scope"] = json!("system");
        let error = who.post("/articles", body).await.expect_error(403, "system_scope_forbidden");
        assert_eq!(error["message"], "System-scoped articles require superadmin role");
    }
    assert_eq!(o.post("/articles", new).await.expect(201)["data"]["status"], "published");
    // Nobody, or another tenant's, or no id at all.
    let nothing = [format!("/articles/{NOBODY}"), "/articles/not-a-uuid".to_owned()];
    for (user, at) in nothing.iter().map(|at| (u, at)).chain([(&other.user, &at)]) {
        for reply in [
            user.get(at).await,
            user.patch(at, json!({"title": ""})).await,
            user.put(at, json!({"title": "x"})).await,
            user.delete(at).await,
            user.post_empty(&format!("{at}/publish")).await,
            user.post_empty(&format!("{at}/unpublish")).await,
            user.post_empty(&format!("{at}/archive")).await,
        ] {
            assert_eq!(reply.expect_error(404, "not_found")["message"], "Not found");
        }
    }
    for (who, project) in [(u, NOBODY), (u, "not-a-uuid"), (&other.user, project.as_str())] {
        let at = format!("/projects/{project}/articles");
        who.get(&at).await.expect_error(404, "not_found");
        who.post(&at, draft("Nowhere")).await.expect_error(404, "not_found");
    }
    for path in ["/articles", &at, "/knowledge/drafts"] {
        Caller::nobody().get(path).await.expect_error(401, "unauthorized");
    }
}

#[tokio::test]
async fn an_article_is_as_it_was_written() {
    let tenant = Tenant::new().await;
    let (a, u) = (tenant.key("agent").await, &tenant.user);
    let project = tenant.project().await;
    let body = json!({"title": "Ecto Multi pattern", "body": "Use `Multi`.", "category": "pattern", "tags": ["ecto", "transactions"],
                      "id": NOBODY, "tenant_id": NOBODY, "embedding": [1], "unknown": 1});
    let plain = a.post("/articles", body).await.expect(201)["data"].clone();
    assert_ne!(plain["id"], NOBODY);
    let slug = text(&plain["slug"]);
    assert!(
        slug.starts_with("ecto-multi-pattern-") && slug.len() == "ecto-multi-pattern-".len() + 6,
        "{slug}"
    );
    let of = |name: &str| plain[name].clone();
    assert_eq!(
        json!([
            of("tenant_id"),
            of("project_id"),
            of("status"),
            of("tags"),
            of("scope"),
            of("metadata"),
            of("source_type"),
            of("source_id")
        ]),
        json!([tenant.id, null, "draft", ["ecto", "transactions"], "tenant", {}, null, null])
    );
    assert_eq!(plain["inserted_at"], plain["updated_at"]);
    let mut names: Vec<_> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "body",
            "category",
            "id",
            "inserted_at",
            "metadata",
            "project_id",
            "scope",
            "slug",
            "source_id",
            "source_type",
            "status",
            "tags",
            "tenant_id",
            "title",
            "updated_at"
        ]
    );
    // Null is the default, and the project of the path goes before that of the body.
    let further = json!({"tags": null, "metadata": null, "source_type": "manual", "source_id": NOBODY, "slug": "of-a-project",
                         "status": "published", "project_id": "no id at all"});
    let mut body = draft("Of a project");
    body.as_object_mut().unwrap().extend(further.as_object().cloned().unwrap());
    let full = u.post(&format!("/projects/{project}/articles"), body).await.expect(201)["data"].clone();
    assert_eq!(
        json!([
            full["project_id"],
            full["source_type"],
            full["source_id"],
            full["slug"],
            full["status"],
            full["tags"],
            full["metadata"]
        ]),
        json!([project, "manual", NOBODY, "of-a-project", "published", [], {}])
    );
    // As long as may be, in the letters that take most room.
    let (title, text_of) = ("𐐀".repeat(500), "𐐀𐐁-".repeat(33_333) + "x");
    let body = json!({"title": title, "body": text_of, "category": "finding", "tags": (0..20).map(|nth| format!("{nth:0>100}")).collect::<Vec<_>>()});
    let large = u.post("/articles", body).await.expect(201)["data"].clone();
    assert_eq!((&large["title"], &large["body"]), (&json!(title), &json!(text_of)));
    let shown = u.get(&format!("/articles/{}", text(&large["id"]))).await.expect(200)["data"].clone();
    assert_eq!(
        (&shown["body"], &shown["outgoing_links"], &shown["incoming_links"]),
        (&json!(text_of), &json!([]), &json!([]))
    );
}

/// A title is taken by drafts and published articles, of the same tenant.
#[tokio::test]
async fn titles_are_free_again() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let first = text(&article(u, "Same", json!({})).await["id"]);
    u.post("/articles", draft("Same")).await.expect(422);
    article(&other.user, "Same", json!({})).await;
    // A slug in another tenant is another one, too.
    article(u, "Slug", json!({"slug": "same"})).await;
    article(&other.user, "Slug", json!({"slug": "same"})).await;
    u.post_empty(&format!("/articles/{first}/archive")).await.expect(200);
    let second = text(&article(u, "Same", json!({})).await["id"]);
    let third = text(&article(u, "Better", json!({})).await["id"]);
    super::linked(u, &third, "supersedes", &second).await;
    article(u, "Same", json!({})).await;
    // And the way back is closed.
    let error =
        u.post_empty(&format!("/articles/{second}/unpublish")).await.expect_error(422, "validation_failed");
    assert_eq!(error["details"]["title"], json!(["has already been taken for this tenant"]));
    let error = u
        .patch(&format!("/articles/{second}"), json!({"status": "draft"}))
        .await
        .expect_error(422, "validation_failed");
    assert_eq!(error["details"]["tenant_id"], json!(["has already been taken for this tenant"]));
    u.patch(&format!("/articles/{second}"), json!({"status": "draft", "title": "Other"})).await.expect(200);
}

#[tokio::test]
async fn lists_and_their_filters() {
    let tenant = Tenant::new().await;
    let (a, o, u) = (tenant.key("agent").await, tenant.key("orchestrator").await, &tenant.user);
    let (project, other) = (tenant.project().await, tenant.project().await);
    article(u, "1", json!({"tags": ["elixir", "otp"]})).await;
    article(
        u,
        "2",
        json!({"project_id": project, "status": "published", "source_type": "manual", "source_id": NOBODY}),
    )
    .await;
    article(u, "3", json!({"project_id": other, "category": "decision", "tags": ["otp"]})).await;
    let titles = async |who: &Caller, path: &str| {
        let list = who.get(path).await.expect(200);
        let titles = each(&list, "title").iter().map(text).collect::<Vec<_>>().join(" ");
        (titles, list["meta"]["total_count"].as_i64().unwrap())
    };
    let ours = format!("?project_id={project}");
    for (query, expected) in [
        ("", "3 2 1"),
        ("?category=pattern", "2 1"),
        ("?category=", "3 2 1"),
        ("?status=draft", "3 1"),
        ("?status=published&category=decision", ""),
        ("?tags=elixir", "1"),
        ("?tags=%20elixir%20,%20otp,", "3 1"),
        ("?tags=none", ""),
        ("?source_type=manual", "2"),
        (&ours, "2"),
        ("?project_id=0190f5ad-0000-7000-8000-000000000000", ""),
    ] {
        let count = expected.split_whitespace().count() as i64;
        assert_eq!(titles(&a, &format!("/articles{query}")).await, (expected.to_owned(), count), "{query}");
    }
    assert_eq!(titles(&a, &format!("/projects/{project}/articles")).await.0, "2");
    assert_eq!(titles(&a, &format!("/projects/{project}/articles?status=draft")).await, (String::new(), 0));
    // Drafts, with where they come from.
    article(u, "4", json!({"project_id": project, "source_type": "review_finding", "source_id": NOBODY}))
        .await;
    assert_eq!(titles(&o, "/knowledge/drafts").await.0, "4 3 1");
    assert_eq!(titles(&o, "/knowledge/drafts?limit=1&offset=1").await, ("3".to_owned(), 3));
    let drafts = o.get(&format!("/knowledge/drafts{ours}")).await.expect(200);
    assert_eq!(each(&drafts, "source_type"), ["review_finding"]);
    assert_eq!(each(&drafts, "source_id"), [NOBODY]);
    for (query, message) in [
        (
            "?category=bogus",
            "Invalid category. Valid categories: pattern, convention, decision, finding, reference",
        ),
        ("?status=bogus", "Invalid status. Valid statuses: draft, published, archived, superseded"),
    ] {
        for path in ["/articles", &format!("/projects/{project}/articles")] {
            let error = a.get(&format!("{path}{query}")).await.expect_error(400, "bad_request");
            assert_eq!(error["message"], message);
        }
    }
    a.get("/articles?project_id=none").await.expect_error(404, "not_found");
    // Pages by two names.
    let meta = |list: &Value| {
        json!([
            list["meta"]["limit"],
            list["meta"]["offset"],
            list["meta"]["page"],
            list["meta"]["total_pages"]
        ])
    };
    assert_eq!(meta(&a.get("/articles").await.expect(200)), json!([20, 0, 1, 1]));
    assert_eq!(meta(&a.get("/articles?limit=500").await.expect(200)), json!([100, 0, 1, 1]));
    assert_eq!(meta(&a.get("/articles?limit=junk&offset=-3").await.expect(200)), json!([20, 0, 1, 1]));
    let (one, two) = (
        a.get("/articles?page=2&page_size=2").await.expect(200),
        a.get("/articles?limit=2&offset=2").await.expect(200),
    );
    assert_eq!(one, two);
    assert_eq!(meta(&one), json!([2, 2, 2, 2]));
    assert_eq!(each(&one, "title"), ["2", "1"]);
}

/// No page is larger than an answer may be; whoever is refused is told what fits.
#[tokio::test]
async fn pages_have_a_size() {
    let (tenant, _) = with_large_articles().await;
    let u = &tenant.user;
    let first = u.get("/articles").await.expect(200);
    assert_eq!(first["data"].as_array().unwrap().len(), 20);
    let rest = u.get("/articles?offset=20").await.expect(200);
    let ids = [each(&first, "id"), each(&rest, "id")].concat();
    for path in ["/articles?limit=30", "/knowledge/drafts?limit=100"] {
        let error = u.get(path).await.expect_error(422, "answer_too_large");
        assert_eq!(error["hints"], json!(["Ask for less: 27 fit (limit)."]));
    }
    assert_eq!(u.get("/articles?limit=27").await.expect(200)["data"].as_array().unwrap().len(), 27);
    u.post("/knowledge/bulk-publish", json!({"article_ids": ids}))
        .await
        .expect_error(422, "answer_too_large");
    assert_eq!(u.get("/articles?status=published&limit=1").await.expect(200)["meta"]["total_count"], 0);
    u.post("/knowledge/bulk-publish", json!({"article_ids": ids[..15]})).await.expect(200);
}

/// Every step leaves its entry, and what changes nothing none.
#[tokio::test]
async fn changes_are_told_with_what_was() {
    let tenant = Tenant::new().await;
    let (u, project) = (&tenant.user, tenant.project().await);
    let since = so_far(&tenant).await;
    let old = article(u, "Title", json!({"tags": ["a"], "metadata": {"n": 1.5}})).await;
    let at = format!("/articles/{}", text(&old["id"]));
    for body in [
        json!({}),
        json!({"title": "Title", "body": "About Title.", "category": "pattern", "status": "draft", "tags": ["a"], "metadata": {"n": 1.50}}),
        json!({"title": null, "body": null, "tags": null, "metadata": null, "project_id": null, "status": null, "category": null}),
    ] {
        assert_eq!(u.patch(&at, body).await.expect(200)["data"], old);
    }
    let body = json!({"title": "Other", "body": "New.", "category": "decision", "status": "published", "tags": [], "metadata": {},
                      "project_id": project});
    let new = u.put(&at, body.clone()).await.expect(200)["data"].clone();
    assert!(text(&new["updated_at"]) > text(&old["updated_at"]));
    assert_eq!(new["slug"], old["slug"]);
    let shown = u.get(&at).await.expect(200)["data"].clone();
    for name in new.as_object().unwrap().keys() {
        assert_eq!(shown[name], new[name], "{name}");
    }
    u.delete(&at).await.expect(200);
    u.delete(&at).await.expect(200);
    let created = json!({"title": "Title", "category": "pattern", "status": "draft", "tags": ["a"], "project_id": null});
    let before = json!({"title": "Title", "body": "About Title.", "category": "pattern", "status": "draft", "tags": ["a"],
                        "metadata": {"n": 1.5}, "project_id": null});
    let status = |word: &str| json!({"status": word});
    assert_eq!(
        told(&tenant, since).await,
        [
            json!(["article", "article.created", null, created]),
            json!(["article", "article.updated", before, body]),
            json!(["article", "article.archived", status("published"), status("archived")]),
        ]
    );
    let log = tenant.audit_log().await.split_off(since);
    assert_eq!(log[1]["project_id"], project);
    assert!(log.iter().all(|row| row["entity_id"] == old["id"]));
}

/// Of a system article that nobody may read yet, a tenant is told as little by a change as by a look.
#[tokio::test]
async fn a_hidden_system_article_is_not_given_away() {
    let tenant = Tenant::new().await;
    let key = create_superadmin_key(&server().owner, &unique("hidden")).await.unwrap();
    let superadmin = Caller::with_key(&key.raw_key);
    let body = json!({"title": unique("Hidden"), "body": "b", "category": "pattern", "scope": "system"});
    let id = text(&superadmin.post("/articles", body).await.expect(201)["data"]["id"]);
    let (at, u) = (format!("/articles/{id}"), &tenant.user);
    let patch = || u.patch(&at, json!({"title": "x"}));
    u.get(&at).await.expect_error(404, "not_found");
    patch().await.expect_error(404, "not_found");
    u.delete(&at).await.expect_error(404, "not_found");
    for step in ["publish", "unpublish", "archive"] {
        u.post_empty(&format!("{at}/{step}")).await.expect_error(404, "not_found");
    }
    superadmin.post_empty(&format!("{at}/publish")).await.expect(200);
    u.get(&at).await.expect(200);
    patch().await.expect_error(403, "system_scope_forbidden");
    superadmin.delete(&at).await.expect(200);
    patch().await.expect_error(404, "not_found");
}

/// Commas without a tag between them ask for none.
#[tokio::test]
async fn no_tag_is_no_filter() {
    let tenant = Tenant::new().await;
    article(&tenant.user, "A", json!({"tags": ["a"]})).await;
    article(&tenant.user, "B", json!({})).await;
    for (tags, count) in [(",", 2), ("%20,%20", 2), ("a,", 1), (",b", 0)] {
        let list = tenant.user.get(&format!("/articles?tags={tags}")).await.expect(200);
        assert_eq!(list["meta"]["total_count"], count, "{tags}");
    }
}
