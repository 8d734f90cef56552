//! A disk that is full.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, Scratch, call, run_on};

/// Room for a cluster and its log of changes, and not for much else.
const SIZE: &str = "size=160m";

/// A small disk of its own, in memory.
struct Disk(PathBuf);

impl Disk {
    /// None where nobody may make one.
    fn new(dir: &Path) -> Option<Self> {
        fs::create_dir_all(dir).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(dir).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir.to_path_buf()))
    }

    /// Takes all the room that there is; gives what to remove to have it back.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let file = File::create(&path).unwrap();
        let mut size = 1_u64 << 28;
        let mut offset = 0;
        while size >= 1 << 12 {
            match nix::fcntl::posix_fallocate(&file, offset.try_into().unwrap(), size.try_into().unwrap()) {
                Ok(()) => offset += size,
                Err(_) => size /= 2,
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_reading_goes_on() {
    let scratch = Scratch::new();
    let Some(disk) = Disk::new(scratch.path()) else {
        println!("only root can make a small disk");
        return;
    };
    let dir = disk.0.join("data");
    let command = "operator tenant create --name Acme --slug acme --email ops@acme.test";
    let key = run_on(&dir, command).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let server = Daemon::start(&dir);
    let base = &server.base;
    let api = async |method: &str, path: &str, body: Option<&Value>| {
        call(method, &format!("{base}/api/v1{path}"), Some(&key), body).await.unwrap()
    };
    let health = async || call("GET", &format!("{base}/health"), None, None).await.unwrap();
    let project = json!({"name": "p", "slug": "pp"});
    let (_, project) = api("POST", "/projects", Some(&project)).await;
    let path = format!("/projects/{}", project["project"]["id"].as_str().unwrap());
    let epic = json!({"number": 1, "title": "e"});
    let (_, epic) = api("POST", &format!("{path}/epics"), Some(&epic)).await;
    let stories = format!("/epics/{}/stories", epic["epic"]["id"].as_str().unwrap());
    let (_, story) = api("POST", &stories, Some(&json!({"number": "1.1", "title": "s"}))).await;
    let story = format!("/stories/{}", story["story"]["id"].as_str().unwrap());

    let filler = disk.fill();
    // A few writes may still find room in what PostgreSQL has already.
    let refused = async {
        for round in 0.. {
            let words: String =
                (0..15_000).map(|n| format!("{:x} ", (n + round * 7919) * 2_654_435_761_u64)).collect();
            let body = json!({"acceptance_criteria": [{"words": words}]});
            let (status, answer) = api("PATCH", &story, Some(&body)).await;
            if status != 200 {
                return (status, answer);
            }
        }
        unreachable!("the disk is never full")
    };
    let (status, answer) = refused.await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("storage_unavailable")), "{answer}");
    let (status, answer) = health().await;
    assert_eq!((status, &answer["checks"]["database"]), (503, &json!("read_only")), "{answer}");
    assert_eq!(api("GET", &path, None).await.0, 200);

    fs::remove_file(filler).unwrap();
    let (status, answer) = health().await;
    assert_eq!((status, &answer["status"]), (200, &json!("ok")), "{answer}");
    let (status, answer) = api("PATCH", &path, Some(&json!({"name": "room again"}))).await;
    assert_eq!((status, &answer["project"]["name"]), (200, &json!("room again")), "{answer}");
    server.stop();
}
