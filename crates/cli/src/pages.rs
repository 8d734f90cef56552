//! Long lists, read to the end.

use serde_json::Value;

use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::error::Error;
use crate::output::rows_of;
use crate::progress;

/// Rows per request of a page-style list.
const PAGE: u64 = 100;
/// Rows per request of the story lists, which count rows instead of pages.
pub(crate) const STORY_PAGE: u32 = 500;

/// A page-style list: the part that is asked for, else all of it.
pub(crate) async fn list(
    client: &Client,
    path: &str,
    filters: &[(&str, &str)],
    paging: &Paging,
) -> Result<Value, Error> {
    if paging.is_given() {
        return client.get(path, &with(filters, &borrowed(&paging.query()))).await;
    }
    by_page(client, path, filters).await
}

/// The stories that pass the filters: the part that is asked for, else all of them.
pub(crate) async fn stories(
    client: &Client,
    filters: &[(&str, &str)],
    paging: &Paging,
) -> Result<Value, Error> {
    if paging.is_given() {
        return client.get("/stories", &with(filters, &borrowed(&paging.offset_query()))).await;
    }
    let mut list = List::default();
    each_of_stories(client, filters, |page| list.add(page)).await?;
    Ok(list.body())
}

/// Hands over the stories that pass the filters, page by page; nothing is kept of a page that was handed over.
pub(crate) async fn each_of_stories(
    client: &Client,
    filters: &[(&str, &str)],
    mut take: impl FnMut(Value),
) -> Result<(), Error> {
    let (mut seen, limit) = (0, STORY_PAGE.to_string());
    let bar = progress::rows();
    loop {
        let offset = seen.to_string();
        let part = [("limit", limit.as_str()), ("offset", offset.as_str())];
        let body = client.get("/stories", &with(filters, &part)).await?;
        let (total, here) = (body["meta"]["total_count"].as_u64(), rows_of(&body).len());
        seen += here;
        take(body);
        if here == 0 || total.is_none_or(|total| seen as u64 >= total) {
            return Ok(());
        }
        bar.set_length(total.unwrap_or_default());
        bar.set_position(seen as u64);
    }
}

/// A page-style list as if it were one page.
pub(crate) async fn by_page(client: &Client, path: &str, filters: &[(&str, &str)]) -> Result<Value, Error> {
    let mut list = List::default();
    each_page(client, path, filters, |page| list.add(page)).await?;
    Ok(list.body())
}

/// Hands over a page-style list, page by page; nothing is kept of a page that was handed over.
///
/// Where a page would be too large, the rest comes in pages of half as many rows.
pub(crate) async fn each_page(
    client: &Client,
    path: &str,
    filters: &[(&str, &str)],
    mut take: impl FnMut(Value),
) -> Result<(), Error> {
    let (mut size, mut page, mut read) = (PAGE, 1, 0);
    let mut cursor = None::<String>;
    let bar = progress::rows();
    loop {
        // Smaller pages begin wherever the larger ones have ended.
        let (place, at) = if size == PAGE { ("page", page) } else { ("offset", read) };
        let (rows, at) = (size.to_string(), at.to_string());
        let mut paging = vec![("page_size", rows.as_str()), (place, at.as_str())];
        // Lists that grow without end are quicker, and miss nothing, when they are read on from the last row.
        paging.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let body = match client.get(path, &with(filters, &paging)).await {
            Err(error) if error.is_too_large() && size > 1 => {
                size /= 2;
                page = read / size + 1;
                continue;
            }
            answer => answer?,
        };
        let pages = body["meta"]["total_pages"].as_u64().unwrap_or(1);
        let total = body["meta"]["total_count"].as_u64().unwrap_or_default();
        cursor = body["next_cursor"].as_str().map(ToOwned::to_owned);
        let here = rows_of(&body).len() as u64;
        take(body);
        if here == 0 || page >= pages {
            return Ok(());
        }
        read += here;
        page += 1;
        bar.set_length(total);
        bar.set_position(read);
    }
}

fn with<'a>(filters: &[(&'a str, &'a str)], paging: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    filters.iter().chain(paging).copied().collect()
}

/// The first answer, and the rows of all.
#[derive(Default)]
struct List {
    first: Option<Value>,
    rows: Vec<Value>,
    answers: usize,
}

impl List {
    /// Adds the rows of an answer.
    fn add(&mut self, body: Value) {
        self.rows.extend_from_slice(rows_of(&body));
        self.answers += 1;
        self.first.get_or_insert(body);
    }

    /// A single answer is returned unchanged. Of several, `meta` (and its older forms) says what the whole list is.
    fn body(self) -> Value {
        let mut body = self.first.unwrap_or_default();
        if self.answers < 2 {
            return body;
        }
        let count = self.rows.len();
        for meta in ["meta", "pagination"] {
            for (key, value) in body.get_mut(meta).and_then(Value::as_object_mut).into_iter().flatten() {
                match key.as_str() {
                    "page_size" | "limit" | "total_count" | "total" => *value = count.into(),
                    "page" | "total_pages" => *value = 1.into(),
                    _ => {}
                }
            }
        }
        if let Some(cursor) = body.get_mut("next_cursor") {
            *cursor = Value::Null;
        }
        body["data"] = self.rows.into();
        body
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_pages_become_one() {
        let mut list = List::default();
        let answer = |rows: Value, page| json!({"data": rows, "meta": {"page": page, "page_size": 2, "total_count": 3, "total_pages": 2}});
        list.add(answer(json!([1, 2]), 1));
        list.add(answer(json!([3]), 2));
        assert_eq!(
            list.body(),
            json!({"data": [1, 2, 3], "meta": {"page": 1, "page_size": 3, "total_count": 3, "total_pages": 1}})
        );
    }

    #[test]
    fn nothing_of_the_first_page_is_left_in_the_whole() {
        let mut list = List::default();
        for (page, next) in [(1, json!("after-2")), (2, Value::Null)] {
            list.add(json!({"data": [page], "pagination": {"total": 2, "page": page, "page_size": 1},
                            "meta": {"page": page, "total_count": 2, "total": 2}, "next_cursor": next}));
        }
        assert_eq!(
            list.body(),
            json!({"data": [1, 2], "pagination": {"total": 2, "page": 1, "page_size": 2},
                   "meta": {"page": 1, "total_count": 2, "total": 2}, "next_cursor": null})
        );
    }

    #[test]
    fn a_single_answer_is_not_touched() {
        let body = json!({"data": [1], "meta": {"total_count": 1, "limit": 500, "offset": 0}, "more": true});
        let mut list = List::default();
        list.add(body.clone());
        assert_eq!(list.body(), body);
    }
}
