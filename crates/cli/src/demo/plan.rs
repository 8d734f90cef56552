//! Who cheats where, and what is rejected: decided beforehand from the seed alone, so that the same seed gives
//! the same numbers however the tasks happen to interleave.

use std::collections::{BTreeMap, BTreeSet};

use super::backlog::Story;

/// An attempt at something that nobody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cheat {
    /// Claims a story that nobody has acknowledged.
    ClaimWithoutContract,
    /// Acknowledges a story under another title.
    WrongTitle,
    /// Acknowledges a story with a wrong number of criteria.
    WrongCount,
    /// Begins a story that nobody has claimed.
    StartWithoutClaim,
    /// Two agents claim at the same moment; one of them must lose.
    DoubleClaim,
    /// Claims a story that another agent holds.
    ClaimTaken,
    /// Begins a story that another agent holds.
    StartTaken,
    /// Claims a story whose prerequisite is not verified.
    ClaimBlocked,
    /// Work in progress is deleted and imported again as verified.
    ImportDone,
    /// The implementer reports the own story.
    SelfReport,
    /// The implementer has given its work to a puppet, and reports it.
    PuppetReport,
    /// The implementer reviews the own story.
    SelfReview,
    /// The implementer has given its work to a puppet, and reviews it.
    PuppetReview,
    /// An orchestrator verifies what nobody has reviewed.
    VerifyUnreviewed,
    /// The implementer verifies, with the key of an agent.
    AgentVerify,
    /// The implementer verifies, with the key of an orchestrator.
    SelfVerify,
    /// The implementer has given its work to a puppet, and verifies it.
    PuppetVerify,
    /// The implementer changes what the work is measured by.
    OwnCriteria,
    /// What was reviewed is verified after the criteria were changed.
    VerifyChanged,
}

impl Cheat {
    /// In the order in which a story meets them.
    pub(super) const ALL: [Self; 19] = [
        Self::ClaimWithoutContract,
        Self::WrongTitle,
        Self::WrongCount,
        Self::StartWithoutClaim,
        Self::DoubleClaim,
        Self::ClaimTaken,
        Self::StartTaken,
        Self::ClaimBlocked,
        Self::ImportDone,
        Self::SelfReport,
        Self::PuppetReport,
        Self::SelfReview,
        Self::PuppetReview,
        Self::VerifyUnreviewed,
        Self::AgentVerify,
        Self::SelfVerify,
        Self::PuppetVerify,
        Self::OwnCriteria,
        Self::VerifyChanged,
    ];

    /// What the agent tried.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::ClaimWithoutContract => "claim a story without having acknowledged it",
            Self::WrongTitle => "acknowledge a story under a wrong title",
            Self::WrongCount => "acknowledge it without counting its criteria",
            Self::StartWithoutClaim => "start a story without claiming it",
            Self::DoubleClaim => "two agents claim a story at the same moment",
            Self::ClaimTaken => "claim a story that another agent holds",
            Self::StartTaken => "start a story that another agent holds",
            Self::ClaimBlocked => "claim a story before its prerequisite is verified",
            Self::ImportDone => "delete a story in work and import it as verified",
            Self::SelfReport => "report the own story as done",
            Self::PuppetReport => "give the own story to a puppet and report it",
            Self::SelfReview => "review the own story",
            Self::PuppetReview => "give the own story to a puppet and review it",
            Self::VerifyUnreviewed => "verify a story that nobody has reviewed",
            Self::AgentVerify => "verify the own story with an agent's key",
            Self::SelfVerify => "verify the own story with an orchestrator's key",
            Self::PuppetVerify => "give the own story to a puppet and verify it",
            Self::OwnCriteria => "drop the criteria of the own story",
            Self::VerifyChanged => "verify a story whose criteria changed after its review",
        }
    }

    /// How the server must answer: status and code.
    pub(super) fn answer(self) -> (u16, &'static str) {
        match self {
            Self::ClaimWithoutContract => (409, "must_contract_first"),
            Self::WrongTitle | Self::WrongCount => (422, "contract_mismatch"),
            Self::StartWithoutClaim => (409, "must_claim_first"),
            Self::DoubleClaim | Self::ClaimTaken => (409, "invalid_transition"),
            Self::StartTaken => (403, "not_assigned_agent"),
            Self::ClaimBlocked => (409, "dependencies_not_met"),
            Self::ImportDone => (422, "not_pre_existing"),
            Self::SelfReport | Self::PuppetReport => (409, "self_report_blocked"),
            Self::SelfReview | Self::PuppetReview => (409, "self_review_blocked"),
            Self::VerifyUnreviewed => (422, "review_not_conducted"),
            Self::AgentVerify => (403, "forbidden"),
            Self::SelfVerify | Self::PuppetVerify => (409, "self_verify_blocked"),
            Self::OwnCriteria => (409, "self_criteria_blocked"),
            Self::VerifyChanged => (422, "criteria_changed"),
        }
    }
}

/// One story in seven is rejected once, and one in four of those a second time.
const REJECTED: u64 = 7;
const REJECTED_TWICE: usize = 4;

/// What will happen, whoever does it and whenever.
#[derive(Debug)]
pub(super) struct Plan {
    /// How often each story is rejected before it is verified; absent: never.
    rejections: BTreeMap<String, u32>,
    /// By story and attempt (from 1).
    cheats: BTreeMap<(String, u32), BTreeSet<Cheat>>,
    /// By prerequisite: the dependent that somebody wants to have too early.
    impatience: BTreeMap<String, String>,
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn new(seed: u64, stories: &[Story]) -> Self {
        let mut numbers: Vec<&str> = stories.iter().map(|story| story.number.as_str()).collect();
        shuffle(&mut numbers, |number| hash(seed, &["rejected", number]));
        let count = stories.len().div_ceil(usize::try_from(REJECTED).unwrap_or(1));
        let rejections: BTreeMap<String, u32> = numbers
            .iter()
            .take(count)
            .enumerate()
            .map(|(place, number)| ((*number).to_owned(), 1 + u32::from(place < count / REJECTED_TWICE)))
            .collect();
        let mut plan = Self { rejections, cheats: BTreeMap::new(), impatience: BTreeMap::new() };
        for cheat in Cheat::ALL {
            plan.place(seed, stories, cheat);
        }
        plan
    }

    /// Chooses two to five places for a kind of cheat: attempts at stories, first ones and rework alike.
    fn place<'a>(&mut self, seed: u64, stories: &'a [Story], cheat: Cheat) {
        let times = usize::try_from(2 + hash(seed, &["times", cheat.label()]) % 4).unwrap_or(2);
        if cheat == Cheat::ClaimBlocked {
            // The prerequisite is in work at that moment and cannot be verified, so the answer is certain. Only
            // where it is the only one is the answer's text certain, too.
            let only = |story: &'a Story| match story.prerequisites.as_slice() {
                [only] => Some((story.number.as_str(), only.as_str())),
                _ => None,
            };
            let mut edges: Vec<(&str, &str)> = stories.iter().filter_map(only).collect();
            shuffle(&mut edges, |(story, _)| hash(seed, &[cheat.label(), story]));
            for (dependent, prerequisite) in edges {
                if self.impatience.len() < times {
                    self.impatience.entry(prerequisite.to_owned()).or_insert_with(|| dependent.to_owned());
                }
            }
            return;
        }
        let mut places: Vec<(String, u32)> = stories
            .iter()
            .flat_map(|story| {
                (1..=self.attempts(&story.number)).map(|attempt| (story.number.clone(), attempt))
            })
            .collect();
        shuffle(&mut places, |(number, attempt)| hash(seed, &[cheat.label(), number, &attempt.to_string()]));
        for place in places.into_iter().take(times) {
            self.cheats.entry(place).or_default().insert(cheat);
        }
    }

    /// How often the story is worked on.
    pub(super) fn attempts(&self, number: &str) -> u32 {
        1 + self.rejections.get(number).copied().unwrap_or(0)
    }

    /// Whether somebody tries this at this attempt (from 1) at a story.
    pub(super) fn has(&self, number: &str, attempt: u32, cheat: Cheat) -> bool {
        self.cheats.get(&(number.to_owned(), attempt)).is_some_and(|cheats| cheats.contains(&cheat))
    }

    /// Whether the implementer gives the story to a puppet at this attempt, to sign it off itself.
    pub(super) fn has_puppet(&self, number: &str, attempt: u32) -> bool {
        [Cheat::PuppetReport, Cheat::PuppetReview, Cheat::PuppetVerify]
            .into_iter()
            .any(|cheat| self.has(number, attempt, cheat))
    }

    /// The story that somebody claims while its prerequisite `number` is worked on for the first time.
    pub(super) fn coveted(&self, number: &str, attempt: u32) -> Option<&str> {
        self.impatience.get(number).filter(|_| attempt == 1).map(String::as_str)
    }

    /// How often a kind of cheat will be tried.
    #[cfg(test)]
    fn times(&self, cheat: Cheat) -> usize {
        match cheat {
            Cheat::ClaimBlocked => self.impatience.len(),
            _ => self.cheats.values().filter(|cheats| cheats.contains(&cheat)).count(),
        }
    }
}

/// Sorts by a hash; equal hashes fall back to the items' order.
fn shuffle<T>(items: &mut [T], key: impl Fn(&T) -> u64) {
    items.sort_by_cached_key(key);
}

/// FNV-1a with a finish that spreads its high bits. The standard library's hasher may change between releases,
/// and with it the numbers of a seed.
pub(super) fn hash(seed: u64, words: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    seed.to_le_bytes().into_iter().for_each(&mut eat);
    for word in words {
        word.bytes().for_each(&mut eat);
        eat(0);
    }
    hash ^= hash >> 30;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 27;
    hash = hash.wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::backlog::Backlog;

    fn plan(seed: u64) -> Plan {
        Plan::new(seed, &Backlog::shipped().unwrap().stories)
    }

    #[test]
    fn a_seed_decides_everything() {
        let fingerprint = |seed| format!("{:?}", plan(seed));
        assert_eq!(fingerprint(7), fingerprint(7));
        assert_ne!(fingerprint(7), fingerprint(8));
    }

    #[test]
    fn every_seed_shows_every_kind_and_some_rework() {
        for seed in 0..200 {
            let plan = plan(seed);
            for cheat in Cheat::ALL {
                assert!((2..=5).contains(&plan.times(cheat)), "{cheat:?} with seed {seed}");
            }
            assert_eq!(plan.rejections.len(), 7);
            assert_eq!(plan.rejections.values().filter(|times| **times == 2).count(), 1);
        }
    }

    #[test]
    fn cheats_stand_at_attempts_that_will_happen() {
        for seed in 0..50 {
            let plan = plan(seed);
            for (number, attempt) in plan.cheats.keys() {
                assert!(*attempt <= plan.attempts(number));
            }
        }
    }

    #[test]
    fn coveted_stories_depend_on_the_one_in_work() {
        let backlog = Backlog::shipped().unwrap();
        let plan = Plan::new(3, &backlog.stories);
        let story = |number: &str| backlog.stories.iter().find(|story| story.number == number).unwrap();
        for (prerequisite, dependent) in &plan.impatience {
            assert!(story(dependent).prerequisites.contains(prerequisite));
            assert_eq!(plan.coveted(prerequisite, 1), Some(dependent.as_str()));
            assert_eq!(plan.coveted(prerequisite, 2), None);
        }
    }

    #[test]
    fn the_hash_does_not_change_between_releases() {
        assert_eq!(hash(0, &[]), 0x813f0174a2367c13);
        assert_eq!(hash(7, &["a", "b"]), 0xe79b4749cbdf2019);
        assert_ne!(hash(7, &["a", "b"]), hash(7, &["ab", ""]));
    }
}
