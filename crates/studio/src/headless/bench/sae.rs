//! Figures of searching and encoding with a large SAE: made-up rows and labels in a temporary folder.

use std::collections::HashSet;
use std::path::Path;

use tiller_discover::direction;
use tiller_engine::Tensor;
use tiller_engine::sae::{self, By, Rows, SaeFile};
use tiller_index::Index;
use tiller_index::label::NewLabel;
use tiller_protocol::feature::LabelSource;
use tiller_protocol::problem::Problem;

use super::super::options::SaeSize;
use super::super::results::Figure;
use super::super::session::WatchSink;
use super::{Spread, timed};
use crate::jobs::Sink as _;
use crate::{memory, problem};

/// Name for people, in errors.
const NAME: &str = "The made-up SAE";
/// Searches and how many features each is to find.
const N_SEARCHES: usize = 20;
const N_SIMILAR: usize = 10;
const N_MANY: usize = 100;
/// Labels that are written at once.
const LABELS_AT_ONCE: usize = 1 << 13;
/// What is typed into the search, letter by letter; a third of the labels have both words.
const TYPED: &str = "references to";
/// Bytes that a label takes in the index, with what it is found by.
const LABEL_BYTES: u64 = 300;

/// Measures them one after the other.
pub(super) fn measure(sink: &mut WatchSink<'_>, size: SaeSize, figures: &mut Vec<Figure>) -> Result<(), Problem> {
    sink.part("Making an SAE");
    let folder = tempfile::tempdir().map_err(|error| problem::write_failed(Path::new("."), &error))?;
    let path = folder.path().join("sae.safetensors");
    make(sink, size, folder.path(), &path)?;
    let mut bench = Bench { size, figures };
    sink.part("Measuring the SAE");
    bench.similar(sink, &path)?;
    bench.encode(sink, &path)?;
    bench.labels(sink, &folder.path().join("features.db"))
}

/// Writes the SAE, unless the disk has no room for it.
fn make(sink: &mut WatchSink<'_>, size: SaeSize, folder: &Path, path: &Path) -> Result<(), Problem> {
    let SaeSize { latents, width } = size;
    let values = (latents as u64).saturating_mul(width as u64);
    let needed = values.saturating_mul(4).saturating_add((latents as u64).saturating_mul(600 + LABEL_BYTES));
    if let Ok(free) = tiller_hub::disk::free_bytes(folder)
        && free < needed
    {
        return Err(problem::no_room_to_convert(folder, needed, free));
    }
    let mut progress = |done: u64, total: u64| {
        sink.step(done as usize, total as usize, "bytes");
        !sink.is_stopped()
    };
    sae::synthetic(path, (latents, width), 1, &mut progress).map(drop).map_err(|error| problem::engine(&error))
}

struct Bench<'a> {
    size: SaeSize,
    figures: &'a mut Vec<Figure>,
}

impl Bench<'_> {
    fn push(&mut self, name: &str, value: f64, unit: &str, detail: String) {
        let name = format!("sae-{}x{}.{name}", self.size.latents, self.size.width);
        self.figures.push(Figure { name, value, unit: unit.to_owned(), detail });
    }

    /// Similar features against a scan of all rows, and the memory that browsing takes.
    fn similar(&mut self, sink: &WatchSink<'_>, path: &Path) -> Result<(), Problem> {
        let told = |error| problem::converted_sae(NAME, &error);
        let before = memory::resident_bytes();
        let file = SaeFile::open(path).map_err(told)?;
        let latents: Vec<u32> = (0..N_SEARCHES).map(|i| (i * self.size.latents / N_SEARCHES) as u32).collect();
        let row = |latent: u32| file.row(Rows::Decoder, latent as usize);
        let rows: Vec<Vec<f32>> = latents.iter().map(|&latent| row(latent)).collect::<Result<_, _>>().map_err(told)?;
        let mut at = 0;
        let search = timed(N_SEARCHES, || {
            at = (at + 1) % N_SEARCHES;
            file.nearest(Rows::Decoder, &rows[at], N_SIMILAR, By::Cosine, Some(latents[at])).map(drop)
        });
        let search = search.map_err(told)?;
        let after = memory::resident_bytes();
        sink.check()?;
        let scan = timed(N_SEARCHES / 2, || file.dots(Rows::Decoder, &rows[0]).map(drop)).map_err(told)?;
        let times = scan.median / search.median;
        let detail = format!(
            "{N_SIMILAR} features of like decoder row, by cosine; reading all rows takes {times:.1} times as long"
        );
        self.push("similar", search.median, "s", search.told(&detail));
        self.push("scan", scan.median, "s", scan.told("products of all decoder rows with a vector"));
        for n in [N_SIMILAR, N_MANY] {
            let recall = recall(&file, &rows, n).map_err(told)?;
            sink.check()?;
            let detail = format!("of the {n} most similar to a row, to a row amid noise, and to noise, those found");
            self.push(&format!("recall-{n}"), 100.0 * recall, "%", detail);
        }
        if let (Some(before), Some(after)) = (before, after) {
            let detail = "resident memory that an opened SAE takes, searches included".to_owned();
            self.push("memory", after.saturating_sub(before) as f64 / 1e6, "MB", detail);
        }
        Ok(())
    }

    /// Which features are active on one token and on 64.
    fn encode(&mut self, sink: &WatchSink<'_>, path: &Path) -> Result<(), Problem> {
        let told = |error| problem::converted_sae(NAME, &error);
        let file = SaeFile::open(path).map_err(told)?;
        let width = self.size.width;
        for n in [1, 64] {
            sink.check()?;
            let mut values = Vec::with_capacity(n * width);
            for i in 0..n {
                let row = file.row(Rows::Decoder, i * self.size.latents / n).map_err(told)?;
                let noise = direction::random(width, 6.0, i as u64);
                values.extend(row.iter().zip(noise).map(|(row, noise)| 8.0 * row + noise));
            }
            let resid = Tensor::from_vec(values, (n, width), &tiller_engine::Device::Cpu)
                .map_err(|error| problem::engine(&error.into()))?;
            let time = timed(7, || file.encode(&resid, &mut |_, _| true).map(drop)).map_err(told)?;
            let tokens = if n == 1 { "the features of a token" } else { "the features of 64 tokens together" };
            self.push(&format!("encode-{n}"), time.median, "s", time.told(tokens));
        }
        Ok(())
    }

    /// Labels, one for each feature, searched while they are typed.
    fn labels(&mut self, sink: &mut WatchSink<'_>, path: &Path) -> Result<(), Problem> {
        let told = |error| problem::index(NAME, &error);
        sink.part("Writing labels");
        let index = Index::open(path, self.size.latents).map_err(told)?;
        for first in (0..self.size.latents).step_by(LABELS_AT_ONCE) {
            let some = first..self.size.latents.min(first + LABELS_AT_ONCE);
            let labels: Vec<(u32, NewLabel)> = some.map(|latent| (latent as u32, label(latent as u64))).collect();
            index.add_labels(&labels).map_err(told)?;
            sink.step(first, self.size.latents, "labels");
            sink.check()?;
        }
        sink.part("Searching labels");
        let mut slowest: Option<(Spread, &str)> = None;
        for end in 1..=TYPED.len() {
            let text = &TYPED[..end];
            let time = timed(5, || index.search_labels(text, 1000).map(drop)).map_err(told)?;
            if slowest.as_ref().is_none_or(|(slowest, _)| time.median > slowest.median) {
                slowest = Some((time, text));
            }
            sink.check()?;
        }
        if let Some((time, text)) = slowest {
            let detail =
                format!("the best 1,000 labels as \u{201c}{TYPED}\u{201d} is typed, slowest at \u{201c}{text}\u{201d}");
            self.push("labels-typed", time.median, "s", time.told(&detail));
        }
        let rare = word(19_999);
        let time = timed(5, || index.search_labels(&rare, 1000).map(drop)).map_err(told)?;
        self.push("labels-rare", time.median, "s", time.told("labels with a rare word"));
        Ok(())
    }
}

/// Share of the `n` most similar features, as a scan finds them, that the search finds too.
fn recall(file: &SaeFile, rows: &[Vec<f32>], n: usize) -> tiller_engine::Result<f64> {
    let (mut hits, mut wanted) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let share = [1.0, 0.3, 0.0][i % 3];
        let noise = direction::random(row.len(), 1.0, i as u64);
        let vector: Vec<f32> = row.iter().zip(noise).map(|(row, noise)| share * row + (1.0 - share) * noise).collect();
        let scores = file.dots(Rows::Decoder, &vector)?;
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        let n = n.min(order.len());
        order.sort_unstable_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
        let exact: HashSet<u32> = order[..n].iter().copied().collect();
        let found = file.nearest(Rows::Decoder, &vector, n, By::Dot, None)?;
        hits += found.iter().filter(|(latent, _)| exact.contains(latent)).count();
        wanted += n;
    }
    Ok(hits as f64 / wanted.max(1) as f64)
}

/// A label of two to seven words, common ones far more often than rare ones.
fn label(latent: u64) -> NewLabel {
    // SplitMix64, as the engine draws its random weights.
    let mut state = latent;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut text = ["references to", "words of", "talk of or to"][draw() as usize % 3].to_owned();
    for _ in 0..2 + draw() % 4 {
        let share = (draw() >> 11) as f64 / (1_u64 << 53) as f64;
        text.push(' ');
        text.push_str(&word(20_000_f64.powf(share) as u32));
    }
    NewLabel { source: LabelSource::Imported, ..NewLabel::by_user(&text) }
}

/// A word of syllables for each number.
fn word(mut number: u32) -> String {
    let mut word = String::new();
    loop {
        word.push(char::from(b"bcdfghklmnprstvz"[number as usize % 16]));
        word.push(char::from(b"aeiou"[number as usize / 16 % 5]));
        number /= 80;
        if number == 0 {
            return word;
        }
    }
}
