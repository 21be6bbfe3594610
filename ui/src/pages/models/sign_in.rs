//! Signing in to the hub with an access token.

use egui::{TextEdit, Ui};
use egui_material_icons::icons::{ICON_CHECK, ICON_KEY, ICON_LOGOUT};
use tiller_protocol::asset::{Secret, TokenSource, TokenState};
use tiller_protocol::message::Command;

use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::button;

/// What the state of signing in means.
pub(crate) fn state_ui(ui: &mut Ui, token: &TokenState) {
    ui.horizontal(|ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        if token.source == TokenSource::None {
            badge::show(ui, Tone::Neutral, "Not signed in");
        } else {
            let who =
                token.user.as_ref().map_or_else(|| "Token present".to_owned(), |user| format!("Signed in as {user}"));
            badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), &who);
        }
        ui.label(theme::note(ui, source_words(token.source)));
    });
    if let Some(note) = &token.note {
        ui.label(theme::note(ui, note));
    }
}

fn source_words(source: TokenSource) -> &'static str {
    match source {
        TokenSource::None => "Open models need no token.",
        TokenSource::Environment => "The token comes from the environment variable HF_TOKEN.",
        TokenSource::Keyring => "The token is in this system's keyring.",
        TokenSource::File => "The token is the one that the hub's own tools keep on this machine.",
        TokenSource::Session => "The token is kept until Tiller ends.",
    }
}

/// A field for a token and a button that keeps it; true when it was sent off. The text is forgotten at once.
pub(crate) fn token_row(ui: &mut Ui, shared: &mut Shared, typed: &mut String, action: &str) -> bool {
    let mut sent = false;
    ui.label(theme::strong("Access token"));
    ui.horizontal(|ui| {
        ui.set_min_height(theme::size::CONTROL);
        let field = TextEdit::singleline(typed)
            .id_salt("access token")
            .password(true)
            .hint_text("hf_\u{2026}")
            .desired_width(320.0)
            .margin(egui::Margin::symmetric(8, 5));
        let response = ui.add(field).accessible_name("Access token");
        let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let empty = typed.trim().is_empty().then(|| "Paste a token first.".to_owned());
        let is_empty = empty.is_some();
        let pressed = button::secondary(action).icon(ICON_KEY).blocked_by(empty).show(ui).clicked();
        if (pressed || entered) && !is_empty {
            // The field's history of undo steps holds the text, too.
            TextEdit::store_state(ui.ctx(), response.id, egui::text_edit::TextEditState::default());
            let secret = std::mem::take(typed).trim().to_owned();
            shared.send(Command::SetToken(Secret(secret)));
            sent = true;
        }
    });
    // Without a keyring the note has said how long it is kept.
    let place = match shared.assets.token.note {
        None => "It is kept in this system's keyring, never in a file, a log or a command line.",
        Some(_) => "It is never written to a file, a log or a command line.",
    };
    let help = "Make one on the hub: Settings, Access tokens, with permission to read.";
    ui.label(theme::note(ui, format!("{help} {place}")));
    sent
}

/// The button that forgets a token which Tiller itself keeps.
pub(crate) fn forget_ui(ui: &mut Ui, shared: &mut Shared) {
    if !matches!(shared.assets.token.source, TokenSource::Keyring | TokenSource::Session) {
        return;
    }
    ui.add_space(space::XS);
    if button::secondary("Forget the token").icon(ICON_LOGOUT).show(ui).clicked() {
        shared.send(Command::SetToken(Secret(String::new())));
    }
}
