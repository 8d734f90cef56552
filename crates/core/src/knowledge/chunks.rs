//! Texts in pieces that a model can take in at once.

use super::sections::{heading, sections};

/// The most bytes of a piece.
const MOST: usize = 8000;

/// What is shorter does not stand alone, in bytes.
const TINY: usize = 200;

/// A text in pieces of at most 8000 bytes, which together are the text. It is cut before headings where that will do, else between
/// paragraphs, lines, words or letters, in that order.
pub fn chunks(text: &str) -> Vec<&str> {
    if text.len() <= MOST {
        return vec![text];
    }
    let pieces = sections(text, 6)
        .into_iter()
        .flat_map(|section| if section.len() <= MOST { vec![section] } else { paragraphs(section) });
    let (mut chunks, mut begins, mut ends) = (Vec::new(), 0, 0);
    for piece in pieces {
        let (held, all) = (ends - begins, ends - begins + piece.len());
        if all > MOST && held >= TINY && piece.len() >= TINY {
            chunks.push(&text[begins..ends]);
            begins = ends;
        }
        ends += piece.len();
        while ends - begins > MOST {
            let cut = begins + cut(&text[begins..ends], MOST);
            chunks.push(&text[begins..cut]);
            begins = cut;
        }
    }
    if ends > begins {
        chunks.push(&text[begins..ends]);
    }
    chunks
}

/// A text in parts of at most so many bytes, which is at least some dozens.
pub(super) fn parts(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > most {
        let (part, after) = rest.split_at(cut(rest, most));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

/// Parts of a section up to and with the blank lines that end them. A heading stays with what it is of.
fn paragraphs(section: &str) -> Vec<&str> {
    let (mut parts, mut begins, mut at) = (Vec::new(), 0, 0);
    let (mut after_blank, mut only_headings) = (false, true);
    for line in section.split_inclusive('\n') {
        let is_blank = line.trim().is_empty();
        if after_blank && !is_blank && !only_headings {
            parts.push(&section[begins..at]);
            (begins, only_headings) = (at, true);
        }
        only_headings &= is_blank || heading(line).is_some();
        after_blank = is_blank;
        at += line.len();
    }
    parts.push(&section[begins..]);
    parts
}

/// Where to cut a text that is longer than it may be: behind the last line, or else word, in the last quarter of what fits. The rest
/// is never tiny: of little more than fits, half is taken.
fn cut(text: &str, most: usize) -> usize {
    let window = if text.len() < most + most / 2 { text.len().div_ceil(2) } else { most };
    let window = text.floor_char_boundary(window);
    let quarter = text.floor_char_boundary(window - window / 4);
    let last = |mark: char| text[quarter..window].rfind(mark).map(|at| quarter + at + mark.len_utf8());
    last('\n').or_else(|| last(' ')).unwrap_or(window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Vec<&str> {
        let chunks = chunks(text);
        assert_eq!(chunks.concat(), text);
        assert!(chunks.iter().all(|chunk| chunk.len() <= MOST));
        assert!(chunks.len() == 1 || chunks.iter().all(|chunk| chunk.len() >= TINY), "none is tiny");
        chunks
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(check(""), [""]);
        let text = "# A\n\ntext\n".repeat(500);
        assert_eq!(check(&text), [text.as_str()]);
    }

    #[test]
    fn sections_stay_whole_and_in_order() {
        let section = |name: &str| format!("## {name}\n\n{}\n\n", "word ".repeat(900));
        let text = [section("One"), section("Two"), section("Three")].concat();
        let chunks = check(&text);
        assert_eq!(chunks.len(), 3, "two of them would be too long");
        let begins = |nth: usize, name: &str| chunks[nth].starts_with(name);
        assert!(begins(0, "## One") && begins(1, "## Two") && begins(2, "## Three"));
        // Small neighbours share a piece.
        let text = [section("One"), "## Small\n\nx\n".repeat(100), section("Two")].concat();
        assert_eq!(check(&text).len(), 2);
    }

    #[test]
    fn a_heading_is_not_cut_off() {
        let long = |letter: &str| format!("{}\n\n", letter.repeat(7990));
        let text = format!("# Title\n\n{}## Next\n\n{}", long("a"), long("b"));
        for chunk in check(&text) {
            let last = chunk.trim_end().lines().last().unwrap();
            assert!(heading(last).is_none(), "{last}");
        }
    }

    #[test]
    fn what_has_no_seam_is_cut_all_the_same() {
        check(&"x".repeat(16_100));
        check(&"👩🏽‍🚀".repeat(3000));
        check(&String::from_utf8_lossy(&[0x80; 10_000]));
        check(&"\n".repeat(20_000));
        check(&"# \n".repeat(9000));
        let words = "word ".repeat(4000);
        assert!(check(&words).iter().all(|chunk| chunk.ends_with(' ')), "between words");
    }

    #[test]
    fn parts_of_any_size() {
        assert_eq!(parts("abc", 100), ["abc"]);
        let text = "é".repeat(300);
        let parts = parts(&text, 100);
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| part.len() <= 100));
    }

    proptest! {
        #[test]
        fn pieces_are_the_text(parts in prop::collection::vec(
            prop_oneof!["#{1,7} [a-z]{0,9}\n", "\\PC{0,80}", "\n{1,3}", "[a-z ]{50,120}\n",
                        (0..9000_usize).prop_map(|length| "y".repeat(length))], 0..40)
        ) {
            check(&parts.concat());
        }
    }
}
