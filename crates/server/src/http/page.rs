//! Pagination: `page`/`page_size`, `limit` and `offset` everywhere.

use std::cell::Cell;

use loopctl_core::fields::Fields;
use loopctl_core::request::{Member, Request, Rule};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use super::error::{ApiError, ApiResult, LARGEST_ANSWER};

/// Page-style paging: `page_size` wins over `limit`.
pub(crate) const fn pages(default: i64, max: i64) -> Paging {
    Paging { default, max, limit_wins: false, whole: false, lenient: true }
}

/// Offset-style paging: `limit` wins over `page_size`.
pub(crate) const fn limits(default: i64, max: i64) -> Paging {
    Paging { default, max, limit_wins: true, whole: false, lenient: true }
}

/// What a list wants of its paging.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paging {
    default: i64,
    max: i64,
    limit_wins: bool,
    whole: bool,
    lenient: bool,
}

impl Paging {
    /// What only begins with a number counts as absent.
    pub(crate) const fn strict(self) -> Self {
        Self { lenient: false, ..self }
    }

    /// All rows, unless a paging parameter is sent.
    pub(crate) const fn or_whole(self) -> Self {
        Self { whole: true, ..self }
    }
}

/// A request for a page of a list, and for nothing else.
#[derive(Request)]
pub(crate) struct Paged {
    #[rule(pages(20, 100))]
    pub(crate) page: Page,
}

/// As [`Paged`], of a list that is whole unless a paging parameter is sent.
#[derive(Request)]
pub(crate) struct PagedOrWhole {
    #[rule(pages(20, 100).or_whole())]
    pub(crate) page: Page,
}

/// One page of a list, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// How many rows at most.
    pub(crate) size: i64,
    /// How many rows come before.
    pub(crate) skip: i64,
    page: i64,
    whole: bool,
}

impl Page {
    /// The first one.
    pub(crate) const fn first(size: i64) -> Self {
        Self { size, skip: 0, page: 1, whole: false }
    }
}

impl Rule for Paging {
    type Value = Page;

    /// Never fails: everything is clamped.
    fn read(&self, fields: &mut Fields<'_>, _name: &'static str) -> Page {
        let sent = Cell::new(false);
        let number = |name: &str| {
            let value = fields.filled(name)?;
            sent.set(true);
            let text = value.as_str()?.trim();
            leading_integer(text).filter(|_| self.lenient || is_integer(text))
        };
        let names = if self.limit_wins { ["limit", "page_size"] } else { ["page_size", "limit"] };
        let [first, second] = names.map(number);
        let (offset, page) = (number("offset"), number("page"));
        if self.whole && !sent.get() {
            return Page { size: i64::MAX, skip: 0, page: 1, whole: true };
        }
        let size = first.or(second).unwrap_or(self.default).clamp(1, self.max);
        match offset {
            Some(offset) => {
                let skip = offset.max(0);
                Page { size, skip, page: (skip / size).saturating_add(1), whole: false }
            }
            None => {
                let page = page.unwrap_or(1).max(1);
                Page { size, skip: (page - 1).saturating_mul(size), page, whole: false }
            }
        }
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "integer"})
    }

    fn members(&self, _name: &'static str, _description: &'static str) -> Vec<Member> {
        let size =
            json_schema!({"type": "integer", "minimum": 1, "maximum": self.max, "default": self.default});
        let at_least = |least: i64| json_schema!({"type": "integer", "minimum": least});
        let member = |name, description, schema| Member { name, description, schema, required: false };
        vec![
            member("page", "Which page, from 1.", at_least(1)),
            member("page_size", "Rows of a page.", size.clone()),
            member("limit", "The same as `page_size`.", size),
            member("offset", "Rows to leave out; wins over `page`.", at_least(0)),
        ]
    }
}

/// A number in a query that is brought into its bounds; what does not begin with one counts as absent.
pub(crate) const fn clamped(default: i32, min: i32, max: i32) -> Clamped {
    Clamped { default, min, max }
}

/// See [`clamped`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clamped {
    default: i32,
    min: i32,
    max: i32,
}

impl Rule for Clamped {
    type Value = i32;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> i32 {
        let sent = fields.filled(name).and_then(|value| leading_integer(value.as_str()?.trim()));
        let Some(number) = sent else { return self.default };
        let (min, max) = (i64::from(self.min), i64::from(self.max));
        i32::try_from(number.clamp(min, max)).unwrap_or(self.default)
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "integer", "minimum": self.min, "maximum": self.max, "default": self.default})
    }
}

/// The leading integer of a text, saturating; None when it does not start with one.
fn leading_integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    (end > 0).then(|| sign * digits[..end].parse::<i64>().unwrap_or(i64::MAX))
}

/// Whether there is nothing but an integer in a text.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Page {
    /// The `meta` of a list of `total_count` rows.
    pub(crate) fn meta(&self, total_count: i64) -> Meta {
        let size = if self.whole { total_count.max(1) } else { self.size };
        Meta {
            page: self.page,
            page_size: size,
            total_count,
            total_pages: total_count / size + i64::from(total_count % size != 0),
            limit: size,
            offset: self.skip,
        }
    }

    /// Of rows of this page that tell how much of an answer all up to them are, in bytes; the last one that was read may be the one
    /// with which it is too much. One row alone is answered whatever it weighs.
    ///
    /// # Errors
    /// 422 when they are too large for one answer.
    pub(crate) fn check_size(&self, upto: impl DoubleEndedIterator<Item = i64> + Clone) -> ApiResult<()> {
        if self.size == 1 || upto.clone().next_back().is_none_or(|last| last <= LARGEST_ANSWER) {
            return Ok(());
        }
        let fits = upto.take_while(|upto| *upto <= LARGEST_ANSWER).count();
        Err(ApiError::answer_too_large("limit", i64::try_from(fits).unwrap_or(i64::MAX)))
    }
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub(crate) struct List<T> {
    /// The rows of this page.
    pub(crate) data: Vec<T>,
    /// Which page, of how many.
    pub(crate) meta: Meta,
}

impl<T> List<T> {
    /// The list with something made of every row.
    pub(crate) fn map<U>(self, make: impl FnMut(T) -> U) -> List<U> {
        List { data: self.data.into_iter().map(make).collect(), meta: self.meta }
    }
}

/// `meta` of every list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "PaginationMeta")]
pub(crate) struct Meta {
    /// 1-based.
    pub(crate) page: i64,
    /// Rows per page after clamping.
    pub(crate) page_size: i64,
    /// Rows in the whole list.
    pub(crate) total_count: i64,
    /// 0 for an empty list.
    pub(crate) total_pages: i64,
    /// Same as `page_size`.
    pub(crate) limit: i64,
    /// Rows before this page.
    pub(crate) offset: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::query::read;

    #[derive(Request)]
    struct ByLimit {
        #[rule(limits(100, 500))]
        page: Page,
    }

    fn seen(page: Page) -> (i64, i64, i64) {
        (page.size, page.skip, page.page)
    }

    #[test]
    fn aliases_and_precedence() {
        let pages = |text: &str| seen(read::<Paged>(text).unwrap().page);
        let limits = |text: &str| seen(read::<ByLimit>(text).unwrap().page);
        assert_eq!(pages(""), (20, 0, 1));
        assert_eq!(pages("limit=2&page=3"), (2, 4, 3));
        assert_eq!(pages("page_size=2&limit=4"), (2, 0, 1));
        assert_eq!(limits("page_size=2&limit=3"), (3, 0, 1));
        assert_eq!(limits("limit=9999"), (500, 0, 1));
        assert_eq!(limits("limit=0&offset=-1"), (1, 0, 1));
        assert_eq!(pages("page=0&page_size=abc"), (20, 0, 1));
        assert_eq!(limits("limit=10&offset=25"), (10, 25, 3));
        let last = format!("limit=1&offset={}", i64::MAX);
        assert_eq!(limits(&last), (1, i64::MAX, i64::MAX));
    }

    #[derive(Request)]
    struct Strictly {
        #[rule(limits(10, 50).strict())]
        page: Page,
    }

    #[test]
    fn a_number_may_have_to_be_one() {
        let size = |text: &str| read::<Strictly>(text).unwrap().page.size;
        let sent = [
            "limit=3x",
            "limit=",
            "limit=-",
            "limit=3",
            "limit=+7",
            "limit=-3",
            "limit=99999999999999999999",
        ];
        assert_eq!(sent.map(size), [10, 10, 10, 3, 7, 1, 50]);
        assert_eq!(read::<ByLimit>("limit=3x").unwrap().page.size, 3);
    }

    #[test]
    fn statements_read_as_much_as_is_answered() {
        assert_eq!(crate::db::fitting!("order"), format!("where upto - weight <= {LARGEST_ANSWER} order"));
    }

    #[test]
    fn a_list_is_whole_until_paging_is_asked_for() {
        let page = |text: &str| read::<PagedOrWhole>(text).unwrap().page;
        let meta = page("").meta(7);
        assert_eq!((page("").size, meta.page_size, meta.total_pages), (i64::MAX, 7, 1));
        assert_eq!(page("").meta(0).page_size, 1);
        for text in ["page=1", "offset=3", "limit=x"] {
            assert_eq!(page(text).size, 20, "{text}");
        }
    }

    #[test]
    fn integers_are_lenient_and_saturate() {
        let values = ["20abc", "abc", "-3", "99999999999999999999999", "+7"].map(leading_integer);
        assert_eq!(values, [Some(20), None, Some(-3), Some(i64::MAX), Some(7)]);
    }

    proptest! {
        #[test]
        fn pages_tile_the_list(size in 1..100_i64, total in 0..1000_i64) {
            let mut seen = 0;
            for number in 1.. {
                let page = read::<Paged>(&format!("page={number}&page_size={size}")).unwrap().page;
                prop_assert_eq!(page.skip, seen);
                seen = (seen + size).min(total);
                if seen == total {
                    prop_assert_eq!(page.meta(total).total_pages, if total == 0 { 0 } else { number });
                    break;
                }
            }
        }

        #[test]
        fn nothing_overflows(page in any::<i64>(), size in any::<i64>(), offset in any::<Option<i64>>()) {
            let offset = offset.map(|offset| format!("&offset={offset}")).unwrap_or_default();
            let page = read::<Paged>(&format!("page={page}&page_size={size}{offset}")).unwrap().page;
            prop_assert!(page.skip >= 0 && (1..=100).contains(&page.size));
        }
    }
}
