//! The few pieces of dense linear algebra a law with five parameters needs.

use forescale_core::law::{MAX_PARAMETERS, Theta};

/// A square matrix over θ; rows and columns past a law's own count are zero.
pub(crate) type Matrix = [Theta; MAX_PARAMETERS];

/// Solves M x = v over the coordinates in `free` by Cholesky; others are zero. `None` unless M is positive definite.
pub(crate) fn solve(matrix: &Matrix, vector: &Theta, free: &[usize]) -> Option<Theta> {
    let lower = cholesky(matrix, free)?;
    let mut x = Theta::default();
    for (i, &row) in free.iter().enumerate() {
        let known: f64 = (0..i).map(|j| lower[i][j] * x[j]).sum();
        x[i] = (vector[row] - known) / lower[i][i];
    }
    for i in (0..free.len()).rev() {
        let known: f64 = (i + 1..free.len()).map(|j| lower[j][i] * x[j]).sum();
        x[i] = (x[i] - known) / lower[i][i];
    }
    let mut spread = Theta::default();
    for (i, &row) in free.iter().enumerate() {
        spread[row] = x[i];
    }
    spread.iter().all(|v| v.is_finite()).then_some(spread)
}

fn cholesky(matrix: &Matrix, free: &[usize]) -> Option<Matrix> {
    let mut lower = Matrix::default();
    for (i, &row) in free.iter().enumerate() {
        for (j, &column) in free.iter().enumerate().take(i + 1) {
            let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = matrix[row][column] - known;
            if i != j {
                lower[i][j] = rest / lower[j][j];
            } else if rest > 1e-14 * matrix[row][row].abs() && rest > 0.0 {
                lower[i][i] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(lower)
}

/// vᵀ M⁻¹ v over the free coordinates.
pub(crate) fn quadratic_inverse(matrix: &Matrix, vector: &Theta, free: &[usize]) -> Option<f64> {
    let solution = solve(matrix, vector, free)?;
    Some(dot(vector, &solution))
}

/// The inverse over the coordinates in `free`, zero elsewhere; `None` unless positive definite.
pub(crate) fn inverse(matrix: &Matrix, free: &[usize]) -> Option<Matrix> {
    let mut inverse = Matrix::default();
    for &i in free {
        let mut unit = Theta::default();
        unit[i] = 1.0;
        inverse[i] = solve(matrix, &unit, free)?;
    }
    Some(inverse)
}

/// Inner product.
pub(crate) fn dot(a: &Theta, b: &Theta) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Adds factor · v vᵀ.
pub(crate) fn add_outer(matrix: &mut Matrix, vector: &Theta, factor: f64) {
    for (row, vi) in matrix.iter_mut().zip(vector) {
        row.iter_mut().zip(vector).for_each(|(entry, vj)| *entry += factor * vi * vj);
    }
}

/// Condition number of a matrix scaled to a unit diagonal over the free coordinates.
pub(crate) fn scaled_condition(matrix: &Matrix, free: &[usize]) -> Option<f64> {
    if free.is_empty() || free.iter().any(|&i| matrix[i][i] <= 0.0) {
        return None;
    }
    let mut scaled = Matrix::default();
    for (i, &row) in free.iter().enumerate() {
        for (j, &column) in free.iter().enumerate() {
            scaled[i][j] = matrix[row][column] / (matrix[row][row] * matrix[column][column]).sqrt();
        }
    }
    let values = eigenvalues(scaled, free.len());
    let (low, high) = values.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
    (low > 0.0).then(|| high / low)
}

/// Eigenvalues of a symmetric matrix by cyclic Jacobi rotations.
fn eigenvalues(mut m: Matrix, count: usize) -> Vec<f64> {
    for _ in 0..40 {
        for p in 0..count {
            for q in p + 1..count {
                rotate(&mut m, p, q, count);
            }
        }
    }
    (0..count).map(|i| m[i][i]).collect()
}

fn rotate(m: &mut Matrix, p: usize, q: usize, count: usize) {
    if m[p][q].abs() < 1e-300 {
        return;
    }
    let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in m.iter_mut().take(count) {
        let (a, b) = (row[p], row[q]);
        row[p] = c * a - s * b;
        row[q] = s * a + c * b;
    }
    let (upper, lower) = m.split_at_mut(q);
    for (a, b) in upper[p].iter_mut().zip(&mut lower[0]).take(count) {
        (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forescale_core::law::padded;

    fn hilbert() -> Matrix {
        let mut m = Matrix::default();
        for (i, row) in m.iter_mut().enumerate().take(3) {
            for (j, entry) in row.iter_mut().enumerate().take(3) {
                *entry = 1.0 / (i + j + 1) as f64;
            }
        }
        m
    }

    #[test]
    fn solves_the_hilbert_matrix_whose_inverse_is_known() {
        // The first column of the inverse of the 3 x 3 Hilbert matrix is (9, -36, 30).
        let x = solve(&hilbert(), &padded([1.0]), &[0, 1, 2]).expect("positive definite");
        for (value, expected) in x.iter().zip([9.0, -36.0, 30.0]) {
            assert!((value - expected).abs() < 1e-10, "{value}");
        }
    }

    #[test]
    fn refuses_a_singular_matrix() {
        let mut m = Matrix::default();
        (m[0][0], m[0][1], m[1][0], m[1][1]) = (1.0, 1.0, 1.0, 1.0);
        assert_eq!(solve(&m, &[1.0; MAX_PARAMETERS], &[0, 1]), None);
    }

    #[test]
    fn the_condition_of_two_correlated_columns_is_known() {
        // Unit diagonal and correlation r have eigenvalues 1 + r and 1 - r; scaling is taken out first.
        let mut m = Matrix::default();
        (m[0][0], m[0][1], m[1][0], m[1][1]) = (4.0, 2.0 * 3.0 * 0.8, 2.0 * 3.0 * 0.8, 9.0);
        let condition = scaled_condition(&m, &[0, 1]).expect("positive definite");
        assert!((condition - 9.0).abs() < 1e-12, "{condition}");
    }
}
