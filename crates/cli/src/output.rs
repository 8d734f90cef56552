//! The only place that writes: data to stdout in the chosen format, everything else to stderr.

use std::cell::RefCell;
use std::io::{ErrorKind, IsTerminal as _, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::layout::block::Block;
use crate::layout::table::Column;
use crate::layout::{self, Screen, pager};
use crate::table;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The response body, unchanged.
    Json,
    /// Laid out for people: tables, and things from top to bottom.
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

/// What people see of an answer, beyond the usual.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Shown {
    /// Ids, and times to the second.
    pub(crate) wide: bool,
    /// What is folded otherwise.
    pub(crate) full: bool,
    /// What is longer than the screen is not shown in a pager.
    pub(crate) no_pager: bool,
}

/// Printer with the resolved format.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    data_only: bool,
    screen: Screen,
    /// What people will see when all of it is there, because it may need a pager.
    held: Option<RefCell<String>>,
}

impl Output {
    pub(crate) fn new(format: Format, data_only: bool) -> Self {
        Self { format, data_only, screen: Screen::of_stdout(false, false), held: None }
    }

    /// One for answers that may be long.
    pub(crate) fn of(format: Format, data_only: bool, shown: Shown) -> Self {
        let is_paged = format == Format::Human && !shown.no_pager && std::io::stdout().is_terminal();
        Self {
            format,
            data_only,
            screen: Screen::of_stdout(shown.wide, shown.full),
            held: is_paged.then(RefCell::default),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// What people look at.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
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
        self.styled(&(table::harmless(text) + "\n"))
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
        match &self.held {
            Some(held) => {
                held.borrow_mut().push_str(text);
                Ok(())
            }
            None => unless_closed(write_out(text.as_bytes())).map(drop),
        }
    }

    /// What was laid out for people.
    pub(crate) fn block(&self, block: Block<'_>) -> Result<(), Error> {
        self.styled(&(block.text() + "\n"))
    }

    /// Part of a body that is printed as it arrives. False when nobody reads any more.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<bool, Error> {
        self.flush()?;
        unless_closed(write_out(bytes))
    }

    /// Shows what there is so far, because somebody is asked about it, or more comes only in time.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let held = self.held.as_ref().map(RefCell::take).unwrap_or_default();
        if held.is_empty() { Ok(()) } else { unless_closed(write_out(held.as_bytes())).map(drop) }
    }

    /// Shows all there is: in a pager, where it is longer than the screen.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if let Some(held) = &self.held
            && pager::is_needed(&held.borrow())
            && let Some(command) = pager::command()
            && pager::show(&command, &held.borrow())
        {
            held.take();
        }
        self.flush()
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
        self.flush()?;
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
            Format::Human => self.block(object(body, envelope, story, &self.screen)),
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
        self.table(body, rows, columns, &layout::table::by_name(columns), none)
    }

    /// The same with columns of their own for people.
    pub(crate) fn table(
        &self,
        body: &Value,
        rows: &[Value],
        columns: &[&str],
        told: &[Column<'_>],
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
                self.columns(told, rows)?;
                self.line(&footer(body, rows.len()))
            }
        }
    }

    /// A table for people alone, below which nothing says how many rows there are.
    pub(crate) fn columns(&self, columns: &[Column<'_>], rows: &[Value]) -> Result<(), Error> {
        self.styled(&(layout::table::human(columns, rows, &self.screen) + "\n"))
    }

    /// An answer about one thing that holds the list `below`. People get the list as a table below the thing.
    pub(crate) fn object_with_rows(
        &self,
        body: &Value,
        envelope: &str,
        below: &str,
        row: impl Fn(&Value) -> Value,
        columns: &[Column<'_>],
        none: &str,
    ) -> Result<(), Error> {
        if !self.human() {
            return self.object(body, envelope);
        }
        let mut members = body[envelope].clone();
        let list =
            members.as_object_mut().and_then(|members| members.shift_remove(below)).unwrap_or_default();
        let mut block = object(&members, "", "", &self.screen);
        let rows: Vec<Value> = rows_of(&list).iter().map(row).collect();
        block.blank();
        match rows.is_empty() {
            true => block.line(none.to_owned()),
            false => block.table(columns, &rows),
        }
        self.block(block)
    }
}

impl Drop for Output {
    /// Nothing is lost of what was said, however the command ends.
    fn drop(&mut self) {
        let _ = self.finish();
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

fn write_out(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
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

fn object<'s>(body: &Value, envelope: &str, story: &str, screen: &'s Screen) -> Block<'s> {
    let mut members = unwrap(body, envelope);
    let next = members.remove("next_actions");
    let mut block = layout::object::block(&members, screen);
    let number = members.get("number").map(table::plain);
    next_steps(&mut block, next.as_ref(), number.as_deref().unwrap_or(story), screen);
    block
}

/// What can be called next: the command to type, and with `--wide` the call behind it.
pub(crate) fn next_steps(block: &mut Block<'_>, next: Option<&Value>, story: &str, screen: &Screen) {
    for next in next.and_then(Value::as_array).into_iter().flatten() {
        let text = |value: &Value| table::one_line(&table::plain(value));
        let command = text(&next["action"]).replace('_', "-");
        let command = table::one_line(&format!("next: loopctl {command} {story}"));
        let call = format!("  ({} {})", text(&next["method"]), text(&next["path"]));
        block.line(format!("{}{}", command.trim_end(), if screen.is_wide { &call } else { "" }));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(body: &Value, envelope: &str, story: &str, screen: &Screen) -> String {
        object(body, envelope, story, screen).text()
    }

    #[test]
    fn an_object_leaves_its_envelope_and_names_the_next_step() {
        let body = json!({"story": {"id": "u", "number": "2.1", "title": "Login", "assigned_at": null, "metadata": {"a": 1}},
            "next_actions": [{"action": "request_review", "method": "POST", "path": "/api/v1/stories/u/request-review"}]});
        let expected = "2.1  Login\n\nmetadata: a: 1\nnext: loopctl request-review 2.1";
        assert_eq!(told(&body, "story", "", &Screen::of(80)), expected);
        let wide = told(&body, "story", "", &Screen { is_wide: true, ..Screen::of(80) });
        assert!(wide.ends_with("request-review 2.1  (POST /api/v1/stories/u/request-review)"), "{wide}");
    }

    #[test]
    fn what_comes_next_is_for_the_story_that_was_named() {
        let next = json!([{"action": "verify", "method": "POST", "path": "/x"}]);
        let body = json!({"review_record": {"review_type": "code"}, "next_actions": next});
        let of = |body: &Value, envelope, story| told(body, envelope, story, &Screen::of(80));
        assert_eq!(of(&body, "review_record", "2.1"), "review type: code\nnext: loopctl verify 2.1");
        let body = json!({"story": {"number": "2.1"}, "next_actions": next});
        assert!(of(&body, "story", "an id").ends_with("next: loopctl verify 2.1"));
    }

    #[test]
    fn members_beside_the_envelope_stay_visible() {
        let body = json!({"status": "verified", "story": {"number": "1"}, "run_id": null});
        assert_eq!(told(&body, "story", "", &Screen::of(80)), "number: 1\nstatus: verified");
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
