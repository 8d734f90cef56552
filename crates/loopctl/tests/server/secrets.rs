//! The keys that secrets are encrypted with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::support::{Daemon, PATIENCE, Run, Scratch, run, run_on};

const TENANT: &str = "operator tenant create --name Acme --slug acme --email ops@acme.test";
const REENCRYPT: &str = "operator secrets reencrypt";

/// 32 times the same byte, in base64.
const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// What `ONE` makes of "whsec_known" for webhook 2 of tenant 1, with a nonce of zeros; by another implementation.
const SEALED: &str = "012cda623fc5310b50000000000000000000000000c85debb9166468d1\
    fc0efc66beb37e4235ad74a09157d45d729bcd";
/// As `SEALED`, of "whsec_another_one".
const LONGER: &str = "012cda623fc5310b50010101010101010101010101c511c9ff0aa8649d\
    85d167f8dc6321c7787910c2df09298f659c0ef98a403cec59";
const TENANT_ID: Uuid = Uuid::from_u128(1);
const WEBHOOK_ID: Uuid = Uuid::from_u128(2);

fn url(dir: &Path, database: &str) -> String {
    format!("postgres:///{database}?host={}&user=loopctl_owner", dir.join("run").display())
}

async fn owner(dir: &Path, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&url(dir, database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A webhook with this secret.
async fn webhook(owner: &Client, sealed: &[u8], id: Uuid) {
    owner
        .execute(
            "insert into tenants (id, name, slug, email) values ($1, 'One', 'one', 'ops@one.test')
             on conflict do nothing",
            &[&TENANT_ID],
        )
        .await
        .unwrap();
    let sql = "insert into webhooks (tenant_id, id, url, signing_secret, events) values ($1, $2, 'https://a', $3, '{a}')";
    owner.execute(sql, &[&TENANT_ID, &id, &sealed]).await.unwrap();
}

fn counts(run: &Run) -> Value {
    let told: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let secrets = &told["secrets"];
    json!([secrets["dry_run"], secrets["current"], secrets["reencrypted"], secrets["unreadable"]])
}

#[test]
fn a_key_that_is_none_starts_nothing() {
    let dir = Scratch::new();
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    for (variable, value) in
        [("CLOAK_KEY", "hunter2"), ("CLOAK_KEY", "aHVudGVyMg=="), ("CLOAK_RETIRED_KEYS", "hunter2")]
    {
        for command in ["serve --port 0", REENCRYPT] {
            let failed = run(command, &[data_dir, (variable, value)]);
            assert!(failed.failure(2).contains(variable), "{failed:?}");
            assert!(!format!("{failed:?}").contains(value), "{failed:?}");
        }
    }
    assert!(!dir.path().exists());
}

/// With nothing configured there is a key, in a file that only its owner reads; and it is never silently another.
#[tokio::test]
async fn a_server_of_its_own_makes_its_key_once_and_says_when_it_is_gone() {
    let dir = Scratch::new();
    let file = dir.path().join("secrets.key");
    run_on(dir.path(), TENANT).json();
    assert!(!file.exists(), "made by whoever needs it");
    let server = Daemon::start(dir.path());
    let key = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(counts(&run_on(dir.path(), REENCRYPT)), json!([false, 0, 0, 0]));
    assert!(!server.log().contains(key.trim()));
    server.stop();
    // Nothing needs it yet.
    std::fs::remove_file(&file).unwrap();
    let server = Daemon::start(dir.path());
    assert_ne!(std::fs::read_to_string(&file).unwrap(), key);
    webhook(&owner(dir.path(), "loopctl").await, &hex(SEALED), WEBHOOK_ID).await;
    server.stop();

    std::fs::remove_file(&file).unwrap();
    for command in ["serve --port 0", REENCRYPT] {
        let failed = run_on(dir.path(), command);
        let message = failed.failure(1);
        assert!(message.contains("secrets.key is missing, and 1 secrets"), "{message}");
        assert!(message.contains("put the file back, or set CLOAK_KEY"), "{message}");
    }
    assert!(!file.exists());
    // As it says.
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    Daemon::start_with(&[data_dir, ("CLOAK_KEY", ONE)]).stop();

    std::fs::write(&file, "hunter2\n").unwrap();
    let failed = run_on(dir.path(), "serve --port 0");
    assert!(failed.failure(1).contains("secrets.key is not a key"), "{failed:?}");
    assert!(!format!("{failed:?}").contains("hunter2"), "{failed:?}");
}

/// An external database has no place for a file: the server starts without a key, and says so.
#[tokio::test]
async fn an_external_database_needs_a_key_for_secrets_alone() {
    let dir = Scratch::new();
    let host = Daemon::start(dir.path());
    owner(dir.path(), "postgres").await.batch_execute("create database loopctl2").await.unwrap();
    let url = url(dir.path(), "loopctl2");
    let environment = [("DATABASE_URL", url.as_str())];
    run("migrate", &environment).json();
    let server = Daemon::start_with(&environment);
    assert!(server.log().contains("set CLOAK_KEY"), "{}", server.log());
    server.stop();
    let failed = run(REENCRYPT, &environment);
    assert!(failed.failure(2).contains("set CLOAK_KEY"), "{failed:?}");
    let server = Daemon::start_with(&[environment[0], ("CLOAK_KEY", ONE)]);
    assert!(!server.log().contains("CLOAK_KEY"), "{}", server.log());
    server.stop();
    host.stop();
}

#[tokio::test]
async fn all_secrets_are_encrypted_anew_and_the_old_key_can_go() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    let owner = owner(dir.path(), "loopctl").await;
    webhook(&owner, &hex(SEALED), WEBHOOK_ID).await;
    let stored = async || {
        let sql = "select signing_secret from webhooks where id = $1";
        owner.query_one(sql, &[&WEBHOOK_ID]).await.unwrap().get::<_, Vec<u8>>(0)
    };

    let unknown = run(REENCRYPT, &[data_dir, ("CLOAK_KEY", TWO)]);
    assert_eq!((unknown.code, counts(&unknown)), (1, json!([false, 0, 0, 1])));
    assert!(unknown.stderr.contains("Error: 1 secrets cannot be read"), "{unknown:?}");
    assert!(unknown.stdout.contains(&WEBHOOK_ID.to_string()), "{unknown:?}");

    let rotating = [data_dir, ("CLOAK_KEY", TWO), ("CLOAK_RETIRED_KEYS", ONE)];
    let dry = run(&format!("{REENCRYPT} --dry-run"), &rotating);
    assert_eq!((dry.code, counts(&dry)), (0, json!([true, 0, 1, 0])), "{dry:?}");
    assert_eq!(stored().await, hex(SEALED));

    let done = run(REENCRYPT, &rotating);
    assert_eq!((done.code, counts(&done)), (0, json!([false, 0, 1, 0])), "{done:?}");
    assert_ne!(stored().await, hex(SEALED));
    let again = run(REENCRYPT, &rotating);
    assert_eq!((again.code, counts(&again)), (0, json!([false, 1, 0, 0])), "{again:?}");
    // Without the old one.
    let alone = run(REENCRYPT, &[data_dir, ("CLOAK_KEY", TWO)]);
    assert_eq!((alone.code, counts(&alone)), (0, json!([false, 1, 0, 0])), "{alone:?}");
    // Back to the file, which takes no setting.
    let back = run(REENCRYPT, &[data_dir, ("CLOAK_RETIRED_KEYS", TWO)]);
    assert_eq!((back.code, counts(&back)), (0, json!([false, 0, 1, 0])), "{back:?}");
    // And away from it.
    let away = run(REENCRYPT, &[data_dir, ("CLOAK_KEY", TWO)]);
    assert_eq!((away.code, counts(&away)), (0, json!([false, 0, 1, 0])), "{away:?}");

    // One that was moved to another record is not that record's secret; the others are not kept waiting by it.
    webhook(&owner, &hex(SEALED), Uuid::from_u128(1)).await;
    webhook(&owner, b"", Uuid::from_u128(3)).await;
    let moved = run(REENCRYPT, &rotating);
    assert_eq!((moved.code, counts(&moved)), (1, json!([false, 1, 0, 2])), "{moved:?}");
    for output in [&moved.stdout, &moved.stderr] {
        assert!(!output.contains("whsec") && !output.contains(ONE) && !output.contains(TWO), "{moved:?}");
    }
    server.stop();
}

/// What a server writes meanwhile is neither lost nor left behind.
#[tokio::test]
async fn a_secret_that_changes_meanwhile_is_looked_at_again() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let (mut changing, watching) = (owner(dir.path(), "loopctl").await, owner(dir.path(), "loopctl").await);
    webhook(&watching, &hex(SEALED), WEBHOOK_ID).await;
    let change = changing.transaction().await.unwrap();
    change.execute("update webhooks set signing_secret = $1", &[&hex(LONGER)]).await.unwrap();
    let data_dir = dir.path().to_str().unwrap().to_owned();
    let command = std::thread::spawn(move || {
        run(REENCRYPT, &[("LOOPCTL_DATA_DIR", &data_dir), ("CLOAK_KEY", TWO), ("CLOAK_RETIRED_KEYS", ONE)])
    });
    let waiting = "select count(*) from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0";
    let patience = std::time::Instant::now();
    while watching.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(patience.elapsed() < PATIENCE && !command.is_finished());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    change.commit().await.unwrap();
    let done = command.join().unwrap();
    assert_eq!((done.code, counts(&done)), (0, json!([false, 0, 1, 0])), "{done:?}");
    let stored = watching.query_one("select signing_secret from webhooks", &[]).await.unwrap();
    let stored: Vec<u8> = stored.get(0);
    // A secret is as much longer encrypted as it is in the clear.
    assert!(stored.len() == hex(LONGER).len() && stored != hex(LONGER), "{stored:?}");
    server.stop();
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
