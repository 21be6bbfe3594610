use candle_core::{Device, Tensor, Var};

use super::choose::RowChoice;
use super::*;
use crate::Model;
use crate::random::Noise;
use crate::sae::{Precision, Sae};
use crate::testing::config;

const D: usize = 12;

fn options(kind: TrainKind) -> TrainOptions {
    TrainOptions { seed: 3, ..TrainOptions::new(kind, D, (24, 3), (64 * 400, 64)) }
}

/// Rows that are sums of three of `n` directions, with positive weights, around a point that is not 0.
fn sparse_rows(n: usize, n_directions: usize) -> Rows {
    let mut noise = Noise(11);
    let directions: Vec<Vec<f32>> = (0..n_directions).map(|_| (0..D).map(|_| noise.uniform()).collect()).collect();
    let mut values = Vec::new();
    for _ in 0..n {
        let mut row = vec![0.7; D];
        for _ in 0..3 {
            let direction = &directions[(noise.next() % n_directions as u64) as usize];
            let weight = 6.0 + 2.0 * noise.uniform();
            row.iter_mut().zip(direction).for_each(|(x, w)| *x += weight * w);
        }
        values.extend(row);
    }
    let mut rows = Rows::new(D);
    rows.push(&Tensor::from_vec(values, (n, D), &Device::Cpu).unwrap()).unwrap();
    rows
}

/// Trains to the end, over the same rows again and again.
fn train(trainer: &mut Trainer, rows: &mut Rows, until: u64) -> TrainPoint {
    let per_turn = rows.n_batches(trainer.options().batch) as u64;
    let mut last = TrainPoint::default();
    while trainer.n_steps() < until {
        trainer.shuffle(rows, trainer.n_steps() / per_turn);
        last = trainer.step(rows, (trainer.n_steps() % per_turn) as usize).unwrap();
    }
    last
}

fn published(kind: TrainKind, trainer: &Trainer) -> Sae {
    let dir = tempfile::tempdir().unwrap();
    let about = Published {
        model: "tiny".to_owned(),
        block: 2,
        context_len: 64,
        has_leading_token: true,
        precision: Precision::F32,
    };
    std::fs::write(dir.path().join("cfg.json"), trainer.config(&about)).unwrap();
    let mut file = std::fs::File::create(dir.path().join("sae_weights.safetensors")).unwrap();
    trainer.write_weights(Precision::F32, &mut file).unwrap();
    let found = crate::sae::describe(dir.path(), crate::sae::Hints::default()).unwrap();
    assert_eq!((found.site.block(), found.d_sae, found.reads.as_deref()), (2, 24, Some("tiny")));
    assert_eq!(found.k, (kind == TrainKind::TopK).then_some(3));
    Sae::load(dir.path(), &Device::Cpu).unwrap()
}

#[test]
fn every_kind_learns_and_is_read_as_it_was_trained() {
    for (kind, worst) in [(TrainKind::TopK, 0.1), (TrainKind::BatchTopK, 0.1), (TrainKind::JumpRelu, 0.12)] {
        let mut rows = sparse_rows(4096, 16);
        let mut trainer = Trainer::new(TrainOptions { learning_rate: 0.01, ..options(kind) }, &mut rows).unwrap();
        let first = trainer.step(&rows, 0).unwrap();
        let last = train(&mut trainer, &mut rows, 400);
        assert!(trainer.is_done() && last.tokens == 400 * 64, "{last:?}");
        assert!(last.fvu < worst && last.fvu < first.fvu / 3.0, "{kind:?}: {first:?} {last:?}");
        assert!((last.l0 - 3.0).abs() < 0.6, "{kind:?}: {last:?}");
        let sae = published(kind, &trainer);
        let x =
            Tensor::from_vec(rows.used().take(512).flatten().copied().collect::<Vec<f32>>(), (512, D), &Device::Cpu);
        let x = x.unwrap();
        let acts = sae.encode(&x).unwrap();
        let l0 = acts.gt(0.0).unwrap().to_dtype(candle_core::DType::F32).unwrap().sum_all().unwrap();
        let l0 = l0.to_scalar::<f32>().unwrap() / 512.0;
        let error = (sae.reconstruct(&x).unwrap() - &x).unwrap().sqr().unwrap().sum_all().unwrap();
        let flat = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let fvu = f64::from(error.to_scalar::<f32>().unwrap()) / spread(&flat, D);
        // Read with one threshold, `BatchTopK` is a little off.
        assert!(
            (fvu - last.fvu).abs() < 0.05 && (f64::from(l0) - last.l0).abs() < 0.5,
            "{kind:?}: {fvu} {l0} {last:?}"
        );
    }
}

#[test]
fn a_training_gone_on_with_equals_one_without_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    for kind in TrainKind::ALL {
        let options = TrainOptions { dead_after: 20, steps: 80, ..options(kind) };
        let mut rows = sparse_rows(1000, 40);
        let mut whole = Trainer::new(options.clone(), &mut rows).unwrap();
        train(&mut whole, &mut rows, 80);
        let mut rows = sparse_rows(1000, 40);
        let mut begun = Trainer::new(options.clone(), &mut rows).unwrap();
        train(&mut begun, &mut rows, 37);
        let path = dir.path().join("checkpoint");
        begun.write_state("turn 2", &mut std::fs::File::create(&path).unwrap()).unwrap();
        let (mut resumed, note) = Trainer::resume(&path, options.clone(), D).unwrap();
        assert_eq!((note.as_str(), resumed.n_steps()), ("turn 2", 37));
        assert!(resumed == begun, "{kind:?}: nothing is lost on the way");
        train(&mut resumed, &mut rows, 80);
        assert!(resumed == whole, "{kind:?}: the same bits");
        let other = TrainOptions { k: 4, seed: 4, ..options };
        let refused = Trainer::resume(&path, other, D).unwrap_err().to_string();
        assert!(refused.contains("(k, seed)"), "{refused}");
    }
    let path = dir.path().join("checkpoint");
    let text = std::fs::read(&path).unwrap();
    for broken in [&text[..text.len() / 2], &text[..5], b"{}"] {
        std::fs::write(&path, broken).unwrap();
        assert!(Trainer::resume(&path, options(TrainKind::TopK), D).is_err());
    }
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let mut few = sparse_rows(63, 16);
    let refused = Trainer::new(options(TrainKind::TopK), &mut few).unwrap_err().to_string();
    assert!(refused.contains("63 tokens"), "{refused}");
    let mut alike = Rows::new(D);
    alike.push(&Tensor::ones((100, D), candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert!(Trainer::new(options(TrainKind::TopK), &mut alike).is_err());
    let broken = Tensor::from_vec(vec![f32::NAN; D], (1, D), &Device::Cpu).unwrap();
    assert!(alike.push(&broken).is_err());
    let mut rows = sparse_rows(640, 16);
    for wrong in [
        TrainOptions { k: 0, ..options(TrainKind::TopK) },
        TrainOptions { k: 25, ..options(TrainKind::TopK) },
        TrainOptions { learning_rate: f64::NAN, ..options(TrainKind::TopK) },
        TrainOptions { batch: 1, ..options(TrainKind::TopK) },
    ] {
        assert!(Trainer::new(wrong, &mut rows).is_err());
    }
    let wild = TrainOptions { learning_rate: 1e9, warm_up: 0, ..options(TrainKind::TopK) };
    let mut trainer = Trainer::new(wild, &mut rows).unwrap();
    let ended = (0..8).find_map(|batch| trainer.step(&rows, batch).err());
    assert!(matches!(ended, Some(EngineError::Diverged { .. })), "{ended:?}");
}

#[test]
fn rows_come_from_the_model_without_the_first_position_and_the_outlying() {
    let model = Model::random(config(), 5).unwrap();
    let ids: Vec<u32> = (10..30).collect();
    let mut rows = Rows::new(40);
    rows.add(&model, 1, &[&ids, &ids[..1], &ids[..7]]).unwrap();
    assert_eq!(rows.len(), 19 + 6);
    let mut alone = Rows::new(40);
    alone.add(&model, 1, &[&ids]).unwrap();
    let as_they_came = |rows: &Rows| (0..19).flat_map(|idx| rows.row(idx).to_vec()).collect::<Vec<f32>>();
    let used = |rows: &Rows| rows.used().flatten().copied().collect::<Vec<f32>>();
    let (first, second) = (as_they_came(&rows), as_they_came(&alone));
    assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-4), "of the whole sequence");
    rows.push(&(Tensor::ones((1, 40), candle_core::DType::F32, &Device::Cpu).unwrap() * 1e4).unwrap()).unwrap();
    rows.shuffle(1, 0, rows.usual_limit());
    assert_eq!((rows.len(), rows.used().count()), (26, 25));
    let first = used(&rows);
    rows.shuffle(1, 1, rows.usual_limit());
    assert_ne!(used(&rows), first, "another order in the next turn");
    rows.shuffle(1, 0, rows.usual_limit());
    assert_eq!(used(&rows), first, "the same in the same");
    let (one, other) = (order(50, 1, 0), order(50, 1, 1));
    assert!(one != other && one == order(50, 1, 0) && one != order(50, 2, 0));
    let mut sorted = one;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..50).collect::<Vec<u32>>());
}

/// Loss and gradients by the tensor library, of the formulas as they are written.
struct Reference {
    loss: f64,
    slopes: Vec<(&'static str, Vec<f32>)>,
}

fn reference(trainer: &Trainer, batch: &Batch, choice: &[RowChoice]) -> Reference {
    let (p, o) = (&trainer.parameters, &trainer.options);
    let (n, f) = (choice.len(), o.d_sae);
    let var = |values: &[f32], rows: usize| {
        Var::from_tensor(&Tensor::from_slice(values, (rows, values.len() / rows), &Device::Cpu).unwrap()).unwrap()
    };
    let (enc, dec, b_enc, b_dec) = (var(&p.enc, f), var(&p.dec, f), var(&p.b_enc, 1), var(&p.b_dec, 1));
    let mask = |of: &dyn Fn(&RowChoice) -> &Vec<(u32, f32)>| {
        let mut mask = vec![0.0_f32; n * f];
        for (row, choice) in choice.iter().enumerate() {
            for (latent, _) in of(choice) {
                mask[row * f + *latent as usize] = 1.0;
            }
        }
        Tensor::from_vec(mask, (n, f), &Device::Cpu).unwrap()
    };
    let x = Tensor::from_slice(&batch.x, (n, D), &Device::Cpu).unwrap();
    let pre = x.broadcast_sub(&b_dec).unwrap().matmul(&enc.t().unwrap()).unwrap().broadcast_add(&b_enc).unwrap();
    let acts = (&pre * mask(&|row| &row.main)).unwrap();
    let out = acts.matmul(&dec).unwrap().broadcast_add(&b_dec).unwrap();
    let error = (&x - &out).unwrap();
    let left = (error.detach() - (&pre * mask(&|row| &row.spare)).unwrap().matmul(&dec).unwrap()).unwrap();
    let unit = 1.0 / (n as f64 * f64::from(batch.variance));
    let spare = (left.sqr().unwrap().sum_all().unwrap() * f64::from(o.spare_weight)).unwrap();
    let has_spare = choice.iter().any(|row| !row.spare.is_empty());
    let main = error.sqr().unwrap().sum_all().unwrap();
    let total = if has_spare { (main + spare).unwrap() } else { main };
    let loss = (total * unit).unwrap();
    let grads = loss.backward().unwrap();
    let flat = |var: &Var| grads.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut slopes = vec![("enc", flat(&enc)), ("dec", flat(&dec)), ("b_enc", flat(&b_enc)), ("b_dec", flat(&b_dec))];
    let mut loss = f64::from(loss.to_scalar::<f32>().unwrap());
    if o.kind == TrainKind::JumpRelu {
        // ∂loss/∂f of all latents, then the two windows.
        let by_f = (out - x).unwrap().matmul(&dec.t().unwrap()).unwrap();
        let (by_f, pre) = (by_f.to_vec2::<f32>().unwrap(), pre.to_vec2::<f32>().unwrap());
        let l0 = choice.iter().map(|row| row.main.len()).sum::<usize>() as f64 / n as f64;
        let excess = l0 / o.k as f64 - 1.0;
        loss += f64::from(o.count_weight) * excess * excess;
        let mut by_log = vec![0.0; f];
        for (pre, by_f) in pre.iter().zip(&by_f) {
            for latent in 0..f {
                let theta = f64::from(p.log_theta[latent].exp());
                if (f64::from(pre[latent]) - theta).abs() < f64::from(o.bandwidth) / 2.0 {
                    let by_f = 2.0 * unit * f64::from(by_f[latent]);
                    let by_count = f64::from(o.count_weight) * 2.0 * excess / (o.k as f64 * n as f64);
                    let by_theta = -(theta * by_f + by_count) / f64::from(o.bandwidth);
                    by_log[latent] += (theta * by_theta) as f32;
                }
            }
        }
        slopes.push(("log_theta", by_log));
    }
    Reference { loss, slopes }
}

#[test]
fn the_gradient_is_that_of_the_formulas() {
    for kind in TrainKind::ALL {
        let mut rows = sparse_rows(640, 16);
        // A window that catches some of the pre-activations.
        let options = TrainOptions { bandwidth: 0.4, ..options(kind) };
        let mut trainer = Trainer::new(options, &mut rows).unwrap();
        for batch in 0..6 {
            trainer.step(&rows, batch).unwrap();
        }
        for dead in [vec![], (0..12).collect::<Vec<u32>>()] {
            let batch = trainer.batch(&rows, 7).unwrap();
            let choice = choose(&trainer.options, &trainer.parameters, &batch.centred, &dead);
            assert!(dead.is_empty() || choice.iter().any(|row| !row.spare.is_empty()));
            let near = choice.iter().map(|row| row.near.len()).sum::<usize>();
            assert_eq!(near > 0, kind == TrainKind::JumpRelu);
            let (loss, slopes) = gradient(&trainer.options, &trainer.parameters, &batch, &choice);
            let expected = reference(&trainer, &batch, &choice);
            assert!((loss.total - expected.loss).abs() < 1e-5 * expected.loss, "{kind:?}");
            for (name, expected) in &expected.slopes {
                let (_, found) = slopes.fields().into_iter().find(|(other, _)| other == name).unwrap();
                let size = expected.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
                assert!(size > 0.0 && found.len() == expected.len());
                let far = found.iter().zip(expected).fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
                assert!(far < 2e-5 * size, "{kind:?}, {name}: {far} of {size}");
            }
        }
    }
}
