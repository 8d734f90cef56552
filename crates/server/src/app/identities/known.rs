//! What is remembered of keys, without database or clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loopctl_core::role::Role;
use uuid::Uuid;

use super::Found;

/// For how long an answer counts, from before the question was asked.
const MOMENT: Duration = Duration::from_secs(1);

/// How many keys are remembered at once. Those that are used within [`MOMENT`] are hardly ever more.
const MOST: usize = 10_000;

/// The answers that still count.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether changes by other processes are heard.
    listening: bool,
    /// How often something was forgotten: an answer to what was asked before that does not count.
    forgotten: u64,
    /// By the hash of the key.
    keys: HashMap<String, Answer>,
}

#[derive(Debug)]
struct Answer {
    /// Of a superadmin: the tenant that was asked for. Others are their own tenant's, whatever they ask for.
    target: Option<Uuid>,
    found: Arc<Found>,
    until: Instant,
}

/// A question whose answer may be remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    asked: Instant,
    forgotten: u64,
}

impl Known {
    /// What is known of a key, or else the question, if its answer may be remembered.
    pub(super) fn look_up(
        &self,
        key_hash: &str,
        target: Option<Uuid>,
        now: Instant,
    ) -> Result<Arc<Found>, Option<Question>> {
        match self.keys.get(key_hash) {
            Some(answer)
                if now < answer.until
                    && (answer.found.role != Role::Superadmin || answer.target == target) =>
            {
                Ok(Arc::clone(&answer.found))
            }
            _ => Err(self.listening.then_some(Question { asked: now, forgotten: self.forgotten })),
        }
    }

    /// Remembers the answer to a question, unless something was forgotten since: then it may be from before. Only what lets
    /// somebody in is remembered, so whatever is new is found at once, and guesses take up no room.
    pub(super) fn remember(
        &mut self,
        question: &Question,
        key_hash: &str,
        target: Option<Uuid>,
        found: &Arc<Found>,
        now: Instant,
    ) {
        let enters = found.role != Role::Superadmin || target.is_none() || found.tenant_id.is_some();
        let until = question.asked + counts_for(found.expires_in);
        if question.forgotten != self.forgotten || !found.is_active() || !enters || until <= now {
            return;
        }
        self.make_room(now);
        self.keys.insert(key_hash.to_owned(), Answer { target, found: Arc::clone(found), until });
    }

    /// Makes room for one more. When it must, it makes much of it, so that it need not be made again soon.
    fn make_room(&mut self, now: Instant) {
        if self.keys.len() < MOST {
            return;
        }
        self.keys.retain(|_, answer| now < answer.until);
        if self.keys.len() > MOST / 2 {
            self.keys.clear();
        }
    }

    /// Forgets what was known of a tenant's keys and of superadmins inside it, or of all keys.
    pub(super) fn forget(&mut self, tenant_id: Option<Uuid>) {
        self.forgotten += 1;
        match tenant_id {
            Some(_) => self.keys.retain(|_, answer| answer.found.tenant_id != tenant_id),
            None => self.keys.clear(),
        }
    }

    /// Whether changes by other processes are heard.
    pub(super) fn is_listening(&self) -> bool {
        self.listening
    }

    /// From now on changes are heard.
    pub(super) fn begin(&mut self) {
        self.forget(None);
        self.listening = true;
    }

    /// Changes are not heard any more. Whether they were until now.
    pub(super) fn end(&mut self) -> bool {
        self.forget(None);
        std::mem::take(&mut self.listening)
    }

    /// Gives back the room of what counts no more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.keys.retain(|_, answer| now < answer.until);
        self.keys.shrink_to_fit();
    }
}

/// For how long an answer counts that was given of a key which expires in so many seconds. These are counted from when it was
/// answered, and the answer's time from when it was asked for: it ends a little before the key, and never after it.
fn counts_for(expires_in: Option<f64>) -> Duration {
    let left = expires_in.unwrap_or(f64::INFINITY).clamp(0.0, MOMENT.as_secs_f64());
    Duration::try_from_secs_f64(left).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::found;
    use super::*;

    const TENANT: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn of(tenant_id: Uuid) -> Arc<Found> {
        found(Role::Agent, Some(tenant_id), "active")
    }

    fn listening() -> Known {
        let mut known = Known::default();
        known.begin();
        known
    }

    impl Known {
        fn knows(&self, key: &str, target: Option<Uuid>, now: Instant) -> bool {
            self.look_up(key, target, now).is_ok()
        }

        /// Asks and is answered, both at this moment.
        fn learn(&mut self, key: &str, target: Option<Uuid>, found: &Arc<Found>, now: Instant) {
            if let Err(Some(question)) = self.look_up(key, target, now) {
                self.remember(&question, key, target, found, now);
            }
        }
    }

    #[test]
    fn an_answer_counts_for_a_moment_from_before_it_was_asked_for() {
        let (mut known, asked) = (listening(), Instant::now());
        let question = known.look_up("k", None, asked).unwrap_err().unwrap();
        let answered = asked + MOMENT / 2;
        known.remember(&question, "k", None, &of(TENANT), answered);
        let last = asked + MOMENT - Duration::from_nanos(1);
        assert!(known.knows("k", None, answered) && known.knows("k", None, last));
        assert!(!known.knows("k", None, asked + MOMENT));
        // One that was long in coming counts no more.
        known.remember(&question, "late", None, &of(TENANT), asked + MOMENT);
        assert!(known.keys.len() == 1 && !known.knows("late", None, asked));
    }

    #[test]
    fn a_key_is_forgotten_when_it_expires() {
        for (expires_in, milliseconds) in [
            (None, 1000),
            (Some(f64::INFINITY), 1000),
            (Some(1e18), 1000),
            (Some(0.25), 250),
            (Some(0.0), 0),
            (Some(-3.0), 0),
            (Some(f64::NAN), 0),
        ] {
            assert_eq!(counts_for(expires_in), Duration::from_millis(milliseconds), "{expires_in:?}");
        }
        let (mut known, now) = (listening(), Instant::now());
        let expiring = Found { expires_in: Some(0.25), ..Arc::into_inner(of(TENANT)).unwrap() };
        known.learn("k", None, &Arc::new(expiring), now);
        assert!(known.knows("k", None, now + Duration::from_millis(249)));
        assert!(!known.knows("k", None, now + Duration::from_millis(250)));
    }

    /// What lets nobody in may do so a moment later, and there may be any number of it.
    #[test]
    fn refusals_are_not_remembered() {
        let (mut known, now) = (listening(), Instant::now());
        for status in ["suspended", "deactivated", "pending_enrollment", ""] {
            known.learn("k", None, &found(Role::User, Some(TENANT), status), now);
        }
        known.learn("k", None, &found(Role::User, None, ""), now);
        known.learn("k", Some(TENANT), &found(Role::Superadmin, None, ""), now);
        assert!(known.keys.is_empty());
    }

    #[test]
    fn superadmins_are_remembered_with_the_tenant_that_they_entered() {
        let (mut known, now) = (listening(), Instant::now());
        known.learn("s", Some(TENANT), &found(Role::Superadmin, Some(TENANT), "suspended"), now);
        assert!(known.knows("s", Some(TENANT), now));
        assert!(!known.knows("s", Some(OTHER), now) && !known.knows("s", None, now));
        known.learn("s", None, &found(Role::Superadmin, None, ""), now);
        assert!(known.knows("s", None, now) && !known.knows("s", Some(TENANT), now));
        // Others stay where they are, and however many tenants they name, they are remembered once.
        for target in 0..100 {
            known.learn("k", Some(Uuid::from_u128(target)), &of(TENANT), now);
        }
        assert!(known.knows("k", None, now) && known.knows("k", Some(OTHER), now));
        assert_eq!(known.keys.len(), 2);
    }

    #[test]
    fn a_tenants_keys_are_forgotten_with_the_superadmins_inside_it() {
        let (mut known, now) = (listening(), Instant::now());
        let learn_all = |known: &mut Known| {
            known.learn("k", None, &of(TENANT), now);
            known.learn("o", None, &of(OTHER), now);
            known.learn("inside", Some(TENANT), &found(Role::Superadmin, Some(TENANT), "active"), now);
            known.learn("s", None, &found(Role::Superadmin, None, ""), now);
        };
        let known_of = |known: &Known| {
            let targets = [("k", None), ("o", None), ("inside", Some(TENANT)), ("s", None)];
            targets.map(|(key, target)| known.knows(key, target, now))
        };
        learn_all(&mut known);
        known.forget(Some(TENANT));
        assert_eq!(known_of(&known), [false, true, false, true]);
        learn_all(&mut known);
        assert_eq!(known_of(&known), [true; 4]);
        known.forget(None);
        assert_eq!(known_of(&known), [false; 4]);
    }

    #[test]
    fn who_does_not_listen_remembers_nothing() {
        let (mut known, now) = (Known::default(), Instant::now());
        known.learn("k", None, &of(TENANT), now);
        assert!(known.keys.is_empty());
        known.begin();
        let question = known.look_up("k", None, now).unwrap_err().unwrap();
        known.learn("o", None, &of(OTHER), now);
        assert!(known.end() && !known.end() && known.keys.is_empty());
        known.remember(&question, "k", None, &of(TENANT), now);
        known.begin();
        // An answer from before the line was lost may have missed a change.
        known.remember(&question, "k", None, &of(TENANT), now);
        assert!(known.keys.is_empty());
        known.learn("k", None, &of(TENANT), now);
        assert!(known.knows("k", None, now));
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let (mut known, now) = (listening(), Instant::now());
        for n in 0..20_000 {
            known.learn(&n.to_string(), None, &of(TENANT), now);
            assert!(known.keys.len() <= MOST && known.knows(&n.to_string(), None, now));
        }
        assert!(known.keys.len() > MOST / 2, "what need not go stays");
        // Of what counts no more it is rid first.
        let (mut known, later, end) = (listening(), now + MOMENT / 2, now + MOMENT);
        for n in 0..MOST {
            let when = if n < MOST / 2 { now } else { later };
            known.learn(&n.to_string(), None, &of(TENANT), when);
        }
        known.learn("one more", None, &of(TENANT), end);
        assert_eq!(known.keys.len(), MOST / 2 + 1);
        assert!(known.keys.values().all(|answer| end < answer.until));
        known.sweep(end + MOMENT);
        assert_eq!((known.keys.len(), known.keys.capacity()), (0, 0));
    }

    /// What happens to one key, of which two requests may be under way.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// It is changed in the database, and nobody has been told.
        Change,
        /// Everything that was changed so far is told.
        Tell,
        Lose,
        Listen,
        /// A request arrives.
        Ask(usize),
        /// The database reads for it.
        Read(usize),
        /// The answer arrives.
        Answer(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            Just(Step::Change),
            Just(Step::Tell),
            Just(Step::Lose),
            Just(Step::Listen),
            (0..2_usize).prop_map(Step::Ask),
            (0..2_usize).prop_map(Step::Read),
            (0..2_usize).prop_map(Step::Answer),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// Whatever the order: nothing is known of a key from before a change that was told, or that could not be told.
        #[test]
        fn what_was_told_is_never_unknown(steps in steps()) {
            let (mut known, now) = (Known::default(), Instant::now());
            // The key's name says how often it was changed.
            let version = |version: usize| Arc::new(Found { key_name: version.to_string(), ..Arc::into_inner(of(TENANT)).unwrap() });
            let (mut changed, mut told) = (0, 0);
            let mut requests: [Option<(Option<Question>, Option<usize>)>; 2] = [None, None];
            for step in steps {
                match step {
                    Step::Change => changed += 1,
                    Step::Tell => {
                        if known.listening {
                            known.forget(Some(TENANT));
                        }
                        told = changed;
                    }
                    Step::Lose => {
                        known.end();
                        // What is told from now on is missed.
                        told = changed;
                    }
                    Step::Listen => {
                        known.begin();
                        told = changed;
                    }
                    Step::Ask(nth) => requests[nth] = known.look_up("k", None, now).err().map(|question| (question, None)),
                    Step::Read(nth) => {
                        if let Some((_, read)) = &mut requests[nth] {
                            *read = Some(changed);
                        }
                    }
                    Step::Answer(nth) => {
                        if let Some((question, Some(read))) = requests[nth].take()
                            && let Some(question) = question
                        {
                            known.remember(&question, "k", None, &version(read), now);
                        }
                    }
                }
                if let Ok(found) = known.look_up("k", None, now) {
                    prop_assert!(known.listening, "after {step:?}");
                    let known: usize = found.key_name.parse().unwrap();
                    prop_assert!(known >= told, "of {known}, while {told} were told, after {step:?}");
                }
            }
        }
    }
}
