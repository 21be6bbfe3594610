//! Opening the window: which renderer, and what to tell when there is none.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use eframe::{CreationContext, NativeOptions};
use tiller_protocol::problem::Problem;
use tiller_studio::{HubOptions, Studio, StudioOptions};
use tiller_ui::App;

use crate::cli::{Cli, Renderer};
use crate::dialogs::Dialogs;
use crate::frame_log::FrameLog;
use crate::host::{Host, panic_text};
use crate::product::Product;
use crate::{interrupt, machine};

/// Picture in the title bar and the task list.
const ICON: &[u8] = include_bytes!("../../icons/128x128.png");

/// What to do where no window can be opened: first for a missing display, then for missing libraries.
const NEXT_STEP: &str = "\
Without a display, do the same work in a terminal:
      cargo run --release -- demo --out demo-report
    (installed: tiller demo --out demo-report).
    With a display elsewhere, set DISPLAY or WAYLAND_DISPLAY to it (ssh -X sets it for you).
    With a display here, install what draws on it; on Debian:
      apt-get install libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0 libgl1 libegl1 \
libgl1-mesa-dri mesa-vulkan-drivers";

/// What the window and the rest of the process share.
struct Shared {
    /// Set by Ctrl-C in the terminal.
    interrupted: Arc<AtomicBool>,
    /// Set once a frame was drawn.
    drawn: Arc<AtomicBool>,
    /// The window to wake, once there is one.
    window: Arc<OnceLock<egui::Context>>,
    /// Opened before the window, and handed to it.
    studio: RefCell<Option<Studio>>,
    /// Where the studio keeps its files.
    workspace: PathBuf,
    /// When the process began.
    started: Instant,
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// When no renderer works, no display is there, or the workspace cannot be opened.
pub(crate) fn run(cli: &Cli, started: Instant) -> Result<(), Problem> {
    let product = Product::load()
        .map_err(|error| Problem::new("This build of Tiller is damaged", format!("{error:#}."), "Install it again."))?;
    let shared = share(cli, started)?;
    let renderers = match cli.renderer {
        Some(Renderer::Wgpu) => vec![eframe::Renderer::Wgpu],
        Some(Renderer::Glow) => vec![eframe::Renderer::Glow],
        None => vec![eframe::Renderer::Wgpu, eframe::Renderer::Glow],
    };
    let mut causes = Vec::new();
    for renderer in renderers {
        match open(&product, renderer, &shared) {
            Ok(()) => return Ok(()),
            Err(Refusal::Final(problem)) => return Err(problem),
            Err(Refusal::NextRenderer(cause)) => {
                log::warn!("The window did not open with {renderer}: {cause}");
                causes.push(format!("{renderer}: {}", without_details(&cause)));
            }
        }
    }
    Err(Problem::new("No graphics library could draw the window", sentence(&causes.join("; ")), NEXT_STEP))
}

/// Opens the studio and connects it, and Ctrl-C, to the window that is to come.
fn share(cli: &Cli, started: Instant) -> Result<Shared, Problem> {
    let window: Arc<OnceLock<egui::Context>> = Arc::default();
    let wake = {
        let window = Arc::clone(&window);
        move || {
            if let Some(ctx) = window.get() {
                ctx.request_repaint();
            }
        }
    };
    let interrupted: Arc<AtomicBool> = Arc::default();
    interrupt::on_interrupt(Arc::clone(&interrupted), wake.clone());
    let options = StudioOptions {
        workspace: cli.global.workspace.clone(),
        device: chosen(cli.global.device),
        dtype: chosen(cli.global.dtype),
        template: cli.global.template(),
        hub: HubOptions { offline: cli.global.offline, ..HubOptions::default() },
    };
    let studio = Studio::open(&options, Arc::new(wake))?;
    let workspace = studio.workspace().to_path_buf();
    Ok(Shared { interrupted, drawn: Arc::default(), window, studio: RefCell::new(Some(studio)), workspace, started })
}

/// What the command line says, unless it leaves the choice to the settings.
fn chosen<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Why a window did not open.
enum Refusal {
    /// Another renderer may succeed.
    NextRenderer(String),
    /// No renderer will.
    Final(Problem),
}

fn open(product: &Product, renderer: eframe::Renderer, shared: &Shared) -> Result<(), Refusal> {
    let options = native_options(product, renderer, shared);
    let run = || {
        eframe::run_native(
            &product.identifier,
            options,
            Box::new(|creation| {
                host(product, creation, shared)
                    .map(|host| -> Box<dyn eframe::App> { Box::new(host) })
                    .map_err(Into::into)
            }),
        )
    };
    // winit panics where a part of the keyboard library is missing.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Ok(()),
        // A second event loop cannot be made in one process, so no other renderer is tried.
        Ok(Err(error @ eframe::Error::WinitEventLoop(_))) => Err(Refusal::Final(no_display(&error.to_string()))),
        Ok(Err(error)) => Err(Refusal::NextRenderer(error.to_string())),
        Err(payload) if shared.drawn.load(Ordering::Relaxed) => Err(Refusal::Final(Problem::new(
            "The window ended because of an internal fault",
            format!("{}.", panic_text(payload.as_ref())),
            "Start Tiller again; what you had is in the workspace.",
        ))),
        Err(payload) => Err(Refusal::Final(no_display(panic_text(payload.as_ref())))),
    }
}

fn native_options(product: &Product, renderer: eframe::Renderer, shared: &Shared) -> NativeOptions {
    let mut viewport = egui::ViewportBuilder::default()
        .with_app_id(&product.identifier)
        .with_title(&product.title)
        .with_inner_size(product.size)
        .with_min_inner_size(product.min_size)
        .with_drag_and_drop(true);
    match eframe::icon_data::from_png_bytes(ICON) {
        Ok(icon) => viewport = viewport.with_icon(icon),
        Err(error) => log::warn!("The window has no icon: {error}"),
    }
    NativeOptions {
        viewport,
        renderer,
        persistence_path: Some(shared.workspace.join("window.ron")),
        ..NativeOptions::default()
    }
}

/// The window's content, once a renderer is up.
fn host(product: &Product, creation: &CreationContext<'_>, shared: &Shared) -> Result<Host, String> {
    let ctx = &creation.egui_ctx;
    let studio = shared.studio.take().ok_or("The window was opened before.")?;
    // A first failed attempt never gets here, so the slot is empty.
    drop(shared.window.set(ctx.clone()));
    tiller_ui::install(ctx);
    let machine = machine::describe(product, shared.workspace.clone(), renderer_label(creation));
    log::info!("Window after {:.0} ms, drawn by {}", shared.started.elapsed().as_secs_f64() * 1000.0, machine.renderer);
    Ok(Host {
        app: App::new(machine),
        studio,
        dialogs: Dialogs::new(ctx.clone()),
        frame_log: FrameLog::from_env(shared.started),
        interrupted: Arc::clone(&shared.interrupted),
        drawn: Arc::clone(&shared.drawn),
        intake: Duration::ZERO,
        fault: None,
    })
}

/// What draws the window, e.g. `wgpu (Vulkan, llvmpipe)`.
fn renderer_label(creation: &CreationContext<'_>) -> String {
    match &creation.wgpu_render_state {
        Some(state) => {
            let info = state.adapter.get_info();
            format!("wgpu ({:?}, {})", info.backend, info.name)
        }
        None => "glow (OpenGL)".to_owned(),
    }
}

fn no_display(cause: &str) -> Problem {
    Problem::new("No window could be opened", sentence(cause), NEXT_STEP)
}

/// A cause without the place in winit's source that it begins with, as a sentence.
fn sentence(cause: &str) -> String {
    let told =
        cause.rsplit_once(".rs:").map_or(cause, |(_, rest)| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let told = told.trim_start_matches([':', ' ']).trim_end_matches('.');
    format!("{told}.")
}

/// A cause without the dump of settings that some graphics libraries add to it.
fn without_details(cause: &str) -> &str {
    cause.split_once('{').map_or(cause, |(before, _)| before.trim_end_matches([' ', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_without_source_files() {
        let cause =
            "winit EventLoopError: os error at /x/linux/mod.rs:765: neither DISPLAY nor WAYLAND_DISPLAY is set.";
        assert_eq!(sentence(cause), "neither DISPLAY nor WAYLAND_DISPLAY is set.");
        assert_eq!(sentence("Library libX.so could not be loaded."), "Library libX.so could not be loaded.");
    }

    #[test]
    fn the_next_step_names_the_headless_command_and_the_libraries() {
        for part in ["cargo run --release -- demo --out demo-report", "DISPLAY", "libxkbcommon-x11-0", "libegl1"] {
            assert!(NEXT_STEP.contains(part), "{part}");
        }
    }
}
