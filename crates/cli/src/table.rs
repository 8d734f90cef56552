//! Rows as text: aligned tables for people, CSV for spreadsheets.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// A value as one table cell, `key: value` text or CSV field: strings bare, null empty, nested values as compact JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Text that does nothing but stand there: control characters (also those that begin escape sequences) and what turns the
/// direction of writing are spelt out. Lines and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let stays = match c {
            '\n' | '\t' => true,
            // Alone, it lets a line be written over.
            '\r' => rest.peek() == Some(&'\n'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
            c => !c.is_control(),
        };
        match stays {
            true => shown.push(c),
            false => spell(c, &mut shown),
        }
    }
    shown
}

/// The same on one line: what begins a new one, and tabs, become blanks. What is only invisible is spelt out too.
pub(crate) fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => shown.push(' '),
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' => spell(c, &mut shown),
            c => shown.push(c),
        }
    }
    harmless(&shown)
}

/// `\x1b`, `\u{202e}`
fn spell(c: char, shown: &mut String) {
    match u32::from(c) {
        code @ ..0x100 => shown.push_str(&format!("\\x{code:02x}")),
        code => shown.push_str(&format!("\\u{{{code:x}}}")),
    }
}

/// The member a column names; dots lead into nested objects.
pub(crate) fn cell<'a>(row: &'a Value, column: &str) -> &'a Value {
    column.split('.').fold(row, |value, key| &value[key])
}

/// The cells of `rows` under `columns`.
pub(crate) fn cells(columns: &[&str], rows: &[Value]) -> Vec<Vec<String>> {
    rows.iter().map(|row| columns.iter().map(|column| plain(cell(row, column))).collect()).collect()
}

/// Header, a row of dashes, the rows; columns are padded and two blanks apart.
pub(crate) fn human(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = grid(rows);
    table.set_header(header.iter().map(|name| one_line(name)));
    let mut lines = lines(&mut table);
    let widths = table.column_max_content_widths();
    let dashes = widths.iter().map(|width| "-".repeat(usize::from(*width))).collect::<Vec<_>>().join("  ");
    lines.insert(1.min(lines.len()), dashes);
    lines.join("\n")
}

/// The rows alone, each a line, with their columns in the same places.
pub(crate) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    lines(&mut grid(rows))
}

fn grid(rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>());
    }
    table
}

fn lines(table: &mut Table) -> Vec<String> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Header and rows as CSV.
pub(crate) fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let header = header.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",");
    let rows = rows.iter().map(|row| row.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(","));
    std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n")
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_with_two_blanks_between_columns() {
        let rows = [
            json!({"number": "1.1", "title": "Anmeldung 日本", "assigned": null}),
            json!({"number": "1.10", "title": "x", "assigned": {"name": "w"}}),
        ];
        let expected = "\
number  title           assigned.name
------  --------------  -------------
1.1     Anmeldung 日本
1.10    x               w";
        let columns = ["number", "title", "assigned.name"];
        assert_eq!(human(&columns, &cells(&columns, &rows)), expected);
    }

    #[test]
    fn an_empty_table_still_has_header_and_dashes() {
        assert_eq!(human(&["id", "name"], &[]), "id  name\n--  ----");
    }

    #[test]
    fn server_text_cannot_break_lines_or_send_escape_sequences() {
        let rows = [vec!["a\nb\u{1b}[2J\tc".to_owned()]];
        assert_eq!(human(&["title"], &rows), "title\n------------\na b\\x1b[2J c");
        assert_eq!(human(&["a\nb"], &[]), "a b\n---");
        for line in ['\n', '\r', '\t', '\u{85}', '\u{2028}', '\u{2029}'] {
            assert_eq!(one_line(&format!("a{line}b")), "a b", "{line:?}");
        }
        for hidden in ['\u{202e}', '\u{2066}', '\u{2069}', '\u{200f}', '\u{200b}', '\u{61c}'] {
            assert_eq!(one_line(&format!("a{hidden}b")), format!("a\\u{{{:x}}}b", u32::from(hidden)));
        }
        assert_eq!(one_line("Zoë 日本 👩\u{200d}🚀"), "Zoë 日本 👩\u{200d}🚀");
    }

    #[test]
    fn whatever_moves_the_cursor_is_spelt_out() {
        let controls = ('\u{0}'..'\u{20}').chain('\u{7f}'..'\u{a0}').filter(|c| !"\n\t".contains(*c));
        for c in controls {
            assert_eq!(harmless(&format!("a{c}b")), format!("a\\x{:02x}b", u32::from(c)));
        }
        for c in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(harmless(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        let text = "Zoë\t日本\r\n\"👩\u{200d}🚀\"\n";
        assert_eq!(harmless(text), text);
    }

    #[test]
    fn csv_quotes_only_what_needs_it() {
        let rows = [
            json!({"a": "x,y", "b": "say \"hi\"", "c": "two\nlines"}),
            json!({"a": 1, "b": true, "c": ["p"]}),
        ];
        let columns = ["a", "b", "c"];
        assert_eq!(
            csv(&columns, &cells(&columns, &rows)),
            "a,b,c\n\"x,y\",\"say \"\"hi\"\"\",\"two\nlines\"\n1,true,\"[\"\"p\"\"]\""
        );
    }
}
