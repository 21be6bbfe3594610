//! Any repository of the hub by its name: what it offers and costs, before anything is downloaded.

mod choices;
mod listing;

use egui::{Key, TextEdit, Ui};
use egui_material_icons::icons::{ICON_CLOUD_OFF, ICON_OPEN_IN_NEW, ICON_REPLAY, ICON_TRAVEL_EXPLORE};
use tiller_protocol::asset::{HubRefusal, RepoRef};

use super::{Ask, sign_in};
use crate::face::Request;
use crate::page::Page;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card, problem};

/// State of the part.
#[derive(Default)]
pub(super) struct Hub {
    text: String,
    asked: Option<RepoRef>,
    token: String,
    /// A token was sent off; the question is asked again once it is kept.
    awaits_token: bool,
    order: listing::Order,
}

impl Hub {
    /// Asks about a repository, with this choice taken once it is known.
    pub(super) fn ask(&mut self, shared: &mut Shared, repo: RepoRef, choice: Option<String>) {
        self.text.clone_from(&repo.id);
        if let Some(revision) = &repo.revision {
            self.text = format!("{}@{revision}", repo.id);
        }
        self.order = listing::Order::new(choice);
        shared.ask_hub(&repo);
        self.asked = Some(repo);
    }

    /// The token has changed, or it is known whose it is.
    pub(super) fn token_known(&mut self, shared: &mut Shared) {
        if let (true, Some(repo)) = (std::mem::take(&mut self.awaits_token), &self.asked) {
            shared.ask_hub(repo);
        }
    }

    /// Draws the part.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) -> Option<Ask> {
        card::show(ui, |ui| self.question(ui, shared));
        ui.add_space(space::S);
        let Some(repo) = self.asked.clone() else {
            if shared.settings.offline {
                offline(ui, shared);
            }
            return None;
        };
        match shared.assets.answer_of(&repo).cloned() {
            None => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label(theme::secondary(ui, format!("Asking the hub about {}\u{2026}", repo.id)));
                });
                None
            }
            Some(Err(refusal)) => {
                self.refused(ui, shared, &refusal);
                None
            }
            Some(Ok(listing)) => {
                if let Some(locked) = listing.locked.clone() {
                    let refusal = HubRefusal { problem: locked, may_sign_in: true, page: Some(listing.page.clone()) };
                    self.refused(ui, shared, &refusal);
                    ui.add_space(space::S);
                }
                self.order.show(ui, shared, &listing)
            }
        }
    }

    /// The field for a name.
    fn question(&mut self, ui: &mut Ui, shared: &mut Shared) {
        ui.horizontal(|ui| {
            ui.set_min_height(theme::size::PRIMARY);
            let width = (ui.available_width() - 108.0).max(200.0);
            let field = TextEdit::singleline(&mut self.text)
                .hint_text("owner/name, owner/name@revision, or the address of its page")
                .desired_width(width)
                .margin(egui::Margin::symmetric(8, 6));
            let response = ui.add(field).accessible_name("Repository on the hub");
            let entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let empty = self.text.trim().is_empty();
            let obstacle = empty.then(|| "Type a name or paste an address first.".to_owned());
            let look = button::primary("Look up").icon(ICON_TRAVEL_EXPLORE).blocked_by(obstacle);
            if (look.show(ui).clicked() || entered) && !empty {
                self.look_up(shared);
            }
        });
        let help = "For example Qwen/Qwen2.5-1.5B-Instruct. Shows the files and their exact sizes; nothing is \
                    downloaded yet.";
        ui.label(theme::note(ui, help));
    }

    fn look_up(&mut self, shared: &mut Shared) {
        let repo = RepoRef { id: self.text.trim().to_owned(), revision: None };
        self.order = listing::Order::default();
        shared.ask_hub(&repo);
        self.asked = Some(repo);
    }

    /// Why nothing can be had now, and the way out.
    fn refused(&mut self, ui: &mut Ui, shared: &mut Shared, refusal: &HubRefusal) {
        let mut again = false;
        problem::fixed(ui, &refusal.problem, |ui| {
            ui.add_space(space::XS);
            ui.horizontal(|ui| {
                if let Some(page) = &refusal.page
                    && button::secondary("Open its page").icon(ICON_OPEN_IN_NEW).hint(page).show(ui).clicked()
                {
                    shared.request(Request::OpenLink(page.clone()));
                }
                again = button::secondary("Try again").icon(ICON_REPLAY).show(ui).clicked();
                if shared.settings.offline && button::secondary("Go to Settings").show(ui).clicked() {
                    shared.page = Page::Settings;
                }
            });
        });
        if refusal.may_sign_in {
            ui.add_space(space::S);
            card::titled(ui, "Sign in to the hub", |ui| {
                sign_in::state_ui(ui, &shared.assets.token);
                ui.add_space(space::XS);
                self.awaits_token |= sign_in::token_row(ui, shared, &mut self.token, "Sign in and try again");
            });
        }
        if let (true, Some(repo)) = (again, self.asked.clone()) {
            shared.ask_hub(&repo);
        }
    }
}

/// That the network is switched off, and where it is switched on.
fn offline(ui: &mut Ui, shared: &mut Shared) {
    card::callout(ui, palette(ui).warning_soft, |ui| {
        ui.horizontal(|ui| {
            crate::icon::show(ui, ICON_CLOUD_OFF, 20.0, palette(ui).warning);
            ui.label("Tiller is offline by its settings: it opens no connection. What is installed works.");
            if button::secondary("Go to Settings").show(ui).clicked() {
                shared.page = Page::Settings;
            }
        });
    });
}
