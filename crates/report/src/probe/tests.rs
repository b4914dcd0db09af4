use super::*;
use crate::text;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::probe::{
    CollapsePoint, CollapseRung, Dimension, HorizonLaw, HorizonTransfer, PROBE_SCHEMA, PlaceScale, RateParabola,
    RateTransfer, RateTrial, ScalePoint, StepSlope,
};
use forescale_core::run::Parametrization;

fn estimate(estimate: f64) -> Estimate {
    let end = |sign: f64| Some(estimate + 0.05 * sign);
    Estimate { estimate, standard_error: Some(0.02), lower: end(-1.0), upper: end(1.0), level: 0.9 }
}

fn report(verdict: ProbeVerdict, finding: Finding) -> ProbeReport {
    let doubt = Diagnosis {
        code: "scale_drifts".to_owned(),
        severity: Severity::Error,
        message: "`block 0 mlp` as width^0.50".to_owned(),
        hint: "`parametrization = \"mup\"`".to_owned(),
    };
    ProbeReport {
        schema: PROBE_SCHEMA.to_owned(),
        sweep: "tiny".to_owned(),
        parametrization: Parametrization::Standard,
        verdict,
        finding,
        diagnoses: vec![doubt],
    }
}

/// A check in which one place drifts, one keeps its scale and one is zero.
pub(crate) fn coord() -> ProbeReport {
    let place = |name: &str, slope: Option<f64>| PlaceScale {
        place: name.to_owned(),
        passes: slope.map(|slope| slope.abs() <= 0.1),
        slopes: [1, 2].map(|step| StepSlope { step, slope: slope.map(estimate) }).to_vec(),
        points: [16, 32, 64, 128]
            .map(|size| ScalePoint { step: 2, size, mean_abs: slope.map(|slope| f64::from(size) * (1.0 + slope)) })
            .to_vec(),
    };
    let places = vec![place("embedding", Some(0.01)), place("block 0 mlp", Some(0.5)), place("logits", None)];
    let checks = vec![ScaleCheck { along: Dimension::Width, sizes: vec![16, 32, 64, 128], places }];
    report(ProbeVerdict::Fails, Finding::Coord(CoordFinding { rate_factor: 4.0, steps: 2, limit: 0.1, checks }))
}

/// Three widths of which one has no best rate, one of its runs having diverged.
pub(crate) fn lr() -> ProbeReport {
    let cell = |width: u32, vertex: Option<f64>| RateCell {
        width,
        tokens_per_param: 10.0,
        tokens: 1e6,
        recipe_rate: 0.014,
        trials: [0.5, 1.0, 2.0]
            .map(|factor| RateTrial { factor, seed: 0, loss: (factor < 2.0 || width < 64).then_some(2.0 + factor) })
            .to_vec(),
        best_factor: vertex.map(estimate),
        best_rate: vertex.map(|vertex| estimate(0.014 * vertex)),
        parabola: vertex.map(|vertex| RateParabola {
            vertex: vertex - 1.0,
            minimum: 2.0,
            curvature: 0.1,
            lowest: -1.0,
            highest: 1.0,
        }),
    };
    let horizon = HorizonTransfer { tokens_per_param: 10.0, spread: None, spread_at_least: Some(1.2), passes: None };
    let law = HorizonLaw {
        horizon_exponent: estimate(0.31),
        base_tokens: 2e6,
        learning_rate: 0.013,
        embedding_learning_rate: 0.0261,
        spread_left: 1.1,
    };
    let finding = RateFinding {
        allowed_factor: 2.0,
        cells: vec![cell(16, Some(1.2)), cell(32, Some(1.0)), cell(64, None)],
        horizons: vec![horizon, HorizonTransfer { tokens_per_param: 40.0, ..horizon }],
        overall: RateTransfer { spread: None, spread_at_least: Some(1.3), passes: None },
        horizon_law: Some(law),
    };
    report(ProbeVerdict::Undecided, Finding::Lr(finding))
}

/// Three rungs of which the last leaves the others.
pub(crate) fn collapse() -> ProbeReport {
    let rung = |width: u32, deviation: f64| CollapseRung {
        name: format!("d{width}"),
        width,
        seeds: 2,
        points: [0.25, 0.5, 0.75, 1.0]
            .map(|share| CollapsePoint { share, value: 1.0 + (1.0 + deviation) * (1.0 - share) })
            .to_vec(),
        deviation,
        limit: 0.05,
        passes: deviation <= 0.05,
    };
    let finding = CollapseFinding {
        floor: estimate(1.25),
        floor_source: FloorSource::Exact,
        part_shift: -0.0321,
        from: 0.2,
        seed_noise: Some(0.012),
        tolerance: 0.05,
        rungs: vec![rung(16, 0.01), rung(32, 0.02), rung(64, 0.174)],
    };
    report(ProbeVerdict::Fails, Finding::Collapse(finding))
}

#[test]
fn each_probe_opens_with_its_verdict_and_shows_every_number_in_a_table() {
    let cases: [(ProbeReport, &[&str]); 3] = [
        (
            coord(),
            &[
                "FAILS under `standard`: after 2 steps at 4× the rate 1 of 3 activations keep their scale over width 16 to 128",
                "block 0 mlp",
                "+0.500",
                "+0.450 to +0.550",
                "undefined",
                "error: `block 0 mlp` as width^0.50 [scale_drifts]",
                "hint: `parametrization",
            ],
        ),
        (
            lr(),
            &[
                "undecided under",
                "not all placed over all horizons",
                "all together",
                "≥ 1.30×",
                "d16-10x",
                "1.20×",
                "1.15 to 1.25",
                "horizon_exponent",
                "0.3100",
                "embedding_learning_rate",
                "0.02610",
                "not all placed",
            ],
        ),
        (
            collapse(),
            &[
                "FAILS",
                "2 of 3 rungs fall together above the exact irreducible loss",
                "17.4%",
                "5.0%",
                "seed noise 1.2%",
                "exact irreducible loss 1.2500 (−0.0321 on the part of the curves)",
            ],
        ),
    ];
    for (report, words) in cases {
        let text = text::probe(&report);
        for word in words {
            assert!(text.contains(word), "`{word}` is not in\n{text}");
        }
        let markdown = probe_markdown(&report).expect("numbers");
        assert!(markdown.contains("| --- |") && markdown.starts_with("# Probe "), "{markdown}");
    }
}

#[test]
fn a_number_that_is_none_is_refused_by_name() {
    let mut report = collapse();
    if let Finding::Collapse(finding) = &mut report.finding {
        finding.rungs[1].points[2].value = f64::NAN;
    }
    let error = probe_markdown(&report).expect_err("refused").to_string();
    assert!(error.starts_with("normalised loss of `d32` is NaN; a finite number above 0 is needed"), "{error}");
}
