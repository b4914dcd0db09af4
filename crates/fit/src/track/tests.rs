use forescale_core::outcome::Rules;
use forescale_core::run::Role;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::published::normal;
use crate::{FitOptions, RegistrationDraft, fit, register};

/// A ladder whose curves and laws are known: L(C, x) = 1.7 + 2 (C / 1e18)^-0.12 x^-0.2 s(x), with s the fall of a cooldown
/// over the last fifth.
fn loss(flops: f64, share: f64) -> f64 {
    let cooldown = 1.0 - 0.08 * ((share - 0.8) / 0.2).max(0.0);
    1.7 + 2.0 * math::pow(flops / 1e18, -0.12) * math::pow(share, -0.2) * cooldown
}

fn rate(share: f64) -> f64 {
    if share < 0.8 { 1.0 } else { 5.0 * (1.0 - share) }
}

/// A curve of eight points, with noise that a run keeps and as much that each point has.
fn curve(flops: f64, size: f64, noise: &mut ChaCha8Rng, bad: impl Fn(f64) -> f64) -> Vec<ProgressPoint> {
    let run = size * normal(noise);
    (1..=8)
        .map(|i| f64::from(i) / 8.0)
        .map(|share| {
            let wrong = run + size * normal(noise);
            ProgressPoint { share, loss: loss(flops, share) * bad(share) * math::exp(wrong), rate: Some(rate(share)) }
        })
        .collect()
}

const TARGET: f64 = 3e21;

fn simulated(seed: u64, bad: impl Fn(f64) -> f64) -> TrackInput {
    with_noise(0.003, seed, bad)
}

fn with_noise(size: f64, seed: u64, bad: impl Fn(f64) -> f64) -> TrackInput {
    let mut noise = ChaCha8Rng::seed_from_u64(seed);
    let ladder: Vec<LadderRun> = (0..12)
        .map(|rung| {
            let flops = 1e18 * math::pow(10.0, 0.225 * f64::from(rung));
            let curve = curve(flops, size, &mut noise, |_| 1.0);
            let (params, last) = ((flops / 120.0).sqrt(), curve[7].loss);
            let observation = Observation {
                role: Some(Role::Path),
                ..Observation::bare(format!("rung{rung}"), params, 20.0 * params, flops, last)
            };
            LadderRun { observation, curve }
        })
        .collect();
    let run = curve(TARGET, size, &mut noise, bad);
    TrackInput { registration: registered(&ladder), ladder, run, peak_known: true, diverged: false }
}

fn registered(ladder: &[LadderRun]) -> Registration {
    let observations: Vec<Observation> = ladder.iter().map(|run| run.observation.clone()).collect();
    let params = (TARGET / 120.0).sqrt();
    let target = Target { params: Some(params), tokens: Some(20.0 * params), ..Target::of_budget(TARGET) };
    let forecast = forecast(&observations, &[target], &ForecastOptions::default()).expect("a forecast");
    register(RegistrationDraft {
        sweep: "simulated".to_owned(),
        created_at: String::new(),
        version: String::new(),
        numerics_version: 1,
        target_run_id: None,
        target_config_digest: String::new(),
        eval_set_digest: None,
        rule: Rules { params: "given".to_owned(), flops: "6nd".to_owned() },
        fits: fit(&observations, &[], &FitOptions::default()).expect("fits").fits,
        forecast: forecast.targets[0].clone(),
        capability: None,
        observation_run_ids: observations.iter().map(|run| run.run_id.clone()).collect(),
        inputs: forecast.inputs.clone(),
    })
}

fn tracked(input: &TrackInput) -> TrackReport {
    track(input, &ForecastOptions::default()).expect("an answer")
}

/// How many of twenty runs raised an alarm anywhere, and how many by a share.
fn alarms(bad: impl Fn(f64) -> f64 + Copy, by: f64) -> (usize, usize) {
    let reports: Vec<TrackReport> = (0..20).map(|seed| tracked(&simulated(seed, bad))).collect();
    let first: Vec<f64> = reports.iter().filter_map(|report| report.first_alarm).collect();
    (first.len(), first.iter().filter(|share| **share <= by).count())
}

#[test]
fn good_runs_raise_no_alarm() {
    assert_eq!(alarms(|_| 1.0, 1.0).0, 0);
}

#[test]
fn a_run_whose_loss_stops_falling_half_way_is_caught_before_its_end() {
    // From half of the run on the loss stays where it is: 5% too high at the end, well inside the forecast's own width.
    let stuck = |share: f64| if share <= 0.5 { 1.0 } else { loss(TARGET, 0.5) / loss(TARGET, share) };
    let (all, early) = alarms(stuck, 0.9);
    assert!(all == 20 && early >= 18, "{all} caught, {early} by 90%");
}

#[test]
fn a_run_that_is_far_too_high_from_the_start_is_caught_at_its_first_point() {
    assert_eq!(alarms(|_| 1.25, 0.13), (20, 20));
}

#[test]
fn a_run_that_is_worse_by_less_than_the_forecast_is_wide_is_not() {
    // Said in the module's words, and true.
    assert_eq!(alarms(|_| 1.01, 1.0).0, 0);
}

#[test]
fn the_curve_ahead_is_told_and_knows_the_cooldown() {
    // Without noise, so that what is left is the error of the method.
    let mut input = with_noise(0.0, 1, |_| 1.0);
    input.run.truncate(4);
    let report = tracked(&input);
    assert_eq!((report.course, report.progress), (Course::OnCourse, 0.5));
    let ahead: Vec<&TrackPoint> = report.points.iter().filter(|point| point.place == Place::Ahead).collect();
    assert_eq!(ahead.iter().map(|point| point.share).collect::<Vec<_>>(), [0.625, 0.75, 0.875, 1.0]);
    for point in ahead {
        let off = point.predicted.expect("a prediction") / loss(TARGET, point.share) - 1.0;
        assert!(off.abs() < 0.005, "{}: {off}", point.share);
    }
}

#[test]
fn a_loss_that_is_no_number_and_a_log_that_says_so_are_a_divergence() {
    let mut input = simulated(1, |_| 1.0);
    input.diverged = true;
    assert_eq!(tracked(&input).course, Course::Diverged);
    input.diverged = false;
    input.run[7].loss = f64::NAN;
    assert_eq!(tracked(&input).course, Course::Diverged);
    // Written where nothing was evaluated, and followed by losses: no divergence.
    let mut input = simulated(1, |_| 1.0);
    input.run[3].loss = f64::NAN;
    assert_eq!(tracked(&input).course, Course::OnCourse);
}

#[test]
fn a_turn_stands_until_the_curve_is_back_where_it_was_going() {
    // 4% up from three tenths on, for good: once an alarm, always one.
    let report = tracked(&simulated(4, |share| if share < 0.3 { 1.0 } else { 1.04 }));
    assert_eq!((report.course, report.first_alarm), (Course::Turned, Some(0.375)));
    // Up at one point and back.
    let report = tracked(&simulated(4, |share| if (0.3..0.4).contains(&share) { 1.04 } else { 1.0 }));
    assert_eq!((report.course, report.first_alarm), (Course::OnCourse, Some(0.375)));
}

#[test]
fn rates_whose_peak_is_known_are_held_as_they_are() {
    // A tenth of the ladder's rate throughout: by one factor it would be the same schedule.
    let mut input = simulated(1, |_| 1.0);
    input.run.iter_mut().for_each(|point| point.rate = point.rate.map(|rate| 0.1 * rate));
    let report = tracked(&input);
    assert!(report.points[..7].iter().all(|point| point.place == Place::OtherSchedule), "{:?}", report.points);
}

/// A ladder and a run that logged every thousandth of theirs, with 3% of noise from batch to batch.
fn dense(seed: u64) -> TrackInput {
    let mut input = simulated(seed, |_| 1.0);
    let mut noise = ChaCha8Rng::seed_from_u64(seed + 1000);
    let mut curve = |flops: f64| -> Vec<ProgressPoint> {
        (1..=1000)
            .map(|i| f64::from(i) / 1000.0)
            .map(|share| ProgressPoint {
                share,
                loss: loss(flops, share) * math::exp(0.03 * normal(&mut noise)),
                rate: Some(rate(share)),
            })
            .collect()
    };
    input.ladder.iter_mut().for_each(|run| run.curve = curve(run.observation.flops));
    input.run = curve(TARGET);
    input
}

/// Pieces that had only begun, and single batches, raised alarms on good runs.
#[test]
fn a_dense_log_raises_no_alarm_however_far_it_has_come() {
    for seed in 0..5 {
        let whole = dense(seed);
        for rows in [105, 108, 112, 118, 130, 250, 585, 1000] {
            let mut input = whole.clone();
            input.run.truncate(rows);
            let report = tracked(&input);
            assert!(!report.course.is_off() && report.first_alarm.is_none(), "{seed} {rows}: {report:?}");
        }
    }
}

#[test]
fn a_sparse_run_is_held_against_a_dense_ladder_from_its_first_point_to_its_last() {
    let mut input = dense(1);
    input.run = simulated(1, |_| 1.0).run;
    let report = tracked(&input);
    assert!(report.points.iter().all(|point| point.place == Place::Inside && point.runs == 12), "{:?}", report.points);
    input.run.truncate(3);
    assert_eq!(tracked(&input).points.last().map(|point| point.share), Some(1.0));
}

#[test]
fn curves_cut_short_are_named() {
    let mut input = simulated(1, |_| 1.0);
    let cut = |run: &mut LadderRun| {
        run.curve.truncate(4);
        run.curve.iter_mut().for_each(|point| point.share *= 2.0);
    };
    let named = |input: &TrackInput| {
        let report = tracked(input);
        report.diagnoses.iter().find(|doubt| doubt.code == "curves_end_above").map(|doubt| doubt.message.clone())
    };
    assert_eq!(named(&input), None);
    input.ladder[..3].iter_mut().for_each(cut);
    assert!(named(&input).is_some_and(|message| message.starts_with("3 of 12 curves")));
    input.ladder[3..].iter_mut().for_each(cut);
    assert!(named(&input).is_some_and(|message| message.starts_with("12 of 12 curves")));
}

#[test]
fn points_under_another_rate_are_not_judged_and_a_rate_in_other_units_is_the_same() {
    let mut input = simulated(1, |_| 1.0);
    input.peak_known = false;
    input.run.iter_mut().for_each(|point| point.rate = point.rate.map(|rate| 3e-4 * rate));
    assert!(tracked(&input).points.iter().all(|point| point.place == Place::Inside));
    // The cooldown came early.
    input.run[5].rate = Some(1.5e-4);
    let report = tracked(&input);
    assert_eq!(report.points[5].place, Place::OtherSchedule);
    assert!(
        report.points[5]
            .reason
            .as_ref()
            .is_some_and(|reason| reason.contains("50% of the peak there, as the ladder counts, and the ladder's 100%"))
    );
    assert!(report.diagnoses.iter().any(|doubt| doubt.code == "schedule_differs"));
}

#[test]
fn dense_logs_are_averaged_against_the_noise_of_their_batches() {
    let mut input = simulated(3, |_| 1.0);
    let mut noise = ChaCha8Rng::seed_from_u64(7);
    let point = |i: u32| {
        let share = f64::from(i) / 4000.0;
        let loss = loss(TARGET, share) * math::exp(0.08 * normal(&mut noise));
        ProgressPoint { share, loss, rate: Some(rate(share)) }
    };
    input.run = (1..=2400).map(point).collect();
    let report = tracked(&input);
    assert_eq!(report.course, Course::OnCourse);
    assert!(report.first_alarm.is_none());
    let seen = report.points.iter().filter(|point| point.loss.is_some()).count();
    assert!((10..=24).contains(&seen), "{seen}");
}

#[test]
fn what_cannot_be_tracked_is_refused() {
    let good = simulated(1, |_| 1.0);
    let refused = |change: &dyn Fn(&mut TrackInput)| {
        let mut input = good.clone();
        change(&mut input);
        track(&input, &ForecastOptions::default()).expect_err("refused").to_string()
    };
    for (text, words) in [
        (refused(&|input| input.registration.sweep = "other".to_owned()), "sha256"),
        (refused(&|input| drop(input.ladder.remove(3))), "1 of the 12 runs that the forecast was made from"),
        (refused(&|input| input.run.clear()), "no loss of the run yet"),
        (refused(&|input| input.run[0].share = 1.2), "stands at 1.2 of its length"),
        (
            refused(&|input| input.ladder.iter_mut().for_each(|run| run.curve.truncate(1))),
            "no run of the ladder has 2 losses",
        ),
    ] {
        assert!(text.contains(words) && text.contains("hint: "), "{text}");
    }
}

#[test]
fn a_run_of_another_schedule_has_no_answer_where_it_agrees_by_chance() {
    // A rate that falls from the beginning to the end, where the ladder's stays up for four fifths.
    let mut input = simulated(1, |_| 1.0);
    input.peak_known = false;
    input.run.iter_mut().for_each(|point| point.rate = Some(1.0 - 0.9 * point.share));
    let report = tracked(&input);
    assert_eq!(report.course, Course::Unjudged, "{:?}", report.points);
}

#[test]
fn runs_of_the_same_names_that_say_something_else_are_refused() {
    let mut input = simulated(1, |_| 1.0);
    input.ladder.iter_mut().for_each(|run| run.observation.loss *= 0.5);
    let error = track(&input, &ForecastOptions::default()).expect_err("refused").to_string();
    assert!(error.contains("was registered") && error.contains("hint: "), "{error}");
}

#[test]
fn before_the_first_share_that_can_be_judged_there_is_no_answer() {
    let mut input = simulated(1, |_| 1.0);
    input.run.truncate(1);
    input.run[0].share = 0.05;
    let report = tracked(&input);
    assert_eq!(
        (report.course, report.points.iter().filter(|point| point.loss.is_some()).count()),
        (Course::Unjudged, 0)
    );
}
