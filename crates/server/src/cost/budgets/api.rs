//! Requests, answers and handlers of budgets.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::cost::budgets::{Effective, Enforcement, ScopeType, TargetType, effective};
use loopctl_core::fields::{BLANK, FieldErrors};
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, amount, decimal, id, integer, nullable, small_object, text, word};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{
    AMOUNTS, BLOCKING_TEMPLATE, BudgetRow, BudgetTerms, DEFAULT_AMOUNT, DELETE_BUDGET, FIND_AGENT_OF_BUDGET,
    FORGET_ALERTS, FORGET_REPLACED, INSERT_BUDGET, KEEP_EPIC_OF_BUDGET, KEEP_PROJECT_OF_BUDGET,
    KEEP_STORY_OF_BUDGET, LIST_BUDGETS, LOCK_BUDGET, PROJECT_OF_SCOPE, SHOW_BUDGET, TokenBudget,
    UPDATE_BUDGET,
};
use crate::app::{Access as _, Agent, AtLeast, Caller, Change, Identity, Orchestrator, User};
use crate::db::{AsJson, DbError, Params};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Created, Id, Meta, Page, Query, one, pages};

fn scope(word: &str) -> Option<ScopeType> {
    ScopeType::parse(word).or_else(|| (word == "per_project").then_some(ScopeType::Project))
}

/// Between 1 and 100.
fn check_threshold(percent: &i32) -> Result<(), String> {
    match percent {
        ..1 => Err("must be greater than or equal to 1".to_owned()),
        101.. => Err("must be less than or equal to 100".to_owned()),
        _ => Ok(()),
    }
}

/// A share of 1, as hundredths.
fn hundredths(share: &Decimal) -> Option<i32> {
    let percent = (share.checked_mul(Decimal::ONE_HUNDRED)?)
        .round_dp_with_strategy(0, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    percent.to_i32().filter(|percent| (1..=100).contains(percent) && *share <= Decimal::ONE)
}

fn check_share(share: &Decimal) -> Result<(), String> {
    hundredths(share).map(drop).ok_or_else(|| loopctl_core::fields::INVALID.to_owned())
}

one! {
    pub(super) TokenBudgetResponse { token_budget: TokenBudget }
    pub(super) TokenBudgetDeletedResponse { token_budget: DeletedBudget }
}

/// `POST /token-budgets`.
#[derive(Request)]
pub(super) struct TokenBudgetCreateRequest {
    /// Needed. `per_…`: each story, epic or agent of a project by itself.
    #[rule(word(ScopeType::WORDS, scope))]
    scope_type: Option<ScopeType>,
    /// Needed. The story, epic, project or agent; of `per_…` the project.
    #[rule(id())]
    scope_id: Option<Uuid>,
    /// 100,000 are one US dollar. Needed where no tokens are limited.
    #[rule(amount().positive())]
    budget_millicents: Option<i64>,
    /// Input and output together.
    #[rule(amount().positive())]
    token_limit: Option<i64>,
    /// The same as `token_limit`.
    #[rule(amount().positive())]
    limit: Option<i64>,
    /// 0: not limited.
    #[rule(amount())]
    budget_input_tokens: Option<i64>,
    /// 0: not limited.
    #[rule(amount())]
    budget_output_tokens: Option<i64>,
    /// How far it is used when that is told; default 80.
    #[rule(integer().that(check_threshold))]
    alert_threshold_pct: Option<i32>,
    /// The same as a share: `0.8`.
    #[rule(decimal().that(check_share))]
    warning_threshold: Option<Decimal>,
    /// `warn` (default) tells, `block` also refuses.
    #[rule(word(Enforcement::WORDS, Enforcement::parse).or(Enforcement::Warn))]
    enforcement: Enforcement,
    /// What each claim of a story sets aside of `budget_millicents`; absent: nothing.
    #[rule(amount().positive())]
    reserve_millicents: Option<i64>,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    metadata: JsonText,
}

impl TokenBudgetCreateRequest {
    fn tokens(&self) -> Option<i64> {
        self.token_limit.or(self.limit)
    }

    fn check(&self, errors: &mut FieldErrors) {
        if self.scope_type.is_none() && !errors.0.contains_key("scope_type") {
            errors.add("scope_type", BLANK);
        }
        if self.scope_id.is_none() {
            errors.add("scope_id", BLANK);
        }
        check_limits(self.budget_millicents, self.tokens(), self.reserve_millicents, errors);
    }
}

/// That something is limited, and that there is money where money is set aside.
fn check_limits(money: Option<i64>, tokens: Option<i64>, reserve: Option<i64>, errors: &mut FieldErrors) {
    let is_told =
        ["budget_millicents", "token_limit", "limit"].iter().any(|field| errors.0.contains_key(*field));
    if money.is_none() && (tokens.is_none() || reserve.is_some()) && !is_told {
        errors.add("budget_millicents", BLANK);
    }
}

pub(super) async fn create(
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body<TokenBudgetCreateRequest>,
) -> ApiResult<Created<TokenBudgetResponse>> {
    let sent = body.named()?;
    caller
        .change(async |mut change| {
            let project_id = match (sent.scope_type, sent.scope_id) {
                (Some(scope_type), Some(scope_id)) => keep_scope(&mut change, scope_type, scope_id).await?,
                _ => None,
            };
            let new = body.checked(TokenBudgetCreateRequest::check)?;
            let (Some(scope_type), Some(scope_id)) = (new.scope_type, new.scope_id) else {
                return Err(ApiError::internal());
            };
            admit_exception(&mut change, scope_type, project_id).await?;
            let share = new.warning_threshold.as_ref().and_then(hundredths);
            let threshold = new.alert_threshold_pct.or(share).unwrap_or(80);
            let params: Params<'_> = &[
                &Uuid::now_v7(),
                &scope_type.as_str(),
                &scope_id,
                &new.budget_millicents,
                &new.tokens(),
                &new.budget_input_tokens,
                &new.budget_output_tokens,
                &threshold,
                &new.enforcement.as_str(),
                &new.reserve_millicents,
                &AsJson(&new.metadata),
            ];
            let created = change.one(INSERT_BUDGET, params).await.map_err(scope_taken)?;
            let terms = created.budget.terms.clone();
            change.execute(FORGET_REPLACED, &[&scope_type.as_str(), &scope_id, &terms.id]).await?;
            let mut told = told(&terms);
            told["scope_type"] = json!(scope_type);
            told["scope_id"] = json!(scope_id);
            change.tell([Event::new("token_budget", terms.id, "created", told).project(project_id)]);
            change.commit(Created(TokenBudgetResponse { token_budget: created.told() })).await
        })
        .await
}

/// Keeps what a budget is to be of; its project, if it is of one.
async fn keep_scope(
    change: &mut Change<'_>,
    scope_type: ScopeType,
    scope_id: Uuid,
) -> ApiResult<Option<Uuid>> {
    Ok(match scope_type {
        ScopeType::Story => change.found(KEEP_STORY_OF_BUDGET, &[&scope_id]).await?.project_id,
        ScopeType::Epic => change.found(KEEP_EPIC_OF_BUDGET, &[&scope_id]).await?.project_id,
        ScopeType::Agent => {
            change.found(FIND_AGENT_OF_BUDGET, &[&scope_id]).await?;
            None
        }
        ScopeType::Project | ScopeType::PerStory | ScopeType::PerEpic | ScopeType::PerAgent => {
            Some(change.found(KEEP_PROJECT_OF_BUDGET, &[&scope_id]).await?)
        }
    })
}

/// What is said of one is said instead of what is said of each: where that blocks, an exception is a person's to make.
async fn admit_exception(
    change: &mut Change<'_>,
    scope_type: ScopeType,
    project_id: Option<Uuid>,
) -> ApiResult<()> {
    let is_exception = matches!(scope_type, ScopeType::Story | ScopeType::Epic | ScopeType::Agent);
    if is_exception && change.one(BLOCKING_TEMPLATE, &[&scope_type.as_str(), &project_id]).await? {
        as_person(change.caller)?;
    }
    Ok(())
}

/// To let through what a blocking budget does not takes a person.
fn as_person(caller: &Identity) -> ApiResult<()> {
    let why = "Insufficient permissions. Required role: user, to raise, loosen or make an exception from a blocking budget";
    <AtLeast<User>>::check(caller.role).map_err(|refused| refused.saying(why.to_owned()))
}

fn scope_taken(error: DbError) -> ApiError {
    if error.violates("token_budgets_scope") {
        let hint = "Find it with GET /api/v1/token-budgets?scope_type=…&scope_id=… and change it with PATCH /api/v1/token-budgets/:id.";
        return ApiError::conflict(Code::BudgetExists, "Conflict").with("hints", json!([hint]));
    }
    error.into()
}

/// The limits of a budget, as its events have them.
fn told(budget: &BudgetTerms) -> Value {
    json!({
        "budget_millicents": budget.budget_millicents, "budget_input_tokens": budget.budget_input_tokens,
        "budget_output_tokens": budget.budget_output_tokens, "alert_threshold_pct": budget.alert_threshold_pct,
        "token_limit": budget.token_limit, "enforcement": budget.enforcement,
        "reserve_millicents": budget.reserve_millicents,
    })
}

/// How much something may cost.
#[derive(Serialize, JsonSchema)]
pub(super) struct EffectiveBudget {
    /// Null: nothing says it.
    effective_budget_millicents: Option<i64>,
    /// `explicit`, `project_template`, `epic_inherited`, `project_inherited` or `tenant_default`.
    budget_source: Option<&'static str>,
}

impl EffectiveBudget {
    /// What budgets say of a scope; of `per_…` only the budget itself (`own`) does.
    async fn of(
        caller: &Identity,
        scope_type: ScopeType,
        scope_id: Uuid,
        own: Option<i64>,
    ) -> ApiResult<Self> {
        let asked = match scope_type {
            ScopeType::Story => TargetType::Story,
            ScopeType::Epic => TargetType::Epic,
            ScopeType::Agent => TargetType::Agent,
            ScopeType::Project => TargetType::Project,
            ScopeType::PerStory | ScopeType::PerEpic | ScopeType::PerAgent => {
                let found = own.map(|millicents| Effective { millicents, source: "explicit" });
                return Ok(Self::told(found));
            }
        };
        let params: Params<'_> = &[&scope_type.as_str(), &scope_id];
        let (amounts, default) = caller.read((AMOUNTS.with(params), DEFAULT_AMOUNT.with(params))).await?;
        let amounts: Vec<_> = amounts.iter().map(|amount| (amount.scope_type, amount.millicents)).collect();
        Ok(Self::told(effective(asked, &amounts, default.into_iter().flatten().next())))
    }

    fn told(found: Option<Effective>) -> Self {
        Self {
            effective_budget_millicents: found.map(|found| found.millicents),
            budget_source: found.map(|found| found.source),
        }
    }
}

#[derive(Request)]
pub(super) struct ListTokenBudgets {
    /// Any other word lists nothing.
    #[rule(text(usize::MAX))]
    scope_type: Option<String>,
    #[rule(id())]
    scope_id: Option<Uuid>,
    #[rule(pages(20, 100))]
    page: Page,
}

/// `GET /token-budgets`.
#[derive(Serialize, JsonSchema)]
pub(super) struct TokenBudgets {
    data: Vec<TokenBudget>,
    meta: Meta,
    /// Where one scope is asked for: how much it may cost, be it by what it is in.
    #[serde(flatten)]
    effective: Option<EffectiveBudget>,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListTokenBudgets>,
) -> ApiResult<Json<TokenBudgets>> {
    let ListTokenBudgets { scope_type, scope_id, page } = &query;
    let budgets = caller.list(&LIST_BUDGETS, &[scope_type, scope_id], page).await?;
    let one = budgets.data.first().and_then(|first| first.budget.terms.budget_millicents);
    let asked = scope_type.as_deref().and_then(ScopeType::parse).zip(*scope_id);
    let effective = match asked {
        Some((scope_type, scope_id)) => Some(EffectiveBudget::of(&caller, scope_type, scope_id, one).await?),
        None => None,
    };
    let data = budgets.data.into_iter().map(|budget| budget.told()).collect();
    Ok(Json(TokenBudgets { data, meta: budgets.meta, effective }))
}

/// `GET /token-budgets/:id`.
#[derive(Serialize, JsonSchema)]
pub(super) struct ShownBudget {
    #[serde(flatten)]
    budget: TokenBudget,
    #[serde(flatten)]
    effective: EffectiveBudget,
}

one! { pub(super) ShownBudgetResponse { token_budget: ShownBudget } }

pub(super) async fn show(caller: Caller<AtLeast<Agent>>, Id(id): Id) -> ApiResult<Json<ShownBudgetResponse>> {
    let found = caller.find(SHOW_BUDGET, &[&id]).await?;
    let BudgetTerms { scope_type, scope_id, budget_millicents, .. } = found.budget.terms;
    let effective = EffectiveBudget::of(&caller, scope_type, scope_id, budget_millicents).await?;
    Ok(Json(ShownBudgetResponse { token_budget: ShownBudget { budget: found.told(), effective } }))
}

/// `PATCH /token-budgets/:id`: only the fields that are sent change; null removes a limit.
#[derive(Request)]
pub(super) struct TokenBudgetUpdateRequest {
    #[rule(nullable(amount().positive()))]
    budget_millicents: Option<Option<i64>>,
    #[rule(nullable(amount().positive()))]
    token_limit: Option<Option<i64>>,
    #[rule(nullable(amount()))]
    budget_input_tokens: Option<Option<i64>>,
    #[rule(nullable(amount()))]
    budget_output_tokens: Option<Option<i64>>,
    /// Null is none.
    #[rule(nullable(integer().that(check_threshold)))]
    alert_threshold_pct: Option<Option<i32>>,
    #[rule(word(Enforcement::WORDS, Enforcement::parse))]
    enforcement: Option<Enforcement>,
    #[rule(nullable(amount().positive()))]
    reserve_millicents: Option<Option<i64>>,
    /// Replaces the whole object.
    #[rule(small_object())]
    metadata: Option<JsonText>,
}

impl TokenBudgetUpdateRequest {
    /// The budget after this change.
    fn applied_to(&self, old: &BudgetTerms) -> BudgetTerms {
        let threshold = self.alert_threshold_pct.flatten();
        BudgetTerms {
            budget_millicents: self.budget_millicents.unwrap_or(old.budget_millicents),
            token_limit: self.token_limit.unwrap_or(old.token_limit),
            budget_input_tokens: self.budget_input_tokens.unwrap_or(old.budget_input_tokens),
            budget_output_tokens: self.budget_output_tokens.unwrap_or(old.budget_output_tokens),
            alert_threshold_pct: threshold.unwrap_or(old.alert_threshold_pct),
            enforcement: self.enforcement.unwrap_or(old.enforcement),
            reserve_millicents: self.reserve_millicents.unwrap_or(old.reserve_millicents),
            ..old.clone()
        }
    }
}

pub(super) async fn update(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body<TokenBudgetUpdateRequest>,
) -> ApiResult<Json<TokenBudgetResponse>> {
    caller
        .change(async |mut change| {
            let BudgetRow { terms: old, metadata: kept, .. } = change.found(LOCK_BUDGET, &[&id]).await?;
            let new = body.anyway().applied_to(&old);
            let metadata = body.anyway().metadata.as_ref().unwrap_or(&kept);
            body.checked(|sent, errors| {
                if sent.alert_threshold_pct == Some(None) {
                    errors.add("alert_threshold_pct", BLANK);
                }
                check_limits(new.budget_millicents, new.token_limit, new.reserve_millicents, errors);
            })?;
            let scope: Params<'_> = &[&old.scope_type.as_str(), &old.scope_id];
            let project_id = change.optional(PROJECT_OF_SCOPE, scope).await?;
            let (was, will_be) = (old.budget(), new.budget());
            if was.is_loosened_to(&will_be) {
                as_person(change.caller)?;
            }
            if was.is_raised_to(&will_be) {
                admit_exception(&mut change, old.scope_type, project_id).await?;
            }
            let params: Params<'_> = &[
                &id,
                &new.budget_millicents,
                &new.token_limit,
                &new.budget_input_tokens,
                &new.budget_output_tokens,
                &new.alert_threshold_pct,
                &new.enforcement.as_str(),
                &new.reserve_millicents,
                &AsJson(metadata),
            ];
            let (before, after) = (told(&old), told(&new));
            if before == after && *metadata == kept {
                let found = change.found(SHOW_BUDGET, &[&id]).await?;
                return change.unchanged(Json(TokenBudgetResponse { token_budget: found.told() })).await;
            }
            if (was.limits, was.alert_threshold_pct) != (will_be.limits, will_be.alert_threshold_pct) {
                change.execute(FORGET_ALERTS, &[&id]).await?;
            }
            let updated = change.one(UPDATE_BUDGET, params).await?;
            change.tell([Event::new("token_budget", id, "updated", after).old(before).project(project_id)]);
            change.commit(Json(TokenBudgetResponse { token_budget: updated.told() })).await
        })
        .await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DeletedBudget {
    id: Uuid,
    /// True.
    deleted: bool,
}

pub(super) async fn delete(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<Json<TokenBudgetDeletedResponse>> {
    caller
        .change(async |mut change| {
            let budget = change.found(DELETE_BUDGET, &[&id]).await?.terms;
            let scope: Params<'_> = &[&budget.scope_type.as_str(), &budget.scope_id];
            let project_id = change.optional(PROJECT_OF_SCOPE, scope).await?;
            let old = json!({
                "scope_type": budget.scope_type, "scope_id": budget.scope_id,
                "budget_millicents": budget.budget_millicents,
            });
            change.tell([Event::deleted("token_budget", id, old).project(project_id)]);
            change
                .commit(Json(TokenBudgetDeletedResponse {
                    token_budget: DeletedBudget { id, deleted: true },
                }))
                .await
        })
        .await
}
