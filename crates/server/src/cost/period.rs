//! Which days a job is about, and of which tenants.

use chrono::{DateTime, Days, NaiveDate, Utc};
use loopctl_core::json::JsonText;
use serde_json::Value;
use uuid::Uuid;

use crate::db::{Db, DbError, Row, statements};

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

/// The days that a job names by `period_start` and `period_end`, at most a year of them; None when it names none, or what is none.
pub(super) fn days(args: &JsonText) -> Option<Vec<NaiveDate>> {
    let args = args.to_value();
    let day = |name: &str| args[name].as_str().and_then(|text| text.parse::<NaiveDate>().ok());
    let first = day("period_start")?;
    let last = if args["period_end"].is_null() { first } else { day("period_end")? };
    (first <= last).then(|| first.iter_days().take_while(|day| *day <= last).take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            assert_eq!(days(&args.clone().into()), None, "{args}");
        }
        let of = |first: &str, last: Option<&str>| {
            days(&json!({"period_start": first, "period_end": last}).into()).unwrap()
        };
        assert_eq!(of("2026-01-01", None), ["2026-01-01".parse().unwrap()]);
        assert_eq!(of("2026-02-27", Some("2026-03-01")).len(), 3);
        assert_eq!(of("0001-01-01", Some("9999-12-31")).len(), MOST);
    }

    #[test]
    fn a_job_may_be_for_some_tenants() {
        let id = Uuid::from_u128(7);
        assert!(is_named(id, &json!({}).into()) && is_named(id, &json!({"tenant_ids": null}).into()));
        assert!(is_named(id, &json!({"tenant_ids": ["x", id.to_string().to_uppercase()]}).into()));
        assert!(!is_named(id, &json!({"tenant_ids": [Uuid::nil()]}).into()));
    }
}
