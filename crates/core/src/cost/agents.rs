//! What agents come to on average, each counting as much as the others.

use super::Total;

/// What an agent has used, and what became of its stories.
#[derive(Debug, Clone, Copy)]
pub struct AgentUsage {
    /// What it has cost.
    pub cost_millicents: Total,
    /// Stories of its reports.
    pub stories: i64,
    /// Of these, those that are verified in per cent of those that are verified or rejected; None without any.
    pub verification_rate_pct: Option<Total>,
}

/// Several agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentGroup {
    /// How many.
    pub count: i64,
    /// Of agents with stories that are verified or rejected; None without any.
    pub verification_rate_pct: Option<Total>,
    /// Cost per story of agents that have cost something; None without agents.
    pub cost_per_story_millicents: Option<Total>,
}

impl AgentGroup {
    /// Means are cut off.
    pub fn of(agents: &[AgentUsage]) -> Self {
        let count = |figures: usize| i64::try_from(figures).unwrap_or(i64::MAX);
        let mean = |figures: &[Total]| figures.iter().copied().sum::<Total>().shared_by(count(figures.len()));
        let rates: Vec<_> = agents.iter().filter_map(|agent| agent.verification_rate_pct).collect();
        let costs: Vec<_> = agents
            .iter()
            .map(|agent| agent.cost_millicents.shared_by(agent.stories))
            .filter(|cost| *cost != Total::default())
            .collect();
        Self {
            count: count(agents.len()),
            verification_rate_pct: (!rates.is_empty()).then(|| mean(&rates)),
            cost_per_story_millicents: (!agents.is_empty()).then(|| mean(&costs)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(cost: i64, stories: i64, rate: Option<i64>) -> AgentUsage {
        let verification_rate_pct = rate.map(Total::from);
        AgentUsage { cost_millicents: cost.into(), stories, verification_rate_pct }
    }

    #[test]
    fn agents_count_alike_and_those_without_a_figure_do_not() {
        let of = |agents: &[AgentUsage]| {
            let group = AgentGroup::of(agents);
            let number = |total: Option<Total>| total.map(|total| total.0);
            (group.count, number(group.verification_rate_pct), number(group.cost_per_story_millicents))
        };
        assert_eq!(of(&[]), (0, None, None));
        assert_eq!(of(&[agent(0, 1, None)]), (1, None, Some(0)));
        assert_eq!(of(&[agent(12_000, 2, Some(100)), agent(2200, 2, Some(50))]), (2, Some(75), Some(3550)));
        assert_eq!(
            of(&[agent(7, 2, Some(1)), agent(4, 1, Some(2)), agent(0, 5, None)]),
            (3, Some(1), Some(3))
        );
    }
}
