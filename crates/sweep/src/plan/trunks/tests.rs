use std::path::Path;

use super::super::{Plan, plan};
use super::*;
use crate::spec::SweepSpec;

/// A ladder of one rung whose middle branch is the rung, and two branches beside it.
const TRUNK: &str = r#"
schema = "forescale.sweep/1.1"
name = "trunk"
[corpus]
source = "files"
paths = ["text"]
[training]
schedule = "warmup_stable_decay"
warmup = 0.1
decay = 0.2
horizon_exponent = 0.25
base_tokens = 804800
[ladder]
widths = [24, 32]
tokens_per_param = [40, 20]
seeds = [2, 1]
[[trunk]]
width = 24
tokens_per_param = [160, 10, 40]
[forecast]
laws = ["chinchilla"]
"#;

fn planned(text: &str) -> Result<Plan, PlanError> {
    let spec = SweepSpec::parse(Path::new("sweeps/x/sweep.toml"), text).expect("a good spec");
    plan(&spec, None)
}

fn branch<'a>(plan: &'a Plan, name: &str) -> &'a PlannedRun {
    plan.find(name).expect(name)
}

#[test]
fn branches_share_everything_before_the_cooldown() {
    let plan = planned(TRUNK).expect("a good plan");
    let branches = ["d24-10x-s0", "d24-40x-s0", "d24-160x-s0"].map(|name| &branch(&plan, name).config);
    assert!(branches.iter().all(|config| config.branch && config.trunk_id() == branches[0].trunk_id()));
    // d 24 has 20120 parameters; 10, 40 and 160 times that have the geometric mean 804800 tokens: 0.36·√804800 = 323, so
    // 3 sequences of 128 for all; 201200 / 384 = 524, 804800 / 384 = 2096 and 3219200 / 384 = 8383 steps.
    assert_eq!(branches.map(|config| (config.sequences, config.steps)), [(3, 524), (3, 2096), (3, 8383)]);
    // A tenth of the shortest's steps warms up; a fifth of each one's own cools down.
    assert_eq!(branches.map(|config| config.optimizer.warmup_steps), [52; 3]);
    assert_eq!(branches.map(|config| config.optimizer.decay_steps), [105, 419, 1677]);
    // The mean horizon is `base_tokens`: the rate is the spec's own, for all three.
    assert!(branches.iter().all(|config| (config.optimizer.learning_rate / 0.014 - 1.0).abs() < 1e-12));
}

#[test]
fn a_branch_that_is_a_rung_is_planned_once_and_on_the_path() {
    let plan = planned(TRUNK).expect("a good plan");
    let names: Vec<(&str, Role)> = plan.runs.iter().map(|run| (run.name.as_str(), run.role)).collect();
    assert_eq!(
        names,
        [
            ("d24-10x-s0", Role::OffPath),
            ("d24-40x-s1", Role::Path),
            ("d24-40x-s0", Role::Path),
            ("d32-20x-s0", Role::Path),
            ("d24-160x-s0", Role::OffPath)
        ]
    );
    assert!(branch(&plan, "d24-40x-s0").config.branch && !branch(&plan, "d24-40x-s1").config.branch);
}

#[test]
fn other_runs_have_the_rules_of_their_own_horizon() {
    let plan = planned(TRUNK).expect("a good plan");
    let alone = &branch(&plan, "d32-20x-s0").config;
    assert_eq!((alone.trunk_id(), alone.optimizer.warmup_steps), (None, (alone.steps as f64 * 0.1).round() as u64));
    // (804800 / D)^0.25 of the rate.
    let tokens = 20.0 * alone.parameters().under(forescale_core::count::CountingRule::Matmul) as f64;
    let expected = 0.014 * (804_800.0 / tokens).powf(0.25);
    assert!((alone.optimizer.learning_rate / expected - 1.0).abs() < 1e-12);
    let rates = &alone.optimizer;
    assert!((rates.embedding_learning_rate / rates.learning_rate - 2.0).abs() < 1e-12);
}

#[test]
fn what_a_trunk_saves_is_worked_by_hand() {
    // The 40x branch finds 524 − 105 = 419 steps done, the 160x branch 2096 − 419 = 1677: of 524 + 2096 + 8383 = 11003
    // steps 2096 are saved, 19%.
    let plan = planned(TRUNK).expect("a good plan");
    let shared =
        ["d24-10x-s0", "d24-40x-s0", "d24-160x-s0", "d24-40x-s1"].map(|name| plan.shared_steps(branch(&plan, name)));
    assert_eq!(shared, [0, 419, 1677, 0]);
    let savings = plan.trunk_savings();
    assert_eq!((savings.trunks, savings.branches), (1, 3));
    assert!((savings.saved_flops / savings.apart_flops - 2096.0 / 11003.0).abs() < 1e-9);
    let flops = branch(&plan, "d24-10x-s0").config.flops().exact / 524.0 * 11003.0;
    let note = format!("1 trunk gives 3 runs and saves 19% of {flops:.1e} FLOPs");
    assert!(plan.notes.contains(&note), "{:?}", plan.notes);
}

#[test]
fn without_trunks_nothing_is_saved_and_nothing_said() {
    let none = TRUNK.replace("[[trunk]]\nwidth = 24\ntokens_per_param = [160, 10, 40]\n", "");
    let plan = planned(&none).expect("a good plan");
    assert_eq!(plan.trunk_savings(), TrunkSavings::default());
    assert!(plan.notes.iter().all(|note| !note.contains("trunk")));
}

#[test]
fn each_branch_needs_its_own_300_steps() {
    let error = planned(&TRUNK.replace("[160, 10, 40]", "[160, 2, 40]")).expect_err("refused").to_string();
    assert!(error.contains("`d24` at 2 tokens per parameter trains for"), "{error}");
}

#[test]
fn a_branch_and_an_off_path_run_of_one_name_are_refused() {
    let both = format!("{TRUNK}\n[[off_path]]\nwidth = 24\ntokens_per_param = 10\n");
    let error = planned(&both).expect_err("refused").to_string();
    assert!(error.contains("`d24-10x-s0` of `[[trunk]]` and `d24-10x-s0` of `[[off_path]]` have one name"), "{error}");
}
