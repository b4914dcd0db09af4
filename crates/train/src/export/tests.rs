use std::time::Duration;

use candle_core::D;
use forescale_core::count::{Mlp, ModelShape};
use forescale_core::record::{LogLine, RunSink, SinkError};
use serde_json::Value;

use super::*;
use crate::device::DeviceChoice;
use crate::fixture::{self, manifest, token_file};
use crate::init::normal;
use crate::kernels::tensor;
use crate::train::{TrainOptions, TrainOutcome, train};

/// Keeps the last checkpoint in memory.
#[derive(Default)]
struct Memory(Option<Checkpoint>);

impl RunSink for Memory {
    fn log(&mut self, _: &LogLine) -> Result<(), SinkError> {
        Ok(())
    }

    fn attempts(&mut self) -> Result<u32, SinkError> {
        Ok(0)
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        self.0 = Some(checkpoint.clone());
        Ok(())
    }

    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.0.clone())
    }
}

/// The plain model, whose input is one embedding.
fn config() -> RunConfig {
    let config = fixture::config();
    RunConfig { shape: ModelShape { input_order: 1, ..config.shape.clone() }, ..config }
}

/// Trains a run whose clock never asks for a checkpoint.
fn trained(config: &RunConfig, sink: &mut Memory) -> TrainOutcome {
    let options = TrainOptions {
        device: DeviceChoice::Cpu,
        precision: None,
        accumulate: 1,
        threads: 1,
        registration_sha256: None,
        checkpoint_every: Duration::MAX,
        stop: None,
    };
    train(config, &token_file(&manifest()), sink, &options).expect("a run")
}

/// A model whose weights are all different and none of them zero, gains included.
fn scattered(config: RunConfig) -> TrainedModel {
    let model = Model::initialise(&config).expect("a model");
    for weight in &model.weights {
        let values = normal(3, &weight.spec.name, weight.spec.len(), 0.5);
        weight.variable.set(&tensor(values, weight.spec.dims.clone()).expect("sizes agree")).expect("one shape");
    }
    TrainedModel { config, model }
}

/// What lies in an exported folder.
struct Exported {
    config: Value,
    tensors: HashMap<String, Tensor>,
}

impl Exported {
    fn of(model: &TrainedModel) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        model.write_hf(folder.path()).expect("written");
        let config = std::fs::read(folder.path().join("config.json")).expect("read");
        let tensors = candle_core::safetensors::load(folder.path().join("model.safetensors"), &Device::Cpu);
        Self { config: serde_json::from_slice(&config).expect("JSON"), tensors: tensors.expect("tensors") }
    }

    fn number(&self, name: &str) -> f64 {
        self.config[name].as_f64().unwrap_or_else(|| panic!("no {name}"))
    }

    fn weight(&self, name: &str) -> &Tensor {
        self.tensors.get(&format!("{name}.weight")).unwrap_or_else(|| panic!("no {name}"))
    }

    fn linear(&self, x: &Tensor, name: &str) -> candle_core::Result<Tensor> {
        x.matmul(&self.weight(name).t()?)
    }

    fn norm(&self, x: &Tensor, name: &str) -> candle_core::Result<Tensor> {
        let mean = (x.sqr()?.mean_keepdim(D::Minus1)? + self.number("rms_norm_eps"))?;
        x.broadcast_div(&mean.sqrt()?)?.broadcast_mul(self.weight(name))
    }

    /// Turns (heads, context, size): x ∘ cos + (−second half | first half) ∘ sin, both halves by the same angles.
    fn turn(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (_, context, size) = x.dims3()?;
        let theta = self.number("rope_theta");
        let angle = |t: usize, pair: usize| t as f64 * theta.powf(-2.0 * (pair % (size / 2)) as f64 / size as f64);
        let table = |f: fn(f64) -> f64| {
            let values = (0..context).flat_map(|t| (0..size).map(move |i| (t, i))).map(|(t, i)| f(angle(t, i)) as f32);
            Tensor::from_vec(values.collect::<Vec<f32>>(), (context, size), &Device::Cpu)
        };
        let (first, second) = (x.narrow(2, 0, size / 2)?, x.narrow(2, size / 2, size / 2)?);
        let half_turned = Tensor::cat(&[&second.neg()?, &first], 2)?;
        x.broadcast_mul(&table(f64::cos)?)? + half_turned.broadcast_mul(&table(f64::sin)?)?
    }

    /// Rows (context, heads × size) as (heads, context, size).
    fn heads(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (heads, size) = (self.number("num_attention_heads") as usize, self.number("head_dim") as usize);
        x.reshape((x.dim(0)?, heads, size))?.transpose(0, 1)?.contiguous()
    }

    fn attention(&self, x: &Tensor, layer: &str) -> candle_core::Result<Tensor> {
        let part = |name: &str| self.heads(&self.linear(x, &format!("{layer}.{name}_proj"))?);
        let turned = |name: &str| self.turn(&self.norm(&part(name)?, &format!("{layer}.{name}_norm"))?);
        let scores = turned("q")?.matmul(&turned("k")?.transpose(1, 2)?.contiguous()?)?;
        let scores = (scores / self.number("head_dim").sqrt())?;
        let context = x.dim(0)?;
        let later = |cell: usize| if cell % context > cell / context { f32::NEG_INFINITY } else { 0.0 };
        let mask: Vec<f32> = (0..context * context).map(later).collect();
        let scores = scores.broadcast_add(&Tensor::from_vec(mask, (context, context), &Device::Cpu)?)?;
        let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&part("v")?)?;
        self.linear(&mixed.transpose(0, 1)?.contiguous()?.flatten_from(1)?, &format!("{layer}.o_proj"))
    }

    /// Logits (context, vocabulary) of one window: the forward pass of `Qwen3ForCausalLM`, one candle operation after
    /// another, from the names and numbers in the folder alone.
    fn logits(&self, tokens: &[u32]) -> candle_core::Result<Tensor> {
        let tokens = Tensor::new(tokens, &Device::Cpu)?;
        let mut x = self.weight("model.embed_tokens").index_select(&tokens, 0)?;
        for layer in 0..self.number("num_hidden_layers") as usize {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            let normed = self.norm(&x, &name("input_layernorm"))?;
            x = (x + self.attention(&normed, &name("self_attn"))?)?;
            let normed = self.norm(&x, &name("post_attention_layernorm"))?;
            let gate = candle_nn::ops::silu(&self.linear(&normed, &name("mlp.gate_proj"))?)?;
            let gated = (gate * self.linear(&normed, &name("mlp.up_proj"))?)?;
            x = (x + self.linear(&gated, &name("mlp.down_proj"))?)?;
        }
        self.linear(&self.norm(&x, "model.norm")?, "lm_head")
    }
}

fn largest(x: &Tensor) -> f32 {
    x.abs().and_then(|x| x.max_all()).and_then(|x| x.to_scalar()).expect("f32")
}

#[test]
fn qwen3_over_the_folder_alone_computes_our_logits() {
    let deeper = RunConfig { shape: ModelShape { layers: 4, ..config().shape }, ..config() };
    for config in [config(), deeper] {
        let model = scattered(config);
        let tokens: Vec<u32> = (0..20).map(|t| (t * 7 + t / 3) % 16).collect();
        let inputs = Inputs { tokens: tokens.clone().into(), context: 20 };
        let ours = model.model.family.logits(&Tape::forward_only(), &inputs).expect("forward");
        let theirs = Exported::of(&model).logits(&tokens).expect("forward");
        assert!(largest(&ours) > 1.0, "logits near zero would agree with anything");
        let difference = largest(&(&ours - &theirs).expect("one shape"));
        assert!(difference < 1e-4, "{difference}");
    }
}

#[test]
fn every_parameter_is_in_the_folder_once_under_a_name_of_qwen3() {
    let model = scattered(config());
    let exported = Exported::of(&model);
    // Three tensors outside the blocks and eleven in each of two.
    assert_eq!(exported.tensors.len(), 3 + 2 * 11);
    let values: usize = exported.tensors.values().map(Tensor::elem_count).sum();
    assert_eq!(values as u64, config().parameters().total);
    let dims = |name: &str| exported.weight(name).dims().to_vec();
    assert_eq!(dims("model.layers.1.self_attn.k_proj"), [16, 16]);
    assert_eq!(dims("model.layers.1.mlp.up_proj"), [24, 16]);
    assert_eq!(dims("model.layers.1.mlp.down_proj"), [16, 24]);
    assert_eq!((dims("model.layers.0.self_attn.q_norm"), dims("lm_head")), (vec![8], vec![16, 16]));
}

#[test]
fn the_same_weights_give_the_same_bytes() {
    let model = scattered(config());
    let bytes = || {
        let folder = tempfile::tempdir().expect("a folder");
        model.write_hf(folder.path()).expect("written");
        std::fs::read(folder.path().join("model.safetensors")).expect("read")
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn who_may_read_the_config_may_read_the_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    scattered(config()).write_hf(folder.path()).expect("written");
    let permissions = |name| folder.path().join(name).metadata().expect("a file").permissions();
    assert_eq!(permissions("model.safetensors"), permissions("config.json"));
}

#[test]
fn what_qwen3_cannot_express_is_refused_and_nothing_written() {
    let refused = |shape: ModelShape| {
        let folder = tempfile::tempdir().expect("a folder");
        let error = hf::write(&shape, &[], folder.path()).expect_err("refused").to_string();
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
        error
    };
    let sums = refused(ModelShape { input_order: 3, ..config().shape });
    assert!(sums.contains("`input_order` is 3") && sums.contains("hint: train with `input_order = 1`"), "{sums}");
    let other = refused(ModelShape { mlp: Mlp::ReluSquared, ..config().shape });
    assert!(other.contains("ReLU²") && other.contains("hint:"), "{other}");
}

#[test]
fn a_finished_run_keeps_the_weights_that_its_loss_was_measured_with() {
    let mut sink = Memory::default();
    let outcome = trained(&config(), &mut sink);
    let model = TrainedModel::load(&config(), &sink.0.expect("a checkpoint")).expect("loaded");
    let tokens = token_file(&manifest());
    let batch = model.batch(&tokens, 20).expect("the whole evaluation set");
    let logits = model.logits(&batch).expect("forward");
    let sums = crate::kernels::cross_entropy::window_losses(&logits, &batch.targets, 20).expect("losses");
    let loss = sums.iter().sum::<f64>() / 400.0;
    assert!((loss - outcome.metrics[0].value).abs() < 1e-12, "{loss} against {}", outcome.metrics[0].value);
}

#[test]
fn a_run_killed_between_its_last_step_and_its_record_is_measured_again() {
    let mut sink = Memory::default();
    let first = trained(&config(), &mut sink);
    assert_eq!(sink.0.as_ref().map(|saved| saved.step), Some(config().steps));
    let again = trained(&config(), &mut sink);
    assert_eq!((first.metrics, first.curve), (again.metrics, again.curve));
}

#[test]
fn a_checkpoint_on_the_way_or_cut_short_is_refused() {
    let mut sink = Memory::default();
    trained(&config(), &mut sink);
    let whole = sink.0.expect("a checkpoint");
    let refused = |checkpoint| TrainedModel::load(&config(), &checkpoint).err().expect("refused").to_string();
    let early = refused(Checkpoint { step: 12, ..whole.clone() });
    assert!(early.contains("checkpoint at step 12: the run ends at step 16"), "{early}");
    let short = refused(Checkpoint { bytes: whole.bytes[..whole.bytes.len() - 4].to_vec(), ..whole });
    assert!(short.contains("bytes of weights"), "{short}");
}

#[test]
fn logits_are_those_of_windows_spread_over_the_evaluation_set() {
    let model = scattered(config());
    let tokens = token_file(&manifest());
    let folder = tempfile::tempdir().expect("a folder");
    model.write_logits(&tokens, 4, folder.path()).expect("written");
    let written = candle_core::safetensors::load(folder.path().join(LOGITS), &Device::Cpu).expect("tensors");
    assert_eq!(written["logits"].dims(), [4, 20, 16]);
    let ids = written["tokens"].to_vec2::<i64>().expect("64-bit integers");
    // The evaluation set has 20 windows: 0, 5, 10 and 15 of them.
    let windows = evaluate::windows(&config(), &manifest()).expect("enough");
    let bytes = fixture::bytes();
    for (ids, window) in ids.iter().zip([0, 5, 10, 15].map(|index| windows[index])) {
        let start = (fixture::TRAIN_TOKENS + window.start) as usize;
        assert!(ids.iter().zip(&bytes[start..start + 20]).all(|(id, byte)| *id == i64::from(*byte)));
    }
    let error = model.write_logits(&tokens, 21, folder.path()).expect_err("too many").to_string();
    assert!(error.contains("logits of 21 windows") && error.contains("has 20"), "{error}");
}

#[test]
fn logits_on_another_corpus_are_refused() {
    let model = scattered(RunConfig { corpus_digest: "another".to_owned(), ..config() });
    let folder = tempfile::tempdir().expect("a folder");
    let error = model.write_logits(&token_file(&manifest()), 1, folder.path()).expect_err("refused").to_string();
    assert!(error.contains("planned on corpus `another`"), "{error}");
}
