//! JSON that is kept as the text that it came as.
//!
//! A body is looked through once ([`inspect`]), without building anything from it, and then read member by member
//! ([`Object`]): only what a rule looks into is ever more than text. A tree of values takes up to a hundred times the
//! memory of its text.

mod escape;
mod inspect;
mod number;
mod object;
mod transcode;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

pub use escape::{compact, compact_length, count_values};
pub use inspect::{Bounds, Fault, MAX_MEMBERS, inspect, is_exact};
use object::each_element;
pub use object::{Object, count, elements, scalar};
pub use transcode::Transcoded;

/// A JSON document as its text. Two are equal when they say the same, whatever the white space, the order of members and
/// the way in which strings are escaped. A clone shares the text.
#[derive(Clone)]
pub struct JsonText(Arc<RawValue>);

impl JsonText {
    /// The empty object.
    pub fn empty_object() -> Self {
        Value::Object(serde_json::Map::new()).into()
    }

    /// The text of a value.
    ///
    /// # Errors
    /// When the value has none: a map whose keys are no strings.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        to_raw_value(value).map(Self::from)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The members, if this is an object.
    pub fn object(&self) -> Option<Object<'_>> {
        Object::parse(&self.0)
    }

    /// How many elements there are, if this is an array.
    pub fn count(&self) -> Option<usize> {
        count(&self.0)
    }

    /// The elements, if this is an array.
    pub fn elements(&self) -> Option<Vec<&RawValue>> {
        elements(&self.0)
    }

    /// The same document as a tree, for a rule that looks all the way into it.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl From<Box<RawValue>> for JsonText {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

impl From<&RawValue> for JsonText {
    fn from(raw: &RawValue) -> Self {
        raw.to_owned().into()
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        // A value always has a text.
        to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
    }
}

impl Default for JsonText {
    fn default() -> Self {
        Self::empty_object()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || meaning(&self.0) == meaning(&other.0)
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for JsonText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JsonText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["object", "array"], "items": {}})
    }
}

/// Members of an object, in the order in which they stand here.
pub(crate) struct InOrder<'a, N, V>(pub(crate) &'a [(N, V)]);

impl<N: Serialize, V: Serialize> Serialize for InOrder<'_, N, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The hash of one text for all documents that say the same: members in the order of their names, strings escaped in one
/// way, numbers written in one way. Numbers that differ stay different, however large they are.
fn meaning(raw: &RawValue) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash_normal(raw, &mut hash);
    hash.finalize().into()
}

fn hash_normal(raw: &RawValue, hash: &mut Sha256) {
    if let Some(object) = Object::parse(raw) {
        let mut members: Vec<_> = object.members().collect();
        members.sort_by_key(|(name, _)| *name);
        hash.update("{");
        for (name, value) in members {
            hash_string(name, hash);
            hash_normal(value, hash);
        }
        hash.update("}");
        return;
    }
    let mut begun = false;
    let is_array = each_element(raw, |element| {
        hash.update(if begun { "," } else { "[" });
        begun = true;
        hash_normal(element, hash);
    });
    if is_array {
        hash.update(if begun { "]" } else { "[]" });
        return;
    }
    match scalar(raw) {
        Value::Number(_) => hash.update(number::normal_form(raw.get())),
        Value::String(string) => hash_string(&string, hash),
        other => hash.update(other.to_string()),
    }
}

/// A string with its length before it, so that nothing in it is taken for what comes after it.
fn hash_string(string: &str, hash: &mut Sha256) {
    hash.update("\"");
    hash.update(string.len().to_be_bytes());
    hash.update(string);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> JsonText {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn equal_is_what_says_the_same() {
        for (one, other) in [
            (r#"{"a": 1, "b": [true, null]}"#, r#"{"b":[true,null],"a":1}"#),
            (r#""\u0041\/""#, r#""A/""#),
            ("1.10", "11e-1"),
            ("-0", "0"),
            ("{}", "{ }"),
        ] {
            assert_eq!(text(one), text(other), "{one} {other}");
        }
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            ("9007199254740993", "9007199254740992"),
            (r#""1""#, "1"),
            ("[]", "{}"),
            ("[[],[]]", "[[]]"),
            (r#"["a","b"]"#, r#"["a,b"]"#),
            (r#"{"a":{},"b":1}"#, r#"{"a":{"b":1}}"#),
        ] {
            assert_ne!(text(one), text(other), "{one} {other}");
        }
    }

    #[test]
    fn a_document_is_written_as_it_is() {
        let kept = text("{ \"a\" :1.10}");
        assert_eq!(serde_json::to_string(&json!({"k": 1})).unwrap(), "{\"k\":1}");
        assert_eq!(serde_json::to_string(&[kept]).unwrap(), "[{ \"a\" :1.10}]");
    }
}
