//! Strings.

use schemars::{Schema, json_schema};
use serde_json::Value;

use super::Rule;
use crate::fields::{BLANK, Fields, INVALID, is_blank};

/// A string of at most `max` characters (not bytes), as it was sent; blank counts as absent.
pub const fn text(max: usize) -> Text {
    Text { min: 0, max, trimmed: false }
}

/// See [`text`].
#[derive(Debug, Clone, Copy)]
pub struct Text {
    min: usize,
    max: usize,
    trimmed: bool,
}

impl Text {
    /// At least so many characters.
    #[must_use]
    pub const fn min(self, min: usize) -> Self {
        Self { min, ..self }
    }

    /// Without the white space around it.
    #[must_use]
    pub const fn trimmed(self) -> Self {
        Self { trimmed: true, ..self }
    }

    /// May be left out, but not be blank: what must be there, in an update.
    pub const fn filled(self) -> Filled {
        Filled(self)
    }

    /// Three ways, for updates: absent or null leaves it, blank clears it.
    pub const fn clearable(self) -> Clearable {
        Clearable(self)
    }

    /// Whether a text that stands for a field is of acceptable length; if not, that is recorded.
    pub fn fits(&self, fields: &mut Fields<'_>, name: &str, text: &str) -> bool {
        let characters = text.chars().count();
        if characters > self.max {
            fields.fail(name, format!("should be at most {} character(s)", self.max));
            return false;
        }
        if characters < self.min {
            fields.fail(name, format!("should be at least {} character(s)", self.min));
            return false;
        }
        true
    }

    fn of(&self, fields: &mut Fields<'_>, name: &str, value: Value) -> Option<String> {
        let Value::String(text) = value else {
            fields.fail(name, INVALID);
            return None;
        };
        let text = if self.trimmed { text.trim().to_owned() } else { text };
        self.fits(fields, name, &text).then_some(text)
    }
}

impl Rule for Text {
    type Value = Option<String>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
        let value = fields.filled(name)?;
        self.of(fields, name, value)
    }

    fn schema(&self) -> Schema {
        let mut schema = json_schema!({"type": "string"});
        if self.max < usize::MAX {
            schema.insert("maxLength".to_owned(), self.max.into());
        }
        if self.min > 0 {
            schema.insert("minLength".to_owned(), self.min.into());
        }
        schema
    }
}

/// See [`Text::filled`].
#[derive(Debug, Clone, Copy)]
pub struct Filled(Text);

impl Rule for Filled {
    type Value = Option<String>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
        let value = fields.value(name)?;
        if is_blank(&value) {
            fields.fail(name, BLANK);
            return None;
        }
        self.0.of(fields, name, value)
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }
}

/// See [`Text::clearable`].
#[derive(Debug, Clone, Copy)]
pub struct Clearable(Text);

impl Rule for Clearable {
    type Value = Option<Option<String>>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<Option<String>> {
        let value = fields.value(name)?;
        if is_blank(&value) { Some(None) } else { self.0.of(fields, name, value).map(Some) }
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }
}
