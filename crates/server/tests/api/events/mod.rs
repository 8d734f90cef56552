//! What those see who follow what happens: the audit log and the change feed.

mod audit;
mod catalogue;
mod changes;
mod stream;

use serde_json::Value;

use crate::support::text;

/// One member of each row of a list.
fn each(list: &Value, member: &str) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|row| text(&row[member])).collect()
}
