//! What keys do on the page Features, as long as nothing is being typed.

use egui::{EventFilter, Key, Modifiers, Response, Ui};

use super::results_bar;
use crate::shared::Shared;

/// What a key of the page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Put the cursor into the search field.
    Search,
}

/// Keys that work wherever the keyboard is: `/` searches, `B` bookmarks what is marked.
pub(super) fn page(ui: &Ui, shared: &mut Shared) -> Option<Pressed> {
    if is_busy(ui) {
        return None;
    }
    let (search, bookmark) = ui.input_mut(|input| {
        (input.consume_key(Modifiers::NONE, Key::Slash), input.consume_key(Modifiers::NONE, Key::B))
    });
    if bookmark {
        results_bar::toggle_bookmarks(shared);
    }
    search.then_some(Pressed::Search)
}

/// Whether keys belong to a field or to something above the page.
fn is_busy(ui: &Ui) -> bool {
    ui.ctx().text_edit_focused() || ui.ctx().memory(|memory| memory.top_modal_layer().is_some())
}

/// Keys of the table, while it has the keyboard; the position to have in sight, when it has changed. `view` is the
/// number of rows in the window.
pub(super) fn table(ui: &Ui, shared: &mut Shared, surface: &Response, order: &[u32], view: usize) -> Option<usize> {
    if !surface.has_focus() || is_busy(ui) {
        return None;
    }
    let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(surface.id, filter));
    let last = order.len().saturating_sub(1);
    let page = view.saturating_sub(1).max(1);
    let cursor = shared.features.selection.cursor.map(|cursor| cursor.min(last));
    let at = cursor.unwrap_or(0);
    let extends = ui.input(|input| input.modifiers.shift);
    let pressed =
        |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key) || input.consume_key(Modifiers::SHIFT, key));
    let moves = [
        (Key::ArrowDown, if cursor.is_none() { 0 } else { at + 1 }),
        (Key::ArrowUp, at.saturating_sub(1)),
        (Key::PageDown, at + page),
        (Key::PageUp, at.saturating_sub(page)),
        (Key::Home, 0),
        (Key::End, last),
    ];
    let moved = moves.into_iter().find(|(key, _)| pressed(*key)).map(|(_, to)| to.min(last));
    let selection = &mut shared.features.selection;
    if let Some(to) = moved {
        if extends {
            selection.extend(order, to);
        } else {
            selection.only(order, to);
        }
        return Some(to);
    }
    if pressed(Key::Space) && cursor.is_some() {
        selection.toggle(order, at);
    }
    if ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::A)) {
        selection.all(order);
    }
    if pressed(Key::Escape) {
        selection.clear();
    }
    if pressed(Key::Enter)
        && let Some(latent) = cursor.and_then(|cursor| order.get(cursor))
    {
        shared.open_latent(*latent);
    }
    None
}
