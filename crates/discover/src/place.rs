//! Where a searched prompt stands: the chat template rendered around it, for a fixed set of contexts.
//!
//! Contexts with the same beginning share one cache of it. The whole set is used for every candidate of a run
//! (methods.md §2.8-2).

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use tiller_engine::template::{ChatTemplate, Slotted};
use tiller_engine::{EngineError, KvCache, Model};
use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::persona::{Placement, PromptText};

use crate::error::{DiscoverError, Result};

/// The fixed contexts of a run at one placement.
#[derive(Debug)]
pub struct Place<'a> {
    model: &'a Model,
    placement: Placement,
    users: Vec<String>,
    slots: Vec<Slotted>,
    beginnings: Vec<Beginning>,
    seams: Vec<Seam>,
}

/// A text before the prompt, and the contexts that begin with it.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) ids: Vec<u32>,
    /// Its keys and values; `None` when it is empty.
    pub(crate) cache: Option<KvCache>,
    /// −log P of every token as the first one of the prompt, `[vocab]`; `None` when nothing stands before it.
    pub(crate) first_nll: Option<Vec<f32>>,
    /// Ids after the prompt, reply header included, with the number of the context.
    pub(crate) rights: Vec<(usize, Vec<u32>)>,
}

/// The surroundings of the prompt that its tokenisation depends on: from the last special token before it to the
/// first one after it.
#[derive(Debug, PartialEq)]
struct Seam {
    left: String,
    left_ids: Vec<u32>,
    right: String,
    right_ids: Vec<u32>,
}

impl<'a> Place<'a> {
    /// Renders the template around a slot for every user text.
    ///
    /// # Errors
    /// No contexts, a model without a chat template, or a template that cannot be cut at the slot.
    pub fn new(model: &'a Model, placement: Placement, users: &[String]) -> Result<Self> {
        if users.is_empty() {
            return Err(DiscoverError::TooFew { what: "contexts", found: 0, needed: 1 });
        }
        let template = chat_template(model)?;
        let slots: Vec<Slotted> = users
            .iter()
            .map(|user| template.slotted(model.tokenizer(), None, user, placement))
            .collect::<tiller_engine::Result<_>>()?;
        let mut beginnings: Vec<Beginning> = Vec::new();
        let mut seams: Vec<Seam> = Vec::new();
        for (context, slot) in slots.iter().enumerate() {
            let right = (context, slot.right_ids.clone());
            match beginnings.iter_mut().find(|b| b.ids == slot.left_ids) {
                Some(beginning) => beginning.rights.push(right),
                None => beginnings.push(Beginning::new(model, &slot.left_ids, right)?),
            }
            let seam = Seam::new(model, slot)?;
            if !seams.contains(&seam) {
                seams.push(seam);
            }
        }
        Ok(Self { model, placement, users: users.to_vec(), slots, beginnings, seams })
    }

    /// The model.
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// User texts of the contexts.
    pub fn users(&self) -> &[String] {
        &self.users
    }

    /// Text and ids in front of the prompt in the first context.
    pub fn left(&self) -> (&str, &[u32]) {
        self.slots.first().map_or(("", &[]), |slot| (&slot.left, &slot.left_ids))
    }

    pub(crate) fn beginnings(&self) -> &[Beginning] {
        &self.beginnings
    }

    /// The text of `ids`, if it reads back as exactly these ids between the two sides of every context.
    ///
    /// # Errors
    /// A tokenizer failure.
    pub fn text(&self, ids: &[u32]) -> Result<Option<String>> {
        let tokenizer = self.model.tokenizer();
        let Some(first) = self.seams.first() else { return Ok(None) };
        // Decoded behind what stands before it, because some decoders drop a space at the very beginning.
        let whole = tokenizer.decode(&[first.left_ids.as_slice(), ids].concat())?;
        let Some(text) = whole.strip_prefix(&tokenizer.decode(&first.left_ids)?) else { return Ok(None) };
        for seam in &self.seams {
            let read = tokenizer.encode(&format!("{}{text}{}", seam.left, seam.right))?;
            let expected = seam.left_ids.iter().chain(ids).chain(&seam.right_ids);
            if !read.iter().eq(expected) {
                return Ok(None);
            }
        }
        Ok(Some(text.to_owned()))
    }

    /// Ids of the prompt with this text between the two sides of the first context, if they do not depend on the sides.
    ///
    /// # Errors
    /// A tokenizer failure.
    pub fn ids(&self, text: &str) -> Result<Option<Vec<u32>>> {
        let Some(slot) = self.slots.first() else { return Ok(None) };
        let read = self.model.tokenizer().encode(&format!("{}{text}{}", slot.left, slot.right))?;
        let prompt =
            read.strip_prefix(slot.left_ids.as_slice()).and_then(|r| r.strip_suffix(slot.right_ids.as_slice()));
        Ok(prompt.filter(|ids| !ids.is_empty()).map(<[u32]>::to_vec))
    }

    /// Every context as it is deployed with `prompt` (or without any), as token ids.
    ///
    /// # Errors
    /// A failure of the template or the tokenizer.
    pub fn rendered(&self, prompt: Option<&str>) -> Result<Vec<Vec<u32>>> {
        let template = chat_template(self.model)?;
        let render =
            |user: &String| self.model.tokenizer().encode(&template.render_with(prompt, user, self.placement)?);
        Ok(self.users.iter().map(render).collect::<tiller_engine::Result<_>>()?)
    }

    /// Where in `rendered` (the ids of context `context`) the prompt's own tokens stand.
    pub(crate) fn prompt_range(&self, context: usize, rendered: &[u32]) -> std::ops::Range<usize> {
        let slot = &self.slots[context];
        let same = |a: &mut dyn Iterator<Item = (&u32, &u32)>| a.take_while(|(a, b)| a == b).count();
        let start = same(&mut rendered.iter().zip(&slot.left_ids));
        let end = rendered.len() - same(&mut rendered.iter().rev().zip(slot.right_ids.iter().rev()));
        start..end.max(start)
    }
}

impl Beginning {
    fn new(model: &Model, ids: &[u32], right: (usize, Vec<u32>)) -> Result<Self> {
        let cache = if ids.is_empty() { None } else { Some(model.prefill(ids, None)?) };
        let first_nll = match cache.as_ref().and_then(KvCache::last_resid) {
            Some(resid) => Some(model.negative_log_probs(resid)?.squeeze(0)?.to_vec1()?),
            None => None,
        };
        Ok(Self { ids: ids.to_vec(), cache, first_nll, rights: vec![right] })
    }
}

impl Seam {
    fn new(model: &Model, slot: &Slotted) -> Result<Self> {
        let tokenizer = model.tokenizer();
        let special = |id: &u32| tokenizer.is_special(*id);
        let from = slot.left_ids.iter().rposition(special).unwrap_or(0);
        let to = slot.right_ids.iter().position(special).map_or(slot.right_ids.len(), |i| i + 1);
        let (left_ids, right_ids) = (&slot.left_ids[from..], &slot.right_ids[..to]);
        let short = Self {
            left: tokenizer.decode(left_ids)?,
            left_ids: left_ids.to_vec(),
            right: tokenizer.decode(right_ids)?,
            right_ids: right_ids.to_vec(),
        };
        // Only if the shortened sides are read as they were written; otherwise the whole sides are compared.
        let is_faithful = slot.left.ends_with(&short.left)
            && slot.right.starts_with(&short.right)
            && tokenizer.encode(&short.left)? == left_ids
            && tokenizer.encode(&short.right)? == right_ids;
        Ok(if is_faithful {
            short
        } else {
            Self {
                left: slot.left.clone(),
                left_ids: slot.left_ids.clone(),
                right: slot.right.clone(),
                right_ids: slot.right_ids.clone(),
            }
        })
    }
}

/// The model's chat template.
///
/// # Errors
/// [`EngineError::Template`] when the checkpoint brings none.
pub(crate) fn chat_template(model: &Model) -> Result<&ChatTemplate> {
    Ok(model.template().ok_or_else(|| EngineError::Template("the model brings none".to_owned()))?)
}

/// `n` contexts of a run: drawn by the seed from the shorter half of `users` (short ones cost less), or all of them
/// when there are no more. The order of `users` is kept.
///
/// # Errors
/// A tokenizer failure.
pub fn choose_contexts(model: &Model, users: &[String], n: usize, seed: u64) -> Result<Vec<String>> {
    let mut lengths = Vec::with_capacity(users.len());
    for (i, user) in users.iter().enumerate() {
        lengths.push((model.tokenizer().encode(user)?.len(), i));
    }
    lengths.sort_unstable();
    lengths.truncate(n.max(users.len().div_ceil(2)));
    lengths.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    lengths.truncate(n);
    let mut chosen: Vec<usize> = lengths.into_iter().map(|(_, i)| i).collect();
    chosen.sort_unstable();
    Ok(chosen.into_iter().map(|i| users[i].clone()).collect())
}

/// The ids of a prompt in the model's chat template, reply header included.
///
/// # Errors
/// A failure of the template or the tokenizer.
pub fn prompt_ids(model: &Model, prompt: &PromptText) -> Result<Vec<u32>> {
    let turn = |role, content: &String| Turn { role, content: content.clone() };
    let system = prompt.system.as_ref().map(|text| turn(Role::System, text));
    let turns: Vec<Turn> = system.into_iter().chain([turn(Role::User, &prompt.user)]).collect();
    Ok(model.tokenizer().encode(&chat_template(model)?.render(&turns, true)?)?)
}
