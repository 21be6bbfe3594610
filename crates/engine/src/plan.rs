//! What each row of a packed batch attends to, worked out once for a forward pass.

use std::sync::Arc;

use crate::cache::{KvCache, KvPart};
use crate::error::{EngineError, Result};
use crate::tree::{Parent, TokenTree};

/// A run of keys that come before a node's own tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// Rows of the batch.
    Rows {
        /// First row.
        start: usize,
        /// Number of rows.
        len: usize,
    },
    /// The first tokens of a cached part.
    Part {
        /// Index into [`Plan::parts`].
        part: usize,
        /// Number of tokens.
        len: usize,
    },
}

impl Span {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Rows { len, .. } | Self::Part { len, .. } => len,
        }
    }
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub(crate) struct PlannedNode {
    /// First row.
    pub(crate) start: usize,
    /// Own tokens.
    pub(crate) len: usize,
    /// Everything it continues, in order of position.
    pub(crate) past: Vec<Span>,
    /// Tokens in `past`, and so the position of the node's first token.
    pub(crate) past_len: usize,
}

/// All nodes of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlannedNode>,
    pub(crate) parts: Vec<Arc<KvPart>>,
    pub(crate) n_tokens: usize,
}

impl Plan {
    /// # Errors
    /// An empty tree or node, a parent that is not there, or a path longer than `context_len`.
    pub(crate) fn new(tree: &TokenTree, caches: &[&KvCache], context_len: usize) -> Result<Self> {
        let mut plan = Self { nodes: Vec::with_capacity(tree.nodes().len()), parts: Vec::new(), n_tokens: 0 };
        let mut known: Vec<Option<Vec<Span>>> = vec![None; caches.len()];
        for (idx, node) in tree.nodes().iter().enumerate() {
            let past = match node.parent {
                Parent::Root => Vec::new(),
                Parent::Cache(cache) => {
                    let found =
                        caches.get(cache).ok_or_else(|| EngineError::BadRequest(format!("no cache {cache}")))?;
                    known[cache].get_or_insert_with(|| plan.add_cache(found)).clone()
                }
                Parent::Node { node, len } => plan.continued(node, len)?,
            };
            let past_len = past.iter().map(|span| span.len()).sum::<usize>();
            let (start, len) = (tree.offset(idx), node.ids.len());
            if len == 0 {
                return Err(EngineError::BadRequest("a run of tokens is empty".to_owned()));
            }
            if past_len + len > context_len {
                return Err(EngineError::ContextOverflow { len: past_len + len, max: context_len });
            }
            plan.n_tokens += len;
            plan.nodes.push(PlannedNode { start, len, past, past_len });
        }
        if plan.nodes.is_empty() {
            return Err(EngineError::BadRequest("there are no tokens".to_owned()));
        }
        Ok(plan)
    }

    fn add_cache(&mut self, cache: &KvCache) -> Vec<Span> {
        let first = self.parts.len();
        self.parts.extend(cache.parts.iter().map(|(part, _)| Arc::clone(part)));
        (first..).zip(&cache.parts).map(|(part, &(_, len))| Span::Part { part, len }).collect()
    }

    fn continued(&self, node: usize, len: usize) -> Result<Vec<Span>> {
        let parent = self.nodes.get(node).filter(|parent| len <= parent.len).ok_or_else(|| {
            EngineError::BadRequest(format!("a run of tokens continues {len} tokens of run {node}, which has fewer"))
        })?;
        let mut past = parent.past.clone();
        if len > 0 {
            past.push(Span::Rows { start: parent.start, len });
        }
        Ok(past)
    }

    /// Position of every row.
    pub(crate) fn positions(&self) -> Vec<usize> {
        self.nodes.iter().flat_map(|node| node.past_len..node.past_len + node.len).collect()
    }

    /// The plan of some nodes alone, in order, and the rows they come from.
    ///
    /// # Errors
    /// When a kept node continues one that is not kept.
    pub(crate) fn subset(&self, keep: &[usize]) -> Result<(Self, Vec<u32>)> {
        let mut moved = vec![None; self.n_tokens];
        let mut plan = Self { nodes: Vec::new(), parts: self.parts.clone(), n_tokens: 0 };
        let mut rows = Vec::new();
        for &idx in keep {
            let node = self.nodes.get(idx).ok_or_else(|| EngineError::BadRequest(format!("no run {idx}")))?;
            let mut node = node.clone();
            moved[node.start] = Some(plan.n_tokens);
            rows.extend((node.start..node.start + node.len).map(|row| row as u32));
            node.start = plan.n_tokens;
            plan.n_tokens += node.len;
            for span in &mut node.past {
                if let Span::Rows { start, .. } = span {
                    *start = moved[*start].ok_or_else(|| {
                        EngineError::BadRequest(format!("run {idx} goes on but a run it continues does not"))
                    })?;
                }
            }
            plan.nodes.push(node);
        }
        Ok((plan, rows))
    }
}
