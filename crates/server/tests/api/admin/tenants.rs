//! The tenants as superadmins list, read and change them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::NOBODY;
use crate::identity::impersonation::superadmin;
use crate::isolation::populated;
use crate::support::{Caller, Tenant, connect, server, text, unique};

async fn found(superadmin: &Caller, query: &str) -> Vec<String> {
    let list = superadmin.get(&format!("/admin/tenants?{query}")).await.expect(200);
    list["data"].as_array().unwrap().iter().map(|row| text(&row["slug"])).collect()
}

#[tokio::test]
async fn names_are_searched_as_they_are_written() {
    let (superadmin, _) = superadmin().await;
    let word = unique("Search");
    let mut slugs = Vec::new();
    for name in ["100% safe", "100x safe", "a_b", "axb", r"back\slash", "backslash"] {
        let tenant = Tenant::new().await;
        tenant.user.patch("/tenants/me", json!({"name": format!("{word} {name}")})).await.expect(200);
        slugs.push(tenant.slug);
    }
    let word = word.to_lowercase();
    for (search, expected) in [
        ("100%25", vec![0]),
        ("100", vec![0, 1]),
        ("a_b", vec![2]),
        ("%5C", vec![4]),
        ("BACK", vec![4, 5]),
        ("%25", vec![0]),
        ("_", vec![2]),
        ("none of them", vec![]),
        ("", vec![0, 1, 2, 3, 4, 5]),
    ] {
        let sought = if search.is_empty() { word.clone() } else { format!("{word}%20{search}") };
        let sought = if ["%25", "_", "%5C"].contains(&search) { search.to_owned() } else { sought };
        let mut all = found(&superadmin, &format!("search={sought}&page_size=100")).await;
        // Other tests have tenants as well.
        all.retain(|slug| slugs.contains(slug));
        let expected: Vec<_> = expected.into_iter().map(|nth: usize| slugs[nth].clone()).collect();
        assert_eq!(all, expected, "{search}");
    }
    // The slug as well; a word that is no status filters nothing.
    assert_eq!(found(&superadmin, &format!("search={}", slugs[0].to_uppercase())).await.len(), 1);
    let narrowed = |status: &str| format!("search={word}&status={status}");
    assert_eq!(found(&superadmin, &narrowed("active")).await.len(), 6);
    assert_eq!(found(&superadmin, &narrowed("suspended")).await.len(), 0);
    assert_eq!(found(&superadmin, &narrowed("none")).await.len(), 6);
    let sql = "update tenants set status = 'pending_enrollment' where slug = $1";
    connect(&server().owner).await.execute(sql, &[&slugs[0]]).await.unwrap();
    assert_eq!(found(&superadmin, &narrowed("pending_enrollment")).await, [slugs[0].clone()]);
    // By name, and page by page without overlap.
    let mut paged = Vec::new();
    for page in 1..=3 {
        let list =
            superadmin.get(&format!("/admin/tenants?search={word}&limit=2&page={page}")).await.expect(200);
        assert_eq!((&list["meta"]["total_count"], &list["meta"]["total_pages"]), (&json!(6), &json!(3)));
        paged.extend(list["data"].as_array().unwrap().iter().map(|row| text(&row["name"])));
    }
    assert!(paged.len() == 6 && paged.is_sorted(), "{paged:?}");
    let meta = superadmin.get("/admin/tenants?page_size=500").await.expect(200)["meta"].clone();
    assert_eq!((&meta["page_size"], &meta["page"]), (&json!(100), &json!(1)));
    let meta = superadmin.get("/admin/tenants").await.expect(200)["meta"].clone();
    assert_eq!(meta["page_size"], 20);
}

#[tokio::test]
async fn a_tenant_is_shown_with_what_it_has() {
    let (world, (superadmin, _)) = (populated().await, superadmin().await);
    let list = superadmin.get(&format!("/admin/tenants?search={}", world.tenant.slug)).await.expect(200);
    let row = list["data"][0].clone();
    let one =
        superadmin.get(&format!("/admin/tenants/{}", world.tenant.id)).await.expect(200)["tenant"].clone();
    let owner = connect(&server().owner).await;
    for (name, table, rest) in [
        ("project_count", "projects", ""),
        ("epic_count", "epics", ""),
        ("story_count", "stories", ""),
        ("agent_count", "agents", ""),
        ("api_key_count", "api_keys", "and revoked_at is null"),
    ] {
        let sql = format!("select count(*) from {table} where tenant_id = $1::text::uuid {rest}");
        let count: i64 = owner.query_one(&sql, &[&world.tenant.id]).await.unwrap().get(0);
        assert!(count > 0, "{name}");
        assert_eq!((&row[name], &one[name]), (&json!(count), &json!(count)), "{name}");
    }
    // Archived projects are projects, and revoked keys no keys.
    world.tenant.user.delete(&format!("/projects/{}", world.project)).await.expect(200);
    world.tenant.user.delete(&format!("/api_keys/{}", world.key)).await.expect(200);
    let after =
        superadmin.get(&format!("/admin/tenants/{}", world.tenant.id)).await.expect(200)["tenant"].clone();
    assert_eq!(after["project_count"], one["project_count"]);
    assert_eq!(after["api_key_count"], json!(one["api_key_count"].as_i64().unwrap() - 1));
    let own = world.tenant.user.get("/tenants/me").await.expect(200)["tenant"].clone();
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&one[name], value, "{name}");
    }
    assert!(one["last_activity_at"].is_string(), "{one:#}");
    for id in [NOBODY, "none", "00000000-0000-0000-0000-000000000000", world.tenant.slug.as_str()] {
        superadmin.get(&format!("/admin/tenants/{id}")).await.expect_error(404, "not_found");
        let body = json!({"settings": 7});
        superadmin.patch(&format!("/admin/tenants/{id}"), body).await.expect_error(404, "not_found");
        for step in ["suspend", "activate"] {
            superadmin
                .post_empty(&format!("/admin/tenants/{id}/{step}"))
                .await
                .expect_error(404, "not_found");
        }
    }
    superadmin.post("/admin/tenants", json!({"name": "x", "slug": "xx"})).await.expect(404);
}

#[tokio::test]
async fn a_change_is_refused_as_to_the_tenant_itself() {
    let (tenant, other, (superadmin, _)) = (Tenant::new().await, Tenant::new().await, superadmin().await);
    let path = format!("/admin/tenants/{}", tenant.id);
    let before = tenant.audit_log().await.len();
    for body in [
        json!({"name": " "}),
        json!({"slug": "-x"}),
        json!({"slug": other.slug}),
        json!({"email": format!("{}@loopctl.test", other.slug)}),
        json!({"email": "nobody"}),
        json!({"settings": null}),
        json!({"settings": ["a"]}),
        json!({"settings": {"max_api_keys": "many"}, "token_data_retention_days": 3}),
        json!({"default_story_budget_millicents": 0}),
        json!({"custody_mode": "strict"}),
    ] {
        let theirs =
            tenant.user.patch("/tenants/me", body.clone()).await.expect_error(422, "validation_failed");
        let ours = superadmin.patch(&path, body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(ours["details"], theirs["details"], "{body}");
    }
    assert_eq!(tenant.audit_log().await.len(), before);
    // Its status is not among the fields, and nothing to change is no event.
    let same = superadmin.patch(&path, json!({"status": "suspended", "id": NOBODY})).await.expect(200);
    assert_eq!((&same["tenant"]["status"], &same["tenant"]["id"]), (&json!("active"), &json!(tenant.id)));
    assert_eq!(tenant.audit_log().await.len(), before);
}

#[tokio::test]
async fn a_change_is_merged_and_told_to_the_tenant() {
    let (tenant, (superadmin, key_id)) =
        (Tenant::untouched(&server().owner, &server().base).await, superadmin().await);
    let path = format!("/admin/tenants/{}", tenant.id);
    tenant.user.patch("/tenants/me", json!({"settings": {"max_projects": 3, "note": "n"}})).await.expect(200);
    let body = json!({"settings": {"max_webhooks": 20, "note": null}});
    let changed = superadmin.patch(&path, body).await.expect(200)["tenant"].clone();
    assert_eq!(changed["settings"], json!({"max_projects": 3, "max_webhooks": 20}));
    let entry = |log: Value| log["data"][0].clone();
    let newest = entry(tenant.user.get("/audit?page_size=1").await.expect(200));
    assert_eq!(
        [
            &newest["entity_type"],
            &newest["action"],
            &newest["actor_type"],
            &newest["actor_id"],
            &newest["entity_id"]
        ],
        [&json!("tenant"), &json!("tenant_updated"), &json!("superadmin"), &json!(key_id), &json!(tenant.id)]
    );
    let mut told = json!({"name": tenant.slug, "slug": tenant.slug, "email": changed["email"],
        "settings": {"max_projects": 3, "note": "n"}});
    assert_eq!(newest["old_state"], told);
    told["settings"] = changed["settings"].clone();
    assert_eq!(newest["new_state"], told);
    // And superadmins find it in everybody's.
    let everybodys =
        superadmin.get(&format!("/admin/audit?action=tenant_updated&tenant_id={}", tenant.id)).await;
    assert_eq!(entry(everybodys.expect(200))["id"], newest["id"]);
    // Of those who change at once, each has changed something.
    let keys: Vec<_> = (0..6).map(|number| format!("key_{number}")).collect();
    join_all(keys.iter().enumerate().map(async |(nth, key)| {
        let body = json!({"settings": {key.as_str(): nth}});
        match nth % 2 {
            0 => superadmin.patch(&path, body).await.expect(200),
            _ => tenant.user.patch("/tenants/me", body).await.expect(200),
        }
    }))
    .await;
    let settings = superadmin.get(&path).await.expect(200)["tenant"]["settings"].clone();
    for (nth, key) in keys.iter().enumerate() {
        assert_eq!(settings[key], json!(nth), "{settings}");
    }
    // Unlike its status, everything else can be changed of a tenant that is suspended.
    superadmin.post_empty(&format!("{path}/suspend")).await.expect(200);
    let slug = unique("moved");
    let moved = superadmin.patch(&path, json!({"slug": slug})).await.expect(200);
    assert_eq!((&moved["tenant"]["slug"], &moved["tenant"]["status"]), (&json!(slug), &json!("suspended")));
}
