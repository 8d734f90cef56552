//! What a terminal shows besides text.

use std::io::IsTerminal as _;

/// Whether something can stand out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    is_shown: bool,
}

impl Style {
    /// On a terminal, unless whoever sits there does not want it (`NO_COLOR`).
    pub(crate) fn of_stdout() -> Self {
        Self { is_shown: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    pub(crate) fn is_shown(self) -> bool {
        self.is_shown
    }

    /// A text that does nothing itself, in bold.
    pub(crate) fn bold(self, text: &str) -> String {
        if self.is_shown { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
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
