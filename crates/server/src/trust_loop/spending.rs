//! What steps spend, and set aside: reports of stories with what was used for them, and claims. The budgets that have to do with it are
//! locked after the stories, and decide before anything of a step is written.

use loopctl_core::code::Code;
use loopctl_core::cost::budgets::Place;
use loopctl_core::lifecycle::Attempt;
use uuid::Uuid;

use super::evidence::Evidence;
use super::store::LockedStory;
use super::transition::Wanted;
use crate::app::{Change, Identity};
use crate::cost::budgets::{DEFAULT_STORY_BUDGET, Held, LOCK_BUDGETS, SetAside, set_aside};
use crate::cost::usage::{NewUsage, TokenUsage, write};
use crate::db::{DbError, Params, column};
use crate::events::Event;
use crate::http::{ApiError, ApiResult};
use crate::plan::stories::Story;

/// A step that a budget has blocked, and what is recorded of it once everything else of it was taken back.
pub(super) struct Blocked<'a> {
    pub(super) caller: &'a Identity,
    pub(super) story_id: Uuid,
    pub(super) event: Event,
}

/// What the steps of a transaction spend and set aside.
#[derive(Default)]
pub(super) struct Spending<'a> {
    held: Held,
    used: Vec<NewUsage>,
    set_aside: Vec<SetAside>,
    pub(super) blocked: Vec<Blocked<'a>>,
}

/// What comes along with a story that is marked complete and was before is not kept: it may be sent a second time.
pub(super) fn nothing_left_to_do() -> ApiError {
    let why = "Conflict: the story is verified already, and its token_usage was not recorded: report it with POST /api/v1/token-usage";
    ApiError::conflict(Code::AlreadyVerified, why)
}

/// Whether budgets have a say, and whether something is spent.
fn of_budgets(wanted: &Wanted) -> (bool, bool) {
    match (&wanted.attempt, &wanted.evidence) {
        (Attempt::Report, Evidence::Report(sent)) => (true, sent.anyway().token_usage.is_some()),
        (Attempt::MarkComplete, Evidence::Completion(sent)) => {
            let is_spending = sent.anyway().token_usage.is_some();
            (is_spending, is_spending)
        }
        (Attempt::Claim, _) => (true, false),
        _ => (false, false),
    }
}

fn place(story: &Story) -> Place {
    Place { story_id: story.id, epic_id: story.epic_id, project_id: story.project_id }
}

impl<'a> Spending<'a> {
    /// Locks the budgets that have to do with these steps of locked stories, and looks up what was spent of them.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn lock<'s>(
        &mut self,
        change: &mut Change<'_>,
        wanted: &[&Wanted],
        stories: impl Iterator<Item = &'s LockedStory> + Clone,
    ) -> Result<(), DbError> {
        let find = |wanted: &&Wanted| stories.clone().find(|story| story.story.id == wanted.story_id);
        let concerned: Vec<(&Wanted, &LockedStory)> = wanted
            .iter()
            .filter(|wanted| of_budgets(wanted).0)
            .filter_map(|wanted| Some((*wanted, find(wanted)?)))
            .collect();
        if concerned.is_empty() {
            return Ok(());
        }
        let ids = column(&concerned, |(_, story)| story.story.id);
        let agents: Vec<Uuid> = concerned.iter().filter_map(|(wanted, _)| wanted.caller.agent_id).collect();
        let locks: Params<'_> = &[&ids, &agents];
        let is_spending = concerned.iter().any(|(wanted, _)| of_budgets(wanted).1);
        let (budgets, default) = if is_spending {
            change.batch((LOCK_BUDGETS.with(locks), DEFAULT_STORY_BUDGET.with(&[]))).await?
        } else {
            (change.all(LOCK_BUDGETS, locks).await?, Vec::new())
        };
        let places: Vec<_> = concerned
            .iter()
            .map(|(wanted, LockedStory { story, .. })| {
                let assigned = story.facts().state.assigned_agent_id;
                (place(story), wanted.caller.agent_id.into_iter().chain(assigned).collect())
            })
            .collect();
        self.held = Held::of(change, budgets, default, &places).await?;
        Ok(())
    }

    /// Whether a story may be reported as done, with what was used for it.
    ///
    /// # Errors
    /// 422 for usage that names no skill of the tenant's, 429 for a budget that blocks; or when the database fails.
    pub(super) async fn admit_report(
        &mut self,
        change: &mut Change<'_>,
        caller: &'a Identity,
        story: &Story,
        usage: Option<&TokenUsage>,
    ) -> ApiResult<()> {
        if let Some(usage) = usage {
            usage.check_skill(change).await?;
        }
        let spent = usage.map(TokenUsage::spent).unwrap_or_default();
        let assigned = story.facts().state.assigned_agent_id;
        let admitted = self.held.admit_report(&place(story), caller.agent_id, assigned, spent);
        admitted.map_err(|blocked| {
            self.blocked.push(Blocked { caller, story_id: story.id, event: blocked.event });
            blocked.error
        })
    }

    /// Spends what was used for a story, and yields what is told of it.
    pub(super) fn spend(
        &mut self,
        caller: &Identity,
        story: &Story,
        usage: Option<&TokenUsage>,
    ) -> Vec<Event> {
        let Some((usage, agent_id)) = usage.zip(caller.agent_id) else { return Vec::new() };
        let used = NewUsage::spend(&mut self.held, place(story), agent_id, usage.clone());
        let events = used.events();
        self.used.push(used);
        events
    }

    /// Sets aside what budgets want for a story that is claimed.
    ///
    /// # Errors
    /// 409 for a budget that has not enough left.
    pub(super) fn set_aside(&mut self, caller: &Identity, story: &Story) -> ApiResult<()> {
        let reservations = self.held.reserve(&place(story), caller.agent_id)?;
        let story_id = story.id;
        self.set_aside.extend(reservations.into_iter().map(|reservation| SetAside { story_id, reservation }));
        Ok(())
    }

    /// Writes what was spent and set aside.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn save(&mut self, change: &mut Change<'_>) -> Result<(), DbError> {
        write(change, &self.held, &self.used).await?;
        set_aside(change, &self.set_aside).await
    }
}
