//! Chat turns and sampling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// What a chat template is told besides the turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateOptions {
    /// Whether the model is to think before it answers, for templates with such a switch; `None` leaves it to the
    /// template.
    pub thinking: Option<bool>,
    /// The day that templates print; `None` is a fixed one, so that a prompt is the same tomorrow.
    pub date: Option<Date>,
}

/// A calendar day, written `2024-07-26`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A day of the years 1 to 9999; `None` when there is no such day.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = Self { year, month, day };
        let is_day = 1 <= year && year <= 9999 && 1 <= month && month <= 12 && 1 <= day && day <= date.month_len();
        if is_day { Some(date) } else { None }
    }

    /// Year, 1 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// Month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// Day of the month, from 1.
    pub const fn day(self) -> u8 {
        self.day
    }

    const fn month_len(self) -> u8 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400)) => 29,
            2 => 28,
            _ => 31,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('-').map(|part| part.parse::<u16>().ok());
        let mut next = || numbers.next().flatten();
        let date = next()
            .zip(next())
            .zip(next())
            .and_then(|((year, month), day)| Self::new(year, month.try_into().ok()?, day.try_into().ok()?));
        date.filter(|_| numbers.next().is_none())
            .ok_or_else(|| format!("\u{201c}{text}\u{201d} is not a day written as 2024-07-26"))
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Keep only this many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the most likely tokens up to this mass; 1 keeps all.
    pub top_p: f64,
    /// Drop tokens less likely than this share of the most likely one; 0 keeps all.
    pub min_p: f64,
    /// Divides the logits of tokens already written; 1 is off.
    pub repetition_penalty: f64,
    /// Longest reply, tokens.
    pub max_tokens: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.7, top_k: 0, top_p: 0.95, min_p: 0.0, repetition_penalty: 1.0, max_tokens: 256, seed: 0 }
    }
}

/// Which of two replies shown side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// With the steering panel's rows applied.
    Steered,
    /// The plain model, same seed.
    Plain,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The model wrote an end token.
    EndOfTurn,
    /// The longest reply length was reached.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// The user stopped it.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        let leap: Date = "2024-02-29".parse().unwrap();
        assert_eq!((leap.year(), leap.month(), leap.day()), (2024, 2, 29));
        assert_eq!(leap.to_string(), "2024-02-29");
        for wrong in ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "2024-1", "2024-01-01-01", "", "today"] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
        assert!("2000-02-29".parse::<Date>().is_ok());
    }
}
