//! Whose business what is: agents, users, superadmins, and tenants that are looked into.

use serde_json::json;

use super::refused;
use super::team::Team;

#[test]
fn an_agent_does_not_see_keys() {
    let team = Team::staffed();
    for words in ["keys list", "keys list --format human", "keys create --name b --role user"] {
        let run = team.run("alice", words);
        refused(&run, 4, "Server returned 403");
        assert!(
            run.stderr.contains("  hint: `loopctl auth status` shows which key is used, and its role"),
            "{run:?}"
        );
    }
    team.run("user", "keys list").success();
}

#[test]
fn what_there_is_over_all_tenants_is_a_superadmins_business() {
    let team = Team::staffed().with_root();
    let told = team.run("root", "admin stats").json();
    assert!(told["stats"]["total_tenants"].as_u64().is_some_and(|tenants| tenants >= 1), "{told}");
    assert_eq!(
        team.run("root", &format!("admin tenant {}", team.slug)).json()["tenant"]["id"],
        team.id.as_str()
    );
    for who in ["user", "lead", "alice"] {
        for words in ["admin stats", "admin tenants", "admin audit"] {
            refused(&team.run(who, words), 4, "Server returned 403");
        }
    }
    // And a superadmin is of no tenant.
    refused(&team.run("root", "project list"), 7, "X-Impersonate-Tenant");
}

#[test]
fn a_superadmin_works_inside_a_tenant() {
    let (team, other) = (Team::staffed().with_root(), Team::new());
    let project = team.project("my-app", &["1.1"]);
    other.project("elsewhere", &[]);
    let inside = |words: &str| team.run("root", &format!("admin impersonate {} {words}", team.slug));
    let listed = inside("-- project list").json();
    let slugs: Vec<_> = listed["data"].as_array().unwrap().iter().map(|row| &row["slug"]).collect();
    assert_eq!(slugs, ["my-app"]);
    let words = format!("admin impersonate {} get /api/v1/tenants/me", other.id);
    assert_eq!(team.run("root", &words).json()["tenant"]["slug"], other.slug.as_str());
    inside(r#"post /projects {"name":"Second","slug":"second"}"#).success();
    assert_eq!(team.rows("/projects").len(), 2);
    inside("--as user -- epic create --number 2 --title Two --project my-app").success();
    let told = team.rows(&format!("/audit?project_id={project}&entity_type=epic&action=created"));
    let label = format!("superadmin:impersonating:{}", team.slug);
    assert_eq!(told[0]["actor_label"], label.as_str(), "{told:?}");

    for words in ["", "--as user", "get"] {
        let run = inside(words);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert!(
            run.stderr.contains("loopctl admin impersonate <tenant_id> get|post <path> [json_body]"),
            "{run:?}"
        );
    }
    refused(
        &team.run("root", "admin impersonate of-nobody -- project list"),
        5,
        "Tenant of-nobody not found",
    );
    // Nobody else looks into another tenant, by whatever name.
    refused(
        &team.run("user", &format!("admin impersonate {} -- project list", other.slug)),
        4,
        "Server returned 403",
    );
    refused(
        &team.run("user", &format!("admin impersonate {} -- project create --slug third Third", other.id)),
        4,
        "Server returned 403",
    );
    assert_eq!(team.get("/projects")["meta"]["total_count"], json!(2));
}

#[test]
fn a_tenant_is_not_made_over_the_network() {
    let team = Team::new();
    let told = team.run("user", "tenant register --name Other --email other@accepts.test");
    refused(&told, 2, "WebAuthn enrollment");
    assert!(told.stderr.contains(&format!("Visit {}/signup.", team.server.base())), "{told:?}");
    assert!(team.run_unset("tenant register").stderr.contains("Visit https://loopctl.com/signup."));
}
