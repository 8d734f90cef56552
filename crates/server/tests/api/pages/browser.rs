//! A real browser: headless Chromium, told what to do in the words of WebDriver and of Chromium's own tools.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::signup;
use crate::support::{PATIENCE, http_client};

/// How an element is named in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What virtual authenticators are: those of a device, and those that are carried about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Built in, and knows its user.
    Platform,
    /// On USB, and stores passkeys.
    Roaming,
    /// On USB, of an older kind, which stores nothing.
    Simple,
}

/// A browser with a window. It ends with this value.
pub(crate) struct Browser {
    http: reqwest::Client,
    /// Where its session answers.
    session: String,
    /// Where pages are.
    home: String,
    _driver: Child,
    _profile: tempfile::TempDir,
}

/// The program that a variable names, if it does.
fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|named| !named.is_empty())
}

impl Browser {
    /// A fresh one, that knows nobody. `home` is the server's address as people name it.
    pub(crate) async fn open(home: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver =
            Command::new(named("LOOPCTL_CHROMEDRIVER").unwrap_or_else(|| "chromedriver".to_owned()))
                .arg("--port=0")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("chromedriver is installed: `make test` sees to it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver starts");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // What else it has to say must not fill its pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let http = http_client();
        let driver_url = format!("http://127.0.0.1:{port}");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut options = json!({"args": arguments});
        // Debian's driver knows where its browser is; so do others.
        if let Some(binary) = named("LOOPCTL_CHROMIUM") {
            options["binary"] = json!(binary);
        }
        let wanted = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let asked = json!({"capabilities": {"alwaysMatch": wanted}});
        let answer = call(&http, Method::POST, &format!("{driver_url}/session"), asked).await;
        let session = format!("{driver_url}/session/{}", answer.unwrap()["sessionId"].as_str().unwrap());
        let browser = Self { http, session, home: home.to_owned(), _driver: driver, _profile: profile };
        // As if behind a proxy on this machine: what an address may do in an hour is not for all of them together.
        let headers = json!({"x-forwarded-for": signup::address()});
        browser.tool("Network.enable", json!({})).await;
        browser.tool("Network.setExtraHTTPHeaders", json!({"headers": headers})).await;
        browser
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        self.attempt(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn attempt(&self, path: &str, body: Value) -> Result<Value, String> {
        call(&self.http, Method::POST, &format!("{}/{path}", self.session), body).await
    }

    /// A command of Chromium's own.
    pub(crate) async fn tool(&self, name: &str, params: Value) -> Value {
        self.command("goog/cdp/execute", json!({"cmd": name, "params": params})).await
    }

    /// Goes to a page, by its path.
    pub(crate) async fn goto(&self, path: &str) {
        self.command("url", json!({"url": format!("{}{path}", self.home)})).await;
    }

    /// What a script on the page returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({"script": script, "args": []})).await
    }

    /// Where it is: the path, without the query.
    pub(crate) async fn path(&self) -> String {
        self.run("return location.pathname").await.as_str().unwrap().to_owned()
    }

    async fn element(&self, css: &str) -> String {
        let found = self.command("element", json!({"using": "css selector", "value": css})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Types into a field.
    pub(crate) async fn write(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.command(&format!("element/{element}/clear"), json!({})).await;
        self.command(&format!("element/{element}/value"), json!({"text": text})).await;
    }

    /// Clicks, as a person would: what is hidden or covered cannot be.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.command(&format!("element/{element}/click"), json!({})).await;
    }

    /// The text that is to be seen there; empty where nothing is.
    pub(crate) async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(css));
        self.run(&script).await.as_str().unwrap().trim().to_owned()
    }

    /// Waits until a script returns something true, which it yields.
    pub(crate) async fn until(&self, script: &str) -> Value {
        let waiting = async {
            loop {
                // A page that is left while it is asked answers nothing.
                let sent = json!({"script": script, "args": []});
                match self.attempt("execute/sync", sent).await {
                    Ok(value) if value.as_bool() != Some(false) && !value.is_null() => return value,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE / 4, waiting).await {
            Ok(value) => value,
            Err(_) => panic!("never: {script}\n{}\n{:#}", self.text("main").await, self.complaints().await),
        }
    }

    /// Waits until there is such an element, and it is to be seen.
    pub(crate) async fn until_seen(&self, css: &str) {
        self.until(&format!("return document.querySelector({})?.checkVisibility() === true", json!(css)))
            .await;
    }

    /// Waits until it is on this page.
    pub(crate) async fn until_at(&self, path: &str) {
        let script =
            format!("return location.pathname === {} && document.readyState === 'complete'", json!(path));
        self.until(&script).await;
    }

    /// Plugs in an authenticator, whose user touches it at once; its id.
    pub(crate) async fn plug_in(&self, kind: Kind) -> String {
        let (transport, protocol) = match kind {
            Kind::Platform => ("internal", "ctap2"),
            Kind::Roaming => ("usb", "ctap2"),
            Kind::Simple => ("usb", "ctap1/u2f"),
        };
        let stores = kind != Kind::Simple;
        let options = json!({
            "protocol": protocol, "transport": transport, "hasResidentKey": stores, "hasUserVerification": stores,
            "isUserVerified": stores, "isUserConsenting": true,
        });
        self.command("webauthn/authenticator", options).await.as_str().unwrap().to_owned()
    }

    /// Whether the user of an authenticator touches it.
    pub(crate) async fn touches(&self, id: &str, enabled: bool) {
        let params = json!({"authenticatorId": id, "enabled": enabled});
        self.tool("WebAuthn.setAutomaticPresenceSimulation", params).await;
    }

    /// Takes an authenticator out. What it stores comes along, as WebDriver writes it.
    pub(crate) async fn unplug(&self, id: &str) -> Value {
        let at = format!("{}/webauthn/authenticator/{id}", self.session);
        let stored = call(&self.http, Method::GET, &format!("{at}/credentials"), Value::Null).await.unwrap();
        call(&self.http, Method::DELETE, &at, Value::Null).await.unwrap();
        stored
    }

    /// Plugs in an authenticator that stores this.
    pub(crate) async fn plug_in_again(&self, kind: Kind, stored: &Value) -> String {
        let id = self.plug_in(kind).await;
        for one in stored.as_array().unwrap() {
            self.command(&format!("webauthn/authenticator/{id}/credential"), one.clone()).await;
        }
        id
    }

    /// What the browser had to complain about since it was asked last, such as what a policy forbids.
    pub(crate) async fn complaints(&self) -> Value {
        self.command("se/log", json!({"type": "browser"})).await
    }
}

impl Drop for Browser {
    /// Chromium outlives its driver, unless it is told to end.
    fn drop(&mut self) {
        let Some((address, path)) = self.session.trim_start_matches("http://").split_once('/') else {
            return;
        };
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let request = format!("DELETE /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 1]);
    }
}

/// An answer's value, or what is wrong.
async fn call(http: &reqwest::Client, method: Method, url: &str, body: Value) -> Result<Value, String> {
    let request = http.request(method.clone(), url);
    let request = if method == Method::POST { request.json(&body) } else { request };
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let value = answer["value"].clone();
    match value["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
        None => Ok(value),
    }
}
