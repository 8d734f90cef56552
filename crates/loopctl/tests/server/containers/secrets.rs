//! Another `CLOAK_KEY`, exchanged as operators do it: webhooks are signed with the same secret all along.

use base64::Engine as _;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::stack::Stack;
use crate::support::{PATIENCE, call_with};

/// A webhook of the tests' own.
struct Webhook {
    listener: TcpListener,
    id: String,
    secret: String,
}

impl Webhook {
    async fn new(stack: &Stack, user: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let body = json!({"url": url, "events": ["story.verified"]});
        let webhooks = stack.url("/api/v1/webhooks");
        let (status, made) =
            call_with(&stack.http(), "POST", &webhooks, Some(user), Some(&body)).await.unwrap();
        assert_eq!(status, 201, "{made}");
        let told = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        Self { listener, id: told(&made["webhook"]["id"]), secret: told(&made["webhook"]["signing_secret"]) }
    }

    /// Has the server deliver something; what comes has to be signed with the secret that was shown once.
    async fn is_signed(&self, stack: &Stack, user: &str) {
        let url = stack.url(&format!("/api/v1/webhooks/{}/test", self.id));
        let (status, told) =
            call_with(&stack.http(), "POST", &url, Some(user), Some(&json!({}))).await.unwrap();
        assert!((200..300).contains(&status), "{status} {told}");
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a delivery").unwrap();
        let mut bytes = Vec::new();
        let (head, body) = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let length: usize = value_of(&head, "content-length").parse().unwrap();
                if bytes.len() >= end + 4 + length {
                    break (head, bytes.split_off(end + 4));
                }
            }
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{}", String::from_utf8_lossy(&bytes));
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let signature: String =
            hmac::sign(&key, &body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(value_of(&head, "x-signature-256"), format!("sha256={signature}"));
    }
}

fn value_of<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(found, _)| *found == name).map(|(_, value)| value.trim());
    values.next().unwrap_or_else(|| panic!("{name} in {head}"))
}

/// Both keys, encrypt anew, the new one alone.
pub(super) async fn secrets_survive_a_new_key(stack: &Stack, user: &str) {
    let webhook = Webhook::new(stack, user).await;
    webhook.is_signed(stack, user).await;
    let begin_with = |current: &str, retired: &str| {
        stack.stop();
        stack.set("CLOAK_KEY", current);
        stack.set("CLOAK_RETIRED_KEYS", retired);
        stack.serve();
    };
    let old = stack.setting("CLOAK_KEY");
    let new = base64::engine::general_purpose::STANDARD.encode([2; 32]);

    begin_with(&new, &old);
    webhook.is_signed(stack, user).await;
    let done = stack.exec("loopctl operator secrets reencrypt").json();
    assert!(done["secrets"]["reencrypted"].as_u64().is_some_and(|count| count >= 1), "{done}");
    webhook.is_signed(stack, user).await;

    begin_with(&new, "");
    let alone = stack.exec("loopctl operator secrets reencrypt").json();
    assert_eq!(
        (&alone["secrets"]["reencrypted"], &alone["secrets"]["unreadable"]),
        (&json!(0), &json!(0)),
        "{alone}"
    );
    webhook.is_signed(stack, user).await;
}
