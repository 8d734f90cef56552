//! Receivers that behave, and such that do not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers to each look-up with the next of these, and at last with the last one.
struct Scripted(Mutex<Vec<&'static [&'static str]>>);

impl Names for Scripted {
    fn look_up(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        let addresses = answer.iter().map(|address| address.parse().unwrap()).collect();
        Box::pin(async move { Ok(addresses) })
    }
}

fn sender(allowed: &str, names: &[&'static [&'static str]]) -> Sender {
    let policy = Policy { allow_http: true, allowed: allowed.parse().unwrap() };
    Sender::new(policy, Arc::new(Scripted(Mutex::new(names.to_vec()))))
}

async fn post(sender: &Sender, url: &str) -> Attempt {
    sender.post(url, HeaderMap::new(), b"{}".to_vec()).await
}

/// Somebody who listens, and what came in.
struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Answers whatever comes with these bytes, and closes the connection if told so.
    async fn at(address: &str, answer: &'static [u8], closes: bool) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                        seen.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                        stream.write_all(answer).await.unwrap();
                        if closes {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    async fn answering(answer: &'static [u8]) -> Self {
        Self::at("127.0.0.1:0", answer, false).await
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

#[tokio::test]
async fn addresses_that_no_webhook_may_reach_are_not_reached() {
    let receiver = Receiver::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "a.internal"] {
        let attempt = post(&sender("", &[&["127.0.0.1"]]), &format!("http://{host}:{port}/")).await;
        assert_eq!(attempt.error.as_deref(), Some("blocked_address"), "{host}");
    }
    // One bad address among good ones is enough.
    for found in [&["127.0.0.1"][..], &["8.8.8.8", "127.0.0.1"], &["::1"], &["64:ff9b::7f00:1"]] {
        let names = Scripted(Mutex::new(vec![found]));
        let sender = Sender::new(Policy::default(), Arc::new(names));
        let attempt = post(&sender, &format!("http://hooks.example:{port}/")).await;
        assert_eq!(attempt.error.as_deref(), Some("blocked_address"), "{found:?}");
        assert_eq!((attempt.status, attempt.excerpt), (None, None));
    }
    assert_eq!(receiver.count(), 0);
    let insecure = Policy { allow_http: false, allowed: "127.0.0.1".parse().unwrap() };
    let attempt =
        post(&Sender::new(insecure, Arc::new(Scripted(Mutex::new(vec![&[]])))), &receiver.url()).await;
    assert_eq!(attempt.error.as_deref(), Some("delivery_error: the URL must use HTTPS scheme"));
}

/// A name that leads to a good address when it is looked at, and to this machine a moment later: what is connected to is what was
/// looked at, and the next time it is looked at again.
#[tokio::test]
async fn a_name_that_is_bound_to_another_address_leads_nowhere_else() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let good = Receiver::at("127.0.0.2:0", ANSWER, true).await;
    let inside = Receiver::at(&format!("127.0.0.1:{}", good.address.port()), ANSWER, true).await;
    let sender = sender("127.0.0.2", &[&["127.0.0.2"], &["127.0.0.1"]]);
    let url = format!("http://hooks.example:{}/hook", good.address.port());
    assert_eq!(post(&sender, &url).await.error, None);
    let request = good.requests.lock().unwrap().concat().to_ascii_lowercase();
    assert!(request.contains(&format!("host: hooks.example:{}", good.address.port())), "{request}");
    assert_eq!(post(&sender, &url).await.error.as_deref(), Some("blocked_address"));
    assert_eq!((good.count(), inside.count()), (1, 0));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let inside = Receiver::at("127.0.0.1:0", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true).await;
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 4\r\n\r\nmove", inside.url());
    let receiver = Receiver::answering(answer.leak().as_bytes()).await;
    let attempt = post(&sender("127.0.0.1", &[&[]]), &receiver.url()).await;
    assert_eq!((attempt.status, attempt.error.as_deref()), (Some(302), Some("HTTP 302: move")));
    assert_eq!((receiver.count(), inside.count()), (1, 0));
}

/// The clock stands still but for those who wait for it.
#[tokio::test(start_paused = true)]
async fn who_does_not_answer_in_time() {
    let sender = sender("127.0.0.1", &[&[]]);
    for (answer, status, error) in [
        (&b""[..], None, Some("timeout")),
        (b"HTTP/1.1 200 O", None, Some("timeout")),
        (b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nhalf", Some(500), Some("HTTP 500: half")),
        // What was acknowledged stays so.
        (b"HTTP/1.1 204 OK\r\ntransfer-encoding: chunked\r\n\r\n", Some(204), None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", Some(200), None),
    ] {
        let receiver = Receiver::answering(answer).await;
        let attempt = post(&sender, &receiver.url()).await;
        let told = String::from_utf8_lossy(answer);
        assert_eq!((attempt.status, attempt.error.as_deref()), (status, error), "{told}");
        assert!(attempt.latency <= 10_500, "{told}: {}", attempt.latency);
        assert!(error != Some("timeout") || attempt.latency >= 10_000, "{told}: {}", attempt.latency);
    }
}

#[tokio::test]
async fn answers_are_cut_and_made_text() {
    let sender = sender("127.0.0.1", &[&[]]);
    let long = "é".repeat(2_000);
    let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let attempt = post(&sender, &Receiver::answering(answer.leak().as_bytes()).await.url()).await;
    assert_eq!(attempt.error, Some(format!("HTTP 404: {}", "é".repeat(200))));
    assert_eq!(attempt.excerpt, Some("é".repeat(512)));
    let odd = Receiver::answering(b"HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\na\0b\xff\xc3").await;
    let attempt = post(&sender, &odd.url()).await;
    assert_eq!(attempt.error.as_deref(), Some("HTTP 503: a\u{fffd}b\u{fffd}\u{fffd}"));
    let zeros = format!("HTTP/1.1 500 No\r\ncontent-length: 3000\r\n\r\n{}", "\0".repeat(3000));
    let attempt = post(&sender, &Receiver::answering(zeros.leak().as_bytes()).await.url()).await;
    assert!(attempt.excerpt.unwrap().len() <= EXCERPT);
    // Whoever sends without end is not listened to for long.
    let endless = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = endless.local_addr().unwrap();
    let sending = tokio::spawn(async move {
        let (mut stream, _) = endless.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let attempt = post(&sender, &format!("http://{address}/")).await;
    assert_eq!((attempt.error, attempt.excerpt), (None, Some("x".repeat(EXCERPT))));
    tokio::time::timeout(Duration::from_secs(60), sending).await.expect("it was hung up on").unwrap();
}

/// Reasons say what went wrong, and nothing of where.
#[tokio::test]
async fn who_is_not_there_and_who_does_not_speak_http() {
    let sender = sender("127.0.0.1", &[&["127.0.0.1"]]);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{gone}/secret"), format!("http://hooks.example:{}/secret", gone.port())] {
        let error = post(&sender, &url).await.error.unwrap();
        assert!(error.starts_with("connection_error: Connection refused"), "{error}");
        assert!(!error.contains("127.0.0.1") && !error.contains("secret"), "{error}");
    }
    for answer in [&b"220 mail.example ESMTP\r\n"[..], b"HTTP/1.1 2"] {
        let receiver = Receiver::at("127.0.0.1:0", answer, true).await;
        let attempt = post(&sender, &receiver.url()).await;
        let error = attempt.error.unwrap();
        assert!(error.starts_with("connection_error: ") && !error.contains("127.0.0.1"), "{error}");
        assert_eq!(attempt.status, None);
    }
    let nowhere = Sender::new(Policy::default(), Arc::new(Scripted(Mutex::new(vec![&[]]))));
    let error = post(&nowhere, "https://hooks.example/").await.error.unwrap();
    assert!(error.contains("_error: "), "{error}");
}

/// Whose certificate nobody has signed is told nothing.
#[tokio::test]
async fn certificates_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (key, cert) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks.example"])
        .args(["-addext", "subjectAltName=DNS:hooks.example", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    // A free port, which nobody else is likely to take in between.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}"), "-key"])
        .arg(&key)
        .arg("-cert")
        .arg(&cert)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listening = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), listening).await.expect("openssl listens");
    let attempt =
        post(&sender("127.0.0.1", &[&["127.0.0.1"]]), &format!("https://hooks.example:{port}/")).await;
    server.kill().unwrap();
    server.wait().unwrap();
    let error = attempt.error.unwrap();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(attempt.status, None);
}
