//! The made-up sweep's other panels: decision, best split, training, parameters, checklist.

use forescale_core::approach::{Approach, ApproachFit, BudgetRefusal, BudgetVertex, OptimalPowers, OptimumAt};
use forescale_core::checklist::{CHECKLIST_SCHEMA, Checklist, Item, Section, Status};
use forescale_core::cost::Hardware;
use forescale_core::estimate::Estimate;
use forescale_core::outcome::{BacktestReport, Diagnosis};
use forescale_core::panel::*;

use super::{TARGET_FLOPS, curve_at, estimate};

pub(super) fn decision(backtest: &BacktestReport, doubts: &[Diagnosis]) -> Decision {
    let device = |name: &str, peak: f64, price: f64| Hardware {
        name: name.to_owned(),
        flops_per_second: peak,
        precision: "bf16".to_owned(),
        utilisation: 0.4,
        price_per_hour: price,
        currency: "USD".to_owned(),
        watts: 400.0,
        pue: 1.2,
        source: "data sheet; example price".to_owned(),
    };
    let devices = [device("a100-sxm", 312e12, 1.5), device("h100-sxm", 989e12, 2.5)];
    Decision {
        ratio: Some(13.06),
        backtest: backtest.summary.first().cloned(),
        doubt: doubts.last().cloned(),
        costs: devices.iter().filter_map(|device| device.cost(TARGET_FLOPS).ok()).collect(),
    }
}

fn size(value: f64) -> Estimate {
    Estimate { lower: Some(0.7 * value), upper: Some(1.5 * value), ..estimate(value, 0.2 * value) }
}

fn best(flops: f64) -> FrontierPoint {
    let params = 0.06 * flops.sqrt();
    FrontierPoint { flops, params: size(params), tokens: size(flops / (6.0 * params)), loss: curve_at(flops) }
}

fn spaced(low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| low * (high / low).powf(i as f64 / (count - 1) as f64)).collect()
}

pub(super) fn shape(runs: &[RunRow]) -> ShapePanel {
    let frontier: Vec<FrontierPoint> = spaced(3.5e10, 1.4e14, 25).into_iter().map(best).collect();
    ShapePanel {
        law: "chinchilla".to_owned(),
        contours: frontier.iter().step_by(5).map(contour).collect(),
        frontier,
        isoflops: vec![isoflop(1.4e11, &runs[..3], None), isoflop(9.8e11, &runs[3..6], vertex(9.8e11))],
        isoflops_left_out: 1,
    }
}

/// Along a line of equal loss the budget grows by the square of the distance from its cheapest point.
fn contour(point: &FrontierPoint) -> Contour {
    let at = |params: f64| {
        let away = (params / point.params.estimate).ln();
        SizeAndData { params, tokens: point.flops * (1.0 + away * away) / (6.0 * params) }
    };
    let sizes = spaced(0.2 * point.params.estimate, 5.0 * point.params.estimate, 33);
    Contour { loss: point.loss, points: sizes.into_iter().map(at).collect() }
}

fn vertex(flops: f64) -> Option<BudgetVertex> {
    Some(BudgetVertex {
        flops,
        runs: 5,
        near: 4,
        parabola_params: Some(58e3),
        params: Some(61e3),
        tokens: Some(2.7e6),
        loss: Some(curve_at(flops)),
        refused: None,
    })
}

fn isoflop(flops: f64, runs: &[RunRow], vertex: Option<BudgetVertex>) -> Isoflop {
    let minimum = best(flops);
    let loss = |params: f64| minimum.loss + 0.03 * (params / minimum.params.estimate).ln().powi(2);
    let curve = spaced(0.25 * minimum.params.estimate, 4.0 * minimum.params.estimate, 33);
    let point = |params: f64| SizedLoss { name: String::new(), params, loss: loss(params) };
    let run = |(place, row): (usize, &RunRow)| {
        let params = minimum.params.estimate * 2.5_f64.powi(place as i32 - 1);
        SizedLoss { name: row.name.clone(), params, loss: 1.004 * loss(params) }
    };
    Isoflop {
        flops,
        runs: runs.iter().enumerate().map(run).collect(),
        curve: curve.into_iter().map(point).collect(),
        minimum: Some(minimum),
        vertex,
    }
}

pub(super) fn approaches() -> Vec<ApproachFit> {
    let powers = OptimalPowers {
        params_exponent: estimate(0.49, 0.03),
        params_coefficient: 0.06,
        tokens_exponent: estimate(0.51, 0.03),
        tokens_coefficient: 2.8,
    };
    let at = |flops: f64| {
        let FrontierPoint { params, tokens, .. } = best(flops);
        OptimumAt { flops, params, tokens, tokens_per_param: size(42.0), parabola_bias: None }
    };
    let fit = |approach: Approach| ApproachFit {
        group: None,
        approach,
        refused: None,
        powers: Some(powers),
        parabola_powers: None,
        optima: vec![at(3.5e10), at(TARGET_FLOPS)],
        budgets: Vec::new(),
        envelope: Vec::new(),
        n: 7,
        excluded: Vec::new(),
        diagnoses: Vec::new(),
    };
    let refused = ApproachFit {
        refused: Some(format!("1 budget has a vertex, and {} elsewhere", BudgetRefusal::TooFewSizes.label())),
        powers: None,
        optima: Vec::new(),
        ..fit(Approach::Isoflop)
    };
    vec![fit(Approach::Envelope), refused, fit(Approach::Surface)]
}

pub(super) fn curves(runs: &[RunRow]) -> LossCurves {
    let curve = |run: &RunRow| {
        let last = run.loss.filter(|loss| *loss < 3.0)?;
        let point = |share: f64| CoursePoint { flops: run.flops * share, loss: last + 0.6 * (1.0 - share).powi(2) };
        let points = (1..=8).map(|step| point(f64::from(step) / 8.0)).collect();
        Some(LossCurve { name: run.name.clone(), role: run.role, params: run.params?, points })
    };
    LossCurves { curves: runs.iter().filter_map(curve).collect(), left_out: 0 }
}

pub(super) fn seeds(runs: &[RunRow]) -> Vec<SeedRung> {
    let rung = |rows: &[RunRow]| {
        let losses: Vec<f64> = rows.iter().filter_map(|row| row.loss).collect();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let run = |row: &RunRow| Some(SeedRun { name: row.name.clone(), deviation: row.loss? / mean - 1.0 });
        let relative_sd = Some(0.006 * (3.5e10 / rows[0].flops).powf(0.1));
        let RunRow { params, tokens, flops, .. } = rows[0];
        SeedRung { params, tokens, flops, mean, relative_sd, runs: rows.iter().filter_map(run).collect() }
    };
    [&runs[..3], &runs[3..6], &runs[6..9], &runs[9..11]].into_iter().map(rung).collect()
}

pub(super) fn parameters() -> Vec<ParameterPanel> {
    let profile = |symbol: &str, bend: f64, logarithm: bool| {
        let point = |step: i32| {
            let root = f64::from(step) / 4.0;
            let errors = root + bend * root * root;
            ProfilePoint { value: 0.3 + 0.02 * errors, errors, root }
        };
        ParameterProfile { symbol: symbol.to_owned(), logarithm, points: (-8..=8).map(point).collect() }
    };
    let pair = |first: &str, second: &str, value: f64| Correlation {
        first: first.to_owned(),
        second: second.to_owned(),
        value,
    };
    vec![ParameterPanel {
        law: "power_law".to_owned(),
        level: 0.9,
        root: 1.78,
        profiles: vec![profile("a", 0.05, true), profile("b", 0.02, false), profile("c", -0.14, false)],
        correlations: vec![pair("a", "b", 0.97), pair("a", "c", 0.91), pair("b", "c", -0.42)],
    }]
}

pub(super) fn calibration(backtest: &BacktestReport) -> CalibrationPanel {
    let count = backtest.cases.len() as f64;
    let case = |(rank, case): (usize, &forescale_core::outcome::BacktestCase)| CalibrationCase {
        name: case.target_run_id.clone(),
        ratio: case.ratio,
        expected: (rank as f64 + 0.5) / count,
        pit: case.pit,
    };
    CalibrationPanel { cases: backtest.cases.iter().enumerate().map(case).collect(), band: 0.61, level: 0.9 }
}

pub(super) fn checklist() -> Checklist {
    let item = |section, question: &str, answer: &str, status| Item {
        section,
        question: question.to_owned(),
        answer: answer.to_owned(),
        status,
    };
    let items = vec![
        item(Section::Hypothesis, "Which law is fitted?", "`power_law` and `chinchilla`", Status::Answered),
        item(Section::Training, "How was the rate chosen?", "not known; a column `lr` tells", Status::Unknown),
        item(Section::Data, "Are all points ends of schedules?", "yes, 17 of 17", Status::Answered),
        item(Section::Fit, "Do backtests hold?", "1 of 4 outcomes fell outside its interval", Status::Problem),
    ];
    Checklist { schema: CHECKLIST_SCHEMA.to_owned(), items }
}
