//! How answers are laid out for people: one place for tables, blocks, times, words and the pager. A command says what is shown, and
//! in which order; how it stands on the screen is decided here, by functions that touch nothing.

pub(crate) mod block;
pub(crate) mod object;
pub(crate) mod pager;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod times;

use chrono::{DateTime, Utc};

use crate::terminal::{self, Style};

/// What something is laid out for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Columns.
    pub(crate) width: usize,
    pub(crate) style: Style,
    /// Ids, times to the second, and no cell of a table is cut (`--wide`).
    pub(crate) is_wide: bool,
    /// Nothing is folded or left out (`--full`).
    pub(crate) is_full: bool,
    /// When it is.
    pub(crate) now: DateTime<Utc>,
}

impl Screen {
    /// Stdout, as it is now.
    pub(crate) fn of_stdout(is_wide: bool, is_full: bool) -> Self {
        Self { width: terminal::width(), style: Style::of_stdout(), is_wide, is_full, now: Utc::now() }
    }

    /// One of a test, without colour: 2026-11-30, noon.
    #[cfg(test)]
    pub(crate) fn of(width: usize) -> Self {
        let now = DateTime::parse_from_rfc3339("2026-11-30T12:00:00Z").unwrap().to_utc();
        Self { width, style: Style::plain(), is_wide: false, is_full: false, now }
    }
}
