//! Looks for records that ought not to be there: that a restored backup, or somebody with access to the database, has left behind, or
//! that nobody has cleared away. What it finds waits for a superadmin (`/admin/violators`).

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::OperatorError;
use crate::db::migrate::connect;
use crate::db::{DbError, Login, Timestamp};

/// How many violations are told.
const TOLD: i64 = 100;

/// Notes what is found and not pending already. What a superadmin ignores stays ignored; what was resolved and is there again is found
/// again. A key without an agent has a day: each agent begins with one, and registers with it.
const SCAN: &str = "
    with found as (
        select tenant_id, 'nil_agent_non_user_key' as violation_type, 'api_key' as entity_type, id as entity_id,
               jsonb_build_object('name', name, 'role', role, 'inserted_at', inserted_at) as detail
        from api_keys
        where role in ('agent', 'orchestrator') and agent_id is null and revoked_at is null
          and (expires_at is null or expires_at > now()) and inserted_at < now() - interval '1 day'
        union all
        select k.tenant_id, 'orphaned_agent_ref', 'api_key', k.id,
               jsonb_build_object('name', k.name, 'role', k.role, 'agent_id', k.agent_id)
        from api_keys k
        where k.agent_id is not null and k.revoked_at is null
          and not exists (select from agents a where a.tenant_id = k.tenant_id and a.id = k.agent_id)
        union all
        select s.tenant_id, 'unreviewed_reported_done', 'story', s.id,
               jsonb_build_object('number', (select number from stories t where t.tenant_id = s.tenant_id and t.id = s.id),
                                  'report_number', s.report_number)
        from story_states s
        where s.agent_status = 'reported_done' and s.verified_status = 'verified' and s.verification_source = 'loop'
          and not exists (select from review_records r
                          where r.tenant_id = s.tenant_id and r.story_id = s.id and r.report_number = s.report_number)
    )
    insert into audit_pending_violations (tenant_id, id, violation_type, entity_type, entity_id, detail)
    select f.tenant_id, gen_random_uuid(), f.violation_type, f.entity_type, f.entity_id, f.detail
    from found f
    where ($1::uuid is null or f.tenant_id = $1)
      and not exists (
          select from audit_pending_violations v
          where (v.tenant_id, v.violation_type, v.entity_type, v.entity_id)
                = (f.tenant_id, f.violation_type, f.entity_type, f.entity_id) and v.status in ('pending', 'ignored'))
    on conflict do nothing";

const PENDING: &str = "
    select tenant_id, id, violation_type, entity_type, entity_id, discovered_at, detail, count(*) over () as pending
    from audit_pending_violations
    where status = 'pending' and ($1::uuid is null or tenant_id = $1)
    order by discovered_at desc, id desc limit $2";

/// What a scan has found, and what earlier ones have left.
#[derive(Debug, Serialize)]
pub struct Scan {
    /// How many violations were not known before.
    pub new: u64,
    /// How many wait for a superadmin.
    pub pending: i64,
    /// The newest 100 of them.
    pub violations: Vec<PendingViolation>,
}

/// A violation that waits for a superadmin.
#[derive(Debug, Serialize)]
pub struct PendingViolation {
    /// Its id.
    pub id: Uuid,
    /// Whose records it is among.
    pub tenant_id: Uuid,
    /// What kind it is of.
    pub violation_type: String,
    /// What kind of record it is about.
    pub entity_type: String,
    /// Which.
    pub entity_id: Uuid,
    /// When it was found first.
    pub discovered_at: Timestamp,
    /// What there is to know of it.
    pub detail: Value,
}

/// Looks for violations, of a tenant or of all. Running it again notes nothing twice.
///
/// # Errors
/// When the database fails.
pub async fn scan_violators(owner: &Login, tenant: Option<Uuid>) -> Result<Scan, OperatorError> {
    let client = connect(owner).await?;
    let new = client.execute(SCAN, &[&tenant]).await.map_err(DbError::from)?;
    let rows = client.query(PENDING, &[&tenant, &TOLD]).await.map_err(DbError::from)?;
    let mut scan = Scan { new, pending: 0, violations: Vec::new() };
    for row in rows {
        let read = || -> Result<_, tokio_postgres::Error> {
            let violation = PendingViolation {
                id: row.try_get("id")?,
                tenant_id: row.try_get("tenant_id")?,
                violation_type: row.try_get("violation_type")?,
                entity_type: row.try_get("entity_type")?,
                entity_id: row.try_get("entity_id")?,
                discovered_at: row.try_get("discovered_at")?,
                detail: row.try_get("detail")?,
            };
            Ok((row.try_get("pending")?, violation))
        };
        let (pending, violation) = read().map_err(DbError::from)?;
        scan.pending = pending;
        scan.violations.push(violation);
    }
    Ok(scan)
}
