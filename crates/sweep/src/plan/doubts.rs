//! What is allowed and yet worth knowing before paying for it.
//!
//! What is not allowed is refused by the plan itself: fewer than [`super::MIN_STEPS`] steps, of a probe's run as well.

use forescale_core::corpus::CorpusManifest;
use forescale_core::run::{PlannedRun, Role};

use super::UNKNOWN_VOCABULARY;
use super::trunks::{self, TrunkSavings};
use crate::spec::SweepSpec;

/// Budgets of compute within this factor count as one.
const BUDGET_WIDTH: f64 = 1.5;
/// D / N must span this much within a budget, or N and D cannot be told apart.
const RATIO_SPAN: f64 = 4.0;
/// Budgets with such a span that an (N, D) law needs.
const SPREAD_BUDGETS: usize = 2;

/// All notes on a plan.
pub(super) fn notes(spec: &SweepSpec, runs: &[PlannedRun], manifest: Option<&CorpusManifest>) -> Vec<String> {
    let provisional = manifest.is_none();
    let reach = target_note(spec, runs);
    let rungs = rungs_note(spec);
    let spread = spread_note(spec, runs);
    let ids = provisional.then(|| "the corpus is not built yet, so run ids are not final".to_owned());
    let symbols = if provisional { vocabulary_note(spec) } else { None };
    let trunks = trunks_note(runs);
    let problems = manifest.and_then(|manifest| problems_note(spec, manifest));
    [reach, rungs, spread, trunks, symbols, problems, ids].into_iter().flatten().collect()
}

/// Problems that no run is asked, or not whole.
fn problems_note(spec: &SweepSpec, manifest: &CorpusManifest) -> Option<String> {
    let problems = manifest.problems.as_ref()?;
    if spec.evaluation().tasks.is_none() {
        let note = "the corpus has problems, and no run is asked them; say `task_samples = 256` under `[evaluation]`";
        return Some(note.to_owned());
    }
    // The last token of an answer is predicted and never read.
    let (longest, window) = (problems.longest_tokens, u64::from(spec.model().context));
    (longest > window + 1).then(|| {
        format!("problems have up to {longest} tokens with their answers, a window {window}: of longer ones only the end is read")
    })
}

fn vocabulary_note(spec: &SweepSpec) -> Option<String> {
    spec.corpus().vocabulary().is_none().then(|| {
        format!(
            "the tokenizer's vocabulary is not known yet: N, D and FLOPs are for {UNKNOWN_VOCABULARY} symbols; say \
             `vocabulary` under `[corpus.tokenizer]`"
        )
    })
}

fn target_note(spec: &SweepSpec, runs: &[PlannedRun]) -> Option<String> {
    let flops = |run: &PlannedRun| run.config.flops().under(spec.forecast().flops_rule);
    let target = runs.iter().find(|run| run.role == Role::Target).and_then(flops)?;
    let others = runs.iter().filter(|run| run.role != Role::Target).filter_map(flops);
    let ratio = target / others.fold(f64::MIN_POSITIVE, f64::max);
    (ratio < 10.0).then(|| format!("the target has {ratio:.1} times the compute of the largest other run; a forecast is worth showing from 10 times"))
}

fn trunks_note(runs: &[PlannedRun]) -> Option<String> {
    let TrunkSavings { trunks, branches, apart_flops, saved_flops } = trunks::savings(runs);
    let plural = if trunks == 1 { ("trunk", "gives", "saves") } else { ("trunks", "give", "save") };
    (trunks > 0).then(|| {
        let share = 100.0 * saved_flops / apart_flops;
        format!(
            "{trunks} {} {} {branches} runs and {} {share:.0}% of {apart_flops:.1e} FLOPs",
            plural.0, plural.1, plural.2
        )
    })
}

fn rungs_note(spec: &SweepSpec) -> Option<String> {
    let wants = spec.forecast().laws.iter().any(|law| law == "power_law");
    let rungs = spec.rungs().len();
    (wants && rungs < 4)
        .then(|| format!("the ladder has {rungs} rungs; `power_law` has 3 parameters and needs at least 4"))
}

fn spread_note(spec: &SweepSpec, runs: &[PlannedRun]) -> Option<String> {
    let wants = spec.forecast().laws.iter().any(|law| law == "chinchilla");
    let found = spread_budgets(spec, runs);
    (wants && found < SPREAD_BUDGETS).then(|| {
        format!(
            "D/N spans {RATIO_SPAN} times or more within {found} budgets of compute or sizes; `chinchilla` needs {SPREAD_BUDGETS}, \
             so it will be refused: add runs under `[[off_path]]` with `at_compute_of`"
        )
    })
}

/// How many budgets, or sizes where more of these do, have runs whose D / N spans enough; a budget is a set of runs within
/// [`BUDGET_WIDTH`], not shared.
pub(super) fn spread_budgets(spec: &SweepSpec, runs: &[PlannedRun]) -> usize {
    let trained = || runs.iter().filter(|run| run.role != Role::Target);
    let params = |run: &PlannedRun| run.config.parameters().under(spec.forecast().params_rule) as f64;
    let ratio = |run: &PlannedRun| run.config.tokens() as f64 / params(run);
    let flops = |run: &PlannedRun| {
        let flops = run.config.flops();
        flops.under(spec.forecast().flops_rule).unwrap_or(flops.exact)
    };
    let budgets = windows(trained().map(|run| (flops(run), ratio(run))).collect(), BUDGET_WIDTH);
    budgets.max(windows(trained().map(|run| (params(run), ratio(run))).collect(), 1.0))
}

/// How many windows of a factor have ratios that span enough, of points (scale, ratio).
fn windows(mut points: Vec<(f64, f64)>, factor: f64) -> usize {
    points.sort_by(|one, two| one.0.total_cmp(&two.0));
    let within = |start: usize, factor: f64| points.partition_point(|point| point.0 <= points[start].0 * factor);
    let (mut found, mut start) = (0, 0);
    while start < points.len() {
        let ratios = || points[start..within(start, factor)].iter().map(|point| point.1);
        let (least, most) = (ratios().fold(f64::MAX, f64::min), ratios().fold(0.0, f64::max));
        if most >= RATIO_SPAN * least {
            found += 1;
            start = within(start, BUDGET_WIDTH);
        } else {
            start += 1;
        }
    }
    found
}
