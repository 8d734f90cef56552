//! Looks for stories whose cost stands out, and tells of those that nobody knew of.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use loopctl_core::cost::Total;
use loopctl_core::cost::anomalies::{
    Anomaly, Claim, Kind, Multipliers, Reason, beside_what_was_measured, detect as judge,
};
use loopctl_core::cost::measured::compare::{Claimed, Metric};
use loopctl_core::json::JsonText;
use loopctl_core::webhooks::EventType;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{
    CLAIMED, COUNTED_AT, ClaimedOfStory, DAYS_TO_LOOK_THROUGH, EPIC_MEANS, INSERT_ANOMALIES, Inserted,
    LOOKED_THROUGH, REFRESH_ANOMALIES, REPORTED,
};
use crate::cost::measured::{MEASURED_OF_STORIES, MeasuredSums};
use crate::cost::period::{TenantAndTime, days, told as told_of_days};
use crate::cost::summaries::recount;
use crate::db::{AsJson, Db, DbError, Params, Tx, column};
use crate::events::{self, Attribution, Event, Notice};
use crate::identity::tenants::multipliers;
use crate::jobs::JobError;

/// As many are written by one transaction.
const BATCH: usize = 500;

/// Looks through the days that a job names. Where it names none: those that were counted and not looked through since, so that a night
/// that was missed is made up for, and yesterday in any case. Says which days that were, and how many anomalies are new.
///
/// # Errors
/// When it names too many days, or the database fails; then what was told of before stays told.
pub(crate) async fn detect(db: &Db, tenant_id: Uuid, args: &JsonText) -> Result<Value, JobError> {
    let named = days(args)?;
    let Some(tenant) = TenantAndTime::of_job(db, tenant_id, args).await? else {
        return Ok(told_of_days(&BTreeSet::new(), json!({"detected": 0})));
    };
    let days: BTreeSet<_> = match named {
        Some(named) => named.into_iter().collect(),
        None => {
            let yesterday = tenant.yesterday();
            let left_out = db.read(tenant_id, DAYS_TO_LOOK_THROUGH.with(&[&yesterday])).await?;
            left_out.into_iter().chain([yesterday]).collect()
        }
    };
    let multipliers = multipliers(&tenant.settings);
    let mut detected = 0;
    for day in &days {
        // Whether the day was counted before, and rightly, is not asked.
        recount(db, tenant_id, *day).await?;
        let counted_at = db.read(tenant_id, COUNTED_AT.with(&[day])).await?.into_iter().next().flatten();
        let mut anomalies = of_day(db, tenant_id, *day, &multipliers).await?;
        anomalies.extend(claims_of_day(db, tenant_id, *day, multipliers.claim).await?);
        for batch in anomalies.chunks(BATCH) {
            detected += keep(db, tenant_id, *day, batch).await?;
        }
        db.write(tenant_id, LOOKED_THROUGH.with(&[day, &counted_at])).await?;
    }
    Ok(told_of_days(&days, json!({"detected": detected})))
}

/// What stands out of a day beside other stories, and beside what may be spent.
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

/// What stands out beside what was measured, of stories that something was reported or measured of that day: all of what is claimed of
/// them, because a claim comes when the work is done, and the measurement while it is done.
async fn claims_of_day(
    db: &Db,
    tenant_id: Uuid,
    day: NaiveDate,
    factor: Decimal,
) -> Result<Vec<Anomaly>, DbError> {
    let claimed = db.read(tenant_id, CLAIMED.with(&[&day])).await?;
    let ids = column(&claimed, |story| story.story_id);
    let measured = db.read(tenant_id, MEASURED_OF_STORIES.with(&[&ids])).await?;
    let measured: HashMap<_, _> =
        measured.iter().map(|sums| (sums.id, MeasuredSums::compared(sums))).collect();
    let claim = |story: &ClaimedOfStory| {
        let &ClaimedOfStory { story_id, project_id, tokens, cost_millicents } = story;
        let claimed = Claimed { tokens, cost_millicents };
        Some(Claim { story_id, project_id, claimed, measured: *measured.get(&story_id)? })
    };
    let claims = claimed.iter().filter_map(claim);
    Ok(claims.filter_map(|claim| beside_what_was_measured(&claim, factor)).collect())
}

/// Writes what stands out of a day: what is open is refreshed, what is new is told. How many are new.
async fn keep(db: &Db, tenant_id: Uuid, day: NaiveDate, anomalies: &[Anomaly]) -> Result<usize, JobError> {
    let ids = column(anomalies, |_| Uuid::now_v7());
    let stories = column(anomalies, |anomaly| anomaly.story_id);
    let kinds = column(anomalies, |anomaly| anomaly.kind.as_str());
    let costs = column(anomalies, |anomaly| anomaly.cost.0.to_string());
    let references = column(anomalies, |anomaly| anomaly.reference.0.to_string());
    let factors = column(anomalies, Anomaly::factor);
    let metadata: Vec<_> =
        anomalies.iter().map(|anomaly| text(&Because::of(&anomaly.reason, day))).collect::<Result<_, _>>()?;
    let metadata = column(&metadata, AsJson);
    let open: Params<'_> = &[&day, &stories, &kinds, &costs, &references, &factors, &metadata];
    let params: Params<'_> = &[&day, &ids, &stories, &kinds, &costs, &references, &factors, &metadata];
    let work = async |mut tx: Tx| {
        tx.execute(REFRESH_ANOMALIES, open).await?;
        let inserted = tx.all(INSERT_ANOMALIES, params).await?;
        let mut inserted: HashMap<_, _> = inserted.into_iter().map(|new| (new.id, new)).collect();
        let new = ids.iter().zip(anomalies).filter_map(|(id, anomaly)| Some((inserted.remove(id)?, anomaly)));
        let told: Vec<_> = new.map(|(new, anomaly)| told(&new, anomaly)).collect::<Result<_, _>>()?;
        let count = told.len();
        events::record(tx, &Attribution::system("cost_anomalies"), told, None).await?;
        Ok::<_, JobError>(count)
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
    Measured {
        metric: Metric,
        story_tokens: Total,
        reference_tokens: Total,
        multiplier: Decimal,
        period_start: NaiveDate,
    },
}

/// As JSON.
fn text(value: &impl Serialize) -> Result<JsonText, JobError> {
    JsonText::of(value).map_err(|error| JobError(error.to_string()))
}

impl Because {
    fn of(reason: &Reason, period_start: NaiveDate) -> Self {
        match *reason {
            Reason::Epic { multiplier } => Self::Epic { metric: "cost", multiplier, period_start },
            Reason::Project { multiplier, tokens: story_tokens, reference_tokens } => {
                Self::Project { metric: "tokens", story_tokens, reference_tokens, multiplier, period_start }
            }
            Reason::Budget { budget_id } => Self::Budget { budget_id, period_start },
            Reason::Measured { metric, multiplier, tokens: story_tokens, reference_tokens } => {
                Self::Measured { metric, story_tokens, reference_tokens, multiplier, period_start }
            }
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
fn told(new: &Inserted, anomaly: &Anomaly) -> Result<Event, JobError> {
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
    let event = Event::new("cost_anomaly", new.id, "detected", text(&state)?)
        .project(project_id)
        .meta("anomaly_id", new.id.to_string())
        .meta("story_id", anomaly.story_id.to_string())
        .meta("anomaly_type", anomaly.kind.as_str())
        .meta("deviation_factor", factor.as_str())
        .telling(notice);
    Ok(event)
}
