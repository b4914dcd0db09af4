use forescale_core::observation::Selection;
use forescale_core::record::RunStatus;

use super::*;
use crate::records::tests::record;

/// A run of the rung with so many steps, which has so much compute.
fn run(steps: u64, flops: f64, seed: u64, loss: f64) -> RunRecord {
    let mut record = record(&format!("{steps}-{seed}"), loss);
    record.config.steps = steps;
    record.config.seed = seed;
    record.flops.exact = flops;
    record
}

/// Two runs of a rung whose losses differ by a factor e^difference: s² = difference² / 2.
fn pair(steps: u64, flops: f64, difference: f64) -> Vec<RunRecord> {
    vec![run(steps, flops, 0, 2.0), run(steps, flops, 1, 2.0 * difference.exp())]
}

/// Three runs of a rung with s² = difference²: ln losses −difference, 0, difference about ln 2.
fn triple(steps: u64, flops: f64, difference: f64) -> Vec<RunRecord> {
    let seeds = [(0, -difference), (1, 0.0), (2, difference)];
    seeds.map(|(seed, shift)| run(steps, flops, seed, 2.0 * shift.exp())).to_vec()
}

fn near(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < 1e-9
}

#[test]
fn without_replicates_there_is_no_estimate() {
    assert_eq!(seed_noise(&[], "loss"), None);
    assert_eq!(seed_noise(&[run(300, 1e9, 0, 2.0), run(600, 2e9, 0, 1.9)], "loss"), None);
}

#[test]
fn replicates_that_agree_to_the_last_digit_are_no_estimate() {
    assert_eq!(seed_noise(&[run(300, 1e9, 0, 2.0), run(300, 1e9, 1, 2.0)], "loss"), None);
}

#[test]
fn one_rung_is_a_constant_worked_by_hand() {
    // ln losses 0.02 apart: s² = 0.02² / 2 = 2e-4, s = 0.0141421356.
    let noise = seed_noise(&pair(300, 1e9, 0.02), "loss").expect("two seeds");
    let s = 2e-4_f64.sqrt();
    assert_eq!((noise.degrees, noise.rungs.len(), noise.rungs[0].runs.len()), (1, 1, 2));
    assert!(noise.slope.abs() < 1e-12);
    for sd in [noise.rungs[0].sample_sd, noise.rungs[0].sd, noise.sd_at(1e9), noise.sd_at(1e14), noise.sd_at(1e3)] {
        assert!(near(sd, s), "{sd}");
    }
}

#[test]
fn rungs_of_one_compute_are_pooled_by_their_degrees_of_freedom() {
    // s² 4e-4 with 2 degrees and 1e-4 with 1: (2·4e-4 + 1e-4) / 3 = 3e-4.
    let records = [triple(300, 1e9, 0.02), pair(600, 1e9, 0.02 / 2.0_f64.sqrt())].concat();
    let noise = seed_noise(&records, "loss").expect("five seeds");
    assert_eq!(noise.degrees, 3);
    assert!(near(noise.sd_at(1e9), 3e-4_f64.sqrt()));
    // The first rung's own: (8·3e-4 + 2·4e-4) / 10 = 3.2e-4.
    let first = noise.rungs.iter().find(|rung| rung.degrees == 2).expect("the rung of three");
    assert!(near(first.sd, 3.2e-4_f64.sqrt()), "{}", first.sd);
}

#[test]
fn a_slope_over_two_rungs_agrees_with_a_search_of_the_penalised_likelihood() {
    // s² 4e-4 at 1e9 and 1e-4 at 1e10 FLOPs, two degrees each. A nested ternary search in Python of
    // -sum(n*(a + b*x + s2*exp(-a - b*x)))/2 - b*b/(2*0.25**2): b = -0.0776686, sd 0.01611805 and 0.01473934; the
    // rungs' own, (8 v + 2 s²) / 10: 0.01696564 and 0.01392115.
    let records = [triple(300, 1e9, 0.02), triple(3000, 1e10, 0.01)].concat();
    let noise = seed_noise(&records, "loss").expect("two rungs");
    let close = |one: f64, other: f64| (one / other - 1.0).abs() < 1e-6;
    assert!((noise.slope + 0.077_668_6).abs() < 1e-6, "{}", noise.slope);
    assert!(close(noise.sd_at(1e9), 0.016_118_05) && close(noise.sd_at(1e10), 0.014_739_34));
    assert!(close(noise.rungs[0].sd, 0.016_965_64) && close(noise.rungs[1].sd, 0.013_921_15));
    assert!(near(noise.sd_at(1e13), noise.sd_at(1e10)) && near(noise.sd_at(1e5), noise.sd_at(1e9)));
    assert!(noise.sd_at(3e9) < noise.sd_at(1e9) && noise.sd_at(3e9) > noise.sd_at(1e10));
}

#[test]
fn a_rung_whose_replicates_agree_does_not_break_the_rule() {
    let records = [triple(300, 1e9, 0.02), triple(3000, 1e10, 0.0)].concat();
    let noise = seed_noise(&records, "loss").expect("two rungs");
    assert!(noise.slope < 0.0 && noise.slope.is_finite());
    assert!(noise.rungs.iter().all(|rung| rung.sd > 0.0));
}

#[test]
fn many_replicates_outweigh_the_prior() {
    // 200 degrees a rung with variances 4e-4 and 1e-4 over a decade: the slope without a prior is ln(1/4) / ln 10.
    let many = |steps: u64, flops: f64, difference: f64| -> Vec<RunRecord> {
        let shift = |seed: u64| if seed.is_multiple_of(2) { difference } else { -difference };
        (0..201).map(|seed| run(steps, flops, seed, 2.0 * shift(seed).exp())).collect()
    };
    let noise = seed_noise(&[many(300, 1e9, 0.02), many(3000, 1e10, 0.01)].concat(), "loss").expect("two rungs");
    let unshrunk = 0.25_f64.ln() / 10.0_f64.ln();
    assert!((noise.slope / unshrunk - 1.0).abs() < 0.07, "{} against {unshrunk}", noise.slope);
}

#[test]
fn branches_of_one_trunk_are_no_replicates() {
    let mut records = vec![run(300, 1e9, 0, 2.0), run(600, 2e9, 0, 1.9), run(1200, 4e9, 0, 1.8)];
    for record in &mut records {
        record.config.branch = true;
        record.cluster = record.config.cluster();
    }
    assert_eq!(seed_noise(&records, "loss"), None);
}

#[test]
fn branches_of_two_trunks_that_differ_in_the_seed_are() {
    let mut records = pair(300, 1e9, 0.02);
    records.iter_mut().for_each(|record| record.config.branch = true);
    assert_eq!(seed_noise(&records, "loss").map(|noise| noise.degrees), Some(1));
}

#[test]
fn runs_that_a_fit_may_not_see_are_no_replicates() {
    let mut records = pair(300, 1e9, 0.02);
    records[1].status = RunStatus::Diverged;
    assert_eq!(seed_noise(&records, "loss"), None);
    assert_eq!(seed_noise(&pair(300, 1e9, 0.02), "accuracy"), None);
}

#[test]
fn lone_runs_beside_one_pair_have_the_rules_noise_and_no_degrees() {
    // `seeds = [2, 1, 1, 1]`: one real degree, at the first rung.
    let lone = [(600, 2e9), (1200, 4e9), (2400, 8e9)].map(|(steps, flops)| run(steps, flops, 0, 1.9));
    let records = [pair(300, 1e9, 0.02), lone.to_vec()].concat();
    let (seen, _) = crate::observe(&records, &Selection::default());
    let degrees: Vec<Option<f64>> = seen.iter().map(|one| one.seed_degrees).collect();
    assert_eq!(degrees, [Some(1.0), Some(1.0), Some(0.0), Some(0.0), Some(0.0)]);
    assert!(seen.iter().all(|one| one.seed_sd.is_some()));
}

#[test]
fn degrees_are_those_of_each_runs_own_rung() {
    let records = [triple(300, 1e9, 0.02), pair(3000, 1e10, 0.01), vec![run(600, 2e9, 0, 1.9)]].concat();
    let noise = seed_noise(&records, "loss").expect("two rungs");
    let degrees: Vec<u32> = records.iter().map(|record| noise.degrees_of(record)).collect();
    assert_eq!(degrees, [2, 2, 2, 1, 1, 0]);
    assert!(near(noise.sd_of(&records[3]), noise.rungs[1].sd) && near(noise.sd_of(&records[0]), noise.rungs[0].sd));
}

#[test]
fn observations_carry_the_noise_in_the_unit_of_their_loss() {
    // One rung with s² = 2e-4; at a loss of 2 nats that is 2·0.0141421356 nats, and 1/ln 2 times that in bits.
    let records = [pair(300, 1e9, 0.02), vec![run(600, 2e9, 0, 1.9)]].concat();
    let (seen, _) = crate::observe(&records, &Selection::default());
    assert!(near(seen[0].seed_sd.expect("an estimate"), 2.0 * 2e-4_f64.sqrt()));
    assert!(near(seen[2].seed_sd.expect("the rule's"), 1.9 * 2e-4_f64.sqrt()));
    let bits = Selection { unit: forescale_core::quantity::LossUnit::BitsPerToken, ..Selection::default() };
    let (seen, _) = crate::observe(&records, &bits);
    assert!(near(seen[0].seed_sd.expect("an estimate"), 2.0 * 2e-4_f64.sqrt() / std::f64::consts::LN_2));
    let (seen, _) = crate::observe(&records[2..], &Selection::default());
    assert_eq!((seen[0].seed_sd, seen[0].seed_degrees), (None, None));
}
