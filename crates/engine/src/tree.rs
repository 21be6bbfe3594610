//! Ragged batches with shared prefixes.
//!
//! A [`TokenTree`] is a forest of token runs. A node continues nothing, a cached prefix, or the first `len` tokens of
//! an earlier node; its tokens attend to everything they continue and, causally, to themselves. All nodes are packed
//! one after the other into rows `[n_tokens, d_model]`, without padding.

/// What a node continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nothing: the node starts at position 0.
    Root,
    /// The whole of `Request::caches[i]`.
    Cache(usize),
    /// The first `len` tokens of node `node` (which comes earlier), and all that they continue.
    Node {
        /// Index of the node.
        node: usize,
        /// How many of its own tokens are shared.
        len: usize,
    },
}

/// A run of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it continues.
    pub parent: Parent,
    /// Its own tokens; may not be empty.
    pub ids: Vec<u32>,
    /// Its last token is the last token of a prompt (steering positions `LastPrompt` and `Generated` begin there).
    pub ends_prompt: bool,
    /// Its tokens belong to a reply.
    pub is_reply: bool,
}

/// Token runs in packing order; parents come before their children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenTree {
    nodes: Vec<Node>,
    offsets: Vec<usize>,
    n_tokens: usize,
}

impl TokenTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of one plain sequence.
    pub fn sequence(ids: &[u32]) -> Self {
        let mut tree = Self::new();
        tree.push(Node { parent: Parent::Root, ids: ids.to_vec(), ends_prompt: true, is_reply: false });
        tree
    }

    /// Adds a node and returns its index.
    pub fn push(&mut self, node: Node) -> usize {
        self.offsets.push(self.n_tokens);
        self.n_tokens += node.ids.len();
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// All nodes in packing order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Rows of the packed batch.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// First row of a node.
    pub fn offset(&self, node: usize) -> usize {
        self.offsets[node]
    }

    /// Row of a node's last token.
    pub fn last_row(&self, node: usize) -> usize {
        self.offsets[node] + self.nodes[node].ids.len() - 1
    }

    /// All token ids in packing order, `[n_tokens]`.
    pub fn ids(&self) -> Vec<u32> {
        self.nodes.iter().flat_map(|node| node.ids.iter().copied()).collect()
    }
}
