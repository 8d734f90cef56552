//! What a request may hold: each field a rule, which reads it, says what is wrong with it, and describes it to clients.
//!
//! A request is a struct with `#[derive(Request)]`:
//!
//! ```
//! use loopctl_core::request::{Request, boolean, text};
//!
//! #[derive(Request)]
//! struct NewArtifact {
//!     /// Free-form: `migration`, `test`, …
//!     #[rule(text(255).required())]
//!     artifact_type: String,
//!     /// Whether the file is there; default true.
//!     #[rule(boolean().or(true))]
//!     exists: bool,
//! }
//! ```

mod scalars;
mod structured;
mod text;

use schemars::Schema;

use crate::fields::{BLANK, FieldErrors, Fields};
use crate::json::Object;

pub use loopctl_macros::Request;
pub use scalars::{
    Amount, Boolean, Decimal, Flag, Id, Integer, Nullable, Time, Word, amount, boolean, decimal, flag, id,
    integer, nullable, timestamp, uuid, word,
};
pub use structured::{
    Custom, Json, custom, nested, nested_object, object, object_or_array, schema_of, small_object,
};
pub use text::{Clearable, Filled, Text, text};

/// A type that is read from the members of an object.
pub trait Request: Sized {
    /// What clients know it as.
    const NAME: &'static str;

    /// Reads it; what fails is recorded in `fields`, and the value is then good for nothing.
    fn read(fields: &mut Fields<'_>) -> Self;

    /// What it may hold.
    fn members() -> Vec<Member>;

    /// Reads it from an object.
    ///
    /// # Errors
    /// Every field that is not acceptable.
    fn from_object(object: &Object<'_>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let value = Self::read(&mut fields);
        fields.finish(value)
    }
}

/// A member of a request as it is described to clients.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// A sentence about it; may be empty.
    pub description: &'static str,
    /// What it may be.
    pub schema: Schema,
    /// Whether it must be there.
    pub required: bool,
}

/// What a field may be.
pub trait Rule {
    /// What is read.
    type Value;

    /// Reads the field; what fails is recorded.
    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Self::Value;

    /// What the field may be, for clients.
    fn schema(&self) -> Schema;

    /// Whether the field must be there.
    fn is_required(&self) -> bool {
        false
    }

    /// The members that the field consists of: itself, unless a rule reads several.
    fn members(&self, name: &'static str, description: &'static str) -> Vec<Member> {
        vec![Member { name, description, schema: self.schema(), required: self.is_required() }]
    }

    /// The field must be there: otherwise `can't be blank`.
    fn required<T>(self) -> Required<Self>
    where
        Self: Rule<Value = Option<T>> + Sized,
    {
        Required(self)
    }

    /// What counts when the field is absent.
    fn or<T>(self, default: T) -> Or<Self, T>
    where
        Self: Rule<Value = Option<T>> + Sized,
    {
        Or(self, default)
    }

    /// A further condition: the message with which it fails.
    fn that<T>(self, condition: fn(&T) -> Result<(), String>) -> That<Self, T>
    where
        Self: Rule<Value = Option<T>> + Sized,
    {
        That(self, condition)
    }
}

/// See [`Rule::required`].
#[derive(Debug, Clone, Copy)]
pub struct Required<R>(R);

impl<T: Default, R: Rule<Value = Option<T>>> Rule for Required<R> {
    type Value = T;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> T {
        self.0.read(fields, name).unwrap_or_else(|| {
            // That it is wrong was told already.
            if !fields.has_failed(name) {
                fields.fail(name, BLANK);
            }
            T::default()
        })
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }

    fn is_required(&self) -> bool {
        true
    }
}

/// See [`Rule::or`].
#[derive(Debug, Clone, Copy)]
pub struct Or<R, T>(R, T);

impl<T: Clone, R: Rule<Value = Option<T>>> Rule for Or<R, T> {
    type Value = T;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> T {
        self.0.read(fields, name).unwrap_or_else(|| self.1.clone())
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }
}

/// See [`Rule::that`].
#[derive(Debug, Clone, Copy)]
pub struct That<R, T>(R, fn(&T) -> Result<(), String>);

impl<T, R: Rule<Value = Option<T>>> Rule for That<R, T> {
    type Value = Option<T>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<T> {
        let value = self.0.read(fields, name)?;
        if let Err(message) = self.1(&value) {
            fields.fail(name, message);
        }
        Some(value)
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }
}
