//! Laws that losses are drawn from. The laws of compute have a loss of 3.5 nats at 10^18 FLOPs.

use forescale_core::math;

/// Where the ladders begin, FLOPs.
pub(crate) const START: f64 = 1e18;

/// A law of compute.
pub(crate) type Curve = fn(f64) -> f64;

fn fallen(flops: f64, exponent: f64) -> f64 {
    math::pow(flops / START, -exponent)
}

/// One power and a floor: what `power_law` fits.
pub(crate) fn power(flops: f64) -> f64 {
    1.7 + 1.8 * fallen(flops, 0.15)
}

/// Two powers and a floor: to the eye one power, whose floor lies too high. Amplitudes chosen here, so that `power_law`
/// fitted without noise over three decades errs by 1.1% at 1000 times the largest compute.
pub(crate) fn two_powers(flops: f64) -> f64 {
    1.3 + 1.2 * fallen(flops, 0.30) + 1.0 * fallen(flops, 0.07)
}

/// The power breaks from 0.15 to 0.08 this many decades above the start.
fn broken(flops: f64, decades: f64) -> f64 {
    let at = START * math::pow(10.0, decades);
    let before = 1.8 * fallen(flops.min(at), 0.15);
    1.7 + before * math::pow((flops / at).max(1.0), -0.08)
}

/// Broken halfway through three decades.
pub(crate) fn broken_halfway(flops: f64) -> f64 {
    broken(flops, 1.5)
}

/// Broken one decade below the largest of three decades.
pub(crate) fn broken_a_decade_inside(flops: f64) -> f64 {
    broken(flops, 2.0)
}

/// Broken one decade past the largest of three decades: no data tell.
pub(crate) fn broken_beyond(flops: f64) -> f64 {
    broken(flops, 4.0)
}

/// A recipe that is tuned at the bottom and loses 0.15% with every decade.
pub(crate) fn drifting(flops: f64) -> f64 {
    power(flops) * (1.0 + 0.0015 * math::log10(flops / START))
}

/// L under (L − E)/(L0 − L)^a = B·C^−c by bisection: S-shaped between L0 = 3.38 and E = 0.62 (M4 of Alabdulmohsin,
/// Neyshabur and Zhai 2022), in the likeness of a ladder on source code that begins at 3.5e10 FLOPs.
pub(crate) fn s_shaped(flops: f64) -> f64 {
    let (floor, start, a, log_b, c) = (0.62, 3.38, 0.55, 2.93, 0.105);
    let log_flops = math::ln(flops / START * 3.5e10);
    let (mut low, mut high) = (floor, start);
    for _ in 0..100 {
        let loss = 0.5 * (low + high);
        let side = math::ln(loss - floor) - a * math::ln(start - loss) - (log_b - c * log_flops);
        if side < 0.0 { low = loss } else { high = loss }
    }
    low
}

/// A, B, E, alpha, beta of Besiroglu et al. 2024, table 1.
pub(crate) const SURFACE: [f64; 5] = [482.01, 2085.43, 1.8172, 0.3478, 0.3658];

/// The surface at a size and an amount of data.
pub(crate) fn surface(params: f64, tokens: f64) -> f64 {
    let [a, b, floor, alpha, beta] = SURFACE;
    floor + a * math::pow(params, -alpha) + b * math::pow(tokens, -beta)
}

/// Size and data that the surface is lowest at for a budget of 6ND: N = (αA/(βB))^(1/(α+β)) (C/6)^(β/(α+β)) (Hoffmann et
/// al. 2022, equation 4).
pub(crate) fn best_shape(flops: f64) -> (f64, f64) {
    let [a, b, _, alpha, beta] = SURFACE;
    let both = alpha + beta;
    let params = math::pow(alpha * a / (beta * b), 1.0 / both) * math::pow(flops / 6.0, beta / both);
    (params, flops / (6.0 * params))
}
