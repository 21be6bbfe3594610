//! Labels: several for a feature, each with where it comes from. The first is the one that is shown in the table.

use rusqlite::{Connection, OptionalExtension as _};
use tiller_protocol::feature::{FeatureLabel, LabelSource};

use crate::columns::LABELLED;
use crate::error::{IndexError, Result};
use crate::store::Index;
use crate::text::{clean_label, digest};
use crate::word;

/// A label that is to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLabel {
    /// Its text.
    pub text: String,
    /// Where it comes from.
    pub source: LabelSource,
    /// How it was made, e.g. `np_max-act`.
    pub method: Option<String>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// How well it tells texts on which the feature fires from others, where that is known.
    pub score: Option<f32>,
}

impl NewLabel {
    /// A label of the user's own.
    pub fn by_user(text: &str) -> Self {
        Self { text: text.to_owned(), source: LabelSource::User, method: None, model: None, score: None }
    }
}

impl Index {
    /// The labels of a feature: the user's own first, the newest of them at the top; then those with the best scores.
    ///
    /// # Errors
    /// A database that fails.
    pub fn labels(&self, latent: u32) -> Result<Vec<FeatureLabel>> {
        self.read(|connection| read(connection, latent))
    }

    /// Adds labels. One that is there already (same text, source, method and model) gets the new score and is not
    /// counted. Says how many were added.
    ///
    /// # Errors
    /// A feature that is not there, a label without text: then none is added. A database that fails.
    pub fn add_labels(&self, labels: &[(u32, NewLabel)]) -> Result<usize> {
        for (latent, label) in labels {
            self.check(*latent)?;
            if clean_label(&label.text).is_empty() {
                return Err(IndexError::Empty);
            }
        }
        let added = self.write(
            |connection| {
                let mut added = 0;
                for (latent, label) in labels {
                    added += usize::from(add(connection, *latent, label)?);
                }
                refresh(connection, labels.iter().map(|(latent, _)| *latent))?;
                Ok(added)
            },
            |_, columns| labels.iter().for_each(|(latent, _)| columns.mark(*latent, LABELLED, true)),
        )?;
        self.texts_changed();
        Ok(added)
    }

    /// Takes a label away. Says whether it was there.
    ///
    /// # Errors
    /// A database that fails.
    pub fn remove_label(&self, id: i64) -> Result<bool> {
        let removed = self.write(
            |connection| {
                let latent: Option<u32> = connection
                    .query_row("DELETE FROM label WHERE id = ?1 RETURNING latent", [id], |row| row.get(0))
                    .optional()?;
                let Some(latent) = latent else { return Ok(None) };
                refresh(connection, [latent].into_iter())?;
                Ok(Some((latent, !read(connection, latent)?.is_empty())))
            },
            |removed, columns| {
                if let Some((latent, has_others)) = *removed {
                    columns.mark(latent, LABELLED, has_others);
                }
            },
        )?;
        self.texts_changed();
        Ok(removed.is_some())
    }
}

/// Adds one label to the tables; [`refresh`] must follow. Says whether it is new.
pub(crate) fn add(connection: &Connection, latent: u32, label: &NewLabel) -> Result<bool> {
    let text = clean_label(&label.text);
    if text.is_empty() {
        return Ok(false);
    }
    let (source, method, model) = (
        source_name(label.source),
        clean_label(label.method.as_deref().unwrap_or_default()),
        clean_label(label.model.as_deref().unwrap_or_default()),
    );
    let score = label.score.filter(|score| score.is_finite());
    let digest = digest(&[source.as_bytes(), method.as_bytes(), model.as_bytes(), text.as_bytes()]);
    let origin = origin(connection, source, &method, &model)?;
    // The first label of a feature comes first until [`refresh`] finds a better one.
    let added = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO label (latent, origin, digest, score, text, first)
             VALUES (?1, ?2, ?3, ?4, ?5, NOT EXISTS (SELECT 1 FROM label WHERE latent = ?1))",
        )?
        .execute((latent, origin, digest, score, text))?;
    if added == 0 && score.is_some() {
        connection
            .prepare_cached("UPDATE label SET score = ?3 WHERE latent = ?1 AND digest = ?2 AND score IS NOT ?3")?
            .execute((latent, digest, score))?;
    }
    Ok(added > 0)
}

/// Brings up to date what follows from the texts of some features: which label comes first, and full-text search.
pub(crate) fn refresh(connection: &Connection, latents: impl Iterator<Item = u32>) -> Result<()> {
    let mut known = connection.prepare_cached("SELECT id FROM label WHERE latent = ?1 AND first")?;
    for latent in latents {
        let labels = read(connection, latent)?;
        if let Some(first) = labels.first() {
            let known: Option<i64> = known.query_row([latent], |row| row.get(0)).optional()?;
            if known != Some(first.id) {
                let mut set = connection.prepare_cached("UPDATE label SET first = (id = ?2) WHERE latent = ?1")?;
                set.execute((latent, first.id))?;
            }
        }
        word::refresh(connection, latent, &labels)?;
    }
    Ok(())
}

/// The labels of a feature, in order.
pub(crate) fn read(connection: &Connection, latent: u32) -> Result<Vec<FeatureLabel>> {
    let mut statement = connection.prepare_cached(
        "SELECT label.id, text, source, method, model, score FROM label JOIN origin ON origin.id = label.origin
         WHERE latent = ?1",
    )?;
    let rows = statement.query_map([latent], |row| {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(FeatureLabel {
            id: row.get(0)?,
            text: row.get(1)?,
            source: source_of(row.get_ref(2)?.as_str()?),
            method: given(row.get(3)?),
            model: given(row.get(4)?),
            score: row.get(5)?,
        })
    })?;
    let mut labels = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    labels.sort_by(|a, b| {
        let is_own = |label: &FeatureLabel| label.source == LabelSource::User;
        let score = |label: &FeatureLabel| label.score.unwrap_or(f32::NEG_INFINITY);
        is_own(b)
            .cmp(&is_own(a))
            .then_with(|| if is_own(a) { b.id.cmp(&a.id) } else { score(b).total_cmp(&score(a)).then(a.id.cmp(&b.id)) })
    });
    Ok(labels)
}

/// The first label of a feature.
pub(crate) fn first(connection: &Connection, latent: u32) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT text FROM label WHERE latent = ?1 AND first")?;
    Ok(statement.query_row([latent], |row| row.get(0)).optional()?)
}

fn origin(connection: &Connection, source: &str, method: &str, model: &str) -> Result<i64> {
    let find = "SELECT id FROM origin WHERE source = ?1 AND method = ?2 AND model = ?3";
    let known = connection.prepare_cached(find)?.query_row((source, method, model), |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    connection.execute("INSERT INTO origin (source, method, model) VALUES (?1, ?2, ?3)", (source, method, model))?;
    Ok(connection.last_insert_rowid())
}

fn source_name(source: LabelSource) -> &'static str {
    match source {
        LabelSource::User => "user",
        LabelSource::Shipped => "shipped",
        LabelSource::Imported => "imported",
        LabelSource::Model => "model",
    }
}

fn source_of(name: &str) -> LabelSource {
    match name {
        "user" => LabelSource::User,
        "shipped" => LabelSource::Shipped,
        "model" => LabelSource::Model,
        _ => LabelSource::Imported,
    }
}
