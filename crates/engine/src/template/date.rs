//! Dates as templates ask for them: `strftime` of C and Python, in English.

use std::fmt::Write as _;

use tiller_protocol::chat::Date;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `date` at midnight in a `strftime` format. A directive that is not known stays as it is written.
pub(super) fn strftime(date: Date, format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut rest = chars.clone();
        // `%-d` is `%d` without the leading zero.
        let is_bare = rest.as_str().starts_with('-');
        if is_bare {
            rest.next();
        }
        match rest.next().and_then(|directive| field(date, directive)) {
            Some(text) => {
                let text = if is_bare { text.trim_start_matches(['0', ' ']) } else { &text };
                out.push_str(if is_bare && text.is_empty() { "0" } else { text });
                chars = rest;
            }
            None => out.push('%'),
        }
    }
    out
}

fn field(date: Date, directive: char) -> Option<String> {
    let month = MONTHS[usize::from(date.month() - 1)];
    let weekday = weekday(date);
    let mut out = String::new();
    match directive {
        'd' => write!(out, "{:02}", date.day()),
        'e' => write!(out, "{:2}", date.day()),
        'm' => write!(out, "{:02}", date.month()),
        'Y' => write!(out, "{}", date.year()),
        'y' => write!(out, "{:02}", date.year() % 100),
        'B' => out.write_str(month),
        'b' | 'h' => out.write_str(&month[..3]),
        'A' => out.write_str(DAYS[weekday]),
        'a' => out.write_str(&DAYS[weekday][..3]),
        'u' => write!(out, "{}", weekday + 1),
        'w' => write!(out, "{}", (weekday + 1) % 7),
        'j' => write!(out, "{:03}", day_of_year(date)),
        'F' => write!(out, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
        'D' | 'x' => write!(out, "{:02}/{:02}/{:02}", date.month(), date.day(), date.year() % 100),
        'H' | 'M' | 'S' => out.write_str("00"),
        'I' => out.write_str("12"),
        'p' => out.write_str("AM"),
        'R' => out.write_str("00:00"),
        'T' | 'X' => out.write_str("00:00:00"),
        '%' => out.write_str("%"),
        _ => return None,
    }
    .ok()?;
    Some(out)
}

/// Day of the year, from 1.
fn day_of_year(date: Date) -> u32 {
    let before: u32 = (1..date.month()).map(|month| u32::from(last_day(date.year(), month))).sum();
    before + u32::from(date.day())
}

fn last_day(year: u16, month: u8) -> u8 {
    (28..=31).rev().find(|day| Date::new(year, month, *day).is_some()).unwrap_or(28)
}

/// 0 is Monday; the Gregorian calendar, also before its time, as in Python.
fn weekday(date: Date) -> usize {
    let past_years = u32::from(date.year() - 1);
    let days = past_years * 365 + past_years / 4 - past_years / 100 + past_years / 400 + day_of_year(date);
    // 1 January of year 1 was a Monday.
    ((days - 1) % 7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts are Python's: `datetime.datetime(…).strftime(…)`.
    #[test]
    fn as_python_writes_them() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        for (date, format, expected) in [
            ("2024-07-26", "%d %b %Y", "26 Jul 2024"),
            ("2024-07-26", "%A, %B %-d, %Y", "Friday, July 26, 2024"),
            ("2026-03-05", "%a %e %m/%y %j %u%w", "Thu  5 03/26 064 44"),
            ("2024-12-31", "%F %T %p %I%%", "2024-12-31 00:00:00 AM 12%"),
            ("2000-03-01", "%A %j", "Wednesday 061"),
            ("2023-01-01", "%a %w %u", "Sun 0 7"),
            ("2024-07-26", "100% %", "100% %"),
        ] {
            assert_eq!(strftime(day(date), format), expected, "{date} {format}");
        }
    }
}
