//! Each operation forward and backward: equal to the CPU's, whatever the order of threads, and to finite differences.

use super::super::compare::{Case, Found, allowed, attention, block, cases, gate, loss_apart, norm, square};
use super::super::emulated::Emulated;
use super::super::{Argument, Card, CardError, Launch, Work, bytes_of};
use super::emulated;
use crate::kernels::attention_head::HeadShape;
use crate::precision::Precision;

fn bits(found: &Found) -> Vec<u32> {
    found.parts().flatten().map(|value| value.to_bits()).collect()
}

/// In f32 and bf16, and with equal bits in every order of threads and blocks.
fn check(case: &Case) {
    for precision in [Precision::F32, Precision::Bf16] {
        let values = case.values(precision);
        let expected = case.on_cpu(&values, precision).expect("computed");
        let in_order = |order: i32| Some(case.on_card(&mut emulated(order)?, &values, precision).expect("carried out"));
        let Some(first) = in_order(0) else { return };
        let apart = first.apart(&expected);
        assert!(apart <= allowed(precision), "{} in {precision}: {apart} apart", case.name);
        for order in [1, 7] {
            let found = in_order(order).expect("as before");
            assert!(bits(&first) == bits(&found), "{} in {precision} depends on the order ({order})", case.name);
        }
    }
}

#[test]
fn every_operation_equals_the_cpu_in_several_orders_of_threads() {
    cases().iter().for_each(check);
}

/// Along its gradient each variable has the slope of the gradient's norm, to 1 %.
fn check_slopes(case: &Case) {
    let Some(mut card) = emulated(0) else { return };
    let start = case.values(Precision::F32);
    let found = case.on_card(&mut card, &start, Precision::F32).expect("carried out");
    let weighting = case.weighting(found.output.len(), Precision::F32);
    let mut value = |values: &[Vec<f32>]| -> f64 {
        let out = case.on_card(&mut card, values, Precision::F32).expect("carried out").output;
        out.iter().zip(&weighting).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    for (index, gradient) in found.gradients.iter().enumerate() {
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let mut moved = |step: f64| {
            let mut values = start.clone();
            for (value, slope) in values[index].iter_mut().zip(gradient) {
                *value += (f64::from(*slope) / norm * step) as f32;
            }
            value(&values)
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((slope / norm - 1.0).abs() < 1e-2, "{}, variable {index}: slope {slope}, gradient {norm}", case.name);
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    check_slopes(&attention(HeadShape { context: 40, heads: 2, head_size: 8 }, 1));
    for case in [norm(7, 24), gate(5, 43), square(5, 43), block(9)] {
        check_slopes(&case);
    }
}

#[test]
fn the_loss_and_its_gradient_equal_the_cpu() {
    for extent in [[1, 256], [6, 37], [5, 1000]] {
        for precision in Precision::ALL {
            let Some(mut card) = emulated(2) else { return };
            let apart = loss_apart(&mut card, precision, extent).expect("carried out");
            assert!(apart <= allowed(precision), "{extent:?} in {precision}: {apart} apart");
        }
    }
}

#[test]
fn a_number_that_is_none_stays_so_through_the_rectifier() {
    let Some(mut card) = emulated(0) else { return };
    let mut case = square(1, 4);
    case.variables[0].values = vec![-3.0, 0.0, 2.0, f32::NAN];
    let found = case.on_card(&mut card, &case.values(Precision::F32), Precision::F32).expect("carried out");
    assert_eq!(found.output[..3], [0.0, 0.0, 4.0]);
    assert!(found.output[3].is_nan());
}

fn problem(card: &mut Emulated, work: Work) -> String {
    let program = card.prepare(vec![work]).expect("taken in");
    match card.execute(program).expect_err("seen") {
        CardError::Failed(problem) => problem,
        CardError::OutOfMemory { .. } => panic!("memory is not what is wrong"),
    }
}

/// What a kernel that lacks a barrier computes of 0, 1, 2, … when threads go in an order.
fn without_barrier(order: i32) -> Option<Vec<u8>> {
    let mut card = emulated(order)?;
    let (from, to) = (card.allocate(256).expect("allocated"), card.allocate(256).expect("allocated"));
    let values: Vec<f32> = (0..64u8).map(f32::from).collect();
    card.write(from, &bytes_of(&values, f32::to_le_bytes)).expect("written");
    let launch = Launch {
        kernel: "wrong_without_barrier".to_owned(),
        grid: [1, 1, 1],
        threads: 64,
        shared_bytes: 256,
        arguments: [from, to].map(Argument::Address).to_vec(),
    };
    let program = card.prepare(vec![Work::Launch(launch)]).expect("taken in");
    card.execute(program).expect("it runs, and computes something");
    let mut bytes = vec![0; 256];
    card.read(to, &mut bytes).expect("read");
    Some(bytes)
}

#[test]
fn a_missing_barrier_shows_in_results_that_depend_on_the_order() {
    let Some(forward) = without_barrier(0) else { return };
    let others = [1, 7].map(|order| without_barrier(order).expect("as before"));
    assert!(others.iter().all(|other| *other != forward));
    // What was read before it was written is NaN.
    assert_eq!(forward[..4], [0xff; 4]);
}

#[test]
fn the_emulation_sees_what_is_wrong() {
    let Some(mut card) = emulated(0) else { return };
    let from = card.allocate(48).expect("allocated");
    let to = card.allocate(40).expect("allocated");
    let mut bytes = vec![0; 48];
    card.read(from, &mut bytes).expect("read");
    assert!(bytes.iter().all(|byte| *byte == 0xff), "what nobody wrote is NaN");
    card.write(from, &[0; 48]).expect("written");
    let launch = |values: i32| Launch {
        kernel: "relu_squared_forward_f32".to_owned(),
        grid: [1, 1, 1],
        threads: 32,
        shared_bytes: 0,
        arguments: vec![Argument::Address(from), Argument::Address(to), Argument::Int(values)],
    };
    let program = card.prepare(vec![Work::Launch(launch(10))]).expect("taken in");
    card.execute(program).expect("ten values fit a buffer of ten");
    assert!(card.read(to + 4, &mut bytes[..40]).is_err() && card.write(to + 4, &[0; 40]).is_err());
    assert!(problem(&mut card, Work::Launch(Launch { threads: 33, ..launch(10) })).contains("whole warps"));
    let unknown = Launch { kernel: "none".to_owned(), ..launch(10) };
    assert!(problem(&mut card, Work::Launch(unknown)).contains("no kernel of this name"));
    let parted = Launch { kernel: "wrong_shuffle".to_owned(), arguments: vec![Argument::Address(to)], ..launch(10) };
    assert!(problem(&mut card, Work::Launch(parted)).contains("part ways at a shuffle"));
    let fewer = Launch { arguments: launch(10).arguments[..2].to_vec(), ..launch(10) };
    assert!(problem(&mut card, Work::Launch(fewer)).contains("another number of arguments"));
    // Shared memory that was not asked for, and values beside a buffer.
    let greedy = Launch {
        kernel: "rms_norm_gain_f32".to_owned(),
        threads: 256,
        shared_bytes: 256,
        arguments: [from, from, from, to]
            .map(Argument::Address)
            .into_iter()
            .chain([1, 10, 1].map(Argument::Int))
            .collect(),
        ..launch(10)
    };
    assert!(problem(&mut card, Work::Launch(greedy)).contains("behind its shared memory"));
    assert!(problem(&mut card, Work::Launch(launch(12))).contains("wrote beside buffer 1"));
}
