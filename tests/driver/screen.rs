//! The window without a display: the real screens over the real application, found by label, driven by pointer and
//! keyboard. Nothing is drawn unless a picture is asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, Rect, Vec2, pos2, vec2};
use egui_kittest::kittest::NodeT as _;
use egui_kittest::{Harness, Node};
use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_protocol::message::Event;
use tiller_studio::{HubOptions, Studio, StudioOptions};
use tiller_ui::{App, Machine, Request};

/// Longest wait for something to appear. Generous: the tests may share a busy machine.
const PATIENCE: Duration = Duration::from_mins(8);

/// Height at the bottom of the window that is never scrolled: the status bar.
const BELOW: f32 = 36.0;

/// Lines of one turn of the wheel.
pub const WHEEL_LINES: f32 = 3.0;

/// What the hand did.
#[derive(Clone, Copy, Debug)]
pub enum Gesture {
    /// Clicked there.
    Click(Pos2),
    /// Turned the wheel there by [`WHEEL_LINES`].
    WheelDown(Pos2),
}

/// Chooses among the places of several controls.
type Pick = fn(&mut dyn Iterator<Item = Rect>) -> Option<Rect>;

/// What the window holds, as the desktop shell would.
pub struct Window {
    app: App,
    studio: Studio,
    /// Everything that was reported, in order.
    pub events: Vec<Event>,
    /// Everything that was asked of the shell, in order.
    pub requests: Vec<Request>,
}

impl Window {
    fn frame(&mut self, ui: &mut egui::Ui) {
        while let Some(event) = self.studio.try_event() {
            self.events.push(event.clone());
            self.app.apply(event);
        }
        let output = self.app.show(ui);
        for command in output.commands {
            self.studio.send(command);
        }
        self.requests.extend(output.requests);
    }
}

/// A window of some size over a workspace.
pub struct Screen {
    harness: Harness<'static, Window>,
    height: f32,
}

impl Screen {
    /// Opens the window; there is no network.
    pub fn open(workspace: &Path, size: Vec2) -> Result<Self> {
        let nowhere = HubSettings { is_offline: true, ..HubSettings::at(Endpoint::default()) };
        Self::open_with(workspace, size, nowhere)
    }

    /// Opens the window with a hub that is reached so; its files lie in the workspace, and nobody can sign in.
    pub fn open_with(workspace: &Path, size: Vec2, hub: HubSettings) -> Result<Self> {
        Self::open_as(workspace, size, HubOptions { settings: Some(hub), ..HubOptions::default() })
    }

    /// As [`Self::open_with`], with a place for an access token.
    pub fn open_as(workspace: &Path, size: Vec2, hub: HubOptions) -> Result<Self> {
        let hub = HubOptions { cache: Some(workspace.join("hub")), ..hub };
        let options = StudioOptions { workspace: Some(workspace.to_path_buf()), hub, ..StudioOptions::default() };
        let studio = Studio::open(&options, Arc::new(|| ()))?;
        let machine = Machine { workspace: workspace.to_path_buf(), ..Machine::default() };
        let window = Window { app: App::new(machine), studio, events: Vec::new(), requests: Vec::new() };
        let harness = Harness::builder()
            .with_size(size)
            .with_max_steps(64)
            .with_step_dt(1.0 / 30.0)
            .with_context_setup(tiller_ui::install)
            .build_ui_state(|ui, window: &mut Window| window.frame(ui), window);
        Ok(Self { harness, height: size.y })
    }

    /// What the window holds.
    pub fn window(&self) -> &Window {
        self.harness.state()
    }

    /// Answers the last question for a path.
    pub fn answer(&mut self, path: &Path) -> Result<()> {
        let asked = self.window().requests.iter().rev().find_map(|request| match request {
            Request::PickFolder { ticket, .. }
            | Request::PickFile { ticket, .. }
            | Request::PickSavePath { ticket, .. } => Some(*ticket),
            Request::OpenLink(_) | Request::Quit => None,
        });
        let ticket = asked.context("nothing was asked")?;
        let answer = tiller_ui::Answer { ticket, path: Some(path.to_path_buf()) };
        self.harness.state_mut().app.answer(answer);
        self.harness.step();
        Ok(())
    }

    /// Draws frames until `found` gives something.
    pub fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(result) = found(self) {
                return Ok(result);
            }
            self.harness.step();
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("{what} did not appear; in sight: {}", self.labels().join(" | "))
    }

    /// All labels in sight.
    fn labels(&self) -> Vec<String> {
        self.harness.root().children_recursive().filter_map(|node| label(&node)).collect()
    }

    fn nodes(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Node<'_>> {
        self.harness.root().children_recursive().filter(move |node| label(node).is_some_and(|text| wanted(&text)))
    }

    /// Whether a label is in sight.
    pub fn shows(&self, text: &str) -> bool {
        self.nodes(|label| label.contains(text)).next().is_some()
    }

    /// Draws frames until a label is in sight.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        self.wait(&format!("\u{201c}{text}\u{201d}"), |screen| screen.shows(text).then_some(()))
    }

    /// Where the first control is that is called `text`, or else begins with it, once it can be used.
    pub fn control(&mut self, text: &str) -> Result<Rect> {
        self.find(text, |found| found.next())
    }

    fn find(&mut self, text: &str, pick: Pick) -> Result<Rect> {
        self.wait(&format!("the control \u{201c}{text}\u{201d}"), |screen| {
            let usable = |node: &Node<'_>| is_control(node) && !node.accesskit_node().is_disabled();
            let exact = screen.nodes(|label| label == text).filter(usable).map(|node| node.rect());
            let begun = screen.nodes(|label| label.starts_with(text)).filter(usable).map(|node| node.rect());
            pick(&mut { exact }).or_else(|| pick(&mut { begun }))
        })
    }

    /// Clicks the first control called `text`, scrolling to it first; returns what the hand did.
    pub fn click(&mut self, text: &str) -> Result<Vec<Gesture>> {
        self.click_picked(text, |found| found.next())
    }

    /// Clicks the last of several controls called `text`; returns what the hand did.
    pub fn click_last(&mut self, text: &str) -> Result<Vec<Gesture>> {
        self.click_picked(text, |found| found.last())
    }

    fn click_picked(&mut self, text: &str, pick: Pick) -> Result<Vec<Gesture>> {
        let mut gestures = Vec::new();
        self.find(text, pick)?;
        for _ in 0..40 {
            // A second look once the layout has settled.
            self.harness.run_steps(2);
            let at = self.find(text, pick)?.center();
            let gesture = if at.y < self.height - BELOW {
                Gesture::Click(at)
            } else {
                Gesture::WheelDown(pos2(at.x, 0.5 * self.height))
            };
            gestures.push(gesture);
            match gesture {
                Gesture::Click(at) => {
                    self.click_at(at);
                    return Ok(gestures);
                }
                Gesture::WheelDown(at) => self.wheel_down(at),
            }
        }
        bail!("{text} does not scroll into sight")
    }

    fn wheel_down(&mut self, at: Pos2) {
        self.harness.event(egui::Event::PointerMoved(at));
        self.harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Line,
            delta: vec2(0.0, -WHEEL_LINES),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
            modifiers: Modifiers::NONE,
        });
        // Scrolling is smooth: let it come to rest.
        self.harness.run_steps(20);
    }

    /// Clicks a place.
    fn click_at(&mut self, at: Pos2) {
        self.harness.event(egui::Event::PointerMoved(at));
        for pressed in [true, false] {
            let button = egui::PointerButton::Primary;
            self.harness.event(egui::Event::PointerButton { pos: at, button, pressed, modifiers: Modifiers::NONE });
        }
        self.harness.run_steps(3);
    }

    /// Presses keys.
    pub fn press(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.harness.run_steps(3);
    }

    /// Types into the control that has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.harness.event(egui::Event::Text(text.to_owned()));
        self.harness.run_steps(2);
    }

    /// Moves a slider to a value.
    pub fn slide(&mut self, text: &str, value: f64) -> Result<()> {
        self.control(text)?;
        let sliders = |node: &Node<'_>| node.accesskit_node().role() == Role::Slider;
        let slider = self.nodes(|label| label.starts_with(text)).find(sliders).context("it is no slider")?;
        slider.set_value_accesskit(value);
        self.harness.run_steps(3);
        Ok(())
    }
}

fn is_control(node: &Node<'_>) -> bool {
    matches!(
        node.accesskit_node().role(),
        Role::Button
            | Role::CheckBox
            | Role::ComboBox
            | Role::Link
            | Role::ListBoxOption
            | Role::MultilineTextInput
            | Role::PasswordInput
            | Role::RadioButton
            | Role::Slider
            | Role::SpinButton
            | Role::TextInput
    )
}

/// A node's name without the icons that stand beside it; labels carry theirs as a value.
fn label(node: &Node<'_>) -> Option<String> {
    let node = node.accesskit_node();
    let text = if node.role() == Role::Label { node.value() } else { node.label() }?;
    let plain: String = text.chars().filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c)).collect();
    Some(plain.trim().to_owned())
}
