//! What is on the screen, and what is chosen there.

use chrono::TimeDelta;
use uuid::Uuid;

use super::model::{Board, Moment, Row, Shown};
use super::opened::Opened;

/// The parts of the board, in the order in which Tab goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Panel {
    Needs,
    Stories,
    Held,
    Events,
}

impl Panel {
    pub(super) const ALL: [Self; 4] = [Self::Needs, Self::Stories, Self::Held, Self::Events];

    /// The one after so many others.
    pub(super) fn after(self, steps: usize) -> Self {
        let place = Self::ALL.iter().position(|panel| *panel == self).unwrap_or_default();
        Self::ALL.get((place + steps) % Self::ALL.len()).copied().unwrap_or(self)
    }
}

/// Where in a panel somebody is.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) chosen: usize,
    /// The first row that is seen.
    pub(super) first: usize,
    /// Somebody has gone there: what is chosen is followed wherever it goes. Else the top is shown.
    pub(super) is_followed: bool,
}

/// What fills the screen.
#[derive(Debug)]
pub(super) enum Page {
    Board,
    Help,
    Story(Look),
}

/// A look at a story.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) id: Uuid,
    /// Nothing yet: it is being read.
    pub(super) opened: Option<Opened>,
    /// Why it cannot be shown.
    pub(super) refused: Option<String>,
    pub(super) line: usize,
}

/// How it stands with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    /// What has happened meanwhile comes in.
    CatchingUp,
    Live,
    /// Nothing comes since then, and why.
    Away {
        since: Moment,
        why: String,
    },
}

/// The whole screen.
#[derive(Debug)]
pub(super) struct App {
    pub(super) board: Board,
    pub(super) shown: Shown,
    pub(super) now: Moment,
    /// As long as that a story may be held.
    pub(super) patience: TimeDelta,
    pub(super) page: Page,
    pub(super) focus: Panel,
    pub(super) places: [Place; 4],
    pub(super) filter: String,
    /// The filter is being written.
    pub(super) is_typing: bool,
    pub(super) link: Link,
    /// What could not be read, and is tried again.
    pub(super) late: Option<String>,
    /// What cannot be read.
    pub(super) failed: Option<String>,
    /// How much is still to be read.
    pub(super) unread: usize,
}

impl App {
    pub(super) fn new(board: Board, now: Moment, patience: TimeDelta) -> Self {
        Self {
            board,
            shown: Shown::default(),
            now,
            patience,
            page: Page::Board,
            focus: Panel::Needs,
            places: Default::default(),
            filter: String::new(),
            is_typing: false,
            link: Link::Connecting,
            late: None,
            failed: None,
            unread: 0,
        }
    }

    /// Finds out anew what is shown; whatever was chosen stays chosen, wherever it is now.
    pub(super) fn refresh(&mut self, now: Moment) {
        self.now = now;
        let chosen = Panel::ALL.map(|panel| self.chosen(panel).cloned());
        self.board.settle();
        self.shown = Shown::of(&self.board, &self.filter, now, self.patience);
        for (panel, was) in Panel::ALL.into_iter().zip(chosen) {
            let place = if self.place(panel).is_followed { self.place(panel).chosen } else { 0 };
            let same = |row: &Row, was: &Row| match panel {
                Panel::Events => row.since == was.since && row.title == was.title,
                _ => {
                    !row.is_heading
                        && row.story == was.story
                        && (row.story.is_some() || row.title == was.title)
                }
            };
            let rows = self.rows(panel);
            let found = was
                .filter(|_| self.place(panel).is_followed)
                .and_then(|was| rows.iter().position(|row| same(row, &was)));
            self.choose(panel, found.unwrap_or(place), true);
        }
    }

    pub(super) fn rows(&self, panel: Panel) -> &[Row] {
        match panel {
            Panel::Needs => &self.shown.needs,
            Panel::Stories => &self.shown.stories,
            Panel::Held => &self.shown.held,
            Panel::Events => &self.shown.events,
        }
    }

    pub(super) fn place(&self, panel: Panel) -> &Place {
        let [needs, stories, held, events] = &self.places;
        match panel {
            Panel::Needs => needs,
            Panel::Stories => stories,
            Panel::Held => held,
            Panel::Events => events,
        }
    }

    pub(super) fn place_mut(&mut self, panel: Panel) -> &mut Place {
        let [needs, stories, held, events] = &mut self.places;
        match panel {
            Panel::Needs => needs,
            Panel::Stories => stories,
            Panel::Held => held,
            Panel::Events => events,
        }
    }

    pub(super) fn chosen(&self, panel: Panel) -> Option<&Row> {
        self.rows(panel).get(self.place(panel).chosen)
    }

    /// Chooses a row, or the next one in a direction that is no heading.
    pub(super) fn choose(&mut self, panel: Panel, row: usize, downwards: bool) {
        let rows = self.rows(panel);
        let row = row.min(rows.len().saturating_sub(1));
        let is_heading = |row: &usize| rows.get(*row).is_some_and(|row| row.is_heading);
        let below = (row..rows.len()).find(|row| !is_heading(row));
        let above = (0..=row).rev().find(|row| !is_heading(row));
        let found = if downwards { below.or(above) } else { above.or(below) };
        self.place_mut(panel).chosen = found.unwrap_or_default();
    }

    /// Moves by so many rows. Whoever is at the top sees what comes there.
    pub(super) fn step(&mut self, by: isize) {
        let to = self.place(self.focus).chosen.saturating_add_signed(by);
        self.go_to(to, by > 0);
    }

    pub(super) fn go_to(&mut self, row: usize, downwards: bool) {
        let panel = self.focus;
        self.choose(panel, row, downwards);
        let top = self.rows(panel).iter().position(|row| !row.is_heading).unwrap_or_default();
        let place = self.place_mut(panel);
        place.is_followed = place.chosen > top;
    }
}
