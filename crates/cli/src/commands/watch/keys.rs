//! What a key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use uuid::Uuid;

use super::app::{App, Look, Page, Panel};

/// So many rows are gone over by a page.
const PAGE: isize = 10;
/// A filter is no longer.
const LONGEST: usize = 60;

/// What a key leaves to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// What is on the screen is another.
    Draw,
    /// So is what passes the filter.
    Filter,
    /// This story is looked at from now on.
    Open(Uuid),
    /// None is any more.
    Close,
    Quit,
}

impl App {
    pub(super) fn press(&mut self, key: KeyEvent) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Step::Quit;
        }
        if self.is_typing {
            return self.write(key.code, control);
        }
        if key.code == KeyCode::Char('q') {
            return Step::Quit;
        }
        match &mut self.page {
            Page::Help => {
                self.page = Page::Board;
                Step::Draw
            }
            Page::Story(look) => {
                let to = |by: isize| Some(look.line.saturating_add_signed(by));
                let line = match key.code {
                    KeyCode::Esc | KeyCode::Backspace | KeyCode::Left | KeyCode::Char('h') => {
                        self.page = Page::Board;
                        return Step::Close;
                    }
                    KeyCode::Down | KeyCode::Char('j') => to(1),
                    KeyCode::Up | KeyCode::Char('k') => to(-1),
                    KeyCode::PageDown | KeyCode::Char(' ') => to(PAGE),
                    KeyCode::PageUp => to(-PAGE),
                    KeyCode::Home | KeyCode::Char('g') => Some(0),
                    KeyCode::End | KeyCode::Char('G') => Some(usize::MAX),
                    _ => None,
                };
                let Some(line) = line else { return Step::Nothing };
                look.line = line;
                Step::Draw
            }
            Page::Board => self.on_board(key.code),
        }
    }

    fn on_board(&mut self, code: KeyCode) -> Step {
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.go_to(0, true),
            KeyCode::End | KeyCode::Char('G') => self.go_to(usize::MAX, false),
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.focus = self.focus.after(1),
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => {
                self.focus = self.focus.after(Panel::ALL.len() - 1);
            }
            KeyCode::Char('?') => self.page = Page::Help,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Enter => {
                let Some(id) = self.chosen(self.focus).and_then(|row| row.story) else {
                    return Step::Nothing;
                };
                self.page = Page::Story(Look { id, opened: None, refused: None, line: 0 });
                return Step::Open(id);
            }
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                return Step::Filter;
            }
            _ => return Step::Nothing,
        }
        Step::Draw
    }

    /// While the filter is written.
    fn write(&mut self, code: KeyCode, control: bool) -> Step {
        match code {
            KeyCode::Enter => {
                self.is_typing = false;
                return Step::Draw;
            }
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Char('u') if control => self.filter.clear(),
            KeyCode::Char(c) if !control && !c.is_control() && self.filter.chars().count() < LONGEST => {
                self.filter.push(c);
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            _ => return Step::Nothing,
        }
        Step::Filter
    }
}
