//! The lowest point of a function of one number: a grid, then golden section (Kiefer 1953).

/// How hard to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Values looked at, evenly over the range, before the best is bracketed by its neighbours; at least 2.
    pub(crate) grid: usize,
    /// Rounds of golden section, each of which leaves 0.618 of the bracket.
    pub(crate) rounds: usize,
}

/// Where the function is least within a range, and its value there.
pub(crate) fn minimum(of: &impl Fn(f64) -> f64, (low, high): (f64, f64), effort: Effort) -> (f64, f64) {
    let step = (high - low) / (effort.grid - 1) as f64;
    let grid = (0..effort.grid).map(|i| low + step * i as f64).map(|x| (x, of(x)));
    let best = grid.reduce(|best, next| if next.1 < best.1 { next } else { best }).unwrap_or((low, of(low)));
    let bracket = ((best.0 - step).max(low), (best.0 + step).min(high));
    golden_section(of, bracket, best, effort.rounds)
}

fn golden_section(
    of: &impl Fn(f64) -> f64,
    (mut low, mut high): (f64, f64),
    best: (f64, f64),
    rounds: usize,
) -> (f64, f64) {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let mut left = high - RATIO * (high - low);
    let mut right = low + RATIO * (high - low);
    let (mut at_left, mut at_right) = (of(left), of(right));
    for _ in 0..rounds {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - RATIO * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + RATIO * (high - low);
            at_right = of(right);
        }
    }
    let end = if at_left < at_right { (left, at_left) } else { (right, at_right) };
    if end.1 < best.1 { end } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: Effort = Effort { grid: 9, rounds: 30 };

    #[test]
    fn the_lower_of_two_hollows_is_found() {
        // (x² − 1)² + x/10 has hollows near −1 and 1; its derivative 4x³ − 4x + 1/10 is zero at −1.012 273 (SciPy's brentq).
        let (at, _) = minimum(&|x| (x * x - 1.0) * (x * x - 1.0) + 0.1 * x, (-2.0, 2.0), EFFORT);
        assert!((at + 1.012_273).abs() < 1e-5, "{at}");
    }

    #[test]
    fn a_function_that_only_falls_is_least_at_the_end() {
        assert!((minimum(&|x| -x, (0.0, 3.0), EFFORT).0 - 3.0).abs() < 1e-5);
        assert!((minimum(&|x| x, (0.0, 3.0), EFFORT).0).abs() < 1e-5);
    }

    #[test]
    fn a_minimum_between_two_grid_points_is_found() {
        let (at, value) = minimum(&|x| (x - 0.123) * (x - 0.123), (-1.5, 1.5), EFFORT);
        assert!((at - 0.123).abs() < 1e-5 && value < 1e-10, "{at}");
    }
}
