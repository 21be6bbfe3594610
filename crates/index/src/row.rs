//! Rows of the table, and its order.

use std::sync::{Arc, PoisonError};

use tiller_protocol::feature::{FeatureFilter, FeatureRow, FeatureSort};

use crate::arrange::sort;
use crate::error::Result;
use crate::label;
use crate::store::Index;

/// A feature without a label, in the order of labels.
const NOWHERE: u32 = u32::MAX;

impl Index {
    /// The rows of some features, in the order in which they were asked for; numbers that are no feature are left out.
    ///
    /// # Errors
    /// A database that fails.
    pub fn rows(&self, latents: &[u32]) -> Result<Vec<FeatureRow>> {
        let columns = self.columns();
        let there = latents.iter().copied().filter(|&latent| (latent as usize) < self.d_sae());
        self.read(|connection| {
            there
                .map(|latent| {
                    let is_labelled = columns.is_labelled(latent);
                    Ok(FeatureRow {
                        latent,
                        label: if is_labelled { label::first(connection, latent)? } else { None },
                        density: columns.density(latent),
                        max_activation: columns.max(latent),
                        bookmarked: columns.is_bookmarked(latent),
                        noted: columns.is_noted(latent),
                        dead: columns.is_dead(latent),
                    })
                })
                .collect()
        })
    }

    /// The first label of each of some features.
    ///
    /// # Errors
    /// A database that fails.
    pub fn first_labels(&self, latents: &[u32]) -> Result<Vec<Option<String>>> {
        self.read(|connection| latents.iter().map(|&latent| label::first(connection, latent)).collect())
    }

    /// Filters and sorts features.
    ///
    /// `among` are the features in the order of a search, or all by number when it is absent. Those without the value
    /// that is sorted by come last in either direction; equal ones stand by number.
    ///
    /// # Errors
    /// A database that fails; only sorting by label asks it.
    pub fn arrange(
        &self,
        among: Option<&[u32]>,
        filter: &FeatureFilter,
        by: FeatureSort,
        reversed: bool,
    ) -> Result<Vec<u32>> {
        let columns = self.columns();
        let mut latents = columns.filtered(among, filter);
        match by {
            FeatureSort::Rank if reversed => latents.reverse(),
            FeatureSort::Rank => {}
            FeatureSort::Number => {
                latents.sort_unstable();
                if reversed {
                    latents.reverse();
                }
            }
            FeatureSort::Density => columns.sort_by_density(&mut latents, reversed),
            FeatureSort::MaxActivation => columns.sort_by_max(&mut latents, reversed),
            FeatureSort::Label => {
                let places = self.label_places()?;
                sort(&mut latents, reversed, |latent| Some(places[latent as usize]).filter(|&place| place != NOWHERE));
            }
        }
        Ok(latents)
    }

    /// Reads what the first search inside words and the first sort by label would otherwise wait for: at a million labels
    /// half a second and 80 MB, at 131,072 a twentieth of that. For a moment in which nobody waits.
    ///
    /// # Errors
    /// A database that fails.
    pub fn warm(&self) -> Result<()> {
        self.literal()?;
        self.label_places()?;
        Ok(())
    }

    /// The place of each feature in the order of labels, from the database's own index and kept until a label changes.
    fn label_places(&self) -> Result<Arc<Vec<u32>>> {
        let version = self.texts_version();
        let mut kept = self.label_places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, places)) = kept.as_ref()
            && *at == version
        {
            return Ok(Arc::clone(places));
        }
        let mut places = vec![NOWHERE; self.d_sae()];
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT latent, text FROM label WHERE first ORDER BY text COLLATE NOCASE, latent")?;
            let mut rows = statement.query([])?;
            // Places count from 1. Equal labels share one, so that their features stand by number in either direction.
            let (mut place, mut last) = (0, String::new());
            while let Some(row) = rows.next()? {
                let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
                if !text.eq_ignore_ascii_case(&last) {
                    place += 1;
                    text.clone_into(&mut last);
                }
                if let Some(slot) = places.get_mut(row.get::<_, u32>(0)? as usize) {
                    *slot = place;
                }
            }
            Ok(())
        })?;
        let places = Arc::new(places);
        *kept = Some((version, Arc::clone(&places)));
        Ok(places)
    }
}
