//! Which days a job is about, and of which tenants.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, Utc};
use loopctl_core::json::JsonText;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Db, DbError, Row, statements};
use crate::jobs::JobError;

statements! {
    /// Of an active tenant; a suspended one, and one that is not there, yields no row.
    TENANT_AND_TIME -> TenantAndTime = "select {*} from tenants where id = $1 and status = 'active'";
}

/// A tenant that jobs work for, and the database's time.
#[derive(Debug, Row)]
pub(crate) struct TenantAndTime {
    #[row(sql = "clock_timestamp()")]
    pub(super) now: DateTime<Utc>,
    pub(super) settings: JsonText,
    /// A hundred years at most, whatever was allowed once: further back there is no time. Null: for ever.
    #[row(sql = "case when token_data_retention_days > 36500 then 36500 else token_data_retention_days end")]
    pub(super) token_data_retention_days: Option<i32>,
}

impl TenantAndTime {
    /// A tenant, unless it is suspended, or the job names others.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn of_job(db: &Db, tenant_id: Uuid, args: &JsonText) -> Result<Option<Self>, DbError> {
        let Some(found) = db.read(tenant_id, TENANT_AND_TIME.with(&[])).await?.into_iter().next() else {
            return Ok(None);
        };
        Ok(is_named(tenant_id, args).then_some(found))
    }

    /// The day that is over.
    pub(super) fn yesterday(&self) -> NaiveDate {
        let today = self.now.date_naive();
        today.checked_sub_days(Days::new(1)).unwrap_or(today)
    }
}

/// Whether a job that names tenants names this one. Who names none means all.
fn is_named(tenant_id: Uuid, args: &JsonText) -> bool {
    match &args.to_value()["tenant_ids"] {
        Value::Array(ids) => {
            ids.iter().filter_map(Value::as_str).any(|id| id.eq_ignore_ascii_case(&tenant_id.to_string()))
        }
        _ => true,
    }
}

/// As many days as one job is about.
const MOST: usize = 366;

/// The days that a job names by `period_start` and `period_end`; None when it names none, or what is none.
///
/// # Errors
/// When those are too many: one that has done a part of it has not done what it was told.
pub(super) fn days(args: &JsonText) -> Result<Option<Vec<NaiveDate>>, JobError> {
    let Some((first, last)) = period(&args.to_value()) else { return Ok(None) };
    let days: Vec<_> = first.iter_days().take_while(|day| *day <= last).take(MOST + 1).collect();
    if days.len() > MOST {
        return Err(JobError(format!(
            "from {first} to {last} are more than the {MOST} days that one job is about"
        )));
    }
    Ok(Some(days))
}

fn period(args: &Value) -> Option<(NaiveDate, NaiveDate)> {
    let day = |name: &str| args[name].as_str().and_then(|text| text.parse::<NaiveDate>().ok());
    let first = day("period_start")?;
    let last = if args["period_end"].is_null() { first } else { day("period_end")? };
    (first <= last).then_some((first, last))
}

/// The first and the last of the days that a job was about, as its result says them: null where there were none.
pub(super) fn told(days: &BTreeSet<NaiveDate>, mut result: Value) -> Value {
    result["days"] = json!(days.len());
    result["period_start"] = json!(days.first());
    result["period_end"] = json!(days.last());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_period_is_none() {
        for args in [
            json!({}),
            json!({"period_end": "2026-01-01"}),
            json!({"period_start": "yesterday"}),
            json!({"period_start": 20_260_101}),
            json!({"period_start": "2026-01-02", "period_end": "2026-01-01"}),
            json!({"period_start": "2026-01-02", "period_end": "2026-02-30"}),
        ] {
            assert_eq!(days(&args.clone().into()).unwrap(), None, "{args}");
        }
        let of = |first: &str, last: Option<&str>| {
            days(&json!({"period_start": first, "period_end": last}).into()).map(Option::unwrap)
        };
        assert_eq!(of("2026-01-01", None).unwrap(), ["2026-01-01".parse().unwrap()]);
        assert_eq!(of("2026-02-27", Some("2026-03-01")).unwrap().len(), 3);
        assert_eq!(of("2028-01-01", Some("2028-12-31")).unwrap().len(), MOST);
        for (first, last) in [("2028-01-01", "2029-01-01"), ("0001-01-01", "9999-12-31")] {
            let JobError(error) = of(first, Some(last)).unwrap_err();
            assert_eq!(
                error,
                format!("from {first} to {last} are more than the 366 days that one job is about")
            );
        }
    }

    #[test]
    fn a_job_may_be_for_some_tenants() {
        let id = Uuid::from_u128(7);
        assert!(is_named(id, &json!({}).into()) && is_named(id, &json!({"tenant_ids": null}).into()));
        assert!(is_named(id, &json!({"tenant_ids": ["x", id.to_string().to_uppercase()]}).into()));
        assert!(!is_named(id, &json!({"tenant_ids": [Uuid::nil()]}).into()));
    }
}
