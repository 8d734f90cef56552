//! Text that is put together while the program is compiled.

/// How long the parts are together, with a separator between them.
pub(crate) const fn length(parts: &[&str], separator: &str) -> usize {
    let (mut total, mut at) = (0, 0);
    while at < parts.len() {
        total += parts[at].len();
        if at > 0 {
            total += separator.len();
        }
        at += 1;
    }
    total
}

/// The parts together, with a separator between them. `N` is their [`length`].
pub(crate) const fn join<const N: usize>(parts: &[&str], separator: &str) -> [u8; N] {
    let (mut text, mut end, mut at) = ([0; N], 0, 0);
    while at < parts.len() {
        if at > 0 {
            (text, end) = append(text, end, separator);
        }
        (text, end) = append(text, end, parts[at]);
        at += 1;
    }
    text
}

const fn append<const N: usize>(mut text: [u8; N], mut end: usize, part: &str) -> ([u8; N], usize) {
    let bytes = part.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        text[end] = bytes[at];
        end += 1;
        at += 1;
    }
    (text, end)
}

/// The bytes as text.
#[allow(clippy::panic, reason = "runs while the program is compiled")]
pub(crate) const fn of(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("texts together are a text"),
    }
}

/// Where a statement has its `{*}`; its length without one.
pub(crate) const fn placeholder(sql: &str) -> usize {
    let bytes = sql.as_bytes();
    let mut at = 0;
    while at + 3 <= bytes.len() {
        if bytes[at] == b'{' && bytes[at + 1] == b'*' && bytes[at + 2] == b'}' {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// A statement in three parts: what is before `{*}`, the columns that it stands for, and the rest.
pub(crate) const fn with_columns(sql: &'static str, columns: &'static str) -> [&'static str; 3] {
    let at = placeholder(sql);
    if at == sql.len() {
        return [sql, "", ""];
    }
    let (before, rest) = sql.split_at(at);
    [before, columns, rest.split_at(3).1]
}

/// Puts constant texts together.
macro_rules! constant_text {
    ($parts:expr) => {{
        const PARTS: &[&str] = &$parts;
        const TEXT: [u8; $crate::db::text::length(PARTS, "")] = $crate::db::text::join(PARTS, "");
        $crate::db::text::of(&TEXT)
    }};
}

pub(crate) use constant_text;
