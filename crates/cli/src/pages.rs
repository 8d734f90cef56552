//! Long lists, read to the end.

use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::output::rows_of;

/// Rows per request of a page-style list.
const PAGE: &str = "100";
/// Rows per request of the story lists, which count rows instead of pages.
pub(crate) const STORY_PAGE: u32 = 500;

/// A page-style list as if it were one page.
pub(crate) async fn by_page(client: &Client, path: &str, filters: &[(&str, &str)]) -> Result<Value, Error> {
    let mut list = List::default();
    for page in 1_u64.. {
        let number = page.to_string();
        let paging = [("page_size", PAGE), ("page", number.as_str())];
        let body = client.get(path, &with(filters, &paging)).await?;
        let pages = body["meta"]["total_pages"].as_u64().unwrap_or(1);
        if list.add(body) == 0 || page >= pages {
            break;
        }
    }
    Ok(list.body())
}

/// A list with `limit` and `offset` as if it were one page.
pub(crate) async fn by_offset(client: &Client, path: &str, filters: &[(&str, &str)]) -> Result<Value, Error> {
    let (mut list, limit) = (List::default(), STORY_PAGE.to_string());
    loop {
        let offset = list.rows.len().to_string();
        let body = client
            .get(path, &with(filters, &[("limit", limit.as_str()), ("offset", offset.as_str())]))
            .await?;
        let total = body["meta"]["total_count"].as_u64();
        if list.add(body) == 0 || total.is_none_or(|total| list.rows.len() as u64 >= total) {
            return Ok(list.body());
        }
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
    /// Adds the rows of an answer; says how many they are.
    fn add(&mut self, body: Value) -> usize {
        let here = rows_of(&body);
        let count = here.len();
        self.rows.extend_from_slice(here);
        self.answers += 1;
        self.first.get_or_insert(body);
        count
    }

    /// A single answer is returned unchanged. Of several, `meta` says what the whole list is.
    fn body(self) -> Value {
        let mut body = self.first.unwrap_or_default();
        if self.answers < 2 {
            return body;
        }
        let count = self.rows.len();
        if let Some(meta) = body["meta"].as_object_mut() {
            for (key, value) in meta {
                match key.as_str() {
                    "page_size" | "limit" | "total_count" => *value = count.into(),
                    "page" | "total_pages" => *value = 1.into(),
                    _ => {}
                }
            }
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
        assert_eq!(list.add(answer(json!([1, 2]), 1)), 2);
        assert_eq!(list.add(answer(json!([3]), 2)), 1);
        assert_eq!(
            list.body(),
            json!({"data": [1, 2, 3], "meta": {"page": 1, "page_size": 3, "total_count": 3, "total_pages": 1}})
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
