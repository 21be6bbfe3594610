//! The page Models: what a repository of the hub offers, what stands in the way, and signing in.

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use tiller_protocol::asset::{Gate, HubListing, HubRefusal, RepoRef, Secret, TokenSource, TokenState};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::problem::Problem;
use tiller_ui::Request;

use super::assets::with_assets;
use super::desk::Desk;
use super::{both, stock};

const ID: &str = "owner/Llama-3.1-8B-Instruct-steerable";

fn gated() -> Problem {
    Problem::new(
        "This model's licence must be accepted first",
        "meta-llama/Llama-3.1-8B-Instruct is gated: its files are handed out to people who have accepted its licence.",
        "Open its page, accept the licence, then sign in here with a token of that account.",
    )
}

/// The part with a name typed and Enter pressed.
fn look_up(desk: &mut Desk, id: &str) -> RepoRef {
    with_assets(desk, stock::library());
    desk.press("From the hub");
    desk.harness.get_by_label("Repository on the hub").focus();
    desk.harness.get_by_label("Repository on the hub").type_text(id);
    desk.settle();
    desk.harness.key_press(egui::Key::Enter);
    desk.settle();
    let repo = stock::repo(id);
    assert!(desk.harness.state().commands.contains(&Command::AskHub(repo.clone())), "nothing was asked");
    repo
}

fn answered(desk: &mut Desk, listing: HubListing) {
    let repo = look_up(desk, &listing.repo.id);
    desk.report(Event::HubAnswer { repo, answer: Ok(Box::new(listing)) });
    desk.settle();
}

fn order(desk: &Desk) -> Option<(u64, String)> {
    desk.harness.state().commands.iter().rev().find_map(|command| match command {
        Command::StartDownload { id, order } => Some((id.0, order.choice.clone())),
        _ => None,
    })
}

#[test]
fn the_exact_cost_stands_before_the_download() {
    both(|desk| {
        answered(desk, stock::listing(ID));
        desk.harness.get_by_label("Fits in bf16");
        desk.shot("hub-answer");
        desk.harness.get_by_label_contains("Files to the byte").click();
        desk.settle();
        desk.harness.get_by_label("model-00001-of-00004.safetensors");
        desk.shot("hub-files");
        desk.harness.get_by_label("Choose Q4_K_M").click();
        desk.settle();
        // A third of it is here already.
        desk.harness.get_by_label_contains("Needs 3.3 GB (3\u{202f}280\u{202f}000\u{202f}000 bytes)");
        desk.press("Download 3.3 GB");
        assert_eq!(order(desk), Some((1, "model-Q4_K_M.gguf".to_owned())));
    });
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_first_byte() {
    both(|desk| {
        answered(desk, HubListing { free_disk_bytes: Some(2_000_000_000), ..stock::listing(ID) });
        desk.harness.get_by_label_contains("Needs 14.1 GB more on that disk");
        desk.shot("hub-disk-full");
        desk.press("Download 16.1 GB");
        assert_eq!(order(desk), None);
    });
}

#[test]
fn what_tiller_does_not_run_is_not_offered() {
    both(|desk| {
        let obstacle = Problem::new(
            "Tiller does not run this family",
            "config.json names MambaForCausalLM; Tiller runs Llama, Mistral, Qwen2.5, Qwen3, Gemma 2 and Gemma 3.",
            "Choose a model of one of these families.",
        );
        answered(desk, HubListing { obstacle: Some(obstacle), shape: None, ..stock::listing(ID) });
        desk.harness.get_by_label("Tiller does not run this family");
        desk.shot("hub-obstacle");
        desk.press("Download 16.1 GB");
        assert_eq!(order(desk), None);
    });
}

#[test]
fn a_gated_repository_leads_to_its_licence_and_takes_a_token() {
    both(|desk| {
        let id = "meta-llama/Llama-3.1-8B-Instruct";
        let listing = HubListing { gate: Gate::Automatic, locked: Some(gated()), shape: None, ..stock::listing(id) };
        let page = listing.page.clone();
        answered(desk, listing);
        desk.shot("hub-gated");
        desk.harness.get_all_by_role_and_label(Role::Button, "Open its page").next().expect("a link").click();
        desk.settle();
        assert!(desk.harness.state().requests.contains(&Request::OpenLink(page)));
        desk.harness.get_by_role_and_label(Role::PasswordInput, "Access token").focus();
        desk.harness.get_by_role_and_label(Role::PasswordInput, "Access token").type_text("hf_secret");
        desk.settle();
        let names = |node: &egui_kittest::Node<'_>| format!("{:?}", node.accesskit_node());
        let shown = desk.harness.root().children_recursive().any(|node| names(&node).contains("hf_secret"));
        assert!(!shown, "the token can be read off the screen");
        desk.press("Sign in and try again");
        // Only once the token is kept, so that it is used.
        let n_asked = |desk: &Desk| {
            let commands = &desk.harness.state().commands;
            commands.iter().filter(|command| matches!(command, Command::AskHub(_))).count()
        };
        assert_eq!(n_asked(desk), 1);
        desk.report(Event::Token(TokenState { source: TokenSource::Keyring, ..TokenState::default() }));
        desk.settle();
        assert_eq!(n_asked(desk), 2, "it is asked again with the token");
        let state = desk.harness.state();
        assert!(state.commands.contains(&Command::SetToken(Secret("hf_secret".to_owned()))));
    });
}

#[test]
fn a_private_or_missing_repository_is_told_apart_from_a_lost_network() {
    both(|desk| {
        let repo = look_up(desk, "ada/private-model");
        let problem = Problem::new(
            "The hub does not show this repository",
            "ada/private-model does not exist, or it is private and nobody is signed in.",
            "Check the name, or sign in with an account that may see it.",
        );
        let refusal = HubRefusal { problem, may_sign_in: true, page: None };
        desk.report(Event::HubAnswer { repo: repo.clone(), answer: Err(refusal) });
        desk.settle();
        desk.shot("hub-missing");
        desk.harness.get_by_role_and_label(Role::PasswordInput, "Access token");
        desk.press("Try again");
        let problem = Problem::new(
            "The hub cannot be reached",
            "huggingface.co:443 does not answer: the name could not be resolved.",
            "Check the network, then try again. What is installed works without it.",
        );
        desk.report(Event::HubAnswer { repo, answer: Err(problem.into()) });
        desk.settle();
        desk.shot("hub-unreachable");
        assert!(desk.harness.query_by_label_contains("Access token").is_none());
    });
}

#[test]
fn hundreds_of_saes_are_searched() {
    both(|desk| {
        answered(desk, stock::scope(208));
        desk.shot("hub-saes");
        let rows = desk.harness.query_all_by_label_contains("Choose layer_").count();
        assert!((4..20).contains(&rows), "{rows} rows are drawn");
        desk.harness.get_by_label("Search these choices").focus();
        desk.harness.get_by_label("Search these choices").type_text("layer_20 l0_46");
        desk.settle();
        desk.harness.get_by_label("Choose layer_20/width_16k/average_l0_46").click();
        desk.settle();
        desk.press("Download 302 MB");
        assert_eq!(order(desk), Some((1, "layer_20/width_16k/average_l0_46".to_owned())));
    });
}

#[test]
fn settings_switch_the_network_off_and_keep_a_token() {
    both(|desk| {
        let token = TokenState { source: TokenSource::Keyring, user: Some("ada".to_owned()), note: None };
        desk.report(Event::Token(token));
        desk.press("Settings");
        desk.shot("settings-hub");
        desk.harness.get_by_label("Signed in as ada");
        desk.press("Off (offline)");
        let saved = |command: &Command| matches!(command, Command::SaveSettings(settings) if settings.offline);
        assert!(desk.harness.state().commands.iter().any(saved));
        desk.harness.get_by_label("Forget the token").scroll_to_me();
        desk.settle();
        desk.press("Forget the token");
        assert!(desk.harness.state().commands.contains(&Command::SetToken(Secret(String::new()))));
        desk.harness.get_by_label("Show storage folders").scroll_to_me();
        desk.shot("settings-hub-below");
        desk.press("Show storage folders");
        desk.harness.get_by_label("Model folder or file");
    });
}
