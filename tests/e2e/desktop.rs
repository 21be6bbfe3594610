//! A display, the window on it, and a hand on mouse and keyboard.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use egui::{Pos2, Vec2, vec2};

use tiller_tests::binary;
use tiller_tests::screen::{Gesture, WHEEL_LINES};

/// Longest wait for one step of the window. Generous: software drawing on a busy machine is slow.
const PATIENCE: Duration = Duration::from_mins(8);

/// No frame for this long is rest.
const STILL: Duration = Duration::from_millis(400);

/// Longest wait for rest.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Programs that the test needs, with the Debian package of each.
const TOOLS: [(&str, &str); 3] = [("Xvfb", "xvfb"), ("xdotool", "xdotool"), ("import", "imagemagick")];

/// The packages that are missing here.
fn missing_packages() -> Vec<&'static str> {
    let paths: Vec<PathBuf> = std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
    let is_there = |tool: &str| paths.iter().any(|folder| folder.join(tool).is_file());
    TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect()
}

/// Whether the packages are there that drawing needs; on CI they have to be.
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
pub(crate) fn can_draw() -> Result<bool> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(true);
    }
    ensure!(std::env::var_os("CI").is_none(), "CI must have these packages: {}", missing.join(" "));
    println!("left out: this test needs the Debian packages {}", missing.join(" "));
    Ok(false)
}

/// An X display of its own; it ends with the value.
struct Display {
    server: Child,
    name: String,
}

impl Display {
    fn open(size: &str) -> Result<Self> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", size, "-dpi", "96", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting Xvfb")?;
        let mut number = String::new();
        let stdout = server.stdout.take().context("Xvfb tells its number")?;
        BufReader::new(stdout).read_line(&mut number)?;
        ensure!(!number.trim().is_empty(), "Xvfb did not start");
        Ok(Self { server, name: format!(":{}", number.trim()) })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // It may have ended already; nothing depends on it any more.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// The running window.
pub(crate) struct Desktop {
    display: Display,
    tiller: Child,
    window: String,
    log: PathBuf,
    /// One row for each drawn frame.
    frames: PathBuf,
    /// Where pictures go, when they are wanted.
    pictures: PathBuf,
}

impl Desktop {
    /// Opens the window on a fresh display. Its home and its workspace are in `folder`; a file dialog answers with
    /// `folder/export.txt`. Without a hub's address there is no network.
    pub(crate) fn open(folder: &Path, hub: Option<&str>) -> Result<Self> {
        let display = Display::open("1280x800x24")?;
        let log = folder.join("tiller.log");
        let frames = folder.join("frames.csv");
        let home = folder.join("home");
        fs::create_dir_all(&home)?;
        let tools = fake_dialog(folder)?;
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(binary::path()?);
        match hub {
            Some(address) => command.env("HF_ENDPOINT", address),
            None => command.arg("--offline"),
        };
        // Nothing of the hub's own tools on this machine is to be seen.
        for name in ["HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN", "HF_HUB_OFFLINE"] {
            command.env_remove(name);
        }
        let tiller = command
            .arg("--workspace")
            .arg(folder.join("workspace"))
            .args(["--device", "cpu", "-v"])
            .env("DISPLAY", &display.name)
            .env("HOME", &home)
            .env("PATH", path)
            .env("XDG_RUNTIME_DIR", &home)
            // Without a session bus the dialog of the desktop is not asked, and its fall-back is.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("WINIT_X11_SCALE_FACTOR", "1")
            .env("TILLER_FRAME_LOG", &frames)
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting the binary")?;
        let pictures = picture_folder();
        fs::create_dir_all(&pictures)?;
        let mut desktop = Self { display, tiller, window: String::new(), log, frames, pictures };
        desktop.window = desktop.find_window()?;
        desktop.xdotool(&["windowfocus", "--sync", &desktop.window])?;
        Ok(desktop)
    }

    fn find_window(&mut self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.xdotool(&["search", "--onlyvisible", "--name", "^Tiller"]).unwrap_or_default();
            if let Some(window) = found.lines().next() {
                return Ok(window.to_owned());
            }
            self.ensure_running()?;
            ensure!(Instant::now() < deadline, "no window appeared: {}", self.log_text());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Size of the window in points, which are pixels here.
    pub(crate) fn size(&self) -> Result<Vec2> {
        let told = self.xdotool(&["getwindowgeometry", "--shell", &self.window])?;
        let number = |key: &str| -> Result<f32> {
            let line = told.lines().find_map(|line| line.strip_prefix(key)).context("a size is told")?;
            Ok(line.parse()?)
        };
        Ok(vec2(number("WIDTH=")?, number("HEIGHT=")?))
    }

    fn xdotool(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("xdotool").args(args).env("DISPLAY", &self.display.name).output()?;
        ensure!(output.status.success(), "xdotool {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn frame_log_len(&self) -> u64 {
        fs::metadata(&self.frames).map_or(0, |file| file.len())
    }

    /// Does something at mouse or keyboard and waits until the window has taken it in: frames were drawn, and then none
    /// for a while. A running job draws frames all the time, so the wait has an end.
    fn act(&self, args: &[&str]) -> Result<()> {
        let mut seen = self.frame_log_len();
        self.xdotool(args)?;
        let (began, mut changed) = (Instant::now(), None);
        while began.elapsed() < SETTLED_AFTER {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.frame_log_len();
            if now != seen {
                (seen, changed) = (now, Some(Instant::now()));
            } else if changed.is_some_and(|changed: Instant| changed.elapsed() > STILL) {
                break;
            }
        }
        Ok(())
    }

    fn move_to(&self, at: Pos2) -> Result<()> {
        self.act(&["mousemove", "--window", &self.window, &at.x.round().to_string(), &at.y.round().to_string()])
    }

    /// Does what the hand did at the twin.
    pub(crate) fn repeat(&self, gestures: &[Gesture]) -> Result<()> {
        gestures.iter().try_for_each(|gesture| match gesture {
            Gesture::Click(at) => self.click(*at),
            Gesture::WheelDown(at) => self.wheel_down(*at),
        })
    }

    fn wheel_down(&self, at: Pos2) -> Result<()> {
        self.move_to(at)?;
        // Button 5 is one line down.
        self.act(&["click", "--repeat", &WHEEL_LINES.to_string(), "--delay", "30", "5"])
    }

    fn click(&self, at: Pos2) -> Result<()> {
        self.move_to(at)?;
        self.act(&["click", "1"])
    }

    /// Drags from one place to another.
    pub(crate) fn drag(&self, from: Pos2, to: Pos2) -> Result<()> {
        self.move_to(from)?;
        self.act(&["mousedown", "1"])?;
        for step in 1_u8..=4 {
            self.move_to(from + (to - from) * (f32::from(step) / 4.0))?;
        }
        self.act(&["mouseup", "1"])
    }

    /// Presses keys, e.g. `ctrl+d`.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        self.act(&["key", "--window", &self.window, "--clearmodifiers", keys])
    }

    /// Types text.
    pub(crate) fn type_text(&self, text: &str) -> Result<()> {
        self.act(&["type", "--delay", "20", "--clearmodifiers", text])
    }

    /// Waits until `found` gives something.
    pub(crate) fn wait<T>(&mut self, what: &str, mut found: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(result) = found() {
                return Ok(result);
            }
            self.ensure_running()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        // A picture says more than the log.
        let seen = self.picture("failure");
        bail!("{what} did not come; picture: {seen:?}; log: {}", self.log_text())
    }

    /// Waits until the log has told `n` times that `text`.
    pub(crate) fn wait_log(&mut self, text: &str, n: usize) -> Result<()> {
        let log = self.log.clone();
        self.wait(&format!("\u{201c}{text}\u{201d} in the log"), || {
            let told = fs::read_to_string(&log).ok()?;
            (told.matches(text).count() >= n).then_some(())
        })
    }

    fn ensure_running(&mut self) -> Result<()> {
        match self.tiller.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the window ended with {status}: {}", self.log_text()),
        }
    }

    /// What the program has told.
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Leaves a picture of the display; returns where.
    pub(crate) fn picture(&self, name: &str) -> Result<PathBuf> {
        let path = self.pictures.join(format!("{name}.png"));
        // Toasts come and go; the page itself is at rest since the last gesture.
        std::thread::sleep(Duration::from_millis(500));
        let taken = Command::new("import")
            .args(["-window", "root", "-strip"])
            .arg(&path)
            .env("DISPLAY", &self.display.name)
            .status()?;
        ensure!(taken.success(), "no picture was taken");
        Ok(path)
    }

    /// Closes the window by its shortcut and returns how the program ended.
    pub(crate) fn quit(mut self) -> Result<ExitStatus> {
        self.press("ctrl+q")?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.tiller.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the window did not close: {}", self.log_text())
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        // Only a failed test still has a running window here.
        drop(self.tiller.kill());
        drop(self.tiller.wait());
    }
}

/// The README's pictures when they are to be renewed, else a folder that git does not see.
fn picture_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match std::env::var_os("TILLER_UPDATE_SCREENSHOTS") {
        Some(_) => root.join("docs/screenshots"),
        None => root.join("target/screenshots"),
    }
}

/// A stand-in for the desktop's file dialog, which has no labels to be clicked by.
fn fake_dialog(folder: &Path) -> Result<PathBuf> {
    let tools = folder.join("tools");
    fs::create_dir_all(&tools)?;
    let script = tools.join("zenity");
    fs::write(&script, format!("#!/bin/sh\nprintf '%s\\n' '{}'\n", folder.join("export.txt").display()))?;
    let made = Command::new("chmod").arg("+x").arg(&script).status()?;
    ensure!(made.success(), "the stand-in cannot be run");
    Ok(tools)
}
