//! What was delivered is forgotten after a while.

use uuid::Uuid;

use super::store::{CLEAN_UP, Keeping, SETTINGS_OF_RETENTION};
use crate::db::{Db, DbError};
use crate::identity::tenants::WEBHOOK_RETENTION_DAYS;

/// The longest that a tenant may keep deliveries.
const LONGEST: i64 = 36_500;

/// Deletes what the tenant no longer keeps of its deliveries, batch by batch; how many that were. What is pending stays.
///
/// # Errors
/// When the database fails; the batches before stay deleted.
pub(crate) async fn cleanup(db: &Db, tenant_id: Uuid) -> Result<u64, DbError> {
    let tenant = db.read(tenant_id, SETTINGS_OF_RETENTION.with(&[])).await?;
    let Some(Keeping { settings }) = tenant.first() else { return Ok(0) };
    let days = WEBHOOK_RETENTION_DAYS.of(settings).clamp(1, LONGEST) as i32;
    let mut deleted = 0;
    loop {
        let params = [&days as _];
        let count = db.write(tenant_id, CLEAN_UP.with(&params)).await?;
        let count: i64 = count.first().copied().unwrap_or_default();
        deleted += count.unsigned_abs();
        if count == 0 {
            return Ok(deleted);
        }
    }
}
