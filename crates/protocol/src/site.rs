//! Places in a decoder where activations are read and edited.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in the forward pass. Blocks are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Site {
    /// The raw residual stream after block `b` (not normed).
    ResidPost(usize),
}

impl Site {
    /// The 0-based block.
    pub fn block(self) -> usize {
        match self {
            Self::ResidPost(block) => block,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResidPost(block) => write!(f, "blocks.{block}.hook_resid_post"),
        }
    }
}

/// The text is not the name of a site that Tiller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSite(pub String);

impl fmt::Display for UnknownSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\u{201c}{}\u{201d} is not a known site; expected blocks.B.hook_resid_post", self.0)
    }
}

impl std::error::Error for UnknownSite {}

impl FromStr for Site {
    type Err = UnknownSite;

    fn from_str(text: &str) -> Result<Self, UnknownSite> {
        text.strip_prefix("blocks.")
            .and_then(|rest| rest.strip_suffix(".hook_resid_post"))
            .and_then(|block| block.parse().ok())
            .map(Self::ResidPost)
            .ok_or_else(|| UnknownSite(text.to_owned()))
    }
}

impl From<Site> for String {
    fn from(site: Site) -> Self {
        site.to_string()
    }
}

impl TryFrom<String> for Site {
    type Error = UnknownSite;

    fn try_from(text: String) -> Result<Self, UnknownSite> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for block in [0, 3, 25, 79] {
            let site = Site::ResidPost(block);
            assert_eq!(site.to_string().parse::<Site>(), Ok(site));
        }
    }

    #[test]
    fn other_hooks_are_refused() {
        for text in ["", "blocks.x.hook_resid_post", "blocks.3.hook_resid_pre", "blocks.3"] {
            assert!(text.parse::<Site>().is_err(), "{text}");
        }
    }
}
