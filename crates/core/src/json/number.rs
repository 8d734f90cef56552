//! Numbers as they are written.

/// The most digits that a number may have on either side of its point when it is written without an exponent, as
/// PostgreSQL does. Seven bytes could otherwise become sixteen thousand, and a few more are none that it can store.
const MAX_DIGITS: i64 = 400;

/// Whether a floating-point number holds it, be it roughly, as JSON is read into those nearly everywhere; and whether it
/// can be written down.
pub(super) fn is_in_range(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) && has_few_digits(text)
}

fn has_few_digits(text: &str) -> bool {
    parts(text).is_some_and(|(whole, fraction, exponent)| {
        whole.len() as i64 + exponent <= MAX_DIGITS && fraction.len() as i64 - exponent <= MAX_DIGITS
    })
}

/// How many characters longer a number with an exponent is when it is written without.
pub(super) fn growth(text: &str) -> usize {
    if !text.contains(['e', 'E']) {
        return 0;
    }
    let plain = parts(text).map_or(0, |(whole, fraction, exponent)| {
        (whole.len() as i64 + exponent).max(1) + (fraction.len() as i64 - exponent).max(0)
    });
    usize::try_from(plain).unwrap_or_default().saturating_sub(text.len())
}

/// What is before the point, with a sign, and after it, and the exponent; None for an exponent beyond all reason.
fn parts(text: &str) -> Option<(&str, &str, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    Some((whole, fraction, exponent.parse::<i32>().ok()?.into()))
}

/// Whether a number comes back as it was sent, to whoever reads JSON as most do: integers into 64 bits, with a sign or
/// without, and everything else into floating-point numbers, which are written in their shortest form.
pub(super) fn is_exact(text: &str) -> bool {
    // Of so few digits, both hold all.
    const SAFE: usize = 15;
    let is_integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if text.len() <= SAFE && (is_integer || !text.contains(['e', 'E'])) {
        return true;
    }
    if is_integer {
        return text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    }
    // Where two shortest forms are as near, Rust takes the other one than `serde_json`, which writes exports.
    text.parse::<f64>().is_ok_and(|float| {
        let number = Decimal::of(text);
        number == Decimal::of(&format!("{float:e}"))
            || serde_json::to_string(&float).is_ok_and(|shortest| number == Decimal::of(&shortest))
    })
}

/// One text for all that are the same number.
pub(super) fn normal_form(text: &str) -> String {
    match Decimal::of(text) {
        Some(Decimal { negative, digits, exponent }) => {
            format!("{}{digits}e{exponent}", if negative { "-" } else { "" })
        }
        None => text.to_owned(),
    }
}

/// A number: its digits without zeros on either side, times ten to the power of `exponent`.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// None for an exponent beyond all reason.
    fn of(text: &str) -> Option<Self> {
        let (whole, fraction, exponent) = parts(text)?;
        let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
        let trimmed = digits.trim_end_matches('0');
        let zeros = digits.len() - trimmed.len();
        let digits = trimmed.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = exponent - fraction.len() as i64 + zeros as i64;
        Some(Self { negative: whole.starts_with('-'), digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_no_float_holds_is_out_of_range() {
        for held in ["0", "-0", "1e308", "5e-324", "1e-400", "123456789012345678901234567890"] {
            assert!(is_in_range(held), "{held}");
        }
        let long = format!("0.{}1", "0".repeat(400));
        for lost in ["1e309", "-1e400", "1e99999999999", "1e-20000", "0e401", "0e-99999999999999", &long] {
            assert!(!is_in_range(lost), "{lost}");
        }
    }

    #[test]
    fn exponents_hide_digits() {
        for (text, more) in [
            ("1", 0),
            ("1.5", 0),
            ("12345678901234567890", 0),
            ("1e2", 0),
            ("1e22", 19),
            ("1e-7", 4),
            ("1E308", 304),
        ] {
            assert_eq!(growth(text), more, "{text}");
        }
    }

    #[test]
    fn what_comes_back_otherwise_is_not_exact() {
        for exact in [
            "0",
            "-0",
            "-0.0",
            "1.10",
            "0.1",
            "1e22",
            "1E2",
            "100",
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "1.7976931348623157e308",
            "5e-324",
            "0.30000000000000004",
            "0e5",
            "123456789012345",
            "0.000000000000001",
            "12345678.9012345",
            "1503908042388553.2",
            "1503908042388553.3",
        ] {
            assert!(is_exact(exact), "{exact}");
        }
        for lost in [
            "18446744073709551616",
            "-9223372036854775809",
            "10000000000000000000000",
            "0.1234567890123456789",
            "1.00000000000000000001",
            "9007199254740993.0",
            "1e-400",
            "4.9e-324",
            "123456789.123456789012",
            "1503908042388553.25",
        ] {
            assert!(!is_exact(lost), "{lost}");
        }
    }

    proptest! {
        #[test]
        fn floats_and_integers_are_exact(float in any::<f64>().prop_filter("finite", |float| float.is_finite()), integer: i64) {
            let (plain, scientific) = (float.to_string(), format!("{:e}", float));
            prop_assert!(is_exact(&plain) || !plain.contains('.'), "{}", plain);
            prop_assert!(is_exact(&scientific), "{}", scientific);
            let json = serde_json::to_string(&float).unwrap();
            prop_assert!(is_exact(&json), "{}", json);
            prop_assert!(is_exact(&integer.to_string()));
        }

        #[test]
        fn normal_forms_are_equal_where_numbers_are(one in -999..999_i32, other in -999..999_i32, scale in 0..4_usize) {
            let write = |number: i32| {
                let digits = format!("{:05}", number.abs());
                let sign = if number < 0 { "-" } else { "" };
                let (whole, fraction) = digits.split_at(5 - scale);
                format!("{sign}{}{whole}.{fraction}0", if whole.is_empty() { "0" } else { "" })
            };
            prop_assert_eq!(normal_form(&write(one)) == normal_form(&write(other)), one == other);
        }
    }
}
