//! What happened: `changes`, `audit`, and who is told of it.

use serde_json::{Value, json};

use super::refused;
use super::running::Running;
use super::team::Team;
use crate::support::PATIENCE;

fn rows(list: &Value) -> &Vec<Value> {
    list["data"].as_array().unwrap()
}

fn ids(list: &Value) -> Vec<&str> {
    rows(list).iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[test]
fn changes_of_a_project_are_its_own() {
    let team = Team::staffed();
    let (shop, bank) = (team.project("shop", &["1.1", "1.2"]), team.project("bank", &["1.1"]));
    team.report(&shop, "1.1");
    team.report(&bank, "1.1");
    let since = "--since 1h";
    let all = team.run("lead", &format!("changes {since}")).json();
    let of = |project: &str| rows(&all).iter().filter(|row| row["project_id"] == project).count();
    assert!(of(&shop) > 4 && of(&bank) > 4 && rows(&all).len() > of(&shop) + of(&bank), "{all}");
    let of_shop = team.run("lead", &format!("changes --project shop {since}")).json();
    assert!(rows(&of_shop).iter().all(|row| row["project_id"] == shop.as_str()), "{of_shop}");
    assert_eq!(rows(&of_shop).len(), of(&shop));

    // Page by page, each once.
    let first = team.run("lead", &format!("changes {since} --limit 3")).json();
    assert_eq!((rows(&first).len(), &first["has_more"]), (3, &json!(true)));
    let paged = team.run("lead", &format!("changes {since} --limit 3 --all")).json();
    assert_eq!(ids(&paged), ids(&all));
    let last = all["cursor"].as_str().unwrap();
    assert_eq!(rows(&team.run("lead", &format!("changes --since {last}")).json()).len(), 0);
    refused(&team.run("lead", "changes --since never"), 2, "Invalid time 'never' for --since. Valid: ");
}

#[test]
fn changes_are_followed_as_they_happen() {
    let team = Team::staffed();
    let (shop, bank) = (team.project("shop", &["1.1"]), team.project("bank", &["1.1"]));
    let of_shop = team.run("lead", "changes --project shop --since 1h").json();
    let (before, newest) = {
        let [.., before, newest] = rows(&of_shop).as_slice() else { panic!("two changes: {of_shop}") };
        (before["inserted_at"].as_str().unwrap(), newest)
    };
    let words = format!("changes --project shop --since {before} --follow");
    let mut following = Running::of(&mut team.command("lead", &words));
    let lines = following.lines_of_stdout();
    let next = || serde_json::from_str::<Value>(&lines.recv_timeout(PATIENCE).unwrap()).unwrap();
    // What was there says that it listens; what comes now comes from the stream.
    assert_eq!(next()["id"], newest["id"]);
    team.implement(&bank, "1.1");
    let story = team.implement(&shop, "1.1");
    for status in ["contracted", "assigned", "implementing"] {
        let change = next();
        assert_eq!(
            (&change["entity_id"], &change["new_state"]["agent_status"]),
            (&json!(story), &json!(status)),
            "{change}"
        );
    }
    assert!(following.goes_on(), "it goes on");
}

#[test]
fn the_log_is_read_from_a_time_on() {
    let team = Team::staffed();
    let (shop, bank) = (team.project("shop", &["1.1"]), team.project("bank", &["1.1"]));
    let story = team.report(&shop, "1.1");
    team.report(&bank, "1.1");
    let all = team.run("user", "audit --project shop --page-size 100").json();
    assert!(rows(&all).iter().all(|row| row["project_id"] == shop.as_str()), "{all}");
    // Newest first.
    let middle = rows(&all)[2]["inserted_at"].as_str().unwrap().to_owned();
    let since = team.run("user", &format!("audit --project shop --since {middle}")).json();
    let later: Vec<&str> = rows(&all)
        .iter()
        .filter(|row| row["inserted_at"].as_str() >= Some(&middle))
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert!(later.len() >= 3 && later.len() < rows(&all).len());
    assert_eq!(ids(&since), later);
    let until = team.run("user", &format!("audit --project shop --until {middle} --page-size 100")).json();
    assert!(rows(&until).iter().all(|row| row["inserted_at"].as_str() <= Some(&middle)), "{until}");
    // Days are read as well.
    let count = |words: &str| rows(&team.run("user", words).json()).len();
    assert_eq!(count("audit --project shop --since 2001-03-01 --page-size 100"), rows(&all).len());
    assert_eq!(count("audit --project shop --since 2999-03-01"), 0);
    assert_eq!(count("audit --project shop --until 2001-03-01"), 0);
    let of_story = team.run("user", &format!("audit --entity {story} --action status_changed")).json();
    assert!(rows(&of_story).iter().all(|row| row["entity_id"] == story.as_str()), "{of_story}");
    assert!(rows(&of_story).len() >= 3);
}

#[test]
fn a_webhook_is_made_tried_and_removed() {
    let team = Team::new();
    let words = "webhook create --url https://hooks.invalid/loopctl --events story.verified,story.rejected";
    let made = team.run("user", words);
    assert!(made.stderr.contains("Warning: save the signing secret now."), "{made:?}");
    let made = made.json();
    let (id, secret) = (made["webhook"]["id"].as_str().unwrap(), made["webhook"]["signing_secret"].as_str());
    let secret = secret.unwrap();
    let kept = team.get(&format!("/webhooks/{id}"))["webhook"].clone();
    assert_eq!(kept["events"], json!(["story.verified", "story.rejected"]));
    for words in ["webhook list".to_owned(), format!("webhook show {id}")] {
        let shown = team.run("user", &words);
        assert!(shown.code == 0 && shown.stdout.contains(id), "{shown:?}");
        assert!(!format!("{shown:?}").contains(secret), "shown once: {words}");
    }
    refused(&team.run("user", "webhook create --url ftp://x --events story.verified"), 7, "url: must use");
    let unknown = team.run("user", "webhook create --url https://hooks.invalid/ --events story.eaten");
    refused(&unknown, 7, "story.eaten");
    assert_eq!(team.rows("/webhooks").len(), 1);

    let tried = team.run("user", &format!("webhook test {id}"));
    tried.success();
    assert!(tried.stdout.contains("pending"), "{tried:?}");
    assert_eq!(team.rows(&format!("/webhooks/{id}/deliveries")).len(), 1);
    let deleted = team.run("user", &format!("webhook delete {id} --format human"));
    assert_eq!((deleted.code, deleted.stdout), (0, format!("Webhook {id} deleted\n")));
    assert_eq!(team.rows("/webhooks").len(), 0);
    refused(&team.run("user", &format!("webhook delete {id}")), 5, "Server returned 404");
}
