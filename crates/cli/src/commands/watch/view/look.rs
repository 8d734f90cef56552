//! How things look: colours where they are wanted, signs that the locale has, and texts as wide as there is room.

use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::bars::has_signs;
use crate::layout::text::cut;
use crate::terminal::{self, Tone};

/// What the terminal can do, and its user wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) colours: bool,
    /// Signs beyond ASCII.
    pub(crate) signs: bool,
}

impl Look {
    /// As the environment says.
    pub(crate) fn of_environment() -> Self {
        Self { colours: terminal::Style::of_stdout().is_shown(), signs: has_signs() }
    }

    pub(super) fn tone(self, tone: Tone) -> Style {
        let coloured = |colour| if self.colours { Style::new().fg(colour) } else { Style::new() };
        match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
            Tone::Quiet => self.faint(),
            Tone::Good => coloured(Color::Green),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Waiting => coloured(Color::Yellow),
            Tone::Working => coloured(Color::Cyan),
        }
    }

    pub(super) fn accent(self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if self.colours { bold.fg(Color::Cyan) } else { bold }
    }

    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Of the line above a part.
    pub(super) fn stroke(self) -> &'static str {
        if self.signs { "─" } else { "-" }
    }

    /// What is claimed or found, what is on its way, what is against it, and the rest.
    pub(super) fn marks(self) -> [char; 4] {
        if self.signs { ['█', '▓', '▒', '░'] } else { ['#', '=', 'x', '.'] }
    }

    pub(super) fn dot(self) -> char {
        if self.signs { '·' } else { '-' }
    }
}

/// The text in just so many columns: cut, or with blanks after it.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut fitting = cut(text, width);
    // Of no room at all nothing is left, not even what says that something was cut.
    if fitting.width() > width {
        fitting = String::new();
    }
    let blanks = width.saturating_sub(fitting.width());
    fitting.extend(std::iter::repeat_n(' ', blanks));
    fitting
}
