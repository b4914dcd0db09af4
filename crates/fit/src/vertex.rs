//! The best learning rate and batch of one size and data: the vertex of a local parabola in their logarithms.
//!
//! Never the lowest run: the minimum over noisy runs is drawn to a grid point and biased downwards by the noise itself.
//! Where both knobs were varied against each other the parabola is in both at once, because the best rate moves with the
//! batch; where one was, it is in that one, at the value of the other that most runs share. Runs far from the lowest, or
//! half as high again, are not near any parabola and are left aside; what scatter is left is weighed as Huber does.

use forescale_core::law::Theta;
use forescale_core::math;

use crate::parabola::{COEFFICIENTS, Knobs, Parabola, Point, window};

/// A parabola is trusted this far from its vertex in ln of a knob: two doublings either way. Chosen here: over more,
/// published curves of loss against rate are steeper on the side of divergence.
const REACH: f64 = 2.0 * core::f64::consts::LN_2 + 0.01;
/// Above this rise of ln loss over the lowest a run has failed: half as much again. Chosen here: at four times the best
/// rate a run that still learns has lost a fifth at most.
const FAILED: f64 = 0.405;
/// Values of a knob within 2% are one.
const SAME: f64 = 0.02;
/// Fewest values of a knob: as many as a parabola in it has coefficients.
pub(crate) const LEAST_VALUES: usize = COEFFICIENTS;
/// Where Huber turns from square to straight, in standard deviations: 95% efficient on normal noise (Huber 1981).
const HUBER: f64 = 1.345;
/// Standard deviation of a normal variable over its median absolute deviation.
const OVER_MAD: f64 = 1.4826;
/// Rounds of reweighting; they stop moving after about ten.
const ROUNDS: usize = 30;

/// One run: logarithms of rate and batch, and of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trial {
    pub(crate) knobs: [f64; 2],
    pub(crate) log_loss: f64,
}

/// The best value of one knob.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best {
    /// Its logarithm.
    pub(crate) log_value: f64,
    /// Standard error of the logarithm, where more runs than coefficients were fitted.
    pub(crate) standard_error: Option<f64>,
    /// Runs beyond the coefficients.
    pub(crate) degrees: f64,
    /// Runs fitted.
    pub(crate) runs: usize,
}

/// The best rate and batch of one size and data, or why there is none.
pub(crate) fn best(trials: &[Trial]) -> [Result<Best, String>; 2] {
    let varied = [0, 1].map(|knob| levels(trials, knob).len() >= LEAST_VALUES);
    if varied == [true, true] {
        let joint = local(trials, &[0, 1]);
        if let Ok(found) = &joint {
            return [Ok(found[0]), Ok(found[1])];
        }
    }
    [0, 1].map(|knob| {
        let count = levels(trials, knob).len();
        if count < LEAST_VALUES {
            return Err(format!("{count} different values; at least {LEAST_VALUES} are needed"));
        }
        let apart = at_most_common(trials, 1 - knob);
        local(&apart, &[knob]).map(|found| found[0])
    })
}

/// Values of a knob that differ.
fn levels(trials: &[Trial], knob: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = trials.iter().map(|trial| trial.knobs[knob]).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|b, a| *b - *a < SAME);
    sorted
}

/// The runs at the value of a knob that most of them share; of several the one with the lowest loss.
fn at_most_common(trials: &[Trial], knob: usize) -> Vec<Trial> {
    let at = |level: f64| trials.iter().copied().filter(move |trial| (trial.knobs[knob] - level).abs() < SAME);
    let lowest = |level: f64| at(level).map(|trial| trial.log_loss).fold(f64::INFINITY, f64::min);
    let better = |a: &f64, b: &f64| at(*a).count().cmp(&at(*b).count()).then(lowest(*b).total_cmp(&lowest(*a)));
    levels(trials, knob).into_iter().max_by(better).map_or_else(Vec::new, |level| at(level).collect())
}

/// The vertex over some knobs: about the lowest run, and once more about the vertex found there.
fn local(trials: &[Trial], knobs: &[usize]) -> Result<Vec<Best>, String> {
    let lowest = trials.iter().min_by(|a, b| a.log_loss.total_cmp(&b.log_loss)).ok_or("no runs")?;
    let alive: Vec<Trial> = trials.iter().copied().filter(|t| t.log_loss - lowest.log_loss <= FAILED).collect();
    let first = around(&alive, knobs, &knobs.iter().map(|&knob| lowest.knobs[knob]).collect::<Vec<_>>())?;
    let centre: Vec<f64> = first.iter().map(|best| best.log_value).collect();
    Ok(around(&alive, knobs, &centre).unwrap_or(first))
}

fn around(trials: &[Trial], knobs: &[usize], centre: &[f64]) -> Result<Vec<Best>, String> {
    let ends: Vec<(f64, f64)> =
        knobs.iter().zip(centre).map(|(&knob, &at)| window(&levels(trials, knob), at, REACH, SAME)).collect();
    let inside = |trial: &&Trial| {
        knobs.iter().zip(&ends).all(|(&knob, &(low, high))| (low - SAME..=high + SAME).contains(&trial.knobs[knob]))
    };
    let near: Vec<Trial> = trials.iter().filter(inside).copied().collect();
    if let Some(few) = knobs.iter().map(|&knob| levels(&near, knob).len()).find(|&count| count < LEAST_VALUES) {
        return Err(format!("{few} different values about the lowest loss; at least {LEAST_VALUES} are needed"));
    }
    let of = if knobs.len() == 2 { Knobs::Two } else { Knobs::One };
    let (parabola, scale) = robust(of, &about(&near, knobs, centre))?;
    let lowest = parabola.lowest().ok_or("loss does not rise on both sides of a lowest value")?;
    for ((value, &knob), &origin) in lowest.at.iter().zip(knobs).zip(centre) {
        let tried = levels(&near, knob);
        let (low, high) = (tried[0], tried[tried.len() - 1]);
        if !(low..=high).contains(&(value + origin)) {
            let side = if value + origin < low { "below the lowest" } else { "above the highest" };
            return Err(format!("the best value lies {side} of those tried"));
        }
    }
    let degrees = near.len() as f64 - of.coefficients() as f64;
    let error = |gradient: &Theta| parabola.variance(gradient).filter(|_| degrees > 0.0).map(|v| scale * v.sqrt());
    let one = |((value, origin), gradient): ((&f64, &f64), &Theta)| Best {
        log_value: value + origin,
        standard_error: error(gradient),
        degrees,
        runs: near.len(),
    };
    Ok(lowest.at.iter().zip(centre).zip(&lowest.gradients).map(one).collect())
}

/// Runs as points about a centre in some of their knobs.
fn about(trials: &[Trial], knobs: &[usize], centre: &[f64]) -> Vec<Point> {
    let point = |trial: &Trial| {
        let mut at = [0.0; 2];
        at.iter_mut()
            .zip(knobs.iter().zip(centre))
            .for_each(|(away, (&knob, origin))| *away = trial.knobs[knob] - origin);
        Point { at, log_loss: trial.log_loss, weight: 1.0 }
    };
    trials.iter().map(point).collect()
}

/// The parabola by Huber's weights, and the scale of its residuals.
fn robust(knobs: Knobs, points: &[Point]) -> Result<(Parabola, f64), String> {
    let mut weighted = points.to_vec();
    let mut found = None;
    for _ in 0..ROUNDS {
        let parabola = Parabola::through(knobs, &weighted)
            .ok_or("the values tried do not move apart, so that no parabola can be told")?;
        let residuals: Vec<f64> = points.iter().map(|p| p.log_loss - parabola.log_loss(p.at)).collect();
        let sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
        let turn = HUBER * OVER_MAD * math::median(&sizes).unwrap_or(0.0);
        let square: f64 = residuals.iter().zip(&weighted).map(|(r, p)| p.weight * r * r).sum();
        let degrees = (points.len() as f64 - knobs.coefficients() as f64).max(1.0);
        found = Some((parabola, (square / degrees).sqrt()));
        if points.len() == knobs.coefficients() || turn < 1e-12 {
            break;
        }
        weighted.iter_mut().zip(sizes).for_each(|(p, size)| p.weight = (turn / size.max(1e-300)).min(1.0));
    }
    found.ok_or_else(|| "no runs".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    /// ln L = 1 + 0.02 (x − 0.3)² + 0.01 (x − 0.3)(y + 0.2) + 0.015 (y + 0.2)², constants chosen here.
    fn truth(x: f64, y: f64) -> f64 {
        let (x, y) = (x - 0.3, y + 0.2);
        1.0 + 0.02 * x * x + 0.01 * x * y + 0.015 * y * y
    }

    fn trials(xs: &[f64], ys: &[f64], noise: f64, seed: u64) -> Vec<Trial> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut made = Vec::new();
        for &x in xs {
            for &y in ys {
                let log_loss = truth(x, y) + noise * published::normal(&mut generator);
                made.push(Trial { knobs: [x, y], log_loss });
            }
        }
        made
    }

    const GRID: [f64; 5] = [-1.2, -0.6, 0.0, 0.6, 1.2];

    #[test]
    fn a_parabola_in_both_knobs_is_found_where_it_is() {
        let [rate, batch] = best(&trials(&GRID, &GRID, 0.0, 0)).map(|found| found.expect("a vertex"));
        assert!((rate.log_value - 0.3).abs() < 1e-9 && (batch.log_value + 0.2).abs() < 1e-9, "{rate:?} {batch:?}");
    }

    #[test]
    fn three_rates_at_one_batch_give_the_rate_by_hand() {
        // At y = 0 the rate's parabola is 0.02 (x − 0.3)² + 0.002 (x − 0.3) + …: lowest at 0.3 − 0.002 / 0.04 = 0.25.
        let [rate, batch] = best(&trials(&[-1.0, 0.0, 1.0], &[0.0], 0.0, 0));
        let rate = rate.expect("a vertex");
        assert!((rate.log_value - 0.25).abs() < 1e-9 && rate.standard_error.is_none(), "{rate:?}");
        assert_eq!(batch, Err("1 different values; at least 3 are needed".to_owned()));
    }

    #[test]
    fn two_rates_tell_nothing_and_the_best_at_an_edge_is_refused() {
        let [rate, _] = best(&trials(&[-1.0, 1.0], &[0.0], 0.0, 0));
        assert!(rate.is_err());
        let [rate, _] = best(&trials(&[0.6, 1.2, 1.8], &[0.0], 0.0, 0));
        assert_eq!(rate, Err("the best value lies below the lowest of those tried".to_owned()));
    }

    #[test]
    fn loss_that_falls_off_on_both_sides_has_no_best_value() {
        let hill: Vec<Trial> = GRID.iter().map(|&x| Trial { knobs: [x, 0.0], log_loss: 1.0 - 0.01 * x * x }).collect();
        assert!(best(&hill)[0].is_err());
    }

    #[test]
    fn runs_that_diverged_move_the_best_rate_by_less_than_its_error() {
        let clean = trials(&GRID, &GRID, 0.001, 7);
        let mut broken = clean.clone();
        broken.iter_mut().filter(|trial| trial.knobs[0] > 1.0).for_each(|trial| trial.log_loss += 1.1);
        broken[7].log_loss += 0.1;
        let [before, after] = [clean, broken].map(|trials| best(&trials)[0].clone().expect("a vertex"));
        let error = after.standard_error.expect("more runs than coefficients");
        assert!((before.log_value - after.log_value).abs() < error, "{before:?} {after:?}");
    }

    #[test]
    fn the_standard_error_is_the_scatter_of_many_tables() {
        // 200 tables of one truth: their standard deviation has a standard error of 5%, and Huber's scale is a little small.
        let found: Vec<Best> =
            (0..200).map(|seed| best(&trials(&GRID, &GRID, 0.001, seed))[0].clone().expect("a vertex")).collect();
        let mean = found.iter().map(|best| best.log_value).sum::<f64>() / 200.0;
        let square: f64 = found.iter().map(|best| (best.log_value - mean) * (best.log_value - mean)).sum();
        let scatter = (square / 199.0).sqrt();
        let told = found.iter().filter_map(|best| best.standard_error).sum::<f64>() / 200.0;
        assert!((mean - 0.3).abs() < 4.0 * scatter / 200.0_f64.sqrt(), "{mean}");
        assert!((0.7..1.3).contains(&(told / scatter)), "{told} {scatter}");
    }

    #[test]
    fn rates_a_decade_apart_still_give_three_about_the_lowest() {
        let xs = [-4.605, -2.303, 0.0, 2.303, 4.605];
        let [rate, _] = best(&trials(&xs, &[0.0], 0.0, 0));
        assert!((rate.expect("a vertex").log_value - 0.25).abs() < 1e-9);
    }
}
