//! Query strings: lenient where the contract is, 400 where the text itself is broken.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use loopctl_core::code::Code;
use loopctl_core::fields::Fields;
use loopctl_core::json::JsonText;
use loopctl_core::request::Request;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::endpoint::{Input, Operation};
use super::error::{ApiError, ApiResult};

/// The parameters of a query string, read by the rules of `T`. Repeated ones: the last counts. Bracketed ones (`page[]`)
/// are ignored.
#[derive(Debug, Clone)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: Request> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: Request> Input for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        let members = T::members();
        operation.refuse(400, Code::BadRequest, "a query string that cannot be read");
        if members.iter().any(|member| member.schema.get("format").is_some_and(|format| format == "uuid")) {
            operation.refuse(404, Code::NotFound, super::NO_RECORD);
        }
        if members.iter().any(|member| member.schema.get("enum").is_some()) {
            operation.refuse(422, Code::ValidationFailed, "a parameter is not acceptable");
        }
        // Pages are of so many records, whatever these weigh.
        if members.iter().any(|member| member.name == "page_size") {
            operation.refuse(422, Code::AnswerTooLarge, "the page would be larger than 16 MiB");
        }
        operation.query.extend(members);
    }
}

/// Reads the part after `?`.
///
/// # Errors
/// 400 for broken text, 404 for an id that is none, 422 for what a rule refuses.
pub(super) fn read<T: Request>(text: &str) -> ApiResult<T> {
    let parameters = parse(text, str::trim)?;
    let object = parameters.object().unwrap_or_default();
    let mut fields = Fields::new(&object);
    let value = T::read(&mut fields);
    if fields.names_nothing() {
        return Err(ApiError::not_found());
    }
    Ok(fields.finish(value)?)
}

/// The parameters as an object of strings, each as `tidied`.
///
/// # Errors
/// 400 for broken percent-encoding, invalid UTF-8 and NUL.
pub(super) fn parse(text: &str, tidied: fn(&str) -> &str) -> ApiResult<JsonText> {
    let mut parameters = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if name.contains('\0') || value.contains('\0') {
            return Err(ApiError::bad_request("Bad Request: NUL in the query string"));
        }
        if !name.contains('[') {
            parameters.insert(name, tidied(&value).into());
        }
    }
    Ok(Value::Object(parameters).into())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parameters(text: &str) -> Value {
        parse(text, str::trim).unwrap().to_value()
    }

    #[test]
    fn broken_text_is_a_bad_request() {
        for text in ["a=%zz", "a=%f", "a=%ff", "a=%00", "%00=a"] {
            assert!(parse(text, str::trim).is_err(), "{text}");
        }
        assert_eq!(parameters("a=%C3%A9+x&page[]=1&b=1&b=2"), json!({"a": "é x", "b": "2"}));
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
            let _ = parse(&text, str::trim);
            let _ = parse_form(&text);
        }
    }
}
