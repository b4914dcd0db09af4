//! The vertex of a local parabola through losses by setting.
//!
//! # Formula
//!
//! That of [`crate::parabola`], weighted with the number of runs, over the settings within a factor of 2 of the lowest, its
//! neighbours always among them.
//!
//! # Where it holds
//!
//! Where the lowest setting has neighbours on both sides. Loss against log rate is steeper on the side of divergence, so
//! that a parabola over the whole range is drawn away from the minimum. Where the window has no vertex inside it, which
//! is noise's doing, one twice as wide is tried, and then the lowest setting with its two neighbours; a vertex whose loss
//! is further from the lowest than the settings of the window rise is not taken, and there may be none: neighbours on
//! both sides always have a vertex between them, but one at a far setting puts it where no run was.

use forescale_core::math;

use crate::parabola::{self, COEFFICIENTS, Knobs, Parabola, window};

/// Settings this far from the lowest are used. Chosen here: three settings of the usual factor of 2, five of √2. On a
/// published sweep in steps of √2, twice as wide a window was drawn away by rates on the side of divergence: vertices
/// of two halves of the rates differed by 0.14% where they differ by 0.10%, and by 6% rms where they differ by 0.23%.
const WINDOW: f64 = 2.05;
/// Where these have no vertex for noise, settings this far are.
const WIDER: f64 = 4.05;

/// One setting: its logarithm, mean log loss, and runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) log_loss: f64,
    pub(super) count: f64,
}

/// The lowest point of a parabola.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vertex {
    pub(super) x: f64,
    pub(super) log_loss: f64,
    /// Variance of its log loss, in units of one run's.
    pub(super) leverage: f64,
    /// Settings used.
    pub(super) used: usize,
    /// Weighted squares about the parabola.
    pub(super) squares: f64,
    pub(super) degrees: f64,
}

/// The vertex near the lowest of points with rising x; `None` at an edge or of fewer than three.
pub(super) fn vertex(points: &[Point]) -> Option<Vertex> {
    let lowest = (0..points.len()).min_by(|&a, &b| points[a].log_loss.total_cmp(&points[b].log_loss))?;
    if lowest == 0 || lowest + 1 >= points.len() {
        return None;
    }
    let centre = points[lowest];
    let settings: Vec<f64> = points.iter().map(|point| point.x).collect();
    let within = |factor: f64| {
        let (low, high) = window(&settings, centre.x, math::ln(factor), 0.0);
        &points[settings.partition_point(|x| *x < low)..settings.partition_point(|x| *x <= high)]
    };
    let rise = within(WINDOW).iter().map(|p| p.log_loss - centre.log_loss).fold(0.0, f64::max);
    let is_local = |vertex: &Vertex| (vertex.log_loss - centre.log_loss).abs() <= rise;
    let local = |factor: f64| vertex_inside(within(factor), centre.x).filter(is_local);
    let neighbours = || vertex_inside(&points[lowest - 1..lowest + 2], centre.x).filter(is_local);
    local(WINDOW).or_else(|| local(WIDER)).or_else(neighbours)
}

fn vertex_inside(points: &[Point], centre: f64) -> Option<Vertex> {
    let about = |p: &Point| parabola::Point { at: [p.x - centre, 0.0], log_loss: p.log_loss, weight: p.count };
    let about: Vec<parabola::Point> = points.iter().map(about).collect();
    let parabola = Parabola::through(Knobs::One, &about)?;
    let at = parabola.lowest()?.at;
    let x = centre + at[0];
    if x < points[0].x || x > points[points.len() - 1].x {
        return None;
    }
    let residual = |p: &parabola::Point| p.log_loss - parabola.log_loss(p.at);
    let square = |p: &parabola::Point| p.weight * residual(p) * residual(p);
    Some(Vertex {
        x,
        log_loss: parabola.log_loss(at),
        leverage: parabola.leverage(at)?,
        used: points.len(),
        squares: about.iter().map(square).sum(),
        degrees: (points.len() - COEFFICIENTS) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(losses: &[f64]) -> Vec<Point> {
        losses.iter().enumerate().map(|(i, &log_loss)| Point { x: i as f64, log_loss, count: 1.0 }).collect()
    }

    #[test]
    fn a_vertex_worked_by_hand() {
        // y = 1 + (x − 1.25)² at x = 0, 1, 2: lowest at 1, vertex (1.25, 1). With three points the loss at u = 0.25 is
        // −0.09375, 0.9375 and 0.15625 times them (Lagrange), so that the leverage is 0.91210938.
        let found = vertex(&points(&[2.5625, 1.0625, 1.5625])).expect("a vertex");
        assert!((found.x - 1.25).abs() < 1e-12 && (found.log_loss - 1.0).abs() < 1e-12);
        assert!((found.leverage - 0.912_109_375).abs() < 1e-12, "{found:?}");
        assert_eq!((found.used, found.degrees.to_bits()), (3, 0.0_f64.to_bits()));
    }

    #[test]
    fn an_edge_and_a_pair_have_no_vertex() {
        assert_eq!(vertex(&points(&[3.0, 2.0, 1.0])), None);
        assert_eq!(vertex(&points(&[1.0, 2.0, 3.0])), None);
        assert_eq!(vertex(&points(&[2.0, 1.0])), None);
        assert_eq!(vertex(&[]), None);
    }

    #[test]
    fn a_neighbour_a_hundred_decades_away_makes_no_vertex_far_below_every_run() {
        // Tables 4720, 5364, 6038 and 7711 of the fuzz: through a rate of 1e-300 the parabola is lowest halfway there, at a
        // loss of zero. The gap is no neighbourhood, and nothing stands for it.
        let at = |x, log_loss| Point { x, log_loss, count: 1.0 };
        assert_eq!(vertex(&[at(-690.0, 0.7), at(-8.0, 0.1), at(-7.3, 1.3)]), None);
    }

    #[test]
    fn what_happens_far_from_the_lowest_moves_nothing() {
        let near = vertex(&points(&[2.5625, 1.0625, 1.5625])).expect("a vertex");
        let far = vertex(&points(&[2.5625, 1.0625, 1.5625, 900.0])).expect("a vertex");
        assert_eq!(near, far);
    }
}
