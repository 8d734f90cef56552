//! The only place that writes: data to stdout in the chosen format, everything else to stderr.

use std::io::{ErrorKind, IsTerminal as _, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::table;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The response body, unchanged.
    Json,
    /// Tables and `key: value` lines.
    Human,
    /// Header row and data rows.
    Csv,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false)
            .map_err(|_| format!("Invalid format '{text}'. Valid formats: json, human, csv"))
    }
}

/// Printer with the resolved format.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    data_only: bool,
}

impl Output {
    pub(crate) fn new(format: Format, data_only: bool) -> Self {
        Self { format, data_only }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// True where a person reads the output.
    pub(crate) fn human(&self) -> bool {
        self.format == Format::Human
    }

    /// True where a program reads the body itself.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Text for people or tables on stdout, whatever it holds.
    pub(crate) fn line(&self, text: &str) -> Result<(), Error> {
        write(&mut std::io::stdout().lock(), &table::harmless(text))
    }

    /// A text as it was written, to the last sign; on a terminal it does nothing but stand there.
    pub(crate) fn as_written(&self, text: &str) -> Result<(), Error> {
        if std::io::stdout().is_terminal() {
            return self.line(text.trim_end());
        }
        self.bytes(text.as_bytes()).map(drop)
    }

    /// Text in which something stands out, and of which the rest is harmless already.
    pub(crate) fn styled(&self, text: &str) -> Result<(), Error> {
        self.bytes(text.as_bytes()).map(drop)
    }

    /// Part of a body that is printed as it arrives. False when nobody reads any more.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<bool, Error> {
        let mut stdout = std::io::stdout().lock();
        unless_closed(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// Text that belongs to the data for people, but must not disturb a script's stdout.
    pub(crate) fn aside(&self, text: &str) -> Result<(), Error> {
        if self.human() {
            return self.line(&table::one_line(text));
        }
        note(text);
        Ok(())
    }

    /// A body as JSON, whatever the format.
    pub(crate) fn json(&self, body: &Value) -> Result<(), Error> {
        let data = body.get("data").filter(|_| self.data_only);
        if let Some(rows) = data.and_then(Value::as_array) {
            note_part(body, rows.len());
        }
        let shown = data.unwrap_or(body);
        write(&mut std::io::stdout().lock(), &format!("{shown:#}"))
    }

    /// An answer about one thing. For people and CSV the thing is taken out of its envelope (`{"story": {...}}`).
    pub(crate) fn object(&self, body: &Value, envelope: &str) -> Result<(), Error> {
        self.step(body, envelope, "")
    }

    /// An answer about a step of a story. What can be called next is called for `story`, where the thing has no number itself.
    pub(crate) fn step(&self, body: &Value, envelope: &str, story: &str) -> Result<(), Error> {
        match self.format {
            Format::Json => self.json(body),
            Format::Human => self.line(&object_lines(body, envelope, story).join("\n")),
            Format::Csv => {
                let mut members = unwrap(body, envelope);
                members.remove("next_actions");
                let header: Vec<&str> = members.keys().map(String::as_str).collect();
                self.line(&table::csv(&header, &[members.values().map(table::plain).collect()]))
            }
        }
    }

    /// A list answer as it came. People read `none` when the list is empty.
    pub(crate) fn list(&self, body: &Value, columns: &[&str], none: &str) -> Result<(), Error> {
        self.rows(body, rows_of(body), columns, none)
    }

    /// A list answer whose rows were prepared for tables (`body` is what JSON prints).
    pub(crate) fn rows(
        &self,
        body: &Value,
        rows: &[Value],
        columns: &[&str],
        none: &str,
    ) -> Result<(), Error> {
        match self.format {
            Format::Json => self.json(body),
            Format::Csv => {
                note_part(body, rows.len());
                self.line(&table::csv(columns, &table::cells(columns, rows)))
            }
            Format::Human if rows.is_empty() && body["meta"]["total_count"].as_u64().unwrap_or(0) == 0 => {
                self.line(none)
            }
            Format::Human if rows.is_empty() => self.line(&format!("Nothing here: {}", footer(body, 0))),
            Format::Human => {
                self.line(&table::human(columns, &table::cells(columns, rows)))?;
                self.line(&footer(body, rows.len()))
            }
        }
    }

    /// An answer about one thing that holds the list `below`. People get the list as a table below the thing.
    pub(crate) fn object_with_rows(
        &self,
        body: &Value,
        envelope: &str,
        below: &str,
        row: impl Fn(&Value) -> Value,
        columns: &[&str],
        none: &str,
    ) -> Result<(), Error> {
        if !self.human() {
            return self.object(body, envelope);
        }
        let mut object = body[envelope].clone();
        let list = object.as_object_mut().and_then(|members| members.shift_remove(below)).unwrap_or_default();
        self.object(&object, "")?;
        let rows: Vec<Value> = rows_of(&list).iter().map(row).collect();
        let table = || table::human(columns, &table::cells(columns, &rows));
        self.line(&format!("\n{}", if rows.is_empty() { none.to_owned() } else { table() }))
    }
}

/// Plain text on stdout for commands without a format; gives the exit code.
pub(crate) fn print_text(text: &str) -> u8 {
    write(&mut std::io::stdout().lock(), text).map_or_else(|error| error.exit_code(), |()| 0)
}

/// One line on stderr, whatever the text holds. A closed stderr must not end the command, so failures are ignored.
pub(crate) fn note(text: &str) {
    let _ = write(&mut std::io::stderr().lock(), &table::one_line(text));
}

/// A text of several lines on stderr.
pub(crate) fn notes(text: &str) {
    text.split('\n').for_each(note);
}

/// A body on stderr for scripts, which need it unchanged.
pub(crate) fn note_body(body: &Value) {
    let _ = write(&mut std::io::stderr().lock(), &body.to_string());
}

fn write(stream: &mut impl Write, text: &str) -> Result<(), Error> {
    unless_closed(writeln!(stream, "{text}").and_then(|()| stream.flush())).map(drop)
}

/// A reader that stopped reading (`| head`) has what it wanted: that is no failure. False says that it stopped.
fn unless_closed(result: std::io::Result<()>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Other(format!("Cannot write: {error}"))),
    }
}

/// The rows of a list answer: `data`, or the only list a body carries under its own name (`api_keys`, `agents`).
pub(crate) fn rows_of(body: &Value) -> &[Value] {
    let list = body
        .as_array()
        .or_else(|| body["data"].as_array())
        .or_else(|| body.as_object().and_then(|members| members.values().find_map(Value::as_array)));
    list.map_or(&[], Vec::as_slice)
}

/// Says so when a list is not the whole one, where neither a footer nor the rest of the body does.
fn note_part(body: &Value, shown: usize) {
    if let Some(part) = part(body, shown) {
        note(&part);
    }
}

fn part(body: &Value, shown: usize) -> Option<String> {
    let total = body["meta"]["total_count"].as_u64().filter(|total| *total > shown as u64)?;
    let part = format!("note: {shown} of {total} rows");
    Some(if is_in_pages(body) { format!("{part}: {}", footer(body, shown)) } else { part })
}

/// Whether there is a next page to ask for.
fn is_in_pages(body: &Value) -> bool {
    ["page", "page_size", "limit"].iter().any(|key| body["meta"][*key].is_u64())
}

/// `page x of y, n total`, from whichever kind of paging the list has.
pub(crate) fn footer(body: &Value, shown: usize) -> String {
    let number = |key: &str| body["meta"][key].as_u64();
    let total = number("total_count").unwrap_or(shown as u64);
    if !is_in_pages(body) && total > shown as u64 {
        return format!("{shown} of {total}");
    }
    let size = number("page_size").or(number("limit")).unwrap_or(total).max(1);
    let page = number("page").unwrap_or_else(|| number("offset").unwrap_or(0) / size + 1);
    let pages = number("total_pages").unwrap_or_else(|| total.div_ceil(size));
    format!("page {page} of {}, {total} total", pages.max(1))
}

/// The members to show: those of the envelope, then what stands beside it.
fn unwrap(body: &Value, envelope: &str) -> Map<String, Value> {
    let Value::Object(members) = body else {
        return Map::from_iter([("value".to_owned(), body.clone())]);
    };
    let Some(Value::Object(inner)) = members.get(envelope) else {
        return members.clone();
    };
    let beside =
        members.iter().filter(|(key, _)| key.as_str() != envelope && !inner.contains_key(key.as_str()));
    inner.iter().chain(beside).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn object_lines(body: &Value, envelope: &str, story: &str) -> Vec<String> {
    let members = unwrap(body, envelope);
    let mut lines: Vec<String> = members
        .iter()
        .filter(|(key, _)| key.as_str() != "next_actions")
        .map(|(key, value)| table::one_line(&format!("{key}: {}", said(key, value))).trim_end().to_owned())
        .collect();
    for next in members.get("next_actions").and_then(Value::as_array).into_iter().flatten() {
        lines.push(next_line(next, members.get("number").map(table::plain).as_deref().unwrap_or(story)));
    }
    lines
}

/// A member's value, in words where the value alone tells nobody what it means.
fn said(key: &str, value: &Value) -> String {
    match (key, value) {
        ("contract_stale", Value::Bool(true)) => {
            "true (title or criteria have changed since they were contracted)".to_owned()
        }
        ("verification_stale", Value::Bool(true)) => {
            "true (title or criteria have changed since they were verified)".to_owned()
        }
        _ => table::plain(value),
    }
}

/// `next: request-review 2.1  (POST /api/v1/stories/.../request-review)`: the command to type, then the call behind it.
fn next_line(next: &Value, story: &str) -> String {
    let text = |value: &Value| table::one_line(&table::plain(value));
    let command = text(&next["action"]).replace('_', "-");
    let command = table::one_line(&format!("{command} {story}"));
    format!("next: {}  ({} {})", command.trim_end(), text(&next["method"]), text(&next["path"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_leaves_its_envelope_and_names_the_next_step() {
        let body = json!({"story": {"id": "u", "number": "2.1", "title": "Login", "assigned_at": null, "metadata": {"a": 1}},
            "next_actions": [{"action": "request_review", "method": "POST", "path": "/api/v1/stories/u/request-review"}]});
        assert_eq!(
            object_lines(&body, "story", ""),
            [
                "id: u",
                "number: 2.1",
                "title: Login",
                "assigned_at:",
                "metadata: {\"a\":1}",
                "next: request-review 2.1  (POST /api/v1/stories/u/request-review)"
            ]
        );
    }

    #[test]
    fn what_comes_next_is_for_the_story_that_was_named() {
        let next = json!([{"action": "verify", "method": "POST", "path": "/x"}]);
        let body = json!({"review_record": {"review_type": "code"}, "next_actions": next});
        assert_eq!(
            object_lines(&body, "review_record", "2.1"),
            ["review_type: code", "next: verify 2.1  (POST /x)"]
        );
        let body = json!({"story": {"number": "2.1"}, "next_actions": next});
        assert_eq!(object_lines(&body, "story", "an id")[1], "next: verify 2.1  (POST /x)");
    }

    #[test]
    fn what_is_stale_says_why() {
        let body = json!({"story": {"contract_stale": true, "verification_stale": false}});
        assert_eq!(
            object_lines(&body, "story", ""),
            [
                "contract_stale: true (title or criteria have changed since they were contracted)",
                "verification_stale: false"
            ]
        );
        let body = json!({"story": {"verification_stale": true}});
        assert!(
            object_lines(&body, "story", "")[0]
                .ends_with("(title or criteria have changed since they were verified)")
        );
    }

    #[test]
    fn members_beside_the_envelope_stay_visible() {
        let body = json!({"status": "verified", "story": {"number": "1"}, "run_id": null});
        assert_eq!(object_lines(&body, "story", ""), ["number: 1", "status: verified", "run_id:"]);
    }

    #[test]
    fn the_footer_understands_both_kinds_of_paging() {
        let page = json!({"meta": {"page": 2, "page_size": 20, "total_count": 42, "total_pages": 3}});
        assert_eq!(footer(&page, 20), "page 2 of 3, 42 total");
        let offset = json!({"meta": {"total_count": 250, "limit": 100, "offset": 100}});
        assert_eq!(footer(&offset, 100), "page 2 of 3, 250 total");
        assert_eq!(footer(&json!({"api_keys": []}), 3), "page 1 of 1, 3 total");
        // No page shows the rest.
        assert_eq!(footer(&json!({"meta": {"total_count": 1500, "truncated": true}}), 1000), "1000 of 1500");
        assert_eq!(
            footer(&json!({"meta": {"page": 1, "total_count": 0, "total_pages": 0}}), 0),
            "page 1 of 1, 0 total"
        );
    }

    #[test]
    fn a_part_says_that_it_is_one() {
        let body =
            json!({"data": [], "meta": {"page": 2, "page_size": 20, "total_count": 42, "total_pages": 3}});
        assert_eq!(part(&body, 20).unwrap(), "note: 20 of 42 rows: page 2 of 3, 42 total");
        assert_eq!(part(&body, 42), None);
        let cut = json!({"data": {}, "meta": {"total_count": 1500, "truncated": true}});
        assert_eq!(part(&cut, 1000).unwrap(), "note: 1000 of 1500 rows");
        assert_eq!(part(&json!({"agents": []}), 3), None);
    }

    #[test]
    fn rows_are_found_under_data_or_their_own_name() {
        assert_eq!(rows_of(&json!({"api_keys": [1], "data": [1, 2]})).len(), 2);
        assert_eq!(rows_of(&json!({"total": 3, "agents": [1]})).len(), 1);
        assert_eq!(rows_of(&json!({"error": 1})).len(), 0);
    }
}
