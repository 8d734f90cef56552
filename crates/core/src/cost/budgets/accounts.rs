//! Budgets with what was spent of them so far, while somebody holds them: who spends more, or sets something aside, is told what that
//! means.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Budget, Enforcement, Level, Limits, Place, ScopeType, Spent, Target, TargetType, Utilization, targets,
};
use crate::cost::Total;

/// What is kept for each target of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// So far.
    pub spent: Spent,
    /// What stories that are held have set aside of it, in millicents.
    pub reserved: Total,
    /// Whether it was told that the threshold was reached.
    pub warned: bool,
    /// Whether it was told that it is used up.
    pub exceeded: bool,
}

/// Which account: of a budget, for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// None: the tenant's default.
    pub budget_id: Option<Uuid>,
    /// Whose spending.
    pub target: Target,
    /// Only what was spent in this project, where not all of it counts.
    pub within: Option<Uuid>,
}

/// Budgets that apply to some stories, and the accounts of them.
#[derive(Debug, Default)]
pub struct Accounts {
    budgets: Vec<Budget>,
    /// What each story may cost that has no budget of its own.
    default: Option<i64>,
    accounts: HashMap<Key, Account>,
}

/// A level of a budget that was reached just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// The budget.
    pub budget: Budget,
    /// Whose spending has reached it.
    pub target: Target,
    /// Which level.
    pub level: Level,
    /// The limit that is used most.
    pub used: Utilization,
    /// All that was spent.
    pub spent: Spent,
}

/// What spending has done to the levels of budgets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Reached, and not told of before.
    pub reached: Vec<Crossing>,
    /// Told of, and not reached any more.
    pub left: Vec<(Key, Level)>,
}

/// A blocking budget whose limit would be passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// The budget.
    pub budget: Budget,
    /// Whose spending passes it.
    pub target: Target,
    /// The limit that would be passed furthest.
    pub used: Utilization,
}

/// A blocking budget that has not enough left to set something aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdrawn {
    /// The budget.
    pub budget: Budget,
    /// Whose budget it is.
    pub target: Target,
    /// Millicents.
    pub spent: Total,
    /// Millicents that others have set aside.
    pub reserved: Total,
    /// Millicents.
    pub limit: i64,
}

/// What a claim sets aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Of which budget.
    pub budget_id: Uuid,
    /// Of whose part of it.
    pub target: Target,
    /// How much.
    pub millicents: i64,
}

impl Accounts {
    /// With budgets that somebody holds, and the tenant's default.
    pub fn new(budgets: Vec<Budget>, default: Option<i64>) -> Self {
        Self { budgets, default, accounts: HashMap::new() }
    }

    /// Whether any budget was found.
    pub fn has_budgets(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// Budgets that apply to what an agent spends for a story, each with its account.
    fn applying(&self, place: &Place, agent_id: Option<Uuid>) -> Vec<(Budget, Key)> {
        let mut applying = Vec::new();
        for target in targets(place, agent_id) {
            let (scope, template) = match target.target_type {
                TargetType::Story => (ScopeType::Story, Some(ScopeType::PerStory)),
                TargetType::Epic => (ScopeType::Epic, Some(ScopeType::PerEpic)),
                TargetType::Agent => (ScopeType::Agent, Some(ScopeType::PerAgent)),
                TargetType::Project => (ScopeType::Project, None),
            };
            let of = |scope_type, scope_id| {
                self.budgets
                    .iter()
                    .find(|one| (one.scope_type, one.scope_id) == (scope_type, scope_id))
                    .cloned()
            };
            // What is said of one of them is said instead of what is said of each.
            let explicit = of(scope, target.id);
            let found = explicit.or_else(|| of(template?, place.project_id)).or_else(|| {
                let default = self.default.filter(|_| target.target_type == TargetType::Story)?;
                Some(Budget::tenant_default(target.id, default))
            });
            if let Some(budget) = found {
                let within = (budget.scope_type == ScopeType::PerAgent).then_some(place.project_id);
                let key = Key { budget_id: budget.id, target, within };
                applying.push((budget, key));
            }
        }
        applying
    }

    /// The accounts that have to be looked up before anything is spent for these stories by these agents, or set aside.
    pub fn wanted(&self, places: &[(Place, Vec<Uuid>)]) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for (place, agents) in places {
            for agent_id in agents.iter().copied().map(Some).chain([None]) {
                keys.extend(self.applying(place, agent_id).into_iter().map(|(_, key)| key));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Notes what was looked up.
    pub fn open(&mut self, accounts: impl IntoIterator<Item = (Key, Account)>) {
        self.accounts.extend(accounts);
    }

    fn account(&self, key: &Key) -> Account {
        self.accounts.get(key).copied().unwrap_or_default()
    }

    /// Whether a story may be reported as done, by an agent who says to have spent something along with it.
    ///
    /// # Errors
    /// The blocking budget that says most about the story among those whose limit would be passed: of the story and its
    /// surroundings, of who reports, and of whom it is assigned to.
    pub fn admit_report(
        &self,
        place: &Place,
        agent_id: Option<Uuid>,
        assigned: Option<Uuid>,
        spent: Spent,
    ) -> Result<(), Box<Overrun>> {
        let by_reporter = self.applying(place, agent_id).into_iter().map(|applying| (applying, spent));
        // What is reported is spent by whoever reports it.
        let others = self.applying(place, assigned.filter(|assigned| agent_id != Some(*assigned)));
        let by_others = others
            .into_iter()
            .filter(|(_, key)| key.target.target_type == TargetType::Agent)
            .map(|applying| (applying, Spent::default()));
        let overruns = by_reporter.chain(by_others).filter_map(|((budget, key), spent)| {
            let used = budget.limits.passed(self.account(&key).spent.and(spent))?;
            let blocks = budget.enforcement == Enforcement::Block;
            blocks.then_some(Overrun { budget, target: key.target, used })
        });
        match overruns.min_by_key(|overrun| overrun.budget.scope_type) {
            Some(overrun) => Err(Box::new(overrun)),
            None => Ok(()),
        }
    }

    /// Spends, or takes back what is negative of it, and says which levels are reached by that, and which are not any more.
    pub fn spend(&mut self, place: &Place, agent_id: Uuid, more: Spent) -> Moved {
        let mut moved = Moved::default();
        let amounts = [more.cost, more.input_tokens, more.output_tokens];
        let shrinks = amounts.iter().any(|amount| *amount < Total::default());
        let grows = !shrinks || amounts.iter().any(|amount| *amount > Total::default());
        for (budget, key) in self.applying(place, Some(agent_id)) {
            let account = self.accounts.entry(key).or_default();
            account.spent = account.spent.and(more);
            let spent = account.spent;
            let levels = [(Level::Warning, &mut account.warned), (Level::Exceeded, &mut account.exceeded)];
            for (level, told) in levels {
                match (budget.reaches(level, spent), *told) {
                    (true, false) if grows => {
                        let Some(used) = budget.limits.utilization(spent) else { continue };
                        *told = true;
                        let (budget, target) = (budget.clone(), key.target);
                        moved.reached.push(Crossing { budget, target, level, used, spent });
                    }
                    (false, true) if shrinks => {
                        *told = false;
                        moved.left.push((key, level));
                    }
                    _ => {}
                }
            }
        }
        moved
    }

    /// What a claim by an agent sets aside of the budgets that want that.
    ///
    /// # Errors
    /// The blocking budget that says most about the story among those that have not enough left; reaching the limit is allowed.
    pub fn reserve(
        &mut self,
        place: &Place,
        agent_id: Option<Uuid>,
    ) -> Result<Vec<Reservation>, Box<Overdrawn>> {
        let mut wanted = Vec::new();
        for (budget, key) in self.applying(place, agent_id) {
            let (Some(budget_id), Some(millicents), Limits { cost: Some(limit), .. }) =
                (budget.id, budget.reserve_millicents, budget.limits)
            else {
                continue;
            };
            let Account { spent, reserved, .. } = self.account(&key);
            let left = Total::from(limit) - spent.cost - reserved;
            let is_refused = budget.enforcement == Enforcement::Block && left < millicents.into();
            let overdrawn = is_refused.then_some(Overdrawn {
                budget,
                target: key.target,
                spent: spent.cost,
                reserved,
                limit,
            });
            wanted.push((key, Reservation { budget_id, target: key.target, millicents }, overdrawn));
        }
        let refusals = wanted.iter().filter_map(|(_, _, overdrawn)| overdrawn.as_ref());
        if let Some(overdrawn) = refusals.min_by_key(|overdrawn| overdrawn.budget.scope_type) {
            return Err(Box::new(overdrawn.clone()));
        }
        let reserve = |(key, reservation, _): (Key, Reservation, Option<Overdrawn>)| {
            let account = self.accounts.entry(key).or_default();
            account.reserved = account.reserved + reservation.millicents.into();
            reservation
        };
        Ok(wanted.into_iter().map(reserve).collect())
    }
}
