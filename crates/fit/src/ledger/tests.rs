//! A chain that is whole, and every way in which one is not.

use forescale_core::outcome::OrderProof;

use super::*;
use crate::seal::tests::sealed;

/// The same forecast under another name, sealed again.
fn named(name: &str) -> Registration {
    let mut registration = Registration { sweep: name.to_owned(), sha256: String::new(), ..sealed() };
    registration.sha256 = json_digest(&registration);
    registration
}

fn outcome(registration: &Registration, factor: f64) -> Score {
    let actual = factor * registration.forecast.median.expect("a forecast");
    score(registration, actual, OrderProof::Digest, "log line 1".to_owned()).expect("scored")
}

/// Three forecasts: one hit, one missed, one open.
fn three() -> Ledger {
    let (hit, miss, open) = (named("hit"), named("miss"), named("open"));
    let mut ledger = Ledger::default();
    for registration in [&hit, &miss, &open] {
        assert!(ledger.register(registration).expect("entered").is_some());
    }
    assert!(ledger.score(&outcome(&miss, 1.5)).expect("entered").is_some());
    assert!(ledger.score(&outcome(&hit, 1.0)).expect("entered").is_some());
    ledger
}

#[test]
fn a_ledger_survives_its_file_and_counts_hits_misses_and_what_is_open() {
    let lines: Vec<String> = three().lines().iter().map(|line| serde_json::to_string(line).expect("JSON")).collect();
    let read = lines.iter().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let ledger = Ledger::verified(read).expect("whole");
    let record = ledger.track_record();
    assert_eq!((record.lines, record.scored, record.proven), (5, 2, 2));
    assert_eq!(record.head, ledger.lines().last().map(|line| line.sha256.clone()));
    let said: Vec<(&str, Option<bool>)> =
        record.forecasts.iter().map(|f| (f.sweep.as_str(), f.score.as_ref().map(|s| s.inside))).collect();
    assert_eq!(said, [("hit", Some(true)), ("miss", Some(false)), ("open", None)]);
    let [coverage] = record.coverage[..] else { panic!("{:?}", record.coverage) };
    assert_eq!((coverage.inside, coverage.scored), (1, 2));
    // |1 − 1| and |1/1.5 − 1|.
    assert!((record.median_abs_relative_error.expect("scored") - 1.0 / 6.0).abs() < 1e-12);
    assert!(record.pit.len() == 2 && (record.pit[0] - 0.5).abs() < 1e-9 && record.pit[1] > 0.99, "{:?}", record.pit);
}

#[test]
fn a_line_changed_dropped_moved_or_put_in_is_found_and_named() {
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
    // The miss taken out, with what follows.
    let dropped = refused(&|lines| drop(lines.remove(3)));
    assert!(matches!(dropped, LedgerError::Unchained { line: 4, .. }), "{dropped}");
    let moved = refused(&|lines| lines.swap(0, 1));
    assert!(matches!(moved, LedgerError::Unchained { line: 1, .. }), "{moved}");
    // The miss taken out and the chain made anew by hand: only a head that was kept elsewhere tells.
    let rewritten = refused(&|lines| {
        lines.remove(3);
        lines[3].previous = lines[2].sha256.clone();
        lines[3].sha256 = digest(&lines[3]);
    });
    assert!(matches!(rewritten, LedgerError::Misnumbered { line: 4, number: 5 }), "{rewritten}");
}

#[test]
fn a_score_kinder_than_its_forecast_is_refused_even_in_a_chain_that_holds() {
    let mut lines = three().lines().to_vec();
    if let LedgerEntry::Score(score) = &mut lines[3].entry {
        score.inside = true;
    }
    for i in 3..lines.len() {
        lines[i].previous = lines[i - 1].sha256.clone();
        lines[i].sha256 = digest(&lines[i]);
    }
    let error = Ledger::verified(lines).expect_err("unlike");
    assert!(matches!(error, LedgerError::Unlike { line: 4, .. }), "{error}");
}

#[test]
fn what_is_there_already_is_not_entered_twice_and_a_second_outcome_is_refused() {
    let mut ledger = three();
    let (hit, miss) = (named("hit"), named("miss"));
    assert_eq!(ledger.register(&hit), Ok(None));
    assert_eq!(ledger.score(&outcome(&miss, 1.5)), Ok(None));
    // A second try at the run that was missed.
    let error = ledger.score(&outcome(&miss, 1.0)).expect_err("an outcome stands");
    assert!(matches!(error, LedgerError::Scored { line: 4, .. }), "{error}");
    let error = ledger.score(&outcome(&named("never"), 1.0)).expect_err("no forecast");
    assert!(matches!(error, LedgerError::Unregistered { .. }), "{error}");
    let broken = Registration { sweep: "other".to_owned(), ..hit };
    assert!(matches!(ledger.register(&broken), Err(LedgerError::Seal { line: 6, .. })));
    assert_eq!(ledger.lines().len(), 5);
}

#[test]
fn a_share_has_the_exact_interval() {
    // scipy 1.16: beta.ppf(0.05, 8, 3), beta.ppf(0.95, 9, 2); of ten in ten the lower end is 0.05^(1/10).
    let ends = |inside: u64, of: u64| {
        let share = share(inside, of);
        (share.lower.expect("an end"), share.upper.expect("an end"))
    };
    let (low, high) = ends(8, 10);
    assert!((low - 0.493098698937).abs() < 1e-9 && (high - 0.963228562113).abs() < 1e-9, "{low} {high}");
    let (low, high) = ends(10, 10);
    assert!((low - math::pow(0.05, 0.1)).abs() < 1e-12 && (high - 1.0).abs() < 1e-15, "{low} {high}");
    assert_eq!(ends(0, 10).0.to_bits(), 0.0_f64.to_bits());
}
