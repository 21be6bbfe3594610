//! What the user notes on features: bookmarks and notes.

use rusqlite::{Connection, OptionalExtension as _};

use crate::columns::{BOOKMARKED, NOTED};
use crate::error::Result;
use crate::label;
use crate::store::Index;
use crate::text::clean_note;

impl Index {
    /// Bookmarks features, or takes their bookmarks away.
    ///
    /// # Errors
    /// A feature that is not there: then nothing is changed. A database that fails.
    pub fn set_bookmarks(&self, latents: &[u32], on: bool) -> Result<()> {
        latents.iter().try_for_each(|&latent| self.check(latent))?;
        let statement =
            if on { "INSERT OR IGNORE INTO bookmark VALUES (?1)" } else { "DELETE FROM bookmark WHERE latent = ?1" };
        self.write(
            |connection| {
                let mut statement = connection.prepare_cached(statement)?;
                latents.iter().try_for_each(|latent| statement.execute([latent]).map(|_| ()))?;
                Ok(())
            },
            |(), columns| latents.iter().for_each(|&latent| columns.mark(latent, BOOKMARKED, on)),
        )
    }

    /// The note on a feature; empty when there is none.
    ///
    /// # Errors
    /// A database that fails.
    pub fn note(&self, latent: u32) -> Result<String> {
        self.read(|connection| read_note(connection, latent))
    }

    /// Replaces the note on a feature; an empty one is none.
    ///
    /// # Errors
    /// A feature that is not there; a database that fails.
    pub fn set_note(&self, latent: u32, text: &str) -> Result<()> {
        self.check(latent)?;
        let text = clean_note(text);
        self.write(
            |connection| {
                if text.is_empty() {
                    connection.execute("DELETE FROM note WHERE latent = ?1", [latent])?;
                } else {
                    connection.execute("INSERT OR REPLACE INTO note VALUES (?1, ?2)", (latent, &text))?;
                }
                label::refresh(connection, [latent].into_iter())
            },
            |(), columns| columns.mark(latent, NOTED, !text.is_empty()),
        )?;
        self.texts_changed();
        Ok(())
    }
}

pub(crate) fn read_note(connection: &Connection, latent: u32) -> Result<String> {
    let mut statement = connection.prepare_cached("SELECT text FROM note WHERE latent = ?1")?;
    Ok(statement.query_row([latent], |row| row.get(0)).optional()?.unwrap_or_default())
}
