//! Options whose value is JSON: inline, `@file`, or `-` for standard input.

use std::io::{IsTerminal, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::error::Error;
use crate::output;

/// Reads the JSON given to `name` (as the user writes it: `--artifact`). Nothing has been sent yet when this fails.
pub(crate) fn read(name: &str, argument: &str) -> Result<Value, Error> {
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::Usage(format!("Cannot read {path} for {name}: {error}")))?,
        None if argument == "-" => stdin()
            .map_err(|error| Error::Usage(format!("Cannot read standard input for {name}: {error}")))?,
        None => argument.to_owned(),
    };
    parse(&text).map_err(|error| Error::Usage(format!("Invalid JSON in {name}: {error}")))
}

/// Reads JSON that must be an object.
pub(crate) fn object(name: &str, argument: &str) -> Result<Value, Error> {
    let value = read(name, argument)?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Error::Usage(format!("Invalid JSON in {name}: it must be an object")))
}

/// JSON as editors write it, also with a byte order mark.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// All of standard input as text. Nothing is left for a second time.
pub(crate) fn stdin() -> std::io::Result<String> {
    static USED: AtomicBool = AtomicBool::new(false);
    if USED.swap(true, Ordering::Relaxed) {
        return Err(std::io::Error::other("it was read already for another option"));
    }
    if std::io::stdin().is_terminal() {
        output::note("Reading from the terminal: Ctrl-D ends it.");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_inline_or_from_a_file() {
        assert_eq!(read("--data", r#"{"a":1}"#).unwrap(), json!({"a": 1}));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[1,2]").unwrap();
        assert_eq!(read("--data", &format!("@{}", file.path().display())).unwrap(), json!([1, 2]));
        std::fs::write(file.path(), "\u{feff}[1,2]").unwrap();
        assert_eq!(read("--data", &format!("@{}", file.path().display())).unwrap(), json!([1, 2]));
    }

    #[test]
    fn bad_json_names_the_option() {
        let Err(Error::Usage(text)) = read("--artifact", "{oops") else { panic!("expected a usage error") };
        assert!(text.starts_with("Invalid JSON in --artifact: "), "{text}");
        assert!(matches!(read("--data", "@/does/not/exist"), Err(Error::Usage(_))));
    }
}
