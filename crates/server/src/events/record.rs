//! The one writer of events.
//!
//! Every change hands its events to [`record`] as the last statement of its transaction. From that one record come the audit log,
//! story histories, the change feed, and what webhooks are to be told; the ledger will read the same rows (`leaf_hash`) and join
//! in here, without any change to the writers.

use std::collections::BTreeMap;

use loopctl_core::json::{JsonText, Transcoded};
use loopctl_core::ledger::leaf_hash;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::catalogue;
use super::notice::Notice;
use crate::db::{AsJson, DbError, Statement, Tx, column, statements};
use crate::metrics;

statements! {
    /// Takes the tenant's head row as the last lock of the transaction: positions are gap-free and timestamps
    /// strictly increasing in commit order, also when the clock goes backwards. Without a head row `position`
    /// is null, and the insert, and with it the whole transaction, fails. Yields whether webhooks are to be told of it.
    /// Whether the tenant has any is read from the head as it is when it is locked, not as it was when the statement began.
    RECORD -> bool = "
        with head as (
            update audit_heads
            set position = position + $2,
                last_at = greatest(clock_timestamp(), last_at + $2 * interval '1 microsecond')
            where tenant_id = $1
            returning position - $2 as position, last_at - $2 * interval '1 microsecond' as last_at, has_webhooks
        ), entries as (
        insert into audit_log (id, tenant_id, position, inserted_at, project_id, entity_type, entity_id, action,
                               actor_type, actor_id, actor_label, old_state, new_state, metadata, leaf_hash)
        select e.id, $1, head.position + e.nth,
               head.last_at + e.nth * interval '1 microsecond', e.project_id, e.entity_type, e.entity_id, e.action,
               e.actor_type, e.actor_id, e.actor_label, e.old_state, e.new_state, e.metadata, e.leaf_hash
        from unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::uuid[],
                    $10::text[], $11::jsonb[], $12::jsonb[], $13::jsonb[], $14::bytea[]) with ordinality
             as e (id, project_id, entity_type, entity_id, action, actor_type, actor_id, actor_label, old_state,
                   new_state, metadata, leaf_hash, nth)
             left join head on true
        )
        select queue_webhook_events($1, head.position, head.last_at, $4::uuid[], $15::bigint[], $16::text[], $17::text[],
                                    $18::uuid[], $19::uuid[])
        from head where head.has_webhooks and cardinality($15::bigint[]) > 0";
}

/// Something that happened, to be recorded with its change.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What kind of entity it concerns: `story`, `epic`, …
    pub entity_type: &'static str,
    /// The entity.
    pub entity_id: Uuid,
    /// What happened to it: `created`, `status_changed`, …
    pub action: &'static str,
    /// The project that the entity belongs to, if any.
    pub project_id: Option<Uuid>,
    /// The relevant fields before; None for creations.
    pub old_state: Option<JsonText>,
    /// The relevant fields after; None for deletions.
    pub new_state: Option<JsonText>,
    /// Facts about the event itself, such as `story_id` on rows of other entities that concern a story.
    pub metadata: Map<String, Value>,
    /// Whose doing it is, when it is not the caller's.
    pub by: Option<Attribution>,
    /// What webhooks are told of it, if they are.
    pub notice: Option<Notice>,
}

impl Event {
    /// An event with its new state.
    pub(crate) fn new(
        entity_type: &'static str,
        entity_id: Uuid,
        action: &'static str,
        new_state: impl Into<JsonText>,
    ) -> Self {
        Self {
            entity_type,
            entity_id,
            action,
            project_id: None,
            old_state: None,
            new_state: Some(new_state.into()),
            metadata: Map::new(),
            by: None,
            notice: None,
        }
    }

    /// As [`Self::new`], with numbers that no value of JSON in memory holds.
    pub(crate) fn of(
        entity_type: &'static str,
        entity_id: Uuid,
        action: &'static str,
        new_state: &impl Serialize,
    ) -> Self {
        Self::new(entity_type, entity_id, action, JsonText::of(new_state).unwrap_or_default())
    }

    /// A `deleted` event with the state before.
    pub(crate) fn deleted(
        entity_type: &'static str,
        entity_id: Uuid,
        old_state: impl Into<JsonText>,
    ) -> Self {
        let event = Self::new(entity_type, entity_id, "deleted", Value::Null);
        Self { new_state: None, ..event.old(old_state) }
    }

    /// An `updated` event with the fields that differ, and those that it always tells; none when nothing differs.
    pub(crate) fn updated(
        entity_type: &'static str,
        entity_id: Uuid,
        always: &[&str],
        fields: &[Field],
    ) -> Option<Self> {
        if !fields.iter().any(|field| field.differs) {
            return None;
        }
        let told = || fields.iter().filter(|field| field.differs || always.contains(&field.name));
        let state = |members: BTreeMap<_, _>| JsonText::of(&members).unwrap_or_default();
        let before = state(told().map(|field| (field.name, &field.old)).collect());
        let after = state(told().map(|field| (field.name, &field.new)).collect());
        Some(Self::new(entity_type, entity_id, "updated", after).old(before))
    }

    /// What it is in the catalogue.
    fn kind(&self) -> (&'static str, &'static str) {
        (self.entity_type, self.action)
    }

    /// Sets the state before.
    #[must_use]
    pub(crate) fn old(mut self, old_state: impl Into<JsonText>) -> Self {
        self.old_state = Some(old_state.into());
        self
    }

    /// Sets the project, if it has one.
    #[must_use]
    pub(crate) fn project(mut self, project_id: impl Into<Option<Uuid>>) -> Self {
        self.project_id = project_id.into();
        self
    }

    /// Says what webhooks are told.
    #[must_use]
    pub(crate) fn telling(mut self, notice: Notice) -> Self {
        self.notice = Some(notice);
        self
    }

    /// Adds a member to the metadata.
    #[must_use]
    pub(crate) fn meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }
}

/// A field before and after a change. Whether it differs is found out once: documents may be large.
pub(crate) struct Field {
    name: &'static str,
    old: JsonText,
    new: JsonText,
    differs: bool,
}

impl Field {
    /// A field with a value.
    pub(crate) fn value<T: PartialEq + Serialize>(name: &'static str, old: &T, new: &T) -> Self {
        let text = |value| JsonText::from(json!(value));
        Self { name, old: text(old), new: text(new), differs: old != new }
    }

    /// A field with a document, whose text is shared.
    pub(crate) fn document(name: &'static str, old: &JsonText, new: &JsonText) -> Self {
        Self { name, old: old.clone(), new: new.clone(), differs: old != new }
    }
}

/// Whose doing an event is.
#[derive(Debug, Clone)]
pub(crate) struct Attribution {
    /// `api_key`, `superadmin`, `system` or `human`.
    pub actor_type: &'static str,
    /// The API key.
    pub actor_id: Option<Uuid>,
    /// `<role>:<key name>` and the like.
    pub actor_label: String,
    /// Merged under each event's own metadata.
    pub metadata: Map<String, Value>,
}

impl Attribution {
    /// Background work and operator commands.
    pub(crate) fn system(what: &str) -> Self {
        Self {
            actor_type: "system",
            actor_id: None,
            actor_label: format!("system:{what}"),
            metadata: Map::new(),
        }
    }

    /// Background work on knowledge, by the name under which clients know it.
    pub(crate) fn worker(what: &str) -> Self {
        Self { actor_label: format!("worker:{what}"), ..Self::system(what) }
    }
}

/// An event as it is written.
struct Entry<'a> {
    id: Uuid,
    event: &'a Event,
    by: &'a Attribution,
    metadata: Map<String, Value>,
    leaf_hash: [u8; 32],
}

impl<'a> Entry<'a> {
    fn of(event: &'a Event, caller: &'a Attribution) -> Result<Self, DbError> {
        let Event { entity_type, action, .. } = event;
        if !catalogue::lists(entity_type, action) {
            return Err(DbError::Unexpected(format!("{entity_type}/{action} is in no catalogue of events")));
        }
        let by = event.by.as_ref().unwrap_or(caller);
        let mut metadata = by.metadata.clone();
        metadata.extend(event.metadata.clone());
        let content = Content {
            action: event.action,
            actor_id: by.actor_id,
            actor_label: Some(&by.actor_label),
            actor_type: by.actor_type,
            entity_id: event.entity_id,
            entity_type: event.entity_type,
            metadata: &metadata,
            new_state: event.new_state.as_ref().map(Transcoded),
            old_state: event.old_state.as_ref().map(Transcoded),
            project_id: event.project_id,
        };
        let leaf_hash = leaf_hash(&content)
            .map_err(|error| DbError::Unexpected(format!("an event has no canonical form: {error}")))?;
        Ok(Self { id: Uuid::now_v7(), event, by, metadata, leaf_hash })
    }
}

fn entries<'a>(events: &'a [Event], caller: &'a Attribution) -> Result<Vec<Entry<'a>>, DbError> {
    events.iter().map(|event| Entry::of(event, caller)).collect()
}

/// The parameters of `RECORD` after the tenant: the entries, and what webhooks are told of some of them.
fn columns<'a>(
    entries: &'a [Entry<'a>],
    told: &'a [(i64, &'a Notice)],
) -> [Box<dyn ToSql + Sync + Send + 'a>; 18] {
    [
        Box::new(entries.len() as i64),
        Box::new(column(entries, |entry| entry.id)),
        Box::new(column(entries, |entry| entry.event.project_id)),
        Box::new(column(entries, |entry| entry.event.entity_type)),
        Box::new(column(entries, |entry| entry.event.entity_id)),
        Box::new(column(entries, |entry| entry.event.action)),
        Box::new(column(entries, |entry| entry.by.actor_type)),
        Box::new(column(entries, |entry| entry.by.actor_id)),
        Box::new(column(entries, |entry| entry.by.actor_label.as_str())),
        Box::new(column(entries, |entry| entry.event.old_state.as_ref().map(AsJson))),
        Box::new(column(entries, |entry| entry.event.new_state.as_ref().map(AsJson))),
        Box::new(column(entries, |entry| AsJson(&entry.metadata))),
        Box::new(column(entries, |entry| entry.leaf_hash.as_slice())),
        Box::new(column(told, |(nth, _)| *nth)),
        Box::new(column(told, |(_, notice)| notice.event_type.as_str())),
        Box::new(column(told, |(_, notice)| notice.payload.as_str())),
        Box::new(column(told, |(_, notice)| notice.only.map(|(webhook_id, _)| webhook_id))),
        Box::new(column(told, |(_, notice)| notice.only.map(|(_, id)| id))),
    ]
}

/// What webhooks are told, each with its event's place, from 1.
fn told(events: &[Event]) -> Vec<(i64, &Notice)> {
    let told = events.iter().zip(1..).filter_map(|(event, nth)| Some((nth, event.notice.as_ref()?)));
    told.collect()
}

/// What the leaf hash of an event covers.
#[derive(Serialize)]
struct Content<'a, Metadata> {
    action: &'a str,
    actor_id: Option<Uuid>,
    actor_label: Option<&'a str>,
    actor_type: &'a str,
    entity_id: Uuid,
    entity_type: &'a str,
    metadata: Metadata,
    new_state: Option<Transcoded<'a>>,
    old_state: Option<Transcoded<'a>>,
    project_id: Option<Uuid>,
}

/// What was recorded of an event, as the log has it.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    pub action: &'a str,
    pub actor_id: Option<Uuid>,
    pub actor_label: Option<&'a str>,
    pub actor_type: &'a str,
    pub entity_id: Uuid,
    pub entity_type: &'a str,
    pub metadata: &'a JsonText,
    pub new_state: Option<&'a JsonText>,
    pub old_state: Option<&'a JsonText>,
    pub project_id: Option<Uuid>,
}

/// The leaf hash of what the log has; None: it holds what no event ever has.
pub(crate) fn leaf_hash_of(entry: &Recorded<'_>) -> Option<[u8; 32]> {
    let content = Content {
        action: entry.action,
        actor_id: entry.actor_id,
        actor_label: entry.actor_label,
        actor_type: entry.actor_type,
        entity_id: entry.entity_id,
        entity_type: entry.entity_type,
        metadata: Transcoded(entry.metadata),
        new_state: entry.new_state.map(Transcoded),
        old_state: entry.old_state.map(Transcoded),
        project_id: entry.project_id,
    };
    leaf_hash(&content).ok()
}

/// Records events, in the order in which they happened, and commits. Without events it only commits. Whether webhooks are to be
/// told of them.
///
/// # Errors
/// When an event cannot be written; then nothing of the transaction is kept.
pub(crate) async fn record(
    tx: Tx,
    caller: &Attribution,
    events: Vec<Event>,
    last: Option<Statement<'_, ()>>,
) -> Result<bool, DbError> {
    if events.is_empty() {
        return tx.commit(&()).await.map(|()| false);
    }
    let (entries, told) = (entries(&events, caller)?, told(&events));
    let columns = columns(&entries, &told);
    let params: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column.as_ref() as _).collect();
    let record = RECORD.with(&params);
    let queued = match last {
        None => tx.commit_in_turn(&record).await?,
        Some(last) => tx.commit_in_turn(&(record, last)).await?.0,
    };
    // Of an import there are thousands of one kind in a row.
    for run in events.chunk_by(|one, next| one.kind() == next.kind()) {
        metrics::recorded(run[0].entity_type, run[0].action, run.len());
    }
    Ok(queued.first().is_some_and(|queued| *queued))
}

/// As [`record`], for operator commands, which work with the owner's connection. The nil tenant stands for
/// what belongs to no tenant. What operators do is told to nobody: their connection sees no tenant's webhooks.
///
/// # Errors
/// When an event cannot be written; then nothing of the transaction is kept.
pub(crate) async fn record_as_owner(
    tx: tokio_postgres::Transaction<'_>,
    tenant_id: Uuid,
    by: &Attribution,
    events: Vec<Event>,
) -> Result<(), DbError> {
    let entries = entries(&events, by)?;
    let columns = columns(&entries, &[]);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&tenant_id];
    params.extend(columns.iter().map(|column| column.as_ref() as &(dyn ToSql + Sync)));
    tx.query(RECORD.text(), &params).await?;
    tx.commit().await?;
    Ok(())
}
