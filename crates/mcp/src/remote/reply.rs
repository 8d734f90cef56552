//! What comes back over HTTP, as it is handed on.

use reqwest::Response;
use serde_json::Value;

use super::status;
use crate::api::{MOST_BYTES, Reply};

/// Characters of an answer that is no JSON.
const MOST: usize = 500;

/// Reads an answer.
pub(super) async fn read(mut response: Response) -> Result<Reply, String> {
    let code = response.status();
    let is_json = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("json"));
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(format!("the answer has more than {MOST_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    if code == http::StatusCode::NO_CONTENT {
        return Ok(Reply::without_content());
    }
    let text = String::from_utf8_lossy(&bytes);
    match serde_json::from_str(&text) {
        Ok(body) => Ok(status(code, body)),
        // What says that it is JSON and is none was not done, as far as anybody knows.
        Err(_) if is_json && code.is_success() => {
            Ok(Reply { status: 0, body: Value::String(format!("Invalid JSON ({code}): {}", cut(&text))) })
        }
        Err(_) if code.is_success() => Ok(status(code, Value::String(text.into_owned()))),
        Err(_) => Ok(status(code, Value::String(plain(&text)))),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MOST).collect()
}

/// A page that somebody between us and the server has answered: what it says, without what makes it a page.
fn plain(text: &str) -> String {
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let (mut said, mut is_tag) = (String::new(), false);
    for char in text.chars() {
        match char {
            '<' => is_tag = true,
            '>' if is_tag => {
                is_tag = false;
                said.push(' ');
            }
            char if !is_tag => said.push(char),
            _ => {}
        }
    }
    let said = said.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if said.chars().count() <= MOST { said } else { format!("{}... (truncated)", cut(&said)) }
}

/// Whether what was seen of the log before is no good any more: then nothing was done, and it may be asked anew.
pub(super) fn is_about_the_witness(reply: &Reply) -> bool {
    let code = reply.body["error"]["code"].as_str().or_else(|| reply.body["code"].as_str());
    [412, 428].contains(&reply.status)
        && matches!(code, Some("witness_header_missing" | "witness_header_malformed" | "witness_stale"))
}

/// Whether reading the same again may come to something.
pub(super) fn worth_another(reply: &Reply) -> bool {
    match reply.status {
        429 | 502 | 504 => true,
        503 => reply.body["error"]["code"] != "tenant_halted",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_as_text() {
        assert_eq!(plain("<b>short</b>"), "<b>short</b>");
        let page = format!("<html><p>Bad &amp; gateway</p>{}</html>", "<i>x</i> ".repeat(400));
        let said = plain(&page);
        assert!(said.starts_with("Bad & gateway x x"), "{said}");
        assert!(said.ends_with("... (truncated)") && !said.contains('<'));
        assert!(said.chars().count() <= MOST + "... (truncated)".len());
    }
}
