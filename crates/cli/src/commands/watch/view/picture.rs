//! What is claimed above what was found, to the same measure: what lies between the ends of both is claimed and not proven.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::look::{Look, fit};
use crate::commands::watch::model::Counts;
use crate::terminal::Tone;

/// The part of a width that each count is of all, the ends of which are rounded and nowhere out of order. What there is at all shows.
fn shares(counts: &[usize], all: usize, width: usize) -> Vec<usize> {
    let mut sum = 0;
    let mut taken = 0;
    counts
        .iter()
        .map(|count| {
            sum += count;
            let end = (sum * width * 2 + all).checked_div(all * 2).unwrap_or(0).min(width);
            let least = if *count > 0 { (taken + 1).min(width) } else { taken };
            let share = end.max(least) - taken;
            taken += share;
            share
        })
        .collect()
}

/// Two lines: how far stories are said to be, and how far they were found to be.
pub(super) fn lines(counts: Counts, look: Look, width: usize) -> [Line<'static>; 2] {
    let [whole, under_way, against, rest] = look.marks();
    let pending = counts.all - counts.reported - counts.working - counts.contracted;
    let open = counts.all - counts.verified - counts.rejected;
    let claimed = Picture {
        name: "Claimed ",
        pieces: vec![
            (counts.reported, "reported", whole, Tone::Waiting),
            (counts.working, "in work", under_way, Tone::Plain),
            (counts.contracted, "contracted", against, Tone::Quiet),
            (pending, "pending", rest, Tone::Quiet),
        ],
    };
    let found = Picture {
        name: "Verified",
        pieces: vec![
            (counts.verified, "verified", whole, Tone::Good),
            (counts.rejected, "rejected", against, Tone::Bad),
            (open, "unverified", rest, Tone::Quiet),
        ],
    };
    // Both bars are of the same width, so that they compare.
    let words = claimed.words().width().max(found.words().width());
    let bar = width.saturating_sub(claimed.name.len() + 2 + words).max(NARROWEST);
    [claimed, found].map(|picture| picture.line(counts.all, look, bar, width))
}

const NARROWEST: usize = 16;

struct Picture {
    name: &'static str,
    pieces: Vec<(usize, &'static str, char, Tone)>,
}

impl Picture {
    fn words(&self) -> String {
        let there = self.pieces.iter().filter(|(count, ..)| *count > 0);
        there.map(|(count, word, ..)| format!("{word} {count}")).collect::<Vec<_>>().join("  ")
    }

    fn line(&self, all: usize, look: Look, bar: usize, width: usize) -> Line<'static> {
        let counts: Vec<_> = self.pieces.iter().map(|(count, ..)| *count).collect();
        let widths = shares(&counts, all, bar);
        let mut spans = vec![Span::raw(format!("{} ", self.name))];
        spans.extend(self.pieces.iter().zip(&widths).map(|((_, _, mark, tone), width)| {
            Span::styled(mark.to_string().repeat(*width), look.tone(*tone))
        }));
        let left = bar.saturating_sub(widths.iter().sum());
        spans.push(Span::raw(" ".repeat(left + 1)));
        spans.push(Span::raw(fit(&self.words(), width.saturating_sub(self.name.len() + 2 + bar))));
        Line::from(spans)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_there_is_shows() {
        assert_eq!(shares(&[0, 1, 0, 999], 1000, 20), [0, 1, 0, 19]);
        assert_eq!(shares(&[5, 5], 10, 20), [10, 10]);
        assert_eq!(shares(&[0, 0], 0, 20), [0, 0]);
    }

    proptest! {
        #[test]
        fn a_bar_is_as_wide_as_its_room(counts in prop::collection::vec(0usize..2000, 1..5), width in 10usize..200) {
            let all: usize = counts.iter().sum();
            let widths = shares(&counts, all, width);
            prop_assert_eq!(widths.iter().sum::<usize>(), if all == 0 { 0 } else { width });
        }
    }
}
