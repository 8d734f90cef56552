//! What the server itself has published is found by whoever asks for it: on a server of its own that goes by words, so that it is known
//! what is near what.

use std::sync::LazyLock;

use loopctl_docs::ARTICLES;
use loopctl_server::operator::create_superadmin_key;
use loopctl_server::serve::ServeOptions;
use loopctl_server::{EmbeddingChoice, EmbeddingOptions};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{article, each};
use crate::support::{
    Caller, PATIENCE, Tenant, TestServer, connect, own_database, started, text, unique, until_true,
};

static LITERAL: LazyLock<TestServer> = LazyLock::new(|| {
    let embeddings = EmbeddingOptions { choice: EmbeddingChoice::Hash, ..EmbeddingOptions::default() };
    started(ServeOptions { embeddings, ..ServeOptions::local(own_database()) })
});

const MODES: [&str; 3] = ["keyword", "semantic", "combined"];

async fn tenant() -> Tenant {
    Tenant::at(&LITERAL.owner, &LITERAL.base).await
}

/// A superadmin inside no tenant.
async fn root() -> Caller {
    let key = create_superadmin_key(&LITERAL.owner, &unique("root")).await.unwrap();
    Caller::with_key(&key.raw_key).at(&LITERAL.base)
}

/// Writes a system article with a status; its id.
async fn written(root: &Caller, title: &str, body: &str, status: &str) -> String {
    let further = json!({"body": body, "scope": "system", "status": if status == "draft" { "draft" } else { "published" }});
    let id = text(&article(root, title, further).await["id"]);
    if status == "archived" {
        root.post_empty(&format!("/articles/{id}/archive")).await.expect(200);
    }
    id
}

/// Of what text the vectors of a system article are, and when they were made.
async fn vectors(id: &str) -> Option<(String, String)> {
    let sql = "select encode(text_hash, 'hex'), embedded_at::text from system_article_embeddings
               where article_id = $1::text::uuid and vectors <> ''";
    let row = connect(&LITERAL.owner).await.query_opt(sql, &[&id]).await.unwrap();
    row.map(|row| (row.get(0), row.get(1)))
}

/// Waits until nothing is under way that is no tenant's.
async fn quiet() {
    let owner = connect(&LITERAL.owner).await;
    let sql = "select not exists (select from jobs where kind in ('system_article_embedding', 'embed_system_articles')
               and completed_at is null)";
    until_true("the work is done", PATIENCE, &owner, sql, &[]).await;
}

async fn embedded(tenant: &Tenant, count: i64) {
    super::embedded_at(&LITERAL, tenant, count, PATIENCE).await;
}

async fn search(who: &Caller, query: &str) -> Value {
    who.get(&format!("/knowledge/search?limit=50&{query}")).await.expect(200)
}

fn has(found: &Value, id: &str) -> bool {
    each(found, "id").contains(&json!(id))
}

#[tokio::test]
async fn only_what_is_published_is_found_and_only_if_asked_for() {
    let (tenant, root) = (tenant().await, root().await);
    let mut hidden = Vec::new();
    for status in ["draft", "archived"] {
        hidden.push(written(&root, &unique("Quokka"), "A quokka hides.", status).await);
    }
    let id = written(&root, &unique("Quokka"), "A quokka shows itself.", "published").await;
    quiet().await;
    for mode in MODES {
        let ask = async |further: &str| search(&tenant.user, &format!("q=quokka&mode={mode}{further}")).await;
        for without in ["", "&include_system=false", "&include_system=", "&include_system=perhaps"] {
            assert_eq!(ask(without).await["data"], json!([]), "{mode} {without}");
        }
        let found = ask("&include_system=true").await;
        assert!(has(&found, &id), "{mode}: {found}");
        assert!(each(&found, "scope").iter().all(|scope| scope == "system"), "{mode}: {found}");
        for hidden in &hidden {
            assert!(!has(&found, hidden), "{mode}: {found}");
        }
    }
    // A context is of the tenant's own.
    let context = tenant.user.get("/knowledge/context?query=quokka&include_system=true").await.expect(200);
    assert_eq!(context["data"], json!([]));
    // What is withdrawn, and what says something else, is not found by it any more.
    root.patch(&format!("/articles/{id}"), json!({"title": unique("Numbat"), "body": "A numbat."}))
        .await
        .expect(200);
    for mode in ["keyword", "combined"] {
        let ask = async |word: &str| {
            search(&tenant.user, &format!("q={word}&mode={mode}&include_system=true")).await
        };
        assert!(!has(&ask("quokka").await, &id) && has(&ask("numbat").await, &id), "{mode}");
    }
    root.post_empty(&format!("/articles/{id}/unpublish")).await.expect(200);
    for mode in MODES {
        assert!(!has(&search(&tenant.user, &format!("q=numbat&mode={mode}&include_system=true")).await, &id));
    }
}

#[tokio::test]
async fn the_application_may_not_write_what_they_mean() {
    let app = connect(&LITERAL.app).await;
    let tenant = tenant().await;
    let as_tenant = format!("set role loopctl_app; set loopctl.tenant_id = '{}'", tenant.id);
    app.batch_execute(&as_tenant).await.unwrap();
    for sql in [
        "insert into system_article_embeddings (article_id, model, dimensions, vectors, text_hash)
         select id, 'm', 1, '\\x01', text_hash from system_articles limit 1",
        "update system_article_embeddings set vectors = '\\x01'",
        "delete from system_article_embeddings",
        "insert into system_article_links (id, source_article_id, target_article_id, similarity_score)
         select gen_random_uuid(), min(id::text)::uuid, max(id::text)::uuid, 1 from system_articles",
        "update system_article_links set similarity_score = 1",
        "delete from system_article_links",
        "truncate system_article_embeddings, system_article_links",
    ] {
        let refused = app.batch_execute(sql).await.expect_err(sql);
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    quiet().await;
    // Every tenant reads them.
    let sql = "select count(*) from system_article_embeddings";
    assert!(app.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) >= ARTICLES.len() as i64);
}

/// Those that come along at the start, and whatever is published after that, as long as it says that.
#[tokio::test]
async fn vectors_are_of_the_text_that_is_there() {
    quiet().await;
    let owner = connect(&LITERAL.owner).await;
    let lacking = "select string_agg(slug, ' ') from system_articles a where shipped_digest is not null and not exists (
                       select from system_article_embeddings e where e.article_id = a.id and e.text_hash = a.text_hash)";
    assert_eq!(owner.query_one(lacking, &[]).await.unwrap().get::<_, Option<String>>(0), None);

    let root = root().await;
    let id = written(&root, &unique("Wombat"), "Wombats dig.", "draft").await;
    quiet().await;
    assert_eq!(vectors(&id).await, None);
    root.post_empty(&format!("/articles/{id}/publish")).await.expect(200);
    quiet().await;
    let (first, made) = vectors(&id).await.unwrap();
    // Tags are no part of its text, and what is there is not made again, however often its turn comes.
    root.patch(&format!("/articles/{id}"), json!({"tags": ["digging"]})).await.expect(200);
    quiet().await;
    assert_eq!(vectors(&id).await, Some((first.clone(), made)));
    root.patch(&format!("/articles/{id}"), json!({"body": "Wombats sleep."})).await.expect(200);
    quiet().await;
    let (second, _) = vectors(&id).await.unwrap();
    assert_ne!(first, second);
    let sql = "select encode(text_hash, 'hex') from system_articles where id = $1::text::uuid";
    assert_eq!(second, owner.query_one(sql, &[&id]).await.unwrap().get::<_, String>(0));
    let log = root.get(&format!("/admin/audit?entity_id={id}")).await.expect(200);
    let updated = log["data"].as_array().unwrap().iter();
    let updated: Vec<_> = updated.filter(|entry| entry["action"] == "article.embedding_updated").collect();
    assert_eq!(updated.len(), 2, "{log:#}");
    assert_eq!(
        (&updated[0]["actor_label"], &updated[0]["tenant_id"], &updated[0]["new_state"]),
        (&json!("worker:embedding"), &json!(null), &json!({"embedding_dimensions": 1536}))
    );
    // Vectors of another text count as none.
    let tenant = tenant().await;
    let found = async || has(&search(&tenant.user, "q=wombat&mode=semantic&include_system=true").await, &id);
    assert!(found().await);
    let stale =
        "update system_article_embeddings set text_hash = sha256('') where article_id = $1::text::uuid";
    owner.execute(stale, &[&id]).await.unwrap();
    assert!(!found().await);
    // What says nothing any more means nothing.
    root.patch(&format!("/articles/{id}"), json!({"title": "Of it", "body": "There and then."}))
        .await
        .expect(200);
    quiet().await;
    assert_eq!(vectors(&id).await, None);
    // It is known, so that nobody tries again.
    let sql =
        "select count(*) from system_article_embeddings where article_id = $1::text::uuid and vectors = ''";
    assert_eq!(owner.query_one(sql, &[&id]).await.unwrap().get::<_, i64>(0), 1);
}

/// One list, in which the same text is worth the same, whoever's it is.
#[tokio::test]
async fn they_are_found_among_the_tenants_own() {
    let (tenant, root) = (tenant().await, root().await);
    let (user, project) = (&tenant.user, tenant.project().await);
    let (title, body) = (unique("Echidna"), "An echidna rolls itself up, and waits.");
    let of = |further: Value| {
        let mut all = json!({"body": body, "status": "published"});
        all.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        all
    };
    let own =
        text(&article(user, &title, of(json!({"project_id": project, "tags": ["spines"]}))).await["id"]);
    let wide = text(
        &article(
            user,
            "Echidnas elsewhere",
            of(json!({"body": "Something of an echidna.", "category": "finding"})),
        )
        .await["id"],
    );
    let system = json!({"scope": "system", "tags": ["spines"]});
    let system = text(&article(&root, &title, of(system)).await["id"]);
    embedded(&tenant, 2).await;
    quiet().await;
    for mode in MODES {
        let ask = async |further: &str| {
            search(user, &format!("q=echidna%20waits&mode={mode}&include_system=true{further}")).await
        };
        let found = ask("").await;
        let row = |id: &str| {
            let row = found["data"].as_array().unwrap().iter().find(|row| row["id"] == id);
            row.unwrap_or_else(|| panic!("{mode}: {found}")).clone()
        };
        assert_eq!((&row(&own)["scope"], &row(&system)["scope"]), (&json!("tenant"), &json!("system")));
        assert_eq!(row(&own)["score"], row(&system)["score"], "{mode}: {found}");
        assert_eq!(row(&own).get("snippet"), row(&system).get("snippet"), "{mode}: {found}");
        assert_eq!(
            each(&found, "id")[..2],
            [json!(system), json!(own)],
            "{mode}: of equals the newest first"
        );
        // Others write articles of everybody meanwhile: between what is counted and what is read one may come.
        let is_whole = async || {
            let found = ask("").await;
            found["meta"]["total_count"] == found["data"].as_array().unwrap().len()
        };
        assert!(is_whole().await || is_whole().await || is_whole().await, "{mode}: all are counted");
        // Of no project, so no project leaves them out.
        let of_project = ask(&format!("&project_id={project}")).await;
        assert!(has(&of_project, &own) && has(&of_project, &system) && !has(&of_project, &wide), "{mode}");
        let tagged = ask("&tags=spines,nothing").await;
        assert!(has(&tagged, &own) && has(&tagged, &system) && !has(&tagged, &wide), "{mode}");
        assert!(!has(&ask("&tags=nothing").await, &system), "{mode}");
        assert!(!has(&ask("&category=finding").await, &system), "{mode}");
        assert!(has(&ask("&category=pattern").await, &system), "{mode}");
        let unwanted = search(user, &format!("q=echidna%20-waits&mode={mode}&include_system=true")).await;
        assert!(mode != "keyword" || !has(&unwanted, &system), "{unwanted}");
        if mode == "combined" {
            assert_eq!(each(&unwanted, "id")[0], json!(wide), "{unwanted}");
        }
    }
    // Reads of what is everybody's are noted for no tenant.
    let orchestrator = tenant.key("orchestrator").await;
    orchestrator.get(&format!("/knowledge/articles/{own}/stats")).await.expect(200);
    let sql = "select count(*) filter (where article_id = $2::text::uuid), count(*) filter (where article_id = $3::text::uuid)
               from article_access_events where tenant_id = $1::text::uuid";
    let noted = connect(&LITERAL.owner).await.query_one(sql, &[&tenant.id, &own, &system]).await.unwrap();
    assert!(noted.get::<_, i64>(0) > 0 && noted.get::<_, i64>(1) == 0);
}

#[tokio::test]
async fn they_are_linked_with_each_other_alone() {
    let (tenant, root) = (tenant().await, root().await);
    let body = "A bilby listens at night with its long ears, and digs for what it has heard.";
    let own =
        text(&article(&tenant.user, "Bilbies", json!({"body": body, "status": "published"})).await["id"]);
    embedded(&tenant, 1).await;
    let first = written(&root, &unique("Bilby"), body, "published").await;
    quiet().await;
    let second = written(&root, &unique("Bilby"), body, "published").await;
    quiet().await;
    let far = written(&root, &unique("Zeolite"), "Crystals with pores.", "published").await;
    let draft = written(&root, &unique("Bilby"), body, "draft").await;
    quiet().await;
    let links = async |who: &Caller, id: &str| {
        let shown = who.get(&format!("/articles/{id}")).await.expect(200)["data"].clone();
        let ends = |member: &str, end: &str| -> Vec<Value> {
            shown[member].as_array().unwrap().iter().map(|link| link[end]["id"].clone()).collect()
        };
        (ends("outgoing_links", "target_article"), ends("incoming_links", "source_article"))
    };
    let none = || (Vec::<Value>::new(), Vec::<Value>::new());
    assert_eq!(links(&tenant.user, &second).await, (vec![json!(first)], vec![]));
    assert_eq!(links(&tenant.user, &first).await, (vec![], vec![json!(second)]));
    assert_eq!(links(&tenant.user, &far).await, none());
    assert_eq!(links(&root, &draft).await, none());
    assert_eq!(links(&tenant.user, &own).await, none());
    // A tenant's link does not lead there.
    let link =
        json!({"source_article_id": own, "target_article_id": first, "relationship_type": "relates_to"});
    tenant.user.post("/article_links", link).await.expect_error(422, "validation_failed");
    // Another text that is as near makes no second link, and what is withdrawn is shown to nobody beside others.
    root.patch(&format!("/articles/{first}"), json!({"body": format!("{body} So it is.")})).await.expect(200);
    quiet().await;
    assert_eq!(links(&tenant.user, &first).await, (vec![], vec![json!(second)]));
    root.post_empty(&format!("/articles/{second}/unpublish")).await.expect(200);
    assert_eq!(links(&tenant.user, &first).await, none());
    let log = root.get(&format!("/admin/audit?entity_id={second}")).await.expect(200);
    let linked =
        log["data"].as_array().unwrap().iter().find(|row| row["action"] == "knowledge.articles_linked");
    assert_eq!(linked.unwrap()["new_state"], json!({"article_id": second, "new_link_count": 1}));
}

#[tokio::test]
async fn a_list_is_of_one_scope() {
    let (tenant, root) = (tenant().await, root().await);
    let user = &tenant.user;
    for scope in ["bogus", "System", "all", "tenant,system"] {
        let error = user.get(&format!("/articles?scope={scope}")).await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Invalid scope. Valid scopes: tenant, system", "{scope}");
    }
    let tag = unique("scope");
    let own = text(&article(user, "Potoroos", json!({"tags": [tag]})).await["id"]);
    let system = json!({"scope": "system", "tags": [tag], "status": "published", "category": "decision"});
    let system = text(&article(&root, &unique("B potoroo"), system).await["id"]);
    let first = json!({"scope": "system", "tags": [tag], "status": "published", "body": "1"});
    let first = text(&article(&root, &unique("A potoroo"), first).await["id"]);
    article(&root, &unique("Potoroo"), json!({"scope": "system", "tags": [tag]})).await;
    let ids =
        async |query: &str| each(&user.get(&format!("/articles?tags={tag}&{query}")).await.expect(200), "id");
    for query in ["", "scope=tenant", "scope="] {
        assert_eq!(ids(query).await, [json!(own)], "{query}");
    }
    assert_eq!(ids("scope=system").await, [json!(first), json!(system)], "by title");
    assert_eq!(ids("scope=system&category=decision").await, [json!(system)]);
    assert_eq!(ids("scope=system&limit=1&offset=1").await, [json!(system)]);
    for query in ["status=draft", "source_type=manual", &format!("project_id={}", tenant.project().await)] {
        assert_eq!(ids(&format!("scope=system&{query}")).await, [json!(null); 0], "{query}");
    }
    let listed = user.get(&format!("/articles?scope=system&tags={tag}&limit=1")).await.expect(200);
    assert_eq!(listed["meta"]["total_count"], 2);
    let row = &listed["data"][0];
    assert_eq!(
        (&row["scope"], &row["tenant_id"], &row["body"]),
        (&json!("system"), &json!(null), &json!("1"))
    );
    let everybodys = Caller::nobody().at(&LITERAL.base).get("/articles/system").await.expect(200);
    let shown =
        everybodys["data"].as_array().unwrap().iter().find(|shown| shown["id"] == json!(first)).unwrap();
    for (member, value) in shown.as_object().unwrap() {
        assert_eq!(row[member], *value, "{member}");
    }
}
