//! The search bar: one choice of what is looked for, and the field that goes with it.
//!
//! What needs no model is searched for while it is typed; what needs it, on Enter or by the button.

use egui::{Align, Key, Layout, Ui};
use egui_material_icons::icons::{ICON_DEPLOYED_CODE, ICON_SEARCH, ICON_WARNING};
use tiller_protocol::feature::{FeatureQuery, FeatureSort, Pooling, SaeId};
use tiller_protocol::model::ModelSource;
use tiller_protocol::steering::VectorId;

use super::search_fields;
use crate::icon;
use crate::jobs::Purpose;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::{button, problem, progress, segmented};

/// Seconds without typing after which the search begins.
const PAUSE: f64 = 0.07;
/// Seconds after which a search by the model shows its progress.
const LONG: f64 = 0.4;
/// Width of the button that starts a search.
pub(super) const BUTTON: f32 = 92.0;

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Words of labels, or a number.
    #[default]
    Labels,
    /// What fires on a text.
    Text,
    /// What fires on some texts more than on others.
    Contrast,
    /// What promotes a token.
    Token,
    /// What is similar to a feature or a vector.
    Similar,
}

impl Mode {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Labels, "Labels"),
        (Self::Text, "Fires on a text"),
        (Self::Contrast, "Contrast of texts"),
        (Self::Token, "Promotes a token"),
        (Self::Similar, "Similar to"),
    ];

    /// Whether the loaded model has to run for it.
    pub(super) fn needs_model(self) -> bool {
        matches!(self, Self::Text | Self::Contrast)
    }

    /// What it does, in one line.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Labels => "Features whose label has these words, or the feature of this number.",
            Self::Text => "Runs the model over the text and ranks features by how strongly they fire on it.",
            Self::Contrast => "Ranks features by how much more they fire on one set of texts than on another.",
            Self::Token => "Features that make this token more likely, read off their directions (logit lens).",
            Self::Similar => "Features that write in nearly the same direction (cosine).",
        }
    }
}

/// What is typed, for each mode.
#[derive(Default)]
pub(super) struct SearchBar {
    pub(super) mode: Mode,
    pub(super) label: String,
    pub(super) text: String,
    pub(super) pooling: Pooling,
    pub(super) more: String,
    pub(super) less: String,
    pub(super) token: String,
    pub(super) similar: String,
    pub(super) vector: Option<VectorId>,
    /// The field is to take the keyboard.
    pub(super) focus: bool,
    /// The SAE that was searched last.
    sae: SaeId,
    /// When something was typed that was not searched for yet.
    typed_at: Option<f64>,
    /// When the search by the model that is under way was first seen.
    since: Option<f64>,
}

/// What the fields ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Nothing.
    Nothing,
    /// Something has changed.
    Changed,
    /// Search now.
    Enter,
}

impl SearchBar {
    /// What is asked by what is typed.
    pub(super) fn query(&self) -> FeatureQuery {
        let lines = |text: &str| -> Vec<String> {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        match self.mode {
            Mode::Labels if !self.label.trim().is_empty() => FeatureQuery::Label(self.label.trim().to_owned()),
            Mode::Text if !self.text.trim().is_empty() => {
                FeatureQuery::Text { text: self.text.clone(), pooling: self.pooling }
            }
            Mode::Contrast if !lines(&self.more).is_empty() => {
                FeatureQuery::Contrast { more: lines(&self.more), less: lines(&self.less) }
            }
            // Its spaces count: many tokens begin with one.
            Mode::Token if !self.token.is_empty() => FeatureQuery::Token(self.token.clone()),
            Mode::Similar => match (&self.vector, self.similar.trim().trim_start_matches('#').parse()) {
                (Some(vector), _) => FeatureQuery::Vector(vector.clone()),
                (None, Ok(latent)) => FeatureQuery::Similar(latent),
                (None, Err(_)) => FeatureQuery::All,
            },
            _ => FeatureQuery::All,
        }
    }

    /// The number that is typed among the labels, if it is one.
    pub(super) fn number(&self) -> Option<u32> {
        if self.mode == Mode::Labels { self.label.trim().trim_start_matches('#').parse().ok() } else { None }
    }

    /// Looks for what is similar to a feature.
    pub(super) fn similar_to(&mut self, latent: u32) {
        self.mode = Mode::Similar;
        self.similar = latent.to_string();
        self.vector = None;
        self.typed_at = Some(f64::NEG_INFINITY);
    }

    /// Shows all features again.
    pub(super) fn clear(&mut self) {
        match self.mode {
            Mode::Labels => self.label.clear(),
            Mode::Text => self.text.clear(),
            Mode::Contrast => (self.more, self.less) = (String::new(), String::new()),
            Mode::Token => self.token.clear(),
            Mode::Similar => (self.similar, self.vector) = (String::new(), None),
        }
        self.typed_at = Some(f64::NEG_INFINITY);
    }

    /// Draws the bar.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) -> Typed {
        let now = ui.input(|input| input.time);
        let mut typed = Typed::Nothing;
        ui.horizontal(|ui| {
            if segmented::show(ui, "What is looked for", &mut self.mode, &Mode::ALL) {
                typed = Typed::Changed;
                self.focus = true;
            }
            if self.mode == Mode::Text {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let ways = [(Pooling::Max, "Peak"), (Pooling::Mean, "Mean"), (Pooling::Sum, "Sum")];
                    segmented::show(ui, "How its tokens become one number", &mut self.pooling, &ways);
                    ui.label(theme::note(ui, "over its tokens"));
                });
            }
        });
        let obstacle = self.obstacle(shared);
        typed = match search_fields::show(ui, shared, self, obstacle.clone()) {
            Typed::Nothing => typed,
            // Nothing is searched for, so the keyboard stays where it is.
            Typed::Enter if obstacle.is_some() => Typed::Changed,
            other => other,
        };
        if self.mode.needs_model() {
            obstacle_ui(ui, shared, obstacle);
        }
        if typed == Typed::Changed {
            self.typed_at = Some(now);
        }
        let is_new_sae = shared.features.current().is_some_and(|info| info.id != self.sae);
        if is_new_sae {
            self.sae = shared.features.search.sae.clone();
            self.typed_at = Some(now);
        }
        self.search_when_due(ui, shared, typed == Typed::Enter, now);
        self.running_ui(ui, shared, now);
        failed_ui(ui, shared);
        typed
    }

    /// Why the model cannot search now.
    fn obstacle(&self, shared: &Shared) -> Option<String> {
        let probe = FeatureQuery::Contrast { more: Vec::new(), less: Vec::new() };
        if self.mode.needs_model() { shared.search_obstacle(&probe) } else { None }
    }

    fn search_when_due(&mut self, ui: &Ui, shared: &mut Shared, at_once: bool, now: f64) {
        let query = self.query();
        if at_once {
            self.typed_at = None;
            search(shared, query, true);
            return;
        }
        let Some(typed_at) = self.typed_at else { return };
        if query.needs_model() {
            // It waits for Enter; what is in the table stays until then.
            self.typed_at = None;
        } else if now - typed_at >= PAUSE {
            self.typed_at = None;
            search(shared, query, false);
        } else {
            ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(PAUSE - (now - typed_at)));
        }
    }

    /// The search by the model, once it takes long enough to be worth a bar.
    fn running_ui(&mut self, ui: &mut Ui, shared: &mut Shared, now: f64) {
        let Some(job) = shared.job.clone().filter(|job| job.purpose == Purpose::ModelSearch) else {
            self.since = None;
            return;
        };
        let left = LONG - (now - *self.since.get_or_insert(now));
        if left > 0.0 {
            ui.ctx().request_repaint_after_secs(left as f32);
        } else if progress::row(ui, &job) {
            shared.stop();
        }
    }
}

/// Searches for something; what is in the table already only `again`.
fn search(shared: &mut Shared, query: FeatureQuery, again: bool) {
    if shared.search_obstacle(&query).is_some() {
        return;
    }
    let search = &mut shared.features.search;
    if search.query == query && !again {
        return;
    }
    if search.query != query {
        (search.sort, search.reversed) = (FeatureSort::Rank, false);
    }
    search.query = query;
    shared.search_features();
}

/// Why the model cannot search now, and what to do about it.
fn obstacle_ui(ui: &mut Ui, shared: &mut Shared, obstacle: Option<String>) {
    let Some(obstacle) = obstacle else { return };
    let colours = palette(ui);
    ui.horizontal(|ui| {
        icon::show(ui, ICON_WARNING, theme::size::ICON, colours.warning);
        ui.label(theme::note(ui, obstacle).color(colours.warning));
        if shared.model.is_none() {
            let open = button::secondary("Open the demo model").icon(ICON_DEPLOYED_CODE).blocked_by(shared.busy());
            if open.show(ui).clicked() {
                shared.load(ModelSource::Demo);
            }
        }
    });
}

/// Why the last search failed.
fn failed_ui(ui: &mut Ui, shared: &mut Shared) {
    let failed = shared.problem(|purpose| matches!(purpose, Purpose::Search | Purpose::ModelSearch)).cloned();
    let Some((purpose, failed)) = failed else { return };
    ui.add_space(space::XS);
    match problem::show(ui, &failed, Some("Search again")) {
        Some(problem::Answer::Act) => {
            shared.clear_problem(&purpose);
            shared.search_features();
        }
        Some(problem::Answer::Dismiss) => shared.clear_problem(&purpose),
        None => {}
    }
}

/// Whether Enter was pressed in the field that has just lost the keyboard for it.
pub(super) fn entered(ui: &Ui, response: &egui::Response) -> bool {
    response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}

/// The button that starts a search by the model.
pub(super) fn search_button(ui: &mut Ui, obstacle: Option<String>, is_empty: bool) -> bool {
    let empty = is_empty.then(|| "Write a text first.".to_owned());
    button::primary("Search").icon(ICON_SEARCH).width(BUTTON).blocked_by(obstacle.or(empty)).show(ui).clicked()
}
