//! The project's lock: whatever changes the shape of its plan (epics and stories that come and go, dependencies,
//! imports) takes turns. Claims and reports do not wait for it.

use serde_json::Value;
use uuid::Uuid;

use crate::db::{Tx, statements};
use crate::http::{ApiError, ApiResult};

statements! {
    LOCK_PROJECT = "
        select t.settings from projects p join tenants t on t.id = p.tenant_id
        where p.tenant_id = $1 and p.id = $2 for no key update of p";
}

/// A project that this transaction has locked.
pub(crate) struct LockedProject {
    max_stories: Option<u64>,
}

/// Locks a project.
///
/// # Errors
/// 404 for an unknown one.
pub(crate) async fn lock_project(tx: &mut Tx, tenant_id: Uuid, project_id: Uuid) -> ApiResult<LockedProject> {
    let row =
        tx.query_opt(LOCK_PROJECT, &[&tenant_id, &project_id]).await?.ok_or_else(ApiError::not_found)?;
    let settings: Value = row.try_get("settings")?;
    Ok(LockedProject { max_stories: settings.get("max_stories_per_project").and_then(Value::as_u64) })
}

/// Locks the project of a record, which `lookup` finds as `project_id` by tenant and id. The record itself may be gone
/// when the lock is there: what is done with it has to look again.
///
/// # Errors
/// 404 for an unknown record.
pub(crate) async fn lock_project_of(
    tx: &mut Tx,
    lookup: &'static str,
    tenant_id: Uuid,
    id: Uuid,
) -> ApiResult<(Uuid, LockedProject)> {
    let record = tx.query_opt(lookup, &[&tenant_id, &id]).await?.ok_or_else(ApiError::not_found)?;
    let project_id = record.try_get("project_id")?;
    Ok((project_id, lock_project(tx, tenant_id, project_id).await?))
}

impl LockedProject {
    /// Whether the tenant has set a limit of stories per project (decision 20).
    pub(crate) fn has_story_limit(&self) -> bool {
        self.max_stories.is_some()
    }

    /// Whether the project may have so many stories.
    ///
    /// # Errors
    /// 422 above the limit.
    pub(crate) fn admits(&self, stories: u64) -> ApiResult<()> {
        if self.max_stories.is_some_and(|limit| stories > limit) {
            return Err(ApiError::unprocessable(
                "story_limit_reached",
                "Story limit reached for this project",
            ));
        }
        Ok(())
    }
}
