//! The parts of a text between its headings.

/// The level of a line that is a heading.
fn level(line: &str) -> Option<usize> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let is_heading = rest.trim().is_empty() || rest.starts_with([' ', '\t']);
    (1..=6).contains(&level).then_some(level).filter(|_| is_heading)
}

/// What a line that is a heading says.
pub(super) fn heading(line: &str) -> Option<&str> {
    level(line)?;
    let text = line.trim().trim_start_matches('#').trim();
    // Hashes behind it belong to it only where they follow a word directly.
    let open = text.trim_end_matches('#');
    Some(if open.is_empty() || open.ends_with(char::is_whitespace) { open.trim_end() } else { text })
}

/// The parts of a text, each beginning with a heading of at most this level, but for what comes before the first one. A `#` within
/// fenced code is none. Together they are the text.
pub(super) fn sections(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut begins, mut at, mut fence) = (Vec::new(), 0, 0, None);
    for line in text.split_inclusive('\n') {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        let is_heading = fence.is_none() && level(line).is_some_and(|level| level <= most);
        if is_heading && at > begins {
            parts.push(&text[begins..at]);
            begins = at;
        }
        at += line.len();
    }
    if at > begins {
        parts.push(&text[begins..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headings() {
        for (line, told) in [
            ("# A b\n", Some("A b")),
            ("### C# ##", Some("C#")),
            ("#", Some("")),
            ("###### six ", Some("six")),
            ("####### seven", None),
            ("#hash", None),
            (" # indented", None),
            ("text # no", None),
            ("", None),
        ] {
            assert_eq!(heading(line), told, "{line:?}");
        }
    }

    #[test]
    fn code_has_no_headings() {
        let text = "intro\n# One\n```sh\n# a comment\n~~~\n```\n## Two\n~~~\n# x\n";
        assert_eq!(
            sections(text, 6),
            ["intro\n", "# One\n```sh\n# a comment\n~~~\n```\n", "## Two\n~~~\n# x\n"]
        );
        assert_eq!(sections(text, 1).len(), 2, "the second level is no section of its own");
        assert_eq!(sections("", 6), [""; 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "(#{0,7}|[ \\na`~]|\\PC){0,60}", most in 0..7_usize) {
            let parts = sections(&text, most);
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            prop_assert_eq!(parts.concat(), text);
        }
    }
}
