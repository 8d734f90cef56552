//! One thing on the screen: a heading, facts below each other, paragraphs, lists and tables.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::table::{Column, human};
use super::text::{hanging, wrapped};
use super::{Screen, status};
use crate::table::one_line;
use crate::terminal::Tone;

/// How far lists are set in.
const INDENT: &str = "  ";

/// Something that is known of a thing.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    label: String,
    value: String,
    tone: Tone,
}

impl Fact {
    pub(crate) fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), tone: Tone::Plain }
    }

    /// One whose first word says how things are.
    pub(crate) fn status(label: impl Into<String>, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { label: label.into(), tone: status::tone(&value), value }
    }
}

/// An item of a list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its number or name.
    pub(crate) name: String,
    pub(crate) text: String,
    /// What its name says by its colour.
    pub(crate) tone: Tone,
}

impl Item {
    pub(crate) fn plain(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), tone: Tone::Plain }
    }
}

/// What is told of one thing, from top to bottom. Whatever it is given does nothing but stand there.
#[derive(Debug)]
pub(crate) struct Block<'s> {
    screen: &'s Screen,
    lines: Vec<String>,
}

impl<'s> Block<'s> {
    pub(crate) fn new(screen: &'s Screen) -> Self {
        Self { screen, lines: Vec::new() }
    }

    pub(crate) fn text(self) -> String {
        self.lines.join("\n")
    }

    /// A number, if it has one, and what it is called.
    pub(crate) fn heading(&mut self, number: &str, name: &str) {
        let lead = if number.is_empty() { String::new() } else { format!("{}  ", one_line(number)) };
        let lines = hanging(&lead, &one_line(name), self.screen.width);
        self.lines.extend(lines.iter().map(|line| self.screen.style.bold(line)));
    }

    /// Facts, their values below each other. Those that say nothing are left out.
    pub(crate) fn facts(&mut self, facts: &[Fact]) {
        let told = || facts.iter().filter(|fact| !fact.value.trim().is_empty());
        let widest = told().map(|fact| fact.label.width()).max().unwrap_or(0);
        for Fact { label, value, tone } in told() {
            let lead = format!("{:blanks$}", format!("{}:", one_line(label)), blanks = widest + 2);
            self.behind(&lead, Tone::Quiet, value, *tone);
        }
    }

    /// A text behind `lead`, in whose further lines nothing stands below that; each of both in its tone.
    fn behind(&mut self, lead: &str, lead_tone: Tone, text: &str, tone: Tone) {
        let style = self.screen.style;
        for (at, line) in hanging(lead, &one_line(text), self.screen.width).into_iter().enumerate() {
            let (before, text) = line.split_at_checked(lead.len()).unwrap_or((&line, ""));
            let before = if at == 0 { style.paint(lead_tone, before) } else { before.to_owned() };
            self.lines.push(format!("{before}{}", style.paint(tone, text)).trim_end().to_owned());
        }
    }

    pub(crate) fn blank(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// The beginning of a part.
    pub(crate) fn section(&mut self, name: &str) {
        self.blank();
        self.lines.push(self.screen.style.bold(&one_line(name)));
    }

    /// A text of several paragraphs.
    pub(crate) fn paragraphs(&mut self, text: &str) {
        self.lines.extend(wrapped(text, self.screen.width));
    }

    /// The same, set in.
    pub(crate) fn set_in(&mut self, text: &str) {
        let lines = wrapped(text, self.screen.width.saturating_sub(INDENT.len()));
        self.lines.extend(lines.into_iter().map(|line| format!("{INDENT}{line}").trim_end().to_owned()));
    }

    /// A list: names below each other, and what is said of each.
    pub(crate) fn items(&mut self, items: &[Item]) {
        let widest = items.iter().map(|item| one_line(&item.name).width()).max().unwrap_or(0);
        for item in items {
            let name = one_line(&item.name);
            let lead = format!("{INDENT}{name}{}", " ".repeat(widest - name.width() + 2));
            self.behind(&lead, item.tone, &item.text, Tone::Plain);
        }
    }

    pub(crate) fn table(&mut self, columns: &[Column<'_>], rows: &[Value]) {
        self.lines.extend(human(columns, rows, self.screen).lines().map(ToOwned::to_owned));
    }

    /// A line that is as wide as it should be already.
    pub(crate) fn line(&mut self, line: String) {
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn a_block_reads_from_top_to_bottom() {
        let screen = Screen::of(40);
        let mut block = Block::new(&screen);
        block.heading("2.1", "A title that does not fit into forty columns");
        block.blank();
        block.facts(&[
            Fact::status("status", "verified"),
            Fact::new("nothing", ""),
            Fact::new("repo url", "a text of several words that is too long"),
        ]);
        block.section("Criteria");
        block.items(&[
            Item::plain("AC-1", "A test\nshows that the thing which is meant is there"),
            Item::plain("AC-10", "x\u{1b}[2J"),
        ]);
        let expected = "\
2.1  A title that does not fit into
     forty columns

status:   verified
repo url: a text of several words that
          is too long

Criteria
  AC-1   A test shows that the thing
         which is meant is there
  AC-10  x\\x1b[2J";
        assert_eq!(block.text(), expected);
    }

    #[test]
    fn colour_changes_no_column() {
        let (plain, bright) = (Screen::of(60), Screen { style: Style::bright(), ..Screen::of(60) });
        let text = |screen: &Screen| {
            let mut block = Block::new(screen);
            block.heading("1", "Title");
            block.facts(&[Fact::status("status", "rejected"), Fact::new("x", "y")]);
            block.text()
        };
        let coloured = text(&bright);
        assert!(coloured.contains("\u{1b}[31mrejected\u{1b}[0m"), "{coloured:?}");
        assert_eq!(console::strip_ansi_codes(&coloured), text(&plain));
    }
}
