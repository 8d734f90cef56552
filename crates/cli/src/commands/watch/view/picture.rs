//! What is claimed above what was found, to the same measure: what lies between the ends of both is claimed and not proven.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::look::{Look, fit};
use crate::commands::watch::model::{Counts, Tone};

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
    let waiting = counts.all - counts.reported - counts.working - counts.contracted;
    let claimed = [
        (counts.reported, "reported", whole, Tone::Waiting),
        (counts.working, "in work", under_way, Tone::Plain),
        (counts.contracted, "contracted", against, Tone::Faint),
        (waiting, "pending", rest, Tone::Faint),
    ];
    let open = counts.all - counts.verified - counts.rejected;
    let found = [
        (counts.verified, "verified", whole, Tone::Good),
        (counts.rejected, "rejected", against, Tone::Bad),
        (open, "unverified", rest, Tone::Faint),
    ];
    [line("Claimed ", &claimed, counts.all, look, width), line("Verified", &found, counts.all, look, width)]
}

type Piece = (usize, &'static str, char, Tone);

fn line(name: &str, pieces: &[Piece], all: usize, look: Look, width: usize) -> Line<'static> {
    const LEGEND: usize = 46;
    let bar = width.saturating_sub(name.width() + 2 + LEGEND).max(10);
    let counts: Vec<_> = pieces.iter().map(|(count, ..)| *count).collect();
    let widths = shares(&counts, all, bar);
    let mut spans = vec![Span::raw(format!("{name} "))];
    spans.extend(pieces.iter().zip(&widths).map(|((_, _, mark, tone), width)| {
        Span::styled(mark.to_string().repeat(*width), look.tone(*tone))
    }));
    let left = bar.saturating_sub(widths.iter().sum());
    spans.push(Span::raw(" ".repeat(left + 1)));
    let words = pieces.iter().filter(|(count, ..)| *count > 0);
    let words = words.map(|(count, word, ..)| format!("{word} {count}")).collect::<Vec<_>>().join("  ");
    spans.push(Span::raw(fit(&words, LEGEND)));
    Line::from(spans)
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
