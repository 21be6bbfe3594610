//! Numbers and sizes in words.

/// A share as a percentage without decimals: `83 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0}\u{a0}%", share * 100.0)
}

/// A whole number with thin spaces between thousands: `12 480`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest fitting unit: `15.6 MB`.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && scaled < 100.0);
    format!("{scaled:.decimals$} {}", UNITS[unit])
}

/// Parameters of a model: `3.4 M`, `8.0 B`.
pub(crate) fn parameters(value: u64) -> String {
    let value = value as f64;
    if value >= 1e9 {
        format!("{:.1} B", value / 1e9)
    } else if value >= 1e6 {
        format!("{:.1} M", value / 1e6)
    } else {
        format!("{:.0} k", value / 1e3)
    }
}

/// Seconds for people: `8 s`, `3 min 20 s`, `1 h 5 min`.
pub(crate) fn duration(secs: f64) -> String {
    let whole = secs.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Bytes in words and to the byte: `15.6 MB (15 600 000 bytes)`.
pub(crate) fn exact_bytes(value: u64) -> String {
    if value < 1000 { plural(value as usize, "byte") } else { format!("{} ({} bytes)", bytes(value), count(value)) }
}

/// A thing and how many of it: `1 file`, `7 files`.
pub(crate) fn plural(n: usize, thing: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(n as u64))
}

/// How long ago something was, in words: `just now`, `3 hours ago`, `2 months ago`.
pub(crate) fn ago(secs: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (7 * 86_400, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let unit = UNITS.into_iter().find(|(length, _)| secs >= *length);
    unit.map_or_else(
        || "just now".to_owned(),
        |(length, word)| format!("{} ago", plural((secs / length) as usize, word)),
    )
}

/// A number with a real minus sign: `0.40`, `−1.25`.
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    let text = signed(value, decimals);
    text.strip_prefix('+').map_or(text.clone(), str::to_owned)
}

/// A signed number with a real minus sign: `+0.40`, `−1.25`, `0.00`.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    if text.bytes().all(|byte| byte == b'0' || byte == b'.') {
        text
    } else if value < 0.0 {
        format!("\u{2212}{text}")
    } else {
        format!("+{text}")
    }
}

/// A number to three places that mean something: `0.0123`, `12.4`, `1 240`.
pub(crate) fn significant(value: f64) -> String {
    let size = value.abs();
    match size {
        1000.0.. => {
            let sign = if value < 0.0 { "\u{2212}" } else { "" };
            format!("{sign}{}", count(size.round() as u64))
        }
        100.0.. => decimal(value, 0),
        10.0.. => decimal(value, 1),
        0.1.. => decimal(value, 2),
        0.01.. => decimal(value, 3),
        _ if value == 0.0 => "0".to_owned(),
        _ => format!("{value:.1e}").replace('-', "\u{2212}"),
    }
}

/// A share as a percentage to two places that mean something: `4.2 %`, `0.062 %`.
pub(crate) fn small_percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        return "0\u{a0}%".to_owned();
    }
    let decimals = (1.0 - percent.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{percent:.decimals$}\u{a0}%")
}

/// How rare a share is: `1 in 160`.
pub(crate) fn one_in(share: f64) -> String {
    let n = 1.0 / share;
    let unit = 10.0_f64.powf((n.log10().floor() - 1.0).max(0.0));
    format!("1 in {}", count(((n / unit).round() * unit) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        assert_eq!(percent(0.834), "83\u{a0}%");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(123), "123");
        assert_eq!(bytes(15_600_000), "15.6 MB");
        assert_eq!(bytes(980), "980 B");
        assert_eq!(parameters(3_400_000), "3.4 M");
        assert_eq!(exact_bytes(15_600_000), "15.6 MB (15\u{202f}600\u{202f}000 bytes)");
        assert_eq!(exact_bytes(1), "1 byte");
        assert_eq!(
            [ago(59), ago(60), ago(7199), ago(86_400 * 45)],
            ["just now", "1 minute ago", "1 hour ago", "1 month ago"]
        );
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(signed(-1.25, 2), "\u{2212}1.25");
        assert_eq!(signed(-0.001, 2), "0.00");
    }

    #[test]
    fn only_places_that_mean_something() {
        let shown = [12.43, 0.0123, 1240.4, 0.5, -3.0, 0.0, 0.000_41].map(significant);
        assert_eq!(shown, ["12.4", "0.012", "1\u{202f}240", "0.50", "\u{2212}3.00", "0", "4.1e\u{2212}4"]);
        let shares = [0.42, 0.042, 0.0062, 0.000_62, 0.0].map(small_percent);
        assert_eq!(shares, ["42\u{a0}%", "4.2\u{a0}%", "0.62\u{a0}%", "0.062\u{a0}%", "0\u{a0}%"]);
        assert_eq!([one_in(0.0062), one_in(0.3), one_in(4e-6)], ["1 in 160", "1 in 3", "1 in 250\u{202f}000"]);
    }
}
