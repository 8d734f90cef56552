//! The log: entries of a tenant are numbered without a gap up to its head, and each is what its hash says.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use loopctl_core::json::JsonText;
use serde_json::json;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::{Check, Difference, note_all};
use crate::db::{AsJson, DbError};
use crate::events::{Recorded, leaf_hash_of};

/// After how many entries more is told how it goes.
const STEP: i64 = 10_000;

/// One entry after the other, as the index has them: neither here nor in the database is there ever more than a few of them. Whether
/// something before an entry may be gone: what is older than the oldest month may have been dropped.
const ENTRIES: &str = "
    select l.tenant_id, l.id, l.position, l.project_id, l.entity_type, l.entity_id, l.action, l.actor_type, l.actor_id,
           l.actor_label, l.old_state, l.new_state, l.metadata, l.leaf_hash,
           l.inserted_at < f.floor as is_old, coalesce(t.inserted_at >= f.floor, false) as from_the_first
    from audit_log l
    cross join (select coalesce(audit_log_floor(), '-infinity') as floor) f
    left join tenants t on t.id = l.tenant_id
    where $1::uuid is null or l.tenant_id = $1
    order by l.tenant_id, l.inserted_at";

/// Where each tenant's log goes on from, and what its last entry is. The entries of a tenant that has been quiet for long may all have been
/// dropped.
const HEADS: &str = "
    with last as (
        select tenant_id, max(position) as position, max(inserted_at) as last_at from audit_log
        where $2::uuid is null or tenant_id = $2 group by 1
    ), heads as (
        select h.*, exists (select from webhooks w where w.tenant_id = h.tenant_id) as webhooks
        from audit_heads h where $2::uuid is null or h.tenant_id = $2
    )
    select tenant_id, tenant_id as id,
           case when h.position is not null then jsonb_build_object(
               'position', h.position, 'last_at', h.last_at, 'has_webhooks', h.has_webhooks)::text end as kept,
           jsonb_build_object(
               'position', coalesce(l.position, 0), 'last_at', coalesce(l.last_at, '-infinity'),
               'has_webhooks', coalesce(h.webhooks, false) or coalesce(h.has_webhooks, false))::text as found,
           count(*) over () as different
    from heads h full join last l using (tenant_id)
    where (l.position is null and h.position > 0 and h.last_at >= coalesce(audit_log_floor(), '-infinity'))
       or (l.position is not null and (h.position, h.last_at) is distinct from (l.position, l.last_at))
       or (h.webhooks and not h.has_webhooks)
    order by 1 limit $1";

/// An entry as it is kept.
struct Entry {
    tenant_id: Uuid,
    id: Uuid,
    position: i64,
    /// It is older than the months that are kept.
    is_old: bool,
    /// Its tenant is not older than those: all that was ever recorded of it is there.
    from_the_first: bool,
    kept_hash: Vec<u8>,
    hash: Option<[u8; 32]>,
}

impl Entry {
    fn read(row: &Row) -> Result<Self, DbError> {
        let state = |name| -> Result<Option<JsonText>, tokio_postgres::Error> {
            Ok(row.try_get::<_, Option<AsJson<JsonText>>>(name)?.map(|AsJson(text)| text))
        };
        let (old_state, new_state, AsJson(metadata)) =
            (state("old_state")?, state("new_state")?, row.try_get::<_, AsJson<JsonText>>("metadata")?);
        let hash = leaf_hash_of(&Recorded {
            action: row.try_get("action")?,
            actor_id: row.try_get("actor_id")?,
            actor_label: row.try_get("actor_label")?,
            actor_type: row.try_get("actor_type")?,
            entity_id: row.try_get("entity_id")?,
            entity_type: row.try_get("entity_type")?,
            metadata: &metadata,
            new_state: new_state.as_ref(),
            old_state: old_state.as_ref(),
            project_id: row.try_get("project_id")?,
        });
        Ok(Self {
            tenant_id: row.try_get("tenant_id")?,
            id: row.try_get("id")?,
            position: row.try_get("position")?,
            is_old: row.try_get("is_old")?,
            from_the_first: row.try_get("from_the_first")?,
            kept_hash: row.try_get("leaf_hash")?,
            hash,
        })
    }
}

/// The place of an entry: whose it is, where it stands, and whether what came after it may have been dropped.
#[derive(Clone, Copy)]
struct Place {
    tenant_id: Uuid,
    position: i64,
    is_old: bool,
}

/// Where an entry ought to stand after the one before it; None: wherever it does.
fn expected(before: Option<Place>, tenant_id: Uuid, from_the_first: bool) -> Option<i64> {
    match before.filter(|before| before.tenant_id == tenant_id) {
        // Entries without a month of their own stay when those after them are dropped.
        Some(before) => (!before.is_old).then_some(before.position + 1),
        None => from_the_first.then_some(1),
    }
}

/// Looks through the log, entry by entry, and at its heads.
pub(super) async fn compare(
    seen: &Transaction<'_>,
    tenant: Option<Uuid>,
    check: &mut Check,
    mut progress: impl FnMut(&Check),
) -> Result<(), DbError> {
    let parameters: [&(dyn ToSql + Sync); 1] = [&tenant];
    let mut entries = pin!(seen.query_raw(ENTRIES, parameters).await?);
    let mut before = None;
    while let Some(row) = entries.try_next().await? {
        let entry = Entry::read(&row)?;
        let Entry { tenant_id, id, position, is_old, from_the_first, .. } = entry;
        let differs = |kept: serde_json::Value, found: serde_json::Value| Difference {
            entity: "log_entry".to_owned(),
            tenant_id,
            id,
            kept: Some(kept.to_string()),
            found: found.to_string(),
        };
        if let Some(expected) = expected(before, tenant_id, from_the_first).filter(|place| *place != position)
        {
            check.note(differs(json!({"position": position}), json!({"position": expected})));
        }
        if entry.hash.is_none_or(|hash| entry.kept_hash != hash) {
            let of = |hash: Option<&[u8]>| json!({"position": position, "leaf_hash": hash.map(hex::encode)});
            let found = entry.hash.as_ref().map(<[u8; 32]>::as_slice);
            check.note(differs(of(Some(&entry.kept_hash)), of(found)));
        }
        before = Some(Place { tenant_id, position, is_old });
        check.log_entries += 1;
        if check.log_entries % STEP == 0 {
            progress(check);
        }
    }
    note_all(seen, "log_head", HEADS, tenant, check).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    #[test]
    fn an_entry_follows_the_one_before_it_unless_some_may_have_been_dropped() {
        let after = |tenant_id, position, is_old| Some(Place { tenant_id, position, is_old });
        for (before, from_the_first, place) in [
            (None, true, Some(1)),
            (None, false, None),
            (after(TWO, 7, false), true, Some(1)),
            (after(TWO, 7, false), false, None),
            (after(ONE, 7, false), true, Some(8)),
            (after(ONE, 7, false), false, Some(8)),
            (after(ONE, 7, true), false, None),
        ] {
            assert_eq!(expected(before, ONE, from_the_first), place);
        }
    }
}
