//! Which usage is of interest: of a project, of some days.

use chrono::NaiveDate;
use loopctl_core::fields::Fields;
use loopctl_core::moment::{Day, parse};
use loopctl_core::request::{Request, Rule, id};
use schemars::{Schema, json_schema};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::http::{ApiError, ApiResult};

/// Sums of usage, of the alias `d`, that a [`Filter`] lets through. Its parameters are `$2` to `$4`.
pub(super) const COUNTED: &str =
    "d.tenant_id = $1 and ($2::uuid is null or d.project_id = $2) and d.day between $3::date and $4::date";

/// What sums, of an alias, come to.
macro_rules! sums_of {
    ($alias:literal) => {
        concat!(
            "sum(",
            $alias,
            ".input_tokens) as input_tokens, sum(",
            $alias,
            ".output_tokens) as output_tokens, ",
            "sum(",
            $alias,
            ".cost_millicents) as cost_millicents, sum(",
            $alias,
            ".reports)::bigint as reports"
        )
    };
}
pub(super) use sums_of;

/// What sums of usage, of the alias `d`, come to.
pub(super) const SUMS: &str = sums_of!("d");

#[derive(Request)]
pub(super) struct Filters {
    /// Of this project alone; one that is not there has used nothing.
    #[rule(id())]
    project_id: Option<Uuid>,
    /// From this day on, in UTC; of a time its day.
    #[rule(DayRule)]
    since: Sent,
    /// Up to this day, which is included.
    #[rule(DayRule)]
    until: Sent,
}

/// The same, with the days looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    project_id: Option<Uuid>,
    since: NaiveDate,
    until: NaiveDate,
}

impl Filters {
    /// # Errors
    /// 400 for a day that is none.
    pub(super) fn read(self) -> ApiResult<Filter> {
        let Self { project_id, since, until } = self;
        Ok(Filter { project_id, since: since.day(FIRST)?, until: until.day(LAST)? })
    }
}

/// Before and after all days that a query can name.
const FIRST: NaiveDate = day(1, 1, 1);
const LAST: NaiveDate = day(9999, 12, 31);

const fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(day) => day,
        None => NaiveDate::MIN,
    }
}

impl Filter {
    /// The parameters from `$2` on.
    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.project_id, &self.since, &self.until]
    }
}

/// A day in a query.
#[derive(Debug, Clone, Copy)]
struct DayRule;

/// What was sent for a day.
#[derive(Debug, Clone, Copy)]
struct Sent {
    name: &'static str,
    /// Some(None) when it is none.
    day: Option<Option<NaiveDate>>,
}

impl Rule for DayRule {
    type Value = Sent;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Sent {
        let moment = |text: &str| parse(text, Day::Begins);
        let day = fields.filled(name).map(|sent| sent.as_str().and_then(moment).map(|at| at.date_naive()));
        Sent { name, day }
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "string", "format": "date"})
    }
}

impl Sent {
    fn day(self, absent: NaiveDate) -> ApiResult<NaiveDate> {
        let name = self.name;
        let malformed = || ApiError::bad_request(format!("Invalid date for '{name}'. Expected YYYY-MM-DD"));
        self.day.map_or(Ok(absent), |day| day.ok_or_else(malformed))
    }
}
