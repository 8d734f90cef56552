//! What really happened, and what must hold of it.
//!
//! The rules never look at this, and this never looks at what the rules keep for themselves (who they take for an
//! implementer, which review they count, whether they take a story for touched): it notes what was done and by whom. So a
//! property is not the rule that it judges, said twice.

use crate::cast::{Key, People, Role, Who};
use crate::rules::{Action, Step};
use crate::story::{Source, State, Story, Text, Verdict};

/// What happened to the story of a number. All of it is of the present story but `touched` and `wrongs`, which outlive it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Who started it since the last rejection.
    started: People,
    /// Who had started it, up to the report, since the rejection before it.
    worked: People,
    /// Whether it was ever reported.
    reported: bool,
    /// Whether somebody who did neither reviewed this report since the last rejection, when the criteria said that.
    reviewed: Reviewed,
    /// The verification that it has.
    verification: Option<Verification>,
    /// Whether an agent contracted or claimed a story of this number, or reported an artifact for one.
    touched: bool,
    /// What ought not to have happened.
    wrongs: Wrongs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Reviewed {
    first: bool,
    second: bool,
}

impl Reviewed {
    fn of(&mut self, criteria: Text) -> &mut bool {
        match criteria {
            Text::First => &mut self.first,
            Text::Second => &mut self.second,
        }
    }
}

/// What was verified, and whether it was an agent that verified it, and one that had not started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Verification {
    criteria: Text,
    by_another_agent: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Wrongs {
    own_report: bool,
    own_rejection: bool,
    own_criteria: bool,
    adopted_after_touch: bool,
}

impl History {
    /// Notes that a step was taken.
    pub(crate) fn witness(&mut self, before: Option<&Story>, step: Step, after: Option<&Story>) {
        let Some(after) = after else {
            *self = Self { touched: self.touched, wrongs: self.wrongs, ..Self::default() };
            return;
        };
        let Step { key, action } = step;
        match action {
            Action::Contract | Action::Claim | Action::Artifact => self.touched |= key.role == Role::Agent,
            Action::Start => self.started = self.started.and(key.who),
            Action::Report => {
                self.wrongs.own_report |= self.started.has(key.who);
                self.reported = true;
                self.worked = self.started;
                self.reviewed = Reviewed::default();
            }
            Action::ReviewComplete => *self.reviewed.of(after.criteria) |= self.is_another(key),
            Action::Reject => {
                self.wrongs.own_rejection |= self.started.has(key.who);
                self.started = People::NOBODY;
                self.reviewed = Reviewed::default();
                self.verification = None;
            }
            Action::EditCriteria => {
                let holds = key.who.is_some() && key.who == after.holder;
                self.wrongs.own_criteria |= holds || self.started.has(key.who);
            }
            Action::Verify => self.note_verification(key, after),
            Action::Backfill | Action::MarkComplete | Action::ImportVerified | Action::ImportReportedDone => {
                // To mark complete what is verified changes nothing.
                if before != Some(after) {
                    self.wrongs.adopted_after_touch |= self.touched;
                    if after.is_verified() {
                        self.note_verification(key, after);
                    }
                }
            }
            Action::Unclaim | Action::ForceUnclaim | Action::Create | Action::Delete => {}
        }
    }

    fn note_verification(&mut self, key: Key, story: &Story) {
        let by_another_agent = key.who.is_some_and(|who| who != Who::Root) && self.is_another(key);
        self.verification = Some(Verification { criteria: story.criteria, by_another_agent });
    }

    /// Whether the caller neither started the story since its last rejection nor did the work that is reported.
    fn is_another(&self, key: Key) -> bool {
        !self.started.has(key.who) && !self.worked.has(key.who)
    }
}

/// What holds in every state.
impl State {
    /// No story is verified by `loop` unless an agent (or a person with a user key of no agent) that did not start it in
    /// this cycle reviewed this report of these criteria, and an agent that did not start it in this cycle verified it.
    ///
    /// And there was a report, and both came since it was last rejected, and by others than those who did the work that was reported, if that was before
    /// a rejection.
    pub fn verified_work_was_reviewed_and_verified_by_others(&self) -> bool {
        let Some(Story { verdict: Verdict::Verified(Source::Loop), .. }) = self.story else { return true };
        let History { verification, mut reviewed, reported, .. } = self.history;
        reported
            && verification.is_some_and(|verification| {
                verification.by_another_agent && *reviewed.of(verification.criteria)
            })
    }

    /// What an agent touched is reviewed and verified or not at all, whatever was deleted in between.
    pub fn nothing_touched_was_adopted(&self) -> bool {
        !self.history.wrongs.adopted_after_touch
    }

    /// Nobody reports what they implemented.
    pub fn nobody_reported_their_own(&self) -> bool {
        !self.history.wrongs.own_report
    }

    /// Nobody rejects what they implemented: it would begin a cycle in which they have not.
    pub fn nobody_rejected_their_own(&self) -> bool {
        !self.history.wrongs.own_rejection
    }

    /// Nobody changes what is asked for while they hold the story, or once they have started it.
    pub fn nobody_changed_their_own_criteria(&self) -> bool {
        !self.history.wrongs.own_criteria
    }

    /// What was verified of other criteria than there are now says so.
    pub fn stale_verifications_say_so(&self) -> bool {
        let Some(story) = self.story.filter(Story::is_verified) else { return true };
        let verification = self.history.verification;
        verification.is_some_and(|verification| {
            story.shown().verification_stale == (verification.criteria != story.criteria)
        })
    }
}
