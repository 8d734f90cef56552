//! What tools take: described once, for the schema that clients see and for the check before anything is sent.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What an id is not made of.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// Why a call was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Wrong(pub(crate) String);

impl Wrong {
    /// An argument is not there.
    pub(crate) fn lacks(name: &str) -> Self {
        Self(format!("{name} is required"))
    }

    /// An argument that must be an id is none.
    pub(crate) fn no_id(name: &str) -> Self {
        Self(format!("{name} {NO_ID}"))
    }
}

/// What is said of an argument that is no id.
const NO_ID: &str = "must be a canonical UUID";

/// What an argument is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// An id. Whoever has a role may send what stands for it, so whether it is one is seen where it is used.
    Id,
    Integer {
        least: Option<i64>,
        most: Option<i64>,
    },
    Number {
        least: f64,
        most: f64,
    },
    Flag,
    Choice(&'static [&'static str]),
    /// Whatever is in it.
    Anything,
    Object(&'static [Field]),
    Objects(&'static [Field], usize),
    /// So many texts at most.
    Texts(usize),
}

/// An argument of a tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    kind: Kind,
    is_required: bool,
    about: &'static str,
    deprecated: Option<&'static str>,
}

impl Field {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: false, about: "", deprecated: None }
    }

    pub(crate) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    pub(crate) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Whoever sends it is told this.
    pub(crate) const fn deprecated(self, hint: &'static str) -> Self {
        Self { deprecated: Some(hint), ..self }
    }

    /// What whoever has sent these is to be told of this one.
    pub(crate) fn hint(&self, sent: &Map<String, Value>) -> Option<&'static str> {
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        let is_sent = sent.get(self.name).is_some_and(|value| !value.is_null() && !is_blank(value));
        self.deprecated.filter(|_| is_sent)
    }

    fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if self.deprecated.is_some() {
            schema["deprecated"] = json!(true);
        }
        if !self.about.is_empty() {
            schema["description"] = json!(self.about);
        }
        schema
    }
}

/// Text.
pub(crate) const fn text(name: &'static str) -> Field {
    Field::new(name, Kind::Text)
}

/// A whole number.
pub(crate) const fn integer(name: &'static str) -> Field {
    Field::new(name, Kind::Integer { least: None, most: None })
}

/// A whole number from one to another.
pub(crate) const fn within(name: &'static str, least: i64, most: i64) -> Field {
    Field::new(name, Kind::Integer { least: Some(least), most: Some(most) })
}

/// A whole number from one on.
pub(crate) const fn at_least(name: &'static str, least: i64) -> Field {
    Field::new(name, Kind::Integer { least: Some(least), most: None })
}

/// An id.
pub(crate) const fn id(name: &'static str) -> Field {
    Field::new(name, Kind::Id)
}

/// Yes or no.
pub(crate) const fn flag(name: &'static str) -> Field {
    Field::new(name, Kind::Flag)
}

/// One of these words.
pub(crate) const fn choice(name: &'static str, words: &'static [&'static str]) -> Field {
    Field::new(name, Kind::Choice(words))
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Id => json!({"type": "string", "format": "uuid"}),
            Self::Integer { least, most } => {
                let mut schema = json!({"type": "integer"});
                for (name, value) in [("minimum", least), ("maximum", most)] {
                    if let Some(value) = value {
                        schema[name] = json!(value);
                    }
                }
                schema
            }
            Self::Number { least, most } => json!({"type": "number", "minimum": least, "maximum": most}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Choice(words) => json!({"type": "string", "enum": words}),
            Self::Anything => json!({"type": "object"}),
            Self::Object(fields) => schema(fields),
            Self::Objects(fields, most) => {
                json!({"type": "array", "items": schema(fields), "minItems": 1, "maxItems": most})
            }
            Self::Texts(most) => json!({"type": "array", "items": {"type": "string"}, "maxItems": most}),
        }
    }

    /// The value as it is sent on, or what is wrong with it.
    fn read(self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Text | Self::Id, Value::String(_))
            | (Self::Flag, Value::Bool(_))
            | (Self::Anything, Value::Object(_)) => Ok(value.clone()),
            (Self::Integer { least, most }, value) => integer_of(value, least, most),
            (Self::Number { least, most }, Value::Number(number)) => {
                let is_in_range = number.as_f64().is_some_and(|number| (least..=most).contains(&number));
                is_in_range.then(|| value.clone()).ok_or_else(|| format!("must be from {least} to {most}"))
            }
            (Self::Choice(words), Value::String(text)) if words.contains(&text.as_str()) => Ok(value.clone()),
            (Self::Choice(words), _) => Err(format!("must be one of {}", words.join(", "))),
            (Self::Object(fields), Value::Object(object)) => {
                read_all(fields, object).map(Value::Object).map_err(|(name, why)| format!("{name} {why}"))
            }
            (Self::Objects(_, most), Value::Array(all)) if all.is_empty() || all.len() > most => {
                Err(format!("must have 1 to {most} entries"))
            }
            (Self::Objects(fields, _), Value::Array(all)) => {
                let read = |(at, one): (usize, &Value)| {
                    let object = one.as_object().ok_or_else(|| format!("[{at}] must be an object"))?;
                    read_all(fields, object)
                        .map(Value::Object)
                        .map_err(|(name, why)| format!("[{at}] {name} {why}"))
                };
                all.iter().enumerate().map(read).collect()
            }
            (Self::Texts(most), Value::Array(all)) if all.len() > most => {
                Err(format!("must have at most {most} entries"))
            }
            (Self::Texts(_), Value::Array(all)) if all.iter().all(Value::is_string) => Ok(value.clone()),
            (Self::Id, _) => Err(NO_ID.to_owned()),
            (kind, _) => Err(format!("must be {}", kind.word())),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Text | Self::Id | Self::Choice(_) => "a string",
            Self::Integer { .. } => "an integer",
            Self::Number { .. } => "a number",
            Self::Flag => "true or false",
            Self::Anything | Self::Object(_) => "an object",
            Self::Objects(..) => "a list of objects",
            Self::Texts(_) => "a list of strings",
        }
    }
}

/// Models write numbers as text now and then.
fn integer_of(value: &Value, least: Option<i64>, most: Option<i64>) -> Result<Value, String> {
    let number = match value {
        Value::Number(_) => value.clone(),
        Value::String(text) => {
            text.trim().parse::<i64>().map_err(|_| "must be an integer".to_owned())?.into()
        }
        _ => return Err("must be an integer".to_owned()),
    };
    if !(number.is_i64() || number.is_u64()) {
        return Err("must be an integer".to_owned());
    }
    let is_above = |least: i64| number.as_i64().is_none_or(|number| number >= least);
    let is_below = |most: i64| number.as_i64().is_some_and(|number| number <= most);
    if least.is_none_or(is_above) && most.is_none_or(is_below) {
        return Ok(number);
    }
    let mut why = "must be".to_owned();
    for (word, limit) in [(" at least", least), (" at most", most)] {
        if let Some(limit) = limit {
            let _ = write!(why, "{word} {limit}");
        }
    }
    Err(why)
}

/// The schema of an object with these fields.
pub(crate) fn schema(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn read_all(fields: &[Field], sent: &Map<String, Value>) -> Result<Map<String, Value>, (String, String)> {
    if let Some(name) = sent.keys().find(|name| fields.iter().all(|field| field.name != name.as_str())) {
        let known: Vec<_> = fields.iter().map(|field| field.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err((name.clone(), format!("is not an argument of this tool; it takes: {known}")));
    }
    let mut read = Map::new();
    for field in fields {
        match sent.get(field.name) {
            None | Some(Value::Null) if field.is_required => {
                return Err((field.name.to_owned(), "is required".to_owned()));
            }
            None | Some(Value::Null) => {}
            Some(value) => {
                let value = field.kind.read(value).map_err(|why| (field.name.to_owned(), why))?;
                read.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(read)
}

/// A UUID as it is written in full.
pub(crate) fn canonical(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// What was sent to a tool, checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arguments(Map<String, Value>);

impl Arguments {
    /// Checks what was sent.
    ///
    /// # Errors
    /// The first argument that is missing, unknown, or not what it should be.
    pub(crate) fn read(fields: &[Field], sent: &Map<String, Value>) -> Result<Self, Wrong> {
        read_all(fields, sent).map(Self).map_err(|(name, why)| Wrong(format!("{name} {why}")))
    }

    /// The value of an argument, if it was sent.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The same with another value.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// An id as a part of a path. Nothing else gets there, be it ever so long.
    ///
    /// # Errors
    /// When it is no canonical UUID.
    pub(crate) fn id(&self, name: &str) -> Result<String, Wrong> {
        let text = self.text(name).ok_or_else(|| Wrong::lacks(name))?;
        if canonical(text).is_none() {
            return Err(Wrong::no_id(name));
        }
        Ok(utf8_percent_encode(text, ID).to_string())
    }

    /// The same of one that may be left out.
    ///
    /// # Errors
    /// When it is there and no canonical UUID.
    pub(crate) fn id_if_sent(&self, name: &str) -> Result<Option<String>, Wrong> {
        self.text(name).map(|_| self.id(name)).transpose()
    }

    /// An object of those arguments that were sent; text only where it is not empty.
    pub(crate) fn some_of(&self, names: &[&str]) -> Map<String, Value> {
        let is_said = |value: &&Value| value.as_str() != Some("");
        let sent = |name: &&str| Some(((*name).to_owned(), self.0.get(*name).filter(is_said)?.clone()));
        names.iter().filter_map(sent).collect()
    }
}
