//! What a feature is said to stand for: labels with their source and how well they tell texts apart.

use egui::{Label, Rect, Sense, TextEdit, Ui, pos2, vec2};
use egui_material_icons::icons::{ICON_CLOSE, ICON_LABEL};
use tiller_protocol::feature::{FeatureCard, FeatureLabel, LabelSource};
use tiller_protocol::message::Command;

use crate::jobs::Purpose;
use crate::number::decimal;
use crate::shared::Shared;
use crate::theme::{self, palette, size, space};
use crate::widgets::toast::Offer;
use crate::widgets::{button, problem, progress, stat};

/// Size of the bar of a score.
const METER: (f32, f32) = (48.0, 6.0);

/// Where a label comes from, in words.
fn source_in_words(label: &FeatureLabel) -> String {
    let by = label.model.as_deref();
    let mut words = match (label.source, by) {
        (LabelSource::User, _) => "Yours".to_owned(),
        (LabelSource::Shipped, _) => "Came with the SAE".to_owned(),
        (LabelSource::Imported, Some(model)) => format!("Imported, written by {model}"),
        (LabelSource::Imported, None) => "Imported".to_owned(),
        (LabelSource::Model, Some(model)) => format!("Written here by {model}"),
        (LabelSource::Model, None) => "Made here from its examples".to_owned(),
    };
    if let Some(method) = &label.method {
        words = format!("{words} \u{b7} {method}");
    }
    words
}

/// A score in words: `tells 8 of 10 apart`.
fn score_in_words(score: f32) -> String {
    format!("tells {:.0} of 10 apart", (score * 10.0).clamp(0.0, 10.0))
}

/// Draws the labels with what can be done about them; `draft` is the user's own while it is typed.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, card: &FeatureCard, draft: &mut String) {
    if card.labels.is_empty() {
        let words = "Nobody has named it yet. The examples and the tokens below say what it is about.";
        ui.label(theme::secondary(ui, words));
    }
    let mut removed = None;
    for label in &card.labels {
        if label_ui(ui, label) {
            removed = Some(label);
        }
    }
    if let Some(label) = removed {
        shared.send(Command::RemoveLabel { feature: card.feature.clone(), label: label.id });
        let offer = Offer::AddLabel { feature: card.feature.clone(), text: label.text.clone() };
        shared.toasts.offer(format!("Label \u{201c}{}\u{201d} removed", label.text), "Add it again", offer);
    }
    own_label(ui, shared, card, draft);
    write_one(ui, shared, card);
}

/// One label; whether it is to be removed.
fn label_ui(ui: &mut Ui, label: &FeatureLabel) -> bool {
    let mut removed = false;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let width = ui.available_width() - size::CONTROL - space::XS;
        ui.vertical(|ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 1.0;
            ui.add(Label::new(&label.text).wrap());
            source_ui(ui, label, width);
        });
        removed = button::icon_only(ui, ICON_CLOSE, &format!("Remove label {}", label.text)).clicked();
    });
    removed
}

/// Where a label comes from and its score: side by side where both fit in one line.
fn source_ui(ui: &mut Ui, label: &FeatureLabel, width: f32) {
    let source = theme::note(ui, source_in_words(label));
    let Some(score) = label.score else {
        ui.add(Label::new(source).wrap());
        return;
    };
    let font = egui::FontId::proportional(theme::type_size::SMALL);
    let words = format!("{}{}", source.text(), score_in_words(score));
    let both = ui.painter().layout_no_wrap(words, font, palette(ui).secondary).size().x;
    let fits = both + METER.0 + 2.0 * space::S <= width;
    if !fits {
        ui.add(Label::new(source.clone()).wrap());
    }
    stat::row(ui, 18.0, |ui| {
        if fits {
            ui.add(Label::new(source));
        }
        score_ui(ui, score);
    });
}

/// A score as a bar with a mark where chance is, and in words.
fn score_ui(ui: &mut Ui, score: f32) {
    let palette = palette(ui);
    let words = score_in_words(score);
    let (rect, response) = ui.allocate_exact_size(vec2(METER.0, 18.0), Sense::hover());
    let bar = Rect::from_center_size(rect.center(), vec2(METER.0, METER.1));
    ui.painter().rect_filled(bar, 3.0, palette.hairline);
    let share = score.clamp(0.0, 1.0);
    let filled = Rect::from_min_max(bar.min, pos2(bar.left() + bar.width() * share, bar.bottom()));
    let colour = if score > 0.6 { palette.accent } else { palette.warning };
    ui.painter().rect_filled(filled, 3.0, colour);
    ui.painter().vline(bar.center().x, bar.y_range().expand(3.0), egui::Stroke::new(1.0, palette.secondary));
    let hint = format!(
        "Score {}: shown this label, a model finds that share of texts right, on which the feature fires or does not. \
         0.5 (the mark) is chance.",
        decimal(f64::from(score), 2)
    );
    response.on_hover_text(&hint);
    ui.label(theme::note(ui, words)).on_hover_text(hint);
}

/// The field for the user's own label.
fn own_label(ui: &mut Ui, shared: &mut Shared, card: &FeatureCard, draft: &mut String) {
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 64.0).max(80.0);
        let field = TextEdit::singleline(draft)
            .hint_text("Your own label")
            .desired_width(width)
            .margin(egui::Margin::symmetric(8, 5));
        let response = ui.add(field).accessible_name("Your own label");
        let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let obstacle = draft.trim().is_empty().then(|| "Type a label first.".to_owned());
        let add = button::secondary("Add").hint("Adds the label to this feature (Enter)");
        let pressed = add.blocked_by(obstacle).show(ui).clicked();
        if (entered || pressed) && !draft.trim().is_empty() {
            let text = draft.trim().to_owned();
            shared.send(Command::AddLabel { feature: card.feature.clone(), text });
            draft.clear();
            if entered {
                response.request_focus();
            }
        }
    });
}

/// Letting the model write a label, and how that fares.
fn write_one(ui: &mut Ui, shared: &mut Shared, card: &FeatureCard) {
    if let Some(job) = shared.job.clone().filter(|job| job.purpose == Purpose::LabelFeatures) {
        if progress::row(ui, &job) {
            shared.stop();
        }
        return;
    }
    let failed = shared.problem(|purpose| *purpose == Purpose::LabelFeatures).map(|(_, problem)| problem.clone());
    if let Some(failed) = failed
        && problem::show(ui, &failed, None).is_some()
    {
        shared.clear_problem(&Purpose::LabelFeatures);
    }
    let no_examples = card.examples.is_empty().then(|| "It needs examples: scan texts first.".to_owned());
    let write = button::secondary("Write a label").icon(ICON_LABEL);
    let write = write.hint("The open model reads the examples, names the feature, and is then tested on others");
    if write.blocked_by(no_examples.or_else(|| shared.needs_model())).show(ui).clicked() {
        shared.write_labels(&card.feature.sae, vec![card.feature.latent]);
    }
    if card
        .labels
        .iter()
        .any(|label| label.source == LabelSource::Model && label.score.is_some_and(|score| score < 0.65))
    {
        stat::row(ui, 18.0, |ui| {
            ui.label(theme::note(ui, "A score near 5 of 10 is chance: take that label as a guess."));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_where_they_come_from() {
        let mut label = FeatureLabel {
            id: 1,
            text: "pirate talk".to_owned(),
            source: LabelSource::Imported,
            method: Some("np_max-act".to_owned()),
            model: Some("gpt-4o-mini".to_owned()),
            score: Some(0.83),
        };
        assert_eq!(source_in_words(&label), "Imported, written by gpt-4o-mini \u{b7} np_max-act");
        assert_eq!(score_in_words(0.83), "tells 8 of 10 apart");
        label.source = LabelSource::User;
        label.method = None;
        assert_eq!(source_in_words(&label), "Yours");
    }
}
