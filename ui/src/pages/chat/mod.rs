//! Chat: the conversation at the left, the steering panel at the right.

mod composer;
mod conversation;
mod feature_row;
mod panel;
mod turns;

use egui::Ui;
use egui_commonmark::CommonMarkCache;
use egui_material_icons::icons::{ICON_ADD, ICON_DEPLOYED_CODE, ICON_DOWNLOAD};
use tiller_protocol::chat::{EndReason, Sampling, Side};
use tiller_protocol::feature::{FeatureOp, FeatureRef};
use tiller_protocol::message::Command;
use tiller_protocol::model::ModelSource;
use tiller_protocol::persona::Placement;
use tiller_protocol::steering::{Positions, RowSource, Steering, SteeringRow, VectorId};

use crate::jobs::Purpose;
use crate::page::Page;
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::space;
use crate::widgets::empty::Empty;
use crate::widgets::{button, problem};
use turns::{Branch, Exchange, Inserted, Reply};

/// Width of the steering panel.
const PANEL: f32 = 312.0;
/// Strength that a vector starts with.
const FIRST_STRENGTH: f64 = 0.0;

/// The page's state.
pub(crate) struct ChatPage {
    /// Steered and plain replies side by side.
    pub(crate) side_by_side: bool,
    exchanges: Vec<Exchange>,
    system: String,
    inserted: Option<Inserted>,
    draft: String,
    sampling: Sampling,
    steering: Steering,
    markdown: CommonMarkCache,
    focus_draft: bool,
    persona: Option<String>,
}

impl Default for ChatPage {
    fn default() -> Self {
        Self {
            side_by_side: true,
            exchanges: Vec::new(),
            system: String::new(),
            inserted: None,
            draft: String::new(),
            sampling: Sampling::default(),
            steering: Steering::default(),
            markdown: CommonMarkCache::default(),
            focus_draft: false,
            persona: None,
        }
    }
}

impl ChatPage {
    /// Adds a vector to the panel, or shows it when it is there.
    pub(crate) fn steer_with(&mut self, shared: &mut Shared, id: &VectorId) {
        let Some(vector) = shared.vector(id) else { return };
        self.persona = vector.persona.clone().or_else(|| self.persona.take());
        if self.steering.rows.iter().any(|row| row.vector() == Some(id)) {
            return;
        }
        self.steering.rows.push(SteeringRow {
            source: RowSource::Vector(id.clone()),
            label: vector.name.clone(),
            block: vector.recommended_block,
            strength: FIRST_STRENGTH,
            positions: vector.recommended_positions,
            enabled: true,
        });
        self.push_steering(shared);
        self.focus_draft = true;
    }

    /// Adds features to the panel; those that are there stay as they are.
    pub(crate) fn pin_features(&mut self, shared: &mut Shared, features: &[FeatureRef]) {
        for feature in features {
            if self.steering.rows.iter().any(|row| row.feature().is_some_and(|(known, _)| known == feature)) {
                continue;
            }
            shared.know_feature(feature);
            self.steering.rows.push(SteeringRow {
                source: RowSource::Feature { feature: feature.clone(), op: FeatureOp::Add },
                label: shared.feature_name(feature),
                block: shared.features.sae(&feature.sae).map_or(0, |sae| sae.site.block()),
                strength: FIRST_STRENGTH,
                positions: Positions::All,
                enabled: true,
            });
        }
        self.push_steering(shared);
        self.focus_draft = true;
    }

    /// Puts a discovered prompt in its place.
    pub(crate) fn insert_prompt(&mut self, shared: &mut Shared, text: String, placement: Placement, persona: &str) {
        self.persona = Some(persona.to_owned());
        let name = shared.persona_name(persona);
        self.inserted = Some(Inserted { text, placement, persona: name });
        self.side_by_side = true;
        self.focus_draft = true;
        shared.toasts.good("Prompt in place: the left column uses it, the right one does not");
    }

    /// Forgets rows whose vector or SAE is no longer there.
    pub(crate) fn forget_missing(&mut self, shared: &mut Shared) {
        let before = self.steering.rows.len();
        self.steering.rows.retain(|row| match &row.source {
            RowSource::Vector(id) => shared.vector(id).is_some(),
            RowSource::Feature { feature, .. } => shared.features.sae(&feature.sae).is_some(),
        });
        let mut is_changed = self.steering.rows.len() != before;
        for row in &mut self.steering.rows {
            // An SAE may have been moved to another block since its feature was pinned.
            let sae = row.feature().and_then(|(feature, _)| shared.features.sae(&feature.sae));
            let block = sae.map_or(row.block, |sae| sae.site.block());
            is_changed |= block != row.block;
            row.block = block;
        }
        if is_changed {
            self.push_steering(shared);
        }
    }

    /// Tells the application the rows that mean something in the loaded model.
    fn push_steering(&self, shared: &mut Shared) {
        let fits = |row: &&SteeringRow| panel::applies(shared, row);
        let steering = Steering { rows: self.steering.rows.iter().filter(fits).cloned().collect() };
        shared.send(Command::SetSteering(steering));
    }

    /// All strengths to zero.
    pub(crate) fn reset_steering(&mut self, shared: &mut Shared) {
        self.steering.rows.iter_mut().for_each(feature_row::rest);
        self.push_steering(shared);
    }

    /// Begins a new conversation; steering and prompts stay.
    pub(crate) fn clear(&mut self, shared: &mut Shared) {
        if shared.job.as_ref().is_some_and(|job| job.purpose == Purpose::Chat) {
            shared.stop();
        }
        self.exchanges.clear();
        self.draft.clear();
        self.focus_draft = true;
    }

    /// Whether there is a conversation.
    pub(crate) fn has_turns(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Why the message cannot be sent now.
    pub(crate) fn send_obstacle(&self, shared: &Shared) -> Option<String> {
        shared.needs_model().or_else(|| self.draft.trim().is_empty().then(|| "Write a message first.".to_owned()))
    }

    /// Why the last question cannot be answered again now.
    pub(crate) fn regenerate_obstacle(&self, shared: &Shared) -> Option<String> {
        shared.needs_model().or_else(|| self.exchanges.is_empty().then(|| "There is no reply yet.".to_owned()))
    }

    /// Sends the draft.
    pub(crate) fn send(&mut self, shared: &mut Shared) {
        shared.page = Page::Chat;
        let question = self.draft.trim().to_owned();
        self.draft.clear();
        self.ask(shared, question);
    }

    /// Answers the last question again, with the next seed.
    pub(crate) fn regenerate(&mut self, shared: &mut Shared) {
        if let Some(last) = self.exchanges.pop() {
            self.sampling.seed += 1;
            self.ask(shared, last.user);
        }
    }

    fn ask(&mut self, shared: &mut Shared, question: String) {
        let inserted = self.inserted.as_ref();
        let asked = turns::turns(&self.system, inserted, &self.exchanges, &question, Branch::Steered);
        let plain = turns::turns(&self.system, None, &self.exchanges, &question, Branch::Plain);
        self.exchanges.push(Exchange {
            user: question,
            steered: Reply::default(),
            plain: self.side_by_side.then(Reply::default),
            steering: self.in_words(),
            prompted: self.inserted.is_some(),
        });
        shared.steered |= self.exchanges.last().is_some_and(|exchange| !exchange.steering.is_empty());
        let (sampling, side_by_side) = (self.sampling.clone(), self.side_by_side);
        self.push_steering(shared);
        shared.start(Purpose::Chat, "Replying", |job| Command::Say {
            job,
            turns: asked,
            sampling,
            side_by_side,
            plain_turns: side_by_side.then_some(plain),
        });
    }

    /// The steering in force, in words: `+0.40 sycophantic`.
    fn in_words(&self) -> String {
        let rows = self.steering.rows.iter().filter(|row| feature_row::is_active(row));
        rows.map(feature_row::in_words).collect::<Vec<_>>().join(", ")
    }

    fn last_reply(&mut self, side: Side) -> Option<&mut Reply> {
        let last = self.exchanges.last_mut()?;
        match side {
            Side::Steered => Some(&mut last.steered),
            Side::Plain => last.plain.as_mut(),
        }
    }

    /// Takes in new text.
    pub(crate) fn delta(&mut self, side: Side, text: &str) {
        if let Some(reply) = self.last_reply(side) {
            reply.text.push_str(text);
        }
    }

    /// Takes in the end of one side.
    pub(crate) fn side_done(&mut self, side: Side, reason: EndReason, n_tokens: usize, tokens_per_sec: f64) {
        if let Some(reply) = self.last_reply(side) {
            reply.end = Some((reason, n_tokens, tokens_per_sec));
        }
    }

    /// The job ended, however it did.
    pub(crate) fn done(&mut self) {
        for side in [Side::Steered, Side::Plain] {
            if let Some(reply) = self.last_reply(side) {
                reply.end.get_or_insert((EndReason::Stopped, 0, 0.0));
            }
        }
        self.focus_draft = true;
    }

    /// Writes the conversation to a file that the user chooses.
    pub(crate) fn export(&self, shared: &mut Shared) {
        let text = turns::markdown(&self.system, self.inserted.as_ref(), &self.exchanges);
        shared.export_text("Export conversation", "conversation.md", text);
    }

    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        if shared.model.is_none() && self.exchanges.is_empty() {
            scaffold::fixed(ui, |ui| {
                scaffold::head(ui, shared, Page::Chat, |_, _| {});
                no_model(ui, shared);
            });
            return;
        }
        panel::show(ui, shared, self);
        let fill = crate::theme::palette(ui).background;
        egui::CentralPanel::default().frame(egui::Frame::new().fill(fill)).show(ui, |ui| {
            scaffold::fixed(ui, |ui| {
                self.head(ui, shared);
                if let Some((purpose, failure)) = shared.problem(|purpose| *purpose == Purpose::Chat).cloned() {
                    let retry = self.regenerate_obstacle(shared).is_none().then_some("Try again");
                    match problem::show(ui, &failure, retry) {
                        Some(problem::Answer::Act) => self.regenerate(shared),
                        Some(problem::Answer::Dismiss) => shared.clear_problem(&purpose),
                        None => {}
                    }
                    ui.add_space(space::S);
                }
                composer::show(ui, shared, self);
                conversation::show(ui, shared, self);
            });
        });
    }

    fn head(&mut self, ui: &mut Ui, shared: &mut Shared) {
        scaffold::head(ui, shared, Page::Chat, |ui, shared| {
            let empty = (!self.has_turns()).then_some("the conversation is empty");
            if button::icon_only_if(ui, ICON_DOWNLOAD, "Export conversation", empty).clicked() {
                self.export(shared);
            }
            if button::secondary("New").icon(ICON_ADD).hint("New conversation").show(ui).clicked() {
                self.clear(shared);
            }
            ui.checkbox(&mut self.side_by_side, "Side by side")
                .on_hover_text("Also show the plain model's reply, same seed, without steering and discovered prompt");
        });
    }
}

fn no_model(ui: &mut Ui, shared: &mut Shared) {
    let empty = Empty {
        icon: Page::Chat.icon(),
        title: "No model is open",
        hint: "Talk to a model and steer it while it answers. The demo model needs no download.",
    };
    let open = button::primary("Open the demo model").icon(ICON_DEPLOYED_CODE).blocked_by(shared.busy());
    if empty.show(ui, Some(open)) {
        shared.load(ModelSource::Demo);
    }
}
