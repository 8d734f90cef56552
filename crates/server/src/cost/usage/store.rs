//! Rows and SQL of usage reports.

use loopctl_core::cost::Total;
use loopctl_core::cost::budgets::Spent;
use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// What an agent says that it has used for a story, of the alias `u`.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct TokenUsageReport {
    pub(crate) id: Uuid,
    tenant_id: Uuid,
    pub(super) story_id: Uuid,
    /// Who has reported it.
    pub(super) agent_id: Uuid,
    /// The story's.
    pub(super) project_id: Uuid,
    /// Negative on corrections only, and so are the other amounts.
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    /// Both.
    pub(super) total_tokens: i64,
    pub(super) model_name: String,
    /// 100,000 are one US dollar.
    pub(super) cost_millicents: i64,
    /// The same in US dollars, with two decimals.
    #[row(sql = "cost_millicents::numeric")]
    #[serde(serialize_with = "dollars")]
    #[schemars(with = "String")]
    cost_dollars: Total,
    /// `planning`, `implementing`, `reviewing` or `other`.
    pub(super) phase: String,
    pub(super) session_id: Option<String>,
    /// The version of a skill by which it worked.
    pub(super) skill_version_id: Option<Uuid>,
    tool_call_count: Option<i32>,
    /// Length of the reasoning.
    cot_length_tokens: Option<i32>,
    tests_run_count: Option<i32>,
    metadata: JsonText,
    deleted_at: Option<Timestamp>,
    /// The report that this one corrects.
    pub(super) corrects_report_id: Option<Uuid>,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

fn dollars<S: serde::Serializer>(total: &Total, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&total.dollars())
}

/// What was reported of something altogether.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct UsageSums {
    #[row(sql = "coalesce(sum(d.input_tokens), 0)")]
    input_tokens: Total,
    #[row(sql = "coalesce(sum(d.output_tokens), 0)")]
    output_tokens: Total,
    #[row(sql = "coalesce(sum(d.cost_millicents), 0)")]
    cost_millicents: Total,
    #[row(sql = "coalesce(sum(d.reports), 0)::bigint")]
    reports: i64,
}

/// What was reported of something altogether, as it is told.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct UsageTotals {
    total_input_tokens: Total,
    total_output_tokens: Total,
    pub(crate) total_tokens: Total,
    pub(crate) total_cost_millicents: Total,
    total_cost_dollars: String,
    /// Corrections included.
    report_count: i64,
}

impl UsageSums {
    /// As it is told.
    pub(crate) fn totals(self) -> UsageTotals {
        UsageTotals {
            total_input_tokens: self.input_tokens,
            total_output_tokens: self.output_tokens,
            total_tokens: self.input_tokens + self.output_tokens,
            total_cost_millicents: self.cost_millicents,
            total_cost_dollars: self.cost_millicents.dollars(),
            report_count: self.reports,
        }
    }
}

/// A story for which something is spent.
#[derive(Row)]
pub(super) struct StoryPlace {
    pub(super) id: Uuid,
    pub(super) project_id: Uuid,
    pub(super) epic_id: Uuid,
}

/// For what a report is.
#[derive(Row)]
pub(super) struct ReportedFor {
    pub(super) story_id: Uuid,
    pub(super) agent_id: Uuid,
    pub(super) corrects_report_id: Option<Uuid>,
}

impl ReportedFor {
    /// The report that it corrects, or itself, of this id.
    pub(super) fn root(&self, id: Uuid) -> Uuid {
        self.corrects_report_id.unwrap_or(id)
    }
}

impl TokenUsageReport {
    /// As budgets count it.
    pub(super) fn spent(&self) -> Spent {
        Spent::of(self.cost_millicents, self.input_tokens, self.output_tokens)
    }
}

/// How the work on a story was done, as far as its reports tell.
#[derive(Row)]
pub(crate) struct ToldOfWork {
    #[row(sql = "count(*)")]
    pub(crate) reports: i64,
    #[row(sql = "coalesce(sum(total_tokens), 0)")]
    pub(crate) tokens: Total,
    #[row(sql = "sum(tool_call_count)::bigint")]
    pub(crate) tool_calls: Option<i64>,
    #[row(sql = "sum(cot_length_tokens)::bigint")]
    pub(crate) reasoning_tokens: Option<i64>,
    #[row(sql = "sum(tests_run_count)::bigint")]
    pub(crate) tests_run: Option<i64>,
}

/// A report and its corrections that are not deleted, all together.
#[derive(Row)]
pub(super) struct Corrected {
    #[row(sql = "coalesce(sum(input_tokens), 0)")]
    pub(super) input_tokens: Total,
    #[row(sql = "coalesce(sum(output_tokens), 0)")]
    pub(super) output_tokens: Total,
    #[row(sql = "coalesce(sum(cost_millicents), 0)")]
    pub(super) cost_millicents: Total,
}

statements! {
    /// The story stays, and whatever is spent for it is spent by one transaction at a time.
    KEEP_STORY_OF_USAGE -> StoryPlace = "
        select {*} from story_states where tenant_id = $1 and id = $2 for no key update";
    KNOWN_SKILL_VERSIONS -> Uuid = "select id from skill_versions where tenant_id = $1 and id = any($2)";
    /// Reports of stories that are kept. Day and order are those of the moment at which they are written.
    INSERT_USAGE = "
        insert into token_usage_reports
            (tenant_id, id, story_id, agent_id, project_id, epic_id, input_tokens, output_tokens, model_name, cost_millicents,
             phase, session_id, skill_version_id, tool_call_count, cot_length_tokens, tests_run_count, metadata,
             corrects_report_id, inserted_at, updated_at)
        select $1, t.*, now.at, now.at
        from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::bigint[], $9::text[],
                    $10::bigint[], $11::text[], $12::text[], $13::uuid[], $14::integer[], $15::integer[], $16::integer[],
                    $17::jsonb[], $18::uuid[]) t
        cross join (select clock_timestamp() as at) now";
    FIND_USAGE -> TokenUsageReport = "select {*} from token_usage_reports where tenant_id = $1 and id = $2";
    LIST_USAGE -> list of TokenUsageReport = {
        within: "stories where tenant_id = $1 and id = $2",
        count: "coalesce(sum(reports), 0) from usage_by_day where tenant_id = $1 and story_id = $2",
        from: "token_usage_reports where tenant_id = $1 and story_id = $2 and deleted_at is null",
        page: "order by inserted_at desc, id desc limit $3 offset $4",
    };
    TOTALS_OF_STORY -> UsageSums = "
        select {*} from usage_by_day d where d.tenant_id = $1 and d.story_id = $2";
    TOLD_OF_WORK -> ToldOfWork = "
        select {*} from token_usage_reports where tenant_id = $1 and story_id = $2 and deleted_at is null";
    /// What never changes of it is looked up before its story is locked, which comes before reports.
    REPORTED_FOR -> ReportedFor = "
        select {*} from token_usage_reports where tenant_id = $1 and id = $2 and deleted_at is null";
    LOCK_REPORT -> TokenUsageReport = "
        select {*} from token_usage_reports
        where tenant_id = $1 and id = $2 and deleted_at is null for no key update";
    /// Of a report that is locked: its corrections come and go with its lock.
    CORRECTED -> Corrected = "
        select {*} from token_usage_reports
        where tenant_id = $1 and (id = $2 or corrects_report_id = $2) and deleted_at is null";
    /// A report goes with its corrections. It comes first.
    DELETE_USAGE -> TokenUsageReport = "
        with gone as (
            update token_usage_reports
            set deleted_at = clock_timestamp(), deletion_reason = 'user', updated_at = clock_timestamp()
            where tenant_id = $1 and (id = $2 or corrects_report_id = $2) and deleted_at is null
            returning *
        )
        select {*} from gone order by id <> $2, inserted_at, id";
}
