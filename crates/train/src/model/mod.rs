//! Model families: named weights, and logits from tokens.
//!
//! A family says which weights it has and how logits follow from them; everything else (initial values, rates,
//! counting, saving) reads the list of weights and knows no family. A new family is one file and one line in each
//! `match` below.

mod memory;
mod qwen3;

pub(crate) use memory::{Memory, New};
pub(crate) use qwen3::ROTARY_BASE;

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};
use forescale_core::count::{ModelShape, ParameterCounts};
use forescale_core::run::{Family, RunConfig};

use crate::error::TrainError;
use crate::init::normal;
use crate::kernels::tape::Tape;
use crate::kernels::tensor;
use crate::kernels::trace::{TracedStep, placeholder};
use crate::parametrization::{Initial, Layer, Rule};

/// Which count of the record a weight belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Embedding,
    Attention,
    Mlp,
    Norm,
    Head,
}

/// One weight of a family.
#[derive(Clone, Debug)]
pub(crate) struct WeightSpec {
    pub(crate) name: String,
    /// Rows, or rows and columns.
    pub(crate) dims: Vec<usize>,
    pub(crate) layer: Layer,
    pub(crate) group: Group,
}

impl WeightSpec {
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    fn fan_in(&self) -> usize {
        *self.dims.last().expect("a weight has a dimension")
    }
}

/// A weight and the rule it is trained by.
pub(crate) struct Weight {
    pub(crate) spec: WeightSpec,
    pub(crate) rule: Rule,
    pub(crate) variable: Var,
}

/// Input tokens, window by window.
#[derive(Clone)]
pub(crate) struct Inputs {
    pub(crate) tokens: Arc<[u32]>,
    pub(crate) context: usize,
}

/// A family, assembled from its weights.
pub(crate) trait LanguageModel: Send + Sync {
    /// Logits of the next token, a row per input token.
    fn logits(&self, tape: &Tape, inputs: &Inputs) -> Result<Tensor> {
        self.logits_observed(tape, inputs, &mut |_, _| {})
    }

    /// The same, showing what is computed on the way: rows of model width, of the logits rows of the vocabulary.
    fn logits_observed(&self, tape: &Tape, inputs: &Inputs, see: &mut dyn FnMut(Place, &Tensor)) -> Result<Tensor>;

    /// A memory of nothing, with room for so many tokens.
    fn memory(&self, tokens: usize) -> Memory;

    /// Logits after new tokens of several sequences, each of which goes on where its memory ends and is remembered: the
    /// rows that are asked for, sequence by sequence. The same as [`Self::logits`] of the whole sequences, for the work of
    /// the new tokens alone.
    fn advance(&self, sequences: &mut [New<'_>]) -> Result<Tensor>;
}

/// A place in the forward pass. Blocks are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The residual stream as it begins.
    Embedding,
    /// The residual stream after a block's attention.
    AfterAttention(usize),
    /// The residual stream after a block's MLP.
    AfterMlp(usize),
    /// What the readout reads.
    FinalNorm,
    /// Logits.
    Logits,
}

/// The weights of a run, and the family that they make.
pub(crate) struct Model {
    pub(crate) weights: Vec<Weight>,
    pub(crate) parameters: ParameterCounts,
    pub(crate) family: Box<dyn LanguageModel>,
}

impl Model {
    /// A model with its initial weights.
    pub(crate) fn initialise(config: &RunConfig) -> std::result::Result<Self, TrainError> {
        check_shape(&config.shape)?;
        let specs = specs(config.family, &config.shape);
        let parameters = count(&specs);
        let planned = config.parameters();
        if parameters != planned {
            return Err(TrainError::config(
                format!("the tensors hold {} parameters, the plan counts {}", parameters.total, planned.total),
                "this is a defect of forescale; please report it with the sweep file",
            ));
        }
        let weights: Vec<Weight> = specs.into_iter().map(|spec| weight(spec, config)).collect::<Result<_>>()?;
        let tensors = weights.iter().map(|weight| weight.variable.as_tensor().clone()).collect();
        Ok(Self { parameters, family: assemble(config.family, &config.shape, tensors), weights })
    }
}

/// A family's forward pass over so many rows, written down.
pub(crate) struct Trace {
    pub(crate) steps: Vec<TracedStep>,
    /// The weights, and which tensors of the trace they are.
    pub(crate) weights: Vec<(WeightSpec, Rule, Tensor)>,
    /// Tokens of a window.
    pub(crate) context: usize,
}

impl Trace {
    /// Rows, one per token, that the trace is of.
    pub(crate) fn rows(&self) -> usize {
        self.steps.first().map_or(0, |step| step.output.dims()[0])
    }

    /// The trace of a config's model over so many sequences.
    pub(crate) fn of(config: &RunConfig, sequences: usize) -> std::result::Result<Self, TrainError> {
        check_shape(&config.shape)?;
        let context = config.shape.context as usize;
        let specs = specs(config.family, &config.shape);
        let tensors: Vec<Tensor> = specs.iter().map(|spec| placeholder(spec.dims.clone())).collect::<Result<_>>()?;
        let family = assemble(config.family, &config.shape, tensors.clone());
        let tape = Tape::tracing();
        family.logits(&tape, &Inputs { tokens: vec![0; sequences * context].into(), context })?;
        let rule = |spec: &WeightSpec| spec.layer.rule(spec.fan_in(), &config.shape, &config.optimizer);
        let weights =
            specs.into_iter().zip(tensors).map(|(spec, tensor)| (spec.clone(), rule(&spec), tensor)).collect();
        Ok(Self { steps: tape.into_trace(), weights, context })
    }
}

fn specs(family: Family, shape: &ModelShape) -> Vec<WeightSpec> {
    match family {
        Family::Qwen3 => qwen3::specs(shape),
    }
}

fn assemble(family: Family, shape: &ModelShape, weights: Vec<Tensor>) -> Box<dyn LanguageModel> {
    match family {
        Family::Qwen3 => Box::new(qwen3::Qwen3::assemble(shape, weights)),
    }
}

fn weight(spec: WeightSpec, config: &RunConfig) -> Result<Weight> {
    let rule = spec.layer.rule(spec.fan_in(), &config.shape, &config.optimizer);
    let values = match rule.initial {
        Initial::Constant(value) => vec![value; spec.len()],
        Initial::Normal { standard_deviation } => normal(config.seed, &spec.name, spec.len(), standard_deviation),
    };
    let variable = Var::from_tensor(&tensor(values, spec.dims.clone())?)?;
    Ok(Weight { spec, rule, variable })
}

fn count(specs: &[WeightSpec]) -> ParameterCounts {
    let of = |group| specs.iter().filter(|spec| spec.group == group).map(|spec| spec.len() as u64).sum::<u64>();
    let [embedding, attention, mlp, norm, head] =
        [Group::Embedding, Group::Attention, Group::Mlp, Group::Norm, Group::Head].map(of);
    let total = embedding + attention + mlp + norm + head;
    ParameterCounts { embedding, attention, mlp, norm, head, total, active: total }
}

fn check_shape(shape: &ModelShape) -> std::result::Result<(), TrainError> {
    let named = [
        ("vocabulary", shape.vocabulary),
        ("width", shape.width),
        ("layers", shape.layers),
        ("heads", shape.heads),
        ("head_size", shape.head_size),
        ("mlp_hidden", shape.mlp_hidden),
        ("context", shape.context),
        ("input_order", shape.input_order),
    ];
    if let Some((name, _)) = named.iter().find(|(_, value)| *value == 0) {
        return Err(TrainError::config(format!("`{name}` is 0; at least 1 is needed"), format!("set `{name}`")));
    }
    if shape.heads * shape.head_size != shape.width {
        return Err(TrainError::config(
            format!("{} heads of {} do not make a width of {}", shape.heads, shape.head_size, shape.width),
            "set `width` to a multiple of `head_size`",
        ));
    }
    if !shape.head_size.is_multiple_of(2) {
        return Err(TrainError::config(
            format!("a head size of {} cannot be rotated in pairs", shape.head_size),
            "set `head_size` to an even number",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use forescale_core::count::Mlp;

    use super::*;
    use crate::fixture::config;
    use crate::kernels::cross_entropy::{cross_entropy, window_losses};

    fn inputs(context: usize) -> Inputs {
        Inputs { tokens: (0..2 * context as u32).map(|t| (t * 7 + t / 3) % 16).collect(), context }
    }

    fn scatter(model: &Model) {
        // At the start output projections and readout are zero, and most gradients with them.
        for weight in &model.weights {
            let values = normal(9, &weight.spec.name, weight.spec.len(), 0.5);
            weight.variable.set(&tensor(values, weight.spec.dims.clone()).expect("sizes agree")).expect("one shape");
        }
    }

    #[test]
    fn every_weight_of_every_family_receives_a_gradient() {
        for (family, mlp) in [(Family::Qwen3, Mlp::Swiglu), (Family::Qwen3, Mlp::ReluSquared)] {
            let shape = ModelShape { mlp, ..config().shape };
            let model = Model::initialise(&RunConfig { family, shape, ..config() }).expect("a model");
            scatter(&model);
            let tape = Tape::recording();
            let logits = model.family.logits(&tape, &inputs(20)).expect("forward");
            let loss = cross_entropy(&tape, &logits, (0..40).map(|t| t % 16).collect(), 1.0).expect("forward");
            let one = tensor(vec![1.0], ()).expect("a number");
            let gradients = tape.backward(&loss, one).expect("backward");
            for weight in &model.weights {
                let gradient = gradients.get(&weight.variable).expect("a gradient");
                let size = gradient.sqr().and_then(|g| g.sum_all()).and_then(|g| g.to_scalar::<f32>()).expect("f32");
                assert!(size > 1e-8, "`{}` receives none", weight.spec.name);
            }
        }
    }

    #[test]
    fn an_untrained_model_knows_nothing() {
        // A readout of zeros: ln 16 = 2.7725887 for every token.
        let model = Model::initialise(&config()).expect("a model");
        let logits = model.family.logits(&Tape::forward_only(), &inputs(20)).expect("forward");
        let sums = window_losses(&logits, &[3; 40], 20).expect("losses");
        assert!(sums.iter().all(|sum| (sum / 20.0 - 2.772_588_7).abs() < 1e-6));
    }

    #[test]
    fn the_tensors_hold_the_parameters_that_are_counted() {
        for (layers, input_order, mlp_hidden, mlp) in
            [(1, 1, 24, Mlp::Swiglu), (2, 3, 43, Mlp::Swiglu), (4, 1, 8, Mlp::ReluSquared)]
        {
            let shape = ModelShape { layers, input_order, mlp, mlp_hidden, ..config().shape };
            let model = Model::initialise(&RunConfig { shape: shape.clone(), ..config() }).expect("a model");
            assert_eq!(model.parameters, ParameterCounts::of(&shape));
        }
    }

    #[test]
    fn shapes_that_cannot_be_built_are_refused_by_name() {
        let refused = |shape| Model::initialise(&RunConfig { shape, ..config() }).err().expect("refused").to_string();
        let shape = || config().shape;
        assert!(refused(ModelShape { layers: 0, ..shape() }).contains("`layers` is 0"));
        assert!(refused(ModelShape { heads: 3, ..shape() }).contains("3 heads of 8 do not make a width of 16"));
        assert!(refused(ModelShape { head_size: 1, heads: 16, ..shape() }).contains("head size of 1"));
    }
}
