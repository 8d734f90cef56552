//! The one way by which usage is recorded, be it reported by itself, along with a story, or as a correction: decided upon under the
//! locks of story and budgets, written by one statement, told by one event each.

use loopctl_core::code::Code;
use loopctl_core::cost::budgets::{Moved, Place, Spent};
use serde_json::json;
use uuid::Uuid;

use super::api::TokenUsage;
use super::store::{FIND_USAGE, INSERT_USAGE, KNOWN_SKILL_VERSIONS, TokenUsageReport};
use crate::app::Change;
use crate::cost::budgets::{Held, USE_RESERVATIONS, save_levels, told};
use crate::db::{AsJson, DbError, Params, column};
use crate::events::Event;
use crate::http::{ApiError, ApiResult};

/// Usage that is decided upon, and yet to be written.
pub(crate) struct NewUsage {
    id: Uuid,
    place: Place,
    agent_id: Uuid,
    usage: TokenUsage,
    corrects_report_id: Option<Uuid>,
    moved: Moved,
}

impl NewUsage {
    /// Spends of the budgets that are held.
    pub(crate) fn spend(held: &mut Held, place: Place, agent_id: Uuid, usage: TokenUsage) -> Self {
        let moved = held.spend(&place, agent_id, usage.spent());
        Self { id: Uuid::now_v7(), place, agent_id, usage, corrects_report_id: None, moved }
    }

    /// The same, as a correction of another report.
    pub(super) fn correcting(self, report_id: Uuid) -> Self {
        Self { corrects_report_id: Some(report_id), ..self }
    }

    /// What is told of it: that it was reported or corrected, and which levels of budgets it has reached.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = vec![self.event()];
        events.extend(told(&self.moved, &self.place, self.id));
        events
    }

    fn event(&self) -> Event {
        let TokenUsage { input_tokens, output_tokens, cost_millicents, .. } = self.usage;
        let TokenUsage { model_name, skill_version_id, phase, .. } = &self.usage;
        let (story_id, project_id) = (self.place.story_id, self.place.project_id);
        if let Some(corrected) = self.corrects_report_id {
            let told = json!({
                "corrects_report_id": corrected, "story_id": story_id, "input_tokens": input_tokens,
                "output_tokens": output_tokens, "cost_millicents": cost_millicents, "model_name": model_name,
            });
            return Event::new("token_usage_report", self.id, "corrected", told)
                .project(project_id)
                .meta("corrects_report_id", corrected.to_string())
                .meta("story_id", story_id.to_string())
                .meta("project_id", project_id.to_string())
                .meta("input_tokens", input_tokens)
                .meta("output_tokens", output_tokens)
                .meta("cost_millicents", cost_millicents);
        }
        let total_tokens = input_tokens + output_tokens;
        let told = json!({
            "story_id": story_id, "agent_id": self.agent_id, "model_name": model_name,
            "cost_millicents": cost_millicents, "total_tokens": total_tokens, "skill_version_id": skill_version_id,
            "input_tokens": input_tokens, "output_tokens": output_tokens, "phase": phase,
        });
        Event::new("token_usage_report", self.id, "created", told)
            .project(project_id)
            .meta("story_id", story_id.to_string())
            .meta("agent_id", self.agent_id.to_string())
            .meta("model_name", model_name.as_str())
            .meta("cost_millicents", cost_millicents)
            .meta("total_tokens", total_tokens)
            .meta("skill_version_id", skill_version_id.map(|id| id.to_string()))
    }
}

impl TokenUsage {
    /// As budgets count it.
    pub(crate) fn spent(&self) -> Spent {
        Spent::of(self.cost_millicents, self.input_tokens, self.output_tokens)
    }

    /// That the version of a skill which it names is the tenant's.
    ///
    /// # Errors
    /// 422, or when the database fails.
    pub(crate) async fn check_skill(&self, change: &mut Change<'_>) -> ApiResult<()> {
        let Some(id) = self.skill_version_id else { return Ok(()) };
        match change.optional(KNOWN_SKILL_VERSIONS, &[&vec![id]]).await? {
            Some(_) => Ok(()),
            None => Err(ApiError::unprocessable(
                Code::ValidationFailed,
                "skill_version_id does not exist or belongs to a different tenant",
            )),
        }
    }
}

/// Writes what was decided upon, what stories have set aside for it, and the levels that were reached.
///
/// # Errors
/// When the database fails.
pub(crate) async fn write(change: &mut Change<'_>, held: &Held, new: &[NewUsage]) -> Result<(), DbError> {
    if new.is_empty() {
        return Ok(());
    }
    macro_rules! column_of {
        ($field:ident) => {
            &column(new, |new| new.usage.$field)
        };
        (text $field:ident) => {
            &column(new, |new| new.usage.$field.as_str())
        };
    }
    let params: Params<'_> = &[
        &column(new, |new| new.id),
        &column(new, |new| new.place.story_id),
        &column(new, |new| new.agent_id),
        &column(new, |new| new.place.project_id),
        &column(new, |new| new.place.epic_id),
        column_of!(input_tokens),
        column_of!(output_tokens),
        column_of!(text model_name),
        column_of!(cost_millicents),
        column_of!(text phase),
        &column(new, |new| new.usage.session_id.as_deref()),
        column_of!(skill_version_id),
        column_of!(tool_call_count),
        column_of!(cot_length_tokens),
        column_of!(tests_run_count),
        &column(new, |new| AsJson(&new.usage.metadata)),
        &column(new, |new| new.corrects_report_id),
    ];
    change.execute(INSERT_USAGE, params).await?;
    // A correction is of what was used before.
    let first: Vec<_> = new.iter().filter(|new| new.corrects_report_id.is_none()).collect();
    if held.has_budgets() && !first.is_empty() {
        let params: Params<'_> = &[
            &column(&first, |new| new.place.story_id),
            &column(&first, |new| new.agent_id),
            &column(&first, |new| new.usage.cost_millicents),
        ];
        change.execute(USE_RESERVATIONS, params).await?;
    }
    save_levels(change, &new.iter().map(|new| &new.moved).collect::<Vec<_>>()).await
}

/// The same for one report, as it is told of: steps of the loop tell of their story instead.
///
/// # Errors
/// When the database fails.
pub(super) async fn write_one(
    change: &mut Change<'_>,
    held: &Held,
    new: NewUsage,
) -> Result<TokenUsageReport, DbError> {
    change.tell(new.events());
    let id = new.id;
    write(change, held, &[new]).await?;
    change.one(FIND_USAGE, &[&id]).await
}
