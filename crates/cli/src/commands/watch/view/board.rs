//! The board: the picture, and the four panels.

use chrono::Local;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::look::{Look, fit};
use super::{picture, title};
use crate::commands::watch::app::{App, Panel};
use crate::commands::watch::model::{Row, age};

/// From this width on there are two columns.
const WIDE: u16 = 130;
/// The column of an age, and of the first word of a line.
const AGE: usize = 4;
const LABEL: usize = 11;

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look, area: Rect) {
    let [top, rest] = Layout::vertical([Constraint::Length(2), Constraint::Fill(1)]).areas(area);
    let lines = picture::lines(app.shown.counts, look, usize::from(top.width));
    frame.render_widget(ratatui::text::Text::from(lines.to_vec()), top);
    for (panel, area) in panels(app, rest) {
        draw_panel(frame, app, look, panel, area);
    }
}

/// Whoever is in a panel sees more of it.
fn panels(app: &App, area: Rect) -> [(Panel, Rect); 4] {
    let share = |panel: Panel, usual| Constraint::Fill(if app.focus == panel { usual + 2 } else { usual });
    if area.width >= WIDE {
        let [left, gap_and_right] =
            Layout::horizontal([Constraint::Percentage(58), Constraint::Fill(1)]).areas(area);
        let [_, right] = Layout::horizontal([Constraint::Length(2), Constraint::Fill(1)]).areas(gap_and_right);
        let [needs, stories] =
            Layout::vertical([share(Panel::Needs, 3), share(Panel::Stories, 4)]).areas(left);
        let [held, events] = Layout::vertical([share(Panel::Held, 3), share(Panel::Events, 3)]).areas(right);
        return [
            (Panel::Needs, needs),
            (Panel::Stories, stories),
            (Panel::Held, held),
            (Panel::Events, events),
        ];
    }
    let [needs, stories, held, events] = Layout::vertical([
        share(Panel::Needs, 3),
        share(Panel::Stories, 3),
        share(Panel::Held, 2),
        share(Panel::Events, 2),
    ])
    .areas(area);
    [(Panel::Needs, needs), (Panel::Stories, stories), (Panel::Held, held), (Panel::Events, events)]
}

fn draw_panel(frame: &mut Frame<'_>, app: &mut App, look: Look, panel: Panel, area: Rect) {
    let is_focused = app.focus == panel;
    let count = app.rows(panel).iter().filter(|row| !row.is_heading).count();
    let name = if panel == Panel::Events { panel.name().to_owned() } else { format!("{} {count}", panel.name()) };
    let inner = title(frame, area, look, &name, is_focused);
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    if height == 0 {
        return;
    }
    let place = app.place(panel);
    let (chosen, mut first) = (place.chosen, place.first);
    // The chosen row is seen, with the heading above it if there is one, and no room is left below.
    first = first.min(chosen).max((chosen + 1).saturating_sub(height));
    if first == chosen && chosen > 0 && height > 1 && app.rows(panel).get(chosen - 1).is_some_and(|row| row.is_heading) {
        first -= 1;
    }
    first = first.min(app.rows(panel).len().saturating_sub(height));
    app.place_mut(panel).first = first;
    let rows = app.rows(panel);
    if rows.is_empty() {
        let is_unread = app.board.projects.values().any(|project| !project.is_read) || app.board.projects.is_empty();
        let text = match panel {
            _ if !app.filter.is_empty() => "Nothing passes the filter.",
            Panel::Events => panel.nothing(),
            _ if is_unread => "Being read ...",
            _ => panel.nothing(),
        };
        frame.render_widget(Line::styled(fit(text, width), look.faint()), inner);
        return;
    }
    let numbers = rows.iter().map(|row| row.number.width()).max().unwrap_or(0).min(24);
    let lines = rows.iter().enumerate().skip(first).take(height).map(|(place, row)| {
        let line = line(app, row, panel, look, width, numbers);
        if is_focused && place == chosen { line.style(look.chosen()) } else { line }
    });
    frame.render_widget(ratatui::text::Text::from(lines.collect::<Vec<_>>()), inner);
}

fn line(app: &App, row: &Row, panel: Panel, look: Look, width: usize, numbers: usize) -> Line<'static> {
    if row.is_heading {
        return Line::styled(fit(&format!("{} {}", row.label, row.title), width), look.tone(row.tone));
    }
    let ago = row.since.map(|since| age(since, app.now)).unwrap_or_default();
    let cells: Vec<(String, usize, bool)> = match panel {
        Panel::Needs => with_rest(
            width,
            (format!("{ago:>AGE$}"), AGE),
            (row.label.clone(), LABEL),
            (row.number.clone(), numbers),
            row,
        ),
        Panel::Stories => {
            with_rest(width, (format!("{ago:>AGE$}"), AGE), (String::new(), 0), (row.number.clone(), numbers), row)
        }
        Panel::Held => {
            let names = (width / 4).clamp(8, 24);
            let row = Row { who: row.who.clone(), ..row.clone() };
            with_rest(
                width,
                (format!("{ago:>AGE$}"), AGE),
                (row.label.clone(), names),
                (row.number.clone(), numbers),
                &row,
            )
        }
        Panel::Events => {
            let at = row.since.map(|at| at.with_timezone(&Local).format("%H:%M:%S").to_string());
            let names = (width / 4).clamp(8, 24);
            let left = width.saturating_sub(8 + 1 + names + 1);
            vec![
                (at.unwrap_or_default(), 8, true),
                (row.who.clone(), names, false),
                (row.title.clone(), left, false),
            ]
        }
    };
    let mut spans = Vec::with_capacity(cells.len() * 2);
    for (place, (text, room, is_faint)) in cells.into_iter().filter(|(_, room, _)| *room > 0).enumerate() {
        if place > 0 {
            spans.push(Span::raw(" "));
        }
        let style = match (panel, place) {
            _ if is_faint => look.faint(),
            (Panel::Needs, 1) => look.tone(row.tone),
            _ => ratatui::style::Style::new(),
        };
        spans.push(Span::styled(fit(&text, room), style));
    }
    Line::from(spans)
}

/// The first columns as wide as they are, and what is left for a title and for what is said of it.
fn with_rest(
    width: usize,
    age: (String, usize),
    label: (String, usize),
    number: (String, usize),
    row: &Row,
) -> Vec<(String, usize, bool)> {
    let columns = [age.1, label.1, number.1];
    let taken: usize = columns.iter().filter(|column| **column > 0).map(|column| column + 1).sum();
    let left = width.saturating_sub(taken);
    // What is said of it has a third, and more where the title leaves it.
    let (title, who) = (row.title.width(), row.who.width());
    let who = if who == 0 { 0 } else { who.min((left / 3).max(left.saturating_sub(title + 1))) };
    let title = left.saturating_sub(if who > 0 { who + 1 } else { 0 });
    vec![
        (age.0, age.1, true),
        (label.0, label.1, false),
        (number.0, number.1, false),
        (row.title.clone(), title, false),
        (row.who.clone(), who, true),
    ]
}
