//! Articles are found, by words and by what they mean.

use std::sync::LazyLock;

use loopctl_server::serve::ServeOptions;
use loopctl_server::{EmbeddingChoice, EmbeddingOptions};
use serde_json::{Value, json};

use super::{aged, article, each, embedded, published};
use crate::support::{Caller, PATIENCE, Tenant, TestServer, connect, own_database, server, started, text};

/// A server on which nobody makes out what texts mean.
static DEAF: LazyLock<TestServer> = LazyLock::new(|| {
    let embeddings = EmbeddingOptions { choice: EmbeddingChoice::Off, ..EmbeddingOptions::default() };
    started(ServeOptions { embeddings, ..ServeOptions::local(own_database()) })
});

/// Publishes an article of these words; its id.
async fn of(user: &Caller, title: &str, body: &str, further: Value) -> String {
    let mut all = json!({"body": body, "status": "published"});
    all.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    text(&article(user, title, all).await["id"])
}

async fn search(who: &Caller, query: &str) -> Value {
    who.get(&format!("/knowledge/search?{query}")).await.expect(200)
}

#[tokio::test]
async fn questions_that_are_none_are_refused() {
    let tenant = Tenant::new().await;
    let long = "a".repeat(501);
    for (path, name) in [("search", "q"), ("context", "query")] {
        for query in [String::new(), format!("{name}="), format!("{name}=%20%20")] {
            let error = tenant.user.get(&format!("/knowledge/{path}?{query}")).await.expect(400);
            let message = text(&error["error"]["message"]);
            assert_eq!(message, format!("Query parameter '{name}' is required and cannot be empty"));
        }
        let error = tenant.user.get(&format!("/knowledge/{path}?{name}={long}")).await.expect(400);
        assert!(text(&error["error"]["message"]).contains("maximum length of 500 characters"));
        tenant.user.get(&format!("/knowledge/{path}?{name}=a%00b")).await.expect(400);
        tenant.user.get(&format!("/knowledge/{path}?{name}=a&project_id=nope")).await.expect(400);
        Caller::nobody().get(&format!("/knowledge/{path}?{name}=a")).await.expect(401);
    }
    let error = tenant.user.get("/knowledge/search?q=a&mode=invalid").await.expect(400);
    assert_eq!(error["error"]["message"], "Invalid search mode. Valid modes: keyword, semantic, combined");
    tenant.user.get("/knowledge/search?q=a&category=bogus").await.expect(400);
    tenant.user.get("/knowledge/context?query=a&max_tokens=0").await.expect(422);
}

#[tokio::test]
async fn words_are_found_as_search_engines_find_them() {
    let tenant = Tenant::new().await;
    let user = &tenant.user;
    let in_title = of(user, "Ecto transactions", "How several changes go together.", json!({})).await;
    let in_body =
        of(user, "Several changes at once", "Use a multi of Ecto, and name every step of it.", json!({}))
            .await;
    of(user, "Colours", "Blue and green.", json!({})).await;
    article(user, "Ecto in a draft", json!({})).await;
    let found = search(user, "q=Ecto&mode=keyword").await;
    assert_eq!(each(&found, "id"), [json!(in_title), json!(in_body)]);
    assert!(found["data"][0]["score"].as_f64().unwrap() > found["data"][1]["score"].as_f64().unwrap());
    assert!(found["data"][1]["snippet"].as_str().unwrap().contains("**Ecto**"), "{found}");
    assert!(found["data"][0].get("body").is_none());
    let meta = &found["meta"];
    assert_eq!((&meta["limit"], &meta["offset"], &meta["total_count"]), (&json!(10), &json!(0), &json!(2)));
    assert_eq!((&meta["search_mode"], meta.get("fallback")), (&json!("keyword"), None));
    assert_eq!(search(user, "q=ecto%20-multi&mode=keyword").await["meta"]["total_count"], 1);
    assert_eq!(search(user, "q=%22name%20every%20step%22&mode=keyword").await["meta"]["total_count"], 1);
    // By both, an article with an unwanted word has none that count.
    let both = search(user, "q=ecto%20-multi").await;
    assert_eq!(each(&both, "id")[0], json!(in_title), "{both}");
    let page = search(user, "q=ecto&mode=keyword&limit=1&offset=1").await;
    assert_eq!((each(&page, "id"), &page["meta"]["page"]), (vec![json!(in_body)], &json!(2)));
    for mode in ["keyword", "combined", "semantic"] {
        assert_eq!(search(user, &format!("q=the%20of%20and&mode={mode}")).await["data"], json!([]));
    }
    // What is changed is found by its new words and not by the old ones.
    user.patch(&format!("/articles/{in_title}"), json!({"title": "Changesets"})).await.expect(200);
    assert_eq!(each(&search(user, "q=ecto&mode=keyword").await, "id"), [json!(in_body)]);
    assert_eq!(each(&search(user, "q=changeset&mode=keyword").await, "id"), [json!(in_title)]);
}

/// What the parser of full texts takes minutes for is written and found like any other: else the statement would be cut off.
#[tokio::test]
async fn runs_without_spaces_cost_nothing() {
    let tenant = Tenant::new().await;
    for (nth, run) in ["a_", "~/", "./", "a_b-", "a.b@"].iter().enumerate() {
        let body = run.repeat(100_000 / run.len());
        let id = of(&tenant.user, &format!("Endless {nth}"), &body, json!({})).await;
        tenant.user.patch(&format!("/articles/{id}"), json!({"tags": ["long"]})).await.expect(200);
        for mode in ["keyword", "combined"] {
            let found = search(&tenant.user, &format!("q=endless%20{nth}&mode={mode}")).await;
            assert_eq!(each(&found, "id")[0], json!(id), "{run} {mode}");
        }
    }
}

/// Whoever asks in other words finds it, as soon as it is known what it means, and not once it is withdrawn.
#[tokio::test]
async fn what_means_the_same_is_found() {
    let tenant = Tenant::new().await;
    let user = &tenant.user;
    let pool = of(
        user,
        "Connection pool exhaustion",
        "When requests keep their database connections during slow calls of other services, the pool runs dry and everybody waits.",
        json!({}),
    )
    .await;
    let names = of(user, "Branch names", "A branch begins with the number of its story.", json!({})).await;
    let draft = text(&article(user, "Draft on pools", json!({})).await["id"]);
    embedded(&tenant, 2).await;
    let asked = "q=all%20handles%20are%20taken%20and%20nobody%20gives%20one%20back";
    for mode in ["semantic", "combined"] {
        let found = search(user, &format!("{asked}&mode={mode}")).await;
        assert_eq!(each(&found, "id")[0], json!(pool), "{mode}: {found}");
        assert_eq!(found["data"][0].get("snippet").is_some(), mode == "combined");
        assert_eq!((&found["meta"]["search_mode"], found["meta"].get("fallback")), (&json!(mode), None));
        assert!(!each(&found, "id").contains(&json!(draft)));
        assert!(each(&found, "score").iter().all(|score| (-1.0..=1.0).contains(&score.as_f64().unwrap())));
    }
    user.post(&format!("/articles/{pool}/unpublish"), json!({})).await.expect(200);
    for mode in ["semantic", "combined"] {
        assert_eq!(each(&search(user, &format!("{asked}&mode={mode}")).await, "id"), [json!(names)]);
    }
    user.post(&format!("/articles/{pool}/publish"), json!({})).await.expect(200);
    assert_eq!(each(&search(user, asked).await, "id")[0], json!(pool));
}

#[tokio::test]
async fn filters_and_tenants_bound_what_is_found() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (user, project) = (&tenant.user, tenant.project().await);
    let mine = of(
        user,
        "Retry budgets",
        "Retries need a budget.",
        json!({"project_id": project, "tags": ["http", "retry"]}),
    )
    .await;
    let wide = of(user, "Retry storms", "Retries without a budget.", json!({"category": "finding"})).await;
    of(&other.user, "Retries elsewhere", "Retries of another tenant.", json!({})).await;
    embedded(&tenant, 2).await;
    for mode in ["keyword", "semantic", "combined"] {
        let ids = async |query: &str| {
            let mut ids = each(&search(user, &format!("q=retries&mode={mode}&{query}")).await, "id");
            ids.sort_by_key(ToString::to_string);
            ids
        };
        let mut both = vec![json!(mine), json!(wide)];
        both.sort_by_key(ToString::to_string);
        assert_eq!(ids("").await, both, "{mode}");
        assert_eq!(ids(&format!("project_id={project}")).await, [json!(mine)]);
        assert_eq!(ids(&format!("project_id={project}&include_tenant_wide=true")).await, both);
        assert_eq!(ids("category=finding").await, [json!(wide)]);
        assert_eq!(ids("tags=nothing,retry").await, [json!(mine)]);
        assert_eq!(ids(&format!("project_id={project}&category=pattern&tags=http")).await, [json!(mine)]);
        assert!(ids("category=decision").await.is_empty());
    }
}

#[tokio::test]
async fn where_nobody_makes_out_what_texts_mean_words_are_left() {
    let tenant = Tenant::at(&DEAF.owner, &DEAF.base).await;
    let user = &tenant.user;
    published(user, "Lock order").await;
    published(user, "Lock timeouts and lock order").await;
    let error =
        user.get("/knowledge/search?q=lock&mode=semantic").await.expect_error(503, "embedding_unavailable");
    assert_eq!(error["message"], "Embedding service unavailable");
    let found = search(user, "q=lock%20order").await;
    assert_eq!(
        (&found["meta"]["fallback"], &found["meta"]["search_mode"]),
        (&json!(true), &json!("keyword_only"))
    );
    let scores = each(&found, "score");
    assert!(scores[0] == 1.0 && scores[1].as_f64().unwrap() > 0.0, "{found}");
    let context = user.get("/knowledge/context?query=lock%20order").await.expect(200);
    assert_eq!(context["meta"]["fallback"], true);
    assert_eq!(context["data"][0]["relevance_score"], 1.0);
}

#[tokio::test]
async fn a_context_is_whole_articles_of_which_new_ones_count_more() {
    let tenant = Tenant::new().await;
    let (user, agent) = (&tenant.user, tenant.agent().await);
    let body = "Deployments are rolled back by the previous image, never by a fix forward.";
    let (old, new) = (
        of(user, "Rolling back a deployment", body, json!({})).await,
        of(user, "Rolling back a deployment again", body, json!({})).await,
    );
    let month = of(user, "Rolling back migrations", "Migrations only go forward.", json!({})).await;
    embedded(&tenant, 3).await;
    aged(&old, 90).await;
    aged(&month, 30).await;
    let context = agent.get("/knowledge/context?query=rolling%20back%20a%20deployment").await.expect(200);
    assert_eq!(each(&context, "id")[0], json!(new), "{context}");
    let meta = &context["meta"];
    assert_eq!(
        (&meta["limit"], &meta["recency_weight"], meta.get("fallback")),
        (&json!(5), &json!(0.3), None)
    );
    assert_eq!(meta["total_count"], 3);
    for row in context["data"].as_array().unwrap() {
        let score = |name: &str| row[name].as_f64().unwrap();
        let both = 0.7 * score("relevance_score") + 0.3 * score("recency_score");
        assert!((score("combined_score") - both).abs() < 0.001 && score("recency_score") <= 1.0, "{row}");
        assert!(!row["body"].as_str().unwrap().is_empty());
        if row["id"] == json!(month) {
            assert!((score("recency_score") - 0.3679).abs() < 0.05, "{row}");
        }
    }
    for (sent, meant) in [("1.5", 1.0), ("-0.5", 0.0), ("junk", 0.3)] {
        let path = format!("/knowledge/context?query=deployment&limit=50&recency_weight={sent}");
        let meta = agent.get(&path).await.expect(200)["meta"].clone();
        assert_eq!((&meta["limit"], &meta["recency_weight"]), (&json!(20), &json!(meant)));
    }
    // Agents see what is published, whatever they ask for.
    article(user, "Deployment drafts", json!({"body": "A deployment in a draft."})).await;
    let asked = "/knowledge/context?query=deployment&status=draft";
    assert!(!each(&agent.get(asked).await.expect(200), "title").contains(&json!("Deployment drafts")));
    assert_eq!(each(&user.get(asked).await.expect(200), "title"), [json!("Deployment drafts")]);
}

#[tokio::test]
async fn a_context_names_its_published_neighbours() {
    let tenant = Tenant::new().await;
    let user = &tenant.user;
    let id = of(user, "Idempotency keys", "A key makes a retry safe.", json!({})).await;
    for nth in 0..7 {
        let other = published(user, &format!("Neighbour {nth}")).await;
        let body =
            json!({"source_article_id": id, "target_article_id": other, "relationship_type": "derived_from"});
        user.post("/article_links", body).await.expect(201);
    }
    let draft = text(&article(user, "Neighbour in a draft", json!({})).await["id"]);
    let body =
        json!({"source_article_id": draft, "target_article_id": id, "relationship_type": "derived_from"});
    user.post("/article_links", body).await.expect(201);
    embedded(&tenant, 8).await;
    let context = user.get("/knowledge/context?query=idempotency%20key&limit=1").await.expect(200);
    let linked = context["data"][0]["linked_articles"].as_array().unwrap();
    assert_eq!(linked.len(), 5, "{context}");
    for neighbour in linked {
        assert_eq!(neighbour.as_object().unwrap().len(), 3);
        assert_ne!(neighbour["id"], json!(draft));
    }
}

/// Within so many tokens, and says what is not there.
#[tokio::test]
async fn a_context_fits_the_room_that_there_is() {
    let tenant = Tenant::new().await;
    let user = &tenant.user;
    let code = "```rust\nlet pool = Pool::new();\n\nlet connection = pool.get();\n```";
    let filler = "Nothing of this has to do with what is asked, and it goes on for a while without an end. "
        .repeat(20);
    let body =
        format!("{filler}\n\nA checkout that times out means the pool is exhausted.\n\n{code}\n\n{filler}");
    let id = of(user, "Pool checkout timeouts", &body, json!({})).await;
    embedded(&tenant, 1).await;
    let asked = "/knowledge/context?query=checkout%20times%20out%20pool%20exhausted";
    let whole = user.get(&format!("{asked}&max_tokens=5000")).await.expect(200);
    assert_eq!((&whole["data"][0]["body"], &whole["meta"]["cut"]), (&json!(body), &json!([])));
    let part = user.get(&format!("{asked}&max_tokens=120")).await.expect(200);
    let shown = part["data"][0]["body"].as_str().unwrap();
    assert!(shown.contains("the pool is exhausted") && shown.contains(code) && shown.len() < 400, "{shown}");
    assert_eq!(part["meta"]["cut"], json!([{"id": id, "reason": "passages"}]));
    let none = user.get(&format!("{asked}&max_tokens=5")).await.expect(200);
    assert_eq!(
        (&none["data"], &none["meta"]["cut"]),
        (&json!([]), &json!([{"id": id, "reason": "no_room"}]))
    );
    assert!(user.get(asked).await.expect(200)["meta"].get("cut").is_none());
}

/// Vectors are of what is published, as it is; writing them changes nothing else.
#[tokio::test]
async fn vectors_follow_what_is_published() {
    let tenant = Tenant::new().await;
    let user = &tenant.user;
    let draft = text(&article(user, "Still a draft", json!({})).await["id"]);
    let made = article(user, "Published at once", json!({"status": "published"})).await;
    let id = text(&made["id"]);
    embedded(&tenant, 1).await;
    let owner = connect(&server().owner).await;
    let hashes = async || {
        let sql = "select article_id::text, encode(text_hash, 'hex'), dimensions, octet_length(vectors) from article_embeddings
                   where tenant_id = $1::text::uuid";
        let rows = owner.query(sql, &[&tenant.id]).await.unwrap();
        let row = |row: &tokio_postgres::Row| -> (String, String, i32, i32) {
            (row.get(0), row.get(1), row.get(2), row.get(3))
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let first = hashes().await;
    assert!(first.len() == 1 && first[0].0 == id && first[0].2 == 384 && first[0].3 % 384 == 0, "{first:?}");
    assert_eq!(
        user.get(&format!("/articles/{id}")).await.expect(200)["data"]["updated_at"],
        made["updated_at"]
    );
    let told = tenant.audit_log().await;
    let told: Vec<_> = told.iter().filter(|row| row["action"] == "article.embedding_updated").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["actor_type"], &told[0]["actor_label"]),
        (&json!("system"), &json!("worker:embedding"))
    );
    assert_eq!(told[0]["new_state"], json!({"embedding_dimensions": 384}));
    // Other tags mean nothing; another text does.
    user.patch(&format!("/articles/{id}"), json!({"tags": ["new"]})).await.expect(200);
    user.patch(&format!("/articles/{id}"), json!({"body": "Another text."})).await.expect(200);
    user.post(&format!("/articles/{draft}/publish"), json!({})).await.expect(200);
    tokio::time::timeout(PATIENCE, async {
        loop {
            let now = hashes().await;
            if now.len() == 2 && !now.iter().any(|row| row.1 == first[0].1) {
                break;
            }
        }
    })
    .await
    .expect("vectors of the new texts");
}
