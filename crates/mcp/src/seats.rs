//! For whom tools are chosen.

/// What somebody does in the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seat {
    /// Does the work.
    Implementer,
    /// Looks at what others did.
    Reviewer,
    /// Runs the loop.
    Orchestrator,
}

/// Which tools are listed, and how they answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolset {
    /// Those of these seats, in short answers that say what comes next.
    Of(Vec<Seat>),
    /// All of them, in the API's own words.
    All,
}

impl Toolset {
    /// The seats, where tools are chosen by them.
    #[must_use]
    pub fn seats(&self) -> Option<&[Seat]> {
        match self {
            Self::Of(seats) => Some(seats),
            Self::All => None,
        }
    }

    /// Of a key: its role, and the type of its agent.
    #[must_use]
    pub fn of_key(role: &str, agent_type: Option<&str>) -> Self {
        Self::Of(vec![match (role, agent_type) {
            ("agent", Some("reviewer")) => Seat::Reviewer,
            ("agent", _) => Seat::Implementer,
            _ => Seat::Orchestrator,
        }])
    }
}
