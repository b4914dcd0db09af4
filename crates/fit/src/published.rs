//! Tables for tests: published ones where they lie on this machine, and ones made from published coefficients.

use std::path::PathBuf;

use forescale_core::law::{Centre, LawForm as _, chinchilla::Chinchilla, padded};
use forescale_core::math;
use forescale_core::observation::Observation;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A run of a foreign table.
pub(crate) fn run(index: usize, params: f64, tokens: f64, flops: f64, loss: f64) -> Observation {
    let run_id = format!("run{index:04}");
    Observation {
        name: run_id.clone(),
        cluster: run_id.clone(),
        run_id,
        group: None,
        role: None,
        params,
        tokens,
        flops,
        loss,
        loss_se: None,
        seed_sd: None,
        seed_degrees: None,
        weight: 1.0,
        seed: None,
        eval_set_digest: None,
        unique_tokens: None,
        training: forescale_core::observation::Training::default(),
    }
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
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next()?;
    Some(lines.map(|fields| header.iter().cloned().zip(fields).collect()).collect())
}

/// Says that a table was not there, and counts it in the list that CI names.
#[allow(clippy::disallowed_methods, reason = "a test may write a list of what it skipped; the library never does")]
fn note_skip(name: &str) {
    println!("skipped: `{name}` is not here; set FORESCALE_PUBLISHED_DATA to the published tables");
    let Some(list) = std::env::var_os("FORESCALE_SKIPS") else { return };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
    std::io::Write::write_all(&mut file, format!("{name}\n").as_bytes()).expect("the list can be written");
}

fn field<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
    row.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value)
}

fn number(row: &[(String, String)], column: &str) -> f64 {
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
