//! What commands with access to the database print: JSON unless another format is wanted, and what is wrong on stderr.

use serde_json::Value;

use super::jobs;
use crate::error::Error;
use crate::layout::object;
use crate::layout::table::Column;
use crate::output::{self, Format, Output, rows_of};

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
const DIFFERENCES: &[Column<'_>] = &[
    Column::word("entity"),
    Column::text("kept"),
    Column::text("found"),
    Column::id("tenant_id"),
    Column::reference("id"),
];
const VIOLATIONS: &[Column<'_>] = &[
    Column::reference("violation_type").called("what"),
    Column::word("entity_type").called("of"),
    Column::time("discovered_at").called("found"),
    Column::text("detail"),
    Column::id("tenant_id"),
    Column::id("id"),
];
const UNREADABLE: &[Column<'_>] = &[
    Column::text("reason"),
    Column::word("name").if_any(),
    Column::reference("webhook_id").if_any(),
    Column::reference("tenant_id"),
];
/// How long details may be on one line: a few lines of a terminal, of which the table shows what fits.
const DETAIL: usize = 200;
const LINKS: &[Column<'_>] = &[Column::text("from"), Column::text("to")];

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
    let listed = |below, columns, none| {
        let row = |row: &Value| spelt(row);
        output.object_with_rows(body, envelope, below, row, columns, none)
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
        ("check" | "audit", _) => listed("differences", DIFFERENCES, "All is as it should be."),
        ("scan", _) => listed("violations", VIOLATIONS, "Nothing was found that ought not to be there."),
        ("secrets", _) => listed("failures", UNREADABLE, "All can be read."),
        ("wiki", _) => listed("links", LINKS, "All links lead somewhere."),
        ("job" | "api_key", _) => output.object(body, envelope),
        _ => output.object(body, ""),
    }
}

/// A row whose details are in words.
fn spelt(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(detail) = row["detail"].as_object() {
        row["detail"] = object::folded(detail, DETAIL).into();
    }
    row
}
