//! (L − E)/(L0 − L)^a = B·C^−c with L0 measured: a curve that is told where learning starts.

use super::m4::{self, WITHOUT_START};
use super::{Centre, Domain, LawForm, Needs, Parameter, Position, Response, Sample, Theta};
use crate::math;

/// The S of M4 from a start level that was measured instead of fitted.
///
/// # Formula
///
/// (L − E)/(L0 − L)^a = B·C^−c, with 0 ≤ E < L < L0 (losses), a in [0.02, 4], B > 0 (loss^{1−a} × FLOP^c), c > 0, C in
/// FLOPs, and L0 given: the loss of the best guess without context, which is the entropy of the corpus's single tokens.
///
/// Internally θ = (b, c, a, E), as M4's without ln L0.
///
/// # Where it holds
///
/// Where M4 does, when L0 is known in the unit of the losses. An untrained model is worse than L0 (ln V), and gets there in
/// its first few hundred steps: the law is about what comes after.
///
/// # Identifiability
///
/// Six points over a decade or more: with four rungs it errs by 12 to 38%. One parameter fewer than M4, and the one that
/// data far below L0 cannot tell. All losses must lie below L0.
///
/// # Known values
///
/// On a ladder of tiny models on source code, one rung ahead of rungs up to a tenth and a thirtieth of it: −0.8 and −2.5%
/// with L0 the unigram entropy of 3.38, where a power law with a floor errs by −6.3 and −6.4%.
///
/// # Reference
///
/// Alabdulmohsin, Neyshabur and Zhai, 2022, *Revisiting neural scaling laws in language and vision*, arXiv:2209.06640,
/// where ε0 may be fixed likewise.
pub struct M4Pinned;

/// Coordinate of ln L0 in M4.
const START: usize = 4;

/// θ of M4; NaN where the level is not known, which a fit asks for first.
fn whole(theta: &Theta, log_start: Option<f64>) -> Theta {
    let mut whole = *theta;
    whole[START] = log_start.unwrap_or(f64::NAN);
    whole
}

impl LawForm for M4Pinned {
    fn name(&self) -> &'static str {
        "m4_pinned"
    }

    fn formula(&self) -> &'static str {
        "(L - E)/(L0 - L)^a = B·C^-c, L0 measured"
    }

    fn domain(&self) -> Domain {
        Domain::Compute
    }

    fn parameters(&self) -> &'static [Parameter] {
        &WITHOUT_START
    }

    fn needs(&self) -> Needs {
        Needs {
            observations: 6,
            budgets: 5,
            decades: 1.0,
            start_level: true,
            ..Needs::of(Domain::Compute, WITHOUT_START.len())
        }
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        m4::log_loss(&whole(theta, at.log_start), at)
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        let mut response = m4::response(&whole(theta, at.log_start), at);
        response.gradient[START] = 0.0;
        response.hessian[START] = Theta::default();
        response.hessian.iter_mut().for_each(|row| row[START] = 0.0);
        response
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        let (value, mut gradient) = m4::published(index, &whole(theta, centre.log_start), centre);
        gradient[START] = 0.0;
        (value, gradient)
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let mut theta = m4::internal(&whole(natural, centre.log_start.map(math::exp)), centre);
        theta[START] = 0.0;
        theta
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let level = samples.first().and_then(|sample| sample.at.log_start);
        let mut starts = m4::starts(samples, &level.map(math::exp).into_iter().collect::<Vec<_>>());
        starts.iter_mut().for_each(|theta| theta[START] = 0.0);
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::m4::M4;

    #[test]
    fn it_is_m4_at_the_level_given() {
        let log_start = math::ln(3.38);
        let at = Position { log_flops: 1.7, log_start: Some(log_start), ..Position::default() };
        let [pinned, free] = [[0.2, 0.3, 0.55, 0.62, 0.0, 0.0], [0.2, 0.3, 0.55, 0.62, log_start, 0.0]];
        assert_eq!(M4Pinned.log_loss(&pinned, &at).to_bits(), M4.log_loss(&free, &at).to_bits());
    }

    #[test]
    fn without_a_level_there_is_no_loss_and_no_start() {
        let at = Position::default();
        assert!(M4Pinned.log_loss(&[0.2, 0.3, 0.55, 0.62, 0.0, 0.0], &at).is_nan());
        assert!(M4Pinned.starts(&[Sample { at, log_loss: 0.0, weight: 1.0 }]).is_empty());
        assert!(M4Pinned.needs().start_level);
    }
}
