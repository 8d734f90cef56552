//! The terminal, for as long as the board has it, and what wakes it.

use std::io;

use chrono::{TimeDelta, Utc};
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Duration, Instant, interval_at, sleep_until};

use super::News;
use super::app::{App, Link, Look as Seen, Page};
use super::fetch::{Told, Wishes};
use super::keys::Step;
use super::model::{Answer, Board, text};
use super::pace::Job;
use super::view::{self, Look};
use crate::error::Error;

/// Ages are shown in minutes.
const MINUTE: Duration = Duration::from_secs(60);
/// How soon after the last picture there is another one: of what somebody does, and of what happens.
const QUICK: Duration = Duration::from_millis(30);
const CALM: Duration = Duration::from_millis(250);
/// When so long nothing has come after a while away, all has come.
const CAUGHT_UP: Duration = Duration::from_millis(700);
/// What nobody tells is looked for once in so many minutes.
const LOOK_EVERY: u32 = 5;

/// The terminal is given back however this ends. Of a panic ratatui's own hook sees to it before anything is said.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn take() -> Result<Self, Error> {
        ratatui::try_init().map(Self).map_err(|error| {
            ratatui::restore();
            failed(&error)
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: &io::Error) -> Error {
    Error::Other(format!("Cannot draw on the terminal: {error}"))
}

pub(super) struct Screen<'a> {
    terminal: Terminal,
    app: App,
    look: Look,
    wishes: &'a Wishes,
    signals: [Signal; 3],
    /// When the last picture was drawn, when there is to be another one, and whether something is another for it.
    drawn: Instant,
    due: Option<Instant>,
    is_other: bool,
    /// When all that has happened meanwhile has come, unless something comes.
    caught_up: Option<Instant>,
    was_reached: bool,
    has_projects: bool,
    minutes: u32,
}

impl<'a> Screen<'a> {
    pub(super) fn open(board: Board, patience: TimeDelta, wishes: &'a Wishes) -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::Other(error.to_string()));
        let signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(listen);
        let [terminate, hangup, interrupt] = signals;
        let now = Instant::now();
        Ok(Self {
            signals: [terminate?, hangup?, interrupt?],
            terminal: Terminal::take()?,
            app: App::new(board, Utc::now(), patience),
            look: Look::of_environment(),
            wishes,
            drawn: now,
            due: Some(now),
            is_other: true,
            caught_up: None,
            was_reached: false,
            has_projects: false,
            minutes: 0,
        })
    }

    /// Until somebody quits.
    pub(super) async fn run(
        mut self,
        mut news: Receiver<News>,
        mut answers: Receiver<Told>,
    ) -> Result<(), Error> {
        let mut keys = EventStream::new();
        let mut minute = interval_at(Instant::now() + MINUTE, MINUTE);
        loop {
            let (due, caught_up) = (self.due, self.caught_up);
            let [terminate, hangup, interrupt] = &mut self.signals;
            tokio::select! {
                event = keys.next() => match event {
                    Some(Ok(event)) => {
                        if self.input(event) {
                            return Ok(());
                        }
                    }
                    // Nobody sits there any more.
                    Some(Err(_)) | None => return Ok(()),
                },
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                heard = news.recv() => match heard {
                    Some(heard) => self.hear(heard),
                    None => return Ok(()),
                },
                told = answers.recv() => match told {
                    Some(told) => self.take(told),
                    None => return Ok(()),
                },
                () = at(caught_up) => {
                    self.caught_up = None;
                    self.app.link = Link::Live;
                    self.want_picture(CALM);
                }
                () = at(due) => self.draw()?,
                _ = minute.tick() => self.next_minute(),
            }
        }
    }

    fn want(&self, jobs: &[Job]) {
        for job in jobs {
            self.wishes.want(*job);
        }
    }

    fn want_picture(&mut self, after: Duration) {
        let at = self.drawn + after;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// What is known is another, not only what is chosen.
    fn is_other(&mut self, after: Duration) {
        self.is_other = true;
        self.want_picture(after);
    }

    fn draw(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_other) {
            self.app.refresh(Utc::now());
        }
        self.app.unread = self.wishes.len();
        let (app, look) = (&mut self.app, self.look);
        self.terminal.0.draw(|frame| view::draw(frame, app, look)).map_err(|error| failed(&error))?;
        (self.drawn, self.due) = (Instant::now(), None);
        Ok(())
    }

    /// True where it is the end.
    fn input(&mut self, event: Event) -> bool {
        match event {
            Event::Key(key) => match self.app.press(key) {
                Step::Nothing => {}
                Step::Draw => self.want_picture(QUICK),
                Step::Filter => self.is_other(QUICK),
                Step::Open(story) => {
                    self.wishes.forget_stories();
                    self.wishes.want(Job::Story(story));
                    self.want_picture(QUICK);
                }
                Step::Close => {
                    self.wishes.forget_stories();
                    self.want_picture(QUICK);
                }
                Step::Quit => return true,
            },
            Event::Resize(..) => self.want_picture(QUICK),
            _ => {}
        }
        false
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Reached => {
                // What was read before it is known from when on changes come might be older than they are.
                if !std::mem::replace(&mut self.was_reached, true) {
                    self.want(&[Job::Projects]);
                    self.app.link = Link::Live;
                } else {
                    self.want(&[Job::Tenant, Job::Violations]);
                    self.app.link = Link::CatchingUp;
                    self.caught_up = Some(Instant::now() + CAUGHT_UP);
                }
            }
            News::Change(change) => {
                if let Some(caught_up) = &mut self.caught_up {
                    *caught_up = Instant::now() + CAUGHT_UP;
                }
                let again = self.app.board.apply(&change);
                self.wishes.taken.set(self.app.board.taken);
                if let Some(again) = again {
                    self.wishes.want(again.into());
                }
                if let Page::Story(Seen { id, .. }) = &self.app.page
                    && change["entity_id"].as_str().is_some_and(|about| about == id.to_string())
                {
                    self.wishes.want(Job::Story(*id));
                }
            }
            News::Away(why) => {
                self.caught_up = None;
                let why = why.unwrap_or_else(|| "The server has ended the stream".to_owned());
                let since = match &self.app.link {
                    Link::Away { since, .. } => *since,
                    _ => Utc::now(),
                };
                self.app.link = Link::Away { since, why: text(&why) };
            }
        }
        self.is_other(CALM);
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Answer(answer) => {
                self.app.board.take(&answer);
                if let Answer::Projects(_) = answer {
                    let unread = self.app.board.projects.iter().filter(|(_, project)| !project.is_read);
                    for (id, _) in unread {
                        self.wishes.want(Job::Project(*id));
                    }
                    // What says something of stories is read after them.
                    if !std::mem::replace(&mut self.has_projects, true) {
                        self.want(&[Job::Agents, Job::Budgets, Job::Violations, Job::Earlier]);
                    }
                }
            }
            Told::Opened(opened) => {
                if let Page::Story(seen) = &mut self.app.page
                    && seen.id == opened.id
                {
                    (seen.opened, seen.refused) = (Some(*opened), None);
                }
            }
            Told::Closed(story, why) => {
                if let Page::Story(seen) = &mut self.app.page
                    && seen.id == story
                {
                    seen.refused = Some(text(&why));
                }
            }
            Told::Late(why) => {
                self.app.late =
                    Some(format!("Some of it could not be read, and is read again: {}", text(&why)));
            }
            Told::Failed(why) => self.app.failed = Some(format!("Some of it cannot be read: {}", text(&why))),
            Told::Done => {
                if self.wishes.len() == 0 {
                    self.app.late = None;
                }
            }
        }
        self.is_other(CALM);
    }

    fn next_minute(&mut self) {
        self.minutes += 1;
        // Not all that a superadmin ends or a scan finds is told in the log.
        if self.minutes.is_multiple_of(LOOK_EVERY) && self.app.link == Link::Live {
            self.want(&[Job::Tenant, Job::Violations]);
        }
        self.is_other(CALM);
    }
}

/// Until then; where there is no such time, for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
