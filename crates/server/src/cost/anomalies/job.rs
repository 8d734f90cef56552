//! Looks for stories whose cost stands out, and tells of those that nobody knew of.

use std::collections::HashMap;

use chrono::NaiveDate;
use loopctl_core::cost::Total;
use loopctl_core::cost::anomalies::{Anomaly, Kind, Multipliers, Reason, detect as judge};
use loopctl_core::json::JsonText;
use loopctl_core::webhooks::EventType;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{EPIC_MEANS, INSERT_ANOMALIES, Inserted, REFRESH_ANOMALIES, REPORTED};
use crate::cost::period::{TenantAndTime, days};
use crate::cost::summaries::recount;
use crate::db::{Db, DbError, Jsonb, Params, Tx, column};
use crate::events::{self, Attribution, Event, Notice};
use crate::identity::tenants::multipliers;

/// As many are written by one transaction.
const BATCH: usize = 500;

/// Looks through the days that a job names, yesterday where it names none. Says how many days that were, and how many are new.
///
/// # Errors
/// When the database fails; what was told of before stays told.
pub(crate) async fn detect(db: &Db, tenant_id: Uuid, args: &JsonText) -> Result<Value, DbError> {
    let Some(tenant) = TenantAndTime::of_job(db, tenant_id, args).await? else {
        return Ok(json!({"days": 0, "detected": 0}));
    };
    let days = days(args).unwrap_or_else(|| vec![tenant.yesterday()]);
    let multipliers = multipliers(&tenant.settings);
    let mut detected = 0;
    for day in &days {
        // Whether the day was counted before, and rightly, is not asked.
        recount(db, tenant_id, *day).await?;
        let anomalies = of_day(db, tenant_id, *day, &multipliers).await?;
        for batch in anomalies.chunks(BATCH) {
            detected += keep(db, tenant_id, *day, batch).await?;
        }
    }
    Ok(json!({"days": days.len(), "detected": detected}))
}

/// Everything that stands out of a day. Who has further reasons adds what stands out by them.
async fn of_day(
    db: &Db,
    tenant_id: Uuid,
    day: NaiveDate,
    multipliers: &Multipliers,
) -> Result<Vec<Anomaly>, DbError> {
    let params: Params<'_> = &[&day];
    let (reported, means) = db.read(tenant_id, (REPORTED.with(params), EPIC_MEANS.with(params))).await?;
    let means: HashMap<_, _> =
        means.into_iter().map(|epic| (epic.scope_id, epic.avg_cost_per_story_millicents)).collect();
    let stories: Vec<_> = reported.iter().map(|story| story.usage()).collect();
    Ok(judge(&stories, |epic_id| means.get(&epic_id).copied(), multipliers))
}

/// Writes what stands out of a day: what is open is refreshed, what is new is told. How many are new.
async fn keep(db: &Db, tenant_id: Uuid, day: NaiveDate, anomalies: &[Anomaly]) -> Result<usize, DbError> {
    let ids = column(anomalies, |_| Uuid::now_v7());
    let stories = column(anomalies, |anomaly| anomaly.story_id);
    let kinds = column(anomalies, |anomaly| anomaly.kind.as_str());
    let costs = column(anomalies, |anomaly| anomaly.cost.0.to_string());
    let references = column(anomalies, |anomaly| anomaly.reference.0.to_string());
    let factors = column(anomalies, Anomaly::factor);
    let metadata =
        column(anomalies, |anomaly| JsonText::of(&Because::of(&anomaly.reason, day)).unwrap_or_default());
    let metadata = column(&metadata, Jsonb);
    let open: Params<'_> = &[&day, &stories, &kinds, &costs, &references, &factors, &metadata];
    let params: Params<'_> = &[&day, &ids, &stories, &kinds, &costs, &references, &factors, &metadata];
    let work = async |mut tx: Tx| {
        tx.execute(REFRESH_ANOMALIES, open).await?;
        let inserted = tx.all(INSERT_ANOMALIES, params).await?;
        let mut inserted: HashMap<_, _> = inserted.into_iter().map(|new| (new.id, new)).collect();
        let new = ids.iter().zip(anomalies).filter_map(|(id, anomaly)| Some((inserted.remove(id)?, anomaly)));
        let told: Vec<_> = new.map(|(new, anomaly)| told(&new, anomaly)).collect();
        let count = told.len();
        events::record(tx, &Attribution::system("cost_anomalies"), told, None).await?;
        Ok::<_, DbError>(count)
    };
    db.transaction(tenant_id, work).await
}

/// What an anomaly says of itself: with what the story was compared.
#[derive(Serialize)]
#[serde(tag = "baseline", rename_all = "snake_case")]
enum Because {
    Epic {
        metric: &'static str,
        multiplier: Decimal,
        period_start: NaiveDate,
    },
    Project {
        metric: &'static str,
        story_tokens: Total,
        reference_tokens: Total,
        multiplier: Decimal,
        period_start: NaiveDate,
    },
    Budget {
        budget_id: Option<Uuid>,
        period_start: NaiveDate,
    },
}

impl Because {
    fn of(reason: &Reason, period_start: NaiveDate) -> Self {
        match *reason {
            Reason::Epic { multiplier } => Self::Epic { metric: "cost", multiplier, period_start },
            Reason::Project { multiplier, tokens: story_tokens, reference_tokens } => {
                Self::Project { metric: "tokens", story_tokens, reference_tokens, multiplier, period_start }
            }
            Reason::Budget { budget_id } => Self::Budget { budget_id, period_start },
        }
    }
}

/// What the log keeps of a new one.
#[derive(Serialize)]
struct Told<'a> {
    story_id: Uuid,
    anomaly_type: Kind,
    story_cost_millicents: Total,
    reference_avg_millicents: Total,
    deviation_factor: &'a str,
}

/// What webhooks are told of it.
#[derive(Serialize)]
struct TokenAnomalyDetected<'a> {
    anomaly_id: Uuid,
    project_id: Uuid,
    story_title: &'a str,
    agent_id: Option<Uuid>,
    agent_name: Option<&'a str>,
    #[serde(flatten)]
    anomaly: &'a Told<'a>,
}

/// What is told of one that is new.
fn told(new: &Inserted, anomaly: &Anomaly) -> Event {
    let (factor, project_id) = (anomaly.factor(), anomaly.project_id);
    let state = Told {
        story_id: anomaly.story_id,
        anomaly_type: anomaly.kind,
        story_cost_millicents: anomaly.cost,
        reference_avg_millicents: anomaly.reference,
        deviation_factor: &factor,
    };
    let notice = TokenAnomalyDetected {
        anomaly_id: new.id,
        project_id,
        story_title: &new.story_title,
        agent_id: new.agent_id,
        agent_name: new.agent_name.as_deref(),
        anomaly: &state,
    };
    let notice = Notice::new(EventType::TokenAnomalyDetected, &notice);
    Event::new("cost_anomaly", new.id, "detected", JsonText::of(&state).unwrap_or_default())
        .project(project_id)
        .meta("anomaly_id", new.id.to_string())
        .meta("story_id", anomaly.story_id.to_string())
        .meta("anomaly_type", anomaly.kind.as_str())
        .meta("deviation_factor", factor.as_str())
        .telling(notice)
}
