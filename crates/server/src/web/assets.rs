//! Style sheets, scripts and pictures, compiled into the binary. Their names end with a part of their hash: whatever a browser keeps
//! under a name stays right for ever.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::ApiError;

#[derive(RustEmbed)]
#[folder = "src/web/assets"]
struct Files;

/// All files, by the names that they have on the wire.
struct Assets {
    files: HashMap<String, (&'static str, EmbeddedFile)>,
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
        assets.files.insert(named, (content_type(kind), file));
    }
    assets
});

fn content_type(kind: &str) -> &'static str {
    match kind {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The path of a file, for templates. One that does not exist leads nowhere; a test looks that pages name none such.
pub(crate) fn asset(name: &str) -> &'static str {
    ASSETS.paths.get(name).map_or("/assets/missing", String::as_str)
}

/// A name that has a part of the file's hash may be kept with the file.
pub(crate) const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A file is no page.
pub(crate) const HARMLESS: (HeaderName, HeaderValue) =
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));

/// `GET /assets/{name}`.
///
/// # Errors
/// 404.
pub(crate) async fn serve(name: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|_| ApiError::not_found())?;
    let (content_type, file) = ASSETS.files.get(&name).ok_or_else(ApiError::not_found)?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(([kind, (header::CACHE_CONTROL, FOREVER), HARMLESS], file.data.clone()).into_response())
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
        assert!(ASSETS.files.values().all(|(content_type, _)| *content_type != "application/octet-stream"));
    }
}
