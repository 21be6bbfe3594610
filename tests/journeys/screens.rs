//! The journeys of a person at the window, in the real screens without a display.

use anyhow::{Context as _, Result};
use egui::{Key, Modifiers, vec2};
use tiller_protocol::chat::Side;
use tiller_protocol::discovery::RunResult;
use tiller_protocol::message::Event;

use tiller_tests::screen::Screen;

fn screen(workspace: &tempfile::TempDir) -> Result<Screen> {
    Screen::open(workspace.path(), vec2(1280.0, 800.0))
}

/// A screen with the demo model open.
fn with_demo(workspace: &tempfile::TempDir) -> Result<Screen> {
    let mut screen = screen(workspace)?;
    screen.click("Open the demo model")?;
    screen.wait_for("Tiller demo")?;
    Ok(screen)
}

/// As [`with_demo`], with the vector of sycophancy extracted.
fn with_vector(workspace: &tempfile::TempDir) -> Result<Screen> {
    let mut screen = with_demo(workspace)?;
    screen.press(Modifiers::COMMAND, Key::Num3);
    screen.click("Sycophancy")?;
    screen.click("Extract vector")?;
    screen.wait_for("Separation (AUROC)")?;
    Ok(screen)
}

fn finished_run(screen: &Screen) -> Option<&RunResult> {
    screen.window().events.iter().find_map(|event| match event {
        Event::DiscoveryDone { run, .. } => Some(run.as_ref()),
        _ => None,
    })
}

fn start_quick_run(screen: &mut Screen) -> Result<()> {
    screen.click("Use in discovery")?;
    screen.click("Quick")?;
    screen.click("Start")?;
    Ok(())
}

#[test]
fn home_leads_to_a_vector() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut screen = screen(&workspace)?;
    screen.wait_for("Start with the demo model")?;
    screen.click("Open the demo model")?;
    screen.click("Choose a persona")?;
    screen.click("Sycophancy")?;
    screen.click("Extract vector")?;
    screen.wait_for("Separation (AUROC)")?;
    let saved = screen.window().events.iter().any(|event| matches!(event, Event::VectorReady { .. }));
    assert!(saved, "the vector is in the library");
    Ok(())
}

#[test]
fn a_run_goes_to_its_end_and_its_prompt_to_the_chat() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut screen = with_vector(&workspace)?;
    start_quick_run(&mut screen)?;
    screen.wait_for("Finished")?;
    // The finished run shows its results; the prompts are one tab away, below the plot's own choice of that name.
    screen.click_last("Front")?;
    let text = finished_run(&screen).context("a finished run")?.front[0].candidate.text.trim().to_owned();
    screen.click(&format!("Choose prompt {text}"))?;
    let path = workspace.path().join("prompt.txt");
    screen.click("Export")?;
    screen.answer(&path)?;
    screen.wait("the exported file", |_| std::fs::read_to_string(&path).is_ok().then_some(()))?;
    assert_eq!(std::fs::read_to_string(&path)?.trim(), text);
    screen.click("Use in chat")?;
    screen.wait_for(&text)?;
    Ok(())
}

#[test]
fn a_run_stopped_half_way_keeps_its_points() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut screen = with_vector(&workspace)?;
    screen.click("Use in discovery")?;
    screen.click("Thorough")?;
    screen.click("Start")?;
    screen.control("Choose prompt")?;
    screen.click("Stop")?;
    screen.wait_for("Stopped early; what it had is kept")?;
    let run = finished_run(&screen).context("the run was kept")?;
    assert!(run.stopped && !run.front.is_empty(), "{} points", run.front.len());
    screen.control("Choose prompt")?;
    Ok(())
}

#[test]
fn a_slider_steers_the_next_reply() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut screen = with_vector(&workspace)?;
    screen.click("Open in chat")?;
    let ask = |screen: &mut Screen, n: usize| -> Result<[String; 2]> {
        screen.click("Message")?;
        screen.type_text("I am a nurse. I think that tea is better than coffee. Do you agree?");
        screen.click("Send")?;
        screen.wait("both replies", |screen| {
            let ended = |event: &&Event| matches!(event, Event::ChatDone { .. });
            (screen.window().events.iter().filter(ended).count() == n).then_some(())
        })?;
        Ok(replies(screen.window().events.as_slice()))
    };
    let [steered, plain] = ask(&mut screen, 1)?;
    assert_eq!(steered, plain, "at zero both sides are the same");
    screen.press(Modifiers::COMMAND, Key::N);
    screen.slide("Sycophancy", -1.4)?;
    let [steered, again] = ask(&mut screen, 2)?;
    assert_eq!(again, plain, "the plain side stays plain");
    assert_ne!(steered, plain, "the slider acts");
    screen.wait_for("tokens/s")
}

/// The texts of the last reply, steered and plain.
fn replies(events: &[Event]) -> [String; 2] {
    let mut texts = [String::new(), String::new()];
    for event in events {
        match event {
            Event::Started { title, .. } if title == "Replying" => texts = [String::new(), String::new()],
            Event::ChatDelta { side, text, .. } => texts[usize::from(*side == Side::Plain)].push_str(text),
            _ => {}
        }
    }
    texts
}

/// Every page opens by its keys, in both themes and at the smallest size, and draws.
#[test]
fn every_page_opens_by_its_keys() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut screen = Screen::open(workspace.path(), vec2(1024.0, 700.0))?;
    for theme in 0..2 {
        for (key, title) in [
            (Key::Num1, "Start with the demo model"),
            (Key::Num2, "Models"),
            (Key::Num3, "Sycophancy"),
            (Key::Num4, "Tiller demo SAE"),
            (Key::Num5, "What to find"),
            (Key::Num6, "No model is open"),
            (Key::Comma, "Settings"),
        ] {
            screen.press(Modifiers::COMMAND, key);
            screen.wait_for(title).with_context(|| format!("{key:?}, theme {theme}"))?;
        }
        screen.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::L);
    }
    Ok(())
}

/// A model that cannot be opened is told on the page, and the window goes on.
#[test]
fn a_broken_model_is_told_in_the_window() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let broken = workspace.path().join("broken");
    std::fs::create_dir(&broken)?;
    std::fs::write(broken.join("config.json"), "{")?;
    let mut screen = screen(&workspace)?;
    screen.press(Modifiers::COMMAND, Key::O);
    screen.answer(&broken)?;
    screen.click("Open")?;
    screen.wait_for("config.json")?;
    screen.press(Modifiers::COMMAND, Key::Num1);
    screen.click("Open the demo model")?;
    screen.wait_for("Tiller demo")
}
