//! What people prove with who they are is told to nobody else: not by the log at its most talkative, not by what is kept, and not by
//! refusals.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::device::{Device, HOME, forged, unb64};
use crate::support::{Daemon, Scratch, client, run_on};

const CLOAK: &str = "a2V5IG9mIGFsbCBzZWNyZXRzLCB0b2xkIHRvIG5vbmU=";

/// Somebody who calls a server, and notes what must not be found anywhere.
struct Teller {
    http: reqwest::Client,
    base: String,
    /// Of the tenant that has signed up.
    tenant: String,
    /// Every key, in the order in which they were made.
    keys: Vec<String>,
    /// What it is, and the text that gives it away.
    secrets: Vec<(String, String)>,
    /// Every answer that was a refusal, and every one that was given again.
    answers: String,
}

impl Teller {
    async fn post(&mut self, path: &str, key: Option<&str>, body: &Value, status: u16) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
        self.send(request, status).await
    }

    /// Sends a request that may be repeated, and repeats it: the first answer.
    async fn twice(&mut self, path: &str, key: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).json(body).bearer_auth(key);
        let request = request.header("idempotency-key", path);
        let answer = self.send(request.try_clone().unwrap(), 201).await;
        let again = self.send(request, 201).await;
        assert!(again["omitted"].is_array(), "{again}");
        self.answers += &format!("{again}\n");
        answer
    }

    async fn send(&mut self, request: reqwest::RequestBuilder, status: u16) -> Value {
        let response = request.send().await.unwrap();
        let (answered, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        let text = response.text().await.unwrap();
        assert_eq!(answered, status, "{text}");
        if answered >= 400 {
            self.answers += &format!("{headers} {text}\n");
        }
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn is_secret(&mut self, what: &str, text: &str) {
        self.secrets.push((what.to_owned(), text.to_owned()));
    }

    /// Its first characters are for people.
    fn is_key(&mut self, key: &Value) {
        let raw_key = key["raw_key"].as_str().unwrap_or_else(|| panic!("a key, not {key}"));
        self.is_secret("a key", raw_key.strip_prefix(key["key_prefix"].as_str().unwrap()).unwrap());
        self.keys.push(raw_key.to_owned());
    }

    /// What an authenticator made, however bytes may be written.
    fn is_signed(&mut self, signed: &Value) {
        for field in ["attestation_object", "client_data_json", "authenticator_data", "signature"] {
            let Some(text) = signed[field].as_str() else { continue };
            let bytes = unb64(&signed[field]);
            let list = format!("{bytes:?}");
            self.is_secret(field, text);
            self.is_secret(field, &hex(&bytes));
            self.is_secret(field, list.trim_matches(['[', ']']));
        }
        let data: Value = serde_json::from_slice(&unb64(&signed["client_data_json"])).unwrap();
        let challenge = &data["challenge"];
        self.is_secret("a challenge", challenge.as_str().unwrap());
        self.is_secret("a challenge", &hex(&unb64(challenge)));
    }

    /// None of it is in this text.
    fn is_not_in(&self, place: &str, text: &str) {
        for (what, secret) in &self.secrets {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{what} in {place}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs up, makes and rotates keys, proves to be there, and is refused on the way wherever that is possible.
async fn tell(teller: &mut Teller, dir: &Path) {
    let (mut device, nothing) = (Device::new(), json!({}));
    let asked = teller.post("/signup/challenge", None, &nothing, 200).await;
    let enrolled = device.enrol(&asked["data"]["challenge"], &HOME).await;
    let broken = forged(&enrolled, "attestation_object", 1);
    teller.is_signed(&enrolled);
    teller.is_signed(&broken);
    let application = |slug: &str, one: &Value| json!({"name": "Acme", "slug": slug, "email": "ops@acme.test", "authenticators": [one]});
    for (slug, one, status) in [("-", &enrolled, 422), ("acme", &broken, 422), ("acme", &enrolled, 201)] {
        let made = teller.post("/signup", None, &application(slug, one), status).await["data"].clone();
        if status == 201 {
            teller.is_key(&made["api_key"]);
            let (_, token) = made["redirect_to"].as_str().unwrap().split_once("token=").unwrap();
            teller.is_secret("the token of the first steps", token);
            teller.tenant = made["tenant"]["id"].as_str().unwrap().to_owned();
        }
    }
    teller.post("/signup", None, &application("other", &enrolled), 422).await;

    // Whatever is told once, also where the answer is kept for whoever asks again.
    let user = teller.keys[0].clone();
    let key = json!({"name": "k", "role": "orchestrator"});
    let key = teller.twice("/api/v1/api_keys", &user, &key).await["api_key"].clone();
    teller.is_key(&key);
    let path = format!("/api/v1/api_keys/{}/rotate", key["id"].as_str().unwrap());
    let rotated = teller.twice(&path, &user, &json!({"grace_period_hours": 0})).await;
    teller.is_key(&rotated["new_key"]);
    let webhook = json!({"url": "https://leaks.invalid/", "events": ["agent.registered"]});
    let webhook = teller.twice("/api/v1/webhooks", &user, &webhook).await["webhook"].clone();
    for name in ["signing_secret", "signing_secret_whsec"] {
        teller.is_secret(name, webhook[name].as_str().unwrap());
    }
    let path = format!("/api/v1/webhooks/{}/test", webhook["id"].as_str().unwrap());
    teller.post(&path, Some(&user), &nothing, 200).await;

    // Proofs: one that is none, one that is good once.
    let below = format!("/api/v1/tenants/{}", teller.tenant);
    let challenge = format!("{below}/webauthn/challenge");
    let asked = teller.post(&format!("{below}/authenticators/challenge"), Some(&user), &nothing, 200).await;
    let further = Device::new().enrol(&asked["data"]["challenge"], &HOME).await;
    teller.is_signed(&further);
    let asked = teller.post(&challenge, Some(&user), &nothing, 200).await["data"].clone();
    let proof = device.prove(&asked, &HOME).await;
    let broken = forged(&proof, "signature", 1);
    for (proof, status) in [(&broken, 401), (&proof, 201), (&proof, 401)] {
        teller.is_signed(proof);
        let body = json!({"authenticator": further, "webauthn_assertion": proof});
        teller.post(&format!("{below}/authenticators"), Some(&user), &body, status).await;
    }
    let superadmin = run_on(dir, "operator superadmin create-key --name root").json();
    teller.is_key(&superadmin["api_key"]);
    let superadmin = teller.keys.last().unwrap().clone();
    let asked = teller.post(&challenge, Some(&superadmin), &nothing, 200).await["data"].clone();
    let proof = device.prove(&asked, &HOME).await;
    teller.is_signed(&proof);
    let proof = BASE64_STANDARD.encode(proof.to_string());
    teller.is_secret("a proof as a text", &proof);
    let path = format!("/api/v1/admin/tenants/{}/clear-halt", teller.tenant);
    let body = json!({"webauthn_assertion": proof});
    for (key, status) in [(&user, 403), (&superadmin, 200), (&superadmin, 401)] {
        teller.post(&path, Some(key), &body, status).await;
    }

    // A session, from a page of ours and from one of others; and a key that its owner makes with it.
    let asked = teller.post("/sign-in/challenge", None, &json!({"slug": "acme"}), 200).await["data"].clone();
    let proof = device.prove(&asked, &HOME).await;
    teller.is_signed(&proof);
    let sign_in =
        teller.http.post(format!("{}/sign-in", teller.base)).json(&json!({"webauthn_assertion": proof}));
    let signed_in = sign_in.send().await.unwrap();
    assert_eq!(signed_in.status(), 200);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    teller.is_secret("a session", cookie.split_once("=lcs_").unwrap().1);
    let asked = teller.post(&challenge, Some(&user), &nothing, 200).await["data"].clone();
    let proof = device.prove(&asked, &HOME).await;
    teller.is_signed(&proof);
    let key = json!({"name": "lost", "webauthn_assertion": proof});
    for (origin, status) in [("http://evil.test", 403), (HOME.origin, 201), (HOME.origin, 401)] {
        let request = teller.http.post(format!("{}/account/keys", teller.base)).json(&key);
        let answer = teller.send(request.header("cookie", &cookie).header("origin", origin), status).await;
        if status == 201 {
            teller.is_key(&answer["api_key"]);
        }
    }

    // Whoever is let in nowhere: with what is no key, what is one no more, and what is none here.
    let rotated_away = teller.keys[1].clone();
    teller.is_secret("no key", "lc_no_key_of_this_server_and_of_no_other_one");
    teller.is_secret("a password", "correct-horse-battery-staple");
    teller.is_secret("a cookie", "session-of-somebody-else");
    let me = || teller.http.get(format!("{}/api/v1/tenants/me", teller.base));
    let refused = [
        me().bearer_auth(&rotated_away),
        me().bearer_auth("lc_no_key_of_this_server_and_of_no_other_one"),
        me().basic_auth("ops@acme.test", Some("correct-horse-battery-staple")),
        me().header("cookie", "session-of-somebody-else").header("x-api-key", &user),
        me().bearer_auth(&user)
            .header("authorization", "Bearer lc_no_key_of_this_server_and_of_no_other_one"),
    ];
    for request in refused {
        teller.send(request, 401).await;
    }
}

/// Everything that the database holds, table by table, but for challenges that wait to be signed.
async fn kept(owner: &Client) -> Vec<(String, String)> {
    let tables = "select relname::text from pg_class
                  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
                    and relname <> 'webauthn_challenges'";
    let mut kept = Vec::new();
    for row in owner.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let sql = format!("select coalesce(string_agg(to_jsonb(t)::text, E'\\n'), '') from {table} t");
        kept.push((table, owner.query_one(&sql, &[]).await.unwrap().get(0)));
    }
    kept
}

#[tokio::test]
async fn nobody_else_is_told_a_secret() {
    let dir = Scratch::new();
    let server = Daemon::start_with(&[
        ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap()),
        ("LOOPCTL_PUBLIC_URL", HOME.origin),
        ("LOOPCTL_LOG", "trace"),
        ("CLOAK_KEY", CLOAK),
    ]);
    let mut teller = Teller {
        http: client(),
        base: server.base.clone(),
        tenant: String::new(),
        keys: Vec::new(),
        secrets: vec![("the key of all secrets".to_owned(), CLOAK.to_owned())],
        answers: String::new(),
    };
    tell(&mut teller, dir.path()).await;
    assert!(teller.keys.len() == 5 && teller.secrets.len() > 40);
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let kept = kept(&owner).await;
    for (table, rows) in &kept {
        teller.is_not_in(table, rows);
    }
    // There was something to look at.
    for table in ["audit_log", "api_keys", "idempotency_keys", "sessions", "tenant_secrets", "webhook_events"]
    {
        assert!(kept.iter().any(|(known, rows)| known == table && !rows.is_empty()), "{table}");
    }
    teller.is_not_in("an answer", &teller.answers);
    server.signal(Signal::SIGTERM);
    let (_, log) = server.wait();
    assert!(log.matches("\"answered\"").count() > 20, "{log}");
    teller.is_not_in("the log", &log);
}
