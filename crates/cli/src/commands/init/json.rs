//! Entries in a JSON file of somebody else's, which may have comments: put in without touching another byte, and so that taking them
//! out gives every byte back.
//!
//! The parser only says where values stand; the text itself is cut and joined. Who made what, is told by how it is written: within
//! `{` or `[` that was empty before, an entry has a blank on either side; what is made anew begins with a newline.

use std::ops::Range;

use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions};
use serde_json::{Map, Value};

use super::block::newline_of;

/// What belongs into a file.
#[derive(Debug)]
pub(super) struct Entry {
    /// The members that lead to it, from the outermost.
    pub(super) keys: &'static [&'static str],
    /// Whether they lead to a list that holds it, and not to the thing itself.
    pub(super) listed: bool,
    /// It.
    pub(super) value: Value,
    /// What one like it is, that is there already.
    pub(super) known: fn(&Value, &Value) -> Known,
}

/// What something is that stands where an entry belongs. In a list, several things do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Something that was put there by this program, now or at another time.
    Ours,
    /// Something for the same purpose that somebody else has written, or changed.
    Theirs,
    /// Something else.
    Other,
}

/// What came of an entry that was not put in or taken out.
pub(super) type Kept = Vec<String>;

/// What is left of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing that somebody else has written.
    Nothing,
    /// Text.
    Text(String),
}

/// A new file with the entries, and `companions`, members that such a file needs besides.
pub(super) fn fresh(entries: &[Entry], companions: &Map<String, Value>) -> String {
    let mut root = Map::new();
    for entry in entries {
        let (first, rest) = entry.keys.split_first().unwrap_or((&"", &[]));
        merge(&mut root, first, nested(rest, entry));
    }
    root.extend(companions.clone());
    format!("{}\n", written(&Value::Object(root), "", "  ", "\n"))
}

fn merge(into: &mut Map<String, Value>, key: &str, value: Value) {
    match (into.get_mut(key), value) {
        (Some(Value::Object(there)), Value::Object(new)) => {
            new.into_iter().for_each(|(key, value)| merge(there, &key, value));
        }
        (_, value) => drop(into.insert(key.to_owned(), value)),
    }
}

/// `text` with the entries in it; and those that somebody else has written, which stay as they are.
pub(super) fn put(text: &str, entries: &[Entry]) -> Result<(String, Kept), String> {
    let (mark, text) = without_mark(text);
    let mut kept = Kept::new();
    let mut text = text.to_owned();
    for entry in entries {
        match Document::parse(&text)?.put(entry)? {
            Put::Text(new) => text = new,
            Put::There => {}
            Put::Kept => kept.push(entry.keys.join(".")),
        }
    }
    // It was cut by hand, so it is looked at once more.
    Document::parse(&text)?;
    Ok((format!("{mark}{text}"), kept))
}

/// `text` without what `put` has put in or made anew.
pub(super) fn take(text: &str, entries: &[Entry], companions: &Map<String, Value>) -> Result<Left, String> {
    let (mark, text) = without_mark(text);
    let mut text = text.to_owned();
    for entry in entries.iter().rev() {
        while let Some(left) = Document::parse(&text)?.take(entry, companions)? {
            match left {
                Left::Nothing => return Ok(Left::Nothing),
                Left::Text(new) => text = new,
            }
        }
    }
    Ok(Left::Text(format!("{mark}{text}")))
}

/// A byte order mark, if there is one, and the rest.
fn without_mark(text: &str) -> (&str, &str) {
    text.split_at(if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 })
}

/// A text as it is read.
pub(super) fn read(text: &str) -> Result<Value, String> {
    Ok(Document::parse(without_mark(text).1)?.root.into())
}

struct Document<'a> {
    text: &'a str,
    root: Node<'a>,
    tokens: Vec<TokenAndRange<'a>>,
}

enum Put {
    Text(String),
    There,
    Kept,
}

/// A `{}` or `[]`: where it and what it holds stands.
struct Container {
    whole: Range<usize>,
    items: Vec<Range<usize>>,
}

impl Container {
    fn of(node: &Node<'_>) -> Option<Self> {
        let range = |node: &dyn Ranged| node.start()..node.end();
        let items = match node {
            Node::Object(object) => object.properties.iter().map(|item| range(item)).collect(),
            Node::Array(array) => array.elements.iter().map(|item| range(item)).collect(),
            _ => return None,
        };
        Some(Self { whole: range(node), items })
    }

    fn opened(&self) -> usize {
        self.whole.start + 1
    }
}

impl<'a> Document<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let collect = CollectOptions { comments: CommentCollectionStrategy::AsTokens, tokens: true };
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        // Not the library's own words: they may quote the file, and what it quotes may be a secret.
        let parsed = jsonc_parser::parse_to_ast(text, &collect, &options)
            .map_err(|error| format!("it is no valid JSON, in line {}", error.line_display()))?;
        let root = parsed.value.ok_or("it is no valid JSON: there is nothing in it")?;
        if root.as_object().is_none() {
            return Err("it is no JSON object".to_owned());
        }
        Ok(Self { text, root, tokens: parsed.tokens.unwrap_or_default() })
    }

    fn put(&self, entry: &Entry) -> Result<Put, String> {
        let mut node = &self.root;
        for (depth, key) in entry.keys.iter().enumerate() {
            let object = self.object(node, &entry.keys[..depth])?;
            let Some(value) = member(object, key)? else {
                let value = nested(&entry.keys[depth + 1..], entry);
                return Ok(Put::Text(self.with(node, Some(key), &value)));
            };
            node = value;
        }
        if !entry.listed {
            return Ok(match (entry.known)(&plain(node), &entry.value) {
                Known::Ours if plain(node) == entry.value => Put::There,
                Known::Ours => Put::Text(self.replaced(node, &entry.value)),
                Known::Theirs | Known::Other => Put::Kept,
            });
        }
        let Node::Array(list) = node else {
            return Err(format!("`{}` in it is no list", entry.keys.join(".")));
        };
        let known =
            |known| list.elements.iter().find(|node| (entry.known)(&plain(node), &entry.value) == known);
        Ok(match (known(Known::Ours), known(Known::Theirs)) {
            (Some(ours), _) if plain(ours) == entry.value => Put::There,
            (Some(ours), _) => Put::Text(self.replaced(ours, &entry.value)),
            (None, Some(_)) => Put::Kept,
            (None, None) => Put::Text(self.with(node, None, &entry.value)),
        })
    }

    /// The text without one thing that is ours, or nothing if there is none.
    fn take(&self, entry: &Entry, companions: &Map<String, Value>) -> Result<Option<Left>, String> {
        // The way to it: each container, and which of its items is the next.
        let mut way = Vec::new();
        let mut node = &self.root;
        for (depth, key) in entry.keys.iter().enumerate() {
            let object = self.object(node, &entry.keys[..depth])?;
            let Some(value) = member(object, key)? else {
                return Ok(None);
            };
            let index = object.properties.iter().position(|property| property.name.as_str() == *key);
            way.push((node, index.unwrap_or_default()));
            node = value;
        }
        let ours = |node: &Node<'_>| (entry.known)(&plain(node), &entry.value) == Known::Ours;
        match node {
            Node::Array(list) if entry.listed => match list.elements.iter().position(ours) {
                Some(index) => way.push((node, index)),
                None => return Ok(None),
            },
            node if entry.listed || !ours(node) => return Ok(None),
            _ => {}
        }
        while let Some((node, index)) = way.pop() {
            let Some(container) = Container::of(node) else { break };
            if !self.is_made_for(&container) {
                let nothing = way.is_empty() && self.only_companions(&container, index, companions);
                return Ok(Some(match nothing {
                    true => Left::Nothing,
                    false => Left::Text(self.without(&container, index)),
                }));
            }
        }
        Ok(Some(Left::Nothing))
    }

    fn object<'n>(&self, node: &'n Node<'a>, keys: &[&str]) -> Result<&'n Object<'a>, String> {
        node.as_object().ok_or_else(|| format!("`{}` in it is no object", keys.join(".")))
    }

    /// The text with one more item at the end of a container.
    fn with(&self, node: &Node<'_>, key: Option<&str>, value: &Value) -> String {
        let Some(container) = Container::of(node) else {
            return self.text.to_owned();
        };
        let newline = newline_of(self.text);
        let unit = self.unit();
        let indentation = match container.items.last() {
            // It stands on the line of the bracket.
            None => self.indentation(container.whole.start).to_owned(),
            Some(last) if self.begins_line(last.start) => self.indentation(last.start).to_owned(),
            Some(_) => format!("{}{unit}", self.indentation(container.whole.start)),
        };
        let mut piece = key.map_or_else(String::new, |key| format!("{}: ", Value::from(key)));
        piece += &written(value, &indentation, unit, newline);
        let mut text = self.text.to_owned();
        let Some(last) = container.items.last() else {
            text.insert_str(container.opened(), &format!(" {piece} "));
            return text;
        };
        match self.comma_behind(last.end) {
            Some(comma) => {
                text.insert_str(self.behind_comments(comma.end), &format!("{newline}{indentation}{piece},"));
            }
            None => {
                text.insert_str(self.behind_comments(last.end), &format!("{newline}{indentation}{piece}"));
                text.insert(last.end, ',');
            }
        }
        text
    }

    /// The text without one item of a container.
    fn without(&self, container: &Container, index: usize) -> String {
        let item = &container.items[index];
        let own_comma = self.comma_behind(item.end);
        let end = own_comma.as_ref().map_or(item.end, |comma| comma.end);
        let mut text = self.text.to_owned();
        if container.items.len() == 1 && &self.text[container.opened()..item.start] == " " {
            let end = if self.text[end..].starts_with(' ') { end + 1 } else { end };
            text.replace_range(container.opened()..end, "");
            return text;
        }
        let comma = index.checked_sub(1).and_then(|before| self.comma_behind(container.items[before].end));
        let start = comma.as_ref().map_or(container.opened(), |comma| comma.end);
        text.replace_range(self.behind_comments(start)..end, "");
        if let (Some(comma), None) = (comma, own_comma) {
            text.replace_range(comma, "");
        }
        text
    }

    fn replaced(&self, node: &Node<'_>, value: &Value) -> String {
        let newline = newline_of(self.text);
        let mut text = self.text.to_owned();
        let written = written(value, self.indentation(node.start()), self.unit(), newline);
        text.replace_range(node.start()..node.end(), &written);
        text
    }

    /// Whether a container was made anew for its only item, and holds nothing else, not even a comment.
    fn is_made_for(&self, container: &Container) -> bool {
        let [item] = &container.items[..] else { return false };
        let before = &self.text[container.opened()..item.start];
        let after = &self.text[item.end..container.whole.end - 1];
        let around = (&self.text[..container.whole.start], &self.text[container.whole.end..]);
        let is_root = container.whole == (self.root.start()..self.root.end());
        before.starts_with(['\n', '\r'])
            && [before, after].iter().all(|text| text.trim().is_empty())
            && (!is_root || (around.0.is_empty() && around.1.trim().is_empty()))
    }

    /// Whether a file is left with nothing but what it was made with. In such a file the entries come first.
    fn only_companions(&self, root: &Container, index: usize, companions: &Map<String, Value>) -> bool {
        let Value::Object(mut members) = plain(&self.root) else { return false };
        let comments = self.tokens.iter().any(|token| is_comment(&token.token));
        let first = members.keys().next().cloned().unwrap_or_default();
        members.shift_remove(&first);
        index == 0 && !comments && self.text[root.opened()..].starts_with('\n') && &members == companions
    }

    /// The comma behind a place, if nothing but comments is between.
    fn comma_behind(&self, place: usize) -> Option<Range<usize>> {
        let next = self.tokens.iter().find(|token| token.start() >= place && !is_comment(&token.token))?;
        (next.token == Token::Comma).then(|| next.start()..next.end())
    }

    /// The end of the last comment that follows a place, or the place.
    fn behind_comments(&self, place: usize) -> usize {
        let following = self.tokens.iter().skip_while(|token| token.start() < place);
        following.take_while(|token| is_comment(&token.token)).last().map_or(place, Ranged::end)
    }

    fn line_before(&self, place: usize) -> &str {
        let before = &self.text[..place];
        before.rsplit_once('\n').map_or(before, |(_, line)| line)
    }

    fn begins_line(&self, place: usize) -> bool {
        place > 0 && self.line_before(place).trim().is_empty() && self.text[..place].contains('\n')
    }

    fn indentation(&self, place: usize) -> &str {
        let line = self.line_before(place);
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// By how much a level is indented.
    fn unit(&self) -> &str {
        let first = self.root.as_object().and_then(|object| object.properties.first());
        let first = first.filter(|first| self.begins_line(first.start()));
        first.map(|first| self.indentation(first.start())).filter(|unit| !unit.is_empty()).unwrap_or("  ")
    }
}

fn is_comment(token: &Token<'_>) -> bool {
    matches!(token, Token::CommentLine(_) | Token::CommentBlock(_))
}

fn plain(node: &Node<'_>) -> Value {
    node.clone().into()
}

fn member<'n, 'a>(object: &'n Object<'a>, key: &str) -> Result<Option<&'n Node<'a>>, String> {
    let mut found = object.properties.iter().filter(|property| property.name.as_str() == key);
    let first = found.next().map(|property| &property.value);
    if found.next().is_some() {
        return Err(format!("`{key}` is in it twice"));
    }
    Ok(first)
}

/// The entry within what leads to it.
fn nested(keys: &[&str], entry: &Entry) -> Value {
    let innermost = if entry.listed { Value::from(vec![entry.value.clone()]) } else { entry.value.clone() };
    keys.iter()
        .rev()
        .fold(innermost, |value, key| Value::Object(Map::from_iter([((*key).to_owned(), value)])))
}

/// A value as people write it: lists of words on one line, everything else one thing to a line.
fn written(value: &Value, indentation: &str, unit: &str, newline: &str) -> String {
    let deeper = format!("{indentation}{unit}");
    let lines = |open: char, items: Vec<String>, close: char| {
        let items = items.join(&format!(",{newline}{deeper}"));
        format!("{open}{newline}{deeper}{items}{newline}{indentation}{close}")
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}: {}", Value::from(key.as_str()), written(value, &deeper, unit, newline))
            };
            lines('{', members.iter().map(member).collect(), '}')
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            lines('[', items.iter().map(|item| written(item, &deeper, unit, newline)).collect(), ']')
        }
        other => other.to_string(),
    }
}
