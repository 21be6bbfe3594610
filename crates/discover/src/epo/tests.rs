//! EPO on a toy: prompts are digits, effect is their sum, fluent prompts change little from digit to digit.

use std::cell::{Cell, RefCell};

use super::*;

struct Toy {
    allowed: Vec<u32>,
    /// Prompts containing this digit have no text.
    unreadable: Option<u32>,
    asked: RefCell<Vec<(Vec<u32>, f64)>>,
    evaluated: Cell<usize>,
    batch: usize,
}

impl Toy {
    fn new() -> Self {
        Self {
            allowed: (0..10).collect(),
            unreadable: None,
            asked: RefCell::new(Vec::new()),
            evaluated: Cell::new(0),
            batch: 7,
        }
    }

    fn score(ids: &[u32]) -> Score {
        let target = ids.iter().map(|d| f64::from(*d)).sum();
        let jumps: f64 = ids.windows(2).map(|w| f64::from(w[0].abs_diff(w[1]))).sum();
        // Large digits cost a little, so that the weights pull apart.
        let xent = 0.1 * jumps + ids.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>() / 9.0;
        Score { target, xent }
    }
}

impl Landscape for Toy {
    fn allowed(&self, _position: usize) -> &[u32] {
        &self.allowed
    }

    fn text(&self, ids: &[u32]) -> Result<Option<String>> {
        let readable = self.unreadable.is_none_or(|bad| !ids.contains(&bad));
        Ok(readable.then(|| ids.iter().map(|d| d.to_string()).collect()))
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn evaluate(&self, prompts: &[Vec<u32>]) -> Result<Vec<Score>> {
        self.evaluated.set(self.evaluated.get() + prompts.len());
        Ok(prompts.iter().map(|ids| Self::score(ids)).collect())
    }

    fn proposals(&self, members: &[(&[u32], f64)], k: usize) -> Result<Vec<Vec<Vec<u32>>>> {
        self.asked.borrow_mut().extend(members.iter().map(|(ids, lambda)| (ids.to_vec(), *lambda)));
        let best = |ids: &[u32], lambda: f64, position: usize| {
            let loss = |digit: &u32| {
                let mut ids = ids.to_vec();
                ids[position] = *digit;
                -Self::score(&ids).target + lambda * Self::score(&ids).xent
            };
            let mut digits = self.allowed.clone();
            digits.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
            digits.truncate(k);
            digits
        };
        Ok(members.iter().map(|(ids, lambda)| (0..ids.len()).map(|p| best(ids, *lambda, p)).collect()).collect())
    }
}

fn settings() -> EpoSettings {
    EpoSettings {
        prompt_len: 4,
        population: 4,
        children: 6,
        iterations: 25,
        max_evaluations: None,
        top_k: 3,
        lambda_min: 0.1,
        lambda_max: 2.0,
        restart_every: 0,
        restart_xent: 1.0,
        restart_max_mult: 2.0,
        proposer: Proposer::Gradient,
        warm_start: None,
        seed: 5,
    }
}

fn go(toy: &Toy, settings: &EpoSettings) -> Run {
    epo(toy, settings, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn lambda_grid_golden() {
    for (min, max, expected) in [(0.1, 10.0, [0.1, 0.4642, 2.1544, 10.0]), (2.0, 12.0, [2.0, 3.6342, 6.6039, 12.0])] {
        for (found, expected) in lambda_grid(min, max, 4).iter().zip(expected) {
            assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
        }
    }
    assert_eq!(lambda_grid(0.0, 10.0, 3), [0.0; 3]);
    assert_eq!(lambda_grid(0.5, 4.0, 1), [0.5]);
}

#[test]
fn slot_selection_golden_with_ties() {
    let pool: Vec<Score> = [(10.0, 9.0), (7.0, 6.0), (4.0, 4.0), (3.5, 4.2)]
        .into_iter()
        .map(|(target, xent)| Score { target, xent })
        .collect();
    for (lambda, expected) in [(0.5, 0), (1.0, 0), (1.5, 1), (2.0, 2), (3.0, 2)] {
        assert_eq!(select(&pool, lambda), Some(expected), "λ = {lambda}");
    }
    assert_eq!(select(&[], 1.0), None);
}

#[test]
fn it_finds_the_optimum_of_each_weight() {
    let toy = Toy::new();
    let run = go(&toy, &settings());
    let lambdas = lambda_grid(0.1, 2.0, 4);
    for (member, lambda) in run.population().iter().zip(&lambdas) {
        let loss = |ids: &[u32]| -Toy::score(ids).target + lambda * Toy::score(ids).xent;
        let best = (0..10_u32).map(|d| loss(&[d; 4])).fold(f64::INFINITY, f64::min);
        assert!(loss(&member.ids) <= best + 0.5, "λ {lambda}: {member:?}");
    }
    assert_eq!(run.iteration, 25);
}

#[test]
fn gradients_use_the_slots_own_weight() {
    let toy = Toy::new();
    let lambdas = lambda_grid(0.1, 2.0, 4);
    let mut members: Vec<Vec<Vec<u32>>> = vec![Vec::new(); 4];
    let run = epo(&toy, &settings(), &mut |report| {
        if let Report::Iteration { run, .. } = report {
            for (slot, member) in run.population().into_iter().enumerate() {
                members[slot].push(member.ids);
            }
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    for (ids, lambda) in toy.asked.borrow().iter() {
        let slot = lambdas.iter().position(|l| l == lambda).expect("a weight of the grid");
        assert!(members[slot].contains(ids), "λ {lambda} was used for a prompt that its slot never held");
    }
    assert_eq!(run.gradients, toy.asked.borrow().len() as u64);
}

#[test]
fn the_pool_of_a_slot_is_parents_first() {
    // All children score what their parents score: nothing may move.
    struct Flat(Toy);
    impl Landscape for Flat {
        fn allowed(&self, position: usize) -> &[u32] {
            self.0.allowed(position)
        }
        fn text(&self, ids: &[u32]) -> Result<Option<String>> {
            self.0.text(ids)
        }
        fn batch(&self) -> usize {
            self.0.batch()
        }
        fn evaluate(&self, prompts: &[Vec<u32>]) -> Result<Vec<Score>> {
            Ok(vec![Score { target: 1.0, xent: 1.0 }; prompts.len()])
        }
        fn proposals(&self, members: &[(&[u32], f64)], k: usize) -> Result<Vec<Vec<Vec<u32>>>> {
            self.0.proposals(members, k)
        }
    }
    let run = epo(&Flat(Toy::new()), &settings(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(run.slots, [0; 4]);
}

#[test]
fn nothing_is_evaluated_twice_and_unreadable_prompts_never() {
    let mut toy = Toy::new();
    toy.unreadable = Some(9);
    let run = go(&toy, &settings());
    let unique: HashSet<&Vec<u32>> = run.history.iter().map(|c| &c.ids).collect();
    assert_eq!(unique.len(), run.history.len());
    assert_eq!(toy.evaluated.get(), run.history.len());
    assert!(run.history.iter().all(|c| !c.ids.contains(&9)));
    assert!(run.history.iter().enumerate().all(|(i, c)| c.id == i as u64));
}

#[test]
fn the_filter_holds() {
    let mut toy = Toy::new();
    toy.allowed = vec![1, 4, 6];
    for proposer in [Proposer::Gradient, Proposer::RandomMutation] {
        let run = go(&toy, &EpoSettings { proposer, ..settings() });
        assert!(run.history.iter().all(|c| c.ids.iter().all(|id| toy.allowed.contains(id))));
    }
    toy.allowed.clear();
    let empty = epo(&toy, &settings(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(empty, Err(DiscoverError::NoPrompt { prompt_len: 4 })));
}

#[test]
fn children_differ_from_their_parent_in_one_token_and_go_round_robin() {
    let run = go(&Toy::new(), &EpoSettings { iterations: 3, ..settings() });
    for child in run.history.iter().filter(|c| c.iteration > 0) {
        let parent = &run.history[usize::try_from(child.parent.unwrap()).unwrap()];
        assert_eq!(parent.ids.iter().zip(&child.ids).filter(|(a, b)| a != b).count(), 1);
    }
    let first: Vec<u64> = run.history[4..8].iter().filter_map(|c| c.parent).collect();
    assert_eq!(first, [0, 1, 2, 3]);
}

#[test]
fn a_seed_repeats_exactly_and_another_differs() {
    let toy = Toy::new();
    let with = |seed| go(&toy, &EpoSettings { seed, restart_every: 7, ..settings() });
    assert_eq!(with(1), with(1));
    assert_ne!(with(1).history, with(2).history);
}

#[test]
fn a_run_cut_in_two_equals_an_unbroken_one() {
    let toy = Toy::new();
    let settings = EpoSettings { restart_every: 5, ..settings() };
    let half = go(&toy, &EpoSettings { iterations: 11, ..settings.clone() });
    let resumed = resume(&toy, &settings, half, &mut |_| ControlFlow::Continue(())).unwrap();
    let whole = go(&toy, &settings);
    assert_eq!((resumed.history, resumed.slots), (whole.history, whole.slots));
}

#[test]
fn stopping_keeps_everything_so_far() {
    let toy = Toy::new();
    let at_iteration = epo(&toy, &settings(), &mut |report| match report {
        Report::Iteration { run, .. } if run.iteration == 3 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert!(at_iteration.stopped);
    assert_eq!(at_iteration.iteration, 3);
    let whole = go(&toy, &settings());
    assert_eq!(at_iteration.history, whole.history[..at_iteration.history.len()]);

    let mut batches = 0;
    let inside = epo(&toy, &settings(), &mut |report| {
        batches += usize::from(matches!(report, Report::Evaluating { .. }));
        if batches == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert!(inside.stopped);
    assert_eq!(inside.history, whole.history[..4 + 3 * 7]);
}

#[test]
fn restarts_skip_iteration_0_and_fill_every_slot_with_one_member() {
    let toy = Toy::new();
    let settings = EpoSettings { restart_every: 4, iterations: 9, ..settings() };
    let mut collapsed = Vec::new();
    epo(&toy, &settings, &mut |report| {
        if let Report::Iteration { run, .. } = report
            && run.slots.iter().all(|slot| *slot == run.slots[0])
        {
            collapsed.push(run.iteration);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    // Loop index 4 and 8 are the fifth and ninth iteration; index 0 is not among them.
    assert!(collapsed.contains(&5) && collapsed.contains(&9) && !collapsed.contains(&1), "{collapsed:?}");
}

#[test]
fn restart_weights_are_drawn_from_their_range() {
    // With the centre far above every λ of the grid, the drawn weight decides which member survives.
    let toy = Toy::new();
    let survivors: HashSet<Vec<u32>> = (0..12)
        .map(|seed| {
            let settings = EpoSettings {
                restart_every: 1,
                iterations: 2,
                restart_xent: 0.6,
                restart_max_mult: 6.0,
                seed,
                warm_start: Some(vec![5, 5, 5, 5]),
                ..settings()
            };
            go(&toy, &settings).population()[0].ids.clone()
        })
        .collect();
    assert!(survivors.len() > 1, "the restart weight never changed the survivor");
}

#[test]
fn evaluation_budget_is_exact() {
    let toy = Toy::new();
    for budget in [4, 30, 61] {
        let settings = EpoSettings { max_evaluations: Some(budget), ..settings() };
        assert_eq!(go(&toy, &settings).evaluations(), budget);
    }
}

#[test]
fn warm_start_begins_with_its_text() {
    let mut toy = Toy::new();
    let warm = |ids: Vec<u32>| EpoSettings { warm_start: Some(ids), ..settings() };
    let run = go(&toy, &warm(vec![1, 2, 3]));
    assert_eq!(run.history[0].ids, [1, 2, 3]);
    assert!(run.history.iter().all(|c| c.ids.len() == 3));
    toy.unreadable = Some(2);
    let refused = epo(&toy, &warm(vec![1, 2, 3]), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(DiscoverError::BadSettings(_))));
}

#[test]
fn nonsense_settings_are_refused() {
    let toy = Toy::new();
    for settings in [
        EpoSettings { population: 0, ..settings() },
        EpoSettings { prompt_len: 0, ..settings() },
        EpoSettings { lambda_min: 2.0, lambda_max: 1.0, ..settings() },
        EpoSettings { lambda_max: f64::NAN, ..settings() },
        EpoSettings { restart_max_mult: 0.5, ..settings() },
        EpoSettings { warm_start: Some(vec![]), ..settings() },
    ] {
        let refused = epo(&toy, &settings, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(refused, Err(DiscoverError::BadSettings(_))), "{settings:?}");
    }
}
