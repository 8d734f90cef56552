//! What of a diff is not shown, because it is somebody else's and may be a secret.
//!
//! A line of somebody else's is in a diff only where something of ours was put beside it, or taken away: then it is on both sides. So
//! what stands on both sides is hidden, but for the names of members, without which nobody would see where it is.

use std::collections::HashSet;

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    /// Blanks, and what JSON and TOML put things together with.
    Between(&'a str),
    /// A text in quotes, or what is between blanks: a number, a word of a comment.
    Value(&'a str),
    /// The same before a `:` or `=`.
    Name(&'a str),
}

/// A diff without what stands on both sides.
pub(super) fn masked(diff: &str) -> String {
    let changed = |sign: char| {
        let lines = diff.lines().filter(move |line| line.starts_with(sign) && !is_header(line));
        lines.flat_map(|line| pieces(&line[1..])).filter_map(|piece| match piece {
            Piece::Value(text) => Some(text),
            Piece::Between(_) | Piece::Name(_) => None,
        })
    };
    let before: HashSet<&str> = changed('-').collect();
    let both: HashSet<&str> = changed('+').filter(|text| before.contains(text)).collect();
    let shown = |line: &str| {
        if !line.starts_with(['-', '+']) || is_header(line) {
            return line.to_owned();
        }
        let pieces = pieces(&line[1..]).into_iter().map(|piece| match piece {
            Piece::Value(text) if both.contains(text) => "…",
            Piece::Between(text) | Piece::Value(text) | Piece::Name(text) => text,
        });
        format!("{}{}", &line[..1], pieces.collect::<String>())
    };
    diff.lines().map(shown).collect::<Vec<_>>().join("\n")
}

fn is_header(line: &str) -> bool {
    line.starts_with("--- ") || line.starts_with("+++ ")
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    let is_between = |char: char| char.is_whitespace() || "{}[],:=".contains(char);
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '\'' => quoted(rest, first),
            _ if is_between(first) => rest.find(|char| !is_between(char)).unwrap_or(rest.len()),
            _ => rest.find(|char| is_between(char) || char == '"').unwrap_or(rest.len()),
        };
        let (piece, behind) = rest.split_at(end);
        pieces.push(match behind.trim_start().starts_with([':', '=']) {
            _ if is_between(first) => Piece::Between(piece),
            true => Piece::Name(piece),
            false => Piece::Value(piece),
        });
        rest = behind;
    }
    pieces
}

/// Where a text in quotes ends: with the line, if it does not.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_both_sides_is_hidden() {
        let diff = "--- a.json\n+++ a.json\n@@ -1 +1 @@\n\
            -{\"other\": {\"env\": {\"KEY\": \"lc_\\\" secret\", \"PIN\": 1234}}} // lc_too\n\
            +{\"other\": {\"env\": {\"KEY\": \"lc_\\\" secret\", \"PIN\": 1234}}, \"loopctl\": \"ours\"} // lc_too";
        let shown = "--- a.json\n+++ a.json\n@@ -1 +1 @@\n\
            -{\"other\": {\"env\": {\"KEY\": …, \"PIN\": …}}} … …\n\
            +{\"other\": {\"env\": {\"KEY\": …, \"PIN\": …}}, \"loopctl\": \"ours\"} … …";
        assert_eq!(masked(diff), shown);
        let toml = "-key = 'lc secret'\n\\ No newline at end of file\n+key = 'lc secret'\n+[mcp_servers.loopctl]\n+args = [\"mcp\"]";
        let shown =
            "-key = …\n\\ No newline at end of file\n+key = …\n+[mcp_servers.loopctl]\n+args = [\"mcp\"]";
        assert_eq!(masked(toml), shown);
    }

    #[test]
    fn what_is_ours_alone_is_shown() {
        for diff in [
            "-\"a\": \"${OLD}\"\n+\"a\": \"${NEW}\"",
            "+{\n+  \"a\": [\"x\"]\n+}",
            "-'unended\n+\"",
            " \"x\"",
        ] {
            assert_eq!(masked(diff), diff);
        }
    }
}
