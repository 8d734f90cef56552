//! Rows and SQL of budgets.

use loopctl_core::cost::Total;
use loopctl_core::cost::budgets::{Budget, Enforcement, Limits, ScopeType, TargetType};
use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// What a budget says, of the alias `b`.
#[derive(Debug, Clone, Row)]
pub(crate) struct BudgetTerms {
    #[row(sql = "b.id")]
    pub(super) id: Uuid,
    #[row(sql = "b.scope_type")]
    pub(super) scope_type: ScopeType,
    #[row(sql = "b.scope_id")]
    pub(super) scope_id: Uuid,
    #[row(sql = "b.budget_millicents")]
    pub(super) budget_millicents: Option<i64>,
    #[row(sql = "b.token_limit")]
    pub(super) token_limit: Option<i64>,
    #[row(sql = "b.budget_input_tokens")]
    pub(super) budget_input_tokens: Option<i64>,
    #[row(sql = "b.budget_output_tokens")]
    pub(super) budget_output_tokens: Option<i64>,
    #[row(sql = "b.alert_threshold_pct")]
    pub(super) alert_threshold_pct: i32,
    #[row(sql = "b.enforcement")]
    pub(super) enforcement: Enforcement,
    #[row(sql = "b.reserve_millicents")]
    pub(super) reserve_millicents: Option<i64>,
}

impl BudgetTerms {
    /// As the rules see it.
    pub(super) fn budget(&self) -> Budget {
        Budget {
            id: Some(self.id),
            scope_type: self.scope_type,
            scope_id: self.scope_id,
            limits: Limits {
                cost: self.budget_millicents,
                tokens: self.token_limit,
                input_tokens: self.budget_input_tokens,
                output_tokens: self.budget_output_tokens,
            },
            alert_threshold_pct: self.alert_threshold_pct,
            enforcement: self.enforcement,
            reserve_millicents: self.reserve_millicents,
        }
    }
}

/// A budget as it is kept, of the alias `b`.
#[derive(Debug, Clone, Row)]
pub(super) struct BudgetRow {
    #[row(flatten)]
    pub(super) terms: BudgetTerms,
    #[row(sql = "b.tenant_id")]
    tenant_id: Uuid,
    #[row(sql = "b.metadata")]
    pub(super) metadata: JsonText,
    #[row(sql = "b.inserted_at")]
    inserted_at: Timestamp,
    #[row(sql = "b.updated_at")]
    updated_at: Timestamp,
}

/// A budget with what was spent of it: of `per_…`, by whom or what it is used most.
#[derive(Row)]
pub(super) struct SpentBudget {
    #[row(flatten)]
    pub(super) budget: BudgetRow,
    /// None where nothing was spent.
    #[row(sql = "used.target_id")]
    target_id: Option<Uuid>,
    #[row(sql = "coalesce(used.cost_millicents, 0)")]
    cost_millicents: Total,
    #[row(sql = "coalesce(used.input_tokens + used.output_tokens, 0)")]
    tokens: Total,
    #[row(sql = "(select coalesce(sum(r.millicents), 0) from budget_reservations r
                  where r.tenant_id = b.tenant_id and r.budget_id = b.id
                    and (used.target_id is null or r.target_id = used.target_id))")]
    reserved: Total,
}

/// A budget, with what was spent of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenBudget {
    id: Uuid,
    tenant_id: Uuid,
    scope_type: ScopeType,
    /// The story, epic, project or agent; of `per_…` the project.
    scope_id: Uuid,
    /// Null: money is not limited. 100,000 are one US dollar.
    budget_millicents: Option<i64>,
    budget_dollars: Option<String>,
    /// Null or 0: not limited.
    budget_input_tokens: Option<i64>,
    /// Null or 0: not limited.
    budget_output_tokens: Option<i64>,
    /// How far it is used when that is told.
    alert_threshold_pct: i32,
    /// Of `per_…`: by the one that uses it most.
    current_spend_millicents: Total,
    current_spend_dollars: String,
    remaining_millicents: Option<Total>,
    remaining_dollars: Option<String>,
    /// Cut off; may be more than 100.
    utilization_pct: Option<Total>,
    metadata: JsonText,
    inserted_at: Timestamp,
    updated_at: Timestamp,
    /// Input and output together; null: not limited.
    token_limit: Option<i64>,
    enforcement: Enforcement,
    current_tokens: Total,
    remaining_tokens: Option<Total>,
    token_utilization_pct: Option<Total>,
    /// Of `per_…`: which one uses it most; null where nothing was spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_target: Option<Option<TopTarget>>,
    /// What a claim sets aside, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_millicents: Option<i64>,
    /// What stories that are held have set aside and not used yet, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_millicents: Option<Total>,
}

/// What uses a budget most.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TopTarget {
    #[serde(rename = "type")]
    target_type: TargetType,
    id: Uuid,
}

/// What each of a project is: None of a budget of one alone.
fn each(scope_type: ScopeType) -> Option<TargetType> {
    match scope_type {
        ScopeType::PerStory => Some(TargetType::Story),
        ScopeType::PerEpic => Some(TargetType::Epic),
        ScopeType::PerAgent => Some(TargetType::Agent),
        ScopeType::Story | ScopeType::Epic | ScopeType::Agent | ScopeType::Project => None,
    }
}

impl SpentBudget {
    /// As it is told.
    pub(super) fn told(self) -> TokenBudget {
        let Self { budget, target_id, cost_millicents, tokens, reserved } = self;
        let BudgetRow { terms, tenant_id, metadata, inserted_at, updated_at } = budget;
        let left = |limit: Option<i64>, spent: Total| {
            limit.map(|limit| (Total::from(limit) - spent).max(Total::default()))
        };
        let percent = |limit: Option<i64>, spent: Total| spent.percent_of(limit?.into());
        let remaining_millicents = left(terms.budget_millicents, cost_millicents);
        let top_target =
            each(terms.scope_type).map(|target_type| target_id.map(|id| TopTarget { target_type, id }));
        TokenBudget {
            id: terms.id,
            tenant_id,
            scope_type: terms.scope_type,
            scope_id: terms.scope_id,
            budget_millicents: terms.budget_millicents,
            budget_dollars: terms.budget_millicents.map(|limit| Total::from(limit).dollars()),
            budget_input_tokens: terms.budget_input_tokens,
            budget_output_tokens: terms.budget_output_tokens,
            alert_threshold_pct: terms.alert_threshold_pct,
            current_spend_millicents: cost_millicents,
            current_spend_dollars: cost_millicents.dollars(),
            remaining_millicents,
            remaining_dollars: remaining_millicents.map(Total::dollars),
            utilization_pct: percent(terms.budget_millicents, cost_millicents),
            metadata,
            inserted_at,
            updated_at,
            token_limit: terms.token_limit,
            enforcement: terms.enforcement,
            current_tokens: tokens,
            remaining_tokens: left(terms.token_limit, tokens),
            token_utilization_pct: percent(terms.token_limit, tokens),
            top_target,
            reserve_millicents: terms.reserve_millicents,
            reserved_millicents: terms.reserve_millicents.map(|_| reserved),
        }
    }
}

/// Where the scope of a budget is.
#[derive(Row)]
pub(super) struct Scope {
    pub(super) project_id: Option<Uuid>,
}

/// How much a budget says that something may cost.
#[derive(Row)]
pub(super) struct Amount {
    #[row(sql = "b.scope_type")]
    pub(super) scope_type: ScopeType,
    #[row(sql = "b.budget_millicents")]
    pub(super) millicents: i64,
}

/// Joins what was spent to budgets of the alias `b`. What is said of one story, epic or agent is said instead of what is said of each.
macro_rules! joining_spent {
    () => {
        "
        left join lateral (
            select t.target_id, t.input_tokens, t.output_tokens, t.cost_millicents
            from (
                select b.scope_id as target_id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                       sum(cost_millicents) as cost_millicents
                from usage_by_day where b.scope_type = 'story' and tenant_id = b.tenant_id and story_id = b.scope_id
                having count(*) > 0
                union all
                select b.scope_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents)
                from usage_by_agent where b.scope_type = 'epic' and tenant_id = b.tenant_id and epic_id = b.scope_id
                having count(*) > 0
                union all
                select b.scope_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents)
                from usage_by_agent where b.scope_type = 'project' and tenant_id = b.tenant_id and project_id = b.scope_id
                having count(*) > 0
                union all
                select b.scope_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents)
                from usage_by_agent where b.scope_type = 'agent' and tenant_id = b.tenant_id and agent_id = b.scope_id
                having count(*) > 0
                union all
                select story_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents)
                from usage_by_day where b.scope_type = 'per_story' and tenant_id = b.tenant_id and project_id = b.scope_id
                group by story_id
                union all
                select epic_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents)
                from usage_by_agent where b.scope_type = 'per_epic' and tenant_id = b.tenant_id and project_id = b.scope_id
                group by epic_id
                union all
                select agent_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents)
                from usage_by_agent where b.scope_type = 'per_agent' and tenant_id = b.tenant_id and project_id = b.scope_id
                group by agent_id
            ) t
            where b.scope_type not like 'per\\_%' or not exists (
                select from token_budgets o
                where o.tenant_id = b.tenant_id and o.scope_type = substr(b.scope_type, 5) and o.scope_id = t.target_id)
            order by greatest(t.cost_millicents / b.budget_millicents, (t.input_tokens + t.output_tokens) / b.token_limit,
                              t.input_tokens / nullif(b.budget_input_tokens, 0),
                              t.output_tokens / nullif(b.budget_output_tokens, 0)) desc, t.target_id
            limit 1
        ) used on true "
    };
}

statements! {
    KEEP_STORY_OF_BUDGET -> Scope = "select {*} from stories where tenant_id = $1 and id = $2 for key share";
    KEEP_EPIC_OF_BUDGET -> Scope = "select {*} from epics where tenant_id = $1 and id = $2 for key share";
    KEEP_PROJECT_OF_BUDGET -> Uuid = "select id from projects where tenant_id = $1 and id = $2 for key share";
    /// Agents stay.
    FIND_AGENT_OF_BUDGET -> Uuid = "select id from agents where tenant_id = $1 and id = $2";
    /// Of a budget that is there, without a lock: budgets come after stories and epics.
    PROJECT_OF_SCOPE -> Uuid = "
        select project_id from stories where $2::text = 'story' and tenant_id = $1 and id = $3::uuid
        union all
        select project_id from epics where $2 = 'epic' and tenant_id = $1 and id = $3
        union all
        select id from projects where $2 not in ('story', 'epic', 'agent') and tenant_id = $1 and id = $3";
    /// Whether a blocking budget of each story, epic or agent would no longer be of this one. Agents work in all projects.
    BLOCKING_TEMPLATE -> bool = "
        select exists (
            select from token_budgets
            where tenant_id = $1 and scope_type = 'per_' || $2::text and enforcement = 'block'
              and ($3::uuid is null or scope_id = $3))";
    INSERT_BUDGET -> SpentBudget = concat!("
        with b as (
            insert into token_budgets (tenant_id, id, scope_type, scope_id, budget_millicents, token_limit, budget_input_tokens,
                                       budget_output_tokens, alert_threshold_pct, enforcement, reserve_millicents, metadata)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            returning *
        )
        select {*} from b", joining_spent!());
    LIST_BUDGETS -> list of SpentBudget = {
        within: "",
        count: "
            count(*) from token_budgets b
            where b.tenant_id = $1 and ($2::text is null or b.scope_type = $2) and ($3::uuid is null or b.scope_id = $3)",
        from: "(
            select * from token_budgets b
            where b.tenant_id = $1 and ($2::text is null or b.scope_type = $2) and ($3::uuid is null or b.scope_id = $3)
            order by b.inserted_at desc, b.id desc limit $4 offset $5) b",
        page: concat!(joining_spent!(), "order by b.inserted_at desc, b.id desc"),
    };
    SHOW_BUDGET -> SpentBudget = concat!(
        "select {*} from token_budgets b", joining_spent!(), "where b.tenant_id = $1 and b.id = $2"
    );
    LOCK_BUDGET -> BudgetRow = "
        select {*} from token_budgets b where b.tenant_id = $1 and b.id = $2 for no key update";
    UPDATE_BUDGET -> SpentBudget = concat!("
        with b as (
            update token_budgets
            set budget_millicents = $3, token_limit = $4, budget_input_tokens = $5, budget_output_tokens = $6,
                alert_threshold_pct = $7, enforcement = $8, reserve_millicents = $9, metadata = $10,
                updated_at = clock_timestamp()
            where tenant_id = $1 and id = $2
            returning *
        )
        select {*} from b", joining_spent!());
    /// What was told of it can be told again.
    FORGET_ALERTS = "delete from token_budget_alerts where tenant_id = $1 and budget_id = $2";
    /// What was told of the same by budgets of each, and by the tenant's default, which this one takes the place of: when it goes,
    /// they can tell it again. `$3` is a project, of all stories of which it takes the default's place.
    FORGET_REPLACED = "
        delete from token_budget_alerts
        where tenant_id = $1 and (
            target_type = $2::text and target_id = $3::uuid and budget_id is distinct from $4::uuid
            or $2 = 'per_story' and budget_id is null
               and target_id in (select id from stories where tenant_id = $1 and project_id = $3))";
    DELETE_BUDGET -> BudgetRow = "delete from token_budgets b where b.tenant_id = $1 and b.id = $2 returning {*}";
    /// What budgets say of the cost of one thing, which is there: its own, and those of what it is in.
    AMOUNTS -> Amount = "
        select {*} from (
            select $2::text as scope_type, $3::uuid as scope_id
            union all
            select k.* from stories s
            cross join lateral (values ('per_story', s.project_id), ('epic', s.epic_id), ('project', s.project_id)) k
            where $2 = 'story' and s.tenant_id = $1 and s.id = $3
            union all
            select k.* from epics e
            cross join lateral (values ('per_epic', e.project_id), ('project', e.project_id)) k
            where $2 = 'epic' and e.tenant_id = $1 and e.id = $3
        ) k
        join token_budgets b on b.tenant_id = $1 and b.scope_type = k.scope_type and b.scope_id = k.scope_id
        where b.budget_millicents is not null";
    /// The tenant's default, for what is there.
    DEFAULT_AMOUNT -> Option<i64> = "
        select default_story_budget_millicents from tenants
        where id = $1 and case $2::text
            when 'story' then exists (select from stories where tenant_id = $1 and id = $3::uuid)
            when 'epic' then exists (select from epics where tenant_id = $1 and id = $3)
            when 'project' then exists (select from projects where tenant_id = $1 and id = $3)
            else false end";
}
