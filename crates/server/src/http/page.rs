//! Pagination (file 01 §1.5, file 03 §0.4, decision 14): `page`/`page_size`, `limit` and `offset` everywhere.

use serde::Serialize;
use utoipa::ToSchema;

use super::query::Query;

/// What a list endpoint wants of its paging.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    default: i64,
    max: i64,
    limit_wins: bool,
}

impl Style {
    /// Page-style: `page_size` wins over `limit`.
    pub(crate) const fn page(default: i64, max: i64) -> Self {
        Self { default, max, limit_wins: false }
    }

    /// Offset-style: `limit` wins over `page_size`.
    pub(crate) const fn limit(default: i64, max: i64) -> Self {
        Self { default, max, limit_wins: true }
    }
}

/// One page of a list, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// How many rows at most.
    pub size: i64,
    /// How many rows come before.
    pub skip: i64,
    page: i64,
}

impl Page {
    /// Reads the paging parameters; never fails, everything is clamped.
    pub(crate) fn new(query: &Query, style: Style) -> Self {
        let names = if style.limit_wins { ["limit", "page_size"] } else { ["page_size", "limit"] };
        let size = names.iter().find_map(|name| query.integer(name)).unwrap_or(style.default);
        let size = size.clamp(1, style.max);
        match query.integer("offset") {
            Some(offset) => {
                let skip = offset.max(0);
                Self { size, skip, page: (skip / size).saturating_add(1) }
            }
            None => {
                let page = query.integer("page").unwrap_or(1).max(1);
                Self { size, skip: (page - 1).saturating_mul(size), page }
            }
        }
    }

    /// A list of `total_count` rows shown whole.
    pub(crate) fn all(total_count: i64) -> Self {
        Self { size: total_count.max(1), skip: 0, page: 1 }
    }

    /// The `meta` of a list of `total_count` rows.
    pub(crate) fn meta(&self, total_count: i64) -> Meta {
        Meta {
            page: self.page,
            page_size: self.size,
            total_count,
            total_pages: total_count / self.size + i64::from(total_count % self.size != 0),
            limit: self.size,
            offset: self.skip,
        }
    }
}

/// The answer of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows of this page.
    pub data: Vec<T>,
    /// Which page, of how many.
    pub meta: Meta,
}

/// `meta` of every list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// 1-based.
    pub page: i64,
    /// Rows per page after clamping.
    pub page_size: i64,
    /// Rows in the whole list.
    pub total_count: i64,
    /// 0 for an empty list.
    pub total_pages: i64,
    /// Same as `page_size`.
    pub limit: i64,
    /// Rows before this page.
    pub offset: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str, style: Style) -> (i64, i64, i64) {
        let page = Page::new(&Query::parse(text).unwrap(), style);
        (page.size, page.skip, page.page)
    }

    #[test]
    fn aliases_and_precedence() {
        let (pages, limits) = (Style::page(20, 100), Style::limit(100, 500));
        assert_eq!(page("", pages), (20, 0, 1));
        assert_eq!(page("limit=2&page=3", pages), (2, 4, 3));
        assert_eq!(page("page_size=2&limit=4", pages), (2, 0, 1));
        assert_eq!(page("page_size=2&limit=3", limits), (3, 0, 1));
        assert_eq!(page("limit=9999", limits), (500, 0, 1));
        assert_eq!(page("limit=0&offset=-1", limits), (1, 0, 1));
        assert_eq!(page("page=0&page_size=abc", pages), (20, 0, 1));
        assert_eq!(page("limit=10&offset=25", limits), (10, 25, 3));
        let last = format!("limit=1&offset={}", i64::MAX);
        assert_eq!(page(&last, limits), (1, i64::MAX, i64::MAX));
    }

    proptest! {
        #[test]
        fn pages_tile_the_list(size in 1..100_i64, total in 0..1000_i64) {
            let mut seen = 0;
            for number in 1.. {
                let query = Query::parse(&format!("page={number}&page_size={size}")).unwrap();
                let page = Page::new(&query, Style::page(20, 100));
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
            let query = Query::parse(&format!("page={page}&page_size={size}{offset}")).unwrap();
            let page = Page::new(&query, Style::page(20, 100));
            prop_assert!(page.skip >= 0 && (1..=100).contains(&page.size));
        }
    }
}
