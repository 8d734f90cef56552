//! What keys do, and what words mean.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use super::look::{Look, fit};
use super::title;

const KEYS: &[(&str, &str)] = &[
    ("Tab, arrows", "from panel to panel; the one you are in is larger"),
    ("j k, arrows", "one line down, up; PgDn, PgUp ten, g and G to the ends"),
    ("Enter", "open a story: criteria, dependencies, history; Esc goes back"),
    ("/", "show only what has a text in it: number, title, name, state"),
    ("q, Ctrl-C", "quit"),
];

const WORDS: &[(&str, &str)] = &[
    ("rejected", "was sent back, and nobody has taken it again"),
    ("held long", "is held for longer than --patience"),
    ("to verify", "is reported and reviewed: an orchestrator verifies or rejects it"),
    ("to review", "is reported: another agent than its implementers reviews it"),
    ("to report", "its implementer has asked for a review: another agent reports it"),
    ("to begin", "nobody has it, and other stories wait for it"),
    ("over budget", "all of a budget is used"),
    ("halted", "custody of the tenant is halted: a superadmin ends that"),
    ("Claimed", "how far agents say that stories are; Verified is what was found"),
];

pub(super) fn draw(frame: &mut Frame<'_>, look: Look, area: Rect) {
    let inner = title(frame, area, look, "Help", true);
    let width = usize::from(inner.width);
    let rows = |rows: &'static [(&'static str, &'static str)]| {
        rows.iter().map(move |(name, text)| {
            Line::from(vec![
                Span::styled(fit(name, 14), look.accent()),
                Span::raw(fit(text, width.saturating_sub(14))),
            ])
        })
    };
    let lines: Vec<_> = rows(KEYS).chain([Line::raw("")]).chain(rows(WORDS)).collect();
    frame.render_widget(Text::from(lines), inner);
}
