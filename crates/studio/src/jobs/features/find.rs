//! Searches that need the model: what fires on a text, and what fires on one set of texts more than on another
//! (sae.md §B.5). Neither the token at position 0 counts, nor an outlying one.

use tiller_engine::sae::Active;
use tiller_protocol::feature::{FeatureQuery, Pooling, ScoreKind, TokenFires};
use tiller_protocol::problem::Problem;

use super::{Coder, Fired, Tokens, activations};
use crate::features::find::Found;
use crate::jobs::Sink;
use crate::jobs::corpus::{Sequence, Text, cut};
use crate::models::Loaded;
use crate::{memory, problem};

/// Tokens of a sequence: longer texts are cut into such pieces.
const CONTEXT_LEN: usize = 512;
/// Most tokens of a text, or of one side of a contrast, that are read.
const MAX_TOKENS: usize = 8192;
/// Features that are told for each token.
const PER_TOKEN: usize = 8;

/// Answers a query that needs the model; `None` when it does not.
///
/// # Errors
/// Texts that are too short, an SAE that does not fit, a failure of the model, or a stop.
pub(crate) fn find(
    loaded: &Loaded,
    coder: &Coder,
    query: &FeatureQuery,
    sink: &mut dyn Sink,
) -> Result<Option<Found>, Problem> {
    match query {
        FeatureQuery::Text { text, pooling } => by_text(loaded, coder, (text, *pooling), sink).map(Some),
        FeatureQuery::Contrast { more, less } => by_contrast(loaded, coder, (more, less), sink).map(Some),
        _ => Ok(None),
    }
}

/// What fires on a text.
///
/// # Errors
/// A text of fewer than two tokens, an SAE that does not fit, a failure of the model, or a stop.
pub(crate) fn by_text(
    loaded: &Loaded,
    coder: &Coder,
    (text, pooling): (&str, Pooling),
    sink: &mut dyn Sink,
) -> Result<Found, Problem> {
    let read = Read::new(loaded, &[Text::Plain(text.to_owned())])?;
    if read.sequences.is_empty() {
        let cause = "the text is too short: it has fewer than two tokens";
        return Err(problem::bad_input(cause, "Write at least two words."));
    }
    let fired = read.activations(loaded, coder, sink)?;
    let tokenizer = loaded.model.tokenizer();
    let mut tokens = Vec::new();
    for (i, (sequence, fired)) in read.sequences.iter().zip(&fired).enumerate() {
        for (position, (id, fired)) in sequence.ids.iter().zip(fired).enumerate() {
            // What each piece begins with anew belongs to the first alone.
            if i == 0 || position > 0 || !tokenizer.is_special(*id) {
                let token = tokenizer.token_text(*id).unwrap_or_default();
                tokens.push(TokenFires { token, top: top(&fired.active) });
            }
        }
    }
    let mut scores = vec![0.0_f64; coder.d_sae()];
    let mut n_tokens = 0_u32;
    for fired in fired.iter().flatten().filter(|fired| fired.is_usual) {
        n_tokens += 1;
        for (latent, value) in &fired.active {
            let (score, value) = (&mut scores[*latent as usize], f64::from(*value));
            *score = if pooling == Pooling::Max { score.max(value) } else { *score + value };
        }
    }
    let scale = if pooling == Pooling::Mean { 1.0 / f64::from(n_tokens.max(1)) } else { 1.0 };
    let scores = scores.into_iter().map(|score| positive(score * scale)).collect();
    Ok(Found { kind: Some(ScoreKind::Activation), scores, tokens, notes: read.notes() })
}

/// What fires more on one set of texts than on another, by mean activation a token.
///
/// # Errors
/// A side without a text of two tokens, an SAE that does not fit, a failure of the model, or a stop.
pub(crate) fn by_contrast(
    loaded: &Loaded,
    coder: &Coder,
    (more, less): (&[String], &[String]),
    sink: &mut dyn Sink,
) -> Result<Found, Problem> {
    let plain = |texts: &[String]| Read::new(loaded, &texts.iter().cloned().map(Text::Plain).collect::<Vec<_>>());
    let (more, less) = (plain(more)?, plain(less)?);
    for (side, which) in [(&more, "where it should fire"), (&less, "where it should not fire")] {
        if side.sequences.is_empty() {
            return Err(problem::empty_side(which));
        }
    }
    let mut difference = vec![0.0_f64; coder.d_sae()];
    for (side, sign) in [(&more, 1.0), (&less, -1.0)] {
        let fired = side.activations(loaded, coder, sink)?;
        let counted = || fired.iter().flatten().filter(|fired| fired.is_usual);
        let share = sign / counted().count().max(1) as f64;
        for (latent, value) in counted().flat_map(|fired| &fired.active) {
            difference[*latent as usize] += share * f64::from(*value);
        }
    }
    let scores = difference.into_iter().map(positive).collect();
    let notes = if more.is_cut { more.notes() } else { less.notes() };
    Ok(Found { kind: Some(ScoreKind::Difference), scores, tokens: Vec::new(), notes })
}

/// Sequences of texts, no more than are read at once.
struct Read {
    sequences: Vec<Sequence>,
    is_cut: bool,
}

impl Read {
    fn new(loaded: &Loaded, texts: &[Text]) -> Result<Self, Problem> {
        let context_len = CONTEXT_LEN.min(loaded.info.context_len);
        let (mut sequences, mut n_tokens): (Vec<Sequence>, usize) = (Vec::new(), 0);
        for text in texts {
            for sequence in cut(&loaded.model, text, context_len)? {
                if n_tokens + sequence.ids.len() > MAX_TOKENS {
                    return Ok(Self { sequences, is_cut: true });
                }
                n_tokens += sequence.ids.len();
                sequences.push(sequence);
            }
        }
        Ok(Self { sequences, is_cut: false })
    }

    fn activations(&self, loaded: &Loaded, coder: &Coder, sink: &mut dyn Sink) -> Result<Vec<Vec<Fired>>, Problem> {
        coder.check(loaded)?;
        memory::check_reading(loaded)?;
        let ids: Vec<Tokens<'_>> = self.sequences.iter().map(|sequence| sequence.ids.as_slice()).collect();
        activations(loaded, coder, &ids, sink)
    }

    fn notes(&self) -> Vec<String> {
        if self.is_cut { vec![format!("Only the first {MAX_TOKENS} tokens were read.")] } else { Vec::new() }
    }
}

/// The most active features, largest first.
fn top(active: &Active) -> Vec<(u32, f32)> {
    let mut top = active.clone();
    top.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    top.truncate(PER_TOKEN);
    top
}

/// The score of a feature that was found, NaN for others.
fn positive(score: f64) -> f32 {
    if score > 0.0 { score as f32 } else { f32::NAN }
}
