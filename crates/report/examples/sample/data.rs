//! Made-up data in the likeness of a small ladder on source code; the example draws it and the tests read it back.

#[path = "capability.rs"]
mod capability;
#[path = "panels.rs"]
mod panels;

use std::collections::BTreeMap;

use forescale_core::estimate::{Estimate, Interval};
use forescale_core::observation::{Exclusion, ExclusionReason, FlopsPerProduct};
use forescale_core::outcome::*;
use forescale_core::panel::*;
use forescale_core::quantity::LossUnit;
use forescale_core::record::RunStatus;
use forescale_core::run::Role;

const TARGET_FLOPS: f64 = 4.7e13;

/// A sample by name.
pub(crate) fn of_kind(kind: &str) -> Option<ReportData> {
    let mut data = inside();
    match kind {
        "inside" => {}
        "outside" => tell(&mut data, 0.9874),
        "open" => {
            data.score = None;
            data.target.as_mut()?.actual = None;
        }
        "refused" => refuse(&mut data),
        "bare" => bare(&mut data),
        "known-floor" => data.true_floor = Some(0.61),
        _ => return None,
    }
    Some(data)
}

/// A forecast that held.
pub(crate) fn inside() -> ReportData {
    let (runs, backtest, diagnoses) = (runs(), backtest(), diagnoses());
    ReportData {
        schema: REPORT_SCHEMA.to_owned(),
        sweep: "quickstart".to_owned(),
        corpus: "Rust source of 582 published crates, 141.5 MB as bytes; validation on 28 crates never trained on"
            .to_owned(),
        unit: LossUnit::NatsPerToken,
        forecast: Some(forecast()),
        decision: panels::decision(&backtest, &diagnoses),
        target: Some(target()),
        score: Some(score()),
        compute: compute(&runs),
        residuals: residuals(&runs),
        laws: laws(),
        parameters: panels::parameters(),
        approaches: panels::approaches(),
        shape: Some(panels::shape(&runs)),
        curves: panels::curves(&runs),
        seeds: panels::seeds(&runs),
        capability: Some(capability::capability()),
        checklist: Some(panels::checklist()),
        runs,
        diagnoses,
        calibration: Some(panels::calibration(&backtest)),
        backtest: Some(backtest),
        true_floor: None,
        provenance: provenance(),
    }
}

fn tell(data: &mut ReportData, actual: f64) {
    let (Some(target), Some(score)) = (data.target.as_mut(), data.score.as_mut()) else { return };
    target.actual = Some(actual);
    score.actual = actual;
    score.relative_error = score.predicted / actual - 1.0;
    score.inside = score.interval.contains(actual);
}

fn refuse(data: &mut ReportData) {
    let target = forecast();
    data.forecast = Some(ForecastTarget {
        status: ForecastStatus::Refused,
        reason: Some("4 runs lie on the path and `power_law` needs 5".to_owned()),
        median: None,
        predictive: None,
        intervals: Vec::new(),
        mean_intervals: Vec::new(),
        laws: Vec::new(),
        optimum: None,
        ..target
    });
    data.score = None;
    data.compute.curve.clear();
    data.compute.floor = None;
}

fn bare(data: &mut ReportData) {
    data.forecast = None;
    data.target = None;
    data.score = None;
    data.backtest = None;
    data.capability = None;
    data.calibration = None;
    data.decision = Decision::default();
    data.compute.unit_flops = 3.6e12;
    data.compute.curve.retain(|point| point.flops <= 3.6e12);
    data.runs.retain(|run| run.role != Some(Role::Target));
    data.compute.points.retain(|point| point.role != Some(Role::Target));
}

fn curve_at(flops: f64) -> f64 {
    1.66 * (flops / 3.5e10).powf(-0.1375) + 0.45
}

/// Role, width, N, D, FLOPs, losses by seed.
type Rung = (Role, u32, f64, f64, f64, &'static [f64]);

const RUNGS: [Rung; 10] = [
    (Role::Path, 16, 10.2e3, 410e3, 3.5e10, &[2.110, 2.106, 2.123]),
    (Role::Path, 24, 20e3, 799e3, 1.25e11, &[1.860, 1.848, 1.864]),
    (Role::Path, 32, 33e3, 1.31e6, 3.2e11, &[1.716, 1.695, 1.670]),
    (Role::Path, 48, 68e3, 2.7e6, 1.3e12, &[1.465, 1.457]),
    (Role::Path, 64, 115e3, 4.6e6, 3.6e12, &[1.326, 1.330]),
    (Role::OffPath, 16, 10.2e3, 1.64e6, 1.4e11, &[2.004]),
    (Role::OffPath, 48, 68e3, 340e3, 1.6e11, &[1.982]),
    (Role::OffPath, 24, 20e3, 6.4e6, 1.0e12, &[1.672]),
    (Role::OffPath, 64, 115e3, 1.2e6, 9.4e11, &[1.611]),
    (Role::Target, 128, 426e3, 17e6, TARGET_FLOPS, &[1.081]),
];

fn runs() -> Vec<RunRow> {
    let mut rows: Vec<RunRow> = RUNGS.iter().flat_map(rung).collect();
    rows.insert(16, diverged());
    rows
}

fn rung(&(role, width, params, tokens, flops, losses): &Rung) -> Vec<RunRow> {
    let excluded = match role {
        Role::Path => None,
        Role::OffPath => Some("off the compute-optimal path".to_owned()),
        Role::Target => Some("held out".to_owned()),
    };
    let ratio = tokens / params;
    let row = |(seed, loss): (usize, &f64)| RunRow {
        run_id: format!("{width:04x}{seed:04x}{:08x}", flops as u64 % 0xffff_ffff),
        name: format!("d{width}-{ratio:.0}x-s{seed}"),
        role: Some(role),
        params: Some(params),
        tokens: Some(tokens),
        flops,
        seed: Some(seed as u64),
        status: Some(RunStatus::Finished),
        loss: Some(*loss),
        loss_se: Some(0.0121),
        wall_seconds: Some(3.0 + flops / 8.0e10),
        excluded: excluded.clone(),
    };
    losses.iter().enumerate().map(row).collect()
}

fn diverged() -> RunRow {
    RunRow {
        run_id: "00200009beefbeef".to_owned(),
        name: "d32-160x-s0".to_owned(),
        role: Some(Role::OffPath),
        params: Some(33e3),
        tokens: Some(5.3e6),
        flops: 1.3e12,
        seed: Some(0),
        status: Some(RunStatus::Diverged),
        loss: Some(5.91),
        loss_se: None,
        wall_seconds: Some(7.4),
        excluded: Some("diverged: loss 5.91 after step 812".to_owned()),
    }
}

fn compute(runs: &[RunRow]) -> ComputePanel {
    let point = |run: &RunRow| {
        run.loss.map(|loss| ComputePoint {
            name: run.name.clone(),
            role: run.role,
            flops: run.flops,
            loss,
            used: run.role == Some(Role::Path),
        })
    };
    let band = |step: i32| {
        let flops = 3.5e10 * 10f64.powf(f64::from(step) * 0.1);
        let (median, beyond) = (curve_at(flops), (flops / 3.6e12).log10().max(0.0));
        let half = 0.018 + 0.034 * beyond;
        BandPoint { flops, median, lower: median - 1.1 * half, upper: median + half }
    };
    ComputePanel {
        unit_flops: TARGET_FLOPS,
        points: runs.iter().filter_map(point).collect(),
        curve: (0..34).map(band).collect(),
        level: 0.9,
        floor: Some(0.4502),
    }
}

fn residuals(runs: &[RunRow]) -> Vec<ResidualPoint> {
    let of = |law: &str, shift: f64, all: bool| {
        let used = runs.iter().filter(move |run| {
            run.role == Some(Role::Path) || all && run.role == Some(Role::OffPath) && run.loss < Some(3.0)
        });
        let point = |run: &RunRow| {
            let bend = 0.004 * ((run.flops / 4e11).log10()).powi(2) - 0.003;
            let noise = 0.1 * ((run.flops / 1e9).sin() * 0.06) + shift * bend;
            ResidualPoint { law: law.to_owned(), name: run.name.clone(), flops: run.flops, residual: noise }
        };
        used.map(point).collect::<Vec<_>>()
    };
    [of("power_law", 1.0, false), of("chinchilla", -1.4, true)].concat()
}

fn estimate(value: f64, error: f64) -> Estimate {
    Estimate {
        estimate: value,
        standard_error: Some(error),
        lower: Some(value - 1.7 * error),
        upper: Some(value + 1.9 * error),
        level: 0.9,
    }
}

fn laws() -> Vec<FittedLaw> {
    let mut power = law("power_law", &[("a", 46.63, 9.1), ("b", 0.1375, 0.0121), ("c", 0.4502, 0.0911)]);
    if let Some(floor) = power.parameters.get_mut("c") {
        floor.lower = None;
    }
    power.excluded = vec![Exclusion { run_id: "00200009beefbeef".to_owned(), reason: ExclusionReason::Diverged }];
    let chinchilla = law(
        "chinchilla",
        &[("A", 12.41, 3.1), ("B", 61.2, 22.4), ("E", 0.3817, 0.14), ("alpha", 0.231, 0.022), ("beta", 0.288, 0.031)],
    );
    vec![power, FittedLaw { n: 17, ..chinchilla }]
}

fn law(name: &str, parameters: &[(&str, f64, f64)]) -> FittedLaw {
    let parameters: BTreeMap<String, Estimate> =
        parameters.iter().map(|(symbol, value, error)| ((*symbol).to_owned(), estimate(*value, *error))).collect();
    FittedLaw {
        group: None,
        law: name.to_owned(),
        rule: Rules { params: "total".to_owned(), flops: "exact".to_owned() },
        interval: Some("profile".to_owned()),
        n: 13,
        vertices_of: None,
        excluded: Vec::new(),
        parameters,
        objective: ObjectiveValue { kind: "huber".to_owned(), delta: Some(1e-3), value: 0.000_081_2 },
        certificate: Certificate {
            gradient_norm: 3.1e-11,
            starts: 125,
            agreeing_starts: 118,
            at_bound: Vec::new(),
            condition_number: Some(4.2e4),
            invariance: Some(2.4e-13),
            cross_check: Some(3.0e-8),
        },
        residual_rms: 0.0072,
        diagnoses: Vec::new(),
    }
}

fn interval(level: f64, lower: f64, upper: f64) -> Interval {
    Interval { level, lower, upper }
}

fn forecast() -> ForecastTarget {
    let said = |law: &str, weight: f64, value: f64, error: f64| LawPrediction {
        law: law.to_owned(),
        weight,
        prediction: estimate(value, error),
    };
    ForecastTarget {
        status: ForecastStatus::Forecast,
        reason: None,
        flops: TARGET_FLOPS,
        params: Some(426e3),
        tokens: Some(17e6),
        unique_tokens: None,
        metric: "loss".to_owned(),
        unit: LossUnit::NatsPerToken,
        median: Some(1.0671),
        predictive: None,
        intervals: vec![interval(0.5, 1.0449, 1.0862), interval(0.9, 1.0063, 1.1198)],
        mean_intervals: vec![interval(0.5, 1.0501, 1.0799), interval(0.9, 1.0177, 1.1052)],
        decades_beyond_data: 1.116,
        laws: vec![
            said("power_law", 0.58, 1.0672, 0.0164),
            said("chinchilla", 0.31, 1.0815, 0.0202),
            said("log_log", 0.11, 1.0143, 0.0091),
        ],
        optimum: Some(Optimum {
            law: Some("chinchilla".to_owned()),
            params: estimate(402e3, 48e3),
            tokens: estimate(18.1e6, 2.2e6),
            flops_per_product: Some(FlopsPerProduct { median: 6.12, lowest: 6.04, highest: 6.43 }),
        }),
    }
}

fn target() -> TargetPanel {
    TargetPanel {
        run_id: "0080000000ca11ed".to_owned(),
        name: "d128-40x-s0".to_owned(),
        params: 426e3,
        tokens: 17e6,
        flops: TARGET_FLOPS,
        actual: Some(1.081),
        ratio: 13.06,
        registration_sha256: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
        registered_at: Some("2026-11-22T22:14:03Z".to_owned()),
    }
}

fn score() -> Score {
    Score {
        schema: SCORE_SCHEMA.to_owned(),
        registration_sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        predicted: 1.0671,
        actual: 1.081,
        relative_error: 1.0671 / 1.081 - 1.0,
        interval: interval(0.9, 1.0063, 1.1198),
        inside: true,
        crps: 0.0091,
        pit: 0.672,
        order: OrderProof::Digest,
        order_detail: "the first line of the target's log names the registration 9f86d081".to_owned(),
        capability: capability::capability().courses.into_iter().filter_map(|course| course.score).collect(),
    }
}

fn diagnoses() -> Vec<Diagnosis> {
    let doubt = |severity, code: &str, message: &str, hint: &str| Diagnosis {
        code: code.to_owned(),
        severity,
        message: message.to_owned(),
        hint: hint.to_owned(),
    };
    vec![
        doubt(
            Severity::Note,
            "extrapolating",
            "the target lies 1.12 decades of compute beyond the largest run fitted",
            "intervals widen with this distance; a rung in between would narrow them",
        ),
        doubt(
            Severity::Warning,
            "not_asymptotic",
            "the local slope moves from 0.10 to 0.08 along the ladder: the runs are not yet on one power law, and a fit that looks good among them can miss outside",
            "add a rung above 3.6e12 FLOPs, or drop the smallest one with `--where \"flops > 1e11\"`",
        ),
    ]
}

fn backtest() -> BacktestReport {
    let case = |(i, ratio, predicted, actual): (usize, f64, f64, f64)| BacktestCase {
        group: None,
        target_run_id: format!("d64-40x-s{i}"),
        ratio,
        mode: "run".to_owned(),
        law: "ensemble".to_owned(),
        cut_flops: 3.6e12 / ratio,
        target_flops: 3.6e12,
        predicted,
        actual,
        relative_error: predicted / actual - 1.0,
        intervals: vec![interval(
            0.9,
            predicted - 0.011 * ratio.log10() - 0.02,
            predicted + 0.011 * ratio.log10() + 0.02,
        )],
        crps: 0.0102,
        pit: 0.41,
        n_fit: 9,
    };
    let cases = [(0, 10.0, 1.341, 1.326), (1, 10.0, 1.337, 1.330), (0, 30.0, 1.283, 1.326), (1, 30.0, 1.309, 1.330)];
    let row = |ratio, median, mean, coverage_90| BacktestSummary {
        ratio,
        median_abs_relative_error: median,
        mean_abs_relative_error: mean,
        coverage_90,
        mean_width_90: Some(0.061),
        mean_interval_score_90: Some(0.083),
        crps: 0.0102,
        n: 2,
    };
    BacktestReport {
        schema: BACKTEST_SCHEMA.to_owned(),
        cases: cases.into_iter().map(case).collect(),
        summary: vec![row(10.0, 0.0082, 0.0083, 1.0), row(30.0, 0.0241, 0.0243, 0.5)],
        diagnoses: Vec::new(),
    }
}

fn provenance() -> Provenance {
    let fact = |(name, value): (&str, &str)| Fact { name: name.to_owned(), value: value.to_owned() };
    let facts = [
        ("Observations", "sha256 4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a"),
        ("Corpus", "sha256 ef2d127de37b942baad06145e54b0c619a1f22327b2ebbcfbec78f5564afe39d"),
        ("Counting", "N total, C exact (matmuls, causal attention, readout)"),
        ("Forescale", "0.1.0, numerics 1"),
        ("Hardware", "2 cores, avx512, f32"),
        ("Wall time", "11 min 04 s, of which the target 6 min 50 s"),
    ];
    let commands =
        ["cargo run --release -- run sweeps/quickstart", "forescale report sweeps/quickstart --out out/quickstart"];
    Provenance { facts: facts.into_iter().map(fact).collect(), commands: commands.map(str::to_owned).to_vec() }
}
