//! Tests that work on whole indexes.

mod durable;
mod marks;
mod order;
mod scans;
mod searches;

use std::path::PathBuf;

use tempfile::TempDir;
use tiller_protocol::feature::LabelSource;

use crate::Index;
use crate::label::NewLabel;

/// An index in a folder of its own.
struct Bench {
    index: Index,
    path: PathBuf,
    _folder: TempDir,
}

fn bench(d_sae: usize) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.db");
    Bench { index: Index::open(&path, d_sae).unwrap(), path, _folder: folder }
}

fn label(text: &str, source: LabelSource, score: Option<f32>) -> NewLabel {
    NewLabel { text: text.to_owned(), source, method: Some("test".to_owned()), model: None, score }
}

fn imported(text: &str) -> NewLabel {
    label(text, LabelSource::Imported, None)
}

impl Bench {
    fn reopen(&self) -> Index {
        Index::open(&self.path, self.index.d_sae()).unwrap()
    }

    fn texts(&self, latent: u32) -> Vec<String> {
        self.index.labels(latent).unwrap().into_iter().map(|label| label.text).collect()
    }

    fn found(&self, text: &str) -> Vec<u32> {
        self.index.search_labels(text, 100).unwrap().into_iter().map(|(latent, _)| latent).collect()
    }
}
