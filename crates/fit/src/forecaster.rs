//! The laws fitted to one group, ready to say what a run at any size, data and compute would come to.

use std::collections::BTreeSet;

use forescale_core::estimate::Estimate;
use forescale_core::law::{Domain, LawName, Position};
use forescale_core::math;
use forescale_core::observation::{FlopsPerProduct, Observation};
use forescale_core::outcome::{Diagnosis, LawPrediction, Optimum};
use forescale_core::predictive::Predictive;

use crate::ahead::fit_ahead;
use crate::backtest::Rolling;
use crate::diagnose::{CONTRADICTION, CONTRADICTION_OF_ONE_RULE, Doubt, ONE_RULE, Silence, TargetDoubt, inflection};
use crate::ensemble::{LARGEST, Member, atom_levels, blend};
use crate::fitted::{Fitted, fit_law};
use crate::form_error::{Calibration, with_size_error};
use crate::functional::Functional;
use crate::noise::seed_sigma;
use crate::path::{distinct, is_on_path, path_shape};
use crate::session::{estimate, fit_group_by};
use crate::stacking::{Trial, stack};
use crate::{FitError, FitOptions, Target};

/// Level that profiles of predictions are traced to: the outermost stored quantile.
const PREDICTIVE_LEVEL: f64 = 0.99;

/// Laws that agree to this do not disagree, however sure each is of itself: records of one recipe scatter by 0.03 to 0.12%
/// (modded-nanogpt), so that no run could tell which of them is right.
pub(crate) const WORTH_A_WORD: f64 = 1e-3;

/// Tokens per parameter this far outside those of the runs are worth a word: as far as a run may lie from a path and be on
/// it.
const RATIO_MARGIN: f64 = 2.0;

/// A target's size within this of all runs' is theirs.
const SAME_SHAPE: f64 = 0.05;

/// A group's laws with what turns them into forecasts.
pub(crate) struct Forecaster {
    members: Vec<FittedMember>,
    /// The same laws fitted for their own sake, in the same order: what the laws' means are read from.
    bare: Vec<Option<FittedMember>>,
    level: f64,
    /// Standard deviation of one run's log loss.
    pub(crate) seed_sigma: f64,
    /// Standard deviation of the difference between the target's evaluation set and that of the runs.
    pub(crate) evaluation_sigma: f64,
    /// Largest compute fitted.
    pub(crate) max_flops: f64,
    /// Decades of compute that the data span.
    pub(crate) decades: f64,
    /// The least and the largest tokens per parameter of the runs.
    ratios: [f64; 2],
    /// The size, and the data, of all runs, where they have one.
    alone: [Option<f64>; 2],
    /// By how much a target's compute may differ from what its size and data make.
    allowed: f64,
    /// The least and the largest C/(N·D) of the runs.
    products: [f64; 2],
    /// Log losses that no distribution of a law is carried past: a tenth of the least loss seen, and twice the largest.
    /// A profile that the data do not bound ends anywhere, and no larger run is that bad; a smaller one may be.
    bounds: (f64, f64),
    /// Factor on the form term.
    pub(crate) calibration: Calibration,
    /// Weights of the laws as stacked, in their order.
    stacked: Vec<f64>,
}

struct FittedMember {
    fitted: Fitted,
    /// Student's quantiles at the atoms' levels.
    roots: Vec<f64>,
    /// Whether the law bends one way only where its rungs make an S.
    is_bent: bool,
}

/// What one law says of a target, by the fit that is made to be carried far.
struct Word {
    /// Which law.
    index: usize,
    /// What took it off its path.
    shift: f64,
    /// Its distribution.
    ahead: Member,
    said: LawPrediction,
}

/// What a forecaster says of one target.
pub(crate) struct Outlook {
    /// The laws' means, each from the law fitted for its own sake.
    pub(crate) means: Vec<Member>,
    pub(crate) laws: Vec<LawPrediction>,
    /// `None` where no law gives a number.
    pub(crate) predictive: Option<Predictive>,
    pub(crate) decades_beyond: f64,
    pub(crate) doubts: Vec<Doubt>,
}

/// Fits a group, keeping the refusals of laws it cannot carry.
pub(crate) fn forecaster(
    runs: &[&Observation],
    options: &FitOptions,
) -> Result<(Forecaster, Vec<Diagnosis>), FitError> {
    let (fitted, refusals) = fit_group_by(fit_ahead, runs, options)?;
    let seed_sigma = seed_sigma(&fitted, runs);
    let flops = || runs.iter().map(|o| o.flops);
    let max_flops = flops().fold(0.0, f64::max);
    let decades = math::log10(max_flops / flops().fold(f64::INFINITY, f64::min));
    let ratios = math::range(runs.iter().map(|o| o.tokens / o.params)).unwrap_or_default();
    let products: Vec<f64> = runs.iter().map(|o| o.flops_per_product()).collect();
    let losses = runs.iter().map(|o| math::ln(o.loss));
    let (low, high) = losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), loss| (l.min(loss), h.max(loss)));
    let bounds = (low - math::ln(10.0), high + core::f64::consts::LN_2);
    let members: Vec<FittedMember> = fitted.into_iter().map(FittedMember::new).collect();
    let on_a_surface = members.iter().any(|member| !member.is_path_law() && member.rank() > 0);
    let calibration = Calibration::default();
    let calibration = if on_a_surface { calibration } else { calibration.along_a_path() };
    let stacked = vec![1.0; members.len()];
    let (level, evaluation_sigma) = (options.level, 0.0);
    let tells_split = runs.iter().all(|o| o.tells_split());
    Ok((
        Forecaster {
            members,
            bare: Vec::new(),
            level,
            seed_sigma,
            evaluation_sigma,
            max_flops,
            decades,
            ratios,
            allowed: allowed_contradiction(&products),
            products: math::range(products).unwrap_or_default(),
            alone: if tells_split { [alone(runs, |o| o.params), alone(runs, |o| o.tokens)] } else { [None; 2] },
            bounds,
            calibration,
            stacked,
        },
        refusals,
    ))
}

/// How far compute may lie from size and data before they contradict each other, by the runs' C/(N·D): less where they keep
/// one rule.
fn allowed_contradiction(products: &[f64]) -> f64 {
    let median = math::median(products).unwrap_or(6.0);
    let is_one_rule = products.iter().all(|product| (1.0 / ONE_RULE..=ONE_RULE).contains(&(product / median)));
    if is_one_rule { CONTRADICTION_OF_ONE_RULE } else { CONTRADICTION }
}

/// The number that all runs have, to 2%, of two or more.
fn alone(runs: &[&Observation], of: fn(&Observation) -> f64) -> Option<f64> {
    let is_one = runs.len() > 1 && distinct(runs.iter().map(|o| math::ln(of(o)))) == 1;
    is_one.then(|| of(runs[0]))
}

impl FittedMember {
    fn new(fitted: Fitted) -> Self {
        // The quantiles are symmetric about zero.
        let levels = atom_levels();
        let half: Vec<f64> = levels[..levels.len() / 2].iter().map(|&p| fitted.dispersion.quantile(p)).collect();
        let mut roots = half.clone();
        roots.push(0.0);
        roots.extend(half.iter().rev().map(|root| -root));
        let is_bent = inflection(&fitted).is_some();
        Self { fitted, roots, is_bent }
    }

    fn functional(&self, target: &Target) -> Functional {
        let fitted = &self.fitted;
        let log_product = math::ln(target.flops / fitted.flops_per_product());
        match (fitted.law.form().domain(), shape_of(target, fitted.flops_per_product())) {
            (Domain::SizeAndData, None) => Functional::FrontierLoss(log_product),
            (_, shape) => {
                let (params, tokens) = shape.unwrap_or((1.0, 1.0));
                let at = self.position(params, tokens, target.flops);
                Functional::Prediction(at.repeated(tokens, target.unique_tokens))
            }
        }
    }

    fn position(&self, params: f64, tokens: f64, flops: f64) -> Position {
        self.fitted.problem.centre.position(params, tokens, flops)
    }

    /// 1 for a law whose word counts beyond the data.
    fn rank(&self) -> usize {
        usize::from(self.fitted.law.form().extrapolates())
    }

    /// Whether the law has a best split of a budget.
    fn has_optimum(&self) -> bool {
        let Fitted { problem, optimum, .. } = &self.fitted;
        problem.form.log_optimal_params(&optimum.theta, &problem.centre, 0.0).is_some()
    }

    fn is_path_law(&self) -> bool {
        self.fitted.problem.is_path_law()
    }

    /// Whether the law knows what the target does to its data: see some of it again, or none.
    fn can_speak_of(&self, target: &Target) -> bool {
        let shape = shape_of(target, self.fitted.flops_per_product());
        let repeats = target.unique_tokens.zip(shape).is_some_and(|(unique, (_, tokens))| unique < tokens);
        !repeats || self.fitted.law.form().models_repetition()
    }

    /// Whether a path law is asked about a run off its path.
    fn is_off_path(&self, target: &Target) -> bool {
        let shape = shape_of(target, self.fitted.flops_per_product());
        self.is_path_law()
            && shape.is_some_and(|(params, tokens)| !is_on_path(&self.fitted.points, params, tokens, target.flops))
    }

    fn is_of_few_vertices(&self) -> bool {
        self.fitted.is_of_few_vertices()
    }

    /// Whether this law is what a wider one is at one value of a parameter.
    fn is_special_case_of(&self, other: &Self) -> bool {
        is_special_case(self.fitted.law, other.fitted.law)
    }

    /// ln L at a target.
    fn log_loss(&self, target: &Target) -> f64 {
        self.functional(target).at(&self.fitted.problem, &self.fitted.optimum.theta).0
    }
}

/// Whether a law is what a wider one is at one value of a parameter.
pub(crate) fn is_special_case(law: LawName, wider: LawName) -> bool {
    wider == LawName::COUPLED && [LawName::CHINCHILLA, LawName::KAPLAN].contains(&law)
}

/// N and D of a target; one follows from the other and C; `None` where neither is given.
pub(crate) fn shape_of(target: &Target, flops_per_product: f64) -> Option<(f64, f64)> {
    let product = target.flops / flops_per_product;
    match (target.params, target.tokens) {
        (Some(params), Some(tokens)) => Some((params, tokens)),
        (Some(params), None) => Some((params, product / params)),
        (None, Some(tokens)) => Some((product / tokens, tokens)),
        (None, None) => None,
    }
}

impl Forecaster {
    /// The forecast of one target.
    pub(crate) fn outlook(&self, target: &Target) -> Outlook {
        let words = self.words(target, |_| true);
        let heard: Vec<&Word> = words.iter().filter(|word| word.said.weight > 0.0).collect();
        let half_width = heard.iter().map(|word| relative_half_width(&word.said.prediction)).fold(0.0, f64::max);
        let means = heard.iter().map(|word| self.mean_of(word, target).unwrap_or_else(|| word.ahead.clone())).collect();
        let predictive = self.blended(&heard.iter().map(|word| word.ahead.clone()).collect::<Vec<_>>(), target);
        let laws: Vec<LawPrediction> = words.into_iter().map(|word| word.said).collect();
        let decades_beyond = self.decades_beyond(target);
        let doubts = self.doubts(target, &laws, (decades_beyond, half_width));
        Outlook { means, laws, predictive, decades_beyond, doubts }
    }

    /// The distribution of one run alone, at half the price: no law is asked whose word does not count, and none for its
    /// mean. `None` where no law gives a number.
    pub(crate) fn predictive(&self, target: &Target) -> Option<Predictive> {
        let words = self.words(target, |weight| weight > 0.0);
        self.blended(&words.into_iter().map(|word| word.ahead).collect::<Vec<_>>(), target)
    }

    /// Losses beyond which no run of these would be believed: a distribution is cut there.
    pub(crate) fn bounds_at(&self, target: &Target) -> (f64, f64) {
        let is_below = self.decades_beyond(target) < -self.decades;
        if is_below { (self.bounds.0, f64::INFINITY) } else { self.bounds }
    }

    fn decades_beyond(&self, target: &Target) -> f64 {
        math::log10(target.flops / self.max_flops)
    }

    fn blended(&self, members: &[Member], target: &Target) -> Option<Predictive> {
        if members.is_empty() {
            return None;
        }
        let form = self.calibration.scale(self.decades_beyond(target));
        let evaluation = self.evaluation_sigma * self.evaluation_sigma;
        Some(blend(members, (form * form + self.seed_sigma * self.seed_sigma + evaluation).sqrt()))
    }

    /// What each law of a weight that is asked for says, where it has a number for the target.
    fn words(&self, target: &Target, is_asked: fn(f64) -> bool) -> Vec<Word> {
        let weighted = self.members.iter().enumerate().zip(self.heard(target));
        let word = |((index, member), weight): ((usize, &FittedMember), f64)| {
            let profile = member.fitted.profile(member.functional(target), PREDICTIVE_LEVEL);
            let shift = self.carried(member, target).unwrap_or(0.0);
            let own = estimate(&profile, member.fitted.root(self.level), self.level, true);
            let prediction = scaled(own, math::exp(shift));
            is_number(&prediction).then(|| Word {
                index,
                shift,
                ahead: Member::new(weight, &profile, &member.roots, shift).within(self.bounds_at(target)),
                said: LawPrediction { law: member.fitted.law.to_string(), weight, prediction },
            })
        };
        weighted.filter(|(_, weight)| is_asked(*weight)).filter_map(word).collect()
    }

    /// Fits the laws for their own sake as well: every run as it says, nothing expected. An interval of a law's mean is one
    /// about a certified fit, and holds as often as it says where that law is true; a fit that is made to be carried far
    /// trades that for a smaller error where it is not.
    pub(crate) fn fit_bare(&mut self, runs: &[&Observation], options: &FitOptions) {
        let bare = |member: &FittedMember| {
            let found = fit_law(member.fitted.law, runs, options).and_then(|found| found.with_refits(options));
            found.ok().map(FittedMember::new)
        };
        self.bare = self.members.iter().map(bare).collect();
    }

    /// The laws of some names, fitted for their own sake: what emphasis and expected exponents do to residuals is no fault
    /// of their form.
    pub(crate) fn bare_laws(&self, names: &BTreeSet<String>) -> impl Iterator<Item = &Fitted> {
        self.own_laws().filter(|law| names.contains(&law.law.to_string()))
    }

    /// All laws fitted for their own sake.
    pub(crate) fn own_laws(&self) -> impl Iterator<Item = &Fitted> {
        self.bare.iter().flatten().map(|member| &member.fitted)
    }

    fn bare(&self, index: usize) -> Option<&FittedMember> {
        self.bare.get(index)?.as_ref()
    }

    /// A law's mean at a target from its bare fit, where there is one.
    fn mean_of(&self, word: &Word, target: &Target) -> Option<Member> {
        let bare = self.bare(word.index)?;
        let profile = bare.fitted.profile(bare.functional(target), PREDICTIVE_LEVEL);
        Some(Member::new(word.said.weight, &profile, &bare.roots, word.shift).within(self.bounds_at(target)))
    }

    /// The weights of the laws whose word is a number; they sum to one, or to nothing where there is none.
    fn heard(&self, target: &Target) -> Vec<f64> {
        let (points, _) = self.points(target);
        let weights = self.weights(target);
        let is_heard = |point: f64| point.abs() < LARGEST;
        let heard =
            points.iter().zip(&weights).map(|((_, point), weight)| if is_heard(*point) { *weight } else { 0.0 });
        let heard: Vec<f64> = heard.collect();
        let total: f64 = heard.iter().sum();
        heard.iter().map(|weight| if total > 0.0 { weight / total } else { 0.0 }).collect()
    }

    /// ln L of each law at a target, and their weighted mean. What a law says of data that are repeated and that it takes
    /// for fresh is among them, without weight.
    pub(crate) fn points(&self, target: &Target) -> (Vec<(LawName, f64)>, f64) {
        let of = |member: &FittedMember| {
            (member.fitted.law, member.log_loss(target) + self.carried(member, target).unwrap_or(0.0))
        };
        let points: Vec<(LawName, f64)> = self.members.iter().map(of).collect();
        let weights = self.weights(target);
        let heard = points.iter().zip(weights).filter(|(_, weight)| *weight > 0.0);
        let mean = heard.map(|((_, point), weight)| weight * point).sum();
        (points, mean)
    }

    /// What takes a path law's word to a target off its path: by how much ln L there differs from ln L on the path at
    /// the same compute, by the first of the laws of size and data that may speak. `None` on the path, or without one.
    fn carried(&self, member: &FittedMember, target: &Target) -> Option<f64> {
        if !member.is_off_path(target) {
            return None;
        }
        let on_path = path_shape(&member.fitted.points, target.flops)?;
        let there = Target { params: Some(on_path.0), tokens: Some(on_path.1), ..Target::of_budget(target.flops) };
        let surface = self.members.iter().filter(|m| !m.is_path_law() && self.is_widest(m)).max_by_key(|m| m.rank())?;
        Some(surface.log_loss(target) - surface.log_loss(&there))
    }

    fn is_widest(&self, member: &FittedMember) -> bool {
        !self.members.iter().any(|other| member.is_special_case_of(other))
    }

    /// Whether any law knows what a target does to its data.
    pub(crate) fn can_speak_of(&self, target: &Target) -> bool {
        self.members.iter().any(|member| member.can_speak_of(target))
    }

    /// The stacked weights; none for a law that says nothing of data repeated as the target's are, does not extrapolate,
    /// bends one way where its rungs make an S, is left off its path, is drawn through few vertices, or is a special case of another, unless nothing else is left.
    fn weights(&self, target: &Target) -> Vec<f64> {
        let rank = |member: &FittedMember| {
            let left = member.is_off_path(target) && self.carried(member, target).is_none();
            32 * usize::from(member.can_speak_of(target))
                + 16 * member.rank()
                + 8 * usize::from(!member.is_bent)
                + 4 * usize::from(!left)
                + 2 * usize::from(!member.is_of_few_vertices())
                + usize::from(self.is_widest(member))
        };
        let ranks: Vec<usize> = self.members.iter().map(rank).collect();
        let best = ranks.iter().copied().max().unwrap_or(0);
        let speaks = |(rank, weight): (&usize, &f64)| if *rank == best { *weight } else { 0.0 };
        let weights: Vec<f64> = ranks.iter().zip(&self.stacked).map(speaks).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }

    /// Takes weights and width from backtests on the same runs.
    pub(crate) fn learn(&mut self, rolling: &Rolling) {
        self.calibration = Calibration { form: self.calibration.form, ..Calibration::from_errors(&rolling.errors) };
        let names: Vec<LawName> = self.members.iter().map(|m| m.fitted.law).collect();
        let trials: Vec<Trial> = rolling.cuts.iter().map(|cut| cut.trial(&names)).collect();
        self.stacked = stack(&trials, names.len());
    }

    /// Takes weights and width from a forecaster of other runs of the same sweep, law by law; a law that it does not hold
    /// keeps its own weight.
    pub(crate) fn adopt(&mut self, other: &Self) {
        self.calibration = other.calibration;
        for (member, weight) in self.members.iter().zip(&mut self.stacked) {
            if let Some(at) = other.members.iter().position(|known| known.fitted.law == member.fitted.law) {
                *weight = other.stacked[at];
            }
        }
    }

    fn doubts(&self, target: &Target, laws: &[LawPrediction], (decades, half_width): (f64, f64)) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let off = self.members.iter().filter(|m| m.is_off_path(target) && self.carried(m, target).is_none());
        doubts.extend(off.map(|m| Doubt::OffPathTarget { law: m.fitted.law.to_string() }));
        if decades > 0.5 {
            let expected_error = crate::form_error::expected_error(decades) * self.calibration.factor;
            let is_backtested = (self.calibration.factor - 1.0).abs() > 0.0;
            doubts.push(Doubt::Extrapolating { decades, data_decades: self.decades, expected_error, is_backtested });
        }
        let weighted = laws.iter().filter(|law| law.weight > 0.0).map(|law| law.prediction.estimate);
        let (low, high) = weighted.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        let spread = high / low - 1.0;
        if spread > half_width.max(WORTH_A_WORD) {
            doubts.push(Doubt::LawsDisagree { spread, half_width });
        }
        doubts.extend(self.one_law(target, laws).map(Doubt::from));
        doubts
    }

    /// Where one law alone has a say, and why no other has.
    fn one_law(&self, target: &Target, laws: &[LawPrediction]) -> Option<TargetDoubt> {
        let is_heard = |law: &str| laws.iter().any(|said| said.weight > 0.0 && said.law == law);
        let (heard, others): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|member| is_heard(&member.fitted.law.to_string()));
        let [one] = heard[..] else { return None };
        let silent = others.into_iter().map(|other| (other.fitted.law.to_string(), self.silence(other, one, target)));
        Some(TargetDoubt::OneLaw { law: one.fitted.law.to_string(), silent: silent.collect() })
    }

    /// Why a law has no say beside the one that has: the first thing in which it is behind it.
    fn silence(&self, member: &FittedMember, heard: &FittedMember, target: &Target) -> Silence {
        let is_left = |member: &FittedMember| member.is_off_path(target) && self.carried(member, target).is_none();
        let behind = |of: &dyn Fn(&FittedMember) -> bool| of(member) && !of(heard);
        if behind(&|one| !one.can_speak_of(target)) {
            Silence::Repeats
        } else if behind(&|one| one.rank() == 0) {
            Silence::NotCarried
        } else if behind(&|one| one.is_bent) {
            Silence::Bent
        } else if behind(&is_left) {
            Silence::OffPath
        } else if behind(&FittedMember::is_of_few_vertices) {
            Silence::FewVertices
        } else {
            let wider = self.members.iter().find(|other| member.is_special_case_of(other));
            wider.map_or(Silence::NoNumber, |wider| Silence::SpecialCase(wider.fitted.law.to_string()))
        }
    }

    /// What all runs have one value of and a target another, or none: `params` or `tokens`, and the value. Their curve is that
    /// of one size or of one amount of data, and not the compute-optimal one.
    pub(crate) fn alone(&self, target: &Target) -> Option<(&'static str, f64)> {
        let flops_per_product = self.laws().next()?.flops_per_product();
        let (params, tokens) = shape_of(target, flops_per_product).unzip();
        let differs =
            |value: f64, asked: Option<f64>| asked.is_none_or(|asked| (asked / value - 1.0).abs() > SAME_SHAPE);
        let named = ["params", "tokens"].into_iter().zip(self.alone).zip([params, tokens]);
        named
            .filter_map(|((name, value), asked)| {
                value.filter(|value| differs(*value, asked)).map(|value| (name, value))
            })
            .next()
    }

    /// Whether a target's tokens per parameter, or those of the best split of its budget, lie outside those of the runs,
    /// where laws that tell size from data speak.
    pub(crate) fn beyond_ratios(&self, target: &Target, optimum: Option<&Optimum>) -> Option<TargetDoubt> {
        let surface = self.members.iter().find(|member| !member.is_path_law())?;
        let shape = shape_of(target, surface.fitted.flops_per_product());
        let best = optimum.map(|best| (best.params.estimate, best.tokens.estimate));
        let (params, tokens) = shape.or(best)?;
        let (ratio, [low, high]) = (tokens / params, self.ratios);
        let is_beyond = ratio > RATIO_MARGIN * high || ratio < low / RATIO_MARGIN;
        is_beyond.then_some(TargetDoubt::BeyondRatios { ratio, span: [low, high], is_best: shape.is_none() })
    }

    /// Compute, size and data of a target that cannot belong to one run: C/(N·D) outside of what the runs and 6ND span, as
    /// it falls towards 6 with size where embeddings count, and rises with the share of inactive parameters.
    pub(crate) fn contradiction(&self, target: &Target) -> Option<Doubt> {
        let product = target.params? * target.tokens?;
        let (per_product, [low, high]) = (target.flops / product, self.products);
        let agrees = per_product >= low.min(6.0) / self.allowed && per_product <= high.max(6.0) * self.allowed;
        let doubt = Doubt::TargetContradicts { flops: target.flops, implied: 6.0 * product, allowed: self.allowed };
        (!agrees).then_some(doubt)
    }

    /// The law that optima are read from: of those with an optimum the first that extrapolates best and is no special case
    /// of another, so that it is one that a forecast listens to. As it is fitted to be carried: sizes read so miss by
    /// 40% less and better past the data (`crate::experience::SIZE_ERROR`).
    pub(crate) fn surface(&self) -> Option<&Fitted> {
        let able = self.members.iter().filter(|member| member.has_optimum());
        let rank = |member: &FittedMember| (member.rank(), self.is_widest(member));
        let member = able.reduce(|best, next| if rank(next) > rank(best) { next } else { best })?;
        Some(&member.fitted)
    }

    /// Compute-optimal N and D at a budget, with the error of form that published sizes showed so far past their runs.
    pub(crate) fn optimum(&self, flops: f64) -> Option<Optimum> {
        let fitted = self.surface()?;
        let product = flops / fitted.flops_per_product();
        let profile = fitted.profile(Functional::LogOptimalParams(math::ln(product)), self.level);
        let own = estimate(&profile, fitted.root(self.level), self.level, true);
        // ln D* is a constant less ln N*, and so has its deviation; told of the logarithm, as a profile tells it.
        let data = Estimate {
            estimate: product / own.estimate,
            standard_error: profile.standard_error.map(|se| se * product / own.estimate),
            lower: own.upper.map(|upper| product / upper),
            upper: own.lower.map(|lower| product / lower),
            level: self.level,
        };
        // A model of less than one parameter, or trained on less than one token, is no end: the profile never found one.
        let end = |end: Option<f64>| end.filter(|size| (1.0..=product).contains(size));
        let [params, tokens] = [own, data].map(|of| {
            let of = with_size_error(of, self.decades_beyond(&Target::of_budget(flops)));
            Estimate { lower: end(of.lower), upper: end(of.upper), ..of }
        });
        // Beyond what a number can hold there is no size to name.
        let law = Some(fitted.law.to_string());
        let flops_per_product = self.flops_per_product();
        (is_number(&params) && is_number(&tokens)).then_some(Optimum { law, params, tokens, flops_per_product })
    }

    /// What a parameter and token cost in the runs that optima are read from.
    pub(crate) fn flops_per_product(&self) -> Option<FlopsPerProduct> {
        FlopsPerProduct::of(&self.surface()?.points)
    }

    /// A target on the path at a budget; compute alone where no path was fitted.
    pub(crate) fn target_on_path(&self, flops: f64) -> Target {
        let path = self.members.iter().find(|m| m.is_path_law());
        let shape = path.and_then(|m| path_shape(&m.fitted.points, flops));
        Target { params: shape.map(|s| s.0), tokens: shape.map(|s| s.1), ..Target::of_budget(flops) }
    }

    /// The laws as fitted.
    pub(crate) fn laws(&self) -> impl Iterator<Item = &Fitted> {
        self.members.iter().map(|member| &member.fitted)
    }
}

/// An estimate of a quantity so many times as large.
fn scaled(estimate: Estimate, factor: f64) -> Estimate {
    let by = |value: Option<f64>| value.map(|v| v * factor);
    Estimate {
        estimate: estimate.estimate * factor,
        standard_error: by(estimate.standard_error),
        lower: by(estimate.lower),
        upper: by(estimate.upper),
        level: estimate.level,
    }
}

/// Whether an estimate of something above zero is a number, and so are its error and ends.
fn is_number(of: &Estimate) -> bool {
    let numbers = of.standard_error.iter().chain(&of.lower).chain(&of.upper);
    of.estimate.is_finite() && of.estimate > 0.0 && numbers.into_iter().all(|number| number.is_finite())
}

fn relative_half_width(prediction: &Estimate) -> f64 {
    let above = prediction.upper.map_or(f64::INFINITY, |upper| upper / prediction.estimate - 1.0);
    let below = prediction.lower.map_or(f64::INFINITY, |lower| 1.0 - lower / prediction.estimate);
    above.max(below)
}
