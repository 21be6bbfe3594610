//! `tiller evaluate`: prompts and vectors on items of a file.

use tiller_protocol::persona::{Persona, PersonaCard, PersonaKind};
use tiller_protocol::problem::Problem;

use super::options::{EvaluateOptions, Global};
use super::results::EvaluateResult;
use super::session::{Session, WatchSink};
use super::vectors;
use crate::jobs::evaluate as job;
use crate::library;

/// Measures prompts and vectors on items.
///
/// Items that only ask (`kind: prompt`) are judged by the patterns of the persona whose folder the file lies in.
///
/// # Errors
/// A model, item file or vector that cannot be used, or a stop before the first condition is done.
pub fn evaluate(global: &Global, options: &EvaluateOptions) -> Result<EvaluateResult, Problem> {
    let items = library::items(&options.items)?;
    let session = Session::open(global, &options.model)?;
    let persona = options.items.parent().and_then(|folder| library::load(&folder.with_extension("toml")).ok());
    let persona = persona.unwrap_or_else(anonymous);
    let mut steering = Vec::new();
    for option in &options.vectors {
        let name = option.path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let edits = vectors::edits(&session, std::slice::from_ref(option))?;
        steering.push((format!("{name} {:+.2}", option.strength), edits));
    }
    let ask = job::Ask {
        persona: &persona,
        items: &items,
        placement: options.placement,
        prompts: &options.prompts,
        steering: &steering,
    };
    let mut sink = WatchSink::new(global, "Measuring");
    let conditions = job::evaluate(&session.loaded, &ask, &mut sink)?;
    Ok(EvaluateResult { conditions, model: session.loaded.info, stopped: global.watch.is_stopped() })
}

/// A persona without patterns, for items that need none.
fn anonymous() -> Persona {
    let card = PersonaCard {
        format: 1,
        id: "items".to_owned(),
        name: "The item file".to_owned(),
        kind: PersonaKind::Trait,
        summary: String::new(),
        positive: "persona".to_owned(),
        negative: "other".to_owned(),
        recommended_block: None,
        recommended_positions: Default::default(),
        manual_prompts: Vec::new(),
        banned_words: Vec::new(),
        judge: Default::default(),
        default_placement: Default::default(),
    };
    Persona { card, pairs: Vec::new(), contexts: Vec::new(), select: Vec::new(), report: Vec::new() }
}
