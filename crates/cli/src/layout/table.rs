//! Tables that fit the screen: what is cut is the text that has the most.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Row, Table, presets};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{Screen, status, text, times};
use crate::table::{cell, one_line, plain};
use crate::terminal::Tone;

/// Between columns.
const GAP: usize = 2;

/// A column of a table, and the member of each row that stands in it; dots lead into nested objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    member: &'a str,
    head: Option<&'a str>,
    kind: Kind,
    shown: Shown,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What the next command takes: it is never cut.
    Reference,
    /// A name, a few words.
    Word,
    /// What may be long.
    Text,
    /// Figures, whose ends stand below each other.
    Number,
    /// A word of a state, in its colour.
    Status,
    Time,
}

/// When a column is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Always,
    /// Where a row has something in it.
    IfAny,
    IfWide,
}

impl<'a> Column<'a> {
    const fn new(member: &'a str, kind: Kind) -> Self {
        Self { member, head: None, kind, shown: Shown::Always }
    }

    pub(crate) const fn reference(member: &'a str) -> Self {
        Self::new(member, Kind::Reference)
    }

    pub(crate) const fn word(member: &'a str) -> Self {
        Self::new(member, Kind::Word)
    }

    pub(crate) const fn text(member: &'a str) -> Self {
        Self::new(member, Kind::Text)
    }

    pub(crate) const fn number(member: &'a str) -> Self {
        Self::new(member, Kind::Number)
    }

    pub(crate) const fn status(member: &'a str) -> Self {
        Self::new(member, Kind::Status)
    }

    pub(crate) const fn time(member: &'a str) -> Self {
        Self::new(member, Kind::Time)
    }

    /// The id of something that has a shorter name.
    pub(crate) const fn id(member: &'a str) -> Self {
        let mut column = Self::new(member, Kind::Reference);
        column.shown = Shown::IfWide;
        column
    }

    pub(crate) const fn called(mut self, head: &'a str) -> Self {
        self.head = Some(head);
        self
    }

    pub(crate) const fn if_any(mut self) -> Self {
        self.shown = Shown::IfAny;
        self
    }

    pub(crate) const fn if_wide(mut self) -> Self {
        self.shown = Shown::IfWide;
        self
    }

    /// Whether this member stands in it.
    pub(crate) fn is_of(&self, member: &str) -> bool {
        self.member == member
    }

    /// A column of which nothing is known but the name of the member.
    pub(crate) fn of(member: &'a str) -> Self {
        let name = member.rsplit('.').next().unwrap_or(member);
        match name {
            "id" => Self::reference(member),
            "number" | "slug" => Self::reference(member),
            "title" | "description" | "summary" | "reason" | "detail" | "details" | "what" | "mend"
            | "path" | "url" | "changelog" | "change" | "metadata" | "error" | "snippet" => {
                Self::text(member)
            }
            _ if name == "status" || name.ends_with("_status") || name == "result" || name == "severity" => {
                Self::status(member)
            }
            _ if name.ends_with("_at") => Self::time(member),
            _ if name.ends_with("_id") => Self::id(member),
            _ if ["_count", "_pct", "_percentage"].iter().any(|end| name.ends_with(end)) => {
                Self::number(member)
            }
            _ => Self::word(member),
        }
    }

    fn head(&self) -> String {
        one_line(&self.head.map_or_else(|| text::label(self.member), ToOwned::to_owned))
    }

    /// What stands in the cell of a row.
    fn cell(&self, row: &Value, screen: &Screen) -> String {
        let value = cell(row, self.member);
        let shown = match self.kind {
            Kind::Time => times::told(&plain(value), screen),
            Kind::Status => status::words(&plain(value)),
            _ => said(value),
        };
        one_line(&shown)
    }

    fn is_there(&self, rows: &[Value], screen: &Screen) -> bool {
        match self.shown {
            Shown::Always => true,
            Shown::IfWide => screen.is_wide,
            Shown::IfAny => screen.is_wide || rows.iter().any(|row| !is_nothing(cell(row, self.member))),
        }
    }
}

/// Whether a value says nothing to people.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A value as people read it on a line: lists with commas, what is true or not in words.
pub(crate) fn said(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(said).collect::<Vec<_>>().join(", ")
        }
        other => plain(other),
    }
}

/// The columns for members of which nothing is known but their names. Ids come last, and only where nothing else names a row.
pub(crate) fn by_name<'a>(members: &[&'a str]) -> Vec<Column<'a>> {
    let (ids, others): (Vec<&str>, Vec<&str>) = members.iter().partition(|member| **member == "id");
    let is_named = ["number", "slug"].iter().any(|name| members.contains(name));
    let id = |member| if is_named { Column::id(member) } else { Column::reference(member) };
    others.into_iter().map(Column::of).chain(ids.into_iter().map(id)).collect()
}

/// Header, a row of dashes, and the rows, no wider than the screen; columns are two blanks apart.
pub(crate) fn human(columns: &[Column<'_>], rows: &[Value], screen: &Screen) -> String {
    let columns: Vec<_> = columns.iter().filter(|column| column.is_there(rows, screen)).copied().collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| column.cell(row, screen)).collect()).collect();
    let heads: Vec<String> = columns.iter().map(Column::head).collect();
    let mut widths: Vec<usize> = heads.iter().map(|head| head.width()).collect();
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    if !screen.is_wide {
        fit(&mut widths, &columns, &heads, screen.width);
    }
    let cut = |texts: Vec<String>| -> Vec<String> {
        texts.iter().zip(&widths).map(|(text, width)| text::cut(text, *width)).collect()
    };
    let heads = cut(heads);
    let cells: Vec<Vec<String>> = cells.into_iter().map(cut).collect();
    let dashes = (0..heads.len()).map(|column| {
        let texts = cells.iter().chain([&heads]).filter_map(|row| row.get(column));
        "-".repeat(texts.map(|text| text.width()).max().unwrap_or(0))
    });
    let dashes = dashes.collect::<Vec<_>>().join(&" ".repeat(GAP));
    let mut table = bare(screen);
    let heads = heads.into_iter().map(|head| Cell::new(head).add_attribute(Attribute::Bold));
    table.set_header(heads.collect::<Vec<_>>());
    for row in cells {
        let cells = columns.iter().zip(row).map(|(column, text)| painted(column.kind, text));
        table.add_row(cells.collect::<Vec<_>>());
    }
    spread(&mut table, columns.len());
    for (column, shown) in table.column_iter_mut().zip(&columns) {
        if shown.kind == Kind::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.insert(1.min(lines.len()), dashes);
    lines.join("\n")
}

/// Rows alone, each a line, with their cells below each other: what the caller has cut already.
pub(crate) fn aligned(rows: Vec<Vec<(Tone, String)>>, screen: &Screen) -> Vec<String> {
    let mut table = bare(screen);
    for row in rows {
        let cells = row.into_iter().map(|(tone, text)| in_tone(Cell::new(one_line(&text)), tone));
        table.add_row(Row::from(cells.collect::<Vec<_>>()));
    }
    let columns = table.column_count();
    spread(&mut table, columns);
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn bare(screen: &Screen) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if screen.style.is_shown() {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    table
}

/// Puts blanks between columns, and none behind the last one: there is no more room than the screen has.
fn spread(table: &mut Table, columns: usize) {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 < columns { GAP as u16 } else { 0 }));
    }
}

fn painted(kind: Kind, text: String) -> Cell {
    let tone = if kind == Kind::Status { status::tone(&text) } else { Tone::Plain };
    in_tone(Cell::new(text), tone)
}

fn in_tone(cell: Cell, tone: Tone) -> Cell {
    match tone {
        Tone::Plain => cell,
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Quiet => cell.add_attribute(Attribute::Dim),
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Bad => cell.fg(Color::DarkRed),
        Tone::Waiting => cell.fg(Color::DarkYellow),
        Tone::Working => cell.fg(Color::DarkCyan),
    }
}

/// How far columns are cut, one kind after the other, until the table fits: texts, names, then all but references.
const CUTS: [(&[Kind], usize); 4] = [
    (&[Kind::Text], 24),
    (&[Kind::Text, Kind::Word], 12),
    (&[Kind::Text, Kind::Word], 8),
    (&[Kind::Text, Kind::Word, Kind::Number, Kind::Status, Kind::Time], 4),
];

/// Makes the widest of what may be cut narrower, until all fit into `room`, or nothing more can be cut.
fn fit(widths: &mut [usize], columns: &[Column<'_>], heads: &[String], room: usize) {
    let taken = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    for (kinds, shortest) in CUTS {
        while taken(widths) > room {
            let is_cut = |at: usize, width: usize| {
                let kind = columns.get(at).map(|column| column.kind);
                // What stands above it is legible as long as there is room somewhere else.
                let head = heads.get(at).map_or(0, |head| head.width().min(12));
                kind.is_some_and(|kind| kinds.contains(&kind)) && width > shortest.max(head)
            };
            let widest = widths.iter_mut().enumerate().filter(|(at, width)| is_cut(*at, **width));
            match widest.max_by_key(|(_, width)| **width) {
                Some((_, width)) => *width -= 1,
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::terminal::Style;

    const STORIES: &[Column<'_>] = &[
        Column::reference("number"),
        Column::text("title"),
        Column::status("agent_status").called("status"),
        Column::time("updated_at"),
        Column::number("hours").if_any(),
        Column::id("id"),
    ];

    fn rows() -> Vec<Value> {
        let id = "01a22a77-4223-741a-98bf-9ad8f1b16d2f";
        vec![
            json!({"id": id, "number": "1.1", "title": "Anmeldung 日本", "agent_status": "reported_done",
                   "updated_at": "2026-11-30T09:00:00Z", "hours": null}),
            json!({"id": id, "number": "1.10", "title": "A title that is as long as those that people really write, or longer",
                   "agent_status": "pending", "updated_at": null}),
        ]
    }

    #[test]
    fn a_table_fits_and_shows_what_people_look_for() {
        let expected = "\
number  title                      status         changed
------  -------------------------  -------------  -------
1.1     Anmeldung 日本             reported done  3 h ago
1.10    A title that is as lon...  pending";
        assert_eq!(human(STORIES, &rows(), &Screen::of(57)), expected);
        for width in [40, 80, 120] {
            let table = human(STORIES, &rows(), &Screen::of(width));
            assert!(table.lines().all(|line| line.width() <= width), "{table}");
        }
    }

    #[test]
    fn a_wide_table_has_everything() {
        let wide = Screen { is_wide: true, ..Screen::of(40) };
        let table = human(STORIES, &rows(), &wide);
        for part in ["  hours  id\n", "  2026-11-30T09:00:00Z  ", "write, or longer  ", "9ad8f1b16d2f"] {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
    }

    #[test]
    fn references_are_never_cut() {
        let columns = [Column::reference("id"), Column::word("name"), Column::status("state")];
        let row = json!({"id": "0192aaaa-0000-7000-8000-000000000001", "name": "A long name of a key", "state": "implementing"});
        let table = human(&columns, &[row], &Screen::of(50));
        assert!(table.contains("0192aaaa-0000-7000-8000-000000000001  "), "{table}");
        assert!(table.lines().all(|line| line.width() <= 50), "{table}");
    }

    #[test]
    fn an_empty_table_still_has_header_and_dashes() {
        let columns = [Column::of("id"), Column::of("inserted_at")];
        assert_eq!(human(&columns, &[], &Screen::of(80)), "id  created\n--  -------");
    }

    #[test]
    fn unknown_rows_have_their_ids_last_where_they_need_them() {
        let row = json!({"id": "i", "name": "bug", "slug": "b", "active": true, "inserted_at": "2026-11-30T11:00:00Z"});
        let told = |members: &[&str]| human(&by_name(members), std::slice::from_ref(&row), &Screen::of(80));
        assert_eq!(told(&["id", "name", "active"]), "name  active  id\n----  ------  --\nbug   yes     i");
        assert_eq!(told(&["id", "slug", "inserted_at"]), "slug  created\n----  ----------\nb     60 min ago");
    }

    #[test]
    fn values_are_said_in_words() {
        assert_eq!(said(&json!(["a", "b"])), "a, b");
        assert_eq!(said(&json!(true)), "yes");
        assert_eq!(said(&json!({"a": 1})), "{\"a\":1}");
        assert_eq!(said(&Value::Null), "");
    }

    #[test]
    fn states_have_their_colour_and_the_table_the_same_columns() {
        let bright = Screen { style: Style::bright(), ..Screen::of(80) };
        let table = human(
            &[Column::status("status"), Column::word("x")],
            &[json!({"status": "rejected", "x": 1})],
            &bright,
        );
        assert!(
            table.contains("\u{1b}[38;5;1mrejected") || table.contains("\u{1b}[31mrejected"),
            "{table:?}"
        );
        assert_eq!(
            console::measure_text_width(table.lines().last().unwrap()),
            "rejected  1".len(),
            "{table:?}"
        );
    }

    #[test]
    fn server_text_cannot_break_lines_or_send_escape_sequences() {
        let row = json!({"title": "a\nb\u{1b}[2J\tc"});
        assert_eq!(
            human(&[Column::of("title")], &[row], &Screen::of(80)),
            "title\n------------\na b\\x1b[2J c"
        );
    }
}
