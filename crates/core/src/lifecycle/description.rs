//! The table as clients are told of it. What it lets through and what it refuses is found out by asking [`decide`]: for every state in
//! which a story can stand, once with all that a step needs, and once for each thing that may be lacking.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::table::{AgentLink, Guard, RULES, Rule};
use super::{
    Action, Actor, AgentStatus, Attempt, Backfill, Echo, Facts, Holding, LoopState, Prerequisite, Refusal,
    Review, VerifiedStatus, auto_reset, decide,
};
use crate::code::Code;
use crate::role::Role;

/// Where a story stands: what is claimed, and what was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Standing {
    /// What the implementing side claims.
    pub agent_status: AgentStatus,
    /// What was independently verified.
    pub verified_status: VerifiedStatus,
}

/// A way from one standing to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// Where the story has to stand.
    pub from: Standing,
    /// Where it stands then.
    pub to: Standing,
    /// On what it depends which way it is; null where there is but one.
    pub when: Option<&'static str>,
}

/// What an action is refused with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The refusal's stable word.
    pub code: Code,
    /// In which case.
    pub when: String,
}

/// What is known of an action.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Transition {
    /// The action, as in `attempted_action`.
    pub action: Action,
    /// The agent statuses from which it leads somewhere.
    pub from: Vec<AgentStatus>,
    /// Those to which it leads.
    pub to: Vec<AgentStatus>,
    /// The same exactly, with what was verified.
    pub steps: Vec<Step>,
    /// The roles that may attempt it, exactly.
    pub roles: &'static [Role],
    /// Whether the key must be bound to an agent; not asked of the keys of users.
    pub needs_agent: bool,
    /// What it is refused with, besides what its fields are refused with and every route.
    pub refusals: Vec<Refused>,
}

/// What a step may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Agent,
    Claim,
    Distance,
    Prerequisites,
    Review,
    SameCriteria,
    Untouched,
    Echo,
    Evidence,
}

impl Lack {
    const ALL: [Self; 9] = [
        Self::Agent,
        Self::Claim,
        Self::Distance,
        Self::Prerequisites,
        Self::Review,
        Self::SameCriteria,
        Self::Untouched,
        Self::Echo,
        Self::Evidence,
    ];

    fn when(self) -> &'static str {
        match self {
            Self::Agent => "the key is not bound to an agent",
            Self::Claim => "another agent holds the story, or nobody",
            Self::Distance => "the caller's agent started the story in this cycle, or holds it",
            Self::Prerequisites => "a story or an epic that comes before it is not verified",
            Self::Review => "nobody has reviewed this report in this cycle",
            Self::SameCriteria => "title or criteria have changed since the review",
            Self::Untouched => "an agent contracted or claimed the story, or reported an artifact for it",
            Self::Echo => "title or number of criteria are not echoed exactly",
            Self::Evidence => "review_type or summary is missing",
        }
    }
}

/// Whoever asks, and another agent.
const ME: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

const TITLE: &str = "title";

/// What comes of a rejection, by the tenant's setting.
const RESET: &str = "auto_reset_on_rejection is on, as it is by default";
const NO_RESET: &str = "auto_reset_on_rejection is off";

/// Every transition, in the order of a story's life.
pub fn transitions() -> Vec<Transition> {
    let standings = standings();
    RULES.iter().map(|rule| Transition::of(rule, &standings)).collect()
}

/// What an action is refused with, besides what its fields are refused with and every route.
pub fn refusals_of(action: Action) -> Vec<Refused> {
    let rules = RULES.iter().filter(|rule| rule.action == action);
    rules.flat_map(|rule| refusals(rule, &standings())).collect()
}

/// Everywhere that a story can come to stand.
fn standings() -> Vec<Standing> {
    let mut known = vec![Standing::of(&LoopState::untouched())];
    let mut looked_at = 0;
    while let Some(from) = known.get(looked_at).copied() {
        for step in RULES.iter().flat_map(|rule| steps(rule, from)) {
            if !known.contains(&step.to) {
                known.push(step.to);
            }
        }
        looked_at += 1;
    }
    known.sort_unstable();
    known
}

impl Standing {
    fn of(state: &LoopState) -> Self {
        Self { agent_status: state.agent_status, verified_status: state.verified_status }
    }
}

impl Transition {
    fn of(rule: &Rule, standings: &[Standing]) -> Self {
        let steps: Vec<_> = standings.iter().flat_map(|from| steps(rule, *from)).collect();
        let among = |ends: fn(&Step) -> Standing| {
            let ends = |status| steps.iter().any(|step| ends(step).agent_status == status);
            AgentStatus::ALL.iter().copied().filter(|status| ends(*status)).collect()
        };
        Self {
            action: rule.action,
            from: among(|step| step.from),
            to: among(|step| step.to),
            roles: rule.roles,
            needs_agent: !matches!(rule.agent, AgentLink::NotNeeded),
            refusals: refusals(rule, standings),
            steps,
        }
    }
}

/// Where a rule leads from here, for whoever lacks nothing.
fn steps(rule: &Rule, from: Standing) -> Vec<Step> {
    let next = rule.roles.iter().find_map(|role| ask(rule, *role, from, None).ok());
    // What is done already is let through as well, and leads nowhere.
    let Some(next) = next.filter(|_| rule.allows_state(&state(from))) else { return Vec::new() };
    let step = |state: &LoopState, when| Step { from, to: Standing::of(state), when };
    let (plain, reset) = (step(&next, None), step(&auto_reset(&next), Some(RESET)));
    if rule.action == Action::Reject && plain.to != reset.to {
        return vec![reset, Step { when: Some(NO_RESET), ..plain }];
    }
    vec![plain]
}

/// What a rule is refused with, wherever a story stands.
fn refusals(rule: &Rule, standings: &[Standing]) -> Vec<Refused> {
    let mut cases: Vec<Cases> = Vec::new();
    for (role, standing) in rule.roles.iter().flat_map(|role| standings.iter().map(move |at| (*role, *at))) {
        if let Err(refusal) = ask(rule, role, standing, None) {
            Cases::of(&refusal, &mut cases).standings.push(standing);
            continue;
        }
        for lack in Lack::ALL {
            if let Err(refusal) = ask(rule, role, standing, Some(lack)) {
                Cases::of(&refusal, &mut cases).lacks.push(lack);
            }
        }
    }
    cases.iter().map(Cases::told).chain(of_budgets(rule.action)).collect()
}

/// What budgets refuse, which stand beside the table: they know of money, and not of the story.
fn of_budgets(action: Action) -> Option<Refused> {
    let (status, code, when) = match action {
        Action::Claim => {
            (409, Code::BudgetExhausted, "a blocking budget has not enough left for what a claim sets aside")
        }
        Action::Report => (429, Code::TokenBudgetExceeded, "more was spent than a blocking budget allows"),
        _ => return None,
    };
    Some(Refused { status, code, when: when.to_owned() })
}

/// The cases in which a rule is refused with one code.
struct Cases {
    status: u16,
    code: Code,
    lacks: Vec<Lack>,
    standings: Vec<Standing>,
}

impl Cases {
    /// Those that are known of this code.
    fn of<'a>(refusal: &Refusal, known: &'a mut Vec<Self>) -> &'a mut Self {
        let (status, code) = (refusal.status as u16, refusal.code);
        let place = known.iter().position(|cases| (cases.status, cases.code) == (status, code));
        let place = place.unwrap_or(known.len());
        if place == known.len() {
            known.push(Self { status, code, lacks: Vec::new(), standings: Vec::new() });
        }
        &mut known[place]
    }

    fn told(&self) -> Refused {
        let lacks =
            Lack::ALL.into_iter().filter(|lack| self.lacks.contains(lack)).map(|lack| lack.when().to_owned());
        let stands = self.words();
        let stands = (!stands.is_empty()).then(|| format!("the story is {}", stands.join(" or ")));
        let when = lacks.chain(stands).collect::<Vec<_>>().join("; or ");
        Refused { status: self.status, code: self.code, when }
    }

    /// The words of the standings: of what is claimed, and of what was verified where it is that which is in the way.
    fn words(&self) -> Vec<&'static str> {
        let claimed = |status: &AgentStatus| {
            let here = |at: &Standing| {
                at.agent_status == *status && at.verified_status == VerifiedStatus::Unverified
            };
            self.standings.iter().any(here)
        };
        let judged = |verdict: &VerifiedStatus| {
            let here = |at: &Standing| at.verified_status == *verdict && !claimed(&at.agent_status);
            self.standings.iter().any(here)
        };
        let claims = AgentStatus::ALL.iter().filter(|status| claimed(status)).map(|status| status.as_str());
        let verdicts = VerifiedStatus::ALL.iter().filter(|verdict| judged(verdict));
        claims.chain(verdicts.map(|verdict| verdict.as_str())).collect()
    }
}

/// A story that stands here, held by another agent where somebody holds it. What is in work was touched; of the rest it is not known.
fn state(standing: Standing) -> LoopState {
    let Standing { agent_status, verified_status } = standing;
    let claimed = !matches!(agent_status, AgentStatus::Pending | AgentStatus::Contracted);
    let in_work = matches!(agent_status, AgentStatus::Assigned | AgentStatus::Implementing);
    LoopState {
        agent_status,
        verified_status,
        assigned_agent_id: claimed.then_some(OTHER),
        assigned_at: claimed.then_some(DateTime::UNIX_EPOCH),
        first_touched_at: in_work.then_some(DateTime::UNIX_EPOCH),
        ..LoopState::untouched()
    }
}

/// Attempts a rule's action by an agent that has all that it needs but this.
fn ask(rule: &Rule, role: Role, standing: Standing, lack: Option<Lack>) -> Result<LoopState, Refusal> {
    let lacks = |thing| lack == Some(thing);
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let mut state = state(standing);
    state.first_touched_at = state.first_touched_at.or(lacks(Lack::Untouched).then_some(now));
    if lacks(Lack::Distance) || rule.guards.contains(&Guard::Assignee) && !lacks(Lack::Claim) {
        state.assigned_agent_id = state.assigned_agent_id.map(|_| ME);
    }
    let started = Holding { cycle: state.cycle, agent_id: Some(ME), from: now, until: None };
    let unmet = Prerequisite::Epic { id: OTHER, number: 1, open_stories: 1 };
    let facts = Facts {
        state,
        title: TITLE.to_owned(),
        ac_count: 1,
        digest: String::new(),
        started: lacks(Lack::Distance).then_some(started).into_iter().collect(),
        unmet: lacks(Lack::Prerequisites).then_some(unmet).into_iter().collect(),
        review: match lack {
            Some(Lack::Review) => Review::Missing,
            Some(Lack::SameCriteria) => Review::Outdated,
            _ => Review::Current,
        },
        backfill: None,
    };
    let actor = Actor { role, agent_id: (!lacks(Lack::Agent)).then_some(ME), impersonating: false };
    decide(&facts, &attempt(rule.action, lack), &actor, now)
}

fn attempt(action: Action, lack: Option<Lack>) -> Attempt {
    match action {
        Action::Contract => {
            let ac_count = (lack != Some(Lack::Echo)).then(|| json!(1));
            Attempt::Contract(Echo { story_title: Some(json!(TITLE)), ac_count, skip: false })
        }
        Action::Claim => Attempt::Claim,
        Action::Start => Attempt::Start,
        Action::RequestReview => Attempt::RequestReview,
        Action::Report => Attempt::Report,
        Action::Unclaim => Attempt::Unclaim,
        Action::ReviewComplete => Attempt::ReviewComplete,
        Action::Verify => Attempt::Verify { evidence: lack != Some(Lack::Evidence) },
        Action::Reject => Attempt::Reject { reason: String::new() },
        Action::ForceUnclaim => Attempt::ForceUnclaim,
        Action::Backfill => {
            Attempt::Backfill(Backfill { reason: String::new(), evidence_url: None, pr_number: None })
        }
        Action::MarkComplete => Attempt::MarkComplete,
    }
}
