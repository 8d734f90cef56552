//! Style sheets, scripts and pictures, compiled into the binary. Their names end with a part of their hash: whatever a browser keeps
//! under a name stays right for ever.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::http::{ApiError, ApiResult, Asked, Fixed, Name};

const FOREVER: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "src/web/assets"]
struct Files;

/// All files, by the names that they have on the wire.
struct Assets {
    files: HashMap<String, Fixed<String>>,
    /// From a file's own name to the path on the wire.
    paths: HashMap<String, String>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut assets = Assets { files: HashMap::new(), paths: HashMap::new() };
    for name in Files::iter() {
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        let Some(file) = Files::get(&name) else { continue };
        let hash: Vec<u8> = file.metadata.sha256_hash().into_iter().take(6).collect();
        let named = format!("{stem}-{}.{kind}", hex::encode(hash));
        assets.paths.insert(name.to_string(), format!("/assets/{named}"));
        let bytes = Bytes::from(file.data.into_owned());
        assets.files.insert(named, Fixed::bytes(bytes, content_type(kind), FOREVER));
    }
    assets
});

fn content_type(kind: &str) -> &'static str {
    match kind {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

/// The path of a file, for templates. One that does not exist leads nowhere; a test looks that pages name none such.
pub(crate) fn asset(name: &str) -> &'static str {
    ASSETS.paths.get(name).map_or("/assets/missing", String::as_str)
}

/// `GET /assets/{name}`.
///
/// # Errors
/// 404.
pub(crate) async fn serve(Name(name): Name, asked: Asked) -> ApiResult<Response> {
    const HARMLESS: (HeaderName, HeaderValue) =
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    let file = ASSETS.files.get(&name).ok_or_else(ApiError::not_found)?;
    Ok(([HARMLESS], file.unless(&asked)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_what_they_hold() {
        for name in ["pages.css", "mark.svg", "webauthn.js"] {
            let path = asset(name);
            let (stem, kind) = name.rsplit_once('.').unwrap();
            let hash = path.strip_prefix(&format!("/assets/{stem}-")).unwrap();
            assert_eq!(hash.len(), 12 + 1 + kind.len(), "{path}");
            assert!(ASSETS.files.contains_key(path.strip_prefix("/assets/").unwrap()));
        }
        assert_eq!(asset("nothing.css"), "/assets/missing");
        for name in ASSETS.files.keys() {
            assert_ne!(content_type(name.rsplit_once('.').unwrap().1), "application/octet-stream", "{name}");
        }
    }
}
