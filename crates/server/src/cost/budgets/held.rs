//! Budgets that a transaction holds while something is spent of them, or set aside: the rules of `loopctl_core::cost::budgets`, with
//! what the database knows.
//!
//! The story is held before, and budgets in the order of their scopes. So of two reports at once the second one sees what the first
//! has spent, and none passes a limit unseen.

use loopctl_core::cost::Total;
use loopctl_core::cost::budgets::{Account, Accounts, Moved, Place, Reservation, Spent};
use uuid::Uuid;

use super::refusals::{Blocked, exhausted};
use super::store::BudgetTerms;
use crate::db::{DbError, Params, Row, Tx, column, statements};
use crate::http::ApiError;

/// What is known of the nth account that was asked for.
#[derive(Row)]
pub(crate) struct KnownAccount {
    nth: i64,
    #[row(sql = "coalesce(used.cost_millicents, 0)")]
    cost_millicents: Total,
    #[row(sql = "coalesce(used.input_tokens, 0)")]
    input_tokens: Total,
    #[row(sql = "coalesce(used.output_tokens, 0)")]
    output_tokens: Total,
    #[row(sql = "(select coalesce(sum(r.millicents), 0) from budget_reservations r
                  where r.tenant_id = $1 and r.budget_id = asked.budget_id and r.target_id = asked.target_id)")]
    reserved: Total,
    #[row(sql = "coalesce('warning' = any(told.levels), false)")]
    warned: bool,
    #[row(sql = "coalesce('exceeded' = any(told.levels), false)")]
    exceeded: bool,
}

statements! {
    /// Every budget that may have to do with what agents spend for stories, whose states are locked: each is looked up by itself, in
    /// the order of scopes, so that those who hold several never wait for each other in a circle.
    LOCK_BUDGETS -> BudgetTerms = "
        select {*} from (
            select distinct k.scope_type, k.scope_id
            from unnest((select $2::uuid[])) asked (id)
            join story_states s on s.tenant_id = $1 and s.id = asked.id
            cross join lateral (
                values ('story', s.id), ('epic', s.epic_id), ('project', s.project_id), ('agent', s.assigned_agent_id),
                       ('per_story', s.project_id), ('per_epic', s.project_id), ('per_agent', s.project_id)
                union all
                select 'agent', unnest((select $3::uuid[]))
            ) k (scope_type, scope_id)
            order by 1, 2
        ) k cross join lateral (
            select * from token_budgets b
            where b.tenant_id = $1 and b.scope_type = k.scope_type and b.scope_id = k.scope_id for no key update
        ) b";
    DEFAULT_STORY_BUDGET -> Option<i64> = "select default_story_budget_millicents from tenants where id = $1";
    /// Of budgets that are held.
    ACCOUNTS -> KnownAccount = "
        select {*}
        from unnest($2::text[], $3::uuid[], $4::uuid[], $5::uuid[]) with ordinality
            as asked (target_type, target_id, project_id, budget_id, nth)
        left join lateral (
            select sum(d.input_tokens) as input_tokens, sum(d.output_tokens) as output_tokens,
                   sum(d.cost_millicents) as cost_millicents
            from (
                select input_tokens, output_tokens, cost_millicents from usage_by_day
                where asked.target_type = 'story' and tenant_id = $1 and story_id = asked.target_id
                union all
                select input_tokens, output_tokens, cost_millicents from usage_by_agent
                where asked.target_type = 'epic' and tenant_id = $1 and epic_id = asked.target_id
                union all
                select input_tokens, output_tokens, cost_millicents from usage_by_agent
                where asked.target_type = 'project' and tenant_id = $1 and project_id = asked.target_id
                union all
                select input_tokens, output_tokens, cost_millicents from usage_by_agent
                where asked.target_type = 'agent' and tenant_id = $1 and agent_id = asked.target_id
                  and (asked.project_id is null or project_id = asked.project_id)
            ) d
        ) used on true
        left join lateral (
            select array_agg(a.level) as levels from token_budget_alerts a
            where a.tenant_id = $1 and a.target_id = asked.target_id and a.budget_id is not distinct from asked.budget_id
              and a.target_type = asked.target_type
        ) told on true";
    RESERVE = "
        insert into budget_reservations as r (tenant_id, story_id, budget_id, target_id, millicents, inserted_at)
        select $1, t.*, clock_timestamp() from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) t
        on conflict (tenant_id, story_id, budget_id)
        do update set target_id = excluded.target_id, millicents = excluded.millicents, inserted_at = excluded.inserted_at";
    /// What a story has used is not set aside any more, of budgets that it counts for: those of agents, only where they have used it.
    USE_RESERVATIONS = "
        update budget_reservations r set millicents = greatest(r.millicents - used.millicents, 0)
        from (
            select r.story_id, r.budget_id, sum(t.millicents) as millicents
            from unnest($2::uuid[], $3::uuid[], $4::bigint[]) t (story_id, agent_id, millicents)
            join budget_reservations r on r.tenant_id = $1 and r.story_id = t.story_id
            join token_budgets b on b.tenant_id = $1 and b.id = r.budget_id
            where b.scope_type not in ('agent', 'per_agent') or r.target_id = t.agent_id
            group by r.story_id, r.budget_id
        ) used
        where r.tenant_id = $1 and r.story_id = used.story_id and r.budget_id = used.budget_id";
    /// Nobody holds these stories any more.
    FREE_RESERVATIONS = "delete from budget_reservations where tenant_id = $1 and story_id = any($2)";
}

/// Budgets that are held, with what was spent of them.
#[derive(Default)]
pub(crate) struct Held(Accounts);

impl Held {
    /// Takes budgets that were locked and the tenant's default, and what is known of them. `spending`: the stories for which these
    /// agents are about to spend.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn of(
        tx: &mut Tx,
        budgets: Vec<BudgetTerms>,
        default: Vec<Option<i64>>,
        spending: &[(Place, Vec<Uuid>)],
    ) -> Result<Self, DbError> {
        let mut accounts = Accounts::new(
            budgets.iter().map(BudgetTerms::budget).collect(),
            default.into_iter().flatten().next(),
        );
        let keys = accounts.wanted(spending);
        if keys.is_empty() {
            return Ok(Self(accounts));
        }
        let params: Params<'_> = &[
            &column(&keys, |key| key.target.target_type.as_str()),
            &column(&keys, |key| key.target.id),
            &column(&keys, |key| key.within),
            &column(&keys, |key| key.budget_id),
        ];
        let known = tx.all(ACCOUNTS, params).await?;
        accounts.open(known.into_iter().filter_map(|known| {
            let key = keys.get(usize::try_from(known.nth - 1).ok()?)?;
            let KnownAccount {
                cost_millicents, input_tokens, output_tokens, reserved, warned, exceeded, ..
            } = known;
            let spent = Spent { cost: cost_millicents, input_tokens, output_tokens };
            Some((*key, Account { spent, reserved, warned, exceeded }))
        }));
        Ok(Self(accounts))
    }

    /// Whether a story may be reported as done by somebody who says to have spent something along with it.
    ///
    /// # Errors
    /// 429 with what is to be recorded of it: see [`Accounts::admit_report`].
    pub(crate) fn admit_report(
        &self,
        place: &Place,
        agent_id: Option<Uuid>,
        assigned: Option<Uuid>,
        spent: Spent,
    ) -> Result<(), Box<Blocked>> {
        let admitted = self.0.admit_report(place, agent_id, assigned, spent);
        admitted.map_err(|overrun| Box::new(Blocked::of(&overrun, place)))
    }

    /// Whether any budget is held.
    pub(crate) fn has_budgets(&self) -> bool {
        self.0.has_budgets()
    }

    /// Spends, and yields what is to be written and told of the levels that were reached or left by it.
    pub(crate) fn spend(&mut self, place: &Place, agent_id: Uuid, spent: Spent) -> Moved {
        self.0.spend(place, agent_id, spent)
    }

    /// What a claim sets aside.
    ///
    /// # Errors
    /// 409: see [`Accounts::reserve`].
    pub(crate) fn reserve(
        &mut self,
        place: &Place,
        agent_id: Option<Uuid>,
    ) -> Result<Vec<Reservation>, ApiError> {
        self.0.reserve(place, agent_id).map_err(|overdrawn| exhausted(&overdrawn))
    }
}

/// What a claim of a story has set aside.
pub(crate) struct SetAside {
    pub(crate) story_id: Uuid,
    pub(crate) reservation: Reservation,
}

/// Writes what claims have set aside.
///
/// # Errors
/// When the database fails.
pub(crate) async fn set_aside(tx: &mut Tx, all: &[SetAside]) -> Result<(), DbError> {
    if all.is_empty() {
        return Ok(());
    }
    let params: Params<'_> = &[
        &column(all, |one| one.story_id),
        &column(all, |one| one.reservation.budget_id),
        &column(all, |one| one.reservation.target.id),
        &column(all, |one| one.reservation.millicents),
    ];
    tx.execute(RESERVE, params).await
}
