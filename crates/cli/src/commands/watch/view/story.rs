//! One story: how it stands, what it asks for, what it waits for, what has happened to it.

use chrono::Local;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use uuid::Uuid;

use super::look::{Look, fit};
use super::title;
use crate::commands::watch::app::{App, Page};
use crate::commands::watch::model::{Board, Moment, Story, age};
use crate::commands::watch::opened::{Criterion, Opened};
use crate::layout::text::cut;
use crate::terminal::Tone;

/// So many stories are named of those that it waits for, and of those that wait for it.
const NAMED: usize = 50;

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look, area: Rect) {
    let Page::Story(seen) = &app.page else { return };
    let story = app.board.stories.get(&seen.id);
    let name = story.map_or_else(
        || "A story that is not there any more".to_owned(),
        |story| format!("{}  {}", app.board.number(story), story.title),
    );
    let inner = title(frame, area, look, &cut(&name, usize::from(area.width).saturating_sub(6)), true);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let mut lines = story.map_or_else(Vec::new, |story| standing(&app.board, seen.id, story, app.now, look));
    match (&seen.opened, &seen.refused) {
        (_, Some(refused)) => lines.push(Line::styled(fit(refused, width), look.tone(Tone::Bad))),
        (None, None) => lines.push(Line::styled("Being read ...", look.faint())),
        (Some(opened), None) => {
            lines.extend(texts(opened, look, width));
            lines.extend(edges(&app.board, seen.id, look, width));
            lines.extend(history(opened, look, width));
        }
    }
    let first = seen.line.min(lines.len().saturating_sub(height));
    let shown: Vec<_> = lines.into_iter().skip(first).take(height).collect();
    frame.render_widget(Text::from(shown), inner);
    if let Page::Story(seen) = &mut app.page {
        seen.line = first;
    }
}

fn heading(text: String, look: Look) -> [Line<'static>; 2] {
    [Line::raw(""), Line::styled(text, look.accent())]
}

/// As the board knows it, which follows every change.
fn standing(board: &Board, id: Uuid, story: &Story, now: Moment, look: Look) -> Vec<Line<'static>> {
    let stand = board.stand(id, story);
    let mut words = format!("{}, {}", story.agent_status, story.verified_status);
    let ago = |words: &mut String, what: &str, at: Option<Moment>| {
        if let Some(at) = at {
            let ago = match age(at, now).as_str() {
                "now" => "just now".to_owned(),
                age => format!("{age} ago"),
            };
            words.push_str(&format!("  {} {what} {ago}", look.dot()));
        }
    };
    if story.is_held() {
        let taken = format!("taken by {}", board.agent(story.holder));
        ago(&mut words, &taken, story.held_since);
    }
    ago(&mut words, "reported", story.reported_at);
    ago(&mut words, "reviewed", story.reviewed_at);
    let epic = board.projects.get(&story.project).and_then(|project| project.epics.get(&story.epic));
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{:<13}", stand.word()), look.tone(stand.tone())),
        Span::raw(words),
    ])];
    lines.extend(epic.map(|epic| Line::styled(format!("{:<13}{epic}", "epic"), look.faint())));
    if let Some(reason) = story.reason.as_deref().filter(|_| story.rejected_at.is_some()) {
        lines.push(Line::from(vec![
            Span::styled(format!("{:<13}", "rejected"), look.tone(Tone::Bad)),
            Span::raw(reason.to_owned()),
        ]));
    }
    lines
}

fn texts(opened: &Opened, look: Look, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut facts = Vec::new();
    facts.extend(opened.estimate.as_ref().map(|hours| format!("estimated {hours} h")));
    facts.extend((opened.artifacts > 0).then(|| format!("{} artifacts", opened.artifacts)));
    facts.extend(
        opened.is_stale.then(|| "title or criteria have changed since they were agreed to".to_owned()),
    );
    if !facts.is_empty() {
        lines.push(Line::raw(format!("{:<13}{}", "", facts.join(&format!("  {} ", look.dot())))));
    }
    if opened.description.iter().any(|line| !line.is_empty()) {
        lines.push(Line::raw(""));
        for line in &opened.description {
            lines.extend(wrapped(line, width, "", Style::new()));
        }
    }
    lines.extend(heading(format!("Criteria {}", opened.criteria.len()), look));
    for Criterion { name, text, status } in &opened.criteria {
        let tone = match status.as_str() {
            "verified" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Plain,
        };
        let line = format!("{name}  {status}  {text}");
        lines.extend(wrapped(&line, width, "    ", look.tone(tone)));
    }
    lines
}

fn wrapped(text: &str, width: usize, indent: &str, style: Style) -> Vec<Line<'static>> {
    let options = textwrap::Options::new(width.max(10)).subsequent_indent(indent);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(|line| Line::styled(line.into_owned(), style)).collect()
}

fn edges(board: &Board, id: Uuid, look: Look, width: usize) -> Vec<Line<'static>> {
    let (before, after) = board.edges(id);
    let epics = board.epics_before(id);
    let mut lines = Vec::new();
    for (name, stories) in [("Waits for", before), ("Is waited for by", after)] {
        let epics: &[String] = if name == "Waits for" { &epics } else { &[] };
        if stories.is_empty() && epics.is_empty() {
            continue;
        }
        lines.extend(heading(format!("{name} {}", stories.len() + epics.len()), look));
        lines.extend(epics.iter().map(|epic| Line::raw(fit(&format!("all of epic {epic}"), width))));
        for other in stories.iter().take(NAMED) {
            let Some(story) = board.stories.get(other) else { continue };
            let stand = board.stand(*other, story);
            let text = format!("{}  {}", board.number(story), story.title);
            lines.push(Line::from(vec![
                Span::styled(format!("{:<13}", stand.word()), look.tone(stand.tone())),
                Span::raw(fit(&text, width.saturating_sub(13))),
            ]));
        }
        if stories.len() > NAMED {
            lines.push(Line::styled(format!("and {} more", stories.len() - NAMED), look.faint()));
        }
    }
    lines
}

fn history(opened: &Opened, look: Look, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::from(heading(format!("History {}, newest first", opened.entries), look));
    for entry in &opened.history {
        let at = entry.at.map(|at| at.with_timezone(&Local).format("%m-%d %H:%M:%S").to_string());
        lines.push(Line::from(vec![
            Span::styled(fit(&at.unwrap_or_default(), 15), look.faint()),
            Span::raw(fit(&entry.who, 24)),
            Span::raw(" "),
            Span::raw(fit(&entry.what, width.saturating_sub(40))),
        ]));
    }
    lines
}
