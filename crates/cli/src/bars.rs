//! Bars and lines of marks: pictures of figures in the terminal, as wide as there is room.
//!
//! They are of ASCII, which every terminal and every locale has, and without colour.

use loopctl_core::cost::Total;
use unicode_width::UnicodeWidthStr;

use crate::layout::text::cut;
use crate::table;

/// A bar is no wider, however much room there is, and not there where there is less.
const WIDEST: usize = 30;
const NARROWEST: usize = 5;
/// Texts are cut, first to make room for bars of this width, then for any: how long they stay in any case.
const CUTS: [(usize, usize); 2] = [(24, 12), (12, NARROWEST)];
/// Between columns.
const GAP: usize = 2;

/// `####....`: the share as part of `width`. Anything above zero shows a mark, and only the whole shows all of them.
pub(crate) fn bar(share: Total, whole: Total, width: usize) -> String {
    let filled = filled(share, whole, width);
    format!("{}{}", "#".repeat(filled), ".".repeat(width - filled))
}

fn filled(share: Total, whole: Total, width: usize) -> usize {
    if share.0 <= 0 {
        return 0;
    }
    if share >= whole {
        return width;
    }
    let doubled = share.0.saturating_mul(2 * width as i128).saturating_add(whole.0);
    let nearest = usize::try_from(doubled / whole.0.saturating_mul(2)).unwrap_or(width);
    nearest.min(width - 1).max(1)
}

/// A mark for each figure, higher for more; a blank for nothing.
pub(crate) fn line(figures: &[Total], marks: &[char]) -> String {
    let most = figures.iter().copied().max().unwrap_or_default();
    let mark = |figure: &Total| match filled(*figure, most, marks.len()) {
        0 => ' ',
        height => marks.get(height - 1).copied().unwrap_or(' '),
    };
    figures.iter().map(mark).collect()
}

/// Whether there are signs beyond ASCII, as far as the environment says.
pub(crate) fn has_signs() -> bool {
    has_signs_in(&locale())
}

/// Marks of growing height, where the locale has them; otherwise such as stand for them.
pub(crate) fn marks() -> &'static [char] {
    marks_of(&locale())
}

fn locale() -> String {
    let mut said = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| std::env::var(name).ok());
    said.find(|locale| !locale.is_empty()).unwrap_or_default()
}

fn has_signs_in(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

fn marks_of(locale: &str) -> &'static [char] {
    if has_signs_in(locale) {
        return &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    }
    &['.', ':', '-', '=', '+', '*', '#']
}

/// What stands beside each other, and a bar at the end of each row.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// Names of the columns before the bar; none where they are not shown.
    pub(crate) header: &'a [&'a str],
    /// Which columns are texts, to be cut where there is no room.
    pub(crate) texts: &'a [usize],
    /// Cells, and what the bar is of.
    pub(crate) rows: Vec<(Vec<String>, Total)>,
    /// What a full bar is.
    pub(crate) whole: Total,
}

impl Rows<'_> {
    /// The cells, as wide as `room` lets them be. Where there is none for a bar, there is none; otherwise it is the last cell.
    pub(crate) fn fitting(self, room: usize) -> Vec<Vec<String>> {
        let mut widths: Vec<usize> = self.header.iter().map(|name| name.width()).collect();
        for (cells, _) in &self.rows {
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(table::one_line(cell).width());
            }
        }
        let taken = |widths: &[usize]| widths.iter().map(|width| width + GAP).sum::<usize>();
        for (shortest, bar) in CUTS {
            while taken(&widths) + bar > room {
                let widest = self.texts.iter().copied().max_by_key(|text| widths.get(*text).copied());
                match widest.and_then(|text| widths.get_mut(text)).filter(|width| **width > shortest) {
                    Some(width) => *width -= 1,
                    None => break,
                }
            }
        }
        let bar = room.saturating_sub(taken(&widths)).min(WIDEST);
        let row = |(mut cells, share): (Vec<String>, Total)| {
            for text in self.texts {
                if let (Some(cell), Some(width)) = (cells.get_mut(*text), widths.get(*text)) {
                    *cell = cut(cell, *width);
                }
            }
            if bar >= NARROWEST {
                cells.push("#".repeat(filled(share, self.whole, bar)));
            }
            cells
        };
        self.rows.into_iter().map(row).collect()
    }
}

/// Texts of one width, their ends below each other.
pub(crate) fn right(mut texts: Vec<String>) -> Vec<String> {
    let width = texts.iter().map(|text| text.width()).max().unwrap_or(0);
    for text in &mut texts {
        text.insert_str(0, &" ".repeat(width - text.width()));
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bar_never_hides_anything_and_is_full_only_of_the_whole() {
        let bar = |share, whole| bar(Total(share), Total(whole), 4);
        assert_eq!(bar(0, 0), "....");
        assert_eq!(bar(-5, 10), "....");
        assert_eq!(bar(1, 1000), "#...");
        assert_eq!(bar(999, 1000), "###.");
        assert_eq!(bar(4, 4), "####");
        assert_eq!(bar(9, 4), "####");
    }

    #[test]
    fn lines_are_drawn_with_what_the_locale_has() {
        let figures = [0, 1, 50, 100, -7].map(Total);
        assert_eq!(line(&figures, marks_of("de_DE.UTF-8")), " ▁▄█ ");
        assert_eq!(line(&figures, marks_of("en_US.utf8")), " ▁▄█ ");
        assert_eq!(line(&figures, marks_of("C")), " .=# ");
        assert_eq!(line(&figures, marks_of("")), " .=# ");
        assert_eq!(line(&[], marks_of("C")), "");
    }

    #[test]
    fn texts_are_cut_before_bars_are() {
        let rows = |room| {
            let cells = |name: &str| vec![name.to_owned(), "$1.00".to_owned()];
            let long = "A name that is so long that nobody reads it";
            let rows = vec![(cells(long), Total(2)), (cells("日本日本日本日本日本日本日本"), Total(1))];
            Rows { header: &[], texts: &[0], rows, whole: Total(2) }.fitting(room)
        };
        assert_eq!(rows(90)[0], ["A name that is so long that nobody reads it", "$1.00", &"#".repeat(30)]);
        assert_eq!(rows(45)[0], ["A name that is so lon...", "$1.00", &"#".repeat(12)]);
        assert_eq!(rows(30)[0], ["A name that i...", "$1.00", "#####"]);
        assert_eq!(rows(30)[1], ["日本日本日本...", "$1.00", "###"]);
        assert_eq!(rows(10)[0], ["A name th...", "$1.00"], "no room for a bar");
    }

    #[test]
    fn figures_end_below_each_other() {
        assert_eq!(right(vec!["$1.00".to_owned(), "$10.00".to_owned()]), [" $1.00", "$10.00"]);
    }

    proptest! {
        #[test]
        fn bars_are_as_wide_as_they_are_wanted(share in any::<i128>(), whole in any::<i128>(), width in 1usize..200) {
            let bar = bar(Total(share), Total(whole), width);
            prop_assert_eq!(bar.len(), width);
            prop_assert_eq!(bar.starts_with('#'), share > 0);
        }
    }
}
