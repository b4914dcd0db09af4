//! Tables for tests: published ones where they lie on this machine, and ones made from published coefficients.

use std::path::PathBuf;

use forescale_core::law::{Centre, LawForm as _, chinchilla::Chinchilla, padded};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::run::Role;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A run of a foreign table.
pub(crate) fn run(index: usize, params: f64, tokens: f64, flops: f64, loss: f64) -> Observation {
    Observation::bare(format!("run{index:04}"), params, tokens, flops, loss)
}

/// The rows of a published table as fields by column, or `None` with a word on standard output where it is not there.
pub(crate) fn table(name: &str) -> Option<Vec<Vec<(String, String)>>> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    #[allow(clippy::disallowed_methods, reason = "a test may look for data; the library never does")]
    let folder = std::env::var_os("FORESCALE_PUBLISHED_DATA").map_or_else(default, PathBuf::from);
    #[allow(clippy::disallowed_methods, reason = "a test may read a file; the library never does")]
    let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
        note_skip(name);
        return None;
    };
    let mut lines = text.lines().map(fields);
    let header = lines.next()?;
    Some(lines.map(|fields| header.iter().cloned().zip(fields).collect()).collect())
}

/// The fields of a line; a comma between quotation marks belongs to its field.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    for (i, part) in line.split('"').enumerate() {
        let mut pieces = if i % 2 == 1 { vec![part] } else { part.split(',').collect() }.into_iter();
        let last = fields.last_mut().expect("one field at least");
        last.push_str(pieces.next().unwrap_or_default());
        fields.extend(pieces.map(str::to_owned));
    }
    fields
}

/// Says that a table was not there, and counts it in the list that CI names.
#[allow(clippy::disallowed_methods, reason = "a test may write a list of what it skipped; the library never does")]
fn note_skip(name: &str) {
    println!("skipped: `{name}` is not here; set FORESCALE_PUBLISHED_DATA to the published tables");
    let Some(list) = std::env::var_os("FORESCALE_SKIPS") else { return };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
    std::io::Write::write_all(&mut file, format!("{name}\n").as_bytes()).expect("the list can be written");
}

pub(crate) fn field<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
    row.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value)
}

pub(crate) fn number(row: &[(String, String)], column: &str) -> f64 {
    field(row, column).parse().expect("a number")
}

/// Epoch AI's points off Hoffmann et al., figure 4: all 245, or the 240 without the five highest losses.
pub(crate) fn chinchilla(count: usize) -> Option<Vec<Observation>> {
    let rows = table("chinchilla_epoch.csv")?;
    let kept = rows.iter().filter(|row| count == 245 || field(row, "dropped_by_epoch") == "0");
    let runs: Vec<_> = kept
        .enumerate()
        .map(|(i, row)| {
            let (params, flops) = (number(row, "params"), number(row, "flops"));
            run(i, params, flops / (6.0 * params), flops, number(row, "loss"))
        })
        .collect();
    assert_eq!(runs.len(), count);
    Some(runs)
}

/// One experiment of `isoflops`, by the start of its name.
pub(crate) fn isoflop(experiment: &str) -> Option<Vec<Observation>> {
    let rows = table("isoflops.csv")?;
    let kept = rows.iter().filter(|row| field(row, "experiment").starts_with(experiment));
    let runs: Vec<_> = kept
        .enumerate()
        .map(|(i, row)| {
            let [params, tokens, flops, loss] = ["params", "tokens", "flops", "loss"].map(|c| number(row, c));
            run(i, params, tokens, flops, loss)
        })
        .collect();
    assert!(!runs.is_empty(), "{experiment}");
    Some(runs)
}

/// A learning curve with the split its authors published.
pub(crate) struct Curve {
    pub(crate) domain: String,
    pub(crate) fit: Vec<Observation>,
    pub(crate) ahead: Vec<Observation>,
}

/// The curves of Alabdulmohsin et al., examples seen in place of compute.
pub(crate) fn curves() -> Option<Vec<Curve>> {
    let rows = table("alabdulmohsin_curves.csv")?;
    let mut curves: std::collections::BTreeMap<String, Curve> = std::collections::BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        let domain = field(row, "domain").to_owned();
        let entry = curves.entry(field(row, "curve_id").to_owned());
        let curve = entry.or_insert_with(|| Curve { domain, fit: Vec::new(), ahead: Vec::new() });
        let seen = number(row, "seen");
        let point = Observation { role: Some(Role::Path), ..run(i, 1.0, seen, seen, number(row, "loss")) };
        if field(row, "split") == "fit" { curve.fit.push(point) } else { curve.ahead.push(point) }
    }
    Some(curves.into_values().collect())
}

/// Rungs of a tiny ladder on real Rust source, measured in PyTorch: FLOPs and losses by seed.
pub(crate) fn rust_ladder(top: usize) -> Vec<Observation> {
    let rungs: [(f64, &[f64]); 8] = [
        (3.5e10, &[2.110, 2.106, 2.123]),
        (1.25e11, &[1.860, 1.848, 1.864]),
        (3.2e11, &[1.716, 1.695, 1.670]),
        (1.3e12, &[1.465, 1.457]),
        (3.6e12, &[1.326, 1.330]),
        (1.6e13, &[1.191, 1.188]),
        (4.7e13, &[1.081]),
        (1e99, &[]),
    ];
    let mut runs = Vec::new();
    for &(flops, losses) in &rungs[..top] {
        for &loss in losses {
            let size = (flops / 240.0).sqrt();
            let run = run(runs.len(), size, 40.0 * size, flops, loss);
            runs.push(Observation { role: Some(Role::Path), seed: Some(runs.len() as u64), ..run });
        }
    }
    runs
}

/// The learner that knows the `size` commonest of infinitely many facts, p ∝ r^−`tail`, of those it met among `tokens`
/// draws. A sentence is three key tokens and a value of 64, which is right but for one in twenty.
///
/// Loss = E + Δ[1 − Σ_{r≤n} p_r(1 − (1 − p_r)^D)], with H(p) the entropy of the facts, h that of a value once its fact is
/// known, E = (H(p) + h)/4 and Δ = (ln 64 − h)/4; sums past the last term by Euler and Maclaurin.
pub(crate) struct ZipfLearner {
    tail: f64,
    total: f64,
    /// E.
    pub(crate) floor: f64,
    gap: f64,
}

impl ZipfLearner {
    pub(crate) fn new(tail: f64) -> Self {
        let last = 1e5;
        let ranks = || (1..100_000).map(f64::from);
        let term = |r: f64| math::pow(r, -tail);
        // From r = last on: integral, half the first term, and a twelfth of the slope.
        let rest = math::pow(last, 1.0 - tail) / (tail - 1.0);
        let total = ranks().map(term).sum::<f64>() + rest + 0.5 * term(last) + tail * term(last) / (12.0 * last);
        let log_rest = rest * (math::ln(last) + 1.0 / (tail - 1.0));
        let slope = term(last) * (1.0 - tail * math::ln(last)) / last;
        let logs = ranks().map(|r| math::ln(r) * term(r)).sum::<f64>() + log_rest;
        let logs = logs + 0.5 * math::ln(last) * term(last) - slope / 12.0;
        let entropy = math::ln(total) + tail * logs / total;
        let (wrong, values) = (0.05, 64.0_f64);
        let value = -wrong * math::ln(wrong / (values - 1.0)) - (1.0 - wrong) * math::ln_1p(-wrong);
        Self { tail, total, floor: 0.25 * (entropy + value), gap: 0.25 * (math::ln(values) - value) }
    }

    /// 49 runs: sizes from 1e2 to 1e5 facts, data from 1e4 to 1e8 sentences.
    pub(crate) fn runs(&self) -> Vec<Observation> {
        let sizes: Vec<f64> = (0..7).map(|i| math::pow(10.0, 2.0 + 0.5 * f64::from(i)).round()).collect();
        let mut runs = Vec::new();
        for step in 0..7 {
            let tokens = math::pow(10.0, 4.0 + 4.0 * f64::from(step) / 6.0);
            let (mut known, mut next) = (0.0, sizes.iter());
            let mut size = next.next();
            for rank in 1..=100_000 {
                let p = math::pow(f64::from(rank), -self.tail) / self.total;
                known -= p * math::exp_m1(tokens * math::ln_1p(-p));
                if let Some(&n) = size.filter(|&&n| n <= f64::from(rank)) {
                    runs.push(run(runs.len(), n, tokens, n * tokens, self.floor + self.gap * (1.0 - known)));
                    size = next.next();
                }
            }
        }
        runs
    }
}

/// Five budgets from 1e18 to 1e22 FLOPs, each at seven sizes around the optimum, with losses from coefficients
/// A, B, E, alpha, beta.
pub(crate) fn grid(natural: [f64; 5]) -> Vec<Observation> {
    let natural = padded(natural);
    let theta = Chinchilla.internal(&natural, &Centre::ONE);
    let mut runs = Vec::new();
    for budget in 0..5 {
        let flops = math::pow(10.0, 18.0 + f64::from(budget));
        let best = Chinchilla.optimum(&natural, flops, 6.0).expect("an optimum").params;
        for size in -3..=3 {
            let params = best * math::pow(2.0, f64::from(size));
            let tokens = flops / (6.0 * params);
            let loss = math::exp(Chinchilla.log_loss(&theta, &Centre::ONE.position(params, tokens, flops)));
            runs.push(run(runs.len(), params, tokens, flops, loss));
        }
    }
    runs
}

/// The same runs with log-normal noise from a seed.
pub(crate) fn with_noise(runs: &[Observation], sigma: f64, seed: u64) -> Vec<Observation> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let noisy = |o: &Observation| Observation { loss: o.loss * math::exp(sigma * normal(&mut generator)), ..o.clone() };
    runs.iter().map(noisy).collect()
}

/// A standard normal number.
pub(crate) fn normal(generator: &mut ChaCha8Rng) -> f64 {
    let uniform = (generator.next_u64() >> 11) as f64 + 0.5;
    math::normal_quantile(uniform / (1_u64 << 53) as f64)
}
