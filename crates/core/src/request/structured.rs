//! Objects, arrays, and rules of a field's own.

use schemars::{Schema, json_schema};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Member, Request, Rule};
use crate::fields::{FieldErrors, Fields, INVALID};
use crate::json::{JsonText, Object, compact};

/// A JSON object that is kept as its text, but for white space and escapes that nothing needs.
pub const fn object() -> Json {
    Json { array: false, limit: usize::MAX, message: "" }
}

/// As [`object`], of a size that every record may have beside its fields: below 64 KB.
pub const fn small_object() -> Json {
    object().below(65_536, "must be smaller than 64KB")
}

/// A JSON object or array that is kept as its text.
pub const fn object_or_array() -> Json {
    Json { array: true, limit: usize::MAX, message: "" }
}

/// See [`object`] and [`object_or_array`].
#[derive(Debug, Clone, Copy)]
pub struct Json {
    array: bool,
    limit: usize,
    message: &'static str,
}

impl Json {
    /// Below so many bytes without white space and needless escapes; `message` says so.
    #[must_use]
    pub const fn below(self, limit: usize, message: &'static str) -> Self {
        Self { limit, message, ..self }
    }

    fn admits(&self, raw: &RawValue) -> bool {
        raw.get().starts_with('{') || self.array && raw.get().starts_with('[')
    }
}

impl Rule for Json {
    type Value = Option<JsonText>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<JsonText> {
        let raw = fields.raw(name)?;
        if !self.admits(raw) {
            fields.fail(name, INVALID);
            return None;
        }
        let kept = compact(raw);
        if kept.as_str().len() >= self.limit {
            fields.fail(name, self.message);
            return None;
        }
        fields.document(name).map(|_| kept)
    }

    fn schema(&self) -> Schema {
        if self.array {
            json_schema!({"type": ["object", "array"], "items": {}})
        } else {
            json_schema!({"type": "object"})
        }
    }
}

/// A rule of this field alone: `read` reads it, `schema` describes it.
pub const fn custom<T>(read: fn(&mut Fields<'_>, &'static str) -> T, schema: fn() -> Schema) -> Custom<T> {
    Custom { read, schema, required: false, hidden: false }
}

/// See [`custom`].
#[derive(Debug, Clone, Copy)]
pub struct Custom<T> {
    read: fn(&mut Fields<'_>, &'static str) -> T,
    schema: fn() -> Schema,
    required: bool,
    hidden: bool,
}

impl<T> Custom<T> {
    /// That its reader insists on the field.
    #[must_use]
    pub const fn mandatory(self) -> Self {
        Self { required: true, ..self }
    }

    /// That it is read from fields that are described elsewhere.
    #[must_use]
    pub const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }
}

impl<T> Rule for Custom<T> {
    type Value = T;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> T {
        (self.read)(fields, name)
    }

    fn schema(&self) -> Schema {
        (self.schema)()
    }

    fn is_required(&self) -> bool {
        self.required
    }

    fn members(&self, name: &'static str, description: &'static str) -> Vec<Member> {
        if self.hidden {
            return Vec::new();
        }
        vec![Member { name, description, schema: self.schema(), required: self.required }]
    }
}

/// A request inside another: what is wrong with it is told as if it stood alone. What is no object is not looked at.
pub const fn nested<T: Request>() -> Custom<Option<T>> {
    custom(
        |fields, name| {
            let object = Object::parse(fields.raw(name)?)?;
            let mut inner = Fields::new(&object);
            let value = T::read(&mut inner);
            let FieldErrors(errors) = inner.into_errors();
            for (field, message) in errors.iter().flat_map(|(field, all)| all.iter().map(move |m| (field, m)))
            {
                fields.fail(field, message);
            }
            Some(value)
        },
        schema_of::<T>,
    )
}

/// As [`nested`], where what is no object is refused.
pub const fn nested_object<T: Request>() -> Custom<Option<T>> {
    custom(
        |fields, name| {
            let raw = fields.raw(name)?;
            if Object::parse(raw).is_none() {
                fields.fail(name, INVALID);
            }
            nested::<T>().read(fields, name)
        },
        schema_of::<T>,
    )
}

/// The schema of a request.
pub fn schema_of<T: Request>() -> Schema {
    let members = T::members();
    let required: Vec<_> =
        members.iter().filter(|member| member.required).map(|member| member.name).collect();
    let mut properties = Map::new();
    for member in members {
        let mut schema = member.schema;
        if !member.description.is_empty() {
            schema.insert("description".to_owned(), member.description.into());
        }
        properties.insert(member.name.to_owned(), Value::from(schema));
    }
    let mut schema = json_schema!({"title": T::NAME, "type": "object", "properties": properties});
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}
