//! A chain that is whole, every way in which one is not, and what counts.

use forescale_core::outcome::OrderProof;

use super::*;
use crate::seal::tests::sealed;

/// The same forecast of another target, sealed again.
fn named(name: &str) -> Registration {
    at(name, "2026-01-01T00:00:00Z")
}

fn at(name: &str, created_at: &str) -> Registration {
    let mut registration = Registration {
        sweep: name.to_owned(),
        created_at: created_at.to_owned(),
        target_config_digest: json_digest(&name),
        sha256: String::new(),
        ..sealed()
    };
    registration.sha256 = json_digest(&registration);
    registration
}

fn outcome(registration: &Registration, factor: f64) -> Score {
    let actual = factor * registration.forecast.median.expect("a forecast");
    score(registration, actual, OrderProof::Digest, "log line 1".to_owned()).expect("scored")
}

#[track_caller]
fn enter(ledger: &mut Ledger, registration: &Registration, ahead: bool) {
    assert!(matches!(ledger.register(registration, ahead), Ok(Entered::Line(_))));
}

#[track_caller]
fn judge(ledger: &mut Ledger, registration: &Registration, factor: f64) {
    assert!(matches!(ledger.score(registration, &outcome(registration, factor)), Ok(Entered::Line(_))));
}

/// Three forecasts: one hit, one missed, one open.
fn three() -> Ledger {
    let mut ledger = Ledger::default();
    ["hit", "miss", "open"].iter().for_each(|name| enter(&mut ledger, &named(name), true));
    judge(&mut ledger, &named("miss"), 1.5);
    judge(&mut ledger, &named("hit"), 1.0);
    ledger
}

/// Numbers and digests of the lines from one on made anew, as someone would who does not want to be found out.
fn rewritten(mut lines: Vec<LedgerLine>, from: usize) -> Vec<LedgerLine> {
    for i in from..lines.len() {
        lines[i].number = i as u64 + 1;
        lines[i].previous = lines[i - 1].sha256.clone();
        lines[i].sha256 = digest(&lines[i]);
    }
    lines
}

#[test]
fn a_ledger_survives_its_file_and_counts_hits_misses_and_what_is_open() {
    let lines: Vec<String> = three().lines().iter().map(|line| serde_json::to_string(line).expect("JSON")).collect();
    let read = lines.iter().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let ledger = Ledger::verified(read).expect("whole");
    let record = ledger.track_record();
    assert_eq!((record.lines, record.scored, record.counted, record.proven), (5, 2, 2, 2));
    assert_eq!(record.head, ledger.lines().last().map(|line| line.sha256.clone()));
    let said: Vec<(&str, Option<bool>)> =
        record.forecasts.iter().map(|f| (f.sweep.as_str(), f.score.as_ref().map(|s| s.inside))).collect();
    assert_eq!(said, [("hit", Some(true)), ("miss", Some(false)), ("open", None)]);
    let [coverage] = record.coverage[..] else { panic!("{:?}", record.coverage) };
    assert_eq!((coverage.inside, coverage.scored), (1, 2));
    // |1 − 1| and |1/1.5 − 1|.
    assert!((record.median_abs_relative_error.expect("scored") - 1.0 / 6.0).abs() < 1e-12);
    let of = |name: &str, factor: f64| outcome(&named(name), factor);
    let (hit, miss) = (of("hit", 1.0), of("miss", 1.5));
    let crps = 0.5 * (hit.crps / hit.actual + miss.crps / miss.actual);
    assert!((record.mean_relative_crps.expect("scored") / crps - 1.0).abs() < 1e-12);
    assert!(record.pit.len() == 2 && (record.pit[0] - 0.5).abs() < 1e-9 && record.pit[1] > 0.99, "{:?}", record.pit);
}

#[test]
fn of_one_target_the_first_forecast_counts_and_none_that_was_entered_afterwards() {
    let mut ledger = Ledger::default();
    let (early, again) = (named("target"), at("target", "2026-02-01T00:00:00Z"));
    enter(&mut ledger, &early, true);
    enter(&mut ledger, &again, true);
    enter(&mut ledger, &named("old"), false);
    for registration in [&early, &again, &named("old")] {
        judge(&mut ledger, registration, 1.0);
    }
    let record = ledger.track_record();
    let why: Vec<Option<Uncounted>> = record.forecasts.iter().map(|forecast| forecast.uncounted).collect();
    assert_eq!(why, [None, Some(Uncounted::Repeats(1)), Some(Uncounted::EnteredAfterwards)]);
    assert_eq!((record.scored, record.counted, record.coverage[0].scored), (3, 1, 1));
    // Once the outcome is there, a run of it forecast anew is no forecast, and neither is its score.
    let late = at("target", "2026-03-01T00:00:00Z");
    assert_eq!(ledger.register(&late, true), Ok(Entered::Late { line: 4 }));
    assert_eq!(ledger.score(&late, &outcome(&late, 1.0)), Ok(Entered::Late { line: 4 }));
    let never = named("never");
    assert_eq!(ledger.score(&never, &outcome(&never, 1.0)), Ok(Entered::Unregistered));
    assert_eq!(ledger.lines().len(), 6);
}

#[test]
fn a_line_changed_dropped_or_moved_is_found_and_named() {
    let whole = three().lines().to_vec();
    let refused = |change: &dyn Fn(&mut Vec<LedgerLine>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        Ledger::verified(lines).expect_err("broken")
    };
    let changed = refused(&|lines| {
        if let LedgerEntry::Score(score) = &mut lines[3].entry {
            score.inside = true;
        }
    });
    assert!(matches!(changed, LedgerError::Changed { line: 4, .. }), "{changed}");
    let claimed = refused(&|lines| lines[2].ahead = false);
    assert!(matches!(claimed, LedgerError::Changed { line: 3, .. }), "{claimed}");
    // The miss taken out, with what follows.
    let dropped = refused(&|lines| drop(lines.remove(3)));
    assert!(matches!(dropped, LedgerError::Unchained { line: 4, .. }), "{dropped}");
    let moved = refused(&|lines| lines.swap(0, 1));
    assert!(matches!(moved, LedgerError::Unchained { line: 1, .. }), "{moved}");
}

#[test]
fn a_chain_made_anew_without_a_miss_is_told_by_a_head_that_was_kept_alone() {
    let whole = three();
    let head = whole.lines().last().expect("lines").sha256.clone();
    let mut lines = whole.lines().to_vec();
    lines.remove(3);
    let forged = Ledger::verified(rewritten(lines, 3)).expect("a chain by itself");
    assert!(whole.holds(&head) && !forged.holds(&head));
    // A ledger that went on holds the head of before.
    let mut longer = whole;
    enter(&mut longer, &named("next"), true);
    assert!(longer.holds(&head));
}

#[test]
fn a_score_kinder_than_its_forecast_is_refused_even_in_a_chain_that_holds() {
    let mut lines = three().lines().to_vec();
    if let LedgerEntry::Score(score) = &mut lines[3].entry {
        score.inside = true;
    }
    let error = Ledger::verified(rewritten(lines, 3)).expect_err("unlike");
    assert!(matches!(error, LedgerError::Unlike { line: 4, .. }), "{error}");
}

#[test]
fn what_is_there_already_is_not_entered_twice_and_a_second_outcome_is_refused() {
    let mut ledger = three();
    let (hit, miss) = (named("hit"), named("miss"));
    assert_eq!(ledger.register(&hit, true), Ok(Entered::Known));
    assert_eq!(ledger.score(&miss, &outcome(&miss, 1.5)), Ok(Entered::Known));
    // Another order of sums is no other outcome.
    assert_eq!(ledger.score(&miss, &outcome(&miss, 1.5 * (1.0 + 1e-12))), Ok(Entered::Known));
    // A second try at the run that was missed.
    let error = ledger.score(&miss, &outcome(&miss, 1.0)).expect_err("an outcome stands");
    assert!(matches!(error, LedgerError::Scored { line: 4, .. }), "{error}");
    let broken = Registration { sweep: "other".to_owned(), ..hit };
    assert!(matches!(ledger.register(&broken, true), Err(LedgerError::Seal { line: 6, .. })));
    assert_eq!(ledger.lines().len(), 5);
}

#[test]
fn two_ledgers_that_went_on_apart_are_one_again() {
    let (mut ours, mut theirs) = (three(), three());
    enter(&mut ours, &named("ours"), true);
    enter(&mut theirs, &named("theirs"), true);
    judge(&mut theirs, &named("theirs"), 1.2);
    let added = ours.merge(&theirs).expect("merged");
    assert_eq!(added.iter().map(|line| line.number).collect::<Vec<_>>(), [7, 8]);
    let again = Ledger::verified(ours.lines().to_vec()).expect("whole");
    let theirs_now = again.track_record().forecasts.pop().expect("forecasts");
    assert!(theirs_now.sweep == "theirs" && theirs_now.counted().is_some(), "{theirs_now:?}");
    assert_eq!(ours.merge(&theirs), Ok(Vec::new()));
}

#[test]
fn a_share_has_the_exact_interval() {
    // scipy: beta.ppf(0.05, 8, 3), beta.ppf(0.95, 9, 2); of ten in ten the lower end is 0.05^(1/10).
    let ends = |inside: u64, of: u64| {
        let share = share(inside, of);
        (share.lower.expect("an end"), share.upper.expect("an end"))
    };
    let (low, high) = ends(8, 10);
    assert!((low - 0.493_098_698_937).abs() < 1e-9 && (high - 0.963_228_562_113).abs() < 1e-9, "{low} {high}");
    let (low, high) = ends(10, 10);
    assert!((low - math::pow(0.05, 0.1)).abs() < 1e-12 && (high - 1.0).abs() < 1e-15, "{low} {high}");
    assert_eq!(ends(0, 10).0.to_bits(), 0.0_f64.to_bits());
}

/// Only the check of the number itself can see this: the digests are right.
#[test]
fn a_line_numbered_wrongly_and_sealed_again_is_named() {
    let mut lines = three().lines().to_vec();
    lines[3].number = 7;
    lines[3].sha256 = digest(&lines[3]);
    lines[4].previous = lines[3].sha256.clone();
    lines[4].sha256 = digest(&lines[4]);
    assert!(matches!(Ledger::verified(lines), Err(LedgerError::Misnumbered { line: 4, number: 7 })));
}
