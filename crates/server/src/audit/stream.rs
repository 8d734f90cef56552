//! The change feed as it happens: server-sent events, for as long as a client wants to know.
//!
//! The log is read as by everybody who polls. Whoever follows it is woken by what this process records, and within a second by
//! what others do: telling other processes of each change would make all commits wait for each other.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use constcat::concat;
use loopctl_core::code::Code;
use loopctl_core::request::{Member, Request};
use schemars::json_schema;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use super::changes::{Change, Filters, NEW_STATE, Weighed};
use super::weighed;
use crate::app::{Any, App, Identity, KeyHolder};
use crate::db::{Params, Row, Timestamp, statements};
use crate::events::{Listener, MOST, MOST_OF_TENANT};
use crate::http::{
    ApiError, ApiResult, CutOff, EventStream, Input, Moment, Operation, Query, Sink, moment, stream,
};

/// How many entries are read at once. Each may be large, and is kept until its client has read those before.
const BATCH: i64 = 8;
/// After how many bytes of them no further one is read along with them.
const HEAVY: i64 = 512 * 1024;
/// How many entries are looked at for them, whatever a client wants to know.
const WINDOW: i64 = 2000;
/// How often the log is read for one client at most, however much is written.
const PACE: Duration = Duration::from_millis(50);
/// How often somebody looks whether other processes have recorded anything.
const LOOK: Duration = Duration::from_secs(1);
/// How often the key is looked at anew.
const LOOK_AT_KEY: Duration = Duration::from_millis(500);
/// After how long without anything to tell the client is told just that.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a client may take to learn that there is no more.
const LAST_WORD: Duration = Duration::from_secs(1);

statements! {
    /// Where the log ends now.
    NEWEST -> Newest = "select {*} from audit_heads where tenant_id = $1";
    /// How far the next look goes.
    HORIZON -> Horizon = "
        select {*} from (
            select inserted_at from audit_log where tenant_id = $1 and inserted_at > $2
            order by inserted_at limit (select $3::bigint)) looked_at";
    /// As the feed is read, and no further than that: whoever wants to know little does not look through all of the log at once.
    FOLLOWED -> Weighed = concat!("select {*} from ", weighed!(NEW_STATE, "order by inserted_at", "
        select * from (
            select * from audit_log where tenant_id = $1 and inserted_at > $2
            order by inserted_at limit (select $7::bigint)) looked_at
        where ((select $3::uuid) is null or project_id = (select $3::uuid))
          and ((select $4::text) is null or entity_type = (select $4::text))
          and ((select $5::text) is null or action = (select $5::text))
        order by inserted_at limit (select $6::bigint)"), " where upto - weight <= (select $8::bigint) order by inserted_at");
}

#[derive(Row)]
pub(super) struct Horizon {
    /// Null at the end of the log.
    #[row(sql = "max(inserted_at)")]
    at: Option<Timestamp>,
    /// Whether there may be more behind it.
    #[row(sql = "count(*) = $3")]
    is_full: bool,
}

#[derive(Row)]
pub(super) struct Newest {
    #[row(sql = "greatest(last_at, 'epoch')")]
    last_at: Timestamp,
}

#[derive(Request)]
pub(super) struct FollowChanges {
    /// What is later than this; without it, and without `Last-Event-ID`, what is later than now.
    #[rule(moment())]
    since: Moment,
    #[flatten]
    filters: Filters,
}

const LAST_EVENT_ID: &str = "Last-Event-ID";

/// The last event that a client has seen, which it sends by itself when it comes back.
pub(super) struct LastEventId(Moment);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let sent = parts.headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").trim());
        Ok(Self(Moment::sent(LAST_EVENT_ID, sent.filter(|text| !text.is_empty()))))
    }
}

impl Input for LastEventId {
    fn describe(operation: &mut Operation<'_>) {
        operation.headers.push(Member {
            name: LAST_EVENT_ID,
            description: "The id of the last event that was seen, a time; wins over `since`.",
            schema: json_schema!({"type": "string"}),
            required: false,
        });
    }
}

pub(super) async fn follow(
    holder: KeyHolder<Any>,
    LastEventId(last): LastEventId,
    Query(query): Query<FollowChanges>,
) -> ApiResult<EventStream<Change>> {
    let FollowChanges { since, filters } = query;
    let (last, since) = (last.time()?, since.time()?);
    let caller = holder.in_tenant()?;
    let cursor = match last.or(since) {
        Some(sent) => Timestamp(sent),
        None => caller.find(NEWEST, &[]).await?.last_at,
    };
    let app = caller.app.clone();
    let (listener, is_first) = app.listeners.join(caller.tenant_id).ok_or_else(too_many)?;
    if is_first {
        app.life.spawn(look_for_others(app.clone(), caller.tenant_id).in_current_span());
    }
    let following = Following { caller: Identity::clone(&caller), filters, cursor, listener };
    Ok(EventStream::new(stream::body(&app.life, |sink| following.run(sink))))
}

fn too_many() -> ApiError {
    let message = format!(
        "Too many streams of changes are open ({MOST_OF_TENANT} of a tenant at most, and {MOST} in all): close some, or ask GET \
         /api/v1/changes from time to time"
    );
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyStreams, message)
}

/// Wakes those who follow a tenant's log when it has grown, whoever wrote to it, for as long as there are any.
async fn look_for_others(app: App, tenant_id: Uuid) {
    let looking = async {
        let mut seen = None;
        while app.listeners.anybody(tenant_id) {
            // Who follows finds out by itself when the database does not answer.
            if let Ok(newest) = app.db.read(tenant_id, NEWEST.with(&[])).await {
                let newest = newest.first().map(|newest| newest.last_at);
                if newest != seen {
                    app.listeners.wake(tenant_id);
                    seen = newest;
                }
            }
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = looking => {}
        () = app.life.ending() => {}
    }
}

/// A client that follows the log.
struct Following {
    caller: Identity,
    filters: Filters,
    /// The time of the last entry that was looked at for it.
    cursor: Timestamp,
    listener: Listener,
}

impl Following {
    /// Until the client goes, its key is none any more, or the process ends.
    async fn run(mut self, mut sink: Sink) -> Result<(), CutOff> {
        let caller = self.caller.clone();
        // Who comes back before anything has happened knows from where.
        self.write_id(&mut sink);
        sink.buffer.extend_from_slice(b"\n");
        tokio::select! {
            told = self.tell(&mut sink) => told?,
            () = until_refused(&caller) => sink.buffer.clear(),
            () = caller.app.life.ending() => sink.buffer.clear(),
        };
        timeout(LAST_WORD, sink.finish()).await.unwrap_or(Err(CutOff::Slow))
    }

    async fn tell(&mut self, sink: &mut Sink) -> Result<(), CutOff> {
        loop {
            let began = Instant::now();
            let there_is_more = self.read_on(sink).await?;
            sink.send().await?;
            if !there_is_more {
                self.until_woken(sink).await?;
                sleep_until(began + PACE).await;
            }
        }
    }

    /// Writes the entries that come next, of those that are looked at. Whether there may be more.
    async fn read_on(&mut self, sink: &mut Sink) -> Result<bool, CutOff> {
        let app = &self.caller.app;
        let Filters { project_id, entity_type, action } = &self.filters;
        let looked = [&self.cursor as _, &WINDOW as _];
        let wanted: Params<'_> = &[&self.cursor, project_id, entity_type, action, &BATCH, &WINDOW, &HEAVY];
        let (tenant_id, followed) = (self.caller.tenant_id, FOLLOWED.with(wanted));
        let (horizon, changes) = {
            let _turn = app.listeners.turn().await;
            if self.filters.is_empty() {
                // The entries say by themselves how far that was.
                (Vec::new(), app.db.read(tenant_id, followed).await?)
            } else {
                // What comes in between is looked at and not counted on: the horizon is never too far.
                app.db.read(tenant_id, (HORIZON.with(&looked), followed)).await?
            }
        };
        for Weighed { change, .. } in &changes {
            self.cursor = change.inserted_at;
            self.write_id(sink);
            sink.buffer.extend_from_slice(b"data: ");
            serde_json::to_writer(&mut sink.buffer, change)?;
            sink.buffer.extend_from_slice(b"\n\n");
            sink.flush().await?;
        }
        let is_heavy = changes.last().is_some_and(|last| last.upto > HEAVY);
        if is_heavy || i64::try_from(changes.len()).is_ok_and(|read| read == BATCH) {
            return Ok(true);
        }
        let Some(Horizon { at: Some(at), is_full }) = horizon.first() else { return Ok(false) };
        self.cursor = self.cursor.max(*at);
        Ok(*is_full)
    }

    fn write_id(&self, sink: &mut Sink) {
        sink.buffer.extend_from_slice(format!("id: {}\n", self.cursor).as_bytes());
    }

    /// Waits until there may be something to read. A client to which nothing happens is told that the connection lives.
    async fn until_woken(&mut self, sink: &mut Sink) -> Result<(), CutOff> {
        loop {
            tokio::select! {
                () = self.listener.woken() => return Ok(()),
                () = sink.abandoned() => return Err(CutOff::Gone),
                () = sleep(SILENCE) => {
                    // And from where to go on, if nothing of what happened was for it.
                    sink.buffer.extend_from_slice(b":\n");
                    self.write_id(sink);
                    sink.buffer.extend_from_slice(b"\n");
                    sink.send().await?;
                }
            }
        }
    }
}

/// Waits until the caller would not be let in any more.
async fn until_refused(caller: &Identity) {
    while caller.is_still_let_in().await {
        sleep(LOOK_AT_KEY).await;
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    use super::*;

    /// Nothing is asked of the database as long as nothing happens.
    #[tokio::test(start_paused = true)]
    async fn silence_is_told_every_fifteen_seconds() {
        const TENANT: Uuid = Uuid::from_u128(1);
        let app = App::without_database();
        let caller = Identity::of_agent(app.clone(), TENANT, Uuid::from_u128(3));
        let (listener, _) = app.listeners.join(TENANT).unwrap();
        let filters = Filters { project_id: None, entity_type: None, action: None };
        let mut following =
            Following { caller, filters, cursor: Timestamp(chrono::DateTime::UNIX_EPOCH), listener };
        let mut body = stream::body(&app.life, |mut sink| async move {
            following.until_woken(&mut sink).await?;
            sink.finish().await
        });
        let began = Instant::now();
        for seconds in [15, 30] {
            let told = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let expected = b":\nid: 1970-01-01T00:00:00.000000Z\n\n";
            assert_eq!((&told[..], began.elapsed().as_secs()), (&expected[..], seconds));
        }
        app.listeners.wake(TENANT);
        assert!(body.frame().await.is_none(), "there may be something to read");
    }
}
