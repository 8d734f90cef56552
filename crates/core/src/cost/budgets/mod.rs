//! What budgets say of what was spent: to which stories, epics and agents they apply, how far they are used, and what they refuse.

mod accounts;

use uuid::Uuid;

use super::Total;
use crate::words::words;

pub use accounts::{Account, Accounts, Crossing, Key, Moved, Overdrawn, Overrun, Reservation};

words! {
    /// Of what a budget is; what says most about one story comes first.
    ScopeType {
        /// One story.
        Story = "story",
        /// Each story of a project by itself.
        PerStory = "per_story",
        /// The stories of one epic.
        Epic = "epic",
        /// Each epic of a project by itself.
        PerEpic = "per_epic",
        /// One agent, in all projects.
        Agent = "agent",
        /// Each agent by itself, within a project.
        PerAgent = "per_agent",
        /// The stories of one project.
        Project = "project",
    }
}

words! {
    /// Whose spending a budget is compared with.
    TargetType {
        /// What is reported of a story.
        Story = "story",
        /// Of the stories of an epic.
        Epic = "epic",
        /// By an agent.
        Agent = "agent",
        /// Of the stories of a project.
        Project = "project",
    }
}

words! {
    /// What is limited; where two are used as far, the first one counts.
    LimitType {
        /// Money.
        Cost = "cost",
        /// Input and output together.
        Tokens = "tokens",
        /// Input alone.
        InputTokens = "input_tokens",
        /// Output alone.
        OutputTokens = "output_tokens",
    }
}

words! {
    /// What follows when a limit is passed.
    Enforcement {
        /// It is told.
        Warn = "warn",
        /// Stories are not reported as done any more, either.
        Block = "block",
    }
}

words! {
    /// How far a budget is used, for those who are told.
    Level {
        /// As far as its threshold.
        Warning = "warning",
        /// All of it.
        Exceeded = "exceeded",
    }
}

/// The limits of a budget; None: not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Millicents.
    pub cost: Option<i64>,
    /// Input and output together.
    pub tokens: Option<i64>,
    /// 0 limits nothing.
    pub input_tokens: Option<i64>,
    /// 0 limits nothing.
    pub output_tokens: Option<i64>,
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Millicents.
    pub cost: Total,
    /// Tokens that were read.
    pub input_tokens: Total,
    /// Tokens that were written.
    pub output_tokens: Total,
}

/// A limit, and what was spent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utilization {
    /// Which limit.
    pub limit_type: LimitType,
    /// How much that is.
    pub limit: i64,
    /// What was spent of it.
    pub current: Total,
    /// Hundredths, cut off.
    pub percent: Total,
}

impl Spent {
    /// What one report says.
    pub fn of(cost_millicents: i64, input_tokens: i64, output_tokens: i64) -> Self {
        Self {
            cost: cost_millicents.into(),
            input_tokens: input_tokens.into(),
            output_tokens: output_tokens.into(),
        }
    }

    /// The first amount that is below nothing, by its name.
    pub fn falls_below_nothing(self) -> Option<&'static str> {
        let amounts = [
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            ("cost_millicents", self.cost),
        ];
        amounts.into_iter().find(|(_, amount)| *amount < Total::default()).map(|(name, _)| name)
    }

    /// Input and output together.
    pub fn tokens(&self) -> Total {
        self.input_tokens + self.output_tokens
    }

    /// As much, taken back.
    #[must_use]
    pub fn taken_back(self) -> Self {
        let minus = |of: Total| Total::default() - of;
        Self {
            cost: minus(self.cost),
            input_tokens: minus(self.input_tokens),
            output_tokens: minus(self.output_tokens),
        }
    }

    /// This and more.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            cost: self.cost + more.cost,
            input_tokens: self.input_tokens + more.input_tokens,
            output_tokens: self.output_tokens + more.output_tokens,
        }
    }
}

impl Limits {
    /// What was spent of each limit that there is.
    fn utilizations(self, spent: Spent) -> impl Iterator<Item = Utilization> {
        [
            (LimitType::Cost, self.cost, spent.cost),
            (LimitType::Tokens, self.tokens, spent.tokens()),
            (LimitType::InputTokens, self.input_tokens, spent.input_tokens),
            (LimitType::OutputTokens, self.output_tokens, spent.output_tokens),
        ]
        .into_iter()
        .filter_map(|(limit_type, limit, current)| {
            let limit = limit?;
            let percent = current.percent_of(limit.into())?;
            Some(Utilization { limit_type, limit, current, percent })
        })
    }

    /// The limit that is used most; None where nothing is limited.
    pub fn utilization(self, spent: Spent) -> Option<Utilization> {
        most_used(self.utilizations(spent))
    }

    /// The limit that was passed furthest, if one was: reaching it is allowed.
    pub fn passed(self, spent: Spent) -> Option<Utilization> {
        most_used(self.utilizations(spent).filter(|used| used.current > used.limit.into()))
    }
}

/// The first of those that are used most.
fn most_used(used: impl Iterator<Item = Utilization>) -> Option<Utilization> {
    used.reduce(|most, next| if next.percent > most.percent { next } else { most })
}

/// A budget, as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// None: the tenant's default, which is of each story that has no other.
    pub id: Option<Uuid>,
    /// Of what it is.
    pub scope_type: ScopeType,
    /// The story, epic, agent or project; of `per_…` the project.
    pub scope_id: Uuid,
    /// What may be spent.
    pub limits: Limits,
    /// How far it is used when that is told, in hundredths.
    pub alert_threshold_pct: i32,
    /// What follows when it is used up.
    pub enforcement: Enforcement,
    /// What a claim sets aside, in millicents.
    pub reserve_millicents: Option<i64>,
}

impl Budget {
    /// The tenant's default for a story: it only tells.
    fn tenant_default(story_id: Uuid, millicents: i64) -> Self {
        Self {
            id: None,
            scope_type: ScopeType::Story,
            scope_id: story_id,
            limits: Limits { cost: Some(millicents), ..Limits::default() },
            alert_threshold_pct: 80,
            enforcement: Enforcement::Warn,
            reserve_millicents: None,
        }
    }

    /// Whether it blocks, and would let through what it does not now.
    pub fn is_loosened_to(&self, new: &Self) -> bool {
        let sets_less_aside = self.reserve_millicents > new.reserve_millicents;
        self.enforcement == Enforcement::Block
            && (new.enforcement != Enforcement::Block || sets_less_aside || self.is_raised_to(new))
    }

    /// Whether a limit would be higher, or gone.
    pub fn is_raised_to(&self, new: &Self) -> bool {
        let limits = |of: &Self| {
            let Limits { cost, tokens, input_tokens, output_tokens } = of.limits;
            [cost, tokens, input_tokens, output_tokens].map(|limit| limit.filter(|limit| *limit > 0))
        };
        limits(self).into_iter().zip(limits(new)).any(|(old, new)| match (old, new) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => new > old,
        })
    }

    /// Which level of it `spent` reaches.
    pub fn reaches(&self, level: Level, spent: Spent) -> bool {
        let percent = match level {
            Level::Warning => self.alert_threshold_pct,
            Level::Exceeded => 100,
        };
        self.limits.utilization(spent).is_some_and(|used| used.percent >= Total(percent.into()))
    }
}

/// Whose spending it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// What it is.
    pub target_type: TargetType,
    /// Which one.
    pub id: Uuid,
}

/// Where something is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The story that it is spent for.
    pub story_id: Uuid,
    /// The story's epic.
    pub epic_id: Uuid,
    /// The story's project.
    pub project_id: Uuid,
}

/// What is spent for a story is spent by an agent, of these targets.
fn targets(place: &Place, agent_id: Option<Uuid>) -> impl Iterator<Item = Target> {
    let Place { story_id, epic_id, project_id } = *place;
    [
        (TargetType::Story, Some(story_id)),
        (TargetType::Epic, Some(epic_id)),
        (TargetType::Project, Some(project_id)),
        (TargetType::Agent, agent_id),
    ]
    .into_iter()
    .filter_map(|(target_type, id)| Some(Target { target_type, id: id? }))
}

/// The budget that says how much an entity may cost, and where that comes from: see [`effective`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effective {
    /// Millicents.
    pub millicents: i64,
    /// `explicit`, `project_template`, `epic_inherited`, `project_inherited` or `tenant_default`.
    pub source: &'static str,
}

/// How much something may cost: the first of these that says it, nearest first. Each is a budget's amount with its scope, or the
/// tenant's default.
pub fn effective(asked: TargetType, amounts: &[(ScopeType, i64)], default: Option<i64>) -> Option<Effective> {
    use ScopeType::{Agent, Epic, PerEpic, PerStory, Project, Story};
    let order: &[(ScopeType, &'static str)] = match asked {
        TargetType::Story => &[
            (Story, "explicit"),
            (PerStory, "project_template"),
            (Epic, "epic_inherited"),
            (Project, "project_inherited"),
        ],
        TargetType::Epic => {
            &[(Epic, "explicit"), (PerEpic, "project_template"), (Project, "project_inherited")]
        }
        TargetType::Project => &[(Project, "explicit")],
        TargetType::Agent => &[(Agent, "explicit")],
    };
    let found = order.iter().find_map(|(scope, source)| {
        let (_, millicents) = amounts.iter().find(|(of, _)| of == scope)?;
        Some(Effective { millicents: *millicents, source })
    });
    let default = default.filter(|_| asked != TargetType::Agent);
    found.or_else(|| default.map(|millicents| Effective { millicents, source: "tenant_default" }))
}

#[cfg(test)]
mod tests;
