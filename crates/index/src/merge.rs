//! Merges what a scan has gathered into what is kept, and reads what is kept for display.

use rayon::prelude::*;
use rusqlite::{Connection, OptionalExtension as _};
use tiller_protocol::feature::Histogram;

use crate::error::Result;
use crate::histogram::Stored;
use crate::scan::{Gathered, Scan};
use crate::sketch::{self, Bars, prune};
use crate::store::Index;
use crate::window::{Window, unpack};

/// Features that are merged at a time.
const CHUNK: usize = 2048;

/// Examples that are shown of each decile.
const PER_DECILE: usize = 1;

/// A row as it is stored.
type Row = (Option<String>, Option<Vec<u8>>);

impl Index {
    /// Activations above zero: as the scan saw them, or as they were imported.
    ///
    /// # Errors
    /// A database that fails.
    pub fn histogram(&self, latent: u32) -> Result<Option<Histogram>> {
        self.read(|connection| {
            for table in ["scanned", "imported"] {
                if let Some((Some(text), _)) = stored(connection, table, latent)? {
                    return Ok(Some(Stored::parse(&text)?.into_histogram()));
                }
            }
            Ok(None)
        })
    }

    /// Windows in which it fires: the strongest of the scan, then those imported, then weaker ones by decile, the upper
    /// ones first.
    ///
    /// # Errors
    /// A database that fails.
    pub fn windows(&self, latent: u32) -> Result<Vec<Window>> {
        let (mut strongest, mut others) = (Vec::new(), Vec::new());
        self.read(|connection| {
            if let Some((Some(histogram), Some(packed))) = stored(connection, "scanned", latent)? {
                let histogram = Stored::parse(&histogram)?;
                for sketch in sketch::unpack(&packed)? {
                    let Some(mut window) = sketch.window(connection)? else { continue };
                    if sketch.draw.is_none() {
                        strongest.push(window);
                    } else if !strongest.contains(&window) {
                        window.decile = Some(histogram.decile(window.height()));
                        others.push(window);
                    }
                }
            }
            if let Some((_, Some(packed))) = stored(connection, "imported", latent)? {
                for window in unpack(&packed)? {
                    if window.decile.is_some() { others.push(window) } else { strongest.push(window) }
                }
            }
            Ok(())
        })?;
        for decile in (0..10).rev() {
            strongest.extend(others.iter().filter(|window| window.decile == Some(decile)).take(PER_DECILE).cloned());
        }
        Ok(strongest)
    }
}

/// The stored row of a feature; `table` is `scanned` or `imported`.
pub(crate) fn stored(connection: &Connection, table: &str, latent: u32) -> Result<Option<Row>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT histogram, windows FROM {table} WHERE latent = ?1"))?;
    Ok(statement.query_row([latent], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Writes the stored row of a feature.
pub(crate) fn store(connection: &Connection, table: &str, latent: u32, row: &Row) -> Result<()> {
    let mut statement = connection.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3)"))?;
    statement.execute((latent, &row.0, &row.1))?;
    Ok(())
}

/// Merges what was gathered of the features `touched` into what is kept. Gives the new bars of each.
pub(crate) fn merge(connection: &Connection, scan: &Scan, touched: &[u32]) -> Result<Vec<(u32, Bars)>> {
    let mut all = Vec::with_capacity(touched.len());
    for chunk in touched.chunks(CHUNK) {
        let rows =
            chunk.iter().map(|&latent| stored(connection, "scanned", latent)).collect::<Result<Vec<Option<Row>>>>()?;
        let merged = chunk
            .par_iter()
            .zip(rows)
            .map(|(&latent, row)| {
                let gathered = scan.gathered[latent as usize].as_deref();
                gathered.map(|gathered| join(row, gathered)).transpose()
            })
            .collect::<Result<Vec<_>>>()?;
        for (&latent, merged) in chunk.iter().zip(merged) {
            if let Some((row, bars)) = merged {
                store(connection, "scanned", latent, &row)?;
                all.push((latent, bars));
            }
        }
    }
    Ok(all)
}

fn join(row: Option<Row>, gathered: &Gathered) -> Result<(Row, Bars)> {
    let (histogram, packed) = row.unwrap_or_default();
    let mut histogram = match histogram {
        Some(text) => Stored::parse(&text)?,
        None => Stored::Scanned { first: 0, counts: Vec::new() },
    };
    histogram.add(&gathered.bins);
    let mut sketches = packed.map_or_else(|| Ok(Vec::new()), |packed| sketch::unpack(&packed))?;
    sketches.extend_from_slice(&gathered.windows);
    let bars = prune(&mut sketches);
    Ok(((Some(histogram.to_text()?), Some(sketch::pack(&sketches))), bars))
}
