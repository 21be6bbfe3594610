//! The question before an opened SAE is deleted.

use egui::Context;
use tiller_protocol::feature::{SaeId, SaeInfo};

use crate::number::{bytes, count, plural};
use crate::shared::Shared;
use crate::widgets::confirm::Confirm;

/// Asks about the SAE in `removing`, if there is one, and does what the answer says.
pub(super) fn show(ctx: &Context, shared: &mut Shared, removing: &mut Option<SaeId>) {
    let Some(id) = removing.clone() else { return };
    let Some(info) = shared.features.sae(&id).cloned() else {
        *removing = None;
        return;
    };
    let title = format!("Remove {}?", info.name);
    let question = Confirm { title: &title, text: &consequences(&info), action: "Remove", keep: "Keep" };
    let answer = question.show(ctx);
    if answer.is_some() {
        *removing = None;
    }
    if answer == Some(true) {
        shared.remove_sae(&id);
    }
}

/// What is lost and what stays.
fn consequences(info: &SaeInfo) -> Vec<String> {
    let mut lost = Vec::new();
    if info.n_labelled > 0 {
        lost.push(format!("the labels of {}", plural(info.n_labelled, "feature")));
    }
    if info.n_bookmarked > 0 {
        lost.push(plural(info.n_bookmarked, "bookmark"));
    }
    if info.scanned_tokens > 0 {
        lost.push(format!("what the scan of {} tokens has found", count(info.scanned_tokens)));
    }
    lost.push("all notes on its features".to_owned());
    vec![
        format!("Tiller's converted copy is deleted, which frees {}.", bytes(info.bytes)),
        format!("Lost for good: {}.", lost.join(", ")),
        format!("The published file in {} stays; it can be opened again.", info.path.display()),
    ]
}
