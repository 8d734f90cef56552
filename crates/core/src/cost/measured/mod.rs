//! What coding agents measured of their own work, beside what they claim.
//!
//! Money is counted in picodollars here, a millionth of a millionth of a dollar: tools tell the cost of single requests, which is less
//! than a millicent. It is rounded to millicents where it is shown, and nowhere before.

pub mod compare;
pub mod exact;
pub mod series;

use std::ops::AddAssign;

use super::{Total, quotient};
use crate::words::words;

/// Picodollars of one millicent.
const MILLICENT: i128 = 10_000_000;

words! {
    /// Which tool measures.
    Tool {
        /// Claude Code.
        ClaudeCode = "claude_code",
        /// Codex.
        Codex = "codex",
    }
}

words! {
    /// By what it was told. The same work is told by both; metrics win.
    Source {
        /// Metrics.
        Metrics = "metrics",
        /// Log events.
        Logs = "logs",
    }
}

/// What a number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Figure {
    /// Tokens that were read, without those of a cache.
    Input,
    /// Tokens that were written.
    Output,
    /// Tokens that were read from a cache.
    CacheRead,
    /// Tokens that were written to a cache.
    CacheCreation,
    /// As [`Self::CacheRead`], where the tool counts them among the input as well.
    CacheReadOfInput,
    /// As [`Self::CacheCreation`], where the tool counts them among the input as well.
    CacheCreationOfInput,
    /// Picodollars.
    Cost,
}

/// What was used, in sums that are added to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Without what a cache was used for. Less than nothing as long as only a part of it has been told.
    pub input_tokens: Total,
    /// Written by the model.
    pub output_tokens: Total,
    /// Read from a cache.
    pub cache_read_tokens: Total,
    /// Written to a cache.
    pub cache_creation_tokens: Total,
    /// What it cost.
    pub cost_picodollars: Total,
    /// How often tokens were told.
    pub token_points: i64,
    /// How often the cost was told.
    pub cost_points: i64,
}

impl Usage {
    /// One point: its figures, each by so much.
    pub fn of_point(figures: &[(Figure, Total)]) -> Self {
        let mut usage = Self::default();
        for (figure, by) in figures {
            match figure {
                Figure::Input => usage.input_tokens = usage.input_tokens + *by,
                Figure::Output => usage.output_tokens = usage.output_tokens + *by,
                Figure::CacheRead => usage.cache_read_tokens = usage.cache_read_tokens + *by,
                Figure::CacheCreation => usage.cache_creation_tokens = usage.cache_creation_tokens + *by,
                Figure::CacheReadOfInput => {
                    usage.cache_read_tokens = usage.cache_read_tokens + *by;
                    usage.input_tokens = usage.input_tokens - *by;
                }
                Figure::CacheCreationOfInput => {
                    usage.cache_creation_tokens = usage.cache_creation_tokens + *by;
                    usage.input_tokens = usage.input_tokens - *by;
                }
                Figure::Cost => usage.cost_picodollars = usage.cost_picodollars + *by,
            }
        }
        let tells_cost = figures.iter().any(|(figure, _)| *figure == Figure::Cost);
        let tells_tokens = figures.iter().any(|(figure, _)| *figure != Figure::Cost);
        Self { token_points: tells_tokens.into(), cost_points: tells_cost.into(), ..usage }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = Self {
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cache_read_tokens: self.cache_read_tokens + other.cache_read_tokens,
            cache_creation_tokens: self.cache_creation_tokens + other.cache_creation_tokens,
            cost_picodollars: self.cost_picodollars + other.cost_picodollars,
            token_points: self.token_points.saturating_add(other.token_points),
            cost_points: self.cost_points.saturating_add(other.cost_points),
        };
    }
}

/// Millicents, halves rounded away from zero.
pub fn millicents(picodollars: Total) -> Total {
    Total(quotient(picodollars.0, MILLICENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_taken_off_the_whole_in_any_order() {
        let point = |figure, by| Usage::of_point(&[(figure, Total(by))]);
        let (mut one, mut other) = (Usage::default(), Usage::default());
        let points = [
            point(Figure::Input, 100),
            point(Figure::CacheReadOfInput, 60),
            point(Figure::CacheCreationOfInput, 10),
            point(Figure::Output, 7),
            point(Figure::Cost, 15_000_000),
        ];
        points.iter().for_each(|point| one += *point);
        points.iter().rev().for_each(|point| other += *point);
        assert_eq!(one, other);
        assert_eq!((one.input_tokens, one.output_tokens), (Total(30), Total(7)));
        assert_eq!((one.cache_read_tokens, one.cache_creation_tokens), (Total(60), Total(10)));
        assert_eq!((one.token_points, one.cost_points), (4, 1));
        assert_eq!(millicents(one.cost_picodollars), Total(2));
        // A log event tells all of it at once.
        let event = Usage::of_point(&[(Figure::Input, Total(1)), (Figure::Cost, Total(2))]);
        assert_eq!((event.token_points, event.cost_points), (1, 1));
    }
}
