//! Query strings (file 01 §1.2): lenient where the contract is, 400 where the text itself is broken.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use loopctl_core::fields::parse_uuid;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::{ApiError, ApiResult};

/// The parameters of a query string. Repeated ones: the last counts. Bracketed ones (`page[]`) are ignored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Map<String, Value>);

impl Query {
    /// Parses the part after `?`.
    ///
    /// # Errors
    /// 400 for broken percent-encoding, invalid UTF-8 and NUL.
    pub(crate) fn parse(text: &str) -> ApiResult<Self> {
        let mut parameters = Map::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if name.contains('\0') || value.contains('\0') {
                return Err(ApiError::bad_request("Bad Request: NUL in the query string"));
            }
            if !name.contains('[') {
                parameters.insert(name, Value::String(value));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter's text; blank counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether a flag is `true` or `1` (decision 16).
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("true" | "1"))
    }

    /// The leading integer of a parameter, saturating; None when it does not start with one.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        let text = self.text(name)?;
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        if end == 0 {
            return None;
        }
        Some(sign * digits[..end].parse::<i64>().unwrap_or(i64::MAX))
    }

    /// An id used as a filter.
    ///
    /// # Errors
    /// 404 when it is no UUID (decision 7).
    pub(crate) fn id(&self, name: &str) -> ApiResult<Option<Uuid>> {
        self.text(name).map(|text| parse_uuid(text).ok_or_else(ApiError::not_found)).transpose()
    }

    /// One of an enumeration's words, where an unknown word must not silently drop the filter.
    ///
    /// # Errors
    /// 422 `is invalid` on the parameter.
    pub(crate) fn word<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> ApiResult<Option<T>> {
        self.text(name)
            .map(|text| {
                parse(text).ok_or_else(|| ApiError::invalid_field(name, loopctl_core::fields::INVALID))
            })
            .transpose()
    }

    /// The parameters as they take part in a request body, which wins over them.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

fn decode(text: &str) -> ApiResult<String> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(index, byte)| {
        *byte == b'%'
            && !bytes.get(index + 1..index + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(ApiError::bad_request("Bad Request: broken percent-encoding"));
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ApiError::bad_request("Bad Request: percent-encoding of invalid UTF-8"))
}

/// How deep a form may nest: every level is a frame of the stack, here and wherever the value is walked.
const FORM_DEPTH: usize = 32;

/// Parses an `application/x-www-form-urlencoded` body with bracket nesting: `settings[max_projects]=3`,
/// `story_ids[]=…`.
pub(super) fn parse_form(text: &str) -> ApiResult<Map<String, Value>> {
    let mut object = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if name.matches('[').count() > FORM_DEPTH {
            return Err(ApiError::bad_request("Bad Request: form nested too deeply"));
        }
        let mut keys = name.split('[').map(|key| key.strip_suffix(']').unwrap_or(key));
        let first = keys.next().unwrap_or_default().to_owned();
        insert(object.entry(first).or_insert(Value::Null), &keys.collect::<Vec<_>>(), value);
    }
    Ok(object)
}

fn insert(place: &mut Value, keys: &[&str], value: String) {
    match keys.split_first() {
        None => *place = Value::String(value),
        Some((&"", rest)) => {
            if !place.is_array() {
                *place = Value::Array(Vec::new());
            }
            if let Value::Array(items) = place {
                let mut item = Value::Null;
                insert(&mut item, rest, value);
                items.push(item);
            }
        }
        Some((key, rest)) => {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            if let Value::Object(object) = place {
                insert(object.entry((*key).to_owned()).or_insert(Value::Null), rest, value);
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_are_lenient_and_saturate() {
        let query = Query::parse("a=20abc&b=abc&c=-3&d=99999999999999999999999&e=&page[]=1").unwrap();
        let values = ["a", "b", "c", "d", "e", "page"].map(|name| query.integer(name));
        assert_eq!(values, [Some(20), None, Some(-3), Some(i64::MAX), None, None]);
    }

    #[test]
    fn broken_text_is_a_bad_request() {
        for text in ["a=%zz", "a=%f", "a=%ff", "a=%00", "%00=a"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        assert_eq!(Query::parse("a=%C3%A9+x").unwrap().text("a"), Some("é x"));
    }

    #[test]
    fn forms_nest_with_brackets() {
        let form = parse_form("name=a+b&settings[max]=3&ids[]=1&ids[]=2").unwrap();
        assert_eq!(Value::Object(form), json!({"name": "a b", "settings": {"max": "3"}, "ids": ["1", "2"]}));
    }

    #[test]
    fn a_form_cannot_exhaust_the_stack() {
        assert!(parse_form(&format!("a{}=x", "[b]".repeat(FORM_DEPTH))).is_ok());
        assert!(parse_form(&format!("a{}=x", "[".repeat(500_000))).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".*") {
            let _ = Query::parse(&text);
            let _ = parse_form(&text);
        }
    }
}
