//! Downloads that are not complete, so that they are there again after a restart or a crash.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tiller_hub::listing::{Listing, RemoteFile, Sum};
use tiller_protocol::asset::{AssetKind, DownloadId, DownloadOrder, Gate};
use tiller_protocol::problem::Problem;

use super::document::{self, Envelope};
use super::{Workspace, free_path};
use crate::problem;

/// The document's name.
const NAME: &str = "downloads.json";

/// An unfinished download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptDownload {
    /// Its number.
    pub(crate) id: DownloadId,
    /// What was ordered.
    pub(crate) order: DownloadOrder,
    /// Where it goes.
    pub(crate) folder: PathBuf,
    /// What the hub said of it, once it was asked.
    pub(crate) plan: Option<KeptPlan>,
}

/// What the hub said of a download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptPlan {
    kind: AssetKind,
    label: String,
    commit: String,
    gate: Gate,
    is_private: bool,
    licence: Option<String>,
    page: String,
    files: Vec<KeptFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptFile {
    path: String,
    bytes: u64,
    /// Hex; its length tells the kind.
    sum: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Downloads {
    downloads: Vec<KeptDownload>,
}

impl KeptPlan {
    /// What is kept of a listing, which holds the files of one choice only.
    pub(crate) fn new(kind: AssetKind, label: &str, listing: &Listing) -> Self {
        let file = |file: &RemoteFile| KeptFile { path: file.path.clone(), bytes: file.bytes, sum: file.sum.hex() };
        Self {
            kind,
            label: label.to_owned(),
            commit: listing.commit.clone(),
            gate: listing.gate,
            is_private: listing.is_private,
            licence: listing.licence.clone(),
            page: listing.page.clone(),
            files: listing.files.iter().map(file).collect(),
        }
    }

    /// The same with the listing as it was; `None` when a checksum in the document makes no sense.
    pub(crate) fn restore(&self, order: &DownloadOrder) -> Option<(AssetKind, String, Listing)> {
        let file = |file: &KeptFile| {
            Some(RemoteFile { path: file.path.clone(), bytes: file.bytes, sum: Sum::from_hex(&file.sum)? })
        };
        let listing = Listing {
            repo: order.repo.clone(),
            commit: self.commit.clone(),
            gate: self.gate,
            is_private: self.is_private,
            licence: self.licence.clone(),
            page: self.page.clone(),
            files: self.files.iter().map(file).collect::<Option<_>>()?,
        };
        Some((self.kind, self.label.clone(), listing))
    }
}

impl Workspace {
    /// The unfinished downloads. A document that cannot be read is kept aside, and the problem says where.
    pub(crate) fn load_downloads(&self) -> (Vec<KeptDownload>, Option<Problem>) {
        let path = self.root.join(NAME);
        if !path.exists() {
            return (Vec::new(), None);
        }
        match document::read_json::<Envelope<Downloads>>(&path) {
            Ok(document) => (document.body.downloads, None),
            Err(reason) => {
                let aside = free_path(&self.root, "downloads.unreadable", ".json");
                let kept = fs::rename(&path, &aside).is_ok();
                (Vec::new(), Some(problem::downloads_kept_aside(&reason, kept.then_some(&aside))))
            }
        }
    }

    /// Saves the unfinished downloads.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn save_downloads(&self, downloads: Vec<KeptDownload>) -> Result<(), Problem> {
        document::write_json(&self.root.join(NAME), &Envelope::new(Downloads { downloads }))
    }
}

#[cfg(test)]
mod tests {
    use tiller_protocol::asset::RepoRef;

    use super::*;

    fn kept() -> KeptDownload {
        let repo = RepoRef { id: "a/b".to_owned(), revision: Some("v1".to_owned()) };
        let order = DownloadOrder { repo: repo.clone(), choice: "x.gguf".to_owned(), folder: None };
        let sums = [Sum::Sha256([7; 32]), Sum::GitBlob([9; 20])];
        let file = |(i, sum)| RemoteFile { path: format!("f{i}"), bytes: 10 + i as u64, sum };
        let listing = Listing {
            repo,
            commit: "0".repeat(40),
            gate: Gate::Manual,
            is_private: true,
            licence: Some("MIT".to_owned()),
            page: "https://hub/a/b".to_owned(),
            files: sums.into_iter().enumerate().map(file).collect(),
        };
        let plan = KeptPlan::new(AssetKind::Model, "Q8_0", &listing);
        assert_eq!(plan.restore(&order), Some((AssetKind::Model, "Q8_0".to_owned(), listing)));
        KeptDownload { id: DownloadId(3), order, folder: "/c".into(), plan: Some(plan) }
    }

    #[test]
    fn unfinished_downloads_round_trip_and_unreadable_ones_are_kept_aside() {
        let workspace = Workspace::temp();
        assert_eq!(workspace.load_downloads(), (vec![], None));
        workspace.save_downloads(vec![kept()]).unwrap();
        assert_eq!(workspace.load_downloads(), (vec![kept()], None));
        for (n, text) in ["{\"format\": 9}", "{\"format\": 1, \"downl"].into_iter().enumerate() {
            fs::write(workspace.root().join(NAME), text).unwrap();
            let (found, problem) = workspace.load_downloads();
            let name = ["downloads.unreadable.json", "downloads.unreadable-2.json"][n];
            assert!(found.is_empty() && problem.unwrap().next_step.contains(name));
            assert_eq!(fs::read_to_string(workspace.root().join(name)).unwrap(), text);
        }
    }

    #[test]
    fn a_checksum_that_makes_no_sense_is_no_plan() {
        let mut kept = kept();
        let plan = kept.plan.as_mut().unwrap();
        plan.files[0].sum = "../../x".to_owned();
        assert_eq!(plan.restore(&kept.order), None);
    }
}
