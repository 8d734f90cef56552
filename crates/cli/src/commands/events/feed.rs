//! What happens, as it does: from the stream, or where a server has none by asking from time to time. A server that is away is
//! waited for, and nothing is missed by that.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde_json::Value;

use crate::client::{Client, Events, borrowed};
use crate::error::Error;

/// How often it is looked for more, where the server does not tell by itself.
const PAUSE: Duration = Duration::from_secs(5);
/// After how long a stream that has ended is begun anew.
const BREATH: Duration = Duration::from_secs(1);
/// As long as that a server is left alone at most, if it wants it.
const LONGEST: Duration = Duration::from_secs(300);

/// What there is to be known of a log.
pub(crate) enum Heard {
    /// The server answers: for the first time, or again.
    Reached,
    Change(Value),
    /// The server has ended the stream, which is begun anew.
    Ended,
    /// It does not answer, or not now, and is asked again.
    Away(Error),
}

/// The log, read on and on.
pub(crate) struct Feed<'a> {
    client: &'a Client,
    filters: &'a [(&'static str, String)],
    /// The time of the last change that was seen; None: only what comes is wanted, and nothing has come.
    since: Option<String>,
    /// From when on is asked where nothing has come: a server that does not stream does not say when it is now.
    began: String,
    source: Source<'a>,
    /// Before the next attempt.
    pause: Option<Duration>,
    is_quiet: bool,
}

enum Source<'a> {
    Stream(Option<Events<'a>>),
    /// `is_whole`: what is unread is all that there is for now.
    Pages {
        unread: VecDeque<Value>,
        is_whole: bool,
        is_reached: bool,
    },
}

impl<'a> Feed<'a> {
    /// What is later than `since`, or than now.
    pub(crate) fn new(
        client: &'a Client,
        filters: &'a [(&'static str, String)],
        since: Option<String>,
    ) -> Self {
        let began = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let source = Source::Stream(None);
        Self { client, filters, since, began, source, pause: None, is_quiet: false }
    }

    /// The same for whoever draws the screen: nothing is said beside it, and each attempt that fails is told.
    pub(crate) fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Heard, Error> {
        loop {
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
            }
            let heard = match &mut self.source {
                Source::Stream(_) => self.streamed().await,
                Source::Pages { .. } => self.read().await,
            };
            match heard {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => {}
                // A server that does not stream is asked from time to time.
                Err(error) if error.is_not_found() && matches!(self.source, Source::Stream(_)) => {
                    self.source =
                        Source::Pages { unread: VecDeque::new(), is_whole: false, is_reached: false };
                }
                Err(error) if error.may_pass() => {
                    self.pause = Some(match (&mut self.source, error.retry_after()) {
                        (_, Some(wait)) => wait.clamp(BREATH, LONGEST),
                        (Source::Stream(_), None) => BREATH,
                        (Source::Pages { .. }, None) => PAUSE,
                    });
                    match &mut self.source {
                        Source::Stream(events) => *events = None,
                        Source::Pages { is_reached, .. } => *is_reached = false,
                    }
                    return Ok(Heard::Away(error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn streamed(&mut self) -> Result<Option<Heard>, Error> {
        const PATH: &str = "/changes/stream";
        let Source::Stream(Some(events)) = &mut self.source else {
            let (client, filters, last) = (self.client, borrowed(self.filters), self.since.as_deref());
            let events = match self.is_quiet {
                true => client.events_quietly(PATH, &filters, last).await?,
                false => client.events(PATH, &filters, last).await?,
            };
            self.source = Source::Stream(Some(events));
            return Ok(Some(Heard::Reached));
        };
        let Some(event) = events.next().await? else {
            self.source = Source::Stream(None);
            self.pause = Some(BREATH);
            return Ok(Some(Heard::Ended));
        };
        self.since = Some(event.id);
        Ok(Some(event.data).filter(|change| !change.is_null()).map(Heard::Change))
    }

    async fn read(&mut self) -> Result<Option<Heard>, Error> {
        let Source::Pages { unread, is_whole, is_reached } = &mut self.source else { return Ok(None) };
        if let Some(change) = unread.pop_front() {
            return Ok(Some(Heard::Change(change)));
        }
        if std::mem::take(is_whole) {
            self.pause = Some(PAUSE);
            return Ok(None);
        }
        let mut query = borrowed(self.filters);
        query.push(("since", self.since.as_deref().unwrap_or(&self.began)));
        let mut body = match self.is_quiet {
            true => self.client.get_quietly("/changes", &query).await?,
            false => self.client.get("/changes", &query).await?,
        };
        if let Value::Array(rows) = body["data"].take() {
            *unread = rows.into();
        }
        *is_whole = body["has_more"] != true;
        if let Some(cursor) = body["cursor"].as_str() {
            self.since = Some(cursor.to_owned());
        }
        Ok((!std::mem::replace(is_reached, true)).then_some(Heard::Reached))
    }
}
