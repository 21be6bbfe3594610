//! The weight files of a folder: found, checked against the configuration, and read tensor by tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use candle_core::DType;
use serde_json::Value;

use super::file::{self, optional_json};
use crate::config::ModelConfig;
use crate::error::{EngineError, Result};
use crate::layout::{Expected, expected, n_expected};
use crate::safetensors::TensorFile;
use crate::stored::Stored;
use crate::weights::{Source, prefixes};

/// The weight files of a checkpoint folder in a fixed order (for hashing): those that the index names, or
/// `model.safetensors`.
///
/// # Errors
/// When the folder holds none, or the index is malformed or names a file that is not there or not in the folder.
pub(super) fn weight_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let index_path = dir.join("model.safetensors.index.json");
    let bad = |reason: String| EngineError::BadFile { path: index_path.clone(), reason };
    let index = optional_json(&index_path)?;
    let files: BTreeSet<&str> = match &index {
        Value::Null => BTreeSet::from(["model.safetensors"]),
        index => {
            let map = index["weight_map"].as_object().filter(|map| !map.is_empty());
            let map = map.ok_or_else(|| bad("it has no `weight_map`".to_owned()))?;
            if let Some((tensor, _)) = map.iter().find(|(_, file)| !file.is_string()) {
                return Err(bad(format!("its `weight_map` gives no file name for {tensor}")));
            }
            map.values().filter_map(Value::as_str).collect()
        }
    };
    for name in &files {
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(bad(format!("it names {name}, which is not a file of this folder")));
        }
    }
    files
        .into_iter()
        .map(|name| {
            let path = dir.join(name);
            file::size(&path, "a weight file").map(|_| path)
        })
        .collect()
}

/// The tensors of all weight files.
pub(crate) struct Checkpoint<'a> {
    dir: PathBuf,
    files: Vec<TensorFile>,
    /// Index of the file that holds a tensor.
    places: BTreeMap<String, usize>,
    done: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl<'a> Checkpoint<'a> {
    /// Opens all files and reads their tables; `progress(done_bytes, total_bytes)` returns `false` to stop.
    ///
    /// # Errors
    /// Those of [`weight_files`] and of the files, and a tensor that two of them hold.
    pub(crate) fn open(dir: &Path, progress: &'a mut dyn FnMut(u64, u64) -> bool) -> Result<Self> {
        let files = weight_files(dir)?.iter().map(|path| TensorFile::open(path)).collect::<Result<Vec<_>>>()?;
        let mut places = BTreeMap::new();
        for (idx, file) in files.iter().enumerate() {
            for name in file.names() {
                if let Some(earlier) = places.insert(name.clone(), idx) {
                    let (first, second) = (files[earlier].path().to_owned(), file.path().to_owned());
                    return Err(EngineError::DuplicateTensor { name, first, second });
                }
            }
        }
        Ok(Self { dir: dir.to_owned(), files, places, done: 0, progress })
    }

    /// Bytes of all tensors.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.files.iter().map(TensorFile::data_bytes).sum()
    }

    /// Number format that most bytes are stored in.
    pub(crate) fn dtype(&self) -> DType {
        let bytes = |wanted: DType| self.files.iter().map(|file| file.bytes_of(wanted)).sum::<u64>();
        [DType::F32, DType::BF16, DType::F16].into_iter().max_by_key(|dtype| bytes(*dtype)).unwrap_or(DType::F32)
    }

    /// Checks that every tensor the configuration asks for is there in its shape and of a type that is read.
    ///
    /// # Errors
    /// [`EngineError::MissingTensors`] with the first few, [`EngineError::BadTensor`] for the first of another shape or
    /// type.
    pub(crate) fn require(&self, config: &ModelConfig) -> Result<()> {
        let (prefix, head_prefix) = prefixes(|name| self.places.contains_key(name));
        let n_expected = n_expected(config);
        let (mut n_found, mut missing, mut known) = (0, Vec::new(), BTreeSet::new());
        // A broken configuration asks for more than could be there: the list need not be gone through to its end.
        for Expected { name, shape, is_head } in expected(config).take(self.places.len() + NAMED) {
            let name = format!("{}{name}", if is_head { head_prefix } else { prefix });
            match self.places.get(&name) {
                Some(&place) => {
                    self.files[place].check(&name, &shape)?;
                    n_found += 1;
                }
                None if missing.len() < NAMED => missing.push(name.clone()),
                None => {}
            }
            known.insert(name);
        }
        if n_found == n_expected {
            return Ok(());
        }
        let unexpected: Vec<&str> =
            self.places.keys().filter(|name| !known.contains(*name)).map(String::as_str).take(MAX_COMPARED).collect();
        let alike = |name: String| {
            let alike = most_alike(&name, &unexpected).map(str::to_owned);
            (name, alike)
        };
        let (path, missing) = (self.dir.clone(), missing.into_iter().map(alike).collect());
        Err(EngineError::MissingTensors { path, missing, n_missing: n_expected - n_found, n_expected })
    }
}

impl Checkpoint<'_> {
    /// Whether the files hold a head with other values than the embedding. The reference then keeps the two apart, even
    /// if the configuration ties them.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn has_own_head(&mut self, config: &ModelConfig) -> Result<bool> {
        let (prefix, head_prefix) = prefixes(|name| self.places.contains_key(name));
        let names = [format!("{head_prefix}lm_head.weight"), format!("{prefix}embed_tokens.weight")];
        let [Some(&head), Some(&embed)] = names.each_ref().map(|name| self.places.get(name)) else { return Ok(false) };
        let shape = [config.vocab_size, config.d_model];
        let head = self.files[head].read(&names[0], &shape)?.1;
        let embed = self.files[embed].read(&names[1], &shape)?.1;
        Ok(match (head, embed) {
            (Stored::F16(head), Stored::F16(embed)) => head != embed,
            (Stored::Bf16(head), Stored::Bf16(embed)) => head != embed,
            (head, embed) => head.widened()? != embed.widened()?,
        })
    }
}

/// Missing tensors that are named.
const NAMED: usize = 3;
/// Unexpected names that a missing one is compared with.
const MAX_COMPARED: usize = 2000;

/// The name that looks most like `wanted`, if any is near enough to be the same tensor under another name.
fn most_alike<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let near = names.iter().map(|name| (distance(wanted, name), *name)).min()?;
    (near.0 <= wanted.len() / 2).then_some(near.1)
}

/// Letters to insert, delete or replace to turn one name into the other (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 200;
    let a: Vec<u8> = a.bytes().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, letter) in b.bytes().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..a.len() {
            let replaced = diagonal + usize::from(a[j] != letter);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}

impl Source for Checkpoint<'_> {
    fn holds(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored> {
        let Some(&place) = self.places.get(name) else {
            let (path, missing) = (self.dir.clone(), vec![(name.to_owned(), None)]);
            return Err(EngineError::MissingTensors { path, missing, n_missing: 1, n_expected: 1 });
        };
        let file = &mut self.files[place];
        let (bytes, values) = file.read(name, shape)?;
        if let Some((index, value)) = values.first_not_finite() {
            let (path, len) = (file.path().to_owned(), values.len());
            return Err(EngineError::NotFinite { path, name: name.to_owned(), value, index, len });
        }
        self.done += bytes;
        let total = self.data_bytes();
        if (self.progress)(self.done, total) { Ok(values) } else { Err(EngineError::Stopped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_tensor_is_found_by_its_look() {
        let names = ["layers.0.attention.wq.weight", "layers.0.attention.wk.weight", "tok_embeddings.weight"];
        let alike = |wanted| most_alike(wanted, &names);
        assert_eq!(alike("layers.0.attention.wq.bias"), Some("layers.0.attention.wq.weight"));
        assert_eq!(alike("model.embed_tokens.weight"), Some("tok_embeddings.weight"));
        assert_eq!(alike("lm_head"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
    }
}
