//! `loopctl watch` as somebody sees it who sits at a terminal: it opens, follows what happens, and gives the terminal back, while the
//! server comes and goes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Daemon, Scratch, call, command, run_on};
use crate::terminal::Terminal;

const TENANT: &str = "operator tenant create --name Acme --slug acme --email ops@acme.test";

/// A tenant with a plan of two stories, and those who work on it.
struct World {
    base: String,
    user: String,
    alice: String,
    bob: String,
    first: String,
}

async fn post(base: &str, key: &str, path: &str, body: Value) -> Value {
    let (status, answer) =
        call("POST", &format!("{base}/api/v1{path}"), Some(key), Some(&body)).await.unwrap();
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    answer
}

impl World {
    async fn new(server: &Daemon, dir: &Scratch) -> Self {
        let created = run_on(dir.path(), TENANT).json();
        let user = created["api_key"]["raw_key"].as_str().unwrap().to_owned();
        let base = server.base.clone();
        let mut keys = Vec::new();
        for name in ["alice", "bob"] {
            let key = post(&base, &user, "/api_keys", json!({"name": name, "role": "agent"})).await;
            let key = key["api_key"]["raw_key"].as_str().unwrap().to_owned();
            post(&base, &key, "/agents/register", json!({"name": name, "agent_type": "implementer"})).await;
            keys.push(key);
        }
        let project = post(&base, &user, "/projects", json!({"name": "My App", "slug": "my-app"})).await;
        let project = project["project"]["id"].as_str().unwrap().to_owned();
        let plan = json!({"epics": [{"number": 1, "title": "Users", "stories": [
            {"number": "1.1", "title": "Log in", "acceptance_criteria": [{"criterion": "A valid password works"}]},
            {"number": "1.2", "title": "Log out", "acceptance_criteria": [{"criterion": "It ends"}]}]}],
            "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}]});
        post(&base, &user, &format!("/projects/{project}/import"), plan).await;
        let path = format!("{base}/api/v1/stories?project_id={project}");
        let (_, stories) = call("GET", &path, Some(&user), None).await.unwrap();
        let first = stories["data"][0]["id"].as_str().unwrap().to_owned();
        let [alice, bob] = keys.try_into().unwrap();
        Self { base, user, alice, bob, first }
    }

    async fn step(&self, key: &str, step: &str, body: Value) {
        post(&self.base, key, &format!("/stories/{}/{step}", self.first), body).await;
    }

    fn watch(&self, size: (u16, u16)) -> Terminal {
        let environment = [
            ("LOOPCTL_SERVER", self.base.as_str()),
            ("LOOPCTL_API_KEY", self.user.as_str()),
            ("HOME", "/nonexistent"),
            ("LANG", "C.UTF-8"),
        ];
        Terminal::run(command("watch --project my-app", &environment), size)
    }
}

#[tokio::test]
async fn somebody_watches_a_story_while_the_server_comes_and_goes() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let world = World::new(&server, &dir).await;
    let mut terminal = world.watch((80, 24));
    let shown = terminal.see("1.1 Log in");
    assert!(shown.contains("Acme / my-app") && shown.contains("1 wait for it"), "{shown}");

    // What happens is seen, who has it, and since when.
    world.step(&world.alice, "contract", json!({"story_title": "Log in", "ac_count": 1})).await;
    world.step(&world.alice, "claim", json!({})).await;
    world.step(&world.alice, "start", json!({})).await;
    let shown = terminal.wait("holder", |text| text.contains("Held 1") && text.contains("in work 1"));
    assert!(shown.contains("alice"), "{shown}");
    world.step(&world.alice, "request-review", json!({})).await;
    terminal.see("to report");
    world.step(&world.bob, "report", json!({})).await;
    terminal.see("to review");

    // Filtered, and not any more.
    terminal.press("/log out\r");
    terminal.wait("filter", |text| text.contains("filter: log out") && !text.contains("1.1 Log in"));
    terminal.press("\u{1b}");
    terminal.see("to review");

    // Opened, with what it asks for and what was done.
    terminal.press("\r");
    let shown = terminal.see("A valid password works");
    assert!(shown.contains("Is waited for by 1") && shown.contains("Log out"), "{shown}");
    terminal.press("G");
    terminal.see("contracted");
    terminal.resize((140, 40));
    terminal.see("History 6, newest first");
    terminal.press("\u{1b}");
    terminal.see("Latest");
    terminal.resize((70, 20));
    terminal.see("The board needs 80x24; this is 70x20.");
    terminal.resize((100, 30));
    terminal.see("Needs somebody 1");

    // The server goes, comes back, and what has happened since is there.
    server.stop();
    terminal.see("reconnecting, as of");
    let server = Daemon::start_at(&world.base, dir.path());
    let body = json!({"review_type": "code", "findings_count": 0, "fixes_count": 0});
    world.step(&world.bob, "review-complete", body).await;
    let shown = terminal.wait("end of the absence", |text| {
        text.contains("to verify")
            && text.lines().next().is_some_and(|line| line.trim_end().ends_with("live"))
    });
    assert!(shown.contains("review completed"), "{shown}");

    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0));
    assert!(!terminal.text().contains("Needs somebody"), "{}", terminal.text());

    // Whoever ends it from elsewhere finds the terminal as it was, too.
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut terminal = world.watch((80, 24));
        terminal.see("to verify");
        assert!(!terminal.is_restored());
        kill(Pid::from_raw(terminal.pid()), signal).unwrap();
        assert_eq!(terminal.end().code(), Some(0), "{signal}");
    }
    server.stop();
}

/// A story that is made and begun within a moment is on the board with all that is known of it, as any other.
#[tokio::test]
async fn a_story_that_is_begun_as_soon_as_it_is_there_has_a_holder() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let mut world = World::new(&server, &dir).await;
    let mut terminal = world.watch((100, 30));
    terminal.wait("board", |text| text.contains("1.1 Log in") && text.contains("live"));
    let path = format!("{}/api/v1/projects?slug=my-app", world.base);
    let (_, projects) = call("GET", &path, Some(&world.user), None).await.unwrap();
    let epics = format!("/projects/{}/epics", projects["data"][0]["id"].as_str().unwrap());
    let epic = post(&world.base, &world.user, &epics, json!({"number": 9, "title": "Late"})).await;
    let stories = format!("/epics/{}/stories", epic["epic"]["id"].as_str().unwrap());
    for number in 1..=3 {
        let body = json!({"number": format!("9.{number}"), "title": format!("Late {number}")});
        let story = post(&world.base, &world.user, &stories, body).await;
        world.first = story["story"]["id"].as_str().unwrap().to_owned();
        let echo = json!({"story_title": format!("Late {number}"), "ac_count": 0});
        for (step, body) in [("contract", echo), ("claim", json!({})), ("start", json!({}))] {
            world.step(&world.alice, step, body).await;
        }
        world.step(&world.alice, "request-review", json!({})).await;
    }
    terminal.wait("stories with all that is known", |text| {
        text.contains("Needs somebody 4") && text.matches("to report").count() == 3
    });
    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0));
    server.stop();
}
