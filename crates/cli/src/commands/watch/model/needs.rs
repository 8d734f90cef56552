//! What needs somebody, the most urgent first.

use std::cmp::Reverse;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Board, Moment, Stand, Story};

/// Why somebody is needed, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Halted,
    Violations,
    OverBudget,
    Rejected,
    HeldTooLong,
    ToVerify,
    ToReview,
    ToReport,
    /// Nobody has it, and others wait for it.
    Blocks,
}

/// Something that needs somebody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) kind: Kind,
    pub(crate) story: Option<Uuid>,
    pub(crate) since: Option<Moment>,
    /// How many: stories that wait, violations, per cent of a budget.
    pub(crate) count: u64,
    /// Which of the budgets.
    pub(crate) budget: Option<usize>,
}

impl Need {
    fn of(kind: Kind) -> Self {
        Self { kind, story: None, since: None, count: 0, budget: None }
    }
}

impl Board {
    /// `patience`: as long as that a story may be held.
    pub(crate) fn needs(&self, now: Moment, patience: TimeDelta) -> Vec<Need> {
        let mut needs = Vec::new();
        if self.tenant.halted_at.is_some() {
            needs.push(Need { since: self.tenant.halted_at, ..Need::of(Kind::Halted) });
        }
        if self.violations > 0 {
            needs.push(Need { count: self.violations, ..Need::of(Kind::Violations) });
        }
        for (place, budget) in self.budgets.iter().enumerate().filter(|(_, budget)| self.is_about(budget)) {
            let (story, count) = (budget.story, budget.percent);
            needs.push(Need { story, count, budget: Some(place), ..Need::of(Kind::OverBudget) });
        }
        let stories = self.shown().filter_map(|(id, story)| self.need(id, story, now, patience));
        needs.extend(stories);
        let place = |need: &Need| need.story.and_then(|id| self.stories.get(&id)).map(|story| story.place);
        // The older the more urgent; of what nobody has, the one for which most wait.
        needs.sort_by_cached_key(|need| {
            let most = (need.kind == Kind::Blocks).then_some(Reverse(need.count));
            (need.kind, most, need.since, place(need), need.story)
        });
        needs
    }

    fn need(&self, id: Uuid, story: &Story, now: Moment, patience: TimeDelta) -> Option<Need> {
        let stand = self.stand(id, story);
        let (kind, since) = match stand {
            Stand::Rejected => (Kind::Rejected, story.rejected_at),
            Stand::ToVerify => (Kind::ToVerify, story.reviewed_at),
            Stand::ToReview => (Kind::ToReview, story.reported_at),
            Stand::ToReport => (Kind::ToReport, story.finished_at),
            Stand::Implementing | Stand::Assigned | Stand::Contracted => {
                let since = story.held_since?;
                if now.signed_duration_since(since) < patience {
                    return None;
                }
                (Kind::HeldTooLong, Some(since))
            }
            Stand::Ready if self.waits.behind(id) > 0 => (Kind::Blocks, None),
            Stand::Ready | Stand::Blocked | Stand::Verified => return None,
        };
        let count = u64::try_from(self.waits.behind(id)).unwrap_or(u64::MAX);
        Some(Need { kind, story: Some(id), since, count, budget: None })
    }

    /// Whether a budget is of what is shown.
    fn is_about(&self, budget: &super::Budget) -> bool {
        let shows =
            |id| self.stories.get(&id).is_some_and(|story| self.epic.is_none_or(|epic| story.epic == epic));
        match (budget.story, budget.project) {
            (Some(story), _) => shows(story),
            (None, Some(project)) => self.projects.contains_key(&project),
            (None, None) => true,
        }
    }
}
