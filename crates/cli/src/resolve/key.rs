//! Which key is meant.

use serde_json::Value;

use super::{Found, all_pages, found, is_named, uuid};
use crate::client::Client;
use crate::error::Error;

/// A key that is not revoked, by id, by what it begins with, or by name. What is all of a beginning or a name counts before what
/// is a part of a beginning.
pub(crate) async fn key(client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let rows = all_pages(client, "/api_keys", &[]).await?;
    match keys_called(&rows, reference).as_slice() {
        [] => {
            // A whole key is not repeated.
            let told = if reference.len() < WHOLE { format!(" {reference}") } else { String::new() };
            Err(Error::NotFound(format!(
                "Key{told} not found. `loopctl keys list` shows those that are not revoked"
            )))
        }
        [only] => Ok(found(only, "key_prefix")),
        several => {
            let told = |row: &&Value| {
                let text = |member: &str| crate::table::plain(&row[member]);
                format!("{} ({}, {})", text("key_prefix"), text("name"), text("id"))
            };
            let told: Vec<String> = several.iter().map(told).collect();
            Err(Error::Usage(format!("Key '{reference}' is ambiguous: {}", told.join(", "))))
        }
    }
}

/// All keys begin alike, and an empty variable behind that is no key.
const SHORTEST: usize = "lc_".len() + 2;
/// No whole key is shorter, and no beginning of one is shown that is as long.
const WHOLE: usize = 40;

/// The keys that may be meant by this.
fn keys_called<'a>(rows: &'a [Value], reference: &str) -> Vec<&'a Value> {
    // As beginnings are shown elsewhere.
    let named = reference.trim();
    let beginning = named.trim_end_matches("...");
    // Who has a whole key at hand, because it was seen where it should not be, means that one.
    let begins = |row: &Value| {
        row["key_prefix"].as_str().is_some_and(|prefix| {
            beginning.len() >= WHOLE && beginning.starts_with(prefix)
                || beginning.len() >= SHORTEST && prefix.starts_with(beginning)
        })
    };
    let is_all = |row: &&Value| row["key_prefix"] == beginning || is_named(row, named);
    let all: Vec<&Value> = rows.iter().filter(is_all).collect();
    if all.is_empty() { rows.iter().filter(|row| begins(row)).collect() } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_beginning_or_their_name() {
        let row =
            |name: &str, prefix: &str| serde_json::json!({"id": name, "name": name, "key_prefix": prefix});
        let rows = [
            row("alice", "lc_aB3x9"),
            row("bob", "lc_aB7q1"),
            row("lc", "lc_zzzzz"),
            row("twin", "lc_t1"),
            row("twin", "lc_t2"),
        ];
        let called = |reference: &str| -> Vec<String> {
            keys_called(&rows, reference).iter().map(|row| crate::table::plain(&row["key_prefix"])).collect()
        };
        for reference in ["lc_aB3x9", "lc_aB3", "lc_aB3x9...", " alice "] {
            assert_eq!(called(reference), ["lc_aB3x9"], "{reference}");
        }
        assert_eq!(called("lc_aB"), ["lc_aB3x9", "lc_aB7q1"]);
        assert_eq!(called("twin"), ["lc_t1", "lc_t2"]);
        assert_eq!(called("lc"), ["lc_zzzzz"], "a whole name counts before a part of a beginning");
        assert_eq!(called(&format!("lc_aB3x9{}", "y".repeat(35))), ["lc_aB3x9"], "a whole key");
        for nobody in ["", "...", "Alice", "c_aB3", "lc_", "lc_z", "lc_aB3x9y", "LC_AB3"] {
            assert_eq!(called(nobody), [""; 0], "{nobody}");
        }
    }
}
