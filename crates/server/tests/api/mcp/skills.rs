//! The tenant's skills as files, and what came of them.

use std::collections::HashSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{NEW, OLD, ask, refused, result};
use crate::support::{Caller, Reach, Tenant, bring, text};

async fn skill(tenant: &Tenant, body: Value) -> Value {
    tenant.user.post("/skills", body).await.expect(201)
}

async fn listed(caller: &Caller) -> Vec<Value> {
    result(caller, "skills/list", json!({})).await["skills"].as_array().unwrap().clone()
}

async fn file(caller: &Caller, uri: &Value) -> String {
    let read = result(caller, "resources/read", json!({"uri": uri})).await;
    let [contents] = read["contents"].as_array().unwrap().as_slice() else { panic!("{read}") };
    assert_eq!((&contents["uri"], &contents["mimeType"]), (uri, &json!("text/markdown")));
    text(&contents["text"])
}

/// That a file is what its entry says.
fn check(entry: &Value, file: &str) {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(file)));
    let manifest = json!([{"uri": entry["uri"], "digest": digest, "size": file.len()}]);
    assert_eq!(entry["resources"], manifest, "{file}");
}

#[tokio::test]
async fn what_is_no_skill_of_this_tenant() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let agent = tenant.agent().await;
    let known = skill(&tenant, json!({"name": "a:b", "prompt_text": "p"})).await;
    skill(&other, json!({"name": "theirs", "prompt_text": "secret"})).await;
    let theirs = listed(&other.agent().await).await[0]["uri"].clone();
    let own = listed(&agent).await;
    assert_eq!(own.len(), 1, "{own:#?}");
    let uri = text(&own[0]["uri"]);
    let id = text(&known["skill"]["id"]);
    for wrong in [
        text(&theirs),
        uri.replace("a-b", "a:b"),
        uri.replace("a-b", "x"),
        uri.replace("a-b/", "a-b/../a-b/"),
        uri.to_uppercase(),
        format!("skill://{}/a-b/SKILL.md", "0190f5ad-0000-7000-8000-000000000000"),
        format!("skill://{id}%2f..%2f/a-b/SKILL.md"),
        "skill:///SKILL.md".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        let uri = json!({"uri": wrong});
        for (revision, not_found) in [(NEW, -32602), (OLD, -32002)] {
            assert_eq!(
                refused(&agent, "//mcp", revision, "skills/get", uri.clone()).await,
                -32602,
                "{wrong}"
            );
            assert_eq!(
                refused(&agent, "//mcp", revision, "resources/read", uri.clone()).await,
                not_found,
                "{wrong}"
            );
        }
    }
    for cursor in ["", "0", "1", "-2", "two", "2&page=3"] {
        for method in ["skills/list", "resources/list"] {
            assert_eq!(
                refused(&agent, "//mcp", NEW, method, json!({"cursor": cursor})).await,
                -32602,
                "{cursor}"
            );
        }
    }
    // Laid aside, it is there no longer.
    tenant.user.delete(&format!("/skills/{id}")).await.expect(200);
    assert_eq!(listed(&agent).await, [] as [Value; 0]);
    assert_eq!(refused(&agent, "//mcp", NEW, "skills/get", json!({"uri": uri})).await, -32602);
    assert_eq!(refused(&agent, "//mcp", OLD, "resources/read", json!({"uri": uri})).await, -32002);
}

#[tokio::test]
async fn whoever_asks_for_all_tools_has_no_skills() {
    let tenant = Tenant::new().await;
    skill(&tenant, json!({"name": "a", "prompt_text": "p"})).await;
    let orchestrator = tenant.orchestrator().await;
    let uri = listed(&orchestrator).await[0]["uri"].clone();
    let all = "//mcp?tools=all";
    for (method, params) in [
        ("skills/list", json!({})),
        ("skills/get", json!({"uri": uri})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": uri})),
    ] {
        for revision in [OLD, NEW] {
            assert_eq!(
                refused(&orchestrator, all, revision, method, params.clone()).await,
                -32601,
                "{method}"
            );
        }
    }
    let hello =
        json!({"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let told = ask(&orchestrator, all, OLD, "initialize", hello.clone()).await;
    assert_eq!(told["result"]["capabilities"], json!({"tools": {}}));
    let told = ask(&orchestrator, "//mcp", OLD, "initialize", hello).await;
    let as_role = json!({"extensions": {"io.modelcontextprotocol/skills": {}}, "resources": {}, "tools": {}});
    assert_eq!(told["result"]["capabilities"], as_role);
    let told = result(&orchestrator, "server/discover", json!({})).await;
    assert_eq!(told["capabilities"], as_role);
}

#[tokio::test]
async fn skills_are_files() {
    let tenant = Tenant::new().await;
    let (agent, project) = (tenant.agent().await, tenant.project().await);
    let prompt = "---\nname: other\n---\r\n# Review\t…\u{2028}\n";
    let of_tenant = skill(
        &tenant,
        json!({"name": "loopctl:review", "description": "Look: \"twice\"\n---\n\u{85}# no", "prompt_text": prompt}),
    )
    .await;
    skill(&tenant, json!({"name": "loopctl:review", "prompt_text": "q", "project_id": project})).await;
    skill(&tenant, json!({"name": "?", "prompt_text": "r"})).await;

    let entries = listed(&agent).await;
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        let file = file(&agent, &entry["uri"]).await;
        check(entry, &file);
        let got = result(&agent, "skills/get", json!({"uri": entry["uri"]})).await;
        assert_eq!(got["skill"], *entry);
        assert_eq!((&got["ttlMs"], &got["cacheScope"]), (&json!(60_000), &json!("private")));
    }
    let id = text(&of_tenant["skill"]["id"]);
    let entry = entries.iter().find(|entry| text(&entry["uri"]).contains(&id)).unwrap();
    let version = &of_tenant["version"]["id"];
    assert_eq!(
        entry["frontmatter"],
        json!({"name": "loopctl-review", "description": "Look: \"twice\"\n---\n\u{85}# no",
               "metadata": {"loopctl_name": "loopctl:review", "version": "1", "skill_version_id": version}})
    );
    assert_eq!(
        file(&agent, &entry["uri"]).await,
        format!(
            "---\nname: \"loopctl-review\"\ndescription: \"Look: \\\"twice\\\"\\n---\\n\\u0085# no\"\nmetadata:\n  loopctl_name: \
             \"loopctl:review\"\n  version: \"1\"\n  skill_version_id: {version}\n---\n\n{prompt}"
        )
    );
    let of_project: Vec<_> =
        entries.iter().map(|entry| &entry["frontmatter"]["metadata"]["project_id"]).collect();
    assert_eq!(of_project.iter().filter(|of| ***of == json!(project)).count(), 1);
    let nameless =
        entries.iter().find(|entry| entry["frontmatter"]["metadata"]["loopctl_name"] == "?").unwrap();
    assert_eq!(nameless["frontmatter"]["description"], "The skill ? of loopctl, version 1.");

    let resources = result(&agent, "resources/list", json!({})).await["resources"].clone();
    let uris = |all: &[Value]| all.iter().map(|one| text(&one["uri"])).collect::<HashSet<_>>();
    assert_eq!(uris(resources.as_array().unwrap()), uris(&entries));
    let resource = resources.as_array().unwrap().iter().find(|one| one["uri"] == entry["uri"]).unwrap();
    assert_eq!(
        *resource,
        json!({"uri": entry["uri"], "name": "loopctl-review", "title": "loopctl:review", "mimeType": "text/markdown",
               "description": "Look: \"twice\"\n---\n\u{85}# no"})
    );

    // A new version is another file at the same address, and so is another description.
    for (method, path, body) in [
        (reqwest::Method::POST, format!("/skills/{id}/versions"), json!({"prompt_text": "better"})),
        (reqwest::Method::PATCH, format!("/skills/{id}"), json!({"description": "other"})),
    ] {
        let before = result(&agent, "skills/get", json!({"uri": entry["uri"]})).await["skill"].clone();
        let changed = tenant.user.send(tenant.user.request(method, &path).json(&body)).await;
        assert!(changed.status < 300, "{:#}", changed.body);
        let now = result(&agent, "skills/get", json!({"uri": entry["uri"]})).await["skill"].clone();
        assert_ne!(now["resources"][0]["digest"], before["resources"][0]["digest"]);
        let file = file(&agent, &entry["uri"]).await;
        check(&now, &file);
        assert!(file.ends_with("\n---\n\nbetter"), "{file}");
    }
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let tenant = Tenant::new().await;
    let skills: Vec<_> =
        (0..101).map(|at| json!({"name": format!("skill {at}"), "prompt_text": "p"})).collect();
    tenant.user.post("/skills/import", json!({"skills": skills})).await.expect(200);
    let agent = tenant.agent().await;
    for (method, of, sizes) in
        [("skills/list", "skills", &[50, 50, 1][..]), ("resources/list", "resources", &[100, 1])]
    {
        let (mut seen, mut cursor) = (HashSet::new(), None);
        for (at, size) in sizes.iter().enumerate() {
            let params = cursor.take().map_or(json!({}), |cursor| json!({"cursor": cursor}));
            let page = result(&agent, method, params).await;
            let all = page[of].as_array().unwrap();
            assert_eq!(all.len(), *size, "{method}");
            seen.extend(all.iter().map(|one| text(&one["uri"])));
            cursor = page.get("nextCursor").cloned();
            assert_eq!(cursor.is_some(), at + 1 < sizes.len(), "{method}");
        }
        assert_eq!(seen.len(), 101, "{method}");
    }
}

#[tokio::test]
async fn results_flow_back() {
    let tenant = Tenant::new().await;
    let (implementer, reviewer) = (tenant.agent().await, tenant.agent().await);
    let orchestrator = tenant.orchestrator().await;
    skill(&tenant, json!({"name": "review", "prompt_text": "p"})).await;
    let version = listed(&implementer).await[0]["frontmatter"]["metadata"]["skill_version_id"].clone();
    let story = tenant.story().await;
    let call = async |caller: &Caller, name: &str, arguments: Value, meta: Value| {
        let told =
            result(caller, "tools/call", json!({"name": name, "arguments": arguments, "_meta": meta})).await;
        (told["isError"] == true, told["structuredContent"].clone())
    };
    let listed = result(&orchestrator, "tools/list", json!({})).await;
    let tools: Vec<_> = listed["tools"].as_array().unwrap().iter().map(|tool| text(&tool["name"])).collect();
    assert!(tools.contains(&"report_skill_result".to_owned()), "{tools:?}");

    let named = json!({"skill_version_id": version, "story_id": story});
    let (is_error, told) = call(&orchestrator, "report_skill_result", named.clone(), json!({})).await;
    assert!(is_error && text(&told["error"]["message"]).contains("verify_story"), "{told:#}");
    bring(&story, Reach::Verified, &implementer, &reviewer, &orchestrator).await;
    let (is_error, told) = call(&reviewer, "report_skill_result", named.clone(), json!({})).await;
    assert!(is_error, "who reviewed does not say what came of it: {told:#}");

    let mut sent = named.clone();
    sent["metrics"] = json!({"findings_count": 2});
    let (is_error, told) = call(&orchestrator, "report_skill_result", sent, json!({})).await;
    assert!(!is_error, "{told:#}");
    let newest = orchestrator.get(&format!("/stories/{story}/verifications")).await.expect(200);
    assert_eq!(told["skill_result"]["verification_result_id"], newest["data"][0]["id"]);
    // The host may name the version in place of the model.
    let meta = json!({"loopctl/skill_version_id": version});
    let by_number = json!({"story_id": "1.1"});
    let (is_error, told) = call(&orchestrator, "report_skill_result", by_number, meta.clone()).await;
    assert!(!is_error, "{told:#}");
    let id = text(&tenant.user.get("/skills").await.expect(200)["data"][0]["id"]);
    let results = tenant.user.get(&format!("/skills/{id}/versions/1/results")).await.expect(200);
    let metrics: Vec<_> = results["data"].as_array().unwrap().iter().map(|one| &one["metrics"]).collect();
    assert_eq!(metrics, [&json!({}), &json!({"findings_count": 2})]);

    let used = json!({"story_id": story, "input_tokens": 5, "output_tokens": 1, "model_name": "m", "cost_millicents": 7});
    let mut named = used.clone();
    named["skill_version_id"] = version;
    let (is_error, told) = call(&implementer, "report_token_usage", used.clone(), meta.clone()).await;
    assert!(!is_error, "{told:#}");
    let (is_error, told) = call(&implementer, "report_token_usage", named, json!({})).await;
    assert!(!is_error, "{told:#}");
    // What a model says itself goes before what its host says.
    let mut other = used;
    other["skill_version_id"] = json!("0190f5ad-0000-7000-8000-000000000000");
    let (is_error, told) = call(&implementer, "report_token_usage", other, meta.clone()).await;
    assert!(is_error, "{told:#}");
    // And a tool that takes no version is sent none.
    let (is_error, told) = call(&implementer, "get_story", json!({"story_id": story}), meta).await;
    assert!(!is_error, "{told:#}");
    let cost = tenant.user.get(&format!("/skills/{id}/cost-performance")).await.expect(200);
    assert_eq!(cost["data"][0]["total_invocations"], 2);
}
