//! Money and tokens as people read them.

use loopctl_core::cost::Total;
use serde_json::Value;

/// A whole number of an answer; what is none is nothing. Of one beyond 64 bits the first 15 digits are exact, because JSON is
/// read like that: to show it so is better than to say that there is nothing.
pub(crate) fn total(value: &Value) -> Option<Total> {
    let signed = value.as_i64().map(i128::from);
    let exact = signed.or_else(|| value.as_u64().map(i128::from));
    let large = || value.as_f64().filter(|number| number.abs() >= 2f64.powi(63)).map(|number| number as i128);
    exact.or_else(large).map(Total)
}

/// Millicents as dollars: `$2.50`, `-$0.03`.
pub(crate) fn dollars(millicents: Total) -> String {
    let dollars = millicents.dollars();
    match dollars.strip_prefix('-') {
        Some(debt) => format!("-${debt}"),
        None => format!("${dollars}"),
    }
}

/// `999`, `1K`, `1.5K`, `2M`: one decimal, cut off.
pub(crate) fn tokens(count: Total) -> String {
    let sign = if count.0 < 0 { "-" } else { "" };
    let count = count.0.unsigned_abs();
    let (unit, letter) = match count {
        0..1_000 => return format!("{sign}{count}"),
        1_000..1_000_000 => (1_000, "K"),
        _ => (1_000_000, "M"),
    };
    match count % unit * 10 / unit {
        0 => format!("{sign}{}{letter}", count / unit),
        tenth => format!("{sign}{}.{tenth}{letter}", count / unit),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn money_has_two_decimals_and_its_sign_in_front() {
        let shown = [2_500, 155, 250_000, 499, 500, -2_500, -499].map(|cost| dollars(Total(cost)));
        assert_eq!(shown, ["$0.03", "$0.00", "$2.50", "$0.00", "$0.01", "-$0.03", "$0.00"]);
    }

    #[test]
    fn tokens_are_short() {
        let counts = [0, 999, 1_000, 1_500, 1_999, 999_999, 1_000_000, 2_500_000, 2_500_000_000, -1_500];
        assert_eq!(
            counts.map(|count| tokens(Total(count))),
            ["0", "999", "1K", "1.5K", "1.9K", "999.9K", "1M", "2.5M", "2500M", "-1.5K"]
        );
    }

    #[test]
    fn what_is_no_whole_number_is_no_figure() {
        assert_eq!(total(&json!(u64::MAX)), Some(Total(u64::MAX.into())));
        assert_eq!(total(&json!(-3)), Some(Total(-3)));
        for other in [json!(null), json!(1.5), json!(1e15), json!("1"), json!([1])] {
            assert_eq!(total(&other), None, "{other}");
        }
        let large: Value = serde_json::from_str("45045003472959690000").unwrap();
        assert!(total(&large).unwrap().dollars().starts_with("450450034729596."));
    }

    proptest! {
        #[test]
        fn what_is_short_never_says_more_than_there_is(count in 0i128..1 << 90) {
            let text = tokens(Total(count));
            let unit = if text.ends_with('M') { 1_000_000 } else if text.ends_with('K') { 1_000 } else { 1 };
            let number = text.trim_end_matches(['K', 'M']);
            let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
            let said = whole.parse::<i128>().unwrap() * unit + tenth.parse::<i128>().unwrap() * unit / 10;
            prop_assert!(said <= count && count - said < (unit / 10).max(1));
        }
    }
}
