//! Features: the demo's SAE opened and tried, a label searched, a card read, the feature pinned to the chat.

use anyhow::Result;
use egui::{Key, Modifiers};

use super::desktop::can_draw;
use super::pair::Pair;

#[test]
fn from_an_sae_to_a_pinned_feature() -> Result<()> {
    if !can_draw()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut pair = Pair::open(folder.path(), None)?;
    pair.click("Open the demo model")?;
    pair.job_ends("Choose a persona")?;
    pair.go("4", Key::Num4)?;
    pair.click("Open Tiller demo SAE")?;
    // Once it is converted it is tried on the model by itself.
    pair.job_ends("Fits block 4")?;
    pair.click("Search labels")?;
    pair.type_text("pirate")?;
    pair.twin.wait_for("pirate style")?;
    pair.click("Feature 699")?;
    pair.twin.wait_for("Pin to chat")?;
    pair.desktop.picture("features")?;
    pair.click("Scan texts")?;
    pair.click("Start scan")?;
    pair.job_ends("(largest)")?;
    pair.twin.press(Modifiers::NONE, Key::Escape);
    pair.desktop.press("Escape")?;
    pair.desktop.picture("features-scanned")?;
    let log = pair.desktop.log_text();
    assert!(!log.contains("panicked") && !log.contains("Internal fault"), "{log}");
    assert_eq!(pair.desktop.quit()?.code(), Some(0), "{log}");
    Ok(())
}
