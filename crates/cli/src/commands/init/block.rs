//! A block between two marker lines in a text of somebody else's: put in so that taking it out gives every byte back.
//!
//! How a file looked before is told by where the block stands: a text that ended with a newline (or was empty) has a blank line
//! before the block and a newline after it; one that did not end so has none after the block; and a file that was not there
//! begins with it.
//!
//! The first marker has a digest of the lines between, so that what somebody has changed there is seen, whichever version wrote it.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// The lines around a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Markers {
    /// The line before it: this, a blank and a digest, and what it ends with. Without a digest it is of a version that had none.
    begin: &'static str,
    begin_ends: &'static str,
    end: &'static str,
}

/// Those of Markdown.
pub(super) const MARKDOWN: Markers =
    Markers { begin: "<!-- loopctl:begin", begin_ends: " -->", end: "<!-- loopctl:end -->" };
/// Those of TOML.
pub(super) const TOML: Markers = Markers { begin: "# loopctl:begin", begin_ends: "", end: "# loopctl:end" };

/// By which lines are known again, whatever they end with.
pub(super) fn digest<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// What is left of a file without its block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The file was nothing else.
    Nothing,
    /// Text.
    Text(String),
}

impl Markers {
    /// `text` (none, if there is no file) with `body` between the markers, in place of what stands there.
    pub(super) fn put(self, text: Option<&str>, body: &str) -> Result<String, String> {
        let Some(text) = text else {
            return Ok(format!("{}\n", self.block(body, "\n")));
        };
        if let Some((block, newline)) = self.find(text)? {
            return Ok(format!(
                "{}{}{}",
                &text[..block.start],
                self.block(body, newline),
                &text[block.end..]
            ));
        }
        let newline = newline_of(text);
        let block = self.block(body, newline);
        Ok(if text.is_empty() || text.ends_with('\n') {
            format!("{text}{newline}{block}{newline}")
        } else {
            format!("{text}{newline}{newline}{block}")
        })
    }

    /// `text` without the block, or nothing if there is none.
    pub(super) fn take(self, text: &str) -> Result<Option<Rest>, String> {
        let Some((block, newline)) = self.find(text)? else {
            return Ok(None);
        };
        let (before, after) = (&text[..block.start], &text[block.end..]);
        let without = |text: &'_ str| text.strip_suffix(newline).unwrap_or(text).to_owned();
        Ok(Some(match after.strip_prefix(newline) {
            Some("") | None if before.is_empty() && after.len() <= newline.len() => Rest::Nothing,
            Some(after) => Rest::Text(without(before) + after),
            None => Rest::Text(without(&without(before)) + after),
        }))
    }

    /// Whether a block begins in `text`.
    pub(super) fn are_in(self, text: &str) -> bool {
        text.lines().any(|line| self.noted(line).is_some())
    }

    /// Whether somebody has changed the block in `text` since it was put there. `body` is what belongs there.
    pub(super) fn is_changed(self, text: &str, body: &str) -> Result<bool, String> {
        let Some((block, _)) = self.find(text)? else {
            return Ok(false);
        };
        let mut lines = text[block].lines();
        let noted = lines.next().and_then(|line| self.noted(line)).unwrap_or_default();
        lines.next_back();
        let found = digest(lines);
        Ok(found != noted && found != digest(body.lines()))
    }

    fn block(self, body: &str, newline: &str) -> String {
        let begin = format!("{} {}{}", self.begin, digest(body.lines()), self.begin_ends);
        let lines = std::iter::once(begin.as_str()).chain(body.lines()).chain(std::iter::once(self.end));
        lines.collect::<Vec<_>>().join(newline)
    }

    /// The digest in the line before a block; None: it is no such line.
    fn noted(self, line: &str) -> Option<&str> {
        let noted = line.strip_prefix(self.begin)?.strip_suffix(self.begin_ends)?;
        let is_digest = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match noted.strip_prefix(' ') {
            Some(digest) if !digest.is_empty() && is_digest(digest) => Some(digest),
            None if noted.is_empty() => Some(noted),
            _ => None,
        }
    }

    /// Where the block stands, without the newline behind it, and what its lines end with.
    fn find(self, text: &str) -> Result<Option<(Range<usize>, &'static str)>, String> {
        let mut begins = Vec::new();
        let mut ends = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let content =
                line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
            if self.noted(content).is_some() {
                begins.push((at, if line.ends_with("\r\n") { "\r\n" } else { "\n" }));
            } else if content == self.end {
                ends.push(at + content.len());
            }
            at += line.len();
        }
        match (begins[..].first(), ends[..].first()) {
            (None, None) => Ok(None),
            (Some((begin, newline)), Some(end)) if begins.len() == 1 && ends.len() == 1 && begin < end => {
                Ok(Some((*begin..*end, newline)))
            }
            _ => {
                let begin = format!("{}{}", self.begin, self.begin_ends);
                Err(format!("its lines '{begin}' and '{}' are no pair", self.end))
            }
        }
    }
}

/// What the lines of a text end with: what its first one does.
pub(super) fn newline_of(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((first, _)) if first.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_no_pair_is_refused() {
        for text in [
            "<!-- loopctl:begin -->\n",
            "<!-- loopctl:end -->\n",
            "<!-- loopctl:end -->\n<!-- loopctl:begin -->\n",
            "<!-- loopctl:begin -->\n<!-- loopctl:begin -->\n<!-- loopctl:end -->",
            "<!-- loopctl:begin -->\n<!-- loopctl:end -->\n<!-- loopctl:end -->",
        ] {
            assert!(MARKDOWN.put(Some(text), "x").unwrap_err().ends_with("are no pair"), "{text:?}");
            assert!(MARKDOWN.take(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_was_changed_within_a_block_is_seen() {
        for markers in [MARKDOWN, TOML] {
            let put = markers.put(Some("a\n"), "one\ntwo").unwrap();
            let changed = |text: &str, body: &str| markers.is_changed(text, body).unwrap();
            for text in [put.clone(), put.replace('\n', "\r\n"), format!("before\n{put}after")] {
                // Written by a version that wrote something else.
                assert!(!changed(&text, "other"), "{text}");
                assert!(changed(&text.replace("two", "two, and more"), "other"), "{text}");
                assert!(changed(&text.replace("two", "two\nthree"), "other"), "{text}");
            }
            assert!(!changed("nothing of ours\n", "other"));
            // Without a digest nobody knows, unless it is what belongs there.
            let old = put.replace(&format!(" {}", digest(["one", "two"].into_iter())), "");
            assert!(markers.are_in(&old) && !changed(&old, "one\ntwo") && changed(&old, "other"), "{old}");
        }
        for none in ["<!-- loopctl:begin  -->", "<!-- loopctl:begin x -->", "<!-- loopctl:beginning -->"] {
            assert!(!MARKDOWN.are_in(none), "{none}");
        }
    }

    #[test]
    fn a_block_is_replaced_where_it_stands() {
        let text = "a\r\n<!-- loopctl:begin -->\r\nold\r\nolder\r\n<!-- loopctl:end -->\r\nb";
        let put = MARKDOWN.put(Some(text), "new").unwrap();
        let digest = digest(["new"].into_iter());
        assert_eq!(put, format!("a\r\n<!-- loopctl:begin {digest} -->\r\nnew\r\n<!-- loopctl:end -->\r\nb"));
        assert_eq!(MARKDOWN.put(Some(&put), "new").unwrap(), put);
    }

    #[test]
    fn taken_out_every_text_is_as_before() {
        for text in ["", "\n", "a", "a\n", "a\n\n", "a\r\nb", "a\r\nb\r\n", "a\r", "a\n\r", "\u{feff}a\r\n\n"]
        {
            let put = MARKDOWN.put(Some(text), "one\n\ntwo").unwrap();
            assert_eq!(MARKDOWN.take(&put).unwrap(), Some(Rest::Text(text.to_owned())), "{put:?}");
        }
        let put = MARKDOWN.put(None, "one").unwrap();
        let digest = digest(["one"].into_iter());
        assert_eq!(put, format!("<!-- loopctl:begin {digest} -->\none\n<!-- loopctl:end -->\n"));
        assert_eq!(MARKDOWN.take(&put).unwrap(), Some(Rest::Nothing));
        assert_eq!(MARKDOWN.take("a").unwrap(), None);
    }

    #[test]
    fn what_was_written_around_a_block_stays() {
        let text = format!("{}more\n", MARKDOWN.put(None, "one").unwrap());
        assert_eq!(MARKDOWN.take(&text).unwrap(), Some(Rest::Text("more\n".to_owned())));
        let text = format!("{}\nmore", MARKDOWN.put(Some("a"), "one").unwrap());
        assert_eq!(MARKDOWN.take(&text).unwrap(), Some(Rest::Text("a\nmore".to_owned())));
    }
}
