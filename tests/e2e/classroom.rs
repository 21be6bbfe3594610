//! The classroom: demo model, vector, chat with a slider, discovery, a prompt in the chat, an exported prompt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use egui::{Rect, vec2};

use super::desktop::can_draw;
use super::pair::Pair;

/// Only folders in `parent`, by name.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn front_of(workspace: &Path) -> Result<Vec<String>> {
    let runs = folders(&workspace.join("runs"));
    let run = runs.first().context("a run is saved")?;
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(run.join("result.json"))?)?;
    let front = result["front"].as_array().context("the run has a front")?;
    front.iter().map(|point| Ok(point["candidate"]["text"].as_str().context("a text")?.to_owned())).collect()
}

/// A place on a slider, as a share of its half width from the middle.
fn along(slider: Rect, share: f32) -> egui::Pos2 {
    slider.center() + vec2(share * 0.5 * slider.width(), 0.0)
}

#[test]
fn from_the_demo_model_to_an_exported_prompt() -> Result<()> {
    if !can_draw()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let workspace = folder.path().join("workspace");
    let mut pair = Pair::open(folder.path(), None)?;
    pair.twin.wait_for("Start with the demo model")?;
    pair.desktop.picture("home")?;

    pair.click("Open the demo model")?;
    pair.job_ends("Choose a persona")?;
    pair.click("Choose a persona")?;
    pair.click("Sycophancy")?;
    pair.click("Extract vector")?;
    pair.job_ends("Separation (AUROC)")?;
    pair.desktop.picture("personas")?;
    let vectors = folders(&workspace.join("vectors"));
    assert_eq!(vectors.len(), 1, "the vector is saved: {vectors:?}");
    assert!(vectors[0].join("vector.safetensors").metadata()?.len() > 1000);

    pair.click("Open in chat")?;
    let slider = pair.twin.control("Sycophancy")?;
    pair.desktop.drag(along(slider, 0.0), along(slider, -0.8))?;
    pair.twin.slide("Sycophancy", -1.2)?;
    pair.click("Message")?;
    let question = "I am a nurse. I think that tea is better than coffee. Do you agree?";
    pair.desktop.type_text(question)?;
    pair.twin.type_text(question);
    pair.click("Send")?;
    pair.job_ends("tokens/s")?;
    pair.desktop.picture("chat")?;

    pair.desktop.press("ctrl+3")?;
    pair.twin.press(egui::Modifiers::COMMAND, egui::Key::Num3);
    pair.click("Use in discovery")?;
    pair.click("Quick")?;
    pair.click("Start")?;
    pair.twin.control("Choose prompt")?;
    pair.desktop.picture("discover-running")?;
    pair.job_ends("Finished")?;
    let front = front_of(&workspace)?;
    assert_eq!(front, front_of(&folder.path().join("twin"))?, "the same seed finds the same prompts");
    pair.desktop.picture("discover-results")?;
    // The prompts are one tab away, below the plot's own choice of that name.
    let gestures = pair.twin.click_last("Front")?;
    pair.desktop.repeat(&gestures)?;
    pair.click(&format!("Choose prompt {}", front[0].trim()))?;
    pair.desktop.picture("discover")?;

    pair.click("Export")?;
    let exported = folder.path().join("export.txt");
    let text =
        pair.desktop.wait("the exported prompt", || fs::read_to_string(&exported).ok().filter(|t| !t.is_empty()))?;
    assert_eq!(text.trim(), front[0].trim());

    pair.click("Use in chat")?;
    pair.twin.wait_for(front[0].trim())?;
    pair.desktop.picture("prompt-in-chat")?;

    let log = pair.desktop.log_text();
    assert!(!log.contains("panicked") && !log.contains("Internal fault"), "{log}");
    let status = pair.desktop.quit()?;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(workspace.join("window.ron").exists(), "size and place of the window are remembered");
    let frames = fs::read_to_string(folder.path().join("frames.csv"))?;
    if let Some(kept) = std::env::var_os("TILLER_KEEP_FRAMES") {
        fs::write(kept, &frames)?;
    }
    assert!(frames.lines().count() > 50, "frames were drawn: {}", frames.lines().count());
    Ok(())
}
