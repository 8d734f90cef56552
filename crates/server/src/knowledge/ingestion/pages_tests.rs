//! Hosts that behave, and such that do not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// All names lead to these.
struct Leading(Vec<IpAddr>);

impl Names for Leading {
    fn look_up(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = self.0.clone();
        Box::pin(async move { Ok(found) })
    }
}

/// Who fetches from 127.0.0.2 and from nowhere else of ours; every name leads to this address.
fn pages(leading: &str) -> Pages {
    let policy = Policy { allow_http: true, allowed: "127.0.0.2".parse().unwrap() };
    Pages::asking(policy, Arc::new(Leading(vec![leading.parse().unwrap()])))
}

/// A host that answers each path with some bytes, and notes the paths.
struct Host {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    async fn at(address: &str, answer: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    let Ok(length @ 1..) = stream.read(&mut bytes).await else { return };
                    let head = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let nth = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(path.clone());
                        seen.len()
                    };
                    let _ = stream.write_all(&answer(&path, nth)).await;
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn html(text: &str) -> Vec<u8> {
    answer("200 OK", "content-type: text/html; charset=utf-8\r\n", text.as_bytes())
}

fn moved(place: &str) -> Vec<u8> {
    answer("302 Found", &format!("location: {place}\r\n"), b"")
}

#[tokio::test]
async fn nothing_of_our_own_network_is_asked() {
    let inside = Host::at("127.0.0.1:0", |_, _| html("secret")).await;
    let port = inside.address.port();
    for host in
        ["127.0.0.1", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "localhost", "169.254.169.254", "10.0.0.1"]
    {
        let refused = pages("127.0.0.1").text(&format!("http://{host}:{port}/")).await.unwrap_err();
        assert_eq!(refused, BLOCKED, "{host}");
    }
    for leading in ["127.0.0.1", "169.254.169.254", "::1", "fd00::1"] {
        let refused = pages(leading).text(&format!("http://pages.example:{port}/")).await.unwrap_err();
        assert_eq!(refused, BLOCKED, "{leading}");
    }
    // Nor by a way round.
    let url = inside.url("/");
    let outside = Host::at("127.0.0.2:0", move |_, _| moved(&url)).await;
    assert_eq!(pages("127.0.0.2").text(&outside.url("/")).await.unwrap_err(), BLOCKED);
    let metadata = Host::at("127.0.0.2:0", |_, _| moved("http://169.254.169.254/latest/meta-data")).await;
    assert_eq!(pages("127.0.0.2").text(&metadata.url("/")).await.unwrap_err(), BLOCKED);
    let file = Host::at("127.0.0.2:0", |_, _| moved("file:///etc/passwd")).await;
    assert!(pages("127.0.0.2").text(&file.url("/")).await.unwrap_err().contains("scheme"));
    assert_eq!((inside.count(), outside.count()), (0, 1));
}

#[tokio::test]
async fn few_redirects_are_followed() {
    let host = Host::at("127.0.0.2:0", |path, _| match path.strip_prefix("/to/").map(str::parse::<usize>) {
        Some(Ok(0)) => html("<h1>Here</h1>"),
        Some(Ok(more)) => moved(&format!("/to/{}", more - 1)),
        _ => answer("302 Found", "", b""),
    })
    .await;
    let pages = pages("127.0.0.2");
    assert_eq!(pages.text(&host.url("/to/3")).await.unwrap(), "# Here");
    assert!(pages.text(&host.url("/to/4")).await.unwrap_err().contains("more than 3 times"));
    assert!(pages.text(&host.url("/nowhere")).await.unwrap_err().contains("nowhere"));
}

#[tokio::test]
async fn what_passes_is_tried_once_more_and_nothing_else_is() {
    let busy = Host::at("127.0.0.2:0", |_, nth| match nth {
        1 => answer("503 Service Unavailable", "", b"my secrets"),
        _ => html("<p>there"),
    })
    .await;
    assert_eq!(pages("127.0.0.2").text(&busy.url("/")).await.unwrap(), "there");
    for (status, told, count) in
        [("500 No", "HTTP 500", 2), ("404 No", "HTTP 404", 1), ("401 No", "HTTP 401", 1)]
    {
        let host = Host::at("127.0.0.2:0", move |_, _| answer(status, "", b"my secrets")).await;
        let refused = pages("127.0.0.2").text(&host.url("/")).await.unwrap_err();
        assert!(refused.contains(told) && !refused.contains("secrets"), "{refused}");
        assert_eq!(host.count(), count, "{status}");
    }
}

#[tokio::test]
async fn what_is_too_large_or_no_text() {
    let host = Host::at("127.0.0.2:0", |path, _| match path {
        "/large" => answer("200 OK", "content-type: text/plain\r\n", &vec![b'x'; MOST + 1]),
        "/fits" => answer("200 OK", "content-type: text/plain\r\n", &vec![b'x'; MOST]),
        "/endless" => answer("200 OK", "content-type: image/png\r\n", b"\x89PNG"),
        _ => answer("200 OK", "content-type: text/plain\r\ncontent-encoding: br\r\n", b"x"),
    })
    .await;
    let pages = pages("127.0.0.2");
    assert_eq!(pages.text(&host.url("/large")).await.unwrap_err(), TOO_LARGE);
    assert_eq!(pages.text(&host.url("/fits")).await.unwrap().len(), 500_000);
    assert!(pages.text(&host.url("/endless")).await.unwrap_err().contains("no text"));
    assert!(pages.text(&host.url("/br")).await.unwrap_err().contains("compressed"));
}
