//! Reading on: a list that grows without bound is read page by page, or from where the answer before ended, whose rows
//! are found at once however far into the list they are.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use loopctl_core::fields::Fields;
use loopctl_core::request::{Member, Rule};
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Serialize, Serializer};

use super::error::{ApiError, ApiResult};
use super::page::{Meta, Page, Paging};
use crate::db::Timestamp;

/// The row after which a list is read on: the time of that row, which no other row of the list has. Clients know it as a
/// text that means nothing to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", inline)]
pub(crate) struct Cursor(DateTime<Utc>);

impl Cursor {
    /// The row with this time.
    pub(crate) fn at(Timestamp(time): Timestamp) -> Self {
        Self(time)
    }

    /// What an answer gave; None for anything else.
    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let microseconds = i64::from_be_bytes(bytes.try_into().ok()?);
        // No row is older than this server, and PostgreSQL knows no time before 4713 BC.
        DateTime::from_timestamp_micros(microseconds).filter(|_| microseconds >= 0).map(Self)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0.timestamp_micros().to_be_bytes()))
    }
}

impl Paging {
    /// Pages, or whatever comes after a cursor.
    pub(crate) const fn or_cursor(self) -> PagingOrCursor {
        PagingOrCursor(self)
    }
}

/// See [`Paging::or_cursor`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct PagingOrCursor(Paging);

/// Where in a list to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The page, if there is no cursor.
    pub(crate) page: Page,
    /// The cursor that was sent; Some(None) when it is none.
    cursor: Option<Option<Cursor>>,
}

impl Rule for PagingOrCursor {
    type Value = Place;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Place {
        let sent = fields.filled("cursor");
        let cursor = sent.map(|sent| sent.as_str().and_then(|text| Cursor::parse(text.trim())));
        Place { page: self.0.read(fields, name), cursor }
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }

    fn members(&self, name: &'static str, description: &'static str) -> Vec<Member> {
        let cursor = Member {
            name: "cursor",
            description: "`next_cursor` of the answer before: what comes after it, whatever the page.",
            schema: json_schema!({"type": "string"}),
            required: false,
        };
        let mut members = self.0.members(name, description);
        members.push(cursor);
        members
    }
}

impl Place {
    /// The time after which to read, if a cursor says so.
    ///
    /// # Errors
    /// 400 for a malformed cursor.
    pub(crate) fn after(&self) -> ApiResult<Option<DateTime<Utc>>> {
        let malformed =
            || ApiError::bad_request("Bad Request: no answer gave this cursor; leave it out to begin anew");
        Ok(self.cursor.map(|sent| sent.ok_or_else(malformed)).transpose()?.map(|Cursor(after)| after))
    }
}

/// Leaves `size` rows of those that were read, which were asked for with one more. Whether there are more.
pub(crate) fn cut<T>(rows: &mut Vec<T>, size: i64) -> bool {
    let shown = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    more
}

/// A part of a list that grows without bound.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FeedOf{T}")]
pub(crate) struct Feed<T> {
    /// The rows of this part.
    pub(crate) data: Vec<T>,
    /// Which page, of how many; after a cursor always the first.
    pub(crate) meta: Meta,
    /// To be sent as `cursor` for what comes next; null at the end.
    pub(crate) next_cursor: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use loopctl_core::request::Request;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::http::page::pages;
    use crate::http::query::read;

    #[derive(Request)]
    struct Log {
        #[rule(pages(25, 100).or_cursor())]
        place: Place,
    }

    fn after(query: &str) -> ApiResult<Option<i64>> {
        Ok(read::<Log>(query)?.place.after()?.map(|time| time.timestamp_micros()))
    }

    #[test]
    fn what_no_answer_gave_is_refused() {
        for text in
            ["x", "AAAAAAAAAAA=", "AAAAAAAAAAAA", "__________8", "2026-01-01T00:00:00Z", "%C3%A9", "1"]
        {
            assert!(after(&format!("cursor={text}")).is_err(), "{text}");
        }
        for nothing in ["", "cursor=", "cursor=+", "page=2"] {
            assert_eq!(after(nothing).unwrap(), None, "{nothing}");
        }
        assert_eq!(after("cursor=AAAAAAAAAAA&page=9").unwrap(), Some(0));
    }

    #[test]
    fn pages_are_as_without_it() {
        let place = read::<Log>("limit=7&page=3").unwrap().place;
        assert_eq!((place.page.size, place.page.skip), (7, 14));
        let names: Vec<_> = Log::members().into_iter().map(|member| member.name).collect();
        assert_eq!(names, ["page", "page_size", "limit", "offset", "cursor"]);
    }

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_row(microseconds in 0..=i64::MAX) {
            let time = DateTime::from_timestamp_micros(microseconds);
            let sent = json!(time.map(Cursor));
            let query = format!("cursor={}", sent.as_str().unwrap_or_default());
            prop_assert_eq!(after(&query).unwrap(), time.map(|_| microseconds));
        }

        #[test]
        fn nothing_panics(text in ".*") {
            let _ = Cursor::parse(&text);
        }
    }
}
