//! The board: the picture, and the four panels.

use chrono::Local;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
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
/// `12:00:00`
const CLOCK: usize = 8;

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look, area: Rect) {
    let [top, rest] = Layout::vertical([Constraint::Length(2), Constraint::Fill(1)]).areas(area);
    let lines = picture::lines(app.shown.counts, look, usize::from(top.width));
    frame.render_widget(ratatui::text::Text::from(lines.to_vec()), top);
    for (panel, area) in panels(app, rest) {
        draw_panel(frame, app, look, panel, area);
    }
}

/// Where the panels are. Whoever is in one sees more of it.
fn panels(app: &App, area: Rect) -> [(Panel, Rect); 4] {
    let wish = |panel: Panel| {
        let share = if app.focus == panel { panel.share() + 2 } else { panel.share() };
        (app.rows(panel).len().max(1) + 1, share)
    };
    let below = |panels: &[Panel], area: Rect| {
        let wishes: Vec<_> = panels.iter().map(|panel| wish(*panel)).collect();
        let heights = heights(usize::from(area.height), &wishes);
        Layout::vertical(heights.into_iter().map(Constraint::Length)).split(area)
    };
    let [needs, stories, held, events] = if area.width >= WIDE {
        let [left, _, right] =
            Layout::horizontal([Constraint::Percentage(58), Constraint::Length(2), Constraint::Fill(1)])
                .areas(area);
        let left = below(&[Panel::Needs, Panel::Stories], left);
        let right = below(&[Panel::Held, Panel::Events], right);
        [left.first().copied(), left.get(1).copied(), right.first().copied(), right.get(1).copied()]
    } else {
        let all = below(&Panel::ALL, area);
        [all.first().copied(), all.get(1).copied(), all.get(2).copied(), all.get(3).copied()]
    };
    let place = |area: Option<Rect>| area.unwrap_or_default();
    [
        (Panel::Needs, place(needs)),
        (Panel::Stories, place(stories)),
        (Panel::Held, place(held)),
        (Panel::Events, place(events)),
    ]
}

/// As high as each wants to be, and where there is no room for that, by shares. What nobody wants is left to the last one.
fn heights(room: usize, wishes: &[(usize, usize)]) -> Vec<u16> {
    /// A title and a row.
    const LEAST: usize = 2;
    let mut heights = vec![LEAST.min(room / wishes.len().max(1)); wishes.len()];
    let mut left = room.saturating_sub(heights.iter().sum());
    while left > 0 {
        // One row at a time to whoever has least of what it should have.
        let hungry = heights.iter().zip(wishes).enumerate().filter(|(_, (height, (wish, _)))| *height < wish);
        let next = hungry.min_by_key(|(_, (height, (_, share)))| **height * 1000 / (*share).max(1));
        let Some((place, _)) = next else { break };
        if let Some(height) = heights.get_mut(place) {
            *height += 1;
        }
        left -= 1;
    }
    if let Some(last) = heights.last_mut() {
        *last += left;
    }
    heights.into_iter().map(|height| u16::try_from(height).unwrap_or(u16::MAX)).collect()
}

fn draw_panel(frame: &mut Frame<'_>, app: &mut App, look: Look, panel: Panel, area: Rect) {
    let is_focused = app.focus == panel;
    let count = app.rows(panel).iter().filter(|row| !row.is_heading).count();
    let name =
        if panel == Panel::Events { panel.name().to_owned() } else { format!("{} {count}", panel.name()) };
    let inner = title(frame, area, look, &name, is_focused);
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    if height == 0 {
        return;
    }
    let place = app.place(panel);
    let (chosen, mut first) = (place.chosen, place.first);
    // The chosen row is seen, with the heading above it if there is one, and no room is left below.
    first = first.min(chosen).max((chosen + 1).saturating_sub(height));
    if first == chosen
        && chosen > 0
        && height > 1
        && app.rows(panel).get(chosen - 1).is_some_and(|row| row.is_heading)
    {
        first -= 1;
    }
    first = first.min(app.rows(panel).len().saturating_sub(height));
    app.place_mut(panel).first = first;
    let rows = app.rows(panel);
    if rows.is_empty() {
        let is_unread =
            app.board.projects.values().any(|project| !project.is_read) || app.board.projects.is_empty();
        let text = match panel {
            _ if !app.filter.is_empty() => "Nothing passes the filter.",
            Panel::Events => panel.nothing(),
            _ if is_unread => "Being read ...",
            _ => panel.nothing(),
        };
        frame.render_widget(Line::styled(fit(text, width), look.faint()), inner);
        return;
    }
    let seen = || rows.iter().skip(first).take(height).filter(|row| !row.is_heading);
    let columns = Columns::of(panel, seen, width);
    let lines = rows.iter().enumerate().skip(first).take(height).map(|(place, row)| {
        let line = line(app, row, panel, look, width, &columns);
        if is_focused && place == chosen { line.style(look.chosen()) } else { line }
    });
    frame.render_widget(ratatui::text::Text::from(lines.collect::<Vec<_>>()), inner);
}

/// How wide the columns of a panel are, for the rows that are seen.
struct Columns {
    label: usize,
    number: usize,
    title: usize,
    who: usize,
}

impl Columns {
    fn of<'a, I: Iterator<Item = &'a Row>>(panel: Panel, rows: impl Fn() -> I, width: usize) -> Self {
        let widest = |text: fn(&Row) -> &str| rows().map(|row| text(row).width()).max().unwrap_or(0);
        let label = match panel {
            Panel::Needs => LABEL,
            Panel::Stories => 0,
            Panel::Held | Panel::Events => {
                widest(if panel == Panel::Held { |row| &row.label } else { |row| &row.who })
                    .clamp(4, width / 4)
            }
        };
        if panel == Panel::Events {
            let title = width.saturating_sub(CLOCK + 1 + label + 1);
            return Self { label, number: 0, title, who: 0 };
        }
        let number = widest(|row| &row.number).min(24);
        let taken = [AGE, label, number].into_iter().filter(|column| *column > 0).map(|column| column + 1);
        let left = width.saturating_sub(taken.sum());
        // What is said of it has a third, and more where titles leave it.
        let (title, who) = (widest(|row| &row.title), widest(|row| &row.who));
        let who = who.min((left / 3).max(left.saturating_sub(title + 2)));
        let title = left.saturating_sub(if who > 0 { who + 1 } else { 0 });
        Self { label, number, title, who }
    }
}

fn line(app: &App, row: &Row, panel: Panel, look: Look, width: usize, columns: &Columns) -> Line<'static> {
    if row.is_heading {
        return Line::styled(fit(&format!("{} {}", row.label, row.title), width), look.tone(row.tone));
    }
    let ago = row.since.map(|since| age(since, app.now)).unwrap_or_default();
    let (faint, plain) = (look.faint(), Style::new());
    let at = row.since.filter(|_| panel == Panel::Events);
    let first = match at {
        Some(at) => (at.with_timezone(&Local).format("%H:%M:%S").to_string(), CLOCK),
        None => (format!("{ago:>AGE$}"), AGE),
    };
    let label = if panel == Panel::Needs { look.tone(row.tone) } else { plain };
    let cells = match panel {
        Panel::Events => vec![
            (&first.0, first.1, faint),
            (&row.who, columns.label, plain),
            (&row.title, columns.title, plain),
        ],
        _ => vec![
            (&first.0, first.1, faint),
            (&row.label, columns.label, label),
            (&row.number, columns.number, plain),
            (&row.title, columns.title, plain),
            (&row.who, columns.who, faint),
        ],
    };
    let mut spans = Vec::with_capacity(cells.len() * 2);
    for (text, room, style) in cells.into_iter().filter(|(_, room, _)| *room > 0) {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(fit(text, room), style));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_wants_little_leaves_it_to_others() {
        assert_eq!(heights(20, &[(3, 3), (50, 3), (2, 2), (9, 2)]), [3, 9, 2, 6]);
        assert_eq!(heights(20, &[(3, 3), (4, 3)]), [3, 17], "what nobody wants is the last one's");
        assert_eq!(heights(20, &[(90, 5), (90, 3), (90, 2), (90, 2)]), [8, 5, 4, 3]);
    }

    proptest! {
        #[test]
        fn panels_fill_the_screen(room in 8usize..120, wishes in prop::collection::vec((0usize..300, 1usize..6), 1..5)) {
            let heights = heights(room, &wishes);
            prop_assert_eq!(heights.iter().map(|height| usize::from(*height)).sum::<usize>(), room);
            prop_assert!(heights.iter().all(|height| *height >= 2));
        }
    }
}
