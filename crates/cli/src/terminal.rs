//! What a terminal shows besides text, and how much of it.

use std::io::IsTerminal as _;

use console::{Style as Paint, Term};

/// Columns of a terminal, where nothing says how many.
const USUAL: usize = 80;

/// How wide lines may be: `COLUMNS`, as other programs go by it, else the terminal that is written to.
pub(crate) fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let columns = said.or_else(|| size().map(|(_, columns)| columns)).unwrap_or(USUAL);
    columns.clamp(40, 200)
}

/// How many lines there are, where stdout is a terminal.
pub(crate) fn height() -> Option<usize> {
    size().map(|(lines, _)| lines)
}

fn size() -> Option<(usize, usize)> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    Term::stdout().size_checked().map(|(lines, columns)| (lines.into(), columns.into()))
}

/// What a word means, which its colour says as well.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing beyond what it says.
    #[default]
    Plain,
    /// Names and headings.
    Strong,
    /// What is seldom looked at.
    Quiet,
    /// It is as it should be.
    Good,
    /// Something is wrong.
    Bad,
    /// Somebody has to do something.
    Waiting,
    /// Somebody does something.
    Working,
}

/// Whether something can stand out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    is_shown: bool,
}

impl Style {
    /// On a terminal, unless whoever sits there does not want it (`NO_COLOR`).
    pub(crate) fn of_stdout() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_shown: std::io::stdout().is_terminal() && !is_unwanted }
    }

    pub(crate) fn is_shown(self) -> bool {
        self.is_shown
    }

    /// A text that does nothing itself, in bold.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(Tone::Strong, text)
    }

    /// A text that does nothing itself, in the colour of what it means.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let paint = Paint::new().force_styling(true);
        let paint = match tone {
            Tone::Plain => return text.to_owned(),
            _ if !self.is_shown || text.is_empty() => return text.to_owned(),
            Tone::Strong => paint.bold(),
            Tone::Quiet => paint.dim(),
            Tone::Good => paint.green(),
            Tone::Bad => paint.red(),
            Tone::Waiting => paint.yellow(),
            Tone::Working => paint.cyan(),
        };
        paint.apply_to(text).to_string()
    }

    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { is_shown: false }
    }

    #[cfg(test)]
    pub(crate) fn bright() -> Self {
        Self { is_shown: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_shown_is_painted() {
        assert_eq!(Style::plain().paint(Tone::Bad, "rejected"), "rejected");
        assert_eq!(Style::bright().paint(Tone::Bad, "rejected"), "\u{1b}[31mrejected\u{1b}[0m");
        assert_eq!(Style::bright().bold("x"), "\u{1b}[1mx\u{1b}[0m");
        assert_eq!(Style::bright().paint(Tone::Good, ""), "");
    }
}
