//! The held-out table as CSV.

use tiller_protocol::discovery::RunResult;
use tiller_protocol::evaluation::Behaviour;

/// One line for each condition that was measured on held-out questions.
pub(super) fn csv(run: &RunResult) -> String {
    let mut text = String::from(
        "condition,kind,prompt,cross_entropy_nats,persona_rate,low,high,hits,n,swapped_rate,first_letter_rate\n",
    );
    for condition in &run.conditions {
        let Some(Behaviour { persona, swapped, first_letter, .. }) = &condition.report else { continue };
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        let fields = [
            quoted(&condition.name),
            format!("{:?}", condition.kind),
            quoted(condition.prompt.as_deref().unwrap_or_default()),
            optional(condition.xent),
            format!("{:.4}", persona.rate),
            format!("{:.4}", persona.low),
            format!("{:.4}", persona.high),
            persona.hits.to_string(),
            persona.n.to_string(),
            optional(swapped.as_ref().map(|rate| rate.rate)),
            optional(first_letter.as_ref().map(|rate| rate.rate)),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
