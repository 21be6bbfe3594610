//! Sequences packed so that equal beginnings are computed once.

use crate::tree::{Node, Parent, TokenTree};

/// A tree that grows by whole sequences. A sequence shares what it has in common with the one added before it, so
/// sequences should come in sorted order.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    pub(crate) tree: TokenTree,
    /// Nodes of the sequence added last, each with the position of its first token.
    path: Vec<(usize, usize)>,
    last: Vec<u32>,
}

impl Trie {
    /// Adds a sequence (not empty) and returns its last node. The row of its last token is no other sequence's, unless
    /// that is the same sequence; with `ends_prompt`, no later sequence continues it either, because edits may touch
    /// the last token of a prompt alone.
    pub(crate) fn add(&mut self, ids: &[u32], ends_prompt: bool) -> usize {
        let same = ids.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        if same == ids.len()
            && same == self.last.len()
            && let Some(&(node, _)) = self.path.last()
        {
            return node;
        }
        let ownable = if ends_prompt { self.last.len().saturating_sub(1) } else { self.last.len() };
        let shared = same.min(ids.len() - 1).min(ownable);
        while self.path.last().is_some_and(|&(_, start)| start >= shared) {
            self.path.pop();
        }
        let parent = self.path.last().map_or(Parent::Root, |&(node, start)| Parent::Node { node, len: shared - start });
        let node = self.tree.push(Node { parent, ids: ids[shared..].to_vec(), ends_prompt, is_reply: false });
        self.path.push((node, shared));
        ids.clone_into(&mut self.last);
        node
    }

    /// Rows of the sequence added last, token by token.
    pub(crate) fn rows(&self) -> Vec<usize> {
        let ends = self.path.iter().skip(1).map(|&(_, start)| start).chain([self.last.len()]);
        self.path
            .iter()
            .zip(ends)
            .flat_map(|(&(node, start), end)| (0..end - start).map(move |i| self.tree.offset(node) + i))
            .collect()
    }
}
