//! Who takes part.

/// Those who can be told apart, whatever keys they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// An agent that has an orchestrator's key as well.
    A,
    /// An agent.
    B,
    /// An agent.
    C,
    /// An agent that has an orchestrator's key alone.
    O,
    /// A superadmin inside the tenant: it has no agent, and is one and the same in every role.
    Root,
}

/// The role that a key has, or that a superadmin takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `agent`
    Agent,
    /// `orchestrator`
    Orchestrator,
    /// `user`
    User,
}

/// What a call is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// In which role.
    pub role: Role,
    /// By whom; a user's key is bound to nobody.
    pub who: Option<Who>,
}

/// The user's key.
pub const USER: Key = Key { role: Role::User, who: None };

/// Every key.
pub const KEYS: [Key; 9] = [
    agent(Who::A),
    agent(Who::B),
    agent(Who::C),
    agent(Who::Root),
    orchestrator(Who::A),
    orchestrator(Who::O),
    orchestrator(Who::Root),
    USER,
    Key { role: Role::User, who: Some(Who::Root) },
];

/// Somebody's key of an agent.
pub const fn agent(who: Who) -> Key {
    Key { role: Role::Agent, who: Some(who) }
}

/// Somebody's key of an orchestrator.
pub const fn orchestrator(who: Who) -> Key {
    Key { role: Role::Orchestrator, who: Some(who) }
}

impl Key {
    /// Whether the call is an agent's: not a user's, and not a superadmin's.
    pub fn has_agent(self) -> bool {
        self.who.is_some_and(|who| who != Who::Root)
    }
}

/// Some of those who take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct People(u8);

impl People {
    /// Nobody.
    pub const NOBODY: Self = Self(0);

    /// These and that one.
    #[must_use]
    pub fn and(self, who: Option<Who>) -> Self {
        Self(who.map_or(self.0, |who| self.0 | 1 << who as u8))
    }

    /// These and those.
    #[must_use]
    pub fn and_all(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether that one is among these. Nobody in particular never is.
    pub fn has(self, who: Option<Who>) -> bool {
        who.is_some_and(|who| self.0 & 1 << who as u8 != 0)
    }
}
