//! What the server refuses before there is a request: heads that cannot be read, or are too large.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, server};

/// Sends bytes as they are, and reads until the server closes.
async fn exchange(bytes: &[u8]) -> String {
    let address = server().base.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let bytes = bytes.to_vec();
    // The server may answer, and stop listening, before it has all.
    let sending = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        write
    });
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer))
        .await
        .expect("it closes")
        .expect("in order");
    drop(sending);
    String::from_utf8(answer).unwrap()
}

/// An answer's status, its headers in lower case, and its body.
fn parts(answer: &str) -> (u16, String, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("a head: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let head = head.to_lowercase();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    (status, head, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}")))
}

fn assert_refused(answer: &str, status: u16, code: &str) {
    let (found, head, body) = parts(answer);
    assert_eq!(found, status, "{answer}");
    for header in ["content-type: application/json; charset=utf-8", "connection: close", "x-request-id: "] {
        assert!(head.contains(header), "{header}: {answer}");
    }
    let error = &body["error"];
    assert_eq!((&error["status"], &error["code"]), (&status.into(), &code.into()), "{answer}");
    assert!(!error["message"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_answered_like_everything_else() {
    let many: String = (0..150).map(|n| format!("x-{n}: y\r\n")).collect();
    let get = |rest: &str| format!("GET /health HTTP/1.1\r\nhost: x\r\n{rest}\r\n");
    for (request, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /health HTTP/9.9\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /hea lth HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nhost: x\r\n\u{1}: y\r\n\r\n".to_owned(), 400, "bad_request"),
        ("G\u{e9}T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400, "bad_request"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0 a TLS client\r\n\r\n".to_owned(), 400, "bad_request"),
        (get("no colon\r\n"), 400, "bad_request"),
        (get("content-length: x\r\n"), 400, "bad_request"),
        (get("content-length: 1\r\ncontent-length: 2\r\n"), 400, "bad_request"),
        (get("transfer-encoding: gzip\r\n"), 400, "bad_request"),
        (get(&many), 431, "head_too_large"),
        (get(&format!("x: {}\r\n", "y".repeat(2_000_000))), 431, "head_too_large"),
        (get(&format!("x: {}\r\n", "y".repeat(250_000))), 431, "head_too_large"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(70_000)), 414, "uri_too_long"),
    ] {
        let beginning: String = request.chars().take(60).collect();
        println!("{beginning:?}");
        assert_refused(&exchange(request.as_bytes()).await, status, code);
    }
}

/// Also after requests that were answered, in the same breath or not.
#[tokio::test]
async fn a_connection_that_has_been_used_ends_no_worse() {
    let good = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = exchange(format!("{good}{good}nonsense\r\n\r\n").as_bytes()).await;
    let starts: Vec<_> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| at).collect();
    assert_eq!(starts.len(), 3, "{answer}");
    for answer in [&answer[starts[0]..starts[1]], &answer[starts[1]..starts[2]]] {
        assert_eq!(parts(answer).0, 200, "{answer}");
    }
    assert_refused(&answer[starts[2]..], 400, "bad_request");
}

/// Answers of ours are never taken for one of those.
#[tokio::test]
async fn answers_without_a_body_stay_as_they_are() {
    for (request, status) in [
        ("HEAD /api/v1/projects HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "401"),
        ("HEAD /api/v1/nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("HEAD /health?a=%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "302"),
    ] {
        let answer = exchange(request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }
}
