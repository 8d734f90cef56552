//! Names for addresses and directories, from titles.

use unicode_normalization::UnicodeNormalization;

/// The words of a text with `separator` between them: `My Café (v2)` becomes `my-cafe-v2`. Latin letters lose what ASCII does
/// not have; letters of other alphabets are left out, so nothing may be left.
pub(crate) fn slug(text: &str, separator: char, longest: usize) -> String {
    let ascii: String = text.nfc().map(latin).collect();
    let lower = ascii.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join(&separator.to_string()).chars().take(longest).collect();
    slug.trim_end_matches(separator).to_owned()
}

/// A Latin letter in ASCII. How other alphabets would be written is for whoever names the thing to say.
fn latin(c: char) -> &'static str {
    match c {
        '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' if c.is_alphabetic() || c.is_ascii() => {
            deunicode::deunicode_char(c).unwrap_or(" ")
        }
        _ => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_come_from_names() {
        for (name, expected) in [
            ("My App (v2)", "my-app-v2"),
            ("  --x--  ", "x"),
            ("Ärger", "arger"),
            ("Über Café 2", "uber-cafe-2"),
            // The same, typed with accents of their own.
            ("U\u{308}ber Cafe\u{301} 2", "uber-cafe-2"),
            ("Straße Łódź Ångström", "strasse-lodz-angstrom"),
            ("Tiếng Việt", "tieng-viet"),
            ("Проект", ""),
            ("Проект Alpha", "alpha"),
            ("日本", ""),
            ("2 × 3½ €", "2-3"),
        ] {
            assert_eq!(slug(name, '-', 63), expected, "{name}");
        }
        assert_eq!(slug("a_b", '_', 63), "a_b");
        assert_eq!(slug("ab cd", '-', 3), "ab", "no separator is left at the end");
    }
}
