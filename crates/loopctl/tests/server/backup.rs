//! The drill: backups under load, and servers that begin again from them.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::support::{Daemon, Scratch, call, call_with, client, command, run, run_on, wait_for};

const TENANT: &str = "operator tenant create --name Acme --slug acme --email ops@acme.test";
const WRITERS: usize = 4;

/// A directory for backups, and for data directories to restore them into.
fn shelf() -> tempfile::TempDir {
    let open = fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(open).tempdir().unwrap()
}

fn key_of(created: &Value) -> String {
    created["api_key"]["raw_key"].as_str().unwrap().to_owned()
}

async fn post(base: &str, key: &str, path: &str, body: &Value) -> Value {
    let (status, answer) =
        call("POST", &format!("{base}/api/v1{path}"), Some(key), Some(body)).await.unwrap();
    assert!(status < 300, "{path}: {status} {answer}");
    answer
}

/// Creates epics until it is told to stop; says after each which it was.
async fn write(epics: String, key: String, writer: usize, stop: Arc<AtomicBool>, done: Arc<Mutex<Vec<u64>>>) {
    let http = client();
    for number in (writer as u64 * 100_000 + 1).. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let body = json!({"number": number, "title": format!("Epic {number}")});
        let (status, answer) = call_with(&http, "POST", &epics, Some(&key), Some(&body)).await.unwrap();
        assert_eq!(status, 201, "{answer}");
        done.lock().unwrap().push(number);
    }
}

async fn numbers(epics: &str, key: &str) -> HashSet<u64> {
    let mut numbers = HashSet::new();
    for page in 1.. {
        let (status, body) =
            call("GET", &format!("{epics}?page={page}&page_size=100"), Some(key), None).await.unwrap();
        assert_eq!(status, 200, "{body}");
        let rows = body["data"].as_array().unwrap();
        numbers.extend(rows.iter().map(|row| row["number"].as_u64().unwrap()));
        if rows.is_empty() {
            break;
        }
    }
    numbers
}

async fn execute(dir: &Path, sql: &str) {
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    owner.batch_execute(sql).await.unwrap();
}

fn words(parts: &[&str]) -> String {
    parts.join(" ")
}

/// Everything that was acknowledged before a backup began is in it, as of one moment, while servers write on. What comes out of it is
/// served, and its secrets can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_before_a_backup_under_load_is_there_after_the_restore() {
    let (dir, shelf) = (Scratch::new(), shelf());
    let server = Daemon::start(dir.path());
    let key = key_of(&run_on(dir.path(), TENANT).json());
    let raise = "update tenants set settings = '{\"rate_limit_requests_per_minute\": 1000000}'";
    execute(dir.path(), raise).await;
    let hook = json!({"url": "https://hooks.example.com/x", "events": ["story.verified"]});
    post(&server.base, &key, "/webhooks", &hook).await;

    let project = post(&server.base, &key, "/projects", &json!({"name": "P", "slug": "pp"})).await;
    let epics =
        |base: &str| format!("{base}/api/v1/projects/{}/epics", project["project"]["id"].as_str().unwrap());
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let spawn = |writer| {
        tokio::spawn(write(epics(&server.base), key.clone(), writer, Arc::clone(&stop), Arc::clone(&done)))
    };
    let writers: Vec<_> = (0..WRITERS).map(spawn).collect();
    wait_for("load", || (done.lock().unwrap().len() > 20).then_some(()));
    let before = done.lock().unwrap().clone();
    let file = shelf.path().join("backup.tar");
    let line = words(&["backup --out", file.to_str().unwrap()]);
    let backup = run_on(dir.path(), &line).json()["backup"].clone();
    let during = done.lock().unwrap().len();
    assert!(during > before.len(), "it was backed up under load");
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(backup["file"], file.to_str().unwrap());
    assert_eq!(
        (&backup["verified"], &backup["different"], &backup["key"]),
        (&json!(true), &json!(0), &json!("included"))
    );
    assert_eq!(
        (&backup["secrets_readable"], &backup["secrets_unreadable"]),
        (&json!(1), &json!(0)),
        "{backup}"
    );
    assert_eq!((&backup["tenants"], &backup["stories"]), (&json!(1), &json!(0)), "{backup}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(backup["bytes"], fs::metadata(&file).unwrap().len());

    // The machine is lost.
    server.signal(Signal::SIGKILL);
    server.wait();
    drop(dir);

    let new = shelf.path().join("new");
    let line = words(&["restore", file.to_str().unwrap()]);
    let restored = run_on(&new, &line);
    assert!(restored.stderr.contains("loopctl serve --data-dir"), "{restored:?}");
    let restored = restored.json()["restore"].clone();
    assert_eq!(
        (&restored["different"], &restored["log_entries"]),
        (&json!(0), &backup["log_entries"]),
        "{restored}"
    );
    assert_eq!(
        (&restored["secrets_readable"], &restored["set_aside"]),
        (&json!(1), &json!(null)),
        "{restored}"
    );
    let server = Daemon::start(&new);
    let there = numbers(&epics(&server.base), &key).await;
    let lost: Vec<_> = before.iter().filter(|number| !there.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // The log has no gap, and goes on.
    post(&server.base, &key, "/projects", &json!({"name": "after", "slug": "after"})).await;
    let check = run_on(&new, "operator check").json()["check"].clone();
    assert_eq!(check["different"], 0, "{check}");
    assert!(check["log_entries"].as_u64() > restored["log_entries"].as_u64(), "{check}");
    let read = run_on(&new, "operator secrets reencrypt --dry-run").json();
    assert_eq!(
        (&read["secrets"]["current"], &read["secrets"]["unreadable"]),
        (&json!(1), &json!(0)),
        "{read}"
    );
    // And once more, of what was restored: the server records things of its own meanwhile.
    let again = run_on(&new, &words(&["backup --out", shelf.path().to_str().unwrap()])).json();
    assert!(again["backup"]["log_entries"].as_u64() >= check["log_entries"].as_u64(), "{again} {check}");
    server.stop();
}

fn only_tar(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    found
}

/// Nothing is replaced, and nothing is deleted, unless somebody says so; without a server it works as well.
#[test]
fn backups_and_restores_take_nothing_away() {
    let (dir, shelf) = (Scratch::new(), shelf());
    let nowhere = run_on(dir.path(), "backup");
    assert!(nowhere.failure(2).contains("there is no loopctl data in"), "{nowhere:?}");
    assert!(!dir.path().exists());
    run_on(dir.path(), TENANT).json();
    let into = words(&["backup --no-verify --out", shelf.path().to_str().unwrap()]);
    let first = run_on(dir.path(), &into).json()["backup"].clone();
    assert_eq!((&first["verified"], &first["key"]), (&json!(false), &json!("none")), "{first}");
    let file = PathBuf::from(first["file"].as_str().unwrap());
    assert_eq!(only_tar(shelf.path()), from_ref(&file));

    let name = file.to_str().unwrap();
    let (line, forced) = (words(&["backup --no-verify --out", name]), words(&["backup --force --out", name]));
    let whole = fs::read(&file).unwrap();
    assert!(run_on(dir.path(), &line).failure(2).contains("is there already"));
    assert_eq!(fs::read(&file).unwrap(), whole);
    assert_eq!(run_on(dir.path(), &forced).json()["backup"]["verified"], true);
    let people = run_on(dir.path(), &words(&["--format human", &forced]));
    let counted = people.stdout.lines().any(|line| line.split_whitespace().eq(["tenants:", "1"]));
    assert!(people.code == 0 && counted, "{people:?}");
    let leftovers: Vec<_> = fs::read_dir(shelf.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(leftovers, from_ref(&file), "nothing else is left");

    // Of what is no backup, or half of one, nothing is made.
    let half = shelf.path().join("half.tar");
    let whole = fs::read(&file).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let damaged = shelf.path().join("damaged.tar");
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let new = shelf.path().join("new");
    for (bad, why) in [(&half, "is not a whole backup"), (&damaged, "is damaged")] {
        let failed = run_on(&new, &words(&["restore", bad.to_str().unwrap()]));
        assert!(failed.failure(1).contains(why), "{failed:?}");
        assert!(!new.join("postgres").exists() && !new.join("restoring").exists());
    }

    // A server has it.
    let server = Daemon::start(dir.path());
    let restore = words(&["restore --force", name]);
    assert!(run_on(dir.path(), &restore).failure(1).contains("already uses"));
    server.stop();
    let refused = run_on(dir.path(), &words(&["restore", name]));
    assert!(refused.failure(2).contains("is not empty"), "{refused:?}");
    // What a server has made since is set aside with the rest.
    assert!(dir.path().join("secrets.key").exists());
    let restored = run_on(dir.path(), &restore).json()["restore"].clone();
    let aside = PathBuf::from(restored["set_aside"].as_str().unwrap());
    assert!(aside.join("postgres/PG_VERSION").exists() && aside.join("secrets.key").exists());
    assert!(!dir.path().join("restoring").exists());
    assert!(!dir.path().join("secrets.key").exists(), "the backup brought none");
    Daemon::start(dir.path()).stop();

    let elsewhere = run("backup", &[("DATABASE_URL", "postgres://app@db/x")]);
    assert!(elsewhere.failure(2).contains("deploy/backup.sh"), "{elsewhere:?}");
}

/// Without its key a backup is worth less, and says so.
#[tokio::test]
async fn a_backup_without_the_key_says_what_is_lacking() {
    let (dir, shelf) = (Scratch::new(), shelf());
    let server = Daemon::start(dir.path());
    let key = key_of(&run_on(dir.path(), TENANT).json());
    let hook = json!({"url": "https://hooks.example.com/x", "events": ["story.verified"]});
    post(&server.base, &key, "/webhooks", &hook).await;
    let file = shelf.path().join("backup.tar");
    let made = run_on(dir.path(), &words(&["backup --without-key --out", file.to_str().unwrap()]));
    assert!(made.stderr.contains("nobody reads the secrets"), "{made:?}");
    let backup = made.json()["backup"].clone();
    assert_eq!((&backup["key"], &backup["secrets_unreadable"]), (&json!("left_out"), &json!(1)), "{backup}");
    let secret = fs::read_to_string(dir.path().join("secrets.key")).unwrap();
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(20).any(|part| part == &secret.as_bytes()[..20]), "the key is in the file");
    server.stop();

    let new = shelf.path().join("new");
    let restored = run_on(&new, &words(&["restore", file.to_str().unwrap()]));
    assert!(restored.stderr.contains("1 secrets cannot be read") && restored.code == 0, "{restored:?}");
    assert!(run_on(&new, "serve --port 0").failure(1).contains("secrets.key is missing"));
    fs::write(new.join("secrets.key"), secret).unwrap();
    let read = run_on(&new, "operator secrets reencrypt --dry-run").json();
    assert_eq!(
        (&read["secrets"]["current"], &read["secrets"]["unreadable"]),
        (&json!(1), &json!(0)),
        "{read}"
    );
}

/// A restore that is killed leaves nothing that looks whole, and the next one begins anew; one that is told to stop clears away.
#[test]
fn a_restore_that_is_interrupted_leaves_nothing_that_looks_whole() {
    let (dir, shelf) = (Scratch::new(), shelf());
    run_on(dir.path(), TENANT).json();
    let file = shelf.path().join("backup.tar");
    run_on(dir.path(), &words(&["backup --out", file.to_str().unwrap()])).json();
    let new = shelf.path().join("new");
    let environment = [("LOOPCTL_DATA_DIR", new.to_str().unwrap())];
    let line = words(&["restore", file.to_str().unwrap()]);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut child = command(&line, &environment).spawn().unwrap();
        wait_for("restore", || new.join("restoring/postgres/postmaster.pid").exists().then_some(()));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success() && !new.join("postgres").exists());
        assert_eq!(new.join("restoring").exists(), signal == Signal::SIGKILL, "{signal}");
    }
    let restored = run_on(&new, &line).json();
    assert_eq!(restored["restore"]["different"], 0);
    Daemon::start(&new).stop();
}
