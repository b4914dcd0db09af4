//! A parabola through log losses near the best value of one knob or two, and where it is lowest.
//!
//! # Formula
//!
//! ln L = c₀ + c₁x + c₂x², or c₀ + c₁x + c₂y + c₃x² + c₄xy + c₅y², by weighted least squares; x and y are logarithms of the
//! knobs less those of a centre. Lowest at −c₁/2c₂, or where both slopes vanish. As the slope there is zero, the variance of
//! the loss is to first order σ²·rᵀ(XᵀWX)⁻¹r, r the row of the lowest point, and that of its place σ²·gᵀ(XᵀWX)⁻¹g, g its
//! gradient by the coefficients.
//!
//! # What it does not do
//!
//! Choose the runs it goes through: [`crate::vertex`] and [`crate::best_of`] do, each by [`window`], and say why.

use forescale_core::law::Theta;

use crate::linear::{Matrix, add_outer, dot, quadratic_inverse, solve};

/// Coefficients in one knob.
pub(crate) const COEFFICIENTS: usize = 3;
/// Coefficients in two knobs.
const JOINT: usize = 6;

/// Which knobs a parabola is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knobs {
    One,
    Two,
}

impl Knobs {
    pub(crate) fn coefficients(self) -> usize {
        match self {
            Self::One => COEFFICIENTS,
            Self::Two => JOINT,
        }
    }

    /// What multiplies the coefficients at a place.
    fn row(self, [x, y]: [f64; 2]) -> Theta {
        match self {
            Self::One => [1.0, x, x * x, 0.0, 0.0, 0.0],
            Self::Two => [1.0, x, y, x * x, x * y, y * y],
        }
    }
}

/// What a parabola goes through: knobs about the centre (the second 0 where there is one), log loss, and how much it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: [f64; 2],
    pub(crate) log_loss: f64,
    pub(crate) weight: f64,
}

/// A parabola by weighted least squares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parabola {
    knobs: Knobs,
    coefficients: Theta,
    /// XᵀWX.
    information: Matrix,
}

/// The lowest point of a parabola that opens upward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lowest {
    /// The knobs about the centre.
    pub(crate) at: [f64; 2],
    /// How each knob's best value moves with the coefficients.
    pub(crate) gradients: [Theta; 2],
}

impl Parabola {
    /// Through points; `None` where their values do not tell the coefficients apart.
    pub(crate) fn through(knobs: Knobs, points: &[Point]) -> Option<Self> {
        let (mut information, mut right) = (Matrix::default(), Theta::default());
        for point in points {
            let row = knobs.row(point.at);
            add_outer(&mut information, &row, point.weight);
            right.iter_mut().zip(&row).for_each(|(sum, x)| *sum += point.weight * x * point.log_loss);
        }
        let coefficients = solve(&information, &right, &free(knobs))?;
        Some(Self { knobs, coefficients, information })
    }

    /// ln L at a place.
    pub(crate) fn log_loss(&self, at: [f64; 2]) -> f64 {
        dot(&self.knobs.row(at), &self.coefficients)
    }

    /// Variance of ln L at a place, in units of one point's.
    pub(crate) fn leverage(&self, at: [f64; 2]) -> Option<f64> {
        self.variance(&self.knobs.row(at))
    }

    /// Variance of a quantity with this gradient by the coefficients, in units of one point's.
    pub(crate) fn variance(&self, gradient: &Theta) -> Option<f64> {
        quadratic_inverse(&self.information, gradient, &free(self.knobs))
    }

    /// Where it is lowest; `None` where it does not rise on all sides.
    pub(crate) fn lowest(&self) -> Option<Lowest> {
        match self.knobs {
            Knobs::One => self.lowest_of_one(),
            Knobs::Two => self.lowest_of_two(),
        }
    }

    fn lowest_of_one(&self) -> Option<Lowest> {
        let [_, linear, square, ..] = self.coefficients;
        let at = -0.5 * linear / square;
        let gradient = [0.0, -0.5 / square, -at / square, 0.0, 0.0, 0.0];
        (square > 0.0).then_some(Lowest { at: [at, 0.0], gradients: [gradient, Theta::default()] })
    }

    fn lowest_of_two(&self) -> Option<Lowest> {
        let [_, b1, b2, c1, c12, c2] = self.coefficients;
        let determinant = 4.0 * c1 * c2 - c12 * c12;
        if c1 <= 0.0 || determinant <= 0.0 {
            return None;
        }
        // The inverse of the Hessian [[2 c1, c12], [c12, 2 c2]].
        let inverse = [[2.0 * c2 / determinant, -c12 / determinant], [-c12 / determinant, 2.0 * c1 / determinant]];
        let [x, y] = inverse.map(|row| -(row[0] * b1 + row[1] * b2));
        let gradient = |[p, q]: [f64; 2]| [0.0, -p, -q, -2.0 * x * p, -(y * p + x * q), -2.0 * y * q];
        Some(Lowest { at: [x, y], gradients: inverse.map(gradient) })
    }
}

fn free(knobs: Knobs) -> Vec<usize> {
    (0..knobs.coefficients()).collect()
}

/// Ends of the values about a centre: those in reach, and the nearest on each side in any case. What lies within `same` of
/// the centre is on neither side.
pub(crate) fn window(levels: &[f64], centre: f64, reach: f64, same: f64) -> (f64, f64) {
    let below = levels.iter().copied().filter(|level| *level < centre - same).fold(f64::NEG_INFINITY, f64::max);
    let above = levels.iter().copied().filter(|level| *level > centre + same).fold(f64::INFINITY, f64::min);
    ((centre - reach).min(below), (centre + reach).max(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64, log_loss: f64) -> Point {
        Point { at: [x, y], log_loss, weight: 1.0 }
    }

    #[test]
    fn the_lowest_of_three_points_is_that_of_lagranges_polynomial() {
        // y = 1 + (x − 1.25)² at x = 0, 1, 2. The loss at 1.25 is −0.09375, 0.9375 and 0.15625 times the three, so that its
        // variance is 0.91210938 of one point's.
        let points = [(0.0, 2.5625), (1.0, 1.0625), (2.0, 1.5625)].map(|(x, loss)| point(x, 0.0, loss));
        let found = Parabola::through(Knobs::One, &points).expect("a parabola");
        let at = found.lowest().expect("a lowest point").at;
        assert!((at[0] - 1.25).abs() < 1e-12 && (found.log_loss(at) - 1.0).abs() < 1e-12, "{at:?}");
        assert!((found.leverage(at).expect("told") - 0.912_109_375).abs() < 1e-12);
    }

    #[test]
    fn gradients_of_the_lowest_point_agree_with_finite_differences() {
        for (knobs, coefficients) in
            [(Knobs::One, [1.0, 0.2, 0.7, 0.0, 0.0, 0.0]), (Knobs::Two, [1.0, 0.2, -0.1, 0.7, 0.3, 0.5])]
        {
            let of = |coefficients: Theta| {
                let parabola = Parabola { knobs, coefficients, information: Matrix::default() };
                parabola.lowest().expect("opens upward")
            };
            let found = of(coefficients);
            for i in 0..knobs.coefficients() {
                let [up, down] = [1e-6, -1e-6].map(|step| {
                    let mut moved = coefficients;
                    moved[i] += step;
                    of(moved).at
                });
                for knob in 0..2 {
                    let slope = (up[knob] - down[knob]) / 2e-6;
                    assert!((slope - found.gradients[knob][i]).abs() < 1e-8, "{knobs:?} {i} {knob}");
                }
            }
        }
    }

    #[test]
    fn what_opens_downward_or_is_a_saddle_has_no_lowest_point_and_two_values_no_parabola() {
        let hill = [-1.0, 0.0, 1.0].map(|x| point(x, 0.0, 1.0 - x * x));
        assert!(Parabola::through(Knobs::One, &hill).expect("a parabola").lowest().is_none());
        let grid = [-1.0, 0.0, 1.0].iter().flat_map(|&x| [-1.0, 0.0, 1.0].map(|y| point(x, y, x * x - y * y)));
        let saddle: Vec<Point> = grid.collect();
        assert!(Parabola::through(Knobs::Two, &saddle).expect("a parabola").lowest().is_none());
        assert!(Parabola::through(Knobs::One, &[point(0.0, 0.0, 1.0), point(1.0, 0.0, 2.0)]).is_none());
    }

    #[test]
    fn a_window_holds_what_is_in_reach_and_a_neighbour_on_each_side() {
        let levels = [-3.0, -0.5, 0.0, 0.01, 2.0, 2.5];
        assert_eq!(window(&levels, 0.0, 1.0, 0.02), (-1.0, 2.0));
        assert_eq!(window(&levels, 0.0, 0.0, 0.0), (-0.5, 0.01));
        assert_eq!(window(&levels, 2.5, 0.1, 0.02), (2.0, f64::INFINITY));
    }
}
