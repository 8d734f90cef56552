//! What a request may cost in memory: the text of a document, a few times over, and no tree of it but for messages to tools.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Daemon, Scratch, call, run_on};

const MIB: usize = 1 << 20;

/// What a request may take up: the server's own buffers, and its text as it was sent, in the change, in the event, and in
/// what is on its way to the database, whose buffers grow by doubling.
fn allowance(sent: usize) -> usize {
    32 * MIB + 8 * sent
}

/// A line of the process's status, in bytes.
fn status(pid: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
}

/// So many bytes of the smallest objects there are: as a tree of values they took up a hundred times as much.
fn crowd(bytes: usize) -> String {
    format!("[{}]", vec![r#"{"":0}"#; bytes / 7].join(","))
}

struct Scene {
    server: Daemon,
    key: String,
    story: String,
    project: String,
}

impl Scene {
    async fn new(dir: &Path) -> Self {
        let created = run_on(dir, "operator tenant create --name A --slug acme --email a@acme.test").json();
        let key = created["api_key"]["raw_key"].as_str().unwrap().to_owned();
        let mut scene =
            Self { server: Daemon::start(dir), key, story: String::new(), project: String::new() };
        let project = scene.done("POST", "/projects", json!({"name": "p", "slug": "pp"})).await;
        scene.project = project["project"]["id"].as_str().unwrap().to_owned();
        let plan =
            json!({"epics": [{"number": 1, "title": "e", "stories": [{"number": "1.1", "title": "s"}]}]});
        scene.done("POST", &format!("/projects/{}/import", scene.project), plan).await;
        let list = scene.done("GET", &format!("/stories?project_id={}", scene.project), json!({})).await;
        scene.story = list["data"][0]["id"].as_str().unwrap().to_owned();
        scene
    }

    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/api/v1{path}", self.server.base);
        let (status, answer) = call(method, &url, Some(&self.key), Some(&body)).await.unwrap();
        assert!(status < 300, "{method} {path}: {status} {answer:#}");
        answer
    }

    /// Sends a body as it is; the status, and how much more memory the server had at its peak than before.
    async fn cost(&self, method: &str, path: &str, body: String) -> (u16, usize) {
        let pid = self.server.pid();
        let before = status(pid, "VmRSS:");
        // Sets the peak back to what is in use now.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let url = match path.strip_prefix("//") {
            Some(path) => format!("{}/{path}", self.server.base),
            None => format!("{}/api/v1{path}", self.server.base),
        };
        // Unoptimized and beside other tests, a server takes its time with ten megabytes.
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let request = client.request(method.parse().unwrap(), url).bearer_auth(&self.key);
        let request = request.header("content-type", "application/json").body(body);
        let request = request.header("accept", "application/json, text/event-stream");
        let answer = request.send().await.unwrap();
        let answered = answer.status().as_u16();
        drop(answer.bytes().await.unwrap());
        (answered, status(pid, "VmHWM:").saturating_sub(before))
    }
}

#[tokio::test]
async fn no_request_takes_a_hundred_times_its_size() {
    let dir = Scratch::new();
    let scene = Scene::new(dir.path()).await;
    let (story, project) = (&scene.story, &scene.project);
    let (most, many) = (2 * MIB - 1000, 10 * MIB - 1000);
    // What is written takes an unoptimized server its time.
    let written = 4 * MIB;
    // As many as it takes, each with as much metadata as it may have.
    let stories = |bytes: usize| {
        let metadata = crowd(65_000);
        let stories = (1..=bytes / metadata.len())
            .map(|minor| format!(r#"{{"number":"1.{minor}","title":"s","metadata":{{"a":{metadata}}}}}"#));
        format!(r#"{{"epics":[{{"number":1,"stories":[{}]}}]}}"#, Vec::from_iter(stories).join(","))
    };
    let call = |method: &str, what: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"a":{what}}}}}"#)
    };
    let points = |count: usize| {
        let points = vec!["{}"; count].join(",");
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"exponentialHistogram":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
        )
    };
    for (method, path, body, expected) in [
        ("PATCH", format!("/stories/{story}"), format!(r#"{{"metadata":{{"a":{}}}}}"#, crowd(65_000)), 200),
        ("PATCH", format!("/stories/{story}"), format!(r#"{{"metadata":{{"a":{}}}}}"#, crowd(most)), 422),
        ("GET", format!("/stories/{story}"), String::new(), 200),
        ("PATCH", format!("/stories/{story}"), format!(r#"{{"acceptance_criteria":{}}}"#, crowd(most)), 422),
        (
            "PATCH",
            format!("/stories/{story}"),
            format!(r#"{{"acceptance_criteria":[{{"x":{}}}]}}"#, crowd(most)),
            422,
        ),
        ("PATCH", format!("/stories/{story}"), format!(r#"{{"unknown":{}}}"#, crowd(most)), 200),
        ("POST", format!("/projects/{project}/import?merge=true"), stories(written), 200),
        ("POST", format!("/projects/{project}/import"), format!(r#"{{"epics":{}}}"#, crowd(many)), 422),
        (
            "POST",
            format!("/projects/{project}/import?merge=true"),
            format!(r#"{{"story_dependencies":{}}}"#, crowd(many)),
            422,
        ),
        ("POST", format!("/projects/{project}/import"), crowd(many), 422),
        // As many as there may be, and more.
        ("POST", "//v1/metrics".to_owned(), points(79_900), 422),
        ("POST", "//v1/metrics".to_owned(), points(4 * MIB / 3 - 100), 413),
        ("POST", "//mcp".to_owned(), call("ping", &crowd(340_000)), 200),
        ("POST", "//mcp".to_owned(), call("ping", &crowd(8 * MIB - 1000)), 400),
        ("POST", "//v1/logs".to_owned(), format!(r#"{{"x":{}}}"#, crowd(many / 3)), 413),
    ] {
        let (sent, what) = (body.len(), format!("{method} {path} with {} bytes", body.len()));
        let (status, peak) = scene.cost(method, &path, body).await;
        println!("{what}: {status}, {} MiB", peak / MIB);
        assert_eq!(status, expected, "{what}");
        // What is made into a tree may have so many values that they take what a tenant may have.
        let most = if path == "//mcp" { 64 * MIB } else { allowance(sent) };
        assert!(peak <= most, "{what}: {} MiB at its peak", peak / MIB);
    }
    scene.server.stop();
}
