//! What the way of working gives away, noted in the story's metadata when its review is requested. It is information for whoever
//! reviews it, and decides nothing.

use loopctl_core::cost::telemetry::{Suspicion, Telemetry, judge};
use serde_json::{Value, json};

use crate::app::Change;
use crate::cost::usage::{TOLD_OF_WORK, ToldOfWork};
use crate::db::DbError;
use crate::plan::stories::Story;

/// What is noted of the work on a story; None where nothing was reported of it.
///
/// # Errors
/// When the database fails.
pub(super) async fn noted(change: &mut Change<'_>, story: &Story) -> Result<Option<Value>, DbError> {
    let told = change.one(TOLD_OF_WORK, &[&story.id]).await?;
    let ToldOfWork { reports, tokens, tool_calls, reasoning_tokens, tests_run } = told;
    if reports == 0 {
        return Ok(None);
    }
    let told = Telemetry { tokens: tokens.0, tool_calls, reasoning_tokens, tests_run };
    let suspicion = judge(&told, story.estimated_hours());
    let flagged = suspicion.is_flagged();
    let Suspicion { hundredths, reasons } = suspicion;
    Ok(Some(json!({
        "lazy_score": f64::from(hundredths) / 100.0, "lazy_reasons": reasons, "lazy_flagged": flagged,
    })))
}
