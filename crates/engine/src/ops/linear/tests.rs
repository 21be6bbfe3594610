use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Tensor, Var};
use half::{bf16, f16};

use super::rows::Rows;
use super::{Linear, Orientation};
use crate::ops::loss::{self, Head};
use crate::stored::Stored;
use crate::testing::{close, deviation, ids, noise};

const N_IN: usize = 512;

/// Numbers of input rows: one, few, the last of the integer products and the first after it, many, the first panel.
const N_ROWS: [usize; 6] = [1, 3, 8, 9, 40, 65];

/// Repeatable values in [−1, 1) without a pattern, so that no sum cancels.
fn scattered(shape: &[usize], seed: u32) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9) + 1;
    let mut next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(&mut next).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn stored(values: &Tensor, format: &str) -> Stored {
    let half = |dtype| Stored::Quantised(Arc::new(QTensor::quantize(values, dtype).unwrap()));
    match format {
        "f32" => Stored::F32(flat(values)),
        "f16" => Stored::F16(flat(values).into_iter().map(f16::from_f32).collect()),
        "bf16" => Stored::Bf16(flat(values).into_iter().map(bf16::from_f32).collect()),
        "q4_k" => half(GgmlDType::Q4K),
        "q5_k" => half(GgmlDType::Q5K),
        "q6_k" => half(GgmlDType::Q6K),
        "q8_0" => half(GgmlDType::Q8_0),
        other => panic!("no format {other}"),
    }
}

/// The parts `(format, n_out)` one below the other; and the same map of the same rounded values in f32.
fn linears(parts: &[(&str, usize)], bias: Option<&Tensor>) -> (Linear, Linear) {
    let made = |(i, &(format, n_out)): (usize, &(&str, usize))| stored(&scattered(&[n_out, N_IN], i as u32), format);
    let stored: Vec<Stored> = parts.iter().enumerate().map(made).collect();
    let wide: Vec<f32> = stored.iter().flat_map(|stored| stored.clone().widened().unwrap()).collect();
    let n_out = parts.iter().map(|(_, n_out)| n_out).sum::<usize>();
    let wide = Tensor::from_vec(wide, (n_out, N_IN), &Device::Cpu).unwrap();
    let rows = stored.into_iter().zip(parts).map(|(stored, &(_, n_out))| Rows::new(stored, n_out, N_IN).unwrap());
    let narrow = Linear::of_rows(rows.collect(), bias.cloned());
    (narrow, Linear::new(wide, bias.cloned(), Orientation::OutIn))
}

fn value_and_gradient(linear: &Linear, x: &Tensor) -> (Tensor, Result<Tensor>) {
    let var = Var::from_tensor(x).unwrap();
    let y = linear.forward(var.as_tensor()).unwrap();
    let grads = (&y * noise(y.dims(), 0.3)).unwrap().sum_all().unwrap().backward();
    (y.detach(), grads.map(|grads| grads.get(var.as_tensor()).unwrap().clone()))
}

#[test]
fn sixteen_bit_weights_give_what_their_values_give_in_f32() {
    let bias = noise(&[67 + 34 + 1100], 1.0);
    for format in ["bf16", "f16"] {
        // The last part is large enough for all threads.
        let (narrow, wide) = linears(&[(format, 67), ("f32", 34), (format, 1100)], Some(&bias));
        for n in N_ROWS {
            let x = scattered(&[n, N_IN], 5);
            let ((value, grad), (expected, expected_grad)) =
                (value_and_gradient(&narrow, &x), value_and_gradient(&wide, &x));
            close(&value, &expected, 3e-6);
            close(&grad.unwrap(), &expected_grad.unwrap(), 3e-6);
            close(&narrow.composite(&x).unwrap(), &expected, 3e-6);
        }
        assert!(narrow.has_gradient());
    }
}

#[test]
fn turned_weights_give_what_their_values_give_in_f32() {
    for format in ["bf16", "f16"] {
        for n_out in [64, 33, 1100] {
            let bias = noise(&[n_out + 48], 1.0);
            let parts: Vec<Stored> = [n_out, 48].map(|n| stored(&scattered(&[n, N_IN], n as u32), format)).into();
            let wide: Vec<f32> = parts.iter().flat_map(|part| part.clone().widened().unwrap()).collect();
            let wide = Tensor::from_vec(wide, (n_out + 48, N_IN), &Device::Cpu).unwrap();
            let wide = Linear::new(wide, Some(bias.clone()), Orientation::OutIn);
            let turned = Linear::of_turned(Rows::turned(parts, N_IN).unwrap(), Some(bias));
            assert_eq!((turned.n_in(), turned.n_out(), turned.n_values()), (N_IN, n_out + 48, wide.n_values()));
            for n in N_ROWS {
                let x = scattered(&[n, N_IN], 5);
                let ((value, grad), (expected, expected_grad)) =
                    (value_and_gradient(&turned, &x), value_and_gradient(&wide, &x));
                close(&value, &expected, 3e-6);
                close(&grad.unwrap(), &expected_grad.unwrap(), 3e-6);
                close(&turned.composite(&x).unwrap(), &expected, 3e-6);
            }
        }
    }
    assert!(
        Rows::turned(vec![stored(&noise(&[2, N_IN], 0.0), "f16"), stored(&noise(&[2, N_IN], 0.0), "bf16")], N_IN)
            .is_err()
    );
}

#[test]
fn rows_wider_than_what_is_widened_at_once_agree() {
    let (n_in, n_out) = (4999, 71);
    let stored = stored(&scattered(&[n_out, n_in], 2), "bf16");
    let wide = Tensor::from_vec(stored.clone().widened().unwrap(), (n_out, n_in), &Device::Cpu).unwrap();
    let wide = Linear::new(wide, None, Orientation::OutIn);
    let narrow = Linear::of_rows(vec![Rows::new(stored, n_out, n_in).unwrap()], None);
    for n in [1, 7, 40] {
        let x = scattered(&[n, n_in], 5);
        let ((value, grad), (expected, expected_grad)) =
            (value_and_gradient(&narrow, &x), value_and_gradient(&wide, &x));
        close(&value, &expected, 3e-6);
        close(&grad.unwrap(), &expected_grad.unwrap(), 3e-6);
    }
}

#[test]
fn the_gradient_of_sixteen_bit_weights_is_the_slope() {
    let (rows, _) = linears(&[("bf16", 70), ("bf16", 33)], None);
    let turned = Rows::turned(vec![stored(&scattered(&[70, N_IN], 2), "bf16")], N_IN).unwrap();
    for linear in [rows, Linear::of_turned(turned, None)] {
        for n in [1, 40] {
            let x = scattered(&[n, N_IN], 5);
            let (_, grad) = value_and_gradient(&linear, &x);
            crate::ops::tests::slope_agrees(&|x| linear.forward(x), &x, &grad.unwrap());
        }
    }
}

#[test]
fn quantised_weights_round_the_input_of_few_rows_alone() {
    // Eight bits for each value of the input: a part in 127 of a block's largest.
    let rounded = 0.01;
    for format in ["q4_k", "q5_k", "q6_k", "q8_0"] {
        let (narrow, wide) = linears(&[(format, 64), ("q6_k", 32), (format, 1100)], None);
        for n in N_ROWS {
            let x = scattered(&[n, N_IN], 5);
            let (value, expected) = (narrow.forward(&x).unwrap(), wide.forward(&x).unwrap());
            close(&value, &expected, if n <= 8 { rounded } else { 3e-6 });
            assert_eq!(n <= 8, deviation(&value, &expected) > 1e-4, "{format}, {n} rows");
        }
    }
}

#[test]
fn quantised_weights_refuse_a_gradient() {
    let (linear, _) = linears(&[("bf16", 64), ("q8_0", 32)], None);
    assert!(!linear.has_gradient());
    for n in [1, 40] {
        let (_, grad) = value_and_gradient(&linear, &scattered(&[n, N_IN], 5));
        assert!(grad.unwrap_err().to_string().contains("no gradient"));
    }
}

#[test]
fn results_are_added_where_asked() {
    for (format, exact) in [("bf16", 3e-6), ("q8_0", 0.01)] {
        let (narrow, wide) = linears(&[(format, 48), (format, 17)], None);
        for n in N_ROWS {
            let x = flat(&scattered(&[n, N_IN], 5));
            let before = flat(&noise(&[n, 65], 0.9));
            let (mut out, mut expected) = (before.clone(), before);
            narrow.forward_into(&mut out, &x, true).unwrap();
            wide.forward_into(&mut expected, &x, true).unwrap();
            let tensor = |rows| Tensor::from_vec(rows, (n, 65), &Device::Cpu).unwrap();
            close(&tensor(out), &tensor(expected), exact);
        }
    }
}

#[test]
fn some_outputs_are_those_of_all() {
    for format in ["bf16", "q6_k"] {
        let (narrow, wide) = linears(&[(format, 70), (format, 50)], None);
        for n in [3, 40] {
            let x = flat(&scattered(&[n, N_IN], 5));
            let outputs = 60..110;
            let (mut out, mut expected) = (vec![9.0; n * 50], vec![9.0; n * 50]);
            narrow.forward_some(&mut out, &x, outputs.clone()).unwrap();
            wide.forward_some(&mut expected, &x, outputs.clone()).unwrap();
            let tensor = |rows, width| Tensor::from_vec(rows, (n, width), &Device::Cpu).unwrap();
            let expected = tensor(expected, 50);
            close(&tensor(out.clone(), 50), &expected, 3e-6);
            if format == "bf16" {
                let (mut dx, mut expected_dx) = (x.clone(), x);
                narrow.backward_some(&mut dx, &out, outputs.clone()).unwrap();
                wide.backward_some(&mut expected_dx, &out, outputs).unwrap();
                close(&tensor(dx, N_IN), &tensor(expected_dx, N_IN), 3e-6);
            }
        }
    }
}

#[test]
fn rows_are_looked_up_in_every_format() {
    for format in ["f32", "f16", "bf16", "q4_k", "q8_0"] {
        let (narrow, wide) = linears(&[(format, 30), (format, 20)], None);
        let wanted = [0, 49, 30, 29, 7, 7];
        let found = narrow.look_up(&wanted, &Device::Cpu).unwrap();
        assert_eq!(flat(&found), flat(&wide.look_up(&wanted, &Device::Cpu).unwrap()), "{format}");
    }
}

#[test]
fn a_head_of_any_format_gives_the_losses_of_its_values() {
    let hidden = noise(&[33, N_IN], 0.6);
    let targets: Vec<u32> = ids(33, 4);
    for format in ["bf16", "f16", "q8_0"] {
        let (narrow, wide) = linears(&[(format, 300)], None);
        let head = |linear| Head { linear, softcap: None };
        let (narrow, wide) = (head(narrow), head(wide));
        let losses = loss::cross_entropy(&hidden, &narrow, &targets).unwrap();
        close(&losses, &loss::composite(&hidden, &wide, &targets).unwrap(), 3e-6);
    }
}

#[test]
fn bytes_and_formats_are_those_of_the_parts() {
    let (linear, _) = linears(&[("bf16", 4), ("q8_0", 2)], Some(&noise(&[6], 0.0)));
    let blocks = 2 * N_IN as u64 / 32 * 34;
    assert_eq!(linear.formats(), [("bf16", 4 * 2 * N_IN as u64), ("q8_0", blocks), ("f32", 24)]);
    assert_eq!(linear.n_values(), 6 * N_IN + 6);
}

#[test]
fn a_device_s_own_product_keeps_the_gradient_and_computes_none_for_the_weight() {
    for (orientation, shape) in [(Orientation::InOut, [40, 24]), (Orientation::OutIn, [24, 40])] {
        let weight = Var::from_tensor(&noise(&shape, 3.0).to_dtype(DType::F64).unwrap()).unwrap();
        let bias = noise(&[24], 1.0).to_dtype(DType::F64).unwrap();
        let linear = Linear::new(weight.as_tensor().clone(), Some(bias), orientation);
        let x = Var::from_tensor(&noise(&[7, 40], 0.5).to_dtype(DType::F64).unwrap()).unwrap();
        let run = |stock: bool| {
            let y = if stock { linear.composite(&x) } else { linear.forward(&x) }.unwrap();
            let weights = noise(y.dims(), 0.3).to_dtype(DType::F64).unwrap();
            let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
            (y.detach(), grads.get(&x).unwrap().clone(), grads.get(&weight).is_some())
        };
        let ((value, grad, has_weight), (expected, expected_grad, stock_has_weight)) = (run(false), run(true));
        close(&value, &expected, 1e-6);
        close(&grad, &expected_grad, 1e-6);
        assert_eq!((has_weight, stock_has_weight), (false, true));
    }
}
