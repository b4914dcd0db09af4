//! The launches and products of each operation, forward and backward.

use candle_core::Tensor;

use super::plan::{Builder, Gradient};
use super::{Address, Argument, CardError, Format, Launch, Matrix, Product, Work, bytes_of};
use crate::kernels::attention::Attention;
use crate::kernels::trace::{Traced, TracedStep};

/// Threads of a block of rows or values.
const THREADS: u32 = 256;
/// Warps of such a block.
const WARPS: usize = 8;
/// Rows of a strip, whose sums are added up in order. Chosen here: few enough strips to add, enough blocks to fill a card.
const STRIP_ROWS: usize = 64;
/// Threads of a row of logits.
const LOSS_THREADS: u32 = 128;

/// An operation with its inputs and output.
pub(crate) struct Step<'a> {
    pub(crate) operation: &'a Traced,
    pub(crate) inputs: Vec<&'a Tensor>,
    pub(crate) output: &'a Tensor,
}

impl<'a> Step<'a> {
    pub(crate) fn of(step: &'a TracedStep) -> Result<Self, CardError> {
        // Indices within a launch are 32 bits wide.
        if step.output.elem_count() > i32::MAX as usize / 3 {
            let count = step.output.elem_count();
            return Err(CardError::Failed(format!(
                "{count} values at once are too many; split the step into more parts"
            )));
        }
        Ok(Self { operation: &step.operation, inputs: step.inputs.iter().collect(), output: &step.output })
    }
}

/// What the loss is computed of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) rows: usize,
    pub(crate) vocabulary: usize,
    /// Of each row in the mean.
    pub(crate) weight: f32,
    pub(crate) with_gradient: bool,
}

fn at(address: Address) -> Argument {
    Argument::Address(address)
}

fn int(value: usize) -> Argument {
    Argument::Int(value as i32)
}

/// So many blocks one below the other, of which a launch takes 65,535.
fn blocks_below(count: usize, what: &str) -> Result<usize, CardError> {
    if count > 65_535 {
        return Err(CardError::Failed(format!("{count} {what} at once are too many; split the step into more parts")));
    }
    Ok(count)
}

fn rows_and_width(tensor: &Tensor) -> (usize, usize) {
    let width = tensor.dims().last().copied().unwrap_or(1);
    (tensor.elem_count() / width, width)
}

/// A matrix whose rows lie one after the other: to BLAS its transpose, column by column.
fn rows_of(address: Address, width: usize, format: Format) -> Matrix {
    Matrix { address, leading: width, format, transposed: false }
}

fn turned(matrix: Matrix) -> Matrix {
    Matrix { transposed: !matrix.transposed, ..matrix }
}

/// The head size and the positions of a tile that an attention kernel is compiled for.
#[derive(Clone, Copy, Debug)]
struct Tiling {
    size: usize,
    tile: usize,
    format: Format,
}

impl Tiling {
    /// The narrowest that a head fits.
    fn of(size: usize, format: Format) -> Result<Self, CardError> {
        let compiled = [(16, 64), (32, 64), (64, 64), (128, 32)];
        let (size, tile) = compiled.into_iter().find(|(most, _)| size <= *most).ok_or_else(|| {
            CardError::Failed(format!("heads of {size} channels are wider than the 128 that kernels are compiled for"))
        })?;
        Ok(Self { size, tile, format })
    }

    /// Shared memory of a block with so many tiles of rows and of scores, as the kernels lay it out.
    fn bytes(self, tiles: usize, score_tiles: usize) -> u32 {
        let Self { size, tile, .. } = self;
        let of_row = match self.format {
            Format::F32 => 4 * (tiles * (size + 1) + score_tiles * (tile + 1)),
            Format::Bf16 => 2 * tiles * (size + 8) + score_tiles * (4 * (tile + 4) + 2 * (tile + 8)),
        };
        (tile * (of_row + 4)) as u32
    }
}

impl Builder<'_> {
    fn launch(&mut self, kernel: &str, grid: [usize; 3], threads: u32, arguments: Vec<Argument>) {
        self.launch_shared(kernel, grid, (threads, 0), arguments);
    }

    fn launch_shared(
        &mut self,
        kernel: &str,
        grid: [usize; 3],
        (threads, shared_bytes): (u32, u32),
        arguments: Vec<Argument>,
    ) {
        let grid = grid.map(|blocks| blocks as u32);
        self.works.push(Work::Launch(Launch { kernel: kernel.to_owned(), grid, threads, shared_bytes, arguments }));
    }

    /// A kernel's name in the format of products.
    fn named(&self, kernel: &str) -> String {
        format!("{kernel}_{}", self.format.suffix())
    }

    fn master(&self, tensor: &Tensor) -> Result<Address, CardError> {
        self.arena.master_of(tensor.id()).ok_or_else(|| CardError::Failed("a weight that is none".to_owned()))
    }

    fn operand(&self, tensor: &Tensor) -> Result<Address, CardError> {
        let found = self.arena.operand_of(tensor.id(), self.format);
        found.ok_or_else(|| CardError::Failed("a matrix that is no weight".to_owned()))
    }

    fn weight_gradient(&self, tensor: &Tensor) -> Result<Address, CardError> {
        self.arena.gradient_of(tensor.id()).ok_or_else(|| CardError::Failed("a weight that is none".to_owned()))
    }

    // ------------------------------------------------------------------------------------------------- embedding

    pub(crate) fn embed(&mut self, step: &Step<'_>, vocabulary: usize) -> Result<(), CardError> {
        let (rows, width) = rows_and_width(step.output);
        let orders = rows_and_width(step.inputs[0]).0 / vocabulary;
        let tables = self.master(step.inputs[0])?;
        let out = self.keep(step.output, Format::F32)?;
        let tokens = self.input_buffers.expect("inputs are laid out first").tokens;
        let arguments =
            vec![at(tables), at(tokens), at(out), int(self.context), int(width), int(vocabulary), int(orders)];
        let threads = width.next_multiple_of(32).min(THREADS as usize) as u32;
        self.launch("embedding_forward", [rows, 1, 1], threads, arguments);
        Ok(())
    }

    pub(crate) fn embed_backward(
        &mut self,
        step: &Step<'_>,
        vocabulary: usize,
        gradient: Gradient,
    ) -> Result<(), CardError> {
        let (tables, width) = rows_and_width(step.inputs[0]);
        let onto = self.weight_gradient(step.inputs[0])?;
        let inputs = self.input_buffers.expect("inputs are laid out first");
        let addresses = [gradient.address, inputs.starts, inputs.places, onto].map(at);
        let arguments = [&addresses[..], &[int(self.context), int(width), int(vocabulary)]].concat();
        let grid = [vocabulary, width.div_ceil(32), tables / vocabulary];
        self.launch_shared("embedding_backward", grid, (THREADS, 4 * THREADS), arguments);
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------------ norm

    pub(crate) fn normalise(&mut self, step: &Step<'_>) -> Result<(), CardError> {
        let (rows, width) = rows_and_width(step.output);
        let (x, gain) = (self.value(step.inputs[0])?, self.master(step.inputs[1])?);
        let out = self.keep(step.output, self.format)?;
        let inverses = self.card.allocate(4 * rows as u64)?;
        self.beside.insert(step.output.id(), inverses);
        let arguments = vec![at(x), at(gain), at(out), at(inverses), int(rows), int(width)];
        self.launch(&self.named("rms_norm_forward"), [rows.div_ceil(WARPS), 1, 1], THREADS, arguments);
        Ok(())
    }

    pub(crate) fn normalise_backward(&mut self, step: &Step<'_>, gradient: Gradient) -> Result<(), CardError> {
        let (rows, width) = rows_and_width(step.output);
        let (x, gain) = (self.value(step.inputs[0])?, self.master(step.inputs[1])?);
        let inverses = self.beside[&step.output.id()];
        let (onto, add) = self.gradient_onto(step.inputs[0], Format::F32)?;
        let addresses = [x, gain, inverses, gradient.address, onto.address].map(at);
        let arguments = [&addresses[..], &[int(usize::from(add)), int(rows), int(width)]].concat();
        self.launch(&self.named("rms_norm_backward"), [rows.div_ceil(WARPS), 1, 1], THREADS, arguments);
        let strips = rows.div_ceil(STRIP_ROWS);
        let bytes = 4 * (strips * width) as u64;
        let partial = self.take(bytes)?;
        let addresses = [x, inverses, gradient.address, partial].map(at);
        let arguments = [&addresses[..], &[int(rows), int(width), int(STRIP_ROWS)]].concat();
        let grid = [width.div_ceil(32), blocks_below(strips, "strips of rows")?, 1];
        self.launch_shared(&self.named("rms_norm_gain"), grid, (THREADS, 4 * THREADS), arguments);
        let onto = self.weight_gradient(step.inputs[1])?;
        self.add_strips(partial, onto, [strips, width, width]);
        self.give(partial, bytes);
        Ok(())
    }

    fn add_strips(&mut self, partial: Address, onto: Address, [strips, columns, stride]: [usize; 3]) {
        let arguments = vec![at(partial), at(onto), int(strips), int(columns), int(stride)];
        self.launch("add_strips", [columns.div_ceil(64), 1, 1], 64, arguments);
    }

    // --------------------------------------------------------------------------------------------------- products

    pub(crate) fn multiply(&mut self, step: &Step<'_>) -> Result<(), CardError> {
        let format = if self.logits == Some(step.output.id()) { Format::F32 } else { self.format };
        let out = self.keep(step.output, format)?;
        let x = self.value(step.inputs[0])?;
        self.product_of(x, step.inputs[1], step.output, (out, format, false))
    }

    pub(crate) fn multiply_onto(&mut self, step: &Step<'_>) -> Result<(), CardError> {
        let residual = self.value(step.inputs[0])?;
        let out = self.keep(step.output, Format::F32)?;
        self.works.push(Work::Copy { from: residual, to: out, bytes: 4 * step.output.elem_count() as u64 });
        let x = self.value(step.inputs[1])?;
        self.product_of(x, step.inputs[2], step.output, (out, Format::F32, true))
    }

    /// y = x·Wᵀ by rows is yᵀ = W·xᵀ by columns.
    fn product_of(
        &mut self,
        x: Address,
        weight: &Tensor,
        output: &Tensor,
        (out, format, add): (Address, Format, bool),
    ) -> Result<(), CardError> {
        let (outputs, inputs) = rows_and_width(weight);
        let (rows, _) = rows_and_width(output);
        self.product(Product {
            extent: [outputs, rows, inputs],
            a: turned(rows_of(self.operand(weight)?, inputs, self.format)),
            b: rows_of(x, inputs, self.format),
            c: rows_of(out, outputs, format),
            add,
            tf32: false,
        });
        Ok(())
    }

    /// W̄ += ȳᵀ·x and x̄ = ȳ·W, by columns W̄ᵀ += xᵀ·ȳ and x̄ᵀ = Wᵀ·ȳᵀ.
    pub(crate) fn multiply_backward(
        &mut self,
        x: &Tensor,
        weight: &Tensor,
        gradient: Gradient,
    ) -> Result<(), CardError> {
        let ((outputs, inputs), (rows, _)) = (rows_and_width(weight), rows_and_width(x));
        let of_output = rows_of(gradient.address, outputs, self.format);
        self.product(Product {
            extent: [inputs, outputs, rows],
            a: rows_of(self.value(x)?, inputs, self.format),
            b: turned(of_output),
            c: rows_of(self.weight_gradient(weight)?, inputs, Format::F32),
            add: true,
            tf32: false,
        });
        let (onto, add) = self.gradient_onto(x, self.format)?;
        self.product(Product {
            extent: [inputs, rows, outputs],
            a: rows_of(self.operand(weight)?, inputs, self.format),
            b: of_output,
            c: rows_of(onto.address, inputs, self.format),
            add,
            tf32: false,
        });
        Ok(())
    }

    /// The stream's gradient goes on to the residual as it is, and to the product in its format.
    pub(crate) fn multiply_onto_backward(&mut self, step: &Step<'_>, gradient: Gradient) -> Result<(), CardError> {
        let values = step.output.elem_count();
        let narrowed = if gradient.format == self.format {
            gradient
        } else {
            let bytes = values as u64 * self.format.bytes();
            let narrowed = Gradient { address: self.take(bytes)?, bytes, format: self.format };
            let arguments = vec![at(gradient.address), at(narrowed.address), int(values)];
            self.launch("narrow_bf16", [values.div_ceil(THREADS as usize), 1, 1], THREADS, arguments);
            narrowed
        };
        self.multiply_backward(step.inputs[1], step.inputs[2], narrowed)?;
        if narrowed.address != gradient.address {
            self.give(narrowed.address, narrowed.bytes);
        }
        self.hand_on(step.inputs[0], gradient)
    }

    // -------------------------------------------------------------------------------------------------------- MLP

    pub(crate) fn gate(&mut self, step: &Step<'_>) -> Result<(), CardError> {
        let (values, (_, hidden)) = (step.output.elem_count(), rows_and_width(step.output));
        let packed = self.value(step.inputs[0])?;
        let out = self.keep(step.output, self.format)?;
        let arguments = vec![at(packed), at(out), int(values), int(hidden)];
        self.launch(&self.named("swiglu_forward"), [values.div_ceil(THREADS as usize), 1, 1], THREADS, arguments);
        Ok(())
    }

    pub(crate) fn gate_backward(&mut self, step: &Step<'_>, gradient: Gradient) -> Result<(), CardError> {
        let (values, (_, hidden)) = (step.output.elem_count(), rows_and_width(step.output));
        let packed = self.value(step.inputs[0])?;
        let onto = self.fresh_gradient(step.inputs[0], self.format)?;
        let arguments = vec![at(packed), at(gradient.address), at(onto.address), int(values), int(hidden)];
        self.launch(&self.named("swiglu_backward"), [values.div_ceil(THREADS as usize), 1, 1], THREADS, arguments);
        Ok(())
    }

    pub(crate) fn rectify(&mut self, step: &Step<'_>) -> Result<(), CardError> {
        let values = step.output.elem_count();
        let x = self.value(step.inputs[0])?;
        let out = self.keep(step.output, self.format)?;
        let name = self.named("relu_squared_forward");
        self.launch(&name, [values.div_ceil(THREADS as usize), 1, 1], THREADS, vec![at(x), at(out), int(values)]);
        Ok(())
    }

    pub(crate) fn rectify_backward(&mut self, step: &Step<'_>, gradient: Gradient) -> Result<(), CardError> {
        let values = step.output.elem_count();
        let x = self.value(step.inputs[0])?;
        let onto = self.fresh_gradient(step.inputs[0], self.format)?;
        let name = self.named("relu_squared_backward");
        let arguments = vec![at(x), at(gradient.address), at(onto.address), int(values)];
        self.launch(&name, [values.div_ceil(THREADS as usize), 1, 1], THREADS, arguments);
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------------- loss

    /// Loss of each row; with the gradient also their weighted sum onto the first result.
    pub(crate) fn cross_entropy(&mut self, loss: Loss, gradient: Address, results: Address) -> Result<(), CardError> {
        let Loss { rows, vocabulary, weight, with_gradient } = loss;
        let inputs = self.input_buffers.expect("inputs are laid out first");
        let logits = self.logits.and_then(|logits| self.value_of(logits));
        let logits = logits.ok_or_else(|| CardError::Failed("a loss before the logits".to_owned()))?;
        let addresses = [logits, inputs.targets, inputs.losses, gradient].map(at);
        let rest = [Argument::Float(weight), int(vocabulary), int(usize::from(with_gradient))];
        let shared = 4 * LOSS_THREADS / 32;
        let name = self.named("cross_entropy");
        self.launch_shared(&name, [rows, 1, 1], (LOSS_THREADS, shared), [&addresses[..], &rest].concat());
        if with_gradient {
            let arguments = vec![at(inputs.losses), at(results), int(rows), Argument::Float(weight)];
            self.launch_shared("add_loss", [1, 1, 1], (THREADS, 8 * THREADS), arguments);
        }
        Ok(())
    }

    // -------------------------------------------------------------------------------------------------- attention

    /// Cosines and sines by position, laid out once.
    fn rotary(&mut self, attention: &Attention) -> Result<[Address; 2], CardError> {
        let shape = attention.shape;
        if let Some(held) = self.rotary.get(&(shape.context, shape.head_size)) {
            return Ok(*held);
        }
        let [cosines, sines] = attention.table.by_position(&shape).map(|table| bytes_of(&table, f32::to_le_bytes));
        let mut lay_out = |bytes: &[u8]| -> Result<Address, CardError> {
            let address = self.card.allocate(bytes.len() as u64)?;
            self.card.write(address, bytes)?;
            Ok(address)
        };
        let tables = [lay_out(&cosines)?, lay_out(&sines)?];
        self.rotary.insert((shape.context, shape.head_size), tables);
        Ok(tables)
    }

    /// Queries and keys, normalised and rotated, for a while.
    fn turn(&mut self, step: &Step<'_>, attention: &Attention) -> Result<Turned, CardError> {
        let (rows, _) = rows_and_width(step.output);
        let bytes = step.output.elem_count() as u64 * self.format.bytes();
        let turned = Turned { queries: self.take(bytes)?, keys: self.take(bytes)?, bytes };
        let [cosines, sines] = self.rotary(attention)?;
        let gains = [self.master(step.inputs[1])?, self.master(step.inputs[2])?];
        let packed = self.value(step.inputs[0])?;
        let addresses = [packed, gains[0], gains[1], cosines, sines, turned.queries, turned.keys].map(at);
        let arguments = [&addresses[..], &extents(attention, Some(rows))].concat();
        let blocks = (rows * attention.shape.heads).div_ceil(WARPS);
        self.launch(&self.named("turn_forward"), [blocks, 1, 1], THREADS, arguments);
        Ok(turned)
    }

    fn give_turned(&mut self, turned: &Turned) {
        self.give(turned.queries, turned.bytes);
        self.give(turned.keys, turned.bytes);
    }

    pub(crate) fn attend(&mut self, step: &Step<'_>, attention: &Attention) -> Result<(), CardError> {
        let tiling = Tiling::of(attention.shape.head_size, self.format)?;
        let (rows, _) = rows_and_width(step.output);
        let out = self.keep(step.output, self.format)?;
        let log_sums = self.card.allocate(4 * (rows * attention.shape.heads) as u64)?;
        self.beside.insert(step.output.id(), log_sums);
        let turned = self.turn(step, attention)?;
        let packed = self.value(step.inputs[0])?;
        let addresses = [turned.queries, turned.keys, packed, out, log_sums].map(at);
        let arguments = [&addresses[..], &extents(attention, None)].concat();
        let grid = self.tiles(attention, rows, tiling)?;
        let name = format!("{}_{}", self.named("attention_forward"), tiling.size);
        self.launch_shared(&name, grid, (THREADS, tiling.bytes(3, 1)), arguments);
        self.give_turned(&turned);
        Ok(())
    }

    /// Blocks over tiles of positions, and over sequences and heads.
    fn tiles(&self, attention: &Attention, rows: usize, tiling: Tiling) -> Result<[usize; 3], CardError> {
        let shape = attention.shape;
        let of_sequences = blocks_below(rows / shape.context * shape.heads, "heads of sequences")?;
        Ok([shape.context.div_ceil(tiling.tile), of_sequences, 1])
    }

    pub(crate) fn attend_backward(
        &mut self,
        step: &Step<'_>,
        attention: &Attention,
        gradient: Gradient,
    ) -> Result<(), CardError> {
        let tiling = Tiling::of(attention.shape.head_size, self.format)?;
        let (rows, _) = rows_and_width(step.output);
        let (packed, mixed) = (self.value(step.inputs[0])?, self.value(step.output)?);
        let log_sums = self.beside[&step.output.id()];
        let turned = self.turn(step, attention)?;
        let dot_bytes = 4 * (rows * attention.shape.heads) as u64;
        let wide_bytes = 4 * step.output.elem_count() as u64;
        let dots = self.take(dot_bytes)?;
        let (query_gradients, key_gradients) = (self.take(wide_bytes)?, self.take(wide_bytes)?);
        let onto = self.fresh_gradient(step.inputs[0], self.format)?;

        let arguments = [&[mixed, gradient.address, dots].map(at)[..], &extents(attention, Some(rows))].concat();
        let blocks = (rows * attention.shape.heads).div_ceil(WARPS);
        self.launch(&self.named("attention_dots"), [blocks, 1, 1], THREADS, arguments);

        let grid = self.tiles(attention, rows, tiling)?;
        let given = [turned.queries, turned.keys, packed, gradient.address, log_sums, dots];
        let arguments = [&given.map(at)[..], &[at(query_gradients)], &extents(attention, None)].concat();
        let name = format!("{}_{}", self.named("attention_queries"), tiling.size);
        self.launch_shared(&name, grid, (THREADS, tiling.bytes(4, 2)), arguments);

        let into = [at(key_gradients), at(onto.address)];
        let arguments = [&given.map(at)[..], &into, &extents(attention, None)].concat();
        let name = format!("{}_{}", self.named("attention_keys"), tiling.size);
        self.launch_shared(&name, grid, (THREADS, tiling.bytes(4, 2)), arguments);

        self.turn_backward(step, attention, [query_gradients, key_gradients, onto.address])?;
        self.give_turned(&turned);
        self.give(dots, dot_bytes);
        self.give(query_gradients, wide_bytes);
        self.give(key_gradients, wide_bytes);
        Ok(())
    }

    fn turn_backward(
        &mut self,
        step: &Step<'_>,
        attention: &Attention,
        [query_gradients, key_gradients, onto]: [Address; 3],
    ) -> Result<(), CardError> {
        let ((rows, _), size) = (rows_and_width(step.output), attention.shape.head_size);
        let strips = rows.div_ceil(STRIP_ROWS);
        let bytes = 4 * (strips * 2 * size) as u64;
        let partial = self.take(bytes)?;
        let [cosines, sines] = self.rotary(attention)?;
        let gains = [self.master(step.inputs[1])?, self.master(step.inputs[2])?];
        let packed = self.value(step.inputs[0])?;
        let read = [packed, gains[0], gains[1], cosines, sines, query_gradients, key_gradients].map(at);
        let arguments =
            [&read[..], &[at(onto), at(partial)], &extents(attention, Some(rows)), &[int(STRIP_ROWS)]].concat();
        let shared = (4 * WARPS * 2 * size) as u32;
        self.launch_shared(&self.named("turn_backward"), [strips, 1, 1], (THREADS, shared), arguments);
        for (part, gain) in step.inputs[1..].iter().enumerate() {
            let onto = self.weight_gradient(gain)?;
            self.add_strips(partial + 4 * (part * size) as u64, onto, [strips, size, 2 * size]);
        }
        self.give(partial, bytes);
        Ok(())
    }
}

/// Turned queries and keys, in the format of products.
struct Turned {
    queries: Address,
    keys: Address,
    bytes: u64,
}

/// Rows where a kernel asks for them, then context, heads and head size.
fn extents(attention: &Attention, rows: Option<usize>) -> Vec<Argument> {
    let shape = attention.shape;
    rows.into_iter().chain([shape.context, shape.heads, shape.head_size]).map(int).collect()
}
