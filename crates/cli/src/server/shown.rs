//! What commands with access to the database print: JSON unless another format is wanted, and what is wrong on stderr.

use serde_json::Value;

use super::jobs;
use crate::error::Error;
use crate::layout::block::{Block, Fact};
use crate::layout::table::Column;
use crate::layout::text::label;
use crate::layout::{Screen, object, times};
use crate::output::{self, Format, Output, rows_of};
use crate::table::plain;

const KEY_COLUMNS: &[&str] =
    &["id", "name", "key_prefix", "last_used_at", "expires_at", "revoked_at", "inserted_at"];
/// What is told of a new tenant on one line.
const TENANT_COLUMNS: &[&str] = &[
    "tenant.id",
    "tenant.name",
    "tenant.slug",
    "tenant.email",
    "tenant.status",
    "tenant.inserted_at",
    "api_key.id",
    "api_key.role",
    "api_key.name",
    "api_key.key_prefix",
    "api_key.raw_key",
];
/// A superadmin key is revoked by its id.
const KEYS: &[Column<'_>] = &[
    Column::text("name"),
    Column::word("key_prefix").called("begins with"),
    Column::time("last_used_at").called("used"),
    Column::time("expires_at").called("ends").if_any(),
    Column::time("revoked_at").called("revoked").if_any(),
    Column::reference("id"),
];
/// Counts that ought to be nothing, and what they mean.
const WRONG: [(&str, &str); 5] = [
    ("/check/different", "records are kept otherwise than they should be"),
    ("/audit/different", "entries or heads of the log are otherwise than they should be"),
    ("/scan/pending", "records ought not to be there; `loopctl admin violators` lists them"),
    ("/wiki/broken", "links lead nowhere"),
    ("/secrets/unreadable", "secrets cannot be read; the others can"),
];

/// Prints what a command gave, and says what is wrong with it; the exit code. Secrets are shown this once.
pub(crate) fn print(body: &Value, output: &Output) -> u8 {
    if body.pointer("/api_key/raw_key").is_some() {
        output::note("Save the raw key now: it is not shown again.");
    }
    if let Err(error) = laid_out(body, output).and_then(|()| output.finish()) {
        return error.report(output.format());
    }
    let job = jobs::failed(body);
    let count = |path| body.pointer(path).and_then(Value::as_u64).filter(|count| *count > 0);
    let mut wrong = WRONG.iter().filter_map(|(path, what)| Some(format!("{} {what}", count(path)?)));
    match wrong.next().or(job) {
        Some(wrong) => {
            output::note(&format!("Error: {wrong}"));
            1
        }
        None => 0,
    }
}

fn laid_out(body: &Value, output: &Output) -> Result<(), Error> {
    let envelope = body.as_object().and_then(|members| members.keys().next()).map_or("", String::as_str);
    let found = |below, none| match output.human() {
        true => output.block(with_each(&body[envelope], below, none, output.screen())),
        false => output.object(body, envelope),
    };
    match (envelope, output.format()) {
        (_, Format::Json) => output.json(body),
        ("jobs", _) => jobs::list(body, output),
        ("api_keys", _) => {
            output.table(body, rows_of(body), KEY_COLUMNS, KEYS, "There are no superadmin keys.")
        }
        ("tenant", Format::Csv) => output.rows(body, std::slice::from_ref(body), TENANT_COLUMNS, ""),
        ("tenant", _) => {
            output.object(&body["tenant"], "")?;
            output.line("")?;
            output.object(&body["api_key"], "")
        }
        ("check" | "audit", _) => found("differences", "All is as it should be."),
        ("scan", _) => found("violations", "Nothing was found that ought not to be there."),
        ("secrets", _) => found("failures", "All can be read."),
        ("wiki", _) => found("links", "All links lead somewhere."),
        ("job" | "api_key", _) => output.object(body, envelope),
        _ => output.object(body, ""),
    }
}

/// What a look through the database has counted, and below it each thing that it has found, with all that is known of it.
fn with_each<'s>(looked: &Value, below: &str, none: &str, screen: &'s Screen) -> Block<'s> {
    let mut counts = looked.as_object().cloned().unwrap_or_default();
    let each = counts.shift_remove(below).unwrap_or_default();
    let mut block = object::block(&counts, screen);
    block.blank();
    let each = rows_of(&each);
    if each.is_empty() {
        block.line(none.to_owned());
    }
    for members in each.iter().filter_map(Value::as_object) {
        block.blank();
        let facts: Vec<Fact> = members.iter().map(|(name, value)| fact(name, value, screen)).collect();
        block.facts(&facts);
    }
    block
}

fn fact(name: &str, value: &Value, screen: &Screen) -> Fact {
    let told = match value {
        Value::Object(members) => object::folded(members, screen.width),
        Value::String(time) if name.ends_with("_at") => times::told(time, screen),
        other => plain(other),
    };
    Fact::new(label(name), told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_see_all_of_what_was_found() {
        let found = json!({"entries": 7, "different": 1, "differences": [
            {"entity": "log_entry", "id": "i", "kept": "{\"position\": 3}", "found": "{\"position\": 2}"}]});
        let told = with_each(&found, "differences", "All is well.", &Screen::of(80)).text();
        let expected = "\
entries:   7
different: 1

entity: log_entry
id:     i
kept:   {\"position\": 3}
found:  {\"position\": 2}";
        assert_eq!(told, expected);
        let none = json!({"entries": 7, "different": 0, "differences": []});
        let told = with_each(&none, "differences", "All is well.", &Screen::of(80)).text();
        assert_eq!(told, "entries:   7\ndifferent: 0\n\nAll is well.");
    }
}
