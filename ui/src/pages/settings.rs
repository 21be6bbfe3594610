//! Settings of the application itself.

use egui::Ui;
use egui_material_icons::icons::{ICON_FOLDER_OPEN, ICON_HARD_DRIVE};
use tiller_protocol::model::{DeviceChoice, DtypeChoice};
use tiller_protocol::settings::ThemeChoice;

use crate::face::Request;
use crate::page::Page;
use crate::pages::models::{Section, sign_in};
use crate::pages::scaffold;
use crate::shared::{Handoff, Shared};
use crate::theme::{self, space};
use crate::widgets::{button, card, field, segmented};

/// Zoom factors offered.
const ZOOMS: [(f32, &str); 6] =
    [(0.8, "80 %"), (0.9, "90 %"), (1.0, "100 %"), (1.25, "125 %"), (1.5, "150 %"), (2.0, "200 %")];

/// The page's state.
#[derive(Default)]
pub(crate) struct SettingsPage {
    token: String,
}

impl SettingsPage {
    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        scaffold::scrolling(ui, |ui| {
            scaffold::head(ui, shared, Page::Settings, |_, _| {});
            let before = shared.settings.clone();
            card::titled(ui, "Appearance", |ui| {
                field::show(ui, "Theme", "", |ui| {
                    let options =
                        [(ThemeChoice::System, "System"), (ThemeChoice::Light, "Light"), (ThemeChoice::Dark, "Dark")];
                    segmented::show(ui, "Theme", &mut shared.settings.theme, &options);
                });
                field::show(ui, "Zoom", "Also with Ctrl and plus, minus, zero.", |ui| {
                    segmented::show(ui, "Zoom", &mut shared.settings.zoom, &ZOOMS);
                });
            });
            ui.add_space(space::S);
            card::titled(ui, "Models", |ui| {
                device_and_format(ui, shared, "Takes effect with the next model that is opened.");
                thinking(ui, shared);
            });
            if shared.settings != before {
                shared.save_settings();
            }
            ui.add_space(space::S);
            self.hub(ui, shared);
            ui.add_space(space::S);
            files(ui, shared);
            ui.add_space(space::S);
            about(ui, shared);
        });
    }

    /// The network: whether it may be used, and as whom.
    fn hub(&mut self, ui: &mut Ui, shared: &mut Shared) {
        card::titled(ui, "Hub", |ui| {
            let help = "Off: Tiller opens no connection at all. What is installed works either way.";
            field::show(ui, "Network", help, |ui| {
                let options = [(false, "For downloads"), (true, "Off (offline)")];
                if segmented::show(ui, "Network", &mut shared.settings.offline, &options) {
                    shared.save_settings();
                }
            });
            ui.label(theme::strong("Sign-in"));
            sign_in::state_ui(ui, &shared.assets.token);
            sign_in::token_row(ui, shared, &mut self.token, "Keep this token");
            sign_in::forget_ui(ui, shared);
        });
    }
}

/// The switch that some chat templates have.
fn thinking(ui: &mut Ui, shared: &mut Shared) {
    let help = "Whether models whose chat template has such a switch, like Qwen3, think before they answer. Takes \
                effect with the next model that is opened.";
    field::show(ui, "Thinking", help, |ui| {
        let options =
            [(None, "As the model has it".to_owned()), (Some(true), "On".to_owned()), (Some(false), "Off".to_owned())];
        field::choice(ui, "Thinking", &mut shared.settings.thinking, &options, 260.0);
    });
}

/// Where models run and how their weights are kept; used by the page Models, too.
pub(crate) fn device_and_format(ui: &mut Ui, shared: &mut Shared, device_help: &str) {
    field::show(ui, "Device", device_help, |ui| {
        let options = devices(shared);
        field::choice(ui, "Device", &mut shared.settings.device, &options, 260.0);
    });
    let help = "Automatic keeps what the file holds where that pays, and 32-bit floats elsewhere on the processor. Any \
                other choice expands quantised weights, which searching for prompts needs.";
    field::show(ui, "Number format", help, |ui| {
        let options = [
            (DtypeChoice::Auto, "Automatic".to_owned()),
            (DtypeChoice::F32, "f32".to_owned()),
            (DtypeChoice::Bf16, "bf16".to_owned()),
            (DtypeChoice::F16, "f16".to_owned()),
        ];
        field::choice(ui, "Number format", &mut shared.settings.dtype, &options, 260.0);
    });
}

fn devices(shared: &Shared) -> Vec<(DeviceChoice, String)> {
    let mut options = vec![
        (DeviceChoice::Auto, "Automatic (the best that it fits)".to_owned()),
        (DeviceChoice::Cpu, "Processor".to_owned()),
    ];
    for (index, name) in shared.machine.accelerators.iter().enumerate() {
        let choice =
            if name.to_lowercase().contains("apple") { DeviceChoice::Metal } else { DeviceChoice::Cuda(index) };
        options.push((choice, name.clone()));
    }
    let chosen = shared.settings.device;
    if !options.iter().any(|(choice, _)| *choice == chosen) {
        options.push((chosen, format!("{chosen:?} (not found on this computer)")));
    }
    options
}

fn files(ui: &mut Ui, shared: &mut Shared) {
    card::titled(ui, "Files", |ui| {
        let folder = shared.machine.workspace.display().to_string();
        ui.label("Personas, vectors and runs are plain files in");
        ui.horizontal(|ui| {
            ui.label(theme::mono(&folder));
            if button::quiet("Open folder").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
                shared.request(Request::OpenLink(folder.clone()));
            }
        });
        ui.label("Models are kept in storage folders of their own.");
        if button::quiet("Show storage folders").icon(ICON_HARD_DRIVE).show(ui).clicked() {
            shared.handoff = Some(Handoff::Models(Section::Installed));
        }
        let text = "Nothing that you write leaves this computer: Tiller has no account and no telemetry. The network \
                    is used to look up and download what you ask for, and for nothing else.";
        ui.label(theme::note(ui, text));
    });
}

fn about(ui: &mut Ui, shared: &Shared) {
    let renderer = if shared.machine.renderer.is_empty() { "unknown" } else { &shared.machine.renderer };
    ui.label(theme::note(ui, format!("Tiller {} \u{00b7} drawn with {renderer}", shared.machine.version)));
}
