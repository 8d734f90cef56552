//! What the way in which a story was worked on gives away: reports of much done, and little behind it.

use rust_decimal::Decimal;

/// What the reports of a story say together of the work on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Telemetry {
    /// Input and output.
    pub tokens: i128,
    /// None where no report says how many; so are the others.
    pub tool_calls: Option<i64>,
    /// Length of the reasoning, in tokens.
    pub reasoning_tokens: Option<i64>,
    /// How many tests were run.
    pub tests_run: Option<i64>,
}

/// How suspicious that is.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspicion {
    /// In hundredths, 0 to 100: the mean of what was found.
    pub hundredths: u32,
    /// What was found, in words.
    pub reasons: Vec<String>,
}

impl Suspicion {
    /// Whether somebody should look at it.
    pub fn is_flagged(&self) -> bool {
        self.hundredths > 70
    }
}

/// Tokens that an hour of estimated work is expected to take.
const TOKENS_PER_HOUR: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

/// Of what is expected: less is suspicious.
const FIFTH: Decimal = Decimal::from_parts(2, 0, 0, false, 1);

/// Judges the work on a story that was estimated at so many hours. What no report tells speaks against nobody, and neither does
/// anything where there is no estimate, or one of an hour at most.
pub fn judge(told: &Telemetry, hours: Option<Decimal>) -> Suspicion {
    let mut found: Vec<(u32, String)> = Vec::new();
    let hours = hours.unwrap_or_default();
    if hours > Decimal::ONE {
        // Both are far from what a decimal holds, or as good as that.
        let tokens = Decimal::try_from_i128_with_scale(told.tokens, 0).unwrap_or(Decimal::MAX);
        let expected = hours.checked_mul(TOKENS_PER_HOUR).unwrap_or(Decimal::MAX);
        let share = tokens / expected;
        if share < FIFTH {
            found.push((
                80,
                format!("{} % of the expected token usage", (share * Decimal::ONE_HUNDRED).trunc()),
            ));
        }
        if let Some(calls) = told.tool_calls.filter(|calls| *calls < 5) {
            found.push((90, format!("{calls} tool calls")));
        }
        if let Some(tokens) = told.reasoning_tokens.filter(|tokens| *tokens < 100) {
            found.push((70, format!("{tokens} tokens of reasoning")));
        }
        match told.tests_run {
            Some(0) => found.push((100, "no test was run".to_owned())),
            Some(tests @ 1..=2) => found.push((60, format!("{tests} tests were run"))),
            _ => {}
        }
    }
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX).max(1);
    let sum: u32 = found.iter().map(|(weight, _)| weight).sum();
    // Rounded, halves up.
    let hundredths = (2 * sum + count) / (2 * count);
    Suspicion { hundredths, reasons: found.into_iter().map(|(_, reason)| reason).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn told(tokens: i128, tool_calls: i64, reasoning_tokens: i64, tests_run: i64) -> Telemetry {
        let [tool_calls, reasoning_tokens, tests_run] = [tool_calls, reasoning_tokens, tests_run].map(Some);
        Telemetry { tokens, tool_calls, reasoning_tokens, tests_run }
    }

    #[test]
    fn little_work_is_suspicious() {
        let suspicion = judge(&told(1000, 2, 50, 0), Some(hours("8")));
        assert_eq!((suspicion.hundredths, suspicion.reasons.len()), (85, 4));
        assert!(suspicion.is_flagged());
        assert_eq!(suspicion.reasons[0], "1 % of the expected token usage");
        let suspicion = judge(&told(50_000, 100, 5000, 25), Some(hours("5")));
        assert_eq!((suspicion.hundredths, suspicion.reasons.len()), (0, 0));
        // Two factors of 0.8 and 0.6: exactly 0.7 is no flag.
        let suspicion = judge(&told(1000, 9, 500, 2), Some(hours("8")));
        assert_eq!((suspicion.hundredths, suspicion.is_flagged()), (70, false));
    }

    #[test]
    fn what_is_unknown_speaks_against_nobody() {
        let silent = Telemetry { tokens: 100_000, ..Telemetry::default() };
        assert_eq!(judge(&silent, Some(hours("8"))).hundredths, 0);
        for estimate in [None, Some(hours("0")), Some(hours("1.00"))] {
            assert_eq!(judge(&told(0, 0, 0, 0), estimate).hundredths, 0, "{estimate:?}");
        }
        assert_eq!(judge(&told(0, 0, 0, 0), Some(hours("1.001"))).hundredths, 85);
        // A fifth of what was expected is enough.
        assert!(judge(&told(16_000, 9, 999, 9), Some(hours("8"))).reasons.is_empty());
        assert_eq!(judge(&told(15_999, 9, 999, 9), Some(hours("8"))).reasons.len(), 1);
    }
}
