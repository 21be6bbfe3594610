//! Answering a user turn, steered and plain side by side.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tiller_engine::Edit;
use tiller_engine::generate::{Reply, generate};
use tiller_protocol::chat::{Role, Sampling, Side, Turn};
use tiller_protocol::problem::Problem;

use super::{Report, Sink};
use crate::live::{LiveEdits, LiveSteering};
use crate::models::Loaded;
use crate::steering::Maker;
use crate::workspace::Workspace;
use crate::{memory, problem};

/// What is to be answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    /// The conversation; the last turn is the user's.
    pub(crate) turns: Vec<Turn>,
    /// How tokens are drawn.
    pub(crate) sampling: Sampling,
    /// Also the plain model's reply, same seed.
    pub(crate) side_by_side: bool,
    /// What the plain model is asked, when it differs.
    pub(crate) plain_turns: Option<Vec<Turn>>,
}

/// Streams the replies. The steering is read before every token; a stop keeps what is written. Over `neutral` texts the
/// unit of strengths is measured, where that is not known yet.
///
/// # Errors
/// A conversation that does not end with the user, is too long, or a model that cannot chat.
pub(crate) fn say(
    loaded: &Loaded,
    ask: &Ask,
    live: &LiveSteering,
    (workspace, neutral): (&Workspace, &[String]),
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    if ask.turns.last().is_none_or(|turn| turn.role != Role::User || turn.content.trim().is_empty()) {
        return Err(problem::bad_input(
            "the conversation does not end with a question of yours",
            "Write something first.",
        ));
    }
    let prompt = loaded.prompt(&ask.turns)?;
    let plain_prompt = ask.plain_turns.as_ref().map_or_else(|| Ok(prompt.clone()), |turns| loaded.prompt(turns))?;
    let lens = [prompt.len(), plain_prompt.len()];
    memory::check_reply(loaded, &lens[..=usize::from(ask.side_by_side)], ask.sampling.max_tokens)?;
    let norm = |block| loaded.resid_norm(block, neutral);
    let steered = LiveEdits::new(live, Maker::new(workspace, &loaded.info, loaded.device(), &norm));
    let none: Arc<Vec<Edit>> = Arc::default();
    // Read once before the first token, so that a row that cannot be used is told at once.
    drop(steered.now());
    let told = steered.problems();
    for trouble in &told {
        sink.report(Report::Trouble(trouble.clone()));
    }
    let (edits_now, no_edits) = (|| steered.now(), || Arc::clone(&none));
    let mut replies = vec![Reply { prompt, edits: &edits_now }];
    if ask.side_by_side {
        replies.push(Reply { prompt: plain_prompt, edits: &no_edits });
    }
    let side = |i: usize| if i == 0 { Side::Steered } else { Side::Plain };
    let began = Instant::now();
    let mut n_tokens = 0;
    let mut on_text = |i: usize, text: &str| {
        sink.report(Report::Text { side: side(i), text: text.to_owned() });
        n_tokens += usize::from(i == 0);
        sink.step(n_tokens, ask.sampling.max_tokens, "tokens");
        if sink.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let written = generate(&loaded.model, &replies, &ask.sampling, &mut on_text);
    for trouble in steered.problems().into_iter().skip(told.len()) {
        sink.report(Report::Trouble(trouble));
    }
    let written = written.map_err(|error| problem::engine(&error))?;
    let secs = began.elapsed().as_secs_f64().max(1e-9);
    for (i, reply) in written.iter().enumerate() {
        sink.report(Report::SideDone {
            side: side(i),
            reason: reply.reason,
            n_tokens: reply.ids.len(),
            tokens_per_sec: reply.ids.len() as f64 / secs,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tiller_protocol::chat::EndReason;
    use tiller_protocol::feature::{FeatureOp, SaeId};
    use tiller_protocol::steering::Steering;

    use super::*;
    use crate::jobs::tests::{Quiet, demo};
    use crate::steering::maker::tests::{feature_row, open_demo};

    fn ask(text: &str) -> Ask {
        Ask {
            turns: vec![Turn { role: Role::User, content: text.to_owned() }],
            sampling: Sampling { max_tokens: 24, ..Sampling::default() },
            side_by_side: true,
            plain_turns: None,
        }
    }

    fn text(quiet: &Quiet, wanted: Side) -> String {
        let pieces = quiet.reports.iter().filter_map(|report| match report {
            Report::Text { side, text } if *side == wanted => Some(text.as_str()),
            _ => None,
        });
        pieces.collect()
    }

    #[test]
    fn without_steering_both_sides_are_the_same() {
        let workspace = Workspace::temp();
        let mut quiet = Quiet::default();
        say(demo(), &ask("Hello!"), &LiveSteering::default(), (&workspace, &[]), &mut quiet).unwrap();
        assert!(!text(&quiet, Side::Plain).is_empty());
        assert_eq!(text(&quiet, Side::Steered), text(&quiet, Side::Plain));
    }

    #[test]
    fn a_stop_ends_within_a_token_and_keeps_the_text() {
        let workspace = Workspace::temp();
        let mut quiet = Quiet { stop_after: Some(4), ..Quiet::default() };
        let ask = Ask { side_by_side: false, ..ask("What is the capital of Norway?") };
        say(demo(), &ask, &LiveSteering::default(), (&workspace, &[]), &mut quiet).unwrap();
        let done = quiet.reports.iter().find_map(|report| match report {
            Report::SideDone { reason, n_tokens, .. } => Some((*reason, *n_tokens)),
            _ => None,
        });
        // Two reports for each token: stopped after the second token.
        assert_eq!(done, Some((EndReason::Stopped, 2)));
        assert!(!text(&quiet, Side::Steered).is_empty());
    }

    #[test]
    fn too_long_and_empty_conversations_are_refused() {
        let workspace = Workspace::temp();
        let live = LiveSteering::default();
        live.set(Steering::default());
        let long = ask(&"what is the capital of Norway ".repeat(200));
        let problem = say(demo(), &long, &live, (&workspace, &[]), &mut Quiet::default()).unwrap_err();
        assert_eq!(problem.title, "The text is too long for this model");
        let empty = Ask { turns: vec![], ..ask("") };
        assert!(say(demo(), &empty, &live, (&workspace, &[]), &mut Quiet::default()).is_err());
    }

    #[test]
    fn a_feature_steers_the_reply_and_one_that_is_gone_does_not_stop_it() {
        let workspace = Workspace::temp();
        let sae = open_demo(&workspace);
        let live = LiveSteering::default();
        let ask = Ask { sampling: Sampling { temperature: 0.0, ..ask("").sampling }, ..ask("Tell me about the sea.") };
        let gone = feature_row(&SaeId("gone-0000".to_owned()), 3, FeatureOp::Ablate, 0.0);
        live.set(Steering { rows: vec![gone.clone(), feature_row(&sae.id, 3, FeatureOp::Multiply, 1.0)] });
        let mut quiet = Quiet::default();
        say(demo(), &ask, &live, (&workspace, &[]), &mut quiet).unwrap();
        let troubles = quiet.reports.iter().filter(|report| matches!(report, Report::Trouble(_))).count();
        assert_eq!(troubles, 1, "told once, not for every token");
        assert_eq!(text(&quiet, Side::Steered), text(&quiet, Side::Plain));

        let neutral = crate::assets::Assets::find().unwrap().neutral().unwrap();
        live.set(Steering { rows: vec![gone, feature_row(&sae.id, 3, FeatureOp::Add, 2.0)] });
        let mut quiet = Quiet::default();
        say(demo(), &ask, &live, (&workspace, &neutral), &mut quiet).unwrap();
        assert_ne!(text(&quiet, Side::Steered), text(&quiet, Side::Plain));
    }
}
