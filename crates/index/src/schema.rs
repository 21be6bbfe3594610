//! The tables, and which files are accepted as an index.
//!
//! Values that every feature has are kept as blocks of little-endian numbers (`block`), so that a million of them are
//! read in milliseconds; what few features have is kept by row. `search` is a full-text index without content of its
//! own: its rows are made from labels, promoted tokens and note of one feature whenever one of them changes.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::error::{IndexError, Result};

/// Newest format that is read, and the one that is written. Kept in `SQLite`'s `user_version`.
const FORMAT: i64 = 1;

/// Marks a file as a feature index, in `SQLite`'s `application_id`: the letters `TiFx`.
const APPLICATION: i64 = 0x5469_4678;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE block (name TEXT, at INTEGER, data BLOB NOT NULL, PRIMARY KEY (name, at)) WITHOUT ROWID;
CREATE TABLE origin (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, method TEXT NOT NULL, model TEXT NOT NULL,
  UNIQUE (source, method, model));
CREATE TABLE label (
  id INTEGER PRIMARY KEY AUTOINCREMENT, latent INTEGER NOT NULL, origin INTEGER NOT NULL REFERENCES origin,
  digest INTEGER NOT NULL, first INTEGER NOT NULL DEFAULT 0, score REAL, text TEXT NOT NULL);
CREATE UNIQUE INDEX label_of ON label (latent, digest);
CREATE INDEX label_order ON label (text COLLATE NOCASE, latent) WHERE first;
CREATE TABLE note (latent INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE bookmark (latent INTEGER PRIMARY KEY);
CREATE TABLE effects (latent INTEGER PRIMARY KEY, words TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE sequence (id INTEGER PRIMARY KEY, tokens BLOB NOT NULL);
CREATE TABLE scanned (latent INTEGER PRIMARY KEY, histogram TEXT, windows BLOB);
CREATE TABLE imported (latent INTEGER PRIMARY KEY, histogram TEXT, windows BLOB);
CREATE VIRTUAL TABLE search USING fts5 (
  labels, tokens, note, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2', prefix='1 2 3');
";

/// Sets up a connection: readers see the last commit while a writer works, and a killed process loses no commit.
pub(crate) fn prepare(connection: &Connection) -> Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Memory in KiB that a writer may take for pages it works on: an import of a million labels writes all over its tables.
pub(crate) fn set_cache(connection: &Connection, kib: i64) -> Result<()> {
    connection.pragma_update(None, "cache_size", -kib)?;
    connection.execute_batch("PRAGMA shrink_memory")?;
    Ok(())
}

/// Makes the tables in an empty file, or checks that the file is an index for `d_sae` features.
pub(crate) fn create_or_check(connection: &mut Connection, path: &Path, d_sae: usize) -> Result<()> {
    let found = marks(connection)?;
    if found.tables > 0 {
        return check(connection, found, path, d_sae);
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made them meanwhile.
    let found = marks(&transaction)?;
    if found.tables == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute("INSERT INTO meta VALUES ('d_sae', ?1)", [d_sae.to_string()])?;
        transaction.commit()?;
        return Ok(());
    }
    drop(transaction);
    check(connection, found, path, d_sae)
}

#[derive(Clone, Copy)]
struct Marks {
    tables: i64,
    application: i64,
    format: i64,
}

fn marks(connection: &Connection) -> Result<Marks> {
    Ok(Marks {
        tables: connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        application: connection.pragma_query_value(None, "application_id", |row| row.get(0))?,
        format: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
    })
}

fn check(connection: &Connection, found: Marks, path: &Path, d_sae: usize) -> Result<()> {
    if found.application != APPLICATION {
        return Err(IndexError::Foreign(path.to_owned()));
    }
    if found.format > FORMAT {
        return Err(IndexError::Newer { found: found.format, known: FORMAT, path: path.to_owned() });
    }
    if found.format != FORMAT {
        return Err(IndexError::Damaged(format!("it says that it has format {}: {}", found.format, path.display())));
    }
    let size: Option<String> =
        connection.query_row("SELECT value FROM meta WHERE key = 'd_sae'", [], |row| row.get(0)).optional()?;
    let Some(size) = size.and_then(|text| text.parse::<u64>().ok()) else {
        return Err(IndexError::Damaged(format!("the number of features is missing: {}", path.display())));
    };
    if size != d_sae as u64 {
        return Err(IndexError::OtherSize { found: size, expected: d_sae as u64, path: path.to_owned() });
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(())
}
