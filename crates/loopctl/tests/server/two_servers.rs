//! Two servers on one database: what one of them has changed, the other goes by within a second.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Daemon, PATIENCE, Scratch, call_with, client, run_on};

/// For as long as a server may go by what it had read before another one changed it.
const BOUND: Duration = Duration::from_secs(1);

/// Two processes, and the one database that they have.
struct Both {
    here: Daemon,
    there: Daemon,
    http: reqwest::Client,
}

impl Both {
    fn start(dir: &Path) -> Self {
        let here = Daemon::start(dir);
        let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.join("run").display());
        let there = Daemon::start_with(&[("DATABASE_URL", &url)]);
        Self { here, there, http: client() }
    }

    async fn call(&self, at: &Daemon, method: &str, path: &str, key: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/api/v1{path}", at.base);
        call_with(&self.http, method, &url, Some(key), Some(&body)).await.unwrap()
    }

    /// A change on the one server.
    async fn change(&self, method: &str, path: &str, key: &str, body: Value, status: u16) -> Value {
        let (answered, answer) = self.call(&self.here, method, path, key, body).await;
        assert_eq!(answered, status, "{method} {path}: {answer}");
        answer
    }

    /// What a server says to this key.
    async fn says(&self, at: &Daemon, key: &str) -> u16 {
        self.call(at, "GET", "/tenants/me", key, Value::Null).await.0
    }

    /// Each of them lets the key in, and remembers that it has.
    async fn let_in(&self, key: &str) {
        for server in [&self.here, &self.there] {
            assert_eq!(self.says(server, key).await, 200);
        }
    }

    /// Where it was changed the key is refused at once, and by the other server from a second later on at the latest.
    async fn refuse(&self, key: &str, status: u16) {
        let changed = Instant::now();
        assert_eq!(self.says(&self.here, key).await, status);
        loop {
            let sent = changed.elapsed();
            let said = self.says(&self.there, key).await;
            assert!(said == status || sent < BOUND, "{said}, asked {sent:?} after the change");
            if sent >= BOUND {
                return;
            }
        }
    }
}

fn raw_key(of: &Value) -> String {
    of["raw_key"].as_str().unwrap_or_else(|| panic!("a key, not {of}")).to_owned()
}

#[tokio::test]
async fn what_one_server_changes_the_other_goes_by() {
    let dir = Scratch::new();
    let both = Both::start(dir.path());
    let tenant =
        run_on(dir.path(), "operator tenant create --name Acme --slug acme --email ops@acme.test").json();
    let (user, tenant) = (raw_key(&tenant["api_key"]), tenant["tenant"]["id"].as_str().unwrap().to_owned());
    // Asking again and again is what this test does.
    let settings = json!({"settings": {"rate_limit_requests_per_minute": 1_000_000}});
    both.change("PATCH", "/tenants/me", &user, settings, 200).await;
    let superadmin =
        raw_key(&run_on(dir.path(), "operator superadmin create-key --name root").json()["api_key"]);
    let new_key = async || {
        let body = json!({"name": "k", "role": "agent"});
        let key = both.change("POST", "/api_keys", &user, body, 201).await["api_key"].clone();
        both.let_in(&raw_key(&key)).await;
        (raw_key(&key), format!("/api_keys/{}", key["id"].as_str().unwrap()))
    };

    // A key that is revoked.
    let (key, path) = new_key().await;
    both.change("DELETE", &path, &user, Value::Null, 200).await;
    both.refuse(&key, 401).await;

    // A key that is rotated, without a grace period; the new one is let in at once everywhere.
    let (key, path) = new_key().await;
    let body = json!({"grace_period_hours": 0});
    let rotated = both.change("POST", &format!("{path}/rotate"), &user, body, 201).await;
    both.let_in(&raw_key(&rotated["new_key"])).await;
    both.refuse(&key, 401).await;

    // The end of a grace period, to the moment: both servers know when it will be.
    let (key, path) = new_key().await;
    let body = json!({"grace_period_hours": 1});
    both.change("POST", &format!("{path}/rotate"), &user, body, 201).await;
    both.let_in(&key).await;
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let prefix = &key[..8];
    let sooner = "update api_keys set expires_at = clock_timestamp() + interval '2 s' where key_prefix = $1";
    assert_eq!(owner.execute(sooner, &[&prefix]).await.unwrap(), 1);
    let over = owner.prepare("select expires_at <= clock_timestamp() from api_keys where key_prefix = $1");
    let over = over.await.unwrap();
    let is_over = async || owner.query_one(&over, &[&prefix]).await.unwrap().get::<_, bool>(0);
    let began = Instant::now();
    while !is_over().await {
        assert!(began.elapsed() < PATIENCE);
        for server in [&both.here, &both.there] {
            let said = both.says(server, &key).await;
            // It may have ended in between.
            assert!(said == 200 || is_over().await, "{said}");
        }
    }
    for server in [&both.here, &both.there] {
        assert_eq!(both.says(server, &key).await, 401);
    }

    // A tenant that is suspended, and activated.
    let (key, _) = new_key().await;
    let step = |step: &str| format!("/admin/tenants/{tenant}/{step}");
    both.change("POST", &step("suspend"), &superadmin, json!({}), 200).await;
    both.refuse(&key, 403).await;
    both.change("POST", &step("activate"), &superadmin, json!({}), 200).await;
    both.let_in(&key).await;

    // Settings are not remembered at all.
    for (limit, status) in [(json!(0), 422), (Value::Null, 201), (json!(1), 422)] {
        both.change("PATCH", "/tenants/me", &user, json!({"settings": {"max_projects": limit}}), 200).await;
        let body = json!({"name": "P", "slug": "pp"});
        let (said, answer) = both.call(&both.there, "POST", "/projects", &user, body).await;
        assert_eq!(said, status, "{limit}: {answer}");
    }
    both.there.stop();
    both.here.stop();
}
