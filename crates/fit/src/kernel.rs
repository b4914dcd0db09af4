//! The objective of a law of falling terms, added or joined, and its derivatives, eight observations at a time.
//!
//! A fit is some thousand passes over the observations, so that a pass is what its time is made of. Here observations lie
//! in columns, a pass goes over them in tiles that stay in the nearest cache, and each sum is eight partial sums, one for
//! every eighth observation, added up in one fixed order at the end. A wider instruction set works out more lanes at once
//! and never another sum: results are the same to the bit under SSE2, AVX2, AVX-512 and NEON, and on any number of
//! threads. The instruction set is picked when the program runs (`pulp`), so that one binary serves all.
//!
//! It knows no law: [`forescale_core::law::LawForm::falling_terms`] says where amplitudes, exponents and floor stand, and
//! [`forescale_core::law::LawForm::joined_terms`] the same where two terms are joined and not added. What is different
//! between the two stands in [`shape`]. Laws of another form are evaluated one observation at a time by [`crate::problem`].

mod shape;
#[cfg(test)]
mod tests;

use core::marker::PhantomData;

use forescale_core::law::{FallingTerms, LawForm, Theta};
use forescale_core::math::lanes::{self, LANES, Lanes};

use crate::linear::Matrix;
use crate::objective::Cost;
use crate::problem::{Sample, System};
use shape::{Joint, Shape, Sum};

/// Observations of one tile. Chosen here: twelve columns of it are 6 KB, and the fourteen more of a joint term 7 KB, well
/// inside the nearest cache.
const TILE: usize = 64;
/// Parameters of the widest law: two amplitudes, two exponents, what joins them, a floor.
const WIDEST: usize = 6;
/// Entries of its lower triangle.
const TRIANGLE: usize = WIDEST * (WIDEST + 1) / 2;

type Column = [f64; TILE];

/// Observations as columns, padded to whole blocks by observations of no weight.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    arch: pulp::Arch,
    parts: FallingTerms,
    /// Where θ has what joins the terms, where they are joined.
    kappa: Option<usize>,
    /// What each term falls in.
    x: [Vec<f64>; 2],
    log_loss: Vec<f64>,
    weight: Vec<f64>,
}

/// θ in the kernel's own order: logarithms of amplitudes, exponents, what joins the terms, floor.
#[derive(Clone, Copy)]
struct Local {
    log_amplitude: [f64; 2],
    exponent: [f64; 2],
    kappa: f64,
    floor: f64,
}

/// What one tile's observations come to.
struct Tile {
    /// ∂ ln L/∂θ in the kernel's own order.
    gradient: [Column; WIDEST],
    loss: Column,
    residual: Column,
    value: Column,
    slope: Column,
    /// w(ρ″ − ψ): what multiplies ggᵀ in the Hessian.
    bend: Column,
    irls: Column,
}

impl Tile {
    const EMPTY: Self = Self {
        gradient: [[0.0; TILE]; WIDEST],
        loss: [0.0; TILE],
        residual: [0.0; TILE],
        value: [0.0; TILE],
        slope: [0.0; TILE],
        bend: [0.0; TILE],
        irls: [0.0; TILE],
    };
}

/// Sums over observations, each as eight partial ones.
struct Sums {
    value: Lanes,
    slope_square: Lanes,
    gradient: [Lanes; WIDEST],
    sensitivity: [Lanes; WIDEST],
    /// Σ wψ x² s for each term's share s: what its exponent's own second derivative adds to the Hessian.
    exponent_bend: [Lanes; 2],
    newton: [Lanes; TRIANGLE],
    /// Diagonal of Σ w (ψ/r) ggᵀ.
    majorizer: [Lanes; WIDEST],
}

impl Sums {
    const ZERO: Self = Self {
        value: [0.0; LANES],
        slope_square: [0.0; LANES],
        gradient: [[0.0; LANES]; WIDEST],
        sensitivity: [[0.0; LANES]; WIDEST],
        exponent_bend: [[0.0; LANES]; 2],
        newton: [[0.0; LANES]; TRIANGLE],
        majorizer: [[0.0; LANES]; WIDEST],
    };
}

impl Columns {
    /// The samples as columns, for a law of falling terms.
    pub(crate) fn of(form: &dyn LawForm, samples: &[Sample]) -> Option<Self> {
        let joined = form.joined_terms();
        let parts = form.falling_terms().or_else(|| joined.map(|joined| joined.parts))?;
        Some(Self::new(parts, joined.map(|joined| joined.kappa), samples))
    }

    fn new(parts: FallingTerms, kappa: Option<usize>, samples: &[Sample]) -> Self {
        let padded = samples.len().next_multiple_of(LANES);
        let column = |of: &dyn Fn(&Sample) -> f64| -> Vec<f64> {
            let mut column: Vec<f64> = samples.iter().map(of).collect();
            column.resize(padded, 0.0);
            column
        };
        let falls_in = |index: usize| match parts.terms.get(index) {
            Some(term) => column(&|s: &Sample| term.coordinate.of(&s.at)),
            None => vec![0.0; padded],
        };
        Self {
            arch: pulp::Arch::new(),
            parts,
            kappa,
            x: [falls_in(0), falls_in(1)],
            log_loss: column(&|s| s.log_loss),
            weight: column(&|s| s.weight),
        }
    }

    /// The objective and its derivatives at θ; `None` where the objective is above a limit, which is often known long
    /// before the last observation, for no observation adds less than nothing.
    pub(crate) fn system_within(&self, theta: &Theta, cost: Cost, limit: f64) -> Option<System> {
        let local = self.local(theta);
        let mut sums = Sums::ZERO;
        let pass = (self, local, cost, limit);
        let is_within = match (self.kappa, self.parts.terms.len(), self.parts.floor.is_some()) {
            (Some(_), ..) => self.arch.dispatch(Pass::<Joint>::new(pass, &mut sums)),
            (_, 1, false) => self.arch.dispatch(Pass::<Sum<1, false>>::new(pass, &mut sums)),
            (_, 1, true) => self.arch.dispatch(Pass::<Sum<1, true>>::new(pass, &mut sums)),
            (_, _, false) => self.arch.dispatch(Pass::<Sum<2, false>>::new(pass, &mut sums)),
            (_, _, true) => self.arch.dispatch(Pass::<Sum<2, true>>::new(pass, &mut sums)),
        };
        is_within.then(|| self.collect(&sums))
    }

    /// Σ w (ψ/r) ggᵀ at θ.
    pub(crate) fn gauss_newton(&self, theta: &Theta, cost: Cost) -> Matrix {
        let (local, mut sums) = (self.local(theta), [[0.0; LANES]; TRIANGLE]);
        let pass = (self, local, cost);
        match (self.kappa, self.parts.terms.len(), self.parts.floor.is_some()) {
            (Some(_), ..) => self.arch.dispatch(Majorize::<Joint>::new(pass, &mut sums)),
            (_, 1, false) => self.arch.dispatch(Majorize::<Sum<1, false>>::new(pass, &mut sums)),
            (_, 1, true) => self.arch.dispatch(Majorize::<Sum<1, true>>::new(pass, &mut sums)),
            (_, _, false) => self.arch.dispatch(Majorize::<Sum<2, false>>::new(pass, &mut sums)),
            (_, _, true) => self.arch.dispatch(Majorize::<Sum<2, true>>::new(pass, &mut sums)),
        }
        let (place, count) = self.places();
        let mut matrix = Matrix::default();
        for (i, &row) in place[..count].iter().enumerate() {
            for (j, &column) in place[..=i].iter().enumerate() {
                put(&mut matrix, (row, column), lanes::sum(&sums[triangle(i, j)]));
            }
        }
        matrix
    }

    /// Where θ has the kernel's own coordinates, and how many there are.
    fn places(&self) -> ([usize; WIDEST], usize) {
        let terms = self.parts.terms;
        let own = terms.iter().map(|term| term.amplitude).chain(terms.iter().map(|term| term.exponent));
        let (mut places, mut count) = ([0; WIDEST], 0);
        for place in own.chain(self.kappa).chain(self.parts.floor) {
            places[count] = place;
            count += 1;
        }
        (places, count)
    }

    fn local(&self, theta: &Theta) -> Local {
        let entry = |of: fn(&forescale_core::law::FallingTerm) -> usize, index: usize| {
            self.parts.terms.get(index).map_or(0.0, |term| theta[of(term)])
        };
        Local {
            log_amplitude: [0, 1].map(|i| entry(|t| t.amplitude, i)),
            exponent: [0, 1].map(|i| entry(|t| t.exponent, i)),
            kappa: self.kappa.map_or(1.0, |index| theta[index]),
            floor: self.parts.floor.map_or(0.0, |index| theta[index]),
        }
    }

    /// Sums added up and put where θ has them.
    fn collect(&self, sums: &Sums) -> System {
        let (terms, (place, count)) = (self.parts.terms, self.places());
        let mut system = System {
            value: lanes::sum(&sums.value),
            slope_square: lanes::sum(&sums.slope_square),
            ..System::default()
        };
        for (i, &row) in place[..count].iter().enumerate() {
            system.gradient[row] = lanes::sum(&sums.gradient[i]);
            system.sensitivity[row] = lanes::sum(&sums.sensitivity[i]);
            system.majorizer[row] = lanes::sum(&sums.majorizer[i]);
            for (j, &column) in place[..=i].iter().enumerate() {
                put(&mut system.newton, (row, column), lanes::sum(&sums.newton[triangle(i, j)]));
            }
        }
        if self.kappa.is_some() {
            return system;
        }
        // Σ wψ ∇²f beyond -ggᵀ: a share's own derivatives, of which those by the amplitude are the gradient itself.
        for (term, bend) in terms.iter().zip(&sums.exponent_bend) {
            let (a, e) = (term.amplitude, term.exponent);
            system.newton[a][a] += system.gradient[a];
            let mixed = system.newton[a][e] + system.gradient[e];
            put(&mut system.newton, (a, e), mixed);
            system.newton[e][e] += lanes::sum(bend);
        }
        system
    }
}

/// One pass over the columns. A type and not a closure: only a method can be made to be compiled into each instruction
/// set's own copy.
struct Pass<'a, S> {
    columns: &'a Columns,
    local: Local,
    cost: Cost,
    limit: f64,
    sums: &'a mut Sums,
    shape: PhantomData<S>,
}

impl<'a, S: Shape> Pass<'a, S> {
    fn new((columns, local, cost, limit): (&'a Columns, Local, Cost, f64), sums: &'a mut Sums) -> Self {
        Self { columns, local, cost, limit, sums, shape: PhantomData }
    }
}

impl<S: Shape> pulp::NullaryFnOnce for Pass<'_, S> {
    /// Whether the objective is within the limit; sums are of no use where it is not.
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let (mut tile, mut curves) = (Tile::EMPTY, S::NO_CURVES);
        for start in (0..self.columns.weight.len()).step_by(TILE) {
            let (x, weight) = fill::<S>((self.columns, &self.local, self.cost), start, (&mut tile, &mut curves));
            add_values(weight.len(), &tile, &mut self.sums.value);
            if lanes::sum(&self.sums.value) > self.limit {
                return false;
            }
            add::<S>(weight, &tile, self.sums);
            S::add_curvature(x, (&tile, &curves), self.sums);
        }
        true
    }
}

/// One pass for the Gauss–Newton matrix alone.
struct Majorize<'a, S> {
    columns: &'a Columns,
    local: Local,
    cost: Cost,
    sums: &'a mut [Lanes; TRIANGLE],
    shape: PhantomData<S>,
}

impl<'a, S: Shape> Majorize<'a, S> {
    fn new((columns, local, cost): (&'a Columns, Local, Cost), sums: &'a mut [Lanes; TRIANGLE]) -> Self {
        Self { columns, local, cost, sums, shape: PhantomData }
    }
}

impl<S: Shape> pulp::NullaryFnOnce for Majorize<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (mut tile, mut curves) = (Tile::EMPTY, S::NO_CURVES);
        for start in (0..self.columns.weight.len()).step_by(TILE) {
            let (_, weight) = fill::<S>((self.columns, &self.local, self.cost), start, (&mut tile, &mut curves));
            majorize_row::<0>(weight.len(), &tile, self.sums);
            majorize_row::<1>(weight.len(), &tile, self.sums);
            if S::ROWS > 2 {
                majorize_row::<2>(weight.len(), &tile, self.sums);
            }
            if S::ROWS > 3 {
                majorize_row::<3>(weight.len(), &tile, self.sums);
            }
            if S::ROWS > 4 {
                majorize_row::<4>(weight.len(), &tile, self.sums);
            }
            if S::ROWS > 5 {
                majorize_row::<5>(weight.len(), &tile, self.sums);
            }
        }
    }
}

/// Adds one row of a tile's Gauss–Newton matrix, whose sums stay in registers over all blocks.
#[inline(always)]
fn majorize_row<const ROW: usize>(count: usize, tile: &Tile, sums: &mut [Lanes; TRIANGLE]) {
    let first = triangle(ROW, 0);
    let mut row = [[0.0; LANES]; WIDEST];
    row[..=ROW].copy_from_slice(&sums[first..=first + ROW]);
    for block in 0..count.min(TILE) / LANES {
        let pulled = product(block_of(&tile.irls, block), block_of(&tile.gradient[ROW], block));
        for (sum, other) in row[..=ROW].iter_mut().zip(&tile.gradient) {
            add_product(sum, &pulled, block_of(other, block));
        }
    }
    sums[first..=first + ROW].copy_from_slice(&row[..=ROW]);
}

/// Where row i and column j ≤ i of a lower triangle stand.
const fn triangle(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

fn put(matrix: &mut Matrix, (i, j): (usize, usize), value: f64) {
    matrix[i][j] = value;
    matrix[j][i] = value;
}

/// Works out a tile's observations from one on; what they fall in and their weights.
#[inline(always)]
fn fill<'a, S: Shape>(
    (columns, local, cost): (&'a Columns, &Local, Cost),
    start: usize,
    (tile, curves): (&mut Tile, &mut S::Curves),
) -> ([&'a [f64]; 2], &'a [f64]) {
    let Columns { x, log_loss, weight, .. } = columns;
    let end = (start + TILE).min(weight.len());
    let (x, weight) = ([&x[0][start..end], &x[1][start..end]], &weight[start..end]);
    S::predict(local, x, &log_loss[start..end], (tile, curves));
    charge_by(cost, weight, tile);
    (x, weight)
}

/// What each residual costs under whichever cost.
#[inline(always)]
fn charge_by(cost: Cost, weight: &[f64], tile: &mut Tile) {
    if cost.on_loss() {
        charge_on_loss(cost, weight, tile);
    } else {
        charge(cost, weight, tile);
    }
}

/// What each residual costs: as [`Cost`] says, without its branches.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "one index for columns read and written")]
fn charge(cost: Cost, weight: &[f64], tile: &mut Tile) {
    let count = weight.len().min(TILE);
    let (weight, delta, [below, above]) = (&weight[..count], cost.delta(), cost.sides());
    for i in 0..count {
        let r = tile.residual[i];
        let size = r.abs();
        let w = weight[i] * if r > 0.0 { above } else { below };
        let square = size <= delta;
        let value = if square { 0.5 * size * size } else { delta * (size - 0.5 * delta) };
        let slope = if square { r } else { delta.copysign(r) };
        tile.value[i] = w * value;
        tile.slope[i] = w * slope;
        tile.bend[i] = w * (if square { 1.0 } else { 0.0 } - slope);
        tile.irls[i] = w * if square { 1.0 } else { delta / size };
    }
}

/// The same for a square of the loss.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "one index for columns read and written")]
fn charge_on_loss(cost: Cost, weight: &[f64], tile: &mut Tile) {
    let count = weight.len().min(TILE);
    let (weight, [factor, _]) = (&weight[..count], cost.sides());
    for i in 0..count {
        let w = weight[i] * factor;
        let ratio = lanes::exp_lane(tile.residual[i]);
        let excess = ratio - 1.0;
        tile.value[i] = 0.5 * w * excess * excess;
        tile.slope[i] = w * excess * ratio;
        tile.bend[i] = w * ratio * (2.0 * ratio - 1.0) - tile.slope[i];
        tile.irls[i] = w * ratio * ratio;
    }
}

/// Adds what a tile's observations cost.
#[inline(always)]
fn add_values(count: usize, tile: &Tile, value: &mut Lanes) {
    for block in 0..count.min(TILE) / LANES {
        add_product(value, block_of(&tile.value, block), &[1.0; LANES]);
    }
}

/// Adds a tile's derivatives to the sums: row by row of the matrices, so that one row's sums stay in registers over all blocks.
#[inline(always)]
fn add<S: Shape>(weight: &[f64], tile: &Tile, sums: &mut Sums) {
    let (weight, _) = weight.as_chunks::<LANES>();
    for block in 0..weight.len() {
        let slope = block_of(&tile.slope, block);
        add_product(&mut sums.slope_square, slope, slope);
    }
    add_row::<0>(weight, tile, sums);
    add_row::<1>(weight, tile, sums);
    if S::ROWS > 2 {
        add_row::<2>(weight, tile, sums);
    }
    if S::ROWS > 3 {
        add_row::<3>(weight, tile, sums);
    }
    if S::ROWS > 4 {
        add_row::<4>(weight, tile, sums);
    }
    if S::ROWS > 5 {
        add_row::<5>(weight, tile, sums);
    }
}

#[inline(always)]
fn add_row<const ROW: usize>(weight: &[Lanes], tile: &Tile, sums: &mut Sums) {
    let first = triangle(ROW, 0);
    let (mut gradient, mut sensitivity) = (sums.gradient[ROW], sums.sensitivity[ROW]);
    let (mut newton, mut majorizer) = ([[0.0; LANES]; WIDEST], sums.majorizer[ROW]);
    newton[..=ROW].copy_from_slice(&sums.newton[first..=first + ROW]);
    for (block, weight) in weight.iter().enumerate().take(TILE / LANES) {
        let own = block_of(&tile.gradient[ROW], block);
        let [slope, bend, irls] = [&tile.slope, &tile.bend, &tile.irls].map(|column| block_of(column, block));
        let bent = product(bend, own);
        add_product(&mut gradient, slope, own);
        add_product(&mut sensitivity, &product(weight, own), own);
        add_product(&mut majorizer, &product(irls, own), own);
        for (sum, other) in newton[..=ROW].iter_mut().zip(&tile.gradient) {
            add_product(sum, &bent, block_of(other, block));
        }
    }
    (sums.gradient[ROW], sums.sensitivity[ROW], sums.majorizer[ROW]) = (gradient, sensitivity, majorizer);
    sums.newton[first..=first + ROW].copy_from_slice(&newton[..=ROW]);
}

#[inline(always)]
fn block_of(column: &Column, block: usize) -> &Lanes {
    &column.as_chunks::<LANES>().0[block]
}

#[inline(always)]
fn product(a: &Lanes, b: &Lanes) -> Lanes {
    let mut c = [0.0; LANES];
    for lane in 0..LANES {
        c[lane] = a[lane] * b[lane];
    }
    c
}

#[inline(always)]
fn add_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] += a[lane] * b[lane];
    }
}

#[inline(always)]
fn subtract_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] -= a[lane] * b[lane];
    }
}
