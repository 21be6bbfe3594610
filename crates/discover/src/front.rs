//! The front of a run: which candidates no other one beats in both effect and fluency.
//!
//! Effect (`target`) is to be large, cross-entropy (`xent`) small. Definitions: methods.md §3.2 for the ranges of λ
//! (the convex hull), §7.6 eq. 20 for the hypervolume. Unlike the published code the front is the whole
//! non-dominated set, of which the hull is the part that some λ chooses.

use std::collections::HashSet;

use tiller_protocol::discovery::{Candidate, FrontPoint};

/// Upper end of the λ range of the most fluent point, which has no end of its own.
pub const LAMBDA_CEILING: f64 = 1e6;

/// The non-dominated candidates of a history by rising cross-entropy, each once, with the range of λ that picks it.
pub fn front(history: &[Candidate]) -> Vec<FrontPoint> {
    let mut ids = HashSet::new();
    let mut texts = HashSet::new();
    let unique: Vec<&Candidate> =
        history.iter().filter(|c| ids.insert(c.ids.as_slice()) && texts.insert(c.text.as_str())).collect();
    let scores: Vec<(f64, f64)> = unique.iter().map(|c| (c.target, c.xent)).collect();
    let kept = non_dominated(&scores);
    let on_front: Vec<(f64, f64)> = kept.iter().map(|i| scores[*i]).collect();
    kept.iter()
        .zip(lambda_ranges(&on_front))
        .map(|(i, lambda_range)| FrontPoint { candidate: unique[*i].clone(), lambda_range, select: None })
        .collect()
}

/// Indices of the non-dominated `(target, xent)` by rising cross-entropy; of equals the first one stays.
pub fn non_dominated(scores: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| {
        let ((target_a, xent_a), (target_b, xent_b)) = (scores[*a], scores[*b]);
        xent_a.total_cmp(&xent_b).then(target_b.total_cmp(&target_a)).then(a.cmp(b))
    });
    let mut best = f64::NEG_INFINITY;
    order.retain(|i| {
        let rises = scores[*i].0 > best;
        best = best.max(scores[*i].0);
        rises
    });
    order
}

/// For each `(target, xent)` of a front in order of rising cross-entropy, the λ for which −target + λ·xent is the
/// smallest of all; `None` off the convex hull.
pub fn lambda_ranges(front: &[(f64, f64)]) -> Vec<Option<(f64, f64)>> {
    // Slope of target against xent; along the hull it falls.
    let slope = |a: usize, b: usize| (front[b].0 - front[a].0) / (front[b].1 - front[a].1);
    let mut hull: Vec<usize> = Vec::new();
    for i in 0..front.len() {
        while let [.., a, b] = hull[..]
            && slope(a, b) <= slope(b, i)
        {
            hull.pop();
        }
        hull.push(i);
    }
    let mut ranges = vec![None; front.len()];
    for (k, &i) in hull.iter().enumerate() {
        let high = if k == 0 { LAMBDA_CEILING } else { slope(hull[k - 1], i) };
        let low = hull.get(k + 1).map_or(0.0, |&next| slope(i, next));
        ranges[i] = Some((low, high));
    }
    ranges
}

/// Area between the front of `(target, xent)` and the reference point, in target units times nats. Points beyond the
/// reference add nothing.
pub fn hypervolume(scores: &[(f64, f64)], target_ref: f64, xent_ref: f64) -> f64 {
    let mut volume = 0.0;
    let mut below = target_ref;
    for i in non_dominated(scores) {
        let (target, xent) = scores[i];
        if target > below && xent < xent_ref {
            volume += (target - below) * (xent_ref - xent);
            below = target;
        }
    }
    volume
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u64, ids: &[u32], text: &str, target: f64, xent: f64) -> Candidate {
        Candidate { id, parent: None, iteration: 0, text: text.to_owned(), ids: ids.to_vec(), target, xent }
    }

    #[test]
    fn hypervolume_golden() {
        let points = [(1.0, 3.0), (2.0, 4.0), (3.0, 6.0), (1.5, 5.0)];
        assert_eq!(non_dominated(&points), [0, 1, 2]);
        assert!((hypervolume(&points, 0.0, 8.0) - 11.0).abs() < 1e-12);
        assert!(hypervolume(&[(-1.0, 2.0), (1.0, 9.0)], 0.0, 8.0).abs() < 1e-12);
    }

    #[test]
    fn ties_keep_the_first() {
        assert_eq!(non_dominated(&[(2.0, 1.0), (2.0, 1.0), (1.0, 1.0), (3.0, 1.5)]), [0, 3]);
        assert!(non_dominated(&[]).is_empty());
    }

    #[test]
    fn lambda_ranges_follow_the_hull() {
        // (1.4, 2) lies under the chord from (1, 1) to (3, 3).
        let ranges = lambda_ranges(&[(1.0, 1.0), (1.4, 2.0), (3.0, 3.0), (3.5, 5.0)]);
        assert_eq!(ranges, [Some((1.0, LAMBDA_CEILING)), None, Some((0.25, 1.0)), Some((0.0, 0.25))]);
        for (i, range) in ranges.iter().enumerate() {
            let Some((low, high)) = range else { continue };
            let lambda = f64::midpoint(*low, high.min(2.0));
            let scores = [(1.0, 1.0), (1.4, 2.0), (3.0, 3.0), (3.5, 5.0)];
            let best = (0..4).min_by(|a, b| {
                let loss = |k: usize| -scores[k].0 + lambda * scores[k].1;
                loss(*a).total_cmp(&loss(*b))
            });
            assert_eq!(best, Some(i));
        }
    }

    #[test]
    fn same_ids_or_same_text_appear_once() {
        let history = [
            candidate(0, &[1], "a", 1.0, 1.0),
            candidate(1, &[1], "a", 1.0, 1.0),
            candidate(2, &[2, 3], "a", 9.0, 0.5),
            candidate(3, &[4], "b", 2.0, 2.0),
        ];
        let front: Vec<u64> = front(&history).iter().map(|p| p.candidate.id).collect();
        assert_eq!(front, [0, 3]);
    }
}
