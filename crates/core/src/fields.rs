//! Reading the members of a JSON object, collecting every failure.
//!
//! All failing fields are reported together, a blank string counts as absent, and numeric strings pass where a number is
//! wanted: form bodies and query strings carry only strings. What a field may be is said by its rule
//! ([`crate::request`]).

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::json::{Object, is_exact, scalar};

/// `can't be blank`: a required field is absent, null or only whitespace.
pub const BLANK: &str = "can't be blank";
/// A number beyond 64 bits, or with more digits than a floating-point number keeps, in a field that is kept as it is.
const INEXACT: &str = "cannot be stored exactly: send it as a string";
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

    /// The value when nothing failed.
    ///
    /// # Errors
    /// All failures.
    pub fn check<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// A reader over one JSON object. Rules yield a usable value also after a failure, so that all fields are looked at;
/// [`Fields::finish`] then refuses the whole.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Object<'a>,
    errors: FieldErrors,
    names_nothing: bool,
}

impl<'a> Fields<'a> {
    /// Reads from `object`.
    pub fn new(object: &'a Object<'a>) -> Self {
        Self { object, errors: FieldErrors::default(), names_nothing: false }
    }

    /// Everything that was sent, for a request that is read as a whole.
    pub fn object(&self) -> &'a Object<'a> {
        self.object
    }

    /// The text of a field; JSON null counts as absent.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.object.get(name).filter(|raw| raw.get() != "null")
    }

    /// The text of a field that is kept as it is. A number in it that would come back as another one is a failure.
    pub fn document(&mut self, name: &str) -> Option<&'a RawValue> {
        let raw = self.raw(name)?;
        if !is_exact(raw.get()) {
            self.fail(name, INEXACT);
            return None;
        }
        Some(raw)
    }

    /// Whether a field was sent, be it as null.
    pub fn is_sent(&self, name: &str) -> bool {
        self.object.get(name).is_some()
    }

    /// The value of a field without parts; null counts as absent. An array or an object is `Value::Null`, which suits no
    /// rule of a field without parts.
    pub fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).map(scalar)
    }

    /// As [`Self::value`]; blank counts as absent, too.
    pub fn filled(&self, name: &str) -> Option<Value> {
        self.value(name).filter(|value| !is_blank(value))
    }

    /// Records a failure.
    pub fn fail(&mut self, name: &str, message: impl Into<String>) {
        self.errors.add(name, message);
    }

    /// Whether a failure of this field was recorded.
    pub fn has_failed(&self, name: &str) -> bool {
        self.errors.0.contains_key(name)
    }

    /// Records that an id is none: it names nothing.
    pub fn name_nothing(&mut self) {
        self.names_nothing = true;
    }

    /// Whether an id was none.
    pub fn names_nothing(&self) -> bool {
        self.names_nothing
    }

    /// Every failure recorded so far.
    pub fn into_errors(self) -> FieldErrors {
        self.errors
    }

    /// The value when nothing failed, else every failure.
    ///
    /// # Errors
    /// All failures recorded so far.
    pub fn finish<T>(self, value: T) -> Result<T, FieldErrors> {
        self.errors.check(value)
    }
}

/// Whether a value is a string of nothing but white space.
pub fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Parses a UUID in the hyphenated 36-character form only, either case.
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

/// A whole number, from its digits; one that is larger than 128 bits counts as the largest.
pub fn wide_integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i128::MIN } else { i128::MAX }))
}

/// A finite decimal, whose digits (28 for certain) must fit 96 bits, from a number or a numeric string.
pub fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => decimal_text(&number.to_string()),
        Value::String(text) => decimal_text(text.trim()),
        _ => None,
    }
}

/// As [`decimal`], from its digits. More than it can hold are none, rather than others.
pub fn decimal_text(text: &str) -> Option<Decimal> {
    // rust_decimal would read `1_000`.
    if text.contains('_') {
        return None;
    }
    if text.contains(['e', 'E']) {
        return Decimal::from_scientific(text).ok();
    }
    Decimal::from_str_exact(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::JsonText;
    use crate::request::{Rule as _, integer as whole, text};

    /// Reads from an object written as a tree.
    fn reading<T>(body: Value, read: impl FnOnce(&mut Fields<'_>) -> T) -> (T, FieldErrors) {
        let text = JsonText::from(body);
        let object = text.object().unwrap();
        let mut fields = Fields::new(&object);
        (read(&mut fields), fields.into_errors())
    }

    #[test]
    fn every_failing_field_is_reported() {
        let (phase, errors) = reading(json!({"title": 7, "position": "x", "phase": "ok"}), |fields| {
            let _ = text(10).required().read(fields, "name");
            let _ = text(10).required().read(fields, "title");
            let _ = whole().read(fields, "position");
            text(10).read(fields, "phase")
        });
        assert_eq!(phase.as_deref(), Some("ok"));
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
        let ((), errors) =
            reading(json!({"a": "  ", "b": "äöü", "c": "äöüß", "d": " x\n"}), |fields| {
                assert_eq!(text(3).read(fields, "a"), None);
                assert_eq!(text(1).trimmed().read(fields, "a"), None);
                assert_eq!(text(1).trimmed().read(fields, "d").as_deref(), Some("x"));
                assert_eq!(text(3).clearable().read(fields, "a"), Some(None));
                assert_eq!(text(3).read(fields, "b").as_deref(), Some("äöü"));
                assert_eq!(text(3).read(fields, "c"), None);
            });
        assert_eq!(errors.0["c"], ["should be at most 3 character(s)"]);
    }

    #[test]
    fn integers_stay_in_32_bits() {
        assert_eq!(integer(&json!(2_147_483_647)), Some(i32::MAX));
        assert_eq!(integer(&json!(2_147_483_648_u64)), None);
        assert_eq!(integer(&json!("12")), Some(12));
        assert_eq!(integer(&json!(1.5)), None);
    }

    #[test]
    fn decimals_keep_every_digit_or_are_none() {
        let read = |sent: &str| {
            let body: JsonText = serde_json::from_str(&format!("{{\"d\": {sent}}}")).unwrap();
            let object = body.object().unwrap();
            let mut fields = Fields::new(&object);
            crate::request::decimal().read(&mut fields, "d").map(|decimal| decimal.to_string())
        };
        let digits = "0.1234567890123456789012345678";
        for (sent, expected) in [
            (digits, Some(digits)),
            ("12345678901234567890.12345678", Some("12345678901234567890.12345678")),
            ("\" 0.10 \"", Some("0.10")),
            ("1e5", Some("100000")),
            ("0.12345678901234567890123456789012345", None),
            ("\"0.12345678901234567890123456789012345\"", None),
            ("1e-40", None),
        ] {
            assert_eq!(read(sent).as_deref(), expected, "{sent}");
        }
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
