//! Literal search: texts that hold some characters anywhere, whatever they are.
//!
//! Labels and notes are held in memory, folded, once such a search was made: about 60 bytes a label. They are read
//! again after a label or a note has changed.

use std::sync::{Arc, PoisonError};

use rayon::prelude::*;
use rusqlite::Connection;

use crate::error::Result;
use crate::store::Index;
use crate::text::fold;

/// Bytes of a piece that is searched at a time.
const PIECE: usize = 256 * 1024;

/// Texts of all features, in pieces that are searched side by side.
#[derive(Debug, Default)]
pub(crate) struct Literal {
    pieces: Vec<Piece>,
}

#[derive(Debug, Default)]
struct Piece {
    /// Texts, each ended by a line feed, which none of them has.
    text: String,
    /// Feature and start of each.
    starts: Vec<(u32, u32)>,
}

impl Index {
    /// The texts as they are now.
    pub(crate) fn literal(&self) -> Result<Arc<Literal>> {
        let version = self.texts_version();
        let mut kept = self.literal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, literal)) = kept.as_ref()
            && *at == version
        {
            return Ok(Arc::clone(literal));
        }
        let literal = Arc::new(self.read(Literal::read)?);
        *kept = Some((version, Arc::clone(&literal)));
        Ok(literal)
    }
}

impl Literal {
    fn read(connection: &Connection) -> Result<Self> {
        let mut literal = Self::default();
        for query in ["SELECT latent, text FROM label", "SELECT latent, text FROM note"] {
            let mut statement = connection.prepare(query)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                literal.add(row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
            }
        }
        Ok(literal)
    }

    fn add(&mut self, latent: u32, text: &str) {
        if self.pieces.last().is_none_or(|piece| piece.text.len() >= PIECE) {
            self.pieces.push(Piece::default());
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.starts.push((latent, piece.text.len() as u32));
            piece.text.push_str(&fold(text));
            piece.text.push('\n');
        }
    }

    /// Features with a text that holds all `terms`, which must be folded; about `limit` of them, with that text.
    pub(crate) fn find<'a>(&'a self, terms: &'a [String], limit: usize) -> Vec<(u32, &'a str)> {
        let Some(longest) = terms.iter().max_by_key(|term| term.len()) else { return Vec::new() };
        let share = limit.div_ceil(self.pieces.len().max(1)).max(64);
        let mut found: Vec<(u32, &str)> =
            self.pieces.par_iter().flat_map_iter(|piece| piece.find(longest, terms, share)).collect();
        found.truncate(limit);
        found
    }
}

impl Piece {
    fn find<'a>(&'a self, longest: &'a str, terms: &'a [String], limit: usize) -> impl Iterator<Item = (u32, &'a str)> {
        let mut next = 0;
        std::iter::from_fn(move || {
            loop {
                let at = next + self.text.get(next..)?.find(longest)?;
                let place = self.starts.partition_point(|&(_, start)| start as usize <= at).checked_sub(1)?;
                let (latent, start) = self.starts[place];
                let end = self.starts.get(place + 1).map_or(self.text.len(), |&(_, start)| start as usize);
                next = end;
                let line = self.text[start as usize..end].trim_end_matches('\n');
                if terms.iter().all(|term| line.contains(term.as_str())) {
                    return Some((latent, line));
                }
            }
        })
        .take(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_anywhere_in_one_text() {
        let mut literal = Literal::default();
        for latent in 0..20_000 {
            literal.add(latent, &format!("Text number {latent}→ ends"));
        }
        assert!(literal.pieces.len() > 1);
        let find = |terms: &[&str]| {
            let terms: Vec<String> = terms.iter().map(|&term| term.to_owned()).collect();
            literal.find(&terms, 5_000).into_iter().map(|(latent, _)| latent).collect::<Vec<_>>()
        };
        assert_eq!(find(&["1999→"]), [1999, 11999]);
        assert_eq!(find(&["umber", "1999→ e"]), [1999, 11999]);
        assert_eq!(find(&["ends", "missing"]), [0_u32; 0]);
        // Nothing is found across the border of two texts.
        assert_eq!(find(&["ends text"]), [0_u32; 0]);
        assert_eq!(find(&["text"]).len(), 5_000);
    }
}
