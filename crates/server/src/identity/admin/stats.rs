//! How much of everything there is.

use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::Admin;
use crate::db::{Row, statements};
use crate::http::{ApiError, ApiResult, one};

statements! {
    /// `$1` is nobody.
    COUNT_EVERYTHING -> Stats = "
        select {*}
        from (select count(*) as total_tenants, count(*) filter (where status = 'active') as tenants_active,
                     count(*) filter (where status = 'suspended') as tenants_suspended,
                     count(*) filter (where status = 'deactivated') as tenants_deactivated,
                     count(*) filter (where status = 'pending_enrollment') as tenants_pending_enrollment
              from tenants where $1::uuid is not null) t,
             (select count(*) as total_stories, count(*) filter (where agent_status = 'pending') as pending,
                     count(*) filter (where agent_status = 'contracted') as contracted,
                     count(*) filter (where agent_status = 'assigned') as assigned,
                     count(*) filter (where agent_status = 'implementing') as implementing,
                     count(*) filter (where agent_status = 'reported_done') as reported_done,
                     count(*) filter (where verified_status = 'unverified') as unverified,
                     count(*) filter (where verified_status = 'verified') as verified,
                     count(*) filter (where verified_status = 'rejected') as rejected
              from story_states) s,
             (select count(*) as total_agents,
                     count(*) filter (where status = 'active' and last_seen_at > now() - interval '24 hours') as active_agents
              from agents) a,
             (select count(*) as total_projects from projects) p,
             (select count(*) as total_epics from epic_states) e,
             (select count(*) as total_api_keys from api_keys where revoked_at is null) k";
}

/// Over all tenants.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Stats {
    total_tenants: i64,
    tenants_active: i64,
    tenants_suspended: i64,
    tenants_deactivated: i64,
    tenants_pending_enrollment: i64,
    /// Archived ones as well.
    total_projects: i64,
    total_epics: i64,
    total_stories: i64,
    total_agents: i64,
    /// Those that are not revoked, superadmins' as well.
    total_api_keys: i64,
    #[row(flatten)]
    stories_by_agent_status: ByAgentStatus,
    #[row(flatten)]
    stories_by_verified_status: ByVerifiedStatus,
    /// Those that are being implemented.
    #[row(sql = "implementing")]
    active_stories: i64,
    /// Those that were seen within a day.
    active_agents: i64,
}

#[derive(Debug, Serialize, JsonSchema, Row)]
struct ByAgentStatus {
    pending: i64,
    contracted: i64,
    assigned: i64,
    implementing: i64,
    reported_done: i64,
}

#[derive(Debug, Serialize, JsonSchema, Row)]
struct ByVerifiedStatus {
    unverified: i64,
    verified: i64,
    rejected: i64,
}

one! { pub(super) StatsResponse { stats: Stats } }

pub(super) async fn show(admin: Admin) -> ApiResult<Json<StatsResponse>> {
    admin.app.key_uses.write_now(&admin.app.db).await;
    let counted = admin.read(Uuid::nil(), COUNT_EVERYTHING.with(&[])).await?;
    let stats = counted.into_iter().next().ok_or_else(ApiError::internal)?;
    Ok(Json(StatsResponse { stats }))
}
