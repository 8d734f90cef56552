//! Articles as files of Markdown that link to each other by their titles (`[[…]]`), as note-taking programs read them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use super::article::Category;

/// The most bytes that the title's part of a file name has: file systems stop at 255.
const MAX_STEM: usize = 200;

/// What a file says of an article.
#[derive(Debug, Clone, Copy)]
pub struct ArticleText<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its category.
    pub category: Category,
    /// Its tags.
    pub tags: &'a [String],
    /// Its status, in a word.
    pub status: &'a str,
    /// Where it comes from.
    pub source_type: Option<&'a str>,
    /// When it was written, as a text.
    pub created_at: &'a str,
    /// When it was changed last, as a text.
    pub updated_at: &'a str,
    /// Its Markdown.
    pub body: &'a str,
}

/// The file of an article. `related` are titles with the word of their relationship; of equal ones the first is told.
pub fn page<'a>(article: &ArticleText<'_>, related: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let ArticleText { title, category, tags, status, source_type, created_at, updated_at, body } = article;
    let mut text = String::with_capacity(body.len() + 512);
    let mut line = |words: std::fmt::Arguments<'_>| {
        // A text takes whatever it is given.
        let _ = writeln!(text, "{words}");
    };
    line(format_args!("---"));
    line(format_args!("title: {}", quoted(title)));
    // By these names a link finds a file that is called otherwise.
    let target = link_target(title);
    match target == *title {
        true => line(format_args!("aliases: [{}]", quoted(title))),
        false => line(format_args!("aliases: [{}, {}]", quoted(title), quoted(&target))),
    }
    line(format_args!("category: {category}"));
    if !tags.is_empty() {
        line(format_args!("tags:"));
    }
    for tag in *tags {
        line(format_args!("  - {}", scalar(tag)));
    }
    line(format_args!("status: {status}"));
    if let Some(source_type) = source_type {
        line(format_args!("source_type: {}", scalar(source_type)));
    }
    line(format_args!("created_at: {}", quoted(created_at)));
    line(format_args!("updated_at: {}", quoted(updated_at)));
    line(format_args!("---\n\n{body}"));
    let mut told = BTreeSet::new();
    for (title, relationship) in related {
        if told.is_empty() {
            line(format_args!("\n## Related Articles\n"));
        }
        if told.insert((title, relationship)) {
            line(format_args!("- [[{}]] ({relationship})", link_target(title)));
        }
    }
    text
}

/// The file that lists all articles, of which there are categories and titles in the order in which they are to be told.
pub fn index_page<'a>(articles: impl IntoIterator<Item = (Category, &'a str)>) -> String {
    let (mut text, mut last) = ("# Knowledge Base Index\n".to_owned(), None);
    for (category, title) in articles {
        if last != Some(category) {
            let word = category.as_str();
            let (first, rest) = word.split_at(1);
            let _ = write!(text, "\n## {}{rest}\n\n", first.to_ascii_uppercase());
            last = Some(category);
        }
        let _ = writeln!(text, "- [[{}]]", link_target(title));
    }
    text
}

/// The names of an archive's entries, of which no two are the same.
#[derive(Debug, Default)]
pub struct EntryNames {
    taken: HashSet<String>,
    /// By stem: with which number to go on.
    next: HashMap<String, u32>,
}

impl EntryNames {
    /// The name of an article's entry: `<category>/<title>.md`, and where that is taken `…-2.md`, `…-3.md`. It leads nowhere else: it
    /// has no points and strokes but these.
    pub fn entry(&mut self, category: Category, title: &str) -> String {
        let stem = format!("{category}/{}", file_stem(title));
        let next = self.next.entry(stem.clone()).or_insert(1);
        loop {
            let name = if *next == 1 { stem.clone() } else { format!("{stem}-{next}") };
            *next += 1;
            if self.taken.insert(name.clone()) {
                return format!("{name}.md");
            }
        }
    }
}

/// A title as the name of a file: letters, digits and `_`, and `-` between words.
fn file_stem(title: &str) -> String {
    let mut stem = String::new();
    for letter in title.to_lowercase().chars() {
        let kept = match letter {
            _ if letter.is_alphanumeric() || letter == '_' => letter,
            _ if letter.is_whitespace() || letter == '-' => '-',
            _ => continue,
        };
        if kept == '-' && (stem.is_empty() || stem.ends_with('-')) {
            continue;
        }
        if stem.len() + kept.len_utf8() > MAX_STEM {
            break;
        }
        stem.push(kept);
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "untitled".to_owned() } else { stem.to_owned() }
}

/// A title as it stands in a link: without what means something there.
fn link_target(title: &str) -> String {
    let plain = |letter: char| match letter {
        '[' | ']' | '|' | '#' | '^' => ' ',
        _ if letter.is_control() => ' ',
        _ => letter,
    };
    if title.chars().all(|letter| plain(letter) == letter) {
        return title.to_owned();
    }
    let replaced: String = title.chars().map(plain).collect();
    let target = replaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if target.is_empty() { "untitled".to_owned() } else { target }
}

/// A text in double quotes, as YAML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // What would break the line, and what YAML does not take as it is.
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A word as it is where YAML takes it for a text, and otherwise in quotes.
fn scalar(text: &str) -> String {
    const MEANT_OTHERWISE: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_word =
        text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) && text.bytes().all(plain);
    if is_word && !MEANT_OTHERWISE.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    quoted(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIME: &str = "2026-04-10T00:00:00.000000Z";

    fn article<'a>(title: &'a str, tags: &'a [String]) -> ArticleText<'a> {
        ArticleText {
            title,
            category: Category::Pattern,
            tags,
            status: "published",
            source_type: Some("review_finding"),
            created_at: TIME,
            updated_at: TIME,
            body: "Use `Multi`.",
        }
    }

    #[test]
    fn a_page_is_front_matter_body_and_links() {
        let tags = ["ecto".to_owned(), "no".to_owned(), "2026".to_owned()];
        let related = [
            ("Other", "relates_to"),
            ("Other", "supersedes"),
            ("Other", "relates_to"),
            ("A [b] #1", "relates_to"),
        ];
        let expected = "---\ntitle: \"A \\\"b\\\" \\\\ c\"\naliases: [\"A \\\"b\\\" \\\\ c\"]\ncategory: pattern\ntags:\n  - ecto\n  \
                        - \"no\"\n  - \"2026\"\nstatus: published\nsource_type: review_finding\n\
                        created_at: \"2026-04-10T00:00:00.000000Z\"\nupdated_at: \"2026-04-10T00:00:00.000000Z\"\n---\n\n\
                        Use `Multi`.\n\n## Related Articles\n\n- [[Other]] (relates_to)\n- [[Other]] (supersedes)\n\
                        - [[A b 1]] (relates_to)\n";
        assert_eq!(page(&article("A \"b\" \\ c", &tags), related), expected);
        let bare = ArticleText { source_type: None, ..article("T", &[]) };
        let text = page(&bare, []);
        assert!(
            !text.contains("tags:") && !text.contains("source_type") && !text.contains("Related"),
            "{text}"
        );
        assert!(text.ends_with("---\n\nUse `Multi`.\n"), "{text}");
    }

    #[test]
    fn no_title_breaks_its_line() {
        let title = "a\nb: c\r\u{85}\u{2028}---\u{0}\u{7f} [x]|^#";
        let text = page(&article(title, &[]), []);
        let line = r#"title: "a\nb: c\r\u0085\u2028---\u0000\u007f [x]|^#""#;
        assert!(text.contains(&format!("\n{line}\n")), "{text}");
        assert!(text.contains(r#", "a b: c --- x"]"#), "{text}");
    }

    #[test]
    fn files_are_called_after_titles() {
        let mut names = EntryNames::default();
        for (title, expected) in [
            ("What's New? (v2.0) -- Breaking Changes!", "whats-new-v20-breaking-changes"),
            ("Ecto Multi pattern", "ecto-multi-pattern"),
            ("Ecto multi: pattern", "ecto-multi-pattern-2"),
            ("ecto multi pattern 2", "ecto-multi-pattern-2-2"),
            ("ecto-multi-pattern", "ecto-multi-pattern-3"),
            ("../../etc/passwd", "etcpasswd"),
            ("..", "untitled"),
            (" - ", "untitled-2"),
            ("Größe_1 Ж", "größe_1-ж"),
        ] {
            assert_eq!(names.entry(Category::Decision, title), format!("decision/{expected}.md"), "{title}");
        }
    }

    #[test]
    fn the_index_has_a_heading_for_each_category() {
        let titles = [(Category::Decision, "B"), (Category::Pattern, "A"), (Category::Pattern, "C|d")];
        let expected =
            "# Knowledge Base Index\n\n## Decision\n\n- [[B]]\n\n## Pattern\n\n- [[A]]\n- [[C d]]\n";
        assert_eq!(index_page(titles), expected);
        assert_eq!(index_page([]), "# Knowledge Base Index\n");
    }

    #[test]
    fn many_of_one_name_take_no_time() {
        let mut names = EntryNames::default();
        let last = (0..20_000).map(|_| names.entry(Category::Finding, "Same")).last();
        assert_eq!(last.as_deref(), Some("finding/same-20000.md"));
    }

    proptest! {
        #[test]
        fn names_are_safe_and_differ(titles in proptest::collection::vec("[-a-c2 ./\\\\:\\PC]{0,12}|.{0,600}", 1..30)) {
            let mut names = EntryNames::default();
            let all: Vec<_> = titles.iter().map(|title| names.entry(Category::Pattern, title)).collect();
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            for name in all {
                let file = name.strip_prefix("pattern/").unwrap().strip_suffix(".md").unwrap();
                prop_assert!(!file.is_empty() && file.len() < 230, "{}", name);
                prop_assert!(file.chars().all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '-'), "{}", name);
            }
        }

        #[test]
        fn a_quoted_text_stays_in_its_line_and_comes_back(text in any::<String>()) {
            let quoted = quoted(&text);
            let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}', '\0'];
            prop_assert!(!quoted.contains(breaks));
            // What YAML takes in double quotes, as far as it is written here, JSON does as well.
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }
}
