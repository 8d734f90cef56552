//! Markdown as people read it in a terminal.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::layout::Screen;
use crate::layout::text::flowing;
use crate::table::{aligned, harmless};
use crate::terminal::Style;

/// A page as wide as the screen.
pub(super) fn page(markdown: &str, screen: &Screen) -> String {
    flowing(&plainly(markdown, screen.style), screen.width).join("\n")
}

/// A text without what only marks it: headings stand out, lists and code are set in, and links say where they lead. What it
/// holds does nothing to the terminal.
fn plainly(markdown: &str, style: Style) -> String {
    let mut page = Page::new(style);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        page.add(event);
    }
    page.new_line();
    let lines: Vec<&str> = page.done.iter().map(|line| line.trim_end()).collect();
    lines.join("\n").trim_end().to_owned()
}

/// How deep a quotation or a list is shown. Each level takes two characters to write, and would take a line as long as all those
/// around it to show: what is deeper stands where this is.
const DEEPEST: usize = 8;

/// The most cells of a table whose columns are put below each other.
const CELLS: usize = 2_000;

struct Page {
    style: Style,
    done: Vec<String>,
    /// The line that goes on.
    line: String,
    /// Lists that are open, with the next number of those that have numbers.
    lists: Vec<Option<u64>>,
    quotes: usize,
    /// The text of a heading that is open.
    heading: Option<String>,
    /// Where links lead that are open.
    links: Vec<String>,
    is_code: bool,
    /// The rows of a table that is open, whose columns are to stand below each other.
    table: Option<Vec<Vec<String>>>,
}

impl Page {
    fn new(style: Style) -> Self {
        let (done, lists, links) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            style,
            done,
            line: String::new(),
            lists,
            quotes: 0,
            heading: None,
            links,
            is_code: false,
            table: None,
        }
    }

    fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.write(&text),
            Event::Code(text) => self.write(&format!("`{text}`")),
            Event::SoftBreak | Event::HardBreak if self.heading.is_some() => self.write(" "),
            Event::SoftBreak | Event::HardBreak => self.new_line(),
            Event::Rule => {
                self.block();
                self.write("----");
            }
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph if !self.is_at_bullet() => self.block(),
            Tag::HtmlBlock => self.block(),
            Tag::Table(_) => {
                self.block();
                self.table = Some(Vec::new());
            }
            Tag::Heading { level, .. } => {
                self.block();
                self.heading = Some(format!("{} ", "#".repeat(level as usize)));
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.quotes += 1;
                self.set_in();
            }
            Tag::CodeBlock(_) => {
                self.block();
                self.is_code = true;
                self.set_in();
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.block();
                }
                self.lists.push(first);
            }
            Tag::Item => {
                if !self.is_empty_line() {
                    self.new_line();
                }
                self.set_in();
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                self.write(&bullet);
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(rows) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            Tag::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(String::new());
                }
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push(dest_url.into_string())
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                let heading = self.heading.take().unwrap_or_default();
                let heading = self.style.bold(&harmless(&heading));
                self.line.push_str(&heading);
            }
            TagEnd::BlockQuote(_) => self.quotes = self.quotes.saturating_sub(1),
            TagEnd::CodeBlock => self.is_code = false,
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::Table => {
                let rows = self.table.take().unwrap_or_default();
                // A table has few cells, or its columns would be wider than anything that shows them.
                let is_small = rows.iter().map(Vec::len).sum::<usize>() <= CELLS;
                let lines =
                    if is_small { aligned(&rows) } else { rows.iter().map(|row| row.join("  ")).collect() };
                let before = self.line.clone();
                for (at, line) in lines.iter().enumerate() {
                    if at > 0 {
                        self.done.push(std::mem::replace(&mut self.line, before.clone()));
                    }
                    self.line.push_str(line);
                }
            }
            TagEnd::Link | TagEnd::Image => {
                let to = self.links.pop().unwrap_or_default();
                // One that is its own text is said already.
                if !self.heading.as_ref().unwrap_or(&self.line).ends_with(&harmless(&to)) {
                    self.write(&format!(" ({to})"));
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(text);
            return;
        }
        if let Some(cell) =
            self.table.as_mut().and_then(|rows| rows.last_mut()).and_then(|row| row.last_mut())
        {
            cell.push_str(&harmless(&text.replace('\n', " ")));
            return;
        }
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.new_line();
            }
            self.line.push_str(&harmless(line));
        }
    }

    /// Begins something that stands apart, below what there is.
    fn block(&mut self) {
        if !self.is_empty_line() {
            self.new_line();
        }
        while self.done.last().is_some_and(|line| is_empty(line)) {
            self.done.pop();
        }
        if !self.done.is_empty() {
            self.done.push(String::new());
        }
        self.set_in();
    }

    fn new_line(&mut self) {
        self.done.push(std::mem::take(&mut self.line));
        self.set_in();
    }

    /// Begins the line where its text stands.
    fn set_in(&mut self) {
        let (quotes, depth) = (self.quotes.min(DEEPEST), self.lists.len().saturating_sub(1).min(DEEPEST));
        let code = if self.is_code { "    " } else { "" };
        self.line = format!("{}{}{code}", "> ".repeat(quotes), "  ".repeat(depth));
    }

    fn is_empty_line(&self) -> bool {
        is_empty(&self.line)
    }

    /// The text of an item stands beside its bullet.
    fn is_at_bullet(&self) -> bool {
        let line = self.line.trim_start_matches([' ', '>']).trim_end();
        let is_number =
            |text: &str| text.strip_suffix('.').is_some_and(|number| number.parse::<u64>().is_ok());
        !self.lists.is_empty() && (line == "-" || is_number(line))
    }
}

/// Nothing but where text would stand.
fn is_empty(line: &str) -> bool {
    line.trim_matches([' ', '>']).is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_read_without_its_marks() {
        let markdown = "Head\n====\n\nSome *text* with `code`, **bold**\nand [a link](https://x.example/a).\n\n\
            - one\n- two\n  1. first\n  2. second\n- <https://y.example>\n\n> said\n> twice\n\n```sh\nls  -l\n\n  x\n```\n\n---\n\n\
            | a | b |\n|---|---|\n| long | 2 |\n\nEnd.\n";
        let told = "# Head\n\nSome text with `code`, bold\nand a link (https://x.example/a).\n\n\
            - one\n- two\n  1. first\n  2. second\n- https://y.example\n\n> said\n> twice\n\n    ls  -l\n\n      x\n\n----\n\n\
            a     b\nlong  2\n\nEnd.";
        assert_eq!(plainly(markdown, Style::plain()), told);
        assert!(plainly(markdown, Style::bright()).starts_with("\u{1b}[1m# Head\u{1b}[0m\n\n"));
    }

    #[test]
    fn what_it_holds_does_nothing() {
        let told =
            plainly("# a\u{1b}[2J\n\n`\u{1b}[31m` [x](\u{202e}y) <b>raw</b>\n\n    \u{7}\n", Style::plain());
        assert_eq!(told, "# a\\x1b[2J\n\n`\\x1b[31m` x (\\u{202e}y) <b>raw</b>\n\n    \\x07");
    }

    /// What anybody may write takes no more room, and no more time, than a page of its length does.
    #[test]
    fn however_deep_it_is_it_stays_short() {
        let of = |part: &str| part.repeat(100_000 / part.len());
        let table = format!("{}\n{}\n{}", "a|".repeat(8_000), "-|".repeat(8_000), "a|\n".repeat(20_000));
        let lines = format!("{}x\n{}", "> - ".repeat(300), "x\n".repeat(40_000));
        for markdown in [of("- + "), of(">"), of("> "), of("> - "), of("1. "), of("[a]("), table, lines] {
            let told = plainly(&markdown, Style::plain());
            let begin: String = markdown.chars().take(20).collect();
            assert!(told.len() < 20 * markdown.len(), "{begin}: {}", told.len());
        }
        assert_eq!(plainly("> > a\n\n- b\n  - c", Style::plain()), "> > a\n\n- b\n  - c");
    }

    proptest! {
        #[test]
        fn any_text_is_read(markdown in "(?s)([-#>*`\\[\\]() \n\t|0-9a-z.\u{1b}]{0,120}|.{0,80})") {
            let told = plainly(&markdown, Style::plain());
            prop_assert!(!told.chars().any(|c| c.is_control() && !"\n\t\r".contains(c)), "{told:?}");
        }
    }
}
