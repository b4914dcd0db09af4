//! The coordinate check: do activations keep their scale as models grow?
//!
//! A recipe whose updates are scaled right moves every activation by the same amount at every width (Yang et al.,
//! arXiv:2203.03466, appendix D.1). After a few steps at a rate that is large on purpose, mean |x| of each place is held
//! against size: a slope of ln mean |x| on ln size other than 0 is an update that grows or vanishes with size.
//!
//! Slopes of every step are shown, and the last step's alone is judged: places that start at zero (the readout, the
//! blocks' outputs) pass through a transient in their first steps, in which their scale is that of a few updates and goes
//! as another power of size than that which it settles at.

use forescale_core::math;
use forescale_core::probe::{
    Activation, CoordFinding, Dimension, Finding, PlaceScale, ProbeReport, ScaleCheck, ScalePoint, StepSlope,
};

use super::doubt::{Drift, ProbeDoubt};
use super::line::common_slope;
use super::{ProbeError, Subject, different, verdict};

/// Largest absolute slope that passes (METHODS 3.2; the practice of EleutherAI's nanoGPT-mup).
pub(crate) const SLOPE_LIMIT: f64 = 0.1;
/// Fewest widths: two decide nothing, and over four or more one odd width shows as a standard error.
const MIN_WIDTHS: usize = 4;
/// Fewest depths.
const MIN_DEPTHS: usize = 3;
/// Fewest steps: from a readout of zero the logits after one step are one update, and say nothing of the recipe.
const MIN_STEPS: u64 = 2;

/// Activations of one model over its first steps.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledModel {
    /// What is varied among the models that it is compared with.
    pub along: Dimension,
    /// Its width or depth.
    pub size: u32,
    /// Its seed; scales are averaged over seeds in logarithms.
    pub seed: u64,
    /// Measured after each step, places in the order of the forward pass.
    pub activations: Vec<Activation>,
}

/// What the check is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct CoordInput {
    /// What is probed.
    pub subject: Subject,
    /// Rate over the recipe's.
    pub rate_factor: f64,
    /// Steps trained.
    pub steps: u64,
    /// Models of every width, and of every depth where those are asked for.
    pub models: Vec<ScaledModel>,
}

/// Whether these sizes and steps are enough; no depth at all is.
///
/// # Errors
///
/// [`ProbeError::TooFewSizes`] below four widths or three depths, [`ProbeError::TooFewSteps`] below two steps.
pub fn check_sizes(widths: &[u32], depths: &[u32], steps: u64) -> Result<(), ProbeError> {
    if steps < MIN_STEPS {
        return Err(ProbeError::TooFewSteps { found: steps, needed: MIN_STEPS });
    }
    let refuse = |along: Dimension, found, needed, hint| {
        Err(ProbeError::TooFewSizes { along: along.label(), found, needed, hint })
    };
    match (different(widths), different(depths)) {
        (found, _) if found < MIN_WIDTHS => refuse(Dimension::Width, found, MIN_WIDTHS, "--widths 16,32,64,128"),
        (_, found) if (1..MIN_DEPTHS).contains(&found) => refuse(Dimension::Depth, found, MIN_DEPTHS, "--depths 2,4,8"),
        _ => Ok(()),
    }
}

/// Activation scale against width, and depth, over the first steps.
///
/// # Errors
///
/// As [`check_sizes`].
pub fn coord(input: &CoordInput) -> Result<ProbeReport, ProbeError> {
    let sizes = |along| -> Vec<u32> {
        input.models.iter().filter(|model| model.along == along).map(|model| model.size).collect()
    };
    check_sizes(&sizes(Dimension::Width), &sizes(Dimension::Depth), input.steps)?;
    let mut checked = Vec::new();
    for along in [Dimension::Width, Dimension::Depth] {
        let models: Vec<&ScaledModel> = input.models.iter().filter(|model| model.along == along).collect();
        if !models.is_empty() {
            checked.push(check(along, &models, input.steps));
        }
    }
    let doubts: Vec<ProbeDoubt> = checked.iter().flat_map(|check| doubts(check, input.steps)).collect();
    let answer = verdict(checked.iter().flat_map(Checked::answers));
    let checks = checked.into_iter().map(|check| check.shown).collect();
    let CoordInput { rate_factor, steps, .. } = *input;
    let finding = CoordFinding { rate_factor, steps, limit: SLOPE_LIMIT, checks };
    Ok(input.subject.report(answer, Finding::Coord(finding), &doubts))
}

/// A check, and which of its places are zero throughout.
struct Checked {
    shown: ScaleCheck,
    silent: Vec<String>,
}

impl Checked {
    /// What each place says; one that is zero in every model after every step is nothing to judge, and one that is zero
    /// in some of them is open.
    fn answers(&self) -> impl Iterator<Item = Option<bool>> {
        self.shown.places.iter().filter(|place| !self.silent.contains(&place.place)).map(|place| place.passes)
    }
}

fn check(along: Dimension, models: &[&ScaledModel], steps: u64) -> Checked {
    let mut sizes: Vec<u32> = models.iter().map(|model| model.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let measured: Vec<Measured> = models.iter().flat_map(|model| Measured::of(model)).collect();
    let scales = Scales { sizes: &sizes, measured: &measured, steps };
    let names = scales.places();
    let places = names.iter().map(|place| scales.place(place)).collect();
    let silent = names.into_iter().filter(|place| scales.is_silent(place)).collect();
    Checked { shown: ScaleCheck { along, sizes, places }, silent }
}

/// One activation of one model, under a name that models of every size have.
struct Measured {
    place: String,
    step: u64,
    size: u32,
    mean_abs: f64,
}

impl Measured {
    fn of(model: &ScaledModel) -> Vec<Self> {
        let named = |activation: &Activation| {
            let places = match model.along {
                Dimension::Width => vec![activation.place.clone()],
                Dimension::Depth => shared_places(&activation.place, model.size),
            };
            let of = |place| Self { place, step: activation.step, size: model.size, mean_abs: activation.mean_abs };
            places.into_iter().map(of).collect::<Vec<_>>()
        };
        model.activations.iter().filter(|activation| activation.step > 0).flat_map(named).collect()
    }
}

/// The names that a place has at every depth: only the first and the last block are in all models.
fn shared_places(place: &str, depth: u32) -> Vec<String> {
    let Some((number, rest)) = place.strip_prefix("block ").and_then(|rest| rest.split_once(' ')) else {
        return vec![place.to_owned()];
    };
    let Ok(number) = number.parse::<u32>() else { return vec![place.to_owned()] };
    let first = (number == 0).then(|| format!("first block {rest}"));
    let last = (number + 1 == depth).then(|| format!("last block {rest}"));
    first.into_iter().chain(last).collect()
}

/// All that was measured along one dimension.
struct Scales<'a> {
    sizes: &'a [u32],
    measured: &'a [Measured],
    steps: u64,
}

impl Scales<'_> {
    /// Places in the order in which they were first measured.
    fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = Vec::new();
        for one in self.measured {
            if !places.contains(&one.place) {
                places.push(one.place.clone());
            }
        }
        places
    }

    fn is_silent(&self, place: &str) -> bool {
        self.measured.iter().filter(|one| one.place == place).all(|one| one.mean_abs <= 0.0)
    }

    fn place(&self, place: &str) -> PlaceScale {
        let mut points = Vec::new();
        let mut slopes = Vec::new();
        for step in 1..=self.steps {
            let of_step: Vec<ScalePoint> = self.sizes.iter().map(|&size| self.point(place, step, size)).collect();
            slopes.push(StepSlope { step, slope: slope(&of_step) });
            points.extend(of_step);
        }
        let last = slopes.last().and_then(|last: &StepSlope| last.slope);
        let passes = last.map(|slope| slope.estimate.abs() <= SLOPE_LIMIT);
        PlaceScale { place: place.to_owned(), passes, slopes, points }
    }

    /// The geometric mean over seeds.
    fn point(&self, place: &str, step: u64, size: u32) -> ScalePoint {
        let here = self.measured.iter().filter(|one| one.place == place && one.step == step && one.size == size);
        let logs: Vec<f64> = here.map(|one| math::ln(one.mean_abs)).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        ScalePoint { step, size, mean_abs: mean.is_finite().then(|| math::exp(mean)) }
    }
}

/// Slope of ln mean |x| on ln size; `None` where one of them is zero, not finite or missing.
fn slope(points: &[ScalePoint]) -> Option<forescale_core::estimate::Estimate> {
    let logs = |point: &ScalePoint| point.mean_abs.map(|x| (math::ln(f64::from(point.size)), math::ln(x)));
    common_slope(&[points.iter().map(logs).collect::<Option<Vec<_>>>()?])
}

fn doubts(Checked { shown: check, silent }: &Checked, steps: u64) -> Vec<ProbeDoubt> {
    let along = check.along;
    let last = |place: &PlaceScale| place.slopes.last().and_then(|last| last.slope);
    let mut failing: Vec<Drift> = Vec::new();
    let (mut unclear, mut undefined) = (Vec::new(), Vec::new());
    for place in &check.places {
        match (place.passes, last(place)) {
            (Some(false), Some(slope)) => failing.push(Drift { place: place.place.clone(), slope }),
            (None, _) if !silent.contains(&place.place) => undefined.push(place.place.clone()),
            (Some(true), Some(slope)) if reaches_past(&slope) => unclear.push(place.place.clone()),
            _ => {}
        }
    }
    failing.sort_by(|a, b| b.slope.estimate.abs().total_cmp(&a.slope.estimate.abs()));
    let of = check.places.len();
    let drifts = (!failing.is_empty()).then_some(ProbeDoubt::ScaleDrifts { along, drifts: failing, of, steps });
    let named = |places: Vec<String>, doubt: fn(Dimension, Vec<String>) -> ProbeDoubt| {
        (!places.is_empty()).then(|| doubt(along, places))
    };
    let others = [
        named(unclear, |along, places| ProbeDoubt::ScaleUnclear { along, places }),
        named(undefined, |along, places| ProbeDoubt::ScaleUndefined { along, places }),
        named(silent.clone(), |along, places| ProbeDoubt::ScaleSilent { along, places }),
    ];
    drifts.into_iter().chain(others.into_iter().flatten()).collect()
}

/// Whether the interval of a slope that passes reaches past the limit.
fn reaches_past(slope: &forescale_core::estimate::Estimate) -> bool {
    [slope.lower, slope.upper].into_iter().flatten().any(|end| end.abs() > SLOPE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forescale_core::probe::ProbeVerdict;
    use forescale_core::run::Parametrization;

    fn input(models: Vec<ScaledModel>) -> CoordInput {
        let subject = Subject { sweep: "s".to_owned(), parametrization: Parametrization::Mup };
        CoordInput { subject, rate_factor: 4.0, steps: 2, models }
    }

    /// A model whose one place has this scale after each step.
    fn model(along: Dimension, size: u32, place: &str, scale: f64) -> ScaledModel {
        let at = |step| Activation { step, place: place.to_owned(), mean_abs: scale };
        ScaledModel { along, size, seed: 0, activations: vec![at(0), at(1), at(2)] }
    }

    fn over_widths(scale: impl Fn(f64) -> f64) -> CoordInput {
        let of = |width: u32| model(Dimension::Width, width, "block 0 mlp", scale(f64::from(width)));
        input([16, 32, 64, 128].map(of).to_vec())
    }

    fn place(report: &ProbeReport) -> PlaceScale {
        let Finding::Coord(finding) = &report.finding else { panic!("{report:?}") };
        finding.checks[0].places[0].clone()
    }

    #[test]
    fn a_scale_that_goes_as_the_root_of_width_fails_and_a_constant_one_passes() {
        // mean |x| = 3 √d: a straight line of slope 0.5 in logarithms, without rest.
        let report = coord(&over_widths(|d| 3.0 * d.sqrt())).expect("four widths");
        let found = place(&report);
        let slope = found.slopes[1].slope.expect("a slope");
        assert!((slope.estimate - 0.5).abs() < 1e-12 && slope.standard_error.expect("df 2") < 1e-6);
        assert_eq!((report.verdict, found.passes), (ProbeVerdict::Fails, Some(false)));
        assert_eq!(report.diagnoses[0].code, "scale_drifts");
        assert!(report.diagnoses[0].message.contains("`block 0 mlp` as width^0.50"), "{}", report.diagnoses[0].message);

        let steady = coord(&over_widths(|_| 0.8)).expect("four widths");
        assert_eq!((steady.verdict, steady.diagnoses.len()), (ProbeVerdict::Passes, 0));
        assert!(place(&steady).slopes[1].slope.expect("a slope").estimate.abs() < 1e-12);
    }

    #[test]
    fn the_limit_is_a_tenth() {
        for (power, answer) in [(0.099, ProbeVerdict::Passes), (-0.101, ProbeVerdict::Fails)] {
            assert_eq!(coord(&over_widths(|d| math::pow(d, power))).expect("four widths").verdict, answer, "{power}");
        }
    }

    #[test]
    fn zeros_and_infinities_are_undefined_and_no_pass() {
        for bad in [0.0, f64::INFINITY] {
            let report = coord(&over_widths(|d| if d > 100.0 { bad } else { 1.0 })).expect("four widths");
            let found = place(&report);
            assert_eq!((report.verdict, found.passes, found.slopes[1].slope), (ProbeVerdict::Undecided, None, None));
            assert_eq!(report.diagnoses[0].code, "scale_undefined");
            assert!(found.points.iter().all(|point| point.mean_abs.is_none() == (point.size == 128)));
        }
    }

    /// Models of one place with this scale beside another that keeps its own.
    fn beside_a_steady_place(scale: impl Fn(f64) -> f64) -> CoordInput {
        let mut both = over_widths(scale);
        for model in &mut both.models {
            let steady = |step| Activation { step, place: "embedding".to_owned(), mean_abs: 0.8 };
            model.activations.extend([steady(0), steady(1), steady(2)]);
        }
        both
    }

    #[test]
    fn a_place_that_is_zero_at_some_widths_leaves_the_check_open_whatever_the_others_say() {
        for bad in [0.0, f64::INFINITY] {
            let report = coord(&beside_a_steady_place(|d| if d > 100.0 { bad } else { 1.0 })).expect("four widths");
            assert_eq!((report.verdict, place(&report).passes), (ProbeVerdict::Undecided, None), "{bad}");
            assert_eq!(report.diagnoses[0].code, "scale_undefined");
        }
        let nowhere_finite = coord(&beside_a_steady_place(|_| f64::NAN)).expect("four widths");
        assert_eq!(nowhere_finite.verdict, ProbeVerdict::Undecided);
    }

    #[test]
    fn a_place_that_is_zero_throughout_is_left_out_with_a_note() {
        let report = coord(&beside_a_steady_place(|_| 0.0)).expect("four widths");
        assert_eq!((report.verdict, place(&report).passes), (ProbeVerdict::Passes, None));
        assert_eq!(report.diagnoses.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["scale_silent"]);
        assert_eq!(coord(&over_widths(|_| 0.0)).expect("four widths").verdict, ProbeVerdict::Undecided);
    }

    #[test]
    fn three_widths_and_two_depths_are_refused() {
        let three = [16, 32, 64].map(|width| model(Dimension::Width, width, "logits", 1.0)).to_vec();
        let text = coord(&input(three)).expect_err("refused").to_string();
        assert!(text.starts_with("a slope over width needs at least 4 sizes; 3 were given\n\nhint: "), "{text}");
        let mut deep = over_widths(|_| 1.0);
        deep.models.extend([2, 4].map(|depth| model(Dimension::Depth, depth, "logits", 1.0)));
        assert!(matches!(coord(&deep), Err(ProbeError::TooFewSizes { along: "depth", found: 2, .. })));
    }

    #[test]
    fn one_step_is_refused() {
        let one = CoordInput { steps: 1, ..over_widths(|_| 1.0) };
        assert_eq!(coord(&one), Err(ProbeError::TooFewSteps { found: 1, needed: 2 }));
    }

    #[test]
    fn along_depth_only_places_of_every_model_are_compared() {
        assert_eq!(shared_places("block 0 mlp", 1), ["first block mlp", "last block mlp"]);
        assert_eq!(shared_places("block 3 mlp", 4), ["last block mlp"]);
        assert!(shared_places("block 1 mlp", 4).is_empty());
        assert_eq!(shared_places("logits", 4), ["logits"]);
        let mut deep = over_widths(|_| 1.0);
        deep.models.extend([2_u32, 4, 8].map(|depth| {
            model(Dimension::Depth, depth, &format!("block {} mlp", depth - 1), math::pow(f64::from(depth), 0.3))
        }));
        let report = coord(&deep).expect("enough of both");
        let Finding::Coord(finding) = &report.finding else { panic!("{report:?}") };
        let slope = finding.checks[1].places[0].slopes[1].slope.expect("a slope");
        assert_eq!(finding.checks[1].places[0].place, "last block mlp");
        assert!((slope.estimate - 0.3).abs() < 1e-12 && report.verdict == ProbeVerdict::Fails);
    }

    #[test]
    fn seeds_are_averaged_in_logarithms() {
        // Seeds of 1 and 4: their geometric mean is 2.
        let mut two = over_widths(|_| 1.0);
        let second = over_widths(|_| 4.0).models.into_iter().map(|model| ScaledModel { seed: 1, ..model });
        two.models.extend(second);
        let mean = place(&coord(&two).expect("four widths")).points[0].mean_abs.expect("not zero");
        assert!((mean - 2.0).abs() < 1e-12);
    }
}
