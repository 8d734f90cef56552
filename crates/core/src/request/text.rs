//! Strings.

use schemars::{Schema, json_schema};
use serde_json::Value;

use super::Rule;
use crate::fields::{BLANK, Fields, INVALID, is_blank};

/// A string of at most `max` characters (not bytes), as it was sent; blank counts as absent.
pub const fn text(max: usize) -> Text {
    Text { min: 0, max, trimmed: false, shown: false }
}

/// See [`text`].
#[derive(Debug, Clone, Copy)]
pub struct Text {
    min: usize,
    max: usize,
    trimmed: bool,
    shown: bool,
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

    /// A name, which people see: something of it must be visible, and nothing in it may hide what it is, break its line or
    /// turn its direction.
    #[must_use]
    pub const fn shown(self) -> Self {
        Self { shown: true, ..self }
    }

    /// May be left out, but not be blank: what must be there, in an update.
    pub const fn filled(self) -> Filled {
        Filled(self)
    }

    /// Three ways, for updates: absent or null leaves it, blank clears it.
    pub const fn clearable(self) -> Clearable {
        Clearable(self)
    }

    /// Whether a text is acceptable.
    ///
    /// # Errors
    /// What it should be.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let characters = text.chars().count();
        if characters > self.max {
            return Err(format!("should be at most {} character(s)", self.max));
        }
        if characters < self.min {
            return Err(format!("should be at least {} character(s)", self.min));
        }
        if self.shown { check_shown(text).map_err(str::to_owned) } else { Ok(()) }
    }

    /// Whether a text that stands for a field is acceptable; if not, that is recorded.
    pub fn fits(&self, fields: &mut Fields<'_>, name: &str, text: &str) -> bool {
        self.check(text).map_err(|message| fields.fail(name, message)).is_ok()
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

fn check_shown(text: &str) -> Result<(), &'static str> {
    if text.chars().any(misleads) {
        return Err("contains characters that cannot be shown");
    }
    if !text.chars().any(is_visible) {
        return Err(BLANK);
    }
    Ok(())
}

/// Controls, line breaks, and what turns the direction of the text around it.
fn misleads(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a reader sees anything of it by itself: no blank, and none of what Unicode says to ignore where it is not known
/// (joiners, selectors, fillers). Those have their use inside a name.
fn is_visible(letter: char) -> bool {
    let ignored = matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !letter.is_whitespace() && !ignored
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_shows_itself() {
        for name in ["a", "  a  ", "Zoë", "名前", "👩\u{200d}💻", "a\u{200b}"] {
            assert_eq!(check_shown(name), Ok(()), "{name:?}");
        }
        for name in
            ["", " ", "\u{3000}", "\u{200b}\u{200d}", "\u{feff}", "\u{ad}\u{fe0f}", "\u{3164}", "\u{2800}"]
        {
            assert_eq!(check_shown(name), Err(BLANK), "{name:?}");
        }
        for letter in [
            '\0', '\t', '\n', '\u{7f}', '\u{85}', '\u{9f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}',
            '\u{2066}', '\u{2069}',
        ] {
            assert!(check_shown(&format!("a{letter}")).is_err(), "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_added_to_a_name_hides_it_or_does_not_matter(name in "\\PC*", letter in any::<char>()) {
            let longer = check_shown(&format!("{name}{letter}"));
            if misleads(letter) {
                prop_assert!(longer.is_err());
            } else if check_shown(&name).is_ok() {
                prop_assert_eq!(longer, Ok(()));
            }
        }
    }
}
