//! Numbers on the command line, held to the range in which they mean something.

fn within(text: &str, wanted: &str, is_in: impl Fn(f64) -> bool) -> Result<f64, String> {
    text.parse().ok().filter(|value| is_in(*value)).ok_or_else(|| format!("not {wanted}"))
}

/// Any number but NaN and the infinities.
pub(super) fn finite(text: &str) -> Result<f64, String> {
    within(text, "a number", f64::is_finite)
}

/// 0 or more.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    within(text, "a number from 0 on", |value| value.is_finite() && value >= 0.0)
}

/// Above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    within(text, "a number above 0", |value| value.is_finite() && value > 0.0)
}

/// From 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    within(text, "a number from 0 to 1", |value| (0.0..=1.0).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept() {
        for text in ["nan", "inf", "-inf", "x", ""] {
            assert!([finite, not_negative, positive, share].iter().all(|parse| parse(text).is_err()), "{text}");
        }
        assert_eq!((finite("-1.5"), not_negative("0"), share("1")), (Ok(-1.5), Ok(0.0), Ok(1.0)));
        assert!(not_negative("-1").is_err() && positive("0").is_err() && share("1.5").is_err());
    }
}
