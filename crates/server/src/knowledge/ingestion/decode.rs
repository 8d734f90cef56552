//! What was fetched, as text.

use std::borrow::Cow;
use std::io::Read as _;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use flate2::read::MultiGzDecoder;
use loopctl_core::knowledge::page_text;

use super::item::MOST_CONTENT;

/// The most bytes of a page, as it came and as it is.
pub(super) const MOST: usize = 5 * 1024 * 1024;
pub(super) const TOO_LARGE: &str = "the page is larger than 5 MB";

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// None: it does not say.
    is_html: Option<bool>,
    is_compressed: bool,
    encoding: Option<&'static Encoding>,
}

impl Written {
    /// As its headers say.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn of(content_type: Option<&str>, content_encoding: Option<&str>) -> Result<Self, String> {
        let is_compressed = match content_encoding.map(str::trim).unwrap_or_default() {
            "" | "identity" => false,
            "gzip" | "x-gzip" => true,
            _ => return Err("the page is compressed in a way that was not asked for".to_owned()),
        };
        let mut parts =
            content_type.unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
        let kind = parts.next().unwrap_or_default();
        let is_html = match kind.as_str() {
            "" => None,
            "text/html" | "application/xhtml+xml" => Some(true),
            kind if is_text(kind) => Some(false),
            _ => {
                return Err(
                    "the page is no text: only HTML, plain text, Markdown, JSON and XML are read".to_owned()
                );
            }
        };
        let charset =
            parts.find_map(|part| Some(part.strip_prefix("charset=")?.trim_matches('"').to_owned()));
        let encoding = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
        Ok(Self { is_html, is_compressed, encoding })
    }
}

fn is_text(kind: &str) -> bool {
    let Some((family, rest)) = kind.split_once('/') else { return false };
    let structured = ["json", "xml", "yaml", "x-yaml", "markdown", "x-ndjson"];
    family == "text"
        || family == "application"
            && structured
                .iter()
                .any(|name| rest == *name || rest.strip_suffix(name).is_some_and(|of| of.ends_with('+')))
}

/// The text of a page, at most as long as a text that is sent along may be.
pub(super) fn decode(bytes: &[u8], written: &Written) -> Result<String, String> {
    let bytes = if written.is_compressed { Cow::Owned(unpacked(bytes)?) } else { Cow::Borrowed(bytes) };
    let is_utf8 = || std::str::from_utf8(&bytes).is_ok();
    // What does not say how it is written is mostly written as everything is, or as everything was.
    let encoding = written.encoding.unwrap_or_else(|| if is_utf8() { UTF_8 } else { WINDOWS_1252 });
    let (text, ..) = encoding.decode(&bytes);
    let text = text.replace('\0', "\u{fffd}");
    let is_html = written.is_html.unwrap_or_else(|| {
        let begin: String = text.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
        begin.starts_with("<!doctype html") || begin.starts_with("<html")
    });
    let mut text = if is_html { page_text(&text) } else { text };
    if let Some((end, _)) = text.char_indices().nth(MOST_CONTENT) {
        text.truncate(end);
    }
    Ok(text)
}

/// No more of it than may be, however small it came.
fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let most = MOST as u64 + 1;
    let read = MultiGzDecoder::new(bytes).take(most).read_to_end(&mut unpacked);
    read.map_err(|_| "the page is compressed wrongly".to_owned())?;
    if unpacked.len() > MOST { Err(TOO_LARGE.to_owned()) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text(content_type: &str, bytes: &[u8]) -> String {
        decode(bytes, &Written::of(Some(content_type), None).unwrap()).unwrap()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        for kind in ["image/png", "application/pdf", "application/octet-stream", "application/xmlish", "html"]
        {
            assert!(Written::of(Some(kind), None).unwrap_err().contains("no text"), "{kind}");
        }
        for kind in [
            "text/plain",
            "TEXT/HTML; charset=utf-8",
            "application/json",
            "application/ld+json",
            "application/rss+xml",
            "application/xml",
        ] {
            assert!(Written::of(Some(kind), None).is_ok(), "{kind}");
        }
        assert!(Written::of(None, None).is_ok());
        for encoding in ["br", "deflate", "gzip, gzip", "zstd"] {
            assert!(Written::of(None, Some(encoding)).is_err(), "{encoding}");
        }
    }

    #[test]
    fn letters_of_old() {
        assert_eq!(text("text/plain; charset=ISO-8859-1", b"caf\xe9"), "café");
        assert_eq!(text("text/plain;charset=\"shift_jis\"", b"\x93\xfa\x96\x7b"), "日本");
        assert_eq!(text("text/plain", b"caf\xe9"), "café", "it does not say");
        assert_eq!(text("text/plain", "café".as_bytes()), "café");
        assert_eq!(text("text/plain; charset=nonsense", "a\0b".as_bytes()), "a\u{fffd}b");
        assert_eq!(text("text/html", b"<h1>A</h1><script>x</script>b"), "# A\n\nb");
        assert_eq!(text("text/plain", b"<h1>A</h1>"), "<h1>A</h1>");
        let unknown = Written::of(None, None).unwrap();
        assert_eq!(decode(b" <!DOCTYPE html><p>x", &unknown).unwrap(), "x");
        assert_eq!(decode(b"<x>", &unknown).unwrap(), "<x>");
        assert_eq!(text("text/plain", &vec![b'x'; MOST]).len(), MOST_CONTENT);
    }

    #[test]
    fn what_is_small_when_it_comes_may_not_be_large() {
        let written = Written::of(Some("text/plain"), Some("gzip")).unwrap();
        assert_eq!(decode(&packed(b"hello"), &written).unwrap(), "hello");
        let bomb = packed(&vec![0; 20 * MOST]);
        assert!(bomb.len() < 200_000);
        assert_eq!(decode(&bomb, &written).unwrap_err(), TOO_LARGE);
        assert!(decode(b"nonsense", &written).is_err());
        assert!(decode(&packed(b"hello")[..10], &written).is_err());
    }
}
