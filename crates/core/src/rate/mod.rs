//! How many requests a key, and all keys of a tenant together, may make within a minute, whichever process answers them.
//!
//! A request is paid for with a permit of its key's counter and one of its tenant's. The database issues them, a batch at a time, and
//! a process spends what it holds without asking anybody. A permit belongs to the minute in which it was issued, by the database's
//! clock. So of one minute:
//!
//! - never more requests pass than the cap: with one process the limit, with several the limit and a tenth of it;
//! - with one process just as many pass as are asked for, up to the limit;
//! - with several at least the limit passes, if it is asked for, whatever the others hold and do not spend: the batches of all others
//!   together are at most the tenth by which the cap is higher, and where that is not to be had, permits are taken one by one, for a
//!   request that waits for it.
//!
//! What a process held that died is lost for the rest of the minute: an eighth of the limit at most.

#[cfg(test)]
mod tests;

/// The limit of tenants that have set none.
pub const DEFAULT: i64 = 300;

/// How many seconds a window has, of which one begins with each minute.
const WINDOW: i64 = 60;

const MICROSECONDS: i64 = 1_000_000;

/// What a tenant has set per key and minute, as JSON. What is no limit counts as not set.
#[must_use]
pub fn limit(setting: Option<&str>) -> i64 {
    setting.and_then(|text| text.parse().ok()).filter(|limit| *limit >= 1).unwrap_or(DEFAULT)
}

/// The limit of all keys of a tenant together.
#[must_use]
pub const fn limit_of_tenant(limit: i64) -> i64 {
    limit.saturating_mul(3)
}

/// The window of a moment, in microseconds since 1970.
#[must_use]
pub const fn window_of(moment: i64) -> i64 {
    moment.div_euclid(WINDOW * MICROSECONDS)
}

/// How many whole seconds it takes until the window is over, at least 1.
#[must_use]
pub fn seconds_left(window: i64, moment: i64) -> u32 {
    let left = end_of(window).saturating_mul(MICROSECONDS).saturating_sub(moment);
    let seconds = left.saturating_add(MICROSECONDS - 1).div_euclid(MICROSECONDS);
    u32::try_from(seconds.clamp(1, WINDOW)).unwrap_or(1)
}

/// When a window is over, in seconds since 1970.
const fn end_of(window: i64) -> i64 {
    window.saturating_add(1).saturating_mul(WINDOW)
}

/// How permits are issued to one of several processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// The most that it holds.
    pub batch: i64,
    /// The most that are issued to all of them within a window.
    pub cap: i64,
}

impl Share {
    /// That of each process, when there are so many.
    #[must_use]
    pub fn of(limit: i64, processes: i64) -> Self {
        if processes <= 1 {
            return Self { batch: (limit / 8).max(1), cap: limit };
        }
        let spare = limit / 10;
        Self { batch: (spare / (processes - 1)).max(1), cap: limit.saturating_add(spare) }
    }
}

/// What a counter has issued: what the database keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counter {
    /// In which window.
    pub window: i64,
    /// How many permits.
    pub issued: i64,
}

impl Counter {
    /// Issues permits, as the database does. Whoever does not know how many processes there are is only told so.
    pub fn issue(&mut self, ask: &Ask, window: i64, processes: i64) -> Given {
        if self.window != window {
            *self = Self { window, issued: 0 };
        }
        if ask.window == window {
            self.issued = (self.issued - ask.back).max(0);
        }
        let room = (ask.cap - self.issued).max(0);
        let granted = if ask.processes == processes { ask.most.min(room) } else { 0 };
        self.issued += granted;
        Given { window, processes, issued: self.issued, granted }
    }
}

/// What a process asks of a counter.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The window of what it gives back.
    pub window: i64,
    /// Permits that it gives back.
    pub back: i64,
    /// Permits that it keeps.
    pub kept: i64,
    /// How many it would have at most.
    pub most: i64,
    /// How many may be issued in all.
    pub cap: i64,
    /// For how many processes that is so.
    pub processes: i64,
    /// What the limit is.
    limit: i64,
}

/// What a counter has answered.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// The window that it is.
    pub window: i64,
    /// How many processes there are.
    pub processes: i64,
    /// How many permits of the window have been issued, these included.
    pub issued: i64,
    /// How many were issued now.
    pub granted: i64,
}

/// What a process knows of a counter, and holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Permits {
    window: i64,
    limit: i64,
    share: Share,
    issued: i64,
    held: i64,
}

/// Whether a request can be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purse {
    /// With a permit in hand.
    Held,
    /// None are left, for nobody.
    Spent,
    /// Only the counter knows.
    Unknown,
}

impl Permits {
    fn purse(&self, window: i64, limit: i64) -> Purse {
        if self.window != window || self.limit != limit {
            Purse::Unknown
        } else if self.held > 0 {
            Purse::Held
        } else if self.issued >= self.share.cap {
            Purse::Spent
        } else {
            Purse::Unknown
        }
    }

    /// How many requests are left of the limit. What other processes hold counts as spent.
    fn remaining(&self) -> i64 {
        (self.limit - (self.issued - self.held)).max(0)
    }

    /// Whether it is time to ask for more, before somebody has to wait for them. Who gets one at a time holds none in store.
    #[must_use]
    pub fn run_low(&self) -> bool {
        self.share.batch > 1 && self.held <= self.share.batch / 2 && self.issued < self.share.cap
    }

    /// Whether they are good for nothing any more.
    #[must_use]
    pub fn are_over(&self, window: i64) -> bool {
        self.window != window
    }

    /// What is held, with its window.
    #[must_use]
    pub fn held(&self) -> (i64, i64) {
        (self.window, self.held)
    }

    /// What to ask the counter for, to hold a batch. What was issued under another limit, or by now may be over, is given back and
    /// not spent any more; so is what is more than a batch.
    pub fn ask(&mut self, window: i64, limit: i64, processes: i64) -> Ask {
        let share = Share::of(limit, processes);
        let counts = self.window == window && self.limit == limit;
        let keep = if counts { self.held.min(share.batch) } else { 0 };
        let back = self.held - keep;
        self.held = keep;
        self.issued -= back;
        let most = share.batch - keep;
        Ask { window: self.window, back, kept: keep, most, cap: share.cap, processes, limit }
    }

    /// Takes what the counter has given. What was spent since is spent.
    pub fn receive(&mut self, ask: &Ask, given: &Given) {
        let kept = if self.window == given.window { self.held } else { 0 };
        *self = Self {
            window: given.window,
            limit: ask.limit,
            share: Share::of(ask.limit, given.processes),
            issued: given.issued,
            held: kept + given.granted,
        };
    }

    /// Takes what it may have when the counter cannot be written: this process counts for itself then.
    pub fn help_themselves(&mut self, ask: &Ask, window: i64) {
        let mut counter = Counter { window: self.window, issued: self.issued };
        let alone = Ask { back: 0, ..*ask };
        let given = counter.issue(&alone, window, ask.processes);
        self.receive(ask, &given);
    }
}

/// Whose limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The key's.
    Key,
    /// That of all keys of the tenant.
    Tenant,
}

/// How a key stands, as clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many requests there may be in a window.
    pub limit: i64,
    /// How many are left of them.
    pub remaining: i64,
    /// When the window is over, in seconds since 1970.
    pub reset: i64,
}

/// Whether a request passes, which is paid for then: by the key, and only if that could pay by the tenant. None: one of the counters
/// has to be asked first.
pub fn judge(
    key: &mut Permits,
    tenant: &mut Permits,
    window: i64,
    limit: i64,
) -> Option<(Standing, Option<Reached>)> {
    let standing = |remaining| Standing { limit, remaining, reset: end_of(window) };
    match (key.purse(window, limit), tenant.purse(window, limit_of_tenant(limit))) {
        (Purse::Unknown, _) | (Purse::Held, Purse::Unknown) => None,
        (Purse::Spent, _) => Some((standing(0), Some(Reached::Key))),
        (Purse::Held, Purse::Spent) => {
            key.held -= 1;
            Some((standing(0), Some(Reached::Tenant)))
        }
        (Purse::Held, Purse::Held) => {
            key.held -= 1;
            tenant.held -= 1;
            Some((standing(key.remaining()), None))
        }
    }
}
