//! Texts in lines that are no longer than there is room for.

use textwrap::{Options, WordSeparator, WordSplitter};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::table::{harmless, one_line};

/// What stands for the rest of a text, in every locale.
const ELLIPSIS: &str = "...";
/// What is set in as far is code, of which lines stay as they are.
const CODE: usize = 4;
/// However narrow the screen is, so much of a text stands on a line.
const NARROWEST: usize = 10;

/// The text on one line, no wider than `width`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.width() <= width {
        return text;
    }
    let mut used = ELLIPSIS.len();
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    let kept: String = text.chars().take_while(fits).collect();
    // What was cut before is cut once.
    format!("{}{ELLIPSIS}", kept.trim_end_matches([' ', '.', '…']))
}

/// A text of one or more lines, which does nothing but stand there. Lists stay lists, and code stays as it is.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    flowing(&harmless(text).replace('\t', "    "), width)
}

/// The same of a text that is harmless already, whatever stands out in it.
pub(crate) fn flowing(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut is_fenced) = (Vec::new(), false);
    for line in text.trim_matches(['\n', '\r']).lines().map(str::trim_end) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let is_fence = line.trim_start().starts_with("```");
        if is_fence {
            is_fenced = !is_fenced;
        }
        let item = marker(line, indent);
        if is_fence || is_fenced || (indent >= CODE && item == 0) {
            lines.push(line.to_owned());
            continue;
        }
        let (lead, rest) = line.split_at(indent + item);
        match lead.trim_start().starts_with('>') {
            true => lines.extend(wrap(lead, lead, rest, width)),
            false => lines.extend(hanging(lead, rest, width)),
        }
    }
    lines
}

/// A text behind `lead`, whose further lines begin where its first one does.
pub(crate) fn hanging(lead: &str, text: &str, width: usize) -> Vec<String> {
    wrap(lead, &" ".repeat(lead.width()), text, width)
}

fn wrap(lead: &str, further: &str, text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width.max(lead.width() + NARROWEST))
        .initial_indent(lead)
        .subsequent_indent(further)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// How long the mark of a list's item is, behind so many blanks: `- `, `12. `, `> > `; nothing where there is none.
fn marker(line: &str, indent: usize) -> usize {
    let rest = line.get(indent..).unwrap_or_default();
    let quote = rest.len() - rest.trim_start_matches("> ").len();
    if quote > 0 {
        return quote;
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mark = rest.get(digits..).unwrap_or_default();
    let is_mark = match digits {
        0 => ["- ", "* ", "+ "].iter().any(|bullet| mark.starts_with(bullet)),
        1..=3 => mark.starts_with(". ") || mark.starts_with(") "),
        _ => false,
    };
    if is_mark { digits + 2 } else { 0 }
}

/// A member of the wire as a label: `agent_status` is `agent status`, `inserted_at` is `created`.
pub(crate) fn label(member: &str) -> String {
    let name = member.rsplit('.').next().unwrap_or(member);
    match name {
        "inserted_at" => "created".to_owned(),
        "updated_at" => "changed".to_owned(),
        _ => name.strip_suffix("_at").unwrap_or(name).replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!(cut("Log in", 6), "Log in");
        assert_eq!(cut("Log in", 5), "Lo...");
        assert_eq!(cut("日本日本", 7), "日本...");
        assert_eq!(cut("a\u{1b}[2J\nb", 20), "a\\x1b[2J b");
        assert_eq!(cut("", 3), "");
    }

    #[test]
    fn lists_hang_and_code_stays() {
        let text = "First line that is long.\n\n- an item that goes on\n  1. one below it, long\n\n    code that is never wrapped at all\n\
                    ```\nnor in a fence, however long it is\n```\r\nEnd\u{1b}";
        assert_eq!(
            wrapped(text, 20),
            [
                "First line that is",
                "long.",
                "",
                "- an item that goes",
                "  on",
                "  1. one below it,",
                "     long",
                "",
                "    code that is never wrapped at all",
                "```",
                "nor in a fence, however long it is",
                "```",
                "End\\x1b",
            ]
        );
    }

    #[test]
    fn words_without_blanks_are_broken() {
        let lines = wrapped(&"日本".repeat(12), 20);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.width() <= 20), "{lines:?}");
        assert_eq!(wrapped("", 20), Vec::<String>::new());
        assert_eq!(wrapped("> a quotation that is long", 20), ["> a quotation that", "> is long"]);
    }

    #[test]
    fn labels_are_words() {
        assert_eq!(label("agent_status"), "agent status");
        assert_eq!(label("inserted_at"), "created");
        assert_eq!(label("reported_done_at"), "reported done");
        assert_eq!(label("source_article.title"), "title");
    }
}
