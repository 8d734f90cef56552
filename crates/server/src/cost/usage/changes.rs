//! What people do to reports: they correct them, and delete them. Agents never hide what they have cost.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::cost::budgets::{Place, Spent};
use loopctl_core::fields::INVALID;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Custom, Request, Rule as _, amount, custom, small_object, uuid, word};
use serde_json::json;
use uuid::Uuid;

use super::api::{LABEL, PHASES, TokenUsage, TokenUsageResponse, keep, known_phase};
use super::record::{NewUsage, write_one};
use super::store::{
    CORRECTED, Corrected, DELETE_USAGE, LOCK_REPORT, REPORTED_FOR, ReportedFor, TokenUsageReport,
};
use crate::app::{AtLeast, Caller, Change, User};
use crate::cost::budgets::{Held, save_levels, told};
use crate::cost::summaries::mark_stale;
use crate::db::column;
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Created, Id};

/// `POST /token-usage/:id/correction`: what is added to the report, or taken from it where it is negative.
#[derive(Request)]
pub(super) struct TokenUsageCorrectionRequest {
    /// Default 0, as of the others; one of them is not 0.
    #[rule(difference())]
    input_tokens: i64,
    #[rule(difference())]
    output_tokens: i64,
    #[rule(difference())]
    cost_millicents: i64,
    /// Default: the report's.
    #[rule(LABEL)]
    model_name: Option<String>,
    /// Default: the report's.
    #[rule(word(PHASES, known_phase))]
    phase: Option<String>,
    /// Default: the report's.
    #[rule(LABEL)]
    session_id: Option<String>,
    /// Default: the report's.
    #[rule(uuid())]
    skill_version_id: Option<Uuid>,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    metadata: JsonText,
}

/// Absent is 0, and null is no number.
const fn difference() -> Custom<i64> {
    custom(
        |fields, name| {
            if fields.is_sent(name) && fields.raw(name).is_none() {
                fields.fail(name, INVALID);
            }
            amount().signed().read(fields, name).unwrap_or_default()
        },
        || {
            let mut schema = amount().signed().schema();
            schema.insert("default".to_owned(), 0.into());
            schema
        },
    )
}

impl TokenUsageCorrectionRequest {
    /// The correction of a report.
    fn of(&self, report: &TokenUsageReport) -> TokenUsage {
        let or = |sent: &Option<String>, kept: &str| sent.clone().unwrap_or_else(|| kept.to_owned());
        TokenUsage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            model_name: or(&self.model_name, &report.model_name),
            cost_millicents: self.cost_millicents,
            phase: or(&self.phase, &report.phase),
            session_id: self.session_id.clone().or_else(|| report.session_id.clone()),
            skill_version_id: self.skill_version_id.or(report.skill_version_id),
            metadata: self.metadata.clone(),
            tool_call_count: None,
            cot_length_tokens: None,
            tests_run_count: None,
        }
    }
}

/// A report that is locked along with its corrections, after its story and the budgets that it counts for.
struct Locked {
    /// The one that was asked for.
    asked: ReportedFor,
    /// The one that it corrects, or itself.
    report: TokenUsageReport,
    place: Place,
    held: Held,
}

/// Locks a report that is not deleted. Corrections come and go under the lock of what they correct.
async fn lock(change: &mut Change<'_>, id: Uuid) -> ApiResult<Locked> {
    let ReportedFor { story_id, agent_id, .. } = change.found(REPORTED_FOR, &[&id]).await?;
    let (place, held) = keep(change, story_id, agent_id).await?;
    // Somebody else may have deleted it meanwhile.
    let asked = change.found(REPORTED_FOR, &[&id]).await?;
    let report = change.found(LOCK_REPORT, &[&asked.root(id)]).await?;
    Ok(Locked { asked, report, place, held })
}

/// That no amount of a report and its corrections falls below 0 when this is added.
fn check_amounts(what: &str, sums: Corrected, more: Spent) -> ApiResult<()> {
    let Corrected { input_tokens, output_tokens, cost_millicents: cost } = sums;
    let sums = Spent { cost, input_tokens, output_tokens };
    match sums.and(more).falls_below_nothing() {
        None => Ok(()),
        Some(field) => Err(refused(&format!("{what} would make total {field} negative"))),
    }
}

fn refused(message: &str) -> ApiError {
    ApiError::unprocessable(Code::ValidationFailed, message)
}

pub(super) async fn correct(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    body: Body<TokenUsageCorrectionRequest>,
) -> ApiResult<Created<TokenUsageResponse>> {
    caller
        .change(async |mut change| {
            let Locked { asked, report, place, mut held } = lock(&mut change, id).await?;
            if asked.corrects_report_id.is_some() {
                let hint = "Send another correction of the report that it corrects.";
                return Err(refused("cannot correct a correction").with("hints", json!([hint])));
            }
            let sums = change.one(CORRECTED, &[&id]).await?;
            let usage = body.anyway().of(&report);
            check_amounts("correction", sums, usage.spent())?;
            body.valid()?;
            if usage.spent() == Spent::default() {
                return Err(refused("correction must change at least one value"));
            }
            usage.check_skill(&mut change).await?;
            let new = NewUsage::spend(&mut held, place, report.agent_id, usage).correcting(id);
            let token_usage_report = write_one(&mut change, &held, new).await?;
            mark_stale(&mut change, &[id]).await?;
            change.commit(Created(TokenUsageResponse { token_usage_report })).await
        })
        .await
}

pub(super) async fn delete(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<Json<TokenUsageResponse>> {
    caller
        .change(async |mut change| {
            let Locked { asked, place, mut held, .. } = lock(&mut change, id).await?;
            let deleted = change.all(DELETE_USAGE, &[&id]).await?;
            if let Some(original) = asked.corrects_report_id {
                let sums = change.one(CORRECTED, &[&original]).await?;
                check_amounts("deletion", sums, Spent::default())?;
            }
            let spent = deleted.iter().fold(Spent::default(), |sum, report| sum.and(report.spent()));
            let moved = held.spend(&place, asked.agent_id, spent.taken_back());
            save_levels(&mut change, &[&moved]).await?;
            mark_stale(&mut change, &column(&deleted, |report| report.id)).await?;
            change.tell(deleted.iter().map(told_deleted));
            change.tell(told(&moved, &place, id));
            let token_usage_report = deleted.into_iter().next().ok_or_else(ApiError::internal)?;
            change.commit(Json(TokenUsageResponse { token_usage_report })).await
        })
        .await
}

fn told_deleted(report: &TokenUsageReport) -> Event {
    let old = json!({
        "story_id": report.story_id, "cost_millicents": report.cost_millicents, "total_tokens": report.total_tokens,
        "model_name": report.model_name,
    });
    Event::deleted("token_usage_report", report.id, old)
        .project(report.project_id)
        .meta("story_id", report.story_id.to_string())
        .meta("project_id", report.project_id.to_string())
        .meta("cost_millicents", report.cost_millicents)
}
