//! Names of agents, keys, projects, skills and tenants: something to see, and nothing that shows them as something else.

use loopctl_server::operator::{create_superadmin_key, create_tenant};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, Tenant, server, unique};

const UNSHOWN: &str = "contains characters that cannot be shown";
const BLANK: &str = "can't be blank";

/// Names that are refused, and why.
fn refused() -> Vec<(String, &'static str)> {
    let mut names: Vec<_> = [
        "",
        " ",
        "\t \n",
        "\u{a0}\u{3000}",
        "\u{200b}",
        "\u{200b}\u{200d}\u{feff}",
        " \u{2060} ",
        "\u{ad}\u{34f}",
        "\u{3164}",
        "\u{e0020}\u{fe0f}",
    ]
    .map(|name| (name.to_owned(), BLANK))
    .into();
    let hidden = ('\u{1}'..='\u{1f}')
        .chain('\u{7f}'..='\u{9f}')
        .chain('\u{2028}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}');
    names.extend(hidden.map(|letter| (format!("a{letter}b"), UNSHOWN)));
    names.extend(["\u{202e}eman", "\u{200b}\u{2066}"].map(|name| (name.to_owned(), UNSHOWN)));
    names
}

/// Refused where blanks around a name are part of it.
const PADDED: [&str; 3] = ["name\n", "\tname", "a\u{85}"];

/// Names that are fine: whatever people write.
const FINE: [&str; 7] = [" padded ", "Zoë", "名前", "שם", "👩\u{200d}💻", "क\u{94d}\u{200c}ष", "e\u{301}"];

async fn create(who: &Caller, method: &Method, path: &str, body: Value) -> crate::support::Reply {
    who.send(who.request(method.clone(), path).json(&body)).await
}

#[tokio::test]
async fn a_name_can_be_seen_and_is_what_it_seems() {
    let tenant = Tenant::new().await;
    let (user, project) = (&tenant.user, tenant.project().await);
    let agent = tenant.key("agent").await;
    let told = tenant.audit_log().await.len();
    let body = |kind: &str, name: &str| match kind {
        "/agents/register" => json!({"name": name, "agent_type": "implementer"}),
        "/api_keys" => json!({"name": name, "role": "agent"}),
        "/projects" => json!({"name": name, "slug": unique("named")}),
        "/skills" => json!({"name": name, "prompt_text": "p"}),
        _ => json!({"name": name}),
    };
    let at = format!("/projects/{project}");
    let routes = [
        (&agent, Method::POST, "/agents/register"),
        (user, Method::POST, "/api_keys"),
        (user, Method::POST, "/projects"),
        (user, Method::POST, "/skills"),
        (user, Method::PATCH, at.as_str()),
        (user, Method::PATCH, "/tenants/me"),
    ];
    for (name, why) in refused() {
        for (who, method, path) in &routes {
            let error = create(who, method, path, body(path, &name)).await;
            let error = error.expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({"name": [why]}), "{path}: {name:?}");
        }
    }
    for (name, (who, method, path)) in
        PADDED.iter().flat_map(|name| routes[..5].iter().map(move |route| (name, route)))
    {
        let error = create(who, method, path, body(path, name)).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"name": [UNSHOWN]}), "{path}: {name:?}");
    }
    assert_eq!(tenant.audit_log().await.len(), told);
    for name in FINE {
        for (who, method, path) in &routes[1..] {
            let status = if *method == Method::POST { 201 } else { 200 };
            create(who, method, path, body(path, name)).await.expect(status);
        }
        tenant.key("agent").await.post("/agents/register", body("/agents/register", name)).await.expect(201);
    }
}

/// Who has access to the database names things by the same rule.
#[tokio::test]
async fn operators_have_the_same_rule() {
    let owner = &server().owner;
    for (name, why) in refused() {
        let slug = unique("named");
        let error = create_tenant(owner, &name, &slug, &format!("{slug}@loopctl.test")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("name {why}"), "{name:?}");
        let error = create_superadmin_key(owner, &name).await.unwrap_err();
        assert_eq!(error.to_string(), format!("name {why}"), "{name:?}");
    }
}

/// What is no name is kept to the letter.
#[tokio::test]
async fn titles_and_texts_keep_everything() {
    let tenant = Tenant::new().await;
    let odd = "a\u{1}\n\u{202e}b\u{2066}\u{200b}\u{2028}";
    let story = json!({"number": "1.1", "title": odd, "description": odd});
    let project = tenant.imported(json!({"epics": [{"number": 1, "title": odd, "stories": [story]}]})).await;
    let id = tenant.story_id(&project, "1.1").await;
    for change in [json!({"title": odd}), json!({"description": odd})] {
        let story = tenant.user.patch(&format!("/stories/{id}"), change).await.expect(200);
        assert_eq!([&story["story"]["title"], &story["story"]["description"]], [odd, odd]);
    }
    let body = json!({"mission": odd, "tech_stack": odd, "description": odd});
    let project = tenant.user.patch(&format!("/projects/{project}"), body).await.expect(200);
    assert_eq!([&project["project"]["tech_stack"], &project["project"]["description"]], [odd, odd]);
}
