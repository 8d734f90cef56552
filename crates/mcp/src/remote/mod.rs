//! The API of a server somewhere else, over HTTP, with the keys of the environment.

mod keys;
mod reply;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{Certificate, Client, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

pub use keys::Keys;

use crate::address::{PlainHttp, is_loopback, may_be_sent_keys};
use crate::api::{Api, Call, Reply, Settings, Verb};
use crate::arguments::Wrong;
use crate::files::{Archive, Files};
use crate::seats::Toolset;

/// Where a server is, if nothing else is said.
const SERVER: &str = "https://loopctl.com";
/// A call, with everything that is done again.
const PATIENCE: Duration = Duration::from_secs(30);
/// A file, from the question to its last byte: clients give a call a minute, and nobody would be told of one that is later.
const PATIENCE_FOR_A_FILE: Duration = Duration::from_secs(50);
/// What a file may be.
const ARCHIVE: &str = "application/zip";
/// How long somebody who asks who they are waits at the start.
const PATIENCE_AT_START: Duration = Duration::from_secs(1);
/// What is read again after a failure, so often.
const AGAIN: u32 = 2;
/// Longest obedience to `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What somebody who has seen nothing of a tenant's log says, and what somebody who has.
const BOOTSTRAP: &str = "x-loopctl-sth-bootstrap";
const LAST_KNOWN: &str = "x-loopctl-last-known-sth";
const CURRENT: &str = "x-loopctl-current-sth";

/// What cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The address of the server.
    #[error(
        "LOOPCTL_SERVER is no address of a server: https:// or http://, a host, and perhaps a port and a path, without a password"
    )]
    Server,
    /// A key would be sent for all to read.
    #[error(transparent)]
    Plain(#[from] PlainHttp),
    /// The authority that a certificate is checked by.
    #[error("LOOPCTL_CA_CERT={0} cannot be read as PEM")]
    Certificate(String),
    /// The client of HTTP.
    #[error("HTTP cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

/// A server somewhere else.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    keys: Keys,
    version: &'static str,
    checks_certificates: bool,
    authority: Option<PathBuf>,
    is_loopback: bool,
    http: OnceLock<Client>,
    /// What was last seen of a tenant's log, by the key that it was seen with. Of another tenant's log it would be wrong.
    seen: Mutex<HashMap<[u8; 32], String>>,
}

impl Remote {
    /// Reads the environment. Nothing is sent.
    ///
    /// # Errors
    /// When it says something that cannot be.
    pub fn of(variable: impl Fn(&str) -> Option<String>, version: &'static str) -> Result<Self, SetUpError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let named = variable("LOOPCTL_SERVER").unwrap_or_else(|| SERVER.to_owned());
        let server = named.strip_suffix('/').unwrap_or(&named).to_owned();
        let is_address = |url: &Url| {
            ["http", "https"].contains(&url.scheme())
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        let url = Url::parse(&server).ok().filter(is_address).ok_or(SetUpError::Server)?;
        may_be_sent_keys(&url, variable)?;
        let checks_certificates = variable("NODE_TLS_REJECT_UNAUTHORIZED").as_deref() != Some("0");
        let authority = variable("LOOPCTL_CA_CERT").map(PathBuf::from);
        let root = variable("LOOPCTL_IMPORT_ROOT").map(PathBuf::from);
        let settings = Settings { server, project: variable("LOOPCTL_PROJECT"), files: Some(Files { root }) };
        Ok(Self(Arc::new(Inner {
            settings,
            keys: Keys::of(variable),
            version,
            checks_certificates,
            authority,
            is_loopback: is_loopback(&url),
            http: OnceLock::new(),
            seen: Mutex::default(),
        })))
    }

    /// What somebody should know who starts this.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = self.0.keys.warnings();
        if !self.0.checks_certificates {
            warnings.push("certificates are not checked (NODE_TLS_REJECT_UNAUTHORIZED=0): anybody may answer as the server");
        }
        warnings
    }

    /// The tools for whoever has these keys. A key of which no variable says whose it is, is asked about.
    pub async fn toolset(&self, all: bool) -> Toolset {
        if all {
            return Toolset::All;
        }
        let seats = self.0.keys.seats();
        if !seats.is_empty() {
            return Toolset::Of(seats);
        }
        let asked = timeout(PATIENCE_AT_START, self.call(Call::me())).await;
        let key = asked.ok().filter(Reply::is_ok).map(|reply| reply.body["api_key"].clone());
        match key.as_ref().and_then(|key| Some((key["role"].as_str()?, key["agent_type"].as_str()))) {
            Some((role, agent_type)) => Toolset::of_key(role, agent_type),
            None => Toolset::Of(keys::EVERYBODY.to_vec()),
        }
    }

    fn http(&self) -> Result<Client, SetUpError> {
        if let Some(http) = self.0.http.get() {
            return Ok(http.clone());
        }
        // Fails only when another part of the process chose the provider before us, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(format!("loopctl-mcp-server/{}", self.0.version))
            // Wherever a redirect leads, the key is none of its business.
            .redirect(reqwest::redirect::Policy::none());
        if self.0.is_loopback {
            builder = builder.no_proxy();
        }
        if self.0.settings.server.starts_with("http:") {
            builder = builder.tls_certs_only([]);
        } else if !self.0.checks_certificates {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(path) = &self.0.authority {
            let wrong = || SetUpError::Certificate(path.display().to_string());
            let pem = std::fs::read(path).map_err(|_| wrong())?;
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(|_| wrong())?);
        }
        Ok(self.0.http.get_or_init(|| builder.build().unwrap_or_default()).clone())
    }

    /// What is known of the log that this key leads to.
    fn seen(&self, key: Option<&str>) -> Option<String> {
        self.0.seen.lock().ok()?.get(&digest(key?)).cloned()
    }

    fn see(&self, key: Option<&str>, seen: Option<String>) {
        if let (Some(key), Ok(mut all)) = (key, self.0.seen.lock()) {
            match seen {
                Some(seen) => all.insert(digest(key), seen),
                None => all.remove(&digest(key)),
            };
        }
    }

    /// Keeps what an answer says of the log.
    fn see_current(&self, key: Option<&str>, headers: &HeaderMap) {
        if let Some(seen) = headers.get(CURRENT).and_then(|seen| seen.to_str().ok()) {
            self.see(key, Some(seen.to_owned()));
        }
    }

    async fn send(&self, call: &Call, key: Option<&str>) -> Result<Response, String> {
        let http = self.http().map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = key {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| "the key has characters that no key has".to_owned())?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        match self.seen(key).and_then(|seen| HeaderValue::from_str(&seen).ok()) {
            Some(seen) => headers.insert(LAST_KNOWN, seen),
            None => headers.insert(BOOTSTRAP, HeaderValue::from_static("true")),
        };
        let url = format!("{}{}", self.0.settings.server, call.target());
        let mut request = http.request(call.verb.method(), url).headers(headers);
        if let Some(body) = &call.body {
            request = request.body(body.to_string());
        }
        request.send().await.map_err(|error| format!("Network error: {}", deepest(&error)))
    }

    /// One exchange, and a second one for who was told that what they have seen is no good.
    async fn exchange(&self, call: &Call, key: Option<&str>) -> Result<(Reply, HeaderMap), String> {
        let mut is_second = self.seen(key).is_none();
        loop {
            let response = self.send(call, key).await?;
            let headers = response.headers().clone();
            self.see_current(key, &headers);
            let reply = reply::read(response).await.map_err(|why| format!("Network error: {why}"))?;
            if is_second || !reply::is_about_the_witness(&reply) {
                return Ok((reply, headers));
            }
            self.see(key, None);
            is_second = true;
        }
    }
}

impl Remote {
    /// Writes an archive to a file as it arrives. What is refused, is none or takes too long leaves nothing.
    async fn fetch(&self, call: &Call, mut archive: Archive) -> Result<Reply, Reply> {
        let key = self.0.keys.find(call.key).map_err(Reply::nothing)?;
        let mut response = self.response(call, key).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with(ARCHIVE)) {
            return Err(Reply::nothing(
                "The answer is no archive. Is LOOPCTL_SERVER the address of a loopctl server?",
            ));
        }
        let (mut bytes, mut hash) = (0, Sha256::new());
        loop {
            let chunk = response.chunk().await;
            let chunk =
                chunk.map_err(|error| Reply::nothing(format!("Network error: {}", deepest(&error))))?;
            let Some(chunk) = chunk else { break };
            bytes += chunk.len();
            hash.update(&chunk);
            archive.write(&chunk).map_err(|error| cannot_save(&error))?;
        }
        archive.finish().map_err(|error| cannot_save(&error))?;
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let path = archive.path.display().to_string();
        Ok(Reply { status: 200, body: json!({"path": path, "bytes": bytes, "sha256": sha256}) })
    }

    /// The same within a time.
    async fn fetch_within(&self, call: &Call, archive: Archive, patience: Duration) -> Result<Reply, Reply> {
        let fetched = timeout(patience, self.fetch(call, archive)).await;
        fetched.map_err(|_| {
            Reply::nothing(format!(
                "The archive was not there after {}s: leave save_to out, and run the command",
                patience.as_secs()
            ))
        })?
    }

    /// An answer of which nothing is read yet. All but a success is read, and is what was refused.
    async fn response(&self, call: &Call, key: Option<&str>) -> Result<Response, Reply> {
        let mut is_second = self.seen(key).is_none();
        loop {
            let late = || Reply::nothing(format!("Request timed out after {}s", PATIENCE.as_secs()));
            let sent = timeout(PATIENCE, self.send(call, key)).await.map_err(|_| late())?;
            let response = sent.map_err(Reply::nothing)?;
            self.see_current(key, response.headers());
            if response.status().is_success() {
                return Ok(response);
            }
            let refused = timeout(PATIENCE, reply::read(response)).await.map_err(|_| late())?;
            let refused = refused.map_err(|why| Reply::nothing(format!("Network error: {why}")))?;
            if is_second || !reply::is_about_the_witness(&refused) {
                return Err(refused);
            }
            self.see(key, None);
            is_second = true;
        }
    }
}

fn cannot_save(error: &std::io::Error) -> Reply {
    Reply::nothing(format!("save_to cannot be written: {}", error.kind()))
}

impl Api for Remote {
    async fn call(&self, call: Call) -> Reply {
        let key = match self.0.keys.find(call.key) {
            Ok(key) => key.map(str::to_owned),
            Err(why) => return Reply::nothing(why),
        };
        let until = Instant::now() + PATIENCE;
        let mut left = if call.verb == Verb::Get { AGAIN } else { 0 };
        loop {
            let told = match timeout_at(until, self.exchange(&call, key.as_deref())).await {
                Err(_) => return Reply::nothing(format!("Request timed out after {}s", PATIENCE.as_secs())),
                Ok(told) => told,
            };
            let wait = match &told {
                Err(_) => Some(Duration::from_millis(200)),
                Ok((reply, headers)) => reply::worth_another(reply).then(|| {
                    let said = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    said.map_or(Duration::from_millis(200), Duration::from_secs)
                }),
            };
            match wait.filter(|wait| left > 0 && *wait <= LONGEST_WAIT && Instant::now() + *wait < until) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return told.map_or_else(Reply::nothing, |(reply, _)| reply),
            }
            left -= 1;
        }
    }

    async fn save(&self, call: Call, path: &str) -> Reply {
        let Some(files) = &self.0.settings.files else {
            return Reply::nothing("No files are written here");
        };
        let told = match files.archive(path) {
            Ok(archive) => self.fetch_within(&call, archive, PATIENCE_FOR_A_FILE).await,
            Err(Wrong(why)) => Err(Reply::nothing(why)),
        };
        told.unwrap_or_else(|refused| refused)
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn deepest(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), deepest)
}

/// What is kept of an answer that is no JSON.
fn status(status: StatusCode, body: Value) -> Reply {
    Reply { status: status.as_u16(), body }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::api::KeyFor;

    /// The address of a server whose archive has no end.
    fn endless() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(b"2\r\nPK\r\n");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        address
    }

    #[tokio::test]
    async fn an_archive_without_an_end_is_given_up() {
        let variables = [("LOOPCTL_SERVER", endless()), ("LOOPCTL_ORCH_KEY", "k".to_owned())];
        let variable = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.clone());
        let remote = Remote::of(variable, "1").expect("an environment");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("wiki.zip");
        let archive = Files::default().archive(path.to_str().expect("a path")).expect("a file");
        let call = Call::get(KeyFor::Orchestrator, "/knowledge/export");
        let fetched = remote.fetch_within(&call, archive, Duration::from_secs(1)).await;
        let said = fetched.expect_err("it has no end").body.to_string();
        assert!(said.contains("not there after 1s"), "{said}");
        assert!(!path.exists());
    }
}
