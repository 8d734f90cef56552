//! Answers to what never becomes a request: connections beyond the limits, and heads that hyper refuses by itself.
//!
//! hyper answers those with an empty body, and has no setting for it. It writes such an answer in one piece, as the last of
//! its connection and never while a request is being answered; where the bytes of a connection pass by, it is exchanged.

use axum::http::StatusCode;
use loopctl_core::code::Code;
use serde_json::json;
use uuid::Uuid;

/// What somebody is told for whom there is no connection.
pub(super) fn full() -> Vec<u8> {
    let message = "Service Unavailable: too many connections are open; close some, or try again";
    answer(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyConnections, message, "retry-after: 5\r\n")
}

/// The answer to go out instead of these bytes, if they are a refusal of hyper's.
pub(super) fn instead_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let status = refused_by_hyper(bytes)?;
    let (code, message) = match status {
        StatusCode::BAD_REQUEST => (
            Code::BadRequest,
            "Bad Request: the head of the request cannot be read; send a line with method, path and version, a line for \
             each header, and an empty one",
        ),
        StatusCode::URI_TOO_LONG => (
            Code::UriTooLong,
            "URI Too Long: a path and its query may have 65534 bytes; send the rest in the body",
        ),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            Code::HeadTooLarge,
            "Request Header Fields Too Large: send at most 100 headers, with less than 96 KiB in all",
        ),
        _ => return None,
    };
    Some(answer(status, code, message, ""))
}

/// The status of a head that has no header of this server's own, and no body: what hyper writes by itself.
fn refused_by_hyper(bytes: &[u8]) -> Option<StatusCode> {
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    let bare = lines.all(|line| {
        let name = line.split(':').next().unwrap_or_default();
        ["connection", "content-length", "date"].contains(&name)
    });
    StatusCode::from_bytes(status.as_bytes()).ok().filter(|_| bare)
}

/// A whole answer in the common form. `headers` are further ones, each with its line's end.
fn answer(status: StatusCode, code: Code, message: &str, headers: &str) -> Vec<u8> {
    let id = Uuid::now_v7();
    tracing::info!(request_id = %id, status = status.as_u16(), %code, "answered what was no request");
    let body = json!({"error": {"status": status.as_u16(), "code": code, "message": message}}).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\nx-request-id: {id}\r\n{headers}\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole() {
        let refused = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        for (bytes, status) in [(full(), 503), (instead_of(refused.as_bytes()).unwrap(), 400)] {
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
            let told: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(told["error"]["status"], status);
        }
    }

    #[test]
    fn only_what_hyper_says_by_itself_is_exchanged() {
        let head =
            |line: &str, rest: &str| format!("HTTP/1.{line}\r\n{rest}content-length: 0\r\ndate: x\r\n\r\n");
        for line in [
            "1 400 Bad Request",
            "0 400 Bad Request",
            "1 431 Request Header Fields Too Large",
            "1 414 URI Too Long",
        ] {
            assert!(instead_of(head(line, "").as_bytes()).is_some(), "{line}");
            assert!(instead_of(head(line, "connection: close\r\n").as_bytes()).is_some(), "{line}");
            // Ours have an id.
            assert_eq!(instead_of(head(line, "x-request-id: y\r\n").as_bytes()), None, "{line}");
        }
        for other in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "\r\n\r\n",
            "",
            "{}",
            "\u{e9}",
        ] {
            assert_eq!(instead_of(other.as_bytes()), None, "{other:?}");
        }
    }
}
