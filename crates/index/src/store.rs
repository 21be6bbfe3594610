//! The file of one SAE: its connections, and the columns in memory beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::columns::{Columns, ROWLESS, ROWLESS_COLUMN};
use crate::error::{IndexError, Result};
use crate::literal::Literal;
use crate::{block, scan, schema};

/// Readers that are kept open.
const READERS: usize = 4;

/// All that is known of the features of one SAE besides its weights.
///
/// Any number of threads may use it. Readers see the last commit and never wait for a writer; writers wait for one
/// another. What a method has written when it returns survives a killed process.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    d_sae: usize,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    columns: RwLock<Arc<Columns>>,
    /// What the database says of the writes of other processes.
    version: AtomicI64,
    /// Counts changes of labels and notes, so that what was made from them is known to be out of date.
    texts: AtomicU64,
    /// Place of each feature in the order of labels, with the count that it was made at.
    pub(crate) label_places: Mutex<Option<(u64, Arc<Vec<u32>>)>>,
    /// Texts for literal search, with the count that they were made at.
    pub(crate) literal: Mutex<Option<(u64, Arc<Literal>)>>,
}

impl Index {
    /// Opens the index at `path` for an SAE with `d_sae` features, or makes it; its folder must be there.
    ///
    /// # Errors
    /// A file that is no index, is damaged, has a newer format, or belongs to an SAE of another size; a file that
    /// cannot be opened.
    pub fn open(path: &Path, d_sae: usize) -> Result<Self> {
        if u32::try_from(d_sae).is_err() {
            return Err(IndexError::NoLatent { latent: d_sae as u64, d_sae: u32::MAX as usize });
        }
        let mut writer = Connection::open(path)?;
        schema::prepare(&writer)?;
        schema::create_or_check(&mut writer, path, d_sae)?;
        let version = AtomicI64::new(data_version(&writer)?);
        let columns = read_columns(&writer, d_sae)?;
        Ok(Self {
            path: path.to_owned(),
            d_sae,
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            columns: RwLock::new(Arc::new(columns)),
            version,
            texts: AtomicU64::new(0),
            label_places: Mutex::new(None),
            literal: Mutex::new(None),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of features.
    pub fn d_sae(&self) -> usize {
        self.d_sae
    }

    /// The columns as they are now; what is held does not change later.
    pub fn columns(&self) -> Arc<Columns> {
        Arc::clone(&self.columns.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what another process has written since the last time, if it has. Says whether that is so. While this
    /// process writes it does nothing and does not wait.
    ///
    /// # Errors
    /// A database that fails.
    pub fn refresh(&self) -> Result<bool> {
        let writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let version = data_version(&writer)?;
        drop(writer);
        let is_other = self.version.swap(version, Ordering::SeqCst) != version;
        if is_other {
            self.reload()?;
        }
        Ok(is_other)
    }

    /// Reads the columns again.
    ///
    /// # Errors
    /// A database that fails.
    pub fn reload(&self) -> Result<()> {
        let writer = self.lock_writer();
        let columns = read_columns(&writer, self.d_sae)?;
        *self.columns.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(columns);
        self.texts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// A fact that was kept with [`Self::set_fact`].
    ///
    /// # Errors
    /// A database that fails.
    pub fn fact(&self, key: &str) -> Result<Option<String>> {
        self.read(|connection| read_meta(connection, &fact_key(key)))
    }

    /// Keeps a fact about the SAE, such as its self-test, under a key; `None` forgets it.
    ///
    /// # Errors
    /// A database that fails.
    pub fn set_fact(&self, key: &str, value: Option<&str>) -> Result<()> {
        self.write(|connection| write_meta(connection, &fact_key(key), value), |(), _| ())
    }

    /// Keeps which features have no decoder row (a norm of 0) and are dead whatever else is known.
    ///
    /// # Errors
    /// A database that fails; a list of another length than the SAE's number of features.
    pub fn set_rowless(&self, rowless: &[bool]) -> Result<()> {
        if rowless.len() != self.d_sae {
            return Err(IndexError::NoLatent { latent: rowless.len() as u64, d_sae: self.d_sae });
        }
        let values: Vec<u32> = rowless.iter().map(|&is| u32::from(is)).collect();
        self.write(
            |connection| block::write(connection, ROWLESS_COLUMN, &values, 0..self.d_sae as u32),
            |(), columns| {
                for (latent, &is) in rowless.iter().enumerate() {
                    columns.mark(latent as u32, ROWLESS, is);
                }
            },
        )
    }

    /// Lets the writer take so much memory for pages.
    pub(crate) fn set_cache(&self, kib: i64) -> Result<()> {
        schema::set_cache(&self.lock_writer(), kib)
    }

    /// Refuses the number of a feature that is not there.
    pub(crate) fn check(&self, latent: u32) -> Result<()> {
        if (latent as usize) < self.d_sae {
            Ok(())
        } else {
            Err(IndexError::NoLatent { latent: u64::from(latent), d_sae: self.d_sae })
        }
    }

    /// How often labels and notes have changed.
    pub(crate) fn texts_version(&self) -> u64 {
        self.texts.load(Ordering::SeqCst)
    }

    /// To be called where labels or notes have changed.
    pub(crate) fn texts_changed(&self) {
        self.texts.fetch_add(1, Ordering::SeqCst);
    }

    /// Reads on a connection of its own.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let kept = self.lock_readers().pop();
        let connection = if let Some(connection) = kept {
            connection
        } else {
            let connection = Connection::open(&self.path)?;
            schema::prepare(&connection)?;
            connection.pragma_update(None, "query_only", true)?;
            connection
        };
        let result = body(&connection);
        let mut readers = self.lock_readers();
        if readers.len() < READERS {
            readers.push(connection);
        }
        result
    }

    /// Writes in one transaction, and takes what was written into the columns once it is on disk.
    pub(crate) fn write<T>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T>,
        apply: impl FnOnce(&T, &mut Columns),
    ) -> Result<T> {
        let mut writer = self.lock_writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = body(&transaction)?;
        transaction.commit()?;
        let mut columns = self.columns.write().unwrap_or_else(PoisonError::into_inner);
        apply(&value, Arc::make_mut(&mut columns));
        Ok(value)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that changes whenever a connection other than this one has written. Readers never write, so on the writer it
/// tells of other processes.
fn data_version(writer: &Connection) -> Result<i64> {
    Ok(writer.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

fn read_columns(connection: &Connection, d_sae: usize) -> Result<Columns> {
    let scanned = scan::read_state(connection)?.map_or(0, |state| state.tokens);
    Columns::read(connection, d_sae, scanned)
}

/// Facts stand apart from what the index itself keeps.
fn fact_key(key: &str) -> String {
    format!("fact.{key}")
}

/// A value of the table of single values.
pub(crate) fn read_meta(connection: &Connection, key: &str) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Writes or deletes a value of the table of single values.
pub(crate) fn write_meta(connection: &Connection, key: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => {
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", (key, value))?;
        }
        None => {
            connection.execute("DELETE FROM meta WHERE key = ?1", [key])?;
        }
    }
    Ok(())
}
