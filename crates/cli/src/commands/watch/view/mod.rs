//! The screen, drawn anew from what is known whenever that has changed.

mod board;
mod help;
mod look;
mod picture;
mod story;
#[cfg(test)]
mod tests;

use chrono::Local;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

pub(super) use self::look::Look;
use self::look::fit;
use super::app::{App, Link, Page, Panel};
use super::model::MOST_STORIES;
use crate::terminal::Tone;

/// What the board needs.
const LEAST: (u16, u16) = (80, 24);

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look) {
    let area = frame.area();
    let (width, height) = LEAST;
    if area.width < width || area.height < height {
        let text = format!("The board needs {width}x{height}; this is {}x{}.", area.width, area.height);
        let lines = textwrap::wrap(&text, usize::from(area.width.max(1)));
        let mut lines: Vec<_> = lines.into_iter().map(|line| Line::raw(line.into_owned())).collect();
        lines.push(Line::raw("q quits"));
        frame.render_widget(ratatui::text::Text::from(lines), area);
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(header(app, look, usize::from(head.width)), head);
    match &app.page {
        Page::Board => board::draw(frame, app, look, body),
        Page::Help => help::draw(frame, look, body),
        Page::Story(_) => story::draw(frame, app, look, body),
    }
    frame.render_widget(footer(app, look, usize::from(foot.width)), foot);
}

/// Whose board it is, and whether it is as it is now.
fn header(app: &App, look: Look, width: usize) -> Line<'static> {
    let mut names = vec![app.board.tenant.name.clone()];
    let mut projects: Vec<_> = app.board.projects.values().collect();
    projects.sort_by_key(|project| project.place);
    match projects.as_slice() {
        [] => {}
        [only] => names.push(only.name.clone()),
        several => names.push(format!("{} projects", several.len())),
    }
    if let Some(epic) = app.board.epic {
        let epic = app.board.projects.values().find_map(|project| project.epics.get(&epic));
        names.extend(epic.map(|epic| format!("epic {epic}")));
    }
    let (state, tone) = match &app.link {
        Link::Connecting => ("connecting".to_owned(), Tone::Waiting),
        Link::CatchingUp => ("catching up".to_owned(), Tone::Waiting),
        Link::Away { since, .. } => {
            (format!("reconnecting, as of {}", since.with_timezone(&Local).format("%H:%M:%S")), Tone::Bad)
        }
        Link::Live if app.unread > 0 => (format!("live, reading {}", app.unread), Tone::Waiting),
        Link::Live => ("live".to_owned(), Tone::Good),
    };
    let room = width.saturating_sub(state.width() + 2);
    let name = format!("loopctl watch  {}", names.join(" / "));
    Line::from(vec![
        Span::styled(fit(&name, room), look.accent()),
        Span::raw("  "),
        Span::styled(state, look.tone(tone)),
    ])
}

/// What is to be known at once; else what can be done.
fn footer(app: &App, look: Look, width: usize) -> Line<'static> {
    let told = |text: String, style: Style| Line::styled(fit(&text, width), style);
    if app.is_typing {
        return told(format!("/{}_   Enter keeps the filter, Esc removes it", app.filter), look.accent());
    }
    if let Link::Away { why, .. } = &app.link {
        return told(format!("What is shown is of then. {why}"), look.tone(Tone::Bad).patch(look.chosen()));
    }
    if let Some(late) = app.late.as_ref().or(app.failed.as_ref()) {
        return told(late.clone(), look.tone(Tone::Waiting));
    }
    if app.board.left_out > 0 {
        let text = format!(
            "{} stories are not shown, of more than {MOST_STORIES}: name a --project",
            app.board.left_out
        );
        return told(text, look.tone(Tone::Waiting));
    }
    let keys = match &app.page {
        Page::Help => "any key goes back".to_owned(),
        Page::Story(_) => "Esc back   j k PgUp PgDn move   q quit".to_owned(),
        Page::Board if app.filter.is_empty() => {
            "Tab panel   j k move   Enter open   / filter   ? help   q quit".to_owned()
        }
        Page::Board => format!("filter: {}   Esc removes it   / changes it   ? help   q quit", app.filter),
    };
    told(keys, look.faint())
}

/// The line above a part, with its name and how much is in it.
fn title(frame: &mut Frame<'_>, area: Rect, look: Look, name: &str, is_focused: bool) -> Rect {
    let [line, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let stroke = look.stroke();
    let style = if is_focused { look.accent() } else { look.faint() };
    let named = format!("{stroke} {name} ");
    let left = usize::from(line.width).saturating_sub(named.width());
    let text = Line::from(vec![Span::styled(named, style), Span::styled(stroke.repeat(left), look.faint())]);
    frame.render_widget(text, line);
    rest
}

impl Panel {
    fn name(self) -> &'static str {
        match self {
            Self::Needs => "Needs somebody",
            Self::Stories => "Stories",
            Self::Held => "Held",
            Self::Events => "Latest",
        }
    }

    /// Of the room, where there is not enough for all.
    fn share(self) -> usize {
        match self {
            Self::Needs | Self::Stories => 3,
            Self::Held | Self::Events => 2,
        }
    }

    fn nothing(self) -> &'static str {
        match self {
            Self::Needs => "Nothing waits for anybody.",
            Self::Stories => "No stories.",
            Self::Held => "Nobody holds anything.",
            Self::Events => "Nothing has happened lately.",
        }
    }
}
