//! Behind a proxy that ends TLS.

use loopctl_server::serve::ServeOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{http_client, own_database, started};

#[tokio::test]
async fn who_comes_without_tls_is_sent_where_it_is() {
    let public_url = Some("https://loop.test".to_owned());
    let server = started(ServeOptions { public_url, ..ServeOptions::local(own_database()) });
    let http = http_client();
    let send = async |method: Method, path: &str, host: &str, proto: Option<&str>| {
        let request = http.request(method, format!("{}{path}", server.base)).header("host", host);
        let request =
            proto.iter().fold(request, |request, proto| request.header("x-forwarded-proto", *proto));
        let response = request.send().await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        json!([response.status().as_u16(), header("location"), header("strict-transport-security")])
    };
    let year = "max-age=31536000";
    for (method, path, host, proto, expected) in [
        (
            Method::GET,
            "/signup?a=b",
            "loop.test",
            Some("http"),
            json!([301, "https://loop.test/signup?a=b", null]),
        ),
        (Method::POST, "/signup", "loop.test", Some("http"), json!([307, "https://loop.test/signup", null])),
        (Method::GET, "/signup", "loop.test", Some("https"), json!([200, null, year])),
        (Method::GET, "/api/v1", "loop.test", Some("https"), json!([200, null, year])),
        (Method::GET, "/signup", "loop.test", None, json!([200, null, null])),
        (Method::GET, "/health", "loop.test", Some("http"), json!([200, null, null])),
        (Method::GET, "/signup", "localhost:4000", Some("http"), json!([200, null, null])),
    ] {
        let answered: Value = send(method.clone(), path, host, proto).await;
        assert_eq!(answered, expected, "{method} {path} {host} {proto:?}");
    }
}
