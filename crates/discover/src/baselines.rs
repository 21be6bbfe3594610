//! What a discovered prompt is held against: prompts written by hand, and two controls of the search (methods.md §2.7,
//! §7.5).

use tiller_protocol::discovery::{DiscoverySettings, Heading, Proposer, TargetDirection};
use tiller_protocol::evaluation::Condition;

use crate::epo::EpoSettings;
use crate::stats::{MeanInterval, mean_interval};

/// Prompts written by hand, summed up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualSummary {
    /// Mean of their persona rates on the held-out items, with Student's interval over the prompts.
    pub mean: MeanInterval,
    /// Index of the one that is best on the selection items.
    pub best: usize,
}

/// Sums up conditions of prompts written by hand; `None` when none is measured on both sets.
pub fn manual_summary(conditions: &[Condition], heading: Heading) -> Option<ManualSummary> {
    let rates: Vec<f64> = conditions.iter().filter_map(|c| Some(c.report.as_ref()?.persona.rate)).collect();
    let sign = if heading == Heading::Away { 1.0 } else { -1.0 };
    let (best, _) = conditions
        .iter()
        .enumerate()
        .filter_map(|(i, c)| Some((i, sign * c.select.as_ref()?.persona.rate)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    (!rates.is_empty()).then(|| ManualSummary { mean: mean_interval(&rates), best })
}

/// The same run along a random direction of the same length.
pub fn random_direction(settings: &DiscoverySettings) -> DiscoverySettings {
    DiscoverySettings { target: TargetDirection::Random, ..settings.clone() }
}

/// The same run with random mutation in place of the gradient.
pub fn random_mutation(settings: &DiscoverySettings) -> DiscoverySettings {
    DiscoverySettings { proposer: Proposer::RandomMutation, ..settings.clone() }
}

/// Gives a search exactly `evaluations` candidates, with as many iterations as that takes.
pub fn equal_effort(settings: &EpoSettings, evaluations: u64) -> EpoSettings {
    EpoSettings { max_evaluations: Some(evaluations), iterations: 2 * settings.iterations, ..settings.clone() }
}

#[cfg(test)]
mod tests {
    use tiller_protocol::evaluation::ConditionKind;

    use super::*;
    use crate::evaluate::counted;

    fn manual(select: &[bool], report: &[bool]) -> Condition {
        Condition {
            name: String::new(),
            kind: ConditionKind::Manual,
            prompt: None,
            xent: None,
            seed: None,
            select: Some(counted(select)),
            report: Some(counted(report)),
        }
    }

    #[test]
    fn the_best_manual_prompt_is_chosen_on_selection_items() {
        let conditions = [manual(&[true, false], &[false, false]), manual(&[false, false], &[true, true])];
        let summary = manual_summary(&conditions, Heading::Away).unwrap();
        assert_eq!(summary.best, 1);
        assert!((summary.mean.mean - 0.5).abs() < 1e-12);
        assert_eq!(manual_summary(&conditions, Heading::Toward).map(|s| s.best), Some(0));
        assert!(manual_summary(&[], Heading::Away).is_none());
    }

    #[test]
    fn controls_change_one_thing() {
        let settings = DiscoverySettings::default();
        let random = random_direction(&settings);
        assert_eq!(DiscoverySettings { target: settings.target, ..random }, settings);
        let mutation = random_mutation(&settings);
        assert_eq!(DiscoverySettings { proposer: settings.proposer, ..mutation }, settings);
    }
}
