//! Numbers, flags, words, times and ids.

use chrono::{DateTime, Utc};
use schemars::{Schema, json_schema};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Rule;
use crate::cost::MOST;
use crate::fields::{self, Fields, INVALID, parse_uuid};

/// What `read` makes of a field that is neither absent nor blank; None is invalid.
fn read_with<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Option<T> {
    let value = read(&fields.filled(name)?);
    if value.is_none() {
        fields.fail(name, INVALID);
    }
    value
}

/// A 32-bit integer, or a string that is one.
pub const fn integer() -> Integer {
    Integer { min: None, message: "", most: None }
}

/// See [`integer`].
#[derive(Debug, Clone, Copy)]
pub struct Integer {
    min: Option<i32>,
    message: &'static str,
    most: Option<(i32, &'static str)>,
}

impl Integer {
    /// Not negative.
    #[must_use]
    pub const fn not_negative(self) -> Self {
        Self { min: Some(0), message: "must be greater than or equal to 0", ..self }
    }

    /// Greater than 0.
    #[must_use]
    pub const fn positive(self) -> Self {
        Self { min: Some(1), message: "must be greater than 0", ..self }
    }

    /// Not below `min`; `message` says so.
    #[must_use]
    pub const fn at_least(self, min: i32, message: &'static str) -> Self {
        Self { min: Some(min), message, ..self }
    }

    /// Not above `max`; `message` says so.
    #[must_use]
    pub const fn at_most(self, max: i32, message: &'static str) -> Self {
        Self { most: Some((max, message)), ..self }
    }
}

impl Rule for Integer {
    type Value = Option<i32>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<i32> {
        let value = read_with(fields, name, fields::integer)?;
        if self.min.is_some_and(|min| value < min) {
            fields.fail(name, self.message);
            return None;
        }
        if let Some((_, message)) = self.most.filter(|(max, _)| value > *max) {
            fields.fail(name, message);
            return None;
        }
        Some(value)
    }

    fn schema(&self) -> Schema {
        let mut schema = json_schema!({"type": "integer", "format": "int32"});
        if let Some((max, _)) = self.most {
            schema.insert("maximum".to_owned(), max.into());
        }
        if let Some(min) = self.min {
            schema.insert("minimum".to_owned(), min.into());
        }
        schema
    }
}

/// Tokens or money: an integer up to 2^53 - 1 in size, or a string that is one.
pub const fn amount() -> Amount {
    Amount { min: Some(0), at_least: "must be greater than or equal to 0" }
}

/// See [`amount`].
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    min: Option<i64>,
    at_least: &'static str,
}

impl Amount {
    /// Greater than 0.
    #[must_use]
    pub const fn positive(self) -> Self {
        Self { min: Some(1), at_least: "must be greater than 0" }
    }

    /// Negative as well.
    #[must_use]
    pub const fn signed(self) -> Self {
        Self { min: None, ..self }
    }
}

impl Rule for Amount {
    type Value = Option<i64>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<i64> {
        // The text has every digit that was sent.
        let text = fields.raw(name).map_or("", RawValue::get);
        let value = read_with(fields, name, |value| match value {
            Value::Number(_) => fields::wide_integer(text),
            Value::String(digits) => fields::wide_integer(digits.trim()),
            _ => None,
        })?;
        let fault = match i64::try_from(value) {
            _ if value > MOST.into() => format!("must be less than or equal to {MOST}"),
            _ if self.min.is_some_and(|min| value < min.into()) => self.at_least.to_owned(),
            Ok(value) if value >= -MOST => return Some(value),
            _ => format!("must be greater than or equal to -{MOST}"),
        };
        fields.fail(name, fault);
        None
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "integer", "format": "int64", "minimum": self.min.unwrap_or(-MOST), "maximum": MOST})
    }
}

/// A finite decimal, whose digits (28 for certain) must fit 96 bits, not negative; a number or a numeric string.
pub const fn decimal() -> Decimal {
    Decimal
}

/// See [`decimal()`].
#[derive(Debug, Clone, Copy)]
pub struct Decimal;

impl Rule for Decimal {
    type Value = Option<rust_decimal::Decimal>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Self::Value {
        // The text has every digit that was sent; a float would not.
        let text = fields.raw(name).map_or("", RawValue::get);
        let number = read_with(fields, name, |value| match value {
            Value::Number(_) => fields::decimal_text(text),
            other => fields::decimal(other),
        })?;
        if number.is_sign_negative() && !number.is_zero() {
            fields.fail(name, "must be greater than or equal to 0");
            return None;
        }
        Some(number.abs())
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": ["number", "string"]})
    }
}

/// A boolean; `true`, `false`, `1` and `0` as strings.
pub const fn boolean() -> Boolean {
    Boolean
}

/// See [`boolean`].
#[derive(Debug, Clone, Copy)]
pub struct Boolean;

impl Rule for Boolean {
    type Value = Option<bool>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<bool> {
        let flag = match fields.value(name)? {
            Value::Bool(flag) => Some(flag),
            Value::String(text) if text == "true" || text == "1" => Some(true),
            Value::String(text) if text == "false" || text == "0" => Some(false),
            _ => None,
        };
        if flag.is_none() {
            fields.fail(name, INVALID);
        }
        flag
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "boolean"})
    }
}

/// A flag of a query string: set by `true` and `1`, and by nothing else.
pub const fn flag() -> Flag {
    Flag
}

/// See [`flag`].
#[derive(Debug, Clone, Copy)]
pub struct Flag;

impl Rule for Flag {
    type Value = bool;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> bool {
        match fields.value(name) {
            Some(Value::Bool(flag)) => flag,
            Some(Value::String(text)) => matches!(text.trim(), "true" | "1"),
            _ => false,
        }
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "boolean", "default": false})
    }
}

/// One of these words, as what `parse` makes of it.
pub const fn word<T>(words: &'static [&'static str], parse: fn(&str) -> Option<T>) -> Word<T> {
    Word { words, parse, message: INVALID, empty_is_absent: true }
}

/// See [`word`].
#[derive(Debug, Clone, Copy)]
pub struct Word<T> {
    words: &'static [&'static str],
    parse: fn(&str) -> Option<T>,
    message: &'static str,
    empty_is_absent: bool,
}

impl<T> Word<T> {
    /// The message for everything else.
    #[must_use]
    pub const fn or_else(self, message: &'static str) -> Self {
        Self { message, ..self }
    }

    /// Blank is no word either.
    #[must_use]
    pub const fn strict(self) -> Self {
        Self { empty_is_absent: false, ..self }
    }
}

impl<T> Rule for Word<T> {
    type Value = Option<T>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<T> {
        let value = if self.empty_is_absent { fields.filled(name) } else { fields.value(name) };
        let parsed = value?.as_str().and_then(self.parse);
        if parsed.is_none() {
            fields.fail(name, self.message);
        }
        parsed
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "string", "enum": self.words})
    }
}

/// An RFC 3339 timestamp with an offset.
pub const fn timestamp() -> Time {
    Time { empty_is_absent: true }
}

/// See [`timestamp`].
#[derive(Debug, Clone, Copy)]
pub struct Time {
    empty_is_absent: bool,
}

impl Time {
    /// Blank is no time either.
    #[must_use]
    pub const fn strict(self) -> Self {
        Self { empty_is_absent: false }
    }
}

impl Rule for Time {
    type Value = Option<DateTime<Utc>>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Self::Value {
        let word = Word {
            words: &[],
            parse: |text| Some(DateTime::parse_from_rfc3339(text.trim()).ok()?.with_timezone(&Utc)),
            message: INVALID,
            empty_is_absent: self.empty_is_absent,
        };
        word.read(fields, name)
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// A UUID in the 8-4-4-4-12 form, either case.
pub const fn uuid() -> Id {
    Id { names_nothing: false }
}

/// The id of something that must be there: what is no UUID names nothing.
pub const fn id() -> Id {
    Id { names_nothing: true }
}

/// See [`uuid()`] and [`id`].
#[derive(Debug, Clone, Copy)]
pub struct Id {
    names_nothing: bool,
}

impl Rule for Id {
    type Value = Option<Uuid>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<Uuid> {
        let value = fields.filled(name)?;
        let text = value.as_str();
        let found = text.and_then(parse_uuid);
        match (found, text) {
            (None, Some(_)) if self.names_nothing => {
                fields.name_nothing();
                // Not missing either.
                Some(Uuid::nil())
            }
            (None, _) => {
                fields.fail(name, INVALID);
                None
            }
            (found, _) => found,
        }
    }

    fn schema(&self) -> Schema {
        json_schema!({"type": "string", "format": "uuid"})
    }
}

/// Three ways, for updates: absent leaves it, null removes it.
pub const fn nullable<R: Rule>(rule: R) -> Nullable<R> {
    Nullable(rule)
}

/// See [`nullable`].
#[derive(Debug, Clone, Copy)]
pub struct Nullable<R>(R);

impl<T, R: Rule<Value = Option<T>>> Rule for Nullable<R> {
    type Value = Option<Option<T>>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<Option<T>> {
        if fields.is_sent(name) && fields.raw(name).is_none() {
            return Some(None);
        }
        self.0.read(fields, name).map(Some)
    }

    fn schema(&self) -> Schema {
        json_schema!({"anyOf": [self.0.schema(), {"type": "null"}]})
    }
}
