//! Which point of a front to use: measured on selection items, never on those that results are reported on.

use tiller_protocol::discovery::{FrontPoint, Heading};
use tiller_protocol::evaluation::Behaviour;

/// A point below this many nats per token can be called fluent.
pub const FLUENT_NATS: f64 = 3.0;

/// Indices of at most `n` points spread evenly over a front of `len`, both ends included.
pub fn spread(len: usize, n: usize) -> Vec<usize> {
    if len <= n {
        return (0..len).collect();
    }
    match n {
        0 => Vec::new(),
        1 => vec![len - 1],
        n => (0..n).map(|i| (i * (len - 1) + (n - 1) / 2) / (n - 1)).collect(),
    }
}

/// The measured point with the best behaviour.
pub fn best(front: &[FrontPoint], heading: Heading) -> Option<usize> {
    best_of(front, heading, f64::INFINITY)
}

/// The measured fluent point with the best behaviour.
pub fn best_fluent(front: &[FrontPoint], heading: Heading) -> Option<usize> {
    best_of(front, heading, FLUENT_NATS)
}

/// Lowest (or, toward the persona, highest) rate; the margin decides between equal rates, then fluency.
fn best_of(front: &[FrontPoint], heading: Heading, xent_below: f64) -> Option<usize> {
    let sign = if heading == Heading::Away { 1.0 } else { -1.0 };
    let key = |found: &Behaviour| (sign * found.persona.rate, sign * found.mean_margin);
    front
        .iter()
        .enumerate()
        .filter(|(_, point)| point.candidate.xent < xent_below)
        .filter_map(|(i, point)| Some((i, key(point.select.as_ref()?), point.candidate.xent)))
        .min_by(|(_, a, xent_a), (_, b, xent_b)| {
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(xent_a.total_cmp(xent_b))
        })
        .map(|(i, ..)| i)
}

#[cfg(test)]
mod tests {
    use tiller_protocol::discovery::Candidate;

    use super::*;
    use crate::evaluate::counted;

    fn point(xent: f64, decisions: Option<&[bool]>, margin: f64) -> FrontPoint {
        let candidate =
            Candidate { id: 0, parent: None, iteration: 0, text: String::new(), ids: Vec::new(), target: 0.0, xent };
        let select = decisions.map(|d| Behaviour { mean_margin: margin, ..counted(d) });
        FrontPoint { candidate, lambda_range: None, select }
    }

    #[test]
    fn the_rate_decides_then_the_margin() {
        let front = [
            point(2.0, Some(&[true, false, false]), 0.5),
            point(2.5, Some(&[false, false, false]), -0.5),
            point(4.0, Some(&[false, false, false]), -0.7),
            point(5.0, None, -9.0),
        ];
        assert_eq!(best(&front, Heading::Away), Some(2));
        assert_eq!(best_fluent(&front, Heading::Away), Some(1));
        assert_eq!(best(&front, Heading::Toward), Some(0));
        assert_eq!(best(&front[3..], Heading::Away), None);
    }

    #[test]
    fn spread_keeps_both_ends() {
        assert_eq!(spread(3, 5), [0, 1, 2]);
        assert_eq!(spread(10, 4), [0, 3, 6, 9]);
        assert_eq!(spread(100, 12).len(), 12);
        assert_eq!(spread(100, 12)[11], 99);
        assert_eq!(spread(5, 1), [4]);
    }
}
