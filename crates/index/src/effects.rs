//! What features promote and suppress, as an export says; what a loaded model says is worked out when it is asked for.

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use crate::error::{IndexError, Result};
use crate::store::Index;

/// A token as a file names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Token {
    /// Its number in the model's vocabulary.
    Id(u32),
    /// Its text, with spaces and line feeds as they are.
    Text(String),
}

/// Tokens with effects on their logits, per unit of activation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    /// Most promoted first.
    pub promoted: Vec<(Token, f32)>,
    /// Most suppressed first.
    pub suppressed: Vec<(Token, f32)>,
}

impl Index {
    /// What was imported of a feature's effects.
    ///
    /// # Errors
    /// A database that fails.
    pub fn effects(&self, latent: u32) -> Result<Option<Effects>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT data FROM effects WHERE latent = ?1")?;
            let data: Option<String> = statement.query_row([latent], |row| row.get(0)).optional()?;
            data.map(|data| serde_json::from_str(&data).map_err(|error| IndexError::Damaged(error.to_string())))
                .transpose()
        })
    }
}

/// Keeps them; `words` are the promoted tokens as text, for search, as far as their texts are known. Says whether that
/// changed anything.
pub(crate) fn write(connection: &Connection, latent: u32, effects: &Effects, words: &str) -> Result<bool> {
    let data = serde_json::to_string(effects).map_err(|error| IndexError::Damaged(error.to_string()))?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO effects VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET words = ?2, data = ?3 WHERE words <> ?2 OR data <> ?3",
    )?;
    Ok(statement.execute((latent, words, data))? > 0)
}

/// Promoted tokens as text.
pub(crate) fn words(connection: &Connection, latent: u32) -> Result<String> {
    let mut statement = connection.prepare_cached("SELECT words FROM effects WHERE latent = ?1")?;
    Ok(statement.query_row([latent], |row| row.get(0)).optional()?.unwrap_or_default())
}
