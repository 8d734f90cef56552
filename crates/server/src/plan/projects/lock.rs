//! The project's lock: whatever changes the shape of its plan (epics and stories that come and go, dependencies,
//! imports) takes turns. Claims and reports do not wait for it.

use loopctl_core::code::Code;
use loopctl_core::json::{JsonText, scalar};
use uuid::Uuid;

use crate::app::Change;
use crate::db::{Row, Sql, statements};
use crate::http::{ApiError, ApiResult};

statements! {
    LOCK_PROJECT -> Uuid = "select id from projects where tenant_id = $1 and id = $2 for no key update";
    /// A statement of its own after the lock: that one sees other tables as they were before it waited.
    SETTINGS_UNDER_LOCK -> LockedProject = "select {*} from tenants where id = $1";
}

/// A project that this transaction has locked.
#[derive(Row)]
pub(crate) struct LockedProject {
    /// Its tenant's.
    settings: JsonText,
}

/// Locks a project.
///
/// # Errors
/// 404 for an unknown one.
pub(crate) async fn lock_project(change: &mut Change<'_>, project_id: Uuid) -> ApiResult<LockedProject> {
    change.take_turn(project_id)?;
    let (locked, settings) =
        change.batch((LOCK_PROJECT.with(&[&project_id]), SETTINGS_UNDER_LOCK.with(&[]))).await?;
    locked.first().and(settings.into_iter().next()).ok_or_else(ApiError::not_found)
}

/// Locks the project of a record, which `lookup` finds by its id. The record itself may be gone when the lock is
/// there: what is done with it has to look again.
///
/// # Errors
/// 404 for an unknown record.
pub(crate) async fn lock_project_of(
    change: &mut Change<'_>,
    lookup: Sql<Uuid>,
    id: Uuid,
) -> ApiResult<(Uuid, LockedProject)> {
    let project_id = change.found(lookup, &[&id]).await?;
    Ok((project_id, lock_project(change, project_id).await?))
}

impl LockedProject {
    /// How many stories the tenant lets a project have. What is no number sets no limit.
    fn max_stories(&self) -> Option<u64> {
        scalar(self.settings.object()?.get("max_stories_per_project")?).as_u64()
    }

    /// Whether the tenant has set a limit of stories per project.
    pub(crate) fn has_story_limit(&self) -> bool {
        self.max_stories().is_some()
    }

    /// Whether the project may have so many stories.
    ///
    /// # Errors
    /// 422 above the limit.
    pub(crate) fn admits(&self, stories: u64) -> ApiResult<()> {
        if self.max_stories().is_some_and(|limit| stories > limit) {
            return Err(ApiError::unprocessable(
                Code::StoryLimitReached,
                "Story limit reached for this project",
            ));
        }
        Ok(())
    }
}
