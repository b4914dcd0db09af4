//! Operations side by side: on the CPU as [`crate::kernels`] computes them, and on a card as its kernels do.
//!
//! The same function of tape and tensors is computed on the one and traced for the other, so that the comparison covers
//! kernels, launches and buffers together. Tests go through it under emulation; `gpu_check` on the card itself.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::launches::Loss;
use super::plan::Builder;
use super::trainer::rows_by_token;
use super::{Address, Card, CardError, Format, Work, bytes_of};
use crate::error::TrainError;
use crate::init::normal;
use crate::kernels::attention::Attention;
use crate::kernels::attention_head::HeadShape;
use crate::kernels::cross_entropy::cross_entropy;
use crate::kernels::embedding::{Lookup, embedding};
use crate::kernels::linear::{linear, linear_onto};
use crate::kernels::relu_squared::relu_squared;
use crate::kernels::rms_norm::rms_norm;
use crate::kernels::swiglu::swiglu;
use crate::kernels::tape::Tape;
use crate::kernels::tensor;
use crate::kernels::trace::placeholder;
use crate::model::{Group, Trace, WeightSpec};
use crate::parametrization::{Initial, Layer, Rule};
use crate::precision::Precision;

/// What a variable or an output is to a card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Weight,
    /// f32, whatever the precision.
    Stream,
    /// In the format of products.
    Operand,
}

use Role::{Operand, Stream, Weight};

impl Role {
    fn format(self, precision: Precision) -> Format {
        if self == Operand && precision == Precision::Bf16 { Format::Bf16 } else { Format::F32 }
    }
}

/// A variable: its role, its shape and its values.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    role: Role,
    dims: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// A variable of normal deviates.
pub(super) fn drawn(role: Role, name: &str, dims: &[usize]) -> Variable {
    Variable { role, dims: dims.to_vec(), values: normal(3, name, dims.iter().product(), 1.0) }
}

type Fused = Box<dyn Fn(&Tape, &[Tensor]) -> Result<Tensor>>;

/// An operation to be compared.
pub(super) struct Case {
    pub(super) name: String,
    fused: Fused,
    pub(super) variables: Vec<Variable>,
    output: Role,
    /// Tokens and vocabulary of an embedding.
    lookup: Option<(Vec<u32>, usize)>,
    context: usize,
}

/// Output, and a gradient per variable.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) output: Vec<f32>,
    pub(super) gradients: Vec<Vec<f32>>,
}

impl Found {
    /// The output and the gradients, one after the other.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Vec<f32>> {
        std::iter::once(&self.output).chain(&self.gradients)
    }

    /// Largest difference in each part, as a share of the part's largest value.
    pub(super) fn apart(&self, other: &Self) -> f64 {
        self.parts().zip(other.parts()).map(|(ours, theirs)| apart(ours, theirs)).fold(0.0, f64::max)
    }
}

/// Largest difference, as a share of the largest value; infinite where one is not a number or the other has no place.
pub(super) fn apart(ours: &[f32], theirs: &[f32]) -> f64 {
    let largest = theirs.iter().fold(1e-2f32, |most, value| most.max(value.abs()));
    let most = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0f32, |most, difference| if difference.is_finite() { most.max(difference) } else { f32::INFINITY });
    if ours.len() == theirs.len() { f64::from(most / largest) } else { f64::INFINITY }
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

fn refused(error: &candle_core::Error) -> CardError {
    CardError::Failed(error.to_string())
}

/// How far an operation may be apart: f32 to rounding, tf32 (11 bits of significand) and bf16 (8 bits) to a few units.
pub(super) fn allowed(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 3e-5,
        Precision::Tf32 => 5e-3,
        Precision::Bf16 => 2e-2,
    }
}

impl Case {
    /// The variables' values in the format of products, which every format holds exactly then.
    pub(super) fn values(&self, precision: Precision) -> Vec<Vec<f32>> {
        self.variables.iter().map(|variable| rounded(&variable.values, Operand.format(precision))).collect()
    }

    /// A fixed weighting of the output, so that its gradient differs from value to value.
    pub(super) fn weighting(&self, len: usize, precision: Precision) -> Vec<f32> {
        rounded(&normal(3, "weights of the output", len, 1.0), self.output.format(precision))
    }

    pub(super) fn on_cpu(&self, values: &[Vec<f32>], precision: Precision) -> Result<Found> {
        let of = |(values, variable): (&Vec<f32>, &Variable)| tensor(values.clone(), variable.dims.clone());
        let tensors: Vec<Tensor> = values.iter().zip(&self.variables).map(of).collect::<Result<_>>()?;
        let tape = Tape::recording();
        let out = (self.fused)(&tape, &tensors)?;
        let output = flat(&out)?;
        let weighting = tensor(self.weighting(output.len(), precision), out.shape())?;
        let gradients = tape.backward(&out, weighting)?;
        let of_variable = |tensor: &Tensor| flat(gradients.get(tensor).expect("every variable has a gradient"));
        Ok(Found { output, gradients: tensors.iter().map(of_variable).collect::<Result<_>>()? })
    }

    pub(super) fn on_card(
        &self,
        card: &mut dyn Card,
        values: &[Vec<f32>],
        precision: Precision,
    ) -> std::result::Result<Found, CardError> {
        let (trace, tensors, out) = self.trace().map_err(|error| refused(&error))?;
        let mut builder = Builder::new(card, &trace, precision)?;
        self.write(&mut builder, &tensors, values, precision)?;
        let clear = builder.arena.clear_gradients();
        builder.works.extend(std::iter::once(clear).chain(builder.arena.copy()));
        for step in &trace.steps {
            builder.forward(step)?;
        }
        let forward = std::mem::take(&mut builder.works);
        let format = self.output.format(precision);
        // A buffer that the forward pass may have used for a while: it is filled only after that.
        let gradient = builder.fresh_gradient(&out, format)?;
        for step in trace.steps.iter().rev() {
            builder.backward(step)?;
        }
        let backward = std::mem::take(&mut builder.works);
        let place = |tensor: &Tensor| -> Option<(Address, Format)> {
            let of_weight = builder.arena.gradient_of(tensor.id()).map(|address| (address, Format::F32));
            of_weight.or_else(|| builder.gradient_of_input(tensor).map(|held| (held.address, held.format)))
        };
        let places: Vec<(Address, Format)> =
            tensors.iter().map(|tensor| place(tensor).expect("every variable has a gradient")).collect();
        let out_at = builder.value(&out)?;
        run(card, forward)?;
        card.write(gradient.address, &to_bytes(&self.weighting(out.elem_count(), precision), format))?;
        run(card, backward)?;
        let output = read(card, (out_at, format), out.elem_count())?;
        let gradients = places.into_iter().zip(values).map(|(place, values)| read(card, place, values.len()));
        Ok(Found { output, gradients: gradients.collect::<std::result::Result<_, _>>()? })
    }

    /// The operation written down, its variables and its output.
    fn trace(&self) -> Result<(Trace, Vec<Tensor>, Tensor)> {
        let tensors: Vec<Tensor> =
            self.variables.iter().map(|variable| placeholder(variable.dims.clone())).collect::<Result<_>>()?;
        let tape = Tape::tracing();
        let out = (self.fused)(&tape, &tensors)?;
        let weights = self.variables.iter().zip(&tensors).filter(|(variable, _)| variable.role == Weight);
        let weights = weights.map(|(variable, tensor)| (spec(&variable.dims), RULE, tensor.clone())).collect();
        Ok((Trace { steps: tape.into_trace(), weights, context: self.context }, tensors, out))
    }

    fn write(
        &self,
        builder: &mut Builder<'_>,
        tensors: &[Tensor],
        values: &[Vec<f32>],
        precision: Precision,
    ) -> std::result::Result<(), CardError> {
        if let Some((tokens, vocabulary)) = &self.lookup {
            let inputs = builder.inputs(tokens.len(), *vocabulary)?;
            let (starts, places) =
                rows_by_token(tokens, *vocabulary).map_err(|error| CardError::Failed(error.to_string()))?;
            for (to, words) in [(inputs.tokens, tokens), (inputs.starts, &starts), (inputs.places, &places)] {
                builder.card.write(to, &bytes_of(words, u32::to_le_bytes))?;
            }
        }
        for (variable, (tensor, values)) in self.variables.iter().zip(tensors.iter().zip(values)) {
            let format = variable.role.format(precision);
            let to = match variable.role {
                Weight => builder.arena.master_of(tensor.id()).expect("it is a weight"),
                Stream | Operand => builder.keep(tensor, format)?,
            };
            builder.card.write(to, &to_bytes(values, format))?;
        }
        Ok(())
    }
}

/// A rule for weights that are not updated.
const RULE: Rule =
    Rule { initial: Initial::Constant(0.0), rate: 0.0, epsilon: 0.0, weight_decay: 0.0, multiplier: 1.0 };

fn spec(dims: &[usize]) -> WeightSpec {
    WeightSpec { name: "weight".to_owned(), dims: dims.to_vec(), layer: Layer::Hidden, group: Group::Attention }
}

pub(super) fn run(card: &mut dyn Card, works: Vec<Work>) -> std::result::Result<(), CardError> {
    let program = card.prepare(works)?;
    card.execute(program)
}

pub(super) fn read(
    card: &mut dyn Card,
    (from, format): (Address, Format),
    len: usize,
) -> std::result::Result<Vec<f32>, CardError> {
    let mut bytes = vec![0; len * format.bytes() as usize];
    card.read(from, &mut bytes)?;
    Ok(from_bytes(&bytes, format))
}

fn rounded(values: &[f32], format: Format) -> Vec<f32> {
    from_bytes(&to_bytes(values, format), format)
}

/// f32 values of stored ones.
pub(super) fn from_bytes(bytes: &[u8], format: Format) -> Vec<f32> {
    match format {
        Format::F32 => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        Format::Bf16 => {
            let wide = |two: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*two)) << 16);
            bytes.as_chunks().0.iter().map(wide).collect()
        }
    }
}

/// Values as they are stored: bf16 to the nearest, of two equally near the even one.
pub(super) fn to_bytes(values: &[f32], format: Format) -> Vec<u8> {
    match format {
        Format::F32 => bytes_of(values, f32::to_le_bytes),
        Format::Bf16 => values.iter().flat_map(|value| bf16(*value).to_le_bytes()).collect(),
    }
}

fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if value.is_nan() { 0x7fff } else { (rounded >> 16) as u16 }
}

// ---------------------------------------------------------------------------------------------------------- the cases

fn case(
    name: String,
    output: Role,
    variables: Vec<Variable>,
    fused: impl Fn(&Tape, &[Tensor]) -> Result<Tensor> + 'static,
) -> Case {
    Case { name, fused: Box::new(fused), variables, output, lookup: None, context: 1 }
}

/// Attention over so many sequences.
pub(super) fn attention(shape: HeadShape, sequences: usize) -> Case {
    let operation = Attention::new(shape, 10_000.0);
    let HeadShape { context, heads, head_size } = shape;
    let variables = vec![
        drawn(Operand, "packed", &[sequences * context, 3 * shape.width()]),
        drawn(Weight, "query gain", &[head_size]),
        drawn(Weight, "key gain", &[head_size]),
    ];
    let name = format!("attention, context {context}, {heads} heads of {head_size}");
    let attend = move |tape: &Tape, v: &[Tensor]| operation.apply(tape, &v[0], [&v[1], &v[2]]);
    Case { context, ..case(name, Operand, variables, attend) }
}

pub(super) fn norm(rows: usize, width: usize) -> Case {
    let variables = vec![drawn(Stream, "x", &[rows, width]), drawn(Weight, "gain", &[width])];
    case(format!("norm, {rows} × {width}"), Operand, variables, |tape, v| rms_norm(tape, &v[0], &v[1]))
}

pub(super) fn gate(rows: usize, hidden: usize) -> Case {
    let variables = vec![drawn(Operand, "packed", &[rows, 2 * hidden])];
    case(format!("swiglu, {rows} × {hidden}"), Operand, variables, |tape, v| swiglu(tape, &v[0]))
}

pub(super) fn square(rows: usize, hidden: usize) -> Case {
    let variables = vec![drawn(Operand, "x", &[rows, hidden])];
    case(format!("relu squared, {rows} × {hidden}"), Operand, variables, |tape, v| relu_squared(tape, &v[0]))
}

fn product(rows: usize, inputs: usize, outputs: usize) -> [Case; 2] {
    let operands = || vec![drawn(Operand, "x", &[rows, inputs]), drawn(Weight, "weight", &[outputs, inputs])];
    let onto = [vec![drawn(Stream, "residual", &[rows, outputs])], operands()].concat();
    let name = format!("{rows} × {inputs} × {outputs}");
    [
        case(format!("product, {name}"), Operand, operands(), |tape, v| linear(tape, &v[0], &v[1])),
        case(format!("product onto, {name}"), Stream, onto, |tape, v| linear_onto(tape, &v[0], &v[1], &v[2])),
    ]
}

/// A residual that is read by a norm and added to: half of a block.
pub(super) fn block(rows: usize) -> Case {
    let variables = vec![
        drawn(Stream, "x", &[rows, 16]),
        drawn(Weight, "gain", &[16]),
        drawn(Weight, "up", &[24, 16]),
        drawn(Weight, "down", &[16, 12]),
    ];
    case(format!("block, {rows} × 16"), Stream, variables, |tape, v| {
        let up = linear(tape, &rms_norm(tape, &v[0], &v[1])?, &v[2])?;
        linear_onto(tape, &v[0], &swiglu(tape, &up)?, &v[3])
    })
}

fn tables(orders: usize, vocabulary: usize, width: usize, context: usize) -> Case {
    let tokens: Vec<u32> = (0..60u32).map(|row| (row * row * 7 + row / 3) % 11 * (vocabulary as u32 / 11)).collect();
    let lookup = Lookup { tokens: Arc::from(&tokens[..]), context, vocabulary };
    let variables = vec![drawn(Weight, "tables", &[orders * vocabulary, width])];
    let name = format!("embedding, {orders} orders of {vocabulary} × {width}");
    let embed = move |tape: &Tape, v: &[Tensor]| embedding(tape, &v[0], lookup.clone());
    Case { lookup: Some((tokens, vocabulary)), context, ..case(name, Stream, variables, embed) }
}

/// Every operation at shapes with and without a rest, a single token and every size of head that is compiled.
pub(super) fn cases() -> Vec<Case> {
    let heads = [(1, 1, 8), (5, 2, 8), (20, 1, 10), (64, 1, 16), (70, 2, 16), (67, 1, 32), (65, 1, 64), (33, 2, 128)];
    let shape = |(context, heads, head_size)| HeadShape { context, heads, head_size };
    let mut cases: Vec<Case> = heads.into_iter().map(|head| attention(shape(head), 2)).collect();
    cases.extend([(1, 8), (7, 16), (70, 40), (130, 257)].map(|(rows, width)| norm(rows, width)));
    cases.extend([(1, 8), (5, 43), (70, 16)].into_iter().flat_map(|(rows, f)| [gate(rows, f), square(rows, f)]));
    cases.extend([(1, 8, 16), (7, 24, 40), (70, 16, 5)].into_iter().flat_map(|(r, i, o)| product(r, i, o)));
    cases.push(block(9));
    cases.extend([(1, 256, 40, 12), (3, 256, 8, 20), (3, 1000, 33, 1)].map(|(o, v, d, t)| tables(o, v, d, t)));
    cases
}

/// The loss with its gradient, of so many rows of logits.
pub(super) fn loss_apart(
    card: &mut dyn Card,
    precision: Precision,
    [rows, vocabulary]: [usize; 2],
) -> std::result::Result<f64, CardError> {
    let weight = 0.25;
    let values = normal(3, "logits", rows * vocabulary, 1.0);
    let targets: Vec<u32> = (0..rows as u32).map(|row| (row * 97 + 3) % vocabulary as u32).collect();
    let on_cpu = || -> Result<(f32, Vec<f32>)> {
        let logits = tensor(values.clone(), (rows, vocabulary))?;
        let tape = Tape::recording();
        let loss = cross_entropy(&tape, &logits, Arc::from(&targets[..]), weight)?;
        let gradients = tape.backward(&loss, tensor(vec![1.0], ())?)?;
        Ok((loss.to_scalar()?, flat(gradients.get(&logits).expect("logits have a gradient"))?))
    };
    let (loss, expected) = on_cpu().map_err(|error| refused(&error))?;
    let trace = Trace { steps: Vec::new(), weights: Vec::new(), context: 1 };
    let mut builder = Builder::new(card, &trace, precision)?;
    let logits = placeholder((rows, vocabulary)).map_err(|error| refused(&error))?;
    let inputs = builder.inputs(rows, vocabulary)?;
    let results = builder.card.allocate(16)?;
    builder.logits = Some(logits.id());
    let at = builder.keep(&logits, Format::F32)?;
    let gradient = builder.gradient_buffer(&logits)?;
    builder.works.push(Work::Zero { address: results, bytes: 16 });
    builder.cross_entropy(Loss { rows, vocabulary, weight, with_gradient: true }, gradient, results)?;
    let works = std::mem::take(&mut builder.works);
    card.write(at, &to_bytes(&values, Format::F32))?;
    card.write(inputs.targets, &bytes_of(&targets, u32::to_le_bytes))?;
    run(card, works)?;
    let found = read(card, (gradient, Operand.format(precision)), rows * vocabulary)?;
    let mut bytes = [0; 8];
    card.read(results, &mut bytes)?;
    Ok(apart(&found, &expected).max(apart(&[f64::from_le_bytes(bytes) as f32], &[loss])))
}

/// One operation, compared.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// Its name and shape.
    pub operation: String,
    /// Number format on the card.
    pub precision: Precision,
    /// Largest difference in an output or a gradient, as a share of its largest value.
    pub apart: f64,
    /// Largest one that rounding explains.
    pub allowed: f64,
}

/// All operations on a card, each against the CPU; `open` gives a card whose memory is free.
pub(crate) fn compare(
    device: &str,
    mut open: impl FnMut() -> std::result::Result<Box<dyn Card>, TrainError>,
    mut found: impl FnMut(Agreement),
) -> std::result::Result<(), TrainError> {
    for precision in Precision::ALL {
        let allowed = allowed(precision);
        let mut card = open()?;
        for case in cases() {
            let values = case.values(precision);
            let on_card = case.on_card(&mut *card, &values, precision).map_err(|error| error.on(device))?;
            let apart = on_card.apart(&case.on_cpu(&values, precision)?);
            found(Agreement { operation: case.name, precision, apart, allowed });
        }
        for extent in [[1, 256], [6, 37], [5, 1000]] {
            let apart = loss_apart(&mut *card, precision, extent).map_err(|error| error.on(device))?;
            let operation = format!("loss, {} × {}", extent[0], extent[1]);
            found(Agreement { operation, precision, apart, allowed });
        }
    }
    Ok(())
}
