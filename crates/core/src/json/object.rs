//! One level of a document at a time.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a JSON object, each with its value's text.
#[derive(Debug, Clone, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The members of a document; None when it is no object.
    pub fn parse(raw: &'a RawValue) -> Option<Self> {
        if !raw.get().starts_with('{') {
            return None;
        }
        serde_json::from_str(raw.get()).ok()
    }

    /// The value under a name. Of several, the first.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Every member, in the order in which they were sent.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The members of these names alone.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        let kept = self.members.iter().filter(|(name, _)| names.contains(&name.as_ref()));
        Self { members: kept.cloned().collect() }
    }

    /// The same with these members beneath: what it has itself comes first.
    #[must_use]
    pub fn above(mut self, others: Self) -> Self {
        self.members.extend(others.members);
        self
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Object { members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed where nothing in it is escaped.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The elements of a document; None when it is no array.
pub fn elements(raw: &RawValue) -> Option<Vec<&RawValue>> {
    let mut elements = Vec::with_capacity(count(raw)?);
    each_element(raw, |element| elements.push(element));
    Some(elements)
}

/// Looks at the elements of a document one by one; false when it is no array.
pub(super) fn each_element<'a>(raw: &'a RawValue, look: impl FnMut(&'a RawValue)) -> bool {
    struct Each<F>(F);

    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
    }

    raw.get().starts_with('[')
        && serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Each(look)).is_ok()
}

/// How many elements a document has; None when it is no array.
pub fn count(raw: &RawValue) -> Option<usize> {
    if !raw.get().starts_with('[') {
        return None;
    }
    // What is ignored takes up no memory.
    serde_json::from_str::<Vec<IgnoredAny>>(raw.get()).ok().map(|ignored| ignored.len())
}

/// The value of a document that has no parts. An array or an object is `Value::Null`: it is looked into with
/// [`elements`] and [`Object`].
pub fn scalar(raw: &RawValue) -> Value {
    if raw.get().starts_with(['{', '[']) {
        return Value::Null;
    }
    serde_json::from_str(raw.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_texts() {
        let raw: &RawValue = serde_json::from_str(r#"{"a\u0041": [1, {"b": 2}], "c": "x"}"#).unwrap();
        let object = Object::parse(raw).unwrap();
        assert_eq!(object.get("aA").map(RawValue::get), Some(r#"[1, {"b": 2}]"#));
        assert_eq!(object.get("c").map(scalar), Some(Value::from("x")));
        let parts = elements(object.get("aA").unwrap()).unwrap();
        assert_eq!(parts.iter().map(|part| part.get()).collect::<Vec<_>>(), ["1", r#"{"b": 2}"#]);
        assert!(Object::parse(parts[0]).is_none() && elements(parts[1]).is_none());
    }

    #[test]
    fn what_lies_above_comes_first() {
        let raw = |text| serde_json::from_str::<&RawValue>(text).unwrap();
        let (above, below) = (raw(r#"{"a": 1}"#), raw(r#"{"a": 2, "b": 3}"#));
        let both = Object::parse(above).unwrap().above(Object::parse(below).unwrap());
        assert_eq!((both.get("a").unwrap().get(), both.get("b").unwrap().get()), ("1", "3"));
    }

    #[test]
    fn elements_are_counted() {
        let count = |text: &str| count(serde_json::from_str(text).unwrap());
        assert_eq!((count("[]"), count("[1, [2, 3], {}]"), count("{}")), (Some(0), Some(3), None));
    }
}
