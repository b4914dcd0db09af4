//! The made-up sweep's capabilities: one task of three buckets, the last behind its gate, and one that gets worse first.

use forescale_core::capability::{
    Bend, CapabilityLaw, CapabilityScore, CapabilityStatus, Gate, Measure, Rung, Shut, TaskForecast, Turn,
};
use forescale_core::estimate::Interval;
use forescale_core::panel::{BandPoint, CapabilityCourse, CapabilityPanel};

use super::TARGET_FLOPS;

const SEEN: f64 = 4e11;
const RUNGS: [f64; 5] = [1e10, 3e10, 8e10, 2e11, SEEN];

pub(super) fn capability() -> CapabilityPanel {
    let courses = vec![
        forecast("addition", (1, "1 digit"), [1.9, 1.4, 0.9, 0.55, 0.38], (0.031, 0.028)),
        forecast("addition", (2, "2 digits"), [4.2, 3.9, 3.1, 2.3, 1.8], (0.31, 0.74)),
        shut("addition", (3, "3 digits"), [6.8, 6.8, 6.7, 6.8, 6.7], Shut::OnPlateau, Some(3.9)),
        turned(shut("distractor", (1, "exceptions"), [3.1, 3.6, 4.2, 4.4, 4.5], Shut::Inverse, Some(2.2))),
    ];
    CapabilityPanel {
        target_flops: TARGET_FLOPS,
        seen_flops: SEEN,
        level: 0.9,
        registration_sha256: Some("5e".repeat(32)),
        courses,
    }
}

fn turned(course: CapabilityCourse) -> CapabilityCourse {
    let turn = Turn { bend: Bend::Inverse, p_value: 0.2, vertex_flops: None, trend_p_value: 0.004 };
    CapabilityCourse { forecast: TaskForecast { turn: Some(turn), ..course.forecast }, ..course }
}

/// Median at the target and what it reached.
fn forecast(task: &str, bucket: (u32, &str), seen: [f64; 5], (median, reached): (f64, f64)) -> CapabilityCourse {
    let interval = |level: f64, factor: f64| Interval { level, lower: median / factor, upper: median * factor };
    let within = interval(0.9, 2.0);
    let mut course = shut(task, bucket, seen, Shut::OnPlateau, Some(reached));
    course.forecast.status = CapabilityStatus::Forecast;
    (course.forecast.reason, course.forecast.gate.is_open, course.forecast.gate.reason) = (None, true, None);
    course.forecast.median = Some(median);
    course.forecast.intervals = vec![interval(0.5, 1.3), within];
    course.forecast.laws =
        vec![CapabilityLaw { law: "decay".to_owned(), weight: 1.0, parameters: Vec::new(), value: median }];
    let last = seen[4];
    course.curve = (0..=8)
        .map(|step| {
            let share = f64::from(step) / 8.0;
            let (flops, middle) = (SEEN * (TARGET_FLOPS / SEEN).powf(share), last * (median / last).powf(share));
            let spread = 2_f64.powf(share);
            BandPoint { flops, median: middle, lower: middle / spread, upper: middle * spread }
        })
        .collect();
    course.score = Some(CapabilityScore {
        task: task.to_owned(),
        bucket: Some(bucket.0),
        observed: reached,
        median,
        error: reached - median,
        interval: within,
        is_inside: within.contains(reached),
        crps: 0.1,
        pit: 0.4,
    });
    course
}

fn shut(task: &str, bucket: (u32, &str), seen: [f64; 5], why: Shut, reached: Option<f64>) -> CapabilityCourse {
    let rung = |(flops, value): (&f64, f64)| Rung {
        flops: *flops,
        value,
        standard_error: Some(0.05),
        runs: 1,
        problems: Some(200),
        censored: Some(0),
        is_bound: false,
    };
    let gate = Gate {
        is_open: false,
        plateau: seen[0],
        ceiling: 0.0,
        moved: seen[0] - seen[4],
        needed: 1.0,
        slopes: Vec::new(),
        reason: Some(why),
    };
    let forecast = TaskForecast {
        task: task.to_owned(),
        bucket: Some(bucket.0),
        bucket_name: Some(bucket.1.to_owned()),
        measure: Measure::NegLogP,
        status: CapabilityStatus::Refused,
        reason: Some(why.to_string()),
        median: None,
        intervals: Vec::new(),
        predictive: None,
        laws: Vec::new(),
        gate,
        turn: None,
        last: seen.last().copied(),
        rungs: RUNGS.iter().zip(seen).map(rung).collect(),
        decades_beyond: 2.07,
        problems: Some(200),
        censored: 0,
        diagnoses: Vec::new(),
    };
    CapabilityCourse { forecast, curve: Vec::new(), reached, score: None }
}
