//! What has been published, as an archive.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use reqwest::Method;
use serde_json::json;
use zip::ZipArchive;

use super::{NOBODY, article, linked, many_published, published};
use crate::support::{Caller, Tenant, connect, server, text};

/// The files of an archive, in its order, and what they hold.
async fn exported(who: &Caller, path: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let response = who.request(Method::GET, path).header("accept", "application/zip").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/zip");
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    let day = disposition
        .strip_prefix("attachment; filename=\"knowledge-export-")
        .and_then(|rest| rest.strip_suffix(".zip\""));
    assert!(day.is_some_and(|day| day.parse::<chrono::NaiveDate>().is_ok()), "{disposition}");
    let bytes = response.bytes().await.unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let (mut names, mut files) = (Vec::new(), BTreeMap::new());
    for nth in 0..archive.len() {
        let mut entry = archive.by_index(nth).unwrap();
        let name = entry.name().unwrap().into_owned();
        assert!(entry.enclosed_name().is_some(), "{name}");
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        names.push(name.clone());
        assert_eq!(files.insert(name, content), None, "each name is there once");
    }
    (names, files)
}

#[tokio::test]
async fn refused_exports() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (a, o) = (tenant.key("agent").await, tenant.key("orchestrator").await);
    let project = tenant.project().await;
    let of_project = format!("/projects/{project}/knowledge/export");
    for path in ["/knowledge/export", &of_project] {
        let error = a.get(path).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
        Caller::nobody().get(path).await.expect_error(401, "unauthorized");
        let (names, files) = exported(&o, path).await;
        assert_eq!(names, ["_index.md"]);
        assert_eq!(files["_index.md"], "# Knowledge Base Index\n");
    }
    for (who, project) in [(&o, NOBODY), (&o, "not-a-uuid"), (&other.user, project.as_str())] {
        who.get(&format!("/projects/{project}/knowledge/export")).await.expect_error(404, "not_found");
    }
    many_published(&tenant, 5001).await;
    let error = o.get("/knowledge/export").await.expect_error(413, "export_too_large");
    assert_eq!(
        error["message"],
        "Export exceeds 5,000 articles. Use project-scoped export (GET /projects/:id/knowledge/export) to reduce scope."
    );
    let one_less = "delete from articles where tenant_id = $1::text::uuid and title = 'many 1'";
    connect(&server().owner).await.execute(one_less, &[&tenant.id]).await.unwrap();
    let (names, files) = exported(&o, "/knowledge/export").await;
    assert_eq!((names.len(), files["_index.md"].lines().count()), (5001, 5004));
}

#[tokio::test]
async fn articles_are_files_that_link_to_each_other() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let further =
        json!({"status": "published", "tags": ["ecto", "transactions"], "source_type": "review_finding"});
    let ecto = article(u, "Ecto Multi pattern", further).await;
    let twin = published(u, "Ecto: Multi pattern").await;
    let title = "What's New? (v2.0) -- Breaking Changes!";
    let news = text(&article(u, title, json!({"status": "published", "category": "decision"})).await["id"]);
    let draft = text(&article(u, "Draft", json!({})).await["id"]);
    article(
        u,
        "../../etc/passwd",
        json!({"status": "published", "category": "finding", "body": "---\n\"x\""}),
    )
    .await;
    published(&other.user, "Theirs").await;
    let id = text(&ecto["id"]);
    linked(u, &id, "relates_to", &news).await;
    linked(u, &twin, "derived_from", &id).await;
    linked(u, &id, "contradicts", &draft).await;
    let (names, files) = exported(u, "/knowledge/export").await;
    assert_eq!(
        names,
        [
            "_index.md",
            "decision/whats-new-v20-breaking-changes.md",
            "finding/etcpasswd.md",
            "pattern/ecto-multi-pattern.md",
            "pattern/ecto-multi-pattern-2.md"
        ]
    );
    let (made, changed) = (text(&ecto["inserted_at"]), text(&ecto["updated_at"]));
    assert_eq!(
        files["pattern/ecto-multi-pattern.md"],
        format!(
            "---\ntitle: \"Ecto Multi pattern\"\naliases: [\"Ecto Multi pattern\"]\ncategory: pattern\ntags:\n  - ecto\n  - transactions\n\
             status: published\nsource_type: review_finding\ncreated_at: \"{made}\"\nupdated_at: \"{changed}\"\n---\n\n\
             About Ecto Multi pattern.\n\n## Related Articles\n\n- [[{title}]] (relates_to)\n- [[Ecto: Multi pattern]] (derived_from)\n"
        )
    );
    assert!(files[&names[1]].ends_with("\n- [[Ecto Multi pattern]] (relates_to)\n"), "{}", files[&names[1]]);
    assert!(!files["finding/etcpasswd.md"].contains("Related"));
    let index = format!(
        "# Knowledge Base Index\n\n## Decision\n\n- [[{title}]]\n\n## Finding\n\n- [[../../etc/passwd]]\n\n## Pattern\n\n\
         - [[Ecto Multi pattern]]\n- [[Ecto: Multi pattern]]\n"
    );
    assert_eq!(files["_index.md"], index);
}

#[tokio::test]
async fn a_project_is_exported_with_what_is_of_all() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let (project, elsewhere) = (tenant.project().await, tenant.project().await);
    published(u, "All").await;
    article(u, "Ours", json!({"status": "published", "project_id": project})).await;
    article(u, "Elsewhere", json!({"status": "published", "project_id": elsewhere})).await;
    let (names, _) = exported(u, &format!("/projects/{project}/knowledge/export")).await;
    assert_eq!(names, ["_index.md", "pattern/all.md", "pattern/ours.md"]);
}

/// Nobody who hangs up in the middle is waited for, and what has arrived does not look whole.
#[tokio::test]
async fn large_exports_are_streamed() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    let sql = "insert into articles (tenant_id, id, title, body, category, slug, status)
               select $1::text::uuid, gen_random_uuid(), 'large ' || n,
                      (select string_agg(md5(n::text || m::text), ' ') from generate_series(1, 3000) m), 'finding', 'large-' || n,
                      'published'
               from generate_series(1, 100) n";
    connect(&server().owner).await.execute(sql, &[&tenant.id]).await.unwrap();
    let mut response = u.request(Method::GET, "/knowledge/export").send().await.unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"PK\x03\x04"));
    assert!(ZipArchive::new(Cursor::new(first)).is_err());
    drop(response);
    let (names, files) = exported(u, "/knowledge/export").await;
    assert_eq!(names.len(), 101);
    assert!(files["finding/large-100.md"].len() > 90_000);
}
