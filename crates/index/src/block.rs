//! One number for each feature, kept in the file as blocks of 4,096 little-endian values.

use rusqlite::Connection;

use crate::error::{IndexError, Result};

/// Values of a block.
const LEN: usize = 4096;

/// A number that is kept in blocks.
pub(crate) trait Number: Copy + PartialEq {
    fn to_bytes(self) -> [u8; 4];
    fn from_bytes(bytes: [u8; 4]) -> Self;
}

impl Number for f32 {
    fn to_bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }

    fn from_bytes(bytes: [u8; 4]) -> Self {
        Self::from_le_bytes(bytes)
    }
}

impl Number for u32 {
    fn to_bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }

    fn from_bytes(bytes: [u8; 4]) -> Self {
        Self::from_le_bytes(bytes)
    }
}

/// The column `name` of `len` values; those never written are `missing`.
pub(crate) fn read<T: Number>(connection: &Connection, name: &str, len: usize, missing: T) -> Result<Vec<T>> {
    let mut values = vec![missing; len];
    let mut statement = connection.prepare_cached("SELECT at, data FROM block WHERE name = ?1")?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let at = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let start = at.saturating_mul(LEN);
        let block =
            values.get_mut(start..(start.saturating_add(LEN)).min(len)).filter(|block| block.len() * 4 == data.len());
        let Some(block) = block else {
            return Err(IndexError::Damaged(format!("block {at} of {name} has {} bytes", data.len())));
        };
        for (value, bytes) in block.iter_mut().zip(data.as_chunks::<4>().0) {
            *value = T::from_bytes(*bytes);
        }
    }
    Ok(values)
}

/// Writes those blocks of the column `name` that hold one of `touched`; ascending order saves work.
pub(crate) fn write<T: Number>(
    connection: &Connection,
    name: &str,
    values: &[T],
    touched: impl Iterator<Item = u32>,
) -> Result<()> {
    let mut blocks: Vec<u32> = Vec::new();
    for latent in touched {
        let at = latent / LEN as u32;
        if blocks.last() != Some(&at) {
            blocks.push(at);
        }
    }
    blocks.sort_unstable();
    blocks.dedup();
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO block VALUES (?1, ?2, ?3)")?;
    for at in blocks {
        let start = at as usize * LEN;
        let block = &values[start..(start + LEN).min(values.len())];
        let data: Vec<u8> = block.iter().flat_map(|value| value.to_bytes()).collect();
        statement.execute((name, at, data))?;
    }
    Ok(())
}

/// Forgets the column `name`.
pub(crate) fn clear(connection: &Connection, name: &str) -> Result<()> {
    connection.execute("DELETE FROM block WHERE name = ?1", [name])?;
    Ok(())
}
