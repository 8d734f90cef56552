//! Moments in a query string.

use chrono::{DateTime, Utc};
use loopctl_core::fields::Fields;
use loopctl_core::moment::{Day, parse};
use loopctl_core::request::Rule;
use schemars::{Schema, json_schema};

use super::error::{ApiError, ApiResult};

/// A moment; a day stands for its beginning.
pub(crate) const fn moment() -> MomentRule {
    MomentRule(Day::Begins)
}

/// A moment; a day stands for its end.
pub(crate) const fn last_moment() -> MomentRule {
    MomentRule(Day::Ends)
}

/// See [`moment`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct MomentRule(Day);

/// What was sent for a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    name: &'static str,
    /// Some(None) when it is none.
    sent: Option<Option<DateTime<Utc>>>,
}

impl Rule for MomentRule {
    type Value = Moment;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Moment {
        let sent = fields.filled(name);
        Moment { name, sent: sent.map(|sent| sent.as_str().and_then(|text| parse(text, self.0))) }
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

impl Moment {
    /// What was sent by another name than a parameter's, if anything was.
    pub(crate) fn sent(name: &'static str, text: Option<&str>) -> Self {
        Self { name, sent: text.map(|text| parse(text, Day::Begins)) }
    }

    /// The moment, if one was sent.
    ///
    /// # Errors
    /// 400 when what was sent is none.
    pub(crate) fn time(self) -> ApiResult<Option<DateTime<Utc>>> {
        let malformed = || {
            let name = self.name;
            ApiError::bad_request(format!(
                "Invalid timestamp format for '{name}'. Expected ISO8601 (e.g., 2026-01-01T00:00:00Z)"
            ))
        };
        self.sent.map(|sent| sent.ok_or_else(malformed)).transpose()
    }

    /// The moment.
    ///
    /// # Errors
    /// 400 when none was sent, or what was sent is none.
    pub(crate) fn required(self) -> ApiResult<DateTime<Utc>> {
        let missing = || ApiError::bad_request(format!("The '{}' parameter is required", self.name));
        self.time()?.ok_or_else(missing)
    }
}
