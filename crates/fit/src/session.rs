//! Fitting the laws asked for to each group of runs, with intervals, certificate and doubts.

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::digest::json_list_digest;
use forescale_core::estimate::Estimate;
use forescale_core::law::{Domain, LawName};
use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::{Diagnosis, FIT_SCHEMA, FitReport, FittedLaw, Inputs, ObjectiveValue, Severity};
use rayon::prelude::*;

use crate::certificate::{certificate, uncertified};
use crate::diagnose::{Doubt, doubt_of_exclusions, doubts_of_fit, doubts_of_runs, wrong_runs};
use crate::fitted::{Fitted, fit_law, seen_by, validate};
use crate::functional::Functional;
use crate::grid::classic;
use crate::profile::Profile;
use crate::solve::search_size;
use crate::{FitError, FitOptions, Starts, objective, path};

/// Fits each law asked for to each group of runs.
///
/// Each law proposes its own starts (Chinchilla 36: 6 exponents per falling term, floor and amplitudes projected out), and
/// every start is polished. Groups are fitted apart. A law that a group's runs cannot carry is an error only when no law
/// asked for can be fitted to that group; otherwise its refusal is a diagnosis on the group's other fits.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, a repeated identity, or runs that carry no law.
pub fn fit(
    observations: &[Observation],
    exclusions: &[Exclusion],
    options: &FitOptions,
) -> Result<FitReport, FitError> {
    validate(observations, options)?;
    let (fits, inputs) = rayon::join(|| fits(observations, exclusions, options), || inputs(observations));
    Ok(FitReport { schema: FIT_SCHEMA.to_owned(), fits: fits?, reductions: Vec::new(), inputs })
}

fn fits(
    observations: &[Observation],
    exclusions: &[Exclusion],
    options: &FitOptions,
) -> Result<Vec<FittedLaw>, FitError> {
    let mut fits = Vec::new();
    let groups = groups(observations);
    let several = groups.len() > 1;
    for (group, runs) in groups {
        let named = |error| if several { FitError::in_group(group.as_deref(), error) } else { error };
        let (fitted, mut refusals) = fit_group(&runs, options).map_err(&named)?;
        let mut of_runs: Vec<Diagnosis> = doubts_of_runs(&runs, options).iter().map(Doubt::diagnosis).collect();
        of_runs.extend(doubt_of_exclusions(exclusions, runs.len()).map(|doubt| doubt.diagnosis()));
        let (fitted, nameless): (Vec<Fitted>, Vec<Fitted>) =
            fitted.into_iter().partition(|law| overflow(law).is_none());
        let refused = nameless.iter().filter_map(|law| Some((law.law.to_string(), overflow(law)?)));
        let mut overflows: Vec<(String, FitError)> = refused.collect();
        if fitted.is_empty() && !overflows.is_empty() {
            return Err(named(overflows.swap_remove(0).1));
        }
        let doubt = |(law, error)| Doubt::LawRefused { law, error }.diagnosis();
        refusals.extend(overflows.into_iter().map(doubt));
        for law in fitted {
            let mut entry = describe(&law, &runs, options);
            entry.group.clone_from(&group);
            entry.excluded.extend(exclusions.iter().cloned());
            // What is wrong with the runs comes first: it may be why the law is doubted.
            entry.diagnoses.splice(0..0, of_runs.iter().cloned());
            entry.diagnoses.extend(refusals.iter().cloned());
            fits.push(entry);
        }
    }
    Ok(fits)
}

/// The first parameter of a law that is no number outside its logarithm.
fn overflow(fitted: &Fitted) -> Option<FitError> {
    let value = |i: usize| {
        let functional = Functional::Parameter(i);
        let (centre, _) = functional.at(&fitted.problem, &fitted.optimum.theta);
        if functional.is_logarithm(&fitted.problem) { math::exp(centre) } else { centre }
    };
    let parameters = fitted.problem.form.parameters().iter().enumerate();
    let what =
        parameters.filter(|(i, _)| !value(*i).is_finite()).map(|(_, form)| format!("`{}`", form.symbol)).next()?;
    Some(FitError::Overflow { whose: format!("`{}`", fitted.law), what })
}

/// What an answer was computed from.
pub(crate) fn inputs(observations: &[Observation]) -> Inputs {
    Inputs { digest: json_list_digest(observations) }
}

/// Observations by group, in the order of their names.
pub(crate) fn groups(observations: &[Observation]) -> BTreeMap<Option<String>, Vec<&Observation>> {
    let mut groups: BTreeMap<Option<String>, Vec<&Observation>> = BTreeMap::new();
    for observation in observations {
        groups.entry(observation.group.clone()).or_default().push(observation);
    }
    groups
}

/// Groups that a hint names.
const MOST_NAMED: usize = 5;

/// What to do where one group is needed and there are several: each as it is picked, under the name of its column.
pub(crate) fn pick_one(groups: &BTreeMap<Option<String>, Vec<&Observation>>, options: &FitOptions) -> String {
    let quoted = |text: &str| if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") };
    let is_plain = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let column = &options.group_column;
    let column = if column.chars().all(is_plain) { column.clone() } else { quoted(column) };
    let picked = |name: &str| {
        let condition = format!("{column} == {}", quoted(name));
        format!("--where '{}'", condition.replace('\'', r"'\''"))
    };
    let names: Vec<&str> = groups.keys().flatten().map(String::as_str).collect();
    let shown: Vec<String> = names.iter().take(MOST_NAMED).map(|name| picked(name)).collect();
    let more = if names.len() > MOST_NAMED { ", and so on" } else { "" };
    format!(
        "pick one by {}{more} (joined by `and` to a condition that is there); or --pool takes all as one",
        shown.join(", ")
    )
}

/// The laws that a group carries, and the refusals of the others as doubts.
pub(crate) fn fit_group(
    runs: &[&Observation],
    options: &FitOptions,
) -> Result<(Vec<Fitted>, Vec<Diagnosis>), FitError> {
    fit_group_by(fit_law, runs, options)
}

/// The same by another way of fitting one law.
pub(crate) fn fit_group_by(
    fit_law: fn(LawName, &[&Observation], &FitOptions) -> Result<Fitted, FitError>,
    runs: &[&Observation],
    options: &FitOptions,
) -> Result<(Vec<Fitted>, Vec<Diagnosis>), FitError> {
    let (mut fitted, mut refusals, mut first) = (Vec::new(), Vec::new(), None);
    for &law in &options.laws {
        match fit_law(law, runs, options).and_then(|found| found.with_refits(options)) {
            Ok(found) => fitted.push(found),
            Err(error) => {
                refusals.push(Doubt::LawRefused { law: law.to_string(), error: error.clone() }.diagnosis());
                first.get_or_insert(error);
            }
        }
    }
    match first {
        // What is wrong with the runs may be why no law could be fitted, and is more to the point.
        Some(error) if fitted.is_empty() => Err(wrong_runs(runs, options).unwrap_or(error)),
        _ => Ok((fitted, refusals)),
    }
}

fn describe(fitted: &Fitted, all: &[&Observation], options: &FitOptions) -> FittedLaw {
    let runs = &seen_by(fitted.law, all, options)[..];
    let profile = |i| fitted.profile(Functional::Parameter(i), options.level);
    let profiles = || (0..fitted.problem.count()).into_par_iter().map(profile).collect::<Vec<Profile>>();
    let (profiles, certificate) = rayon::join(profiles, || certificate(fitted));
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let square: f64 = residuals.iter().map(|r| r * r).sum();
    let mut diagnoses: Vec<Diagnosis> = doubts_of_fit(fitted, runs, &profiles).iter().map(Doubt::diagnosis).collect();
    let residual_rms = (square / residuals.len() as f64).sqrt();
    diagnoses.extend(uncertified(fitted.law, &certificate, residual_rms));
    diagnoses.extend(starts_as_meant(fitted, options));
    FittedLaw {
        group: None,
        law: fitted.law.to_string(),
        rule: options.rules.clone(),
        interval: Some(options.interval.name().to_owned()),
        n: fitted.points.len() as u64,
        vertices_of: fitted.vertices.then_some(runs.len() as u64),
        excluded: not_used(fitted, all, runs),
        parameters: parameters(fitted, &profiles, options.level),
        objective: ObjectiveValue {
            kind: objective::kind(options.objective).to_owned(),
            delta: objective::delta(options.objective),
            value: fitted.optimum.value,
        },
        certificate,
        residual_rms,
        diagnoses,
    }
}

/// Whether the starts that a certificate counts were not those of the classic grid, each polished on all runs, where these
/// were asked for.
fn starts_as_meant(fitted: &Fitted, options: &FitOptions) -> Option<Diagnosis> {
    let law = fitted.law;
    if options.starts != Starts::Classic {
        return None;
    }
    let message = if classic(&fitted.problem).is_none() {
        format!("`{law}` has no classic grid; its {} projected starts were polished", fitted.starts)
    } else {
        let part = search_size(&fitted.problem)?;
        format!(
            "`{law}`: the classic starts were followed on {part} of {} runs, and each different end of those was polished on all: a start counts where its end leads",
            fitted.points.len()
        )
    };
    let hint = "none is needed; the certificate counts agreeing starts as said here".to_owned();
    Some(Diagnosis { code: "starts_not_classic".to_owned(), severity: Severity::Note, message, hint })
}

/// Runs that a law leaves aside: because they repeat data and it says nothing of that, because a path law reads in their
/// role that they are off it, or because no vertex could be made from them.
fn not_used(fitted: &Fitted, all: &[&Observation], seen: &[&Observation]) -> Vec<Exclusion> {
    let because = |reason| move |o: &&Observation| Exclusion { run_id: o.run_id.clone(), reason };
    let repeats = |o: &&&Observation| seen.len() < all.len() && o.repeats_data();
    let repeated = all.iter().filter(repeats).map(because(ExclusionReason::RepeatedTokens));
    if fitted.vertices {
        return repeated.chain(path::without_vertex(seen)).collect();
    }
    let of_path = fitted.law.form().domain() == Domain::Compute;
    let fitted_to: BTreeSet<&str> = fitted.points.iter().map(|o| o.run_id.as_str()).collect();
    let aside = |o: &&&Observation| of_path && !fitted_to.contains(o.run_id.as_str());
    repeated.chain(seen.iter().filter(aside).map(because(ExclusionReason::OffPath))).collect()
}

fn parameters(fitted: &Fitted, profiles: &[Profile], level: f64) -> BTreeMap<String, Estimate> {
    let forms = fitted.problem.form.parameters().iter();
    let entry = |(i, (form, profile)): (usize, (&forescale_core::law::Parameter, &Profile))| {
        let logarithm = Functional::Parameter(i).is_logarithm(&fitted.problem);
        (form.symbol.to_owned(), estimate(profile, fitted.root(level), level, logarithm))
    };
    forms.zip(profiles).enumerate().map(entry).collect()
}

/// A profile as an estimate: of the exponential where the profile is of a logarithm.
pub(crate) fn estimate(profile: &Profile, root: f64, level: f64, logarithm: bool) -> Estimate {
    let natural = |value: f64| if logarithm { math::exp(value) } else { value };
    let centre = natural(profile.centre);
    Estimate {
        estimate: centre,
        standard_error: profile
            .relative_error
            .or(profile.standard_error)
            .map(|se| if logarithm { se * centre } else { se })
            .filter(|error| error.is_finite()),
        lower: profile.bounded(-root).map(natural).filter(|end| is_end(*end, logarithm)),
        upper: profile.bounded(root).map(natural).filter(|end| is_end(*end, logarithm)),
        level,
    }
}

/// Whether a value bounds anything: an amplitude of 0, or an infinity, is what a profile says that never ended.
fn is_end(end: f64, logarithm: bool) -> bool {
    end.is_finite() && (end > 0.0 || !logarithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LawName, Objective, published};
    use forescale_core::outcome::Severity;
    use forescale_core::run::Role;

    const EPOCH: [f64; 5] = [482.01, 2085.43, 1.8172, 0.3478, 0.3658];

    fn only(law: LawName) -> FitOptions {
        FitOptions { laws: vec![law], ..FitOptions::default() }
    }

    #[test]
    fn a_deviation_that_is_none_or_whose_square_is_no_number_is_refused() {
        // Tables 1524 and 1942 of the fuzzer: a `loss_se` of 1e300 passed, and made a forecast of NaN.
        let runs = published::grid(EPOCH);
        let said = |field: &str, value: f64| {
            let mut runs = runs.clone();
            match field {
                "loss_se" => runs[3].loss_se = Some(value),
                _ => runs[3].seed_sd = Some(value),
            }
            fit(&runs, &[], &only(LawName::CHINCHILLA)).err().map(|error| error.to_string())
        };
        for field in ["loss_se", "seed_sd"] {
            for value in [1e300, f64::MAX, -1.0, f64::NAN] {
                let said = said(field, value).unwrap_or_else(|| panic!("{field} {value} passed"));
                assert!(said.contains("`run0003`") && said.contains(field) && said.contains("hint:"), "{said}");
            }
            assert_eq!(said(field, 0.0), None);
        }
    }

    #[test]
    fn no_bounded_interval_is_without_width_whatever_unit_a_parameter_is_told_in() {
        // M3's γ is per FLOP, 1e-21 here, and was traced in steps of 1e-9: both ends were the estimate.
        for unit in [1.0, 1e-21, 1e-40] {
            let rung = |i: usize| {
                let flops = math::pow(10.0, 18.0 + 0.5 * i as f64);
                let params = (flops / 120.0).sqrt();
                let loss = 3.0 * math::pow(1e18 * (1.0 / flops + 2e-21), 0.09);
                let role = Some(Role::Path);
                Observation { role, ..published::run(i, params, 20.0 * params, unit * flops, loss) }
            };
            let runs = published::with_noise(&(0..12).map(rung).collect::<Vec<_>>(), 0.002, 4);
            for interval in [crate::IntervalMethod::Profile, crate::IntervalMethod::Pairs] {
                let found = fit(&runs, &[], &FitOptions { interval, draws: 200, ..only(LawName::M3) }).expect("fits");
                let gamma = found.fits[0].parameters["gamma"];
                let (lower, upper) = (gamma.lower.expect("an end"), gamma.upper.expect("an end"));
                assert!(lower < 0.95 * gamma.estimate && upper > 1.05 * gamma.estimate, "{unit}: {gamma:?}");
                assert!((0.5e-21..8e-21).contains(&(unit * gamma.estimate)), "{unit}: {gamma:?}");
            }
        }
    }

    #[test]
    fn starts_that_are_not_the_classic_ones_are_said_where_these_were_asked_for() {
        let said = |law: LawName| {
            let options = FitOptions { starts: Starts::Classic, ..only(law) };
            let found = fit(&noisy_grid(), &[], &options).expect("fits");
            found.fits[0].diagnoses.iter().find(|doubt| doubt.code == "starts_not_classic").cloned()
        };
        assert!(said(LawName::COUPLED).expect("said").message.contains("has no classic grid; its "));
        assert_eq!(said(LawName::POWER_LAW), None);
    }

    fn noisy_grid() -> Vec<Observation> {
        published::with_noise(&published::grid(EPOCH), 0.005, 1)
    }

    #[track_caller]
    fn refusal(runs: &[Observation], law: LawName) -> String {
        let text = fit(runs, &[], &only(law)).expect_err("refused").to_string();
        assert!(text.contains("\n\nhint: "), "{text}");
        text
    }

    #[test]
    fn an_empty_table_is_refused() {
        assert!(refusal(&[], LawName::POWER_LAW).starts_with("the table has 0 observations"));
    }

    #[test]
    fn a_loss_that_is_not_a_positive_number_is_refused_by_name() {
        for bad in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            let mut runs = noisy_grid();
            runs[3].loss = bad;
            assert!(refusal(&runs, LawName::CHINCHILLA).starts_with("`run0003`: loss is"), "{bad}");
        }
    }

    #[test]
    fn a_size_that_no_run_has_is_refused_by_name() {
        for bad in [1e200, 1e-200] {
            let mut runs = noisy_grid();
            runs[3].params = bad;
            let text = refusal(&runs, LawName::CHINCHILLA);
            assert!(text.starts_with("`run0003`: params is") && text.contains("between 1e-60 and 1e60"), "{text}");
        }
    }

    #[test]
    fn two_runs_with_one_identity_are_refused() {
        let mut runs = noisy_grid();
        runs[3].run_id = "run0004".to_owned();
        assert!(refusal(&runs, LawName::CHINCHILLA).starts_with("`run0004` names 2 runs"));
    }

    #[test]
    fn fewer_points_than_parameters_and_one_are_refused() {
        let runs = noisy_grid();
        assert!(refusal(&runs[..5], LawName::CHINCHILLA).contains("given 5 observations"));
    }

    #[test]
    fn runs_on_one_budget_carry_no_law_of_compute() {
        let runs: Vec<Observation> =
            (0..6).map(|i| published::run(i, 1e6, 2e7, 1.2e14, 3.0 + 0.01 * i as f64)).collect();
        assert!(refusal(&runs, LawName::POWER_LAW).contains("given 1 distinct budget;"));
    }

    #[test]
    fn a_ladder_at_one_ratio_cannot_tell_n_from_d() {
        let rung = |i: usize| {
            let n = 1e6 * math::pow(2.0, i as f64);
            published::run(i, n, 20.0 * n, 120.0 * n * n, 3.0 - 0.1 * i as f64)
        };
        let runs: Vec<Observation> = (0..8).map(rung).collect();
        assert!(refusal(&runs, LawName::CHINCHILLA).contains("cannot tell N from D"));
    }

    #[test]
    fn a_law_that_is_refused_beside_another_is_a_note_on_it() {
        let rung = |i: usize| {
            let n = 1e6 * math::pow(2.0, i as f64);
            published::run(i, n, 20.0 * n, 120.0 * n * n, 1.5 + 2.0 * math::pow(n / 1e6, -0.3))
        };
        let runs: Vec<Observation> = (0..8).map(rung).collect();
        let report = fit(&runs, &[], &FitOptions::default()).expect("power_law can be fitted");
        assert_eq!(report.fits.len(), 1);
        let refused = report.fits[0].diagnoses.iter().find(|d| d.code == "law_refused").expect("a note");
        assert_eq!(refused.severity, Severity::Note);
        assert!(refused.message.starts_with("`chinchilla` was not fitted: it cannot tell N from D"), "{refused:?}");
        // The same table, noise free: the law behind it, L = 1.5 + 2 (N / 1e6)^-0.3 with C = 120 N^2, so b = 0.15.
        assert!((report.fits[0].parameters["b"].estimate / 0.15 - 1.0).abs() < 1e-5);
        assert!((report.fits[0].parameters["c"].estimate / 1.5 - 1.0).abs() < 1e-5);
    }

    #[test]
    fn laws_that_are_all_fitted_have_no_refusal_among_their_doubts() {
        let report = fit(&noisy_grid(), &[], &FitOptions::default()).expect("fits");
        assert_eq!(report.fits.len(), FitOptions::default().laws.len());
        assert!(report.fits.iter().flat_map(|law| &law.diagnoses).all(|d| d.code != "law_refused"));
    }

    #[test]
    fn every_run_without_a_vertex_is_left_out_with_the_reason() {
        let mut runs = noisy_grid();
        let mut lone = published::run(900, 1e12, 1e12, 6e24, 2.0);
        lone.cluster = "lone".to_owned();
        runs.push(lone);
        let report = fit(&runs, &[], &only(LawName::POWER_LAW)).expect("fits");
        let law = &report.fits[0];
        assert_eq!((law.n, law.vertices_of), (5, Some(runs.len() as u64)));
        let reason = law.excluded.iter().find(|e| e.run_id == "run0900").map(|e| e.reason);
        assert_eq!(reason, Some(ExclusionReason::NoVertex));
        // Sizes more than 6x from the best of their budget shape no parabola either.
        let far = law.excluded.iter().filter(|e| e.reason == ExclusionReason::FarFromVertex).count();
        assert!(far > 0 && law.excluded.len() == far + 1, "{:?}", law.excluded);
        assert!(law.diagnoses.iter().all(|d| !d.message.contains("`run")), "{:?}", law.diagnoses);
    }

    #[test]
    fn a_run_without_a_role_beside_runs_with_one_is_left_out_too() {
        let mut runs: Vec<Observation> = (0..7).map(|i| rung(i, 3.0 - 0.2 * i as f64)).collect();
        runs.iter_mut().take(6).for_each(|run| run.role = Some(Role::Path));
        let report = fit(&runs, &[], &only(LawName::POWER_LAW)).expect("fits");
        let left_out: Vec<&str> = report.fits[0].excluded.iter().map(|e| e.run_id.as_str()).collect();
        assert_eq!(left_out, ["run0006"]);
    }

    fn rung(i: usize, loss: f64) -> Observation {
        let n = 1e6 * math::pow(2.0, i as f64);
        published::run(i, n, 20.0 * n, 120.0 * n * n, loss)
    }

    #[test]
    fn loss_that_rises_or_stays_is_said_not_to_fall() {
        for slope in [0.0, 0.1] {
            let runs: Vec<Observation> = (0..8).map(|i| rung(i, 3.0 + slope * i as f64)).collect();
            let report = fit(&runs, &[], &only(LawName::POWER_LAW)).expect("fits");
            let found = &report.fits[0].diagnoses;
            let doubt = found.iter().find(|d| d.code == "loss_does_not_fall").expect("the doubt");
            assert_eq!(doubt.severity, Severity::Error);
            assert!(doubt.message.contains("loss does not fall with compute"), "{}", doubt.message);
            assert!(found.iter().all(|d| d.code != "not_asymptotic"), "{found:?}");
        }
    }

    #[test]
    fn a_table_without_noise_is_not_doubted_for_the_gradient_of_its_rounding() {
        // Losses to nine digits of a law that is true: the scaled gradient was 1.3e-8, and the fit called uncertified.
        let rounded = |run: Observation| Observation { loss: (run.loss * 1e8).round() / 1e8, ..run };
        let runs: Vec<Observation> = published::grid(EPOCH).into_iter().map(rounded).collect();
        let report = fit(&runs, &[], &FitOptions::default()).expect("fits");
        let codes = report.fits.iter().filter(|law| law.law != "power_law").flat_map(|law| &law.diagnoses);
        assert!(codes.clone().all(|doubt| doubt.code != "uncertified"), "{:?}", Vec::from_iter(codes));
    }

    #[test]
    fn an_end_of_zero_or_infinity_is_no_end() {
        for (end, logarithm, expected) in
            [(f64::INFINITY, true, false), (0.0, true, false), (0.0, false, true), (2.0, true, true)]
        {
            assert_eq!(is_end(end, logarithm), expected, "{end}");
        }
    }

    #[test]
    fn of_several_groups_the_error_names_the_one() {
        let mut runs = noisy_grid();
        runs.iter_mut().for_each(|run| run.group = Some("one".to_owned()));
        runs[0].group = Some("two".to_owned());
        let text = refusal(&runs, LawName::CHINCHILLA);
        assert!(text.starts_with("group `two`: `chinchilla` was given 1 observation;"), "{text}");
    }

    #[test]
    fn groups_are_fitted_apart() {
        let mut runs = noisy_grid();
        let other = published::with_noise(&published::grid([406.4, 410.7, 1.69, 0.34, 0.28]), 0.002, 2);
        runs.iter_mut().for_each(|run| run.group = Some("one".to_owned()));
        runs.extend(other.into_iter().map(|run| Observation {
            group: Some("two".to_owned()),
            run_id: format!("two-{}", run.run_id),
            ..run
        }));
        let report = fit(&runs, &[], &only(LawName::CHINCHILLA)).expect("fits");
        let groups: Vec<_> = report.fits.iter().map(|f| f.group.clone().unwrap_or_default()).collect();
        assert_eq!(groups, ["one", "two"]);
        assert!(report.fits[1].parameters["beta"].estimate < 0.32);
    }

    #[test]
    fn intervals_of_epochs_points_are_near_the_published_bootstrap() {
        // 4000 bootstraps (numpy RandomState 42): 95% A [286, 744], B [1042, 5810], E [1.769, 1.871], alpha [.317, .373],
        // beta [.331, .415]. A profile is another method: its ends agree to a third of the interval's width, in logarithms
        // for the amplitudes A and B.
        let Some(runs) = published::chinchilla(240) else { return };
        let options = FitOptions { level: 0.95, ..only(LawName::CHINCHILLA) };
        let report = fit(&runs, &[], &options).expect("fits");
        let bootstrap = [
            ("E", 1.769, 1.871),
            ("alpha", 0.317, 0.373),
            ("beta", 0.331, 0.415),
            ("A", 286.0, 744.0),
            ("B", 1042.0, 5810.0),
        ];
        for (symbol, lower, upper) in bootstrap {
            let found = &report.fits[0].parameters[symbol];
            let scaled = |v: f64| if ["A", "B"].contains(&symbol) { math::ln(v) } else { v };
            let [lower, upper] = [lower, upper].map(scaled);
            let room = (upper - lower) / 3.0;
            let [low, high] = [found.lower, found.upper].map(|end| scaled(end.expect("bounded")));
            assert!((low - lower).abs() < room && (high - upper).abs() < room, "{symbol}: [{low}, {high}]");
        }
        let certificate = &report.fits[0].certificate;
        assert!(certificate.gradient_norm < 1e-8 && certificate.agreeing_starts > 20, "{certificate:?}");
    }

    #[test]
    fn five_outliers_of_epochs_245_are_named() {
        let Some(runs) = published::chinchilla(245) else { return };
        let report = fit(&runs, &[], &only(LawName::CHINCHILLA)).expect("fits");
        let codes: Vec<_> = report.fits[0].diagnoses.iter().map(|d| d.code.as_str()).collect();
        let outliers = report.fits[0].diagnoses.iter().find(|d| d.code == "outlier_leverage");
        let outliers = outliers.unwrap_or_else(|| panic!("{codes:?}"));
        assert!(outliers.message.contains("`chin000`") || outliers.message.contains("run0000"), "{}", outliers.message);
        assert!(outliers.message.contains("beta moves from 0.453"), "{}", outliers.message);
    }

    #[test]
    fn what_the_data_do_not_bound_has_no_bound() {
        // A straight line in log-log: the floor ends at zero and has no lower end.
        let rung = |i: usize| {
            let c = math::pow(10.0, 17.0 + 0.25 * i as f64);
            published::run(i, math::pow(c, 0.5), math::pow(c, 0.5) / 6.0, c, 30.0 * math::pow(c, -0.05))
        };
        let runs = published::with_noise(&(0..8).map(rung).collect::<Vec<_>>(), 0.005, 4);
        let report = fit(&runs, &[], &only(LawName::POWER_LAW)).expect("fits");
        assert_eq!(report.fits[0].parameters["c"].lower, None);
    }

    #[test]
    fn the_order_of_rows_does_not_move_the_optimum() {
        let runs = noisy_grid();
        let mut turned = runs.clone();
        turned.reverse();
        let options = FitOptions { objective: Objective::LeastSquares, ..only(LawName::CHINCHILLA) };
        let [one, other] = [runs, turned].map(|runs| fit(&runs, &[], &options).expect("fits"));
        for (symbol, estimate) in &one.fits[0].parameters {
            let again = other.fits[0].parameters[symbol].estimate;
            assert!((estimate.estimate / again - 1.0).abs() < 1e-9, "{symbol}");
        }
    }
}
