//! Times of a large index: `cargo run --release -p tiller-index --example timings -- 131072`.
//!
//! Makes an index with a label for each feature in a temporary folder, and prints how long it takes to import, open,
//! search, sort and scan. The labels are drawn from twenty thousand words, common ones far more often than rare ones.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tiller_index::import::ImportSettings;
use tiller_index::scan::Fire;
use tiller_index::{Index, Result};
use tiller_protocol::feature::{FeatureFilter, FeatureSort};

/// Searches, as they are while they are being typed; every label has "to" or "of", a third "references".
const SEARCHES: [&str; 18] = [
    "r",
    "re",
    "ref",
    "refe",
    "references",
    "references to",
    "to",
    "t o w",
    "ba",
    "bab",
    "baba",
    "bababa ba",
    "zzz",
    "eferenc",
    "\u{2192}",
    "\"to OR",
    "1234",
    "$x",
];

fn main() -> Result<()> {
    let mut out = io::stdout().lock();
    for size in std::env::args().skip(1) {
        match size.parse() {
            Ok(d_sae) => measure(d_sae, &mut out)?,
            Err(_) => tell(&mut out, &format!("{size} is no number of features")),
        }
    }
    Ok(())
}

fn tell(out: &mut impl Write, line: &str) {
    // Nobody listens any more: there is nothing to do about it.
    let _gone = writeln!(out, "{line}");
}

/// A generator that needs no crate (xorshift64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
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

fn timed<T>(out: &mut impl Write, what: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let value = body()?;
    tell(out, &format!("  {what}: {}", ms(start.elapsed())));
    Ok(value)
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn measure(d_sae: usize, out: &mut impl Write) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|source| tiller_index::IndexError::Read { source, path: ".".into() })?;
    let (file, table) = (folder.path().join("features.db"), folder.path().join("labels.csv"));
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    let mut text = "index,label,density,max_act\n".to_owned();
    for latent in 0..d_sae {
        let mut label = ["references to ", "words of ", "talk of or to "][draws.next() as usize % 3].to_owned();
        for _ in 0..2 + draws.next() % 6 {
            // Word n is about n times rarer than the first.
            let _never = write!(label, "{} ", word(20_000_f64.powf(draws.share()) as u32));
        }
        if latent % 1000 == 7 {
            label.push('\u{2192}');
        }
        let _never = writeln!(text, "{latent},{label},{},{}", draws.share().powi(4), draws.share() * 50.0);
    }
    tell(out, &format!("{d_sae} features, {} MB of labels", text.len() >> 20));
    fs::write(&table, text).map_err(|source| tiller_index::IndexError::Read { source, path: table.clone() })?;

    let index = timed(out, "make", || Index::open(&file, d_sae))?;
    timed(out, "import", || index.import(&table, &ImportSettings::default(), &mut |_| ControlFlow::Continue(())))?;
    timed(out, "import again", || {
        index.import(&table, &ImportSettings::default(), &mut |_| ControlFlow::Continue(()))
    })?;
    drop(index);
    tell(out, &format!("  size: {} MB", fs::metadata(&file).map_or(0, |about| about.len()) >> 20));
    let index = timed(out, "open", || Index::open(&file, d_sae))?;

    timed(out, "first search inside words (reads all labels)", || index.search_labels("zzz", 1000))?;
    for text in SEARCHES {
        let mut times: Vec<Duration> = Vec::new();
        let mut n_found = 0;
        for _ in 0..5 {
            let start = Instant::now();
            n_found = index.search_labels(text, 1000)?.len();
            times.push(start.elapsed());
        }
        times.sort();
        tell(out, &format!("  search {text:?}: {} (worst {}), {n_found} found", ms(times[2]), ms(times[4])));
    }
    let (all, filter) =
        (FeatureFilter::default(), FeatureFilter { max_density: Some(0.01), ..FeatureFilter::default() });
    for (name, by) in [
        ("number", FeatureSort::Number),
        ("density", FeatureSort::Density),
        ("activation", FeatureSort::MaxActivation),
        ("label, first time", FeatureSort::Label),
        ("label", FeatureSort::Label),
    ] {
        timed(out, &format!("sort all by {name}"), || index.arrange(None, &all, by, true))?;
    }
    timed(out, "filter and sort", || index.arrange(None, &filter, FeatureSort::Density, false))?;
    let scores: Vec<f32> = (0..d_sae).map(|_| draws.share() as f32).collect();
    timed(out, "best 1,000 by score", || Ok(index.columns().best(&scores, 1000, &all)))?;
    let rows: Vec<u32> = (0..100).map(|_| (draws.next() % d_sae as u64) as u32).collect();
    timed(out, "100 rows", || index.rows(&rows))?;
    scan(&index, &mut draws, out)
}

/// Scans 400 sequences of 128 tokens, 64 features on each.
fn scan(index: &Index, draws: &mut Draws, out: &mut impl Write) -> Result<()> {
    let d_sae = index.d_sae() as u64;
    let mut scan = timed(out, "begin a scan", || index.start_scan("timings", false))?;
    let sequences: Vec<(Vec<u32>, Vec<Fire>)> = (0..400)
        .map(|_| {
            let fires = (0..128 * 64).map(|at| Fire {
                pos: at / 64,
                latent: (draws.next() % d_sae) as u32,
                value: draws.share() as f32 * 20.0,
            });
            let fires = fires.collect();
            ((0..128).map(|_| (draws.next() % 50_000) as u32).collect(), fires)
        })
        .collect();
    timed(out, "scan 51,200 tokens", || {
        for (tokens, fires) in &sequences {
            scan.add(tokens, tokens.len(), fires);
            if scan.is_full() {
                index.save_scan(&mut scan, false)?;
            }
        }
        Ok(())
    })?;
    timed(out, "save the scan", || index.save_scan(&mut scan, false))?;
    for (tokens, fires) in &sequences {
        scan.add(tokens, tokens.len(), fires);
    }
    timed(out, "save it again", || index.save_scan(&mut scan, true))?;
    let bytes = fs::metadata(index.path()).map_or(0, |about| about.len());
    tell(out, &format!("  size: {} MB", bytes >> 20));
    timed(out, "examples of one feature", || index.windows(3))?;
    Ok(())
}
