//! Fitting the laws asked for to each group of runs, with intervals, certificate and doubts.

use std::collections::BTreeMap;

use forescale_core::digest::json_digest;
use forescale_core::estimate::Estimate;
use forescale_core::law::Domain;
use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::{Certificate, Diagnosis, FIT_SCHEMA, FitReport, FittedLaw, Inputs, ObjectiveValue};
use forescale_core::run::Role;

use crate::diagnose::{Doubt, doubts_of_fit};
use crate::fitted::{Fitted, fit_law, validate};
use crate::functional::Functional;
use crate::linear::scaled_condition;
use crate::profile::Profile;
use crate::solve::free_coordinates;
use crate::{FitError, FitOptions, objective};

/// Fits each law asked for to each group of runs.
///
/// Each law starts from 6 exponents per falling term (36 starts for Chinchilla), floor and amplitudes projected out, and
/// every start is polished. Groups are fitted apart. A law that a group's runs cannot carry is an error only when no law
/// asked for can be fitted to that group; otherwise its refusal is a diagnosis on the group's other fits.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, a repeated identity, or runs that carry no law.
pub fn fit(observations: &[Observation], exclusions: &[Exclusion], options: &FitOptions) -> Result<FitReport, FitError> {
    validate(observations, options)?;
    let mut fits = Vec::new();
    for (group, runs) in groups(observations) {
        let (fitted, refusals) = fit_group(&runs, options)?;
        for law in fitted {
            let mut entry = describe(&law, &runs, options);
            entry.group.clone_from(&group);
            entry.excluded.extend(exclusions.iter().cloned());
            entry.diagnoses.extend(refusals.iter().cloned());
            fits.push(entry);
        }
    }
    Ok(FitReport { schema: FIT_SCHEMA.to_owned(), fits, inputs: inputs(observations) })
}

/// What an answer was computed from.
pub(crate) fn inputs(observations: &[Observation]) -> Inputs {
    Inputs { digest: json_digest(&observations) }
}

/// Observations by group, in the order of their names.
pub(crate) fn groups(observations: &[Observation]) -> BTreeMap<Option<String>, Vec<&Observation>> {
    let mut groups: BTreeMap<Option<String>, Vec<&Observation>> = BTreeMap::new();
    for observation in observations {
        groups.entry(observation.group.clone()).or_default().push(observation);
    }
    groups
}

/// The laws that a group carries, and the refusals of the others as doubts.
pub(crate) fn fit_group(runs: &[&Observation], options: &FitOptions) -> Result<(Vec<Fitted>, Vec<Diagnosis>), FitError> {
    let (mut fitted, mut refusals, mut first) = (Vec::new(), Vec::new(), None);
    for &law in &options.laws {
        match fit_law(law, runs, options.objective) {
            Ok(found) => fitted.push(found),
            Err(error) => {
                refusals.push(Doubt::LawRefused { law: law.to_string(), error: error.clone() }.diagnosis());
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if fitted.is_empty() => Err(error),
        _ => Ok((fitted, refusals)),
    }
}

fn describe(fitted: &Fitted, runs: &[&Observation], options: &FitOptions) -> FittedLaw {
    let profiles: Vec<Profile> =
        (0..fitted.problem.count()).map(|i| fitted.profile(Functional::Parameter(i), options.level)).collect();
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let square: f64 = residuals.iter().map(|r| r * r).sum();
    FittedLaw {
        group: None,
        law: fitted.law.to_string(),
        rule: options.rules.clone(),
        n: fitted.points.len() as u64,
        excluded: off_path(fitted, runs),
        parameters: parameters(fitted, &profiles, options.level),
        objective: ObjectiveValue {
            kind: objective::kind(options.objective).to_owned(),
            delta: objective::delta(options.objective),
            value: fitted.optimum.value,
        },
        certificate: certificate(fitted),
        residual_rms: (square / residuals.len() as f64).sqrt(),
        diagnoses: doubts_of_fit(fitted, runs, &profiles).iter().map(Doubt::diagnosis).collect(),
    }
}

/// Runs that a path law leaves aside because their role says so.
fn off_path(fitted: &Fitted, runs: &[&Observation]) -> Vec<Exclusion> {
    let aside = |o: &&&Observation| {
        fitted.law.form().domain() == Domain::Compute && o.role.is_some_and(|role| role != Role::Path)
    };
    let exclusion = |o: &&Observation| Exclusion { run_id: o.run_id.clone(), reason: ExclusionReason::OffPath };
    runs.iter().filter(aside).map(exclusion).collect()
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
        standard_error: profile.standard_error.map(|se| if logarithm { se * centre } else { se }),
        lower: profile.bounded(-root).map(natural),
        upper: profile.bounded(root).map(natural),
        level,
    }
}

fn certificate(fitted: &Fitted) -> Certificate {
    let theta = &fitted.optimum.theta;
    let system = fitted.problem.system(theta, fitted.problem.cost);
    let free = free_coordinates(&fitted.problem, theta, &system);
    let symbols = fitted.problem.form.parameters();
    Certificate {
        gradient_norm: fitted.optimum.gradient_norm,
        starts: fitted.starts as u32,
        agreeing_starts: fitted.agreeing as u32,
        at_bound: fitted.problem.at_bound(theta).into_iter().map(|i| symbols[i].symbol.to_owned()).collect(),
        condition_number: scaled_condition(&fitted.problem.information(theta), &free),
    }
}
