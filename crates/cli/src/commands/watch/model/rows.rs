//! What the panels list, as text without widths or colours.

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Board, Event, Kind, Moment, Need, Stand, Story, short};
use crate::terminal::Tone;

/// A line of a panel.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Which story opens with it.
    pub(crate) story: Option<Uuid>,
    pub(crate) label: String,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) who: String,
    pub(crate) since: Option<Moment>,
    pub(crate) tone: Tone,
    /// Stands above others, and is not chosen itself.
    pub(crate) is_heading: bool,
}

/// How many stories are claimed to be how far, and how many were found to be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) all: usize,
    pub(crate) reported: usize,
    pub(crate) working: usize,
    pub(crate) contracted: usize,
    pub(crate) verified: usize,
    pub(crate) rejected: usize,
}

/// What is shown of the board.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) counts: Counts,
    pub(crate) needs: Vec<Row>,
    pub(crate) stories: Vec<Row>,
    pub(crate) held: Vec<Row>,
    pub(crate) events: Vec<Row>,
}

impl Shown {
    /// What passes the filter; an empty one is passed by everything.
    pub(crate) fn of(board: &Board, filter: &str, now: Moment, patience: TimeDelta) -> Self {
        use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
        let wanted = filter.trim().to_lowercase();
        let passes = |row: &Row| wanted.is_empty() || row.says(&wanted);
        let mut counts = Counts::default();
        for (_, story) in board.shown() {
            counts.all += 1;
            match story.agent_status {
                AgentStatus::ReportedDone => counts.reported += 1,
                AgentStatus::Implementing | AgentStatus::Assigned => counts.working += 1,
                AgentStatus::Contracted => counts.contracted += 1,
                AgentStatus::Pending => {}
            }
            match story.verified_status {
                VerifiedStatus::Verified => counts.verified += 1,
                VerifiedStatus::Rejected => counts.rejected += 1,
                VerifiedStatus::Unverified => {}
            }
        }
        let needs = board.needs(now, patience);
        let needs = needs.iter().map(|need| board.need_row(need)).filter(passes).collect();
        let mut held: Vec<_> = board.shown().filter(|(_, story)| story.is_held()).collect();
        held.sort_by_key(|(id, story)| (story.held_since.is_none(), story.held_since, *id));
        let held = held.into_iter().map(|(id, story)| Row {
            label: board.agent(story.holder),
            who: board.stand(id, story).word().to_owned(),
            since: story.held_since,
            ..board.story_row(id, story)
        });
        let held = held.filter(passes).collect();
        let shows = |event: &&Event| {
            board.epic.is_none()
                || event
                    .story
                    .and_then(|id| board.stories.get(&id))
                    .is_some_and(|s| Some(s.epic) == board.epic)
        };
        let events = board
            .events
            .iter()
            .rev()
            .filter(shows)
            .map(|event| board.event_row(event))
            .filter(passes)
            .collect();
        Self { counts, needs, stories: board.by_stand(passes), held, events }
    }
}

impl Row {
    fn says(&self, wanted: &str) -> bool {
        [&self.label, &self.number, &self.title, &self.who]
            .iter()
            .any(|text| text.to_lowercase().contains(wanted))
    }
}

impl Board {
    fn story_row(&self, id: Uuid, story: &Story) -> Row {
        Row { story: Some(id), number: self.number(story), title: story.title.clone(), ..Row::default() }
    }

    /// In groups, each below its heading.
    fn by_stand(&self, passes: impl Fn(&Row) -> bool) -> Vec<Row> {
        let mut rows: Vec<_> = self
            .shown()
            .map(|(id, story)| {
                let stand = self.stand(id, story);
                let project = self.projects.get(&story.project).map_or(0, |project| project.place);
                ((stand, project, story.place), self.stand_row(id, story, stand))
            })
            .filter(|(_, row)| passes(row))
            .collect();
        rows.sort_by_key(|(place, _)| *place);
        let mut listed = Vec::with_capacity(rows.len() + Stand::ALL.len());
        for stand in Stand::ALL {
            let count = rows.iter().filter(|((of, ..), _)| *of == stand).count();
            if count > 0 {
                listed.push(Row {
                    label: stand.word().to_owned(),
                    title: count.to_string(),
                    tone: stand.tone(),
                    is_heading: true,
                    ..Row::default()
                });
                let of_stand = rows.iter().filter(|((of, ..), _)| *of == stand);
                listed.extend(of_stand.map(|(_, row)| row.clone()));
            }
        }
        listed
    }

    fn stand_row(&self, id: Uuid, story: &Story, stand: Stand) -> Row {
        let (who, since) = match stand {
            Stand::Implementing | Stand::Assigned | Stand::Contracted => {
                (self.agent(story.holder), story.held_since)
            }
            Stand::ToReport => (self.agent(story.holder), story.finished_at),
            Stand::ToReview => (String::new(), story.reported_at),
            Stand::ToVerify => (String::new(), story.reviewed_at),
            Stand::Rejected => (story.reason.clone().unwrap_or_default(), story.rejected_at),
            Stand::Ready | Stand::Blocked | Stand::Verified => (self.behind_words(id), None),
        };
        Row { who, since, label: stand.word().to_owned(), ..self.story_row(id, story) }
    }

    fn behind_words(&self, id: Uuid) -> String {
        match self.waits.behind(id) {
            0 => String::new(),
            count => format!("{count} wait for it"),
        }
    }

    /// A story is called what it is called now.
    fn event_row(&self, event: &Event) -> Row {
        let named = event.story.map(|id| match self.stories.get(&id) {
            Some(story) => self.number(story),
            None => format!("story {}", short(id)),
        });
        Row {
            story: event.story,
            title: named.map_or_else(|| event.what.clone(), |named| format!("{named}  {}", event.what)),
            who: event.who.clone(),
            since: event.at,
            ..Row::default()
        }
    }

    fn need_row(&self, need: &Need) -> Row {
        let story = need.story.and_then(|id| Some((id, self.stories.get(&id)?)));
        let mut row = story.map(|(id, story)| self.story_row(id, story)).unwrap_or_default();
        row.since = need.since;
        row.tone = need.kind.tone();
        need.kind.word().clone_into(&mut row.label);
        match need.kind {
            Kind::Halted => {
                "Custody of this tenant is halted: a superadmin ends that".clone_into(&mut row.title)
            }
            Kind::Violations => {
                row.title = format!("{} open: loopctl admin violators lists them", need.count);
            }
            Kind::OverBudget => {
                if let Some(budget) = need.budget.and_then(|place| self.budgets.get(place)) {
                    row.who = format!("{}%{}", budget.percent, if budget.blocks { ", blocks" } else { "" });
                    if row.story.is_none() {
                        row.title = budget.of.clone();
                    }
                }
            }
            Kind::Rejected => row.who = story.and_then(|(_, story)| story.reason.clone()).unwrap_or_default(),
            Kind::HeldTooLong | Kind::ToReport => {
                row.who = self.agent(story.and_then(|(_, story)| story.holder));
            }
            Kind::Blocks => row.who = format!("{} wait for it", need.count),
            Kind::ToVerify | Kind::ToReview => {}
        }
        row
    }
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::Violations => "violations",
            Self::OverBudget => "over budget",
            Self::Rejected => "rejected",
            Self::HeldTooLong => "held long",
            Self::ToVerify => "to verify",
            Self::ToReview => "to review",
            Self::ToReport => "to report",
            Self::Blocks => "to begin",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Halted | Self::Violations | Self::OverBudget | Self::Rejected => Tone::Bad,
            Self::HeldTooLong | Self::ToVerify | Self::ToReview | Self::ToReport => Tone::Waiting,
            Self::Blocks => Tone::Plain,
        }
    }
}

impl Stand {
    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::ToVerify | Self::ToReview | Self::ToReport => Tone::Waiting,
            Self::Rejected => Tone::Bad,
            Self::Verified => Tone::Good,
            Self::Blocked => Tone::Quiet,
            Self::Implementing | Self::Assigned | Self::Contracted | Self::Ready => Tone::Plain,
        }
    }
}

/// How long ago, in one word of at most three signs, as far as that goes: `now`, `5m`, `3h`, `12d`.
pub(crate) fn age(since: Moment, now: Moment) -> String {
    let minutes = now.signed_duration_since(since).num_minutes();
    match minutes {
        ..1 => "now".to_owned(),
        1..60 => format!("{minutes}m"),
        60..2880 => format!("{}h", minutes / 60),
        _ => format!("{}d", minutes / 1440),
    }
}
