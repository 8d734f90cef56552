//! Parts of an article that say something by themselves: blocks of Markdown, of which code is never cut in the middle.

use std::cmp::Reverse;

/// Stands where something was left out.
const GAP: &str = "[…]";

/// The blocks of a text: paragraphs, lists, headings, and whole fenced code.
pub(super) fn blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut from = 0;
    let mut at = 0;
    let mut fence: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        match fence {
            Some(mark) => {
                if bare.starts_with(mark) && bare.trim_start_matches(&mark[..1]).is_empty() {
                    fence = None;
                }
            }
            None => {
                fence = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark));
                if bare.is_empty() || fence.is_some() || bare.starts_with('#') {
                    blocks.push(&text[from..at]);
                    from = at;
                }
            }
        }
        at += line.len();
    }
    blocks.push(&text[from..]);
    blocks.into_iter().map(str::trim).filter(|block| !block.is_empty()).collect()
}

/// The beginning of a text, of at most so many characters: whole blocks, or of a long first one the first words.
pub fn beginning(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for block in blocks(text) {
        let length = shown.chars().count() + block.chars().count() + 2;
        if length <= most {
            if !shown.is_empty() {
                shown.push_str("\n\n");
            }
            shown.push_str(block);
            continue;
        }
        if shown.is_empty() && !block.starts_with("```") && !block.starts_with("~~~") {
            return first_words(block, most);
        }
        break;
    }
    if shown.is_empty() { GAP.to_owned() } else { shown }
}

fn first_words(text: &str, most: usize) -> String {
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    let cut = &text[..end];
    let cut = if end == text.len() {
        cut
    } else {
        cut.rsplit_once(char::is_whitespace).map_or(cut, |(words, _)| words)
    };
    format!("{}...", cut.trim_end())
}

/// What of a text fits into `room` tokens, as `tokens` counts them: the blocks that have most of the words that were asked for, each with
/// the heading that it stands under, in their order; of a text that has none of the words, the first ones. None, if not even one fits.
pub fn passages(text: &str, asked: &[String], room: usize, tokens: impl Fn(&str) -> usize) -> Option<String> {
    let blocks = blocks(text);
    let says = |block: &str| {
        let lower = block.to_lowercase();
        asked.iter().filter(|word| lower.contains(word.as_str())).count()
    };
    let mut heading = None;
    let mut bodies = Vec::new();
    for (nth, block) in blocks.iter().enumerate() {
        if block.starts_with('#') {
            heading = Some(nth);
        } else {
            bodies.push((says(block), nth, heading));
        }
    }
    bodies.sort_by_key(|(count, nth, _)| (Reverse(*count), *nth));
    if bodies.first().is_some_and(|(count, ..)| *count > 0) {
        bodies.retain(|(count, ..)| *count > 0);
    }
    let gap = tokens(GAP) + 1;
    let mut taken = vec![false; blocks.len()];
    let mut left = room;
    for (_, nth, heading) in bodies {
        // Each word is a token at least, and counting them costs next to nothing.
        if blocks[nth].split_whitespace().count() > left {
            continue;
        }
        let above = heading.filter(|heading| !taken[*heading]);
        let costs = tokens(blocks[nth]) + gap + above.map_or(0, |above| tokens(blocks[above]) + gap);
        if costs <= left {
            left -= costs;
            taken[nth] = true;
            above.into_iter().for_each(|above| taken[above] = true);
        }
    }
    let mut shown = String::new();
    let mut leaves_out = false;
    for (block, is_taken) in blocks.iter().zip(taken) {
        if !is_taken {
            leaves_out = true;
            continue;
        }
        if !shown.is_empty() {
            shown.push_str("\n\n");
        }
        if std::mem::take(&mut leaves_out) {
            shown.push_str(GAP);
            shown.push_str("\n\n");
        }
        shown.push_str(block);
    }
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# Pools\n\nA pool keeps connections.\n\n```rust\nlet pool = a();\n\nlet b = pool.get();\n```\n\nIt runs dry \
                        when nobody gives them back.\n";

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn code_is_one_block() {
        assert_eq!(blocks(TEXT).len(), 4);
        assert_eq!(blocks(TEXT)[2], "```rust\nlet pool = a();\n\nlet b = pool.get();\n```");
        assert_eq!(blocks("\n\n"), [""; 0]);
        assert_eq!(blocks("```\nnever closed\n\nx"), ["```\nnever closed\n\nx"]);
    }

    #[test]
    fn the_blocks_that_were_asked_for_come_first_and_stand_in_order() {
        let asked = ["dry".to_owned(), "back".to_owned()];
        let shown = passages(TEXT, &asked, 14, words).unwrap();
        assert_eq!(shown, "# Pools\n\n[…]\n\nIt runs dry when nobody gives them back.");
        assert_eq!(passages(TEXT, &asked, 1, words), None);
        // Room for more is no reason to show what has none of the words, unless all of it has none.
        assert_eq!(passages(TEXT, &asked, 1000, words).unwrap(), shown);
        assert_eq!(passages(TEXT, &["swim".to_owned()], 1000, words).unwrap(), TEXT.trim_end());
    }

    #[test]
    fn a_block_stands_under_its_own_heading() {
        let steps = "# Steps\n\n## One\n\nBegin.\n\n## Two\n\nRun the check.\n\n## Three\n\nEnd the check.";
        let shown = passages(steps, &["end".to_owned(), "check".to_owned()], 1000, words).unwrap();
        assert_eq!(shown, "[…]\n\n## Two\n\nRun the check.\n\n## Three\n\nEnd the check.");
        let shown = passages(steps, &["end".to_owned(), "check".to_owned()], 9, words).unwrap();
        assert_eq!(shown, "[…]\n\n## Three\n\nEnd the check.");
        assert_eq!(passages("# Steps\n\n## One", &["one".to_owned()], 1000, words), None);
    }

    #[test]
    fn a_beginning_does_not_end_in_code() {
        assert_eq!(beginning(TEXT, 60), "# Pools\n\nA pool keeps connections.");
        assert_eq!(beginning("```\ncode that is long\n```", 10), GAP);
        assert_eq!(beginning("some words that go on", 12), "some words...");
        assert_eq!(beginning("short", 300), "short");
    }

    proptest! {
        #[test]
        fn whatever_the_text_no_block_is_lost_and_no_limit_passed(text in "(a b|c\n|\n\n|```\n|# h\n|\u{e4} ){0,40}", room in 0_usize..60) {
            let all: String = blocks(&text).concat().split_whitespace().collect();
            let whole: String = text.split_whitespace().collect();
            prop_assert_eq!(all, whole);
            if let Some(shown) = passages(&text, &["c".to_owned()], room, words) {
                prop_assert!(words(&shown) <= room);
            }
            prop_assert!(beginning(&text, room + 4).chars().count() <= room + 4 + 3);
        }
    }
}
