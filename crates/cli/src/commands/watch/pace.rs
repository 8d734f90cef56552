//! What may be asked, and when: so much at once, so much in the long run, and nothing while the server wants to be left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::model::Again;

/// One request in so long a time, in the long run: well below what a key may make in a minute, which has others to make.
const EVERY: Duration = Duration::from_millis(500);
/// So many may be made at once.
const AT_ONCE: u32 = 20;
/// How long nothing is asked after a refusal that does not say how long.
const REST: Duration = Duration::from_secs(5);
/// As long as that a server is left alone at most, if it wants it.
const LONGEST: Duration = Duration::from_secs(300);

/// When the next request may be made. Times are since the beginning.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Until when the requests so far are booked.
    booked: Duration,
    /// Until when nothing is asked.
    closed: Duration,
}

impl Pace {
    /// Books a request, and says how long it has to wait.
    pub(super) fn book(&mut self, now: Duration) -> Duration {
        let ahead = now + EVERY * AT_ONCE;
        self.booked = self.booked.max(now) + EVERY;
        self.booked.saturating_sub(ahead).max(self.closed.saturating_sub(now))
    }

    /// The server has refused.
    pub(super) fn refused(&mut self, now: Duration, retry_after: Option<Duration>) {
        let wait = retry_after.unwrap_or(REST).clamp(REST, LONGEST);
        self.closed = self.closed.max(now + wait);
    }
}

/// Something to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// A story that somebody looks at.
    Story(Uuid),
    Tenant,
    Projects,
    /// A project with all that is at work in it.
    Project(Uuid),
    Plan(Uuid),
    Agents,
    Budgets,
    Violations,
    /// What has happened before the board was opened.
    Earlier,
}

impl Job {
    /// How long the same is not done again.
    fn rest(self) -> Duration {
        Duration::from_secs(match self {
            Self::Story(_) => 2,
            Self::Project(_) | Self::Plan(_) | Self::Projects | Self::Tenant => 5,
            Self::Agents | Self::Budgets | Self::Violations | Self::Earlier => 15,
        })
    }
}

impl From<Again> for Job {
    fn from(again: Again) -> Self {
        match again {
            Again::Tenant => Self::Tenant,
            Again::Projects => Self::Projects,
            Again::Project(project) => Self::Project(project),
            Again::Plan(project) => Self::Plan(project),
            Again::Budgets => Self::Budgets,
            Again::Violations => Self::Violations,
        }
    }
}

/// What is to be read, each once however often it was asked for, and when.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    jobs: BTreeMap<Job, Duration>,
    /// Until when what was done is not done again.
    resting: BTreeMap<Job, Duration>,
}

impl Wanted {
    pub(super) fn want(&mut self, job: Job, now: Duration) {
        let at = self.resting.get(&job).copied().unwrap_or_default().max(now);
        self.jobs.entry(job).or_insert(at);
    }

    /// Takes what is to be done now; or else says when there will be something.
    pub(super) fn take(&mut self, now: Duration) -> Result<Job, Option<Duration>> {
        self.resting.retain(|_, until| *until > now);
        let Some(job) = self.jobs.iter().find(|(_, at)| **at <= now).map(|(job, _)| *job) else {
            return Err(self.jobs.values().min().copied());
        };
        self.jobs.remove(&job);
        self.resting.insert(job, now + job.rest());
        Ok(job)
    }

    /// What could not be done is done later.
    pub(super) fn put_back(&mut self, job: Job, now: Duration) {
        self.jobs.entry(job).or_insert(now + REST);
    }

    /// What nobody looks at any more is not read.
    pub(super) fn forget_stories(&mut self) {
        self.jobs.retain(|job, _| !matches!(job, Job::Story(_)));
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn so_many_at_once_and_then_two_in_a_second() {
        let mut pace = Pace::default();
        let waits: Vec<_> = (0..AT_ONCE + 4).map(|_| pace.book(SECOND)).collect();
        assert!(waits[..20].iter().all(Duration::is_zero), "{waits:?}");
        let later = [1, 2, 3, 4].map(|count| EVERY * count);
        assert_eq!(waits[20..], later);
        // Whoever has waited long has no more at once than at the beginning.
        let waits: Vec<_> = (0..=AT_ONCE).map(|_| pace.book(SECOND * 1000)).collect();
        assert_eq!((waits[19], waits[20]), (Duration::ZERO, EVERY));
    }

    #[test]
    fn a_server_that_refuses_is_left_alone_for_as_long_as_it_wants() {
        let mut pace = Pace::default();
        pace.refused(SECOND, Some(SECOND * 40));
        assert_eq!(pace.book(SECOND * 2), SECOND * 39);
        pace.refused(SECOND * 2, None);
        assert_eq!(pace.book(SECOND * 2), SECOND * 39, "the longer wait counts");
        assert_eq!(pace.book(SECOND * 41), Duration::ZERO);
        pace.refused(SECOND * 41, Some(SECOND * 9999));
        assert_eq!(pace.book(SECOND * 41), LONGEST, "but not for ever");
    }

    #[test]
    fn what_is_wanted_often_is_read_seldom() {
        let (mut wanted, plan) = (Wanted::default(), Job::Plan(Uuid::nil()));
        for _ in 0..100 {
            wanted.want(plan, SECOND);
        }
        wanted.want(Job::Story(Uuid::nil()), SECOND);
        assert_eq!(wanted.take(SECOND), Ok(Job::Story(Uuid::nil())), "what somebody looks at comes first");
        assert_eq!(wanted.take(SECOND), Ok(plan));
        assert_eq!(wanted.take(SECOND), Err(None));
        wanted.want(plan, SECOND * 2);
        assert_eq!(wanted.take(SECOND * 2), Err(Some(SECOND * 6)));
        assert_eq!(wanted.take(SECOND * 6), Ok(plan));
        wanted.put_back(plan, SECOND * 6);
        assert_eq!(wanted.take(SECOND * 7), Err(Some(SECOND * 11)));
        assert_eq!(wanted.take(SECOND * 11), Ok(plan));
        wanted.want(Job::Story(Uuid::nil()), SECOND * 12);
        wanted.forget_stories();
        assert_eq!((wanted.take(SECOND * 30), wanted.len()), (Err(None), 0));
    }
}
