//! Reading typed fields out of a JSON object, collecting every failure.
//!
//! Serves the validation vocabulary of the contract (file 01 §1.7, file 03 §0.3): all failing fields are
//! reported together, a blank string counts as absent, numeric strings pass where a number is wanted (form
//! bodies and query strings carry only strings).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

/// `can't be blank`: a required field is absent, null or only whitespace.
pub const BLANK: &str = "can't be blank";
/// `is invalid`: wrong type, not in the enumeration, malformed UUID, date or number.
pub const INVALID: &str = "is invalid";

/// Field name -> messages, as it appears under `details` of a 422.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(pub BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// A single failure.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Adds a failure to those already known.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(message.into());
    }

    /// Whether nothing failed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a string must satisfy besides being a string.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    min: usize,
    max: usize,
}

impl Length {
    /// At most `max` characters (not bytes).
    pub const fn max(max: usize) -> Self {
        Self { min: 0, max }
    }

    /// Between `min` and `max` characters.
    pub const fn range(min: usize, max: usize) -> Self {
        Self { min, max }
    }
}

/// A reader over one JSON object. Getters return a usable value also after a failure, so that all fields are
/// looked at; [`Fields::finish`] then refuses the whole.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    errors: FieldErrors,
}

impl<'a> Fields<'a> {
    /// Reads from `object`.
    pub fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, errors: FieldErrors::default() }
    }

    /// The value of a field; JSON null counts as absent.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Records a failure found by the caller's own rule.
    pub fn fail(&mut self, name: &str, message: impl Into<String>) {
        self.errors.add(name, message);
    }

    /// A string exactly as sent (blank stays blank, nothing is trimmed). None when absent or not acceptable.
    pub fn verbatim(&mut self, name: &str, length: Length) -> Option<String> {
        let text = match self.value(name)? {
            Value::String(text) => text,
            _ => {
                self.fail(name, INVALID);
                return None;
            }
        };
        self.measured(name, text, length)
    }

    /// A string of acceptable length.
    fn measured(&mut self, name: &str, text: &str, length: Length) -> Option<String> {
        self.fits(name, text, length).then(|| text.to_owned())
    }

    /// Whether a text that stands for a field is of acceptable length; if not, that is recorded.
    pub fn fits(&mut self, name: &str, text: &str, length: Length) -> bool {
        let characters = text.chars().count();
        if characters > length.max {
            self.fail(name, format!("should be at most {} character(s)", length.max));
            return false;
        }
        if characters < length.min {
            self.fail(name, format!("should be at least {} character(s)", length.min));
            return false;
        }
        true
    }

    /// An optional string without the white space around it; blank counts as absent.
    pub fn trimmed_text(&mut self, name: &str, length: Length) -> Option<String> {
        match self.value(name)? {
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) => self.measured(name, text.trim(), length),
            _ => self.verbatim(name, length),
        }
    }

    /// An optional string; blank counts as absent.
    pub fn text(&mut self, name: &str, length: Length) -> Option<String> {
        if matches!(self.value(name)?, Value::String(text) if text.trim().is_empty()) {
            return None;
        }
        self.verbatim(name, length)
    }

    /// A string that must be there and not be blank.
    pub fn required_text(&mut self, name: &str, length: Length) -> String {
        self.required(name, |fields| fields.text(name, length))
    }

    /// A string that may be left out, but not be blank: what must be there, in an update.
    pub fn filled_text(&mut self, name: &str, length: Length) -> Option<String> {
        self.value(name)?;
        Some(self.required_text(name, length)).filter(|text| !text.is_empty())
    }

    /// A three-way optional string for updates: absent or null leaves the column, blank clears it.
    pub fn text_change(&mut self, name: &str, length: Length) -> Option<Option<String>> {
        match self.value(name)? {
            Value::String(text) if text.trim().is_empty() => Some(None),
            _ => self.verbatim(name, length).map(Some),
        }
    }

    /// A word that `parse` must know.
    pub fn word<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let parsed = match self.value(name)? {
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => parse(text),
            _ => None,
        };
        if parsed.is_none() {
            self.fail(name, INVALID);
        }
        parsed
    }

    /// A 32-bit integer, or a string that is one.
    pub fn integer(&mut self, name: &str) -> Option<i32> {
        let value = self.value(name)?;
        if matches!(value, Value::String(text) if text.trim().is_empty()) {
            return None;
        }
        let parsed = integer(value);
        if parsed.is_none() {
            self.fail(name, INVALID);
        }
        parsed
    }

    /// A 32-bit integer not below `min`.
    pub fn integer_at_least(&mut self, name: &str, min: i32) -> Option<i32> {
        let value = self.integer(name)?;
        if value < min {
            self.fail(name, format!("must be greater than or equal to {min}"));
            return None;
        }
        Some(value)
    }

    /// A finite decimal of at most 28 digits, not negative; a number or a numeric string.
    pub fn decimal(&mut self, name: &str) -> Option<Decimal> {
        let value = self.value(name)?;
        if matches!(value, Value::String(text) if text.trim().is_empty()) {
            return None;
        }
        match decimal(value) {
            None => {
                self.fail(name, INVALID);
                None
            }
            Some(number) if number.is_sign_negative() && !number.is_zero() => {
                self.fail(name, "must be greater than or equal to 0");
                None
            }
            Some(number) => Some(number.abs()),
        }
    }

    /// A boolean; `true`/`false`/`1`/`0` as strings for form bodies and query strings.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" || text == "1" => Some(true),
            Value::String(text) if text == "false" || text == "0" => Some(false),
            _ => {
                self.fail(name, INVALID);
                None
            }
        }
    }

    /// A JSON object.
    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        let value = self.value(name)?;
        let Value::Object(object) = value else {
            self.fail(name, INVALID);
            return None;
        };
        Some(object.clone())
    }

    /// A JSON object or array (findings).
    pub fn object_or_array(&mut self, name: &str) -> Option<Value> {
        let value = self.value(name)?;
        if !(value.is_object() || value.is_array()) {
            self.fail(name, INVALID);
            return None;
        }
        Some(value.clone())
    }

    /// An RFC 3339 timestamp with an offset.
    pub fn timestamp(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.word(name, |text| {
            DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.with_timezone(&Utc))
        })
    }

    /// A UUID in the 8-4-4-4-12 form, either case.
    pub fn uuid(&mut self, name: &str) -> Option<Uuid> {
        self.word(name, parse_uuid)
    }

    /// Turns an absent optional into `can't be blank`, unless its reader has already complained.
    pub fn required<T: Default>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> T {
        read(self).unwrap_or_else(|| {
            if !self.errors.0.contains_key(name) {
                self.fail(name, BLANK);
            }
            T::default()
        })
    }

    /// The value when nothing failed, else every failure.
    ///
    /// # Errors
    /// All failures recorded so far.
    pub fn finish<T>(self, value: T) -> Result<T, FieldErrors> {
        if self.errors.is_empty() { Ok(value) } else { Err(self.errors) }
    }
}

/// Parses a UUID in the hyphenated 36-character form only (file 01 §1.3).
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// A 32-bit integer, or a string that is one.
pub fn integer(value: &Value) -> Option<i32> {
    match value {
        Value::Number(number) => number.as_i64().and_then(|wide| i32::try_from(wide).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A finite decimal of at most 28 digits from a number or a numeric string.
pub fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    // rust_decimal would read `1_000`.
    if text.contains('_') {
        return None;
    }
    text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&text)).ok()
}

/// The path of the first string, keys included, that holds U+0000, which PostgreSQL cannot store:
/// `epics[0].stories[2].title`.
pub fn find_nul(value: &Value) -> Option<String> {
    fn walk(value: &Value, path: &mut String) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                walk(item, path) || {
                    path.truncate(length);
                    false
                }
            }),
            Value::Object(object) => object.iter().any(|(key, item)| {
                if key.contains('\0') {
                    return true;
                }
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                walk(item, path) || {
                    path.truncate(length);
                    false
                }
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    let mut path = String::new();
    walk(value, &mut path).then_some(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn every_failing_field_is_reported() {
        let body = object(json!({"title": 7, "position": "x", "phase": "ok"}));
        let mut fields = Fields::new(&body);
        let _ = fields.required_text("name", Length::max(10));
        let _ = fields.required_text("title", Length::max(10));
        let _ = fields.integer("position");
        assert_eq!(fields.text("phase", Length::max(10)).as_deref(), Some("ok"));
        let errors = fields.finish(()).unwrap_err();
        assert_eq!(
            errors.0.into_iter().collect::<Vec<_>>(),
            [
                ("name".to_owned(), vec![BLANK.to_owned()]),
                ("position".to_owned(), vec![INVALID.to_owned()]),
                ("title".to_owned(), vec![INVALID.to_owned()]),
            ]
        );
    }

    #[test]
    fn blank_is_absent_and_length_counts_characters() {
        let body = object(json!({"a": "  ", "b": "äöü", "c": "äöüß", "d": " x\n"}));
        let mut fields = Fields::new(&body);
        assert_eq!(fields.text("a", Length::max(3)), None);
        assert_eq!(fields.trimmed_text("a", Length::max(1)), None);
        assert_eq!(fields.trimmed_text("d", Length::max(1)).as_deref(), Some("x"));
        assert_eq!(fields.text_change("a", Length::max(3)), Some(None));
        assert_eq!(fields.text("b", Length::max(3)).as_deref(), Some("äöü"));
        assert_eq!(fields.text("c", Length::max(3)), None);
        let errors = fields.finish(()).unwrap_err();
        assert_eq!(errors.0["c"], ["should be at most 3 character(s)"]);
    }

    #[test]
    fn nul_is_found_with_its_path() {
        assert_eq!(find_nul(&json!({"a": ["x", {"b": "y\u{0}"}]})).as_deref(), Some("a[1].b"));
        assert_eq!(find_nul(&json!({"a": {"k\u{0}": 1}})).as_deref(), Some("a"));
        assert_eq!(find_nul(&json!({"a": ["x", 1, null, true]})), None);
    }

    #[test]
    fn integers_stay_in_32_bits() {
        assert_eq!(integer(&json!(2_147_483_647)), Some(i32::MAX));
        assert_eq!(integer(&json!(2_147_483_648_u64)), None);
        assert_eq!(integer(&json!("12")), Some(12));
        assert_eq!(integer(&json!(1.5)), None);
    }

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(decimal(&json!(8)).unwrap().to_string(), "8");
        assert_eq!(decimal(&json!(4.5)).unwrap().to_string(), "4.5");
        assert_eq!(decimal(&json!("4.50")).unwrap().to_string(), "4.50");
        assert_eq!(decimal(&json!("4h")), None);
        assert_eq!(decimal(&json!("1_000")), None);
        assert_eq!(decimal(&json!(true)), None);
        assert_eq!(decimal(&json!(1e300)), None);
    }

    #[test]
    fn uuids_only_in_the_hyphenated_form() {
        let id = "0190163D-8694-739B-AEA5-966C26F8AD91";
        assert_eq!(parse_uuid(id).unwrap().to_string(), id.to_lowercase());
        assert_eq!(parse_uuid("0190163d8694739baea5966c26f8ad91"), None);
        assert_eq!(parse_uuid("{0190163d-8694-739b-aea5-966c26f8ad91}"), None);
    }
}
