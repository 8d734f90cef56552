//! Names for addresses and directories, from titles.

/// The words of a text with `separator` between them: `My App (v2)` becomes `my-app-v2`. Only ASCII letters and digits
/// stay, so nothing may be left.
pub(crate) fn slug(text: &str, separator: char, longest: usize) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join(&separator.to_string()).chars().take(longest).collect();
    slug.trim_end_matches(separator).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_come_from_names() {
        assert_eq!(slug("My App (v2)", '-', 63), "my-app-v2");
        assert_eq!(slug("  --x--  ", '_', 63), "x");
        assert_eq!(slug("Ärger", '-', 63), "rger");
        assert_eq!(slug("ab cd", '-', 3), "ab", "no separator is left at the end");
    }
}
