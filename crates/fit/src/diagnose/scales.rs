//! Doubts about the scale of numbers: compute that does not belong to its size and data, losses that are none, and runs of
//! one size and data that are not of one kind.

use core::fmt;

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::data::{NO_LADDER, TOKENS_PER_PARAM};
use super::{ONE_RULE, Voiced, named, to_three_digits};

/// C/(N·D) of a run this far from the others' median is a slip of the pen: how embeddings, attention and active parameters
/// are counted comes to less within one table. Chosen here.
const STRAY: f64 = 10.0;
/// The same where the others agree to [`ONE_RULE`], as under one rule they do: a slip of one zero comes to ten.
const STRAY_FROM_A_RULE: f64 = 5.0;
/// Tokens per parameter this far outside those of all other runs are a slip in size or data: runs off a path span a factor
/// of ten or a hundred together, and none stands a hundred apart from its neighbour. Chosen here.
const STRAY_RATIO: f64 = 100.0;
/// Beside data within those of the others, a size this far outside theirs is what makes tokens per parameter stray, and a slip:
/// whoever trains one run on far more or less data leaves its size among the others'. Published families leap by 13 (GPT-3
/// from 13B to 175B, on the same data); a slip of three zeros by a thousand. Chosen here.
const STRAY_SIZE: f64 = 30.0;
/// Tokens per parameter this far outside the others' say which of size and data slipped, where compute tells that one did.
const OUTSIDE: f64 = 2.0;
/// Where more of the runs stray, the table counts in two ways and none is a slip.
const FEW: f64 = 0.2;
/// C this far from 6·N·D in half of the runs is in another unit: a PF-day is 8.64e19 FLOPs.
const UNIT: f64 = 100.0;
/// C/(N·D) that differs by more between the smallest and the largest third of sizes is not counted by one rule: attention and a
/// head that shrinks come to less. Chosen here.
const DRIFT: f64 = 2.0;
/// Fewer sizes have no thirds.
const FEWEST_SIZES: usize = 3;
/// Half of the losses above this are no cross-entropies: ln of the largest vocabularies is 12.5 nats.
const NO_LOSS: f64 = 12.5;
/// Half of the losses above this are in no unit: the same vocabularies make 18 bits.
const NO_UNIT: f64 = 20.0;
/// A loss this far from the median is worth a word where the others span less: an untrained model of text has some four times
/// the loss of a good one. Chosen here, as the next two are.
const STRAY_LOSS: f64 = 5.0;
/// So many times the median, or so small a part of it, is a slip of one zero or more: no error rate falls at once by so much.
const SLIP_OF_LOSS: [f64; 2] = [0.05, 8.0];
/// Stated noise of more of a loss than this is in another unit, or of another number: the loudest published seeds scatter by
/// a twentieth. As large as the loss it is none.
const LOUD: f64 = 0.3;
/// Runs that agree in size and data and every setting that is told differ by less: seeds scatter by 0.03 to 0.3%.
const TWINS: f64 = 0.02;

/// A doubt about scales.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ScaleDoubt {
    Stray { slip: Slip, runs: Vec<String>, factor: f64 },
    StrayRatio { run: String, ratio: f64, span: [f64; 2], is_sure: bool },
    StrayLoss { runs: Vec<String>, factor: f64, span: [f64; 2], is_sure: bool },
    Unit { ratio: f64 },
    Drift { ends: [f64; 2] },
    Loud { column: &'static str, run: String, value: f64, loss: f64 },
    NoLosses { median: f64 },
    Twins { pairs: usize, apart: f64 },
}

/// Which number of a run is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    Flops,
    Params,
    Tokens,
}

/// Doubts that the numbers of a group's runs give reason for.
pub(super) fn doubts(runs: &[&Observation]) -> Vec<ScaleDoubt> {
    let products: Vec<f64> = runs.iter().map(|o| o.flops / (o.params * o.tokens)).collect();
    let losses: Vec<f64> = runs.iter().map(|o| o.loss).collect();
    let (Some(product), Some(loss)) = (math::median(&products), math::median(&losses)) else { return Vec::new() };
    let no_losses = (loss > NO_LOSS).then_some(ScaleDoubt::NoLosses { median: loss });
    let of_losses = stray_loss(runs, loss).into_iter().chain(loud(runs));
    if !runs.iter().all(|o| o.tells_split()) {
        return of_losses.chain(no_losses).collect();
    }
    let is_unit = !(6.0 / UNIT..=6.0 * UNIT).contains(&product);
    let unit = is_unit.then_some(ScaleDoubt::Unit { ratio: product / 6.0 });
    let strays = stray(runs, product);
    let stray_ratio = if strays.is_empty() { stray_ratio(runs) } else { None };
    let drift = if strays.is_empty() && !is_unit { drift(runs) } else { None };
    unit.into_iter()
        .chain(strays)
        .chain(drift)
        .chain(stray_ratio)
        .chain(of_losses)
        .chain(no_losses)
        .chain(twins(runs))
        .collect()
}

/// Runs whose loss is far to one side of the median, where those of the others are of one kind.
fn stray_loss(runs: &[&Observation], median: f64) -> Option<ScaleDoubt> {
    let factor = |o: &Observation| o.loss / median;
    let is_off = |o: &&Observation| factor(o) > STRAY_LOSS || factor(o) < 1.0 / STRAY_LOSS;
    let (off, others): (Vec<&Observation>, Vec<&Observation>) = runs.iter().copied().partition(is_off);
    let span = math::range(others.iter().map(|o| o.loss))?;
    let is_few = runs.len() > 3 && off.len() <= (FEW * runs.len() as f64).max(1.0) as usize;
    let first = factor(off.first()?);
    let alike = off.iter().filter(|o| (factor(o) > 1.0) == (first > 1.0));
    let is_sure = !(SLIP_OF_LOSS[0]..SLIP_OF_LOSS[1]).contains(&first) && median <= NO_LOSS;
    let runs = alike.map(|o| format!("`{}`", o.name)).collect();
    (is_few && span[1] < STRAY_LOSS * span[0]).then_some(ScaleDoubt::StrayLoss { runs, factor: first, span, is_sure })
}

/// The run whose stated noise is the largest part of its loss, where that is no noise of training or evaluation.
fn loud(runs: &[&Observation]) -> Option<ScaleDoubt> {
    let stated = |o: &Observation| [("seed_sd", o.seed_sd), ("loss_se", o.loss_se)];
    let told = runs.iter().flat_map(|o| stated(o).map(|(column, value)| (column, value, *o)));
    let all = told.filter_map(|(column, value, o)| value.map(|value| (column, value / o.loss, o)));
    let (column, share, run) = all.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|loudest| loudest.1 > LOUD)?;
    Some(ScaleDoubt::Loud { column, run: format!("`{}`", run.name), value: share * run.loss, loss: run.loss })
}

/// Runs whose C/(N·D) is far from the others' median, by the number that is off.
fn stray(runs: &[&Observation], product: f64) -> Vec<ScaleDoubt> {
    let factor = |o: &Observation| o.flops / (o.params * o.tokens) / product;
    let away = |o: &Observation| factor(o).max(1.0 / factor(o));
    let most = (FEW * runs.len() as f64).max(1.0) as usize;
    let mut sorted: Vec<f64> = runs.iter().map(|o| away(o)).collect();
    sorted.sort_by(f64::total_cmp);
    let is_one_rule = runs.len() > most && sorted[runs.len() - most - 1] < ONE_RULE;
    // Several runs off by less than ten are counted otherwise, as mixtures of experts are; one is a slip.
    let is_alone = runs.iter().filter(|o| away(o) > STRAY_FROM_A_RULE).count() == 1;
    let limit = if is_one_rule && is_alone { STRAY_FROM_A_RULE } else { STRAY };
    let (off, others): (Vec<&Observation>, Vec<&Observation>) = runs.iter().copied().partition(|o| away(o) > limit);
    if runs.len() < 3 || off.len() > most {
        return Vec::new();
    }
    let span = ratio_span(&others);
    let of = |slip: Slip| {
        let alike: Vec<&&Observation> = off.iter().filter(|o| slip_of(o, factor(o), span) == slip).collect();
        let first = alike.first()?;
        let factor = if slip == Slip::Flops { factor(first) } else { 1.0 / factor(first) };
        Some(ScaleDoubt::Stray { slip, runs: alike.iter().map(|o| format!("`{}`", o.name)).collect(), factor })
    };
    [Slip::Flops, Slip::Params, Slip::Tokens].into_iter().filter_map(of).collect()
}

/// Whether C/(N·D) goes with size: a budget's size and data are worked out by its median, which is then that of no size asked about.
fn drift(runs: &[&Observation]) -> Option<ScaleDoubt> {
    let mut sorted: Vec<(f64, f64)> = runs.iter().map(|o| (o.params, o.flops / (6.0 * o.params * o.tokens))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sizes = sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()).count();
    let third = sorted.len() / 3;
    let of = |part: &[(f64, f64)]| math::median(&part.iter().map(|(_, product)| *product).collect::<Vec<_>>());
    let ends = [of(&sorted[..third])?, of(&sorted[sorted.len() - third..])?];
    let apart = (ends[1] / ends[0]).max(ends[0] / ends[1]);
    (sizes >= FEWEST_SIZES && apart > DRIFT).then_some(ScaleDoubt::Drift { ends })
}

/// Which number makes C/(N·D) so many times the others': size or data where it takes tokens per parameter out of theirs as
/// well, else compute.
fn slip_of(o: &Observation, factor: f64, [low, high]: [f64; 2]) -> Slip {
    let ratio = o.tokens / o.params;
    match (ratio > OUTSIDE * high, ratio < low / OUTSIDE, factor > 1.0) {
        (true, _, true) | (_, true, false) => Slip::Params,
        (true, _, false) | (_, true, true) => Slip::Tokens,
        _ => Slip::Flops,
    }
}

/// The least and the largest tokens per parameter.
fn ratio_span(runs: &[&Observation]) -> [f64; 2] {
    math::range(runs.iter().map(|o| o.tokens / o.params)).unwrap_or_default()
}

/// The run whose tokens per parameter stand apart from those of all others, where compute follows from size and data and so
/// tells nothing of a slip.
fn stray_ratio(runs: &[&Observation]) -> Option<ScaleDoubt> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|a, b| (a.tokens / a.params).total_cmp(&(b.tokens / b.params)));
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    if sorted.len() < 4 {
        return None;
    }
    let apart = [(first, &sorted[1..]), (last, &sorted[..sorted.len() - 1])].map(|(run, others)| {
        let (ratio, span) = (run.tokens / run.params, ratio_span(others));
        ((ratio / span[1]).max(span[0] / ratio), ratio, span, run, others)
    });
    let (far, ratio, span, run, others) = apart.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let at_least = |limit: f64| far >= limit * (1.0 - 1e-6);
    let is_size = is_of_another_size(run, others);
    let is_sure = at_least(STRAY_RATIO) && (is_size || ratio < NO_LADDER);
    let is_told =
        at_least(STRAY_RATIO) || at_least(STRAY_SIZE) && is_size || at_least(STRAY) && ratio < TOKENS_PER_PARAM;
    is_told.then(|| ScaleDoubt::StrayRatio { run: format!("`{}`", run.name), ratio, span, is_sure })
}

/// Whether a run's size is far outside those of the others, and its data are not: the data of a smallest or largest rung stand
/// one step outside.
fn is_of_another_size(run: &Observation, others: &[&Observation]) -> bool {
    let [sizes, data] = [|o: &Observation| o.params, |o: &Observation| o.tokens]
        .map(|number| math::range(others.iter().map(|o| number(o))).unwrap_or_default());
    let is_outside = run.params > STRAY_SIZE * sizes[1] || STRAY_SIZE * run.params < sizes[0];
    is_outside && (data[0] / STRAY..=data[1] * STRAY).contains(&run.tokens)
}

/// Runs of one size and data that are far apart though nothing told of them differs, not even a seed, in half of all such
/// groups or more.
fn twins(runs: &[&Observation]) -> Option<ScaleDoubt> {
    let size = |o: &Observation| [o.params, o.tokens].map(f64::to_bits);
    let mut unseeded: Vec<&Observation> = runs.iter().copied().filter(|o| o.seed.is_none()).collect();
    unseeded.sort_by_key(|o| size(o));
    let alike = unseeded.chunk_by(|a, b| size(a) == size(b)).filter(|alike| alike.len() > 1);
    let apart: Vec<f64> = alike.flat_map(spreads).collect();
    let middle = math::median(&apart)?;
    (apart.len() > 2 && middle > TWINS)
        .then(|| ScaleDoubt::Twins { pairs: apart.len(), apart: math::exp(middle) - 1.0 })
}

/// Of runs of one size and data: how far log losses lie apart in each set of two and more of which the same is told.
fn spreads(runs: &[&Observation]) -> Vec<f64> {
    let told = |o: &Observation| format!("{:?} {:?} {:?}", o.training, o.unique_tokens, o.role);
    let mut known: Vec<(String, f64)> = runs.iter().map(|o| (told(o), math::ln(o.loss))).collect();
    known.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let sets = known.chunk_by(|a, b| a.0 == b.0).filter(|set| set.len() > 1);
    sets.map(|set| set[set.len() - 1].1 - set[0].1).collect()
}

impl Voiced for ScaleDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::Stray { slip: Slip::Flops, .. } => "stray_flops",
            Self::Stray { slip: Slip::Params, .. } => "stray_params",
            Self::Stray { slip: Slip::Tokens, .. } => "stray_tokens",
            Self::StrayRatio { .. } => "stray_ratio",
            Self::StrayLoss { .. } => "stray_loss",
            Self::Unit { .. } => "flops_unit",
            Self::Drift { .. } => "counting_drifts",
            Self::Loud { .. } => "noise_unit",
            Self::NoLosses { .. } => "no_losses",
            Self::Twins { .. } => "twins_differ",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Stray { .. } | Self::Unit { .. } => Severity::Error,
            Self::StrayLoss { is_sure: true, .. } | Self::StrayRatio { is_sure: true, .. } => Severity::Error,
            Self::Loud { value, loss, .. } if value >= loss => Severity::Error,
            Self::NoLosses { median } if *median > NO_UNIT => Severity::Error,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Stray { slip: Slip::Flops, .. } => {
                "correct the compute of these runs, or their size or data where the slip is there, or leave them out with `--where`"
            }
            Self::Stray { slip: Slip::Params, .. } => {
                "correct the size of these runs, or leave them out with `--where`"
            }
            Self::Stray { slip: Slip::Tokens, .. } => {
                "correct the data of these runs, or leave them out with `--where`"
            }
            Self::StrayRatio { is_sure: true, .. } => {
                "correct its `params` or `tokens`, and its compute where that was worked out from them, or leave the run out with `--where`"
            }
            Self::StrayRatio { .. } => {
                "look whether its size or its data is off by zeros; if neither is, train a run between it and the others"
            }
            Self::StrayLoss { .. } => {
                "correct the loss of these runs, say `status` diverged of one that did, or leave them out with `--where`"
            }
            Self::Loud { .. } => {
                "state it in the unit of the loss, as one standard deviation (0.01 and not 1 for one in a hundred of a loss of 1), or leave the column out"
            }
            Self::Drift { .. } => {
                "count the parameters that compute (active experts, all but embeddings that are looked up, or with the head): `--map params=COLUMN`; or give a target's size, data and compute together"
            }
            Self::Unit { .. } => {
                "give compute in FLOPs (a PF-day is 8.64e19), or leave the column out: 6ND follows from the other two"
            }
            Self::NoLosses { .. } => {
                "of a perplexity take the logarithm; or name the column of the loss, in nats per token, bits (`--unit bits`) or bits per byte (`--unit bpb`), with `--metric`; of errors in percent take the share"
            }
            Self::Twins { .. } => "name what tells them apart: `--map group=COLUMN`, or lr= or batch_tokens=",
        }
    }
}

impl fmt::Display for ScaleDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stray { slip: slip @ (Slip::Params | Slip::Tokens), runs, factor } => {
                let (what, beside) =
                    if *slip == Slip::Params { ("size", "compute and data") } else { ("data", "compute and size") };
                write!(
                    f,
                    "the {what} of {}: {factor:.3} times what {beside} make by the other runs, and tokens per parameter that no other has: a law of size and data would bend towards a slip",
                    named(runs)
                )
            }
            Self::StrayRatio { run, ratio, span: [low, high], .. } => write!(
                f,
                "{run} trains on {ratio:.3} tokens per parameter (`tokens` / `params`), and the other runs on {low:.3} to {high:.3}: a size or data that is off by zeros looks like this, and where compute follows from the two it is off as well"
            ),
            Self::Stray { runs, factor, .. } => write!(
                f,
                "the compute of {} is {factor:.3} times what its size and data make by the other runs: how far the data reach, and where the target lies, would follow from a slip",
                named(runs)
            ),
            Self::StrayLoss { runs, factor, span: [low, high], .. } => write!(
                f,
                "the loss of {} is {factor:.3} times the median of all, and the others lie between {low:.4} and {high:.4}: a slip in one cell, or a run that diverged, would be taken for what size and data do",
                named(runs)
            ),
            Self::Loud { column, run, value, loss } => write!(
                f,
                "`{column}` of {run} is {value}, beside a loss of {loss:.4}: noise as loud as that would drown what is to be measured, and is no deviation of a loss"
            ),
            Self::Drift { ends: [small, large] } => write!(
                f,
                "C/(6·N·D) is {small:.3} among the smallest third of sizes and {large:.3} among the largest: size and compute are not counted by one rule, exponents hold the difference, and the size, data and loss of a budget are worked out by the median of all"
            ),
            Self::Unit { ratio } => {
                write!(
                    f,
                    "compute is {ratio:.3e} times 6ND in half of the runs: it is not in FLOPs, or N and D are no plain counts"
                )
            }
            Self::NoLosses { median } => write!(
                f,
                "half of the losses lie at {} or above, and knowing nothing costs 12 nats or 18 bits at most: a perplexity, or another column, is taken for `loss`",
                to_three_digits(*median)
            ),
            Self::Twins { pairs, apart } => write!(
                f,
                "in {pairs} groups of runs of one size and data losses lie {:.1}% apart in the median, far beyond what seeds do: they are of several recipes or settings, and what separates them enters the law as noise",
                100.0 * apart
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    fn codes(runs: &[Observation]) -> Vec<&'static str> {
        doubts(&runs.iter().collect::<Vec<_>>()).iter().map(Voiced::code).collect()
    }

    fn grid() -> Vec<Observation> {
        published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.003, 1)
    }

    #[test]
    fn a_table_of_one_recipe_in_plain_counts_is_not_doubted() {
        assert_eq!(codes(&grid()), Vec::<&str>::new());
        // Attention and embeddings counted: 0.7 to 3 times 6ND.
        let counted = |(i, run): (usize, Observation)| Observation { flops: run.flops * [0.7, 1.4, 3.0][i % 3], ..run };
        assert_eq!(codes(&grid().into_iter().enumerate().map(counted).collect::<Vec<_>>()), Vec::<&str>::new());
    }

    #[test]
    fn one_cell_of_compute_off_by_a_thousand_is_named() {
        // A newcomer's table: the slip made a target ten times beyond the runs lie inside the data.
        for factor in [1e3, 1e-3] {
            let mut runs = grid();
            runs[14].flops *= factor;
            assert_eq!(codes(&runs), ["stray_flops"]);
            let said = doubts(&runs.iter().collect::<Vec<_>>()).remove(0);
            assert!(said.to_string().contains("`run0014`") && said.severity() == Severity::Error, "{said}");
        }
    }

    /// Ten rungs at twenty tokens a parameter, 6ND.
    fn ladder() -> Vec<Observation> {
        let rung = |i: usize| {
            let params = 1e7 * math::pow(2.0, i as f64);
            let tokens = 20.0 * params;
            published::run(i, params, tokens, 6.0 * params * tokens, 5.0 * math::pow(params / 1e7, -0.05))
        };
        (0..10).map(rung).collect()
    }

    #[test]
    fn two_sparse_runs_among_dense_ones_are_counted_otherwise_and_are_no_slips() {
        // Sizes with all experts, compute of one seventh of them.
        let mut runs = ladder();
        let last = runs.len() - 2;
        runs[last..].iter_mut().for_each(|run| run.flops /= 7.0);
        assert_eq!(codes(&runs), ["counting_drifts"]);
    }

    #[test]
    fn compute_that_leaves_6nd_with_size_is_doubted() {
        // Experts of which ever fewer are active: the optimum and the loss of a budget were wrong by far without a word.
        let fall = |by: f64| -> Vec<Observation> {
            let sparser = |(i, run): (usize, Observation)| Observation {
                flops: run.flops * math::pow(by, -(i as f64) / 9.0),
                ..run
            };
            ladder().into_iter().enumerate().map(sparser).collect()
        };
        for by in [4.0, 0.25] {
            assert_eq!(codes(&fall(by)), ["counting_drifts"], "{by}");
        }
        let said = doubts(&fall(4.0).iter().collect::<Vec<_>>()).remove(0);
        assert!(said.to_string().starts_with("C/(6·N·D) is 0.857 among the smallest third"), "{said}");
        assert_eq!(codes(&fall(2.0)), Vec::<&str>::new());
    }

    #[test]
    fn losses_that_are_perplexities_are_no_losses() {
        let mut runs = ladder();
        runs.iter_mut().for_each(|run| run.loss = math::exp(run.loss));
        let found = doubts(&runs.iter().collect::<Vec<_>>());
        let said = found.iter().find(|doubt| doubt.code() == "no_losses").expect("said");
        assert!(said.hint().contains("perplexity") && said.hint().contains("`--metric`"), "{said:?}");
        assert_eq!(said.severity(), Severity::Error);
        // Bits of the largest vocabularies are below 18.1, and those of models well below.
        runs.iter_mut().for_each(|run| run.loss = 18.0);
        let found = doubts(&runs.iter().collect::<Vec<_>>());
        assert!(found.iter().all(|doubt| doubt.severity() != Severity::Error), "{found:?}");
    }

    #[test]
    fn one_size_or_amount_of_data_off_by_zeros_is_named_as_that_and_not_as_compute() {
        for factor in [10.0, 1e-1, 1e3, 1e-3] {
            let slips = [
                (Slip::Params, "stray_params", "the size of `run0004`"),
                (Slip::Tokens, "stray_tokens", "the data of `run0004`"),
                (Slip::Flops, "stray_flops", "the compute of `run0004`"),
            ];
            for (slip, code, words) in slips {
                let mut runs = ladder();
                match slip {
                    Slip::Params => runs[4].params *= factor,
                    Slip::Tokens => runs[4].tokens *= factor,
                    Slip::Flops => runs[4].flops *= factor,
                }
                let found = doubts(&runs.iter().collect::<Vec<_>>());
                let [said] = &found[..] else { panic!("{code} {factor}: {found:?}") };
                assert_eq!((said.code(), said.severity()), (code, Severity::Error), "{factor}");
                let told = said.to_string();
                assert!(told.contains(words) && told.contains(&format!("{factor:.3} times")), "{told}");
            }
        }
    }

    #[test]
    fn a_size_off_by_zeros_where_compute_follows_from_it_is_named_by_its_tokens_per_parameter() {
        for factor in [1e3, 1e-3] {
            let mut runs = ladder();
            runs[4].params *= factor;
            runs[4].flops *= factor;
            let found = doubts(&runs.iter().collect::<Vec<_>>());
            let [said] = &found[..] else { panic!("{factor}: {found:?}") };
            assert_eq!((said.code(), said.severity()), ("stray_ratio", Severity::Error));
            assert!(said.to_string().contains("`run0004`") && said.hint().contains("`params`"), "{said}");
        }
        // One small run on ten times the tokens is what a law of size and data asks for.
        let mut runs = ladder();
        (runs[0].tokens, runs[0].flops) = (10.0 * runs[0].tokens, 10.0 * runs[0].flops);
        assert_eq!(codes(&runs), Vec::<&str>::new());
    }

    #[test]
    fn a_size_off_upward_is_told_as_one_off_downward_is_where_ratios_differ() {
        // Ratios over a factor of ten: a slip by some hundreds stays within a hundred of the others.
        for (factor, severity) in [(700.0, Severity::Warning), (1.0 / 700.0, Severity::Warning), (1e4, Severity::Error)]
        {
            let mut runs = ladder();
            for (i, run) in runs.iter_mut().enumerate() {
                let by = [0.5, 5.0][i % 2];
                (run.tokens, run.flops) = (by * run.tokens, by * run.flops);
            }
            let slipped = if factor > 1.0 { 7 } else { 2 };
            (runs[slipped].params, runs[slipped].flops) = (factor * runs[slipped].params, factor * runs[slipped].flops);
            let found = doubts(&runs.iter().collect::<Vec<_>>());
            let [said] = &found[..] else { panic!("{factor}: {found:?}") };
            assert_eq!((said.code(), said.severity()), ("stray_ratio", severity), "{factor}: {said}");
        }
    }

    #[test]
    fn a_run_far_off_the_ratio_of_the_others_that_may_be_meant_is_doubted_and_not_refused() {
        // One small model on a thousand times the tokens, as one trains it to be served.
        let mut runs = ladder();
        (runs[3].tokens, runs[3].flops) = (1e3 * runs[3].tokens, 1e3 * runs[3].flops);
        let found = doubts(&runs.iter().collect::<Vec<_>>());
        let told: Vec<_> = found.iter().map(|one| (one.code(), one.severity())).collect();
        assert_eq!(told, [("stray_ratio", Severity::Warning)]);
        // All sizes on 3e11 tokens, the largest 13 times the next (GPT-3).
        let sizes = [1.25e8, 3.5e8, 7.6e8, 1.3e9, 2.7e9, 6.7e9, 1.3e10, 1.75e11];
        let run = |(i, size): (usize, f64)| published::run(i, size, 3e11, 1.8e12 * size, 3.0 - 0.1 * i as f64);
        assert_eq!(codes(&sizes.into_iter().enumerate().map(run).collect::<Vec<_>>()), Vec::<&str>::new());
    }

    #[test]
    fn one_loss_off_by_orders_of_magnitude_is_named_as_the_slip_of_its_row() {
        // It was named as a run far from the law, or refused as a loss that rises.
        use Severity::{Error, Warning};
        for (factor, severity) in [(1e3, Error), (1e-3, Error), (10.0, Error), (0.1, Warning)] {
            for mut runs in [ladder(), grid()] {
                runs[5].loss *= factor;
                let found = doubts(&runs.iter().collect::<Vec<_>>());
                let [said] = &found[..] else { panic!("{factor}: {found:?}") };
                assert_eq!((said.code(), said.severity()), ("stray_loss", severity), "{factor}");
                assert!(said.to_string().contains("`run0005`"), "{said}");
            }
        }
        // An untrained model among good ones, and error rates that fall by decades, are what they are.
        let mut runs = ladder();
        runs[0].loss = 11.0;
        assert_eq!(codes(&runs), Vec::<&str>::new());
        runs.iter_mut().enumerate().for_each(|(i, run)| run.loss = math::pow(0.5, i as f64));
        assert_eq!(codes(&runs), Vec::<&str>::new());
    }

    #[test]
    fn noise_as_large_as_the_loss_is_not_believed() {
        for (seed_sd, loss_se) in [(Some(50.0), None), (None, Some(10.0))] {
            let mut runs = ladder();
            (runs[2].seed_sd, runs[2].loss_se) = (seed_sd, loss_se);
            let found = doubts(&runs.iter().collect::<Vec<_>>());
            assert_eq!(
                found.iter().map(|one| (one.code(), one.severity())).collect::<Vec<_>>(),
                [("noise_unit", Severity::Error)]
            );
            // An error rate may be known to two fifths of itself: that is doubted and not refused.
            (runs[2].seed_sd, runs[2].loss_se) = (seed_sd.map(|_| 2.0), loss_se.map(|_| 2.0));
            assert_eq!(doubts(&runs.iter().collect::<Vec<_>>())[0].severity(), Severity::Warning);
            (runs[2].seed_sd, runs[2].loss_se) = (seed_sd.map(|sd| sd / 100.0), loss_se.map(|se| se / 100.0));
            assert_eq!(codes(&runs), Vec::<&str>::new());
        }
    }

    #[test]
    fn compute_in_another_unit_and_losses_that_are_none_are_told() {
        let of = |change: fn(Observation) -> Observation| codes(&grid().into_iter().map(change).collect::<Vec<_>>());
        assert_eq!(of(|run| Observation { flops: run.flops / 8.64e19, ..run }), ["flops_unit"]);
        assert_eq!(of(|run| Observation { loss: run.loss * 100.0, ..run }), ["no_losses"]);
        assert_eq!(of(|run| Observation { flops: run.loss, loss: run.flops, ..run }), ["flops_unit", "no_losses"]);
    }

    #[test]
    fn runs_of_one_size_and_data_that_lie_far_apart_are_of_several_recipes() {
        let twice = |by: f64| {
            let worse = grid().into_iter().map(|run| Observation { loss: run.loss * by, ..run });
            codes(&grid().into_iter().chain(worse).collect::<Vec<_>>())
        };
        assert_eq!(twice(1.06), ["twins_differ"]);
        assert_eq!(twice(1.004), Vec::<&str>::new());
        // Seeds that are told as such scatter as they do: tiny runs of a mixture of tasks by 2.2%.
        let seeded = |seed: u64| {
            move |run: Observation| Observation { seed: Some(seed), loss: run.loss * (1.0 + 0.06 * seed as f64), ..run }
        };
        let both: Vec<Observation> =
            grid().into_iter().map(seeded(0)).chain(grid().into_iter().map(seeded(1))).collect();
        assert_eq!(codes(&both), Vec::<&str>::new());
    }
}
