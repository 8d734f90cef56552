//! Who may do what, and what comes of it.

use crate::cast::{KEYS, Key, People, Role, USER, Who};
use crate::story::AgentStatus::{Assigned, Contracted, Implementing, Pending, ReportedDone};
use crate::story::{Source, State, Story, Verdict};

/// What can be attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `contract`
    Contract,
    /// `claim`
    Claim,
    /// `start`
    Start,
    /// `report`
    Report,
    /// `unclaim`
    Unclaim,
    /// `review-complete`
    ReviewComplete,
    /// `verify`
    Verify,
    /// `reject`
    Reject,
    /// `force-unclaim`
    ForceUnclaim,
    /// `backfill`, each with a reason of its own
    Backfill,
    /// `mark-complete`
    MarkComplete,
    /// The criteria say the other thing.
    EditCriteria,
    /// An artifact is reported, outside of a report.
    Artifact,
    /// The story is deleted.
    Delete,
    /// A story is made under this number.
    Create,
    /// A story is imported under this number, as verified.
    ImportVerified,
    /// A story is imported under this number, as reported done.
    ImportReportedDone,
}

impl Action {
    /// What can be attempted while there is a story.
    const OF_A_STORY: [Self; 14] = [
        Self::Contract,
        Self::Claim,
        Self::Start,
        Self::Report,
        Self::Unclaim,
        Self::ReviewComplete,
        Self::Verify,
        Self::Reject,
        Self::ForceUnclaim,
        Self::Backfill,
        Self::MarkComplete,
        Self::EditCriteria,
        Self::Artifact,
        Self::Delete,
    ];

    /// What can be attempted while there is none.
    const OF_A_NUMBER: [Self; 3] = [Self::Create, Self::ImportVerified, Self::ImportReportedDone];
}

/// Somebody attempts something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// With which key.
    pub key: Key,
    /// What.
    pub action: Action,
}

/// Why not. Each is a code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are the codes of docs/lifecycle.md")]
pub enum Refusal {
    Forbidden,
    AgentRequired,
    NotAssignedAgent,
    InvalidTransition,
    MustContractFirst,
    MustClaimFirst,
    SelfReportBlocked,
    SelfReviewBlocked,
    SelfVerifyBlocked,
    SelfCriteriaBlocked,
    ReviewNotConducted,
    CriteriaChanged,
    AlreadyVerified,
    StoryRejected,
    NotPreExisting,
}

impl Refusal {
    /// As the server writes it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::AgentRequired => "agent_required",
            Self::NotAssignedAgent => "not_assigned_agent",
            Self::InvalidTransition => "invalid_transition",
            Self::MustContractFirst => "must_contract_first",
            Self::MustClaimFirst => "must_claim_first",
            Self::SelfReportBlocked => "self_report_blocked",
            Self::SelfReviewBlocked => "self_review_blocked",
            Self::SelfVerifyBlocked => "self_verify_blocked",
            Self::SelfCriteriaBlocked => "self_criteria_blocked",
            Self::ReviewNotConducted => "review_not_conducted",
            Self::CriteriaChanged => "criteria_changed",
            Self::AlreadyVerified => "already_verified",
            Self::StoryRejected => "story_rejected",
            Self::NotPreExisting => "not_pre_existing",
        }
    }
}

/// A part of the rules that can be left out, to see that the properties miss it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Omission {
    /// Who gives a story back has not started it.
    StartersAfterRelease,
    /// The holder is not an implementer unless it started.
    Holder,
    /// After a rejection without reset nobody has done the work that stands.
    WorkThatStands,
    /// A superadmin is somebody else in every role.
    OnePrincipal,
    /// Implementers may report.
    SelfReport,
    /// Implementers may review.
    SelfReview,
    /// Implementers may verify.
    SelfVerify,
    /// Implementers may reject.
    SelfReject,
    /// Implementers may change the criteria.
    SelfCriteria,
    /// Nothing needs to be reviewed.
    Review,
    /// A review is good for the reports that follow.
    ReviewOfReport,
    /// A review is good after a rejection.
    ReviewOfCycle,
    /// A review is good for other criteria.
    ReviewOfCriteria,
    /// What is verified can be contracted.
    VerifiedIsClosed,
    /// To contract a story is not to touch it.
    ContractTouches,
    /// To claim a story is not to touch it.
    ClaimTouches,
    /// To report an artifact is not to touch its story.
    ArtifactTouches,
    /// What was given back is as if untouched.
    TouchedAfterRelease,
    /// A touched story can be backfilled.
    BackfillPreExisting,
    /// A touched story can be marked complete.
    MarkPreExisting,
    /// Deletion makes a number new.
    NumberRemembered,
    /// A remembered number can be imported as done.
    ImportPreExisting,
    /// A verification is of whatever the criteria say now.
    VerifiedDigest,
    /// What was brought as reported is verified as of the loop.
    LoopIsReported,
}

impl Omission {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::StartersAfterRelease,
        Self::Holder,
        Self::WorkThatStands,
        Self::OnePrincipal,
        Self::SelfReport,
        Self::SelfReview,
        Self::SelfVerify,
        Self::SelfReject,
        Self::SelfCriteria,
        Self::Review,
        Self::ReviewOfReport,
        Self::ReviewOfCycle,
        Self::ReviewOfCriteria,
        Self::VerifiedIsClosed,
        Self::ContractTouches,
        Self::ClaimTouches,
        Self::ArtifactTouches,
        Self::TouchedAfterRelease,
        Self::BackfillPreExisting,
        Self::MarkPreExisting,
        Self::NumberRemembered,
        Self::ImportPreExisting,
        Self::VerifiedDigest,
        Self::LoopIsReported,
    ];
}

/// The rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// `auto_reset_on_rejection`
    pub auto_reset: bool,
    /// What is left out.
    pub without: Option<Omission>,
}

impl Rules {
    /// All of them.
    pub fn new(auto_reset: bool) -> Self {
        Self { auto_reset, without: None }
    }

    /// Everything that somebody could attempt.
    pub fn steps(state: &State) -> Vec<Step> {
        if state.story.is_none() {
            return Action::OF_A_NUMBER.map(|action| Step { key: USER, action }).to_vec();
        }
        let keys = KEYS.iter();
        keys.flat_map(|key| Action::OF_A_STORY.map(|action| Step { key: *key, action })).collect()
    }

    /// What comes of an attempt.
    ///
    /// # Errors
    /// The reason why it is refused; then nothing has changed.
    pub fn answer(&self, state: &State, step: Step) -> Result<State, Refusal> {
        let mut next = *state;
        match &state.story {
            None => next.story = Some(self.make(state, step.action)?),
            Some(story) if step.action == Action::Delete => {
                permit(step.key, &[Role::User])?;
                next.story = None;
                next.remembered |= story.touched && self.with(Omission::NumberRemembered);
            }
            Some(story) => next.story = Some(self.act(story, step)?),
        }
        next.history.witness(state.story.as_ref(), step, next.story.as_ref());
        Ok(next)
    }

    fn with(&self, part: Omission) -> bool {
        self.without != Some(part)
    }

    /// A story comes to be. An agent had to do with it from the beginning if its number is remembered.
    fn make(&self, state: &State, action: Action) -> Result<Story, Refusal> {
        let mut story = Story::new(state.remembered);
        if action != Action::Create {
            let known = state.remembered && self.with(Omission::ImportPreExisting);
            require(!known, Refusal::NotPreExisting)?;
            story.agent_status = ReportedDone;
        }
        if action == Action::ImportVerified {
            verify(&mut story, Source::Import);
        }
        Ok(story)
    }

    /// The table: who, from where, the guards in order; and what is set.
    fn act(&self, story: &Story, Step { key, action }: Step) -> Result<Story, Refusal> {
        let mut next = *story;
        let status = story.agent_status;
        let verified = story.is_verified();
        let holds = key.who.is_some() && key.who == story.holder;
        // Whether the caller would judge its own work.
        let own = |part| self.implements(key, story) && self.with(part);
        match action {
            Action::Contract => {
                permit(key, &[Role::Agent, Role::Orchestrator])?;
                let closed = verified && self.with(Omission::VerifiedIsClosed);
                require(status == Pending && !closed, Refusal::InvalidTransition)?;
                next.agent_status = Contracted;
                next.contracted = Some(story.criteria);
                next.touched |= key.role == Role::Agent && self.with(Omission::ContractTouches);
            }
            Action::Claim => {
                permit(key, &[Role::Agent])?;
                require(status != Pending || verified, Refusal::MustContractFirst)?;
                require(status == Contracted, Refusal::InvalidTransition)?;
                next.agent_status = Assigned;
                next.holder = key.who;
                next.touched |= self.with(Omission::ClaimTouches);
            }
            Action::Start => {
                permit(key, &[Role::Agent])?;
                require(status != Pending || verified, Refusal::MustContractFirst)?;
                require(status != Contracted, Refusal::MustClaimFirst)?;
                require(status == Assigned, Refusal::InvalidTransition)?;
                require(holds, Refusal::NotAssignedAgent)?;
                next.agent_status = Implementing;
                next.started = story.started.and(key.who);
            }
            Action::Report => {
                permit(key, &[Role::Agent, Role::Orchestrator])?;
                require(key.has_agent(), Refusal::AgentRequired)?;
                require(status == Implementing, Refusal::InvalidTransition)?;
                require(!own(Omission::SelfReport), Refusal::SelfReportBlocked)?;
                next.agent_status = ReportedDone;
                next.reported = true;
                next.reported_work_of = story.started;
                // Reviews were of an earlier report.
                if self.with(Omission::ReviewOfReport) {
                    next.review = None;
                }
                if story.verdict == Verdict::Rejected {
                    next.verdict = Verdict::Unverified;
                }
            }
            Action::Unclaim => {
                permit(key, &[Role::Agent])?;
                require(status != Pending, Refusal::InvalidTransition)?;
                require(holds, Refusal::NotAssignedAgent)?;
                require(!verified, Refusal::InvalidTransition)?;
                self.release(&mut next);
            }
            Action::ReviewComplete => {
                require(key.has_agent() || key.role == Role::User, Refusal::AgentRequired)?;
                require(!own(Omission::SelfReview), Refusal::SelfReviewBlocked)?;
                require(status == ReportedDone, Refusal::InvalidTransition)?;
                next.review = Some(story.criteria);
            }
            Action::Verify => {
                permit(key, &[Role::Orchestrator])?;
                require(key.has_agent(), Refusal::AgentRequired)?;
                require(!own(Omission::SelfVerify), Refusal::SelfVerifyBlocked)?;
                require(status == ReportedDone && !verified, Refusal::InvalidTransition)?;
                let reviewed = story.review.is_some() || !self.with(Omission::Review);
                require(reviewed, Refusal::ReviewNotConducted)?;
                let other = story.review.is_some_and(|review| review != story.criteria);
                require(!other || !self.with(Omission::ReviewOfCriteria), Refusal::CriteriaChanged)?;
                // What was brought as reported was not worked on here.
                let brought = !story.reported && self.with(Omission::LoopIsReported);
                verify(&mut next, if brought { Source::Import } else { Source::Loop });
            }
            Action::Reject => {
                permit(key, &[Role::Orchestrator])?;
                require(key.has_agent(), Refusal::AgentRequired)?;
                require(!own(Omission::SelfReject), Refusal::SelfVerifyBlocked)?;
                require(status == ReportedDone || verified, Refusal::InvalidTransition)?;
                next.verdict = Verdict::Rejected;
                next.verified = None;
                // The next cycle: nobody has started it yet, and nobody has reviewed what was done in it.
                next.started = People::NOBODY;
                // What was taken from its holder meanwhile does not stand.
                if status != ReportedDone {
                    next.reported_work_of = People::NOBODY;
                }
                if self.with(Omission::ReviewOfCycle) {
                    next.review = None;
                }
                if self.auto_reset {
                    self.release(&mut next);
                }
            }
            Action::ForceUnclaim => {
                permit(key, &[Role::Orchestrator])?;
                require(key.has_agent(), Refusal::AgentRequired)?;
                self.release(&mut next);
            }
            Action::Backfill => {
                permit(key, &[Role::Orchestrator, Role::User])?;
                require(!verified, Refusal::AlreadyVerified)?;
                require(story.verdict != Verdict::Rejected, Refusal::StoryRejected)?;
                let touched = story.touched && self.with(Omission::BackfillPreExisting);
                require(status == Pending && !touched, Refusal::NotPreExisting)?;
                next.agent_status = ReportedDone;
                verify(&mut next, Source::Backfill);
            }
            Action::MarkComplete => {
                permit(key, &[Role::Orchestrator])?;
                require(key.has_agent(), Refusal::AgentRequired)?;
                if !verified {
                    let touched = story.touched && self.with(Omission::MarkPreExisting);
                    require(!touched, Refusal::NotPreExisting)?;
                    next.agent_status = ReportedDone;
                    verify(&mut next, Source::MarkComplete);
                }
            }
            Action::EditCriteria => {
                permit(key, &[Role::Orchestrator, Role::User])?;
                require(!own(Omission::SelfCriteria), Refusal::SelfCriteriaBlocked)?;
                next.criteria = story.criteria.other();
                if !self.with(Omission::VerifiedDigest) {
                    next.verified = story.verified.map(|_| next.criteria);
                }
            }
            Action::Artifact => {
                permit(key, &[Role::Agent, Role::Orchestrator])?;
                next.touched |= key.role == Role::Agent && self.with(Omission::ArtifactTouches);
            }
            // Those of a number are never asked of a story, and `answer` deletes.
            Action::Delete | Action::Create | Action::ImportVerified | Action::ImportReportedDone => {}
        }
        Ok(next)
    }

    /// Whether the caller is an implementer: who started the story in this cycle, who holds it, and, as long as what was reported
    /// stands (or is verified), who started it in the cycle of that report. To have contracted or claimed it once does not count.
    fn implements(&self, key: Key, story: &Story) -> bool {
        let mut implementers = story.started;
        if self.with(Omission::Holder) {
            implementers = implementers.and(story.holder);
        }
        if self.with(Omission::WorkThatStands) {
            implementers = implementers.and_all(story.reported_work_of);
        }
        let disguised = key.who == Some(Who::Root) && key.role != Role::Agent;
        if disguised && !self.with(Omission::OnePrincipal) {
            return false;
        }
        implementers.has(key.who)
    }

    /// Back to pending. What was found of it stays, and so does who started it.
    fn release(&self, story: &mut Story) {
        story.agent_status = Pending;
        story.holder = None;
        story.contracted = None;
        if !story.is_verified() {
            story.reported_work_of = People::NOBODY;
        }
        if !self.with(Omission::StartersAfterRelease) {
            story.started = People::NOBODY;
        }
        story.touched &= self.with(Omission::TouchedAfterRelease);
    }
}

fn verify(story: &mut Story, source: Source) {
    story.verdict = Verdict::Verified(source);
    story.verified = Some(story.criteria);
}

fn permit(key: Key, roles: &[Role]) -> Result<(), Refusal> {
    require(roles.contains(&key.role), Refusal::Forbidden)
}

fn require(condition: bool, otherwise: Refusal) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(otherwise) }
}
