//! When a run is measured, and the measuring: forward passes over the windows of its evaluation set.
//!
//! On the way only a part of the windows is measured, so that a curve costs little; at the end all of them are. The
//! curve is the mean over the part from its first point to its last, so that its points can be compared with each
//! other; the metric is the mean over all.

use candle_core::Result;
use forescale_core::run::RunConfig;

use crate::card::OnCard;
use crate::data::{Batch, TokenFile};
use crate::error::TrainError;
use crate::evaluate::{self, MeanLoss, Window, eval_set_digest, mean_loss};
use crate::kernels::cross_entropy::window_losses;
use crate::kernels::tape::Tape;
use crate::model::{Inputs, Model};
use crate::shard::Workers;

/// Tokens evaluated in one piece; fixed, so that results do not depend on threads. Chosen here: the activations of so
/// many tokens stay in a core's cache at the widths of a ladder, and there are pieces enough for several threads.
const PIECE_TOKENS: usize = 512;

/// Whether a step is one of the curve's: `curve_points` at equal distances over the run, or over its cooldown where it
/// is a branch, and the last step.
pub(crate) fn is_curve_step(config: &RunConfig, step: u64) -> bool {
    let parts = u64::from(config.evaluation.curve_points) + 1;
    let first = if config.branch { config.branch_step() } else { 0 };
    let length = config.steps - first;
    step > first && (1..=parts).any(|part| first + part * length / parts == step)
}

/// The evaluation set, read once.
pub(crate) struct Exam {
    digest: String,
    windows: Vec<Window>,
    /// Windows measured on the way, by their place among all.
    part: Vec<usize>,
    pieces: Vec<Piece>,
    part_pieces: Vec<Piece>,
    context: usize,
}

struct Piece {
    inputs: Inputs,
    targets: Vec<u32>,
}

/// What an evaluation says.
pub(crate) struct Evaluated {
    /// Mean loss over the part that is measured on the way, nats per token.
    pub(crate) part: f64,
    /// The loss over all windows; at the end of the run alone.
    pub(crate) all: Option<MeanLoss>,
}

impl Evaluated {
    pub(crate) fn is_finite(&self) -> bool {
        self.part.is_finite() && self.all.is_none_or(|all| all.mean.is_finite())
    }
}

impl Exam {
    pub(crate) fn new(config: &RunConfig, tokens: &TokenFile) -> std::result::Result<Self, TrainError> {
        let windows = evaluate::windows(config, tokens.manifest())?;
        let context = config.shape.context as usize;
        let part = part(config, windows.len());
        let chosen: Vec<Window> = part.iter().map(|index| windows[*index]).collect();
        let pieces = |windows: &[Window]| -> std::result::Result<Vec<Piece>, TrainError> {
            windows.chunks((PIECE_TOKENS / context).max(1)).map(|of_piece| piece(of_piece, context, tokens)).collect()
        };
        let (pieces, part_pieces) = (pieces(&windows)?, pieces(&chosen)?);
        Ok(Self { digest: eval_set_digest(config, tokens.manifest()), windows, part, pieces, part_pieces, context })
    }

    /// Digest of the whole set.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The loss over the part.
    pub(crate) fn on_the_way(&self, model: &Model, workers: &Workers) -> Result<Evaluated> {
        Ok(self.over_part(&self.window_sums(&self.part_pieces, model, workers)?))
    }

    /// The losses over all windows and over the part.
    pub(crate) fn at_the_end(&self, model: &Model, workers: &Workers) -> Result<Evaluated> {
        Ok(self.over_all(&self.window_sums(&self.pieces, model, workers)?))
    }

    /// The same on a card: the losses over all windows at the end, over the part on the way.
    pub(crate) fn on_card(&self, card: &mut OnCard, last: bool) -> std::result::Result<Evaluated, TrainError> {
        let pieces = if last { &self.pieces } else { &self.part_pieces };
        let inputs: Vec<u32> = pieces.iter().flat_map(|piece| piece.inputs.tokens.iter().copied()).collect();
        let targets: Vec<u32> = pieces.iter().flat_map(|piece| piece.targets.iter().copied()).collect();
        let losses = card.losses(&inputs, &targets)?;
        let window = |losses: &[f32]| losses.iter().copied().map(f64::from).sum::<f64>();
        let sums: Vec<f64> = losses.chunks_exact(self.context).map(window).collect();
        Ok(if last { self.over_all(&sums) } else { self.over_part(&sums) })
    }

    fn over_part(&self, sums: &[f64]) -> Evaluated {
        Evaluated { part: self.part_mean(sums.iter().sum()), all: None }
    }

    fn over_all(&self, sums: &[f64]) -> Evaluated {
        let part = self.part_mean(self.part.iter().map(|index| sums[*index]).sum());
        Evaluated { part, all: Some(mean_loss(&self.windows, sums, self.context as u64)) }
    }

    fn part_mean(&self, sum: f64) -> f64 {
        sum / (self.part.len() * self.context) as f64
    }

    fn window_sums(&self, pieces: &[Piece], model: &Model, workers: &Workers) -> Result<Vec<f64>> {
        let of_piece = |piece: &Piece| {
            let logits = model.family.logits(&Tape::forward_only(), &piece.inputs)?;
            window_losses(&logits, &piece.targets, self.context)
        };
        Ok(workers.map(pieces, of_piece).into_iter().collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Places of the windows measured on the way: `curve_tokens` of them, spread evenly; all where it is 0 or no less than
/// the whole set.
fn part(config: &RunConfig, windows: usize) -> Vec<usize> {
    let wanted = (config.evaluation.curve_tokens / u64::from(config.shape.context)) as usize;
    let count = if wanted == 0 { windows } else { wanted.min(windows) };
    (0..count).map(|index| index * windows / count).collect()
}

fn piece(windows: &[Window], context: usize, tokens: &TokenFile) -> std::result::Result<Piece, TrainError> {
    let mut batch = Batch::empty(windows.len(), context);
    for (index, window) in windows.iter().enumerate() {
        tokens.read_validation(window.start, batch.window_mut(index))?;
    }
    Ok(Piece { inputs: Inputs { tokens: batch.inputs.into(), context }, targets: batch.targets })
}

#[cfg(test)]
mod tests {
    use forescale_core::run::{EvaluationConfig, OptimizerConfig, ScheduleKind};

    use super::*;
    use crate::fixture::{config, manifest, token_file};
    use crate::init::normal;
    use crate::kernels::tensor;

    fn measured(tokens: u64, curve_tokens: u64) -> RunConfig {
        RunConfig { evaluation: EvaluationConfig { tokens, curve_tokens, curve_points: 3, tasks: None }, ..config() }
    }

    /// A model with losses that differ from window to window.
    fn scattered() -> Model {
        let model = Model::initialise(&config()).expect("a model");
        for weight in &model.weights {
            let values = normal(3, &weight.spec.name, weight.spec.len(), 0.3);
            weight.variable.set(&tensor(values, weight.spec.dims.clone()).expect("sizes agree")).expect("one shape");
        }
        model
    }

    #[test]
    fn the_part_is_spread_over_the_whole_set() {
        assert_eq!(part(&measured(400, 100), 20), [0, 4, 8, 12, 16]);
        assert_eq!(part(&measured(400, 0), 20).len(), 20);
        assert_eq!(part(&measured(400, 4_000), 20).len(), 20);
        assert_eq!(part(&measured(400, 140), 20), [0, 2, 5, 8, 11, 14, 17]);
    }

    #[test]
    fn the_last_evaluation_also_tells_the_loss_over_the_part() {
        let (tokens, model) = (token_file(&manifest()), scattered());
        let workers = Workers::start(1).expect("a thread");
        let measure = |curve_tokens| Exam::new(&measured(400, curve_tokens), &tokens).expect("an exam");
        let exam = measure(100);
        let last = exam.at_the_end(&model, &workers).expect("measured");
        let all = last.all.expect("all windows at the end");
        let on_the_way = exam.on_the_way(&model, &workers).expect("measured");
        assert!((last.part - on_the_way.part).abs() < 1e-6 && on_the_way.all.is_none());
        assert!((last.part - all.mean).abs() > 1e-4 && all.tokens == 400);
        let whole = measure(0).at_the_end(&model, &workers).expect("measured");
        assert!((whole.part - all.mean).abs() < 1e-12 && whole.all == Some(all));
    }

    #[test]
    fn curve_steps_lie_at_equal_distances_over_the_run_or_over_the_cooldown_of_a_branch() {
        let steps =
            |config: &RunConfig| (0..=config.steps).filter(|step| is_curve_step(config, *step)).collect::<Vec<_>>();
        assert_eq!(steps(&config()), [4, 8, 12, 16]);
        let optimizer =
            OptimizerConfig { schedule: ScheduleKind::WarmupStableDecay, decay_steps: 6, ..config().optimizer };
        let branch = RunConfig { branch: true, optimizer, ..config() };
        assert_eq!(steps(&branch), [11, 13, 14, 16]);
        assert_eq!(steps(&RunConfig { branch: false, ..branch }), [4, 8, 12, 16]);
        assert_eq!(steps(&RunConfig { steps: 2, ..config() }), [1, 2]);
    }
}
