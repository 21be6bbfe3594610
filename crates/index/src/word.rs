//! Search among labels, notes and promoted tokens, as the words are typed.
//!
//! Full-text search finds words and their beginnings; [`crate::literal`] finds the rest: parts of words, symbols,
//! scripts without spaces. All words must be there, so the usual weights by rarity would be the same for every match;
//! matches are ranked by how whole the words are found, and in how short a label, instead.

use std::collections::HashSet;

use rusqlite::Connection;
use tiller_protocol::feature::FeatureLabel;

use crate::effects;
use crate::error::Result;
use crate::mark::read_note;
use crate::store::Index;
use crate::text::fold;

/// Most matches that are ranked; those beyond are of words that nearly every label has.
const RANKED: u32 = 5_000;

/// Most words that are looked for.
const WORDS: usize = 16;

/// Longest search in characters.
const CHARS: usize = 200;

/// Score of the feature whose number was typed.
const BY_NUMBER: f32 = 2.0;

/// Factor for matches in promoted tokens, which say less than labels.
const IN_TOKENS: f32 = 0.25;

/// Factor for matches inside words.
const INSIDE: f32 = 0.5;

impl Index {
    /// The features whose labels, notes or promoted tokens have all words of a text, or words that begin so; the best
    /// `limit`, best first, with scores that mean nothing but their order. The feature whose number is the text, with
    /// or without `#`, comes before all others. A text without words or symbols finds nothing.
    ///
    /// The text is plain: nothing in it is an operator.
    ///
    /// # Errors
    /// A database that fails.
    pub fn search_labels(&self, text: &str, limit: usize) -> Result<Vec<(u32, f32)>> {
        let text: String = text.chars().take(CHARS).collect();
        let mut found = Found { seen: HashSet::new(), ranked: Vec::new(), limit };
        if let Some(latent) = self.number(text.trim()) {
            found.add(vec![(latent, BY_NUMBER)]);
        }
        let terms: Vec<String> = fold(&text).split_whitespace().map(bare).filter(|term| !term.is_empty()).collect();
        if terms.is_empty() {
            return Ok(found.ranked);
        }
        let words: Vec<&str> =
            terms.iter().flat_map(|term| term.split(is_break)).filter(|word| !word.is_empty()).take(WORDS).collect();
        let has_symbols = terms.iter().any(|term| term.chars().any(is_break));
        // With a symbol in it, the text as it stands says more than its words.
        if has_symbols {
            found.add(self.literal_matches(&terms, &words)?);
        }
        if !words.is_empty() {
            if found.has_room() {
                found.add(self.read(|connection| label_matches(connection, &words))?);
            }
            if found.has_room() {
                found.add(self.read(|connection| token_matches(connection, &words))?);
            }
        }
        if !has_symbols && found.has_room() {
            found.add(self.literal_matches(&terms, &words)?);
        }
        Ok(found.ranked)
    }

    fn number(&self, text: &str) -> Option<u32> {
        let latent: u32 = text.strip_prefix('#').unwrap_or(text).parse().ok()?;
        ((latent as usize) < self.d_sae()).then_some(latent)
    }

    fn literal_matches(&self, terms: &[String], words: &[&str]) -> Result<Vec<(u32, f32)>> {
        let literal = self.literal()?;
        let found = literal.find(terms, RANKED as usize);
        Ok(found.into_iter().map(|(latent, text)| (latent, INSIDE * rank(text, words))).collect())
    }
}

/// What was found so far, in tiers: a later one never comes before an earlier one.
struct Found {
    seen: HashSet<u32>,
    ranked: Vec<(u32, f32)>,
    limit: usize,
}

impl Found {
    fn has_room(&self) -> bool {
        self.ranked.len() < self.limit
    }

    fn add(&mut self, mut tier: Vec<(u32, f32)>) {
        tier.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (latent, score) in tier {
            if !self.has_room() {
                return;
            }
            if self.seen.insert(latent) {
                // Scores fall from tier to tier, so that sorting by them changes nothing.
                let cap = self.ranked.last().map_or(f32::INFINITY, |(_, last)| *last);
                self.ranked.push((latent, score.min(cap)));
            }
        }
    }
}

/// A term without quotes, brackets and stops around it, unless it is nothing but those.
fn bare(term: &str) -> String {
    let is_dress = |letter: char| "\"'`\u{201c}\u{201d}\u{2018}\u{2019}()[]{}.,;:!?*".contains(letter);
    let inner = term.trim_matches(is_dress);
    if inner.is_empty() { term } else { inner }.to_owned()
}

fn is_break(letter: char) -> bool {
    !letter.is_alphanumeric()
}

/// Words as an expression of FTS5: each in quotes, so that none is an operator, and each a beginning.
fn expression(columns: &str, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\" *")).collect();
    format!("{{{columns}}} : ({})", words.join(" AND "))
}

fn label_matches(connection: &Connection, words: &[&str]) -> Result<Vec<(u32, f32)>> {
    let mut statement = connection.prepare_cached(
        "SELECT found.latent, label.text, origin.source = 'user', note.text
         FROM (SELECT rowid AS latent FROM search WHERE search MATCH ?1 LIMIT ?2) AS found
         LEFT JOIN label ON label.latent = found.latent LEFT JOIN origin ON origin.id = label.origin
         LEFT JOIN note ON note.latent = found.latent",
    )?;
    let mut rows = statement.query((expression("labels note", words), RANKED))?;
    let mut best: Vec<(u32, f32)> = Vec::new();
    while let Some(row) = rows.next()? {
        let label: Option<&str> = row.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let own = if row.get::<_, Option<bool>>(2)?.unwrap_or(false) { 1.1 } else { 1.0 };
        let note: Option<&str> = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let score = (label.map_or(0.0, |text| own * rank(text, words))).max(note.map_or(0.0, |text| rank(text, words)));
        let latent: u32 = row.get(0)?;
        match best.last_mut() {
            Some((last, known)) if *last == latent => *known = known.max(score),
            _ => best.push((latent, score)),
        }
    }
    Ok(best)
}

fn token_matches(connection: &Connection, words: &[&str]) -> Result<Vec<(u32, f32)>> {
    let mut statement = connection.prepare_cached(
        "SELECT found.latent, effects.words
         FROM (SELECT rowid AS latent FROM search WHERE search MATCH ?1 LIMIT ?2) AS found
         JOIN effects ON effects.latent = found.latent",
    )?;
    let mut rows = statement.query((expression("tokens", words), RANKED))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        found.push((row.get(0)?, IN_TOKENS * rank(text, words)));
    }
    Ok(found)
}

/// How well a text fits: whole words count most, then beginnings, then parts; short texts count more than long ones.
fn rank(text: &str, words: &[&str]) -> f32 {
    let folded = fold(text);
    let mut n_words = 0;
    let mut best = vec![0.3_f32; words.len()];
    for found in folded.split(is_break).filter(|word| !word.is_empty()) {
        for (known, word) in best.iter_mut().zip(words) {
            let fit = match found.strip_prefix(word) {
                Some("") => 1.0,
                Some(_) => 0.8,
                None => 0.0,
            };
            // The first word of a label says most.
            *known = known.max(if n_words == 0 { fit * 1.05 } else { fit });
        }
        n_words += 1;
    }
    let mean = best.iter().sum::<f32>() / best.len().max(1) as f32;
    mean / (1.0 + 0.02 * n_words as f32)
}

/// Makes the row of full-text search for a feature anew.
pub(crate) fn refresh(connection: &Connection, latent: u32, labels: &[FeatureLabel]) -> Result<()> {
    let note = read_note(connection, latent)?;
    let tokens = effects::words(connection, latent)?;
    if labels.is_empty() && note.is_empty() && tokens.is_empty() {
        connection.prepare_cached("DELETE FROM search WHERE rowid = ?1")?.execute([latent])?;
        return Ok(());
    }
    let texts: Vec<&str> = labels.iter().map(|label| label.text.as_str()).collect();
    connection
        .prepare_cached("INSERT OR REPLACE INTO search (rowid, labels, tokens, note) VALUES (?1, ?2, ?3, ?4)")?
        .execute((latent, texts.join("\n"), tokens, note))?;
    Ok(())
}
