//! Exact numbers from what exporters send: integers, floats, and texts of either.
//!
//! A float stands for the shortest decimal that is read as the same float, which is what the tool had in mind. From there on nothing
//! is a float any more.

use super::super::{MOST, Total};

/// Digits behind the point of a dollar that are kept: picodollars.
const DIGITS: usize = 12;

/// The most dollars that one point may tell. Whoever tells more has made a mistake.
const MOST_DOLLARS: f64 = 1_000_000_000.0;

/// A number as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sent<'a> {
    /// An integer.
    Integer(i64),
    /// A float, or what is called one.
    Float(f64),
    /// A text.
    Text(&'a str),
}

/// Tokens.
///
/// # Errors
/// Why it is no number of tokens.
pub fn tokens(sent: Sent<'_>) -> Result<Total, &'static str> {
    let whole = match sent {
        Sent::Integer(value) => value,
        Sent::Float(value) => whole(value)?,
        Sent::Text(text) => match text.trim().parse() {
            Ok(value) => value,
            Err(_) => whole(text.trim().parse().map_err(|_| NO_NUMBER)?)?,
        },
    };
    match whole {
        ..0 => Err(NEGATIVE),
        0..=MOST => Ok(whole.into()),
        _ => Err(TOO_MUCH),
    }
}

/// Picodollars of so many dollars.
///
/// # Errors
/// Why it is no amount of money.
pub fn picodollars(dollars: Sent<'_>) -> Result<Total, &'static str> {
    let value = match dollars {
        #[expect(clippy::cast_precision_loss, reason = "what has so many digits is refused below")]
        Sent::Integer(value) => value as f64,
        Sent::Float(value) => value,
        Sent::Text(text) => text.trim().parse().map_err(|_| NO_NUMBER)?,
    };
    let value = finite(value)?;
    if value > MOST_DOLLARS {
        return Err(TOO_MUCH);
    }
    // The shortest decimal, without an exponent.
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{fraction:0<width$}", width = DIGITS + 1);
    let (kept, rest) = digits.split_at_checked(DIGITS).ok_or(NO_NUMBER)?;
    let kept: i128 = format!("{whole}{kept}").parse().map_err(|_| NO_NUMBER)?;
    Ok(Total(kept + i128::from(rest.as_bytes().first().is_some_and(|digit| *digit >= b'5'))))
}

const NO_NUMBER: &str = "the value is no number";
const NEGATIVE: &str = "the value is negative";
const TOO_MUCH: &str = "the value is larger than anybody can have used";

fn finite(value: f64) -> Result<f64, &'static str> {
    match value {
        _ if !value.is_finite() => Err(NO_NUMBER),
        _ if value < 0.0 => Err(NEGATIVE),
        // Minus nothing is nothing.
        _ => Ok(value.abs()),
    }
}

fn whole(value: f64) -> Result<i64, &'static str> {
    let value = finite(value)?;
    if value.fract() != 0.0 {
        return Err("the value is no whole number of tokens");
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and what is too large becomes the largest"
    )]
    Ok(value as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_are_the_decimals_that_were_meant() {
        for (dollars, expected) in [
            (0.0, 0),
            (-0.0, 0),
            (0.1, 100_000_000_000),
            (0.021_078_8, 21_078_800_000),
            (1e-12, 1),
            (4.9e-13, 0),
            (5e-13, 1),
            (5e-324, 0),
            (1.0, 1_000_000_000_000),
            (0.1 + 0.2, 300_000_000_000),
            (1e9, 1_000_000_000_000_000_000_000),
        ] {
            assert_eq!(picodollars(Sent::Float(dollars)), Ok(Total(expected)), "{dollars}");
            assert_eq!(picodollars(Sent::Text(&dollars.to_string())), Ok(Total(expected)), "{dollars}");
        }
        assert_eq!(picodollars(Sent::Text(" 2.5e-2 ")), Ok(Total(25_000_000_000)));
        assert_eq!(picodollars(Sent::Integer(3)), Ok(Total(3_000_000_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(picodollars(Sent::Float(bad)), Err(NO_NUMBER));
            assert_eq!(tokens(Sent::Float(bad)), Err(NO_NUMBER));
        }
        for text in ["", "1,5", "0x10", "nan", "inf", "many"] {
            assert_eq!(picodollars(Sent::Text(text)), Err(NO_NUMBER), "{text}");
            assert_eq!(tokens(Sent::Text(text)), Err(NO_NUMBER), "{text}");
        }
        assert_eq!(picodollars(Sent::Float(-0.01)), Err(NEGATIVE));
        assert_eq!(tokens(Sent::Integer(-1)), Err(NEGATIVE));
        assert_eq!(tokens(Sent::Text("-1")), Err(NEGATIVE));
        assert_eq!(picodollars(Sent::Float(1e9 + 1.0)), Err(TOO_MUCH));
        assert_eq!(tokens(Sent::Integer(MOST + 1)), Err(TOO_MUCH));
        assert_eq!(tokens(Sent::Float(1e300)), Err(TOO_MUCH));
        assert!(tokens(Sent::Float(1.5)).is_err());
        assert_eq!(tokens(Sent::Float(1500.0)), Ok(Total(1500)));
        assert_eq!(tokens(Sent::Text("1500")), Ok(Total(1500)));
    }

    proptest! {
        /// Nothing is off by more than half a picodollar, and what has no more digits than are kept is exact.
        #[test]
        fn amounts_with_few_digits_are_exact(micros in 0i64..1_000_000_000_000) {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            let expected = Total(i128::from(micros) * 1_000_000);
            prop_assert_eq!(picodollars(Sent::Float(text.parse().unwrap())), Ok(expected));
            prop_assert_eq!(picodollars(Sent::Text(&text)), Ok(expected));
        }
    }
}
