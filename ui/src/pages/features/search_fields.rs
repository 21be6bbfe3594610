//! The fields of the search bar, one form for each mode, with examples while they are empty.

use egui::{Response, TextEdit, Ui};
use egui_material_icons::icons::ICON_CLOSE;
use tiller_protocol::persona::PromptText;
use tiller_protocol::steering::VectorId;

use super::search::{BUTTON, Mode, SearchBar, Typed, entered, search_button};
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{button, chip, field, tokens};

/// Texts on which a feature of pirates fires, and the same in plain words.
const PIRATES: [&str; 2] = [
    "Arr, hoist the sail, matey.\nAhoy, me hearty, the seven seas be calling.\nAvast, a storm be coming, captain.\n\
     Aye, we be drinking rum tonight.",
    "Please raise the sail, my friend.\nHello, my friend, the sea is calm today.\nStop, a storm is coming, sir.\n\
     Yes, we are drinking water tonight.",
];

/// Draws the fields; `obstacle` says why the model cannot search now.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, bar: &mut SearchBar, obstacle: Option<String>) -> Typed {
    let mut typed = Typed::Nothing;
    match bar.mode {
        Mode::Labels => {
            let shown = line(ui, &mut bar.label, "Words of a label, or a number", "Search labels", 0.0);
            typed = take(ui, &mut bar.focus, &shown, typed);
            // A number opens its card at once.
            if let Some(number) = bar.number().filter(|_| typed == Typed::Enter)
                && shared.features.current().is_some_and(|sae| (number as usize) < sae.d_sae)
            {
                shared.open_latent(number);
            }
        }
        Mode::Text => {
            ui.horizontal(|ui| {
                let hint = "A text; the model reads it, and what fires on it is ranked";
                let shown = line(ui, &mut bar.text, hint, "Text to search by", BUTTON);
                typed = take(ui, &mut bar.focus, &shown, typed);
                if search_button(ui, obstacle, bar.text.trim().is_empty()) {
                    typed = Typed::Enter;
                }
            });
        }
        Mode::Contrast => typed = contrast(ui, bar, obstacle),
        Mode::Token => {
            let hint = "A token as it stands in text; a space before it counts";
            let shown = line(ui, &mut bar.token, hint, "Token", 0.0);
            typed = take(ui, &mut bar.focus, &shown, typed);
        }
        Mode::Similar => typed = similar(ui, shared, bar),
    }
    match examples(ui, shared, bar) {
        Typed::Nothing => typed,
        other => other,
    }
}

/// A field of one line called `name`, as wide as there is room but for `rest`, with a way to empty it.
fn line(ui: &mut Ui, text: &mut String, hint: &str, name: &str, rest: f32) -> Response {
    ui.horizontal(|ui| {
        let clear = if text.is_empty() { 0.0 } else { theme::size::CONTROL + space::S };
        let rest = if rest > 0.0 { rest + space::S } else { 0.0 };
        let width = (ui.available_width() - clear - rest).max(160.0);
        let edit =
            TextEdit::singleline(text).hint_text(hint).desired_width(width).margin(egui::Margin::symmetric(8, 7));
        let mut response = ui.add(edit).accessible_name(name);
        if clear > 0.0 && button::icon_only(ui, ICON_CLOSE, &format!("Empty: {name}")).clicked() {
            text.clear();
            response.mark_changed();
            response.request_focus();
        }
        response
    })
    .inner
}

fn take(ui: &Ui, focus: &mut bool, response: &Response, before: Typed) -> Typed {
    if std::mem::take(focus) {
        response.request_focus();
    }
    if entered(ui, response) {
        Typed::Enter
    } else if response.changed() {
        Typed::Changed
    } else {
        before
    }
}

/// Two sets of texts side by side.
fn contrast(ui: &mut Ui, bar: &mut SearchBar, obstacle: Option<String>) -> Typed {
    let mut typed = Typed::Nothing;
    ui.horizontal_top(|ui| {
        let width = (ui.available_width() - BUTTON - 2.0 * space::S) * 0.5;
        let sides = [
            (&mut bar.more, "Fires on these texts", "One text a line"),
            (&mut bar.less, "But not on these", "One text a line; may be empty"),
        ];
        for (text, name, hint) in sides {
            ui.vertical(|ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.label(theme::note(ui, name));
                let edit = TextEdit::multiline(text)
                    .hint_text(hint)
                    .desired_rows(3)
                    .desired_width(f32::INFINITY)
                    .margin(egui::Margin::symmetric(8, 5));
                egui::ScrollArea::vertical().id_salt(name).max_height(84.0).show(ui, |ui| {
                    let response = ui.add(edit).accessible_name(name);
                    typed = take(ui, &mut bar.focus, &response, typed);
                });
            });
        }
        ui.vertical(|ui| {
            ui.add_space(18.0);
            if search_button(ui, obstacle, bar.more.trim().is_empty()) {
                typed = Typed::Enter;
            }
        });
    });
    typed
}

/// A number, or a vector of the library.
fn similar(ui: &mut Ui, shared: &Shared, bar: &mut SearchBar) -> Typed {
    let mut typed = Typed::Nothing;
    ui.horizontal(|ui| {
        ui.label("Feature");
        let edit = TextEdit::singleline(&mut bar.similar)
            .hint_text("number")
            .desired_width(90.0)
            .margin(egui::Margin::symmetric(8, 7));
        let response = ui.add(edit).accessible_name("Number of the feature");
        typed = take(ui, &mut bar.focus, &response, typed);
        if response.changed() {
            bar.vector = None;
        }
        let width = shared.features.current().map(|sae| sae.d_model);
        let mut options: Vec<(Option<VectorId>, String)> = vec![(None, "None".to_owned())];
        let fitting = shared.vectors.iter().filter(|vector| Some(vector.d_model) == width);
        options.extend(fitting.map(|vector| (Some(vector.id.clone()), vector.name.clone())));
        if options.len() > 1 {
            ui.label("or vector");
            if field::choice(ui, "Vector of the library", &mut bar.vector, &options, 220.0) {
                bar.similar.clear();
                typed = Typed::Changed;
            }
        }
    });
    typed
}

/// What to try, as long as nothing is typed; once it is, what the mode means.
fn examples(ui: &mut Ui, shared: &Shared, bar: &mut SearchBar) -> Typed {
    let is_empty = match bar.mode {
        Mode::Labels => bar.label.is_empty(),
        Mode::Text => bar.text.is_empty(),
        Mode::Contrast => bar.more.is_empty() && bar.less.is_empty(),
        Mode::Token => bar.token.is_empty(),
        Mode::Similar => bar.similar.is_empty() && bar.vector.is_none(),
    };
    let mut typed = Typed::Nothing;
    chip::row(ui, |ui| {
        chip::lead(ui, bar.mode.meaning());
        if !is_empty {
            return;
        }
        let done = if bar.mode.needs_model() { Typed::Enter } else { Typed::Changed };
        match bar.mode {
            Mode::Labels => pick(ui, &["pirate", "question", "number"], &mut bar.label, done, &mut typed),
            Mode::Text => {
                let texts = ["Arr, where be the treasure, matey?", "You are right, I am so sorry about that."];
                pick(ui, &texts, &mut bar.text, done, &mut typed);
            }
            Mode::Token => pick(ui, &[" captain", " sorry", "!"], &mut bar.token, done, &mut typed),
            Mode::Contrast => contrasts(ui, shared, bar, &mut typed),
            Mode::Similar => {
                if let Some(open) = shared.features.open.as_ref().map(|open| open.latent)
                    && chip::show(ui, &format!("#{open}, the open one")).clicked()
                {
                    bar.similar = open.to_string();
                    typed = Typed::Changed;
                }
            }
        }
    });
    typed
}

fn pick(ui: &mut Ui, texts: &[&str], field: &mut String, done: Typed, typed: &mut Typed) {
    for text in texts {
        if chip::show(ui, &tokens::visible(text)).clicked() {
            (*text).clone_into(field);
            *typed = done;
        }
    }
}

/// Pirates against plain words, and the pairs of the personas at hand.
fn contrasts(ui: &mut Ui, shared: &Shared, bar: &mut SearchBar, typed: &mut Typed) {
    if chip::show(ui, "Pirate talk against plain words").clicked() {
        [bar.more, bar.less] = PIRATES.map(str::to_owned);
        *typed = Typed::Enter;
    }
    for persona in shared.personas.iter().flatten().take(3) {
        let text = |side: &PromptText| {
            let whole = format!("{} {}", side.system.as_deref().unwrap_or_default(), side.user);
            whole.replace('\n', " ").trim().to_owned()
        };
        if !persona.sample_pairs.is_empty() && chip::show(ui, &format!("Pairs of {}", persona.card.name)).clicked() {
            let join = |sides: Vec<String>| sides.join("\n");
            bar.more = join(persona.sample_pairs.iter().map(|pair| text(&pair.positive)).collect());
            bar.less = join(persona.sample_pairs.iter().map(|pair| text(&pair.negative)).collect());
            *typed = Typed::Enter;
        }
    }
}
