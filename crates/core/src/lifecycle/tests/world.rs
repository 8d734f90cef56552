//! A story in a world where anybody calls anything, and what really happened in it, kept apart from what the rules look at.

use std::collections::BTreeSet;

use super::*;

/// Whoever can be held responsible: an agent, all superadmins together, or somebody with a user key of no agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Principal {
    Agent(Uuid),
    Superadmin,
    Person,
}

pub(super) fn principal(actor: &Actor) -> Principal {
    match actor.agent_id {
        Some(agent) => Principal::Agent(agent),
        None if actor.impersonating => Principal::Superadmin,
        None => Principal::Person,
    }
}

/// What can be done with a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Act(Action),
    /// Other criteria than now, and back again.
    Edit,
    Artifact,
    /// Deleted, and planned again under its number.
    Replan,
    /// Deleted, and imported again as verified.
    Reimport,
}

impl Step {
    pub(super) fn all() -> Vec<Self> {
        let acts = Action::ALL.iter().map(|action| Self::Act(*action));
        acts.chain([Self::Edit, Self::Artifact, Self::Replan, Self::Reimport]).collect()
    }
}

/// A review record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    report: i32,
    cycle: i32,
    digest: String,
    pub(super) by: Principal,
}

/// What really happened, whatever the rules remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    /// Who started it since the last rejection.
    pub(super) started: BTreeSet<Principal>,
    /// Who had started what was reported and still stands.
    pub(super) reported: BTreeSet<Principal>,
    /// Since the last report or rejection: who reviewed which criteria last.
    pub(super) reviewed: Option<(Principal, String)>,
    /// Whether it was ever reported.
    pub(super) by_report: bool,
    /// Whether an agent ever had to do with it, or with one of this number before it.
    pub(super) touched: bool,
}

/// A story as the world keeps it.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) state: LoopState,
    started: Vec<Holding>,
    reviews: Vec<Record>,
    pub(super) digest: String,
    /// Whether an agent had touched the story of this number that was deleted.
    remembered: bool,
    pub(super) happened: Happened,
    pub(super) clock: i64,
}

impl World {
    pub(super) fn new(state: LoopState) -> Self {
        Self {
            state,
            started: Vec::new(),
            reviews: Vec::new(),
            digest: "as planned".into(),
            remembered: false,
            happened: Happened::default(),
            clock: 0,
        }
    }

    /// The states in which a story can come into being: planned, or imported as done or verified.
    pub(super) fn beginnings() -> impl Iterator<Item = Self> {
        let reported = LoopState {
            agent_status: AgentStatus::ReportedDone,
            reported_done_at: Some(at(0)),
            ..LoopState::untouched()
        };
        [LoopState::untouched(), reported, imported()].into_iter().map(Self::new)
    }

    pub(super) fn facts(&self) -> Facts {
        let of_report =
            |record: &&Record| record.report == self.state.report_number && record.cycle == self.state.cycle;
        let review = match self.reviews.iter().rev().find(of_report) {
            None => Review::Missing,
            Some(record) if record.digest == self.digest => Review::Current,
            Some(_) => Review::Outdated,
        };
        let started = self.started.iter().filter(|holding| holding.counts_in(&self.state)).cloned().collect();
        Facts { digest: self.digest.clone(), review, started, ..facts(self.state.clone()) }
    }

    /// What the server does with one request: role, then rules, then effects. The clock jumps both ways.
    pub(super) fn call(
        &mut self,
        step: Step,
        actor: &Actor,
        auto_reset_on: bool,
    ) -> Result<(), Option<Refusal>> {
        self.clock += if self.clock % 3 == 0 { -7 } else { 5 };
        match step {
            Step::Act(action) => self.act(action, actor, auto_reset_on),
            Step::Edit => {
                if actor.role < Role::Orchestrator {
                    return Err(None);
                }
                let facts = self.facts();
                admit_change_of_criteria(&facts.state, &facts.started, actor).map_err(Some)?;
                let other = if self.digest == "as planned" { "otherwise" } else { "as planned" };
                self.digest = other.into();
                Ok(())
            }
            Step::Artifact if matches!(actor.role, Role::Agent | Role::Orchestrator) => {
                if actor.role == Role::Agent {
                    self.state.first_touched_at.get_or_insert(at(self.clock));
                    self.happened.touched = true;
                }
                Ok(())
            }
            Step::Replan | Step::Reimport if actor.role == Role::User => {
                let remembered = self.remembered || self.state.first_touched_at.is_some();
                // As the database does it.
                let state = match step {
                    Step::Reimport if remembered => return Err(None),
                    Step::Reimport => imported(),
                    _ => LoopState { first_touched_at: remembered.then(|| at(0)), ..LoopState::untouched() },
                };
                let happened = Happened { touched: self.happened.touched, ..Happened::default() };
                *self = Self { remembered, happened, clock: self.clock, ..Self::new(state) };
                Ok(())
            }
            Step::Artifact | Step::Replan | Step::Reimport => Err(None),
        }
    }

    fn act(&mut self, action: Action, actor: &Actor, auto_reset_on: bool) -> Result<(), Option<Refusal>> {
        if !action.roles().contains(&actor.role) {
            return Err(None);
        }
        let (was, now) = (self.state.clone(), at(self.clock));
        let next = decide(&self.facts(), &attempt(action), actor, now).map_err(Some)?;
        self.state = if action == Action::Reject && auto_reset_on { auto_reset(&next) } else { next };
        if was.assigned_at.is_some() && self.state.assigned_at != was.assigned_at {
            self.started.iter_mut().for_each(|holding| holding.until = holding.until.or(Some(now)));
        }
        let happened = &mut self.happened;
        let released = self.state.agent_status == AgentStatus::Pending;
        match action {
            Action::Contract | Action::Claim => happened.touched |= actor.role == Role::Agent,
            Action::Start => {
                let (agent_id, from) = (self.state.assigned_agent_id, self.state.assigned_at.unwrap());
                Holding::note(&mut self.started, self.state.cycle, agent_id, from);
                happened.started.insert(principal(actor));
            }
            Action::Report => {
                happened.by_report = true;
                happened.reported = happened.started.clone();
                happened.reviewed = None;
            }
            Action::ReviewComplete => {
                let (report, cycle) = (self.state.report_number, self.state.cycle);
                let record = Record { report, cycle, digest: self.digest.clone(), by: principal(actor) };
                happened.reviewed = Some((record.by, record.digest.clone()));
                self.reviews.push(record);
            }
            Action::Reject => {
                happened.started.clear();
                happened.reviewed = None;
            }
            _ => {}
        }
        if released {
            happened.reviewed = None;
            if self.state.verified_status != VerifiedStatus::Verified {
                happened.reported.clear();
            }
        }
        Ok(())
    }

    /// Everything but times and the absolute values of counters, which do not change what is possible.
    pub(super) fn shape(&self) -> String {
        let (s, facts) = (&self.state, self.facts());
        let started: BTreeSet<_> = facts.started.iter().map(|h| (h.cycle == s.cycle, h.agent_id)).collect();
        format!(
            "{} {} {:?} {:?} {:?} {:?} {} {} {:?} {started:?} {:?} {} {} {:?} {:?} {} {:?}",
            s.agent_status,
            s.verified_status,
            s.assigned_agent_id,
            s.assigned_at.is_some(),
            s.reported_by_agent_id,
            s.report_cycle.map(|cycle| cycle == s.cycle),
            s.first_claimed_at.is_some(),
            s.first_touched_at.is_some(),
            s.verification_source,
            facts.review,
            self.digest,
            self.remembered,
            s.contracted_digest,
            s.verified_digest,
            s.report_number > 0,
            self.happened,
        )
    }
}

/// A story that an import brings as verified.
fn imported() -> LoopState {
    LoopState {
        agent_status: AgentStatus::ReportedDone,
        reported_done_at: Some(at(0)),
        verified_status: VerifiedStatus::Verified,
        verified_at: Some(at(0)),
        verification_source: Some(VerificationSource::Import),
        verified_digest: Some("as planned".into()),
        ..LoopState::untouched()
    }
}

/// Every kind of key of two agents, some of a third, and those of nobody.
pub(super) fn everyone() -> Vec<Actor> {
    let mut all = vec![actor(Role::User, None), actor(Role::Agent, None), actor(Role::Orchestrator, None)];
    for agent in [A, B] {
        all.extend([Role::Agent, Role::Orchestrator, Role::User].map(|role| actor(role, Some(agent))));
    }
    all.push(actor(Role::Orchestrator, Some(C)));
    let inside = |role| Actor { role, agent_id: None, impersonating: true };
    all.extend([Role::Agent, Role::Orchestrator, Role::User].map(inside));
    all
}
